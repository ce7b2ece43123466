"""The syntax of JavaScript and TypeScript, and the values that its text can have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import tree_sitter_typescript
from tree_sitter import Language, Node, Parser

# The phases that Next.js tells a configuration's function.
PHASES = {
    "PHASE_EXPORT": "phase-export",
    "PHASE_PRODUCTION_BUILD": "phase-production-build",
    "PHASE_PRODUCTION_SERVER": "phase-production-server",
    "PHASE_DEVELOPMENT_SERVER": "phase-development-server",
    "PHASE_TEST": "phase-test",
}


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that is known only when the code runs; `candidates` are those seen in the text."""

    candidates: tuple[Any, ...] = ()


@dataclass(slots=True)
class Object:
    """An object's properties with their places; `open` where it may have others."""

    items: dict[str, tuple[Any, str]] = field(default_factory=dict)
    open: bool = False


MISSING = object()


def lookup(value: Any, key: str) -> tuple[Any, str]:
    """A property and its place: MISSING where the object surely has none."""
    if isinstance(value, Object):
        return value.items.get(key, (Unknown() if value.open else MISSING, ""))
    if isinstance(value, Unknown) and value.candidates:
        found = [lookup(one, key) for one in value.candidates]
        if all(one[0] is MISSING for one in found):
            return MISSING, ""
        values = [None if one is MISSING else one for one, _ in found]
        where = next(place for _, place in found if place) if any(p for _, p in found) else ""
        if all(one == values[0] for one in values):
            return values[0], where
        return Unknown(tuple(v for v in values if v is not None)), where
    return Unknown(), ""


def plain(value: Any) -> Any:
    """A value as data: functions and what is unknown become None."""
    if isinstance(value, Object):
        return {key: plain(one) for key, (one, _) in value.items.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value if isinstance(value, (str, int, float, bool)) else None


@cache
def parser(jsx: bool) -> Parser:
    """The parser of TypeScript, with JSX or with `<type>value`; it reads JavaScript as well."""
    language = (
        tree_sitter_typescript.language_tsx if jsx else tree_sitter_typescript.language_typescript
    )
    return Parser(Language(language()))


def nodes(node: Node) -> Iterator[Node]:
    """A node and everything below it, in order; without recursion, for any depth."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        waiting.extend(reversed(one.children))


def text(node: Node | None) -> str:
    """A node's own text."""
    return node.text.decode(errors="replace") if node and node.text else ""


def string(node: Node | None) -> str | None:
    """The value of a string without substitutions; None for anything else."""
    if node is None or node.type not in {"string", "template_string"}:
        return None
    if any(child.type == "template_substitution" for child in node.children):
        return None
    return re.sub(r"\\(.)", r"\1", text(node)[1:-1])


@dataclass(frozen=True, slots=True)
class Imported:
    """A name that an import or require gives: "default" for the module's own value."""

    source: str
    name: str


class Script:
    """One file's syntax tree and the names at its top."""

    def __init__(self, source: str, path: str, load: Callable[[str, str], Script | None]) -> None:
        """Parse it; `load` gives the script that a relative import names, from this path."""
        self.path, self.load = path, load
        self.steps = 0
        """Of evaluation: what a hostile file can cost has an end."""
        self.root = (
            parser(jsx=not path.endswith((".ts", ".mts", ".cts"))).parse(source.encode()).root_node
        )
        self.scope: dict[str, Any] = {}
        self.exported: Node | None = None
        self._top()

    def place(self, node: Node) -> str:
        """`file:line` of a node."""
        return f"{self.path}:{node.start_point[0] + 1}"

    def error(self) -> str:
        """`file:line` of the smallest part that is no valid syntax, or ""."""
        if not self.root.has_error:
            return ""
        wrong = [n for n in nodes(self.root) if n.type == "ERROR" or n.is_missing]
        return self.place(min(wrong, key=lambda n: n.end_byte - n.start_byte)) if wrong else ""

    def _top(self) -> None:
        """Take the declarations, imports and exports of the file, unevaluated."""
        for node in self.root.named_children:
            declared = node
            if node.type == "export_statement":
                declared = node.child_by_field_name("declaration") or node
                if any(child.type == "default" for child in node.children):
                    self.exported = node.child_by_field_name("value") or declared
                for item in nodes(node) if declared is node else ():
                    if item.type == "export_specifier":
                        name = item.child_by_field_name("name")
                        alias = text(item.child_by_field_name("alias")) or text(name)
                        self.exported = name if alias == "default" else self.exported
            self.declare(declared, self.scope)
            if node.type == "expression_statement" and node.named_children:
                self._assign(node.named_children[0])

    def _assign(self, node: Node) -> None:
        if node.type != "assignment_expression":
            return
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        if text(left) in {"module.exports", "exports.default", "module.exports.default"}:
            self.exported = right

    def declare(self, node: Node, scope: dict[str, Any]) -> None:
        """Put a declaration's names into a scope; a value is evaluated when it is asked for."""
        if node.type in {"lexical_declaration", "variable_declaration"}:
            for one in node.named_children:
                name, value = one.child_by_field_name("name"), one.child_by_field_name("value")
                if name and name.type == "identifier" and value:
                    scope[text(name)] = value
                elif name and name.type == "object_pattern":
                    for item in nodes(name):
                        if item.type == "shorthand_property_identifier_pattern":
                            scope[text(item)] = PHASES.get(text(item), Unknown())
        elif node.type in {"function_declaration", "generator_function_declaration"}:
            scope[text(node.child_by_field_name("name"))] = node
        elif node.type == "import_statement":
            source = string(node.child_by_field_name("source")) or ""
            for item in nodes(node):
                if item.type == "import_specifier":
                    own = text(item.child_by_field_name("name"))
                    alias = text(item.child_by_field_name("alias")) or own
                    scope[alias] = PHASES.get(own) or Imported(source, own)
                elif (
                    item.type == "identifier"
                    and item.parent
                    and item.parent.type == "import_clause"
                ):
                    scope[text(item)] = Imported(source, "default")
