"""A short-lived stack: containers run exactly as the model restricts them, always removed."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from taskflow_containers.engine.client import substitutes
from taskflow_containers.engine.leftovers import KEPT_LABEL, OWNER_LABEL, RUN_LABEL, remove, sweep
from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.machine.owner import owner
from taskflow_containers.machine.process import Completed, last_line
from taskflow_containers.project.forms import formed
from taskflow_containers.project.model import Access, Container
from taskflow_containers.smoke.postgres import Postgres
from taskflow_containers.smoke.running import Running
from taskflow_containers.workspace import Target, Workspace

# What a client exits with where the command is no program, or is not there.
_CANNOT_START = {126, 127}
_NO_USER = re.compile(r"unable to find (user|group)|no matching entries in (passwd|group)")
_NOT_RUN = 125  # the engine's own failure
MIGRATION_SECONDS = 300  # as the chart gives its Job
TMP_SIZE = 64 * 10**6  # bytes
Environment = Mapping[str, str | None]  # None leaves a variable out


def restrictions(container: Container, *, writable: bool = False, tmp: bool = True) -> list[str]:
    """The engine's options that hold a container to its model, as the cluster will.

    `writable` lifts the read-only root, to see what would be written were it not there. Without
    `tmp` the caller mounts one of its own.
    """
    return [
        *([] if writable else ["--read-only"]),
        *([f"--tmpfs=/tmp:rw,noexec,nosuid,nodev,size={TMP_SIZE}"] if tmp else []),
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--memory={container.memory}",
        f"--memory-swap={container.memory}",  # equal to the limit: no swap
        "--pids-limit=256",
    ]


class Stack:
    """Containers and services of one run on a network of their own; a context manager."""

    def __init__(self, workspace: Workspace, *, keep: bool = False) -> None:
        self.workspace, self.engine, self.project = workspace, workspace.engine, workspace.project
        self.id = f"{self.project.name[:30]}-smoke-{secrets.token_hex(4)}"
        self.urls: dict[str, str] = {}
        self.databases: dict[str, Postgres] = {}
        self.keep = keep
        # A stack that is to stay has no owner that could be missed.
        mark = f"{KEPT_LABEL}={self.project.name}" if keep else f"{OWNER_LABEL}={owner()}"
        self.run_label = f"{RUN_LABEL}={self.id}"
        self._labels = ["--label", mark, "--label", self.run_label]

    def __enter__(self) -> Self:
        sweep(self.engine, self.workspace.say)
        try:
            self.engine.call("network", "create", *self._labels, self.id)
            network = self.engine.inspect("network", self.id) or {}
            if network.get("dns_enabled") is False:
                raise EnvironmentTrouble(
                    "Podman's networks resolve no names, so the containers cannot find each other",
                    "apt install aardvark-dns, or for its older CNI backend "
                    "golang-github-containernetworking-plugin-dnsname",
                )
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind or not self.keep:
            self.remove()

    def remove(self) -> None:
        """Remove everything this run made; whatever is already gone is fine."""
        remove(self.engine, self.run_label, self.id)

    def handle(self, name: str) -> str:
        """A container's name in the engine."""
        return f"{self.id}-{name}"

    def start_service(self, name: str, instance: str = "") -> Postgres:
        """Start PostgreSQL under the network name `name` and wait until it takes connections.

        An `instance` is one more, with a network name of its own, which the others are not told of.
        """
        service = self.project.services[name]
        image = substitutes().get(service.image, service.image)
        self.engine.provide(image, self.workspace.say)
        host = f"{name}-{instance}" if instance else name
        # Names that occur nowhere else, so that they are noticed wherever they are given away.
        role, database = (f"{kind}_{secrets.token_hex(4)}" for kind in ("role", "db"))
        found = Postgres(name, self.engine, self.handle(host), host, service.port, database, role)
        found.start(image, ["--network", self.id, "--network-alias", host, *self._labels])
        if not instance:
            self.databases[name], self.urls[name] = found, found.url()
        return found

    def url(self, name: str) -> str:
        """Where a container or service is, or would be if it were part of this run."""
        if name in self.project.containers:
            return self.urls.get(name, f"http://{name}:{self.project.containers[name].port}")
        return self.urls.get(name, name)

    def host_entries(self, handles: Mapping[str, str]) -> list[str]:
        """Options that tell a container the addresses of others (name → handle) where DNS may not.

        Podman's older DNS plugin (CNI dnsname) loses names while containers come and go.
        """
        if self.engine.name != "podman":
            return []
        found = []
        for name, handle in handles.items():
            settings = (self.engine.inspect("container", handle) or {}).get("NetworkSettings") or {}
            network = (settings.get("Networks") or {}).get(self.id) or {}
            if address := network.get("IPAddress"):
                found.append(f"--add-host={name}:{address}")
        return found

    def start(self, target: Target) -> Running:
        """Run one container as the model has it and wait for its first healthy answer.

        `seconds_to_healthy` stays None when it exits or does not answer in time.
        """
        running = self.launch(target)
        running.wait()
        return running

    def launch(
        self,
        target: Target,
        *options: str,
        instance: str = "",
        environment: Environment | None = None,
        writable: bool = False,
        lasting_tmp: bool = False,
    ) -> Running:
        """Run one container as the model has it, without waiting for it.

        An `instance` is one more of the same, which the others do not find under its name.
        `environment` overrides what the model makes of it; None leaves a variable out.
        With `lasting_tmp` /tmp outlives the container's process, as the chart's emptyDir does.
        """
        model = target.container
        handle = self.handle(f"{target.name}-{instance}" if instance else target.name)
        running = Running(target, handle, self.engine)
        values = self.environment(model, environment)
        words = ["run", "--detach", "--name", handle,
                 *self._options(model, values, writable=writable, tmp=not lasting_tmp)]  # fmt: skip
        words += ["--publish", f"{self.engine.publishing}::{model.port}"] if model.port else []
        words += [] if instance else ["--network-alias", target.name]
        for index, volume in enumerate(model.volumes):
            # A new volume takes over what the image has there, a read-only one too.
            read_only = ":ro" if volume.access is Access.READ_ONLY else ""
            words += ["--volume", f"{self._volume(f'{handle}-{index}')}:{volume.path}{read_only}"]
        if lasting_tmp:
            words += ["--volume", f"{self._volume(f'{handle}-tmp')}:/tmp"]
        running.launched = time.monotonic()
        done = self.engine.call(*words, *options, target.image, check=False, env=values)
        running.id = last_line(done.stdout)
        no_user = _NO_USER.search(done.stderr)
        if done.returncode in _CANNOT_START or (done.returncode and no_user):
            # The image's own fault, and no reason to break off the checks of others.
            said = [s for s in done.stderr.splitlines() if "exec" in s or _NO_USER.search(s)]
            running.cannot_start = (said or [last_line(done.stderr)])[0]
        elif done.returncode:
            raise self.engine.failure(done, *words)
        return running

    def _volume(self, name: str) -> str:
        self.engine.call("volume", "create", *self._labels, name)
        return name

    def once(
        self,
        target: Target,
        command: Sequence[str],
        *options: str,
        environment: Environment | None = None,
    ) -> Completed:
        """Run a command to its end, with the image, the environment and the limits of a container."""
        model = target.container
        program, *rest = command
        values = self.environment(model, environment)
        words = ["run", "--rm", "--entrypoint", program, *self._options(model, values), *options,
                 target.image, *rest]  # fmt: skip
        done = self.engine.call(*words, check=False, env=values, timeout=MIGRATION_SECONDS)
        if done.returncode == _NOT_RUN:
            raise self.engine.failure(done, *words)
        return done

    def environment(self, model: Container, given: Environment | None = None) -> dict[str, str]:
        """A container's variables and their values, `given` before what the model makes of them."""
        found: dict[str, str | None] = dict(self.workspace.handed)
        found |= {variable: self.url(name) for variable, name in model.connects.items()}
        for variable in model.environment.required:
            # What connects to nothing here comes from the caller's environment.
            example = model.environment.examples.get(variable)
            found.setdefault(variable, os.environ.get(variable, example))
        found |= given or {}
        forms = model.connects_as
        return {
            variable: formed(value, forms.get(variable, ""))
            for variable, value in found.items()
            if value is not None
        }

    def _options(
        self,
        model: Container,
        variables: Iterable[str],
        *,
        writable: bool = False,
        tmp: bool = True,
    ) -> list[str]:
        """The engine's options of whatever runs as the model has it on this run's network."""
        words = ["--network", self.id, *self._labels]
        words += restrictions(model, writable=writable, tmp=tmp)
        if self.engine.name == "podman" and not writable:
            # Podman would put a tmpfs over /var/tmp and /run; no cluster does.
            words.append("--read-only-tmpfs=false")
        # By name, its value in the client's own environment: a command line is everybody's to read.
        for variable in variables:
            words += ["--env", variable]
        known = {name: self.handle(name) for name in model.connects.values() if name in self.urls}
        return words + self.host_entries(known)

    def discard(self, running: Running) -> None:
        """Remove one container and its volumes."""
        self.engine.remove(running.handle)
        # What was not made cannot be removed, which is no fault.
        names = [f"{running.handle}-{index}" for index in range(len(running.container.volumes))]
        self.engine.call("volume", "rm", *names, f"{running.handle}-tmp", check=False)
