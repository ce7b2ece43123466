"""The plan of a release: look at git, the remote, the registry and the chart; refuse or derive."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from taskflow_containers.checks import build
from taskflow_containers.cluster import helm
from taskflow_containers.engine import client
from taskflow_containers.engine.client import Engine, substitutes
from taskflow_containers.machine.errors import (
    EnvironmentTrouble,
    InputError,
    Refused,
    TaskflowError,
)
from taskflow_containers.machine.process import masked
from taskflow_containers.project import FILE_NAME
from taskflow_containers.release import versionfiles
from taskflow_containers.release.git import UNSHALLOW, Remote, Repository, checkout_hint
from taskflow_containers.release.registry import ImageRepository
from taskflow_containers.release.state import Product, ReleasePlan
from taskflow_containers.release.versions import Bump, Version, demanded, image_tags
from taskflow_containers.report.result import Result, judge, skip

AUTO = "auto"
PLATFORM_VARIABLE = "DOCKER_DEFAULT_PLATFORM"
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class ReleaseOptions:
    """What the person asked for."""

    bump: str = AUTO
    version: str = ""
    push: bool = True
    remote: str = "origin"
    branch: str = ""
    engine: str = ""


class _Checks:
    """Runs checks that raise, and keeps what they say as results."""

    def __init__(self) -> None:
        self.results: list[Result] = []

    def __call__(
        self, id: str, title: str, check: Callable[[], _Value], *, needs: bool = True
    ) -> _Value | None:
        id = f"release.{id}"
        if not needs:
            self.results.append(skip(id, title, "what it needs has failed"))
            return None
        try:
            value = check()
        except TaskflowError as error:
            message = masked(error.message)
            self.results.append(judge(id, title, False, measured=message, fix=masked(error.hint)))
            return None
        self.results.append(
            judge(id, title, True, measured=value if isinstance(value, str) else "yes")
        )
        return value


def look(
    root: Path, product: Product, options: ReleaseOptions
) -> tuple[ReleasePlan | None, list[Result]]:
    """Every reason to refuse, found before the first write; a plan where there is none."""
    repository = Repository.at(root)
    check = _Checks()
    check("clean", "work tree and index are clean", lambda: _clean(repository))
    whole = check("history", "the history is whole", lambda: _whole(repository))
    check("identity", "git knows who commits", lambda: _identity(repository))
    remote: Remote | None = None
    if options.push:
        remote = check("remote", "the remote answers", lambda: repository.remote(options.remote))
    reached = bool(remote) or not options.push
    branch = (
        options.branch or (remote.head if remote else "") or _default(repository, options.remote)
    )
    check("branch", f"on the release branch {branch}", lambda: _on(repository, branch))
    if remote:
        check("current", f"up to date with {options.remote}/{branch}",
              lambda: _current(repository, remote, branch))  # fmt: skip
    known = check("tags", "every released tag is known here", lambda: _known(repository, remote),
                  needs=bool(whole) and reached)  # fmt: skip
    chosen = check("version", "the version is new and greater",
                   lambda: _choose(repository, product, options), needs=bool(known))  # fmt: skip
    version = Version.parse(chosen.split(" ")[0]) if chosen else None
    if remote and version and not any(result.failed for result in check.results):
        check("push", "the remote takes branch and tag as one",
              lambda: _may_push(repository, options.remote, branch, version))  # fmt: skip
    engine = (
        check("engine", "a container engine answers", partial(client.find, options.engine))
        if product.images
        else None
    )
    platform = ""
    notes: list[str] = []
    if engine:
        about = partial(_platform, engine, product.platforms)
        platform = check("platform", "it is known what machines the images are for", about) or ""
        notes = _ages(engine, product.bases)
    if options.push and version:
        for name in product.pushed:
            check("registry", f"{name} can be pushed", partial(_pushable, name, version))
        if product.chart in product.pushed:
            check("helm", "helm packages the chart", lambda: str(helm.find(root)))
    if version is None or any(result.failed for result in check.results):
        return None, check.results
    released = {*repository.versions(), *(remote.versions if remote else {})}
    last = max(repository.versions(merged="HEAD"), default=None)
    return ReleasePlan(
        version=str(version),
        previous=str(last or ""),
        reason=str(chosen).partition(" ")[2],
        remote=options.remote,
        branch=branch,
        base=repository.head,
        push=options.push,
        tags=image_tags(version, released),
        files=versionfiles.find(root, product.folders),
        engine=str(engine.client.absolute()) if engine else "",
        platform=platform,
        notes=notes,
        product=product,
    ), check.results


def _platform(engine: Engine, stated: Sequence[str]) -> str:
    """What the images will be for: what taskflow.toml says, or else this engine's own platform."""
    if stated:
        return ", ".join(stated)
    asked = os.environ.get(PLATFORM_VARIABLE, "")
    if asked and engine.name == "docker" and asked.lower() != engine.platform:
        raise Refused(
            f"{PLATFORM_VARIABLE} is {asked}, this engine is {engine.platform}, and {FILE_NAME} says nothing",
            f'say what is released: [build] platforms = ["{engine.platform}"]',
        )
    if not engine.platform:
        raise EnvironmentTrouble(
            f"{engine.client} does not say what platform it builds for", f"{engine.client} version"
        )
    return engine.platform


def _ages(engine: Engine, bases: Sequence[str]) -> list[str]:
    instead = substitutes()
    here = [build.age(engine, instead.get(image, image)) for image in bases]
    return [f"{line}; its registry is asked for a newer one" for line in here if line]


def _clean(repository: Repository) -> str:
    changes = repository.changes
    if changes:
        shown = ", ".join(line.strip() for line in changes[:4])
        more = f" and {len(changes) - 4} more" if len(changes) > 4 else ""
        raise Refused(
            f"not committed: {shown}{more}", "commit it, or `git stash --include-untracked`"
        )
    return "clean"


def _whole(repository: Repository) -> str:
    if repository.shallow:
        raise Refused("this clone is shallow", UNSHALLOW)
    return "whole"


def _identity(repository: Repository) -> str:
    done = repository.ask("var", "GIT_COMMITTER_IDENT")
    if done.returncode:
        raise Refused(
            "no name or e-mail address", 'git config user.name "…"; git config user.email …'
        )
    return done.stdout.rsplit(" ", 2)[0]


def _default(repository: Repository, remote: str) -> str:
    """The remote's default branch as it was when cloned, else main."""
    ref = repository.ask("symbolic-ref", "--quiet", "--short", f"refs/remotes/{remote}/HEAD")
    return ref.stdout.strip().removeprefix(f"{remote}/") or "main"


def _on(repository: Repository, branch: str) -> str:
    here = repository.branch
    if not here:
        raise Refused("HEAD is detached", checkout_hint(branch))
    if here != branch:
        raise Refused(
            f"this is {here}", f"git switch {branch} (or --branch {here}, to release from it)"
        )
    return here


def _current(repository: Repository, remote: Remote, branch: str) -> str:
    there = remote.refs.get(f"refs/heads/{branch}", "")
    if not there:
        return "the branch is new there"
    if not repository.commit(there) or not repository.contains(there, "HEAD"):
        known = repository.commit(there) and repository.contains("HEAD", there)
        raise Refused(
            f"{remote.name}/{branch} ({there[:7]}) {'is ahead' if known else 'has what is not here'}",
            f"git pull --rebase {remote.name} {branch}",
        )
    ahead = int(repository.git("rev-list", "--count", f"{there}..HEAD"))
    return f"{ahead} commits are not pushed yet and will be" if ahead else "up to date"


def _known(repository: Repository, remote: Remote | None) -> str:
    here = repository.versions()
    for version, commit in (remote.versions if remote else {}).items():
        if version not in here:
            raise Refused(
                f"{version.tag} is there and not here", f"git fetch --tags {remote and remote.name}"
            )
        if here[version] != commit:
            raise Refused(
                f"{version.tag} is {here[version][:7]} here and {commit[:7]} there",
                f"see which is right: git fetch --tags --force {remote and remote.name}",
            )
    return f"{len(here)} versions"


def _choose(repository: Repository, product: Product, options: ReleaseOptions) -> str:
    """The version and the reason for it."""
    reachable = repository.versions(merged="HEAD")
    last = max(reachable, default=None)
    if options.version:
        version, reason = Version.parse(options.version.removeprefix("v")), "as asked"
    elif options.bump == AUTO and last is None:
        version, reason = Version.parse(product.declared), "the first release, as declared"
    elif options.bump == AUTO:
        assert last is not None
        commits = repository.commits(since=reachable[last])
        bump, reason = demanded(commits, last)
        if bump is None and (last.stable or not commits):
            raise InputError(
                f"nothing to release: none of {len(commits)} commits since {last.tag} is a feat, "
                "a fix or breaking",
                "--bump patch releases all the same",
            )
        version, reason = last.bumped(bump or Bump.PATCH), reason or f"follows {last}"
    elif options.bump.upper() in Bump.__members__:
        base = last or Version.parse(product.declared)
        version, reason = base.bumped(Bump[options.bump.upper()]), f"--bump {options.bump}"
    else:
        raise InputError(f"--bump {options.bump}?", "auto, major, minor or patch")
    if last and version <= last:
        raise InputError(f"{version} is not greater than {last}", "--bump, or a greater --version")
    if version in (known := repository.versions()):
        raise InputError(
            f"the tag {version.tag} exists already ({known[version][:7]})",
            "release the next version: --version X.Y.Z",
        )
    if not version.pep440:
        numbers = str(version).partition("-")[0]
        raise InputError(f"Python's tools do not read {version}", f"--version {numbers}-rc.1")
    return f"{version} {reason}"


def _may_push(repository: Repository, remote: str, branch: str, version: Version) -> str:
    """A push that sends nothing: rights, atomicity and fast-forward, but no hook on the server."""
    done = repository.ask("push", "--dry-run", "--atomic", "--porcelain", "--no-verify", remote,
                          f"HEAD:refs/heads/{branch}", f"HEAD:refs/tags/{version.tag}")  # fmt: skip
    if done.returncode:
        said = masked((done.stderr + done.stdout).strip())
        raise Refused(f"git push is refused: {' '.join(said.split())[:300]}",
                      "the remote must support --atomic, and you must be allowed to push")  # fmt: skip
    return "yes"


def _pushable(name: str, version: Version) -> str:
    there = ImageRepository(name)
    digest = there.digest(str(version))
    if digest:
        raise Refused(f"{name}:{version} exists already ({digest})", "release the next version")
    there.may_push()
    return "allowed, and the tag is free"
