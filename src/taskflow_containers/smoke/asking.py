"""How a container is asked, and asked again where a busy machine may have spoilt the answer."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from taskflow_containers.machine.cgroup import contended
from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.machine.waiting import Starved, Watch
from taskflow_containers.smoke.answer import NO_ANSWER
from taskflow_containers.smoke.running import Running

PROBE_TIMEOUT = 2.0  # seconds; what the chart's readiness probe allows
TOO_MANY = 429
_LOOKS = 3  # at what a busy machine may have spoilt
_UNFAIR = 0.25  # seconds of waiting for a CPU, in which a time limit within a service may run out
_MOSTLY = 0.75  # of the time
_BUSY = 0.2  # of the last ten seconds
_FORGETS = 1.5  # seconds in which a service may remember what it saw last

Seen = dict[str, tuple[int, float]]  # of each path its status (0: nobody answers in time), seconds
T = TypeVar("T")


def ask(running: Running, path: str, timeout: float = PROBE_TIMEOUT) -> tuple[int, float]:
    """The status (0 when nobody answers in time) and the seconds it took."""
    started = time.monotonic()
    try:
        status = running.get(path, timeout).status
    except NO_ANSWER:
        status = 0
    return status, time.monotonic() - started


def probe(running: Running, path: str) -> tuple[int, float]:
    """As `ask`, but like a kubelet it forgives one probe that was not answered in time."""
    status, seconds = ask(running, path)
    return (status, seconds) if status else ask(running, path)


def ask_each(running: Running, paths: Iterable[str], timeout: float) -> Seen:
    """What each path is answered with."""
    return {path: ask(running, path, timeout) for path in dict.fromkeys(paths)}


def fine(status: int) -> bool:
    """Whether a route's status says that it did what was asked, or was asked too often (RFC 6585)."""
    return 200 <= status < 300 or status == TOO_MANY


def all_fine(seen: Seen) -> bool:
    """Whether every path was."""
    return all(fine(status) for status, _ in seen.values())


def fairly(
    running: Running, look: Callable[[], T], good: Callable[[T], bool], looks: int = _LOOKS
) -> T:
    """What a look shows; a bad sight is looked at again where a busy machine may have spoilt it.

    A service has time limits of its own, which run by the clock: one that runs out while others
    have the CPU is no fault of it. What it then saw it may remember for a while.

    Raises:
        Starved: it was bad each time, and the container had to wait for most of the time.
    """
    for left in range(looks, 0, -1):
        watch = running.watch()
        found = look()
        if good(found) or (watch.waited < _UNFAIR and contended() < _BUSY):
            return found
        if left > 1:
            time.sleep(_FORGETS)
    if watch.waited > _UNFAIR and watch.waited > _MOSTLY * watch.wall:
        raise Starved(watch)
    return found


def until(condition: Callable[[], bool], seconds: float, watch: Watch, pause: float = 0.1) -> bool:
    """Whether a condition comes true within so many seconds of a `watch`.

    Raises:
        Starved: it has not, and others had the CPU.
    """
    while True:
        with suppress(*NO_ANSWER, EnvironmentTrouble):
            if condition():
                return True
        if watch.over(seconds):
            return False
        time.sleep(pause)


def words(body: bytes) -> str:
    """The text of an HTML page as a person sees it."""
    text = re.sub(r"(?s)<(script|style)\b.*?</\1>|<[^>]+>", " ", body.decode("utf-8", "replace"))
    return " ".join(text.split())
