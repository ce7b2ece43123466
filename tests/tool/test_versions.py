"""Versions: SemVer's own order, what Conventional Commits ask for, tags that a registry takes."""

from __future__ import annotations

import itertools
import random

import pytest

from taskflow_containers.machine.errors import InputError
from taskflow_containers.release.versions import (
    OCI_TAG,
    Bump,
    Commit,
    Version,
    demanded,
    development,
    image_tags,
)

# The example of SemVer 2.0, section 11, and its neighbours; ascending.
ORDER = [
    "0.0.1",
    "0.1.0-rc.1",
    "0.1.0",
    "0.9.0",
    "0.10.0",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.1",
    "1.2.0",
    "1.10.0",
    "2.0.0-0",
    "2.0.0-1",
    "2.0.0-a",
    "2.0.0",
]


def commit(message: str) -> Commit:
    return Commit("0123456789abcdef", message)


def test_order_is_semvers() -> None:
    versions = [Version.parse(text) for text in ORDER]
    shuffled = random.Random(1).sample(versions, len(versions))
    assert sorted(shuffled) == versions
    for low, high in itertools.pairwise(versions):
        assert low < high
        assert not high < low


@pytest.mark.parametrize("text", ORDER)
def test_a_version_reads_back(text: str) -> None:
    assert str(Version.parse(text)) == text
    assert Version.of_tag(f"v{text}") == Version.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.2",
        "v1.2.3",
        "01.2.3",
        "1.2.3-",
        "1.2.3-01",
        "1.2.3+meta",
        "1.2.3 ",
        "1.2.3\n",
        "1.2.3-٣",
        "١.2.3",
        "1.2.3-a-",
        f"1.2.3-{'a' * 58}",
        f"1.2.{'9' * 5000}",
    ],
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        Version.parse(text)
    assert Version.of_tag(text) is None or text == "v1.2.3"


@pytest.mark.parametrize(
    ("version", "patch", "minor", "major"),
    [
        ("1.2.3", "1.2.4", "1.3.0", "2.0.0"),
        ("0.1.0", "0.1.1", "0.2.0", "1.0.0"),
        ("1.2.3-rc.1", "1.2.3", "1.3.0", "2.0.0"),
        ("1.3.0-rc.1", "1.3.0", "1.3.0", "2.0.0"),
        ("2.0.0-rc.1", "2.0.0", "2.0.0", "2.0.0"),
        ("0.1.0-rc.1", "0.1.0", "0.1.0", "1.0.0"),
        ("0.0.0-rc.1", "0.0.0", "0.0.0", "1.0.0"),
    ],
)
def test_bumps(version: str, patch: str, minor: str, major: str) -> None:
    start = Version.parse(version)
    assert [str(start.bumped(bump)) for bump in Bump] == [patch, minor, major]
    assert all(start < start.bumped(bump) for bump in Bump)


@pytest.mark.parametrize(
    ("message", "bump"),
    [
        ("feat: a", Bump.MINOR),
        ("Feat(api): a", Bump.MINOR),
        ("fix: a", Bump.PATCH),
        ("perf(db): a", Bump.PATCH),
        ('Revert "feat: a"\n\nThis reverts commit 1.', Bump.PATCH),
        ("chore!: a", Bump.MAJOR),
        ("refactor(x)!: a", Bump.MAJOR),
        ("fix: a\n\nbody\n\nBREAKING CHANGE: b is gone", Bump.MAJOR),
        ("fix: a\n\nBREAKING-CHANGE: b is gone", Bump.MAJOR),
        ("fix: a\n\nno BREAKING CHANGE: here", Bump.PATCH),
        ("docs: a", None),
        ("chore(release): 1.2.3", None),
        ("feature without a type", None),
        ("feat:no space", None),
        ("Merge branch 'x'", None),
        ("", None),
    ],
)
def test_what_a_commit_asks_for(message: str, bump: Bump | None) -> None:
    assert commit(message).bump is bump


def test_the_greatest_demand_wins_and_is_named() -> None:
    commits = [
        commit("fix: one"),
        commit("feat(api): two"),
        commit("feat: three"),
        commit("docs: x"),
    ]
    bump, reason = demanded(commits, Version(1, 0, 0))
    assert bump is Bump.MINOR
    assert reason == "feat: two (0123456) and 1 more"


def test_before_one_a_breaking_change_is_a_minor_step() -> None:
    assert demanded([commit("feat!: a")], Version(0, 4, 0))[0] is Bump.MINOR
    assert demanded([commit("feat!: a")], Version(1, 4, 0))[0] is Bump.MAJOR


def test_nothing_to_release() -> None:
    assert demanded([commit("docs: a")], Version(1, 0, 0)) == (None, "")


@pytest.mark.parametrize(
    ("last", "messages", "expected"),
    [
        ("1.2.3", ["fix: a"], "1.2.4-dev.1.g0123456789ab"),
        ("1.2.3", ["docs: a", "feat: b"], "1.3.0-dev.2.g0123456789ab"),
        ("1.2.3", [], "1.2.4-dev.0.g0123456789ab"),
        ("1.3.0-rc.1", ["feat: a"], "1.3.0-dev.1.g0123456789ab"),
        (None, ["feat: a", "feat: b"], "0.1.0-dev.2.g0123456789ab"),
    ],
)
def test_development_versions(last: str | None, messages: list[str], expected: str) -> None:
    commits = [commit(message) for message in messages]
    previous = Version.parse(last) if last else None
    found = development(previous, Version.parse("0.1.0"), commits, "0123456789abcdef")
    assert found == expected
    Version.parse(found)
    assert OCI_TAG.fullmatch(found)


@pytest.mark.parametrize(
    ("version", "released", "expected"),
    [
        ("0.1.0", "", "0.1.0 0.1 0 latest"),
        ("1.2.3", "1.2.2 1.1.9 0.9.0", "1.2.3 1.2 1 latest"),
        ("1.2.4", "1.2.3 1.3.0", "1.2.4 1.2"),
        ("1.3.0", "2.0.0 1.2.3", "1.3.0 1.3 1"),
        ("1.2.3", "1.2.10", "1.2.3"),
        ("1.3.0-rc.1", "1.2.3", "1.3.0-rc.1"),
        ("1.3.0", "1.3.0-rc.1 2.0.0-rc.1 1.3.0", "1.3.0 1.3 1 latest"),
    ],
)
def test_moving_tags(version: str, released: str, expected: str) -> None:
    others = [Version.parse(text) for text in released.split()]
    assert image_tags(Version.parse(version), others) == expected.split()


def test_a_tag_that_no_registry_takes_is_refused() -> None:
    with pytest.raises(InputError, match="legal image tag"):
        image_tags(Version(1, 0, 0, "x" * 130), [])


@pytest.mark.parametrize(("pre", "known"), [("rc.1", True), ("alpha", True), ("dev.3", True),
                                            ("rc.1.2", False), ("next", False), ("0", False)])  # fmt: skip
def test_which_pre_releases_python_reads(pre: str, known: bool) -> None:
    version = Version.parse(f"1.0.0-{pre}")
    assert version.pep440 is known
    if known:
        from packaging.version import Version as Pep440

        assert Pep440(f"v{version}") < Pep440("v1.0.0")
