"""The plan of a release: look at git, the remote, the registry and the chart; refuse or derive."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from taskflow_containers.checks import build
from taskflow_containers.engine.builder import require_place_for
from taskflow_containers.engine.client import Engine, substitutes
from taskflow_containers.engine.find import find
from taskflow_containers.machine.errors import (
    EnvironmentTrouble,
    InputError,
    Refused,
    TaskflowError,
)
from taskflow_containers.machine.process import masked
from taskflow_containers.project import FILE_NAME
from taskflow_containers.release import cosign, forge, versionfiles
from taskflow_containers.release.destinations import collides, packageable, pushable, unmoved
from taskflow_containers.release.git import Remote, Repository
from taskflow_containers.release.proposal import Merged, merged, to_publish
from taskflow_containers.release.pushing import protected, refusal
from taskflow_containers.release.registry import ImageRepository
from taskflow_containers.release.signing import try_key
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
    pull_request: bool = False


class _Checks:
    """Makes checks that return what they found or raise, and keeps what they say as results."""

    def __init__(self) -> None:
        self.results: list[Result] = []

    @property
    def failed(self) -> bool:
        """Whether anything was refused so far."""
        return any(result.failed for result in self.results)

    def __call__(
        self, id: str, title: str, check: Callable[[], _Value], *, needs: bool = True
    ) -> _Value | None:
        id, value = f"release.{id}", None
        if not needs:
            self.results.append(skip(id, title, "what it needs has failed"))
            return None
        try:
            value = check()
            result = judge(id, title, True, measured=value if isinstance(value, str) else "yes")
        except TaskflowError as error:
            fix = masked(error.hint)
            result = judge(id, title, False, measured=masked(error.message), fix=fix)
        self.results.append(result)
        return value


def _require(fine: object, message: str, hint: str) -> None:
    if not fine:
        raise Refused(message, hint)


def look(
    root: Path, product: Product, options: ReleaseOptions
) -> tuple[ReleasePlan | None, list[Result]]:
    """Every reason to refuse, found before the first write; a plan where there is none."""
    repository, check = Repository.at(root, product.tag_prefix), _Checks()
    check("clean", "work tree and index are clean", lambda: _clean(repository))
    check("history", "the history is whole", repository.require_whole)
    whole = not check.results[-1].failed
    check("identity", "git knows who commits", lambda: _identity(repository))
    check("signing", "a signature that git's settings ask for can be made",
          lambda: try_key(repository))  # fmt: skip
    remote: Remote | None = None
    if options.push:
        remote = check("remote", "the remote answers", lambda: repository.remote(options.remote))
    branch = options.branch or (remote.head if remote else "")
    branch = branch or _default(repository, options.remote)
    check("branch", f"on the release branch {branch}", lambda: _on(repository, branch))
    files = check("files", "the files that state the version can be read",
                  lambda: versionfiles.find(root, product.folders)) or []  # fmt: skip
    found = merged(repository, product.declared, files) if whole and files else None
    publish = found if found and _wanted(options, found.version) else None
    last = max(repository.versions(merged="HEAD"), default=None)
    base: str | None = repository.head
    if publish:
        base = check("merged", f"the proposed release {publish.version} is all that is published",
                     lambda: publish.commit if options.version else
                     to_publish(repository, publish, last))  # fmt: skip
    if base:
        check("submodules", "every submodule is here",
              lambda: f"{len(list(repository.submodules(base)))} submodules")  # fmt: skip
    if remote and base:
        check("current", f"up to date with {options.remote}/{branch}",
              lambda: _current(repository, remote, branch, base if publish else ""))  # fmt: skip
    here, there = repository.versions(), repository.tagged(remote.refs) if remote else {}
    known = check("tags", "every released tag is known here",
                  lambda: _known(repository, here, there, options.remote),
                  needs=whole and bool(remote or not options.push))  # fmt: skip
    chosen = check("version", "the version is new and greater",
                   lambda: _choose(repository, product, options, last, publish), needs=bool(known))  # fmt: skip
    version = Version.parse(chosen.split(" ")[0]) if chosen else None
    if version is None or base is None:
        plan = None
    else:
        plan = ReleasePlan(
            version=str(version),
            way="propose" if options.pull_request else "publish" if publish else "direct",
            previous=str(last or ""),
            pending=str(found.version) if found else "",
            reason=str(chosen).partition(" ")[2],
            remote=options.remote,
            branch=branch,
            base=base,
            push=options.push,
            tags=image_tags(version, {*here, *there}),
            files=files,
            product=product,
        )
    if plan and version and plan.way != "publish":
        check("files", "the version can be set in every file that states it",
              lambda: versionfiles.require_settable(root, files, version))  # fmt: skip
    if plan and remote and not check.failed:
        check("push", "the remote takes what is pushed",
              lambda: _may_push(repository, plan, remote))  # fmt: skip
    if not options.pull_request:
        moved = (last, image_tags(last, {*here, *there})[1:]) if last else None
        _look_at_images(root, product, options, plan, check, moved)
    return (None if check.failed else plan), check.results


def _wanted(options: ReleaseOptions, version: Version) -> bool:
    """Whether a merged proposal is what is asked for."""
    asked = options.version.removeprefix("v")
    return not options.pull_request and (
        asked == str(version) or (not asked and options.bump == AUTO)
    )


def _look_at_images(
    root: Path, product: Product, options: ReleaseOptions, plan: ReleasePlan | None, check: _Checks,
    moved: tuple[Version, Sequence[str]] | None,
) -> None:  # fmt: skip
    """What images and chart need; what is found goes into the plan.

    `moved` is the last release, with the tags that should have followed it.
    """
    engine, notes = None, list[str]()
    if product.images:
        engine = check("engine", "a container engine answers", lambda: find(options.engine))
    if engine:
        about = partial(_platform, engine, product.platforms)
        platform = check("platform", "it is known what machines the images are for", about) or ""
        notes = _ages(engine, product.bases)
        if len(product.platforms) > 1:
            notes.append(
                f"smoke judges what this engine ({engine.platform}) runs of it, and no other"
            )
        if plan:
            plan.engine, plan.platform = str(engine.client.absolute()), platform
    client, chart = engine.name if engine else "docker", product.chart in product.pushed
    if options.push and chart and (why := collides(product, client)):
        notes.append(why)
        product, chart = product.model_copy(update={"chart": ""}), False
    if chart:
        check("helm", "helm packages the chart", lambda: packageable(root, product))
    if options.push and plan:
        version = Version.parse(plan.version)
        for name in product.pushed:
            free = partial(pushable, ImageRepository(name, client), version)
            check("registry", f"{name} can be pushed", free)
        if product.registry:
            check("cosign", "what signs the images can be read", cosign.signer)
        if moved and product.moving_tags and not check.failed:
            notes += unmoved(product, client, *moved)
    if plan:
        plan.client, plan.notes, plan.product = client, notes, product


def _platform(engine: Engine, stated: Sequence[str]) -> str:
    """What the images will be for: what taskflow.toml says, or else this engine's own platform."""
    if stated:
        require_place_for(engine, stated)
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
    here = [build.age(engine, substitutes().get(image, image)) for image in bases]
    return [f"{line}; its registry is asked for a newer one" for line in here if line]


def _clean(repository: Repository) -> str:
    changes = [line.strip() for line in repository.changes]
    more = f" and {len(changes) - 4} more" * (len(changes) > 4)
    _require(not changes, f"not committed: {', '.join(changes[:4])}{more}",
             "commit it, or `git stash --include-untracked`")  # fmt: skip
    return "clean"


def _identity(repository: Repository) -> str:
    done = repository.ask("var", "GIT_COMMITTER_IDENT")
    _require(done.returncode == 0, "no name or e-mail address",
             'git config user.name "…"; git config user.email …')  # fmt: skip
    return done.stdout.rsplit(" ", 2)[0]


def _default(repository: Repository, remote: str) -> str:
    """The remote's default branch as it was when cloned, else main."""
    ref = repository.ask("symbolic-ref", "--quiet", "--short", f"refs/remotes/{remote}/HEAD")
    return ref.stdout.strip().removeprefix(f"{remote}/") or "main"


def _on(repository: Repository, branch: str) -> str:
    here = repository.branch
    # CI systems check a commit out, and no branch.
    _require(here, "HEAD is detached",
             f"git switch {branch} (in CI: git switch --force-create {branch})")  # fmt: skip
    way = f"git switch {branch} (or --branch {here}, to release from it)"
    if not repository.commit(f"refs/heads/{branch}"):
        way = f"there is no branch {branch} here; --branch {here} releases from this one"
    _require(here == branch, f"this is {here}", way)
    return here


def _current(repository: Repository, remote: Remote, branch: str, merged: str) -> str:
    """How this branch stands to the remote's; a merged release only has to be there."""
    there = remote.refs.get(f"refs/heads/{branch}", "")
    if merged:
        seen = (there, f"refs/remotes/{remote.name}/{branch}")
        _require(any(repository.contains(merged, tip) for tip in seen if tip),
                 f"{remote.name}/{branch} does not have {merged[:7]}, which is to be released",
                 f"git push {remote.name} {branch}, or git fetch {remote.name}")  # fmt: skip
        return f"{remote.name}/{branch} has {merged[:7]}"
    if not there:
        return "the branch is new there"
    known = repository.commit(there)
    what = "is ahead" if known and repository.contains("HEAD", there) else "has what is not here"
    _require(known and repository.contains(there, "HEAD"),
             f"{remote.name}/{branch} ({there[:7]}) {what}",
             f"git pull --rebase {remote.name} {branch}")  # fmt: skip
    ahead = int(repository.git("rev-list", "--count", f"{there}..HEAD"))
    return f"{ahead} commits are not pushed yet and will be" if ahead else "up to date"


def _known(
    repository: Repository, here: dict[Version, str], there: dict[Version, str], remote: str
) -> str:
    for version, commit in there.items():
        tag = repository.tag(version)
        _require(version in here, f"{tag} is there and not here",
                 f"git fetch --tags {remote}")  # fmt: skip
        _require(here[version] == commit,
                 f"{tag} is {here[version][:7]} here and {commit[:7]} there",
                 f"see which is right: git fetch --tags --force {remote}")  # fmt: skip
    return f"{len(here)} versions"


def _choose(
    repository: Repository, product: Product, options: ReleaseOptions, last: Version | None,
    publish: Merged | None,
) -> str:  # fmt: skip
    """The version and the reason for it."""
    if publish:
        version, reason = publish.version, f"proposed, and merged by {publish.commit[:7]}"
    elif options.version:
        version, reason = Version.parse(options.version.removeprefix("v")), "as asked"
    elif options.bump == AUTO and last is None:
        version, reason = Version.parse(product.declared), "the first release, as declared"
    elif options.bump == AUTO:
        assert last is not None
        commits = repository.commits(since=last)
        bump, reason = demanded(commits, last)
        if bump is None and (last.stable or not commits):
            raise InputError(
                f"nothing to release: none of {len(commits)} commits since {repository.tag(last)} is a feat, "
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
            f"the tag {repository.tag(version)} exists already ({known[version][:7]})",
            "release the next version: --version X.Y.Z",
        )
    if not version.pep440:
        numbers = str(version).partition("-")[0]
        raise InputError(f"Python's tools do not read {version}", f"--version {numbers}-rc.1")
    return f"{version} {reason}"


def _may_push(repository: Repository, plan: ReleasePlan, remote: Remote) -> str:
    """A push that sends nothing, and what the forge says: a hook on the server is not asked."""
    tag, branch = f"HEAD:refs/tags/{plan.tag}", f"HEAD:refs/heads/{plan.branch}"
    refs = {"direct": [branch, tag], "publish": [tag]}.get(
        plan.way, [f"HEAD:refs/heads/{plan.proposal}"]
    )
    if plan.way == "propose":
        _require(f"refs/heads/{plan.proposal}" not in remote.refs,
                 f"{plan.proposal} is at {plan.remote} already",
                 f"merge it, or remove it: git push {plan.remote} --delete {plan.proposal}")  # fmt: skip
    done = repository.ask("push", "--dry-run", "--atomic", "--porcelain", "--no-verify",
                          plan.remote, *refs)  # fmt: skip
    if done.returncode:
        why = refusal(done.stderr + done.stdout, plan.remote, plan.branch, plan.tag)
        raise Refused(why.message, why.hint)
    there = forge.find(repository, plan.remote) if plan.way == "direct" else None
    if there and (said := there.protection(plan.branch)):
        raise protected(plan.remote, plan.branch, said)
    return "yes"
