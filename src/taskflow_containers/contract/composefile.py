"""Compose files as compose reads them: tags, anchors, variables, overrides merged."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from taskflow_containers.machine.errors import InputError

# By the names that compose looks for, in its order; of either it takes the first that is there.
NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = (
    "compose.override.yml", "compose.override.yaml",
    "docker-compose.override.yml", "docker-compose.override.yaml",
)  # fmt: skip
# Beyond these a file is a mistake, or an attack on whoever reads it.
_MAX_DEPTH = 40
_MAX_VALUES = 50_000

# Lists of NAME=value that may as well be written as mappings.
_BY_NAME = {"environment", "labels", "annotations", "extra_hosts", "sysctls", "args"}
# Lists of names that may as well be written as mappings.
_NAMES_ALONE = {"networks", "depends_on"}
_REPLACED = {"command", "entrypoint", "test"}
_BY_TARGET = {"volumes", "devices"}
_ONE_OR_MORE = {"tmpfs", "dns", "dns_search", "env_file"}


class _Reset:
    """What `!reset` leaves of a value."""


@dataclass(frozen=True)
class _Override:
    """A value that replaces the one below it: `!override`."""

    value: Any


@dataclass(slots=True)
class ComposeFile:
    """What compose makes of its files, and where each value was stated.

    `places` holds "file:line" of a path such as ("services", "backend", "user"); an item of a list
    goes by its name where it has one (NAME=value), or else by its number. `texts` are all texts of
    all files as they are written, with their paths and places, whether an override replaced them or not.
    """

    name: str
    folder: Path  # which the relative paths in it start from
    content: dict[str, Any] = field(default_factory=dict)
    places: dict[tuple[str, ...], str] = field(default_factory=dict)
    texts: list[tuple[tuple[str, ...], str, str]] = field(default_factory=list)

    def section(self, name: str) -> dict[str, Any]:
        """A top-level mapping, such as `services`; empty where there is none."""
        found = self.content.get(name)
        return found if isinstance(found, dict) else {}

    def place(self, *path: str) -> str:
        """Where a path is stated, or what it lies in: "compose.yaml:12"."""
        for length in range(len(path), 1, -1):
            if found := self.places.get(path[:length]):
                return found
        return self.name


def settings(root: Path) -> dict[str, str]:
    """The variables that compose replaces: those of .env (or COMPOSE_ENV_FILES) below the environment's.

    Raises:
        InputError: such a file is no text.
    """
    found: dict[str, str] = {}
    for name in filter(None, os.environ.get("COMPOSE_ENV_FILES", ".env").split(",")):
        try:
            if (root / name).is_file():
                found |= env_file((root / name).read_text(encoding="utf-8-sig"))
        except UnicodeDecodeError:
            raise InputError(f"{name}: it is no UTF-8 text", "mend it and run again") from None
    return found | dict(os.environ)


def files(root: Path) -> list[Path]:
    """The files that compose merges, in its order: those of COMPOSE_FILE, else the one and its override."""
    variables = settings(root)
    if stated := variables.get("COMPOSE_FILE"):
        separator = variables.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
        return [root / name for name in stated.split(separator)]
    base, over = (
        [root / name for name in names if (root / name).is_file()][:1]
        for names in (NAMES, OVERRIDES)
    )
    return base + over if base else []


def read(root: Path, variables: Mapping[str, str] | None = None) -> ComposeFile | None:
    """The compose file of a folder with its overrides, or None where there is none.

    Without `variables` their defaults are taken, and those that have none stay as they are written.

    Raises:
        InputError: it is no compose file; names the file, and the line where that is known.
    """
    paths = files(root)
    if not paths:
        return None
    found = ComposeFile(_shown(paths[0], root), paths[0].parent)
    for each in paths:
        content = _load(each, _shown(each, root), found, variables)
        found.content = _merged(found.content, content) if found.content else content
    found.content = _plain(found.content)
    return found


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _load(
    path: Path, name: str, into: ComposeFile, variables: Mapping[str, str] | None
) -> dict[str, Any]:
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8-sig"))
        try:
            node = loader.get_single_node()
            reader = _Reader(loader, name, into, variables)
            whole = {} if node is None else reader.value(node, ())
            # A service is where it was first stated, what it says where it was last.
            begun = {path: place for path, place in into.places.items() if len(path) < 3}
            into.places |= reader.places | begun
        finally:
            loader.dispose()
        whole = {} if whole is None else whole
        services = _plain(whole.get("services")) if isinstance(whole, dict) else []
        if not isinstance(services, (dict, type(None))):
            raise ValueError("there is no mapping called `services`")
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        if isinstance(error, RecursionError):
            reason = "it is nested too deeply"
        elif isinstance(error, UnicodeDecodeError):
            reason = "it is no UTF-8 text"
        elif isinstance(error, OSError):
            reason = str(error.strerror)
        else:
            # What PyYAML was about to read says less than what it met.
            reason = getattr(error, "problem", None) or next(iter(str(error).splitlines()), "")
        raise InputError(
            f"{name}{f':{mark.line + 1}' if mark else ''}: not a valid compose file: {reason}",
            "mend it and run again",
        ) from None
    assert isinstance(whole, dict)
    return whole


class _Reader:
    """Makes values of YAML nodes; what an anchor stands for is counted each time."""

    def __init__(
        self,
        loader: yaml.SafeLoader,
        file: str,
        into: ComposeFile,
        variables: Mapping[str, str] | None,
    ) -> None:
        self.loader = loader
        self.file = file
        self.into = into
        self.variables = variables
        self.places: dict[tuple[str, ...], str] = {}
        self.values = 0

    def value(self, node: yaml.Node, path: tuple[str, ...]) -> Any:
        self.count(node, path)
        self.places[path] = f"{self.file}:{node.start_mark.line + 1}"
        if node.tag == "!reset":
            return _Reset()
        if node.tag == "!override":
            kind = type(node)
            implicit = (True, False) if not getattr(node, "style", None) else (False, True)
            node.tag = self.loader.resolve(kind, node.value, implicit)  # type: ignore[no-untyped-call]
            return _Override(self.value(node, path))
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [
                self.value(item, (*path, _label(item, index)))
                for index, item in enumerate(node.value)
            ]
        return self.scalar(node, path)

    def count(self, node: yaml.Node, path: tuple[str, ...]) -> None:
        self.values += 1
        if len(path) > _MAX_DEPTH:
            raise _fault("it is nested too deeply", node)
        if self.values > _MAX_VALUES:
            raise _fault(f"its anchors make more than {_MAX_VALUES} values of it", node)

    def mapping(self, node: yaml.MappingNode, path: tuple[str, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        shared: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, item in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _fault("a key that is no text", key)
            if key.tag == "tag:yaml.org,2002:merge":
                for one in item.value if isinstance(item, yaml.SequenceNode) else [item]:
                    if not isinstance(one, yaml.MappingNode):
                        raise _fault("`<<` takes a mapping", one)
                    self.count(one, path)
                    shared = {**self.mapping(one, path), **shared}
                continue
            if key.value in lines:
                raise _fault(
                    f"`{key.value}` is stated twice, first in line {lines[key.value]}", key
                )
            lines[key.value] = key.start_mark.line + 1
            found[key.value] = self.value(item, (*path, key.value))
        for name, line in lines.items():
            self.places[(*path, name)] = f"{self.file}:{line}"
        return {**shared, **found}

    def scalar(self, node: yaml.Node, path: tuple[str, ...]) -> Any:
        # YAML 1.1 takes 22:22 for a number to the base of 60; compose does not.
        number = node.tag == "tag:yaml.org,2002:int" and ":" in node.value
        try:
            value = node.value if number else self.loader.construct_object(node)
        except (ValueError, LookupError, AttributeError, TypeError):  # a tag, and no value of it
            raise _fault(
                f"{str(node.value)[:40]!r} is no {node.tag.rpartition(':')[2]}", node
            ) from None
        if isinstance(value, str):
            self.into.texts.append((path, value, f"{self.file}:{node.start_mark.line + 1}"))
            value = interpolated(value, self.variables)
        return value


def _fault(text: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    class Fault(yaml.MarkedYAMLError):
        def __str__(self) -> str:
            return text

    return Fault(problem=text, problem_mark=node.start_mark)


def _label(item: yaml.Node, index: int) -> str:
    name = re.match(r"\w+(?==)", item.value) if isinstance(item, yaml.ScalarNode) else None
    return name[0] if name else str(index)


# A dollar that another one escapes, a name, or the start of an expression in braces.
_VARIABLE = re.compile(r"\$(?:\$|\{|([A-Za-z_]\w*))")
_EXPRESSION = re.compile(r"([A-Za-z_]\w*)(?:(:?[-?+])(.*))?", re.DOTALL)


def interpolated(text: str, variables: Mapping[str, str] | None = None) -> str:
    """A text with its variables replaced by compose's rules; `$$` stays as it is.

    Without `variables` by their defaults alone, and those without one stay too.
    """
    parts = []
    end = 0
    while match := _VARIABLE.search(text, end):
        parts.append(text[end : match.start()])
        end = match.end()
        whole = match[0]
        value = None
        if match[1]:
            value = None if variables is None else variables.get(match[1], "")
        elif whole == "${" and (closing := _closing(text, end)):
            whole, inner = text[match.start() : closing + 1], text[end:closing]
            end = closing + 1
            value = _value(inner, variables)
        parts.append(whole if value is None else value)
    return "".join([*parts, text[end:]])


def _closing(text: str, start: int) -> int:
    """Where the brace closes that opened before `start`; 0 where it does not."""
    depth = 1
    for match in re.compile(r"\$\{|\}").finditer(text, start):
        depth += 1 if match[0] == "${" else -1
        if not depth:
            return match.start()
    return 0


def _value(expression: str, variables: Mapping[str, str] | None) -> str | None:
    """What an expression in braces comes to; None where that is not known, or it is none."""
    match = _EXPRESSION.fullmatch(expression)
    if not match:
        return None
    name, operator, other = match[1], match[2] or "", match[3] or ""
    if variables is None:
        return interpolated(other) if operator.endswith("-") else None
    value = variables.get(name)
    given = bool(value) if operator.startswith(":") else value is not None
    if operator.endswith("+"):
        return interpolated(other, variables) if given else ""
    return interpolated(other, variables) if operator.endswith("-") and not given else value or ""


def _merged(base: Any, over: Any, key: str = "") -> Any:
    """A value with another file's over it, by compose's rules."""
    if isinstance(over, (_Reset, _Override)):
        return over
    if isinstance(base, _Override):
        base = base.value
    if key == "build":
        base, over = ({"context": v} if isinstance(v, str) else v for v in (base, over))
    if key in _BY_NAME:
        base, over = _by_name(base), _by_name(over)
    if key in _NAMES_ALONE and {type(base), type(over)} == {list, dict}:
        base, over = ({str(v): None for v in each} if isinstance(each, list) else each
                      for each in (base, over))  # fmt: skip
    if key == "logging" and _driver(over) not in {None, _driver(base)}:
        return over
    if key in _ONE_OR_MORE:
        base, over = ([v] if isinstance(v, str) else v for v in (base, over))
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{k: _merged(base[k], v, k) if k in base else v for k, v in over.items()}}
    if isinstance(base, list) and isinstance(over, list) and key not in _REPLACED:
        if key in _BY_TARGET:  # one for one target: the last
            return list({target(each): each for each in [*base, *over]}.values())
        return [*base, *(item for item in over if item not in base)]
    if over is None and isinstance(base, (dict, list)):
        return base
    return over


def _driver(logging: Any) -> Any:
    return logging.get("driver") if isinstance(logging, dict) else None


def environment(root: Path, entry: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """A service's variables, those of each `env_file` too; whether a file that may hold more is absent.

    Source: the Compose Specification, `env_file`; what git ignores is there on some machines only.
    """
    listed = entry.get("env_file")
    found: dict[str, Any] = {}
    absent = False
    for file in listed if isinstance(listed, list) else [listed] if listed else []:
        path = file.get("path") if isinstance(file, dict) else file
        try:
            text = (root / str(path)).read_text(encoding="utf-8-sig")
        except (OSError, ValueError):
            absent = True
            continue
        found |= env_file(text)
    return {**found, **named(entry.get("environment"))}, absent


def env_file(text: str) -> dict[str, str]:
    """The variables of a file such as .env; of what is stated twice the last, as compose takes it."""
    return {
        key: single or interpolated(quoted or re.split(r"(?:^|\s+)#", bare)[0].strip())
        for key, quoted, single, bare in _ENV_LINE.findall(text)
    }


_ENV_LINE = re.compile(
    r"^[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*[=:][ \t]*"
    r"(?:\"((?:\\.|[^\"\\])*)\"|'([^']*)'|([^\r\n]*))",
    re.MULTILINE,
)


def _by_name(value: Any) -> Any:
    return named(value) if isinstance(value, list) else value


def named(value: Any) -> dict[str, Any]:
    """A mapping, or a list of NAME=value as one; None for a name without a value."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list):
        return {}
    parts = (str(item).partition("=") for item in value)
    return {name: text if equals else None for name, equals, text in parts}


def target(volume: Any) -> str:
    """The path within the container of an entry under `volumes`."""
    if isinstance(volume, dict):
        return str(volume.get("target"))
    parts = parts_of(str(volume))
    return parts[1] if len(parts) > 1 else parts[0]


def parts_of(volume: str) -> list[str]:
    """Source, target and options of a short mount; a colon within ${…} parts nothing."""
    parts = [part for part in re.split(r"[:,](?![^{}]*\})", volume) if part]
    return parts or [volume]


def _plain(value: Any) -> Any:
    """A value without what the tags left behind."""
    if isinstance(value, _Override):
        return _plain(value.value)
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if not isinstance(v, _Reset)}
    if isinstance(value, list):
        return [_plain(item) for item in value if not isinstance(item, _Reset)]
    return None if isinstance(value, _Reset) else value
