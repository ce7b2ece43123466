"""The entries of taskflow.toml, and what must hold between them: the container data model."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from taskflow_containers.machine.errors import UsageError
from taskflow_containers.project import FILE_NAME, values
from taskflow_containers.project.entry import Entry, Origin
from taskflow_containers.project.scanning import Scan
from taskflow_containers.project.signature import Signature

FORMAT: Literal[1] = 1  # of taskflow.toml: what `schema` must be


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


def _at(message: str, *location: str | int) -> PydanticCustomError:
    """An error whose place is `location` below the entry that found it."""
    return PydanticCustomError("reference", "{message}", {"message": message, "at": location})


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"stated twice: {', '.join(twice)}")
    return names


class Health(Entry):
    """HTTP paths that answer 200: ready to serve, and alive (never asks a dependency)."""

    ready: values.HttpPath
    live: values.HttpPath


class Environment(Entry):
    """Variables the container reads (required, optional) and those the image sets (fixed)."""

    required: tuple[values.Variable, ...] = ()
    optional: tuple[values.Variable, ...] = ()
    fixed: dict[values.Variable, values.VariableValue] = {}

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        _distinct((*self.required, *self.optional, *self.fixed))
        return self


class Volume(Entry):
    """A declared folder; everything else in the container is read-only."""

    path: values.AbsolutePath
    access: Access


def _paths_differ(volumes: tuple[Volume, ...]) -> tuple[Volume, ...]:
    _distinct(tuple(volume.path for volume in volumes))
    return volumes


class ContainerBuild(Entry):
    """What the build of an image needs beside its context."""

    arguments: dict[values.Variable, values.VariableValue] = {}
    """Further build arguments (ARG); they stay in the image's history."""
    secrets: dict[values.SecretId, Origin] = {}
    """For RUN --mount=type=secret,id=…; nothing of them stays."""

    @model_validator(mode="after")
    def _arguments_are_free(self) -> Self:
        for name in _OWN_ARGUMENTS & self.arguments.keys():
            raise _at("is set by every build already", "arguments", name)
        return self


_OWN_ARGUMENTS = {
    "BASE_IMAGE", "BUILDER_IMAGE", "TITLE", "VERSION", "REVISION", "CREATED", "SOURCE",
}  # fmt: skip


class Build(Entry):
    """How all images are built: for what platforms, by which builder, with what cache."""

    platforms: Annotated[tuple[values.Platform, ...], AfterValidator(_distinct)] = ()
    """The engine's own if none is named."""
    builder: values.Builder = ""
    """One of `docker buildx ls`; the current one when left out."""
    cache_from: tuple[values.CachePlace, ...] = ()
    cache_to: tuple[values.CachePlace, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """What an image is looked at by: each of several platforms, or "" for all there is."""
        return self.platforms if len(self.platforms) > 1 else ("",)


class Budgets(Entry):
    """Limits a build or a smoke test holds the container to (bytes, seconds)."""

    size_above_base: values.Size
    start: values.Duration
    stop: values.Duration


class Container(Entry):
    """One image and how it runs; every level is checked against this entry."""

    kind: Kind
    context: values.Folder = ""
    """Build folder; the entry's own name when left out."""
    base: values.Image
    builder: values.Image | None = None
    """Build stage image; `base` if absent."""
    user: values.User
    port: values.Port
    memory: values.Memory
    health: Health
    environment: Environment = Environment()
    connects: dict[values.Variable, str] = {}
    """Variable that carries the URL of a container or service."""
    volumes: Annotated[tuple[Volume, ...], AfterValidator(_paths_differ)] = ()
    base_path: values.HttpPath | Literal[""] = ""
    """A frontend's pages, and /api/ for its browser side, lie below it (Next.js: basePath)."""
    routes: tuple[values.HttpPath, ...] = ()
    """Asked under load and in the drills, beside those that an OpenAPI document lists."""
    keep_alive: values.Duration = 60.0
    """How long an idle connection stays open: as long as a load balancer keeps its side."""
    migrate: tuple[str, ...] = ()
    """The image's command that makes its database's tables, as the chart's migration runs it."""
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
    def _consistent(self) -> Self:
        for variable in self.connects:
            if variable not in self.environment.required:
                raise _at("is not among environment.required", "connects", variable)
        if self.base_path and self.kind is not Kind.FRONTEND:
            raise _at("is a frontend's alone: state full paths here", "base-path")
        if self.base_path.endswith("/"):
            raise _at('ends with a slash; write it as Next.js takes it: "/shop"', "base-path")
        if not all(self.migrate) or " " in "".join(self.migrate[:1]):
            raise _at('names no program: write it as ["alembic", "upgrade", "head"]', "migrate")
        return self


class ServiceKind(StrEnum):
    """What a service is, and so how a smoke test starts it and what its URL looks like."""

    POSTGRESQL = "postgresql"


class Service(Entry):
    """Something the containers need and this project does not build."""

    kind: ServiceKind
    image: values.Image
    port: values.Port


class Tools(Entry):
    """Programs of your own in place of those that the sessions install.

    A path (relative to the project, absolute, or from ~ on), or a name that is looked up on PATH.
    """

    trivy: values.LocalFile | Literal[""] = ""
    hadolint: values.LocalFile | Literal[""] = ""


class Release(Entry):
    """What a release pushes besides images of its own version."""

    moving_tags: bool = True
    """Whether X.Y, X and latest follow the highest version; false where tags are immutable."""
    charts: values.Registry = ""
    """Where charts go, host[:port]/path, to which the chart's name is added. When left out:
    `charts` below the registry, and on Docker Hub, whose names have two levels, beside the images."""


class Waiver(Entry):
    """One finding of a check that is accepted until a day; other findings of it still fail."""

    check: values.CheckId
    container: values.Label | None = None
    """Only in this container; in each, if left out."""
    covers: values.Covered | None = None
    """The finding: its rule or CVE, its file, or both with a blank between.

    Needed where a check lists what it finds.
    """
    reason: values.Reason
    expires: date = Field(strict=True)
    """The last day that it holds (UTC), without quotes: 2027-01-31."""


# Written by the tool, removed by `invoke clean`, or somebody else's sources: at the top, …
_NOT_ITS_OWN = {"tools", "chart", "reports"}
# … and wherever they are.
_NOBODYS = {".nox", ".git", "node_modules"}


def _check_folder(folder: str, *place: str) -> None:
    # Some file systems tell no capitals from small letters.
    parts = folder.casefold().split("/")
    if folder == ".":
        raise _at(
            "the project's top folder is none for one container: tools/, reports/ and the other "
            "containers would be part of its build; move its sources into a folder of their own "
            "and name that",
            *place,
        )
    if parts[0] in _NOT_ITS_OWN or _NOBODYS & {*parts}:
        raise _at(
            f"the folder {folder!r} is none for sources: other files are written or kept there; "
            "set context to another one",
            *place,
        )


class Project(Entry):
    """The whole of taskflow.toml."""

    format: Literal[1] = Field(default=FORMAT, alias="schema")
    """The format of this file; a tool reads its own."""
    name: values.Label
    title: values.Title
    version: values.Version
    registry: values.Registry = ""
    source: values.Source = ""
    """URL of the source repository, for the labels."""
    tag_prefix: values.TagPrefix | None = None
    """What stands before the version in a git tag; by default `v`, in a subfolder of a repository `<name>-v`."""
    containers: dict[values.Label, Container] = Field(min_length=1)
    services: dict[values.Label, Service] = {}
    build: Build = Build()
    scan: Scan = Scan()
    tools: Tools = Tools()
    release: Release = Release()
    signature: Signature = Signature()
    waivers: tuple[Waiver, ...] = ()

    @model_validator(mode="after")
    def _references(self) -> Self:
        if both := self.containers.keys() & self.services.keys():
            raise _at("a container and a service share this name", "services", min(both))
        for number, waiver in enumerate(self.waivers):
            if waiver.container and waiver.container not in self.containers:
                wrong = f"there is no container {waiver.container!r}"
                raise _at(wrong, "waivers", number, "container")
        for name, container in self.containers.items():
            place = ("containers", name, *(["context"] if container.context else []))
            _check_folder(self.context(name), *place)
            for variable, target in container.connects.items():
                place = ("containers", name, "connects", variable)
                if target == name:
                    raise _at(
                        f"{name!r} is this very container; name another one, or a service", *place
                    )
                # A backend kept in another repository is reached by URL, not by name.
                known = target in self.containers or target in self.services
                if not known and not values.is_url(target):
                    raise _at(
                        f"{target!r} is neither a container, a service nor an http(s) URL", *place
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
        if unknown := [name for name in names if name not in self.containers]:
            raise UsageError(
                f"unknown container: {', '.join(unknown)}",
                f"{FILE_NAME} has: {', '.join(self.containers)}",
            )
        return {name: self.containers[name] for name in names or self.containers}
