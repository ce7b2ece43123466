"""What a compose file's text says of a command: whether a shell starts it, and where it listens or asks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from taskflow_containers.project.model import Container

_SHELL = re.compile(r"(.*/)?(ba|da|a|k|z|c|tc|fi)?sh")
# They start what follows them and take its place, or its parent's.
_WRAPPER = re.compile(
    r"(.*/)?(tini(-static)?|dumb-init|catatonit|docker-init|env|exec|busybox|nice)"
)
_OPERAND = re.compile(r"[-+].*|\w+=.*|\d+|SIG[A-Z]+", re.DOTALL)


def starts_shell(command: list[str]) -> bool:
    """Whether a shell comes first, alone or behind an init, or runs a `-c` further on.

    A script that ends in exec comes as a program of its own, and is none of these.
    """
    rest = iter(command)
    first = next(rest, "")
    while _WRAPPER.fullmatch(first):
        first = next((word for word in rest if not _OPERAND.fullmatch(word)), "")
    return bool(_SHELL.fullmatch(first)) or any(
        _SHELL.fullmatch(word) and _takes_commands(command[index + 1 :])
        for index, word in enumerate(command)
    )


def _takes_commands(options: list[str]) -> bool:
    """Whether `-c` is among the options, of which `-o` has a name behind it."""
    named = False
    for option in options:
        if re.fullmatch(r"-\w*c", option):
            return True
        if not named and option[:1] not in {"-", "+"}:
            return False
        named = not named and bool(re.fullmatch(r"[-+]\w*[oO]|--(rcfile|init-file)", option))
    return False


def health_paths(container: Container) -> list[str]:
    """Where a container answers for its health."""
    return sorted({container.health.live, container.health.ready})


# A URL of the container itself; its port may come from the interpreter, not from a shell.
_OWN_URL = re.compile(
    r"https?://(?:127\.0\.0\.1|0\.0\.0\.0|localhost|\[::1?\]):"
    r"(?:(\d+)|\$?\{(?:process\.env|(?:os\.)?(?:environ|getenv))(?:\.get)?[\[(.]?['\"]?(\w+)[^{}]*\})"
    r"(/[^\s\"'`),?#]*)"
)


_ANOTHER_PROGRAM = re.compile(
    r"\b(curl|wget|os\.(system|popen|exec\w+)|subprocess|child_process)\b"
)
# A comment of Python's or Node's, but for what is behind a colon in a URL.
_REMARK = re.compile(r"(?:^|(?<=\s))#[^\n]*|(?<![:\w])//[^\n]*")


def asks_health(
    container: Container, words: list[str], environment: Mapping[str, str] | None = None
) -> bool:
    """Whether an exec-form command has the interpreter ask this port on a path of the model."""
    if not words or Path(words[0]).name.rstrip("0123456789.") != container.kind.interpreter[0]:
        return False
    program = _REMARK.sub("", " ".join(words))
    if _ANOTHER_PROGRAM.search(program):
        return False
    port, paths, variables = str(container.port), health_paths(container), environment or {}
    in_one = any(
        (number or variables.get(variable)) == port and path in paths
        for number, variable, path in _OWN_URL.findall(program)
    )
    # Or host, port and path apart, as the interpreter's own clients take them.
    apart = re.search(rf"(?<![\w.]){port}(?!\w)", program) or (
        "PORT" in program and variables.get("PORT") == port
    )
    return in_one or bool(
        apart
        and not _OWN_URL.search(program)
        and any(re.search(rf"(['\"`]){re.escape(path)}\1", program) for path in paths)
    )


def listens_elsewhere(container: Container, words: list[str]) -> list[str]:
    """The options of a command by which its server listens on another port, or for itself alone."""
    found = []
    for option, value in _LISTENS.findall("\0".join(words)):
        if option in {"--port", "-p"}:
            elsewhere = value.isdigit() and value != str(container.port)
        else:
            elsewhere = bool(_ITSELF.fullmatch(value))
        if elsewhere:
            found.append(f"{option} {value}")
    return found


_LISTENS = re.compile(r"(?:^|\0)(--port|-p|--host|--hostname|-H)[=\0]([^\0]+)")
_ITSELF = re.compile(r"127\..*|localhost|\[?::1\]?")
