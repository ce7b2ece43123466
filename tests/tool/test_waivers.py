"""`[[waivers]]` of taskflow.toml: what they cover, when they end, and what of them is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from taskflow_containers.machine.errors import ExitCode
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load
from taskflow_containers.report import earlier, reporting, waivers
from taskflow_containers.report.result import Report, Result, Status, finds_nothing, judge, skip

REASON = "the network of this test has no other"
DAY = waivers.today()
LATER = (DAY + timedelta(days=100)).isoformat()
YESTERDAY = (DAY - timedelta(days=1)).isoformat()
TODAY = DAY.isoformat()
LISTED = finds_nothing(
    "lint.hadolint",
    "hadolint",
    ["DL3018 backend/Dockerfile:3: Pin versions", "DL3003 backend/Dockerfile:9: Use WORKDIR"],
    "mend it",
    container="backend",
)
WHOLE = judge(
    "contract.dockerfile.user", "user", False, container="backend", expected="1001",
    measured="0", location="backend/Dockerfile:12", fix="mend it",
)  # fmt: skip
PASSED = judge("lint.mypy", "mypy", True, container="backend")


@pytest.fixture(autouse=True)
def _the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of all tests may go on beyond midnight."""
    monkeypatch.setattr(waivers, "today", lambda: DAY)


def entry(
    check: str = "lint.hadolint", covers: str = "", until: str = LATER, more: str = ""
) -> str:
    """A waiver as taskflow.toml has it."""
    covered = f'covers = "{covers}"\n' if covers else ""
    return (
        f'\n[[waivers]]\ncheck = "{check}"\n{covered}{more}reason = "{REASON}"\nexpires = {until}\n'
    )


def write(project: Path, *entries: str) -> str:
    """Put these waivers in place of the project's own; the text of its taskflow.toml."""
    file = project / FILE_NAME
    text = file.read_text(encoding="utf-8").partition("[[waivers]]")[0] + "".join(entries)
    file.write_text(text, encoding="utf-8")
    return text


def judged(
    project: Path, results: list[Result], *entries: str, whole: bool = True, names: str = ""
) -> Report:
    """A report of lint on these results, with these waivers alone."""
    write(project, *entries)
    model, report = load(project / FILE_NAME), Report("lint")
    report.add(results)
    chosen = names.split() or model.containers
    waivers.apply(report, model, chosen, project / FILE_NAME, whole=whole)
    return report


def wrong(report: Report) -> list[str]:
    return [result.measured for result in report.results if result.id == "project.waivers"]


@pytest.mark.parametrize(
    "covers", ["DL3018", "DL3018 backend/Dockerfile", "backend/Dockerfile:3", "DL3018 backend/Dockerfile:3"],
)  # fmt: skip
def test_one_of_two_findings_is_covered(covers: str, project: Path) -> None:
    report = judged(project, [LISTED], entry(covers=covers))
    (result,) = report.results
    assert (result.status, result.measured) == (Status.FAILED, "2 found; 1 of them waived")
    assert result.detail == "DL3003 backend/Dockerfile:9: Use WORKDIR"
    assert result.waived == (f"DL3018 backend/Dockerfile:3 until {LATER}: {REASON}",)
    assert report.exit_code == ExitCode.CHECK_FAILED


@pytest.mark.parametrize("until", [LATER, TODAY])
def test_a_check_of_which_all_is_covered_is_waived(until: str, project: Path) -> None:
    report = judged(
        project, [PASSED, LISTED], entry(covers="DL3018", until=until), entry(covers="DL3003")
    )
    assert [result.status for result in report.results] == [Status.PASSED, Status.WAIVED]
    assert report.exit_code == ExitCode.OK
    assert bool(report.notes) is (until == TODAY), "what ends soon is said"


def test_a_path_covers_all_that_is_found_there(project: Path) -> None:
    assert judged(project, [PASSED, LISTED], entry(covers="backend/Dockerfile")).results[1].waived


@pytest.mark.parametrize("covers", ["", "backend/Dockerfile", "backend/Dockerfile:12"])
def test_a_check_that_fails_as_a_whole(covers: str, project: Path) -> None:
    report = judged(project, [PASSED, WHOLE], entry(WHOLE.id, covers))
    assert report.results[1].waived == (f"until {LATER}: {REASON}",)
    assert (report.results[1].status, report.results[1].measured) == (Status.WAIVED, "0")
    assert report.exit_code == ExitCode.OK


def test_what_has_expired_covers_nothing_and_fails(project: Path) -> None:
    text_entry = entry(covers="DL3018", until=YESTERDAY)
    report = judged(project, [LISTED], text_entry)
    assert report.results[0] == LISTED
    (fault,) = report.results[1:]
    assert (fault.id, fault.measured) == ("project.waivers", f"expired on {YESTERDAY}")
    lines = (project / FILE_NAME).read_text("utf-8").splitlines()
    assert fault.location == f"{FILE_NAME}:{lines.index(f'expires = {YESTERDAY}') + 1}"
    # Whatever the command is.
    assert wrong(judged(project, [PASSED], text_entry, whole=False)) == [f"expired on {YESTERDAY}"]


FOUND_NOTHING = ["lint.hadolint found nothing that it covers"]
UNMATCHED = {
    "another rule": ([LISTED], entry(covers="DL3059"), FOUND_NOTHING),
    "a word of the text": ([LISTED], entry(covers="WORKDIR"), FOUND_NOTHING),
    "a part of a rule": ([LISTED], entry(covers="DL30"), FOUND_NOTHING),
    "another line": ([LISTED], entry(covers="backend/Dockerfile:30"), FOUND_NOTHING),
    "no finding named where several are listed": ([LISTED], entry(), ["lint.hadolint lists what it finds, and the waiver names none of it"]),
    "another container": ([LISTED, replace(PASSED, id="lint.hadolint", container="frontend")], entry(covers="DL3018", more='container = "frontend"\n'), FOUND_NOTHING),
    "a check that passes": ([replace(LISTED, status=Status.PASSED, findings=())], entry(covers="DL3018"), FOUND_NOTHING),
    "a check that is not there": ([PASSED], entry("lint.hadolitn"), ["lint.hadolitn found nothing that it covers"]),
    "a command that is not there": ([PASSED], entry("lnt.hadolint"), ["no check is called lnt.hadolint"]),
    "what cannot be waived": ([PASSED], entry("build.image"), ["without the image nothing else can be checked"]),
}  # fmt: skip


@pytest.mark.parametrize("case", UNMATCHED)
def test_a_waiver_of_nothing_fails(case: str, project: Path) -> None:
    results, waiver, said = UNMATCHED[case]
    report = judged(project, results, waiver)
    assert wrong(report) == said
    assert report.exit_code == ExitCode.CHECK_FAILED
    fault = report.results[-1]
    line = int(fault.location.removeprefix(f"{FILE_NAME}:")) - 1
    lines = (project / FILE_NAME).read_text("utf-8").splitlines()
    assert lines[line].startswith(("covers", "check"))
    assert fault.fix


UNSEEN = {
    "a check of another command": ([PASSED], entry("smoke.stop"), True, ""),
    "a check that was skipped": ([PASSED, skip("lint.hadolint", "x", "x")], entry(covers="DL3018"), True, ""),
    "one of the checks made with it was skipped": ([PASSED, skip("contract.image", "x", "x")], entry("contract.image.user"), True, ""),
    "an option left checks out": ([PASSED], entry("lint.ruff"), False, ""),
    "other containers may have it": ([replace(LISTED, status=Status.PASSED, findings=())], entry(covers="DL3018"), True, "backend"),
    "its check had less to look at": ([judge("chart.render", "x", False), PASSED], entry("lint.mypy"), True, ""),
    "others failed first": ([WHOLE], entry("lint.ruff"), True, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", UNSEEN)
def test_what_was_not_looked_at_makes_no_waiver_wrong(case: str, project: Path) -> None:
    results, waiver, whole, names = UNSEEN[case]
    assert wrong(judged(project, results, waiver, whole=whole, names=names)) == []


@pytest.mark.parametrize("check", ["contract.compose.read", "lint.npm-lock", "lint.python"])
def test_what_other_checks_stand_on_is_not_waived(check: str, project: Path) -> None:
    report = judged(project, [replace(WHOLE, id=check)], entry(check))
    assert report.results[0].failed
    assert wrong(report) == ["without it other checks are not made"]


@pytest.mark.parametrize(
    ("covers", "waived"),
    [("CVE-2026-1", True), ("CVE-2026-1 Python", True), ("Python", False), ("libx", False)],
)
def test_a_vulnerability_is_waived_by_its_name(covers: str, waived: bool, project: Path) -> None:
    found = ["CVE-2026-1 libx Python: HIGH, mended in 2"]
    result = finds_nothing("scan.vulnerabilities", "x", found, "mend it", container="backend")
    report = judged(project, [result], entry("scan.vulnerabilities", covers))
    assert report.results[0].failed is not waived


def test_a_scan_that_could_not_look_makes_no_waiver_wrong(project: Path) -> None:
    unseen = judge("scan.vulnerabilities", "x", False, measured="not scanned", findings=())
    assert wrong(judged(project, [unseen], entry("scan.vulnerabilities", "CVE-2026-1"))) == []


def test_what_could_not_be_looked_at_is_not_waived(project: Path) -> None:
    unseen = judge("scan.vulnerabilities", "x", False, measured="not scanned", findings=())
    report = judged(project, [unseen], entry("scan.vulnerabilities"))
    assert report.results[0].failed


def test_an_earlier_verdict_ends_with_its_waivers(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = replace(WHOLE, id="smoke.stop")
    write(project, entry("smoke.stop"))
    model, reports = load(project / FILE_NAME), project / "reports"
    report = Report("smoke")
    report.add([replace(PASSED, id="smoke.start"), stop])
    waivers.apply(report, model, model.containers, project / FILE_NAME, whole=False)
    report.close()
    reporting.write(report, reports)
    (reports / "smoke.html").touch()
    again = Report("smoke")
    assert earlier.recall(again, reports, model, ["smoke.html"])
    assert again.results[1] == stop, "as it failed, for today's waivers to judge"
    waivers.apply(again, model, model.containers, project / FILE_NAME, whole=False)
    assert again.results == report.results
    after = DAY + timedelta(days=101)
    monkeypatch.setattr(waivers, "today", lambda: after)
    assert not earlier.recall(Report("smoke"), reports, model, ["smoke.html"])


def lint(project: Path) -> tuple[int, dict[str, dict[str, object]], str]:
    """The real command: its exit code, what it says of hadolint and of waivers, and its output."""
    (project / "backend/requirements-dev.txt").unlink()  # other linters are not asked here
    done = subprocess.run(
        [sys.executable, "-m", "taskflow_containers", "lint", "backend", "--verbose"], cwd=project, check=False,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    report = json.loads((project / "reports/lint.json").read_text("utf-8"))
    asked = ("lint.hadolint", "project.waivers")
    return done.returncode, {r["id"]: r for r in report["results"] if r["id"] in asked}, done.stdout


@pytest.mark.parametrize(
    ("entries", "status", "said"),
    [
        (["DL3003", "SC2164"], "waived", []),
        (["DL3003"], "failed", []),
        (["DL3003", "SC2164", "DL3018"], "waived", ["lint.hadolint found nothing that it covers"]),
    ],
    ids=["whole", "in part", "unmatched"],
)
def test_lint_with_findings_of_hadolint(
    entries: list[str], status: str, said: list[str], project: Path
) -> None:
    backend = 'container = "backend"\n'
    write(project, *(entry(covers=covers, more=backend) for covers in entries))
    with (project / "backend/Dockerfile").open("a", encoding="utf-8") as file:
        file.write("RUN cd /tmp\n")
    code, found, output = lint(project)
    assert found["lint.hadolint"]["status"] == status
    assert [found[id]["measured"] for id in found if id == "project.waivers"] == said
    assert REASON in output
    assert code == (ExitCode.OK if (status, said) == ("waived", []) else ExitCode.CHECK_FAILED)


def test_lint_with_an_expired_waiver(project: Path) -> None:
    write(project, entry(covers="DL3003", until=YESTERDAY))
    with (project / "backend/Dockerfile").open("a", encoding="utf-8") as file:
        file.write("RUN cd /tmp\n")
    code, found, output = lint(project)
    assert {id: result["status"] for id, result in found.items()} == {
        "lint.hadolint": "failed",
        "project.waivers": "failed",
    }
    assert f"{FILE_NAME}:" in output and f"expired on {YESTERDAY}" in output
    assert code == ExitCode.CHECK_FAILED


def test_what_no_scanner_ever_sees_leaves_a_wrong_waiver_wrong(project: Path) -> None:
    aside = skip(
        "scan.unscanned", "what no scanner knows", "not scanned: Python", container="backend"
    )
    report = Report("scan", results=[aside, replace(PASSED, id="scan.secrets")])
    write(project, entry("scan.nothing-of-the-kind", "x"))
    waivers.apply(
        report, load(project / FILE_NAME), ["backend", "frontend"], project / FILE_NAME, whole=True
    )
    assert [result.id for result in report.results if result.failed] == ["project.waivers"]


def test_no_waiver_makes_an_image_trusted(project: Path) -> None:
    unsigned = judge("verify.signature", "signed", False, measured="nothing signed is beside it")
    report = judged(project, [PASSED, unsigned], entry("verify.signature"))
    assert report.exit_code is ExitCode.CHECK_FAILED
    assert wrong(report) == ["no check is called verify.signature"]
