"""What the constants of a JavaScript or TypeScript file evaluate to: read from its syntax, never run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tree_sitter import Node

from taskflow_containers.adopt.javascript import (
    MISSING,
    PHASES,
    Imported,
    Object,
    Script,
    Unknown,
    lookup,
    nodes,
    string,
    text,
)

DEEPEST = 60  # of nested values and calls, so that a cycle ends
STEPS = 20_000  # of one file, so that a hostile one ends
# What Next.js sets while it builds, and the phase that it tells a configuration's function.
_BUILD = {"NODE_ENV": "production", "NEXT_PHASE": "phase-production-build"}
_TRANSPARENT = {
    "as_expression",
    "satisfies_expression",
    "non_null_expression",
    "parenthesized_expression",
    "await_expression",
    "type_assertion",
}


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that an expression sees, and the script that it is in."""

    script: Script
    names: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Function:
    """A function, with the names that it sees."""

    node: Node
    scope: Scope


def default(script: Script) -> Any:
    """What the file exports as its default, evaluated."""
    return value(script.exported, Scope(script, script.scope))


def value(node: Node | None, scope: Scope, depth: int = 0) -> Any:
    """What an expression evaluates to, as far as it is certain."""
    scope.script.steps += 1
    if node is None or depth > DEEPEST or scope.script.steps > STEPS:
        return Unknown()
    if node.type in _TRANSPARENT:
        return value(node.named_children[0], scope, depth + 1) if node.named_children else Unknown()
    if node.type in _CONSTANTS:
        return _CONSTANTS[node.type]
    if (known := string(node)) is not None:
        return known
    kind = _KINDS.get(node.type)
    return kind(node, scope, depth + 1) if kind else Unknown()


def _number(node: Node, *_: Any) -> Any:
    try:
        return float(text(node)) if "." in text(node) else int(text(node).replace("_", ""), 0)
    except ValueError:
        return Unknown()


def _template_string(node: Node, scope: Scope, depth: int) -> Any:
    parts = []
    for child in node.named_children:
        if child.type != "template_substitution":
            parts.append(text(child))
            continue
        one = value(child.named_children[0] if child.named_children else None, scope, depth)
        if not isinstance(one, (str, int)):
            return Unknown()
        parts.append(str(one))
    return "".join(parts)


def _identifier(node: Node, scope: Scope, depth: int) -> Any:
    return _named(text(node), scope, depth)


def _named(name: str, scope: Scope, depth: int) -> Any:
    if name == "undefined":
        return None
    found = scope.names.get(name, Unknown())
    if isinstance(found, Imported):
        return _imported(found, scope, depth)
    if not isinstance(found, Node):
        return found
    known = value(found, scope, depth + 1)
    if isinstance(known, Object):
        _mutated(name, known, scope, depth)
    return known


def _imported(name: Imported, scope: Scope, depth: int) -> Any:
    other = scope.script.load(scope.script.path, name.source)
    if other is None or depth > DEEPEST:
        return Unknown()
    inner = Scope(other, other.scope)
    if name.name == "default":
        return value(other.exported, inner, depth + 1)
    return _named(name.name, inner, depth + 1)


def _mutated(name: str, known: Object, scope: Scope, depth: int) -> None:
    """`config.output = "export"` further down: certain at the file's top, else only possible."""
    root = scope.script.root
    for node in nodes(root):
        if node.type != "assignment_expression":
            continue
        left = node.child_by_field_name("left")
        if (
            left
            and left.type == "member_expression"
            and text(left.child_by_field_name("object")) == name
        ):
            new = value(node.child_by_field_name("right"), scope, depth + 1)
            key = text(left.child_by_field_name("property"))
            sure = node.parent and node.parent.parent == root
            old = known.items.get(key, (None, ""))[0]
            known.items[key] = (new if sure else Unknown((old, new)), scope.script.place(node))


def _object(node: Node, scope: Scope, depth: int) -> Object:
    found = Object()
    for child in node.named_children:
        if child.type == "pair":
            key = child.child_by_field_name("key")
            if key is None or key.type == "computed_property_name":
                found.open = True
                continue
            name = string(key) or text(key)
            one = value(child.child_by_field_name("value"), scope, depth)
            found.items[name] = (one, scope.script.place(child))
        elif child.type == "shorthand_property_identifier":
            found.items[text(child)] = (
                _named(text(child), scope, depth),
                scope.script.place(child),
            )
        elif child.type == "method_definition":
            name = text(child.child_by_field_name("name"))
            found.items[name] = (Function(child, scope), scope.script.place(child))
        elif child.type == "spread_element":
            _merge(found, value(child.named_children[0], scope, depth))
    return found


def _merge(found: Object, more: Any) -> None:
    if isinstance(more, Object):
        found.items |= more.items
        found.open |= more.open
    elif isinstance(more, Unknown):
        known = [one for one in more.candidates if isinstance(one, Object)]
        for key, (one, where) in ((k, v) for other in known for k, v in other.items.items()):
            found.items[key] = (Unknown((found.items.get(key, (None, ""))[0], one)), where)
        found.open |= not known or any(one.open for one in known)


def _array(node: Node, scope: Scope, depth: int) -> list[Any]:
    found: list[Any] = []
    for child in node.named_children:
        inner = child.named_children[0] if child.type == "spread_element" else None
        one = value(inner or child, scope, depth)
        found.extend(one if inner and isinstance(one, list) else [one])
    return found


def _function(node: Node, scope: Scope, _: int) -> Function:
    return Function(node, scope)


def _member_expression(node: Node, scope: Scope, depth: int) -> Any:
    whole = text(node).replace("?.", ".")
    if whole.startswith("process.env."):
        return _BUILD.get(whole.removeprefix("process.env."), Unknown())
    name = text(node.child_by_field_name("property"))
    if name in PHASES:
        return PHASES[name]
    found, _ = lookup(value(node.child_by_field_name("object"), scope, depth), name)
    return None if found is MISSING else found


def _unary_expression(node: Node, scope: Scope, depth: int) -> Any:
    one = value(node.child_by_field_name("argument"), scope, depth)
    if text(node.child_by_field_name("operator")) != "!" or isinstance(one, Unknown):
        return Unknown((True, False)) if text(node)[:1] == "!" else Unknown()
    return not _truth(one)


def _binary_expression(node: Node, scope: Scope, depth: int) -> Any:
    left = value(node.child_by_field_name("left"), scope, depth)
    right = value(node.child_by_field_name("right"), scope, depth)
    operator = text(node.child_by_field_name("operator"))
    if operator in {"||", "&&", "??"}:
        if isinstance(left, Unknown):
            return Unknown((*left.candidates, *_candidates(right)))
        first = left is not None if operator == "??" else _truth(left) == (operator == "||")
        return left if first else right
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        return Unknown()
    if operator in {"===", "==", "!==", "!="}:
        return (left == right) == (operator[0] == "=")
    if operator == "+" and isinstance(left, str) and isinstance(right, str):
        return left + right
    return Unknown()


def _ternary_expression(node: Node, scope: Scope, depth: int) -> Any:
    condition = value(node.child_by_field_name("condition"), scope, depth)
    yes = value(node.child_by_field_name("consequence"), scope, depth)
    no = value(node.child_by_field_name("alternative"), scope, depth)
    return _either(condition, yes, no)


def _call_expression(node: Node, scope: Scope, depth: int) -> Any:
    function = node.child_by_field_name("function")
    arguments = node.child_by_field_name("arguments")
    given = [value(one, scope, depth) for one in (arguments.named_children if arguments else ())]
    name = text(function)
    if name == "require" and given and isinstance(given[0], str):
        return _imported(Imported(given[0], "default"), scope, depth)
    if name == "Object.assign":
        merged = Object()
        for one in given:
            _merge(merged, one)
        return merged
    if name.endswith(".reduce") and len(given) == 2:
        return given[1]
    called = value(function, scope, depth)
    if isinstance(called, Function):
        result = call(called, given, depth + 1)
        if not isinstance(result, Unknown) or result.candidates:
            return result
    # A plugin's wrapper, e.g. withMDX(config): it gives back the configuration it is given.
    return next((one for one in given if isinstance(one, (Object, Function))), Unknown())


def _truth(known: Any) -> bool:
    """Whether JavaScript takes the value for true."""
    return isinstance(known, (Object, Function, list)) or bool(known)


def _candidates(known: Any) -> tuple[Any, ...]:
    return known.candidates if isinstance(known, Unknown) else (known,)


def _either(condition: Any, yes: Any, no: Any) -> Any:
    if not isinstance(condition, Unknown):
        return yes if _truth(condition) else no
    return yes if yes == no else Unknown((*_candidates(yes), *_candidates(no)))


def call(function: Function, given: list[Any], depth: int = 0) -> Any:
    """What a function gives back for these arguments, as far as it is certain."""
    names = dict(function.scope.names)
    scope = Scope(function.scope.script, names)
    node = function.node
    parameters = node.child_by_field_name("parameters")
    listed = parameters.named_children if parameters else []
    patterns = [one.named_children[0] for one in listed if one.named_children]
    alone = node.child_by_field_name("parameter")
    for index, pattern in enumerate([alone] if alone else patterns):
        if pattern.type == "identifier":
            names[text(pattern)] = given[index] if index < len(given) else Unknown()
        else:
            names |= {text(n): Unknown() for n in nodes(pattern) if "identifier_pattern" in n.type}
    body = node.child_by_field_name("body")
    if body is None or depth > DEEPEST:
        return Unknown()
    if body.type != "statement_block":
        return value(body, scope, depth + 1)
    found = _returned(body.named_children, scope, depth + 1)
    return None if found is MISSING else found


def _returned(statements: list[Node], scope: Scope, depth: int) -> Any:
    """What the statements return; MISSING where they end without."""
    for index, node in enumerate(statements):
        scope.script.declare(node, scope.names)
        if node.type == "return_statement":
            return value(node.named_children[0], scope, depth) if node.named_children else None
        if node.type == "if_statement":
            condition = value(node.child_by_field_name("condition"), scope, depth)
            yes = _block(node.child_by_field_name("consequence"), scope, depth)
            no = _block(node.child_by_field_name("alternative"), scope, depth)
            if yes is MISSING and no is MISSING:
                continue
            rest = _returned(statements[index + 1 :], scope, depth + 1)
            return _either(
                condition, rest if yes is MISSING else yes, rest if no is MISSING else no
            )
        if node.type == "try_statement":
            found = _block(node.child_by_field_name("body"), scope, depth)
            if found is not MISSING:
                return found
        if node.type == "switch_statement":
            return Unknown()
    return MISSING


def _block(node: Node | None, scope: Scope, depth: int) -> Any:
    if node is None or depth > DEEPEST or scope.script.steps > STEPS:
        return MISSING
    inner = node.named_children if node.type in {"statement_block", "else_clause"} else [node]
    if node.type == "else_clause" and inner and inner[0].type == "statement_block":
        inner = inner[0].named_children
    return _returned(inner, scope, depth + 1)


_CONSTANTS = {"true": True, "false": False, "null": None, "undefined": None}
_KINDS: dict[str, Callable[[Node, Scope, int], Any]] = {
    "number": _number,
    "template_string": _template_string,
    "identifier": _identifier,
    "object": _object,
    "array": _array,
    "arrow_function": _function,
    "function_expression": _function,
    "function_declaration": _function,
    "member_expression": _member_expression,
    "unary_expression": _unary_expression,
    "binary_expression": _binary_expression,
    "ternary_expression": _ternary_expression,
    "call_expression": _call_expression,
}
