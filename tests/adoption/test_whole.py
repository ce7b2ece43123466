"""An adopted application: linted, built, smoke-tested, asked, charted, released, edited and updated."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import copier
import pytest

from taskflow_containers.engine.client import Engine, substitutes
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load
from taskflow_containers.smoke.stack import Stack
from taskflow_containers.workspace import Workspace
from tests.adoption import application
from tests.adoption.application import Application
from tests.adoption.conftest import OLDER
from tests.conftest import git
from tests.release.conftest import Registry
from tests.release.test_default import EXTENDED, GATE
from tests.update.projects import append, replace, tree

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("adoption")]
SOURCES = (".py", ".tsx", ".ts", ".jsx", ".js")  # of what an owner writes, one file is edited
STANDIN = substitutes().get("python:3.13-slim")


def run(folder: Path, *words: str) -> tuple[int, str]:
    """A command of the tool in a project; its exit code and what it prints."""
    also = {} if not STANDIN else {
        "TASKFLOW_SUBSTITUTE_IMAGES": " ".join(
            (os.environ.get("TASKFLOW_SUBSTITUTE_IMAGES", ""), f"python:3.12-slim={STANDIN}")
        )
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-P", "-m", "taskflow_containers", *words], cwd=folder, env=os.environ | also,
        capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module", params=application.chosen())
def app(request: pytest.FixtureRequest) -> Application:
    """Each of them in turn."""
    return application.load(request.param)


@pytest.fixture(scope="module")
def adopted(
    app: Application,
    adopt_earlier: Callable[[Path], None],
    engine: Engine,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """It, locked, adopted by an earlier version of the template, committed and built."""
    folder = app.copy(tmp_path_factory.mktemp("whole") / app.name, locked=True)
    before = git(folder, "rev-parse", "HEAD").strip()
    adopt_earlier(folder)
    git(folder, "tag", "theirs")
    # What `adopt` tells an owner to add to a .gitignore of their own, where the clone alone has it.
    with (folder / ".git" / "info" / "exclude").open("a") as file:
        file.write(".nox/\nreports/\n.venv/\n")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", "run in containers")
    assert git(folder, "diff", "--name-only", "--diff-filter=MDR", before, "HEAD") == ""
    code, said = run(folder, "build", "--engine", str(engine.client))
    assert code == 0, said
    return folder


def test_it_is_linted(adopted: Path) -> None:
    code, said = run(adopted, "lint")
    assert code == 0, said


def test_it_passes_the_smoke_test_but_for_its_own_faults(
    app: Application, adopted: Path, engine: Engine
) -> None:
    run(adopted, "smoke", "--engine", str(engine.client))
    report = json.loads((adopted / "reports" / "smoke.json").read_text("utf-8"))
    failed = [
        f"{r['id']} {r.get('measured')}" for r in report["results"] if r["status"] == "failed"
    ]
    assert [one for one in failed if one.split()[0] not in app.unjudged] == []
    assert len(report["results"]) > 30


def test_it_answers_as_it_did(app: Application, adopted: Path, engine: Engine) -> None:
    project = load(adopted / FILE_NAME)
    workspace = Workspace(adopted, project, engine)
    # Who is called is there before who calls.
    order = sorted(project.containers, key=lambda name: project.containers[name].kind == "frontend")
    with Stack(workspace) as stack:
        for service in project.services:
            stack.start_service(service)
        answers = {}
        for name in order:
            target = workspace.target(name, f"{project.image(name)}:dev")
            if target.container.migrate:
                stack.once(target, target.container.migrate)
            answers[name] = stack.start(target)
        for request in app.requests:
            answer = answers[request["container"]].get(request["path"], 30)
            assert request["contains"] in answer.body.decode(), (request, answer.status)


def test_its_chart_is_right(adopted: Path) -> None:
    code, said = run(adopted, "chart")
    assert code == 0, said


def test_it_is_released_edited_and_updated(
    adopted: Path, engine: Engine, registry: Registry, tmp_path: Path
) -> None:
    """The gate's checks are those above: here it builds, and what is built is found in the registry."""
    remote = tmp_path / "remote.git"
    git(adopted, "init", "--quiet", "--bare", "--initial-branch=main", str(remote))
    git(adopted, "remote", "add", "origin", str(remote))
    for key, value in {"user.name": "Ann", "user.email": "ann@localhost"}.items():
        git(adopted, "config", key, value)
    theirs = git(adopted, "ls-tree", "-r", "--name-only", "theirs").split()
    # A registry is named where all answers are, and at the version that the project has.
    answer = f"registry={registry.host}/acme"
    code, said = run(adopted, "update", "--version", "v0.8.0", "--answer", answer)
    assert code == 0, said
    gate = adopted / "taskflow_containers"
    gate.mkdir()
    (gate / "__init__.py").write_text(EXTENDED)
    (gate / "__main__.py").write_text(GATE)
    commit(adopted, "feat: name a registry")
    git(adopted, "push", "--quiet", "--set-upstream", "origin", "main")
    assert git(adopted, "diff", "--name-only", "theirs", "--", *theirs) == ""

    code, said = run(adopted, "release", "--yes", "--version=9.1.0", "--engine", str(engine.client))
    assert code == 0, said
    project = load(adopted / FILE_NAME)
    digests = dict(
        line.rpartition(":9.1.0@")[::2] for line in said.splitlines() if ":9.1.0@sha256:" in line
    )
    assert set(digests) == {project.image(name) for name in project.containers}
    released = [f"{image}:9.1.0" for image in digests]
    engine.call("image", "rm", "--force", "--no-prune", *released)
    there = {
        tag.removesuffix(":9.1.0"): digest
        for tag, digest in registry.tags.items()
        if tag.endswith(":9.1.0")
    }
    chart = f"acme/charts/{project.name}"
    assert set(there) == {chart, *(name.partition("/")[2] for name in digests)}
    assert {f"{registry.host}/{name}": there[name] for name in there if name != chart} == digests

    source, *_ = [name for suffix in SOURCES for name in theirs if name.endswith(suffix)]
    append(adopted / source, "# edited" if source.endswith(".py") else "// edited")
    dockerfile = project.dockerfile(next(iter(project.containers)))
    edited = {
        FILE_NAME: ('stop = "10s"', 'stop = "9s"'),
        f"{project.files.chart}/values.yaml": ("replicas: 2", "replicas: 3"),
        dockerfile: ("\nUSER 1001", "\nENV EDITED=yes\nUSER 1001"),
    }
    for name, (old, new) in edited.items():
        replace(adopted / name, old, new)
    shutil.rmtree(gate)
    commit(adopted, "feat: work")
    before = tree(adopted)
    copied = shutil.copytree(adopted, tmp_path / "copied")
    copier.run_update(copied, defaults=True, overwrite=True, quiet=True)
    code, said = run(adopted, "update")
    assert code == 0, said
    after = tree(adopted)
    listed = f"{project.files.chart}/README.md"  # its table follows by `update` alone
    assert {**tree(copied), listed: ""} == {**after, listed: ""}
    assert [name for name in after if name.endswith(".rej")] == []
    marks = ("<<<<<<<", *OLDER.values())
    ours = {name: text for name, text in after.items() if not name.startswith(".nox/")}
    assert [name for name, text in ours.items() if any(mark in text for mark in marks)] == []
    assert [name for name in theirs if after[name] != before[name]] == []
    assert [name for name, (_, new) in edited.items() if new not in after[name]] == []
    for words in (("lint",), ("build", "--engine", str(engine.client))):
        code, said = run(adopted, *words)
        assert code == 0, said


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all", "--force", "--", ":!reports", ":!.nox")
    git(folder, "commit", "--quiet", "--message", message)
