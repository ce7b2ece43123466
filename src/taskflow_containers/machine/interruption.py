"""End an interrupted run at once, together with the programs that its threads have started."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

from taskflow_containers.machine.errors import Interrupted

Program = subprocess.Popen[str]
_GRACE = 0.7  # seconds between SIGTERM and SIGKILL
_thread = threading.local()  # .programs: those of its pool; .tidying: it is cleaning up


def end(program: Program, *, group: bool) -> None:
    """End a program, or its whole process group: SIGTERM first, then SIGKILL."""
    _end([program], group=group)


def _end(programs: list[Program], *, group: bool) -> None:
    for program in programs:
        _send(program, signal.SIGTERM, group)
    deadline = time.monotonic() + _GRACE
    for program in programs:
        with suppress(subprocess.TimeoutExpired):
            program.wait(max(0.0, deadline - time.monotonic()))
    for program in programs:
        # Other programs of a group may outlive the one that leads it.
        _send(program, getattr(signal, "SIGKILL", signal.SIGTERM), group)


def _send(program: Program, number: int, group: bool) -> None:
    with suppress(OSError):
        if group and os.name == "posix":
            os.killpg(program.pid, number)
        else:
            program.send_signal(number)


class _Programs:
    """The programs that the threads of a pool have started and that still run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[Program] = []
        self.over = False

    def enlist(self) -> None:
        """Make the current thread one of the pool."""
        _thread.programs = self

    def start(self, make: Callable[[], Program]) -> Program:
        with self._lock:
            check()
            program = make()
            self._running = [one for one in self._running if one.returncode is None]
            if not _tidying():
                self._running.append(program)
        return program

    def end(self) -> None:
        with self._lock:
            self.over = True
        _end(self._running, group=True)


def _tidying() -> bool:
    return bool(getattr(_thread, "tidying", False))


def in_pool() -> bool:
    """Whether this thread belongs to a pool; its programs then get process groups of their own."""
    return hasattr(_thread, "programs")


def start(make: Callable[[], Program]) -> Program:
    """Start a program; if this thread belongs to a pool, the program ends with that pool.

    Raises:
        Interrupted: the run is over.
    """
    programs: _Programs | None = getattr(_thread, "programs", None)
    return programs.start(make) if programs else make()


def check() -> None:
    """Raise Interrupted in a thread whose run is over, unless it is `tidying`."""
    programs: _Programs | None = getattr(_thread, "programs", None)
    if programs and programs.over and not _tidying():
        raise Interrupted("interrupted", "run it again")


@contextmanager
def tidying() -> Iterator[None]:
    """For cleaning up: an interruption does not stop what this thread does in here."""
    before, _thread.tidying = _tidying(), True
    try:
        yield
    finally:
        _thread.tidying = before


@contextmanager
def pool(size: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads; an interruption, or the first error, ends the programs they started."""
    programs = _Programs()
    executor = ThreadPoolExecutor(size, initializer=programs.enlist)
    try:
        yield executor
        executor.shutdown()
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        programs.end()
        executor.shutdown()  # quick: the programs that the threads waited for have ended
        raise
