"""Compose files as Docker Compose itself reads them: `compose config` as JSON, which needs no engine."""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from taskflow_containers.machine.errors import EnvironmentTrouble, InputError
from taskflow_containers.machine.process import Completed, masked, run

# By the names that compose looks for, in its order; of either it takes the first that is there.
NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = (
    "compose.override.yml", "compose.override.yaml",
    "docker-compose.override.yml", "docker-compose.override.yaml",
)  # fmt: skip
# What the program needs to start and to find its plugins; a verdict depends on nothing else.
_KEPT = (
    "PATH", "HOME", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "USERPROFILE", "SYSTEMROOT", "TMPDIR",
    "TEMP", "TMP", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES",
)  # fmt: skip
# Anchors that make more values than this are a mistake, or an attack on whoever reads the file.
_MAX_VALUES = 50_000
# A variable without a value gets one of these: a number is taken as a port, a name or a text alike.
_FIRST_PLACEHOLDER = 61_000
_MAX_CALLS = 30
_UNSET = re.compile(
    r'(?:The \\*"|required variable )(\w+)(?:\\*" variable is not set| is missing a value)'
)


class NoComposeError(EnvironmentTrouble):
    """No program on this machine says what compose makes of its files."""


@dataclass(frozen=True, slots=True)
class ComposeFile:
    """The normal form of a project's compose files.

    `name` names the files; `folder` is where their relative paths start; `content` is what compose
    prints, in which sizes are bytes, ports and mounts are mappings, and paths are absolute.
    `placeholders` maps the value of each variable that nobody sets to the variable's name. Services
    that are `incomplete` have an `env_file` that is not on this machine.
    """

    name: str
    folder: Path
    content: dict[str, Any]
    placeholders: Mapping[str, str] = field(default_factory=dict)
    incomplete: frozenset[str] = frozenset()

    def section(self, name: str) -> dict[str, dict[str, Any]]:
        """A top-level mapping, such as `services`; empty where there is none."""
        found = self.content.get(name) or {}
        return {key: value or {} for key, value in found.items()}

    def is_open(self, value: object) -> bool:
        """Whether the shell or .env gives a value: the variable has no default here."""
        return value is None or any(number in str(value) for number in self.placeholders)

    def restored(self, text: str) -> str:
        """A text with the variables' names in place of their placeholders."""
        return _restored(text, self.placeholders)


@functools.cache
def program() -> tuple[str, ...]:
    """The compose command that prints its normal form as JSON.

    Raises:
        NoComposeError: there is none; says how to get one.
    """
    for words in (("docker", "compose"), ("docker-compose",), ("podman", "compose")):
        with suppress(EnvironmentTrouble):  # it is not there, or does not start
            shown = run([*words, "config", "--help"], timeout=30)
            if shown.returncode == 0 and "--format" in shown.stdout:
                return words
    raise NoComposeError(
        "no compose command here prints its configuration as JSON",
        "install Docker Compose 2 (docker-compose-plugin, or docker-compose); it needs no engine for this",
    )


def settings(root: Path) -> dict[str, str]:
    """The variables of .env (or of COMPOSE_ENV_FILES), and those of the environment above them.

    Raises:
        InputError: such a file is not text.
    """
    found: dict[str, str] = {}
    for name in filter(None, os.environ.get("COMPOSE_ENV_FILES", ".env").split(",")):
        try:
            text = (root / name).read_text("utf-8-sig") if (root / name).is_file() else ""
        except UnicodeDecodeError:
            raise InputError(f"{name}: not UTF-8 text", "correct it and run again") from None
        for key, quoted, bare in _ENV_LINE.findall(text):
            found[key] = quoted[1:-1] if quoted else re.split(r"(?:^|\s+)#", bare)[0].strip()
    return found | dict(os.environ)


_ENV_LINE = re.compile(
    r"^[ \t]*(?:export[ \t]+)?(\w+)[ \t]*[=:][ \t]*(?:(\"(?:\\.|[^\"\\])*\"|'[^']*')|([^\r\n]*))",
    re.MULTILINE,
)


def files(root: Path, stated: str = NAMES[0]) -> list[Path]:
    """The files that compose merges, in its order: those of COMPOSE_FILE, else the one and its override.

    One that is `stated` under another name than compose would find it by is read alone.
    """
    if stated != NAMES[0]:
        return [root / stated] if (root / stated).is_file() else []
    variables = settings(root)
    if listed := variables.get("COMPOSE_FILE"):
        separator = variables.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
        return [root / name for name in listed.split(separator)]
    base, over = (
        [root / name for name in names if (root / name).is_file()][:1]
        for names in (NAMES, OVERRIDES)
    )
    return base + over if base else []


def names(root: Path, stated: str = NAMES[0]) -> str:
    """The files that compose merges, as a person knows them; empty where there are none."""
    return ", ".join(
        path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
        for path in files(root, stated)
    )


def no_file(stated: str) -> InputError:
    """What to say where a folder has no compose file."""
    return InputError(f"there is no {stated} here", "run this in the project's top folder")


def read(root: Path, stated: str = NAMES[0]) -> ComposeFile | None:
    """The compose files as they are for everybody, with the defaults of their variables; or None.

    Neither the shell's variables nor the values in .env count; the services of all profiles do.

    Raises:
        InputError: compose refuses them; in its words.
        NoComposeError: there is no compose command to ask.
    """
    paths = files(root, stated)
    if not paths:
        return None
    name, folder = names(root, stated), paths[0].parent
    lists = any(_weigh(path) for path in paths)
    base = [word for path in paths for word in ("--file", str(path))]
    base += ["--env-file", os.devnull, "--profile", "*"]
    variables = {**dict.fromkeys(os.environ), **{k: os.environ.get(k) for k in _KEPT}}
    variables["PWD"] = str(folder)
    placeholders: dict[str, str] = {}
    override, incomplete = "", frozenset[str]()
    for _ in range(_MAX_CALLS):
        if lists and not override:
            override, incomplete = _without_absent(root, base, variables)
        extra = ["--file", "-"] if override else []
        done = _config(root, [*base, *extra], variables, stdin=override or None)
        unset = set(_UNSET.findall(done.stderr)) - set(placeholders.values())
        for variable in sorted(unset):
            number = str(_FIRST_PLACEHOLDER + len(placeholders))
            placeholders[number], variables[variable] = variable, number
        absent = not lists and "env file" in done.stderr and bool(done.returncode)
        lists = lists or absent  # of a file that one of these includes
        if not unset and not absent:
            break
    content = _content(done, name, folder, placeholders)
    return ComposeFile(name, folder, content, placeholders, incomplete)


def options(root: Path, stated: str) -> list[str]:
    """The options that name a file which compose would not find by itself."""
    return ["--file", str(root / stated)] if stated != NAMES[0] else []


def read_here(
    root: Path, variables: Mapping[str, str], *words: str, stated: str = NAMES[0]
) -> ComposeFile:
    """The compose files as `compose up` takes them, with the shell's variables, .env and `variables`.

    Raises:
        InputError: there are none, or compose refuses them; in its words.
        NoComposeError: there is no compose command to ask.
    """
    paths = files(root, stated)
    if not paths:
        raise no_file(stated)
    for path in paths:
        _weigh(path)
    name, folder = names(root, stated), paths[0].parent
    done = _config(root, [*options(root, stated), *words], variables)
    return ComposeFile(name, folder, _content(done, name, folder))


def variable_of(
    root: Path, service: str, port: int, values: Mapping[str, str], stated: str = NAMES[0]
) -> str:
    """The variable that brings a port into a service's `ports`; empty where it is written out."""
    done = _config(root, options(root, stated), values, "--no-interpolate")
    found = json.loads(done.stdout or "{}").get("services", {}).get(service, {})
    for name, default, bare in _VARIABLE.findall(json.dumps(found.get("ports"))):
        if (values.get(name or bare) or default) == str(port):
            return str(name or bare)
    return ""


_VARIABLE = re.compile(r"\$\{(\w+)(?::?-([^{}]*)|[^{}]*)\}|\$(\w+)")


def _with_defaults(text: str) -> str:
    return _VARIABLE.sub(lambda found: found[2] or "", text)


def _config(
    root: Path,
    options: Sequence[str],
    variables: Mapping[str, str | None],
    *words: str,
    stdin: str | None = None,
) -> Completed:
    asked = [*program(), *options, "config", "--format", "json", *words]
    return run(asked, cwd=root, env=variables, stdin=stdin, timeout=60)


def _content(
    done: Completed, name: str, folder: Path, placeholders: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What compose printed; a dollar that it escapes for another reading is one dollar.

    Raises:
        InputError: it refused the files.
    """
    if done.returncode:
        words = _restored(_words(done.stderr, folder), placeholders or {})
        bare = [v for number, v in (placeholders or {}).items() if number in done.stderr]
        hint = f"give {', '.join(bare)} a default there: ${{NAME:-…}}" if bare else ""
        raise InputError(f"{name}: {words}", hint or "correct it and run again")
    return dict(json.loads(done.stdout.replace("$$", "$")))


def _restored(text: str, placeholders: Mapping[str, str]) -> str:
    for number, name in placeholders.items():
        text = text.replace(number, f"${{{name}}}")
    return text


def _words(errors: str, folder: Path) -> str:
    """Compose's words on why it refuses; what a person wrote into an env file is not repeated."""
    lines = [line.strip() for line in errors.splitlines() if "level=warning" not in line]
    text = (
        " ".join(filter(None, lines)).replace(f"{folder}{os.sep}", "") or "compose gave no reason"
    )
    text = text.partition(" You may need to escape")[0]  # what follows is the value itself
    if "failed to read" in text:
        text = re.sub(r'".*"', '"…"', text)
    return masked(text)[:500]


def _without_absent(
    root: Path, options: list[str], variables: Mapping[str, str | None]
) -> tuple[str, frozenset[str]]:
    """An override without the env files that are not here, which compose would refuse; whose they are.

    What git ignores is on some machines only, and the verdict must be the same on all.
    """
    done = _config(root, options, variables, "--no-interpolate")
    lines, services = ["services:"], set()
    for name, entry in json.loads(done.stdout or "{}").get("services", {}).items():
        stated = entry.get("env_file") or []
        there = [file for file in stated if Path(_with_defaults(file["path"])).is_file()]
        if len(there) < len(stated):
            services.add(name)
            lines.append(f"  {json.dumps(name)}: {{env_file: !override {json.dumps(there)}}}")
    return ("\n".join(lines) if services else ""), frozenset(services)


def _weigh(path: Path) -> bool:
    """Whether a file has `env_file` in it; what compose would need all memory for is refused.

    Raises:
        InputError: its anchors make too many values, or it is nested too deeply.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        node = yaml.compose(text, yaml.SafeLoader)
        reason = "its anchors make too many values" if _values(node, {}) > _MAX_VALUES else ""
    except RecursionError:
        reason = "it is nested too deeply"
    except (OSError, ValueError, yaml.YAMLError):  # compose says what is wrong with it
        return False
    if reason:
        raise InputError(f"{path.name}: {reason}", "correct it and run again")
    return "env_file" in text


def _values(node: yaml.Node | None, known: dict[int, int]) -> int:
    """How many values a node stands for; what an anchor stands for is counted each time."""
    if id(node) not in known:
        known[id(node)] = 0  # a cycle, which compose refuses
        inner = node.value if isinstance(node, yaml.CollectionNode) else []
        each = [part for item in inner for part in (item if isinstance(item, tuple) else (item,))]
        known[id(node)] = 1 + sum(_values(part, known) for part in each)
    return known[id(node)]
