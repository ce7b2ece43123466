"""A release that one installed version of the tool began is ended by another one, built from another commit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from taskflow_containers.machine import tools
from tests.conftest import ROOT, git, lacking
from tests.release.plain import Plain

# What the later commit changes: a version, and a field of the journal that the earlier one does not know.
LATER = {
    "pyproject.toml": ('\nversion = "0.1.0"', '\nversion = "0.2.0"'),
    "src/taskflow_containers/release/state.py": (
        '    previous: str = ""\n',
        '    previous: str = ""\n    shine: list[str] = []\n',
    ),
    "src/taskflow_containers/release/plan.py": (
        "            way=",
        '            shine=["bright"],\n            way=',
    ),
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where the wheels of two commits are installed, by their versions."""
    uv = shutil.which("uv", path=Path(sys.executable).parent)
    if not uv or not shutil.which("hatchling", path=Path(sys.executable).parent):
        lacking("uv and hatchling are not installed beside this interpreter")
    top = tmp_path_factory.mktemp("tools")
    source = top / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", source)
    git(source, "init", "--quiet")
    found = {}
    for version in ("0.1.0", "0.2.0"):
        for name, (old, new) in LATER.items() if version == "0.2.0" else ():
            text = (source / name).read_text("utf-8")
            assert old in text
            (source / name).write_text(text.replace(old, new, 1), "utf-8")
        git(source, "add", "--all")
        git(source, "commit", "--quiet", "--message", version)
        found[version] = top / version
        built = top / f"wheel-{version}"
        subprocess.run([tools.tool("hatchling"), "build", "-t", "wheel", "-d", built],
                       cwd=source, check=True, capture_output=True)  # fmt: skip
        (wheel,) = built.iterdir()
        words = [uv, "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
        subprocess.run([*words, found[version], wheel], check=True)
    return found


def with_tool(folder: Path) -> dict[str, str]:
    """The environment in which an installed tool is found before any other."""
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


def begun(plain: Plain, tool: Path, point: str) -> None:
    """A release that one of them began, killed at some point."""
    done = plain.python("-m", "tests.release.interrupted", point, "--yes", **with_tool(tool))
    assert done.returncode < 0, done.stderr


@pytest.mark.parametrize("point", ["start:prepare", "finish:gate", "do:tag", "do:push"])
def test_begun_by_the_earlier_ended_by_the_later(
    point: str, installed: dict[str, Path], tmp_path: Path
) -> None:
    plain = Plain(tmp_path)
    start = plain.here
    begun(plain, installed["0.1.0"], point)
    assert plain.journal["tool"]["version"] == "0.1.0"
    copy = plain.copy(tmp_path / "copy")
    later = with_tool(installed["0.2.0"])
    done = copy.invoke("--abort", **later)
    assert done.returncode == 0, done.stderr
    assert copy.here[1:] == start[1:]  # the head says that it is behind what was pushed
    done = plain.invoke("--resume", "--yes", **later)
    assert done.returncode == 0, done.stderr
    assert (
        git(plain.remote, "rev-parse", "v1.3.0^{commit}", "main").split()
        == [plain.git("rev-parse", "HEAD")] * 2
    )


def test_begun_by_the_later_ended_by_the_earlier(
    installed: dict[str, Path], tmp_path: Path
) -> None:
    """It says which tool goes on, and takes all back that it understands."""
    plain = Plain(tmp_path)
    start = plain.here
    begun(plain, installed["0.2.0"], "finish:tag")
    earlier = with_tool(installed["0.1.0"])
    before = plain.state
    done = plain.invoke("--resume", "--yes", **earlier)
    assert (done.returncode, plain.state) == (2, before)
    assert "begun by taskflow-containers 0.2.0" in done.stderr
    assert "this is taskflow-containers 0.1.0" in done.stderr
    assert "plan.shine" in done.stderr
    copy = plain.copy(tmp_path / "copy")
    done = copy.invoke("--resume", "--yes", **with_tool(installed["0.2.0"]))
    assert done.returncode == 0, done.stderr
    done = plain.invoke("--abort", **earlier)
    assert done.returncode == 0, done.stderr
    assert plain.here == start
    assert "perhaps more: the journal's plan.shine" in done.stderr
