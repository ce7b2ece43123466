"""Writers over the one result model: JUnit, JSON, Markdown, SARIF, further pages."""

from __future__ import annotations

import html
import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

from taskflow_containers.report.codequality import FILE_NAME as FINDINGS
from taskflow_containers.report.codequality import codequality
from taskflow_containers.report.result import Report, Result, Status, Verdict
from taskflow_containers.report.sarif import sarif
from taskflow_containers.report.writing import save

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"
# In the order of a summary.
REPORTED = ("lint", "build", "scan", "smoke", "chart", "cluster", "release")
MARK = {
    Status.PASSED: "✓",
    Status.FAILED: "✗",
    Status.WAIVED: "!",
    Status.SKIPPED: "–",
    Status.UNMEASURABLE: "○",
}
# The mark of a whole report, and its style in a terminal.
HEAD = {
    Verdict.PASSED: (MARK[Status.PASSED], "bold green"),
    Verdict.FAILED: (MARK[Status.FAILED], "bold red"),
    Verdict.UNJUDGED: (MARK[Status.UNMEASURABLE], "bold yellow"),
}
_CONTROL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def plain(text: str) -> str:
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


def explained(report: Report) -> list[Result]:
    """What a report says more of than a line in its table: first what is waived, then what failed."""
    shown = (Status.WAIVED, Status.FAILED)
    return [result for status in shown for result in report.results if result.status is status]


def heading(result: Result) -> str:
    """The check, and the container it is of."""
    return f"{result.title} ({result.container})" if result.container else result.title


def explanation(result: Result) -> list[tuple[str, str]]:
    """What is known of one check, each with its label."""
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
    """Write reports/COMMAND.{json,xml,md,sarif}, and anew what joins all commands' reports."""
    folder.mkdir(parents=True, exist_ok=True)
    markdown = _markdown(report)
    save(folder / f"{report.command}.json", _json(report))
    save(folder / f"{report.command}.xml", _junit(report))
    save(folder / f"{report.command}.md", markdown)
    save(folder / f"{report.command}.sarif", sarif(report, folder.parent))
    pages = _all(folder, "md")
    texts = [page.read_text("utf-8", errors="replace") for page in pages]
    save(folder / "summary.md", "\n".join(texts))
    save(folder / FINDINGS, codequality(_all(folder, "sarif")))
    for name, page in report.pages.items():
        save(folder / name, page(report))
    if f"{report.command}.html" not in report.pages and not report.earlier:
        # An older run's page must not be taken for this one's.
        (folder / f"{report.command}.html").unlink(missing_ok=True)


def _all(folder: Path, kind: str) -> list[Path]:
    """The reports of this kind that there are, in the order of a summary."""
    found = [folder / f"{command}.{kind}" for command in REPORTED]
    return [path for path in found if path.is_file()]


def tell_ci(report: Report) -> None:
    """Add the report to the page that GitHub shows of a job, where there is one: as short as a comment."""
    if summary := os.environ.get(STEP_SUMMARY):
        with Path(summary).open("a", encoding="utf-8") as stream:
            stream.write(_markdown(report, brief=True) + "\n")


def _json(report: Report) -> str:
    data = {
        "command": report.command,
        "verdict": report.verdict.value,
        "started": report.started,
        "seconds": report.seconds,
        "commit": report.commit,
        "notes": report.notes,
        "images": report.images,
        "taken": [taken._asdict() for taken in report.taken],
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
    facts = {f"image {name}": image for name, image in report.images.items()}
    facts |= {f"taken {what}": f"{value} ({source})" for what, value, source in report.taken}
    if facts:
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in facts.items():
            ElementTree.SubElement(properties, "property", name=name, value=plain(value))
    if not report.results:
        ElementTree.SubElement(suite, "system-err").text = "nothing was checked"
    for result in report.results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=plain(".".join(filter(None, (report.command, result.container)))),
            name=plain(f"{result.title} [{result.id}]"),
            time=f"{result.seconds:.3f}",
        )
        text = plain("\n".join(f"{label}: {part}" for label, part in explanation(result)))
        if result.failed:
            message = plain(result.measured or result.detail)
            ElementTree.SubElement(case, "failure", message=message).text = text
        elif result.status is not Status.PASSED:
            message = plain("; ".join([found(result), *result.waived]))
            ElementTree.SubElement(case, "skipped", message=message)
    for name in unseen:
        # Readers of JUnit take what is skipped for a pass.
        where = plain(".".join(filter(None, (report.command, name))))
        case = ElementTree.SubElement(suite, "testcase", classname=where, name="a check was made")
        ElementTree.SubElement(case, "error", message="nothing was judged: no pass")
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _cell(text: str) -> str:
    escaped = html.escape(plain(text), quote=False).replace("|", "&#124;")
    return "<br>".join(escaped.splitlines())


def _markdown(report: Report, *, brief: bool = False) -> str:
    """The report as a page; a `brief` one leaves out the checks that passed."""
    mark, _ = HEAD[report.verdict]
    # The summary may join reports of different days.
    at = "" if report.earlier else f", {report.started}"
    lines = [f"## {mark} {verdict(report)}{at}"]
    if report.taken:
        lines += ["", "| | value | taken from |", "|---|---|---|"]
        lines += [f"| {' | '.join(map(_cell, taken))} |" for taken in report.taken]
    lines += ["", *(f"- {_cell(note)}" for note in report.notes)]
    lines += [f"- `{name}` is `{image}`" for name, image in report.images.items()]
    shown = [r for r in report.results if not (brief and r.status is Status.PASSED)]
    if shown:
        lines += ["", "| | check | container | expected | measured |", "|---|---|---|---|---|"]
    for result in shown:
        title = f"{result.group}: {result.title}" if result.group else result.title
        row = (title, result.container, promised(result), found(result))
        lines.append(f"| {MARK[result.status]} | {' | '.join(map(_cell, row))} |")
    for result in explained(report):
        lines += ["", f"### {MARK[result.status]} {_cell(heading(result))}", ""]
        lines += [f"- {label}: {_cell(text)}" for label, text in explanation(result)]
    return "\n".join(lines) + "\n"
