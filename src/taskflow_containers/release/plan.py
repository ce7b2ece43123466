"""The plan of a release: look at git, the remote, the registry and the chart; refuse or derive."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from taskflow_containers.checks import build
from taskflow_containers.cluster import helm
from taskflow_containers.cluster.helm import CHART
from taskflow_containers.engine.client import Engine, substitutes
from taskflow_containers.engine.client import find as find_engine
from taskflow_containers.machine.errors import (
    EnvironmentTrouble,
    InputError,
    Refused,
    TaskflowError,
)
from taskflow_containers.machine.process import masked
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.model import Project
from taskflow_containers.release import files as versionfiles
from taskflow_containers.release import registry
from taskflow_containers.release.git import UNSHALLOW, Remote, Repository, checkout_hint
from taskflow_containers.release.versions import Bump, Version, demanded, image_tags
from taskflow_containers.report.result import Result, judge, skip

AUTO = "auto"
PLATFORM_VARIABLE = "DOCKER_DEFAULT_PLATFORM"
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Product:
    """What is released: its version as the files state it, its images and its chart.

    `images` maps containers to repositories, `chart` is the chart's; `gate` is what must pass,
    each command run in a checkout of the very commit that is tagged.
    """

    declared: str
    gate: Sequence[Sequence[str]]
    source: str = ""
    folders: Sequence[str] = ()
    images: dict[str, str] = field(default_factory=dict)
    registry: str = ""
    chart: str = ""
    platforms: Sequence[str] = ()
    bases: Sequence[str] = ()

    @classmethod
    def of(cls, root: Path, project: Project, gate: Sequence[Sequence[str]]) -> Product:
        """The product a taskflow.toml describes; without a registry nothing of it is pushed."""
        has_chart = (root / CHART / "Chart.yaml").is_file()
        return cls(
            declared=project.version,
            gate=gate,
            source=project.source,
            folders=(*(project.context(name) for name in project.containers), CHART),
            images={name: project.image(name) for name in project.containers},
            registry=project.registry,
            chart=f"{project.registry}/charts/{project.name}" if has_chart else "",
            platforms=project.build.platforms,
            bases=sorted({one.base for one in project.containers.values()}),
        )

    @property
    def pushed(self) -> list[str]:
        """The repositories that a release pushes to."""
        return [*self.images.values(), *filter(None, [self.chart])] if self.registry else []


@dataclass(frozen=True, slots=True)
class Options:
    """What the person asked for."""

    bump: str = AUTO
    version: str = ""
    push: bool = True
    remote: str = "origin"
    branch: str = ""
    engine: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a release needs to know; kept in the journal, so that a resumed one obeys it too.

    `engine` is the client's path; `platform` is what the images are for, as os/architecture;
    `notes` are lines for whoever agrees to it.
    """

    version: str
    previous: str
    reason: str
    remote: str
    branch: str
    base: str
    push: bool
    tags: list[str]
    files: list[str]
    engine: str
    platform: str
    notes: list[str]
    product: Product

    @property
    def tag(self) -> str:
        """The git tag."""
        return Version.parse(self.version).tag

    @classmethod
    def of(cls, data: dict[str, Any], *, whole: bool = True) -> Plan:
        """As the journal kept it; without `whole`, as far as it takes to take a release back.

        Raises:
            InputError: another version of the tool kept it.
        """
        product = dict(data.get("product") or {})
        if whole and (data.keys() != _names(cls) or product.keys() != _names(Product)):
            raise InputError(
                "another version of the tool began the release",
                "invoke release --abort takes it back; that version alone can --resume it",
            )
        known = {name: product[name] for name in _names(Product) & product.keys()}
        kept = {"product": Product(**{"declared": "", "gate": ()} | known)}
        try:
            return cls(**_DISPENSABLE | {n: data[n] for n in _names(cls) & data.keys()} | kept)
        except TypeError as error:
            raise InputError(
                f"the journal of the release lacks what --abort goes by: {error}",
                "take back by hand what it says was done, and remove it",
            ) from None


# What a release is taken back without.
_DISPENSABLE: dict[str, Any] = {
    "previous": "", "reason": "", "push": True, "tags": [], "files": [], "engine": "", "platform": "",
    "notes": [],
}  # fmt: skip


def _names(kind: type[Plan] | type[Product]) -> set[str]:
    return {one.name for one in fields(kind)}


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


def look(root: Path, product: Product, options: Options) -> tuple[Plan | None, list[Result]]:
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
        check("engine", "a container engine answers", partial(find_engine, options.engine))
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
    return Plan(
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


def _choose(repository: Repository, product: Product, options: Options) -> str:
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
    there = registry.Repository(name)
    digest = there.digest(str(version))
    if digest:
        raise Refused(f"{name}:{version} exists already ({digest})", "release the next version")
    there.may_push()
    return "allowed, and the tag is free"
