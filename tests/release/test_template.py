"""The template releases itself with the same command: no images, tags that `copier update` reads."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import copier
import pytest
from packaging.version import Version

from taskflow_containers.cli import parser
from taskflow_containers.release import command
from tests.conftest import git
from tests.template.test_facades import load


@pytest.fixture
def clone(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The template with a remote and something to release since v0.1.0."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    folder = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--bare", str(template), str(tmp_path / "remote.git"))
    git(tmp_path, "clone", "--quiet", str(tmp_path / "remote.git"), str(folder))
    for key, value in {"user.name": "Ann", "user.email": "ann@localhost"}.items():
        git(folder, "config", key, value)
    readme = folder / "template" / "README.md.jinja"
    readme.write_text(readme.read_text("utf-8") + "\nOne line more.\n", "utf-8")
    git(folder, "commit", "--quiet", "--all", "--message", "feat!: say more")
    return folder


def test_the_plan(clone: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "release", "--dry-run"], cwd=clone, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "release 0.2.0 after 0.1.0" in done.stdout
    steps = [line.split()[1] for line in done.stdout.splitlines() if "·" in line]
    assert steps == ["prepare", "gate", "branch", "tag", "push"]
    assert git(clone, "status", "--porcelain") == ""


def test_a_release_is_what_copier_updates_to(
    clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "project"
    copier.run_copy(str(clone), project, defaults=True, quiet=True, vcs_ref="v0.1.0")
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "x"]):
        git(project, *words)
    # Its tests are what runs here; the gate of this one is its lint.
    lint = {"gate": (("bootstrap.py", "lint"),)}
    product = load(clone / "tasks.py").product().model_copy(update=lint)
    code = command.run(clone, parser(["release"]).parse_args(["release", "--yes"]), lambda: product)
    assert code == 0
    assert capsys.readouterr().out.splitlines()[-1] == "v0.2.0"
    assert Version("v0.2.0") > Version("v0.1.0")
    assert git(clone, "show", "--format=%s", "--name-only", "HEAD").split("\n") == [
        "chore(release): 0.2.0", "", "CHANGELOG.md", "pyproject.toml", ""
    ]  # fmt: skip
    assert (
        git(clone, "ls-remote", "origin", "refs/tags/v0.2.0^{}").split()[0]
        == git(clone, "rev-parse", "HEAD").strip()
    )
    copier.run_update(str(project), defaults=True, quiet=True, overwrite=True)
    assert "_commit: v0.2.0" in (project / ".copier-answers.yml").read_text("utf-8")
    assert (project / "README.md").read_text("utf-8").endswith("One line more.\n")
    shutil.rmtree(clone)
