"""Writers over the one result model: terminal table, JUnit, JSON, Markdown, SARIF, further pages."""

from __future__ import annotations

import html
import json
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from taskflow_containers.report.result import Report, Result, Status, Verdict
from taskflow_containers.report.sarif import sarif

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
# In the order of a summary.
_COMMANDS = ("lint", "build", "scan", "smoke", "chart", "cluster", "release")
MARK = {
    Status.PASSED: "✓",
    Status.FAILED: "✗",
    Status.WAIVED: "!",
    Status.SKIPPED: "–",
    Status.UNMEASURABLE: "○",
}
_STYLE = {
    Status.PASSED: "green",
    Status.FAILED: "bold red",
    Status.WAIVED: "bold yellow",
    Status.SKIPPED: "yellow",
    Status.UNMEASURABLE: "yellow",
}
# The mark of a whole report, and its style in a terminal.
HEAD = {
    Verdict.PASSED: (MARK[Status.PASSED], "bold green"),
    Verdict.FAILED: (MARK[Status.FAILED], "bold red"),
    Verdict.UNJUDGED: (MARK[Status.UNMEASURABLE], "bold yellow"),
}
_CONTROL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _plain(text: str) -> str:
    """Without control characters: what a container printed must not steer a terminal."""
    return _CONTROL.sub("?", text)


def found(result: Result) -> str:
    """What was measured, or why nothing was."""
    match result.status:
        case Status.SKIPPED:
            return result.detail
        case Status.UNMEASURABLE:
            return f"not measurable here because {result.detail}"
        case Status.WAIVED:
            return f"{result.measured}; waived"
    return result.measured


def promised(result: Result) -> str:
    """What was expected, with its limit."""
    return ": ".join(filter(None, (result.expected, result.limit)))


def verdict(report: Report) -> str:
    """The whole report in one line."""
    counts = ", ".join(
        f"{report.count(status)} {status}" for status in Status if report.count(status)
    )
    said = f"{report.command}: {counts or 'nothing was checked'} in {report.seconds:.1f} s"
    if report.verdict is Verdict.UNJUDGED:
        said += f"; {unjudged(report)}"
    return f"{said}, at {report.started}; nothing has changed since" if report.earlier else said


def unjudged(report: Report) -> str:
    """Which containers could not be judged, and what that means."""
    names = " and ".join(report.unjudged)
    return f"nothing was judged{f' of {names}' if names else ''}: no pass"


def show(report: Report, console: Console) -> None:
    """Print the report: notes, a table, what is waived, and for each failed check what to do."""
    for note in report.notes:
        console.print(f"[dim]{escape(_plain(note))}[/dim]", highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    for heading, ratio in (("", 1), ("check", 8), ("container", 3), ("expected", 6)):
        table.add_column(heading, overflow="fold", max_width=ratio * 6)
    table.add_column("measured", overflow="fold")
    section = ""
    for result in report.results:
        named = " · ".join(filter(None, (result.container, result.group)))
        if result.group and section != (section := named):
            table.add_row("", f"[bold]{escape(_plain(section))}[/bold]")
        style = _STYLE[result.status]
        table.add_row(
            f"[{style}]{MARK[result.status]}[/{style}]",
            *(
                escape(_plain(text))
                for text in (result.title, result.container, promised(result), found(result))
            ),
        )
    console.print(table)
    for result in _explained(report):
        style, heading = _STYLE[result.status], escape(_plain(_heading(result)))
        console.print(f"\n[{style}]{MARK[result.status]} {heading}[/{style}]", highlight=False)
        if result.status is Status.WAIVED:
            explained = [("", text) for text in result.waived]
        else:
            explained = _explanation(result)
        for label, text in explained:
            text = f"{label}: {text}" if label else text
            console.print(f"  {escape(_plain(text))}", highlight=False, soft_wrap=True)
    _, style = HEAD[report.verdict]
    line = f"\n[{style}]{escape(verdict(report))}[/{style}]"
    console.print(line, highlight=False, soft_wrap=True)


def width() -> int | None:
    """The columns of a log; None for a terminal, which is asked."""
    given = os.environ.get("COLUMNS", "")
    columns = max(40, int(given)) if given.isascii() and given.isdigit() else 140
    return None if sys.stdout.isatty() else columns


def _explained(report: Report) -> list[Result]:
    """What a report says more of than a line in its table: first what is waived, then what failed."""
    shown = (Status.WAIVED, Status.FAILED)
    return [result for status in shown for result in report.results if result.status is status]


def _heading(result: Result) -> str:
    return f"{result.title} ({result.container})" if result.container else result.title


def _explanation(result: Result) -> list[tuple[str, str]]:
    parts = [
        ("where", result.location),
        ("expected", result.expected),
        ("limit", result.limit),
        ("measured", result.measured),
        ("detail", result.detail),
        ("waived", "\n".join(result.waived)),
        ("to do", result.fix if result.failed else ""),
    ]
    return [(label, text) for label, text in parts if text]


def write(report: Report, folder: Path) -> None:
    """Write reports/COMMAND.{json,xml,md,sarif} and refresh reports/summary.md."""
    folder.mkdir(parents=True, exist_ok=True)
    markdown = _markdown(report)
    _replace(folder / f"{report.command}.json", _json(report))
    _replace(folder / f"{report.command}.xml", _junit(report))
    _replace(folder / f"{report.command}.md", markdown)
    _replace(folder / f"{report.command}.sarif", sarif(report, folder.parent))
    pages = [folder / f"{command}.md" for command in _COMMANDS]
    texts = [page.read_text("utf-8", errors="replace") for page in pages if page.is_file()]
    _replace(folder / "summary.md", "\n".join(texts))
    for name, page in report.pages.items():
        _replace(folder / name, page(report))
    if f"{report.command}.html" not in report.pages and not report.earlier:
        # An older run's page must not be taken for this one's.
        (folder / f"{report.command}.html").unlink(missing_ok=True)


def tell_ci(report: Report) -> None:
    """Add the report to the page that GitHub shows of a job, where there is one."""
    if summary := os.environ.get(STEP_SUMMARY):
        with Path(summary).open("a", encoding="utf-8") as stream:
            stream.write(_markdown(report) + "\n")


def _replace(path: Path, text: str) -> None:
    """Write the whole file or nothing, so that an interrupted run leaves no half report."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8", errors="backslashreplace")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _json(report: Report) -> str:
    data = {
        "command": report.command,
        "verdict": report.verdict.value,
        "started": report.started,
        "seconds": report.seconds,
        "notes": report.notes,
        "images": report.images,
        "inputs": report.inputs,
        "counts": {status.value: report.count(status) for status in Status},
        "results": [asdict(result) for result in report.results],
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _junit(report: Report) -> str:
    unseen = report.unjudged if report.verdict is Verdict.UNJUDGED else []
    suite = ElementTree.Element(
        "testsuite",
        name=report.command,
        timestamp=report.started,
        tests=str(len(report.results) + len(unseen)),
        failures=str(report.count(Status.FAILED)),
        # JUnit has one word for all that neither passed nor failed; the message tells them apart.
        skipped=str(sum(r.status not in {Status.PASSED, Status.FAILED} for r in report.results)),
        errors=str(len(unseen) if report.results else 1),
        time=f"{report.seconds:.3f}",
    )
    if report.images:
        properties = ElementTree.SubElement(suite, "properties")
        for name, image in report.images.items():
            ElementTree.SubElement(properties, "property", name=f"image {name}", value=image)
    if not report.results:
        ElementTree.SubElement(suite, "system-err").text = "nothing was checked"
    for result in report.results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=_plain(".".join(filter(None, (report.command, result.container)))),
            name=_plain(f"{result.title} [{result.id}]"),
            time=f"{result.seconds:.3f}",
        )
        text = _plain("\n".join(f"{label}: {part}" for label, part in _explanation(result)))
        if result.failed:
            message = _plain(result.measured or result.detail)
            ElementTree.SubElement(case, "failure", message=message).text = text
        elif result.status is not Status.PASSED:
            message = _plain("; ".join([found(result), *result.waived]))
            ElementTree.SubElement(case, "skipped", message=message)
    for name in unseen:
        # Readers of JUnit take what is skipped for a pass.
        where = _plain(".".join(filter(None, (report.command, name))))
        case = ElementTree.SubElement(suite, "testcase", classname=where, name="a check was made")
        ElementTree.SubElement(case, "error", message="nothing was judged: no pass")
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _cell(text: str) -> str:
    escaped = html.escape(_plain(text), quote=False).replace("|", "&#124;")
    return "<br>".join(escaped.splitlines())


def _markdown(report: Report) -> str:
    mark, _ = HEAD[report.verdict]
    # The summary may join reports of different days.
    at = "" if report.earlier else f", {report.started}"
    lines = [f"## {mark} {verdict(report)}{at}"]
    lines += ["", *(f"- {_cell(note)}" for note in report.notes)]
    lines += [f"- `{name}` is `{image}`" for name, image in report.images.items()]
    lines += ["", "| | check | container | expected | measured |", "|---|---|---|---|---|"]
    for result in report.results:
        title = f"{result.group}: {result.title}" if result.group else result.title
        row = (title, result.container, promised(result), found(result))
        lines.append(f"| {MARK[result.status]} | {' | '.join(map(_cell, row))} |")
    for result in _explained(report):
        lines += ["", f"### {MARK[result.status]} {_cell(_heading(result))}", ""]
        lines += [f"- {label}: {_cell(text)}" for label, text in _explanation(result)]
    return "\n".join(lines) + "\n"
