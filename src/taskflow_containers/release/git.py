"""What git says of the work tree, its history and its remote."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from taskflow_containers.machine.errors import EnvironmentTrouble, InputError, Refused
from taskflow_containers.machine.process import Completed, last_line, masked, run, trouble
from taskflow_containers.release.versions import TAG_PREFIX, Commit, Version


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
    if not shutil.which("git"):
        raise EnvironmentTrouble("git is not installed", "install it: apt install git")
    raise InputError(
        f"{root} is no git repository with a commit",
        "git init -b main && git add --all && git commit",
    )


@dataclass(frozen=True, slots=True)
class Remote:
    """What a remote has: its default branch and every ref's object (tags peeled to commits)."""

    name: str
    head: str
    refs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Repository:
    """A work tree, or a folder of one, that has at least one commit.

    `prefix` begins the tags of this project, `environment` is set for every command, and `settings`
    are options that stand before each.
    """

    root: Path
    prefix: str = TAG_PREFIX
    environment: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[str, ...] = ()

    @classmethod
    def at(cls, root: Path, prefix: str = TAG_PREFIX) -> Repository:
        """Raises InputError where there is no repository, or no commit in it."""
        require_revision(root)
        return cls(root, prefix)

    def ask(self, *words: str | Path) -> Completed:
        """Run git in English, never asking for a password where nobody can answer."""
        quiet = {} if sys.stdin.isatty() else {"GIT_TERMINAL_PROMPT": "0"}
        env = {"LC_ALL": "C", **quiet, **self.environment}
        return run(["git", "-C", self.root, *self.settings, *words], env=env, timeout=600)

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
    def folder(self) -> str:
        """Where this project is in its repository, ending in a slash; empty at the top."""
        return _folder(self.root)

    def tag(self, version: Version) -> str:
        """The git tag of a version of this project."""
        return f"{self.prefix}{version}"

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

    @property
    def files(self) -> set[str]:
        """The files of this folder that git tracks, by their paths below it."""
        return {*self.git("ls-files", "-z").split("\0")}

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
        return self.tagged({parts[0]: parts[-1] for line in lines if (parts := line.split())})

    def tagged(self, refs: Mapping[str, str]) -> dict[Version, str]:
        """The versions of this project among refs, and their commits."""
        top = "refs/tags/"
        return {
            version: commit
            for ref, commit in refs.items()
            if ref.startswith(top) and (version := Version.of_tag(ref[len(top) :], self.prefix))
        }

    def commits(self, since: Version | None = None, until: str = "HEAD") -> list[Commit]:
        """The commits after a released version (all without one), newest first, without merges.

        Of a project in a subfolder only those count that touch it.
        """
        log = self.git(
            "log", "--no-merges", "--no-show-signature", "-z", "--format=%H%n%B",
            f"refs/tags/{self.tag(since)}..{until}" if since else until,
            *(["--full-history", "--", "."] if self.folder else []),
        )  # fmt: skip
        return [Commit(*entry.split("\n", 1)) for entry in log.split("\0") if entry]

    def submodules(self, commit: str) -> Iterator[tuple[str, Repository, str]]:
        """The submodules below this folder, nested ones too: path, repository here, and commit.

        Raises:
            InputError: one is not here, or not with that commit.
        """
        for line in self.git("ls-tree", "-r", "-z", commit).split("\0"):
            mode, _, rest = line.partition(" ")
            if mode != "160000":
                continue
            sha, _, path = rest.removeprefix("commit ").partition("\t")
            there = Repository(self.root / path)
            if not (self.root / path / ".git").exists() or there.commit(sha) != sha:
                raise InputError(
                    f"the submodule {path} is not here as {commit[:7]} wants it",
                    "git submodule update --init --recursive",
                )
            yield path, there, sha
            for below, nested, its in there.submodules(sha):
                yield f"{path}/{below}", nested, its

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


def _folder(root: Path) -> str:
    return run(["git", "-C", root, "rev-parse", "--show-prefix"]).stdout.strip()


def tag_prefix(root: Path, stated: str | None, name: str) -> str:
    """What begins a project's tags: what it states, else its name where the repository has others."""
    if stated is not None:
        return stated
    return f"{name}-{TAG_PREFIX}" if _folder(root) else TAG_PREFIX


def as_stored(root: Path, **environment: str) -> Repository:
    """A checkout whose files are, byte for byte, what git stores, whatever line ends are set here."""
    words = ("core.autocrlf=false", "core.eol=lf", "core.safecrlf=false")
    settings = tuple(part for word in words for part in ("-c", word))
    return Repository(root, environment=environment, settings=settings)
