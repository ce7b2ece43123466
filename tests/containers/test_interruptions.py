"""Nothing stays behind: Ctrl-C, SIGTERM, a killed run, and two runs at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from taskflow_containers.engine.leftovers import sweep
from taskflow_containers.machine.errors import ExitCode
from taskflow_containers.smoke.stack import Stack
from tests.conftest import ROOT, some_of
from tests.containers.conftest import Service, failed, left_over, replace, smoked, with_database

pytestmark = pytest.mark.engine

AS_WELL = pytest.param(signal.SIGTERM, marks=pytest.mark.thorough)  # which is handled as SIGINT is


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """`taskflow_containers smoke`, or another command, in a session of its own, as a terminal would start it."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "taskflow_containers", *(words or ["smoke"]), "--verbose"], cwd=folder, text=True,
        env=os.environ,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    """Read until the run says so."""
    assert process.stdout
    for line in process.stdout:
        if words in line:
            return
    pytest.fail(f"the run ended before it said {words!r}")


@pytest.mark.parametrize("number", [signal.SIGINT, AS_WELL])
@pytest.mark.parametrize(
    "moment",
    some_of(
        ["starting database", "starting backend", "loading backend"],
        "starting database",
    ),
)
def test_an_interrupted_run_removes_what_it_started(
    service: Service, number: signal.Signals, moment: str
) -> None:
    with_database(service.folder)
    process = start(service.folder)
    wait_for(process, moment)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    report = json.loads((service.folder / "reports/smoke.json").read_text("utf-8"))
    assert "interrupted" in report["results"][0]["measured"], "an older verdict is not this run's"
    assert left_over(service.engine, service.project) == ""


def in_session(leader: int) -> list[str]:
    """The command lines of a session's processes."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "sess=,stat=,args="], capture_output=True, text=True, check=True
    )
    lines = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    return [line[2] for line in lines if line[0] == str(leader) and line[1][0] != "Z"]


def is_over(process: subprocess.Popen[str], folder: Path, command: str) -> None:
    """The run has said so, in its report too, and nothing of it is left."""
    said = "".join(process.communicate(timeout=60))
    assert process.returncode == ExitCode.INTERRUPTED, said
    assert f"{command}: interrupted" in said
    assert "Traceback" not in said
    report = json.loads((folder / f"reports/{command}.json").read_text("utf-8"))
    assert report["verdict"] == "failed"
    assert "interrupted" in report["results"][0]["measured"]
    assert in_session(process.pid) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_build_does_not_wait_for_its_step(
    service: Service, number: signal.Signals
) -> None:
    step = f"RUN echo {uuid.uuid4()} && sleep 600"
    replace("Dockerfile", "RUN mkdir data", step)(service.folder)
    process = start(service.folder, "build")
    wait_for(process, step)
    os.kill(process.pid, number)
    is_over(process, service.folder, "build")
    names = service.engine.call("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").stdout
    assert service.project.image("backend") not in names


@pytest.mark.parametrize("number", [signal.SIGINT, AS_WELL])
def test_nox_alone_is_interrupted(service: Service, number: signal.Signals) -> None:
    """As by a CI runner; a terminal would tell the session too."""
    step = f"RUN echo {uuid.uuid4()} && sleep 600"
    replace("Dockerfile", "RUN mkdir data", step)(service.folder)
    shutil.copy(ROOT / "template/noxfile.py", service.folder)
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        [sys.executable, "-m", "nox", "--no-venv", "-s", "build", "--", "--verbose"], cwd=service.folder, text=True,
        env={**os.environ, "PATH": beside, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    wait_for(process, step)
    os.kill(process.pid, number)
    is_over(process, service.folder, "build")


@pytest.mark.parametrize(
    ("command", "at"), [("lint", "version"), ("build", "tag"), ("scan", "save"), ("build", "pull")]
)
def test_an_interrupted_run_waits_for_no_client(
    command: str, at: str, service: Service, tmp_path: Path
) -> None:
    """The client hangs, and so does a program that it has started."""
    if at == "pull":
        for file in ("Dockerfile", "taskflow.toml"):
            replace(file, "python:3.13-slim", "localhost:1/nowhere:1")(service.folder)
    client = tmp_path / "docker"
    client.write_text(
        "#!/bin/sh\n"
        f'case "$1 $2" in *{at}*) touch {tmp_path}/hangs; sleep 600; exit;; esac\n'
        f'exec {service.engine.client} "$@"\n'
    )
    client.chmod(0o755)
    words = ["--offline"] if command == "scan" else []
    process = start(service.folder, command, f"--engine={client}", *words)
    while not (tmp_path / "hangs").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    is_over(process, service.folder, command)


def test_a_killed_run_is_cleaned_up_by_the_next(service: Service) -> None:
    process = start(service.folder)
    wait_for(process, "loading backend")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert left_over(service.engine, service.project) != ""
    said: list[str] = []
    sweep(service.engine, said.append)
    assert any("interrupted run" in line for line in said)
    assert left_over(service.engine, service.project) == ""


def test_a_volume_without_a_label_is_removed_too(service: Service) -> None:
    """As the engine makes one for a container that starts while its run is being removed."""
    with Stack(service.workspace) as stack:
        service.engine.call("volume", "create", f"{stack.id}-backend-late-0")
    assert left_over(service.engine, service.project) == ""


@pytest.mark.thorough
def test_two_runs_at_once_do_not_meet(service: Service) -> None:
    with_database(service.folder)
    first = start(service.folder)
    wait_for(first, "starting backend")
    image = service.build()
    results = smoked(service.workspace, [image])
    output, errors = first.communicate(timeout=600)
    assert failed(results) == set(), [result for result in results if result.failed]
    assert first.returncode == ExitCode.OK, output + errors
    assert left_over(service.engine, service.project) == ""


def test_a_database_that_does_not_come_up_is_no_failed_check(service: Service) -> None:
    with_database(service.folder)
    replace("taskflow.toml", '"postgres:17-alpine"', '"python:3.13-slim"')(service.folder)
    process = start(service.folder)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == ExitCode.ENVIRONMENT, errors
    assert "smoke: database did not come up: " in errors
    assert left_over(service.engine, service.project) == ""


def test_an_engine_that_is_gone_midway_is_one_message(service: Service, tmp_path: Path) -> None:
    """The client answers until the containers run; then its server is gone."""
    service.build()
    client = tmp_path / "docker"
    client.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = exec ]; then touch {tmp_path}/gone; fi\n'
        f"if [ -e {tmp_path}/gone ]; then"
        " echo 'Cannot connect to the Docker daemon at unix:///x. Is it running?' >&2; exit 1; fi\n"
        f'exec {service.engine.client} "$@"\n'
    )
    client.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "taskflow_containers", "smoke", "--engine", str(client)], cwd=service.folder,
        env=os.environ, text=True, capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == ExitCode.ENVIRONMENT
    assert "stopped answering" in done.stderr
    assert "Traceback" not in done.stderr
    time.sleep(0.1)
    sweep(service.engine, print)
    assert left_over(service.engine, service.project) == ""
