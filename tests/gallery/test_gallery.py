"""Each application of the gallery behaves in its image as in its framework's own."""

from __future__ import annotations

import pytest

from taskflow_containers import smoke
from taskflow_containers.checks.build import Image
from taskflow_containers.project.load import load
from taskflow_containers.workspace import Workspace
from tests.containers.conftest import smoked
from tests.gallery import figures
from tests.gallery.application import Refused
from tests.gallery.pair import Pair

pytestmark = pytest.mark.engine

# From where it is noticed first to where it is noticed last.
STAGES = ("build", "start", "answers", "works")


def test_its_image_is_as_the_model_has_it(pair: Pair) -> None:
    assert not [result for result in pair.results if result.failed]


def test_the_same_requests_get_the_same_answers(pair: Pair) -> None:
    ours, reference = pair.ask(pair.ours), pair.ask(pair.reference)
    for request, own, other in zip(pair.application.requests, ours, reference, strict=True):
        if not request.websocket:
            assert other["status"] == request.status, f"the reference on {request.path}: {other}"
        assert all(other.get("found", ())), f"the reference on {request.path}: {other}"
        assert own == other, f"{request.method} {request.path}"
    # Only now all has been said.
    once = dict.fromkeys(pair.application.logs, 1)
    assert [pair.log_lines(side) for side in pair.sides] == [once, once]


@pytest.mark.usefixtures("imports")
def test_the_same_packages_import(pair: Pair) -> None:
    assert [pair.import_all(side) for side in pair.sides] == ["", ""]


def test_what_the_reference_refuses_is_refused_as_well(pair: Pair, refused: Refused) -> None:
    stage, said = pair.refuse(pair.reference, refused)
    assert stage != "works", "the reference does not mind"
    assert refused.says in said, f"the reference: {said}"
    own_stage, own_said = pair.refuse(pair.ours, refused)
    assert STAGES.index(own_stage) <= STAGES.index(stage), own_said
    assert refused.says in own_said, f"ours: {own_said}"


def test_figures(pair: Pair, thorough: dict[str, figures.Figures]) -> None:
    thorough[pair.application.name] = figures.measure(pair)


@pytest.mark.usefixtures("thorough")
def test_smoke(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in pair.application.environment.items():
        monkeypatch.setenv(name, value)
    ours = pair.ours
    project = load(ours.folder.parent / "taskflow.toml")
    image = Image(ours.folder.name, ours.image, (ours.tag,))
    # How it speaks of a variable that is missing is the application's affair, and compared above.
    workspace = Workspace(ours.folder.parent, project, ours.stack.engine)
    options = smoke.Options(smoke.select(()) - {"environment", *pair.application.unjudged})
    results = smoked(workspace, [image], options)
    assert not [
        f"{result.id}: {result.measured} {result.detail}" for result in results if result.failed
    ]
