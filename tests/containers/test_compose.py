"""`invoke up` and what belongs to it, with a real compose command."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from automation import compose
from automation.engine import Engine
from automation.errors import EnvironmentTrouble, ExitCode
from automation.model import load

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("sample")]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def project(own: Path, engine: Engine, tmp_path: Path) -> Iterator[Path]:
    """A copy of the sample that publishes free ports; nothing of it is left."""
    try:
        compose.command(engine)
    except EnvironmentTrouble as error:
        pytest.skip(f"{error.message}: {error.hint}")
    folder = Path(shutil.copytree(own, tmp_path / "up", ignore=shutil.ignore_patterns(".git")))
    (folder / ".env").write_text(f"FRONTEND_PORT={free_port()}\nBACKEND_PORT={free_port()}\n")
    yield folder
    compose.compose(folder, load(folder / "taskflow.toml"), engine, ["down", "--volumes"])


def invoke(folder: Path, engine: Engine, *words: str) -> subprocess.CompletedProcess[str]:
    """One task, as a person types it."""
    return subprocess.run(
        [sys.executable, "-m", "invoke", *words], cwd=folder, text=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(folder), "TASKFLOW_ENGINE": engine.name}, check=False, timeout=300,
    )  # fmt: skip


def containers(engine: Engine, folder: Path) -> dict[str, str]:
    """Name and ID of the stack's containers."""
    label = f"label=com.docker.compose.project={folder.name}"
    lines = engine.call("ps", "--filter", label, "--format", "{{.Names}} {{.ID}}").stdout
    return dict(line.split() for line in lines.splitlines())


@pytest.mark.each_engine
def test_a_stack_comes_up_stays_up_and_goes(project: Path, engine: Engine) -> None:
    up = invoke(project, engine, "up")
    assert up.returncode == ExitCode.OK, up.stdout + up.stderr
    urls = dict(line.split(": ") for line in up.stdout.splitlines() if ": http" in line)
    assert urls.keys() == {"frontend", "backend"}
    with urllib.request.urlopen(f"{urls['frontend']}/api/health", timeout=10) as answer:
        assert answer.status == 200
    before = containers(engine, project)
    assert len(before) == 3

    # Its own ports are no reason to refuse it.
    again = invoke(project, engine, "up", "--no-build")
    assert again.returncode == ExitCode.OK, again.stdout + again.stderr
    assert containers(engine, project) == before

    ports = compose.published_ports(project)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        other = taken.getsockname()[1]
        text = f"FRONTEND_PORT={other}\nBACKEND_PORT={ports['BACKEND_PORT']}\n"
        (project / ".env").write_text(text)
        refused = invoke(project, engine, "up", "--no-build")
    assert refused.returncode == ExitCode.ENVIRONMENT
    assert refused.stderr.startswith(f"up: port {other} cannot be used: ")
    assert containers(engine, project) == before, "what ran was touched"

    (project / ".env").write_text("FRONTEND_PORT=99999\n")
    refused = invoke(project, engine, "up", "--no-build")
    assert refused.returncode == ExitCode.WRONG_INPUT
    assert "FRONTEND_PORT is '99999'" in refused.stderr

    assert (
        "listening on port 3000" in invoke(project, engine, "logs", "--service", "frontend").stdout
    )
    unknown = invoke(project, engine, "logs", "--service", "nosuch")
    assert unknown.returncode == ExitCode.WRONG_INPUT
    assert "compose.yaml has: frontend, backend, database" in unknown.stderr
    assert "frontend" in invoke(project, engine, "ps").stdout

    down = invoke(project, engine, "down", "--volumes")
    assert down.returncode == ExitCode.OK, down.stdout + down.stderr
    assert containers(engine, project) == {}
