"""Where JavaScript insists on a value: it throws without it, asked at once, by a name or by a function."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import PurePosixPath

from tree_sitter import Node

from taskflow_containers.adopt.javascript import nodes, string, text

# What is looked at in one file, as no person's has more: uses of one name, and parts that one lies in.
_USES, _DEPTH = 200, 100
# What stands around a value and leaves it as it is.
_AROUND = {
    "parenthesized_expression",
    "as_expression",
    "satisfies_expression",
    "non_null_expression",
}
_FUNCTIONS = {
    "function_declaration",
    "function_expression",
    "arrow_function",
    "method_definition",
}
# What it is compared with: x === undefined, x == null, typeof x === "undefined".
_NONE = {"undefined", "null", '""', "''", '"undefined"', "'undefined'"}
_ASSERTS = re.compile(r"(?:node:)?assert(?:/strict)?|(?:tiny-|ts-)?invariant")


class Demands:
    """One file, and what it insists on."""

    def __init__(self, root: Node) -> None:
        """Take its syntax tree."""
        self.root = root

    def insists(self, value: Node) -> bool:
        """Whether something is thrown where this value is absent."""
        if self._insists_here(value):
            return True
        value = _outermost(value)
        above = value.parent
        name = above.child_by_field_name("name") if above else None
        return (
            above is not None
            and above.type == "variable_declarator"
            and name is not None
            and name.type == "identifier"
            and self.insists_on_name(above, text(name))
        )

    def insists_on_name(self, declared: Node, name: str) -> bool:
        """Whether that is so of what a declaration calls by a name, behind it in the same block."""
        blocks = (one for one in _above(declared) if one.type in {"statement_block", "program"})
        block = next(blocks, self.root)
        behind = (
            one
            for one in self._uses.get(name, [])[:_USES]
            if declared.end_byte <= one.start_byte and one.end_byte <= block.end_byte
        )
        return any(self._insists_here(one) for one in behind)

    def helper(self, read: Node) -> tuple[str, int, bool] | None:
        """For process.env[name]: the function that is given the name, at which place, and whether it insists."""
        index = read.child_by_field_name("index")
        if index is None or index.type != "identifier":
            return None
        function = next((one for one in _above(read) if one.type in _FUNCTIONS), None)
        names = _parameters(function) if function else []
        if function is None or not _name(function) or text(index) not in names:
            return None
        return _name(function), names.index(text(index)), self.insists(read)

    def calls(self, name: str, place: int) -> Iterator[tuple[Node, str]]:
        """The calls of a function whose argument at a place is a text, with that."""
        for one in self._uses.get(name, []):
            call = one.parent
            if call is None or call.child_by_field_name("function") != one:
                continue
            arguments = call.child_by_field_name("arguments")
            given = arguments.named_children[place:] if arguments else []
            if given and (word := string(given[0])):
                yield call, word

    def imports(self, name: str, path: str) -> bool:
        """Whether a name is imported from a file that may be this one."""
        stem = PurePosixPath(path).with_suffix("")
        stems = {stem.name, stem.parent.name} if stem.name == "index" else {stem.name}
        return any(
            one.parent is not None
            and one.parent.type == "import_specifier"
            and PurePosixPath(self._source(one)).with_suffix("").name in stems
            for one in self._uses.get(name, [])
        )

    def _source(self, node: Node) -> str:
        above = next((one for one in _above(node) if one.type == "import_statement"), None)
        return (string(above.child_by_field_name("source")) or "") if above else ""

    def _insists_here(self, value: Node) -> bool:
        above = value.parent
        if above is not None and above.type == "non_null_expression":
            return not _decided(above)
        value = _outermost(value)
        thrown = _denied(value) or throws(otherwise(value)) or self._asserted(value)
        return thrown and not _decided(value)

    def _asserted(self, value: Node) -> bool:
        """Whether an assertion takes it, or a function of this file that throws where it is nothing."""
        arguments = value.parent
        call = arguments.parent if arguments and arguments.type == "arguments" else None
        if arguments is None or call is None or _caught(call):
            return False
        place = arguments.named_children.index(value)
        callee = text(call.child_by_field_name("function")).removesuffix(".ok")
        return place in self._asserting.get(callee, ())

    @cached_property
    def _uses(self) -> dict[str, list[Node]]:
        found: dict[str, list[Node]] = {}
        for node in nodes(self.root):
            if node.type == "identifier":
                found.setdefault(text(node), []).append(node)
        return found

    @cached_property
    def _asserting(self) -> dict[str, set[int]]:
        """What throws without one of its arguments, and the places of those."""
        found: dict[str, set[int]] = {}
        for node in nodes(self.root):
            if node.type == "import_statement":
                if _ASSERTS.fullmatch(string(node.child_by_field_name("source")) or ""):
                    found |= {text(one): {0} for one in nodes(node) if one.type == "identifier"}
            elif node.type in _FUNCTIONS and (name := _name(node)):
                names = _parameters(node)
                places = {
                    names.index(text(one))
                    for one in nodes(node.child_by_field_name("body") or node)
                    if one.type == "identifier" and text(one) in names and _denied(_outermost(one))
                }
                found |= {name: places} if places else {}
        return found


def otherwise(value: Node) -> Node | None:
    """What stands in its place behind || or ??, where it is absent."""
    value = _outermost(value)
    above = value.parent
    if (
        above is None
        or above.type != "binary_expression"
        or above.child_by_field_name("left") != value
        or text(above.child_by_field_name("operator")) not in {"||", "??"}
    ):
        return None
    return above.child_by_field_name("right")


def in_production(value: Node | None) -> Node | None:
    """Of `process.env.NODE_ENV === "production" ? a : b` what holds in an image; else the value itself."""
    while value is not None and value.type in {"ternary_expression", "parenthesized_expression"}:
        if value.type == "parenthesized_expression":
            value = value.named_children[0]
            continue
        condition = text(value.child_by_field_name("condition"))
        match = re.fullmatch(r"process\.env\.NODE_ENV\s*([!=]==?)\s*[\"'](\w+)[\"']", condition)
        if not match:
            break
        holds = (match[2] == "production") == (match[1][0] == "=")
        value = value.child_by_field_name("consequence" if holds else "alternative")
    return value


def throws(node: Node | None) -> bool:
    """Whether something is thrown within a part."""
    return node is not None and any(one.type == "throw_statement" for one in nodes(node))


def _outermost(node: Node) -> Node:
    for above in _above(node):
        if above.type not in _AROUND:
            break
        node = above
    return node


def _denied(value: Node) -> bool:
    """Whether it is asked for, alone or as one of several, and its absence throws."""
    test = value.parent
    if test is not None and text(test.child_by_field_name("operator")) == "typeof":
        value, test = test, test.parent
    if test is None or test.type not in {"unary_expression", "binary_expression"}:
        return False
    operator = text(test.child_by_field_name("operator"))
    if test.type == "binary_expression":
        sides = [test.child_by_field_name(side) for side in ("left", "right")]
        other = next((text(side) for side in sides if side != value), "")
        if operator not in {"==", "==="} or other not in _NONE:
            return False
    elif operator != "!":
        return False
    while (above := test.parent) is not None and (
        above.type == "parenthesized_expression"
        or text(above.child_by_field_name("operator")) == "||"
    ):
        test = above
    return (
        above is not None
        and above.type == "if_statement"
        and above.child_by_field_name("condition") == test
        and throws(above.child_by_field_name("consequence"))
        and not _decided(above)
        and not _caught(above)
    )


def _name(function: Node) -> str:
    """What a function is called by: its own name, or that of the constant that it is."""
    above = function.parent
    if (own := function.child_by_field_name("name")) is not None:
        return text(own)
    declared = above is not None and above.type == "variable_declarator"
    return text(above.child_by_field_name("name")) if above is not None and declared else ""


def _parameters(function: Node) -> list[str]:
    if (one := function.child_by_field_name("parameter")) is not None:
        return [text(one)]
    listed = function.child_by_field_name("parameters")
    found = listed.named_children if listed else []
    return [text(one.child_by_field_name("pattern") or one) for one in found]


def _above(node: Node) -> Iterator[Node]:
    """What a node lies in, the nearest first."""
    above = node.parent
    for _ in range(_DEPTH):
        if above is None:
            return
        yield above
        above = above.parent


def _caught(node: Node) -> bool:
    """Whether what is thrown here ends in a catch that goes on."""
    for above in _above(node):
        if above.type in _FUNCTIONS:
            return False
        if above.type == "try_statement" and above.child_by_field_name("body") == node:
            handler = above.child_by_field_name("handler")
            return handler is not None and not throws(handler)
        node = above
    return False


def _decided(node: Node) -> bool:
    """Whether it lies in a branch whose condition reads the environment: a provider that is switched on."""
    for above in _above(node):
        condition = None
        if above.type in {"if_statement", "ternary_expression"}:
            condition = above.child_by_field_name("condition")
        elif above.type == "binary_expression" and (
            text(above.child_by_field_name("operator")) == "&&"
        ):
            condition = above.child_by_field_name("left")
        if condition not in (None, node) and "process.env." in text(condition):
            return True
        node = above
    return False
