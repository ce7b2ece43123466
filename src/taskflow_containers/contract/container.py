"""What a Dockerfile, a compose file and a built image are all held to, wherever it is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from taskflow_containers.contract.instructions import Stage
from taskflow_containers.contract.level import Level, shown
from taskflow_containers.project.model import Container
from taskflow_containers.project.values import names_host
from taskflow_containers.report.result import Result

LABEL_PREFIX = "org.opencontainers.image."
LABELS = ("title", "version", "revision", "created", "source", "base.name")


def full_name(image: str) -> str:
    """An image's name as an engine completes it: with Docker Hub's host, and a tag."""
    if not names_host(image):
        image = f"docker.io/{image}"
    image = re.sub(r"^(index\.)?docker\.io/", "docker.io/", image)
    image = re.sub(r"^docker\.io/(?=[^/]+$)", "docker.io/library/", image)
    return image if re.search(r"[:@]", image.rpartition("/")[2]) else f"{image}:latest"


_SHELL = re.compile(r"(.*/)?(ba|da|a|k|z|c|tc|fi)?sh")
# They start what follows them and take its place, or its parent's.
_WRAPPER = re.compile(
    r"(.*/)?(tini(-static)?|dumb-init|catatonit|docker-init|env|exec|busybox|nice)"
)
_OPERAND = re.compile(r"[-+].*|\w+=.*|\d+|SIG[A-Z]+", re.DOTALL)


def starts_program(command: list[str]) -> bool:
    """Whether its first word can name a program."""
    return bool(command) and bool(command[0].strip())


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


def check_environment(
    level: Level, container: Container, environment: Mapping[str, str], stages: Sequence[Stage] = ()
) -> Iterator[Result]:
    """The variables that an image fixes, and those that it must leave open, in every stage."""
    stage = stages[-1] if stages else None
    # A kind's server listens on PORT where that is set, whatever EXPOSE says.
    listens = {"PORT": str(container.port)} if "PORT" in environment else {}
    fixed = listens | container.environment.fixed
    measured = {key: environment.get(key, "not set") for key in fixed}
    yield level.check(
        "environment",
        "fixed environment",
        [f"{key}={value}" for key, value in fixed.items()],
        [f"{key}={value}" for key, value in measured.items()],
        "set each in the final stage with ENV, or change environment.fixed, or port, in taskflow.toml",
        line=line_of(stage, "ENV", [key for key in fixed if fixed[key] != measured[key]]),
    )
    open_names = (*container.environment.required, *container.environment.optional)
    baked = [key for key in open_names if environment.get(key)]
    # What a build stage is given, a frontend's build may write into its pages.
    public = [f"NEXT_PUBLIC_{key}" for key in open_names]
    given = {
        key: item.line
        for each in stages
        for item in each.instructions
        for key, value in item.pairs.items()
        if value and item.name in {"ENV", "ARG"} and key in {*open_names, *public}
    }
    baked += sorted(given.keys() - set(baked))
    yield level.check(
        "run-time-environment",
        "run-time variables left open",
        "nothing baked in",
        shown(baked) if baked else "nothing baked in",
        "remove the ENV or ARG: one image serves every environment",
        line=next((given[key] for key in baked if key in given), stage.line if stage else 0),
    )


def line_of(stage: Stage | None, name: str, keys: Iterable[str]) -> int:
    """Where a stage last gives one of the keys a value; else where it starts."""
    if stage is None:
        return 0
    wanted = set(keys)
    lines = [item.line for item in stage.all(name) if wanted & item.pairs.keys()]
    return lines[-1] if lines else stage.line
