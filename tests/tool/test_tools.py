"""Packages that two runs in one folder share."""

import json
import subprocess
import sys
from pathlib import Path

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
