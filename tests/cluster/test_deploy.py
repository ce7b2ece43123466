"""`invoke deploy`: the images just built, installed and ready, or two lines that say why not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow_containers.cluster.kubectl import Kubectl
from taskflow_containers.cluster.namespace import remove
from taskflow_containers.machine.errors import ExitCode
from tests.cluster.conftest import depend, small
from tests.conftest import Render
from tests.containers.conftest import replace

pytestmark = [pytest.mark.xdist_group("cluster"), pytest.mark.usefixtures("engine")]
NAMESPACE = "taskflow-deployed"


@pytest.fixture(scope="module")
def project(
    render: Render, tmp_path_factory: pytest.TempPathFactory, kubectl: Kubectl
) -> Iterator[Path]:
    folder = small(render, tmp_path_factory.mktemp("deployed"), slug="deployed", database=False)
    depend(folder)
    yield folder
    remove(kubectl, NAMESPACE)


def deploy(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`invoke deploy`, as a person types it."""
    return subprocess.run(
        [sys.executable, "-m", "invoke", "deploy", f"--namespace={NAMESPACE}", *words],
        cwd=project, env={**os.environ, "NO_COLOR": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def test_a_release_runs_the_images_just_built(project: Path, kubectl: Kubectl) -> None:
    there = kubectl.within(NAMESPACE)
    seen = []
    for text in ("first", "second"):
        (project / "backend" / "app.py").open("a").write(f"# {text}\n")
        done = deploy(project)
        assert done.returncode == ExitCode.OK, done.stdout + done.stderr
        assert f"--namespace {NAMESPACE} port-forward service/deployed-backend" in done.stdout
        (found,) = there.get("deployments")
        assert found["status"]["readyReplicas"] == found["spec"]["replicas"]
        seen.append(found["spec"]["template"]["spec"]["containers"][0]["image"])
    assert len(set(seen)) == 2
    assert there.get("configmap", "common"), "what the chart depends on is installed with it"


def test_a_rollout_that_fails_names_the_pod_and_its_last_line(project: Path) -> None:
    replace("backend/Dockerfile", "ENV PYTHONPATH", "ENV FAULT=crash PYTHONPATH")(project)
    done = deploy(project)
    assert done.returncode == ExitCode.CHECK_FAILED, done.stderr
    where, why = done.stderr.strip().splitlines()
    assert where.startswith("deploy: deployed-backend-")
    assert "exit code 1" in where
    assert why == "  its last line: the disk is on fire"
    # The next one that is in order is not held up by the one that was not.
    replace("backend/Dockerfile", "ENV FAULT=crash PYTHONPATH", "ENV PYTHONPATH")(project)
    done = deploy(project)
    assert done.returncode == ExitCode.OK, done.stderr
