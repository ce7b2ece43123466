"""Build the images: base images first, then every container, and judge what came out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from automation import contract, git
from automation.dockerignore import context_files
from automation.engine import SUBSTITUTES_VARIABLE, BuildFailed, Engine, substitutes
from automation.errors import InputError
from automation.layersizes import LayerSizes
from automation.model import Project, megabytes
from automation.process import Say
from automation.results import Result, judge

INPUTS_LABEL = "io.taskflow.inputs"


@dataclass(slots=True)
class Image:
    """A container's image after a build: its ID (empty when the build failed) and the verdicts."""

    container: str
    id: str = ""
    tags: tuple[str, ...] = ()
    results: list[Result] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether there is an image to scan or run."""
        return bool(self.id)


def inputs_digest(root: Path, project: Project, name: str) -> str:
    """A digest of everything the build of a container can see, to tell whether an image is old."""
    folder = root / project.context(name)
    digest = hashlib.sha256()
    for path in [folder / "Dockerfile", *context_files(folder)]:
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(hashlib.sha256(_content(path)).digest())
    for value in _bases(project, name).values():
        digest.update(value.encode())
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    """A link counts as what it says: it may lead nowhere on this machine."""
    if path.is_symlink():
        return str(path.readlink()).encode()
    # Reading a pipe would wait for someone to write.
    return path.read_bytes() if path.is_file() else b""


def _bases(project: Project, name: str) -> dict[str, str]:
    """The build arguments that name the base images, substitutes in place."""
    container = project.containers[name]
    instead = substitutes()
    return {
        "BASE_IMAGE": instead.get(container.base, container.base),
        "BUILDER_IMAGE": instead.get(container.build_image, container.build_image),
    }


def substitution_notes(images: Iterable[str]) -> list[str]:
    """One line for each image that another one stands in for."""
    instead = substitutes()
    return [
        f"{image} is replaced by {instead[image]} ({SUBSTITUTES_VARIABLE})"
        for image in dict.fromkeys(images)
        if image in instead
    ]


def _arguments(
    root: Path, project: Project, name: str, commit: git.Revision | None
) -> dict[str, str]:
    # A fixed time keeps the image's ID when nothing changed: the commit's, else the newest file's.
    if commit and not commit.dirty:
        created = commit.time
    else:
        files = context_files(root / project.context(name))
        newest = max((path.lstat().st_mtime for path in files), default=0)
        created = datetime.fromtimestamp(int(newest), UTC)
    return {
        **_bases(project, name),
        "TITLE": f"{project.title} {name}",
        "VERSION": project.version,
        "REVISION": commit.text if commit else "unknown",
        "CREATED": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "SOURCE": project.source or "unknown",
    }


def build(
    root: Path,
    project: Project,
    engine: Engine,
    names: Iterable[str],
    say: Say,
    *,
    no_cache: bool = False,
) -> list[Image]:
    """Build the named containers, side by side where the engine gains by it."""
    names = list(names)
    wanted = {image for name in names for image in _bases(project, name).values()}
    for image in sorted(wanted):
        engine.provide(image, say)

    def one(name: str) -> Image:
        return _build_one(root, project, engine, name, say, no_cache)

    workers = len(names) if engine.buildkit else 1
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        return list(pool.map(one, names))


def _build_one(
    root: Path, project: Project, engine: Engine, name: str, say: Say, no_cache: bool
) -> Image:
    commit = git.revision(root)
    tags = [f"{project.image(name)}:dev"]
    if commit and not commit.dirty:
        tags.append(f"{project.image(name)}:{commit.tag}")
    dockerfile = f"{project.context(name)}/Dockerfile"
    if not (root / dockerfile).is_file():
        result = judge(
            "build.image",
            "image builds",
            False,
            container=name,
            expected=dockerfile,
            measured="no such file",
            fix=f"write it, or correct containers.{name}.context",
        )
        return Image(name, results=[result])
    started = time.monotonic()
    try:
        built = engine.build(
            root / project.context(name),
            tags=tags,
            arguments=_arguments(root, project, name, commit),
            labels={INPUTS_LABEL: inputs_digest(root, project, name)},
            on_step=lambda step: say(f"{name}: {step}"),
            no_cache=no_cache,
        )
    except BuildFailed as error:
        result = judge(
            "build.image",
            "image builds",
            False,
            container=name,
            location=dockerfile,
            expected="every step succeeds",
            measured=error.message,
            detail=error.hint,
            fix="mend the step named above; its last lines are under detail",
            seconds=time.monotonic() - started,
        )
        return Image(name, results=[result])
    seconds = time.monotonic() - started
    image = Image(name, built.image, tuple(tags))
    config = engine.image_config(built.image) or {}
    sizes = LayerSizes(root)
    size = sizes.total(engine, config)
    image.results.append(
        judge(
            "build.image",
            "image builds",
            True,
            container=name,
            expected=tags[0],
            measured=f"{built.image[:19]}, {megabytes(size)}, {seconds:.1f} s, "
            f"{built.cached} of {built.steps} steps cached",
            seconds=seconds,
        )
    )
    image.results.append(_size(project, engine, name, size, sizes))
    image.results += contract.check_image(project, name, config)
    return image


def _size(project: Project, engine: Engine, name: str, size: int, sizes: LayerSizes) -> Result:
    base = engine.image_config(_bases(project, name)["BASE_IMAGE"])
    above = size - (sizes.total(engine, base) if base else 0)
    budget = project.containers[name].budgets.size_above_base
    return judge(
        "build.size",
        "size above the base image",
        above <= budget,
        container=name,
        expected=f"at most {megabytes(budget)}",
        measured=megabytes(above),
        fix="`docker history` shows which layer grew; leave out what the service does not read",
    )


def current_image(root: Path, project: Project, engine: Engine, name: str) -> tuple[str, str]:
    """(image ID, "") of the last build, or ("", reason) where there is none of these sources."""
    config = engine.image_config(f"{project.image(name)}:dev")
    if config is None:
        return "", "not built yet: nox -s build"
    try:
        digest = inputs_digest(root, project, name)
    except InputError as error:
        return "", error.message
    if (config.get("Labels") or {}).get(INPUTS_LABEL) != digest:
        return "", "the sources changed since the last build: nox -s build checks it"
    return str(config["Id"]), ""
