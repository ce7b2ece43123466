"""Every job of a project's CI files runs: the lines as they stand there, each in a clean clone, on a real engine."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.engine.client import Engine
from tests.conftest import Render, further, git, lacking
from tests.containers.runners import Github, Gitlab, Runner, machine, runner_env
from tests.release.conftest import PASSWORD, USER, Registry, remove_images
from tests.release.test_forge import Api, api  # noqa: F401

pytestmark = pytest.mark.engine
CI, RELEASE, UPDATE = (f".github/workflows/{name}.yml" for name in ("ci", "release", "update"))
GITLAB = ".gitlab-ci.yml"
TAG = "v0.1.0"
# Of the matrix, whose lines are the same, what uses the engine; the release job runs all sessions.
SESSIONS = "build,scan,smoke"


class Shop:
    """A project with a bare remote, a registry, a forge's API and the machine that its jobs run on."""

    def __init__(
        self, folder: Path, render: Render, registry: Registry, engine: Engine, forge: Api, ci: str
    ) -> None:
        self.name = f"jobs-{uuid.uuid4().hex[:8]}"
        self.folder, self.registry, self.api = folder, registry, forge
        self.remote = folder / "remote.git"
        work = render(
            folder / "project", project_name=self.name, containers="backend", database=False,
            registry=f"{registry.host}/acme", ci=ci,
        )  # fmt: skip
        # As the commit of a release says it.
        stated = work / "backend" / "pyproject.toml"
        stated.write_text(stated.read_text("utf-8").replace("0.0.0", TAG[1:], 1), "utf-8")
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        git(work, "init", "--quiet", "--initial-branch=main")
        git(work, "remote", "add", "origin", str(self.remote))
        git(work, "add", "--all")
        git(work, "commit", "--quiet", "--message", "feat: begin")
        git(work, "tag", TAG)
        git(work, "push", "--quiet", "--tags", "--set-upstream", "origin", "main")
        self.commit = git(work, "rev-parse", "HEAD").strip()
        programs = machine(folder / "machine", engine.client)
        self.asked = programs / "asked"
        docker = folder / "docker"
        docker.mkdir()
        if (kept := Path(os.environ.get("DOCKER_CONFIG", "/none"))).is_dir():
            shutil.copytree(kept, docker, dirs_exist_ok=True)
        self.env = runner_env()
        # No vulnerability database can be had here; that variable is one to set in a CI without one, too.
        self.env |= {"DOCKER_CONFIG": str(docker), "TASKFLOW_OFFLINE": "1",
                     "PATH": f"{programs}/bin{os.pathsep}{self.env['PATH']}"}  # fmt: skip

    def github(self, folder: str, ref: str, kind: str = "heads") -> Github:
        """A runner of GitHub's for a push."""
        context: dict[str, Any] = {
            "github": {
                "sha": self.commit, "event_name": "push", "actor": USER, "token": "t0ken", "ref": f"refs/{kind}/{ref}",
                "ref_name": ref, "repository": f"acme/{self.name}", "event": {"repository": {"private": False}},
                "api_url": self.api.url,
            },
            "vars": {"RELEASE_ON_TAG": "1"}, "needs": {"sessions": {"result": "success"}},
            "secrets": {"REGISTRY_USER": USER, "REGISTRY_PASSWORD": PASSWORD},
        }  # fmt: skip
        return Github(self.folder / folder, self.remote, self.env, context)

    def published(self, reports: Path) -> None:
        """Image and chart are in the registry under the version, by the digest that the journal names."""
        journal = json.loads((reports / f"release-{TAG[1:]}.json").read_text("utf-8"))
        assert journal["commit"] == self.commit
        (image,) = journal["images"].values()
        tags = self.registry.tags
        assert tags[f"acme/{self.name}-backend:{TAG[1:]}"] == image["digest"]
        assert tags[f"acme/charts/{self.name}:{TAG[1:]}"] == journal["chart"]["digest"]
        (release,) = self.api.releases.values()
        assert release["tag_name"] == TAG


@pytest.fixture
def shop(
    request: pytest.FixtureRequest, render: Render, make_registry: Callable[..., Registry], engine: Engine,
    api: Api, tmp_path: Path,  # noqa: F811
) -> Iterator[Shop]:  # fmt: skip
    """The project of this forge."""
    if engine.name != "docker" or not engine.keeps_indexes():
        lacking(
            "the builder that the jobs make is stood in for by that of Docker's containerd store"
        )
    found = Shop(tmp_path, render, make_registry(auth=True), engine, api, request.param)
    yield found
    remove_images(engine, found.name)


def passed(runner: Runner, sessions: str) -> None:
    """Each of these sessions has a report that passed, and none has changed a file that git knows."""
    for session in sessions.split(","):
        report = json.loads((runner.clone / "reports" / f"{session}.json").read_text("utf-8"))
        assert report["verdict"] == "passed"
    assert git(runner.clone, "status", "--porcelain") == ""


@pytest.mark.parametrize("shop", ["github"], indirect=True)
@pytest.mark.parametrize("sessions", ["build,scan", further(SESSIONS)])
def test_every_job_of_github_runs(shop: Shop, sessions: str) -> None:
    """The slow drills follow upon smoke alone; the release job smoke-tests in any case."""
    runner = shop.github("runner", "main")
    runner.run(CI, "sessions", {"sessions": sessions})
    passed(runner, sessions)
    runner.run(CI, "nox")
    runner.run(UPDATE, "template")
    assert shop.asked.read_text("utf-8") == "docker buildx create --use\n"
    summary = runner.summary.read_text("utf-8")
    for session in sessions.split(","):
        assert f"## ✓ {session}: " in summary
    assert not shop.registry.tags
    release = shop.github("release", TAG, "tags")
    release.run(RELEASE, "release")
    shop.published(release.artifacts["reports"])


@pytest.mark.thorough
@pytest.mark.parametrize("shop", ["gitlab"], indirect=True)
def test_every_job_of_gitlab_runs(shop: Shop) -> None:
    runner = Gitlab(shop.folder / "runner", shop.remote, shop.env)
    request = {"NOXSESSION": SESSIONS, "CI_PIPELINE_SOURCE": "merge_request_event"}
    runner.run(GITLAB, "nox", "main", request)
    passed(runner, SESSIONS)
    forge = {"CI_API_V4_URL": shop.api.url, "CI_PROJECT_ID": "7", "CI_JOB_TOKEN": "t0ken"}
    runner.run(
        GITLAB,
        "update",
        "main",
        forge | {"CI_PIPELINE_SOURCE": "schedule", "UPDATE_TOKEN": "t0ken"},
    )
    assert (
        "docker context create builder\ndocker buildx create --use builder\n"
        in shop.asked.read_text("utf-8")
    )
    assert not shop.registry.tags
    tag = {"CI_COMMIT_TAG": TAG, "CI_COMMIT_REF_PROTECTED": "true", "RELEASE_ON_TAG": "1"}
    secrets = {"REGISTRY_USER": USER, "REGISTRY_PASSWORD": PASSWORD}
    runner.run(GITLAB, "release", TAG, forge | tag | secrets)
    shop.published(runner.artifacts["release"])
