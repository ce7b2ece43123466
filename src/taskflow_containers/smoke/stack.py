"""A short-lived stack: containers run exactly as the model restricts them, always removed."""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from taskflow_containers.engine.client import Engine, substitutes
from taskflow_containers.machine.cgroup import Process, own_wait, proc_stat
from taskflow_containers.machine.errors import EnvironmentTrouble, MachineTrouble, TaskflowError
from taskflow_containers.machine.process import Completed, Say, last_line
from taskflow_containers.machine.waiting import Connection, Watch
from taskflow_containers.project.model import Access, Container, Project
from taskflow_containers.smoke.postgres import Postgres

OWNER_LABEL = "io.taskflow.smoke"
KEPT_LABEL = "io.taskflow.smoke.kept"
STREAM = "text/event-stream"
NO_ANSWER = (OSError, http.client.HTTPException)
_LAST_WORDS = 800  # characters
# What a client exits with where the command is no program, or is not there.
_CANNOT_START = {126, 127}
_NOT_RUN = 125  # the engine's own failure
MIGRATION_SECONDS = 300  # as the chart gives its Job
START_BEYOND = 10.0  # seconds over the budget that a start is waited for
_BY_TLS = {"X-Forwarded-Proto": "https"}
_EXECUTIONS = 3  # attempts
_NOTES_END = 60.0  # seconds until the engine has noted that a container ended
_UNKNOWN = "running"
_HOSTS_NAMESPACE = "4026531836"  # PROC_PID_INIT_INO of Linux's include/linux/proc_ns.h
TMP_SIZE = 64 * 10**6  # bytes


class Endless(TimeoutError):
    """An answer that has begun in time and came to no end within it."""


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
    id: str = ""  # the engine's full one
    port: int = 0
    pid: int = 0
    stop_signal: str = ""
    hidden: bool = False  # it runs, and its process cannot be seen from here
    launched: float = 0.0
    seconds_to_healthy: float | None = None
    awaited: Watch | None = None  # what watched over those seconds
    by_tls: bool = False  # it answers what a proxy asks that has ended TLS
    last_status: int = 0  # that it answered meanwhile; 0 where nobody did
    cannot_start: str = ""  # the engine's words, where its command is none
    cpu_to_healthy: float = 0.0  # seconds that its first thread ran until then, where that is known

    def connect(self, timeout: float) -> Connection:
        """A connection to the published port, which is opened by the first request."""
        connection = Connection(self.engine.host, self.port, timeout, self.watch)
        connection.added = _BY_TLS if self.by_tls else {}
        return connection

    def get(self, path: str, timeout: float = 5.0) -> Answer:
        """GET over the published port; a stream's body stays unread, as it has no end.

        What leads every request to https is asked as the cluster's proxy asks, which has ended TLS.

        Raises:
            OSError, HTTPException: nobody answers, or not in full within `timeout` seconds.
            Endless: an answer has begun, and goes on beyond them.
            Starved: others had the CPU.
        """
        answer = self._get(path, timeout)
        if _leads_to_tls(path, answer) and not self.by_tls:
            self.by_tls = True
            answer = self._get(path, timeout)
            self.by_tls = not _leads_to_tls(path, answer)
        return answer

    def _get(self, path: str, timeout: float) -> Answer:
        connection = self.connect(timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            headers = {key.lower(): value for key, value in response.getheaders()}
            endless = headers.get("content-type", "").startswith(STREAM)
            try:
                body = b"" if endless else response.read()
            except TimeoutError as error:
                raise Endless(f"an answer of {timeout:g} s without an end") from error
        finally:
            connection.close()
        return Answer(response.status, headers, body, connection.watch.seconds)

    def state(self) -> dict[str, Any]:
        """What the engine says of its state, as `Engine.state` does."""
        return self.engine.state(self.handle)

    def last_words(self) -> str:
        """The last line that the container wrote."""
        done = self.engine.call("logs", "--tail", "20", self.handle, check=False)
        said = last_line(done.stderr) or last_line(done.stdout)
        said = self.cannot_start or said
        # A traceback begins with where, and ends with what.
        half = _LAST_WORDS // 2
        return said if len(said) <= _LAST_WORDS else f"{said[:half]} … {said[-half:]}"

    def evaluate(self, code: dict[str, str], *arguments: str) -> Any:
        """Run one line of code, which may be run again, with the image's own interpreter; its JSON answer.

        Raises:
            EnvironmentTrouble: it did not run.
            MachineTrouble: it ran, and the way to a remote engine lost what it said.
        """
        program, option = self.model.kind.interpreter
        words = ["exec", self.handle, program, option, code[program], *arguments]
        for _ in range(_EXECUTIONS):
            said = self.engine.call(*words).stdout
            if said or not self.engine.remote:
                return json.loads(said)
        raise MachineTrouble(
            f"{self.engine.name} exec lost what {self.handle} said", "run the command again"
        )

    def process(self) -> Process | None:
        """Its process 1 as the host sees it; None where it is gone or cannot be seen."""
        if self.engine.remote or self.hidden:
            return None
        # The engine is asked no more often than need be: an answer of it costs 50 ms of CPU.
        if found := Process.of(self.pid, self.id):
            return found
        state = self.state()
        self.pid = int(state.get("Pid") or 0)
        found = Process.of(self.pid, self.id)
        self.hidden = found is None and bool(state.get("Running"))
        return found

    def stopped_by(self) -> str:
        """The signal that its image wants to be stopped by: SIGTERM unless it says otherwise."""
        if not self.stop_signal:
            found = self.engine.inspect("container", self.handle) or {}
            self.stop_signal = str((found.get("Config") or {}).get("StopSignal") or "SIGTERM")
        return self.stop_signal

    def watch(self) -> Watch:
        """A stopwatch that stands still while it waits for a CPU."""
        process = self.process()
        return Watch(process, anybody=process is None and (self.engine.remote or self.hidden))

    def alive(self) -> bool:
        """Whether it runs, which the engine is asked where its process cannot be seen."""
        return self.process() is not None or bool(self.state().get("Running"))

    def find_port(self) -> None:
        """Learn the published port.

        Raises:
            OSError: there is none yet, or none any more.
        """
        found = self.engine.inspect("container", self.handle) or {}
        published = (found.get("NetworkSettings") or {}).get("Ports") or {}
        for place in published.get(f"{self.model.port}/tcp") or []:
            self.port = int(place.get("HostPort") or 0)
        if not self.port:
            raise OSError("no port is published")
        self.pid = int((found.get("State") or {}).get("Pid") or 0)
        self.hidden = False

    def age_by_engine(self) -> float | None:
        """Seconds since it started, by the engine's clock alone; None where that cannot be asked."""
        began = moment(str(self.state().get("StartedAt")))
        shown = self.engine.call("info", "--format", "{{.SystemTime}}", check=False).stdout
        now = moment(shown)
        return (now - began).total_seconds() if began and now else None

    def memory_peak(self) -> int | None:
        """Bytes at the highest, from the control group (v1 or v2); None where it keeps none."""
        process = self.process()
        found = process.memory("peak") if process else None
        if found is not None:
            return found
        try:
            # On macOS and Windows the engine lives in a virtual machine: ask from within.
            answer = self.evaluate(_PEAK_WITHIN)
        except (TaskflowError, ValueError):
            return None
        return int(answer) if answer else None


def _leads_to_tls(path: str, answer: Answer) -> bool:
    """Whether an answer is a redirect to the very path, by https."""
    led = urlsplit(answer.headers.get("location", ""))
    asked = path.partition("?")[0].rstrip("/")
    return 300 <= answer.status < 400 and led.scheme == "https" and led.path.rstrip("/") == asked


_PEAK_FILES = ("/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes")
_PEAK_WITHIN = {
    "python": "import pathlib as p;print(next((f.read_text() for n in "
    f"{_PEAK_FILES!r} if (f:=p.Path(n)).exists()),0))",
    "node": "const f=require('fs');console.log(("
    f"{list(_PEAK_FILES)!r}.filter(n=>f.existsSync(n)).map(n=>f.readFileSync(n,'utf8'))[0]||'0'))",
}


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

    def __init__(self, engine: Engine, project: Project, say: Say, *, keep: bool = False) -> None:
        self.engine = engine
        self.project = project
        self.id = f"{project.name[:30]}-smoke-{secrets.token_hex(4)}"
        self.urls: dict[str, str] = {}
        self.databases: dict[str, Postgres] = {}
        self.keep = keep
        self._say = say
        # A stack that is to stay has no owner that could be missed.
        self._owner = f"{KEPT_LABEL}={project.name}" if keep else f"{OWNER_LABEL}={owner()}"
        self.run_label = f"{OWNER_LABEL}.run={self.id}"

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

    def __exit__(self, kind: object, *_: object) -> None:
        if kind or not self.keep:
            self.remove()

    def _labels(self) -> list[str]:
        return ["--label", self._owner, "--label", self.run_label]

    def remove(self) -> None:
        """Remove everything this run made; whatever is already gone is fine."""
        _remove(self.engine, self.run_label, self.id)

    def handle(self, name: str) -> str:
        """A container's name in the engine."""
        return f"{self.id}-{name}"

    def start_service(self, name: str, instance: str = "") -> Postgres:
        """Start PostgreSQL under the network name `name` and wait until it takes connections.

        An `instance` is one more, with a network name of its own, which the others are not told of.
        """
        service = self.project.services[name]
        image = substitutes().get(service.image, service.image)
        self.engine.provide(image, self._say)
        host = f"{name}-{instance}" if instance else name
        # Names that occur nowhere else, so that they are noticed wherever they are given away.
        role, database = (f"{kind}_{secrets.token_hex(4)}" for kind in ("role", "db"))
        found = Postgres(name, self.engine, self.handle(host), host, service.port, database, role)
        network = ["--network", self.id, "--network-alias", host]
        found.start(image, [*network, *self._labels()])
        if not instance:
            self.databases[name], self.urls[name] = found, found.url()
        return found

    def url(self, target: str) -> str:
        """Where a container or service is, or would be if it were part of this run."""
        if target in self.project.containers:
            return self.urls.get(target, f"http://{target}:{self.project.containers[target].port}")
        return self.urls.get(target, target)

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

    def start(self, name: str, image: str) -> Running:
        """Run one container as the model has it and wait for its first healthy answer.

        `seconds_to_healthy` stays None when it exits or does not answer in time.
        """
        running = self.launch(name, image)
        self.urls[name] = f"http://{name}:{running.model.port}"
        self.wait(running)
        return running

    def launch(
        self,
        name: str,
        image: str,
        *options: str,
        instance: str = "",
        environment: Mapping[str, str | None] | None = None,
        writable: bool = False,
        lasting_tmp: bool = False,
    ) -> Running:
        """Run one container as the model has it, without waiting for it.

        An `instance` is one more of the same, which the others do not find under its name.
        `environment` overrides what the model makes of it; None leaves a variable out.
        With `lasting_tmp` /tmp outlives the container's process, as the chart's emptyDir does.
        """
        model = self.project.containers[name]
        handle = self.handle(f"{name}-{instance}" if instance else name)
        running = Running(name, model, handle, self.engine)
        values = self._environment(model, environment)
        words = ["run", "--detach", "--name", handle,
                 *self._options(model, values, writable=writable, tmp=not lasting_tmp),
                 "--publish", f"{self.engine.publishing}::{model.port}"]  # fmt: skip
        words += [] if instance else ["--network-alias", name]
        for index, volume in enumerate(model.volumes):
            volume_name = f"{handle}-{index}"
            self.engine.call("volume", "create", *self._labels(), volume_name)
            # A new volume takes over what the image has there, a read-only one too.
            read_only = ":ro" if volume.access is Access.READ_ONLY else ""
            words += ["--volume", f"{volume_name}:{volume.path}{read_only}"]
        if lasting_tmp:
            self.engine.call("volume", "create", *self._labels(), f"{handle}-tmp")
            words += ["--volume", f"{handle}-tmp:/tmp"]
        running.launched = time.monotonic()
        done = self.engine.call(*words, *options, image, check=False, env=values)
        running.id = last_line(done.stdout)
        if done.returncode in _CANNOT_START:
            # The image's own fault, and no reason to break off the checks of others.
            said = [line for line in done.stderr.splitlines() if "exec" in line]
            running.cannot_start = (said or [last_line(done.stderr)])[0]
        elif done.returncode:
            raise self.engine.failure(done, *words)
        return running

    def once(
        self,
        name: str,
        image: str,
        command: Sequence[str],
        *options: str,
        environment: Mapping[str, str | None] | None = None,
    ) -> Completed:
        """Run a command to its end, with the image, the environment and the limits of a container."""
        model = self.project.containers[name]
        values = self._environment(model, environment)
        words = ["run", "--rm", "--entrypoint", command[0], *self._options(model, values), *options]
        done = self.engine.call(
            *words, image, *command[1:], check=False, env=values, timeout=MIGRATION_SECONDS
        )
        if done.returncode == _NOT_RUN:
            raise self.engine.failure(done, *words)
        return done

    def _environment(
        self, model: Container, environment: Mapping[str, str | None] | None
    ) -> dict[str, str]:
        """A container's variables and their values; None in `environment` leaves one out."""
        given: dict[str, str | None] = {
            variable: self.url(target) for variable, target in model.connects.items()
        }
        for variable in model.environment.required:
            # What connects to nothing here comes from the caller's environment.
            given.setdefault(variable, os.environ.get(variable))
        given |= environment or {}
        return {variable: value for variable, value in given.items() if value is not None}

    def _options(
        self,
        model: Container,
        variables: Iterable[str],
        *,
        writable: bool = False,
        tmp: bool = True,
    ) -> list[str]:
        """The engine's options of whatever runs as the model has it on this run's network."""
        words = ["--network", self.id, *self._labels()]
        words += restrictions(model, writable=writable, tmp=tmp)
        if self.engine.name == "podman" and not writable:
            # Podman would put a tmpfs over /var/tmp and /run; no cluster does.
            words.append("--read-only-tmpfs=false")
        # By name, its value in the client's own environment: a command line is everybody's to read.
        for variable in variables:
            words += ["--env", variable]
        return words + self.host_entries(
            {t: self.handle(t) for t in model.connects.values() if t in self.urls}
        )

    def wait(
        self,
        running: Running,
        path: str = "",
        beyond: float = START_BEYOND,
        *,
        healthy: bool = True,
    ) -> None:
        """Wait for the first 200 on `path` (readiness), `beyond` seconds longer than the budget.

        Not `healthy`: for the first answer whatsoever.

        Raises:
            Starved: others had the CPU.
        """
        # Beyond the budget: a slow start is reported with its time, not as "never".
        limit = running.model.budgets.start + beyond
        running.awaited = watch = running.watch()
        waited = own_wait()
        while not watch.over(limit):
            try:
                if not running.port:
                    running.find_port()
                status = running.get(path or running.model.health.ready, timeout=3).status
                running.last_status = status
                if status == 200 or not healthy:
                    running.seconds_to_healthy = _taken(running, own_wait() - waited)
                    watch.stop()
                    return
            except NO_ANSWER:
                pass
            if not running.alive():
                return
            time.sleep(0.02)

    def signal(self, running: Running) -> None:
        """Send what its image wants to be stopped by; one that has ended meanwhile is no fault."""
        words = ["kill", "--signal", running.stopped_by(), running.handle]
        self.engine.call(*words, check=False)

    def end(self, running: Running, grace: float) -> tuple[float, int]:
        """Wait until it ends, SIGKILL after `grace` seconds; the seconds it took and the exit code.

        Raises:
            Starved: others had the CPU.
        """
        watch = running.watch()
        while running.alive() and not watch.over(grace):
            time.sleep(0.02)
        seconds = watch.seconds
        if running.alive():
            self.engine.call("kill", "--signal", "KILL", running.handle, check=False)
        self.ended(running)
        return seconds, int(running.state().get("ExitCode", -1))

    def stop(self, running: Running, grace: float) -> tuple[float, int]:
        """As the cluster stops it: `signal`, then `end`."""
        self.signal(running)
        return self.end(running, grace)

    def ended(self, running: Running) -> None:
        """Wait until the engine says that a container which was killed runs no more.

        Raises:
            MachineTrouble: it does not.
        """
        deadline = time.monotonic() + _NOTES_END
        while running.state().get("Running"):
            if time.monotonic() > deadline:
                raise MachineTrouble(
                    f"{self.engine.name} does not end {running.handle}", "run the command again"
                )
            time.sleep(0.05)

    def discard(self, running: Running) -> None:
        """Remove one container and its volumes."""
        self.engine.call("rm", "--force", "--volumes", running.handle, check=False)
        # What was not made cannot be removed, which is no fault.
        names = [f"{running.handle}-{index}" for index in range(len(running.model.volumes))]
        self.engine.call("volume", "rm", *names, f"{running.handle}-tmp", check=False)


def _taken(running: Running, own: float) -> float:
    """Seconds from the process's start to now, without those that it or we waited for a CPU.

    What the engine needs to make a container is no property of the image.
    """
    now = time.monotonic()
    process = running.process()
    age, scheduled = (process.age(), process.scheduled()) if process else (None, None)
    if age is None or scheduled is None:
        return running.age_by_engine() or now - running.launched
    ran, waited = scheduled
    running.cpu_to_healthy = ran
    return max(ran, age - (time.monotonic() - now) - waited - own)


def sweep(engine: Engine, say: Say) -> None:
    """Remove what runs on this host left behind when they were killed."""
    listed = engine.call(
        "ps", "--all", "--quiet", "--filter", f"label={OWNER_LABEL}", check=False
    ).stdout.split()
    # Inspected, as Podman's listing cannot print a single label; meanwhile one may be gone.
    found = [one for id in listed if (one := engine.inspect("container", id))]
    runs: dict[tuple[str, str], bool] = {}  # owner and run → whether anything of it runs
    for one in found:
        labels = one["Config"]["Labels"]
        run = labels[OWNER_LABEL], labels[f"{OWNER_LABEL}.run"]
        runs[run] = runs.get(run, False) or bool(one["State"].get("Running"))
    for (its_owner, run_id), runs_on in sorted(runs.items()):
        left = not engine.remote and not runs_on and rebooted(its_owner)
        if not (left or abandoned(its_owner)):
            continue
        say(f"removing what an interrupted run left behind: {run_id}")
        _remove(engine, f"{OWNER_LABEL}.run={run_id}", run_id)


def remove_kept(engine: Engine, project: Project) -> list[str]:
    """Remove the stacks of this project that `--keep` left up; their names."""
    label = f"{KEPT_LABEL}={project.name}"
    words = ["network", "ls", "--filter", f"label={label}", "--format", "{{.Name}}"]
    names = engine.call(*words, check=False).stdout.split()
    _remove(engine, label, *names)
    return names


def owner() -> str:
    """This process, told from any other here, in other containers and on other hosts."""
    return f"{_place()}:{os.getpid()}:{_start_of(os.getpid())}"


def abandoned(owner: str) -> bool:
    """Whether that owner ran where this process does, and is gone.

    A run elsewhere is its own affair: on another host, before another start of this one, in a
    container with process IDs of its own.
    """
    place, pid, start = (["", "", *owner.rsplit(":", 2)])[-3:]
    if place != _place() or not pid.isdigit():
        return False
    now = _start_of(int(pid))
    return now != start and now != _UNKNOWN


def rebooted(owner: str) -> bool:
    """Whether that owner ran on this very host, outside any container, before it was started anew."""
    boot, namespace, host = (["", "", "", "", *owner.rsplit(":", 4)])[-5:-2]
    this_boot, this_namespace, this_host = _place().rsplit(":", 2)
    return (
        namespace == this_namespace == _HOSTS_NAMESPACE
        and host == this_host
        and bool(boot)
        and boot != this_boot
    )


def _place() -> str:
    """A start of a host, its namespace of process IDs and its name: within these an ID means one process.

    The name is not the first, as earlier versions of this label have it: they leave these stacks alone.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        namespace = str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:  # not Linux: there is one of each
        boot = namespace = ""
    return f"{boot}:{namespace}:{socket.gethostname()}"


def _start_of(pid: int) -> str:
    """What tells a process from a later one with the same ID; "" when gone, _UNKNOWN if it is not shown."""
    if fields := proc_stat(pid):
        return fields[19]
    try:
        os.kill(pid, 0)
    except PermissionError:  # somebody else's
        return _UNKNOWN
    except (OSError, OverflowError):
        return ""
    return _UNKNOWN


def moment(text: str) -> datetime | None:
    """A time as engines write it, to the microsecond; None where it is none."""
    match = re.match(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d{1,6})?", text)
    return datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3] or ''}") if match else None


def _remove(engine: Engine, label: str, *runs: str) -> None:
    by_name = [f"name={run}" for run in runs]
    for kind, listing, filters in (
        ("container", ["ps", "--all", "--quiet"], [f"label={label}"]),
        ("network", ["network", "ls", "--quiet"], [f"label={label}"]),
        # A container that starts after its volume was removed gets a new one, without a label.
        ("volume", ["volume", "ls", "--quiet"], [f"label={label}", *by_name]),
    ):
        found: dict[str, None] = {}
        for wanted in filters:
            listed = engine.call(*listing, "--filter", wanted, check=False)
            found |= dict.fromkeys(listed.stdout.split())
        if found:
            words = ["rm", "--force", "--volumes"] if kind == "container" else [kind, "rm"]
            engine.call(*words, *found, check=False)
