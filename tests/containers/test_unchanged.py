"""`smoke` and `scan --if-changed`: an earlier verdict stands only while nothing that it depends on has changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from taskflow_containers.machine.errors import ExitCode
from taskflow_containers.machine.tools import tool
from tests.containers.conftest import Service, fault, replace

pytestmark = pytest.mark.engine
STANDS = "; nothing has changed since"


def smoke(service: Service, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A short smoke test from the command line."""
    environment = {**os.environ, "COLUMNS": "140"} | variables
    return subprocess.run(
        [sys.executable, "-m", "taskflow_containers", "smoke", "--only", "user", "--verbose", *words], text=True,
        cwd=service.folder, env=environment, capture_output=True, check=False, timeout=1200,
    )  # fmt: skip


def report(service: Service) -> dict[str, object]:
    """The report in JSON, without what says when."""
    found = json.loads((service.folder / "reports/smoke.json").read_text())
    return {key: found[key] for key in ("started", "seconds", "verdict", "results", "images")}


def test_unchanged(service: Service) -> None:
    first = smoke(service, "--if-changed")
    assert first.returncode == ExitCode.OK, first.stderr
    assert STANDS not in first.stdout
    before = report(service)
    again = smoke(service, TASKFLOW_IF_CHANGED="1")
    assert again.returncode == ExitCode.OK, again.stderr
    assert f"at {before['started']}{STANDS}" in again.stdout
    assert "runs as the declared user" in again.stdout
    assert report(service) == before
    # However narrow the terminal.
    assert STANDS in smoke(service, "--if-changed", COLUMNS="60").stdout
    # Without leave, every run is a run.
    assert STANDS not in smoke(service).stdout
    assert report(service)["started"] != before["started"]


def edited(service: Service) -> None:
    replace("taskflow.toml", 'memory = "', 'memory = "1')(service.folder)


def without_page(service: Service) -> None:
    (service.folder / "reports/smoke.html").unlink()


def garbled(service: Service) -> None:
    (service.folder / "reports/smoke.json").write_text("{")


def another_image(service: Service) -> None:
    fault("none-at-all")(service.folder)


def test_changed(service: Service) -> None:
    assert smoke(service).returncode == ExitCode.OK
    for change in (edited, without_page, garbled, another_image):
        change(service)
        done = smoke(service, "--if-changed")
        assert done.returncode == ExitCode.OK, done.stderr
        assert STANDS not in done.stdout, change
    assert STANDS not in smoke(service, "--if-changed", "--only", "readiness").stdout


@pytest.mark.thorough
def test_a_failure_does_not_stand(service: Service) -> None:
    fault("live-not-json")(service.folder)
    for _ in range(2):
        done = smoke(service, "--if-changed", "--only", "health")
        assert done.returncode == ExitCode.CHECK_FAILED, done.stderr
        assert STANDS not in done.stdout


def test_an_unchanged_scan_does_not_start_the_scanner(service: Service, tmp_path: Path) -> None:
    """The scanner is one that writes down each start."""
    starts, scanner = tmp_path / "starts", tmp_path / "trivy"
    scanner.write_text(f'#!/bin/sh\necho "$1" >>{starts}\nexec {tool("trivy")} "$@"\n')
    scanner.chmod(0o755)
    with (service.folder / "taskflow.toml").open("a") as model:
        model.write(f'\n[tools]\ntrivy = "{scanner}"\n')

    def scanned() -> bool:
        """Whether the scan, which passes, is one, and says so."""
        starts.write_text("")
        environment = {**os.environ, "COLUMNS": "300", "TRIVY_CACHE_DIR": str(tmp_path / "cache")}
        done = subprocess.run(
            [sys.executable, "-m", "taskflow_containers", "scan", "--if-changed", "--offline"],
            cwd=service.folder, env=environment, text=True, capture_output=True, check=False,
            timeout=1200,
        )  # fmt: skip
        assert done.returncode == ExitCode.OK, done.stdout + done.stderr
        assert f"from {scanner}, named in taskflow.toml" in done.stdout
        found = bool(starts.read_text())
        assert found != (STANDS in done.stdout)
        return found

    assert scanned()
    assert not scanned()
    (service.folder / "reports" / "sbom-backend.spdx.json").unlink()
    assert scanned()
