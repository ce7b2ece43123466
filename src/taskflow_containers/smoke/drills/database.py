"""The database drill: a real PostgreSQL is taken away in several ways and given back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

from taskflow_containers.project.kinds import Kind
from taskflow_containers.report.result import Result
from taskflow_containers.smoke.answer import NO_ANSWER
from taskflow_containers.smoke.asking import (
    PROBE_TIMEOUT,
    Seen,
    all_fine,
    ask,
    ask_each,
    fairly,
    fine,
    probe,
    until,
)
from taskflow_containers.smoke.catalogue import SERVING
from taskflow_containers.smoke.drills.faults import FAULTS, Fault, connected, cut, start, stop
from taskflow_containers.smoke.drills.health import failed_checks, leaks
from taskflow_containers.smoke.lab import NO_PAUSE, Lab, checks
from taskflow_containers.smoke.postgres import Postgres
from taskflow_containers.smoke.running import Running

LONGEST_REQUEST = 10.0  # seconds; a request that takes longer hangs
_FAILURES = 2  # in a row, after which the chart's readiness probe takes a pod out of its Service
_NOTICE = 10.0  # seconds until an absence must show
_AWAY = 5.0  # seconds that a worker's database is stopped
_RETURN = 15.0  # seconds until a return must show
_TRIES = 2  # at a fault, whose course takes seconds of waiting even where all is well
_LAST_LINES = 5  # of a migration that failed


@dataclass(slots=True)
class _Protocol:
    """What was seen over all faults, by aspect: what went well, and what did not."""

    good: dict[str, list[str]] = field(default_factory=dict)
    bad: dict[str, list[str]] = field(default_factory=dict)
    detail: str = ""

    def note(self, aspect: str, good: bool, text: str) -> None:
        """Take one observation."""
        (self.good if good else self.bad).setdefault(aspect, []).append(text)

    def add(self, other: _Protocol) -> None:
        """Take what another has noted."""
        for own, its in ((self.good, other.good), (self.bad, other.bad)):
            for aspect, texts in its.items():
                own.setdefault(aspect, []).extend(texts)
        self.detail = self.detail or other.detail

    def verdict(self, lab: Lab, aspect: str, limit: str) -> Result:
        """The result over all faults; what failed says it all."""
        bad = self.bad.get(aspect, [])
        said = "; ".join(bad or self.good.get(aspect, ["nothing to see"]))
        detail = self.detail if bad else ""
        return lab.verdict(aspect, not bad, limit=limit, measured=said, detail=detail)


def _liveness(running: Running, over: threading.Event) -> tuple[str, int]:
    """Ask for liveness without rest: the first answer that was not 200, and how many there were.

    Raises:
        Starved: others had the CPU.
    """
    fault, asked = "", 0
    while not over.wait(0.1):
        status, seconds = probe(running, running.container.health.live)
        asked += 1
        if status != 200 and not fault:
            fault = f"{status or 'no answer'} in {seconds:.1f} s"
    return fault, asked


@contextmanager
def _with_its_own(lab: Lab) -> Iterator[tuple[Running, list[Postgres]]]:
    """An instance that is ready, and its databases, which nobody else uses."""
    with ExitStack() as started:
        databases = {service: started.enter_context(_own(lab, service)) for service in lab.needed}
        hosts = lab.stack.host_entries({own.host: own.handle for own in databases.values()})
        urls = {variable: databases[service].url() for variable, service in lab.services.items()}
        lab.migrate(*hosts, environment=urls)
        running = started.enter_context(lab.ready("drill", *hosts, environment=urls))
        lab.timeline.watch(running, "Database drill")
        started.callback(lab.timeline.leave, running)
        yield running, list(databases.values())


_FAULTS = (
    "database.lost",
    "database.liveness",
    "database.requests",
    "database.back",
    "database.cut",
)


@checks(*_FAULTS, of=SERVING)
def drill(lab: Lab) -> Iterator[Result]:
    """Each fault in turn, on an instance with databases that nobody else uses."""
    with _with_its_own(lab) as (running, databases):
        urls = [own.url() for own in databases]
        for database in databases:
            yield from _drill(_Drill(lab, running, database, urls))


@checks("database.back", of=(Kind.WORKER,))
def worker(lab: Lab) -> Iterator[Result]:
    """A worker outlives that its database is away for a while, and is well again by itself."""
    with _with_its_own(lab) as (running, databases):
        for database in databases:
            before = running.state().get("StartedAt")
            stop(database)
            try:
                with lab.timeline.mark(running, f"{database.service} stopped"):
                    until(lambda: not running.alive(), _AWAY, running.watch())
            finally:
                start(database)
            watch = running.watch()
            back = (
                until(running.well, _RETURN, watch) and running.state().get("StartedAt") == before
            )
            said = running.fate() or (
                "is not well again" if not back else f"after {watch.seconds:.1f} s"
            )
            yield lab.verdict(
                "database.back", back, limit=f"within {_RETURN:g} s",
                measured=f"{database.service} stopped for {_AWAY:g} s: {said}",
                detail="" if back else running.last_words(),
            )  # fmt: skip


@checks("database.migrate")
def migrated(lab: Lab) -> Iterator[Result]:
    """What the migration came to that ran before the container was started."""
    if done := lab.migrated:
        said = (done.stdout + done.stderr).splitlines()[-_LAST_LINES:] if done.returncode else []
        yield lab.verdict(
            "database.migrate", not done.returncode, measured=f"exit code {done.returncode}",
            detail="\n".join(said),
        )  # fmt: skip


@contextmanager
def _own(lab: Lab, service: str) -> Iterator[Postgres]:
    database = lab.stack.start_service(service, f"{lab.name}-drill")
    try:
        yield database
    finally:
        lab.engine.remove(database.handle)


@dataclass(frozen=True, slots=True)
class _Drill:
    """An instance and the database that is taken away from it; `urls` must never be shown."""

    lab: Lab
    running: Running
    database: Postgres
    urls: Sequence[str]
    protocol: _Protocol = field(default_factory=_Protocol)

    @property
    def service(self) -> str:
        """The database's name in taskflow.toml."""
        return self.database.service

    def mark(self, what: str) -> AbstractContextManager[None]:
        """The block does this to the database."""
        return self.lab.timeline.mark(self.running, f"{self.service} {what}")

    def ask(self, routes: Iterable[str]) -> Seen:
        """The status of each route, and the seconds it took."""
        return ask_each(self.running, routes, LONGEST_REQUEST)

    def returns(self, routes: Iterable[str], seconds: float = _RETURN) -> tuple[bool, float]:
        """Whether these routes are answered well in time, and the seconds until then."""
        watch, wanted = self.running.watch(), list(routes)
        back = until(
            lambda: all(fine(ask(self.running, route)[0]) for route in wanted), seconds, watch
        )
        return back, watch.seconds


def _drill(drill: _Drill) -> Iterator[Result]:
    lab, protocol = drill.lab, drill.protocol
    within = f"within {_RETURN:g} s"
    routes, back = _using(drill)
    if not back:
        protocol.note("database.back", False, "stopped: did not come back")
        yield protocol.verdict(lab, "database.back", within)
        return  # on a service that stays down no further fault shows anything
    unknown = f"no route is known that uses {drill.service}: {lab.no_route()}"
    yield _cut(drill, routes) if routes else lab.unmeasurable("database.cut", unknown)
    for fault in FAULTS:
        if fault.full and not lab.options.full:
            continue
        if fault.freezes and "freezer" not in lab.limits:
            protocol.note("database.requests", True, f"{fault.name}: not tried, {NO_PAUSE}")
            continue
        lab.say(f"{drill.service} {fault.name}")
        protocol.add(
            fairly(
                drill.running,
                lambda f=fault: _inject(drill, f, routes),  # type: ignore[misc]
                lambda noted: not noted.bad,
                _TRIES,
            )
        )
    health = lab.container.health
    yield protocol.verdict(lab, "database.lost", f"{health.ready} within {PROBE_TIMEOUT:g} s")
    yield protocol.verdict(lab, "database.liveness", health.live)
    if routes:
        yield protocol.verdict(lab, "database.requests", f"within {LONGEST_REQUEST:g} s")
    else:
        yield lab.unmeasurable("database.requests", unknown)
    yield protocol.verdict(lab, "database.back", within)


def _using(drill: _Drill) -> tuple[list[str], bool]:
    """The routes that use the database, as they fail while it is stopped; whether they return."""
    ready = drill.lab.container.health.ready
    routes = [route for route in drill.lab.routes() if route != ready]
    # What fails with the database as well does not come back with it: the load check tells of it.
    before = fairly(drill.running, lambda: drill.ask(routes), all_fine)
    routes = [route for route, (status, _) in before.items() if fine(status)]
    if not routes:
        return [], True
    stop(drill.database)
    try:
        with drill.mark("stopped"):
            found = drill.ask(routes)
    finally:
        start(drill.database)
    using = [route for route, (status, _) in found.items() if status == 0 or status >= 500]
    return using, drill.returns(using)[0]


def _cut(drill: _Drill, routes: list[str]) -> Result:
    """Connections that idle in the pool end; the very next request must not notice."""

    def after() -> Seen:
        cut(drill.database)
        until(lambda: not connected(drill.database), 5, drill.running.watch())
        return drill.ask(routes)

    with drill.mark("connections cut"):
        found = fairly(drill.running, after, all_fine)
    return drill.lab.verdict("database.cut", all_fine(found), measured=_told(found))


def _told(found: Seen) -> str:
    return ", ".join(f"{path} {s or 'no answer'} in {t:.1f} s" for path, (s, t) in found.items())


def _inject(drill: _Drill, fault: Fault, routes: list[str]) -> _Protocol:
    """Let a fault come and go; what was seen of it."""
    running, protocol, over = drill.running, _Protocol(), threading.Event()
    before = running.state().get("StartedAt")
    with ThreadPoolExecutor(1) as pool:
        liveness = pool.submit(_liveness, running, over)
        try:
            with drill.mark(fault.name):
                try:
                    fault.inject(drill.database)
                    found = drill.ask(routes)
                    excused = fault.brief or (fault.silent and all_fine(found))
                    _lost(drill, fault, protocol, excused=excused)
                finally:
                    fault.heal(drill.database)
            hung = {r: f for r, f in found.items() if not (fine(f[0]) or f[0] == 503)}
            if found:
                said = _told(hung or found)
                protocol.note("database.requests", not hung, f"{fault.name}: {said}")
            back, seconds = drill.returns([drill.lab.container.health.ready, *routes])
            state = running.state()
            same = state.get("StartedAt") == before and bool(state.get("Running"))
            said = f"after {seconds:.1f} s" if back else "did not come back"
            said = f"{fault.name}: {said if same else 'needed a restart'}"
            protocol.note("database.back", back and same, said)
        finally:
            over.set()
    wrong, asked = liveness.result()
    said = wrong or f"200 each of {asked} times"
    protocol.note("database.liveness", not wrong and asked > 0, f"{fault.name}: {said}")
    return protocol


def _lost(drill: _Drill, fault: Fault, protocol: _Protocol, *, excused: bool) -> None:
    """Readiness must say so, in time, and name what failed without giving anything away.

    `excused`: it may stay 200.
    """
    running = drill.running
    watch, limit = running.watch(), 2 * PROBE_TIMEOUT if excused else _NOTICE
    silent = 0
    while True:
        try:
            answer = running.get(running.container.health.ready, PROBE_TIMEOUT)
        except NO_ANSWER as error:
            silent += 1
            if silent < _FAILURES:
                continue
            said = f"no answer within {PROBE_TIMEOUT:g} s ({type(error).__name__})"
            protocol.note("database.lost", False, f"{fault.name}: {said}")
            return
        if answer.status != 200 or watch.over(limit):
            break
        time.sleep(0.2)
    if answer.status == 200 and excused:
        return
    named = failed_checks(answer)
    leaked = leaks(drill.lab, answer, drill.urls)
    good = answer.status == 503 and any(drill.service in check for check in named) and not leaked
    said = f"{answer.status} in {answer.seconds:.2f} s, " + (", ".join(named) or "no check named")
    said += "".join(f", shows {x}" for x in leaked)
    protocol.note("database.lost", good, f"{fault.name}: {said}")
    if not good:
        protocol.detail = answer.excerpt
