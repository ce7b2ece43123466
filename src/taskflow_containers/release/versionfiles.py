"""The files that state the version: one value changes, and every other byte stays as it is."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import tomlkit
import yaml
from tomlkit.items import String

from taskflow_containers.machine.errors import InputError
from taskflow_containers.release.versions import Version

Keys = Sequence[str]  # the way to a value, through tables, mappings or objects


def _set_toml(text: str, keys: Keys, value: str) -> str:
    document = tomlkit.parse(text)
    table = _item(document, keys[:-1])
    old = table[keys[-1]]
    if not isinstance(old, String) or document.as_string() != text:
        raise InputError("this is no string that can be replaced alone", "set it by hand")
    table[keys[-1]] = tomlkit.string(value, literal=old.as_string().startswith("'"))
    return document.as_string()


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


_KINDS: dict[str, tuple[Callable[[str, Keys, str], str], Callable[[str], Any]]] = {
    ".toml": (_set_toml, tomllib.loads),
    ".json": (_set_json, json.loads),
    ".yaml": (_set_yaml, _read_yaml),
}


def _item(data: Any, keys: Keys) -> Any:
    for key in keys:
        data = data[key]
    return data


def replaced(name: str, text: str, places: Iterable[Keys], value: str) -> str:
    """The text of a file with the value set in these places, and nothing else changed.

    Raises:
        InputError: there is no such place, or it cannot be changed alone; names file and place.
    """
    put, read = _KINDS[Path(name).suffix]
    place = ""
    try:
        wanted = read(text)
        for keys in places:
            place = ".".join(keys)
            _item(wanted, keys[:-1])[keys[-1]] = value
            text = put(text, keys, value)
        if read(text) != wanted:
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


def edit(path: Path, places: Iterable[Keys], value: str) -> None:
    """Rewrite a file with the value in these places, its line endings kept."""
    text = path.read_bytes().decode("utf-8")
    path.write_bytes(replaced(str(path), text, places, value).encode("utf-8"))


# Where the version is stated, by the file's name.
_KNOWN: dict[str, tuple[Keys, ...]] = {
    "taskflow.toml": (("version",),),
    "pyproject.toml": (("project", "version"),),
    "package.json": (("version",),),
    "package-lock.json": (("version",), ("packages", "", "version")),
    "Chart.yaml": (("version",), ("appVersion",)),
}
_MUST = {"taskflow.toml", "Chart.yaml"}  # in these a missing version is a fault


def find(root: Path, folders: Sequence[str]) -> list[str]:
    """The version files in the top folder and these, those left out that state no version."""
    files = [root / folder / name for folder in dict.fromkeys((".", *folders)) for name in _KNOWN]
    return [p.relative_to(root).as_posix() for p in files if p.is_file() and _states_version(p)]


def _states_version(path: Path) -> bool:
    keys = _KNOWN[path.name][0]
    _, read = _KINDS[path.suffix]
    try:
        return path.name in _MUST or bool(_item(read(path.read_text("utf-8")), keys))
    except LookupError:
        return False
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} cannot be read: {error}", "mend it") from None


def write(root: Path, files: Sequence[str], version: Version) -> None:
    """State the version in these files."""
    for name in files:
        edit(root / name, _KNOWN[Path(name).name], str(version))


def require_settable(root: Path, files: Sequence[str], version: Version) -> None:
    """Raises InputError where a version cannot be stated in these files; nothing is written."""
    for name in files:
        text = (root / name).read_bytes().decode("utf-8")
        replaced(name, text, _KNOWN[Path(name).name], str(version))


def states(name: str, text: str, version: Version) -> bool:
    """Whether a version file of this text states this version, and no other."""
    _, read = _KINDS[Path(name).suffix]
    try:
        data = read(text)
        return all(_item(data, keys) == str(version) for keys in _KNOWN[Path(name).name])
    except (LookupError, TypeError, ValueError, yaml.YAMLError):
        return False
