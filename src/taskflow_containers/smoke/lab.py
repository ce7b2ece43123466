"""What the checks share: the stack, the containers under test, the options, a pen for the timeline."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.cgroup import contended
from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.machine.process import Completed, Say
from taskflow_containers.machine.waiting import Starved, Watch
from taskflow_containers.project.model import Kind, Project
from taskflow_containers.project.values import megabytes
from taskflow_containers.report.result import Result
from taskflow_containers.smoke.catalogue import Check, unmeasurable, verdict
from taskflow_containers.smoke.stack import NO_ANSWER, STREAM, Answer, Endless, Running, Stack
from taskflow_containers.smoke.timeline import Timeline
from taskflow_containers.smoke.visit import visit

PROBE_TIMEOUT = 2.0  # seconds; what the chart's readiness probe allows
KILLED = "killed"  # how a fate begins that the memory limit brought about
TOO_MANY = 429
NO_PAUSE = "this engine cannot pause a container"
SIGKILLED = 137  # 128 + SIGKILL
_INSTANCES = 2  # that may be started for a check: a first may be held up by what others do
_LOOKS = 3  # at what a busy machine may have spoilt
_UNFAIR = 0.25  # seconds of waiting for a CPU, in which a time limit within a service may run out
_MOSTLY = 0.75  # of the time
_BUSY = 0.2  # of the last ten seconds
_DOCUMENTS = ("/openapi.json", "/api/openapi.json")
_ROUTES = 8  # that are asked at the most
_SHOWN = 4  # of those that are not
_FORGETS = 1.5  # seconds in which a service may remember what it saw last


class NeverReady(OSError):
    """A further instance of what runs elsewhere never answered 200."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a run checks and how."""

    only: frozenset[str]
    full: bool = False
    keep: bool = False

    def make(self, check: Check, project: Project, name: str) -> bool:
        """Whether this check is to be made on this container."""
        asked = check.id in self.only and (self.full or not check.full)
        return asked and check.concerns(project, name)


@dataclass(slots=True)
class Lab:
    """One run: `alive` holds the containers that were started as the cluster would."""

    stack: Stack
    images: Mapping[str, str]
    options: Options
    say: Say
    timeline: Timeline
    alive: dict[str, Running] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)
    limits: frozenset[str] = frozenset()  # that the engine holds its containers to
    migrated: dict[str, Completed] = field(default_factory=dict)  # what the first migration came to
    _routes: dict[str, list[str]] = field(default_factory=dict)
    _left_out: dict[str, list[str]] = field(default_factory=dict)

    @property
    def project(self) -> Project:
        """The data model."""
        return self.stack.project

    @property
    def engine(self) -> Engine:
        """The engine it all runs on."""
        return self.stack.engine

    def services(self, name: str) -> dict[str, str]:
        """The variables of a container that hold a service's URL, and the services."""
        connects = self.project.containers[name].connects
        return {v: target for v, target in connects.items() if target in self.project.services}

    def peers(self, name: str) -> dict[str, str]:
        """The variables of a container that hold the URL of something that speaks HTTP."""
        connects = self.project.containers[name].connects
        return {v: target for v, target in connects.items() if target not in self.project.services}

    def migrate(self, name: str, *options: str, **how: Any) -> None:
        """Make the tables of a container's database, where it has a migration."""
        if command := self.project.containers[name].migrate:
            done = self.stack.once(name, self.images[name], command, *options, **how)
            self.migrated.setdefault(name, done)

    @contextmanager
    def instance(self, name: str, purpose: str, *options: str, **how: Any) -> Iterator[Running]:
        """One more container of the same image, for a check that would disturb the others."""
        running = self.stack.launch(
            name, self.images[name], *options, instance=how.pop("instance", purpose), **how
        )
        try:
            yield running
        finally:
            self.stack.discard(running)

    @contextmanager
    def ready(self, name: str, purpose: str, *options: str, **how: Any) -> Iterator[Running]:
        """Such an instance once it answers 200.

        Raises:
            NeverReady: neither it did, nor a second one.
        """
        with ExitStack() as stack:
            for _ in range(_INSTANCES):
                stack.close()
                running = stack.enter_context(self.instance(name, purpose, *options, **how))
                self.stack.wait(running)
                if running.seconds_to_healthy is not None:
                    break
            else:
                raise NeverReady(fate(running) or "one more instance of it never became healthy")
            yield running

    def routes(self, name: str) -> list[str]:
        """Real routes that need no argument: stated, from an OpenAPI document, or a frontend's pages."""
        if name in self._routes:
            return self._routes[name]
        model, running = self.project.containers[name], self.alive[name]
        left_out: list[str] = []
        found = [model.health.ready, *model.routes]
        if model.kind is Kind.FRONTEND:
            # Its load is the page that people end at: the home page may only lead there.
            try:
                found.append(visit(running).path)
            except NO_ANSWER:
                found.append(model.page)
            for target in self.peers(name).values():
                own = self.routes(target) if target in self.alive else []
                found += [model.base_path + path for path in own if path.startswith("/api/")]
        else:
            missing = []
            for document in _DOCUMENTS:
                answer = running.get(document, 10)
                if answer.status == 200:
                    found += _without_arguments(answer.json())
                    break
                missing.append(f"{document} ({answer.status})")
            else:
                # Who states the routes need not have a document.
                left_out += [] if model.routes else missing
        usable = []
        for path in dict.fromkeys(found):
            if path != found[0] and (why := _unusable(running, path)):
                left_out.append(f"{path} ({why})")
            else:
                usable.append(path)
        self._routes[name] = usable[:_ROUTES]
        self._left_out[name] = left_out + [f"{path} (one too many)" for path in usable[_ROUTES:]]
        return self._routes[name]

    def left_out(self, name: str) -> str:
        """In words, the routes of which nothing can be told, and why; "" where there is none."""
        found = self._left_out.get(name, [])
        more = [f"{len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        return f"; left out: {', '.join([*found[:_SHOWN], *more])}" if found else ""

    def no_route(self, name: str) -> str:
        """In words, which routes were asked for what a check needs, and how to name another."""
        asked = ", ".join(self._routes.get(name, ()))
        return (
            f'asked were {asked}{self.left_out(name)}. taskflow.toml names others: routes = ["/…"]'
        )


def _unusable(running: Running, path: str) -> str:
    """Why a route is not for everybody (3xx, 4xx) or comes to no end; "" if it is, broken or not."""
    try:
        answer = running.get(path, 10)
    except Endless:
        return "no end"
    except NO_ANSWER:
        return ""
    if answer.headers.get("content-type", "").startswith(STREAM):
        return "no end"
    return str(answer.status) if 300 <= answer.status < 500 else ""


def _without_arguments(document: Any) -> Iterator[str]:
    """The paths of an OpenAPI document that can be asked as they stand; nothing of what is malformed."""
    paths = document.get("paths") if isinstance(document, dict) else None
    for path, item in paths.items() if isinstance(paths, dict) else ():
        get = item.get("get") if isinstance(item, dict) else None
        if not isinstance(get, dict) or "{" in path:
            continue
        # What applies to every method of a path stands beside the methods.
        stated = [*_list(item.get("parameters")), *_list(get.get("parameters"))]
        if not any(isinstance(p, dict) and p.get("required") for p in stated):
            yield path


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


Step = Callable[[Lab, str], Iterator[Result]]
AnyStep = TypeVar("AnyStep", bound=Callable[..., Iterator[Result]])


def checks(*ids: str) -> Callable[[AnyStep], AnyStep]:
    """Name the checks of the catalogue that a function makes."""

    def mark(function: AnyStep) -> AnyStep:
        function.ids = ids  # type: ignore[attr-defined]
        return function

    return mark


def fate(running: Running, state: Mapping[str, object] | None = None) -> str:
    """How a container came to its end; "" while it runs."""
    state = running.state() if state is None else state
    if state.get("Running"):
        return ""
    if running.cannot_start:
        return "its command cannot be started"
    limit = f"more than {megabytes(running.model.memory)} of memory"
    if state.get("OOMKilled"):
        return f"{KILLED}: {limit}"
    if state.get("ExitCode") == SIGKILLED:  # Podman does not always hear of the reason
        return f"{KILLED} (exit code {SIGKILLED}), most likely for {limit}"
    return f"ended with exit code {state.get('ExitCode')}"


def excerpt(answer: Answer) -> str:
    """The start of a body, for a person."""
    return answer.body[:200].decode("utf-8", "replace")


def ask(running: Running, path: str, timeout: float = PROBE_TIMEOUT) -> tuple[int, float]:
    """The status (0 when nobody answers in time) and the seconds it took."""
    started = time.monotonic()
    try:
        status = running.get(path, timeout).status
    except NO_ANSWER:
        status = 0
    return status, time.monotonic() - started


def fine(status: int) -> bool:
    """Whether a route's status says that it did what was asked, or was asked too often (RFC 6585)."""
    return 200 <= status < 300 or status == TOO_MANY


def probe(running: Running, path: str) -> tuple[int, float]:
    """As `ask`, but like a kubelet it forgives one probe that was not answered in time."""
    status, seconds = ask(running, path)
    return (status, seconds) if status else ask(running, path)


def in_time(id: str, running: Running, limit: float, measured: str) -> Result:
    """Judge the seconds that a container took to its first healthy answer."""
    seconds = running.seconds_to_healthy or 0.0
    if running.awaited and running.awaited.doubts(seconds, limit):
        return unmeasurable(id, running.name, f"{Starved(running.awaited)}, all together")
    return verdict(
        id,
        running.name,
        seconds <= limit,
        limit=f"at most {limit:g} s",
        measured=f"{seconds:.2f} s{measured}",
        seconds=seconds,
    )


T = TypeVar("T")


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
