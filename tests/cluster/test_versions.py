"""While one version of the frontend replaces another, no page misses a script of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.checks import build
from taskflow_containers.cluster import helm
from taskflow_containers.cluster.drills import run_drill
from taskflow_containers.cluster.images import image_values
from taskflow_containers.cluster.kubectl import Kubectl
from taskflow_containers.cluster.namespace import Namespace
from taskflow_containers.engine.client import Engine
from taskflow_containers.project.load import load
from taskflow_containers.workspace import Workspace
from tests.cluster.conftest import failed
from tests.conftest import ROOT, Render
from tests.containers.conftest import replace

pytestmark = pytest.mark.xdist_group("cluster")

QUICK: dict[str, Any] = {
    "defaults": {"preStopSleepSeconds": 2, "probes": {"readiness": {"periodSeconds": 1}}},
    "containers": {"frontend": {"connects": {"API_URL": "http://nowhere:8000"}}},
}


@pytest.mark.thorough
def test_versions_get_scripts_of_each_other(
    render: Render, engine: Engine, kubectl: Kubectl, tmp_path: Path
) -> None:
    project = render(tmp_path, containers="frontend")
    model = load(project / "taskflow.toml")
    first = build.build(Workspace(project, model, engine), ["frontend"])
    replace("frontend/src/components/backend-health.tsx", "15_000", "14_000")(project)
    second = build.build(Workspace(project, model, engine), ["frontend"])
    parts = (model, kubectl, helm.find(ROOT), project / "chart")
    with Namespace(*parts, [], print) as site:
        site.values.append(QUICK)
        site.prepare(engine, first, "")
        site.upgrade()
        site.settle()
        found = {}
        next_ = image_values(model, engine, site.kubectl, second, "", print)
        for variable in ("PEERS", ""):
            apart = {"containers": {"frontend": {"peers": variable}}}
            site.upgrade(apart)
            site.settle()
            before = site.values
            site.values = [*before, apart, next_]
            found[variable] = failed(list(run_drill(site, "upgrade")))
            site.values = before
    assert found["PEERS"] == set()
    assert found[""] <= {"cluster.upgrade", "cluster.rollback"}
    assert found[""], "apart from each other they miss scripts, and the drill sees it"
