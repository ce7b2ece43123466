"""The files that state the version, edited as text so that comments and layout stay."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from taskflow_containers.machine.errors import InputError
from taskflow_containers.release.versions import Version

_KEY = r"[\w-]+|\"[^\"]*\""


def set_toml(text: str, path: Sequence[str], value: str) -> str:
    """TOML with the string at table.key replaced; raises InputError where it is not one string."""
    *table, key = path
    here = ""
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if header := re.match(r"\s*\[\s*(\[?[^\[\]]+?)\s*\]", line):
            here = header[1]
        match = re.match(rf"""(\s*{re.escape(key)}\s*=\s*)(["'])[^"']*\2""", line)
        if match and here == ".".join(table):
            lines[number] = f"{match[1]}{match[2]}{value}{match[2]}{line[match.end() :]}"
            return _checked("".join(lines), text, path, value, tomllib.loads)
    raise InputError(f"there is no {'.'.join(path)} to set", f'write {key} = "0.1.0"')


def set_yaml(text: str, path: Sequence[str], value: str) -> str:
    """YAML in block style with the scalar at a path of keys set, comments kept.

    A key that is missing is put first into the mapping it belongs to; raises InputError where
    there is no such mapping.
    """
    lines = text.splitlines(keepends=True)
    parent = -1
    above: list[tuple[int, str]] = []
    for number, line in enumerate(lines):
        match = re.match(rf"( *)({_KEY}):(?=\s)[ \t]*(\"[^\"]*\"|'[^']*'|[^\s#]\S*)?", line)
        if not match:
            continue
        while above and above[-1][0] >= len(match[1]):
            above.pop()
        above.append((len(match[1]), match[2].strip('"')))
        keys = [key for _, key in above]
        if keys == list(path[:-1]) and not match[3]:
            parent = number
        if keys == list(path):
            plain = match[3] and match[3][0] not in "\"'"
            new = value if plain else json.dumps(value)
            start, rest = match.span(3) if match[3] else (match.end(2) + 1,) * 2
            lines[number] = line[:start] + " " * (not match[3]) + new + line[rest:]
            break
    else:
        inner = re.search(r"(?m)^ +(?=[^\s#])", "".join(lines[parent + 1 :]))
        if parent < 0 or not inner:
            raise InputError(f"there is no {'.'.join(path)} to set", "write it in block style")
        ending = lines[parent][len(lines[parent].rstrip()) :]
        lines.insert(parent + 1, f"{inner[0]}{path[-1]}: {json.dumps(value)}{ending}")
    return _checked("".join(lines), text, path, value, yaml.safe_load)


def set_json(text: str, path: Sequence[str], value: str) -> str:
    """JSON as npm writes it, with the value at a path replaced."""
    data = json.loads(text)
    indent = re.search(r"\n([ \t]+)", text)
    ending = text[len(text.rstrip()) :]

    def dump() -> str:
        return json.dumps(data, indent=indent[1] if indent else None, ensure_ascii=False) + ending

    if dump() != text:
        raise InputError("this JSON is not laid out as npm does", "`npm pkg fix` lays it out")
    _item(data, path[:-1])[path[-1]] = value
    return dump()


def _item(data: Any, path: Sequence[str]) -> Any:
    for key in path:
        data = data[key]
    return data


def _checked(
    text: str, before: str, path: Sequence[str], value: str, read: Callable[[str], Any]
) -> str:
    """The new text, once it was read back: that value changed and nothing else did."""
    old, new = read(before), read(text)
    with suppress(KeyError, TypeError):
        _item(old, path[:-1])[path[-1]] = value
        if old == new:
            return text
    raise InputError(f"{'.'.join(path)} cannot be set without touching more", "set it by hand")


def edit(path: Path, edits: Callable[[str], str]) -> None:
    """Rewrite a file, its line endings kept; an InputError names the file."""
    text = path.read_bytes().decode("utf-8")
    try:
        path.write_bytes(edits(text).encode("utf-8"))
    except (InputError, ValueError, KeyError, TypeError) as error:
        message = getattr(error, "message", f"{type(error).__name__}: {error}")
        raise InputError(f"{path}: {message}", getattr(error, "hint", "")) from None


_Edit = tuple[Callable[[str, Sequence[str], str], str], Sequence[str]]
# What states the version, by the file's name.
_KNOWN: dict[str, tuple[_Edit, ...]] = {
    "taskflow.toml": ((set_toml, ("version",)),),
    "pyproject.toml": ((set_toml, ("project", "version")),),
    "package.json": ((set_json, ("version",)),),
    "package-lock.json": ((set_json, ("version",)), (set_json, ("packages", "", "version"))),
    "Chart.yaml": ((set_yaml, ("version",)), (set_yaml, ("appVersion",))),
}


def find(root: Path, folders: Sequence[str]) -> list[str]:
    """The version files in the top folder and these, those left out that state no version."""
    found = []
    for folder in dict.fromkeys((".", *folders)):
        for name in _KNOWN:
            path = root / folder / name
            if path.is_file() and _states_version(path):
                found.append(path.relative_to(root).as_posix())
    return found


def _states_version(path: Path) -> bool:
    text = path.read_text("utf-8")
    if path.name == "pyproject.toml":
        return "version" in tomllib.loads(text).get("project", {})
    return path.suffix != ".json" or "version" in json.loads(text)


def write(root: Path, files: Sequence[str], version: Version) -> None:
    """State the version in these files."""
    for name in files:
        for function, path in _KNOWN[Path(name).name]:
            edit(root / name, lambda text, f=function, p=path: f(text, p, str(version)))  # type: ignore[misc]
