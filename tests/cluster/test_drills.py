"""Every drill catches the release, or the chart, that is wrong in what it is meant for; only that."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.cluster.namespace import Namespace
from tests.cluster.conftest import Drilled
from tests.containers.conftest import Edit, replace

pytestmark = pytest.mark.xdist_group("cluster")


def backend(**values: Any) -> dict[str, Any]:
    """Values of the one container."""
    return {"containers": {"backend": values}}


def faulty(*names: str, **values: Any) -> dict[str, Any]:
    """The service does these things wrong."""
    return backend(extraEnv=[{"name": "FAULT", "value": " ".join(names)}], **values)


def kept(folder: Path) -> None:
    """The chart leaves an object behind."""
    (folder / "templates" / "kept.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-kept\n"
        "  annotations: {helm.sh/resource-policy: keep}\n"
    )


VALUES: dict[str, tuple[dict[str, Any], list[str], set[str]]] = {
    # Nor is its pod, which Helm keeps, said to be left behind.
    "a failing test": (
        backend(test={"paths": ["/nowhere"]}),
        ["test", "uninstall"],
        {"cluster.test"},
    ),
    "open to everybody": (
        {"networkPolicy": {"enabled": False}},
        ["policy"],
        {"cluster.policy.stranger"},
    ),
    # Ready all the same: one that is not has no way in either, a moment later.
    "closed to its database": (
        faulty("constant-health", database=False),
        ["policy"],
        {"cluster.policy.release"},
    ),
    "closed to the way in": (
        {"networkPolicy": {"ingressFrom": []}},
        ["policy"],
        {"cluster.policy.entry"},
    ),
    "hangs up when it is to end": (
        faulty("hangs-up"),
        ["upgrade"],
        {"cluster.upgrade", "cluster.rollback"},
    ),
    "a page whose script one replica has": (
        faulty("own-script"),
        ["upgrade"],
        {"cluster.upgrade", "cluster.rollback"},
    ),
    "a single one, slow to start": (
        faulty("slower-start", replicas=1),
        ["kill"],
        {"cluster.kill"},
    ),
    "ready without its database": (
        faulty("constant-health"),
        ["database"],
        {"cluster.database.readiness"},
    ),
    "alive only with its database, and gone for good without it": (
        faulty("live-asks-database", "no-recovery"),
        ["database"],
        {"cluster.database.liveness", "cluster.database.back"},
    ),
    "no disruption budget, and hangs up when it is evicted": (
        faulty("hangs-up", podDisruptionBudget={"enabled": False}),
        ["drain"],
        {"cluster.drain.budget", "cluster.drain"},
    ),
    "too high a limit": (
        backend(resources={"limits": {"memory": "2G"}}),
        ["memory"],
        {"cluster.memory"},
    ),
}
CHARTS: dict[str, tuple[Edit, list[str], set[str]]] = {
    "a rollout that takes the old ones first": (
        replace("templates/deployment.yaml", "maxUnavailable: 0", 'maxUnavailable: "100%"'),
        ["memory"],
        {"cluster.memory.service"},
    ),
    "scales what is not there": (
        replace("templates/hpa.yaml", "name: {{ $c.name }}", "name: x-{{ $c.name }}"),
        ["autoscaling"],
        {"cluster.autoscaling"},
    ),
    "leaves something behind": (kept, ["uninstall"], {"cluster.uninstall"}),
}


@pytest.mark.parametrize("case", VALUES)
def test_a_faulty_release_fails_its_drill(drilled: Drilled, case: str) -> None:
    values, drills, expected = VALUES[case]
    assert drilled(*drills, **values) == expected


@pytest.mark.parametrize("case", CHARTS)
def test_a_faulty_chart_fails_its_drill(
    drilled: Drilled, site: Namespace, tmp_path: Path, case: str
) -> None:
    edit, drills, expected = CHARTS[case]
    chart = Path(shutil.copytree(site.release.chart, tmp_path / "chart"))
    edit(chart)
    assert drilled(*drills, chart=chart) == expected
