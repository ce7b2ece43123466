"""Show what is going on: a moving display in a terminal; in a log failures, and a step now and then or each one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.spinner import Spinner
from rich.text import Text

from taskflow_containers.report.result import Result

QUIET = 60.0  # seconds after which a log has the next step: CI systems end a job that says nothing


class Progress:
    """The step under way and, once `expect` said how many there are, the checks made so far."""

    def __init__(self, console: Console, title: str, *, steps: bool = False) -> None:
        """`steps`: print each step where the output is no terminal, not only one after QUIET seconds."""
        self._console, self._steps = console, steps
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]}", style="bold red"),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._failed: dict[str, int] = {}
        self._spinner = Spinner("dots", Text(title))
        self._live = (
            Live(Group(self._bars, self._spinner), console=console, transient=True)
            if console.is_terminal
            else None
        )
        self._last = ""
        self._printed = time.monotonic()

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def say(self, line: str) -> None:
        """Show one step."""
        if self._live:
            self._spinner.update(text=Text(line[: max(20, self._console.width - 4)]))
        elif line != self._last and (self._steps or time.monotonic() - self._printed >= QUIET):
            self._print(line)
        self._last = line

    def expect(self, checks: Mapping[str, int]) -> None:
        """Say how many checks of each container there will be."""
        for name, total in checks.items():
            self._failed[name] = 0
            if name in self._tasks:
                self._bars.reset(self._tasks[name], total=total, failed="")
            else:
                self._tasks[name] = self._bars.add_task(name, total=total, failed="")

    def seen(self, result: Result) -> None:
        """Count one check, and name it at once if it failed."""
        if result.container in self._tasks:
            self._failed[result.container] += result.failed
            failed = self._failed[result.container]
            said = f"{failed} failed" if failed else ""
            self._bars.update(self._tasks[result.container], advance=1, failed=said)
        if result.failed:
            self._print(f"✗ {result.container}: {result.title}: {result.measured}")

    def _print(self, line: str) -> None:
        self._printed = time.monotonic()
        # Output may be closed; the checks go on, and their report is written to files.
        with suppress(OSError):
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
