"""The course of a run: what starts when, and which checks are made side by side."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from taskflow_containers.engine import endpoint
from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.errors import EnvironmentTrouble, MachineTrouble, NoInterpreter
from taskflow_containers.machine.waiting import Starved
from taskflow_containers.project.kinds import Kind
from taskflow_containers.project.model import Project
from taskflow_containers.report.result import Result, Status
from taskflow_containers.smoke.answer import NO_ANSWER
from taskflow_containers.smoke.catalogue import (
    ALL,
    BY_ID,
    CHECKS,
    PREFIX,
    RUNNING,
    Check,
    select,
    unmeasurable,
)
from taskflow_containers.smoke.drills import (
    background,
    browser,
    connections,
    database,
    health,
    healthcheck,
    identity,
    image,
    load,
    neighbours,
    neon,
    relations,
    stop,
)
from taskflow_containers.smoke.lab import Lab, Options, Step
from taskflow_containers.smoke.side_by_side import containers_at_once, starting_order, steps_at_once
from taskflow_containers.smoke.stack import Stack
from taskflow_containers.smoke.timeline import Timeline
from taskflow_containers.smoke.unjudgeable import BY_SPEED, emulated, missing
from taskflow_containers.workspace import Target, Workspace

# Beside each other, each on a container of its own; the longest first.
_ASIDE: tuple[Step, ...] = (
    neon.neon,
    database.drill,
    database.worker,
    background.without_database,
    background.stopped,
    background.diff,
    neighbours.clock,
    stop.busy,
    health.life,
    healthcheck.asks,
    neighbours.crowded,
    relations.recorded,
    neighbours.deserted,
    relations.environment,
    stop.starting,
    connections.keep_alive,
    connections.slow_connections,
)
# One after the other on a container that runs all along, while those above go on and none is under load.
_QUIET: tuple[Step, ...] = (
    identity.inside,
    health.answers,
    background.memory,
    connections.by_ipv6,
    browser.opens,
    relations.calls,
)
# What takes something away that others need: alone, at the end.
_DRILLS: tuple[Step, ...] = (stop.in_flight,)
STEPS = (image.image, database.migrated, *_ASIDE, *_QUIET, load.load, *_DRILLS)

Seen = Callable[[Result], None]


def smoke(
    workspace: Workspace,
    targets: Sequence[Target],
    options: Options | None = None,
    *,
    seen: Seen | None = None,
    timeline: Timeline | None = None,
) -> list[Result]:
    """Run the containers together and check what the model promises; removes all it started.

    `seen` is handed each result as it comes; the list is in the catalogue's order.
    """
    options, timeline = options or Options(select(())), timeline or Timeline()
    try:
        with (
            Stack(workspace, keep=options.keep) as stack,
            ThreadPoolExecutor(steps_at_once(targets, workspace.engine)) as pool,
            ThreadPoolExecutor(containers_at_once()) as starters,
        ):
            run = _Run(stack, targets, options, timeline, (pool, starters), seen)
            try:
                run.all()
            except BaseException:
                run.break_off()
                raise
            timeline.close()
            if options.keep:
                for line in _how_to_enter(run.labs.values(), workspace.engine):
                    workspace.note(line)
    finally:
        timeline.close()
    order = {PREFIX + check.id: number for number, check in enumerate(CHECKS)}
    names = [*run.labs]
    return sorted(run.results, key=lambda r: (names.index(r.container), order[r.id]))


class _Run:
    """One run: its containers by name, its results, and what goes on aside."""

    def __init__(
        self,
        stack: Stack,
        targets: Sequence[Target],
        options: Options,
        timeline: Timeline,
        pools: tuple[ThreadPoolExecutor, ThreadPoolExecutor],
        seen: Seen | None,
    ) -> None:
        engine = stack.engine
        limits = engine.limits()
        self._emulated, self._missing = emulated(engine, targets), missing(engine, limits)
        self._over, self._aside = threading.Event(), list[Future[None]]()
        self._stack, self._options, self._seen = stack, options, seen or (lambda _: None)
        self._pools = self._pool, self._starters = pools
        self.results: list[Result] = []
        self.labs: dict[str, Lab] = {}
        for target in targets:
            shared = (target, stack, options, timeline, limits, self._over, self.labs)
            self.labs[target.name] = Lab(*shared)

    def _alive(self) -> list[Lab]:
        return [lab for lab in self.labs.values() if lab.alive]

    def _wanted(self, lab: Lab, ids: Iterable[str]) -> list[Check]:
        """The checks of these that this run shall make on this container."""
        asked = (check for check in CHECKS if check.id in ids)
        return [c for c in asked if self._options.make(c, lab.project, lab.container)]

    def take(self, result: Result) -> None:
        """Keep a result that was asked for."""
        lab = self.labs[result.container]
        if self._wanted(lab, [result.id.removeprefix(PREFIX)]):
            self.keep(result)

    def keep(self, result: Result) -> None:
        """Keep a result, as a verdict only where it tells of the image and not of where it runs."""
        id, why = result.id.removeprefix(PREFIX), self._emulated.get(result.container)
        if lacks := self._missing.get(id):
            result = unmeasurable(id, result.container, lacks)
        if why and id in BY_SPEED and result.status is not Status.UNMEASURABLE:
            result = unmeasurable(id, result.container, f"{why}; measured: {result.measured}")
        self.results.append(result)
        self._seen(result)

    def step(self, step: Step, lab: Lab) -> None:
        """Make one step's checks; when it breaks off, the first check without a result failed.

        Whatever has no result then says why: no check is left out silently.
        """
        wanted = self._wanted(lab, getattr(step, "ids", ()))
        of = getattr(step, "of", ALL)
        if not wanted or self._over.is_set() or lab.container.kind not in of:
            return
        lab.say(", ".join(check.title for check in wanted)[:90])
        done: set[str] = set()
        broken = why = ""
        try:
            for result in step(lab):
                done.add(result.id.removeprefix(PREFIX))
                self.take(result)
                broken = broken or (result.title if result.failed else "")
        except (Starved, NoInterpreter) as reason:
            why = str(reason)
        except Exception as error:  # whatever an image makes of a check is the image's failure
            state = lab.running.state() if lab.alive else {}
            gone = isinstance(error, EnvironmentTrouble) and not state
            if gone or isinstance(error, MachineTrouble):
                raise  # the engine is at fault, not the container
            missing = [check for check in wanted if check.id not in done]
            for check in missing[:1]:
                broken = check.title
                done.add(check.id)
                ended, words = "", ""
                if lab.alive:
                    ended, words = lab.running.fate(state), lab.running.last_words()
                said = ended or _said(error)
                self.take(lab.verdict(check.id, False, measured=said, detail=words))
        if not self._over.is_set() or why:
            left = [check for check in wanted if check.id not in done]
            self._unmade(lab, left, why or f"“{broken}” failed before")

    def _unmade(self, lab: Lab, checks: Iterable[Check], why: str) -> None:
        for check in checks:
            self.take(lab.unmeasurable(check.id, why))

    def all(self) -> None:
        """The whole course."""
        self._submit(image.image, self.labs.values())
        if any(BY_ID[id].group != "image" for id in self._options.only):
            for name in _services(self._stack.project, self.labs.values()):
                self._stack.workspace.say(f"starting {name}")
                self._stack.start_service(name)
            for names in starting_order({n: lab.peers.values() for n, lab in self.labs.items()}):
                together = [self.labs[name] for name in names]
                for lab in together:
                    self._migrate(lab)
                started = [self._starters.submit(self._start, lab) for lab in together]
                self._aside += started
                _finish(started)
            quiet = [self._starters.submit(self._quiet, lab) for lab in self._alive()]
            self._aside += quiet
            for step in _ASIDE:
                self._submit(step, self._alive())
            _finish(quiet)
            # One at a time: what one is asked takes the CPU that another would answer with.
            for lab in self._alive():
                self._stack.workspace.say(f"loading {lab.name}")
                self.step(load.load, lab)
        _finish(self._aside)
        for step in _DRILLS:
            for lab in self._alive():
                self.step(step, lab)

    def _submit(self, step: Step, labs: Iterable[Lab]) -> None:
        self._aside += [self._pool.submit(self.step, step, lab) for lab in labs]

    def break_off(self) -> None:
        """End all that goes on: whoever still waits for a container finds it gone, and ends."""
        self._over.set()
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)
        self._stack.remove()
        while not all(future.done() for future in self._aside):
            self._stack.remove()
            time.sleep(0.1)

    def _quiet(self, lab: Lab) -> None:
        for step in _QUIET:
            self.step(step, lab)

    def _migrate(self, lab: Lab) -> None:
        lab.migrate()
        self.step(database.migrated, lab)

    def _start(self, lab: Lab) -> None:
        self._stack.workspace.say(f"starting {lab.name}")
        others = [c for c in self._wanted(lab, BY_ID) if c.group != "image"]
        if lab.container.kind is Kind.CRON:
            self._run(lab, others)
            return
        try:
            lab.running = self._stack.start(lab.target)
        except Starved as busy:
            self._unmade(lab, others, str(busy))
            return
        if lab.running.seconds_to_healthy is not None:
            lab.timeline.watch(lab.running)
            lab.alive = True
        # Whoever does not start has failed, whatever was asked for.
        if "start" in self._options.only or not lab.alive:
            try:
                self.keep(health.start(lab))
            except Starved as busy:
                self.keep(lab.unmeasurable("start", str(busy)))
        if not lab.alive:
            self._unmade(lab, [c for c in others if c.id != "start"], "it did not start")

    def _run(self, lab: Lab, others: list[Check]) -> None:
        """Let a cron job run to its end; what else it is put through needs that it can."""
        try:
            lab.running = self._stack.launch(lab.target)
            ran, *more = background.run(lab)
        except Starved as busy:
            self._unmade(lab, others, str(busy))
            return
        if "run" in self._options.only or not lab.alive:
            self.keep(ran)
        for result in more:
            self.take(result)
        if not lab.alive:
            left = [c for c in others if c.id not in {"run", "memory"}]
            self._unmade(lab, left, "it did not run to its end")


def _said(error: Exception) -> str:
    """What broke off a check, for a person."""
    words = f"{error or type(error).__name__}"
    return (
        f"no answer: {words}"
        if isinstance(error, (*NO_ANSWER, EnvironmentTrouble))
        else f"the check came to no end: {type(error).__name__}: {words}"
    )


def _finish(futures: list[Future[None]]) -> None:
    """Wait for all; the first error ends the run."""
    for future in futures:
        # A plain wait would not let Ctrl-C through on every platform.
        while not future.done():
            time.sleep(0.05)
        future.result()


def _services(project: Project, labs: Iterable[Lab]) -> list[str]:
    wanted = {service for lab in labs for service in lab.services.values()}
    return [name for name in project.services if name in wanted]


def _how_to_enter(labs: Iterable[Lab], engine: Engine) -> Iterator[str]:
    client = engine.client.name
    for running in (lab.running for lab in labs if lab.alive and lab.container.kind in RUNNING):
        program = running.container.interpreter[0]
        where = f" at {endpoint.web(engine.host, running.port)}" if running.port else ""
        yield f"{running.name} stays up{where}"
        yield f"to enter it: {client} exec -it {running.handle} {program}"
    yield (
        f"to remove the stack (and reports/): invoke clean --engine {client}; a later run leaves it"
    )
