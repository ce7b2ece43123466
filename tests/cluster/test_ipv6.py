"""A release in a cluster whose pods and Services have IPv6 addresses alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow_containers.checks import build
from taskflow_containers.cluster import helm
from taskflow_containers.cluster.command import target
from taskflow_containers.cluster.drills import run_drill
from taskflow_containers.cluster.kubectl import Kubectl
from taskflow_containers.cluster.namespace import Namespace
from taskflow_containers.engine.client import Engine
from taskflow_containers.project.load import load
from taskflow_containers.workspace import Workspace
from tests.cluster import ipv6
from tests.cluster.conftest import failed, small
from tests.conftest import ROOT, Render, lacking

pytestmark = [pytest.mark.xdist_group("cluster-ipv6"), pytest.mark.engine]


@pytest.fixture
def only_ipv6(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubectl]:
    """Kubectl for a cluster of its own, made from the scripts of the one that CI uses."""
    *program, loading = os.environ.get("TASKFLOW_CLUSTER_LOAD", "none").split()
    shared = Path(loading).parent
    if not (shared / "env.sh").is_file() or os.geteuid() or not Path("/proc/net/if_inet6").exists():
        lacking("needs root, IPv6 and scripts that make a cluster (TASKFLOW_CLUSTER_LOAD)")
    command = [*program, sys.executable, "-m", "tests.cluster.ipv6"]
    try:
        subprocess.run([*command, "up", shared], cwd=ROOT, check=True, timeout=600)
        monkeypatch.setenv("KUBECONFIG", str(ipv6.PLACE / "kubeconfig"))
        monkeypatch.setenv(
            "TASKFLOW_CLUSTER_LOAD", " ".join([*program, str(ipv6.SCRIPTS / "load")])
        )
        with target(helm.kubectl(ROOT), "", print) as found:
            yield found
    finally:
        subprocess.run([*command, "down", shared], cwd=ROOT, check=True, timeout=60)


@pytest.mark.thorough
def test_a_release_works_by_ipv6_alone(
    only_ipv6: Kubectl, render: Render, engine: Engine, tmp_path: Path
) -> None:
    project = small(render, tmp_path / "project", slug="only-ipv6")
    model = load(project / "taskflow.toml")
    images = build.build(Workspace(project, model, engine), ["backend"])
    parts = (model, only_ipv6, helm.find(ROOT), project / "chart", [project / "values.yaml"])
    with Namespace(*parts, print) as site:
        site.prepare(engine, images, "")
        site.upgrade({"defaults": {"service": {"ipFamilies": ["IPv6"]}}})
        site.settle()
        assert all(":" in pod["status"]["podIP"] for pod in site.pods())
        drills = ("policy", "kill")
        assert not failed([result for name in drills for result in run_drill(site, name)])
