"""reports/history.jsonl: a line for each run of a session, so that figures are seen over several runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from taskflow_containers.report.result import Report, Status
from taskflow_containers.report.writing import save

FILE = "history.jsonl"
FINDINGS = "scan.findings"  # how many things a scan found, waived ones too
_COMPLETE = "scan.vulnerabilities"  # where this was not judged, a count would be too low
_KEPT = 200  # lines
_AT_MOST = 2 * _KEPT  # lines, beyond which the file is cut


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a session: `counts` by status, `figures` by container and check (bytes, seconds, or a count)."""

    command: str
    started: str
    seconds: float
    commit: str
    verdict: str
    counts: Mapping[str, int]
    figures: Mapping[str, Mapping[str, float]]


def run_of(report: Report) -> Run:
    """What is kept of a report."""
    figures: dict[str, dict[str, float]] = {}
    for result in report.results:
        if result.figure is not None:
            figures.setdefault(result.container, {})[result.id] = result.figure
    unscanned = {Status.SKIPPED, Status.UNMEASURABLE}
    for result in report.results:
        if result.id == _COMPLETE and result.status not in unscanned:
            found = [r.findings or () for r in report.results if r.container == result.container]
            figures.setdefault(result.container, {})[FINDINGS] = sum(map(len, found))
    counts = {status.value: report.count(status) for status in Status if report.count(status)}
    verdict = report.verdict.value
    return Run(report.command, report.started, report.seconds, report.commit, verdict, counts, figures)  # fmt: skip


def append(folder: Path, report: Report) -> None:
    """Keep this run, too; of a long history only the newest lines stay."""
    path = folder / FILE
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(asdict(run_of(report))) + "\n")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if len(lines) > _AT_MOST:
        save(path, "\n".join(lines[-_KEPT:]) + "\n")


def read(folder: Path) -> tuple[list[Run], int]:
    """The runs, oldest first, and how many lines cannot be read."""
    try:
        text = (folder / FILE).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return [], 0
    lines = [line for line in text.splitlines() if line.strip()]
    runs = list(_runs(lines))
    return runs, len(lines) - len(runs)


def _runs(lines: list[str]) -> Iterator[Run]:
    for line in lines:
        try:
            yield _run(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError):
            continue


def _run(kept: Any) -> Run:
    """One line; ValueError, TypeError, KeyError or AttributeError where it is not one of ours."""
    return Run(
        str(kept["command"]), str(kept["started"]), float(kept["seconds"]), str(kept["commit"]),
        str(kept["verdict"]),
        {str(status): int(count) for status, count in kept["counts"].items()},
        {str(name): {str(id): float(value) for id, value in own.items()}
         for name, own in kept["figures"].items()},
    )  # fmt: skip
