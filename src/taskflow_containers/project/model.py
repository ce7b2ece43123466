"""The entries of taskflow.toml, and what must hold between them: the container data model."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from taskflow_containers.machine.errors import UsageError
from taskflow_containers.project import FILE_NAME, values
from taskflow_containers.project.building import Build, ContainerBuild
from taskflow_containers.project.entry import Entry, at, distinct
from taskflow_containers.project.files import Files
from taskflow_containers.project.kinds import (
    Budgets,
    Command,
    Health,
    Kind,
    Runtime,
    by_kind,
    misplaced,
    without_default,
)
from taskflow_containers.project.scanning import Scan
from taskflow_containers.project.schedule import Schedule
from taskflow_containers.project.signature import Signature
from taskflow_containers.project.waiver import Waiver
from taskflow_containers.report import REPORTS

FORMAT: Literal[1] = 1  # of taskflow.toml: what `schema` must be


class Access(StrEnum):
    """How a volume is mounted in production."""

    READ_ONLY = "read-only"
    READ_WRITE = "read-write"


class Environment(Entry):
    """Variables the container reads (required, optional) and those the image sets (fixed)."""

    required: tuple[values.Variable, ...] = ()
    """Names without which it does not start; it says in one line which is missing."""
    optional: tuple[values.Variable, ...] = ()
    """Names that may be absent or empty."""
    fixed: dict[values.Variable, values.VariableValue] = {}
    """Name = value, as the Dockerfile's ENV has it in the final stage."""
    examples: dict[values.Variable, values.VariableValue] = {}
    """Of required ones, for smoke tests and drills, where whoever runs them has none of their own."""

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        distinct((*self.required, *self.optional, *self.fixed))
        if stray := sorted(self.examples.keys() - {*self.required}):
            raise at("is not among environment.required", "examples", stray[0])
        return self


class Volume(Entry):
    """A declared folder; everything else in the container is read-only."""

    path: values.AbsolutePath
    """Where it is mounted in the container."""
    access: Access
    """Whether the container may write into it; what it writes elsewhere, but for /tmp, fails."""


def _paths_differ(volumes: tuple[Volume, ...]) -> tuple[Volume, ...]:
    distinct(tuple(volume.path for volume in volumes))
    return volumes


class Container(Entry):
    """One image and how it runs; every level is checked against this entry."""

    model_config = ConfigDict(json_schema_extra=by_kind)

    kind: Kind
    """What it is, and so which other keys it has and which checks apply to it."""
    runtime: Runtime | None = Field(default=None, json_schema_extra=without_default)
    """Which interpreter the image of a worker or cron job has."""
    context: values.Folder = ""
    """Build folder, "." for the project's top folder; the entry's own name when left out."""
    dockerfile: values.Dockerfile = ""
    """Relative to the project; `Dockerfile` in the build folder when left out. A `.dockerignore` that
    begins with its name is read in place of the build folder's."""
    ours: values.Inside = "container"
    """Where the template's files lie that a build needs, below the build folder."""
    base: values.Image
    """The image that the final stage begins FROM."""
    builder: values.Image | None = None
    """Build stage image; `base` if absent."""
    user: values.User
    """Numeric UID:GID that it runs as; not root."""
    port: values.Port = Field(default=0, json_schema_extra=without_default)
    """What it listens on; a worker or cron job has none."""
    command: Command = ()
    """What a worker or cron job runs: the end of the image's own command, which is held to it."""
    schedule: Schedule = Field(default="", json_schema_extra=without_default)
    """When a cron job runs."""
    memory: values.Memory
    """Limit of its memory in the smoke test, compose file and chart, in decimal (MB) or binary units (MiB)."""
    health: Health = Field(default=Health(), json_schema_extra=without_default)
    environment: Environment = Environment()
    connects: dict[values.Variable, str] = {}
    """Variable that carries the URL of a container or service."""
    connects_as: dict[values.Variable, values.Form] = {}
    """In what other form it does: "postgresql+asyncpg" as the URL's scheme, or "host", "port", "user",
    "password" or "name" alone."""
    volumes: Annotated[tuple[Volume, ...], AfterValidator(_paths_differ)] = ()
    base_path: values.HttpPath | Literal[""] = ""
    """A frontend's pages, and /api/ for its browser side, lie below it (Next.js: basePath)."""
    routes: tuple[values.HttpPath, ...] = ()
    """Asked under load and in the drills, beside those that an OpenAPI document lists."""
    keep_alive: values.Duration = 60.0
    """How long an idle connection stays open: as long as a load balancer keeps its side."""
    migrate: Command = ()
    """The image's command that makes its database's tables, as the chart's migration runs it."""
    lint: bool = True
    """Whether `nox -s lint` runs its own linters: ruff and mypy, or npm's scripts lint and typecheck."""
    budgets: Budgets
    build: ContainerBuild = ContainerBuild()

    @property
    def build_image(self) -> str:
        """The image of the build stage."""
        return self.builder or self.base

    @property
    def interpreter(self) -> tuple[str, str]:
        """The program and option that run one line of code inside the image."""
        python = self.runtime is Runtime.PYTHON or self.kind is Kind.BACKEND
        return ("python", "-c") if python else ("node", "-e")

    def well(self, status: int) -> bool:
        """Whether the status of an answer on a health path says that all is in order."""
        return status == 200

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
    def _consistent(self) -> Self:
        for variable in self.connects:
            if variable not in self.environment.required:
                raise at("is not among environment.required", "connects", variable)
        for variable in self.connects_as:
            if variable not in self.connects:
                raise at("is not among connects", "connects-as", variable)
        if self.base_path and self.kind is not Kind.FRONTEND:
            raise at("is a frontend's alone: state full paths here", "base-path")
        if self.base_path.endswith("/"):
            raise at('ends with a slash; write it as Next.js takes it: "/shop"', "base-path")
        return self

    @model_validator(mode="after")
    def _has_what_its_kind_has(self) -> Self:
        for key, wrong in misplaced(self.kind, self.model_dump(exclude_unset=True, by_alias=True)):
            raise at(wrong, *key.split("."))
        return self


class ServiceKind(StrEnum):
    """What a service is, and so how a smoke test starts it and what its URL looks like."""

    POSTGRESQL = "postgresql"


class Service(Entry):
    """Something the containers need and this project does not build."""

    kind: ServiceKind
    """What it is, and so how a smoke test starts it and what its URL looks like."""
    image: values.Image
    """What the compose file and the smoke test start it from."""
    port: values.Port
    """What it listens on."""


class Tools(Entry):
    """Programs of your own in place of those that the sessions install.

    A path (relative to the project, absolute, or from ~ on), or a name that is looked up on PATH.
    """

    trivy: values.LocalFile | Literal[""] = ""
    """For `nox -s scan` and `nox -s chart`; when left out, the one of the locked package."""
    hadolint: values.LocalFile | Literal[""] = ""
    """For `nox -s lint`; when left out, the one of the locked package."""


class Release(Entry):
    """What a release pushes besides images of its own version."""

    moving_tags: bool = True
    """Whether X.Y, X and latest follow the highest version; false where tags are immutable."""
    charts: values.Registry = ""
    """Where charts go, host[:port]/path, to which the chart's name is added. When left out:
    `charts` below the registry, and on Docker Hub, whose names have two levels, beside the images."""


# Wherever they are: written by a program, or somebody else's sources.
_NOBODYS = {".nox", ".git", "node_modules"}


def _check_folder(folder: str, files: Files, *place: str) -> None:
    # Some file systems tell no capitals from small letters.
    inside = f"{folder}/".casefold()
    kept = tuple(f"{name}/".casefold() for name in (files.tools, files.chart, REPORTS))
    if inside.startswith(kept) or _NOBODYS & {*inside.split("/")}:
        raise at(
            f"the folder {folder!r} is none for sources: other files are written or kept there; "
            "set context to another one",
            *place,
        )


class Project(Entry):
    """The whole of taskflow.toml."""

    format: Literal[1] = Field(default=FORMAT, alias="schema")
    """The format of this file; a tool reads its own."""
    name: values.Label
    """What the names of images, containers and the chart begin with."""
    title: values.Title
    """The project's name for people, in the images' labels."""
    version: values.Version
    """The version of the next images; `invoke release` raises it."""
    registry: values.Registry = ""
    """Where images go, host[:port]/path; when left out they stay on this machine."""
    source: values.Source = ""
    """URL of the source repository, for the labels."""
    tag_prefix: values.TagPrefix | None = None
    """What stands before the version in a git tag; by default `v`, in a subfolder of a repository `<name>-v`."""
    containers: dict[values.Label, Container] = Field(min_length=1)
    """The images of this project, each by its name."""
    services: dict[values.Label, Service] = {}
    """What the containers need and this project does not build, each by its name."""
    files: Files = Files()
    build: Build = Build()
    scan: Scan = Scan()
    tools: Tools = Tools()
    release: Release = Release()
    signature: Signature = Signature()
    waivers: tuple[Waiver, ...] = ()

    @model_validator(mode="after")
    def _references(self) -> Self:
        if both := self.containers.keys() & self.services.keys():
            raise at("a container and a service share this name", "services", min(both))
        for number, waiver in enumerate(self.waivers):
            if waiver.container and waiver.container not in self.containers:
                wrong = f"there is no container {waiver.container!r}"
                raise at(wrong, "waivers", number, "container")
        for name, container in self.containers.items():
            place = ("containers", name, *(["context"] if container.context else []))
            _check_folder(self.context(name), self.files, *place)
            for variable, target in container.connects.items():
                place = ("containers", name, "connects", variable)
                if target == name:
                    raise at(
                        f"{name!r} is this very container; name another one, or a service", *place
                    )
                if target in self.containers and not self.containers[target].kind.serves:
                    kind = self.containers[target].kind
                    raise at(f"{target!r} has no port to connect to: it is a {kind}", *place)
                # A backend kept in another repository is reached by URL, not by name.
                known = target in self.containers or target in self.services
                if not known and not values.is_url(target):
                    raise at(
                        f"{target!r} is neither a container, a service nor an http(s) URL", *place
                    )
        return self

    def image(self, container: str) -> str:
        """The image's name without a tag: [registry/]name-container."""
        return f"{self.registry}/{self.name}-{container}".lstrip("/")

    def context(self, container: str) -> str:
        """The build folder, relative to the project."""
        return self.containers[container].context or container

    def dockerfile(self, container: str) -> str:
        """The Dockerfile, relative to the project."""
        own = self.containers[container].dockerfile
        return own or (PurePosixPath(self.context(container)) / "Dockerfile").as_posix()

    def select(self, names: Sequence[str]) -> dict[str, Container]:
        """The named containers, or all; raises UsageError for an unknown name."""
        if unknown := [name for name in names if name not in self.containers]:
            raise UsageError(
                f"unknown container: {', '.join(unknown)}",
                f"{FILE_NAME} has: {', '.join(self.containers)}",
            )
        return {name: self.containers[name] for name in names or self.containers}
