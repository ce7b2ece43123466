"""A short-lived stack: containers run exactly as the model restricts them, always removed."""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import secrets
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from automation.build import Say
from automation.engine import Engine, substitutes
from automation.errors import EnvironmentTrouble, TaskflowError
from automation.model import Access, Container, Project
from automation.process import last_line

OWNER_LABEL = "io.taskflow.smoke"
TMP_SIZE = 64 * 10**6  # bytes
_SERVICE_TIMEOUT = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer and how long it took (seconds)."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        """The body as JSON, or None where it is something else."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(slots=True)
class Running:
    """A container of the stack: its model entry, its name in the engine and its published port."""

    name: str
    model: Container
    handle: str
    engine: Engine
    port: int = 0
    seconds_to_healthy: float | None = None

    def get(self, path: str, timeout: float = 5.0) -> Answer:
        """GET over the published port; raises OSError or HTTPException when nobody answers."""
        started = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        headers = {key.lower(): value for key, value in response.getheaders()}
        return Answer(response.status, headers, body, time.monotonic() - started)

    def state(self) -> dict[str, Any]:
        """The engine's State: Running, ExitCode, OOMKilled, Pid and more."""
        found = self.engine.inspect("container", self.handle) or {}
        return dict(found.get("State") or {})

    def last_words(self) -> str:
        """The last line that the container wrote."""
        done = self.engine.call("logs", "--tail", "20", self.handle, check=False)
        return last_line(done.stderr) or last_line(done.stdout)

    def evaluate(self, code: dict[str, str], *arguments: str) -> Any:
        """Run one line of code with the image's own interpreter; its JSON answer.

        Raises:
            EnvironmentTrouble: it did not run.
        """
        program, option = self.model.kind.interpreter
        words = ["exec", self.handle, program, option, code[program], *arguments]
        return json.loads(self.engine.call(*words, timeout=30).stdout)

    def memory_peak(self) -> int | None:
        """Bytes at the highest, from the control group (v1 or v2); None where it keeps none."""
        pid = int(self.state().get("Pid") or 0)
        found = _peak_on_host(pid) if pid else None
        if found is not None:
            return found
        try:
            # On macOS and Windows the engine lives in a virtual machine: ask from within.
            answer = self.evaluate(_PEAK_WITHIN)
        except (TaskflowError, ValueError):
            return None
        return int(answer) if answer else None


_PEAK_FILES = ("/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes")
_PEAK_WITHIN = {
    "python": "import pathlib as p;print(next((f.read_text() for n in "
    f"{_PEAK_FILES!r} if (f:=p.Path(n)).exists()),0))",
    "node": "const f=require('fs');console.log(("
    f"{list(_PEAK_FILES)!r}.filter(n=>f.existsSync(n)).map(n=>f.readFileSync(n,'utf8'))[0]||'0'))",
}


def _peak_on_host(pid: int) -> int | None:
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    if not command:
        return None
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            file = Path(f"/sys/fs/cgroup/memory{path}/memory.max_usage_in_bytes")
        elif controllers == "":
            file = Path(f"/sys/fs/cgroup{path}/memory.peak")
        else:
            continue
        try:
            return int(file.read_text())
        except (OSError, ValueError):
            continue
    return None


def restrictions(container: Container) -> list[str]:
    """The engine's options that hold a container to its model, as the cluster will."""
    return [
        "--read-only",
        f"--tmpfs=/tmp:rw,noexec,nosuid,nodev,size={TMP_SIZE}",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        f"--memory={container.memory}",
        f"--memory-swap={container.memory}",  # equal to the limit: no swap
        "--pids-limit=256",
    ]


class Stack:
    """Containers and services of one run on a network of their own; a context manager."""

    def __init__(self, engine: Engine, project: Project, say: Say) -> None:
        self.engine = engine
        self.project = project
        self.id = f"{project.name[:30]}-smoke-{secrets.token_hex(4)}"
        self.urls: dict[str, str] = {}
        self._say = say
        self._owner = f"{OWNER_LABEL}={owner()}"
        self._run_label = f"{OWNER_LABEL}.run={self.id}"

    def __enter__(self) -> Self:
        sweep(self.engine, self._say)
        try:
            self.engine.call("network", "create", *self._labels(), self.id)
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    def _labels(self) -> list[str]:
        return ["--label", self._owner, "--label", self._run_label]

    def remove(self) -> None:
        """Remove everything this run made; whatever is already gone is fine."""
        _remove(self.engine, self._run_label)

    def handle(self, name: str) -> str:
        """A container's name in the engine."""
        return f"{self.id}-{name}"

    def start_service(self, name: str) -> None:
        """Start PostgreSQL under the network name `name` and wait until it takes connections."""
        service = self.project.services[name]
        image = substitutes().get(service.image, service.image)
        password = secrets.token_urlsafe(16)
        if self.engine.image_config(image) is None:
            self._say(f"pulling {image}")
            self.engine.call("pull", image, timeout=600)
        self.engine.call(
            "run", "--detach", "--name", self.handle(name), "--network", self.id,
            "--network-alias", name, *self._labels(),
            "--env", "POSTGRES_USER=taskflow", "--env", f"POSTGRES_PASSWORD={password}",
            "--env", "POSTGRES_DB=taskflow", image,
        )  # fmt: skip
        self.urls[name] = f"postgresql://taskflow:{password}@{name}:{service.port}/taskflow"
        self.wait_for_service(name)

    def wait_for_service(self, name: str) -> None:
        """Wait until PostgreSQL answers over TCP (its set-up server listens on a socket only)."""
        deadline = time.monotonic() + _SERVICE_TIMEOUT
        while True:
            done = self.engine.call(
                "exec", self.handle(name), "pg_isready", "--quiet", "--host=127.0.0.1", check=False
            )
            if done.returncode == 0:
                return
            state = (self.engine.inspect("container", self.handle(name)) or {}).get("State") or {}
            if not state.get("Running") or time.monotonic() > deadline:
                words = self.engine.call("logs", "--tail", "5", self.handle(name), check=False)
                raise EnvironmentTrouble(
                    f"{name} did not come up: {last_line(words.stderr + words.stdout)}",
                    f"check services.{name} in taskflow.toml",
                )
            time.sleep(0.1)

    def start(self, name: str, image: str) -> Running:
        """Run one container as the model has it and wait for its first healthy answer.

        `seconds_to_healthy` stays None when it exits or does not answer in time.
        """
        model = self.project.containers[name]
        running = Running(name, model, self.handle(name), self.engine)
        words = ["run", "--detach", "--name", running.handle, "--network", self.id,
                 "--network-alias", name, *self._labels(), *restrictions(model),
                 "--publish", f"127.0.0.1::{model.port}"]  # fmt: skip
        for variable, target in model.connects.items():
            words += ["--env", f"{variable}={self.urls.get(target, target)}"]
        for variable in model.environment.required:
            if variable not in model.connects:
                words += ["--env", variable]  # from the caller's environment
        for index, volume in enumerate(model.volumes):
            if volume.access is Access.READ_WRITE:
                volume_name = f"{running.handle}-{index}"
                self.engine.call("volume", "create", *self._labels(), volume_name)
                words += ["--volume", f"{volume_name}:{volume.path}"]
        started = time.monotonic()
        self.engine.call(*words, image)
        self.urls[name] = f"http://{name}:{model.port}"
        self._wait(running, started)
        return running

    def _wait(self, running: Running, started: float) -> None:
        # Beyond the budget: a slow start is reported with its time, not as "never".
        deadline = started + running.model.budgets.start + 10
        while time.monotonic() < deadline:
            try:
                running.port = running.port or self._published(running)
                if running.get(running.model.health.ready, timeout=2).status == 200:
                    running.seconds_to_healthy = time.monotonic() - started
                    return
            except (OSError, http.client.HTTPException):
                pass
            except EnvironmentTrouble:
                if running.state().get("Running"):
                    raise
                return
            if not running.state().get("Running"):
                return
            time.sleep(0.02)

    def _published(self, running: Running) -> int:
        shown = self.engine.call("port", running.handle, f"{running.model.port}/tcp").stdout
        match = re.search(r":(\d+)\s*$", shown, re.MULTILINE)
        if not match:
            raise OSError("no port is published yet")
        return int(match[1])

    def stop(self, running: Running, grace: float) -> tuple[float, int]:
        """SIGTERM, SIGKILL after `grace` seconds; the seconds it took and the exit code."""
        started = time.monotonic()
        self.engine.call("stop", "--time", str(math.ceil(grace)), running.handle)
        return time.monotonic() - started, int(running.state().get("ExitCode", -1))


def sweep(engine: Engine, say: Say) -> None:
    """Remove what runs on this host left behind when they were killed."""
    listed = engine.call(
        "ps", "--all", "--quiet", "--filter", f"label={OWNER_LABEL}", check=False
    ).stdout.split()
    # Inspected, as Podman's listing cannot print a single label; meanwhile one may be gone.
    found = [(engine.inspect("container", id) or {}).get("Config") or {} for id in listed]
    runs = {(c["Labels"][OWNER_LABEL], c["Labels"][f"{OWNER_LABEL}.run"]) for c in found if c}
    for its_owner, run_id in sorted(runs):
        if not abandoned(its_owner):
            continue
        say(f"removing what an interrupted run left behind: {run_id}")
        _remove(engine, f"{OWNER_LABEL}.run={run_id}")


def owner() -> str:
    """This process, told from any other here and on other hosts."""
    return f"{socket.gethostname()}:{os.getpid()}:{_start_of(os.getpid())}"


def abandoned(owner: str) -> bool:
    """Whether that owner ran on this host and is gone; another host's runs are its own affair."""
    host, _, process = owner.partition(":")
    pid, _, start = process.partition(":")
    return host == socket.gethostname() and _start_of(int(pid or 0)) != start


def _start_of(pid: int) -> str:
    """Something that tells a process from a later one with the same ID; "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except (OSError, OverflowError):
        return ""
    return "running"


def _remove(engine: Engine, label: str) -> None:
    for kind, listing in (
        ("container", ["ps", "--all", "--quiet"]),
        ("network", ["network", "ls", "--quiet"]),
        ("volume", ["volume", "ls", "--quiet"]),
    ):
        found = engine.call(*listing, "--filter", f"label={label}", check=False).stdout.split()
        if found:
            words = ["rm", "--force", "--volumes"] if kind == "container" else [kind, "rm"]
            engine.call(*words, *found, check=False)
