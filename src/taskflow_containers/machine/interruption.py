"""An interrupted run ends at once, and with it the programs that its threads have started."""

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
# Seconds that a program has from SIGTERM to SIGKILL.
_GRACE = 0.7
_thread = threading.local()  # .programs: those of its pool; .tidying: it removes what it made


def end(program: Program, *, group: bool) -> None:
    """End a program, or its whole process group: asked first, then killed."""
    _end([program], group=group)


def _end(programs: list[Program], *, group: bool) -> None:
    for program in programs:
        _send(program, signal.SIGTERM, group)
    deadline = time.monotonic() + _GRACE
    for program in programs:
        with suppress(subprocess.TimeoutExpired):
            program.wait(max(0.0, deadline - time.monotonic()))
    for program in programs:
        # Of a group others may be left when the one that leads it has ended.
        _send(program, getattr(signal, "SIGKILL", signal.SIGTERM), group)


def _send(program: Program, number: int, group: bool) -> None:
    with suppress(OSError):
        if group and os.name == "posix":
            os.killpg(program.pid, number)
        else:
            program.send_signal(number)


class _Programs:
    """What the threads of a pool have started and what still runs of it."""

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
    """Whether the current thread is one of a pool, so that its programs get groups of their own."""
    return hasattr(_thread, "programs")


def start(make: Callable[[], Program]) -> Program:
    """Start a program that ends with the pool of the current thread, if that is of one.

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
    """For a thread that removes what it made: the end of the run does not stop it in this."""
    before, _thread.tidying = _tidying(), True
    try:
        yield
    finally:
        _thread.tidying = before


@contextmanager
def pool(size: int) -> Iterator[ThreadPoolExecutor]:
    """Threads whose programs are ended with the run: by an interruption, or by the first error."""
    programs = _Programs()
    executor = ThreadPoolExecutor(size, initializer=programs.enlist)
    try:
        yield executor
        executor.shutdown()
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        programs.end()
        executor.shutdown()  # they have nothing to wait for any more
        raise
