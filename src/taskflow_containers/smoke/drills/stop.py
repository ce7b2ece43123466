"""SIGTERM: idle, with a slow request in flight, with busy connections, and while starting."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import product

from taskflow_containers.machine.cgroup import Process, own_wait
from taskflow_containers.machine.errors import EnvironmentTrouble, NoInterpreter
from taskflow_containers.machine.waiting import Starved, Watch
from taskflow_containers.report.result import Result
from taskflow_containers.smoke.answer import NO_ANSWER
from taskflow_containers.smoke.asking import until
from taskflow_containers.smoke.catalogue import SERVING
from taskflow_containers.smoke.drills import identity
from taskflow_containers.smoke.lab import NO_PAUSE, Lab, checks
from taskflow_containers.smoke.running import SIGKILLED, Running

_CLIENTS = 4
# At a process: how many at the least, over how many seconds, and the seconds between two.
_LOOKS, _LOOKED, _PAUSE = 20, 0.3, 0.005
_AT_REST = 0.9  # of the looks; who waits for something wakes now and then to see the time
# Seconds without an answer after which a request counts as slow, where no process is seen.
_HANGS = 0.3
_TAKEN = 2.0  # seconds until a request that was sent is taken up
_PATIENT = 0.25  # of the time for stopping; nobody gives up sooner of its own accord
_LONGEST = 30.0  # seconds
_ATTEMPTS = 3
_STARVED = 0.1  # seconds that a client waited for a CPU, within which a server may have given it up
# A start is slowed down to take so many seconds: what the engine needs to be told is little of it.
_SLOWLY = 4.0
_PERIOD = 100_000  # microseconds, the kernel's own period of a CPU limit
_LEAST_SPEED = 0.01  # of a CPU, the least that the kernel takes
# Of the CPU that the program's own start takes: by then it must hear a signal, and then at the latest it is sent.
_HEARS_AT, _SENT_BY = 0.4, 0.5
_SHORT = 0.05  # seconds of CPU; in a start that is shorter the signal cannot be placed
_INTERPRETER = {
    "python": "import time;print(time.process_time())",
    "node": "const u=process.cpuUsage();console.log((u.user+u.system)/1e6)",
}


def _judge(lab: Lab, id: str, stopped: tuple[float, int], lost: str = "") -> Result:
    seconds, code = stopped
    said = f"exit code {code} after {seconds:.1f} s{', killed' if code == SIGKILLED else ''}"
    return lab.verdict(
        id, code in {0, 143} and not lost, limit=f"within {lab.container.budgets.stop:g} s",
        measured=f"{said}, {lost}" if lost else said, seconds=seconds,
    )  # fmt: skip


def idle(lab: Lab, running: Running) -> Result:
    """An idle connection that is kept alive must not hold it up."""
    if not lab.container.kind.serves:
        return _judge(lab, "stop", running.stop(lab.container.budgets.stop))
    link = running.connect(5)
    link.request("GET", lab.container.health.live)
    link.getresponse().read()
    try:
        return _judge(lab, "stop", running.stop(lab.container.budgets.stop))
    finally:
        link.close()


@dataclass(frozen=True, slots=True)
class _Start:
    """Seconds of CPU: what the bare interpreter takes, and what it takes until the program listens."""

    interpreter: float
    listens: float

    def at(self, part: float) -> float:
        """When so much of the program's own start is done."""
        return self.interpreter + part * (self.listens - self.interpreter)


@checks("stop.starting")
def starting(lab: Lab) -> Iterator[Result]:
    """SIGTERM while the program itself runs, long before it listens.

    A process 1 that does not handle a signal is never handed it: what counts is the state in which
    it comes. The start is in slow motion, so that the program does not get far while it is sent.
    """
    process = lab.running.process()
    if process is None or process.scheduled() is None:
        yield lab.unmeasurable("stop.starting", "its process is not visible from here")
        return
    try:
        bare = float(lab.running.evaluate(_INTERPRETER))
    except NoInterpreter:
        bare = 0.0  # the program is all there is to start
    start = _Start(bare, lab.running.cpu_to_healthy)
    found: list[bool] = []
    why, slowly = "", _SLOWLY
    for attempt in range(2 * _ATTEMPTS):
        if start.listens - start.interpreter < _SHORT:
            why = f"it listens after {start.listens:.2f} s of CPU, {bare:.2f} of them its interpreter's"
            break
        speed = max(_LEAST_SPEED, start.listens / slowly)
        slow = (f"--cpu-period={_PERIOD}", f"--cpu-quota={int(speed * _PERIOD)}")
        with lab.instance(f"starting-{attempt}", *slow) as running:
            watch = running.watch()
            ran, listens = _begun(running, start.at(_HEARS_AT))
            if listens:
                start = _Start(start.interpreter, min(ran, start.at(_SENT_BY)))
                why = f"it listened before the signal could be sent: {watch}"
                continue
            sent = time.monotonic()
            running.signal()
            ran += speed * (time.monotonic() - sent + _PERIOD / 1e6)
            # At full speed from here on: how long it takes to end is no matter of its start.
            lab.engine.call("update", "--cpu-quota=-1", running.handle, check=False)
            stopped = running.end(lab.container.budgets.stop)
        result = _judge(lab, "stop.starting", stopped)
        if not result.failed and ran > start.at(_SENT_BY):
            # By then even a late one may hear.
            slowly *= 2
            why = f"the signal was sent too late: {watch}"
            continue
        found.append(result.failed)
        # A start is not the same each time: one that failed is asked again, and the majority counts.
        if not found[0] or found.count(result.failed) == 2:
            yield result
            return
    yield lab.unmeasurable("stop.starting", why)


def _begun(running: Running, enough: float) -> tuple[float, bool]:
    """Wait until a container's first thread has run for so many seconds, or waits for something.

    The seconds that it ran, and whether it listens.
    """
    running.stopped_by()  # asked now, as later it would take time
    process = running.process()
    if process is not None:
        _rests(process, lambda: (process.scheduled() or (math.inf, 0.0))[0] >= enough)
    if process is None or not process.again():
        raise EnvironmentTrouble(f"it {running.fate()} while starting", "read what it wrote last")
    return (process.scheduled() or (0.0, 0.0))[0], process.listens(running.container.port)


def _rests(process: Process, over: Callable[[], bool]) -> bool:
    """Whether a process comes to wait for something before it is `over`.

    Looks are counted, too: it may be us, or it, who did not get a CPU.
    """
    while not over():
        asleep, looks, began = 0, 0, time.monotonic()
        while looks < _LOOKS or time.monotonic() - began < _LOOKED:
            if over():
                return False
            asleep, looks = asleep + process.sleeps(), looks + 1
            time.sleep(_PAUSE)
        if asleep >= _AT_REST * looks:
            return True
    return False


class _Busy(threading.Thread):
    """A client that asks again and again until it is told that the connection closes."""

    def __init__(self, running: Running) -> None:
        super().__init__(daemon=True)
        self._running = running
        self.answered = 0
        self.lost = ""
        self.waited = 0.0  # seconds for a CPU since the last answer but one
        self.over = threading.Event()

    def run(self) -> None:
        """Ask until the last answer."""
        link = self._running.connect(_LONGEST)
        before = waited = own_wait()
        try:
            while not self.over.is_set():
                link.request("GET", self._running.container.health.live)
                response = link.getresponse()
                response.read()
                self.answered += 1
                if response.status >= 500:
                    self.lost = f"status {response.status}"
                if response.will_close:
                    return
                time.sleep(0.01)
                before, waited = waited, own_wait()
        except (*NO_ANSWER, Starved) as error:
            self.lost = type(error).__name__
        finally:
            self.waited = own_wait() - before
            link.close()


def _stop_busy(lab: Lab, running: Running) -> tuple[Result, float]:
    """SIGTERM under clients that never rest; how long those that lost a request waited for a CPU."""
    clients = [_Busy(running) for _ in range(_CLIENTS)]
    for client in clients:
        client.start()
    until(lambda: all(client.answered or client.lost for client in clients), 10, running.watch())
    stopped = running.stop(lab.container.budgets.stop)
    for client in clients:
        client.over.set()
        client.join(_LONGEST)
    lost = [client for client in clients if client.lost]
    said = f"{len(lost)} of {_CLIENTS} connections lost a request ({lost[0].lost})" if lost else ""
    # One client that was prompt and lost a request is enough.
    waited = min((client.waited for client in lost), default=0.0)
    return _judge(lab, "stop.busy", stopped, said), waited


@checks("stop.busy", "diff", of=SERVING)
def busy(lab: Lab) -> Iterator[Result]:
    """Clients that never rest; and, as its root is writable, what it wrote meanwhile."""
    with lab.ready("busy", writable=True) as running:
        for path in lab.routes():
            with suppress(*NO_ANSWER):
                running.get(path, 10)
        result, waited = _stop_busy(lab, running)
        yield from identity.diff(lab, running)
    for attempt in range(1, _ATTEMPTS):
        if waited < _STARVED:
            break
        with lab.ready(f"busy-{attempt}") as running:
            result, waited = _stop_busy(lab, running)
    why = f"the machine was busy: each client that lost a request waited {waited:.1f} s for a CPU"
    yield result if waited < _STARVED else lab.unmeasurable("stop.busy", why)


@checks("stop.in-flight")
def in_flight(lab: Lab) -> Iterator[Result]:
    """A request waits for what the container depends on while SIGTERM comes."""
    if "freezer" not in lab.limits:
        yield lab.unmeasurable("stop.in-flight", NO_PAUSE)
        return
    handles = [lab.stack.handle(service) for service in lab.needed]
    handles += [callee.running.handle for callee in lab.callees]
    if not handles:
        yield lab.unmeasurable("stop.in-flight", "what it calls is not part of this run")
        return
    why = ""
    for attempt in range(_ATTEMPTS):
        with lab.ready(f"in-flight-{attempt}") as running, ExitStack() as marks:
            for other in (lab, *lab.callees):
                marks.enter_context(lab.timeline.mark(other.running, "in-flight drill"))
            slow = _slow_request(lab, running, handles)
            if slow is None:
                why = why or f"no route waits for what it depends on: {lab.no_route()}"
                break
            anybody = Watch(None, anybody=True)
            result, seconds = _stop_waiting(lab, running, slow)
        if not result.failed or anybody.waited < anybody.wall / 2:
            yield result
            return
        # Held up for long, it may have met the end of its own patience.
        if seconds > _PATIENT * lab.container.budgets.stop:
            held = f"the request was held up for {seconds:.1f} s"
            why = f"the machine was busy: {anybody}, and {held}"
    yield lab.unmeasurable("stop.in-flight", why) if why else result


class _Request(threading.Thread):
    """A request that hangs while `paused`, a container, is."""

    def __init__(self, running: Running, path: str, paused: str) -> None:
        super().__init__(daemon=True)
        self.paused = paused
        self.said = "no answer"
        self.ended = 0.0  # by the monotonic clock
        self._running, self._path = running, path

    def run(self) -> None:
        """Ask."""
        try:
            self.said = str(self._running.get(self._path, _LONGEST).status)
        except (*NO_ANSWER, Starved) as error:
            self.said = type(error).__name__
        self.ended = time.monotonic()


def _slow_request(lab: Lab, running: Running, handles: list[str]) -> _Request | None:
    """A request that hangs while one of `handles` is paused; that one stays so."""
    process, ready = running.process(), lab.container.health.ready
    paths = sorted(lab.routes(), key=lambda path: path == ready)
    for handle, path in product(handles, paths):
        lab.engine.pause(handle)
        ran, request = _ran(process), _Request(running, path, handle)
        request.start()
        if process:
            # It has taken the request, and waits.
            until(lambda before=ran: _ran(process) > before, _TAKEN, running.watch(), _PAUSE)  # type: ignore[misc]
            _rests(process, lambda thread=request: not thread.is_alive())  # type: ignore[misc]
        else:
            request.join(_HANGS)
        if request.is_alive():
            return request
        lab.engine.unpause(handle)
    return None


def _stop_waiting(lab: Lab, running: Running, request: _Request) -> tuple[Result, float]:
    """SIGTERM while a request waits, and how long it was under way from then on (seconds)."""
    process, sent = running.process(), time.monotonic()
    try:
        running.signal()
        # What it waits for comes back only after it has taken note of the signal.
        if process:
            _rests(process, lambda: not process.again())
        else:
            time.sleep(_HANGS)
    finally:
        lab.engine.unpause(request.paused)
    stopped = running.end(lab.container.budgets.stop)
    request.join(_LONGEST)
    # 503 is an answer too: what it waited for was away for a while.
    answered = request.said.isdigit() and (int(request.said) < 500 or request.said == "503")
    lost = "" if answered else f"the request was lost ({request.said})"
    seconds = (request.ended or time.monotonic()) - sent
    return _judge(lab, "stop.in-flight", stopped, lost), seconds


def _ran(process: Process | None) -> float:
    return ((process.scheduled() if process else None) or (0.0, 0.0))[0]
