"""Releases by pull request: whether a release commit was proposed, and which commit to publish now."""

from __future__ import annotations

from dataclasses import dataclass

from taskflow_containers.machine.errors import Refused
from taskflow_containers.release import changelog, versionfiles
from taskflow_containers.release.git import Repository
from taskflow_containers.release.pushing import BY_PULL_REQUEST
from taskflow_containers.release.versions import Version


@dataclass(frozen=True, slots=True)
class Merged:
    """A release commit that was merged: its version, and the commit that brought it to this branch."""

    version: Version
    commit: str


def merged(repository: Repository, declared: str, files: list[str]) -> Merged | None:
    """The release that the checked-out commit holds and no tag names; None without one.

    A merge, a squash and a rebase give the release commit a hash, or a child, of their own. So it is
    told by what it holds: every version file states the version, and the changelog has its section.
    """
    version = Version.parse(declared)
    said = read(repository, "HEAD", changelog.FILE_NAME)
    if version in repository.versions() or not changelog.body(said, declared):
        return None
    if not all(
        versionfiles.states(name, read(repository, "HEAD", name), version, files) for name in files
    ):
        return None
    # The newest commit of this branch itself, merges included, that wrote that heading.
    pattern = changelog.heading(declared).replace(r"\r", "\r")
    brought = repository.git(
        "log", "-1", "--first-parent", "-m", "--no-patch",
        "--no-show-signature", "--format=%H", f"-G{pattern}", "--", changelog.FILE_NAME,
    )  # fmt: skip
    return Merged(version, brought or repository.head)


def to_publish(repository: Repository, found: Merged, last: Version | None) -> str:
    """The commit to tag: the one checked out, or the merge itself where others' commits came after it.

    Raises:
        Refused: the merge brought in more than its section of the changelog tells.
    """
    for commit in (repository.head, found.commit):
        told = changelog.body(read(repository, commit, changelog.FILE_NAME), str(found.version))
        since = [one for one in repository.commits(last, commit) if one.sha != found.commit]
        if not (untold := changelog.untold(since, told)):
            return commit
    if last is None:
        return found.commit
    names = ", ".join(f"{one.text} ({one.sha[:7]})" for one in untold[:3])
    raise Refused(
        f"{changelog.FILE_NAME} does not tell of {len(untold)} commits that {found.version} would "
        f"hold, merged since it was proposed: {names}",
        f"{BY_PULL_REQUEST} proposes it with them; --version {found.version} publishes it as it is",
    )


def read(repository: Repository, commit: str, name: str) -> str:
    """The text of a file of this project as a commit has it; empty where it has none."""
    shown = repository.ask("show", f"{commit}:./{name}")
    return shown.stdout if shown.returncode == 0 else ""
