"""SIGTERM: idle, with a slow request in flight, with busy connections, and while starting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import product

from automation.cgroup import Process, own_wait
from automation.results import Result
from automation.smoke import identity
from automation.smoke.catalogue import unmeasurable, verdict
from automation.smoke.lab import SIGKILLED, Lab, checks, until
from automation.stack import NO_ANSWER, Running

_CLIENTS = 4
# Of the CPU that a start takes: the program itself is running, not its interpreter.
_RAN_ENOUGH = 0.5
_STILL = 100  # looks in a row, 5 ms apart, without work: it waits for something
_HANGS = 0.3  # seconds without an answer after which a request counts as slow
_LONGEST = 30.0  # seconds
_STARVED = 0.3  # seconds that a client waited for a CPU, within which a server may have given it up


def _judge(
    id: str, running: Running, stopped: tuple[float, int], lost: str = "", **more: object
) -> Result:
    seconds, code = stopped
    grace = running.model.budgets.stop
    killed = ", killed" if code == SIGKILLED else ""
    return verdict(
        id,
        running.name,
        code in {0, 143} and not lost,
        limit=f"within {grace:g} s",
        measured=", ".join(filter(None, [f"exit code {code} after {seconds:.1f} s{killed}", lost])),
        seconds=seconds,
        **more,
    )


def idle(lab: Lab, running: Running) -> Result:
    """An idle connection that is kept alive must not hold it up."""
    link = running.connect(5)
    link.request("GET", running.model.health.live)
    link.getresponse().read()
    try:
        return _judge("stop", running, lab.stack.stop(running, running.model.budgets.stop))
    finally:
        link.close()


@checks("stop.starting")
def starting(lab: Lab, name: str) -> Iterator[Result]:
    """SIGTERM as soon as the program itself runs, long before it listens."""
    with lab.instance(name, "starting") as running:
        process = running.process()
        if process is None or process.scheduled() is None:
            yield unmeasurable("stop.starting", name, "its process is not visible from here")
            return
        _wait_for_program(process, _RAN_ENOUGH * lab.alive[name].cpu_to_healthy)
        yield _judge("stop.starting", running, lab.stack.stop(running, running.model.budgets.stop))


def _wait_for_program(process: Process, enough: float) -> None:
    """Wait until a process has run for so many seconds, or sleeps."""
    ran, still = 0.0, 0
    while still < _STILL:
        now = (process.scheduled() or (enough, 0.0))[0]
        if now >= enough:
            return
        # Looks are counted, not seconds: it may be us who did not get a CPU.
        still = still + 1 if now == ran and process.sleeps() else 0
        ran = now
        time.sleep(0.005)


class _Busy(threading.Thread):
    """A client that asks again and again until it is told that the connection closes."""

    def __init__(self, running: Running) -> None:
        super().__init__(daemon=True)
        self._running = running
        self.answered = 0
        self.lost = ""
        self.waited = 0.0  # seconds that this client waited for a CPU
        self.over = threading.Event()

    def run(self) -> None:
        """Ask until the last answer."""
        link = self._running.connect(_LONGEST)
        try:
            while not self.over.is_set():
                link.request("GET", self._running.model.health.live)
                response = link.getresponse()
                response.read()
                self.answered += 1
                if response.status >= 500:
                    self.lost = f"status {response.status}"
                if response.will_close:
                    return
                time.sleep(0.01)
        except NO_ANSWER as error:
            self.lost = type(error).__name__
        finally:
            self.waited = own_wait()
            link.close()


def _stop_busy(lab: Lab, running: Running) -> tuple[Result, bool]:
    """SIGTERM under clients that never rest; whether those had the CPU to do so."""
    clients = [_Busy(running) for _ in range(_CLIENTS)]
    for client in clients:
        client.start()
    until(lambda: all(client.answered or client.lost for client in clients), 10)
    stopped = lab.stack.stop(running, running.model.budgets.stop)
    for client in clients:
        client.over.set()
        client.join(_LONGEST)
    lost = [client.lost for client in clients if client.lost]
    said = f"{len(lost)} of {_CLIENTS} connections lost a request ({lost[0]})" if lost else ""
    fair = not lost or max(client.waited for client in clients) < _STARVED
    return _judge("stop.busy", running, stopped, said), fair


@checks("stop.busy", "diff")
def busy(lab: Lab, name: str) -> Iterator[Result]:
    """Clients that never rest; and, as its root is writable, what it wrote meanwhile."""
    with lab.ready(name, "busy", writable=True) as running:
        for path in lab.routes(name):
            with suppress(*NO_ANSWER):
                running.get(path, 10)
        result, fair = _stop_busy(lab, running)
        yield from identity.diff(lab, running)
    if not fair:
        with lab.ready(name, "busy-again") as running:
            result, _ = _stop_busy(lab, running)
    yield result


@checks("stop.in-flight")
def in_flight(lab: Lab, name: str) -> Iterator[Result]:
    """A request waits for what the container depends on while SIGTERM comes."""
    model = lab.project.containers[name]
    handles = [lab.stack.handle(target) for target in lab.services(name).values()]
    handles += [lab.alive[t].handle for t in lab.peers(name).values() if t in lab.alive]
    if not handles:
        yield unmeasurable("stop.in-flight", name, "what it calls is not part of this run")
        return
    with lab.ready(name, "in-flight") as running, ExitStack() as marks:
        for other in {name, *lab.peers(name).values()} & lab.alive.keys():
            marks.enter_context(lab.timeline.mark(lab.alive[other], "in-flight drill"))
        paths = sorted(lab.routes(name), key=lambda path: path == model.health.ready)
        slow = _slow_request(lab, running, paths, handles)
        if slow is None:
            yield unmeasurable(
                "stop.in-flight", name, "no route of it waits for what it depends on"
            )
            return
        thread, answers, paused = slow
        started = time.monotonic()
        try:
            lab.engine.call("kill", "--signal", "TERM", running.handle)
            time.sleep(_HANGS)
        finally:
            lab.engine.unpause(paused)
        ended = until(lambda: not running.alive(), model.budgets.stop)
        stopped = time.monotonic() - started
        thread.join(_LONGEST)
        said = answers[0] if answers else "no answer"
        # 503 is an answer too: what it waited for was away for a while.
        answered = said.isdigit() and (int(said) < 500 or said == "503")
        lost = "" if answered else f"the request was lost ({said})"
        code = int(running.state().get("ExitCode", -1)) if ended else SIGKILLED
        yield _judge("stop.in-flight", running, (stopped, code), lost)


def _slow_request(
    lab: Lab, running: Running, paths: list[str], handles: list[str]
) -> tuple[threading.Thread, list[str], str] | None:
    """A request that hangs while one of `handles` is paused; that one stays so."""
    for handle, path in product(handles, paths):
        lab.engine.pause(handle)
        answers: list[str] = []

        def get(path: str = path, answers: list[str] = answers) -> None:
            try:
                answers.append(str(running.get(path, _LONGEST).status))
            except NO_ANSWER as error:
                answers.append(type(error).__name__)

        thread = threading.Thread(target=get, daemon=True)
        thread.start()
        thread.join(_HANGS)
        if thread.is_alive():
            return thread, answers, handle
        lab.engine.unpause(handle)
    return None
