"""Which variables of an owner's own image an adopted application goes on having."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from taskflow_containers.adopt.examples import examples
from taskflow_containers.adopt.findings import Finding, guessed, read
from taskflow_containers.adopt.image_variables import Given
from taskflow_containers.adopt.repository import Repository, join, normal, parent
from taskflow_containers.adopt.stated import Dockerfile, compose

# What concerns the image that they are in, or what the template sets and reads itself.
_MECHANICS = re.compile(
    r"PATH|PYTHON\w*|LD_\w+|HOME|LOGNAME|USER|USERNAME|SHELL|TERM|DEBIAN_FRONTEND|LANG|LANGUAGE|LC_\w+|GPG_KEY|RES_OPTIONS"
    r"|(?:PIP|PIPENV|PIPX|POETRY|UV|PDM|HATCH|CONDA|MAMBA|VIRTUALENV|PYENV|APT|npm|NPM|YARN|PNPM|S6|SSL_CERT|MALLOC)_\w+"
    r"|VIRTUAL_ENV\w*|VENV\w*|PORT|HOST|HOSTNAME|LISTEN_ADDRESS|LOG_LEVEL|LOG_FORMAT|ROOT_PATH|SHUTDOWN_SECONDS"
    r"|FORWARDED_ALLOW_IPS|TASKFLOW_\w+|NODE_(?:ENV|OPTIONS|COMPILE_CACHE)|KEEP_ALIVE_TIMEOUT|NEXT_(?:TELEMETRY_DISABLED|SHARP_PATH)"
    r"|COREPACK_\w+|BUN_\w+|(?:WATCHPACK|CHOKIDAR|WATCHFILES)_\w+",
)
# What concerns the server that was there, or what was to be installed, unless the code reads it.
_TOOLS = re.compile(
    r"WEB_CONCURRENCY|(?:GRACEFUL_)?TIMEOUT|KEEP_ALIVE|\w*WORKERS\w*|GUNICORN\w*|UVICORN\w*|APP_MODULE|MODULE_NAME|VARIABLE_NAME|\w*_CONF|FLASK_APP|FLASK_RUN_\w+"
    r"|NODE_\w+|\w*VERSION|\w*_SHA\w*|UID|GID|\w+_(?:UID|GID)|TINI\w*|SUPERCRONIC\w*"
)
# Folders that every image has.
_USUAL = re.compile(r"/(?:tmp|dev|proc|etc/ssl|app/data)(?:/|$)")


def fixed(
    repository: Repository,
    folder: str,
    file: Dockerfile | None,
    read_by_it: Collection[str],
    *,
    elsewhere: Collection[str] = (),
) -> Finding[Mapping[str, str]]:
    """The variables that an application's own image sets, but for those that files set where it runs.

    `folder` becomes /app in our image; `read_by_it` are the variables that the code reads, `elsewhere` those that
    have their values by other means.
    """
    if file is None or not file.variables:
        return guessed({})
    opened = {*elsewhere} | {name for one in compose(repository) for name in one.environment}
    opened |= {one.name for one in examples(repository, folder)}
    copied = [normal(join(parent(file.path), source)) for source in file.sources]
    inside = [c for c in copied if c and (folder == "." or c.startswith(folder + "/"))]
    given = _carried(
        repository, folder, file.variables, file.workdir, inside, read=read_by_it, opened=opened
    )
    return read(given, next(iter(file.variables.values())).where) if given else guessed({})


def _carried(
    repository: Repository,
    folder: str,
    variables: Mapping[str, Given],
    workdir: str,
    copied: Sequence[str],
    *,
    read: Collection[str],
    opened: Collection[str],
) -> dict[str, str]:
    """Those that our image has as well, and a word on those that point to what only the other one has.

    `copied` are the folders that the other one copies, beside the project's own.
    `read` are those of the code, `opened` those that are set where it runs.
    """
    found: dict[str, str] = {}
    elsewhere: list[tuple[str, Given]] = []
    for name, (value, where) in variables.items():
        tools = _TOOLS.fullmatch(name) and name not in read
        if _MECHANICS.fullmatch(name) or tools or name in opened:
            continue
        place = _place(repository, folder, value, workdir, copied)
        if place:
            found[name] = place
        else:
            elsewhere.append((name, Given(value, where)))
    if elsewhere:
        shown = ", ".join(f"{name}={one.value}" for name, one in elsewhere)
        repository.say(
            "change",
            f"{shown}: no such place is in our image; set where it is by `fixed` in taskflow.toml and ENV in our "
            "Dockerfile (what is written lies below /app/data)",
            elsewhere[0][1].where,
        )
    return found


def _place(
    repository: Repository, folder: str, value: str, workdir: str, copied: Sequence[str]
) -> str:
    """A value as our image has it, where the project's folder is /app; "" for a path that is not there."""
    if not re.fullmatch(r"/[\w.@+-][\w./@+-]*", value) or _USUAL.match(value):
        return value
    start = workdir.rstrip("/")
    if value.rstrip("/") == start:
        return "/app"
    if not start or not value.startswith(f"{start}/"):
        return ""
    below = value.removeprefix(f"{start}/").rstrip("/")
    for above in (folder, *copied):
        inside = join(above, below)
        if repository.has(inside) or repository.has_folder(inside):
            return f"/app/{inside if folder == '.' else inside.removeprefix(folder + '/')}"
    return ""
