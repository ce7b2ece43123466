"""The journal of a release: its state on disk, before and after every step."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from taskflow_containers.machine.distribution import Tool
from taskflow_containers.machine.errors import EnvironmentTrouble, InputError
from taskflow_containers.machine.locks import exclusive
from taskflow_containers.project.pin import PIN
from taskflow_containers.release.state import (
    ABORTED,
    DONE,
    FORMAT,
    RUNNING,
    ReleasePlan,
    State,
    StepTimes,
    salvaged,
)


def now() -> str:
    """The time in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Journal:
    """A JSON file that is replaced whole at every change, so that a kill leaves the last state.

    One that this tool does not read keeps its content as `foreign`; `state` is then what it takes
    to take the release back, and `unread` names what is missing there.
    """

    def __init__(
        self, path: Path, state: State, unread: Sequence[str] = (),
        foreign: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.path, self.state = path, state
        self.unread, self.foreign = unread, foreign or {}

    @classmethod
    def of(cls, path: Path, plan: ReleasePlan) -> Journal:
        """A new one, not written yet."""
        return cls(path, State(format=FORMAT, tool=Tool.running(), status=RUNNING, started=now(),
                               plan=plan, steps={}))  # fmt: skip

    @classmethod
    def unfinished(cls, folder: Path) -> Journal | None:
        """The journal of a release that was neither finished nor aborted, whoever wrote it."""
        for path in sorted(folder.glob("release-*.json")):
            try:
                data = json.loads(path.read_text("utf-8"))
            except (OSError, ValueError) as error:
                raise InputError(f"{path} cannot be read: {error}", "mend or remove it") from None
            # Before there was a format, the same words stood under "state".
            ended = isinstance(data, dict) and data.get("status", data.get("state"))
            if not isinstance(data, dict) or ended in (DONE, ABORTED):
                continue
            try:
                return cls(path, State.model_validate(data))
            except ValidationError:
                state, unread = salvaged(path, data)
            return cls(path, state, unread, data)
        return None

    def require_known(self) -> None:
        """Raises InputError where another version of the tool wrote it; says which one, and how to run it."""
        if not self.foreign:
            return
        tool, this = self.state.tool, Tool.running()
        kept = self.foreign.get("format")
        what = f"format {kept}" if kept != FORMAT else f"a form of its own ({self.unread[0]})"
        pin = f"{self.state.plan.product.files.tools}/{PIN}"
        way = f"install the tool of that day: git log --patch {pin}"
        if tool.requirement:
            way = f"pip install --no-deps --no-build-isolation '{tool.requirement}'"
        raise InputError(
            f"the release was begun by {tool}, whose journal has {what}; this is {this}",
            f"go on with that one beside invoke ({way}), or take it back: invoke release --abort",
        )

    def write(self) -> None:
        """Put it on disk; raises EnvironmentTrouble when that fails."""
        data = self.state.model_dump(mode="json", exclude_defaults=True)
        if self.foreign:  # as it was, but for how it ended
            ended = ("status", "ended", "why", "remains")
            data = self.foreign | {name: data[name] for name in ended if name in data}
        draft = self.path.with_name(f".{self.path.name}.draft")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("w", encoding="utf-8") as stream:
                stream.write(json.dumps(data, indent=2) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(self.path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise EnvironmentTrouble(
                f"the journal {self.path} cannot be written: {error.strerror}",
                "nothing is lost: mend that, then `invoke release --resume` or `--abort`",
            ) from None

    def end(self, status: Literal["done", "aborted"]) -> None:
        """Note that the release is over, and how."""
        self.state.status, self.state.ended = status, now()
        self.write()

    def start(self, step: str) -> None:
        """Note a step before its first effect."""
        self.state.steps[step] = StepTimes(started=now())
        self.write()

    def finish(self, step: str) -> None:
        """Note that a step's effect is complete, and with it what the step left in the state."""
        self.state.steps[step].done = now()
        self.write()

    def started(self, step: str) -> bool:
        """Whether it may have had effects."""
        return step in self.state.steps

    def finished(self, step: str) -> bool:
        """Whether its effect is complete."""
        return self.started(step) and bool(self.state.steps[step].done)


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a file for this process alone; the kernel lets go of it whatever ends the process.

    Raises:
        InputError: another process holds it.
    """
    with ExitStack() as held:
        try:
            held.enter_context(exclusive(path, wait=False))
        except OSError:
            raise InputError(
                "another release is running in this repository", "wait for it to end, or stop it"
            ) from None
        yield
