"""What a command says and leaves behind without a verdict, and where it cannot write."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from taskflow_containers.checks.build import inputs_digest
from taskflow_containers.cli import carry_out
from taskflow_containers.commands import COMMANDS, Command
from taskflow_containers.machine import signals
from taskflow_containers.machine.errors import ExitCode, InputError
from taskflow_containers.machine.switches import switched_on
from taskflow_containers.project.load import load
from taskflow_containers.report import reporting
from taskflow_containers.report.failures import in_plain_words
from taskflow_containers.report.result import Report, judge
from taskflow_containers.sessions import _console, _show, _write


def taskflow(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """One command of the tool in that folder."""
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-m", "taskflow_containers", *words], cwd=folder, env=environment, text=True,
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
    done = taskflow(project, "lint")
    assert done.returncode == ExitCode.WRONG_INPUT
    report = json.loads((project / "reports/lint.json").read_text(encoding="utf-8"))
    assert report["verdict"] == "failed"
    (result,) = report["results"]
    assert "taskflow.toml:1" in result["measured"]
    assert result["expected"] and result["fix"]
    assert "✗" in (project / "reports/summary.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lint", "nobody"], "lint: unknown container: nobody"),
        (["lint", "--verbse"], "lint: unknown: --verbse\n  write --verbose\n"),
        (
            ["lint", "--port=80"],
            "lint: unknown: --port=80\n  `python -m taskflow_containers lint --help` lists",
        ),
        (["smoke", "--repeat", "x"], "smoke: --repeat: invalid int value: 'x'\n  `python -m "),
        (["smok"], "taskflow_containers: unknown: smok\n  write smoke\n"),
        (["smoke", "--only", "nothing"], "smoke: "),
    ],
)
def test_wrong_words_leave_the_reports_alone(
    words: list[str], said: str, project: Path, tmp_path: Path
) -> None:
    reporting.write(passed(words[0]), project / "reports")
    before = {path.name: path.read_bytes() for path in (project / "reports").iterdir()}
    summary = tmp_path / "summary.md"
    done = taskflow(project, *words, GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == ExitCode.WRONG_INPUT
    assert done.stderr.startswith(said)
    assert {path.name: path.read_bytes() for path in (project / "reports").iterdir()} == before
    assert not summary.exists()


@pytest.mark.parametrize(
    ("error", "message", "hint", "code"),
    [
        (OSError(28, "No space left on device"), "No space left on device: somewhere below", "free some space", ExitCode.ENVIRONMENT),
        (PermissionError(13, "Permission denied", "/x"), "Permission denied: /x", "may be written to", ExitCode.ENVIRONMENT),
        (UnicodeDecodeError("utf-8", b"a\n\xff", 2, 3, "no"), "see its line 2", "save it", ExitCode.WRONG_INPUT),
        (KeyboardInterrupt(), "interrupted", "run it again", ExitCode.INTERRUPTED),
        (ModuleNotFoundError("no x", name="x"), "x is not installed", "", ExitCode.ENVIRONMENT),
    ],
)  # fmt: skip
def test_what_breaks_a_run_off_is_said_to_a_person(
    error: BaseException, message: str, hint: str, code: ExitCode, tmp_path: Path
) -> None:
    said = in_plain_words(error, "lint", tmp_path)
    assert message in said.message
    assert hint in said.hint
    assert said.exit_code == code
    assert not list(tmp_path.iterdir())


# Runs a command or an invoke task of the automation in which something unforeseen happens.
FAULTY = """
import runpy, sys, tarfile
from taskflow_containers.checks import build, lint
def fail(*_, **__):
    raise {error}
lint.check_text = build.substitutes = fail
lint._tool_jobs = lambda *_: []  # what takes its time, and is not what fails
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("error", ["KeyError('Layers')", "tarfile.ReadError('no\\nlayer')"])
@pytest.mark.parametrize("words", [("taskflow_containers", "lint"), ("invoke", "build")])
def test_a_fault_of_the_automation_is_no_failed_check(
    words: tuple[str, str], error: str, project: Path
) -> None:
    reporting.write(passed(), project / "reports")
    environment = dict(os.environ)
    if words[0] == "invoke":  # in place of an engine, which need not be there
        (project / "docker").write_text(
            '#!/bin/sh\necho \'{"Client": {"Version": "1"}, "Server": {"Version": "1"}}\'\n'
        )
        (project / "docker").chmod(0o755)
        environment["TASKFLOW_ENGINE"] = str(project / "docker")
    done = subprocess.run(
        [sys.executable, "-c", FAULTY.format(error=error), *words], cwd=project, env=environment,
        text=True, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == ExitCode.INTERNAL, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    said, hint = done.stderr.splitlines()
    name = error.partition("(")[0].rpartition(".")[2]
    assert said.startswith(f"{words[1]}: a fault of the tool itself")
    assert f"{name}: " in said
    details = f"reports/{words[1]}-error.txt"
    assert details in hint
    assert "in fail" in (project / details).read_text("utf-8")
    if words[0] == "taskflow_containers":
        report = json.loads((project / "reports/lint.json").read_text("utf-8"))
        assert report["verdict"] == "failed"
        assert name in report["results"][0]["measured"]


def test_details_that_have_no_place_in_the_project(tmp_path: Path) -> None:
    (tmp_path / "reports").touch()
    said = in_plain_words(KeyError("x"), "lint", tmp_path / "reports")
    place = Path(said.hint.removeprefix("its details are in ").partition(";")[0])
    assert place.is_absolute() and place.name.startswith("taskflow-lint-")
    assert "KeyError: 'x'" in place.read_text("utf-8")
    place.unlink()


def test_a_run_that_ends_leaves_no_details_of_an_earlier_one(project: Path) -> None:
    (project / "reports").mkdir(exist_ok=True)
    (project / "reports/chart-error.txt").touch()
    (project / "chart").rename(project / "no-chart")
    assert taskflow(project, "chart").returncode == ExitCode.CHECK_FAILED, "nothing was judged"
    assert not (project / "reports/chart-error.txt").exists()


@pytest.mark.skipif(os.name != "posix", reason="only there does nox leave its sessions behind")
def test_a_session_does_not_outlive_nox() -> None:
    """A SIGTERM that nox gets alone does not reach what it started."""
    session = (
        "import signal, sys, time\n"
        "from taskflow_containers.cli import _end_with_nox\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit('ended'))\n"
        "_end_with_nox()\n"
        "print('ready', flush=True)\n"
        "time.sleep(120)\n"
    )
    nox = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {session!r}])"
    environment = {
        **os.environ, "NOX_CURRENT_SESSION": "smoke"
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", nox], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.kill()
        assert process.stdout.read() == "ended\n"


def test_a_step_summary_that_cannot_be_written_takes_no_verdict_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "none" / "x"))
    assert _write(passed(), tmp_path / "reports")
    assert "lint: GITHUB_STEP_SUMMARY cannot be written: No such file" in capsys.readouterr().err


def test_nothing_is_written_where_there_is_no_project(tmp_path: Path) -> None:
    done = taskflow(tmp_path, "lint")
    assert done.returncode == ExitCode.WRONG_INPUT
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="there no folder that is in use can be removed")
def test_a_folder_that_has_gone_is_said(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    script = 'rmdir "$PWD" && exec "$1" -P -m taskflow_containers lint'
    done = subprocess.run(
        ["sh", "-c", script, "sh", sys.executable], cwd=tmp_path / "gone", capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == ExitCode.WRONG_INPUT
    assert done.stderr.endswith(
        "lint: this folder has been removed\n  cd into the project and run this again\n"
    )


@pytest.mark.parametrize("columns", ["", "abc", "0", "80²"])
def test_an_odd_width_is_no_traceback(project: Path, columns: str) -> None:
    done = taskflow(project, "lint", "nobody", COLUMNS=columns)
    assert done.returncode == ExitCode.WRONG_INPUT
    assert "Traceback" not in done.stderr


def test_a_report_that_cannot_be_written_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "reports").touch()
    assert _write(passed(), tmp_path / "reports") is False
    said = capsys.readouterr().err
    assert "lint: the report cannot be written: " in said
    assert len(said.strip().splitlines()) == 2


def test_a_page_that_is_no_text_does_not_stand_in_the_way(tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "build.md").write_bytes(b"\xff\xfe")
    (folder / "notes.md").write_bytes(b"\xff")
    assert _write(passed(), tmp_path / "reports")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_action_whose_output_nobody_reads_is_stopped_in_words(
    unbuffered: str, tmp_path: Path
) -> None:
    script = (
        "import sys, argparse, pathlib\n"
        "from taskflow_containers.cli import carry_out\n"
        "from taskflow_containers.commands import Command\n"
        "def body(root, options):\n    for line in range(9999):\n        print(line)\n    return 0\n"
        "sys.exit(carry_out(Command('x', 'x', body, task='x'), pathlib.Path.cwd(), argparse.Namespace()))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read().startswith(
            "x: stopped, as nobody reads what it prints any more\n  run it"
        )
    assert process.returncode == ExitCode.ENVIRONMENT


def test_a_list_that_is_not_read_to_its_end(project: Path) -> None:
    environment = dict(os.environ)
    with subprocess.Popen(
        [sys.executable, "-m", "taskflow_containers", "smoke", "--list"], cwd=project, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == ExitCode.OK


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_verdict_that_cannot_be_shown_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        pytest.raises(OSError, match="space"),
        Path("/dev/full").open("w", encoding="utf-8") as full,
    ):
        monkeypatch.setattr(sys, "stdout", full)
        assert not _show(passed(), _console(), verbose=False)
    assert "the report cannot be shown: No space left" in capsys.readouterr().err


def test_an_output_without_our_marks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("w", encoding="ascii") as narrow:
        monkeypatch.setattr(sys, "stdout", narrow)
        assert _show(passed(), _console(), verbose=False)
    assert "lint: 1 passed" in path.read_text()


def test_no_output_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert _show(passed(), _console(), verbose=False)


@pytest.mark.parametrize("words", [["backend"], ["--only", "stop"], ["--image", "x"]])
def test_a_list_goes_alone(words: list[str], project: Path) -> None:
    done = taskflow(project, "smoke", "--list", *words)
    assert done.returncode == ExitCode.WRONG_INPUT
    assert "--list" in done.stderr


@pytest.mark.parametrize(
    ("given", "on"), [("", False), ("0", False), ("false", False), ("No", False), ("1", True), ("TRUE ", True)]
)  # fmt: skip
def test_a_switch_of_the_environment(given: str, on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKFLOW_OFFLINE", given)
    assert switched_on("TASKFLOW_OFFLINE") is on


def test_a_switch_that_is_none(project: Path) -> None:
    done = taskflow(project, "scan", TASKFLOW_OFFLINE="maybe")
    assert done.returncode == ExitCode.WRONG_INPUT
    assert done.stderr.startswith("scan: TASKFLOW_OFFLINE is 'maybe'\n")


@pytest.mark.parametrize("words", [["--keep"], ["--repeat", "2"]])
def test_an_earlier_verdict_is_none_of_now(words: list[str], project: Path) -> None:
    done = taskflow(project, "smoke", "--if-changed", *words)
    assert done.returncode == ExitCode.WRONG_INPUT
    assert done.stderr.startswith(f"smoke: --if-changed and {words[0]} exclude each other\n")


def test_a_file_of_other_bytes(project: Path) -> None:
    with (project / "backend/.dockerignore").open("ab") as file:
        file.write(b"\xff")
    with pytest.raises(InputError, match=r"backend/\.dockerignore is no UTF-8 text"):
        inputs_digest(project, load(project / "taskflow.toml"), "backend")


def test_a_pipe_in_the_build_context_is_not_waited_for(project: Path) -> None:
    model = load(project / "taskflow.toml")
    before = inputs_digest(project, model, "backend")
    os.mkfifo(project / "backend/src/pipe")
    assert inputs_digest(project, model, "backend") != before


TASKS = """
from pathlib import Path
from invoke.collection import Collection
from invoke.tasks import task
from taskflow_containers.commands import Command, Option
from taskflow_containers.tasks import as_task

def body(options):
    print(sorted(vars(options).items()))
    return options.code

GIVEN = (Option("tail", "lines", "100"), Option("name", "names", ()), Option("code", "the exit code", 0))
one = as_task(Command("one", "do one thing", body, GIVEN, task="one"), body)

@task(pre=[one])
def own(c):
    one(c)
    print("own")

namespace = Collection(one, own)
"""


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["one", "one", "--tail", "5"], ["'100'", "'5'"], 0),
        (["own"], ["'100'", "'100'", "own"], 0),
        (["one", "--name", "a", "--name", "b"], ["['a', 'b']"], 0),
        (["one", "--code", "3", "own"], ["3"], 3),
    ],
)
def test_a_task_goes_with_others(
    words: list[str], said: list[str], code: int, tmp_path: Path
) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *words], cwd=tmp_path, text=True, capture_output=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(said)
    assert all(word in line for word, line in zip(said, lines, strict=True))


def test_an_action_that_is_interrupted_claims_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def body(_: Path, __: object) -> int:
        raise KeyboardInterrupt

    command = Command("up", "start everything", body, task="up")
    assert carry_out(command, tmp_path, argparse.Namespace()) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == "up: interrupted\n"


def test_a_session_that_is_interrupted_at_once_leaves_no_older_verdict(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reporting.write(passed(), project / "reports")

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(signals, "listen", interrupted)
    code = carry_out(COMMANDS["lint"], project, argparse.Namespace())
    assert code == ExitCode.INTERRUPTED
    assert not (project / "reports/lint.json").exists()
