"""What git says of the work tree, its history and its remote."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from taskflow_containers.machine.errors import EnvironmentTrouble, InputError, Refused
from taskflow_containers.machine.process import Completed, last_line, masked, run, trouble
from taskflow_containers.release.versions import Commit, Version


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit; `dirty` when the work tree differs from it, `time` in UTC."""

    sha: str
    dirty: bool
    time: datetime

    @property
    def text(self) -> str:
        """As the image labels state it."""
        return f"{self.sha}-dirty" if self.dirty else self.sha

    @property
    def tag(self) -> str:
        """The development tag of this commit."""
        return commit_tag(self.sha)


def commit_tag(sha: str) -> str:
    """The development tag of a commit's images."""
    return f"sha-{sha[:12]}"


def revision(root: Path) -> Revision | None:
    """The commit `root` is at, or None where there is no git or no commit."""
    try:
        shown = run(["git", "-C", root, "log", "-1", "--no-show-signature", "--format=%H %ct"])
        status = run(["git", "-C", root, "status", "--porcelain", "--untracked-files=normal"])
    except EnvironmentTrouble:
        return None
    if shown.returncode or status.returncode:
        return None
    sha, seconds = shown.stdout.split()
    return Revision(sha, bool(status.stdout.strip()), datetime.fromtimestamp(int(seconds), UTC))


def require_revision(root: Path) -> Revision:
    """The commit `root` is at; raises InputError where there is no git or no commit."""
    if found := revision(root):
        return found
    raise InputError(
        f"{root} is no git repository with a commit", "git init && git add --all && git commit"
    )


@dataclass(frozen=True, slots=True)
class Remote:
    """What a remote has: its default branch and every ref's object (tags peeled to commits)."""

    name: str
    head: str
    refs: Mapping[str, str]

    @property
    def versions(self) -> dict[Version, str]:
        """Released versions and their commits."""
        return _versions(self.refs)


@dataclass(frozen=True, slots=True)
class Repository:
    """A work tree that has at least one commit; `environment` is set for every command."""

    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def at(cls, root: Path) -> Repository:
        """Raises InputError where there is no repository, or no commit in it."""
        require_revision(root)
        return cls(root)

    def ask(self, *words: str | Path) -> Completed:
        """Run git in English, never asking for a password where nobody can answer."""
        quiet = {} if sys.stdin.isatty() else {"GIT_TERMINAL_PROMPT": "0"}
        env = {"LC_ALL": "C", **quiet, **self.environment}
        return run(["git", "-C", self.root, *words], env=env, timeout=600)

    def setting(self, key: str, *how: str) -> str:
        """What git's settings say of a key; empty where they say nothing."""
        return self.ask("config", *how, "--get", key).stdout.strip()

    def git(self, *words: str | Path) -> str:
        """Run git and return what it prints, stripped; raises EnvironmentTrouble when it fails."""
        done = self.ask(*words)
        if done.returncode:
            raise EnvironmentTrouble(
                f"git {words[0]} failed: {last_line(masked(done.stderr or done.stdout))}",
                f"git says more: {masked(done.stderr.strip())[:600]}" if done.stderr else "",
            )
        return done.stdout.strip()

    def obey(self, *words: str | Path) -> None:
        """Change something.

        Raises:
            Refused: git or a hook says no.
            EnvironmentTrouble: the machine stood in the way.
        """
        done = self.ask(*words)
        if done.returncode == 0:
            return
        said = masked((done.stderr.strip() or done.stdout.strip())[-600:])
        # Git does not always say why it could not write.
        full = shutil.disk_usage(self.root).free < 2**16
        raise trouble("no space left on device: " * full + said) or Refused(
            f"git {words[0]} was refused: {said or 'without a word, as a hook does'}",
            "see what it says",
        )

    @property
    def head(self) -> str:
        """The commit that is checked out."""
        return self.git("rev-parse", "HEAD")

    @property
    def branch(self) -> str:
        """The branch that is checked out; empty when HEAD is detached."""
        return self.ask("symbolic-ref", "--quiet", "--short", "HEAD").stdout.strip()

    def require_whole(self) -> None:
        """Raises InputError where history was cut off, so that tags and commits are missing."""
        if self.git("rev-parse", "--is-shallow-repository") == "true":
            raise InputError(
                "this clone is shallow: the last release cannot be told from it",
                "git fetch --unshallow --tags (in CI: fetch-depth: 0, or GIT_DEPTH: 0)",
            )

    @property
    def changes(self) -> list[str]:
        """What differs from HEAD, new files included, as `git status --short` lists it."""
        found = self.ask("status", "--porcelain", "--untracked-files=normal", "--no-branch")
        return found.stdout.rstrip().splitlines()

    def commit(self, name: str) -> str:
        """The commit a name stands for; empty when there is no such thing here."""
        return self.ask("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").stdout.strip()

    def contains(self, ancestor: str, commit: str) -> bool:
        """Whether `commit` has `ancestor` in its history."""
        return self.ask("merge-base", "--is-ancestor", ancestor, commit).returncode == 0

    def versions(self, merged: str = "") -> dict[Version, str]:
        """Versions tagged here, or only those in a commit's history, with their commits."""
        lines = self.git(
            "for-each-ref", "--format=%(refname) %(objectname) %(*objectname)",
            *([f"--merged={merged}"] if merged else []), "refs/tags",
        ).splitlines()  # fmt: skip
        return _versions({parts[0]: parts[-1] for line in lines if (parts := line.split())})

    def commits(self, since: str = "", until: str = "HEAD") -> list[Commit]:
        """The commits after `since` (all when empty), newest first, without merges."""
        log = self.git(
            "log", "--no-merges", "--no-show-signature", "-z", "--format=%H%n%B",
            f"{since}..{until}" if since else until,
        )  # fmt: skip
        return [Commit(*entry.split("\n", 1)) for entry in log.split("\0") if entry]

    def remote(self, name: str) -> Remote:
        """Look at a remote.

        Raises:
            InputError: there is no remote of that name.
            EnvironmentTrouble: it cannot be reached, which says nothing about its tags.
        """
        if self.ask("remote", "get-url", name).returncode:
            raise InputError(f"there is no remote {name!r}", f"git remote add {name} URL")
        done = self.ask("ls-remote", "--symref", name)
        if done.returncode:
            raise EnvironmentTrouble(
                f"the remote {name} cannot be reached: {last_line(masked(done.stderr))}",
                f"`git ls-remote {name}` must work: network, URL, key or token",
            )
        refs: dict[str, str] = {}
        head = ""
        for line in done.stdout.splitlines():
            value, ref = line.split("\t")
            if value.startswith("ref: "):
                head = value.removeprefix("ref: refs/heads/") if ref == "HEAD" else head
            else:
                # The peeled line follows its tag's and takes its place.
                refs[ref.removesuffix("^{}")] = value
        return Remote(name, head, refs)


def _versions(refs: Mapping[str, str]) -> dict[Version, str]:
    return {
        version: commit
        for ref, commit in refs.items()
        if ref.startswith("refs/tags/") and (version := Version.of_tag(ref[len("refs/tags/") :]))
    }
