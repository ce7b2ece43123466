"""A release that is under way, and what a step of it is: prints, does, checks and takes back itself."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from taskflow_containers.engine.client import Engine
from taskflow_containers.engine.find import find
from taskflow_containers.machine.errors import TaskflowError
from taskflow_containers.machine.process import Say
from taskflow_containers.release.git import Repository, as_stored
from taskflow_containers.release.journal import Journal
from taskflow_containers.release.registry import ImageRepository
from taskflow_containers.release.versions import Version
from taskflow_containers.release.web import retried
from taskflow_containers.report import REPORTS

_Value = TypeVar("_Value")


class OpenRelease:
    """One release under way: its state, the journal that keeps it, and the means to go on."""

    def __init__(self, root: Path, journal: Journal, say: Say) -> None:
        self.root, self.journal, self.say = root, journal, say
        self.state, self.plan = journal.state, journal.state.plan
        self.version = Version.parse(self.plan.version)
        self.repository = Repository.at(root, self.plan.product.tag_prefix)
        # Where the files of this release go: notes, SBOMs, provenance, chart.
        self.folder = root / REPORTS / f"release-{self.plan.version}"

    @cached_property
    def engine(self) -> Engine:
        """The engine that has the images."""
        return find(self.plan.engine)

    def repository_of(self, name: str) -> ImageRepository:
        """A repository of a registry, with the logins of the engine that pushes."""
        return ImageRepository(name, self.plan.client)

    def file(self, name: str, text: str) -> Path:
        """Write a file of this release."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")
        return self.folder / name

    @contextmanager
    def checkout(self, commit: str) -> Iterator[Path]:
        """A work tree of its own at a commit; the person's stays untouched."""
        self.remove_checkout()
        folder = Path(tempfile.gettempdir(), f"taskflow-release-{uuid.uuid4().hex}")
        self.state.checkout = str(folder)
        self.journal.write()
        folder.mkdir(mode=0o700)
        try:
            words = ("worktree", "add", "--quiet", "--detach", folder / "tree", commit)
            as_stored(self.root).obey(*words)
            tree = folder / "tree" / self.repository.folder
            # Git leaves submodules out of a work tree: their files come from the clones that are here.
            for path, there, sha in self.repository.submodules(commit):
                source = as_stored(there.root, GIT_INDEX_FILE=str(folder / "index"))
                source.obey("read-tree", sha)
                source.obey("checkout-index", "--all", f"--prefix={tree / path}/")
            yield tree
        finally:
            self.remove_checkout()

    def remove_checkout(self) -> None:
        """Remove what `checkout` made, also when it was killed."""
        if folder := self.state.checkout:
            self.repository.ask("worktree", "remove", "--force", "--force", Path(folder, "tree"))
            shutil.rmtree(folder, ignore_errors=True)
            self.repository.ask("worktree", "prune")
            self.state.checkout = ""
            self.journal.write()


class Step(ABC):
    """One action. `do` may run again after a kill: it looks first and does what is missing.

    What it leaves for later steps it writes into the state, which is kept as soon as it is done.
    """

    id: str
    public = False  # whether others can see its effect

    def __init__(self, release: OpenRelease) -> None:
        self.release, self.repository = release, release.repository
        self.state, self.plan = release.state, release.plan

    def patiently(self, act: Callable[[], _Value]) -> _Value:
        """Call, and call again when the network or the other side was in trouble."""
        return retried(act, self.release.say)

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


def remaining(there: ImageRepository, tags: list[str], digest: str = "") -> list[str]:
    """The tags that a repository has (and that mean that digest, if one is given)."""
    name = there.name
    try:
        found = {tag: there.digest(tag) for tag in tags}
        return [f"{name}:{tag}" for tag in tags if found[tag] and digest in found[tag]]
    except TaskflowError as error:
        return [f"perhaps {name}:{tag}: {error.message}" for tag in tags]
