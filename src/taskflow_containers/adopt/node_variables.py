"""The environment variables that JavaScript and TypeScript sources read, from their syntax."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from tree_sitter import Node

from taskflow_containers.adopt.examples import usual
from taskflow_containers.adopt.findings import Variable
from taskflow_containers.adopt.javascript import nodes, parser, string, text
from taskflow_containers.adopt.node_demands import Demands, in_production, otherwise
from taskflow_containers.adopt.python_source import aside
from taskflow_containers.adopt.repository import Repository

# process.env.X, process.env["X"], const { X } = process.env, createEnv({ server: { X } }), z.object({ X }).
_MENTIONED = re.compile(rb"\bprocess\.env\b|\bcreateEnv\b|\bz(?:od)?\.(?:object|strictObject)\b")
# What the platform, the build or a test sets: nothing that an operator gives.
_OWN = re.compile(
    r"NODE_ENV|NODE_VERSION|YARN_VERSION|PORT|HOSTNAME|HOST|CI|ANALYZE|npm_\w+|NEXT_(?:RUNTIME|PHASE|MANUAL_SIG_HANDLE|TELEMETRY_DISABLED)|TURBO\w*"
    r"|CYPRESS_\w+|PLAYWRIGHT\w*|NEXT_PUBLIC_VERCEL_\w+|VERCEL\w*|GITHUB_(?:ACTIONS|SHA|REF\w*)|HOME|PATH|PWD|SKIP_ENV_VALIDATION|__NEXT\w*|TZ"
    r"|NODE_(?:OPTIONS|COMPILE_CACHE)|KEEP_ALIVE_TIMEOUT|NEXT_SHARP_PATH|TASKFLOW_\w+|(?:COREPACK|WATCHPACK|CHOKIDAR)_\w+"
)
_ASIDE = re.compile(
    r"\.(?:test|spec|stories|cy|d)\.[cm]?[jt]sx?$|/(?:__tests__|__mocks__|cypress|scripts|seeds?|\.storybook)/"
    r"|/seed[\w-]*\.[cm]?[jt]s$"
)
_TOOL = re.compile(r"(?:^|/)(?!next\.config\.)[\w.-]+\.(?:config|setup)\.[cm]?[jt]sx?$")
# Values that validators of zod's take.
_SAMPLES = (
    (r"\.(?:url|httpUrl)\(", "https://example.com"),
    (r"\.email\(", "someone@example.com"),
    (r"\.(?:uuid|guid)\(", "00000000-0000-4000-8000-000000000000"),
    (r"\.(?:boolean|stringbool)\(", "true"),
)
_SOURCES = (".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts")


@dataclass(frozen=True, slots=True)
class Helper:
    """A function that is given the name of a variable."""

    path: str
    name: str
    place: int
    """Which of its arguments the name is."""
    insists: bool


def is_own(name: str) -> bool:
    """Whether the platform or the build sets a variable."""
    return bool(_OWN.fullmatch(name))


def variables(repository: Repository, folders: list[str]) -> dict[str, Variable]:
    """The variables by name; required where the code insists on one."""
    found: dict[str, Variable] = {}
    paths = {p: folder for folder in folders for p in repository.below(folder, *_SOURCES)}
    # The configuration first: what it reads, the build needs, wherever else it is read.
    sources = [
        path
        for path in sorted(paths, key=lambda p: "next.config." not in p)
        if not (aside(path, paths[path]) or _ASIDE.search(f"/{path}") or _TOOL.search(path))
    ]
    helpers: dict[str, Helper] = {}
    for path in sources:
        source = repository.text(path)
        if "process.env" in source or "createEnv" in source:
            _take(found, _of(path, source, helpers))
    # env("NAME") is the same in the files that import it.
    called = re.compile(rf"\b({'|'.join(map(re.escape, helpers))})\(") if helpers else None
    for path in sources if called else ():
        source = repository.text(path)
        for name in dict.fromkeys(called.findall(source) if called else ()):
            _take(found, _by_helper(path, Demands(_parsed(path, source)), helpers[name]))
    for name in [name for name in found if is_own(name)]:
        del found[name]
    return found


def _take(found: dict[str, Variable], more: Iterable[Variable]) -> None:
    for variable in more:
        old = found.setdefault(variable.name, variable)
        found[variable.name] = replace(
            old,
            required=old.required or variable.required,
            sample=old.sample or variable.sample,
        )


def _parsed(path: str, source: str) -> Node:
    return parser(jsx=not path.endswith((".ts", ".mts", ".cts"))).parse(source.encode()).root_node


def _by_helper(path: str, demands: Demands, helper: Helper) -> Iterator[Variable]:
    """The variables that a function is asked for by their names, where it is its own file's or imported."""
    if path != helper.path and not demands.imports(helper.name, helper.path):
        return
    for call, name in demands.calls(helper.name, helper.place):
        if re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
            yield Variable(name, f"{path}:{call.start_point[0] + 1}", helper.insists)


def _of(path: str, source: str, helpers: dict[str, Helper]) -> list[Variable]:
    data = source.encode()
    root = _parsed(path, source)
    demands = Demands(root)
    found = []

    def add(node: Node, name: str, required: bool, default: str = "", sample: str = "") -> None:
        if re.fullmatch(r"[A-Za-z_]\w*", name):
            where = f"{path}:{node.start_point[0] + 1}"
            found.append(Variable(name, where, required, default, sample=sample))

    for match in _MENTIONED.finditer(data):
        node = root.descendant_for_byte_range(*match.span())
        # Within a comment or a string, the node is a longer one.
        if node is None or (node.start_byte, node.end_byte) != match.span() or node.parent is None:
            continue
        above = node.parent
        if above.type == "call_expression":
            for pair, name, value in _schema(above, text(node)):
                optional = re.search(r"\.(?:optional|nullish|default|catch|prefault)\(", value)
                add(pair, name, not optional, sample=sample(name, value))
        elif above.type == "variable_declarator":
            for item in nodes(above):
                if item.type == "shorthand_property_identifier_pattern":
                    add(item, text(item), demands.insists_on_name(above, text(item)))
                elif item.type == "pair_pattern":
                    own = text(item.child_by_field_name("value"))
                    key = text(item.child_by_field_name("key"))
                    add(item, key, demands.insists_on_name(above, own))
        elif told := demands.helper(above):
            helpers.setdefault(told[0], Helper(path, *told))
        elif not _written(above):
            index, own_name = map(above.child_by_field_name, ("index", "property"))
            default = string(otherwise(above)) or ""
            add(above, string(index) or text(own_name), demands.insists(above), default)
    return found


def _schema(call: Node, callee: str) -> list[tuple[Node, str, str]]:
    """The names of a schema of the environment with their validators' text."""
    arguments = call.child_by_field_name("arguments")
    schema = arguments.named_children[0] if arguments and arguments.named_children else None
    if schema is None or schema.type != "object" or callee == "process.env":
        return []
    groups = [schema]
    if callee == "createEnv":
        groups = [
            value
            for pair in schema.named_children
            if text(pair.child_by_field_name("key")) in {"server", "client", "shared"}
            for value in [pair.child_by_field_name("value")]
            if value and value.type == "object"
        ]
    found = []
    for group in groups:
        for pair in group.named_children:
            name = text(pair.child_by_field_name("key"))
            validator = _defined(pair, text(in_production(pair.child_by_field_name("value"))))
            # A schema of something else has other names than those of variables.
            if re.fullmatch(r"[A-Z][A-Z0-9_]+", name):
                found.append((pair, name, validator))
    return found


def _defined(node: Node, validator: str) -> str:
    """A validator's text; of a name the one that its file gives it."""
    if not re.fullmatch(r"[A-Za-z_$][\w$]*", validator):
        return validator
    while node.parent:
        node = node.parent
    match = re.search(rf"\bconst\s+{re.escape(validator)}\b[^=]*=(?!>)([^;]*)", text(node))
    return match[1] if match else validator


def _written(node: Node) -> bool:
    above = node.parent
    return (
        above is not None
        and above.type == "assignment_expression"
        and above.child_by_field_name("left") == node
    )


def sample(name: str, validator: str) -> str:
    """A value that a validator of zod's takes; "" where any text will do, or nobody can say."""
    if match := re.search(r"\.(?:enum|literal)\(\s*\[?\s*[\"']([^\"']+)", validator):
        return match[1]
    for pattern, value in _SAMPLES:
        if re.search(pattern, validator):
            # z.url() takes any, and which one its name says; z.httpUrl() does not.
            named = usual(name) if ".url(" in validator else ""
            return named if "://" in named else value
    least = re.search(r"\.(?:min|length)\(\s*(\d{1,3})\b", validator)
    number = re.search(r"(?:coerce\s*)?\.(?:number|int|bigint)\(", validator)
    if number:
        return least[1] if least else "1"
    begin = re.search(r"\.startsWith\(\s*[\"']([^\"']+)", validator)
    if not begin and not (least and int(least[1]) > 1):
        return ""
    text = (begin[1] if begin else "") + f"example-{name.lower().replace('_', '-')}"
    length = int(least[1]) if least else 0
    text = text.ljust(length, "0")
    return text[:length] if length and ".length(" in validator else text
