"""An application in our image and in its reference image: built, started and asked the same."""

from __future__ import annotations

import functools
import http.client
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from taskflow_containers.checks import build
from taskflow_containers.engine import builder
from taskflow_containers.engine.client import Engine, substitutes
from taskflow_containers.project.load import load
from taskflow_containers.project.model import Container
from taskflow_containers.report.result import Result
from taskflow_containers.smoke.answer import NO_ANSWER
from taskflow_containers.smoke.running import Running
from taskflow_containers.smoke.stack import Stack, restrictions
from taskflow_containers.workspace import Target, Workspace
from tests.gallery import exchange, places
from tests.gallery.application import Application, Refused

_READY = 60.0  # seconds until a process says that it is
_CHANGED = "-changed"
_TIMEOUT = 60.0  # seconds for one answer
_IMPORT = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"


class NotBuilt(Exception):
    """An image that its build refuses; the message is what a person reads."""


@dataclass(slots=True)
class Side:
    """One of the two images, and its containers; `options` hold these to the model."""

    name: str
    folder: Path  # the build context
    tag: str
    stack: Stack
    model: Container
    options: Sequence[str] = ()
    image: str = ""
    running: list[Running] = field(default_factory=list)
    processes: list[str] = field(default_factory=list)  # handles

    @property
    def base(self) -> str:
        """The image that it is built on."""
        return substitutes().get(self.model.base, self.model.base)

    def build(self, suffix: str = "") -> str:
        """Build the image, under a tag with this suffix; its ID.

        Raises:
            NotBuilt: a step failed.
        """
        arguments = {"BASE_IMAGE": self.base, "BUILDER_IMAGE": self.base}
        try:
            built = builder.build(
                self.stack.engine, self.folder, tags=[self.tag + suffix], arguments=arguments, labels={},
                on_step=lambda _: None,
            )  # fmt: skip
        except builder.BuildFailed as error:
            raise NotBuilt(f"{error.message}\n{error.hint}") from None
        return built.image

    @contextmanager
    def changed(self) -> Iterator[float]:
        """Have another image, of the sources as they are now, in the place of the first; seconds it took.

        Raises:
            NotBuilt: a step failed.
        """
        whole, started = self.image, time.monotonic()
        self.image = self.build(_CHANGED)
        try:
            yield time.monotonic() - started
        finally:
            self.image = whole
            words = ["image", "rm", "--force", "--no-prune", self.tag + _CHANGED]
            self.stack.engine.call(*words, check=False)

    def run(self, name: str, environment: Mapping[str, str], *command: str) -> str:
        """Start a container of the image, found by its name; its handle."""
        engine, handle = self.stack.engine, self.stack.handle(name)
        words = ["run", "--detach", "--name", handle, "--network", self.stack.id,
                 "--network-alias", name, "--label", self.stack.run_label,
                 "--publish", f"{engine.publishing}::{self.model.port}", *self.options]  # fmt: skip
        for variable in environment:
            words += ["--env", variable]
        engine.call(*words, self.image, *command, env=environment)
        return handle

    def launch(self, name: str, environment: Mapping[str, str]) -> Running:
        """Start the service, without waiting for it."""
        if self.options:
            target = self.stack.workspace.target(self.folder.name, self.image)
            return self.stack.launch(target, instance=name, environment=dict(environment))
        target = Target(self.name, self.model, self.folder, self.image)
        running = Running(target, self.stack.handle(name), self.stack.engine)
        running.launched = time.monotonic()
        self.run(name, environment)
        return running

    def said(self, handle: str) -> str:
        """All that a container wrote."""
        return self.stack.engine.logs(handle)


class Pair:
    """The two sides of one application, in stacks of their own; `results` are the build's of ours."""

    def __init__(self, application: Application, ours: Side, reference: Side) -> None:
        self.application = application
        self.ours, self.reference = self.sides = (ours, reference)
        self.results: list[Result] = []

    def environment(self, side: Side) -> dict[str, str]:
        """What a container gets, ours and the reference's alike."""
        connects = side.model.connects.items()
        given = {variable: side.stack.url(target) for variable, target in connects}
        return {**given, **self.application.environment}

    def start(self, side: Side) -> None:
        """Start all that the application consists of."""
        if self.application.database:
            side.stack.start_service("database")
        environment = self.environment(side)
        for command in self.application.before:
            handle = side.run("before", environment, *command.run)
            self._wait_for(side, handle, command.says)
        for command in self.application.processes:
            handle = side.run(command.name, environment, *command.run)
            self._wait_for(side, handle, command.ready)
            side.processes.append(handle)
        several = any(request.replica for request in self.application.requests)
        for name in ("first", "second")[: 1 + several]:
            running = side.launch(name, environment)
            side.running.append(running)
            running.wait(self.application.load, beyond=_READY)
            assert running.seconds_to_healthy is not None, (
                f"{side.name} does not answer {self.application.load}: {side.said(running.handle)}"
            )

    def _wait_for(self, side: Side, handle: str, words: str) -> None:
        deadline = time.monotonic() + _READY
        while words not in side.said(handle):
            assert time.monotonic() < deadline, f"{side.name}, {handle}: {side.said(handle)}"
            time.sleep(0.1)

    def ask(self, side: Side) -> list[exchange.Seen]:
        """Every request's answer."""
        opened = [
            functools.partial(
                http.client.HTTPConnection, running.engine.host, running.port, timeout=_TIMEOUT
            )
            for running in side.running
        ]
        return [
            exchange.ask(
                request, self.application.folder, opened[-1 if request.replica else 0], opened[0]
            )
            for request in self.application.requests
        ]

    def import_all(self, side: Side) -> str:
        """What an import of every package says where it fails."""
        words = ["exec", side.running[0].handle, "python", "-c", _IMPORT]
        return side.stack.engine.call(*words, *self.application.imports, check=False).stderr

    def log_lines(self, side: Side) -> dict[str, int]:
        """How many lines hold each of the application's messages, of all of its containers."""
        handles = [*side.processes, *(running.handle for running in side.running)]
        lines = [line for handle in handles for line in side.said(handle).splitlines()]
        return {text: sum(text in line for line in lines) for text in self.application.logs}

    def refuse(self, side: Side, refused: Refused) -> tuple[str, str]:
        """How far it comes with this fault (build, start, answers or works), and what it says."""
        environment = self.environment(side)
        environment.pop(refused.without, None)
        with ExitStack() as stack:
            if refused.file:
                try:
                    with spoilt(
                        places.source(self.application, side.folder, refused.file), refused
                    ):
                        stack.enter_context(side.changed())
                except NotBuilt as error:
                    return "build", str(error)
            running = side.launch(f"refused-{uuid.uuid4().hex[:6]}", environment)
            stack.callback(side.stack.discard, running)
            # Any answer ends the wait: a server that starts may still refuse each request.
            running.wait(self.application.load, beyond=_READY, healthy=False)
            status = 0
            if running.seconds_to_healthy is not None:
                with suppress(*NO_ANSWER):
                    status = running.get(self.application.load, _TIMEOUT).status
            stage = "works" if 0 < status < 500 else "answers" if status else "start"
            return stage, side.said(running.handle)


@contextmanager
def spoilt(path: Path, refused: Refused) -> Iterator[None]:
    """A file with this fault, which is then put right again."""
    before = path.read_text(encoding="utf-8") if path.is_file() else None
    try:
        places.append(path, refused.add)
        yield
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_text(before, encoding="utf-8")


@contextmanager
def paired(application: Application, project: Path, engine: Engine) -> Iterator[Pair]:
    """Both sides of an application that is added to this rendered project, running; all is removed."""
    folder = places.add(application, project)
    other = project.with_name(f"{project.name}-reference")
    places.add_to_reference(application, folder, other)
    model = load(project / "taskflow.toml")
    container = model.containers[application.kind]
    tags = [f"{model.image(application.kind)}:dev", f"{model.image('reference')}:dev"]
    workspace = Workspace(project, model, engine)
    with Stack(workspace) as first, Stack(workspace) as second:
        ours = Side("ours", folder, tags[0], first, container, restrictions(container))
        reference = Side("the reference", other, tags[1], second, container)
        pair = Pair(application, ours, reference)
        try:
            # As its owner builds it: judged, too.
            (image,) = build.build(Workspace(project, model, engine), [application.kind])
            ours.image, pair.results = image.id, image.results
            assert image.usable, image.results
            reference.image = reference.build()
            for side in pair.sides:
                pair.start(side)
            yield pair
        finally:
            for stack in (first, second):
                stack.remove()
            engine.call("image", "rm", "--force", "--no-prune", *tags, check=False)
