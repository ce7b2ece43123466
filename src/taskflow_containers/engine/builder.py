"""Builds an image of a Dockerfile with whatever builder the engine's client has."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from taskflow_containers.contract.dockerignore import ignore_file
from taskflow_containers.engine import buildlog
from taskflow_containers.engine.client import Builder, Engine
from taskflow_containers.engine.dialects import (
    for_the_legacy_builder,
    given,
    reachable_cache_mounts,
    with_stated_arguments,
)
from taskflow_containers.machine import interruption
from taskflow_containers.machine.errors import (
    EnvironmentTrouble,
    InputError,
    RegistryTrouble,
    TaskflowError,
)
from taskflow_containers.machine.process import Say, last_line, stream

BUILDER_VARIABLE = "BUILDX_BUILDER"
# What builders know without an ARG, and keep out of the history and of the cache's keys.
# Source: Dockerfile reference, "Predefined ARGs".
PREDEFINED = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
_SHORTEST = 6  # characters of a secret that is searched for in what a build prints
CACHE_FROM, CACHE_TO = "TASKFLOW_CACHE_FROM", "TASKFLOW_CACHE_TO"
_NO_CACHE_EXPORT = "Cache export is not supported"
# Buildah breaks off where somebody removes an image while it looks for a cached layer, and what it
# has just built may be removed with another run's name for the same image.
_VANISHED = re.compile(
    r"checking if cached image exists.*not known"
    r"|getting source imageReference for .*cannot specify 64-byte hexadecimal"
)
_LOOKS = 3  # attempts
# Source: https://reproducible-builds.org/specs/source-date-epoch/; buildx reads it by itself.
EPOCH_VARIABLE = "SOURCE_DATE_EPOCH"
OWN_DRIVER = "docker"  # BuildKit within the engine, which sees the images that are here


@dataclass(frozen=True, slots=True)
class Built:
    """A finished build: image ID, and how many of its steps came from the cache."""

    image: str
    steps: int
    cached: int


class BuildFailed(TaskflowError):
    """An instruction failed; `message` names it, `hint` says why, `said` is the end of its output."""

    def __init__(self, message: str, hint: str = "", said: str = "") -> None:
        super().__init__(message, hint)
        self.said = said


@dataclass(frozen=True, slots=True)
class Needs:
    """What a build needs beside its context.

    `variables` and `files` are secrets: the ID by which a RUN mounts one, and where its value is
    (a variable's name, a path). `platforms` read os/architecture[/variant]; none is the engine's own.
    `cache_from` and `cache_to` are as buildx takes them; `builder` is one of buildx's, the current
    one if empty. `bases` are the images to build on, and `pull` has a builder of its own ask for
    newer ones.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    platforms: Sequence[str] = ()
    cache_from: Sequence[str] = ()
    cache_to: Sequence[str] = ()
    builder: str = ""
    bases: Sequence[str] = ()
    pull: bool = False

    def values(self) -> list[str]:
        """What no output may repeat: each secret, and the lines and values of those in files."""
        found = [os.environ.get(name, "") for name in self.variables.values()]
        for path in self.files.values():
            text = path.read_text(encoding="utf-8", errors="replace")
            for line in [text, *text.splitlines()]:
                found += [line.strip(), re.split(r"[=:\s]", line.strip())[-1].strip("\"'")]
        long = {value for value in found if len(value) >= _SHORTEST}
        return sorted(long, key=len, reverse=True)


_NOTHING = Needs()


def proxies() -> list[str]:
    """The variables of a proxy that a build is given; one on this machine's loopback is none there."""
    return [
        name
        for known in PREDEFINED
        for name in (known, known.lower())
        if os.environ.get(name) and not (known != "NO_PROXY" and _on_loopback(os.environ[name]))
    ]


def _on_loopback(url: str) -> bool:
    try:
        host = urlsplit(url if "://" in url else f"//{url}").hostname or ""
    except ValueError:
        return False
    return host in {"localhost", "::1"} or host.startswith("127.")


def notes(needs: Needs, engine: Engine) -> list[str]:
    """What of these needs this engine's builder leaves out, a line each: nothing goes unsaid."""
    found = []
    if (needs.cache_from or needs.cache_to) and engine.builder is not Builder.BUILDX:
        found.append("cache-from and cache-to are left out: they need Docker's buildx")
    if needs.builder and engine.builder is not Builder.BUILDX:
        found.append(f"the builder {needs.builder} is left out: it needs Docker's buildx")
    whole = engine.builder is Builder.BUILDX and engine.keeps_indexes()
    if os.environ.get(EPOCH_VARIABLE) and not whole:
        found.append(
            f"{EPOCH_VARIABLE} sets the image's time only: this engine's builder leaves files the time "
            "at which they were made, so that a second build has another digest"
        )
    own = {name for name in PREDEFINED for name in (name, name.lower())} - set(proxies())
    if kept := sorted(name for name in own if os.environ.get(name)):
        found.append(
            f"{', '.join(kept)} is not passed to builds: this machine's loopback is another one there"
        )
    return found


def require_place_for(engine: Engine, platforms: Sequence[str]) -> None:
    """Raises InputError where this engine keeps no image of several platforms, or shows one part only."""
    if len(platforms) > 1 and not (engine.keeps_indexes() and engine.shows_platforms()):
        raise InputError(
            f"{engine.name} {engine.version} keeps no image of several platforms in this store",
            "build for one of them ([build] platforms), or use Docker 28.1 or newer with containerd's "
            "image store",
        )


def build(
    engine: Engine,
    context: Path,
    dockerfile: Path | None = None,
    *,
    tags: Sequence[str],
    arguments: Mapping[str, str],
    labels: Mapping[str, str],
    on_step: Say,
    no_cache: bool = False,
    needs: Needs = _NOTHING,
) -> Built:
    """Build `dockerfile` (by default the context's own) and give the image these tags.

    The image's ID is asked of the engine, under a name that nobody else builds to: what builders
    write by --iidfile is the config's digest, by which containerd's store finds nothing.

    Raises:
        InputError: a secret or a builder is not there, or the builder does not know what is needed.
        EnvironmentTrouble: disk, network or engine failed.
        BuildFailed: an instruction of the Dockerfile failed.
    """
    if engine.builder is Builder.LEGACY and (needs.variables or needs.files):
        raise InputError("secrets of a build need BuildKit", "install Docker's buildx plugin")
    require_place_for(engine, needs.platforms)
    file = dockerfile or context / "Dockerfile"
    ignore = ignore_file(file, context)
    if engine.builder is Builder.LEGACY and ignore.name != ".dockerignore":
        raise InputError(f"{ignore.name} needs BuildKit", "install Docker's buildx plugin")
    name = f"{tags[0].rpartition(':')[0]}:build-{secrets.token_hex(6)}"
    job = _Job(engine, context, file, ignore, name, arguments, labels, on_step, no_cache, needs)
    for _ in range(1 if job.names else _LOOKS):
        if built := _built_and_named(job, tags):
            return built
    raise EnvironmentTrouble(
        f"{engine.name} built {tags[0]}, and does not have it", "run the command again"
    )


def _built_and_named(job: _Job, tags: Sequence[str]) -> Built | None:
    """Build and give the tags; None where the image is gone by then, as by another run that removed its own."""
    engine = job.engine
    try:
        watch = job.run()
        config = engine.image_config(job.made)
        if config is None:
            return None
        image = str(config["Id"])
        for tag in tags:
            if engine.call("tag", image, tag, check=job.names).returncode:
                return None
    finally:
        # The name only: the image keeps its tags.
        with interruption.tidying():
            engine.call("image", "rm", "--no-prune", job.made, check=False)
    return Built(image, len(watch.steps), len(watch.steps & watch.cached))


@dataclass(frozen=True, slots=True)
class _Job:
    """One build under the name `made`."""

    engine: Engine
    context: Path
    dockerfile: Path
    ignore: Path  # the ignore file, whether it is there or not
    made: str
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    on_step: Say
    no_cache: bool
    needs: Needs

    @property
    def names(self) -> bool:
        """Whether the builder names what it builds; Buildah would beside others who do, and `tag` has one at a time."""
        return self.engine.builder is not Builder.BUILDAH

    def run(self) -> buildlog.Steps:
        """Build; by the engine's own builder where another one does not see a base image that is here."""
        if self.engine.builder is not Builder.BUILDX:
            return self._attempt([], own=True)
        builder, driver = self._builder()
        if driver == OWN_DRIVER:
            return self._attempt(["--builder", builder], own=True)
        elsewhere = ["--builder", builder, *(["--pull"] if self.needs.pull else [])]
        try:
            return self._attempt(elsewhere)
        except RegistryTrouble:
            if not all(self.engine.image_config(base) for base in self.needs.bases):
                raise
            own = self.engine.call("context", "inspect", "--format", "{{.Name}}").stdout.strip()
            self.on_step(
                f"{builder} ({driver}) sees no image of this engine, and no registry has the base "
                f"image: the engine's own builder takes it, without cache-from and cache-to"
            )
            return self._attempt(["--builder", own], own=True, caches=False)

    def _builder(self) -> tuple[str, str]:
        """The builder to take, and its driver."""
        wanted = os.environ.get(BUILDER_VARIABLE) or self.needs.builder
        done = self.engine.call("buildx", "inspect", *([wanted] if wanted else []), check=False)
        found = dict(re.findall(r"^(Name|Driver):\s*(\S+)", done.stdout, re.MULTILINE)[:2])
        if done.returncode or len(found) < 2:
            raise InputError(
                f"buildx has no builder {wanted or 'that is current'}: {last_line(done.stderr)}",
                f"`{self.engine.client.name} buildx ls` lists them; {BUILDER_VARIABLE} names another",
            )
        return found["Name"], found["Driver"]

    def _attempt(
        self, chosen: Sequence[str], *, own: bool = False, caches: bool = True
    ) -> buildlog.Steps:
        with TemporaryDirectory(prefix="taskflow-") as folder:
            archive = Path(folder, "image.tar")
            output = self._output(archive, own=own)
            steps = self._build([*chosen, output], Path(folder), caches=caches)
            if archive.exists():
                self.engine.call("load", "--input", archive, timeout=600)
            return steps

    def _output(self, archive: Path, *, own: bool) -> str:
        """Where buildx puts the image: an archive where files get fixed times, as BuildKit sets none in a store.

        Another builder than the engine's own hands over several platforms by an archive alone.
        """
        fixed = ",rewrite-timestamp=true" if os.environ.get(EPOCH_VARIABLE) else ""
        several = len(self.needs.platforms) > 1
        if (fixed or (several and not own)) and self.engine.keeps_indexes():
            return f"--output=type=oci,dest={archive}{fixed}"
        return f"--output=type=docker,dest={archive}{fixed}" if fixed and not own else "--load"

    def _build(self, chosen: Sequence[str], folder: Path, *, caches: bool) -> buildlog.Steps:
        id = folder / "id"
        dockerfile = self.dockerfile.read_text("utf-8", errors="surrogateescape")
        environment: dict[str, str] = {}
        words: list[str | Path] = [self.engine.client]
        match self.engine.builder:
            case Builder.BUILDX:
                # An attestation would make the image an index with an ID that changes every time.
                words += ["buildx", "build", *chosen, "--progress=plain"]
                words += ["--provenance=false", "--sbom=false"]
                if caches:
                    words += [f"--cache-from={place}" for place in self.needs.cache_from]
                    words += [f"--cache-to={place}" for place in self.needs.cache_to]
            case Builder.BUILDKIT:
                words += ["build", "--progress=plain"]
                environment["DOCKER_BUILDKIT"] = "1"
            case Builder.BUILDAH:
                # Only Docker's format keeps HEALTHCHECK; layers make the next build a short one.
                words += ["build", "--format=docker", "--layers", "--http-proxy=false"]
                environment |= reachable_cache_mounts()
                dockerfile = with_stated_arguments(dockerfile, self.arguments)
            case Builder.LEGACY:
                environment["DOCKER_BUILDKIT"] = "0"
                # A step that fails would leave its container behind.
                words += ["build", "--force-rm"]
                dockerfile = for_the_legacy_builder(dockerfile)
        words += ["--no-cache"] if self.no_cache else []
        words += given(dockerfile, self.ignore, folder, buildkit=self.engine.buildkit)
        words += ["--tag", self.made] if self.names else ["--iidfile", id]
        words += [f"--platform={','.join(self.needs.platforms)}"] if self.needs.platforms else []
        # Without a value: the client takes it from its environment, and nobody reads it in `ps`.
        words += [f"--build-arg={name}" for name in proxies()]
        words += [f"--build-arg={key}={value}" for key, value in self.arguments.items()]
        words += [f"--label={key}={value}" for key, value in self.labels.items()]
        words += [
            f"--secret=id={key},type=env,src={name}" for key, name in self.needs.variables.items()
        ]
        words += [
            f"--secret=id={key},type=file,src={path}" for key, path in self.needs.files.items()
        ]
        values = self.needs.values()

        def plain(text: str) -> str:
            for value in values:
                text = text.replace(value, "***")
            return text

        for _ in range(_LOOKS):
            watch = buildlog.Steps(lambda step: self.on_step(plain(step)))
            code, output = stream(
                [*words, self.context], watch.see, env=environment, stdin=dockerfile
            )
            if not (code and _VANISHED.search(output)):
                break
        if code and _NO_CACHE_EXPORT in output:
            raise InputError(
                "this builder exports no build cache: cache-to is not for it",
                "use containerd's image store or another builder (`docker buildx create --use`), "
                f"or leave it out here: {CACHE_TO}=",
            )
        if code:
            log = buildlog.read(plain(output), buildkit=self.engine.buildkit)
            raise (
                buildlog.not_run_here(output, self.needs.platforms, self.engine.platform)
                or log.trouble()
                or BuildFailed(*log.failure(plain(output)))
            )
        if not self.names:
            self.engine.call("tag", id.read_text().strip(), self.made, check=False)
        return watch
