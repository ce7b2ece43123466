"""Each folder of broken/ is an image with one defect, caught by the check that it is named after."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow_containers import smoke
from taskflow_containers.checks import build
from taskflow_containers.engine import build as builder
from taskflow_containers.engine.client import Engine
from taskflow_containers.project.load import load
from taskflow_containers.report.result import Result, Status
from taskflow_containers.smoke.runner import STEPS
from tests.conftest import SERVICE
from tests.containers.conftest import BROKEN, failed, left_over, replace

pytestmark = pytest.mark.engine

# What the engine, not the image, is to blame for → what it makes of a word of its command line.
ENGINES_FAULT = {
    "capabilities": "--cap-drop=ALL)",
    "privileges": "--security-opt=no-new-privileges)",
    "swap": "--memory-swap=*)",
    "user": '--cap-drop=ALL) set -- "$@" "$word" --user=1001:0',
}
# They need a real driver and pool, so they break the sample's backend: test_sample.py.
ELSEWHERE = {"database.cut", "neon"}
CASES = sorted(path.parent.name for path in BROKEN.glob("*/Dockerfile"))
ON_PAGE = {name for name in CASES if "# On: page" in (BROKEN / name / "Dockerfile").read_text()}
ON_EACH_ENGINE = {
    "image.private",
    "image.user",
    "healthcheck",
    "diff",
    "database.back",
    "memory",
    "two-backends",
}


class Family:
    """A backend and a frontend in order, whose images a case builds upon."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.engine = engine
        self.folder = folder
        shutil.copytree(SERVICE / "backend", folder / "backend")
        shutil.copytree(BROKEN.parent / "page", folder / "frontend")
        shutil.copy(BROKEN / "taskflow.toml", folder)
        replace("taskflow.toml", '"broken"', f'"broken-{uuid.uuid4().hex[:8]}"')(folder)
        replace("Dockerfile", "PYTHONPATH=/app/src", "NEEDS_DATABASE=1 PYTHONPATH=/app/src")(
            folder / "backend"
        )
        self.project = load(folder / "taskflow.toml")
        names = self.project.containers
        built = build.build(folder, self.project, engine, names, print)
        assert all(image.usable for image in built), built
        self.images = {image.container: image for image in built}
        self.tags: list[str] = [tag for image in built for tag in image.tags]

    def break_(self, case: str, name: str) -> build.Image:
        """The image of a case, on top of the one in order."""
        tag = f"{self.project.image(name)}:{case}"
        self.tags.append(tag)
        stated = (BROKEN / case / "Dockerfile").read_text("utf-8")
        built = builder.build(
            self.engine, BROKEN / case, tags=[tag], arguments={"BASE_IMAGE": self.images[name].tags[0]},
            labels={}, on_step=print,
            needs=builder.Needs(platforms=re.findall(r"^# Platform: (\S+)", stated, re.MULTILINE)),
        )  # fmt: skip
        return build.Image(name, built.image, (tag,))

    def smoke(
        self, images: list[build.Image], case: str, engine: Engine | None = None
    ) -> list[Result]:
        """Judge images by the check that is meant and those that are made together with it."""
        full = next(check.full for check in smoke.CHECKS if check.id == case)
        together = next((ids for step in STEPS if case in (ids := step.ids)), (case,))  # type: ignore[attr-defined]
        options = smoke.Options(smoke.select(together), full)
        found = smoke.smoke(self.project, engine or self.engine, images, print, options)
        assert left_over(self.engine, self.project) == ""
        return found

    def remove(self) -> None:
        """Remove the images, not their layers."""
        self.engine.call("image", "rm", "--force", "--no-prune", *self.tags, check=False)


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Family]:
    made = Family(tmp_path_factory.mktemp("family"), engine)
    yield made
    made.remove()


def assert_caught(family: Family, case: str) -> None:
    name = "frontend" if case in ON_PAGE else "backend"
    images = [family.break_(case, name)]
    images += [family.images["backend"]] if name == "frontend" else []
    results = family.smoke(images, case)
    assert_only(results, case)


def assert_only(results: list[Result], case: str) -> None:
    assert failed(results) == {f"smoke.{case}"}, [r for r in results if r.failed]
    (result,) = [result for result in results if result.failed]
    assert result.expected
    assert result.measured
    assert result.fix
    assert result.group


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[pytest.mark.each_engine] if case in ON_EACH_ENGINE else [])
        for case in sorted(set(CASES) - ELSEWHERE)
    ],
)
def test_it_is_caught(family: Family, case: str) -> None:
    assert_caught(family, case)


@pytest.mark.parametrize("case", ENGINES_FAULT)
def test_an_engine_that_runs_it_otherwise_is_caught(
    family: Family, engine: Engine, case: str, tmp_path: Path
) -> None:
    client = tmp_path / "docker"
    client.write_text(
        '#!/bin/sh\nfor word; do shift; case "$word" in '
        f'{ENGINES_FAULT[case]} ;; *) set -- "$@" "$word" ;; esac; done\n'
        f'exec {engine.client} "$@"\n'
    )
    client.chmod(0o755)
    ignorant = Engine(engine.name, client, engine.version, engine.builder)
    results = family.smoke([family.images["backend"]], case, ignorant)
    if case == "swap" and any(r.status is Status.UNMEASURABLE for r in results):
        pytest.skip("this kernel does not account for swap")
    assert_only(results, case)


def test_every_check_has_a_broken_image() -> None:
    assert {check.id for check in smoke.CHECKS} == {*CASES, *ENGINES_FAULT}
