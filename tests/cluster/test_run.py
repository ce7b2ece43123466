"""Whole runs of `nox -s cluster`: the sample passes every check, and nothing stays behind."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from taskflow_containers.cluster import namespace
from taskflow_containers.cluster.kubectl import Kubectl
from taskflow_containers.cluster.ways import LOAD_VARIABLE
from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.errors import ExitCode
from tests.cluster.conftest import depend, failed, left_over, rehearse, small
from tests.conftest import Render
from tests.containers.conftest import replace

pytestmark = pytest.mark.xdist_group("cluster")


@pytest.mark.alone
@pytest.mark.usefixtures("engine")
def test_the_sample_passes_every_check(render: Render, tmp_path: Path, kubectl: Kubectl) -> None:
    project = render(tmp_path / "sample", slug="rehearsed")
    done = subprocess.run(
        [sys.executable, "-m", "taskflow_containers", "cluster"], cwd=project, text=True,
        capture_output=True, env=os.environ, check=False,
    )  # fmt: skip
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    report = json.loads((project / "reports" / "cluster.json").read_text(encoding="utf-8"))
    assert report["verdict"] == "passed"
    assert {result["status"] for result in report["results"]} == {"passed"}
    results = {(result["id"], result["container"]): result for result in report["results"]}
    assert set(results) == {
        *((f"cluster.{name}", "") for name in (
            "warnings", "install", "test", "policy.entry", "policy.stranger", "upgrade",
            "rollback", "database.back", "drain", "memory.service", "uninstall", "removed",
        )),
        *((f"cluster.{name}", container) for container in ("backend", "frontend") for name in (
            "policy.release", "kill", "drain.budget", "memory", "autoscaling",
        )),
        ("cluster.database.readiness", "backend"), ("cluster.database.liveness", "backend"),
        ("cluster.database.others", "frontend"),
    }  # fmt: skip
    assert left_over(kubectl, "rehearsed") == []


@pytest.mark.thorough
def test_a_frontend_alone_is_asked_by_node(
    render: Render, tmp_path: Path, kubectl: Kubectl, engine: Engine
) -> None:
    """Without Python in any image and without a database; what does not apply says why."""
    project = render(tmp_path / "alone", containers="frontend", slug="alone")
    (project / "values.yaml").write_text("defaults: {preStopSleepSeconds: 2}\n")
    drills = ("policy", "upgrade", "database", "memory")
    results = rehearse(project, engine, *drills)
    assert failed(results) == set(), [result for result in results if result.failed]
    (skipped,) = (result for result in results if not result.measured)
    assert (skipped.id, skipped.detail) == ("cluster.database", "no container needs a database")
    assert left_over(kubectl, "alone") == []


KIND = """#!/bin/sh
echo "$@" >> {folder}/asked
while [ $# -gt 0 ]; do
  case $1 in
    --kubeconfig) sed 's/{context}/'"kind-$name"'/' {kubeconfig} > "$2" ;;
    --name) name=$2 ;;
    *.tar) exec {load} "$1" ;;
  esac
  shift
done
"""


def test_a_container_that_crashes_fails_the_installation_in_two_lines(
    render: Render, tmp_path: Path, engine: Engine, kubectl: Kubectl,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """On a cluster that `kind` gives: here a script of its name that lends the one that is there."""
    if LOAD_VARIABLE not in os.environ:
        pytest.skip("the stand-in for kind loads images as that variable says")
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "kind"
    config = kubectl.call("config", "view", "--raw", "--minify", "--flatten").stdout
    (tmp_path / "config").write_text(config)
    script.write_text(
        KIND.format(
            folder=tmp_path, kubeconfig=tmp_path / "config", context=kubectl.context,
            load=os.environ[LOAD_VARIABLE],
        )
    )  # fmt: skip
    script.chmod(0o755)
    # An image that no earlier run has left on the nodes.
    slug = f"crashes-{secrets.token_hex(3)}"
    project = small(render, tmp_path / "crashes", slug=slug, database=False)
    replace("backend/Dockerfile", "ENV PYTHONPATH", "ENV FAULT=crash PYTHONPATH")(project)
    with monkeypatch.context() as here:
        here.setenv("PATH", str(script.parent), prepend=os.pathsep)
        here.setenv("KUBECONFIG", str(tmp_path / "none"))
        here.delenv(LOAD_VARIABLE)
        results = rehearse(project, engine)
    assert failed(results) == {"cluster.install"}
    (install,) = (result for result in results if result.failed)
    assert f"{slug}-backend-" in install.measured
    assert "exit code 1" in install.measured
    assert install.detail == "its last line: the disk is on fire"
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line.split()[0] for line in asked] == ["create", "load", "delete"]
    assert left_over(kubectl, "crashes") == []


def test_a_chart_that_is_not_restricted_is_warned_of_and_refused(
    render: Render, tmp_path: Path, engine: Engine, kubectl: Kubectl
) -> None:
    project = small(render, tmp_path / "open", slug="open", database=False)
    replace(
        "chart/templates/_pod.tpl", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"
    )(project)  # fmt: skip
    results = {result.id: result for result in rehearse(project, engine)}
    assert failed([*results.values()]) == {"cluster.warnings", "cluster.install"}
    assert left_over(kubectl, "open") == []
    assert "allowPrivilegeEscalation" in results["cluster.warnings"].measured
    assert "pods are refused" in results["cluster.install"].measured
    assert "allowPrivilegeEscalation" in results["cluster.install"].detail


def test_what_cannot_be_removed_is_a_failed_check(
    render: Render, tmp_path: Path, engine: Engine, kubectl: Kubectl,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    project = small(render, tmp_path / "held", slug="held", database=False)
    (project / "chart/templates/held.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: held\n  finalizers: [example.com/held]\n"
    )
    monkeypatch.setattr(namespace, "_REMOVE_TIMEOUT", 3)
    try:
        assert failed(rehearse(project, engine, "policy")) == {"cluster.removed"}
    finally:
        for name in left_over(kubectl, "held"):
            free = '{"metadata": {"finalizers": null}}'
            kubectl.within(name).call(
                "patch", "configmap", "held", "--type=merge", f"--patch={free}"
            )
            kubectl.call("wait", "--for=delete", f"namespace/{name}", "--timeout=60s", timeout=70)


@pytest.mark.thorough
def test_what_is_kept_says_how_to_enter_and_remove_it(
    render: Render, tmp_path: Path, engine: Engine, kubectl: Kubectl
) -> None:
    """Of a chart that depends on another, and of a project one of whose containers is left out."""
    project = small(render, tmp_path / "kept", slug="kept", database=False)
    depend(project)
    shutil.copytree(project / "backend", project / "worker")
    for file, end in (("taskflow.toml", "\n[scan]"), ("chart/values.yaml", "\n# What holds")):
        text = (project / file).read_text()
        start = text.index("[containers.backend]" if end == "\n[scan]" else "  backend:\n")
        worker = text[start : text.index(end)].replace("backend", "worker").replace(
            'kind = "worker"', 'kind = "backend"'
        )  # fmt: skip
        (project / file).write_text(text.replace(end, f"\n{worker}{end}", 1))
    replace("values.yaml", "{backend:", "{worker: {enabled: false}, backend:")(project)
    results = rehearse(project, engine, "policy", "database", keep=True)
    assert failed(results) == set()
    skipped = {(result.id, result.container) for result in results if not result.measured}
    name = results[-1].detail.rpartition(" ")[2]
    try:
        assert skipped == {
            ("cluster.install", "worker"), ("cluster.database", ""), ("cluster.removed", "")
        }  # fmt: skip
        assert f"--namespace {name} get all" in results[-1].detail
        (deployment,) = kubectl.within(name).get("deployments")
        assert deployment["metadata"]["name"] == "kept-backend"
        assert kubectl.within(name).get("configmap", "common")
    finally:
        namespace.remove(kubectl, name)
