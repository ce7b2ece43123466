"""Build the images: base images first, then every container, and judge what came out."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from taskflow_containers.checks.buildadvice import advice
from taskflow_containers.contract.dockerignore import context_files, ignore_file
from taskflow_containers.contract.image import check_image
from taskflow_containers.engine import builder
from taskflow_containers.engine.builder import BuildFailed, Needs
from taskflow_containers.engine.client import SUBSTITUTES_VARIABLE, Engine, substitutes
from taskflow_containers.engine.layersizes import LayerSizes
from taskflow_containers.machine import interruption
from taskflow_containers.machine.errors import EnvironmentTrouble, InputError
from taskflow_containers.machine.process import last_line
from taskflow_containers.project.model import Project
from taskflow_containers.project.values import megabytes
from taskflow_containers.release import git
from taskflow_containers.report import REPORTS
from taskflow_containers.report.result import Result, judge, of_platform
from taskflow_containers.workspace import Target, Workspace

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
    files = [(path.relative_to(folder).as_posix(), path) for path in _sources(root, project, name)]
    digest = hashlib.sha256()
    for place, path in [("Dockerfile", root / project.dockerfile(name)), *files]:
        digest.update(place.encode())
        digest.update(b"%o" % (path.lstat().st_mode & 0o111))
        digest.update(hashlib.sha256(_content(path)).digest())
    given = {**_bases(project, name), **project.containers[name].build.arguments}
    for value in (*given.values(), *project.build.platforms):
        digest.update(value.encode() + b"\0")
    return digest.hexdigest()


def _sources(root: Path, project: Project, name: str) -> Iterator[Path]:
    """The files that the build of a container can see, but for what every check writes anew."""
    folder = root / project.context(name)
    beside = (REPORTS, ".nox") if folder == root else ()
    return context_files(folder, ignore_file(root / project.dockerfile(name), folder), beside)


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


def needs(workspace: Workspace, name: str, *, pull: bool = False, export: bool = False) -> Needs:
    """What the build of a container needs beside its context; `export` writes the build cache out.

    Raises:
        InputError: a secret is not there.
    """
    root, project = workspace.root, workspace.project
    secrets = project.containers[name].build.secrets
    variables, files = {}, {}
    for id, origin in secrets.items():
        key = f"containers.{name}.build.secrets.{id}"
        if origin.variable:
            variables[id] = origin.variable
            if not os.environ.get(origin.variable):
                raise InputError(f"{key}: {origin.variable} is not set", "set it, and run again")
        elif origin.file:
            files[id] = path = (root / Path(origin.file).expanduser()).resolve()
            if not path.is_file():
                raise InputError(f"{key}: there is no file {path}", "write it, and run again")
    return Needs(
        variables=variables,
        files=files,
        platforms=project.build.platforms,
        cache_from=_places(builder.CACHE_FROM, project.build.cache_from, name),
        cache_to=_places(builder.CACHE_TO, project.build.cache_to, name) if export else (),
        builder=project.build.builder,
        bases=tuple(_bases(project, name).values()),
        pull=pull,
    )


def _places(variable: str, stated: Sequence[str], name: str) -> tuple[str, ...]:
    """Where a container's build cache is, as this machine (in its environment) or the project says."""
    given = os.environ.get(variable)
    places = stated if given is None else given.split()
    return tuple(place.replace("{container}", name) for place in places)


def notes(workspace: Workspace, names: Iterable[str]) -> list[str]:
    """What a report says about the images to build on, and what this engine's builder leaves out."""
    project, engine, names = workspace.project, workspace.engine, list(names)
    bases = [image for name in names for image in _bases(project, name).values()]
    found = [line for image in dict.fromkeys(bases) if (line := age(engine, image))]
    wanted = Needs(
        cache_from=_places(builder.CACHE_FROM, project.build.cache_from, ""),
        cache_to=_places(builder.CACHE_TO, project.build.cache_to, ""),
        builder=project.build.builder,
    )
    return [*found, *builder.notes(wanted, engine)]


def age(engine: Engine, image: str) -> str:
    """How old an image that is here is, for a person; empty where it is not here or does not say."""
    created = str((engine.image_config(image) or {}).get("Created") or "")
    try:
        # Some images are made as if in 1970, so that they are the same each time; that says nothing.
        made = datetime.fromisoformat(created[:19]).replace(tzinfo=UTC)
    except ValueError:
        return ""
    if made.year < 2000:
        return f"{image} does not say when it was made"
    days = (datetime.now(UTC).date() - made.date()).days
    old = "today" if days < 1 else f"{days} day{'s' if days > 1 else ''} ago"
    return f"{image} was made {old} ({made:%Y-%m-%d})"


def refresh(workspace: Workspace, image: str, platform: str) -> None:
    """Ask the registry for a newer one of this name.

    What somebody put in the place of another image may be this machine's alone.

    Raises:
        EnvironmentTrouble: the registry cannot be asked.
    """
    engine = workspace.engine
    workspace.say(f"asking for a newer {image}" + f" for {platform}" * bool(platform))
    words = ["pull", "--quiet", *([f"--platform={platform}"] if platform else []), image]
    done = engine.call(*words, check=False, timeout=600, patience=0)
    if done.returncode:
        reason = last_line(done.stderr)
        if image not in substitutes().values() or engine.image_config(image) is None:
            raise EnvironmentTrouble(
                f"no registry can be asked for a newer {image}: {reason}",
                "check the network, or leave --pull out",
            )
        workspace.note(f"{image} stays as it is: {reason}")


def substitution_notes(images: Iterable[str]) -> list[str]:
    """One line for each image that another one stands in for."""
    instead = substitutes()
    return [
        f"{image} is replaced by {instead[image]} ({SUBSTITUTES_VARIABLE})"
        for image in dict.fromkeys(images)
        if image in instead
    ]


def _arguments(
    root: Path, project: Project, target: Target, commit: git.Revision | None
) -> dict[str, str]:
    # A fixed time keeps the image's ID when nothing changed: the commit's, else the newest file's.
    if commit and not commit.dirty:
        created = commit.time
    else:
        files = _sources(root, project, target.name)
        newest = max((path.lstat().st_mtime for path in files), default=0)
        created = datetime.fromtimestamp(int(newest), UTC)
    return {
        **_bases(project, target.name),
        "TITLE": f"{project.title} {target.name}",
        "VERSION": project.version,
        "REVISION": commit.text if commit else "unknown",
        "CREATED": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "SOURCE": project.source or "unknown",
        **target.container.build.arguments,
    }


def build(
    workspace: Workspace,
    names: Iterable[str],
    *,
    no_cache: bool = False,
    pull: bool = False,
    export: bool = False,
) -> list[Image]:
    """Build the named containers, side by side where the engine gains by it.

    `pull` asks for newer base images first; `export` writes the build cache to `cache-to`.

    Raises:
        InputError: a secret or a builder is not there.
        EnvironmentTrouble: a base image can be had nowhere, or the engine is in trouble.
    """
    names, engine, say = list(names), workspace.engine, workspace.say
    needed = {name: needs(workspace, name, pull=pull, export=export) for name in names}
    platforms = workspace.project.build.platforms
    builder.require_place_for(engine, platforms)
    for image in sorted({image for each in needed.values() for image in each.bases}):
        for platform in (platforms or ("",)) if pull else ():
            refresh(workspace, image, platform)
        engine.provide(image, say, platforms)

    def one(name: str) -> Image:
        return _build_one(workspace, workspace.target(name), needed[name], no_cache)

    workers = len(names) if engine.buildkit else 1
    with interruption.pool(max(1, workers)) as pool:
        return list(pool.map(one, names))


def _build_one(workspace: Workspace, target: Target, needed: Needs, no_cache: bool) -> Image:
    root, project, engine = workspace.root, workspace.project, workspace.engine
    name, commit = target.name, git.revision(root)
    tags = [f"{project.image(name)}:dev"]
    if commit and not commit.dirty:
        tags.append(f"{project.image(name)}:{commit.tag}")
    dockerfile = project.dockerfile(name)
    if not (root / dockerfile).is_file():
        result = judge(
            "build.image",
            "image builds",
            False,
            container=name,
            expected=dockerfile,
            measured="no such file",
            fix=f"write it, or correct containers.{name}.dockerfile or its context",
        )
        return Image(name, results=[result])
    started = time.monotonic()
    try:
        built = builder.build(
            engine,
            target.folder,
            root / dockerfile,
            tags=tags,
            arguments=_arguments(root, project, target, commit),
            labels={INPUTS_LABEL: inputs_digest(root, project, name)},
            on_step=lambda step: workspace.say(f"{name}: {step}"),
            no_cache=no_cache,
            needs=needed,
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
            fix=advice(f"{error.message}\n{error.hint}", error.said),
            seconds=time.monotonic() - started,
        )
        return Image(name, results=[result])
    seconds = time.monotonic() - started
    image = Image(name, built.image, tuple(tags))
    parts = project.build.parts
    configs = {part: engine.require_image_config(built.image, part) for part in parts}
    sizes = LayerSizes(root)
    totals = {part: sizes.total(engine, config, part) for part, config in configs.items()}
    made = " and ".join(
        f"{configs[part]['Platform']}, {megabytes(size)}" for part, size in totals.items()
    )
    image.results.append(
        judge(
            "build.image",
            "image builds",
            True,
            container=name,
            expected=tags[0],
            measured=f"{built.image[:19]}, {made}, {seconds:.1f} s, "
            f"{built.cached} of {built.steps} steps cached",
            seconds=seconds,
        )
    )
    for part, size in totals.items():
        image.results.append(of_platform(_size(workspace, target, size, sizes, part), part))
    image.results += check_built(workspace, name, built.image)
    return image


def check_built(workspace: Workspace, name: str, image: str) -> list[Result]:
    """The contract's image level, of each platform in the image; told once where all are alike."""
    project, engine, parts = workspace.project, workspace.engine, workspace.project.build.parts
    configs = (engine.require_image_config(image, part) for part in parts)
    looked = [check_image(project, name, config, engine.platform) for config in configs]
    found = list[Result]()
    for results in zip(*looked, strict=True):
        alike = len({*results}) == 1
        found += results[:1] if alike else map(of_platform, results, parts)
    return found


def _size(workspace: Workspace, target: Target, size: int, sizes: LayerSizes, part: str) -> Result:
    engine = workspace.engine
    base = engine.image_config(_bases(workspace.project, target.name)["BASE_IMAGE"], part)
    above = size - (sizes.total(engine, base, part) if base else 0)
    budget = target.container.budgets.size_above_base
    return judge(
        "build.size",
        "size above the base image",
        above <= budget,
        container=target.name,
        expected=f"at most {megabytes(budget)}",
        measured=megabytes(above),
        figure=above,
        fix="`docker history` shows which layer grew; leave out what the service does not read",
    )


def current_image(workspace: Workspace, name: str) -> tuple[str, str]:
    """(image ID, "") of the last build, or ("", reason) where there is none of these sources."""
    project = workspace.project
    config = workspace.engine.image_config(f"{project.image(name)}:dev")
    if config is None:
        return "", "not built yet: nox -s build"
    try:
        digest = inputs_digest(workspace.root, project, name)
    except InputError as error:
        return "", error.message
    if (config.get("Labels") or {}).get(INPUTS_LABEL) != digest:
        return "", "the sources changed since the last build: nox -s build checks it"
    return str(config["Id"]), ""
