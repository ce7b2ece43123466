"""What the default answers give is released too: no registry, and a client that is not on PATH.

Lint, build, scan and smoke of that project are tried elsewhere; here a stand-in builds two small
images under their names.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow_containers.contract.container import LABEL_PREFIX
from taskflow_containers.engine.client import Engine
from taskflow_containers.release.journal import Journal
from tests.conftest import ROOT, Render, git, lacking
from tests.release.conftest import remove_images

pytestmark = pytest.mark.engine
DOCKERFILE = f"""\
FROM scratch
COPY . /
ARG VERSION REVISION
LABEL {LABEL_PREFIX}version="${{VERSION}}" {LABEL_PREFIX}revision="${{REVISION}}"
"""
EXTENDED = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
GATE = """\
import json, sys
from pathlib import Path
from taskflow_containers.checks import build
from taskflow_containers.engine.find import find
from taskflow_containers.project.load import load
from taskflow_containers.workspace import Workspace

project, found = load(Path("taskflow.toml")), {}
if sys.argv[1] == "build":
    for image in build.build(Workspace(Path(), project, find()), project.containers):
        found[image.tags[0]] = image.id
Path("reports").mkdir(exist_ok=True)
report = {"images": found, "verdict": "passed", "results": []}
Path("reports", f"{sys.argv[1]}.json").write_text(json.dumps(report))
"""


class Project:
    """A rendered project with a bare remote, and a PATH that leads to no engine."""

    def __init__(self, folder: Path, name: str, client: Path, path: Path) -> None:
        self.folder, self.name, self.client, self.path = folder, name, client, path
        self.remote = folder.parent / "remote.git"
        self.images = [f"{name}-{container}:0.1.0" for container in ("backend", "frontend")]

    def invoke(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "invoke", *words, **environment)

    def python(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, *words], cwd=self.folder, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, timeout=1200,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "300", "PATH": str(self.path),
                 "GIT_CONFIG_GLOBAL": os.devnull, **environment},
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        return done

    def killed(self, point: str) -> None:
        """A release by a client that is named by its path, killed on the way."""
        words = ("-m", "tests.release.interrupted", point, "--yes", f"--engine={self.client}")
        done = self.python(*words)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert "names no registry" in done.stdout

    @property
    def journal(self) -> Journal:
        found = Journal.unfinished(self.folder / "reports")
        assert found
        return found


@pytest.fixture
def project(render: Render, engine: Engine, tmp_path: Path) -> Iterator[Project]:
    """The default answers, but for the name; committed and pushed."""
    name = f"default-{uuid.uuid4().hex[:8]}"
    folder = render(tmp_path / "project", project_name=name)
    for container in ("backend", "frontend"):
        (folder / container / "Dockerfile").write_text(DOCKERFILE)
    # In the checkout that a release makes, this is found before the installed one.
    (folder / "taskflow_containers").mkdir()
    (folder / "taskflow_containers" / "__init__.py").write_text(EXTENDED)
    (folder / "taskflow_containers" / "__main__.py").write_text(GATE)
    path = tmp_path / "bin"
    path.mkdir()
    for program in ("git", "sh"):
        (path / program).symlink_to(str(shutil.which(program)))
    client = tmp_path / "elsewhere" / "client"
    client.parent.mkdir()
    client.write_text(f'#!/bin/sh\nexec "{engine.client}" "$@"\n')
    client.chmod(0o755)
    found = Project(folder, name, client, path)
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(found.remote))
    git(folder, "init", "--quiet", "--initial-branch=main")
    for key, value in {"user.name": "Ann", "user.email": "ann@localhost"}.items():
        git(folder, "config", key, value)
    git(folder, "remote", "add", "origin", "../remote.git")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "feat: begin")
    git(folder, "push", "--quiet", "--set-upstream", "origin", "main")
    yield found
    remove_images(engine, name)


def test_a_release_without_a_registry(project: Project, engine: Engine) -> None:
    start = git(project.remote, "for-each-ref")
    project.killed("finish:promote")
    assert all(engine.image_config(image) for image in project.images)
    done = project.invoke("release", "--abort")
    assert done.returncode == 0, done.stderr
    assert not any(engine.image_config(image) for image in project.images)
    assert git(project.remote, "for-each-ref") == start
    # Nothing but the plan leads to the client again.
    project.killed("finish:promote")
    done = project.invoke("release", "--resume", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-3:] == ["v0.1.0", *project.images]
    assert "on this machine alone: taskflow.toml names no registry" in done.stderr
    commit = git(project.folder, "rev-parse", "v0.1.0^{commit}")
    assert git(project.remote, "rev-parse", "v0.1.0^{commit}", "main") == commit * 2
    for image in project.images:
        labels = (engine.image_config(image) or {})["Labels"]
        assert labels[f"{LABEL_PREFIX}revision"] == commit.strip()
    done = project.invoke("tag", TASKFLOW_ENGINE=str(project.client))
    assert done.returncode == 0, done.stderr
    tags = ("0.1.0", "0.1", "0", "latest", f"sha-{commit[:12]}")
    assert done.stdout.splitlines() == [
        f"{project.name}-{container}:{tag}" for container in ("backend", "frontend") for tag in tags
    ]
    done = project.invoke("release", "--yes", TASKFLOW_ENGINE=str(project.client))
    assert (done.returncode, done.stdout) == (1, "")
    assert "nothing to release" in done.stderr


def test_an_image_for_another_platform_is_not_released(project: Project, engine: Engine) -> None:
    if engine.name != "docker":
        lacking("only docker builds for what DOCKER_DEFAULT_PLATFORM says")
    start = git(project.folder, "for-each-ref"), git(project.remote, "for-each-ref")
    project.killed("finish:prepare")
    own = project.journal.state.plan.platform
    other = {"linux/amd64": "linux/arm64"}.get(own, "linux/amd64")
    done = project.invoke("release", "--resume", "--yes", DOCKER_DEFAULT_PLATFORM=f"{other}/v8")
    assert done.returncode == 1, done.stderr
    assert f"the image of backend is for {other}, and the plan was for {own}" in done.stderr
    assert (git(project.folder, "for-each-ref"), git(project.remote, "for-each-ref")) == start
    chosen = {"TASKFLOW_ENGINE": str(project.client), "DOCKER_DEFAULT_PLATFORM": other}
    done = project.invoke("release", "--dry-run", **chosen)
    assert done.returncode == 1
    assert f"DOCKER_DEFAULT_PLATFORM is {other}, this engine is {own}" in done.stderr
    # What taskflow.toml says is what is agreed to.
    with (project.folder / "taskflow.toml").open("a") as file:
        file.write(f'\n[build]\nplatforms = ["{other}"]\n')
    git(project.folder, "commit", "--quiet", "--all", "--message", "fix: for other machines")
    done = project.invoke("release", "--dry-run", **chosen)
    assert f"release 0.1.0 after none for {other}" in done.stdout, done.stderr
    assert " was made " in done.stdout


def test_a_journal_of_another_version(project: Project) -> None:
    """It names the tool to go on with, and what it says was done is taken back."""
    start = git(project.folder, "for-each-ref")
    project.killed("finish:promote")
    path = project.journal.path
    data = json.loads(path.read_text())
    plan = data["plan"]
    plan["product"]["shine"] = plan["shine"] = plan.pop("platform")
    data["steps"]["polish"] = {"started": "2026-01-01T00:00:00+00:00"}
    data |= {"format": 2, "tool": {"version": "9.1.0", "commit": "c0ffee", "source": "https://x/y"}}
    path.write_text(json.dumps(data))
    done = project.invoke("release", "--resume", "--yes")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        "begun by taskflow-containers 9.1.0 (commit c0ffee), whose journal has format 2"
        in done.stderr
    )
    assert "'taskflow-containers @ git+https://x/y@c0ffee'" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert json.loads(path.read_text()) == data
    # Where no engine answers, the images' tags are left and named.
    project.client.rename(project.client.with_name("gone"))
    done = project.invoke("release", "--abort")
    assert done.returncode == 0, done.stderr
    assert git(project.folder, "for-each-ref") == start
    assert "perhaps what polish did" in done.stderr
    assert "perhaps more: the journal's plan.product.shine, plan.shine mean nothing" in done.stderr
    ended = json.loads(path.read_text())
    assert ended["status"] == "aborted"
    assert [ended[name] for name in ("format", "tool", "plan", "steps")] == [
        data[name] for name in ("format", "tool", "plan", "steps")
    ]
    for image in project.images:
        assert f"perhaps {image}, here: " in done.stderr
