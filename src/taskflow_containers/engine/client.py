"""The engine seam: Docker and Podman behind one small interface."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from taskflow_containers.engine import endpoint
from taskflow_containers.machine.errors import (
    EngineGone,
    EnvironmentTrouble,
    InputError,
    MachineTrouble,
)
from taskflow_containers.machine.locks import exclusive
from taskflow_containers.machine.process import Completed, Say, last_line, run, trouble

SUBSTITUTES_VARIABLE = "TASKFLOW_SUBSTITUTE_IMAGES"
# Seconds. A client killed midway leaves the server making what nobody then removes.
_PATIENCE = 5.0
_ATTEMPTS = 5  # of what an engine may refuse for a moment
# An engine's words for what it does not have, and not for what it could not read.
_ABSENT = re.compile(
    r"no such (?:image|container|network|volume|object)|image not known"
    r"|network (?:\S+ )?not found|invalid reference format|cannot be empty"
    r"|does not provide the specified platform",
    re.IGNORECASE,
)
_LIMITS = frozenset({"cpu", "memory", "freezer"})


class Builder(StrEnum):
    """What builds the images, the best first."""

    BUILDX = "buildx"
    BUILDKIT = "BuildKit"
    BUILDAH = "Buildah"
    LEGACY = "the legacy builder"


@dataclass(frozen=True, slots=True)
class Engine:
    """A client whose server answers; `platform` is what it runs without emulating: linux/amd64."""

    name: str
    client: Path
    version: str
    builder: Builder
    platform: str = ""
    endpoint: str = ""

    @property
    def description(self) -> str:
        """One line for the report's head; says aloud what is degraded."""
        runs = f" for {self.platform}" if self.platform else ""
        text = f"engine: {self.name} {self.version}{runs} ({self.client}), built by {self.builder}"
        if self.builder is Builder.LEGACY:
            text += "; without cache mounts and parallel stages (install buildx to have them)"
        return text

    @property
    def host(self) -> str:
        """Where published ports answer: this machine, or the one that the engine runs on (in CI: dind)."""
        return endpoint.host(self.endpoint)

    @property
    def publishing(self) -> str:
        """The address to publish ports on, so that they answer at `host` and no wider than need be."""
        return endpoint.publishing(self.host)

    @property
    def remote(self) -> bool:
        """Whether the containers run on another machine, whose processes cannot be seen from here."""
        return self.host != endpoint.HERE

    @property
    def buildkit(self) -> bool:
        """Whether BuildKit builds: two builds at a time gain by it and do not disturb each other."""
        return self.builder in {Builder.BUILDX, Builder.BUILDKIT}

    def failure(self, done: Completed, *words: str | Path) -> EnvironmentTrouble:
        """What made a client command fail, for a person."""
        return trouble(done.stderr) or EnvironmentTrouble(
            f"{self.name} {' '.join(map(str, words[:2]))} failed: {last_line(done.stderr)}",
            "run it by hand to see more, or run the command again",
        )

    def call(
        self,
        *words: str | Path,
        check: bool = True,
        timeout: float = 120,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        patience: float = _PATIENCE,
    ) -> Completed:
        """Run one client command; `env` and `stdin` take what its command line would show to everybody.

        Raises:
            EngineGone: it stopped answering.
            EnvironmentTrouble: the command failed, unless `check` is off.
        """
        names = self.name == "podman" and (words[0] == "tag" or words[:2] == ("image", "rm"))
        with _one_at_a_time() if names else nullcontext():
            # Podman's monitor leaves a file called `oom` where it was started, once a limit was met.
            done = run(
                [self.client, *words],
                timeout=timeout,
                cwd=Path(gettempdir()),
                patience=patience,
                env=env,
                stdin=stdin,
            )
        if done.returncode:
            fault = self.failure(done, *words)
            if check or isinstance(fault, EngineGone):
                raise fault
        return done

    def limits(self) -> frozenset[str]:
        """The control groups its containers have, of cpu, memory and freezer; rootless, some may be missing.

        Read from cgroupControllers (`podman info`), CgroupDriver, MemoryLimit and CpuCfsQuota (`docker info`).
        """
        try:
            told = json.loads(self.call("info", "--format", "{{json .}}").stdout)
            if host := told.get("host"):
                if not host["security"]["rootless"]:
                    return _LIMITS
                # Version 2 freezes whatever it holds, without a controller of that name.
                freezer = {"freezer"} if host["cgroupVersion"] == "v2" else set()
                return _LIMITS & {*(host.get("cgroupControllers") or ()), *freezer}
            if told.get("CgroupDriver") == "none":
                return frozenset()
            absent = {"memory": "MemoryLimit", "cpu": "CpuCfsQuota"}
            return _LIMITS - {limit for limit, key in absent.items() if told.get(key) is False}
        except (ValueError, AttributeError, KeyError, TypeError):
            return _LIMITS

    def inspect(self, kind: str, name: str, *options: str) -> dict[str, Any] | None:
        """What the engine knows of an image, container or network; None where there is none.

        Raises:
            EnvironmentTrouble: it cannot say, each time it is asked.
        """
        for attempt in range(_ATTEMPTS):
            # Podman looks through all its images for one, and gives up where another vanishes.
            time.sleep(0.2 * attempt)
            done = self.call(kind, "inspect", *options, name, check=False)
            if done.returncode == 0:
                break
            if _ABSENT.search(done.stderr):
                return None
        else:
            raise self.failure(done, kind, "inspect")
        try:
            found = json.loads(done.stdout)
            return dict(found[0]) if found else None
        except (ValueError, TypeError, KeyError):
            raise EnvironmentTrouble(
                f"{self.client} answers `{kind} inspect` with something else than JSON",
                "is it really docker or podman? --engine chooses another",
            ) from None

    def image_config(self, name: str, platform: str = "") -> dict[str, Any] | None:
        """The image's OCI config (User, Env, Cmd, …) and `Id`, `Layers`, `Platform`, `Created`.

        The ID, sha256:…, is what this engine runs, saves and pushes the image by: the digest of its
        manifest or index in containerd's store, of its config elsewhere. `Layers` are the diff IDs.

        `platform` asks for one of several in an index, which has no ID that the engine takes: `Id` is
        then the name asked for, and `Manifest` the digest. Without it, it is the one that is run.
        """
        found = self.inspect("image", name, *([f"--platform={platform}"] if platform else []))
        if found is None:
            return None
        config = dict(found.get("Config") or {})
        # Podman keeps a health check beside the config, and IDs without their algorithm.
        beside = found.get("Healthcheck") or found.get("HealthCheck")
        config["Healthcheck"] = config.get("Healthcheck") or beside
        config["Id"] = "sha256:" + str(found["Id"]).removeprefix("sha256:")
        if platform:
            config["Id"], config["Manifest"] = name, config["Id"]
        config["Layers"] = found.get("RootFS", {}).get("Layers") or []
        config["Created"] = str(found.get("Created") or "")
        config["Platform"] = platform_of(
            found.get("Os"), found.get("Architecture"), found.get("Variant")
        )
        return config

    def require_image_config(self, image: str, platform: str = "") -> dict[str, Any]:
        """The config of an image that was here, as `image_config` has it.

        Raises:
            EnvironmentTrouble: it is gone.
        """
        config = self.image_config(image, platform)
        if config is None:
            which = f"the {platform} part of {image}" if platform else f"the image {image}"
            raise EnvironmentTrouble(
                f"{which} is gone from {self.name}",
                "leave the images alone while this runs, and run it again",
            )
        return config

    def keeps_indexes(self) -> bool:
        """Whether an image here may be one of several platforms, as containerd's store has it."""
        if self.name != "docker":
            return False
        status = self.call("info", "--format", "{{json .DriverStatus}}").stdout
        return "io.containerd.snapshotter" in status

    def shows_platforms(self) -> bool:
        """Whether it tells of each platform in an image, as Docker's API does from 1.49 (28.1) on."""
        said = self.call("version", "--format", "{{.Server.APIVersion}}", check=False).stdout
        return tuple(map(int, re.findall(r"\d+", said))) >= (1, 49)

    def provide(self, image: str, say: Say, platforms: Sequence[str] = ()) -> dict[str, Any] | None:
        """The config of an image that is pulled where it is not here yet, as `image_config` has it.

        Of several platforms each has to be here.
        """
        several = len(platforms) > 1
        for platform in platforms or ("",):
            if self.image_config(image, platform if several else "") is None:
                say(f"pulling {image}" + f" for {platform}" * several)
                wanted = [f"--platform={platform}"] if platform else []
                # A pull that is broken off leaves nothing that anybody would have to remove.
                self.call("pull", *wanted, image, timeout=600, patience=0)
        return self.image_config(image)

    def pause(self, container: str) -> None:
        """Freeze a container's processes, which the kernel may refuse while they are busy.

        Raises:
            MachineTrouble: it refused each time.
            EnvironmentTrouble: the container does not run.
        """
        kind: type[EnvironmentTrouble] = MachineTrouble
        for _ in range(_ATTEMPTS):
            done = self.call("pause", container, check=False)
            state = self.state(container)
            if state.get("Paused"):
                return
            if not state.get("Running"):
                kind = EnvironmentTrouble
                break
            time.sleep(0.2)
        said = last_line(done.stderr)
        raise kind(f"{self.name} cannot pause {container}: {said}", "run the command again")

    def unpause(self, container: str) -> None:
        """Let a container's processes run on; those that do already are no fault.

        Raises:
            MachineTrouble: they stay frozen.
        """
        done = self.call("unpause", container, check=False)
        if done.returncode and self.state(container).get("Paused"):
            said = last_line(done.stderr)
            raise MachineTrouble(f"{self.name} cannot unpause {container}: {said}")

    def logs(self, container: str) -> str:
        """All that a container wrote, its errors last."""
        done = self.call("logs", container, check=False)
        return done.stdout + done.stderr

    def remove(self, container: str) -> None:
        """Remove a container and its nameless volumes; one that is gone already is no fault."""
        self.call("rm", "--force", "--volumes", container, check=False)

    def state(self, container: str) -> dict[str, Any]:
        """A container's State: Running, ExitCode, OOMKilled, Pid and more; empty where there is none."""
        return dict((self.inspect("container", container) or {}).get("State") or {})

    def save(self, images: Mapping[str, str], archive: Path) -> None:
        """Write images to a tar, each (by name or ID) under the reference that is its key."""
        for reference, image in images.items():
            self.call("tag", image, reference)
        try:
            several = ["--multi-image-archive"] if self.name == "podman" else []
            self.call("save", *several, "--output", archive, *images, timeout=600)
        finally:
            # The reference only: the image keeps its own.
            self.call("image", "rm", *images, check=False)


def _one_at_a_time() -> AbstractContextManager[None]:
    """For Podman, which writes an image's names as it read them: two at a time, and one is lost."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return exclusive(cache / "taskflow-podman-names.lock")


def platform_of(system: object, architecture: object, variant: object = "") -> str:
    """As OCI writes it: os/architecture[/variant], without the variant that every machine has."""
    common = (architecture, variant) in {("arm64", "v8"), ("amd64", "v1")}
    parts = [system or "linux", architecture or "unknown", "" if common else variant]
    return "/".join(str(part) for part in parts if part)


def substitutes() -> dict[str, str]:
    """Images to use in place of others, from TASKFLOW_SUBSTITUTE_IMAGES ("a=b c=d").

    A mirror's copy or a local stand-in; every use is stated in the report.
    """
    found = {}
    for pair in os.environ.get(SUBSTITUTES_VARIABLE, "").split():
        wanted, equals, instead = pair.partition("=")
        if not (wanted and equals and instead):
            raise InputError(
                f"{SUBSTITUTES_VARIABLE} holds {pair!r}",
                'write it as "python:3.13-slim=mirror.example/python:3.13-slim", spaces between',
            )
        found[wanted] = instead
    return found
