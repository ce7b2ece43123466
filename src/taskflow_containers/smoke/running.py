"""A container that runs: what it is asked over HTTP or from within, how it starts and how it ends."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.cgroup import Process, own_wait
from taskflow_containers.machine.errors import MachineTrouble, TaskflowError
from taskflow_containers.machine.waiting import Connection, Watch
from taskflow_containers.project.model import Container
from taskflow_containers.project.values import megabytes
from taskflow_containers.smoke.answer import NO_ANSWER, STREAM, Answer, Endless
from taskflow_containers.workspace import Target

KILLED = "killed"  # how a fate begins that the memory limit brought about
SIGKILLED = 137  # 128 + SIGKILL
START_BEYOND = 10.0  # seconds over the budget that a start is waited for
_LAST_WORDS = 800  # characters
_BY_TLS = {"X-Forwarded-Proto": "https"}
_EXECUTIONS = 3  # attempts
_NOTES_END = 60.0  # seconds until the engine has noted that a container ended


@dataclass(slots=True)
class Running:
    """A container that was started: its name in the engine (`handle`) and its published port."""

    target: Target
    handle: str
    engine: Engine
    name: str = field(init=False)  # in taskflow.toml
    container: Container = field(init=False)  # its entry there
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
    no_http: str = ""  # what it answered where that was no HTTP
    cannot_start: str = ""  # the engine's words, where its command is none
    cpu_to_healthy: float = 0.0  # seconds that its first thread ran until then, where that is known

    def __post_init__(self) -> None:
        self.name, self.container = self.target.name, self.target.container

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

    def fate(self, state: Mapping[str, object] | None = None) -> str:
        """How it came to its end, by the engine's `state` of it; "" while it runs."""
        state = self.state() if state is None else state
        if state.get("Running"):
            return ""
        if self.cannot_start:
            return "its command cannot be started"
        limit = f"more than {megabytes(self.container.memory)} of memory"
        if state.get("OOMKilled"):
            return f"{KILLED}: {limit}"
        if state.get("ExitCode") == SIGKILLED:  # Podman does not always hear of the reason
            return f"{KILLED} (exit code {SIGKILLED}), most likely for {limit}"
        return f"ended with exit code {state.get('ExitCode')}"

    def last_words(self, lines: int = 1) -> str:
        """The last lines that the container wrote."""
        done = self.engine.call("logs", "--tail", "20", self.handle, check=False)
        written = [s for s in (done.stdout + done.stderr).splitlines() if s.strip()]
        said = self.cannot_start or "\n".join(written[-lines:])
        # A traceback begins with where, and ends with what.
        half = _LAST_WORDS // 2
        return said if len(said) <= _LAST_WORDS else f"{said[:half]} … {said[-half:]}"

    def evaluate(self, code: dict[str, str], *arguments: str) -> Any:
        """Run one line of code, which may be run again, with the image's own interpreter; its JSON answer.

        Raises:
            EnvironmentTrouble: it did not run.
            MachineTrouble: it ran, and the way to a remote engine lost what it said.
        """
        program, option = self.container.interpreter
        words = ["exec", self.handle, program, option, code[program], *arguments]
        for _ in range(_EXECUTIONS):
            said = self.engine.call(*words).stdout
            if said or not self.engine.remote:
                return json.loads(said)
        raise MachineTrouble(f"{self.engine.name} exec lost what {self.handle} said")

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
        for place in published.get(f"{self.container.port}/tcp") or []:
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

    def wait(self, path: str = "", beyond: float = START_BEYOND, *, healthy: bool = True) -> None:
        """Wait for the first 200 on `path` (readiness), `beyond` seconds longer than the budget.

        Not `healthy`: for the first answer whatsoever.

        Raises:
            Starved: others had the CPU.
        """
        if not self.container.kind.serves:
            self._wait_without_port(beyond, healthy=healthy)
            return
        # Beyond the budget: a slow start is reported with its time, not as "never".
        limit = self.container.budgets.start + beyond
        self.awaited = watch = self.watch()
        waited = own_wait()
        while not watch.over(limit):
            try:
                if not self.port:
                    self.find_port()
                status = self.get(path or self.container.health.ready, timeout=3).status
                self.last_status = status
                if self.container.well(status) or not healthy:
                    self.seconds_to_healthy = self._taken(own_wait() - waited)
                    watch.stop()
                    return
            except NO_ANSWER as error:
                # The other kind of bad status line is a connection that was closed without a word.
                if isinstance(error, http.client.BadStatusLine) and not isinstance(error, OSError):
                    self.no_http = str(error).strip()[:80]
                    return
            if not self.alive():
                return
            time.sleep(0.02)

    def _wait_without_port(self, beyond: float, *, healthy: bool) -> None:
        """Wait until its health command ends with 0; without one, until its time to start is over."""
        asks, start = bool(self.container.health.command) and healthy, self.container.budgets.start
        self.awaited = watch = self.watch()
        waited = own_wait()
        while not watch.over(start + (beyond if asks else 0.0)):
            if not self.alive():
                return
            if asks and self.well():
                self.seconds_to_healthy = self._taken(own_wait() - waited)
                watch.stop()
                return
            time.sleep(0.02)
        if not asks and self.alive():
            self.seconds_to_healthy = start

    def well(self) -> bool:
        """Whether a container without a port runs, and its health command ends with 0 where it has one."""
        command = self.container.health.command
        if not command:
            return self.alive()
        return self.engine.call("exec", self.handle, *command, check=False).returncode == 0

    def signal(self) -> None:
        """Send what its image wants to be stopped by; one that has ended meanwhile is no fault."""
        words = ["kill", "--signal", self.stopped_by(), self.handle]
        self.engine.call(*words, check=False)

    def end(self, grace: float) -> tuple[float, int]:
        """Wait until it ends, SIGKILL after `grace` seconds; the seconds it took and the exit code.

        Raises:
            Starved: others had the CPU.
        """
        process, watch = self.process(), self.watch()

        def runs() -> bool:
            # A busy engine calls running what ended seconds ago: where its process is seen, that counts.
            return process.again() is not None if process else self.alive()

        while runs() and not watch.over(grace):
            time.sleep(0.02)
        seconds = watch.seconds
        if runs():
            self.engine.call("kill", "--signal", "KILL", self.handle, check=False)
        self.ended()
        return seconds, int(self.state().get("ExitCode", -1))

    def stop(self, grace: float) -> tuple[float, int]:
        """As the cluster stops it: `signal`, then `end`."""
        self.signal()
        return self.end(grace)

    def lasted(self) -> float:
        """Seconds from its start to its end by the engine's own times, of which it may tell late; 0.0 without them."""
        state = self.state()
        began, ended = (moment(str(state.get(key))) for key in ("StartedAt", "FinishedAt"))
        return (ended - began).total_seconds() if began and ended and ended > began else 0.0

    def ended(self) -> None:
        """Wait until the engine says that a container which was killed runs no more.

        Raises:
            MachineTrouble: it does not.
        """
        deadline = time.monotonic() + _NOTES_END
        while self.state().get("Running"):
            if time.monotonic() > deadline:
                raise MachineTrouble(f"{self.engine.name} does not end {self.handle}")
            time.sleep(0.05)

    def _taken(self, own: float) -> float:
        """Seconds from the process's start to now, without those that it or we waited for a CPU.

        What the engine needs to make a container is no property of the image.
        """
        now = time.monotonic()
        process = self.process()
        age, scheduled = (process.age(), process.scheduled()) if process else (None, None)
        if age is None or scheduled is None:
            return self.age_by_engine() or now - self.launched
        ran, waited = scheduled
        self.cpu_to_healthy = ran
        return max(ran, age - (time.monotonic() - now) - waited - own)


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


def moment(text: str) -> datetime | None:
    """A time as engines write it, to the microsecond; None where it is none."""
    match = re.match(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d{1,6})?", text)
    return datetime.fromisoformat(f"{match[1]}T{match[2]}{match[3] or ''}") if match else None
