"""reports/smoke.html: the verdict, every check by service and group, and plots over the run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from taskflow_containers.project.values import megabytes
from taskflow_containers.report.markup import PROJECT, checks, explanations, head
from taskflow_containers.report.reporting import HEAD, unjudged
from taskflow_containers.report.result import Report, Result, Status, Verdict
from taskflow_containers.smoke.catalogue import GROUPS
from taskflow_containers.smoke.timeline import Mark, Series, Timeline

_GAP = 1.5  # seconds between two samples above which the line breaks


def render(report: Report, timeline: Timeline, *, whole: bool) -> str:
    """The page, without script and without anything from elsewhere; `whole`: no check left out."""
    return "".join(_page(report, timeline, whole))


def _page(report: Report, timeline: Timeline, whole: bool) -> Iterator[str]:
    passed = "Fit for production" if whole else "The chosen checks passed"
    mark, _ = HEAD[report.verdict]
    title, style = {
        Verdict.PASSED: (passed, "passed"),
        Verdict.FAILED: ("Not fit for production", "failed"),
        Verdict.UNJUDGED: (unjudged(report).capitalize(), "other"),
    }[report.verdict]
    counts = [f"{report.count(s)} {s.value}" for s in Status if report.count(s)]
    said = (
        f"{', '.join(counts) or 'nothing was checked'} in {report.seconds:.1f} s, {report.started}"
    )
    yield from head(f"Smoke test: {title}", f"{mark} {title}", said, style)
    if report.taken:
        yield '<table class="counts"><thead><tr><td><th>value<th>taken from<tbody>'
        for taken in report.taken:
            yield f"<tr><td>{'<td>'.join(map(escape, taken))}"
        yield "</table>"
    yield "<ul>"
    for name, image in report.images.items():
        yield f"<li><code>{escape(name)}</code> is <code>{escape(image)}</code>"
    yield from (f'<li class="soft">{escape(note)}' for note in report.notes)
    yield "</ul>"
    containers = list(dict.fromkeys(result.container for result in report.results))
    yield from _counts(report.results, containers)
    for status in (Status.FAILED, Status.WAIVED):
        yield from explanations([("", result) for result in report.results], status)
    for name in containers:
        yield f"<h2>{escape(name or PROJECT)}</h2>"
        for series in timeline.series.values():
            if series.name == name:
                yield from _plots(series, timeline.seconds)
        own = [result for result in report.results if result.container == name]
        for group, results in groupby(own, key=lambda result: result.group):
            yield f"<h3>{escape(GROUPS.get(group, group))}</h3>" if group else ""
            yield from checks(list(results))
    yield "</main>"


def _counts(results: Sequence[Result], containers: Sequence[str]) -> Iterator[str]:
    yield '<table class="counts"><thead><tr><th>group'
    yield from (f"<th>{escape(name or PROJECT)}" for name in containers)
    yield "<tbody>"
    for group, title in GROUPS.items():
        cells = []
        for name in containers:
            own = [r for r in results if r.container == name and r.group == group]
            good = sum(r.status is Status.PASSED for r in own)
            bad = sum(r.failed for r in own)
            rest = len(own) - good - bad
            text = f'<span class="failed">✗ {bad}</span> ' if bad else ""
            text += f'<span class="passed">✓ {good}</span>' if good else ""
            text += f' <span class="other">○ {rest}</span>' if rest else ""
            cells.append(text or '<span class="soft">–</span>')
        if any('span class="soft"' not in cell for cell in cells):
            yield f"<tr><td>{title}<td>{'<td>'.join(cells)}"
    yield "</table>"


def _plots(series: Series, seconds: float) -> Iterator[str]:
    marks = sorted(series.marks, key=lambda mark: mark.start)
    if series.title:
        yield f"<h3>{escape(series.title)}</h3>"
    if series.memory:
        # The limit belongs into the picture: it is what the memory is held to.
        top = series.limit * 1.08
        points = [(at, size / top) for at, size in series.memory]
        ticks = [
            (share * series.limit / top, megabytes(share * series.limit)[:-5] + " MB")
            for share in (0, 0.5, 1)
        ]
        yield from _plot("Memory", "memory", points, ticks, marks, seconds, series.limit / top)
    answered = [(at, taken) for at, taken in series.latency if taken is not None]
    if answered:
        # A logarithm shows both the ordinary millisecond and the second that a fault costs.
        low, high = 0.001, max(1.0, *(taken for _, taken in answered))

        def height(taken: float) -> float:
            return math.log10(max(taken, low) / low) / math.log10(high / low)

        values = [value for value in (0.001, 0.01, 0.1, 1.0) if value <= high]
        ticks = [(height(value), f"{value * 1000:g} ms") for value in values]
        points = [(at, height(taken)) for at, taken in answered]
        away = _stretches([(at, taken is None) for at, taken in series.latency])
        yield from _plot(
            "Latency of readiness", "latency", points, ticks, marks, seconds, away=away
        )
    yield '<ol class="legend">'
    for number, mark in enumerate(marks, 1):
        yield f"<li><b>{number}</b> {escape(mark.text)} <span class='soft'>{mark.start:.1f}–{mark.end:.1f} s</span>"
    if any(taken is None for _, taken in series.latency):
        yield '<li><b class="failed">▬</b> not ready: no 200 within a second'
    yield "</ol>"


def _stretches(samples: Sequence[tuple[float, bool]]) -> list[tuple[float, float]]:
    """From where to where the samples are true."""
    found: list[tuple[float, float]] = []
    start: float | None = None
    for at, true in samples:
        if true and start is None:
            start = at
        elif not true and start is not None:
            found.append((start, at))
            start = None
    return found if start is None else [*found, (start, samples[-1][0])]


def _plot(
    title: str,
    style: str,
    points: Sequence[tuple[float, float]],
    ticks: Sequence[tuple[float, str]],
    marks: Sequence[Mark],
    seconds: float,
    limit: float | None = None,
    away: Sequence[tuple[float, float]] = (),
) -> Iterator[str]:
    """One curve; heights are shares of the frame, and the labels are HTML so that they never shrink."""
    yield f'<div class="plot"><b>{title}</b><div class="frame">'
    yield f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{title} over the run">'
    across = 100 / max(seconds, 0.1)
    for mark in marks:
        width = max((mark.end - mark.start) * across, 0.4)
        yield f'<rect x="{mark.start * across:.2f}" y="0" width="{width:.2f}" height="100"/>'
    for start, end in away:
        width = max((end - start) * across, 0.4)
        yield f'<rect class="away" x="{start * across:.2f}" y="94" width="{width:.2f}" height="6"/>'
    for share, _ in ticks:
        yield f'<line x1="0" x2="100" y1="{100 - share * 100:.2f}" y2="{100 - share * 100:.2f}" stroke="var(--line)"/>'
    if limit is not None:
        y = 100 - limit * 100
        yield f'<line x1="0" x2="100" y1="{y:.2f}" y2="{y:.2f}" stroke="var(--fail)" stroke-dasharray="5 4"/>'
    path, before = "", -math.inf
    for at, share in points:
        path += f"{'M' if at - before > _GAP else 'L'}{at * across:.2f} {100 - share * 100:.2f}"
        before = at
    yield f'<path d="{path}" stroke="var(--{style})"/></svg>'
    for share, text in ticks:
        yield f'<span class="y" style="bottom:{share * 100:.1f}%">{text}</span>'
    if limit is not None:
        yield f'<span class="limit" style="bottom:{limit * 100 + 1.5:.1f}%">limit</span>'
    for number, mark in enumerate(marks, 1):
        middle = (mark.start + mark.end) / 2 * across
        yield f'<span class="n" style="left:{middle:.1f}%">{number}</span>'
    step = next(s for s in (1, 2, 5, 10, 20, 30, 60, 120, 300, 3600) if seconds / s <= 6)
    for at in range(0, int(seconds) + 1, step):
        yield f'<span class="x" style="left:{at * across:.1f}%">{at} s</span>'
    yield "</div></div>"
