"""Programs that judge, and packages that two runs in one folder share."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow_containers.machine import tools
from taskflow_containers.machine.errors import EnvironmentTrouble
from tests.conftest import ROOT

PROGRAM = """
import sys
from pathlib import Path
from taskflow_containers.machine.tools import node_modules
node_modules(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[2], "package-lock.json"))
"""


def test_two_runs_install_once(tmp_path: Path) -> None:
    frontend = tmp_path / "frontend"
    frontend.mkdir()
    note = "node -e \"require('fs').appendFileSync('installed', 'x')\""
    package = {"name": "frontend", "version": "0.0.0", "scripts": {"postinstall": note}}
    (frontend / "package.json").write_text(json.dumps(package))
    lock = {"name": "frontend", "version": "0.0.0", "lockfileVersion": 3, "packages": {"": package}}
    (frontend / "package-lock.json").write_text(json.dumps(lock))
    (frontend / "node_modules").mkdir()
    argv = [sys.executable, "-c", PROGRAM, str(tmp_path), str(frontend)]
    runs = [
        subprocess.Popen(argv, cwd=ROOT / "template", stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for one in runs:
        _, said = one.communicate(timeout=120)
        assert one.returncode == 0, said
    assert (frontend / "installed").read_text() == "x"
    assert (frontend / "node_modules" / ".taskflow-stamp").is_file()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    """A program of the project's own, which no later test takes."""
    program = tmp_path / "bin" / "trivy"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho Version: 9.8.7\n")
    program.chmod(0o755)
    yield program
    tools.choose(tmp_path, {})


@pytest.mark.skipif(os.name == "nt", reason="the program is a shell script")
@pytest.mark.parametrize("given", ["bin/trivy", "{absolute}", "~/bin/trivy", "trivy"])
def test_a_program_of_ones_own_takes_the_place_and_is_named(
    given: str, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = own.parents[1]
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.setenv("PATH", f"{own.parent}{os.pathsep}{os.environ['PATH']}")
    tools.choose(root, {"trivy": given.format(absolute=own), "hadolint": ""})
    assert tools.tool("trivy") == own
    digest = hashlib.sha256(own.read_bytes()).hexdigest()
    named = f"trivy 9.8.7 judged: sha256:{digest}, from {own}, named in taskflow.toml"
    assert tools.identity("trivy") == named
    assert tools.tool("hadolint").parent == Path(sys.executable).parent


@pytest.mark.parametrize("given", ["bin/none", "no-such-program", "bin"])
def test_one_that_is_not_there_is_no_reason_to_take_another(given: str, own: Path) -> None:
    with pytest.raises(EnvironmentTrouble, match=r"tools\.trivy"):
        tools.choose(own.parents[1], {"trivy": given})


def test_the_wheel_that_carries_a_program_is_named() -> None:
    for name in ("trivy", "hadolint"):
        pattern = (
            rf"{name} [\d.]+ judged: sha256:[0-9a-f]{{64}}, from the package {name}-py\S* [\d.]+"
        )
        assert re.fullmatch(pattern, tools.identity(name))
