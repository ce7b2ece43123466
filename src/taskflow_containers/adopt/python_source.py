"""A service's Python files: their trees, what names mean in them, and which file a module is."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from taskflow_containers.adopt.repository import Repository, join

# Folders whose files are there for people to read, or for tests and developers to run.
_ASIDE = frozenset(
    [
        "tests",
        "test",
        "testing",
        "docs",
        "docs_src",
        "doc",
        "examples",
        "example",
        "samples",
        "benchmarks",
        "benches",
        "fixtures",
        "e2e",
        "ci",
        "load_tests",
        "load_testing",
        "loadtest",
        "loadtests",
    ]
)
# Django imports its settings by the name that this sets.
_SETTINGS = re.compile(r"""["']DJANGO_SETTINGS_MODULE["']\s*[,\]]\s*=?\s*["']([\w.]+)""")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def aside(path: str, folder: str = ".") -> bool:
    """Whether a file below a folder is a test, an example or documentation."""
    *parts, name = path.removeprefix("" if folder == "." else folder + "/").split("/")
    return bool(_ASIDE & {*parts}) or bool(re.match(r"test_|conftest\.|noxfile\.", name))


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements at the top of a module, with those within if, try and with."""
    for node in body:
        yield node
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            for part in ("body", "orelse", "finalbody"):
                yield from statements(getattr(node, part, []))
            for handler in getattr(node, "handlers", []):
                yield from statements(handler.body)


def assigned(node: ast.AST) -> tuple[list[str], ast.expr | None]:
    """The names that a statement assigns, and the value."""
    if isinstance(node, ast.Assign):
        return [t.id for t in node.targets if isinstance(t, ast.Name)], node.value
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id], node.value
    return [], None


def constant(node: ast.expr | None) -> str:
    """The text of a string constant, or ""."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def keywords(node: ast.Call) -> dict[str, ast.expr]:
    """The named arguments of a call."""
    return {one.arg: one.value for one in node.keywords if one.arg}


@dataclass(frozen=True)
class Module:
    """A Python file and its tree."""

    path: str
    tree: ast.Module

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """The tree's nodes, walked once."""
        return [*ast.walk(self.tree)]

    @cached_property
    def names(self) -> dict[str, str]:
        """Local names to the full names that they were imported by; a leading dot for each level."""
        found: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for one in node.names:
                    top = one.name.split(".")[0]
                    found[one.asname or top] = one.name if one.asname else top
            elif isinstance(node, ast.ImportFrom):
                start = "." * node.level + (f"{node.module}." if node.module else "")
                found |= {one.asname or one.name: start + one.name for one in node.names}
        return found

    def name(self, node: ast.AST | None) -> str:
        """The full name of `a.b.c` by the imports (also within quotes); "" for anything else."""
        parts: list[str] = []
        if isinstance(node, ast.Subscript):  # Annotated[X, …], Optional[X]
            node = node.value
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self.names.get(node.value, node.value)
        if not isinstance(node, ast.Name):
            return ""
        return ".".join([self.names.get(node.id, node.id), *reversed(parts)])

    def place(self, node: ast.AST) -> str:
        """`file:line` of a node."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}"


class Sources:
    """The Python files of one project."""

    def __init__(self, repository: Repository, folder: str, paths: list[str]) -> None:
        """Know the files; each is parsed when it is asked for."""
        self.repository, self.folder = repository, folder
        self.paths = [path for path in paths if not aside(path, folder)]
        self._modules: dict[str, Module | None] = {}
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            stem = path.removesuffix(".py").removesuffix("/__init__")
            self._by_name[stem.rsplit("/", 1)[-1]].append(path)

    def module(self, path: str) -> Module | None:
        """The parsed file; None where it is broken."""
        if path not in self._modules:
            tree = self.repository.tree(path)
            self._modules[path] = Module(path, tree) if tree else None
        return self._modules[path]

    def having(self, *words: str, pattern: re.Pattern[str] | None = None) -> Iterator[Module]:
        """The parsed files whose text has a word, and the pattern: the others cannot hold what is looked for."""
        for path in self.paths:
            text = self.repository.text(path)
            possible = any(word in text for word in words)
            if (
                possible
                and (pattern is None or pattern.search(text))
                and (found := self.module(path))
            ):
                yield found

    def file_of(self, importer: str, name: str) -> str:
        """The file of this project that is a module, by its (relative) name, or ""."""
        level = len(name) - len(name.lstrip("."))
        parts = [part for part in name.split(".") if part]
        if level:
            above = importer.split("/")[:-level]
            start = "/".join([*above, *parts])
            ends = (f"{start}.py", join(start or ".", "__init__.py"))
            return next((end for end in ends if self.repository.has(end)), "")
        if not parts:
            return ""
        ending = "/".join(parts)
        found = [
            path
            for path in self._by_name.get(parts[-1], ())
            if f"/{path.removesuffix('.py').removesuffix('/__init__')}".endswith(f"/{ending}")
        ]
        # Where two have the name, the one that shares more of its folders with the importer.
        return max(found, key=lambda p: (len(_shared(p, importer)), -p.count("/")), default="")

    def file_named(self, name: str) -> str:
        """The file of this project that a path ends in, of several the one highest up, or ""."""
        ending = "/" + name.removeprefix("./")
        found = (path for path in self.paths if f"/{path}".endswith(ending))
        return min(found, key=lambda path: path.count("/"), default="")

    def defined(self, module: Module, name: str) -> tuple[Module, str] | None:
        """The file and the name there of what a module imported under a full name."""
        start, _, last = name.rpartition(".")
        if name.startswith(".") and not start.strip("."):
            start = name[: len(name) - len(last)]
        path = self.file_of(module.path, start)
        other = self.module(path) if path and path != module.path else None
        return (other, last) if other else None

    def text(self, module: Module, node: ast.expr | None, depth: int = 0) -> str | None:
        """The text that an expression is: of constants, sums and f-strings; None where no file says it."""
        if isinstance(node, ast.Constant):
            return None if node.value is None else str(node.value)
        if isinstance(node, ast.FormattedValue):
            return self.text(module, node.value, depth)
        if isinstance(node, (ast.JoinedStr, ast.BinOp)):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node.left, node.right]
            texts = [self.text(module, part, depth) for part in parts]
            known = [text for text in texts if text is not None]
            return "".join(known) if len(known) == len(texts) else None
        full = module.name(node)
        if full and "." not in full:
            for one in statements(module.tree.body):
                names, value = assigned(one)
                if full in names and depth < 5:
                    return self.text(module, value, depth + 1)
        other = self.defined(module, full) if full and "." in full and depth < 5 else None
        return self.text(other[0], ast.Name(other[1]), depth + 1) if other else None

    def root_of(self, path: str, stated: str | None = None) -> tuple[str, str]:
        """The folder below the project that must be on PYTHONPATH, and a file's module name from it.

        What is `stated` holds, unless an import of the file's is found from another folder alone.
        """
        below = path.removeprefix("" if self.folder == "." else self.folder + "/")
        parts = below.removesuffix(".py").removesuffix("/__init__").split("/")
        module = self.module(path)
        names = {*module.names.values()} if module else set()
        absolute = {tuple(name.split(".")[:2]) for name in names if not name.startswith(".")}
        absolute = {one for one in absolute if one[0] not in sys.stdlib_module_names}
        settings = _SETTINGS.search(self.repository.text(path))
        absolute |= {tuple(settings[1].split(".")[:2])} if settings else set()
        levels = max((len(n) - len(n.lstrip(".")) for n in names), default=0)
        best, most = 0, -99
        for depth in range(len(parts)):
            root = join(self.folder, "/".join(parts[:depth])) if depth else self.folder
            has = self.repository.has
            # Whole where the module within is there, too: project and package are often called alike.
            there = sum(self._is_at(root, one[:1]) + self._is_at(root, one) for one in absolute)
            inside = has(join(root, "__init__.py"))
            # A relative import needs its package below the root.
            impossible = levels and len(parts) - depth <= levels - (below.endswith("__init__.py"))
            score = there - inside - 50 * bool(impossible) + (parts[:depth] == ["src"])
            score += 2 * ("/".join(parts[:depth]) == stated)
            if score > most:
                best, most = depth, score
        return "/".join(parts[:best]), ".".join(parts[best:])

    def _is_at(self, root: str, parts: tuple[str, ...]) -> bool:
        place = join(root, "/".join(parts))
        return self.repository.has(f"{place}.py") or self.repository.has_folder(place)

    def needed(self, path: str) -> str:
        """The folder that a file imports from, where nothing that it imports lies at the project's top."""
        root, _ = self.root_of(path)
        module = self.module(path)
        names = {name.split(".")[0] for name in module.names.values()} if module else set()
        names -= {"", "alembic", *sys.stdlib_module_names}

        def has(folder: str) -> bool:
            return any(
                self.repository.has(join(folder, f"{name}.py"))
                or self.repository.has_folder(join(folder, name))
                for name in names
            )

        return root if root and has(join(self.folder, root)) and not has(self.folder) else ""


def _shared(one: str, other: str) -> list[str]:
    pairs = zip(one.split("/"), other.split("/"), strict=False)
    found = []
    for a, b in pairs:
        if a != b:
            break
        found.append(a)
    return found
