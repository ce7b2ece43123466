"""Versions, one place for them: SemVer, what the commits ask for, and an image's tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import total_ordering

from taskflow_containers.machine.errors import InputError
from taskflow_containers.project.model import SEMVER, VERSION_LENGTH

TAG_PREFIX = "v"
# The grammar of a tag in the OCI distribution specification; `+` is not in it.
OCI_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
# What both SemVer and PEP 440 read, so that pyproject.toml and `copier update` can too.
_PRE_RELEASE = re.compile(r"(a|b|c|rc|alpha|beta|pre|preview|dev)(\.?\d+)?", re.ASCII)


class Bump(IntEnum):
    """Which part of a version grows; ordered, so that the greatest demand wins."""

    PATCH = 1
    MINOR = 2
    MAJOR = 3


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version without build metadata, ordered by precedence (SemVer 2.0, section 11)."""

    major: int
    minor: int
    patch: int
    pre: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Version:
        """Raises InputError for anything but X.Y.Z or X.Y.Z-pre.release."""
        if not re.fullmatch(SEMVER, text, re.ASCII):
            raise InputError(
                f"{text!r} is not a version to release",
                "write X.Y.Z or X.Y.Z-rc.1; `+` is no legal character of an image tag",
            )
        if len(text) > VERSION_LENGTH or text[-1] == "-":
            raise InputError(
                f"{text[:40]!r} is no value of a Kubernetes label, which the chart makes of it",
                f"use up to {VERSION_LENGTH} characters, the last one a letter or digit",
            )
        numbers, _, pre = text.partition("-")
        major, minor, patch = map(int, numbers.split("."))
        return cls(major, minor, patch, tuple(pre.split(".")) if pre else ())

    @classmethod
    def of_tag(cls, tag: str) -> Version | None:
        """The version in a git tag such as v1.2.3; None for any other tag."""
        text = tag.removeprefix(TAG_PREFIX)
        try:
            return cls.parse(text) if text != tag else None
        except InputError:
            return None

    def __str__(self) -> str:
        numbers = f"{self.major}.{self.minor}.{self.patch}"
        return f"{numbers}-{'.'.join(self.pre)}" if self.pre else numbers

    def _key(self) -> tuple[object, ...]:
        pre = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre)
        return self.major, self.minor, self.patch, not self.pre, pre

    def __lt__(self, other: Version) -> bool:
        return self._key() < other._key()

    @property
    def tag(self) -> str:
        """The git tag, which PEP 440 (and so `copier update`) reads too."""
        return f"{TAG_PREFIX}{self}"

    @property
    def stable(self) -> bool:
        """Whether this is no pre-release."""
        return not self.pre

    @property
    def pep440(self) -> bool:
        """Whether Python's packaging tools read it as well."""
        return not self.pre or bool(_PRE_RELEASE.fullmatch(".".join(self.pre)))

    def bumped(self, bump: Bump) -> Version:
        """The next version; a pre-release becomes the release it announces where that suffices."""
        base = Version(self.major, self.minor, self.patch)
        announces = (
            Bump.PATCH if self.patch else Bump.MINOR if self.minor or not self.major else Bump.MAJOR
        )
        if self.pre and bump <= announces:
            return base
        return {
            Bump.MAJOR: Version(self.major + 1, 0, 0),
            Bump.MINOR: Version(self.major, self.minor + 1, 0),
            Bump.PATCH: Version(self.major, self.minor, self.patch + 1),
        }[bump]


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit's hash and whole message, read as a Conventional Commit (1.0.0)."""

    sha: str
    message: str

    _HEADER = re.compile(
        r"(?P<type>\w+)(\((?P<scope>[^()\n]*)\))?(?P<breaking>!)?: +(?P<text>\S.*)"
    )

    def _part(self, name: str) -> str:
        match = self._HEADER.match(self.message)
        return (match[name] or "") if match else ""

    @property
    def type(self) -> str:
        """`feat`, `fix` and so on; a revert made by git is `revert`; else empty."""
        return "revert" if self.message.startswith('Revert "') else self._part("type").lower()

    @property
    def scope(self) -> str:
        """What the change is about, or empty."""
        return self._part("scope")

    @property
    def text(self) -> str:
        """The subject without type and scope."""
        return self._part("text") or self.message.split("\n", 1)[0]

    @property
    def breaking(self) -> str:
        """What breaks, in one line; empty when nothing does."""
        footer = re.search(r"^BREAKING[ -]CHANGE: +(.+)", self.message, re.MULTILINE)
        return footer[1] if footer and self.type else self.text if self._part("breaking") else ""

    @property
    def bump(self) -> Bump | None:
        """What this commit asks for; None when users do not notice it."""
        if self.breaking:
            return Bump.MAJOR
        return {"feat": Bump.MINOR, **dict.fromkeys(("fix", "perf", "revert"), Bump.PATCH)}.get(
            self.type
        )


def demanded(commits: Iterable[Commit], last: Version) -> tuple[Bump | None, str]:
    """What the commits since `last` ask for, and why.

    Before 1.0.0 a breaking change is a minor step: that the interface is stable is for a person
    to say (`--bump major`).
    """
    asking = [commit for commit in commits if commit.bump]
    if not asking:
        return None, ""
    chief = max(asking, key=lambda commit: commit.bump or 0)
    bump = chief.bump
    if bump is Bump.MAJOR and last.major == 0:
        bump = Bump.MINOR
    word = "breaking change" if chief.breaking else chief.type
    count = sum(commit.bump == chief.bump for commit in asking)
    others = f" and {count - 1} more" if count > 1 else ""
    return bump, f"{word}: {chief.breaking or chief.text} ({chief.sha[:7]}){others}"


def development(
    last: Version | None, declared: Version, commits: Sequence[Commit], sha: str
) -> str:
    """The version of a build between releases: X.Y.Z-dev.N.g<sha>, N commits after the last tag.

    X.Y.Z is the next release as the commits ask for it, and at least a patch.
    """
    if last is None:
        target = Version(declared.major, declared.minor, declared.patch)
    else:
        target = last.bumped(demanded(commits, last)[0] or Bump.PATCH)
    return f"{target}-dev.{len(commits)}.g{sha[:12]}"


def image_tags(version: Version, released: Iterable[Version]) -> list[str]:
    """X.Y.Z and those of X.Y, X and `latest` that move to it: where it is the highest stable one.

    Raises:
        InputError: the version is longer than a tag may be.
    """
    stable = [other for other in released if other.stable and other != version]
    tags = [legal(str(version))]
    if not version.stable:
        return tags
    for name, rivals in (
        (f"{version.major}.{version.minor}",
         [o for o in stable if (o.major, o.minor) == (version.major, version.minor)]),
        (f"{version.major}", [o for o in stable if o.major == version.major]),
        ("latest", stable),
    ):  # fmt: skip
        if all(rival < version for rival in rivals):
            tags.append(name)
    return tags


def legal(tag: str) -> str:
    """The tag itself; raises InputError where a registry would refuse it."""
    if not OCI_TAG.fullmatch(tag):
        raise InputError(f"{tag!r} is not a legal image tag", "take a shorter pre-release name")
    return tag
