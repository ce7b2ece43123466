"""What a busy machine takes from a time limit: how long a container, and we, waited for a CPU."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from taskflow_containers.machine.cgroup import Process, everybodys_wait, own_wait

_SLICE = 0.25  # seconds between two looks at the time while nothing comes
# A limit is waited for so many times as long, and so many seconds more, before nothing can be said.
_FACTOR, _MORE = 5, 10.0


class Starved(Exception):
    """Nothing can be said of the container: others had the CPU; the text has the figure."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(f"the machine was busy: {watch}")


class Watch:
    """A stopwatch that stands still while a container, or the thread that looks on, waits for a CPU.

    `anybody`: while anybody on this machine does, for want of a process that can be seen. To be read
    by the thread that made it.
    """

    def __init__(self, process: Process | None, *, anybody: bool = False) -> None:
        self._process, self._anybody = process, anybody
        self._started, self._from, self._waited = time.monotonic(), self._reading(), 0.0
        self._stopped: float | None = None

    def _reading(self) -> float:
        if self._anybody:
            return everybodys_wait()
        return own_wait() + (self._process.starved() if self._process else 0.0)

    @property
    def wall(self) -> float:
        """Seconds since it was made."""
        return (time.monotonic() if self._stopped is None else self._stopped) - self._started

    @property
    def waited(self) -> float:
        """Seconds of those that went by waiting for a CPU."""
        if self._stopped is None:
            # What is gone has no count any more.
            self._waited = max(self._waited, min(self.wall, self._reading() - self._from))
        return self._waited

    def stop(self) -> None:
        """Count no further."""
        self._waited, self._stopped = self.waited, time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds without those."""
        return max(0.0, self.wall - self.waited)

    def doubts(self, seconds: float, limit: float) -> bool:
        """Whether a time beyond a limit may be the machine's, as nobody knows who of all waited."""
        return self._anybody and seconds - self.waited <= limit < seconds

    def over(self, limit: float) -> bool:
        """Whether so many seconds have passed without those.

        Raises:
            Starved: they have not, in many times that time.
        """
        wall = self.wall
        if wall <= limit:
            return False
        if self.seconds > limit:
            return True
        if wall > _FACTOR * limit + _MORE:
            raise Starved(self)
        return False

    def __str__(self) -> str:
        return f"waited {self.waited:.1f} of {self.wall:.1f} s for a CPU"


class _Socket(socket.socket):
    """A connected socket that waits until `over` says so."""

    over: Callable[[], bool]

    def recv_into(self, *given: Any, **named: Any) -> int:
        """As ever.

        Raises:
            TimeoutError: it is over.
        """
        while not self.over():
            try:
                return super().recv_into(*given, **named)
            except TimeoutError:
                continue
        raise TimeoutError("no answer in time")


class Connection(http.client.HTTPConnection):
    """HTTP to a container: its `limit` (seconds, by a `Watch`) is for an answer as a whole."""

    def __init__(self, host: str, port: int, limit: float, watch: Callable[[], Watch]) -> None:
        super().__init__(host, port, timeout=limit)
        self._limit, self._watch = limit, watch
        self.watch = watch()
        self.added: Mapping[str, str] = {}  # headers of each request

    def connect(self) -> None:
        """Open it; at the latest with the first request."""
        super().connect()
        own = _Socket(fileno=self.sock.detach())
        own.settimeout(_SLICE)
        own.over = lambda: self.watch.over(self._limit)
        self.sock = own

    def putrequest(self, *given: Any, **named: Any) -> None:
        """Begin a request; from here on its time counts."""
        self.watch = self._watch()
        super().putrequest(*given, **named)
        for name, value in self.added.items():
            self.putheader(name, value)
