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
from taskflow_containers.release.standing import (
    clean,
    current,
    default_branch,
    identity,
    known_tags,
    on_branch,
    require,
    stated,
)  # fmt: skip
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
    tagged: bool = False


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


def look(
    root: Path, product: Product, options: ReleaseOptions
) -> tuple[ReleasePlan | None, list[Result]]:
    """Every reason to refuse, found before the first write; a plan where there is none."""
    repository, check = Repository.at(root, product.tag_prefix), _Checks()
    check("clean", "work tree and index are clean", lambda: clean(repository))
    check("history", "the history is whole", repository.require_whole)
    whole = not check.results[-1].failed
    if not options.tagged:  # which commits and tags nothing; a CI's git knows nobody
        check("identity", "git knows who commits", lambda: identity(repository))
        check("signing", "a signature that git's settings ask for can be made",
              lambda: try_key(repository))  # fmt: skip
    remote: Remote | None = None
    if options.push:
        remote = check("remote", "the remote answers", lambda: repository.remote(options.remote))
    branch = options.branch or (remote.head if remote else "")
    branch = branch or default_branch(repository, options.remote)
    if not options.tagged:
        check("branch", f"on the release branch {branch}", lambda: on_branch(repository, branch))
    behind = repository.versions(merged="HEAD")
    if options.tagged:
        behind = {one: commit for one, commit in behind.items() if commit != repository.head}
    last = max(behind, default=None)
    # What still states the last release's version is behind this one, and no version of its own.
    own = {product.declared, str(last or product.declared)}
    versioned = check("files", "the files that state the version can be read",
                      lambda: versionfiles.find(root, repository.files, product.folders, own))  # fmt: skip
    files = versioned.files if versioned else []
    found = merged(repository, product.declared, files) if whole and files else None
    publish = found if found and _wanted(options, found.version) else None
    base: str | None = repository.head
    if publish:
        base = check("merged", f"the proposed release {publish.version} is all that is published",
                     lambda: publish.commit if options.version else
                     to_publish(repository, publish, last))  # fmt: skip
    if base:
        check("submodules", "every submodule is here",
              lambda: f"{len(list(repository.submodules(base)))} submodules")  # fmt: skip
    if remote and base and not options.tagged:
        check("current", f"up to date with {options.remote}/{branch}",
              lambda: current(repository, remote, branch, base if publish else ""))  # fmt: skip
    here, there = repository.versions(), repository.tagged(remote.refs) if remote else {}
    known = check("tags", "every released tag is known here",
                  lambda: known_tags(repository, here, there, options.remote),
                  needs=whole and bool(remote or not options.push))  # fmt: skip
    title = (
        "its tag and its files say the version"
        if options.tagged
        else "the version is new and greater"
    )
    chosen = check("version", title,
                   lambda: stated(repository, product.declared, files, there) if options.tagged else
                   _choose(repository, product, options, last, publish), needs=bool(known))  # fmt: skip
    version = Version.parse(chosen.split(" ")[0]) if chosen else None
    if version is None or base is None:
        plan = None
    else:
        plan = ReleasePlan(
            version=str(version),
            way="tagged"
            if options.tagged
            else "propose"
            if options.pull_request
            else "publish"
            if publish
            else "direct",
            previous=str(last or ""),
            pending=str(found.version) if found else "",
            reason=str(chosen).partition(" ")[2],
            remote=options.remote,
            branch=branch,
            base=base,
            push=options.push,
            tags=image_tags(version, {*here, *there}),
            files=files,
            notes=versioned.notes if versioned else [],
            product=product,
        )
    if plan and version and plan.way not in {"publish", "tagged"}:
        check("files", "the version can be set in every file that states it",
              lambda: versionfiles.require_settable(root, files, version))  # fmt: skip
    if plan and remote and not check.failed and not options.tagged:
        check("push", "the remote takes what is pushed",
              lambda: _may_push(repository, plan, remote))  # fmt: skip
    if not options.pull_request:
        moved = (last, image_tags(last, {*here, *there})[1:]) if last else None
        _look_at_images(root, product, options, plan, check, moved)
    return (None if check.failed else plan), check.results


def _wanted(options: ReleaseOptions, version: Version) -> bool:
    """Whether a merged proposal is what is asked for."""
    asked = options.version.removeprefix("v")
    return not (options.pull_request or options.tagged) and (
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
        plan.client, plan.product = client, product
        plan.notes += notes


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
        require(f"refs/heads/{plan.proposal}" not in remote.refs,
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
