"""Which cluster it is, and how an image gets there: facts as the nodes of each say them."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from taskflow_containers.cluster.images import bring
from taskflow_containers.cluster.kubectl import Kubectl, NotAllowed, Object
from taskflow_containers.cluster.ways import LOAD_VARIABLE, find_way, way
from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.errors import EnvironmentTrouble


def node(name: str, runtime: str, provider: str = "", **labels: str) -> Object:
    """What the API server says of a node, as far as it tells whose it is."""
    return {
        "metadata": {"name": name, "labels": {k.replace("__", "/"): v for k, v in labels.items()}},
        "spec": {"providerID": provider},
        "status": {"nodeInfo": {"containerRuntimeVersion": runtime}},
    }


CTR = "ctr --namespace=k8s.io images import -"
KIND_NODES = [
    node(f"dev-{role}", "containerd://2.1.3", f"kind://podman/dev/dev-{role}")
    for role in ("control-plane", "worker")
]
DESKTOP_NODES = [
    node(f"desktop-{role}", "containerd://2.1.3", f"kind://docker/desktop/desktop-{role}")
    for role in ("control-plane", "worker")
]
MINIKUBE = node("lab", "containerd://1.7.27", **{"minikube.k8s.io__name": "lab"})
MICROK8S = node("box", "containerd://1.7.27", **{"microk8s.io__cluster": "true"})
K3S = {"node.kubernetes.io__instance-type": "k3s"}
# context, nodes, the engine's host name → the commands
KNOWN: dict[str, tuple[str, list[Object], str, list[str]]] = {
    "kind, by its context": (
        "kind-dev", [], "", ["kind load image-archive --name dev {tar}"],
    ),
    "kind in Podman, called otherwise": (
        "team", KIND_NODES, "",
        ["KIND_EXPERIMENTAL_PROVIDER=podman kind load image-archive --name dev {tar}"],
    ),
    "Docker Desktop by kind: each node": (
        "docker-desktop", DESKTOP_NODES, "docker-desktop",
        [f"docker exec --interactive desktop-{role} {CTR}" for role in ("control-plane", "worker")],
    ),
    "Docker Desktop by kubeadm": (
        "docker-desktop", [node("docker-desktop", "docker://28.5.1")], "docker-desktop", [],
    ),
    "Docker Desktop by kubeadm, built elsewhere": (
        "docker-desktop", [node("docker-desktop", "docker://28.5.1")], "ci",
        ["docker --context desktop-linux load --input {tar}"],
    ),
    "OrbStack": ("orbstack", [node("orbstack", "docker://29.4.0")], "orbstack", []),
    "OrbStack, built by Podman": (
        "orbstack", [node("orbstack", "docker://29.4.0")], "",
        ["docker --context orbstack load --input {tar}"],
    ),
    "k3d": (
        "team", [node("k3d-dev-server-0", "containerd://2.0.5-k3s1", "k3s://k3d-dev-server-0", **K3S)],
        "", ["k3d image import --cluster dev {tar}"],
    ),
    "minikube, by its label": ("lab", [MINIKUBE], "", ["minikube image load --profile lab {tar}"]),
    "minikube, by its context": ("minikube", [], "", ["minikube image load --profile minikube {tar}"]),
    "Rancher Desktop, containerd": (
        "rancher-desktop", [node("lima-rancher-desktop", "containerd://2.0.5-k3s1", **K3S)], "",
        ["nerdctl --namespace k8s.io load"],
    ),
    "Rancher Desktop, dockerd": (
        "rancher-desktop", [node("lima-rancher-desktop", "docker://28.1.1", **K3S)],
        "lima-rancher-desktop", [],
    ),
    "Colima, containerd": (
        "colima-test", [node("colima-test", "containerd://2.0.5-k3s1", **K3S)], "",
        ["colima ssh --profile test -- sudo ctr --namespace k8s.io images import -"],
    ),
    "Colima, docker": (
        "colima", [node("colima", "docker://28.1.1", **K3S)], "ci",
        ["docker --context colima load --input {tar}"],
    ),
    "MicroK8s": ("microk8s", [MICROK8S], "", ["microk8s images import"]),
}  # fmt: skip


@pytest.mark.parametrize("case", KNOWN)
def test_a_known_cluster_gets_its_command(case: str) -> None:
    context, nodes, engine, commands = KNOWN[case]
    found = way(context, nodes, engine)
    assert [" ".join(words) for words in found.commands] == commands
    assert found.shared == (not commands)


@pytest.mark.parametrize(
    ("context", "nodes", "cluster", "example"),
    [
        ("default", [node("box", "containerd://2.0.5-k3s1", "k3s://box", **K3S)], "k3s", "sudo k3s"),
        ("lab", [node("box", "containerd://1.7", **{"node.k0sproject.io__role": "control-plane"})],
         "k0s", "sudo k0s"),
        ("lab", [node("box", "docker://28.1.1")], "Docker", "docker --context NAME"),
        ("eks", [node("ip-10-0-0-1", "containerd://2.0", "aws:///eu/i-1")], "", "--load"),
        ("lab", [], "", "--load"),
    ],
)  # fmt: skip
def test_an_unknown_cluster_is_asked_for(
    context: str, nodes: list[Object], cluster: str, example: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(LOAD_VARIABLE, raising=False)
    found = way(context, nodes, "another")
    assert (found.cluster, found.commands, found.shared) == (cluster, (), False)
    with pytest.raises(EnvironmentTrouble) as asked:
        bring(_engine(), _kubectl(context, nodes), "", {"app": "app:dev"}, print)
    assert context in asked.value.message
    assert cluster in asked.value.message
    for way_out in (example, LOAD_VARIABLE, "registry"):
        assert way_out in asked.value.hint


def test_what_a_person_says_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LOAD_VARIABLE, raising=False)
    kubectl = _kubectl("kind-dev", KIND_NODES)
    said = find_way(kubectl, _engine(), "ctr 'images import'")
    assert said.commands == (("ctr", "images import", "{tar}"),)
    monkeypatch.setenv(LOAD_VARIABLE, "put there")
    assert find_way(kubectl, _engine(), "").commands == (("put", "there", "{tar}"),)


def test_whoever_may_not_look_at_nodes_goes_by_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LOAD_VARIABLE, raising=False)
    kubectl = _kubectl("k3d-dev", NotAllowed("no"))
    assert find_way(kubectl, _engine(), "").cluster == "k3d"


RECORDS = """#!/bin/sh
{{ echo "$KIND_EXPERIMENTAL_PROVIDER $0 $*"; for last; do :; done
if [ -f "$last" ]; then tar -tf "$last"; else tar -t; fi; }} >> {asked} 2>&1
"""


@pytest.mark.skipif(os.name != "posix", reason="the stand-ins are shell scripts")
@pytest.mark.parametrize(
    ("context", "nodes", "asked"),
    [
        ("docker-desktop", DESKTOP_NODES, ["docker exec", "image", "docker exec", "image"]),
        ("team", KIND_NODES, ["podman kind load image-archive --name dev /", "image"]),
        ("rancher-desktop", [], ["nerdctl --namespace k8s.io load", "image"]),
    ],
)
def test_the_programs_get_the_tar(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    context: str,
    nodes: list[Object],
    asked: list[str],
) -> None:
    """Scripts of their names write down how they are called, and what is in the tar they get."""
    monkeypatch.delenv(LOAD_VARIABLE, raising=False)
    for name in ("docker", "kind", "nerdctl"):
        script = tmp_path / name
        script.write_text(RECORDS.format(asked=tmp_path / "asked").replace("$0", name))
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    there = bring(_engine(), _kubectl(context, nodes), "", {"app": "app:dev"}, print)
    assert there == {"app": "localhost/app:id-0123456789ab"}
    lines = (tmp_path / "asked").read_text().splitlines()
    assert len(lines) == len(asked)
    for line, expected in zip(lines, asked, strict=True):
        assert expected in line


def test_a_program_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LOAD_VARIABLE, raising=False)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(EnvironmentTrouble) as missing:
        bring(_engine(), _kubectl("kind-dev", []), "", {"app": "app:dev"}, print)
    assert "kind is not on PATH" in missing.value.message
    assert "--load" in missing.value.hint


def _kubectl(context: str, nodes: list[Object] | Exception) -> Kubectl:
    def get(*_: str) -> list[Object]:
        if isinstance(nodes, Exception):
            raise nodes
        return nodes

    return cast("Kubectl", SimpleNamespace(context=context, get=get))


def _engine() -> Engine:
    """One that has one image, and writes it to a tar."""

    def save(_: object, archive: Path) -> None:
        with tarfile.open(archive, "w") as tar:
            tar.addfile(tarfile.TarInfo("image"))

    config: dict[str, Any] = {"Id": "sha256:0123456789abcdef"}
    return cast(
        "Engine",
        SimpleNamespace(name="podman", save=save, require_image_config=lambda _: config),
    )
