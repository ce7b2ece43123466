"""The writers: whatever the values hold, the reports are whole, well-formed and say what to do."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from taskflow_containers.machine.errors import (
    EnvironmentTrouble,
    ExitCode,
    InputError,
    NoEngineError,
    TaskflowError,
)
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load
from taskflow_containers.report import earlier, progress, reporting, terminal
from taskflow_containers.report.result import Report, Result, Status, judge, skip
from taskflow_containers.smoke import page
from taskflow_containers.smoke.timeline import Timeline

NASTY = (
    'a|b <script>x</script> & "q" [bold]m[/bold] [/] \\| `c` \x1b[2J\x00\x07\r\nnext\tline \ud800é✗'
)


@pytest.fixture(autouse=True)
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def failed(text: str = "", **values: str) -> Result:
    """A failed check; `text` stands wherever no value is given."""

    def value(key: str) -> str:
        return values.get(key, text or key)

    return judge(
        "lint.sample",
        value("title"),
        False,
        container=value("container"),
        expected=value("expected"),
        measured=value("measured"),
        fix=value("fix"),
        location=value("location"),
        detail=value("detail"),
    )


def report(*results: Result, command: str = "lint") -> Report:
    made = Report(command, notes=["engine: none"], images={"taskflow-backend:dev": "sha256:1"})
    made.add(results)
    made.close()
    return made


def shown(made: Report, width: int = 120, *, verbose: bool = True) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=False)
    terminal.show(made, console, verbose=verbose)
    return stream.getvalue()


PASSED = judge(
    "lint.one", "one", True, container="backend", expected="1", measured="1", seconds=1.5
)
SKIPPED = skip("lint.two", "two", "no engine answers", container="frontend")
UNMEASURABLE = Result(
    "lint.four", "four", Status.UNMEASURABLE, container="backend", detail="no swap accounting"
)
WAIVED = replace(
    failed(title="five", measured="one left open"),
    status=Status.WAIVED,
    waived=("DL3003 Dockerfile:3 until 2027-01-31: the image of a test",),
)
FAILED = failed(title="three", expected="8000", measured="8080", fix="mend it", location="f:3")


def test_the_verdict_and_exit_code() -> None:
    assert int(report(PASSED, SKIPPED).exit_code) == 0
    made = report(PASSED, FAILED, SKIPPED)
    assert int(made.exit_code) == 1
    assert reporting.verdict(made).startswith("lint: 1 passed, 1 failed, 1 skipped in ")


def test_exit_codes_of_errors_differ() -> None:
    codes = {kind("x").exit_code for kind in (InputError, NoEngineError, EnvironmentTrouble)}
    assert codes == {2, 3, 4}
    assert TaskflowError("x").exit_code == ExitCode.ENVIRONMENT
    assert len({code.meaning for code in ExitCode}) == len(ExitCode)
    assert str(InputError("what", "how")) == "what\n  how"


def test_fix_and_location_are_for_what_failed() -> None:
    assert (FAILED.fix, FAILED.location) == ("mend it", "f:3")
    fine = judge("x", "x", True, fix="mend it", location="f:3")
    assert (fine.fix, fine.location) == ("", "")


def test_three_files_and_the_summary(tmp_path: Path) -> None:
    reporting.write(report(PASSED, FAILED), tmp_path / "reports")
    names = sorted(path.name for path in (tmp_path / "reports").iterdir())
    assert names == ["gl-code-quality-report.json", "lint.json", "lint.md", "lint.sarif", "lint.xml", "summary.md"]  # fmt: skip


def test_json(tmp_path: Path) -> None:
    reporting.write(report(PASSED, FAILED, SKIPPED), tmp_path)
    data = json.loads((tmp_path / "lint.json").read_text(encoding="utf-8"))
    assert (data["command"], data["verdict"]) == ("lint", "failed")
    assert data["images"] == {"taskflow-backend:dev": "sha256:1"}
    assert data["notes"] == ["engine: none"]
    assert [item["status"] for item in data["results"]] == ["passed", "failed", "skipped"]
    assert data["results"][1]["fix"] == "mend it"
    assert data["results"][0]["seconds"] == 1.5


def test_junit(tmp_path: Path) -> None:
    reporting.write(report(PASSED, FAILED, SKIPPED), tmp_path)
    suite = ElementTree.parse(tmp_path / "lint.xml").getroot()[0]
    counts = {key: suite.get(key) for key in ("tests", "failures", "skipped", "errors")}
    assert counts == {"tests": "3", "failures": "1", "skipped": "1", "errors": "0"}
    (image,) = suite.iter("property")
    assert (image.get("name"), image.get("value")) == ("image taskflow-backend:dev", "sha256:1")
    one, three, two = suite.findall("testcase")
    assert (one.get("classname"), one.get("name"), one.get("time")) == (
        "lint.backend",
        "one [lint.one]",
        "1.500",
    )
    failure, omission = three.find("failure"), two.find("skipped")
    assert failure is not None and omission is not None
    assert failure.get("message") == "8080"
    assert omission.get("message") == "no engine answers"


@pytest.mark.parametrize("name", ["lint.md", "lint.xml", "lint.json"])
def test_a_failure_says_expected_measured_and_to_do(name: str, tmp_path: Path) -> None:
    reporting.write(report(FAILED), tmp_path)
    text = (tmp_path / name).read_text(encoding="utf-8")
    for value in ("8000", "8080", "mend it", "f:3"):
        assert value in text


@pytest.mark.parametrize("verbose", [True, False])
def test_the_terminal_says_so_too(verbose: bool) -> None:
    text = shown(report(PASSED, FAILED, SKIPPED), verbose=verbose)
    for part in ("✗ three", "where: f:3", "expected: 8000", "measured: 8080", "to do: mend it"):
        assert part in text
    assert "engine: none" in text
    assert "no engine answers" in text


def test_nasty_values_in_json(tmp_path: Path) -> None:
    reporting.write(report(failed(NASTY)), tmp_path)
    data = json.loads((tmp_path / "lint.json").read_text(encoding="utf-8"))
    assert data["results"][0]["measured"] == NASTY


def test_nasty_values_in_junit(tmp_path: Path) -> None:
    reporting.write(report(failed(NASTY), skip("x", NASTY, NASTY)), tmp_path)
    case = ElementTree.parse(tmp_path / "lint.xml").getroot()[0].find("testcase")
    assert case is not None
    failure = case.find("failure")
    assert failure is not None and failure.text
    assert '<script>x</script> & "q" [bold]m[/bold]' in failure.text
    assert "\x1b" not in failure.text


def test_nasty_values_in_markdown(tmp_path: Path) -> None:
    reporting.write(report(failed(NASTY), skip("x", NASTY, NASTY)), tmp_path)
    text = (tmp_path / "lint.md").read_bytes().decode("utf-8")
    assert "<script>" not in text
    assert "\x1b" not in text and "\r" not in text
    rows = [line for line in text.split("\n") if line.startswith("| ")]
    assert len(rows) == 3, "a value broke its row in two"
    assert {row.count("|") for row in rows} == {6}, "a value made a cell more"
    assert "&#124;" in rows[1] and "<br>next" in rows[1]
    assert "[bold]m[/bold]" in rows[1]


@pytest.mark.parametrize("verbose", [True, False])
@pytest.mark.parametrize("width", [1, 10, 20, 40, 80, 400])
def test_nasty_values_on_terminals_of_any_width(width: int, verbose: bool) -> None:
    made = report(failed(NASTY), PASSED, skip("x", NASTY, NASTY))
    made.notes.append(NASTY)
    text = shown(made, width, verbose=verbose)
    assert "\x1b" not in text and "\x00" not in text and "\x07" not in text
    if width >= 80:
        assert "[bold]m[/bold] [/]" in text
        assert "to do: a|b <script>x</script>" in text


def test_a_value_that_ends_in_a_backslash() -> None:
    assert "C:\\" in shown(report(failed("C:\\")))


def test_an_empty_report_has_failed(tmp_path: Path) -> None:
    made = report()
    assert made.exit_code == ExitCode.CHECK_FAILED
    reporting.write(made, tmp_path)
    assert json.loads((tmp_path / "lint.json").read_text("utf-8"))["verdict"] == "failed"
    first, *_ = (tmp_path / "lint.md").read_text("utf-8").splitlines()
    assert first.startswith("## ✗ lint: nothing was checked")
    suite = ElementTree.parse(tmp_path / "lint.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("errors")) == ("0", "1")
    assert "nothing was checked" in shown(made)


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([SKIPPED], "nothing was judged: no pass"),
        ([UNMEASURABLE, SKIPPED], "nothing was judged: no pass"),
        ([replace(PASSED, container="frontend"), UNMEASURABLE], "nothing was judged of backend: no pass"),
        # What it is at rest says nothing of how it runs.
        ([replace(PASSED, container="backend", group="image"), UNMEASURABLE], "nothing was judged of backend: no pass"),
    ],
)  # fmt: skip
def test_what_nobody_judged_has_not_passed(
    results: list[Result], said: str, sample: Path, tmp_path: Path
) -> None:
    made = report(*results, command="smoke")
    made.pages["smoke.html"] = lambda closed: page.render(closed, Timeline(), whole=True)
    assert made.exit_code == ExitCode.CHECK_FAILED
    assert said in shown(made)
    reporting.write(made, tmp_path)
    assert json.loads((tmp_path / "smoke.json").read_text("utf-8"))["verdict"] == "not judged"
    first, *_ = (tmp_path / "summary.md").read_text("utf-8").splitlines()
    assert first.startswith("## ○ smoke: ")
    assert said in first
    suite = ElementTree.parse(tmp_path / "smoke.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("errors")) == (str(len(results) + 1), "1")
    assert len(suite.findall("testcase/error")) == 1
    html = (tmp_path / "smoke.html").read_text("utf-8")
    assert said.capitalize() in html
    assert "Fit for production" not in html
    again = report(command="smoke")
    model = load(sample / FILE_NAME)
    assert not earlier.recall(again, tmp_path, model, ["smoke.html"]), "it is told as no pass"


def test_the_summary_has_the_order_of_the_run(tmp_path: Path) -> None:
    for command in ("smoke", "release", "scan", "chart", "build", "lint"):
        reporting.write(report(PASSED, command=command), tmp_path)
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    heads = [line.split()[2] for line in summary.splitlines() if line.startswith("## ")]
    assert heads == ["lint:", "build:", "scan:", "smoke:", "chart:", "release:"]


def test_a_second_run_replaces_the_first(tmp_path: Path) -> None:
    reporting.write(report(FAILED), tmp_path)
    reporting.write(report(PASSED), tmp_path)
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert summary.count("## ") == 1
    assert datetime.now(UTC).date().isoformat() in summary, (
        "the reports of several days are told apart"
    )
    assert "8080" not in summary


@pytest.mark.parametrize("known", [True, False])
def test_a_page_of_an_older_run(known: bool, tmp_path: Path) -> None:
    file = tmp_path / "smoke.html"
    first = report(PASSED, command="smoke")
    first.pages[file.name] = lambda closed: f"<p>{len(closed.results)}</p>"
    reporting.write(first, tmp_path)
    assert file.read_text("utf-8") == "<p>1</p>"
    second = report(PASSED, command="smoke")
    second.earlier = known
    reporting.write(second, tmp_path)
    assert file.exists() is known


def test_the_step_summary_is_added_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = tmp_path / "step.md"
    step.write_text("before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    reporting.tell_ci(report(failed(NASTY)))
    reporting.tell_ci(report(PASSED, command="build"))
    text = step.read_text(encoding="utf-8")
    assert text.startswith("before\n## ✗ lint")
    assert "\n## ✓ build" in text
    assert f"| {reporting.MARK[Status.FAILED]} |" in text
    assert f"| {reporting.MARK[Status.PASSED]} |" not in text, "as short as a comment"


@pytest.mark.parametrize("failing", ["write_text", "replace"])
def test_an_interrupted_write_leaves_the_old_report(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reporting.write(report(PASSED), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def interrupt(path: Path, *_: object, **__: object) -> None:
        if failing == "write_text":
            path.write_bytes(b'{"half')
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, failing, interrupt)
        reporting.write(report(FAILED), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("verbose", [True, False])
def test_statuses_each_have_a_mark(verbose: bool) -> None:
    made = report(PASSED, FAILED, WAIVED, SKIPPED, UNMEASURABLE)
    made.results[0] = replace(PASSED, group="image")
    text = shown(made, verbose=verbose)
    assert [mark in text for mark in "✓✗!–○"] == [True] * len(Status)


def test_a_line_for_a_group_and_each_reason_once() -> None:
    made = report(
        *(replace(PASSED, group=group) for group in ("image", "image", "health")),
        *(replace(SKIPPED, container=name) for name in ("backend", "frontend")),
        *(replace(UNMEASURABLE, title=f"check {number}") for number in range(9)),
        WAIVED,
    )
    lines = shown(made, 60, verbose=False).splitlines()
    assert lines[:-1] == [
        "engine: none",
        "✓ image: 2 passed in 3.0 s",
        "✓ health: 1 passed in 1.5 s",
        "– two (backend, frontend): no engine answers",
        "○ 9 checks (backend): not measurable here because no swap accounting",
        "! five (container): waived: DL3003 Dockerfile:3 until 2027-01-31",
    ]
    assert lines[-1].startswith("lint: 3 passed, 1 waived, 2 skipped, 9 not measurable in ")


def test_what_cannot_be_measured_is_no_pass(tmp_path: Path) -> None:
    made = report(PASSED, UNMEASURABLE)
    words = "not measurable here because no swap accounting"
    assert reporting.verdict(made).startswith("lint: 1 passed, 1 not measurable in ")
    assert words in shown(made, 200)
    reporting.write(made, tmp_path)
    assert words in (tmp_path / "lint.md").read_text(encoding="utf-8")
    data = json.loads((tmp_path / "lint.json").read_text(encoding="utf-8"))
    assert data["counts"] == {
        "passed": 1, "failed": 0, "waived": 0, "skipped": 0, "not measurable": 1,
    }  # fmt: skip
    suite = ElementTree.parse(tmp_path / "lint.xml").getroot()[0]
    assert suite.get("skipped") == "1"
    skipped = suite.find("testcase/skipped")
    assert skipped is not None
    assert skipped.get("message") == words


def test_what_is_waived_is_told_everywhere_and_fails_nothing(tmp_path: Path) -> None:
    made = report(PASSED, WAIVED, command="smoke")
    made.pages["smoke.html"] = lambda closed: page.render(closed, Timeline(), whole=True)
    assert made.exit_code == ExitCode.OK
    assert reporting.verdict(made).startswith("smoke: 1 passed, 1 waived in ")
    words = "until 2027-01-31: the image of a test"
    assert words in shown(made)
    reporting.write(made, tmp_path)
    for name in ("smoke.json", "smoke.md", "smoke.xml", "smoke.html"):
        assert words in (tmp_path / name).read_text(encoding="utf-8"), name
    suite = ElementTree.parse(tmp_path / "smoke.xml").getroot()[0]
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "1")
    skipped = suite.find("testcase/skipped")
    assert skipped is not None
    assert words in str(skipped.get("message"))


@pytest.mark.parametrize(
    ("quiet", "steps", "told"), [(0.0, False, 2), (3600.0, False, 0), (3600.0, True, 2)]
)
def test_a_log_has_a_step_after_a_while_or_each_one(
    quiet: float, steps: bool, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "QUIET", quiet)
    log = io.StringIO()
    with progress.Progress(Console(file=log), "build", steps=steps) as shown:
        for line in ("pull", "build", "build"):
            shown.say(line)
    assert len(log.getvalue().split()) == told
