"""What the checks of one container share: it and its image, the stack around it, the options."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.process import Completed
from taskflow_containers.machine.waiting import Starved
from taskflow_containers.project.kinds import Kind
from taskflow_containers.project.model import Container, Project
from taskflow_containers.report.result import Result
from taskflow_containers.smoke.answer import NO_ANSWER
from taskflow_containers.smoke.catalogue import ALL, Check, unmeasurable, verdict
from taskflow_containers.smoke.routes import documented, unusable
from taskflow_containers.smoke.running import Running
from taskflow_containers.smoke.stack import Stack
from taskflow_containers.smoke.timeline import Timeline
from taskflow_containers.smoke.visit import visit
from taskflow_containers.workspace import Target

NO_PAUSE = "this engine cannot pause a container"
_INSTANCES = 2  # that may be started for a check: a first may be held up by what others do
_ROUTES = 8  # that are asked at the most
_SHOWN = 4  # of those that are not


class NeverReady(OSError):
    """A further instance of what runs elsewhere never answered 200."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a run checks and how."""

    only: frozenset[str]
    full: bool = False
    keep: bool = False

    def make(self, check: Check, project: Project, container: Container) -> bool:
        """Whether this check is to be made on this container."""
        asked = check.id in self.only and (self.full or not check.full)
        return asked and check.concerns(project, container)


@dataclass(slots=True)
class Lab:
    """One container of a run. `running` is what was started as the cluster would, once `alive`."""

    target: Target
    stack: Stack
    options: Options
    timeline: Timeline
    limits: frozenset[str]  # that the engine holds its containers to
    over: threading.Event  # set when the run is broken off
    labs: dict[str, Lab]  # of every container of this run, by name
    alive: bool = False
    running: Running = field(init=False)
    migrated: Completed | None = None  # what the first migration came to
    name: str = field(init=False)
    container: Container = field(init=False)
    engine: Engine = field(init=False)
    project: Project = field(init=False)
    _routes: list[str] = field(default_factory=list)
    _left_out: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name, self.container = self.target.name, self.target.container
        self.engine, self.project = self.stack.engine, self.stack.project

    def say(self, line: str) -> None:
        """Tell a person what goes on with this container."""
        self.stack.workspace.say(f"{self.name}: {line}")

    def verdict(self, id: str, passed: bool, **values: Any) -> Result:
        """The result of a check of this container, as `catalogue.verdict` makes it."""
        return verdict(id, self.name, passed, **values)

    def unmeasurable(self, id: str, reason: str) -> Result:
        """A check that cannot be made on this engine or of this container, and why."""
        return unmeasurable(id, self.name, reason)

    def in_time(self, id: str, running: Running, limit: float, said: str = "") -> Result:
        """Judge the seconds that an instance took to its first healthy answer."""
        seconds = running.seconds_to_healthy or 0.0
        if running.awaited and running.awaited.doubts(seconds, limit):
            return self.unmeasurable(id, f"{Starved(running.awaited)}, all together")
        return self.verdict(
            id, seconds <= limit, limit=f"at most {limit:g} s", measured=f"{seconds:.2f} s{said}",
            seconds=seconds, figure=seconds,
        )  # fmt: skip

    @property
    def services(self) -> dict[str, str]:
        """The variables that hold a service's URL, and the services."""
        services = self.project.services
        return {v: name for v, name in self.container.connects.items() if name in services}

    @property
    def needed(self) -> list[str]:
        """Those services, each once: several variables may lead to one."""
        return list(dict.fromkeys(self.services.values()))

    @property
    def peers(self) -> dict[str, str]:
        """The variables that hold the URL of something that speaks HTTP, and its name or address."""
        services = self.project.services
        return {v: name for v, name in self.container.connects.items() if name not in services}

    @property
    def callees(self) -> list[Lab]:
        """The containers of this run that it calls."""
        names = dict.fromkeys(self.peers.values())
        return [self.labs[name] for name in names if self.runs(name)]

    def runs(self, name: str) -> bool:
        """Whether a container is part of this run, and was started."""
        return name in self.labs and self.labs[name].alive

    def migrate(self, *options: str, **how: Any) -> None:
        """Make the tables of its database, where it has a migration."""
        if self.container.migrate:
            done = self.stack.once(self.target, self.container.migrate, *options, **how)
            self.migrated = self.migrated or done

    @contextmanager
    def instance(self, purpose: str, *options: str, **how: Any) -> Iterator[Running]:
        """One more container of the same image, for a check that would disturb the others."""
        running = self.stack.launch(self.target, *options, instance=purpose, **how)
        try:
            yield running
        finally:
            self.stack.discard(running)

    @contextmanager
    def ready(self, purpose: str, *options: str, **how: Any) -> Iterator[Running]:
        """Such an instance once it answers 200.

        Raises:
            NeverReady: neither it did, nor a second one.
        """
        with ExitStack() as stack:
            for _ in range(_INSTANCES):
                stack.close()
                running = stack.enter_context(self.instance(purpose, *options, **how))
                running.wait()
                if running.seconds_to_healthy is not None:
                    break
            else:
                raise NeverReady(running.fate() or "one more instance of it never became healthy")
            yield running

    def routes(self) -> list[str]:
        """Real routes that need no argument: stated, from an OpenAPI document, or a frontend's pages."""
        if self._routes:
            return self._routes
        model, left_out = self.container, []
        found = [model.health.ready, *model.routes]
        if model.kind is Kind.FRONTEND:
            # Its load is the page that people end at: the home page may only lead there.
            try:
                found.append(visit(self.running).path)
            except NO_ANSWER:
                found.append(model.page)
            paths = [path for callee in self.callees for path in callee.routes()]
            found += [model.base_path + path for path in paths if path.startswith("/api/")]
        else:
            own, missing = documented(self.running)
            found += own
            # Who states the routes need not have a document.
            left_out = [] if model.routes else missing
        usable = []
        for path in dict.fromkeys(found):
            if path != found[0] and (why := unusable(self.running, path)):
                left_out.append(f"{path} ({why})")
            else:
                usable.append(path)
        self._left_out = left_out + [f"{path} (one too many)" for path in usable[_ROUTES:]]
        self._routes = usable[:_ROUTES]
        return self._routes

    def left_out(self) -> str:
        """In words, the routes of which nothing can be told, and why; "" where there is none."""
        found = self._left_out
        more = [f"{len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        return f"; left out: {', '.join([*found[:_SHOWN], *more])}" if found else ""

    def no_route(self) -> str:
        """In words, which routes were asked for what a check needs, and how to name another."""
        asked = ", ".join(self._routes)
        return f'asked were {asked}{self.left_out()}. taskflow.toml names others: routes = ["/…"]'


Step = Callable[[Lab], Iterator[Result]]
AnyStep = TypeVar("AnyStep", bound=Step)


def checks(*ids: str, of: Sequence[Kind] = ALL) -> Callable[[AnyStep], AnyStep]:
    """Name the checks of the catalogue that a function makes, and the kinds that it makes them of."""

    def mark(function: AnyStep) -> AnyStep:
        function.ids, function.of = ids, of  # type: ignore[attr-defined]
        return function

    return mark
