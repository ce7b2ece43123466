"""Nothing stays behind: Ctrl-C, SIGTERM, a killed run, and two runs at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from automation import smoke
from automation.errors import ExitCode
from automation.stack import Stack, sweep
from tests.conftest import ROOT
from tests.containers.conftest import Service, failed, left_over, replace, with_database

pytestmark = pytest.mark.engine


def start(folder: Path) -> subprocess.Popen[str]:
    """`automation smoke` in a process group of its own, as a terminal would start it."""
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "automation", "smoke"], cwd=folder, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "template")},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    """Read until the run says so."""
    assert process.stdout
    for line in process.stdout:
        if words in line:
            return
    pytest.fail(f"the run ended before it said {words!r}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["starting database", "starting backend", "loading backend"])
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
    with Stack(service.engine, service.project, print) as stack:
        service.engine.call("volume", "create", f"{stack.id}-backend-late-0")
    assert left_over(service.engine, service.project) == ""


def test_two_runs_at_once_do_not_meet(service: Service) -> None:
    with_database(service.folder)
    first = start(service.folder)
    wait_for(first, "starting backend")
    image = service.build()
    results = smoke.smoke(service.project, service.engine, [image], print)
    output, errors = first.communicate(timeout=120)
    assert failed(results) == set(), [result for result in results if result.failed]
    assert first.returncode == ExitCode.OK, output + errors
    assert left_over(service.engine, service.project) == ""


def test_a_database_that_does_not_come_up_is_no_failed_check(service: Service) -> None:
    with_database(service.folder)
    replace("taskflow.toml", '"postgres:17-alpine"', '"python:3.13-slim"')(service.folder)
    process = start(service.folder)
    _, errors = process.communicate(timeout=120)
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
        [sys.executable, "-m", "automation", "smoke", "--engine", str(client)], cwd=service.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "template")}, text=True, capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == ExitCode.ENVIRONMENT
    assert "stopped answering" in done.stderr
    assert "Traceback" not in done.stderr
    time.sleep(0.1)
    sweep(service.engine, print)
    assert left_over(service.engine, service.project) == ""
