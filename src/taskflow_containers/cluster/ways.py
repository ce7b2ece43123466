"""How a cluster gets images that were built here: a table of clusters, told apart by their nodes."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from taskflow_containers.cluster.kubectl import Kubectl, NotAllowed, Object
from taskflow_containers.engine.client import Engine

LOAD_VARIABLE = "TASKFLOW_CLUSTER_LOAD"
TAR = "{tar}"
_EXAMPLE = "sudo k3s ctr images import"


class Way(NamedTuple):
    """What the cluster is, and the commands that bring images there (none: no command is known)."""

    cluster: str
    commands: tuple[tuple[str, ...], ...] = ()  # TAR is the archive; without it, it comes on stdin
    shared: bool = False  # the nodes run what the engine has: nothing is brought
    example: str = _EXAMPLE  # of a command that a person may give


# What a cluster is, what its nodes are known by (`_facts`), and the command. The first that fits
# counts, and every node is asked, so that a command with {node} runs for each.
_SHARED = r"engine=(?P<own>\S+) context=\S* node=(?P=own) .*runtime=docker:"
_BY_NODES = (
    # Its nodes are containers that the program kind does not see, and often is not there.
    ("Docker Desktop", r"provider=kind://docker/desktop/(?P<node>\S+)",
     "docker exec --interactive {node} ctr --namespace=k8s.io images import -"),
    ("kind", r"provider=kind://(?P<provider>\w+)/(?P<name>[^/\s]+)/",
     "KIND_EXPERIMENTAL_PROVIDER={provider} kind load image-archive --name {name} {tar}"),
    ("kind", r"context=kind-(?P<name>\S+)", "kind load image-archive --name {name} {tar}"),
    ("k3d", r"node=k3d-(?P<name>\S+)-(server|agent)-\d+ ", "k3d image import --cluster {name} {tar}"),
    ("k3d", r"context=k3d-(?P<name>\S+)", "k3d image import --cluster {name} {tar}"),
    ("minikube", r" minikube\.k8s\.io/name=(?P<name>\S+)", "minikube image load --profile {name} {tar}"),
    ("minikube", r"context=(?P<name>minikube\S*)", "minikube image load --profile {name} {tar}"),
    ("OrbStack", r"node=orbstack .*runtime=docker:", "docker --context orbstack load --input {tar}"),
    ("Docker Desktop", r"node=docker-desktop .*runtime=docker:",
     "docker --context desktop-linux load --input {tar}"),
    ("Rancher Desktop", r"context=rancher-desktop .*runtime=docker:",
     "docker --context rancher-desktop load --input {tar}"),
    ("Rancher Desktop", r"context=rancher-desktop ", "nerdctl --namespace k8s.io load"),
    ("Colima", r"context=(?P<context>colima\S*) .*runtime=docker:",
     "docker --context {context} load --input {tar}"),
    ("Colima", r"context=(colima-)?(?P<name>\S+) node=colima",
     "colima ssh --profile {name} -- sudo ctr --namespace k8s.io images import -"),
    ("MicroK8s", r" microk8s\.io/cluster=true", "microk8s images import"),
)  # fmt: skip
# Those whose command asks for root, or that run elsewhere: a person must say it.
_BY_PERSON = (
    ("k3s", r"provider=k3s:| node\.kubernetes\.io/instance-type=k3s", _EXAMPLE),
    ("k0s", r" node\.k0sproject\.io/role=", "sudo k0s ctr images import"),
    ("Docker", r"runtime=docker:", "docker --context NAME load --input"),
)


def find_way(kubectl: Kubectl, engine: Engine, command: str) -> Way:
    """How images get into this cluster; what a person says (`command`, or the variable) comes first."""
    if command := command or os.environ.get(LOAD_VARIABLE, ""):
        return Way("", ((*shlex.split(command, posix=os.name != "nt"), TAR),))
    try:
        nodes = kubectl.get("nodes")
    except NotAllowed:
        nodes = []
    own = (
        engine.call("info", "--format={{.Name}}").stdout.strip() if engine.name == "docker" else ""
    )
    return way(kubectl.context, nodes, own)


def way(context: str, nodes: Sequence[Object], engine: str = "") -> Way:
    """The table's answer for a context's nodes; `engine` is the host name of a Docker engine."""
    facts = [_facts(engine, context, node) for node in nodes or ({},)]
    if nodes and all(re.search(_SHARED, line) for line in facts):
        return Way("the engine itself", shared=True)
    for cluster, pattern, command in _BY_NODES:
        found = [match for line in facts if (match := re.search(pattern, line))]
        if found:
            lines = (command.format(tar=TAR, **match.groupdict()) for match in found)
            return Way(cluster, tuple(tuple(line.split()) for line in dict.fromkeys(lines)))
    for cluster, pattern, example in _BY_PERSON:
        if re.search(pattern, facts[0]):
            return Way(cluster, example=example)
    return Way("")


def _facts(engine: str, context: str, node: Object) -> str:
    about, spec = node.get("metadata") or {}, node.get("spec") or {}
    told = (node.get("status") or {}).get("nodeInfo") or {}
    labels = " ".join(f"{key}={value}" for key, value in (about.get("labels") or {}).items())
    return (
        f"engine={engine} context={context} node={about.get('name', '')} "
        f"provider={spec.get('providerID', '')} runtime={told.get('containerRuntimeVersion', '')} "
        f"{labels} "
    )
