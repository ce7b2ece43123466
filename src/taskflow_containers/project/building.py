"""The tables of taskflow.toml that say how images are built."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from taskflow_containers.project import values
from taskflow_containers.project.entry import Entry, Origin, at, distinct


class ContainerBuild(Entry):
    """What the build of an image needs beside its context."""

    arguments: dict[values.Variable, values.VariableValue] = {}
    """Further build arguments (ARG); they stay in the image's history."""
    secrets: dict[values.SecretId, Origin] = {}
    """For RUN --mount=type=secret,id=…; nothing of them stays."""

    @model_validator(mode="after")
    def _arguments_are_free(self) -> Self:
        for name in OWN_ARGUMENTS & self.arguments.keys():
            raise at("is set by every build already", "arguments", name)
        return self


OWN_ARGUMENTS = {
    "BASE_IMAGE", "BUILDER_IMAGE", "TITLE", "VERSION", "REVISION", "CREATED", "SOURCE",
}  # fmt: skip


class Build(Entry):
    """How all images are built: for what platforms, by which builder, with what cache."""

    platforms: Annotated[tuple[values.Platform, ...], AfterValidator(distinct)] = ()
    """The engine's own if none is named."""
    builder: values.Builder = ""
    """One of `docker buildx ls`; the current one when left out."""
    cache_from: tuple[values.CachePlace, ...] = ()
    """Where builds read layers of earlier ones, as `docker buildx build --cache-from` takes it."""
    cache_to: tuple[values.CachePlace, ...] = ()
    """Where builds leave their layers, as `docker buildx build --cache-to` takes it."""

    @property
    def parts(self) -> tuple[str, ...]:
        """What an image is looked at by: each of several platforms, or "" for all there is."""
        return self.platforms if len(self.platforms) > 1 else ("",)
