"""Versions, one place for them: SemVer, what the commits ask for, and an image's tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import semver

from taskflow_containers.machine.errors import InputError
from taskflow_containers.project.values import VERSION_LENGTH

# A git tag is v1.2.3, which PEP 440 (and so `copier update`) reads too.
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


class Version(semver.Version):
    """A semantic version (SemVer 2.0) that git, image registries, Helm and Kubernetes all take."""

    __slots__ = ()

    @classmethod
    def parse(cls, version: str | bytes, optional_minor_and_patch: bool = False) -> Self:  # noqa: ARG003
        """Raises InputError for anything but X.Y.Z or X.Y.Z-pre.release."""
        text = str(version)
        with suppress(ValueError):
            found = super().parse(text)
            # The chart makes a Kubernetes label of it. Old releases of semver read any script's digits.
            fits = len(text) <= VERSION_LENGTH and not text.endswith("-") and str(found) == text
            if fits and not found.build:
                return found
        raise InputError(
            f"{text[: VERSION_LENGTH + 1]!r} is not a version to release",
            f"write X.Y.Z or X.Y.Z-rc.1, in up to {VERSION_LENGTH} characters, the last one a letter "
            "or digit; `+` is no legal character of an image tag",
        )

    @classmethod
    def of_tag(cls, tag: str, prefix: str = TAG_PREFIX) -> Self | None:
        """The version in a git tag such as v1.2.3; None for any other tag."""
        with suppress(InputError):
            return cls.parse(tag.removeprefix(prefix)) if tag.startswith(prefix) else None
        return None

    @property
    def stable(self) -> bool:
        """Whether this is no pre-release."""
        return not self.prerelease

    @property
    def pep440(self) -> bool:
        """Whether Python's packaging tools read it as well."""
        return not self.prerelease or bool(_PRE_RELEASE.fullmatch(self.prerelease))

    def bumped(self, bump: Bump) -> Version:
        """The next version; a pre-release becomes the release it announces where that suffices."""
        if bump is Bump.MAJOR and not self.major:
            return Version(1)  # also after 0.0.0-rc.1: the interface is declared stable
        return Version(*self.next_version(bump.name.lower()).to_tuple())


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
        target = Version(*declared.to_tuple()[:3])
    else:
        target = last.bumped(demanded(commits, last)[0] or Bump.PATCH)
    return f"{target}-dev.{len(commits)}.g{sha[:12]}"


def image_tags(version: Version, released: Iterable[Version]) -> list[str]:
    """X.Y.Z and those of X.Y, X and `latest` that move to it: where it is the highest stable one.

    Raises:
        InputError: the version is longer than a tag may be.
    """
    tags = [legal(str(version))]
    stable = [other for other in released if other.stable and other != version]
    lines = (f"{version.major}.{version.minor}", f"{version.major}", "latest")
    for same, name in zip((2, 1, 0), lines, strict=True) if version.stable else ():
        # The versions that begin with the same numbers: two, one or none of them.
        rivals = [other for other in stable if other.to_tuple()[:same] == version.to_tuple()[:same]]
        if all(rival < version for rival in rivals):
            tags.append(name)
    return tags


def legal(tag: str) -> str:
    """The tag itself; raises InputError where a registry would refuse it."""
    if not OCI_TAG.fullmatch(tag):
        raise InputError(f"{tag!r} is not a legal image tag", "take a shorter pre-release name")
    return tag
