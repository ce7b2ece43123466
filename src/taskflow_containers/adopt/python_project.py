"""How a Python project is installed, and which Python it asks for."""

from __future__ import annotations

import ast
import re
from pathlib import PurePosixPath
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from taskflow_containers.adopt.findings import Finding, read, unknown
from taskflow_containers.adopt.repository import Repository, join, normal, parent

MARKERS = ("pyproject.toml", "setup.py", "setup.cfg", "Pipfile", "requirements.txt")
_REQUIREMENTS = (
    "requirements.txt",
    *(
        f"requirements/{n}.txt"
        for n in ("production", "prod", "base", "main", "common", "requirements")
    ),
    *(f"requirements{s}.txt" for s in ("-prod", "_prod", ".prod", "-base", ".production")),
)
# How a setup.py or setup.cfg takes what other files hold.
_COMPUTED = re.compile(
    r"\bopen\(|read_text|import_module|\bexec\(|ext_modules|cmdclass|\b(?:attr|file):"
)


def is_project(repository: Repository, folder: str) -> bool:
    """Whether a folder says by a file of its own that it is a Python project."""
    names = repository.folders.get(folder, set())
    if "__init__.py" in names and folder != "." and _imports_itself(repository, folder):
        return False  # a package, which something above it installs
    if names & {"Pipfile", "environment.yml", "environment.yaml"} or _packages(repository, folder):
        return True
    if "pyproject.toml" in names:
        data = repository.data(join(folder, "pyproject.toml"))
        tool = data.get("tool", {}) if isinstance(data.get("tool"), dict) else {}
        # A file that only sets up a linter names no project; a broken one may.
        if not data or "project" in data or {*tool} & {"poetry", "pdm", "uv", "hatch", "fastapi"}:
            return True
    return bool(repository.first(folder, *_REQUIREMENTS))


def _packages(repository: Repository, folder: str) -> tuple[str, ...]:
    """The files of setuptools' by which a folder is installed as a package.

    An application may call a file setup.py, and a setup.cfg may only set up tools.
    """
    told = {"setup.py": r"setuptools|distutils", "setup.cfg": r"^\[(?:metadata|options)\]"}
    texts = {name: repository.text(join(folder, name)) for name in told}
    return tuple(n for n, mark in told.items() if re.search(mark, texts[n], re.MULTILINE))


def _imports_itself(repository: Repository, folder: str) -> bool:
    """Whether a folder's files name it as the package that they are in, and so start above it."""
    marks = [name for name in MARKERS if not name.startswith("setup.")]
    if not repository.first(folder, *marks, *_REQUIREMENTS) and not _packages(repository, folder):
        return True  # nothing but a package
    return _names_itself(repository, folder)


def _names_itself(repository: Repository, folder: str) -> bool:
    """Whether files import something of this folder by its name, which a package from elsewhere may have too."""
    name = re.escape(folder.rsplit("/", 1)[-1])
    itself = re.compile(
        rf"^\s*(?:from|import)\s+{name}(?:\.(\w+)|\s+import\s+\(?([\w\s,]+))", re.MULTILINE
    )
    package = repository.has(join(folder, "__init__.py"))

    def there(module: str) -> bool:
        place = join(folder, module)
        return package or repository.has(f"{place}.py") or repository.has_folder(place)

    return any(
        there(module)
        for path in repository.below(folder, ".py")
        for match in itself.finditer(repository.text(path))
        for module in re.findall(r"\w+", match[1] or match[2])
    )


def named_by_itself(repository: Repository, folder: str) -> str:
    """The name by which a project's files import the folder that it is, as `app.main` in app/; else ""."""
    name = folder.rsplit("/", 1)[-1]
    inside = repository.has_folder(join(folder, name)) or repository.has(join(folder, f"{name}.py"))
    itself = name.isidentifier() and not inside and _names_itself(repository, folder)
    return name if itself else ""


def table(data: Any, *keys: str) -> dict[str, Any]:
    """A table within tables; {} where a key is absent or no table."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def workspace_of(repository: Repository, folder: str) -> str:
    """The folder of the uv workspace that a project is a member of, or ""."""
    above = folder
    while above != ".":
        above = parent(above)
        workspace = table(repository.data(join(above, "pyproject.toml")), "tool", "uv", "workspace")
        below = PurePosixPath(folder).relative_to(above)
        patterns = [p for p in workspace.get("members", ()) if isinstance(p, str)]
        if any(below.match(p.removeprefix("./").rstrip("/")) for p in patterns):
            return above
    return ""


def members(repository: Repository, top: str, folder: str) -> tuple[str, ...]:
    """A workspace's member and the members that it depends on, as folders below the workspace."""
    by_name: dict[str, str] = {}
    for path in repository.below(top, "/pyproject.toml"):
        named = table(repository.data(path), "project").get("name")
        if isinstance(named, str):
            by_name[canonicalize_name(named)] = parent(path)
    found, waiting = [], [folder]
    while waiting:
        one = waiting.pop()
        found.append(one)
        needs = requirements(repository, one)
        waiting += [
            by_name[n] for n in needs if n in by_name and by_name[n] not in {*found, *waiting, top}
        ]
    start = "" if top == "." else top + "/"
    return tuple(one.removeprefix(start) for one in found)


def installation(
    repository: Repository, folder: str, stated: tuple[str, ...] = ()
) -> tuple[Finding[str], Finding[str], tuple[str, ...]]:
    """How it is installed, its lock file, and the files that the install reads (below the folder).

    `stated` are the requirements files that its own image installs.
    """

    def has(name: str) -> bool:
        return repository.has(join(folder, name))

    def at(name: str, *words: str) -> str:
        return repository.at(join(folder, name), *words)

    data = repository.data(join(folder, "pyproject.toml"))
    tools = table(data, "tool")
    for name, lock in (("uv", "uv.lock"), ("poetry", "poetry.lock"), ("pdm", "pdm.lock")):
        if has(lock):
            return read(name, at(lock)), read(lock, at(lock)), ("pyproject.toml", lock)
    if has("Pipfile"):
        lock = "Pipfile.lock" if has("Pipfile.lock") else ""
        if not lock:
            repository.say(
                "change", "no lock file: run `pipenv lock` and commit Pipfile.lock", at("Pipfile")
            )
        return read("pipenv", at("Pipfile")), Finding(lock), ("Pipfile", *filter(None, [lock]))
    if requirements := "".join(stated[:1]) or repository.first(folder, *_REQUIREMENTS):
        files = _chain(repository, requirements)
        for more in stated[1:]:
            files = _chain(repository, more, files)
        base = "" if folder == "." else folder + "/"
        inside = tuple(f.removeprefix(base) for f in files if f.startswith(base))
        for outside in (f for f in files if not f.startswith(base)):
            repository.say(
                "said",
                f"{requirements} reads {outside}, which lies outside of its folder",
                requirements,
            )
        hashed = "--hash=" in repository.text(requirements)
        return (
            read("requirements", requirements + ":1"),
            Finding(inside[0] if hashed else ""),
            inside,
        )
    if "poetry" in tools or "pdm" in tools:
        name = "poetry" if "poetry" in tools else "pdm"
        repository.say(
            "change",
            f"no lock file: run `{name} lock` and commit {name}.lock",
            at("pyproject.toml", f"[tool.{name}"),
        )
        return read(name, at("pyproject.toml", f"[tool.{name}")), Finding(""), ("pyproject.toml",)
    packages = _packages(repository, folder)
    if "project" in data or packages:
        names = (*(("pyproject.toml",) if has("pyproject.toml") else ()), *packages)
        # What a build computes, it may read anywhere: a version file, a README, its own modules.
        computed = (
            "dependencies" in _dynamic(data)
            if "project" in data
            else any(_COMPUTED.search(repository.text(join(folder, n))) for n in names)
        )
        return read("project", at(names[0])), Finding(""), (".",) if computed else names
    if conda := repository.first(folder, "environment.yml", "environment.yaml"):
        repository.say(
            "change",
            "conda is not supported: add a requirements.txt with the packages that pip installs",
            conda + ":1",
        )
        return unknown("", ("requirements", "uv", "poetry")), Finding(""), ()
    packaged = sorted(
        p
        for p in repository.below(folder, "/requirements.txt")
        if _of_package(repository, folder, p)
    )
    if packaged:
        start = "" if folder == "." else folder + "/"
        files = tuple(p.removeprefix(start) for p in _chain(repository, packaged[0]))
        hashed = "--hash=" in repository.text(packaged[0])
        return read("requirements", packaged[0] + ":1"), Finding(files[0] if hashed else ""), files
    repository.say(
        "change",
        "no file says which packages it needs: add a requirements.txt, or a pyproject.toml with a "
        "lock file, and name what installs it by `install` when you adopt",
        folder,
    )
    return unknown("", ("requirements", "uv", "poetry")), Finding(""), ()


def _dynamic(data: dict[str, Any]) -> list[str]:
    """What of [project] its build computes."""
    stated = table(data, "project").get("dynamic")
    return [str(one) for one in stated] if isinstance(stated, list) else []


def _of_package(repository: Repository, folder: str, path: str) -> bool:
    """Whether a file lies in a package of a project's, one folder below it."""
    package = parent(path)
    return parent(package) == folder and repository.has(join(package, "__init__.py"))


def _chain(repository: Repository, path: str, seen: tuple[str, ...] = ()) -> tuple[str, ...]:
    """A requirements file and those that it names by -r and -c."""
    if path in seen or not repository.has(path):
        return seen
    seen = (*seen, path)
    for name in re.findall(
        r"^\s*(?:-r|-c|--requirement|--constraint)[ =]*([^\s#]+)",
        repository.text(path),
        re.MULTILINE,
    ):
        seen = _chain(repository, normal(join(parent(path), name)), seen)
    return seen


def requirements(
    repository: Repository, folder: str, stated: tuple[str, ...] = ()
) -> dict[str, str]:
    """The packages that a project names (canonical), each with its place; `stated` as above."""
    found: dict[str, str] = {}

    def add(text: object, path: str) -> None:
        try:
            name = Requirement(str(text).split(" #")[0].strip()).name
        except InvalidRequirement:
            return
        found.setdefault(canonicalize_name(name), repository.at(path, name))

    path = join(folder, "pyproject.toml")
    data = repository.data(path)
    listed = data.get("project", {}) if isinstance(data.get("project"), dict) else {}
    optional = table(listed, "optional-dependencies")
    for texts in (listed.get("dependencies"), *optional.values()):
        for one in texts if isinstance(texts, list) else ():
            add(one, path)
    poetry = table(data, "tool", "poetry")
    for group in (poetry, *table(poetry, "group").values()):
        for name in table(group, "dependencies"):
            add(name, path)
    for name in table(repository.data(join(folder, "Pipfile")), "packages"):
        add(name, join(folder, "Pipfile"))
    firsts = stated or (repository.first(folder, *_REQUIREMENTS),)
    for path in dict.fromkeys(p for first in firsts for p in _chain(repository, first)):
        if path:
            for line in repository.text(path).splitlines():
                add(line.split(" --hash")[0].rstrip("\\ "), path)
    setup = join(folder, "setup.py")
    for one in setup_arguments(repository, setup).get("install_requires", ()):
        add(one, setup)
    if cfg := repository.text(join(folder, "setup.cfg")):
        match = re.search(r"^install_requires\s*=((?:\n?[ \t]+.*|.*)*)", cfg, re.MULTILINE)
        for line in match[1].splitlines() if match else ():
            add(line, join(folder, "setup.cfg"))
    return found


def setup_arguments(repository: Repository, path: str) -> dict[str, Any]:
    """The constant arguments of setup() in a setup.py."""
    tree = repository.tree(path) if repository.has(path) else None
    found: dict[str, Any] = {}
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "setup":
            for keyword in node.keywords:
                try:
                    found[keyword.arg or ""] = ast.literal_eval(keyword.value)
                except ValueError:
                    continue
    return found
