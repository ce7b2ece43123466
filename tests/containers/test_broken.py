"""Each image with one defect is caught by the check that the defect is named after, and by no other."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow_containers import smoke
from taskflow_containers.checks import build
from taskflow_containers.engine import builder
from taskflow_containers.engine.client import Engine
from taskflow_containers.project.load import load
from taskflow_containers.report.result import Result, Status
from taskflow_containers.smoke.runner import STEPS
from taskflow_containers.workspace import Workspace
from tests.conftest import SERVICE
from tests.containers.conftest import failed, left_over, replace, smoked
from tests.containers.defects import DEFECTS, DEFECTS_OF_SAMPLE, Defect, found_by
from tests.containers.test_background import FAULTS

pytestmark = pytest.mark.engine

HERE = Path(__file__).parent
# What the engine, not the image, is to blame for → what it makes of a word of its command line.
ENGINES_FAULT = {
    "capabilities": "--cap-drop=ALL)",
    "privileges": "--security-opt=no-new-privileges)",
    "swap": "--memory-swap=*)",
    "user": '--cap-drop=ALL) set -- "$@" "$word" --user=1001:0',
}
# Defects that change nothing of what an image runs, so that one image may have them all.
BESIDE = [
    "image.caches", "image.development", "image.labels", "image.layers", "image.port", "image.private",
    "image.run-time-environment", "image.set-id", "image.volumes", "image.writable",
]  # fmt: skip
ON_EACH_ENGINE = {"image.user", "healthcheck", "diff", "memory"}


class Family:
    """A backend and a frontend in order, whose images a case builds upon."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.engine = engine
        self.folder = folder
        shutil.copytree(SERVICE / "backend", folder / "backend")
        shutil.copytree(HERE / "page", folder / "frontend")
        shutil.copy(HERE / "broken.toml", folder / "taskflow.toml")
        replace("taskflow.toml", '"broken"', f'"broken-{uuid.uuid4().hex[:8]}"')(folder)
        replace("Dockerfile", "PYTHONPATH=/app/src", "NEEDS_DATABASE=1 PYTHONPATH=/app/src")(
            folder / "backend"
        )
        self.project = load(folder / "taskflow.toml")
        names = self.project.containers
        built = build.build(Workspace(folder, self.project, engine), names)
        assert all(image.usable for image in built), built
        self.images = {image.container: image for image in built}
        self.tags: list[str] = [tag for image in built for tag in image.tags]

    def break_(self, case: str, defect: Defect) -> build.Image:
        """The image of a case, on top of the one in order."""
        name = defect.container
        tag = f"{self.project.image(name)}:{re.sub(r'[^a-z.-]+', '-', case)}"
        self.tags.append(tag)
        built = builder.build(
            self.engine, defect.write(self.folder / "broken"), tags=[tag],
            arguments={"BASE_IMAGE": self.images[name].tags[0]}, labels={}, on_step=print,
            needs=builder.Needs(platforms=[defect.platform] if defect.platform else []),
        )  # fmt: skip
        return build.Image(name, built.image, (tag,))

    def smoke(
        self, images: list[build.Image], case: str, engine: Engine | None = None
    ) -> list[Result]:
        """Judge images by the check that is meant and those that are made together with it."""
        full = next(check.full for check in smoke.CHECKS if check.id == case)
        together = next((ids for step in STEPS if case in (ids := step.ids)), (case,))  # type: ignore[attr-defined]
        options = smoke.Options(smoke.select(together), full)
        workspace = Workspace(self.folder, self.project, engine or self.engine)
        found = smoked(workspace, images, options)
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
    defect, checks = DEFECTS[case], found_by(case)
    images = [family.break_(case, defect)]
    images += [family.images["backend"]] if defect.container == "frontend" else []
    assert_only(family.smoke(images, checks[0]), *checks)


def assert_only(results: list[Result], *checks: str) -> None:
    assert failed(results) == {f"smoke.{check}" for check in checks}, [
        r for r in results if r.failed
    ]
    for result in results:
        if result.failed:
            assert result.expected
            assert result.measured
            assert result.fix
            assert result.group


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case,
            marks=[
                *([pytest.mark.each_engine] if case in ON_EACH_ENGINE else []),
                # Another way to break the same, or one that is broken beside others.
                *([pytest.mark.thorough] if ":" in case or case in BESIDE else []),
            ],
        )
        for case in DEFECTS
    ],
)
def test_it_is_caught(family: Family, case: str) -> None:
    assert_caught(family, case)


def test_each_of_many_defects_is_caught(family: Family) -> None:
    """Thorough runs have an image for each."""
    all_of_them = Defect("\n".join(DEFECTS[case].lines for case in BESIDE))
    results = family.smoke([family.break_("many", all_of_them)], BESIDE[0])
    assert_only(results, *BESIDE)


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
    broken = {check for case in (*DEFECTS, *DEFECTS_OF_SAMPLE) for check in found_by(case)}
    background = {check for pair in FAULTS for _, checks in pair.values() for check in checks}
    assert {check.id for check in smoke.CHECKS} == {*broken, *background, *ENGINES_FAULT}
