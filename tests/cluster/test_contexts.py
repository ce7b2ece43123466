"""Which cluster is used: never one that may be production, unless it was named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from taskflow_containers.cluster import helm
from taskflow_containers.cluster.command import target
from taskflow_containers.cluster.kubectl import Kubectl, choose
from taskflow_containers.cluster.namespace import Namespace
from taskflow_containers.cluster.rollout import connect
from taskflow_containers.machine.errors import EnvironmentTrouble, ExitCode, InputError
from taskflow_containers.project.load import load
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def program() -> Path:
    """Kubectl."""
    return helm.kubectl(ROOT)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """KUBECONFIG, still empty."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    return tmp_path / "config"


def write(config: Path, name: str, server: str) -> None:
    """A kubeconfig with this one context, which is the current one."""
    config.write_text(
        yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": name,
            "clusters": [{"name": "one", "cluster": {"server": server}}],
            "contexts": [{"name": name, "context": {"cluster": "one", "user": "me"}}],
            "users": [{"name": "me", "user": {}}],
        })
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("kind-kind", "https://127.0.0.1:41234"),
        ("docker-desktop", "https://kubernetes.docker.internal:6443"),
        ("minikube", "https://192.168.49.2:8443"),
        ("lab", "https://[fd00::1]:6443"),
    ],
)
def test_a_local_cluster_needs_no_name(config: Path, program: Path, name: str, server: str) -> None:
    write(config, name, server)
    found = choose(program)
    assert found
    assert found.name == name


@pytest.mark.parametrize(
    ("name", "server", "why"),
    [
        ("eu-prod-1", "https://10.0.0.1:6443", '"prod" in eu-prod-1'),
        ("shop-PRD", "https://10.0.0.1:6443", '"PRD" in shop-PRD'),
        ("lab", "https://live.cluster.internal", '"live" in https://live.cluster.internal'),
        ("team", "https://ABC.gr7.eu-west-1.eks.amazonaws.com", "on a public network"),
        ("team", "https://203.0.113.7:6443", "on a public network"),
    ],
)
def test_what_may_be_production_must_be_named(
    config: Path, program: Path, name: str, server: str, why: str
) -> None:
    if "203.0.113" in server:  # reserved for examples, and so no public address to Python
        server = "https://8.8.8.8:6443"
    write(config, name, server)
    with pytest.raises(InputError) as refused:
        choose(program)
    assert why in refused.value.message
    assert refused.value.hint.endswith(f"--context {name}")
    named = choose(program, name)
    assert named
    assert named.name == name


def test_an_unknown_context_is_answered_with_those_that_are_known(
    config: Path, program: Path
) -> None:
    write(config, "lab", "https://127.0.0.1:1")
    with pytest.raises(InputError, match=r"no context 'nowhere'\n  it has: lab"):
        choose(program, "nowhere")


def test_a_broken_kubeconfig_is_one_message(config: Path, program: Path) -> None:
    config.write_text("{")
    with pytest.raises(InputError, match="kubeconfig cannot be read"):
        choose(program)


@pytest.mark.usefixtures("config")
def test_without_a_cluster_both_ways_to_one_are_named(
    program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentTrouble) as trouble, target(program, "", print):
        pass
    assert "kind is not installed" in trouble.value.message
    assert "install kind" in trouble.value.hint
    assert "KUBECONFIG" in trouble.value.hint


def test_a_cluster_that_is_down_is_one_message(config: Path) -> None:
    write(config, "lab", "https://127.0.0.1:1")
    with pytest.raises(EnvironmentTrouble, match="context lab does not answer"):
        connect(ROOT, "", "")


@pytest.mark.usefixtures("config")
def test_without_a_cluster_no_engine_is_asked(project: Path, program: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kubectl").symlink_to(program)
    environment = {**os.environ, "PATH": str(tmp_path / "bin")}
    done = subprocess.run(
        [sys.executable, "-m", "taskflow_containers", "cluster"], cwd=project, text=True,
        capture_output=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == ExitCode.ENVIRONMENT, done.stderr
    assert "there is no cluster" in done.stderr


def test_values_that_leave_everything_out_are_refused(project: Path) -> None:
    model = load(project / "taskflow.toml")
    parts = (model, Kubectl(Path("kubectl"), "lab"), helm.find(ROOT), project / "chart")
    site = Namespace(*parts, [], print)
    site.values.append({"defaults": {"enabled": False}})
    images: Any = [SimpleNamespace(container=name) for name in model.containers]
    engine: Any = None
    with pytest.raises(InputError, match="nothing to install") as refused:
        site.prepare(engine, images, "")
    assert all(name in refused.value.message for name in model.containers)
