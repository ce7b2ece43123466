"""Load on real routes: errors, memory peak against the limit, and what stays behind."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from taskflow_containers.machine.cgroup import Process
from taskflow_containers.machine.waiting import Watch
from taskflow_containers.project.values import megabytes
from taskflow_containers.report.result import Result
from taskflow_containers.smoke.answer import NO_ANSWER
from taskflow_containers.smoke.catalogue import SERVING
from taskflow_containers.smoke.lab import Lab, checks
from taskflow_containers.smoke.running import KILLED, Running

REQUESTS, CONCURRENCY = 600, 8
FULL_REQUESTS, FULL_CONCURRENCY = 3000, 16
ROUNDS = 4  # the first one warms up
_TIMEOUT = 10.0  # seconds
_ATTEMPTS = 3
_UNAVAILABLE = 503  # what a dependency that did not answer in time makes of an answer
_QUICK = 0.5  # seconds; what failed sooner failed by no time limit
_BUSY = 0.15  # of the time somebody waited for a CPU
_FULL = 0.95  # of the limit; whoever holds more is about to be killed
_GROWTH = 0.10  # of the limit, from the second round's end to the last one's
_BOUNDLESS = 2**62  # bytes; control groups of version 1 say so by a number near 2**63
_STEP = 0.01  # of the limit; a round that adds less has added nothing


@dataclass(slots=True)
class _Seen:
    """What went wrong, and whether it may come of a time limit within the service."""

    bad: Counter[str] = field(default_factory=Counter)
    slow: int = 0
    quick: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # by its status, which is no fault
    remembered: int = 0  # quick, but it may be what an earlier request had to wait for

    def note(self, what: str, since: float, status: int = 0) -> None:
        """Take one request that went wrong, and when it was made."""
        self.bad[what] += 1
        if time.monotonic() - since >= _QUICK:
            self.slow += 1
        elif status == _UNAVAILABLE:
            self.remembered += 1
        else:
            self.quick += 1

    @property
    def late(self) -> bool:
        """Whether all that went wrong did so by taking long."""
        return not self.quick and (self.slow > 0 or not self.remembered)


def _round(
    running: Running, paths: list[str], requests: int, concurrency: int, seen: _Seen
) -> None:
    """Make so many requests."""

    def client(share: int) -> None:
        connection = running.connect(_TIMEOUT)
        for index in range(share):
            began, path = time.monotonic(), paths[index % len(paths)]
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                response.read()
                if response.status >= 500:
                    seen.note(f"{response.status} on {path}", began, response.status)
                    connection.close()  # as uvicorn does after an exception, without a word of it
                elif response.status >= 400:
                    seen.refused[f"{response.status} on {path}"] += 1
            except TimeoutError:
                seen.note(f"no answer within {_TIMEOUT:g} s on {path}", began)
                connection.close()
            except NO_ANSWER as error:
                seen.note(f"{type(error).__name__} on {path}", began)
                connection.close()
                if not running.alive():
                    return
        connection.close()

    shares = [len(range(client, requests, concurrency)) for client in range(concurrency)]
    with ThreadPoolExecutor(max_workers=concurrency) as pool:
        list(pool.map(client, shares))


@checks("load", "memory", "swap", "growth", of=SERVING)
def load(lab: Lab) -> Iterator[Result]:
    """Rounds of requests with a look at the memory after each."""
    running, paths = lab.running, lab.routes()
    requests = FULL_REQUESTS if lab.options.full else REQUESTS
    concurrency = FULL_CONCURRENCY if lab.options.full else CONCURRENCY
    process = running.process()
    for _ in range(_ATTEMPTS):
        seen = _Seen()
        held: list[int] = []
        watch, anybody = running.watch(), Watch(None, anybody=True)
        with lab.timeline.mark(running, f"{requests} requests"):
            for _ in range(ROUNDS):
                _round(running, paths, requests // ROUNDS, concurrency, seen)
                if running.fate():
                    break
                time.sleep(0.2)
                if process and (bytes_held := process.anonymous()) is not None:
                    held.append(bytes_held)
        seconds, bad = watch.wall, seen.bad
        ended = running.fate()
        # A time limit within the service may run out while others have the CPU: that proves nothing.
        busy = anybody.waited > _BUSY * anybody.wall
        if ended or not bad or not busy:
            break
    kinds = _counted(bad)
    # What a limit of the service refuses is answered well, and shows nothing of what lies behind.
    refused = f"; but {_counted(seen.refused)}" if seen.refused else ""
    killed = ended.startswith(KILLED)
    if killed and "memory" in lab.options.only:
        yield lab.unmeasurable("load", "it was killed for memory: see the memory peak")
    elif bad and busy and not ended and seen.late:
        yield lab.unmeasurable("load", f"the machine was busy: {watch}; {kinds}")
    else:
        limit = f"{requests} requests, {concurrency} at a time, on {', '.join(paths)}"
        yield lab.verdict(
            "load", not bad and not ended, limit=limit + lab.left_out(),
            measured=ended or kinds or f"none failed, {requests / seconds:,.0f} requests/s{refused}",
            detail=running.last_words() if bad or ended else "", seconds=seconds,
        )  # fmt: skip
    if ended and not killed:
        yield lab.unmeasurable("memory", f"it {ended}, for another reason")
    else:
        yield judge_peak(lab, process, ended, max(held, default=0))
    if ended:
        return
    yield judge_swap(lab, process.swap() if process else None)
    yield judge_growth(lab, held)


def _counted(found: Counter[str]) -> str:
    return ", ".join(f"{count} × {kind}" for kind, count in sorted(found.items()))


def judge_peak(lab: Lab, process: Process | None, ended: str, held: int) -> Result:
    """The limit was never met. What the kernel caches of files counts towards the peak, and gives way."""
    limit = lab.container.memory
    peak = None if ended else lab.running.memory_peak()
    if peak is None and not ended:
        return lab.unmeasurable("memory", "the control group keeps no peak")
    kills = process.kills() if process and not ended else 0
    said = [megabytes(peak or 0)]
    said += [f"{megabytes(held)} without cached files"] if held else []
    said += [f"{kills} killed for memory"] if kills else []
    full = f"without cached files below {megabytes(_FULL * limit)}"
    return lab.verdict(
        "memory", not ended and not kills and held < _FULL * limit,
        limit=f"peak below {megabytes(limit)}, {full}", measured=ended or ", ".join(said),
        figure=peak,
    )  # fmt: skip


def judge_swap(lab: Lab, allowed: int | None) -> Result:
    """No swap may come on top of the limit; `allowed` is what the control group says (bytes)."""
    if allowed is not None:
        said = "any amount" if allowed >= _BOUNDLESS else megabytes(allowed)
        return lab.verdict("swap", allowed == 0, measured=f"{said} allowed")
    try:
        areas = len(Path("/proc/swaps").read_text().splitlines()) - 1
    except OSError:
        areas = -1
    if areas == 0:
        return lab.verdict("swap", True, measured="this machine has none")
    return lab.unmeasurable("swap", "the kernel does not account for swap")


def judge_growth(lab: Lab, held: list[int]) -> Result:
    """Whether the memory that it holds after each round goes up and up."""
    if len(held) < ROUNDS:
        return lab.unmeasurable("growth", "the control group is not visible from here")
    limit, growth = lab.container.memory, held[-1] - held[1]
    steps = [after - before for before, after in pairwise(held[1:])]
    leaks = growth > _GROWTH * limit and all(step > _STEP * limit for step in steps)
    return lab.verdict(
        "growth", not leaks,
        limit=f"at most {megabytes(_GROWTH * limit)} from round 2 to round {ROUNDS}",
        measured=f"{megabytes(growth)} ({', '.join(map(megabytes, held))})",
    )  # fmt: skip
