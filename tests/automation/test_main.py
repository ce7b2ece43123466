"""What a command leaves behind when it comes to no verdict, and where it cannot write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from automation import reporting
from automation.__main__ import _write
from automation.errors import ExitCode
from automation.results import Report, judge
from tests.conftest import ROOT


def automation(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """One command of the automation in that folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "template"), **variables}
    return subprocess.run(
        [sys.executable, "-m", "automation", *words], cwd=folder, env=environment, text=True,
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip


def passed(command: str = "lint") -> Report:
    """A report without a failure."""
    report = Report(command)
    report.add([judge("lint.x", "x", True)])
    report.close()
    return report


def test_an_older_verdict_is_not_taken_for_a_run_that_broke_off(project: Path) -> None:
    reporting.write(passed(), project / "reports")
    (project / "taskflow.toml").write_text("name = ", encoding="utf-8")
    done = automation(project, "lint")
    assert done.returncode == ExitCode.WRONG_INPUT
    report = json.loads((project / "reports/lint.json").read_text(encoding="utf-8"))
    assert report["verdict"] == "failed"
    assert "taskflow.toml:1" in report["results"][0]["measured"]
    assert "✗" in (project / "reports/summary.md").read_text(encoding="utf-8")


def test_nothing_is_written_where_there_is_no_project(tmp_path: Path) -> None:
    done = automation(tmp_path, "lint")
    assert done.returncode == ExitCode.WRONG_INPUT
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("columns", ["", "abc", "0", "80²"])
def test_an_odd_width_is_no_traceback(project: Path, columns: str) -> None:
    done = automation(project, "lint", "nobody", COLUMNS=columns)
    assert done.returncode == ExitCode.WRONG_INPUT
    assert "Traceback" not in done.stderr


def test_a_report_that_cannot_be_written_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "reports").touch()
    assert _write(passed(), tmp_path) is False
    said = capsys.readouterr().err
    assert "lint: the report cannot be written: " in said
    assert len(said.strip().splitlines()) == 2


def test_a_page_that_is_no_text_does_not_stand_in_the_way(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "build.md").write_bytes(b"\xff\xfe")
    (folder / "notes.md").write_bytes(b"\xff")
    assert _write(passed(), tmp_path)
