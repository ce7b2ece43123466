"""The database drill: a real PostgreSQL is taken away in several ways and given back."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

from taskflow_containers.machine.waiting import Starved
from taskflow_containers.report.result import Result
from taskflow_containers.smoke.catalogue import unmeasurable, verdict
from taskflow_containers.smoke.drills.health import failed_checks, leaks
from taskflow_containers.smoke.lab import (
    NO_PAUSE,
    PROBE_TIMEOUT,
    Lab,
    ask,
    checks,
    excerpt,
    fairly,
    fine,
    probe,
    until,
)
from taskflow_containers.smoke.postgres import Postgres
from taskflow_containers.smoke.stack import NO_ANSWER, Running

LONGEST_REQUEST = 10.0  # seconds; a request that takes longer hangs
_FAILURES = 2  # in a row, after which the chart's readiness probe takes a pod out of its Service
_NOTICE = 10.0  # seconds until an absence must show
_RETURN = 15.0  # seconds until a return must show
_TRIES = 2  # at a fault, whose course takes seconds of waiting even where all is well
_LAST_LINES = 5  # of a migration that failed
_KILL = "kill -INT $(head -1 $PGDATA/postmaster.pid)"
# pg_isready's 2: nobody listens any more; while it shuts down, it still shakes hands.
_STOP = (
    f"touch /tmp/down; {_KILL}; while pg_isready -q -h 127.0.0.1; [ $? -ne 2 ]; do sleep 0.05; done"
)
_LEFT = "SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'"
_CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"


@dataclass(frozen=True, slots=True)
class _Fault:
    """How the database fails, and how it comes back."""

    name: str
    inject: Callable[[Postgres], object]
    heal: Callable[[Postgres], object]
    full: bool = False
    silent: bool = False  # only a connection notices: health need not fail before a request does
    brief: bool = False  # may be over before anybody asks
    freezes: bool = False  # needs an engine that can pause a container


def _statements(*statements: str) -> Callable[[Postgres], object]:
    """Run these, and cut the role's connections, so that it has to make new ones."""

    def run(database: Postgres) -> None:
        role, password = database.role, database.password(database.role)
        for statement in (*statements, _CUT):
            other = secrets.token_hex(8)
            database.sql(statement.format(role=role, password=password, other=other))

    return run


def _start(database: Postgres) -> None:
    database.shell("rm -f /tmp/down")
    database.wait()


_FAULTS = (
    _Fault("stopped", lambda database: database.shell(_STOP), _start),
    _Fault(
        "paused",
        lambda database: database.engine.pause(database.handle),
        lambda database: database.engine.unpause(database.handle),
        freezes=True,
    ),
    _Fault(
        "password changed",
        _statements("ALTER ROLE {role} PASSWORD '{other}'"),
        _statements("ALTER ROLE {role} PASSWORD '{password}'"),
        full=True,
        silent=True,
    ),
    _Fault(
        "connections exhausted",
        _statements("ALTER ROLE {role} CONNECTION LIMIT 0"),
        _statements("ALTER ROLE {role} CONNECTION LIMIT -1"),
        full=True,
        silent=True,
    ),
    _Fault(
        "restarted", lambda database: database.shell(_KILL), Postgres.wait, full=True, brief=True
    ),
)


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

    def verdict(self, aspect: str, name: str, limit: str) -> Result:
        """The result over all faults; what failed says it all."""
        bad = self.bad.get(aspect, [])
        return verdict(
            aspect,
            name,
            not bad,
            limit=limit,
            measured="; ".join(bad or self.good.get(aspect, ["nothing to see"])),
            detail=self.detail if bad else "",
        )


class _Liveness(threading.Thread):
    """Asks for liveness without rest; the first answer that was not 200."""

    def __init__(self, running: Running) -> None:
        super().__init__(daemon=True)
        self._running, self._over = running, threading.Event()
        self.fault = ""
        self.asked = 0
        self.starved: Starved | None = None

    def run(self) -> None:
        """Ask until told to end."""
        while not self._over.wait(0.1):
            try:
                status, seconds = probe(self._running, self._running.model.health.live)
            except Starved as busy:
                self.starved = busy
                return
            self.asked += 1
            if status != 200 and not self.fault:
                self.fault = f"{status or 'no answer'} in {seconds:.1f} s"

    def end(self) -> None:
        """Stop asking.

        Raises:
            Starved: others had the CPU.
        """
        self._over.set()
        self.join()
        if self.starved:
            raise self.starved


@checks("database.lost", "database.liveness", "database.requests", "database.back", "database.cut")
def drill(lab: Lab, name: str) -> Iterator[Result]:
    """Each fault in turn, on an instance with databases that nobody else uses."""
    services = lab.services(name)
    with ExitStack() as started:
        databases = {
            service: started.enter_context(_own(lab, service, name))
            for service in dict.fromkeys(services.values())
        }
        hosts = lab.stack.host_entries({own.host: own.handle for own in databases.values()})
        urls = {variable: databases[service].url() for variable, service in services.items()}
        lab.migrate(name, *hosts, environment=urls)
        running = started.enter_context(lab.ready(name, "drill", *hosts, environment=urls))
        lab.timeline.watch(running, "Database drill")
        started.callback(lab.timeline.leave, running)
        for database in databases.values():
            others = [own.url() for own in databases.values()]
            yield from _drill(_Drill(lab, running, database, others))


@checks("database.migrate")
def migrated(lab: Lab, name: str) -> Iterator[Result]:
    """What the migration came to that ran before the container was started."""
    done = lab.migrated[name]
    said = (done.stdout + done.stderr).splitlines()
    measured = f"exit code {done.returncode}"
    detail = "\n".join(said[-_LAST_LINES:]) if done.returncode else ""
    yield verdict("database.migrate", name, not done.returncode, measured=measured, detail=detail)


@contextmanager
def _own(lab: Lab, service: str, name: str) -> Iterator[Postgres]:
    database = lab.stack.start_service(service, f"{name}-drill")
    try:
        yield database
    finally:
        lab.engine.call("rm", "--force", "--volumes", database.handle, check=False)


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

    def ask(self, routes: Iterable[str]) -> dict[str, tuple[int, float]]:
        """The status of each route, and the seconds it took."""
        return {route: ask(self.running, route, LONGEST_REQUEST) for route in routes}


def _drill(drill: _Drill) -> Iterator[Result]:
    name, health, protocol = drill.running.name, drill.running.model.health, drill.protocol
    routes, back = _using(drill)
    if not back:
        protocol.note("database.back", False, "stopped: did not come back")
        yield protocol.verdict("database.back", name, f"within {_RETURN:g} s")
        return  # on a service that stays down no further fault shows anything
    yield _cut(drill, routes)
    for fault in _FAULTS:
        if fault.full and not drill.lab.options.full:
            continue
        if fault.freezes and "freezer" not in drill.lab.limits:
            protocol.note("database.requests", True, f"{fault.name}: not tried, {NO_PAUSE}")
            continue
        drill.lab.say(f"{name}: {drill.service} {fault.name}")
        protocol.add(
            fairly(
                drill.running,
                lambda f=fault: _inject(drill, f, routes),  # type: ignore[misc]
                lambda noted: not noted.bad,
                _TRIES,
            )
        )
    yield protocol.verdict("database.lost", name, f"{health.ready} within {PROBE_TIMEOUT:g} s")
    yield protocol.verdict("database.liveness", name, health.live)
    if routes:
        limit = f"within {LONGEST_REQUEST:g} s"
        yield protocol.verdict("database.requests", name, limit)
    else:
        yield unmeasurable("database.requests", name, _no_route(drill))
    yield protocol.verdict("database.back", name, f"within {_RETURN:g} s")


def _no_route(drill: _Drill) -> str:
    return f"no route is known that uses {drill.service}: {drill.lab.no_route(drill.running.name)}"


def _using(drill: _Drill) -> tuple[list[str], bool]:
    """The routes that use the database, as they fail while it is stopped; whether they return."""
    running = drill.running
    routes = [r for r in drill.lab.routes(running.name) if r != running.model.health.ready]
    # What fails with the database as well does not come back with it: the load check tells of it.
    before = fairly(running, lambda: drill.ask(routes), _all_fine)
    routes = [route for route, (status, _) in before.items() if fine(status)]
    if not routes:
        return [], True
    drill.database.shell(_STOP)
    try:
        with drill.mark("stopped"):
            found = drill.ask(routes)
    finally:
        _start(drill.database)
    using = [route for route, (status, _) in found.items() if status == 0 or status >= 500]

    def returned() -> bool:
        return all(fine(ask(running, route)[0]) for route in using)

    return using, until(returned, _RETURN, running.watch())


def _cut(drill: _Drill, routes: list[str]) -> Result:
    """Connections that idle in the pool end; the very next request must not notice."""
    database, name = drill.database, drill.running.name
    if not routes:
        return unmeasurable("database.cut", name, _no_route(drill))

    def cut() -> dict[str, tuple[int, float]]:
        database.sql(_CUT.format(role=database.role))
        left = _LEFT.format(role=database.role)
        until(lambda: database.sql(left) == "0", 5, drill.running.watch())
        return drill.ask(routes)

    with drill.mark("connections cut"):
        found = fairly(drill.running, cut, _all_fine)
    return verdict("database.cut", name, _all_fine(found), measured=_told(found))


def _all_fine(found: dict[str, tuple[int, float]]) -> bool:
    return all(fine(status) for status, _ in found.values())


def _told(found: dict[str, tuple[int, float]]) -> str:
    return ", ".join(f"{path} {s or 'no answer'} in {t:.1f} s" for path, (s, t) in found.items())


def _inject(drill: _Drill, fault: _Fault, routes: list[str]) -> _Protocol:
    """Let a fault come and go; what was seen of it."""
    running, protocol = drill.running, _Protocol()
    ready, before = running.model.health.ready, running.state().get("StartedAt")
    liveness = _Liveness(running)
    liveness.start()
    try:
        with drill.mark(fault.name):
            try:
                fault.inject(drill.database)
                found = drill.ask(routes)
                excused = fault.brief or (fault.silent and _all_fine(found))
                _lost(drill, fault, protocol, excused=excused)
            finally:
                fault.heal(drill.database)
        hung = {r: f for r, f in found.items() if not (fine(f[0]) or f[0] == 503)}
        if found:
            protocol.note("database.requests", not hung, f"{fault.name}: {_told(hung or found)}")
        watch = running.watch()
        back = until(
            lambda: all(fine(ask(running, r)[0]) for r in (ready, *routes)), _RETURN, watch
        )
        state = running.state()
        same = state.get("StartedAt") == before and bool(state.get("Running"))
        said = f"after {watch.seconds:.1f} s" if back else "did not come back"
        protocol.note(
            "database.back", back and same, f"{fault.name}: {said if same else 'needed a restart'}"
        )
    finally:
        liveness.end()
    good = not liveness.fault and liveness.asked > 0
    said = liveness.fault or f"200 each of {liveness.asked} times"
    protocol.note("database.liveness", good, f"{fault.name}: {said}")
    return protocol


def _lost(drill: _Drill, fault: _Fault, protocol: _Protocol, *, excused: bool) -> None:
    """Readiness must say so, in time, and name what failed without giving anything away.

    `excused`: it may stay 200.
    """
    running = drill.running
    watch, limit = running.watch(), 2 * PROBE_TIMEOUT if excused else _NOTICE
    silent = 0
    while True:
        try:
            answer = running.get(running.model.health.ready, PROBE_TIMEOUT)
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
    leaked = leaks(drill.lab, running.name, answer, drill.urls)
    good = answer.status == 503 and any(drill.service in check for check in named) and not leaked
    said = f"{answer.status} in {answer.seconds:.2f} s, " + (", ".join(named) or "no check named")
    protocol.note(
        "database.lost", good, f"{fault.name}: {said}" + "".join(f", shows {x}" for x in leaked)
    )
    if not good:
        protocol.detail = excerpt(answer)
