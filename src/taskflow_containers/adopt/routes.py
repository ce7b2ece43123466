"""The health routes of a Python application: their whole path, and whether they ask a database."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

from taskflow_containers.adopt.findings import Route
from taskflow_containers.adopt.python_source import (
    Function,
    Module,
    Sources,
    assigned,
    constant,
    keywords,
)

HEALTH = re.compile(
    r"_?health(?:z|[_-]?checks?|y)?|livez?|liveness|alive|readyz?|readiness|ping|heartbeat|up",
    re.IGNORECASE,
)
# What is in the text of a file that states a route of health.
_WORDS = ("health", "live", "alive", "read", "ping", "heartbeat", '/up"', "Health")
_MENTIONED = re.compile(
    r"\(\s*(?:path\s*=\s*)?[\"'](?:[^\"'\s]*/)?(?:_?[hH]ealth|live|alive|read[iy]|ping|heartbeat|up)[\w-]*/?[\"']"
)
_DATABASE = re.compile(
    r"session|\bdb\b|_db\b|database|\bexecute\b|engine|\bconn(?:ection)?\b", re.IGNORECASE
)
_METHODS = {"get", "api_route", "head", "route"}
_ROUTERS = {"fastapi.APIRouter", "fastapi.routing.APIRouter"}
_Key = tuple[str, str]


def is_health(path: str) -> bool:
    """Whether the last part of a path is a name of health."""
    return bool(HEALTH.fullmatch(path.rstrip("/").rsplit("/", 1)[-1]))


class _Prefixes:
    """Which router is included where, and so which paths stand before its routes."""

    def __init__(self, sources: Sources, defaults: dict[str, str]) -> None:
        self.sources, self.defaults = sources, defaults
        self.own: dict[_Key, str] = {}
        self.above: dict[_Key, list[tuple[_Key, str]]] = defaultdict(list)

    def text(self, module: Module, node: ast.expr | None) -> str:
        """A prefix: a constant, an f-string, a constant of the file, or the default of a setting."""
        if isinstance(node, ast.JoinedStr):
            return "".join(self.text(module, part) for part in node.values)
        if isinstance(node, ast.FormattedValue):
            return self.text(module, node.value)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return self.text(module, node.left) + self.text(module, node.right)
        if isinstance(node, ast.Attribute):
            return self.defaults.get(node.attr, "")
        return self.sources.text(module, node) or ""

    def key(self, module: Module, node: ast.expr) -> _Key:
        """The file and the name there of a router."""
        full = module.name(node)
        if full and "." not in full:
            return module.path, full
        other = self.sources.defined(module, full) if full else None
        if other and (again := other[0].names.get(other[1])):  # imported once more there
            further = self.sources.defined(other[0], again)
            other = further or other
        return (other[0].path, other[1]) if other else (module.path, full)

    def read(self, module: Module) -> None:
        """Take a file's routers and inclusions."""
        for node in module.nodes:
            names, value = assigned(node)
            if isinstance(value, ast.Call) and module.name(value.func) in _ROUTERS:
                for name in names:
                    self.own[module.path, name] = self.text(module, keywords(value).get("prefix"))
            if not (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args
            ):
                continue
            given = keywords(node)
            if node.func.attr == "include_router":
                child, prefix = node.args[0], given.get("prefix")
            elif node.func.attr == "mount":
                child, prefix = [*node.args[1:], given.get("app", node.args[0])][0], node.args[0]
            else:
                continue
            above = self.key(module, node.func.value)
            self.above[self.key(module, child)].append((above, self.text(module, prefix)))

    def whole(self, key: _Key, depth: int = 0) -> str:
        """All that stands before the paths of a router."""
        if depth > 8:
            return ""
        before = ""
        if self.above.get(key):
            above, prefix = self.above[key][0]
            before = (self.whole(above, depth + 1) if above != key else "") + prefix
        return before + self.own.get(key, "")


def health(sources: Sources, defaults: dict[str, str]) -> tuple[Route, ...]:
    """The health routes; `defaults` are those of the settings' fields, for prefixes."""
    prefixes = _Prefixes(sources, defaults)
    modules = [*sources.having(*_WORDS, pattern=_MENTIONED)]
    for module in (
        {m.path: m for m in (*modules, *sources.having(".include_router(", ".mount("))}.values()
        if modules
        else ()
    ):
        prefixes.read(module)
    found: dict[str, Route] = {}
    for module in modules:
        for node in module.nodes:
            for path, owner in _paths(module, node):
                if not is_health(path):
                    continue
                whole = (prefixes.whole(prefixes.key(module, owner)) if owner else "") + path
                function = node if isinstance(node, Function) else _function(module, node)
                asks = bool(function and _DATABASE.search(ast.unparse(function)))
                whole = "/" + whole.strip("/")
                found.setdefault(whole, Route(whole, module.place(node), asks))
    return tuple(sorted(found.values(), key=lambda route: (route.path.count("/"), route.path)))


def _paths(module: Module, node: ast.AST) -> list[tuple[str, ast.expr | None]]:
    """The paths that a function's decorators, add_api_route() or Route() state, each with its router."""
    found: list[tuple[str, ast.expr | None]] = []
    if isinstance(node, Function):
        for call in node.decorator_list:
            if not (isinstance(call, ast.Call) and call.args):
                continue
            path = constant(call.args[0])
            if (
                isinstance(call.func, ast.Attribute)
                and call.func.attr in _METHODS
                and path[:1] in {"/", ""}
            ):
                # A path of "" on a router is the router's own prefix.
                found.append((path, call.func.value))
            elif module.name(call.func) in {"litestar.get", "litestar.handlers.get"}:
                found.append((path, None))
    elif isinstance(node, ast.Call) and node.args:
        if isinstance(node.func, ast.Attribute) and node.func.attr in {
            "add_api_route",
            "add_route",
        }:
            found.append((constant(node.args[0]), node.func.value))
        elif module.name(node.func) in {"starlette.routing.Route", "django.urls.path"}:
            found.append((constant(node.args[0]), None))
    return found


def _function(module: Module, node: ast.AST) -> ast.AST | None:
    """The function that a call like Route("/health", health) names, where it is of the same file."""
    names = {one.id for one in getattr(node, "args", ()) if isinstance(one, ast.Name)}
    return next((f for f in module.tree.body if isinstance(f, Function) and f.name in names), None)
