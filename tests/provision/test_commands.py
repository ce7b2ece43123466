"""The command lines: what `python -m provision` and `bootstrap.py` print and return."""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import bootstrap

HERE = Path(__file__).resolve().parents[2]
Program = Callable[..., Path]
ALL_HERE = """
if words[0] == "info":
    print('{"ServerVersion":"20.10"}')
for tag in words[4:] if words[:2] == ["image", "inspect"] else ():
    print(json.dumps([tag]), json.dumps(""))
"""


def provision(client: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "provision", *options],
        cwd=HERE,
        env={**os.environ, "TASKFLOW_ENGINE": str(client)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_stdout_is_one_line(program: Program) -> None:
    process = provision(program("docker", ALL_HERE))
    assert process.communicate()[0] == "TASKFLOW_SUBSTITUTE_IMAGES=\n"
    assert process.returncode == 0


def test_trouble_is_said_without_a_traceback(program: Program) -> None:
    process = provision(program("docker", "sys.exit('daemon is away')"))
    out, err = process.communicate()
    assert (out, process.returncode) == ("", 4)
    assert "daemon is away" in err and "Traceback" not in err


def test_an_unknown_option_is_a_usage_error(program: Program) -> None:
    process = provision(program("docker", ALL_HERE), "--engine", "lxc")
    process.communicate()
    assert process.returncode == 2


def test_an_interrupt_is_no_traceback(program: Program) -> None:
    client = program("docker", "time.sleep(20)")
    process = provision(client)
    calls = client.with_name("docker.calls")
    while not calls.exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert "Traceback" not in process.communicate(timeout=10)[1]
    assert process.returncode == 130


def test_an_old_python_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    with pytest.raises(SystemExit) as ended:
        importlib.reload(bootstrap)
    assert ended.value.code == 4
    assert "bootstrap.py needs Python 3.11 or newer, this is" in capsys.readouterr().err


def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert bootstrap.main(["demo"]) == 4
    assert "git is missing: install git, or add --provision" in capsys.readouterr().err


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.main(["--help"]) == 0
    assert "bootstrap.py [--provision]" in capsys.readouterr().out


@pytest.mark.parametrize(("argv", "wrong"), [(["lxc"], "it is 'lxc'"), ([], "it is missing")])
def test_an_engine_that_is_none(
    argv: list[str], wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bootstrap.main(["--engine", *argv]) == 2
    assert f"--engine takes docker or podman; {wrong}" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["--provison", "--provisions", "--engin", "--engnie=docker"])
def test_a_slip_of_the_pen(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert bootstrap.main([word, "demo"]) == 2
    meant = "--engine" if "eng" in word else "--provision"
    said = f"bootstrap: there is no {word.partition('=')[0]}; write {meant}\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("argv", "read"),
    [
        (["--provision", "demo"], (True, "", ["demo"])),
        (["demo", "--provision", "--engine=podman"], (True, "podman", ["demo"])),
        (["--engine", "docker", "-l"], (False, "docker", ["-l"])),
        (["tests", "--", "--engine", "x"], (False, "", ["tests", "--", "--engine", "x"])),
    ],
)
def test_our_options_stand_anywhere(argv: list[str], read: tuple[bool, str, list[str]]) -> None:
    assert bootstrap.read(argv) == read


def test_two_first_runs_at_once_share_one_environment(tmp_path: Path) -> None:
    """Both get nox out of a copy of the repository that has no .venv, and its exit codes."""
    for name in ("bootstrap.py", "provision", "template/tools"):
        copy = shutil.copytree if (HERE / name).is_dir() else shutil.copy
        copy(HERE / name, tmp_path / name)
    (tmp_path / "noxfile.py").write_text(
        "import nox\n"
        "@nox.session(python=False)\ndef good(session): print(session.posargs)\n"
        "@nox.session(python=False)\ndef bad(session): session.error()\n"
    )
    command = [sys.executable, "bootstrap.py"]
    runs = [
        subprocess.Popen([*command, *words], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for words in (["good", "--", "-x", "a b"], ["bad"])
    ]
    assert "['-x', 'a b']" in runs[0].communicate()[0]
    runs[1].communicate()
    assert [run.returncode for run in runs] == [0, 1]
    # Nor is a machine provisioned for a session that is none.
    done = subprocess.run(
        [*command, "--provision", "god"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Sessions not found: god" in done.stderr) == (3, True)
    assert "provision:" not in done.stdout + done.stderr
