"""The container data model: what taskflow.toml may say, read and checked with line numbers."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from taskflow_containers.contract.secret import is_secret
from taskflow_containers.machine.errors import InputError, UsageError
from taskflow_containers.project import FILE_NAME

# A DNS label (RFC 1123) that is also a legal path component of an image name (OCI distribution).
LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
# [host[:port]/]path[:tag][@digest], after the grammar of distribution/reference.
IMAGE = (
    r"([a-zA-Z0-9][a-zA-Z0-9.-]*(:\d+)?/)?[a-z0-9]+((\.|_{1,2}|-+|/)[a-z0-9]+)*"
    r"(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)
REGISTRY = r"[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
# An image tag has up to 128 characters, but the chart's label app.kubernetes.io/version only these.
VERSION_LENGTH = 63
# Docker takes names of 255 characters: this, a slash, and the project's and container's names.
REGISTRY_LENGTH = 128
SEMVER = (
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
)
_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def _matching(pattern: str, what: str) -> AfterValidator:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(f"{value[:80]!r} is not {what}")
        return value

    return AfterValidator(check)


def _written(value: object) -> str:
    """A value as TOML has it, cut where it is long; of a list or table only that it is one."""
    if isinstance(value, (str, bool)):
        return json.dumps(value, ensure_ascii=False)[:80]
    kinds: dict[type, str] = {dict: "a table", list: "a list"}
    return kinds.get(type(value)) or str(value)[:80]


def _told(value: object) -> str:
    return repr(value[:80]) if isinstance(value, str) else _written(value)


def _check_host(reference: str) -> None:
    """Refuse a host[:port] that no network knows, where the reference starts with one."""
    host, _, port = reference.partition("/")[0].partition(":")
    if port and (port[0] == "0" or len(port) > 5 or int(port) > 65535):
        raise ValueError(
            f"{reference[:80]!r}: port {port[:9]} is none; a port goes from 1 to 65535"
        )
    if any(not 0 < len(part) <= 63 for part in host.split(".")):
        raise ValueError(
            f"{reference[:80]!r}: each part of the host between dots has 1 to 63 characters"
        )


def _registry(value: str) -> str:
    if value:
        _check_host(value)
    if len(value) > REGISTRY_LENGTH:
        raise ValueError(f"{value[:40]!r}… is longer than {REGISTRY_LENGTH} characters")
    return value


def _version(value: str) -> str:
    if len(value) > VERSION_LENGTH or value[-1] == "-":
        raise ValueError(
            f"{value[:40]!r} is no value of a Kubernetes label, which has up to {VERSION_LENGTH} "
            "characters and does not end in a hyphen; shorten the pre-release name"
        )
    return value


def names_host(image: str) -> bool:
    """Whether an image's name starts with a registry's host, and not with a folder of Docker Hub."""
    first, slash, _ = image.partition("/")
    return bool(slash) and bool(set(first) & {".", ":"} or first == "localhost")


def _image(value: str) -> str:
    if names_host(value):
        _check_host(value)
    return value


def parse_bytes(value: object) -> int:
    """Bytes from "300MB" (decimal), "300MiB" (binary), or a plain number of them."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**15:
        return value
    text = value if isinstance(value, str) else ""
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([kMG]?B|[KMG]iB)", text)
    size = round(float(match[1]) * _UNITS[match[2]]) if match else 0
    if size <= 0:
        raise ValueError(f'{_told(value)} is not a size such as "300MB" or "286MiB"')
    return size


def parse_seconds(value: object) -> float:
    """Seconds from "2s" or "500ms"."""
    match = re.fullmatch(
        r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s)", value if isinstance(value, str) else ""
    )
    if not match or float(match[1]) <= 0:
        raise ValueError(f'{_told(value)} is not a duration such as "2s" or "500ms"')
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


def megabytes(size: float) -> str:
    """A size in bytes as decimal megabytes, the unit of the specification."""
    return f"{size / 10**6:.1f} MB"


def _http_path(value: str) -> str:
    # Two slashes would start a host, and a client takes dots away before it asks.
    parts = value.split("/")
    if (
        not re.fullmatch(r"/[\w./~-]*", value, re.ASCII)
        or "" in parts[1:-1]
        or {".", ".."} & {*parts}
        or len(value) > 200
    ):
        raise ValueError(f'{value[:80]!r} is not a path such as "/health"')
    return value


def _absolute(value: str) -> str:
    # No colon or comma: they mean something to --volume and --mount.
    if not re.fullmatch(r"(/[\w.~-]+)+", value, re.ASCII) or {".", ".."} & {*value.split("/")}:
        raise ValueError(f'{value!r} is not an absolute path such as "/app/data"')
    if taken := next((f for f in _SYSTEM_FOLDERS if f"{value}/".startswith(f"{f}/")), None):
        raise ValueError(f"{value!r} is not the project's: {taken} is {_SYSTEM_FOLDERS[taken]}")
    if value in _SYSTEM_PROGRAMS:
        raise ValueError(f'{value!r} would hide what the container runs; use "/app/data"')
    if code := next((f for f in _CODE if f"{value}/".startswith(f"{f}/")), None):
        raise ValueError(f'{value!r} would hide the code in {code}; use "/app/data"')
    if value.endswith(".sock") or value in {"/run", "/var/run"}:
        raise ValueError(f'{value!r} is no folder for data but of sockets; use "/app/data"')
    return value


_SYSTEM_FOLDERS = {
    "/proc": "the kernel's",
    "/sys": "the kernel's",
    "/dev": "the kernel's",
    "/etc": "the image's and the engine's",
    "/tmp": "a tmpfs of every container already",
}
_SYSTEM_PROGRAMS = {"/app", "/bin", "/lib", "/lib64", "/sbin", "/usr", "/usr/bin", "/usr/lib"} | {
    "/usr/local", "/usr/local/bin", "/usr/local/lib",
}  # fmt: skip


_CODE = (
    "/app/src", "/app/.venv", "/app/container", "/app/node_modules", "/app/.next", "/app/server",
)  # fmt: skip


def _relative(value: str) -> str:
    path = PurePosixPath(value)
    # Blanks around it are a slip, and ~ is a home folder only to a shell.
    unusual = value != value.strip() or value[:1] == "~" or not value.isprintable()
    if path.is_absolute() or ".." in path.parts or unusual or "\\" in value or len(value) > 200:
        raise ValueError(f"{value[:80]!r} is not a folder inside the project")
    return str(path) if value else ""  # one spelling of each folder: ./x/ is x


def _file(value: str) -> str:
    # A comma ends the path for --secret.
    if not value.strip() or not value.isprintable() or set(value) & {",", '"'} or len(value) > 300:
        raise ValueError(
            f'{value[:80]!r} is not a file such as "~/.npmrc" (without comma or quote)'
        )
    return value


def _cache_place(value: str) -> str:
    fields = dict(part.partition("=")[::2] for part in value.split(","))
    if not value.isprintable() or not ("type" in fields or re.fullmatch(IMAGE, value, re.ASCII)):
        raise ValueError(
            f'{value[:80]!r} is no place of a build cache such as "type=registry,ref=ghcr.io/acme/cache"'
        )
    if named := next((k for k, v in fields.items() if is_secret(k.upper(), v)), ""):
        raise ValueError(f"{named} is a secret: leave it to the environment or to `docker login`")
    return value


def _plain_text(value: str) -> str:
    """A value of a variable: neither ENV nor an engine's file of variables can hold two lines."""
    if re.search(r"[\x00-\x1f\x7f]", value) or len(value) > 4096:
        raise ValueError(
            f"{value[:80]!r} is not one line of up to 4096 characters, without control characters"
        )
    return value


def _title(value: str) -> str:
    # isprintable: no control characters, no line separators, nothing that turns the text around.
    if not value.strip() or not value.isprintable():
        raise ValueError(f"{value!r} is not one line of characters that can be seen")
    return value


def _source(value: str) -> str:
    if value and not (_is_url(value) and len(value) <= 300):
        raise ValueError(f'{value[:80]!r} is not a URL such as "https://example.com/acme/shop"')
    return value


def _reason(value: str) -> str:
    if len(value.strip()) < 10:
        raise ValueError("must have at least 10 characters, without the blanks around them")
    return value


def _is_url(value: str) -> bool:
    try:
        url = urlsplit(value)
        known = url.scheme in {"http", "https"} and url.hostname and url.port != 0
    except ValueError:  # a port that is none
        return False
    return bool(known) and not re.search(r"\s", value)


def _memory(value: int) -> int:
    if value > 10**12:
        raise ValueError('it is more than "1000GB", which no container here needs, e.g. "300MB"')
    if value < 6 * 2**20:
        raise ValueError(f'{value} bytes are less than the 6 MiB that Docker needs, e.g. "300MB"')
    return value


def _numeric_user(value: str) -> str:
    match = re.fullmatch(r"([0-9]{1,40}):([0-9]{1,40})", value)
    if not match:
        raise ValueError(
            f'{value[:80]!r} is not numeric UID:GID such as "1001:1001" (the kubelet asks)'
        )
    if any(len(part) > 1 and part[0] == "0" for part in match.groups()):
        plain = ":".join(str(int(part)) for part in match.groups())
        raise ValueError(f'{value!r} has leading zeros; write "{plain}"')
    if not all(0 < int(part) < 2**31 for part in match.groups()):
        raise ValueError(f"{value!r} runs as root or is out of range; use 1001:1001")
    return value


Size = Annotated[
    int,
    BeforeValidator(parse_bytes),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "examples": ["300MB", "286MiB"]}, {"type": "integer"}],
            "description": "Decimal or binary units; a number without quotes is bytes.",
        }
    ),
]
Duration = Annotated[
    float,
    BeforeValidator(parse_seconds),
    WithJsonSchema({"type": "string", "examples": ["2s", "500ms"]}),
]
Label = Annotated[
    str,
    Field(max_length=63),
    _matching(LABEL, "a DNS label: lower-case letters, digits and inner hyphens"),
]
Image = Annotated[
    str,
    Field(max_length=512),
    _matching(IMAGE, "an image reference such as python:3.13-slim"),
    AfterValidator(_image),
]
Variable = Annotated[str, _matching(r"[A-Za-z_][A-Za-z0-9_]*", "an environment variable's name")]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
HttpPath = Annotated[str, AfterValidator(_http_path)]
AbsolutePath = Annotated[str, AfterValidator(_absolute)]


CachePlace = Annotated[
    str,
    AfterValidator(_cache_place),
    WithJsonSchema(
        {
            "type": "string",
            "examples": ["type=registry,ref=ghcr.io/acme/cache:{container}", "type=gha"],
            "description": "As buildx takes it; {container} stands for the container's name.",
        }
    ),
]


class Kind(StrEnum):
    """What starts a container, which interpreter it has and what health means."""

    BACKEND = "backend"
    FRONTEND = "frontend"

    @property
    def interpreter(self) -> tuple[str, str]:
        """The program and option that run one line of code inside the image."""
        return ("python", "-c") if self is Kind.BACKEND else ("node", "-e")


class Access(StrEnum):
    """How a volume is mounted in production."""

    READ_ONLY = "read-only"
    READ_WRITE = "read-write"


def _at(message: str, *location: str) -> PydanticCustomError:
    """An error whose place is `location` below the entry that found it."""
    return PydanticCustomError("reference", "{message}", {"message": message, "at": location})


def _twice(names: list[str]) -> str:
    """What is wrong with names of which each should stand there once."""
    twice = sorted({name for name in names if names.count(name) > 1})
    return f"stated twice: {', '.join(twice)}" if twice else ""


class _Entry(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=lambda name: name.replace("_", "-")
    )


class Health(_Entry):
    """HTTP paths that answer 200: ready to serve, and alive (never asks a dependency)."""

    ready: HttpPath
    live: HttpPath


class Environment(_Entry):
    """Variables the container reads (required, optional) and those the image sets (fixed)."""

    required: tuple[Variable, ...] = ()
    optional: tuple[Variable, ...] = ()
    fixed: dict[Variable, Annotated[str, AfterValidator(_plain_text)]] = {}

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        if twice := _twice([*self.required, *self.optional, *self.fixed]):
            raise ValueError(twice)
        return self


class Volume(_Entry):
    """A declared folder; everything else in the container is read-only."""

    path: AbsolutePath
    access: Access


class Origin(_Entry):
    """Where a value is when an image is built: a variable of whoever builds it, or a file."""

    variable: Variable | None = None
    file: Annotated[str, AfterValidator(_file)] | None = Field(
        default=None, description="Relative to the project, absolute, or from ~ on."
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.variable is None) == (self.file is None):
            raise ValueError('must name a variable or a file, e.g. { variable = "NPM_TOKEN" }')
        return self


class ContainerBuild(_Entry):
    """What the build of an image needs beside its context."""

    arguments: dict[Variable, Annotated[str, AfterValidator(_plain_text)]] = Field(
        default={}, description="Further build arguments (ARG); they stay in the image's history."
    )
    secrets: dict[
        Annotated[str, _matching(r"[A-Za-z0-9][\w.-]{0,99}", "an ID such as npmrc")], Origin
    ] = Field(default={}, description="For RUN --mount=type=secret,id=…; nothing of them stays.")

    @model_validator(mode="after")
    def _arguments_are_free(self) -> Self:
        for name, value in self.arguments.items():
            if name in _OWN_ARGUMENTS:
                raise _at("is set by every build already", "arguments", name)
            if is_secret(name, value):
                raise _at(
                    "would stay in the image's history: make it one of `secrets`, and mount it by "
                    "RUN --mount=type=secret", "arguments", name,
                )  # fmt: skip
        return self


_OWN_ARGUMENTS = {
    "BASE_IMAGE", "BUILDER_IMAGE", "TITLE", "VERSION", "REVISION", "CREATED", "SOURCE",
}  # fmt: skip


class Build(_Entry):
    """How all images are built: for what platforms, by which builder, with what cache."""

    platforms: tuple[
        Annotated[
            str,
            _matching(r"linux/[a-z0-9]+(/v[0-9]+)?", "a platform such as linux/amd64"),
        ],
        ...,
    ] = Field(default=(), description="The engine's own if none is named.")
    builder: Annotated[str, _matching(r"[\w.-]{0,128}", "the name of a builder")] = Field(
        default="", description="One of `docker buildx ls`; the current one when left out."
    )
    cache_from: tuple[CachePlace, ...] = ()
    cache_to: tuple[CachePlace, ...] = ()

    @model_validator(mode="after")
    def _platforms_differ(self) -> Self:
        if twice := _twice([*self.platforms]):
            raise _at(twice, "platforms")
        return self


class Budgets(_Entry):
    """Limits a build or a smoke test holds the container to (bytes, seconds)."""

    size_above_base: Size
    start: Duration
    stop: Duration


class Container(_Entry):
    """One image and how it runs; every level is checked against this entry."""

    kind: Kind
    context: Annotated[str, AfterValidator(_relative)] = Field(
        default="", description="Build folder; the entry's own name when left out."
    )
    base: Image
    builder: Image | None = Field(default=None, description="Build stage image; `base` if absent.")
    user: Annotated[str, AfterValidator(_numeric_user)]
    port: Port
    memory: Annotated[Size, AfterValidator(_memory)]
    health: Health
    environment: Environment = Environment()
    connects: dict[Variable, str] = Field(
        default={}, description="Variable that carries the URL of a container or service."
    )
    volumes: tuple[Volume, ...] = ()
    base_path: HttpPath | Literal[""] = Field(
        default="",
        description="A frontend's pages, and /api/ for its browser side, lie below it (Next.js: basePath).",
    )
    routes: tuple[HttpPath, ...] = Field(
        default=(),
        description="Asked under load and in the drills, beside those that an OpenAPI document lists.",
    )
    keep_alive: Duration = Field(
        default=60.0,
        description="How long an idle connection stays open: as long as a load balancer keeps its side.",
    )
    migrate: tuple[str, ...] = Field(
        default=(),
        description="The image's command that makes its database's tables, as the chart's migration runs it.",
    )
    budgets: Budgets
    build: ContainerBuild = ContainerBuild()

    @property
    def build_image(self) -> str:
        """The image of the build stage."""
        return self.builder or self.base

    @property
    def page(self) -> str:
        """The path of a frontend's home page."""
        return self.base_path or "/"

    @property
    def uid(self) -> int:
        """Numeric user ID."""
        return int(self.user.split(":")[0])

    @property
    def gid(self) -> int:
        """Numeric group ID."""
        return int(self.user.split(":")[1])

    @model_validator(mode="after")
    def _connects_are_required(self) -> Self:
        for variable in self.connects:
            if variable not in self.environment.required:
                raise _at("is not among environment.required", "connects", variable)
        return self

    @model_validator(mode="after")
    def _base_path_of_a_frontend(self) -> Self:
        if self.base_path and self.kind is not Kind.FRONTEND:
            raise _at("is a frontend's alone: state full paths here", "base-path")
        if self.base_path.endswith("/"):
            raise _at('ends with a slash; write it as Next.js takes it: "/shop"', "base-path")
        return self

    @model_validator(mode="after")
    def _migration_has_a_program(self) -> Self:
        if not all(self.migrate) or " " in "".join(self.migrate[:1]):
            raise _at('names no program: write it as ["alembic", "upgrade", "head"]', "migrate")
        return self

    @model_validator(mode="after")
    def _volumes_differ(self) -> Self:
        if twice := _twice([volume.path for volume in self.volumes]):
            raise _at(twice, "volumes")
        return self


class ServiceKind(StrEnum):
    """What a service is, and so how a smoke test starts it and what its URL looks like."""

    POSTGRESQL = "postgresql"


class Service(_Entry):
    """Something the containers need and this project does not build."""

    kind: ServiceKind
    image: Image
    port: Port


class Licences(_Entry):
    """Licences accepted although their class alone would fail the scan: SPDX ID = reason."""

    accepted: dict[
        Annotated[str, _matching(r"[A-Za-z0-9][A-Za-z0-9.+ ()-]{0,99}", "an SPDX ID such as MIT")],
        Annotated[str, Field(min_length=10), AfterValidator(_reason)],
    ] = {}


class Scan(_Entry):
    """What the scan gate fails on."""

    severities: tuple[Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"], ...] = Field(
        default=("HIGH", "CRITICAL"), min_length=1
    )
    licences: Licences = Licences()
    database_days: int = Field(
        default=7, ge=1, description="How old the vulnerability database may be."
    )


# Written by the tool, removed by `invoke clean`, or somebody else's sources: at the top, …
_NOT_ITS_OWN = {"tools", "chart", "reports"}
# … and wherever they are.
_NOBODYS = {".nox", ".git", "node_modules"}


class Project(_Entry):
    """The whole of taskflow.toml."""

    name: Label
    title: Annotated[str, Field(max_length=80), AfterValidator(_title)]
    version: Annotated[
        str, _matching(SEMVER, "a semantic version such as 1.2.3"), AfterValidator(_version)
    ]
    registry: Annotated[
        str, _matching(f"({REGISTRY})?", "a registry host[:port]/path"), AfterValidator(_registry)
    ] = ""
    source: Annotated[str, AfterValidator(_source)] = Field(
        default="", description="URL of the source repository, for the labels."
    )
    containers: dict[Label, Container] = Field(min_length=1)
    services: dict[Label, Service] = {}
    build: Build = Build()
    scan: Scan = Scan()

    @model_validator(mode="after")
    def _references(self) -> Self:
        both = self.containers.keys() & self.services.keys()
        if both:
            raise _at("a container and a service share this name", "services", min(both))
        for name, container in self.containers.items():
            folder = self.context(name)
            # Some file systems tell no capitals from small letters.
            parts = folder.casefold().split("/")
            place = ("containers", name, *(["context"] if container.context else []))
            if folder == ".":
                raise _at(
                    "the project's top folder is none for one container: tools/, reports/ and the "
                    "other containers would be part of its build; move its sources into a folder of "
                    "their own and name that",
                    *place,
                )
            if parts[0] in _NOT_ITS_OWN or _NOBODYS & {*parts}:
                raise _at(
                    f"the folder {folder!r} is none for sources: other files are written or kept there; "
                    "set context to another one",
                    *place,
                )
            for variable, target in container.connects.items():
                if target == name:
                    raise _at(
                        f"{name!r} is this very container; name another one, or a service",
                        *("containers", name, "connects", variable),
                    )
                if target not in self.containers and target not in self.services:
                    # A backend kept in another repository is reached by URL, not by name.
                    if _is_url(target):
                        continue
                    raise _at(
                        f"{target!r} is neither a container, a service nor an http(s) URL",
                        *("containers", name, "connects", variable),
                    )
        return self

    def image(self, container: str) -> str:
        """The image's name without a tag: [registry/]name-container."""
        return f"{self.registry}/{self.name}-{container}".lstrip("/")

    def context(self, container: str) -> str:
        """The build folder, relative to the project."""
        return self.containers[container].context or container

    def select(self, names: Sequence[str]) -> dict[str, Container]:
        """The named containers, or all; raises UsageError for an unknown name."""
        unknown = [name for name in names if name not in self.containers]
        if unknown:
            raise UsageError(
                f"unknown container: {', '.join(unknown)}",
                f"{FILE_NAME} has: {', '.join(self.containers)}",
            )
        return {name: self.containers[name] for name in names or self.containers}


_KEY = r"(?:\"[^\"]*\"|'[^']*'|[\w-]+)"


def _line_of(text: str, location: Sequence[str | int]) -> int | None:
    """The line (from 1) of the deepest part of `location` that stands in the TOML text."""
    found: int | None = None
    depth = 0
    table: list[str] = []
    arrays: list[list[str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        key = re.match(rf"\s*(?:(\[\[?)\s*)?({_KEY}(?:\s*\.\s*{_KEY})*)\s*(?:=|\])", line)
        if not key:
            continue
        parts = ["".join(part) for part in re.findall(r"\"([^\"]*)\"|'([^']*)'|([\w-]+)", key[2])]
        if key[1] == "[[":
            arrays.append(parts)
            parts = [*parts, str(arrays.count(parts) - 1)]
        table = parts if key[1] else table
        here = parts if key[1] else table + parts
        # The head of an array's entry is the array's place too.
        for place in [here[:-1], here] if key[1] == "[[" else [here]:
            if place == [str(part) for part in location][: len(place)] and len(place) > depth:
                found, depth = number, len(place)
    rest = location[depth:]
    return (
        _line_of_item(text, found, rest[0])
        if found and rest and isinstance(rest[0], int)
        else found
    )


def _line_of_item(text: str, start: int, index: int) -> int:
    """The line of an item of the list whose key stands in line `start`: where so many are complete."""
    first, *more = text.split("\n")[start - 1 :]
    whole = f"list ={first.partition('=')[2]}"
    for number, line in enumerate([*more, ""], start):
        try:
            if len(tomllib.loads(f"{whole}\n]")["list"]) > index:
                return number
        except tomllib.TOMLDecodeError:
            if _is_toml(whole):  # the list ends here, or in its first line
                break
        whole += f"\n{line}"
    return start


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _in_plain_words(error: Mapping[str, Any], key: object) -> str:
    """What is wrong with a key's value, without the words of the library that found it."""
    given, context = error["input"], error.get("ctx", {})
    written = _written(given)
    item = '"…"' if isinstance(given, (dict, list)) else written
    text = item if item[0] == '"' else f'"{item}"'
    number = given if re.fullmatch(r"[0-9]{1,9}", str(given)) else 8000
    choices = str(context.get("expected", "")).replace("'", '"')
    wanted = {
        "tuple_type": f"a list, e.g. [{_keys('Volume') if key == 'volumes' else item}]",
        "string_type": f"text in quotes, e.g. {text}",
        "int_type": f"a whole number without quotes, e.g. {number}",
        "int_from_float": f"a whole number, e.g. {number}",
        "dict_type": 'a table, e.g. { NAME = "value" }',
        "model_type": f"a table, e.g. {_keys(context.get('class_name'))}",
        "enum": choices,
        "literal_error": choices,
        "greater_than_equal": f"{context.get('ge')} or more",
        "less_than_equal": f"{context.get('le')} or less",
    }.get(error["type"])
    if wanted:
        return f"must be {wanted}; it is {written}"
    return {
        "extra_forbidden": "no such key",
        "missing": "is missing",
        "too_short": "must not be empty",
        "string_too_long": f"must have at most {context.get('max_length')} characters",
        "string_too_short": f"must have at least {context.get('min_length')} characters",
    }.get(error["type"]) or str(error["msg"]).removeprefix("Value error, ")


def _keys(entry: str | None) -> str:
    """The keys that an entry must have, as an inline table."""
    fields = next((e.model_fields for e in _Entry.__subclasses__() if e.__name__ == entry), {})
    needed = [field.alias or name for name, field in fields.items() if field.is_required()]
    return "{ " + ", ".join(f"{name} = …" for name in needed or ["key"]) + " }"


def _explain(text: str, path: Path, errors: Iterable[Mapping[str, Any]]) -> str:
    lines = []
    errors = list(errors)
    places = [error["loc"] for error in errors]
    for error in errors:
        # A wrong entry is told; that without it the list would be empty is not.
        if error["type"] == "too_short" and any(error["loc"] == p[:-1] for p in places):
            continue
        at = error.get("ctx", {}).get("at", ())
        location = [part for part in (*error["loc"], *at) if part != "[key]"]
        number = _line_of(text, location)
        where = f"{path.name}:{number}" if number else path.name
        key = ".".join(str(part) for part in location)
        message = _in_plain_words(error, location[-1] if location else None)
        lines.append(f"{where}: {key + ': ' if key else ''}{message}")
    return "\n".join(lines)


def load(path: Path) -> Project:
    """Read and check a taskflow.toml.

    Raises:
        InputError: the file is absent, unreadable, not TOML or not a valid model; with the line.
    """
    hint = "tools/taskflow.schema.json says what each key may hold"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            f"{path.name} is not here ({path.parent})", "run this in the project's top folder"
        ) from None
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path.name}:{number}: not UTF-8", "save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror}") from None
    try:
        return Project.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"line (\d+)", str(error))
        number = int(where[1]) if where else len(text.rstrip("\n").split("\n"))
        raise InputError(f"{path.name}:{number}: not valid TOML: {error}", hint) from None
    except ValidationError as error:
        raise InputError(_explain(text, path, error.errors()), hint) from None
    except RecursionError:
        raise InputError(f"{path.name}: not valid TOML: nested too deeply", hint) from None
    except ValueError:  # Python converts no number of more than some thousand digits
        found = re.search(r"[0-9_]{1000,}", text)
        place = f":{text.count(chr(10), 0, found.start()) + 1}" if found else ""
        raise InputError(f"{path.name}{place}: a number has too many digits", hint) from None


def schema() -> dict[str, Any]:
    """The JSON schema of taskflow.toml, for editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Project.model_json_schema(by_alias=True),
    }
