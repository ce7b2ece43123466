"""A worker and a cron job, which have no port: each check that is of them, and what fails it."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow_containers import smoke
from taskflow_containers.checks import build
from taskflow_containers.engine.client import Engine
from taskflow_containers.project.load import load
from taskflow_containers.report.result import Result, Status
from taskflow_containers.workspace import Workspace
from tests.conftest import ROOT
from tests.containers.conftest import left_over, replace, smoked

pytestmark = pytest.mark.engine

BACKGROUND = ROOT / "tests" / "containers" / "background"


@pytest.fixture
def workspace(tmp_path: Path, engine: Engine) -> Iterator[Workspace]:
    """The project, still in order; the cron job's source is the worker's."""
    folder = Path(shutil.copytree(BACKGROUND, tmp_path / "background"))
    shutil.copy(folder / "jobs" / "job.py", folder / "tidy" / "job.py")
    replace("taskflow.toml", '"background"', f'"background-{uuid.uuid4().hex[:8]}"')(folder)
    found = Workspace(folder, load(folder / "taskflow.toml"), engine)
    yield found
    for name in found.project.containers:
        image = f"{found.project.image(name)}:dev"
        engine.call("image", "rm", "--force", "--no-prune", image, check=False)


def judged(workspace: Workspace, names: list[str], *only: str) -> dict[tuple[str, str], Result]:
    """The results of these containers by container and check."""
    images = build.build(workspace, names)
    assert all(image.usable for image in images), [image.results for image in images]
    results = smoked(workspace, images, smoke.Options(smoke.select(only)))
    return {(r.container, r.id.removeprefix("smoke.")): r for r in results}


def test_what_is_in_order_passes_what_applies_and_nothing_else(workspace: Workspace) -> None:
    results = judged(workspace, ["mail", "tidy"])
    bad = [(key, r.measured, r.detail) for key, r in results.items() if r.failed]
    assert bad == []
    project = workspace.project
    assert set(results) == {
        (name, check.id)
        for name, container in project.containers.items()
        for check in smoke.CHECKS
        if not check.full and check.concerns(project, container)
    }
    assert not {("mail", "readiness"), ("mail", "load"), ("tidy", "start")} & results.keys()
    unseen = {key for key, r in results.items() if r.status is Status.UNMEASURABLE}
    assert unseen <= {("tidy", "memory"), ("tidy", "stop"), ("mail", "swap")}
    assert left_over(workspace.engine, project) == ""


# What both do wrong in a run, and the checks that fail for it.
FAULTS = [
    {
        "mail": (
            "deaf always-well brittle",
            {"stop", "healthcheck.asks", "database.back", "alone"},
        ),
        "tidy": ("careless writes", {"environment", "database.run", "diff"}),
    },
    {
        "mail": ("grows needs-tmp", {"growth", "tmp-full"}),
        "tidy": ("hungry", {"run", "memory"}),
    },
]


@pytest.mark.parametrize("faults", FAULTS, ids=["first", "second"])
def test_each_fault_fails_the_checks_that_are_there_for_it(
    faults: dict[str, tuple[str, set[str]]], workspace: Workspace
) -> None:
    for name, (words, _) in faults.items():
        replace(
            "Dockerfile", "PYTHONDONTWRITEBYTECODE=1", f'FAULTS="{words}" PYTHONDONTWRITEBYTECODE=1'
        )(workspace.target(name).folder)
    wanted = {(name, check) for name, (_, checks) in faults.items() for check in checks}
    results = judged(workspace, [*faults], *(f"smoke.{check}" for _, check in sorted(wanted)))
    bad = {key for key, result in results.items() if result.failed}
    # Where both are asked for a check, only the one that is at fault fails it.
    assert bad == wanted, [(key, results[key].measured) for key in bad ^ wanted if key in results]
