"""The image at rest: its config, and every file of every layer, read from the exported tar."""

from __future__ import annotations

import posixpath
import re
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from taskflow_containers.contract.image import check_image
from taskflow_containers.engine import archive
from taskflow_containers.engine.client import Engine, substitutes
from taskflow_containers.engine.layersizes import LayerSizes
from taskflow_containers.project.model import Access, Container
from taskflow_containers.project.values import megabytes
from taskflow_containers.report.result import Result
from taskflow_containers.smoke.catalogue import BY_ID, PREFIX, verdict
from taskflow_containers.smoke.lab import Lab, checks

MOST_LAYERS = 20
_SHOWN = 5  # findings named in a message
_CAPABILITY = "SCHILY.xattr.security.capability"  # as tar (PAX) keeps a file's capabilities
# By the folder's place or, as any folder can be named as the cache, by what a package manager writes into it.
_CACHES = re.compile(
    r"^(root|home/[^/]+)/(\.cache|\.npm|\.yarn|\.bun)/.|^var/cache/(apk|dnf|yum|pip|uv)/.|^etc/apk/cache/."
    r"|^var/lib/apt/lists/.*_Packages|^var/cache/apt/(archives/.*\.deb|.*\.bin)$|^usr/local/share/\.cache/."
    r"|(^|/)(\.pnpm-store|_cacache|http-v2|wheels-v\d+|archive-v\d+|simple-v\d+|sdists-v\d+)/."
    r"|(^|/)\.cache/(pip|uv|pypoetry|pdm|pipenv|yarn|pnpm|npm|node-gyp)/.|(^|/)pnpm/store/v\d+/."
    r"|(^|/)\.yarn/(berry/)?cache/.|(^|/)install/cache/@?[^/]+@\d|(^|/)(pip|uv|npm|yarn|pnpm)[-_]?cache/."
)
_PRIVATE_PATH = re.compile(
    r"(^|/)(\.git(/|$)|\.env(\.(?!example$|sample$|template$|development$)[\w.-]+)?$"
    r"|id_(rsa|dsa|ecdsa|ed25519)$|\.netrc$|\.pgpass$|\.pypirc$|\.aws/credentials$|\.docker/config\.json$)"
)
_DEVELOPMENT = re.compile(
    r"/(?:(?:site-packages|dist-packages)/(?:(pytest|mypy|ruff|black|flake8|pylint|coverage|pre_commit|debugpy|tox|nox)/)"
    r"|(pytest(?:_\w+)?|mypy|ruff|black|flake8|pylint|pyright|isort|bandit|coverage|hypothesis|pre_commit|ipython"
    r"|ipdb|debugpy|tox|nox)-[^/]+\.dist-info/METADATA$"
    r"|node_modules/(eslint(?:-[\w-]+)?|prettier|jest|vitest|mocha|chai|cypress|typescript|nodemon|ts-node|ts-jest"
    r"|webpack-dev-server|husky|lint-staged|@types/(?:react(?:-dom)?|jest|mocha)|@(?:eslint|typescript-eslint|vitest|jest|biomejs|playwright"
    r"|testing-library|storybook)/[^/]+)/package\.json$)"
)


@dataclass(slots=True)
class Contents:
    """What a walk over the layers found."""

    files: dict[str, tarfile.TarInfo] = field(default_factory=dict)  # as a container sees them
    caches: list[str] = field(default_factory=list)
    private: list[str] = field(default_factory=list)
    development: set[str] = field(default_factory=set)
    privileged: dict[str, int] = field(default_factory=dict)  # path → its layer, from 1 on


def walk(image: archive.SavedImage) -> Contents:
    """Search all layers of a saved image."""
    found = Contents()
    for entry in image.walk():
        _take(found, entry)
    return found


def _within(name: str) -> str:
    """A path of an archive without what leads to its root: "/a", "./a" and "a" are one."""
    return posixpath.normpath(f"/{name}").lstrip("/")


def _take(found: Contents, entry: archive.Entry) -> None:
    member, number = entry.info, entry.number
    path = _within(member.name)
    folder, _, name = path.rpartition("/")
    if name.startswith(".wh."):
        gone = folder if name == ".wh..wh..opq" else f"{folder}/{name[4:]}".lstrip("/")
        for known in [k for k in found.files if k == gone or k.startswith(f"{gone}/")]:
            if known != folder:
                del found.files[known]
                found.privileged.pop(known, None)
        return
    if member.islnk() and (target := found.files.get(_within(member.linkname))):
        member.mode, member.uid, member.gid = target.mode, target.uid, target.gid
        member.pax_headers = {**target.pax_headers, **member.pax_headers}
    found.files[path] = member
    found.privileged.pop(path, None)
    if not (member.isreg() or member.islnk()):
        return
    if member.mode & (stat.S_ISUID | stat.S_ISGID) or _CAPABILITY in member.pax_headers:
        found.privileged[path] = number
    where = f"/{path} (layer {number})"
    if match := _DEVELOPMENT.search(f"/{path}"):
        found.development.add(next(filter(None, match.groups())))
    if _CACHES.search(path):
        found.caches.append(where)
    if _PRIVATE_PATH.search(path):
        found.private.append(where)


def _writable(path: str, info: tarfile.TarInfo, model: Container) -> bool:
    """Whether the runtime user could write it, were the root not read-only."""
    if info.issym() or info.isdev():
        return False
    if info.uid == model.uid:
        return True
    if info.mode & stat.S_IWGRP and info.gid == model.gid:
        return True
    # Temporary folders that every Unix has are everybody's, and hold nothing here.
    return bool(info.mode & stat.S_IWOTH) and not (
        info.mode & stat.S_ISVTX and path in {"tmp", "var/tmp", "run/lock", "dev/shm", "dev/mqueue"}
    )


def _listed(items: list[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more or "none"


FILE_CHECKS = (
    "image.set-id", "image.writable", "image.caches", "image.private", "image.development"
)  # fmt: skip


@checks(*(check.id for check in BY_ID.values() if check.group == "image"))
def image(lab: Lab) -> Iterator[Result]:
    """Judge the image without running it."""
    name, id_ = lab.name, lab.target.image
    config = lab.engine.require_image_config(id_)
    for result in check_image(lab.project, name, config, lab.engine.platform):
        id = "image." + result.id.removeprefix("contract.image.")
        yield replace(result, id=PREFIX + id, title=BY_ID[id].title, group="image", location="")
    layers = len(config.get("Layers") or [])
    most = f"at most {MOST_LAYERS}"
    yield lab.verdict("image.layers", layers <= MOST_LAYERS, measured=layers, limit=most)
    # Of several platforms it is the one that runs.
    part = str(config["Platform"]) if lab.project.build.parts != ("",) else ""
    try:
        with archive.saved(lab.engine, id_, part) as saved:
            found = walk(saved)
    except archive.UnreadableImage as error:
        for id in ("image.size", *FILE_CHECKS):
            yield lab.unmeasurable(id, error.message)
        return
    yield _size(lab, config, saved.sizes, part)
    base = base_layers(lab.engine, lab.container, config, part)
    yield from files(name, lab.container, found, len(base))


def base_layers(
    engine: Engine, model: Container, config: Mapping[str, Any], platform: str = ""
) -> list[str]:
    """The diff IDs of the base image that an image is built on; none where it is not on this machine."""
    base = engine.image_config(substitutes().get(model.base, model.base), platform) or {}
    layers, own = base.get("Layers") or [], config.get("Layers") or []
    return layers if own[: len(layers)] == layers else []


def files(name: str, model: Container, found: Contents, base: int) -> Iterator[Result]:
    """Judge what a walk found.

    `base` is the number of layers that are the base image's. Its set-id files lend nobody anything, as each
    container runs with no new privileges (`privileges` proves it); a shell-less base could not be rid of them.
    """
    added = [f"/{path}" for path, layer in found.privileged.items() if layer > base]
    idle = [f"/{path}" for path, layer in found.privileged.items() if layer <= base]
    said = (
        f"{_listed(added)}; without effect in the base: {_listed(idle)}" if idle else _listed(added)
    )
    yield verdict("image.set-id", name, not added, measured=said)
    volumes = [v.path.lstrip("/") for v in model.volumes if v.access is Access.READ_WRITE]
    writable = [
        f"/{path}" for path, info in found.files.items()
        if _writable(path, info, model)
        and not any(path == v or path.startswith(f"{v}/") for v in volumes)
    ]  # fmt: skip
    yield verdict("image.writable", name, not writable, measured=_listed(writable))
    yield verdict("image.caches", name, not found.caches, measured=_listed(found.caches))
    yield verdict("image.private", name, not found.private, measured=_listed(found.private))
    development = sorted(found.development)
    yield verdict("image.development", name, not development, measured=_listed(development))


def _size(lab: Lab, config: dict[str, Any], known: dict[str, int], part: str) -> Result:
    base = substitutes().get(lab.container.base, lab.container.base)
    found = lab.engine.image_config(base, part)
    if found is None:
        return lab.unmeasurable("image.size", f"the base image {base} is not on this machine")
    sizes = LayerSizes()
    sizes.learn(known)
    above = sizes.total(lab.engine, config, part) - sizes.total(lab.engine, found, part)
    budget = lab.container.budgets.size_above_base
    limit = f"at most {megabytes(budget)}"
    return lab.verdict("image.size", above <= budget, measured=megabytes(above), limit=limit)
