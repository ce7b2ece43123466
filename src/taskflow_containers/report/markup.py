"""What the pages below reports/ are made of: without script, and without anything from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from taskflow_containers.report.reporting import MARK, found, promised
from taskflow_containers.report.result import Result, Status

_STYLE = Path(__file__).with_name("page.css")
PROJECT = "the project"  # what a check is of that is of no container
STYLE = {Status.PASSED: "passed", Status.FAILED: "failed"}  # of a status; `other` of the rest


def head(title: str, verdict: str, said: str, style: str) -> Iterator[str]:
    """The beginning of a page, down to its verdict and one line below that."""
    yield '<!doctype html><html lang="en"><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">'
    yield f"<title>{escape(title)}</title><style>{_STYLE.read_text('utf-8')}</style><main>"
    yield f'<div class="verdict {style}"><h1>{escape(verdict)}</h1><p>{escape(said)}</p></div>'


def explanations(results: Sequence[tuple[str, Result]], status: Status) -> Iterator[str]:
    """Of (session, result): each that failed, with what to do, or each that is waived, with its reason."""
    shown = [(session, result) for session, result in results if result.status is status]
    if shown:
        failed = status is Status.FAILED
        heading = "What failed" if failed else "What is waived"
        yield f'<h2 class="{"failed" if failed else "other"}">{heading}</h2>'
        yield from (_explanation(session, result) for session, result in shown)


def _explanation(session: str, result: Result) -> str:
    parts = (("where", result.location), ("expected", promised(result)), ("measured", result.measured),
             ("detail", result.detail), ("waived", "\n".join(result.waived)),
             ("to do", result.fix if result.failed else ""))  # fmt: skip
    said = "".join(f"<div><b>{label}</b> {_lines(text)}</div>" for label, text in parts if text)
    title = ": ".join(filter(None, (session, result.container, result.title)))
    style = "why" if result.failed else "why waived"
    return f'<h3>{escape(title)}</h3><div class="{style}">{said}</div>'


def _lines(text: str) -> str:
    return "<br>".join(map(escape, text.splitlines()))


def checks(results: Sequence[Result]) -> Iterator[str]:
    """A table of checks, a row each."""
    yield '<table class="checks"><col class="mark"><col class="title"><col class="expected"><col>'
    yield "<thead><tr><td><th>check<th>expected<th>measured<tbody>"
    for result in results:
        style = STYLE.get(result.status, "other")
        cells = (escape(text) for text in (result.title, promised(result), found(result)))
        yield f'<tr><td class="{style}">{MARK[result.status]}<td>{"<td>".join(cells)}'
    yield "</table>"
