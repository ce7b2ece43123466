"""reports/index.html and the history of the runs: whatever lies in the folder, the page is whole."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from taskflow_containers.report import history, index, reporting
from taskflow_containers.report.result import Report, Result, Status, judge, skip
from taskflow_containers.report.writing import save

NASTY = 'a|b <script>alert(1)</script> & "q" \x1b[2J\r\nnext \udcff</svg>'


@pytest.fixture(autouse=True)
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(reporting.STEP_SUMMARY, raising=False)


class Reader(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.labels: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.labels += [value or "" for name, value in attrs if name == "aria-label"]

    def handle_data(self, data: str) -> None:
        self.text += data


def figure(id: str, value: float, container: str = "backend") -> Result:
    return judge(id, id, True, container=container, measured=value, figure=value)


def write(folder: Path, command: str, *results: Result, commit: str = "a" * 40) -> Report:
    report = Report(command, results=[*results], commit=commit)
    report.images = {"shop-backend:dev": "sha256:1"} if command != "lint" else {}
    report.close()
    reporting.write(report, folder)
    history.append(folder, report)
    return report


def read(folder: Path) -> Reader:
    return Reader(index.page(folder))


def test_before_any_session_it_says_what_is_missing(tmp_path: Path) -> None:
    page = read(tmp_path)
    assert "Not everything was judged" in page.text
    assert "not run: lint, build, scan, smoke, chart" in page.text


def test_a_whole_run_is_one_page(tmp_path: Path) -> None:
    for command in ("lint", "build", "scan", "smoke", "chart"):
        write(tmp_path, command, figure(f"{command}.any", 1))
    for size in (40_000_000, 50_000_000):
        write(tmp_path, "build", figure("build.size", size))
    bill: dict[str, object] = {"components": [{}, {}, {}]}
    (tmp_path / "sbom-backend.cdx.json").write_text(json.dumps(bill))
    page = read(tmp_path)
    assert "✓ Everything passed" in page.text
    assert "3 components CycloneDX" in page.text
    assert page.labels == [
        "size above the base of backend: 50.0 MB in the last of 2 runs, from 40.0 MB to 50.0 MB"
    ]
    assert "run `nox` for one verdict" not in page.text


def test_what_failed_comes_with_what_to_do(tmp_path: Path) -> None:
    bad = judge("smoke.stop", "stops on SIGTERM", False, container="backend", expected="0", measured="137", fix="handle it")  # fmt: skip
    write(tmp_path, "lint", figure("lint.any", 1))
    write(tmp_path, "smoke", bad)
    page = read(tmp_path)
    assert "✗ smoke failed" in page.text
    assert "smoke: backend: stops on SIGTERM" in page.text
    assert "to do handle it" in page.text


def test_sessions_of_different_commits_and_images_are_no_one_run(tmp_path: Path) -> None:
    write(tmp_path, "build", figure("build.size", 1))
    later = Report("smoke", results=[figure("smoke.start", 1)], commit="b" * 40)
    later.images = {"shop-backend:dev": "sha256:2"}
    later.close()
    reporting.write(later, tmp_path)
    text = read(tmp_path).text
    assert "the sessions ran at different commits" in text
    assert "different images of shop-backend:dev" in text


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    bad = judge(NASTY, NASTY, False, container=NASTY, expected=NASTY, measured=NASTY, detail=NASTY, fix=NASTY)  # fmt: skip
    one = Report("scan", notes=[NASTY], images={NASTY: NASTY}, results=[bad], commit=NASTY)
    reporting.write(one, tmp_path)
    history.append(
        tmp_path, Report("smoke", results=[figure("smoke.start", 1, NASTY)], commit=NASTY)
    )
    page = read(tmp_path)
    assert "script" not in page.tags
    assert page.tags.count("svg") == 1
    save(tmp_path / index.FILE, index.page(tmp_path))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"command": "lint"}', '{"results": [{"status": "perhaps"}]}']
)
def test_a_report_that_cannot_be_read_is_named(text: str, tmp_path: Path) -> None:
    write(tmp_path, "build", figure("build.size", 1))
    (tmp_path / "lint.json").write_text(text)
    (tmp_path / "sbom-backend.cdx.json").write_text(text)
    assert "lint.json cannot be read" in read(tmp_path).text


def test_a_history_that_is_broken_or_of_another_version_loses_those_lines_alone(
    tmp_path: Path,
) -> None:
    write(tmp_path, "build", figure("build.size", 1))
    with (tmp_path / history.FILE).open("a") as stream:
        stream.write('{"half\n[]\n\n{"command": "build", "figures": []}\n\xff\n')
    write(tmp_path, "build", figure("build.size", 2))
    runs, broken = history.read(tmp_path)
    assert [run.figures["backend"]["build.size"] for run in runs] == [1, 2]
    assert broken == 4
    assert "left out: 4" in read(tmp_path).text


def test_a_history_has_an_end(tmp_path: Path) -> None:
    line = json.dumps({**vars_of(write(tmp_path, "lint", figure("lint.any", 1)))}) + "\n"
    (tmp_path / history.FILE).write_text(line * 400)
    write(tmp_path, "build", figure("build.size", 7))
    runs, broken = history.read(tmp_path)
    assert (len(runs), broken, runs[-1].command) == (200, 0, "build")


def vars_of(report: Report) -> dict[str, object]:
    run = history.run_of(report)
    return {name: getattr(run, name) for name in run.__slots__}


@pytest.mark.parametrize(
    ("vulnerabilities", "expected"),
    [
        (judge("scan.vulnerabilities", "", False, container="backend", findings=["A x: y"]), {"scan.findings": 3}),
        (skip("scan.vulnerabilities", "", "offline", container="backend"), {}),
    ],
)  # fmt: skip
def test_findings_are_counted_where_all_of_them_were_looked_for(
    vulnerabilities: Result, expected: dict[str, float]
) -> None:
    others = [
        judge("scan.licences", "", False, container="backend", findings=["B x: y", "C x: y"]),
        judge("scan.licences", "", False, container="frontend", findings=["D x: y"]),
    ]
    run = history.run_of(Report("scan", results=[vulnerabilities, *others]))
    assert run.figures.get("backend", {}) == expected
    assert run.counts["failed"] == 2 + (vulnerabilities.status is Status.FAILED)
