"""What a command works on: the project in its folder, the engine, and each container's image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.process import Say
from taskflow_containers.project.model import Container, Project


def _unheard(_: str) -> None:
    """Keep a note from a report that nobody writes."""


@dataclass(frozen=True, slots=True)
class Target:
    """A container on its way to a verdict."""

    name: str
    container: Container  # its entry in taskflow.toml
    folder: Path  # its build context
    image: str = ""  # the ID that the engine runs, saves and pushes it by; "" before it is built

    @classmethod
    def of(cls, root: Path, project: Project, name: str, image: str = "") -> Target:
        """The container of this name in a project."""
        return cls(name, project.containers[name], root / project.context(name), image)


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where a command works, with what, and how it speaks."""

    root: Path
    project: Project
    engine: Engine
    say: Say = print  # what goes on
    note: Say = _unheard  # what belongs into the report
    handed: Mapping[str, str] = field(
        default_factory=dict
    )  # variables for every container, with values

    def target(self, name: str, image: str = "") -> Target:
        """The container of this name, with the image that is to be judged."""
        return Target.of(self.root, self.project, name, image)
