"""One release under way, and what a step of it is: prints, does, checks and takes back itself."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from taskflow_containers.engine import client as engine
from taskflow_containers.machine.errors import TaskflowError
from taskflow_containers.machine.process import Say
from taskflow_containers.release import registry
from taskflow_containers.release.git import Repository, commit_tag
from taskflow_containers.release.journal import Journal
from taskflow_containers.release.plan import Plan
from taskflow_containers.release.versions import Version
from taskflow_containers.report import REPORTS

_Parameters = ParamSpec("_Parameters")
_Value = TypeVar("_Value")


@dataclass
class Release:
    """One release under way: the plan, its journal, and the means to carry it out."""

    root: Path
    plan: Plan
    journal: Journal
    say: Say

    @cached_property
    def repository(self) -> Repository:
        """The work tree."""
        return Repository.at(self.root)

    @cached_property
    def engine(self) -> engine.Engine:
        """The engine that has the images."""
        return engine.find(self.plan.engine)

    @property
    def version(self) -> Version:
        """What is released."""
        return Version.parse(self.plan.version)

    @property
    def commit(self) -> str:
        """The release commit, once there is one."""
        return str(self.journal.data.get("commit", ""))

    @property
    def sha_tag(self) -> str:
        """The development tag of the release commit."""
        return commit_tag(self.commit)

    @property
    def images(self) -> dict[str, dict[str, Any]]:
        """Container → ID, repository, digest and tags, as far as they are known."""
        return dict(self.journal.data.get("images", {}))

    @property
    def folder(self) -> Path:
        """Where the files of this release go: notes, SBOMs, provenance, chart."""
        return self.root / REPORTS / f"release-{self.plan.version}"

    def file(self, name: str, text: str) -> Path:
        """Write one of them."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")
        return self.folder / name

    @contextmanager
    def checkout(self, commit: str) -> Iterator[Path]:
        """A work tree of its own at a commit; the person's stays untouched."""
        self.remove_checkout()
        folder = Path(tempfile.gettempdir(), f"taskflow-release-{uuid.uuid4().hex}")
        self.journal.note(checkout=str(folder))
        folder.mkdir(mode=0o700)
        try:
            self.repository.obey("worktree", "add", "--quiet", "--detach", folder / "tree", commit)
            yield folder / "tree" / self.repository.git("rev-parse", "--show-prefix")
        finally:
            self.remove_checkout()

    def remove_checkout(self) -> None:
        """Remove what `checkout` made, also when it was killed."""
        if folder := self.journal.data.get("checkout"):
            self.repository.ask("worktree", "remove", "--force", "--force", Path(folder, "tree"))
            shutil.rmtree(folder, ignore_errors=True)
            self.repository.ask("worktree", "prune")
            self.journal.note(checkout="")


class Step(ABC):
    """One action. `do` may run again after a kill: it looks first and does what is missing."""

    id: str
    public = False  # whether others can see its effect

    def __init__(self, release: Release) -> None:
        self.release = release
        self.plan = release.plan
        self.repository = release.repository

    def patiently(
        self,
        act: Callable[_Parameters, _Value],
        *args: _Parameters.args,
        **kwargs: _Parameters.kwargs,
    ) -> _Value:
        """Call, and call again when the network or the other side was in trouble."""
        return registry.retried(partial(act, *args, **kwargs), self.release.say)

    @abstractmethod
    def describe(self) -> tuple[str, str]:
        """What it does, and the reason."""

    @abstractmethod
    def do(self) -> None:
        """Do it, or what is missing of it."""

    def broken(self) -> str:
        """Why a finished step no longer holds; empty when it does."""
        return ""

    def undo(self) -> list[str]:
        """Take back what is local; what remains, with the command that removes it."""
        return []


def sha256(content: bytes) -> str:
    """A digest, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def remaining(name: str, tags: list[str], digest: str = "") -> list[str]:
    """The tags that a repository has (and that mean that digest, if one is given)."""
    there = registry.Repository(name)
    try:
        found = {tag: there.digest(tag) for tag in tags}
        return [f"{name}:{tag}" for tag in tags if found[tag] and digest in found[tag]]
    except TaskflowError as error:
        return [f"perhaps {name}:{tag}: {error.message}" for tag in tags]
