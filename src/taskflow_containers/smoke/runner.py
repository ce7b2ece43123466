"""The course of a run: what starts when, and which checks are made side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from taskflow_containers.checks.build import Image
from taskflow_containers.engine import endpoint
from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.errors import EnvironmentTrouble, MachineTrouble
from taskflow_containers.machine.process import Say
from taskflow_containers.machine.waiting import Starved
from taskflow_containers.project.model import Project
from taskflow_containers.report.result import Result, Status
from taskflow_containers.smoke.catalogue import BY_ID, CHECKS, PREFIX, select, unmeasurable, verdict
from taskflow_containers.smoke.drills import (
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
from taskflow_containers.smoke.lab import Lab, Options, Step, fate
from taskflow_containers.smoke.stack import NO_ANSWER, Stack
from taskflow_containers.smoke.timeline import Timeline

_WORKERS = 5
# Beside each other, each on a container of its own; the longest first.
_ASIDE: tuple[Step, ...] = (
    neon.neon,
    database.drill,
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
# One after the other on the containers that run all along, while those above go on.
_QUIET: tuple[Step, ...] = (identity.inside, health.answers, browser.opens, relations.calls)
# What takes something away that others need: alone, at the end.
_DRILLS: tuple[Step, ...] = (stop.in_flight,)
STEPS = (image.image, database.migrated, *_ASIDE, *_QUIET, load.load, *_DRILLS)

Seen = Callable[[Result], None]

# What an emulated processor decides, not the image.
_BY_SPEED = {
    "start", "healthcheck", "restart", "load", "memory", "growth", "stop", "stop.in-flight", "stop.busy",
    "stop.starting", "cold-start", "slow-connections", "neon", "database.lost", "database.requests",
    "database.back",
}  # fmt: skip
# What an engine must be able to hold its containers to → the checks that need it.
_BY_LIMIT = {
    "memory": ("memory", "swap", "growth"),
    "cpu": ("cold-start",),
}


def smoke(
    project: Project,
    engine: Engine,
    images: Iterable[Image],
    say: Say,
    options: Options | None = None,
    *,
    seen: Seen | None = None,
    note: Say | None = None,
    timeline: Timeline | None = None,
) -> list[Result]:
    """Run the images together and check what the model promises; removes all it started.

    `seen` is handed each result as it comes, `note` what belongs into the report; the list is in
    the catalogue's order.
    """
    options = options or Options(select(()))
    ids = {image.container: image.id for image in images}
    timeline = timeline or Timeline()
    limits = engine.limits()
    run = _Run(options, seen or (lambda _: None), _emulated(engine, ids), _missing(engine, limits))
    try:
        with (
            Stack(engine, project, say, keep=options.keep) as stack,
            ThreadPoolExecutor(_WORKERS) as pool,
        ):
            lab = Lab(stack, ids, options, say, timeline, limits=limits)
            try:
                run.all(lab, pool)
            except BaseException:
                lab.over.set()
                pool.shutdown(wait=False, cancel_futures=True)
                # Whoever still waits for a container finds it gone, and ends.
                stack.remove()
                while not all(future.done() for future in run.aside):
                    stack.remove()
                    time.sleep(0.1)
                raise
            timeline.close()
            if options.keep:
                for line in _how_to_enter(lab):
                    (note or say)(line)
    finally:
        timeline.close()
    order = {PREFIX + check.id: number for number, check in enumerate(CHECKS)}
    names = [*ids]
    return sorted(run.results, key=lambda r: (names.index(r.container), order[r.id]))


class _Run:
    """One run's results, and what is left to do."""

    def __init__(
        self, options: Options, seen: Seen, emulated: Mapping[str, str], missing: Mapping[str, str]
    ) -> None:
        self._emulated = emulated
        self._missing = missing
        self.results: list[Result] = []
        self.aside: list[Future[None]] = []
        self._options = options
        self._seen = seen

    def wanted(self, step: Step, project: Project, name: str) -> set[str]:
        """The checks of a step that this run shall make on this container."""
        ids = getattr(step, "ids", ())
        return {id for id in ids if self._options.make(BY_ID[id], project, name)}

    def take(self, result: Result) -> None:
        """Keep a result that was asked for."""
        if result.id.removeprefix(PREFIX) in self._options.only:
            self.keep(result)

    def keep(self, result: Result) -> None:
        """Keep a result, as a verdict only where it tells of the image and not of where it runs."""
        id, why = result.id.removeprefix(PREFIX), self._emulated.get(result.container)
        if lacks := self._missing.get(id):
            result = unmeasurable(id, result.container, lacks)
        if why and id in _BY_SPEED and result.status is not Status.UNMEASURABLE:
            result = unmeasurable(id, result.container, f"{why}; measured: {result.measured}")
        self.results.append(result)
        self._seen(result)

    def step(self, lab: Lab, step: Step, name: str) -> None:
        """Make one step's checks; when it breaks off, the first check without a result failed.

        Whatever has no result then says why: no check is left out silently.
        """
        wanted = self.wanted(step, lab.project, name)
        if not wanted or lab.over.is_set():
            return
        lab.say(f"{name}: " + ", ".join(c.title for c in CHECKS if c.id in wanted)[:90])
        done: set[str] = set()
        broken = ""
        try:
            for result in step(lab, name):
                done.add(result.id.removeprefix(PREFIX))
                self.take(result)
                broken = broken or (result.title if result.failed else "")
        except Starved as busy:
            for check in CHECKS:
                if check.id in wanted - done:
                    done.add(check.id)
                    self.take(unmeasurable(check.id, name, str(busy)))
        except Exception as error:  # whatever an image makes of a check is the image's failure
            running = lab.alive.get(name)
            state = running.state() if running else {}
            gone = isinstance(error, EnvironmentTrouble) and (running is None or not state)
            if gone or isinstance(error, MachineTrouble):
                raise  # the engine is at fault, not the container
            missing = [check for check in CHECKS if check.id in wanted - done]
            for check in missing[:1]:
                broken = check.title
                done.add(check.id)
                ended = fate(running, state) if running else ""
                self.take(
                    verdict(
                        check.id,
                        name,
                        False,
                        measured=ended or _said(error),
                        detail=running.last_words() if running else "",
                    )
                )
        if lab.over.is_set():
            return
        for check in CHECKS:
            if check.id in wanted - done:
                self.take(unmeasurable(check.id, name, f"“{broken}” failed before"))

    def all(self, lab: Lab, pool: ThreadPoolExecutor) -> None:
        """The whole course."""
        names = _in_order(lab.project, lab.images)
        self.aside += [pool.submit(self.step, lab, image.image, name) for name in lab.images]
        needs_container = any(BY_ID[id].group != "image" for id in self._options.only)
        if needs_container:
            for name in _services(lab.project, lab.images):
                lab.say(f"starting {name}")
                lab.stack.start_service(name)
            for name in names:
                self._start(lab, name)
            for step in _ASIDE:
                self.aside += [pool.submit(self.step, lab, step, name) for name in lab.alive]
            for step in _QUIET:
                for name in lab.alive:
                    self.step(lab, step, name)
            for name in lab.alive:
                lab.say(f"loading {name}")
                self.step(lab, load.load, name)
        _finish(self.aside)
        for step in _DRILLS:
            for name in lab.alive:
                self.step(lab, step, name)

    def _start(self, lab: Lab, name: str) -> None:
        lab.say(f"starting {name}")
        lab.migrate(name)
        self.step(lab, database.migrated, name)
        try:
            running = lab.stack.start(name, lab.images[name])
        except Starved as busy:
            for check in CHECKS:
                if check.group != "image" and self._options.make(check, lab.project, name):
                    self.take(unmeasurable(check.id, name, str(busy)))
            return
        if running.seconds_to_healthy is not None:
            lab.alive[name] = running
            lab.timeline.watch(running)
        # Whoever does not start has failed, whatever was asked for.
        if "start" in self._options.only or name not in lab.alive:
            try:
                result = health.start(lab, running)
            except Starved as busy:
                result = unmeasurable("start", name, str(busy))
            self.keep(result)
        if name not in lab.alive:
            for check in CHECKS:
                started = check.id == "start" or check.group == "image"
                if not started and self._options.make(check, lab.project, name):
                    self.take(unmeasurable(check.id, name, "it did not start"))


def _emulated(engine: Engine, images: Mapping[str, str]) -> dict[str, str]:
    """The containers whose images are for another processor than the engine's, and in words."""
    found = {}
    for name, id in images.items():
        platform = str(engine.require_image_config(id)["Platform"])
        if engine.platform and platform.split("/")[:2] != engine.platform.split("/")[:2]:
            found[name] = f"{platform} is emulated by this {engine.platform} engine"
    return found


def _missing(engine: Engine, limits: Collection[str]) -> dict[str, str]:
    """The checks that this engine cannot make, and in words what it lacks."""
    return {
        check: f"this {engine.name} does not limit a container's {limit}"
        for limit, checks in _BY_LIMIT.items()
        if limit not in limits
        for check in checks
    }


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


def _services(project: Project, images: Mapping[str, str]) -> list[str]:
    wanted = {t for name in images for t in project.containers[name].connects.values()}
    return [name for name in project.services if name in wanted]


def _in_order(project: Project, images: Mapping[str, str]) -> list[str]:
    """Whoever is called starts before its callers; a circle keeps the file's order."""
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in order or name in path or name not in images:
            return
        for target in project.containers[name].connects.values():
            visit(target, (*path, name))
        order.append(name)

    for name in images:
        visit(name, ())
    return order


def _how_to_enter(lab: Lab) -> Iterator[str]:
    client = lab.engine.client.name
    for running in lab.alive.values():
        program = running.model.kind.interpreter[0]
        yield f"{running.name} stays up at {endpoint.web(lab.engine.host, running.port)}"
        yield f"to enter it: {client} exec -it {running.handle} {program}"
    yield (
        f"to remove the stack (and reports/): invoke clean --engine {client}; a later run leaves it"
    )
