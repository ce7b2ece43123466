"""What is said of an image outside any project: by a person, and by the image's own configuration."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from taskflow_containers.commands import OUTSIDE
from taskflow_containers.machine.errors import UsageError
from taskflow_containers.project import FILE_NAME, values
from taskflow_containers.project.guest import Guest
from taskflow_containers.project.model import Project
from taskflow_containers.report.result import Taken
from taskflow_containers.smoke.catalogue import select

DATABASE, POSTGRES = "database", "postgres:17-alpine"
FRONTEND_MEMORY = 200 * 10**6  # bytes
_DEFAULTS = {"memory": "300MB", "start": "2s", "stop": "10s"}
_USER = "1001:1001"
_BY_DEFAULT = "default of the data model"
_IMAGE = "the image's configuration"
# Of an entry of the model, the option that its value came by.
_OPTIONS = {
    "port": "--port", "memory": "--memory", "ready": "--ready", "live": "--live", "start": "--start",
    "stop": "--stop", "volumes": "--volume", "connects": "--database", "environment": "--env",
}  # fmt: skip
# What the engine's client goes by itself, and would be misled by.
_CLIENTS_OWN = re.compile(r"HOME|PATH|(DOCKER|CONTAINERS?|BUILDX|XDG)_.*")
_URL = re.compile(
    r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\])(?::[^/\s'\"]*)?(/[\w./~-]*)?"
)


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said of an image; `handed` has the values of `variables` and of further ones."""

    image: str
    port: str
    ready: str
    live: str
    limits: Mapping[str, str]  # memory, start, stop
    variables: tuple[str, ...]
    handed: Mapping[str, str]
    volumes: tuple[str, ...]
    database: str
    reports: Path | None


def refuse_inside(given: argparse.Namespace) -> None:
    """Refuse in a project what its taskflow.toml says.

    Raises:
        UsageError: an option is for an image outside any project.
    """
    for option in OUTSIDE:
        if getattr(given, option.name.replace("-", "_"), ""):
            raise UsageError(
                f"--{option.name} is for an image outside any project",
                f"this folder is a project: its {FILE_NAME} says what a container is held to",
            )


def read(given: argparse.Namespace) -> Said:
    """Read the options of a run outside any project.

    Raises:
        UsageError: one of them is wrong, or is for a project.
    """
    place = f"{FILE_NAME} is not here, so there is no project"
    for used, option in (
        (given.containers, "a container's name"), (given.if_changed, "--if-changed"), (given.keep, "--keep"),
    ):  # fmt: skip
        if used:
            raise UsageError(f"{place}: {option} is for one", "leave it out")
    if len(given.image) > 1:
        raise UsageError(f"{place}: --image takes one image", "judge one after the other")
    [image] = given.image
    if "=" in image:
        raise UsageError(f"{place}, and no container {image.partition('=')[0]!r}",
                         f"write --image {image.partition('=')[2]}")  # fmt: skip
    try:
        TypeAdapter(values.Image).validate_python(image)
    except ValidationError:
        raise UsageError(f"--image {image[:80]!r} is no image's name",
                         "write it as ghcr.io/acme/api:1.2.3 or …/api@sha256:…") from None  # fmt: skip
    select([name for part in given.only for name in part.split(",") if name])
    if given.database and not _valid(values.Variable, given.database):
        raise UsageError("--database names no variable", "write it as --database DATABASE_URL")
    variables, handed = _variables(given)
    said = Said(
        image, given.port, given.ready, given.live, {name: getattr(given, name) for name in _DEFAULTS},
        variables, handed, tuple(dict.fromkeys(given.volume)), given.database,
        Path(given.reports) if given.reports else None,
    )  # fmt: skip
    _guest(said, said.port or "1", _USER, said.volumes)
    return said


def _variables(given: argparse.Namespace) -> tuple[tuple[str, ...], dict[str, str]]:
    """The names that an image needs, and the values of all variables."""
    texts = [*_lines(given.env_file), *(("--env", text) for text in given.env)]
    handed: dict[str, str] = {}
    for place, text in texts:
        name, equals, value = text.partition("=")
        # The text is not shown: it may be a secret that was put in the name's place.
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):
            raise UsageError(f"{place} names no variable", "write it as NAME=value, or NAME alone")
        if _CLIENTS_OWN.fullmatch(name):
            raise UsageError(f"{place}: {name} is what the engine's client goes by itself",
                             "set it in the image")  # fmt: skip
        if not equals and name not in os.environ:
            raise UsageError(
                f"{place}: {name} has no value here", f"write {name}=value, or export it"
            )
        handed[name] = value if equals else os.environ[name]
    return tuple(dict.fromkeys(text.partition("=")[0] for text in given.env)), handed


def _lines(files: list[str]) -> Iterator[tuple[str, str]]:
    """The variables of files, a line each, and where they stand."""
    for file in files:
        try:
            lines = Path(file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise UsageError(
                f"--env-file {file} cannot be read: {reason}", "name a file of lines NAME=value"
            ) from None
        for number, line in enumerate(map(str.strip, lines), 1):
            if line and not line.startswith("#"):
                yield f"{file}:{number}", line


def _guest(said: Said, port: str, user: str, volumes: tuple[str, ...]) -> Guest:
    """The model of an image.

    Raises:
        UsageError: an option has a value that no model can have.
    """
    limits = {name: said.limits[name] or default for name, default in _DEFAULTS.items()}
    if not re.fullmatch("[0-9]{1,9}", port) or not 1 <= int(port) <= 65535:
        raise UsageError(f"--port {port} is no port", "a port goes from 1 to 65535: --port 8000")
    database = [said.database] if said.database else []
    entry = {
        "kind": "backend", "context": "sources", "base": "scratch", "user": user, "port": int(port),
        "memory": limits["memory"],
        "health": {"ready": said.ready or "/", "live": said.live or said.ready or "/"},
        "connects": dict.fromkeys(database, DATABASE),
        "environment": {
            "required": [*said.variables, *database],
            "optional": [name for name in said.handed if name not in said.variables],
        },
        "volumes": [{"path": path, "access": "read-write"} for path in volumes],
        "budgets": {"size-above-base": 1, "start": limits["start"], "stop": limits["stop"]},
    }  # fmt: skip
    try:
        return Guest.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        words = [part for part in first["loc"] if part in _OPTIONS]
        message = str(first["msg"]).removeprefix("Value error, ")
        raise UsageError(f"{_OPTIONS[str(words[-1])]}: {message}",
                         "`smoke --help` says what each option takes") from None  # fmt: skip


def derive(said: Said, config: Mapping[str, Any]) -> tuple[Guest, list[Taken]]:
    """The model of an image by its configuration (as `Engine.image_config` has it), and where from.

    Raises:
        UsageError: nothing says on which port it serves, or several things do.
    """
    port, port_source = _port(said, config)
    own = str(config.get("User") or "root")
    user, user_source = own, f"{_IMAGE}: USER"
    if not _valid(values.User, own):
        user, user_source = _USER, f"{_BY_DEFAULT}; the image has USER {own}"
    declared = [path for path in config.get("Volumes") or {} if _valid(values.AbsolutePath, path)]
    declared = [path for path in declared if path not in said.volumes]
    guest = _guest(said, port, user, (*said.volumes, *declared))
    full = said.image.rpartition("/")[2]
    tag = "" if re.search("[:@]", full) else "; it names no tag, which is latest"
    taken = [Taken("image", said.image, f"--image{tag}"), Taken("port", port, port_source),
             Taken("user", user, user_source)]  # fmt: skip
    for name, default in _DEFAULTS.items():
        source = f"--{name}" if said.limits[name] else f"{_BY_DEFAULT}; --{name} says another"
        taken.append(Taken(name, said.limits[name] or default, source))
    taken += [Taken("volume", path, "--volume") for path in said.volumes]
    taken += [Taken("volume", path, f"{_IMAGE}: VOLUME") for path in declared]
    taken += [Taken("variable", name, "--env") for name in said.variables]
    taken += [Taken("variable", name, "--env-file") for name in guest.environment.optional]
    if said.database:
        taken.append(Taken("variable", f"{said.database}, a PostgreSQL's URL", "--database"))
    return guest, taken


def _port(said: Said, config: Mapping[str, Any]) -> tuple[str, str]:
    if said.port:
        return said.port, "--port"
    exposed = [p.partition("/")[0] for p in config.get("ExposedPorts") or {} if "/udp" not in p]
    if len(exposed) == 1:
        return exposed[0], f"{_IMAGE}: EXPOSE"
    environment = dict(str(item).partition("=")[::2] for item in config.get("Env") or [])
    port = environment.get("PORT", "")
    if _valid(values.Port, int(port) if re.fullmatch("[0-9]{1,5}", port) else port):
        return port, f"{_IMAGE}: ENV PORT"
    found = (
        f"exposes the ports {', '.join(sorted(exposed, key=int))}" if exposed else "exposes no port"
    )
    raise UsageError(f"{said.image} {found}: on which one does it serve HTTP?",
                     f"say it: --port {(exposed or ['8000'])[0]}")  # fmt: skip


def _valid(kind: Any, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def asked_by_healthcheck(config: Mapping[str, Any]) -> str:
    """The path of the URL that an image's HEALTHCHECK asks; "" where it shows none."""
    test = (config.get("Healthcheck") or {}).get("Test") or []
    found = _URL.search(" ".join(map(str, test[1:])))
    path = (found[1] or "/") if found else ""
    return path if path and _valid(values.HttpPath, path) else ""


def project(image: str, guest: Guest) -> Project:
    """A project of this one container, named as its image is."""
    path = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    name = re.sub("[^a-z0-9]+", "-", path.lower())[:40].strip("-")
    name = "image" if name in {"", DATABASE} else name
    service = {"kind": "postgresql", "image": POSTGRES, "port": 5432}
    services = {DATABASE: service} if guest.connects else {}
    return Project.model_validate(
        {"name": name, "title": name, "version": "0.0.0", "containers": {name: guest}, "services": services}
    )  # fmt: skip
