"""A migration whose Secret an operator makes: the order holds for Helm and for Argo CD's phases."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.checks.order import ARGO, steps
from taskflow_containers.cluster.helm import Values, value_files
from taskflow_containers.cluster.kubectl import Kubectl, Object, condition
from taskflow_containers.cluster.namespace import Namespace
from taskflow_containers.machine.process import run
from tests.conftest import some_of

pytestmark = pytest.mark.xdist_group("cluster")
NAME, GROUP = "externalsecrets.external-secrets.io", "external-secrets.io"
SCHEMA = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
VERSION = {"name": "v1", "served": True, "storage": True, "schema": SCHEMA}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": NAME},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"kind": "ExternalSecret", "plural": "externalsecrets"},
        "versions": [{**VERSION, "subresources": {"status": {}}}],
    },
}
JOB, DEPLOYMENT = "drilled-backend-migration", "drilled-backend"


def version(*variables: str, **migration: object) -> Values:
    """Values of a version that asks the store for these variables, and migrates only with them."""
    remote = {name: {"key": name} for name in variables}
    code = f"import os, sys; sys.exit(not {set(variables)} <= os.environ.keys())"
    backend = {
        "secret": {"existingSecret": "", "required": [*remote], "remote": remote},
        "migration": {"enabled": True, "command": ["python", "-c", code], **migration},
        "environment": {"VERSION": variables[-1]},
        # What serves needs no database here.
        "health": {"ready": "/api/health/live"},
        "replicas": 1,
    }
    store = {"enabled": True, "secretStoreRef": {"name": "store"}}
    return {"externalSecret": store, "containers": {"backend": backend}}


OLD, NEW = version("DATABASE_URL"), version("DATABASE_URL", "MORE")
FAILING = version("DATABASE_URL", "LESS", command=["python", "-c", "1/0"], timeoutSeconds=5)


def operate(kubectl: Kubectl, stop: threading.Event) -> None:
    """What the operator does, a moment late: a Secret for each ExternalSecret, and its condition."""
    while not stop.wait(1):
        for item in kubectl.get(NAME):
            name, data = item["spec"]["target"]["name"], item["spec"]["data"]
            owner = {key: item["metadata"][key] for key in ("name", "uid")}
            owner |= {"apiVersion": item["apiVersion"], "kind": item["kind"]}
            secret = {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "ownerReferences": [owner]},
                "stringData": {one["secretKey"]: "from the store" for one in data},
            }
            kubectl.call("apply", "--filename=-", stdin=json.dumps(secret), check=False)
            ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
            words = ("--subresource=status", "--type=merge", f"--patch={json.dumps(ready)}")
            kubectl.call("patch", f"{NAME}/{owner['name']}", *words, check=False)


@pytest.fixture(scope="module", autouse=True)
def operator(kubectl: Kubectl) -> Iterator[None]:
    """The operator's definition, where the cluster does not have it."""
    there = kubectl.get("crd", NAME)
    if not there:
        kubectl.create([CRD])
        kubectl.call("wait", "--for=condition=Established", f"crd/{NAME}", "--timeout=30s")
    yield
    if not there:
        kubectl.call("delete", "crd", NAME, "--timeout=50s")


@pytest.fixture
def here(site: Namespace, kubectl: Kubectl) -> Iterator[Namespace]:
    """An empty namespace, with the images that are on the nodes and a stand-in for the operator."""
    release, stop = site.release, threading.Event()
    with Namespace(site.project, kubectl, release.helm, release.chart, [], print) as found:
        found.values = [*site.values]
        thread = threading.Thread(target=operate, args=(found.kubectl, stop))
        thread.start()
        try:
            yield found
        finally:
            stop.set()
            thread.join()


def by_helm(here: Namespace, command: str, folder: Path, *values: Values) -> bool:
    """`helm upgrade --install` or `helm rollback`; whether it succeeded."""
    release, place = here.release, f"--namespace={here.kubectl.namespace}"
    argv: list[str | Path] = [
        release.helm,
        place,
        f"--kube-context={here.kubectl.context}",
        command,
        release.name,
    ]
    if command == "rollback":
        argv.append("1")
    else:
        argv += [release.chart, "--install", *value_files([*here.values, *values], folder)]
    return run([*argv, "--wait", "--timeout=180s"], timeout=200).returncode == 0


def by_argo(here: Namespace, values: Values, *, hooks: bool = True) -> bool:
    """A sync as Argo CD makes it, phase by phase and wave by wave; whether it succeeded.

    It waits until a wave is healthy, deletes a hook before it makes it, and when all is done those
    that ask for it. A rollback is a sync without hooks. (docs/user-guide/helm.md, sync-waves.md and
    gitops-engine/pkg/sync/sync_context.go of argoproj/argo-cd)
    """
    todo = [
        (step, item)
        for item in here.release.render([*here.values, values])
        for step in steps(item, ARGO)
        if hooks or not is_hook(item)
    ]
    for _, wave in groupby(sorted(todo, key=lambda one: one[0]), key=lambda one: one[0]):
        items = [item for _, item in wave]
        delete_hooks(here.kubectl, items)
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        here.kubectl.call("apply", "--filename=-", stdin=text, timeout=120)
        if not all(healthy(here, item) for item in items):
            return False
    delete_hooks(here.kubectl, [item for _, item in todo])
    return True


def is_hook(item: Object) -> bool:
    return "helm.sh/hook" in item["metadata"].get("annotations", {})


def place(item: Object) -> str:
    return f"{item['kind']}/{item['metadata']['name']}"


def delete_hooks(kubectl: Kubectl, items: Sequence[Object]) -> None:
    for name in [place(item) for item in items if is_hook(item)]:
        kubectl.call("delete", name, "--ignore-not-found", "--cascade=foreground")


def healthy(here: Namespace, item: Object) -> bool:
    """Whether an object comes to be what Argo CD calls healthy; most are as soon as they are there."""
    if item["kind"] == "Deployment":
        words = ("rollout", "status", place(item), "--timeout=180s")
        return here.kubectl.call(*words, check=False, timeout=190).returncode == 0
    good = {"Job": "Complete", "ExternalSecret": "Ready"}.get(item["kind"], "")
    state: dict[str, Any] = {}

    def ended() -> bool:
        state.update(here.kubectl.get(place(item))[0])
        return any(condition(state, kind).get("status") == "True" for kind in (good, "Failed"))

    return not good or (here.wait(180, ended) < 180 and bool(condition(state, good)))


def happened(here: Namespace) -> list[str]:
    """Migrations that succeeded and versions that were begun, in their order."""
    done = [
        event["metadata"]["creationTimestamp"]
        for event in here.kubectl.get("events", "--field-selector=reason=Completed")
        if event["involvedObject"]["name"] == JOB
    ]
    sets = [item["metadata"]["creationTimestamp"] for item in here.kubectl.get("replicasets")]
    both = [(time, "migrated") for time in done] + [(time, "version") for time in sets]
    return [what for _, what in sorted(both)]


def serving(here: Namespace) -> str:
    """The version that the release is at; its pods are ready."""
    (found,) = here.kubectl.get("deployment", DEPLOYMENT)
    assert found["status"].get("readyReplicas") == 1
    (config,) = here.kubectl.get("configmap", DEPLOYMENT)
    return str(config["data"]["VERSION"])


@pytest.mark.parametrize("way", some_of(["helm", "argo"], "helm"))
def test_installed_upgraded_and_rolled_back(way: str, here: Namespace, tmp_path: Path) -> None:
    """A key that only the new version asks for is there when it migrates; a failure changes nothing."""

    def bring(values: Values) -> bool:
        helm = way == "helm"
        return by_helm(here, "upgrade", tmp_path, values) if helm else by_argo(here, values)

    assert bring(OLD)
    assert (serving(here), happened(here)) == ("DATABASE_URL", ["migrated", "version"])
    assert bring(NEW)
    assert (serving(here), happened(here)) == ("MORE", ["migrated", "version"] * 2)
    assert not bring(FAILING)
    assert (serving(here), happened(here)) == ("MORE", ["migrated", "version"] * 2)
    back = by_helm(here, "rollback", tmp_path) if way == "helm" else by_argo(here, OLD, hooks=False)
    assert back
    assert (serving(here), happened(here)) == ("DATABASE_URL", ["migrated", "version"] * 2)
