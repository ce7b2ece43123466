"""One value of a file changes, and every other byte stays as it is: how, for each format."""

from __future__ import annotations

import ast
import configparser
import io
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import tomlkit
import yaml
from tomlkit.items import String

from taskflow_containers.machine.errors import InputError

Keys = Sequence[str]  # the way to a value, through tables, mappings or objects
COMPUTED = object()  # the value of what another file, or a program, decides
LOCAL = ("editable", "virtual", "directory")  # where uv.lock says that a package is of this project


def _set_toml(text: str, keys: Keys, value: str) -> str:
    document = tomlkit.parse(text)
    table = _item(document, keys[:-1])
    old = table[keys[-1]]
    if not isinstance(old, String) or document.as_string() != text:
        raise InputError("this is no string that can be replaced alone", "set it by hand")
    table[keys[-1]] = tomlkit.string(value, literal=old.as_string().startswith("'"))
    return document.as_string()


def _read_uv_lock(text: str) -> dict[str, Any]:
    """What uv.lock says, its packages by the folder that they come from, others by their number."""
    data = tomllib.loads(text)
    packages: dict[str, Any] = {}
    for number, one in enumerate(data.get("package", ())):
        folders = [path for kind, path in one["source"].items() if kind in LOCAL]
        packages[folders[0] if folders else f"#{number}"] = one
    return {**data, "package": packages}


def _set_uv_lock(text: str, keys: Keys, value: str) -> str:
    """Edited by the lines that uv writes in this order: parsing a large lock once a member is slow."""
    pattern = (
        r'^\[\[package\]\]\r?\nname = .*\nversion = "(.*)"\r?\n'
        rf'source = \{{ ({"|".join(LOCAL)}) = "{re.escape(keys[1])}" \}}'
    )
    if not (found := re.search(pattern, text, re.MULTILINE)):
        raise KeyError(keys[1])
    return text[: found.start(1)] + value + text[found.end(1) :]


def _set_json(text: str, keys: Keys, value: str) -> str:
    """Edited where the value stands: writers of JSON lay the whole file out anew."""
    at = _gap(text, 0)
    for key in keys:
        at = _member(text, at, key)
    return f"{text[:at]}{json.dumps(value)}{text[_JSON.raw_decode(text, at)[1] :]}"


_JSON = json.JSONDecoder()
_BLANKS = re.compile(r"[ \t\r\n]*")


def _gap(text: str, at: int) -> int:
    """Where what follows blanks and line ends begins."""
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _member(text: str, at: int, key: str) -> int:
    """Where the value of a key begins in the object that begins here; of two the last one counts."""
    found = None
    if text[at] == "{":
        at = _gap(text, at + 1)
        while text[at] != "}":
            name, at = _JSON.raw_decode(text, at)
            at = _gap(text, _gap(text, at) + 1)
            found = at if name == key else found
            at = _gap(text, _JSON.raw_decode(text, at)[1])
            at = _gap(text, at + 1) if text[at] == "," else at
    if found is None:
        raise KeyError(key)
    return found


def _set_yaml(text: str, keys: Keys, value: str) -> str:
    """Edited where the parser found the value: writers of YAML lay the whole file out anew.

    A key that is missing becomes the first one of its mapping, unless that is the whole file.
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    above = None
    for number, key in enumerate(keys):
        if not isinstance(node, yaml.MappingNode):
            raise KeyError(key)
        children = {child.value: (child, of) for child, of in node.value}
        if key not in children:
            if number == len(keys) - 1 and node.flow_style:
                at = text.index("{", node.start_mark.index) + 1
                comma = ("," if text[at].isspace() else ", ") * bool(children)
                return f"{text[:at]}{key}: {json.dumps(value)}{comma}{text[at:]}"
            if above is None or number < len(keys) - 1:
                raise KeyError(key)
            at = text.index("\n", above.end_mark.index) + 1
            ending = "\r\n" if text[at - 2] == "\r" else "\n"
            indent = " " * node.value[0][0].start_mark.column
            return f"{text[:at]}{indent}{key}: {json.dumps(value)}{ending}{text[at:]}"
        above, node = children[key]
    if not isinstance(node, yaml.ScalarNode) or node.style in {"|", ">"}:
        raise InputError("this is no value on one line", "write it in one line")
    start, end = node.start_mark.index, node.end_mark.index
    old = text[start:end]
    kept = re.match(r"([&!]\S*\s*)*", old)  # an anchor, a tag
    before = kept[0] if kept else ""
    new = f"'{value}'" if node.style == "'" else json.dumps(value)
    if node.style is None and node.value and yaml.safe_load(value) == value:
        new = value
    return f"{text[:start]}{before}{' ' * (not old)}{new}{text[end:]}"


def _read_yaml(text: str) -> Any:
    """What YAML says, an anchor's value copied to wherever an alias refers to it."""
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


def _read_ini(text: str) -> dict[str, dict[str, Any]]:
    """The sections of an INI file; what setuptools takes from elsewhere is COMPUTED."""
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ValueError(str(error).replace("\n", " ")) from None
    return {
        section: {
            key: COMPUTED if value.startswith(("attr:", "file:")) else value
            for key, value in parser[section].items()
        }
        for section in parser.sections()
    }


def _set_ini(text: str, keys: Keys, value: str) -> str:
    section = rf"^\[{re.escape(keys[0])}\](?:.*\n(?!\[))*?"
    found = re.search(
        section + rf"{re.escape(keys[1])}[ \t]*[=:][ \t]*([^\r\n]*?)(?=[ \t]*\r?$)", text, re.MULTILINE | re.IGNORECASE
    )  # fmt: skip
    if not found:
        raise KeyError(keys[1])
    return text[: found.start(1)] + value + text[found.end(1) :]


def _setup_version(text: str) -> ast.expr | None:
    """What a setup.py hands to setup() as its version."""
    try:
        nodes = ast.walk(ast.parse(text.encode()))
    except SyntaxError as error:
        raise ValueError(str(error)) from None
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        if ast.unparse(call.func).rpartition(".")[2] == "setup":
            return next((word.value for word in call.keywords if word.arg == "version"), None)
    return None


def _read_setup(text: str) -> dict[str, Any]:
    found = _setup_version(text)
    if isinstance(found, ast.Constant):
        return {"version": found.value}
    return {"version": COMPUTED} if found else {}


def _set_setup(text: str, keys: Keys, value: str) -> str:
    found = _setup_version(text)
    if found is None or found.end_lineno is None or found.end_col_offset is None:
        raise KeyError(keys[0])
    lines = [line.encode() for line in io.StringIO(text, newline="")]  # as Python counts them
    start = len(b"".join(lines[: found.lineno - 1])) + found.col_offset
    end = len(b"".join(lines[: found.end_lineno - 1])) + found.end_col_offset
    data = text.encode()
    quote = "'" if data[start:].startswith(b"'") else '"'
    return (data[:start] + f"{quote}{value}{quote}".encode() + data[end:]).decode()


# By the end of a file's name: what it says, and how a value in it is set.
_FORMATS: dict[str, tuple[Callable[[str], Any], Callable[[str, Keys, str], str]]] = {
    ".toml": (tomllib.loads, _set_toml),
    "uv.lock": (_read_uv_lock, _set_uv_lock),
    ".json": (json.loads, _set_json),
    ".yaml": (_read_yaml, _set_yaml),
    ".cfg": (_read_ini, _set_ini),
    ".py": (_read_setup, _set_setup),
}


def _format(name: str) -> tuple[Callable[[str], Any], Callable[[str, Keys, str], str]]:
    return next(pair for ending, pair in _FORMATS.items() if name.endswith(ending))


def _item(data: Any, keys: Keys) -> Any:
    for key in keys:
        data = data[key]
    return data


def value_at(data: Any, keys: Keys) -> Any:
    """The value there; None without one."""
    try:
        return _item(data, keys)
    except (LookupError, TypeError):
        return None


def said(name: str, text: str) -> Any:
    """What a file of that name says.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return _format(name)[0](text)
    except (ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise InputError(f"{name} cannot be read: {error}", "mend it") from None


def replaced(name: str, text: str, places: Iterable[Keys], value: str) -> str:
    """The text of a file with the value set in these places, and nothing else changed.

    Raises:
        InputError: there is no such place, or it cannot be changed alone; names file and place.
    """
    wanted, place = said(name, text), ""
    try:
        for keys in places:
            place = ".".join(keys)
            _item(wanted, keys[:-1])[keys[-1]] = value
            text = _format(name)[1](text, keys, value)
        if said(name, text) != wanted:
            raise InputError(f"{place} cannot be set without touching more", "set it by hand")
    except InputError as error:
        raise InputError(f"{name}: {error.message}", error.hint) from None
    except (LookupError, TypeError) as error:
        raise InputError(
            f"{name}: there is no {place} to set ({error})", "write it first"
        ) from None
    except (ValueError, yaml.YAMLError) as error:
        raise InputError(f"{name} cannot be read: {error}", "mend it") from None
    return text
