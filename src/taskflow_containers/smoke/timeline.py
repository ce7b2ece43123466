"""Memory and latency of the containers over the run, with the faults that were injected."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from taskflow_containers.machine.cgroup import Process
from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.machine.waiting import Starved
from taskflow_containers.smoke.answer import NO_ANSWER
from taskflow_containers.smoke.running import Running

_PERIOD = 0.25  # seconds
_TIMEOUT = 1.0  # seconds; a slower answer counts as none


@dataclass(slots=True)
class Series:
    """The samples of one container: (second, bytes) and (second, seconds to a 200 or None).

    `title` tells a further instance from the one that runs all along.
    """

    name: str
    title: str
    limit: int
    memory: list[tuple[float, int]] = field(default_factory=list)
    latency: list[tuple[float, float | None]] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that was done to a container, from one second to another."""

    text: str
    start: float
    end: float


class Timeline:
    """Samples until it is closed; containers may come at any time."""

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}  # by the container's name in the engine
        self.seconds = 0.0
        self._started = time.monotonic()
        self._over = threading.Event()
        self._left: set[str] = set()
        self._threads: list[threading.Thread] = []

    def watch(self, running: Running, title: str = "") -> None:
        """Sample this container from now on."""
        self.series[running.handle] = Series(running.name, title, running.container.memory)
        thread = threading.Thread(target=self._sample, args=(running,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def leave(self, running: Running) -> None:
        """Sample it no longer, as it is about to go."""
        self._left.add(running.handle)

    @contextmanager
    def mark(self, running: Running, text: str) -> Iterator[None]:
        """The block does this to the container."""
        start = self._now()
        try:
            yield
        finally:
            self.series[running.handle].marks.append(Mark(text, start, self._now()))

    def close(self) -> None:
        """Stop sampling."""
        if self._over.is_set():
            return
        self._over.set()
        for thread in self._threads:
            thread.join(_TIMEOUT + 1)
        self.seconds = self._now()

    def _now(self) -> float:
        return time.monotonic() - self._started

    def _sample(self, running: Running) -> None:
        try:
            process: Process | None = running.process()
        except EnvironmentTrouble:
            process = None
        series = self.series[running.handle]
        while not self._over.wait(_PERIOD) and running.handle not in self._left:
            at, memory = self._now(), process.memory("usage") if process else None
            if memory is not None:
                series.memory.append((at, memory))
            if not running.container.kind.serves:
                continue
            try:
                answer = running.get(running.container.health.ready, _TIMEOUT)
                taken = answer.seconds if running.container.well(answer.status) else None
            except (*NO_ANSWER, Starved):
                taken = None
            series.latency.append((at, taken))
