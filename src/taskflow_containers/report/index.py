"""reports/index.html: all sessions at once, the images, and how their figures went over the last runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from taskflow_containers.project.values import megabytes
from taskflow_containers.report import earlier, history
from taskflow_containers.report.history import Run
from taskflow_containers.report.markup import PROJECT, checks, explanations, head
from taskflow_containers.report.reporting import HEAD, REPORTED
from taskflow_containers.report.result import Report, Status, Verdict

FILE = "index.html"
_EVERY_RUN = ("lint", "build", "scan", "smoke", "chart")  # what `nox` runs by itself
_VERDICT = {Verdict.PASSED: "passed", Verdict.FAILED: "failed", Verdict.UNJUDGED: "other"}
_BYTES, _SECONDS, _COUNT = megabytes, "{:.2f} s".format, "{:,.0f}".format
# What is drawn over the runs: the check whose figure it is, and how it is written.
FIGURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "build.size": ("size above the base", _BYTES),
    "smoke.start": ("start to the first healthy answer", _SECONDS),
    "smoke.run": ("a run to its end", _SECONDS),
    "smoke.memory": ("memory peak", _BYTES),
    history.FINDINGS: ("findings of the scan, waived ones too", _COUNT),
}
_DRAWN = 30  # runs in a plot
_LISTED = 12  # runs in the table
_SBOM = {"sbom-{}.cdx.json": "CycloneDX", "sbom-{}.spdx.json": "SPDX"}


def page(folder: Path) -> str:
    """The page of what lies in this folder, whichever sessions have run."""
    return "".join(_page(folder))


def _page(folder: Path) -> Iterator[str]:
    reports, unread = _reports(folder)
    name = folder.resolve().parent.name
    yield from head(f"Reports of {name}", *_verdict(reports))
    yield from _doubts(reports, unread)
    yield from _sessions(folder, reports)
    said = [(report.command, result) for report in reports for result in report.results]
    yield from explanations(said, Status.FAILED)
    yield from _images(folder, reports)
    yield from _history(*history.read(folder))
    yield from explanations(said, Status.WAIVED)
    for report in reports:
        mark, _ = HEAD[report.verdict]
        yield f"<h2>{report.command}</h2><details><summary>{mark} {_counts(report)}</summary><ul>"
        yield from (f'<li class="soft">{escape(note)}' for note in report.notes)
        yield "</ul>"
        for title, results in groupby(report.results, key=lambda r: (r.container, r.group)):
            heading = " · ".join(filter(None, (title[0] or PROJECT, title[1])))
            yield f"<h3>{escape(heading)}</h3>"
            yield from checks(list(results))
        yield "</details>"
    yield "</main>"


def _reports(folder: Path) -> tuple[list[Report], list[str]]:
    """The sessions' reports, in their order, and the names of files that cannot be read."""
    reports, unread = [], []
    for command in REPORTED:
        path = folder / f"{command}.json"
        try:
            reports.append(earlier.read(path))
        except FileNotFoundError:
            continue
        except earlier.UNREADABLE:
            unread.append(path.name)
    return reports, unread


def _verdict(reports: Sequence[Report]) -> tuple[str, str, str]:
    """The heading, the line below it, and its style."""
    failed = [report.command for report in reports if report.verdict is Verdict.FAILED]
    unjudged = [report.command for report in reports if report.verdict is Verdict.UNJUDGED]
    ran = {report.command for report in reports}
    missing = [command for command in _EVERY_RUN if command not in ran]
    said = "; ".join(
        f"{what}: {', '.join(names)}"
        for what, names in (
            ("passed", [r.command for r in reports if r.verdict is Verdict.PASSED]),
            ("not judged", unjudged),
            ("not run", missing),
        )
        if names
    )
    if failed:
        return f"✗ {' and '.join(failed)} failed", said, "failed"
    if unjudged or missing or not reports:
        return "○ Not everything was judged", said, "other"
    return "✓ Everything passed", said, "passed"


def _doubts(reports: Sequence[Report], unread: Sequence[str]) -> Iterator[str]:
    """What a reader must know before taking these reports for those of one run."""
    said = [f"{name} cannot be read: run that session again" for name in unread]
    commits = {report.commit for report in reports if report.commit}
    if len(commits) > 1:
        said.append("the sessions ran at different commits: run `nox` for one verdict of all")
    images: dict[str, set[str]] = {}
    for report in reports:
        for name, image in report.images.items():
            images.setdefault(name, set()).add(image)
    said += [
        f"the sessions judged different images of {name}: run `nox` for one verdict of all"
        for name, found in images.items()
        if len(found) > 1
    ]
    if said:
        yield f'<ul class="other"><li>{"<li>".join(map(escape, said))}</ul>'


def _counts(report: Report) -> str:
    counts = [(status, report.count(status)) for status in Status]
    return ", ".join(f"{count} {status}" for status, count in counts if count) or "nothing checked"


def _sessions(folder: Path, reports: Sequence[Report]) -> Iterator[str]:
    titles = ("session", "checks", "started", "took", "commit", "files")
    rows = []
    for report in reports:
        mark, _ = HEAD[report.verdict]
        files = [f"{report.command}.{ending}" for ending in ("html", "md", "xml", "sarif", "json")]
        links = [
            _link(name, name.rpartition(".")[2]) for name in files if (folder / name).is_file()
        ]
        rows.append((
            f'<span class="{_VERDICT[report.verdict]}">{mark}</span> {report.command}',
            _counts(report), _time(report.started), f"{report.seconds:.1f} s",
            f"<code>{escape(_short(report.commit))}</code>" if report.commit else "–", " ".join(links),
        ))  # fmt: skip
    yield "<h2>Sessions</h2>"
    yield from _table(titles, rows)


def _link(name: str, text: str) -> str:
    return f'<a href="{escape(quote(name))}">{escape(text)}</a>'


def _time(started: str) -> str:
    return escape(started.replace("T", " ").replace("+00:00", " UTC"))


def _short(commit: str) -> str:
    sha, dash, dirty = commit.partition("-")
    return f"{sha[:12]}{dash}{dirty}"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table whose rows become blocks on a narrow page, where each cell says what it is."""
    yield '<table class="rows"><thead><tr>'
    yield from (f"<th>{title}" for title in titles)
    yield "<tbody>"
    for row in rows:
        yield "<tr>"
        yield from (f'<td data-label="{t}">{cell}' for t, cell in zip(titles, row, strict=True))
    yield "</table>"


def _images(folder: Path, reports: Sequence[Report]) -> Iterator[str]:
    """Each container's image, the figures of the newest reports, and its software bill of materials."""
    figures: dict[str, dict[str, float]] = {}
    for report in reports:
        for name, own in history.run_of(report).figures.items():
            figures.setdefault(name, {}).update(own)
    images = {name: image for report in reports for name, image in report.images.items()}
    shown = [id for id in FIGURES if any(id in own for own in figures.values())]
    if images:
        yield "<h2>Images</h2><ul>"
        for name, image in images.items():
            yield f"<li><code>{escape(name)}</code> is <code>{escape(image)}</code>"
        yield "</ul>"
    names = [name for name in figures if name]
    if not names:
        return
    rows = []
    for name in names:
        own = figures[name]
        cells = [FIGURES[id][1](own[id]) if id in own else "–" for id in shown]
        rows.append([escape(name), *cells, _bill(folder, name) or "–"])
    yield from _table(["container", *(FIGURES[id][0] for id in shown), "SBOM"], rows)


def _bill(folder: Path, name: str) -> str:
    """How many components an image has, and the files that name them."""
    links = [
        _link(file.format(name), title)
        for file, title in _SBOM.items()
        if (folder / file.format(name)).is_file()
    ]
    try:
        bill = json.loads((folder / f"sbom-{name}.cdx.json").read_text(encoding="utf-8"))
        count = f"{len(bill['components'])} components "
    except earlier.UNREADABLE:
        count = ""
    return count + " ".join(links)


def _history(runs: Sequence[Run], broken: int) -> Iterator[str]:
    yield "<h2>The last runs</h2>"
    if broken:
        yield f'<p class="other">Lines of {history.FILE} that cannot be read, and are left out: {broken}'
    if not runs:
        yield "<p>None is kept yet."
        return
    names = dict.fromkeys(name for run in runs for name in run.figures)
    yield '<div class="plots">'
    for name in names:
        for id, (title, written) in FIGURES.items():
            points = [
                (run, run.figures[name][id]) for run in runs if id in run.figures.get(name, {})
            ]
            if points:
                yield from _plot(name or PROJECT, title, written, points[-_DRAWN:])
    yield "</div>"
    rows = [
        (
            f'<span class="{_VERDICT[_of(run)]}">{HEAD[_of(run)][0]}</span> {escape(run.command)}',
            escape(", ".join(f"{count} {status}" for status, count in run.counts.items())),
            _time(run.started), f"{run.seconds:.1f} s",
            f"<code>{escape(_short(run.commit))}</code>" if run.commit else "–",
        )
        for run in [*reversed(runs)][:_LISTED]
    ]  # fmt: skip
    yield from _table(("session", "checks", "started", "took", "commit"), rows)


def _of(run: Run) -> Verdict:
    """The verdict of a run; one that this version does not know counts as none."""
    return Verdict(run.verdict) if run.verdict in {*Verdict} else Verdict.UNJUDGED


def _plot(
    name: str, title: str, written: Callable[[float], str], points: Sequence[tuple[Run, float]]
) -> Iterator[str]:
    """One figure over the runs, from zero: a dot for each, red where that run failed."""
    values = [value for _, value in points]
    top = max(values) * 1.15 or 1
    step = 100 / len(points)
    places = [
        (step * (at + 0.5), 100 - value / top * 100, run.verdict == Verdict.FAILED)
        for at, (run, value) in enumerate(points)
    ]
    last, low, high = (written(value) for value in (values[-1], min(values), max(values)))
    said = f"{title} of {name}: {last} in the last of {len(points)} runs, from {low} to {high}"
    yield f'<figure class="small"><figcaption><b>{escape(name)}</b> {escape(title)} <b>{last}</b></figcaption>'
    yield f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{escape(said)}">'
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in places)
    yield f'<path d="M{line}" stroke="var(--memory)"/>'
    for failed, colour in ((False, "memory"), (True, "fail")):
        dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y, bad in places if bad is failed)
        yield f'<path class="dots" d="{dots}" stroke="var(--{colour})"/>' if dots else ""
    first, newest = (_time(run.started)[:10] for run, _ in (points[0], points[-1]))
    days = first if first == newest else f"{first} to {newest}"
    count = f"{len(points)} runs" if len(points) > 1 else "one run"
    span = low if low == high else f"{low} to {high}"
    yield f'</svg><p class="soft">{count}, {days}: {span}</p></figure>'
