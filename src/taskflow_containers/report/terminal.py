"""A report in a terminal or a log: a line for each group of checks, failures in full, or the whole table."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from taskflow_containers.report.reporting import (
    HEAD,
    MARK,
    explained,
    explanation,
    found,
    heading,
    plain,
    promised,
    verdict,
)
from taskflow_containers.report.result import Report, Result, Status

_STYLE = {
    Status.PASSED: "green",
    Status.FAILED: "bold red",
    Status.WAIVED: "bold yellow",
    Status.SKIPPED: "yellow",
    Status.UNMEASURABLE: "yellow",
}
_NAMED = 3  # checks that share a reason and are named; of more, only their number is


def width() -> int | None:
    """The columns of a log; None for a terminal, which is asked."""
    given = os.environ.get("COLUMNS", "")
    columns = max(40, int(given)) if given.isascii() and given.isdigit() else 140
    return None if sys.stdout.isatty() else columns


def show(report: Report, console: Console, *, verbose: bool = False) -> None:
    """Print the report: notes, a line for each group, what was not judged and why, each failure.

    `verbose` prints every check with what was expected and measured, and why each finding is waived.
    """
    if report.taken:
        table = Table("", "value", "taken from", box=None, pad_edge=False, header_style="bold")
        for taken in report.taken:
            table.add_row(*(escape(plain(text)) for text in taken))
        console.print(table, "")
    for note in report.notes if verbose else filter(None, ["; ".join(report.notes)]):
        _line(console, note, "dim")
    if verbose:
        console.print(_table(report))
    else:
        _groups(report, console)
    for result in explained(report):
        if verbose or result.failed:
            _explain(result, console)
    if verbose or report.count(Status.FAILED):
        console.print()
    _line(console, verdict(report), HEAD[report.verdict][1])


def _line(console: Console, text: str, style: str) -> None:
    """One line of the output, however narrow the terminal."""
    text = escape(" ".join(plain(text).split()))
    console.print(f"[{style}]{text}[/{style}]", highlight=False, soft_wrap=True)


def _explain(result: Result, console: Console) -> None:
    console.print()
    _line(console, f"{MARK[result.status]} {heading(result)}", _STYLE[result.status])
    if result.status is Status.WAIVED:
        said = [("", text) for text in result.waived]
    else:
        said = explanation(result)
    for label, text in said:
        text = f"{label}: {text}" if label else text
        console.print(f"  {escape(plain(text))}", highlight=False, soft_wrap=True)


def _groups(report: Report, console: Console) -> None:
    """A line for each group that the checks were put under, then one for each reason to judge none."""
    for group in dict.fromkeys(result.group for result in report.results if result.group):
        own = [result for result in report.results if result.group == group]
        counts = [(status, sum(r.status is status for r in own)) for status in Status]
        said = ", ".join(f"{count} {status}" for status, count in counts if count)
        statuses = {result.status for result in own}
        # What failed tells more than what passed, and that more than what was left out.
        first = (Status.FAILED, Status.WAIVED, Status.PASSED, Status.UNMEASURABLE)
        shown = next((status for status in first if status in statuses), Status.SKIPPED)
        # Containers are tested side by side, the checks of one in turn.
        seconds = max(
            sum(r.seconds for r in own if r.container == name)
            for name in {r.container for r in own}
        )
        _line(console, f"{MARK[shown]} {group}: {said} in {seconds:.1f} s", _STYLE[shown])
    reasons: dict[tuple[Status, str], list[Result]] = {}
    for result in report.results:
        if result.status is Status.WAIVED:
            rules = ", ".join(text.partition(": ")[0] for text in result.waived)
            reasons.setdefault((result.status, f"waived: {rules}"), []).append(result)
        elif result.status in {Status.SKIPPED, Status.UNMEASURABLE}:
            reasons.setdefault((result.status, found(result)), []).append(result)
    for (status, reason), results in reasons.items():
        _line(console, f"{MARK[status]} {_names(results)}: {reason}", _STYLE[status])


def _names(results: Sequence[Result]) -> str:
    """Which checks, of which containers."""
    titles = list(dict.fromkeys(result.title for result in results))
    containers = ", ".join(dict.fromkeys(r.container for r in results if r.container))
    said = ", ".join(titles) if len(titles) <= _NAMED else f"{len(titles)} checks"
    return f"{said} ({containers})" if containers else said


def _table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    for title, ratio in (("", 1), ("check", 8), ("container", 3), ("expected", 6)):
        table.add_column(title, overflow="fold", max_width=ratio * 6)
    table.add_column("measured", overflow="fold")
    section = ""
    for result in report.results:
        named = " · ".join(filter(None, (result.container, result.group)))
        if result.group and section != (section := named):
            table.add_row("", f"[bold]{escape(plain(section))}[/bold]")
        style = _STYLE[result.status]
        cells = (result.title, result.container, promised(result), found(result))
        mark = f"[{style}]{MARK[result.status]}[/{style}]"
        table.add_row(mark, *(escape(plain(text)) for text in cells))
    return table
