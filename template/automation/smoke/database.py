"""The database drill: a real PostgreSQL is taken away in several ways and given back."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from automation.results import Result
from automation.smoke.catalogue import unmeasurable, verdict
from automation.smoke.health import failed_checks, leaks
from automation.smoke.lab import (
    NO_ANSWER,
    PROBE_TIMEOUT,
    Lab,
    ask,
    checks,
    excerpt,
    fine,
    probe,
    until,
)
from automation.stack import Running, Stack

LONGEST_REQUEST = 10.0  # seconds; a request that takes longer hangs
_FAILURES = 2  # in a row, after which the chart's readiness probe takes a pod out of its Service
_NOTICE = 10.0  # seconds until an absence must show
_RETURN = 15.0  # seconds until a return must show
_NO_ROUTE = "no route of its OpenAPI document uses it"
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
    inject: Callable[[Stack, str], object]
    heal: Callable[[Stack, str], object]
    full: bool = False
    silent: bool = False  # only a connection notices: health need not fail before a request does
    brief: bool = False  # may be over before anybody asks


def _shell(stack: Stack, service: str, script: str) -> None:
    stack.engine.call("exec", stack.handle(service), "sh", "-c", script)


def _statements(*statements: str) -> Callable[[Stack, str], object]:
    """Run these, and cut the role's connections, so that it has to make new ones."""

    def run(stack: Stack, service: str) -> None:
        password = stack.passwords[f"{stack.role}@{service}"]
        for statement in (*statements, _CUT):
            other = secrets.token_hex(8)
            stack.sql(service, statement.format(role=stack.role, password=password, other=other))

    return run


def _started(stack: Stack, service: str) -> None:
    _shell(stack, service, "rm -f /tmp/down")
    stack.wait_for_service(service)


_FAULTS = (
    _Fault("stopped", lambda stack, name: _shell(stack, name, _STOP), _started),
    _Fault(
        "paused",
        lambda stack, name: stack.engine.call("pause", stack.handle(name)),
        lambda stack, name: stack.engine.call("unpause", stack.handle(name)),
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
        "restarted",
        lambda stack, name: _shell(stack, name, _KILL),
        lambda stack, name: stack.wait_for_service(name),
        full=True,
        brief=True,
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

    def run(self) -> None:
        """Ask until told to end."""
        while not self._over.wait(0.1):
            status, seconds = probe(self._running, self._running.model.health.live)
            self.asked += 1
            if status != 200 and not self.fault:
                self.fault = f"{status or 'no answer'} in {seconds:.1f} s"

    def end(self) -> None:
        """Stop asking."""
        self._over.set()
        self.join(PROBE_TIMEOUT + 1)


@checks("database.lost", "database.liveness", "database.requests", "database.back", "database.cut")
def drill(lab: Lab, name: str) -> Iterator[Result]:
    """Each fault in turn on the container that has been running all along."""
    running, services = lab.alive[name], lab.services(name)
    for service in services.values():
        protocol = _Protocol()
        routes, back = _using(lab, running, service)
        if not back:
            protocol.note("database.back", False, "stopped: did not come back")
            yield protocol.verdict("database.back", name, f"within {_RETURN:g} s")
            return  # on a service that stays down no further fault shows anything
        yield _cut(lab, running, service, routes)
        for fault in _FAULTS:
            if fault.full and not lab.options.full:
                continue
            lab.say(f"{name}: {service} {fault.name}")
            _drill_one(lab, running, service, fault, routes, protocol)
        ready, live = running.model.health.ready, running.model.health.live
        yield protocol.verdict("database.lost", name, f"{ready} within {PROBE_TIMEOUT:g} s")
        yield protocol.verdict("database.liveness", name, live)
        if routes:
            limit = f"within {LONGEST_REQUEST:g} s"
            yield protocol.verdict("database.requests", name, limit)
        else:
            yield unmeasurable("database.requests", name, _NO_ROUTE)
        yield protocol.verdict("database.back", name, f"within {_RETURN:g} s")


def _using(lab: Lab, running: Running, service: str) -> tuple[list[str], bool]:
    """The routes that use the database, as they fail while it is stopped; whether they return."""
    routes = [r for r in lab.routes(running.name) if r != running.model.health.ready]
    if not routes:
        return [], True
    _shell(lab.stack, service, _STOP)
    try:
        with lab.timeline.mark(running, f"{service} stopped"):
            found = {route: ask(running, route, LONGEST_REQUEST) for route in routes}
    finally:
        _started(lab.stack, service)
    using = [route for route, (status, _) in found.items() if status == 0 or status >= 500]
    return using, until(lambda: all(fine(ask(running, route)[0]) for route in using), _RETURN)


def _cut(lab: Lab, running: Running, service: str, routes: list[str]) -> Result:
    """Connections that idle in the pool end; the very next request must not notice."""
    if not routes:
        return unmeasurable("database.cut", running.name, _NO_ROUTE)
    with lab.timeline.mark(running, "connections cut"):
        lab.stack.sql(service, _CUT.format(role=lab.stack.role))
        left = _LEFT.format(role=lab.stack.role)
        until(lambda: lab.stack.sql(service, left) == "0", 5)
        found = {route: ask(running, route, LONGEST_REQUEST) for route in routes}
    return verdict(
        "database.cut",
        running.name,
        all(fine(status) for status, _ in found.values()),
        measured=_told(found),
    )


def _told(found: dict[str, tuple[int, float]]) -> str:
    return ", ".join(f"{path} {s or 'no answer'} in {t:.1f} s" for path, (s, t) in found.items())


def _drill_one(
    lab: Lab,
    running: Running,
    service: str,
    fault: _Fault,
    routes: list[str],
    protocol: _Protocol,
) -> None:
    ready, before = running.model.health.ready, running.state().get("StartedAt")
    liveness = _Liveness(running)
    liveness.start()
    try:
        with lab.timeline.mark(running, f"{service} {fault.name}"):
            try:
                fault.inject(lab.stack, service)
                found = {route: ask(running, route, LONGEST_REQUEST) for route in routes}
                unnoticed = all(fine(status) for status, _ in found.values())
                _lost(
                    lab,
                    running,
                    service,
                    fault,
                    protocol,
                    fault.brief or (fault.silent and unnoticed),
                )
            finally:
                fault.heal(lab.stack, service)
        hung = {r: f for r, f in found.items() if not (fine(f[0]) or f[0] == 503)}
        if found:
            protocol.note("database.requests", not hung, f"{fault.name}: {_told(hung or found)}")
        started = time.monotonic()
        back = until(lambda: all(fine(ask(running, r)[0]) for r in (ready, *routes)), _RETURN)
        state = running.state()
        same = state.get("StartedAt") == before and bool(state.get("Running"))
        said = f"after {time.monotonic() - started:.1f} s" if back else "did not come back"
        protocol.note(
            "database.back", back and same, f"{fault.name}: {said if same else 'needed a restart'}"
        )
    finally:
        liveness.end()
    good = not liveness.fault and liveness.asked > 0
    said = liveness.fault or f"200 each of {liveness.asked} times"
    protocol.note("database.liveness", good, f"{fault.name}: {said}")


def _lost(
    lab: Lab, running: Running, service: str, fault: _Fault, protocol: _Protocol, excused: bool
) -> None:
    """Readiness must say so, in time, and name what failed without giving anything away.

    `excused`: it may stay 200.
    """
    deadline = time.monotonic() + (2 * PROBE_TIMEOUT if excused else _NOTICE)
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
        if answer.status != 200 or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    if answer.status == 200 and excused:
        return
    named, leaked = failed_checks(answer), leaks(lab, running.name, answer)
    good = answer.status == 503 and any(service in check for check in named) and not leaked
    said = f"{answer.status} in {answer.seconds:.2f} s, " + (", ".join(named) or "no check named")
    protocol.note(
        "database.lost", good, f"{fault.name}: {said}" + "".join(f", shows {x}" for x in leaked)
    )
    if not good:
        protocol.detail = excerpt(answer)
