"""The journal of a release: what was planned, what was done and when, on disk before it counts."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from taskflow_containers.machine.errors import EnvironmentTrouble, InputError
from taskflow_containers.machine.locks import exclusive

RUNNING, DONE, ABORTED = "running", "done", "aborted"


def now() -> str:
    """The time in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Journal:
    """A JSON file that is replaced whole at every change, so that a kill leaves the last state."""

    def __init__(self, path: Path, data: dict[str, Any]) -> None:
        self.path = path
        self.data = data

    @classmethod
    def begin(cls, path: Path, plan: dict[str, Any]) -> Journal:
        """A new journal, written."""
        journal = cls(path, {"state": RUNNING, "started": now(), "plan": plan, "steps": {}})
        journal.write()
        return journal

    @classmethod
    def unfinished(cls, folder: Path) -> Journal | None:
        """The journal of a release that was neither finished nor aborted."""
        for path in sorted(folder.glob("release-*.json")):
            try:
                data = json.loads(path.read_text("utf-8"))
            except (OSError, ValueError) as error:
                raise InputError(f"{path} cannot be read: {error}", "mend or remove it") from None
            if not isinstance(data, dict) or data.get("state") != RUNNING:
                continue
            if not isinstance(data.get("plan"), dict) or not isinstance(data.get("steps"), dict):
                raise InputError(f"{path} lacks its plan or its steps", "mend or remove it")
            return cls(path, data)
        return None

    def write(self) -> None:
        """Put it on disk; raises EnvironmentTrouble when that fails."""
        draft = self.path.with_name(f".{self.path.name}.draft")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("w", encoding="utf-8") as stream:
                stream.write(json.dumps(self.data, indent=2) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(self.path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise EnvironmentTrouble(
                f"the journal {self.path} cannot be written: {error.strerror}",
                "nothing is lost: mend that, then `invoke release --resume` or `--abort`",
            ) from None

    def state(self, state: str, **facts: Any) -> None:
        """Say how the whole stands."""
        self.data |= {"state": state, "ended": now(), **facts}
        self.write()

    def start(self, step: str) -> None:
        """Note a step before its first effect."""
        self.data["steps"].setdefault(step, {})["started"] = now()
        self.write()

    def finish(self, step: str) -> None:
        """Note that a step's effect is complete."""
        self.data["steps"][step]["done"] = now()
        self.write()

    def started(self, step: str) -> bool:
        """Whether it may have had effects."""
        return step in self.data["steps"]

    def finished(self, step: str) -> bool:
        """Whether its effect is complete."""
        return "done" in self.data["steps"].get(step, {})

    def note(self, **facts: Any) -> None:
        """Keep facts that later steps need: commit, image IDs, digests, hashes."""
        self.data |= facts
        self.write()


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
