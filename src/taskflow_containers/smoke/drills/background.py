"""What only containers without a port are put through: a worker that runs on, a cron job that ends."""

from __future__ import annotations

import time
from collections.abc import Iterator

from taskflow_containers.project.kinds import Kind
from taskflow_containers.project.values import megabytes
from taskflow_containers.report.result import Result
from taskflow_containers.smoke.drills import identity, stop
from taskflow_containers.smoke.drills.load import (
    ROUNDS,
    judge_growth,
    judge_peak,
    judge_swap,
)
from taskflow_containers.smoke.lab import Lab, checks
from taskflow_containers.smoke.running import SIGKILLED, Running

# Nobody listens there, which the kernel says at once; a name would be asked for at a resolver outside.
_NOBODY = "127.0.0.1"
_ROUND, _FULL_ROUND = 2.0, 10.0  # seconds between two looks at a worker's memory
_OVER = 10.0  # seconds over its budget that a run is waited for
_ATTEMPTS = 2  # at what a busy machine may have held up


@checks("memory", "swap", "growth", of=(Kind.WORKER,))
def memory(lab: Lab) -> Iterator[Result]:
    """What a worker holds while it does what it does by itself."""
    running, held = lab.running, list[int]()
    process = running.process()
    for _ in range(ROUNDS):
        time.sleep(_FULL_ROUND if lab.options.full else _ROUND)
        if process and (found := process.anonymous()) is not None:
            held.append(found)
    yield judge_peak(lab, process, running.fate(), max(held, default=0))
    yield judge_swap(lab, process.swap() if process else None)
    yield judge_growth(lab, held)


@checks("diff", of=(Kind.WORKER, Kind.CRON))
def diff(lab: Lab) -> Iterator[Result]:
    """What it writes where its root is writable."""
    with lab.instance("diff", writable=True) as running:
        if lab.container.kind is Kind.CRON:
            _ran(running)
        else:
            running.wait()
            running.stop(lab.container.budgets.stop)
        yield from identity.diff(lab, running)


def run(lab: Lab) -> Iterator[Result]:
    """A cron job's run to its end, which has just been launched; `lab.alive` where it went well."""
    running, limit = lab.running, lab.container.budgets.run
    watch = running.watch()
    seconds, code, peak = _ran(running)
    lab.alive, running.seconds_to_healthy = code == 0, seconds
    killed = bool(running.state().get("OOMKilled")) or (code == SIGKILLED and seconds <= limit)
    late = f" and was ended after {seconds:.1f} s" if seconds > limit + _OVER else ""
    if code == 0 and watch.doubts(seconds, limit):
        yield lab.unmeasurable("run", f"the machine was busy: {watch}")
    else:
        yield lab.verdict(
            "run", code == 0 and seconds <= limit, limit=f"within {limit:g} s",
            measured=(running.cannot_start and running.fate()) or f"exit code {code}{late}, {seconds:.1f} s",
            detail=running.last_words() if code else "", seconds=seconds, figure=seconds,
        )  # fmt: skip
    if not peak and not killed:
        yield lab.unmeasurable("memory", "it ended before its memory could be seen")
        return
    yield lab.verdict(
        "memory", not killed, limit=f"peak below {megabytes(lab.container.memory)}",
        measured=running.fate() if killed else megabytes(peak), figure=peak or None,
    )  # fmt: skip


def _ran(running: Running) -> tuple[float, int, int]:
    """The seconds that a run took, its exit code, and the highest memory seen (bytes, 0: none)."""
    watch, peak = running.watch(), 0
    while running.alive() and not watch.over(running.container.budgets.run + _OVER):
        process = running.process()
        peak = max(peak, (process.memory("peak") if process else None) or 0)
        seconds = watch.seconds  # also so that what it waited is counted while it is there
        time.sleep(0.02)
    seconds, code = watch.seconds, running.end(0)[1]
    # A busy engine calls running what ended seconds ago.
    return min(seconds, running.lasted() or seconds), code, peak


@checks("stop", of=(Kind.CRON,))
def stopped(lab: Lab) -> Iterator[Result]:
    """SIGTERM amid a run, as when its node is drained."""
    with lab.instance("stop") as running:
        time.sleep((lab.running.seconds_to_healthy or 0.0) / 2)
        if not running.alive():
            yield lab.unmeasurable("stop", "it had ended before SIGTERM could be sent")
            return
        yield stop.idle(lab, running)


@checks("database.run", of=(Kind.CRON,))
def without_database(lab: Lab) -> Iterator[Result]:
    """A run whose database takes no connection must not say that all went well."""
    urls = {v: lab.stack.databases[name].url(host=_NOBODY) for v, name in lab.services.items()}
    limit = lab.container.budgets.run
    for attempt in range(1, _ATTEMPTS + 1):
        with lab.instance(f"no-database-{attempt}", environment=urls) as running:
            watch = running.watch()
            seconds, code, _ = _ran(running)
            said = "" if code else running.last_words()
        if not code or seconds <= limit:
            break
    if code and watch.doubts(seconds, limit):
        yield lab.unmeasurable("database.run", f"the machine was busy: {watch}")
    else:
        yield lab.verdict(
            "database.run", code != 0 and seconds <= limit, limit=f"within {limit:g} s",
            measured=f"exit code {code} after {seconds:.1f} s",
            detail=said, seconds=seconds,
        )  # fmt: skip
