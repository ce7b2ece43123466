"""A real cluster, and on it the release of a small service that every test can break."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace as but
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.checks import build
from taskflow_containers.cli import parser
from taskflow_containers.cluster import helm
from taskflow_containers.cluster.command import cluster, target
from taskflow_containers.cluster.drills import run_drill
from taskflow_containers.cluster.kubectl import Kubectl
from taskflow_containers.cluster.namespace import OWNER, Namespace
from taskflow_containers.engine.client import Engine
from taskflow_containers.project.load import load
from taskflow_containers.report.result import Result
from taskflow_containers.workspace import Workspace
from tests.conftest import ROOT, SERVICE, Render
from tests.containers.conftest import replace

NEEDED = "needs a cluster: set KUBECONFIG (kind makes one: `kind create cluster`)"
HERE = Path(__file__).parent
SHARED = "drilled"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests want a cluster by name: they leave alone what a person's kubectl happens to use."""
    found = os.environ.get("KUBECONFIG")
    for item in items:
        if HERE in item.path.parents and "kubectl" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.engine if found else pytest.mark.skip(NEEDED))


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """Kubectl for the cluster of KUBECONFIG."""
    with target(helm.kubectl(ROOT), "", print) as found:
        found.call("get", "nodes")
    return found


def small(render: Render, folder: Path, **answers: object) -> Path:
    """A project whose backend is the small service, and its chart."""
    project = render(folder, containers="backend", **answers)
    shutil.rmtree(project / "backend")
    shutil.copytree(SERVICE / "backend", project / "backend")
    (project / "values.yaml").write_text(QUICK, encoding="utf-8")
    return project


# The rest is the chart's own; these make a rollout and what the kubelet notices a matter of seconds.
QUICK = """
defaults:
  preStopSleepSeconds: 2
  probes: {readiness: {periodSeconds: 1}}
containers: {backend: {test: {command: [python, /app/healthcheck.py]}}}
"""


def options(project: Path, *drills: str, **changes: Any) -> argparse.Namespace:
    """The command's options, as the command line makes them."""
    words = [word for drill in drills for word in ("--drill", drill)]
    if (project / "values.yaml").is_file():
        words += ["--values", str(project / "values.yaml")]
    found: argparse.Namespace = parser(["cluster"]).parse_args(["cluster", *words])
    vars(found).update(changes)
    return found


def rehearse(project: Path, engine: Engine, *drills: str, **changes: Any) -> list[Result]:
    """Build, install, drill and remove."""
    model = load(project / "taskflow.toml")
    workspace = Workspace(project, model, engine)
    images = build.build(workspace, model.containers)
    assert all(image.usable for image in images), [image.results for image in images]
    return cluster(workspace, images, options(project, *drills, **changes))


@pytest.fixture(scope="session")
def service(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project of the small service, with a database that listens on another port than most."""
    project = small(render, tmp_path_factory.mktemp("cluster"), slug=SHARED)
    replace("taskflow.toml", "port = 5432", "port = 6432")(project)
    return project


def depend(project: Path) -> None:
    """Let the project's chart depend on one beside it, which makes a ConfigMap `common`."""
    common = project / "common"
    (common / "templates").mkdir(parents=True)
    (common / "Chart.yaml").write_text("apiVersion: v2\nname: common\nversion: 1.0.0\n")
    (common / "templates" / "map.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: common}\n"
    )
    with (project / "chart" / "Chart.yaml").open("a") as file:
        file.write(
            'dependencies:\n  - {name: common, version: 1.0.0, repository: "file://../common"}\n'
        )


Drilled = Callable[..., set[str]]


@pytest.fixture(scope="session")
def site(service: Path, engine: Engine, kubectl: Kubectl) -> Iterator[Namespace]:
    """The small service, installed and in order."""
    model = load(service / "taskflow.toml")
    images = build.build(Workspace(service, model, engine), ["backend"])
    parts = (model, kubectl, helm.find(ROOT), service / "chart", [service / "values.yaml"])
    with Namespace(*parts, print) as found:
        found.prepare(engine, images, "")
        found.upgrade()
        found.settle()
        yield found


@pytest.fixture
def drilled(site: Namespace) -> Iterator[Drilled]:
    """`drilled(drill, …, chart=…, **values)`: what fails when the release is installed like this."""
    release, values = site.release, site.values

    def drill(*names: str, chart: Path | None = None, **changes: Any) -> set[str]:
        site.release = but(release, chart=chart or release.chart)
        site.values = [*values, changes]
        site.upgrade()
        site.settle()
        return failed([result for name in names for result in run_drill(site, name)])

    yield drill
    site.release, site.values = release, values


def failed(results: list[Result]) -> set[str]:
    """The IDs of what failed; whatever failed says what to do."""
    for result in results:
        if result.failed:
            print(result)
        assert not result.failed or (result.expected and result.measured and result.fix), result
    return {result.id for result in results if result.failed}


def left_over(kubectl: Kubectl, project: str = "") -> list[str]:
    """The namespaces of runs, but for the one that the session's own tests share."""
    names = [
        found["metadata"]["name"] for found in kubectl.get("namespaces", f"--selector={OWNER}")
    ]
    return [name for name in names if name.startswith(project) and not name.startswith(SHARED)]
