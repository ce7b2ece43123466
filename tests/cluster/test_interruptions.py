"""Nothing stays behind in the cluster: Ctrl-C, SIGTERM, and a run that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from taskflow_containers.cluster.kubectl import Kubectl
from taskflow_containers.cluster.namespace import sweep
from taskflow_containers.machine.errors import ExitCode
from tests.cluster.conftest import left_over, small
from tests.conftest import Render
from tests.containers.test_interruptions import wait_for

pytestmark = [pytest.mark.xdist_group("cluster"), pytest.mark.usefixtures("engine")]


@pytest.fixture(scope="module")
def project(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small(render, tmp_path_factory.mktemp("interrupted"), slug="interrupted", database=False)


def start(project: Path) -> subprocess.Popen[str]:
    """`taskflow_containers cluster` in a process group of its own, as a terminal would start it."""
    words = ["cluster", "--values", "values.yaml", "--drill", "upgrade"]
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "taskflow_containers", *words, "--verbose"], cwd=project, text=True,
        env=os.environ,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("number", "moment"), [(signal.SIGINT, "drill: upgrade"), (signal.SIGTERM, "installing")]
)
def test_an_interrupted_run_removes_its_namespace(
    project: Path, kubectl: Kubectl, number: signal.Signals, moment: str
) -> None:
    process = start(project)
    wait_for(process, moment)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == ExitCode.INTERRUPTED, errors
    assert "Traceback" not in errors
    assert left_over(kubectl, "interrupted") == []


def test_a_killed_run_is_cleaned_up_by_the_next(project: Path, kubectl: Kubectl) -> None:
    process = start(project)
    wait_for(process, "installing")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(left_over(kubectl, "interrupted")) == 1
    said: list[str] = []
    sweep(kubectl, said.append)
    assert any("interrupted run" in line for line in said)
    assert left_over(kubectl, "interrupted") == []
