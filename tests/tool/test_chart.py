"""The contract of the chart: every check finds its fault and names both values."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from taskflow_containers.cluster import helm
from taskflow_containers.contract.chart import check_manifests, check_metadata
from taskflow_containers.contract.manifests import parse_quantity
from taskflow_containers.project.load import load
from taskflow_containers.project.model import Project
from taskflow_containers.report.result import Result, Status

REMOVED = object()
RESTRICTED = {
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
POD = "Deployment/backend:spec.template.spec"
BOX = f"{POD}.containers.0"
WEB = "Deployment/frontend:spec.template.spec.containers.0"
SECURITY = f"{BOX}.securityContext"
HOOK = {"helm.sh/hook": "test"}
# Behind the last of a list, or of all objects.
MORE = "+"


class Fault(NamedTuple):
    """Fields of rendered objects with other values, and the one check that must find them."""

    check: str
    changes: dict[str, Any]
    expected: str
    measured: str
    container: str = "backend"
    besides: frozenset[str] = frozenset()


def mount(path: str, **more: object) -> dict[str, object]:
    return {"name": "more", "mountPath": path, **more}


def volume(path: str, volume: dict[str, object], **more: object) -> dict[str, Any]:
    """A volume more, mounted at that path."""
    return {
        f"{POD}.volumes.{MORE}": {"name": "more", **volume},
        f"{BOX}.volumeMounts.{MORE}": mount(path, **more),
    }


def variable(name: str, **source: object) -> dict[str, Any]:
    """An environment variable more, which wins over those before it."""
    return {f"{BOX}.env.{MORE}": {"name": name, **source}}


def from_secret(**more: object) -> dict[str, object]:
    return {"secretKeyRef": {"name": "s", "key": "k", **more}}


def pod(image: str, **more: object) -> dict[str, Any]:
    """A test's pod that runs an image as the backend's service is run."""
    return {
        MORE: {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "stranger", "annotations": HOOK},
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 1001,
                    "runAsGroup": 1001,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "test",
                        "image": image,
                        "securityContext": RESTRICTED,
                    }
                ],
                **more,
            },
        }
    }


def route(path: str) -> dict[str, Any]:
    """An Ingress that leads to the frontend."""
    to = {"path": path, "backend": {"service": {"name": "taskflow-frontend"}}}
    rules = [{"http": {"paths": [to]}}]
    return {"kind": "Ingress", "metadata": {"name": "more"}, "spec": {"rules": rules}}


BARE = {"name": "init", "image": "taskflow-backend:0.1.0"}
INIT = {**BARE, "securityContext": RESTRICTED}

FAULTS = {
    "another registry": Fault("image", {f"{BOX}.image": "ghcr.io/x/taskflow-backend:0.1.0"}, "taskflow-backend:0.1.0", "ghcr.io/x/taskflow-backend:0.1.0"),
    "another image": Fault("image", {f"{BOX}.image": "taskflow-frontend:0.1.0"}, "taskflow-backend:0.1.0", "taskflow-frontend:0.1.0"),
    "another version": Fault("image", {f"{BOX}.image": "taskflow-backend:0.2.0"}, "taskflow-backend:0.1.0", "taskflow-backend:0.2.0"),
    "no tag": Fault("image", {f"{BOX}.image": "taskflow-backend"}, "taskflow-backend:0.1.0", "taskflow-backend"),
    "another image's digest": Fault("image", {f"{BOX}.image": f"else@sha256:{'0' * 64}"}, "taskflow-backend:0.1.0", "else@sha256"),
    "another user": Fault("user", {f"{POD}.securityContext.runAsUser": 1002}, "1001:1001, fsGroup 1001", "1002:1001, fsGroup 1001"),
    "another user in the container": Fault("user", {f"{SECURITY}.runAsUser": 10}, "1001:1001", "10:1001"),
    "no group": Fault("user", {f"{POD}.securityContext.runAsGroup": REMOVED}, "1001:1001", "1001:any"),
    "another fsGroup": Fault("user", {f"{POD}.securityContext.fsGroup": 0}, "fsGroup 1001", "fsGroup 0"),
    "no fsGroup": Fault("user", {f"{POD}.securityContext.fsGroup": REMOVED}, "fsGroup 1001", "fsGroup not set"),
    "root allowed": Fault("security", {f"{POD}.securityContext.runAsNonRoot": False}, "runAsNonRoot true", "runAsNonRoot false"),
    "no word on root": Fault("security", {f"{POD}.securityContext.runAsNonRoot": REMOVED}, "runAsNonRoot true", "runAsNonRoot not set"),
    "root allowed in the container": Fault("security", {f"{SECURITY}.runAsNonRoot": False}, "runAsNonRoot true", "runAsNonRoot false"),
    "a writable root": Fault("security", {f"{SECURITY}.readOnlyRootFilesystem": False}, "readOnlyRootFilesystem true", "readOnlyRootFilesystem false"),
    "no word on the root": Fault("security", {f"{SECURITY}.readOnlyRootFilesystem": REMOVED}, "readOnlyRootFilesystem true", "readOnlyRootFilesystem not set"),
    "escalation": Fault("security", {f"{SECURITY}.allowPrivilegeEscalation": REMOVED}, "allowPrivilegeEscalation false", "allowPrivilegeEscalation not set"),
    "privileged": Fault("security", {f"{SECURITY}.privileged": True}, "privileged false", "privileged true"),
    "capabilities kept": Fault("security", {f"{SECURITY}.capabilities": {"drop": ["NET_RAW"]}}, "drop ALL", "drop NET_RAW"),
    "a capability added": Fault("security", {f"{SECURITY}.capabilities.add": ["NET_BIND_SERVICE"]}, "add nothing", "add NET_BIND_SERVICE"),
    "unconfined": Fault("security", {f"{POD}.securityContext.seccompProfile.type": "Unconfined"}, "seccompProfile RuntimeDefault", "seccompProfile Unconfined"),
    "no seccomp": Fault("security", {f"{POD}.securityContext.seccompProfile": REMOVED}, "seccompProfile RuntimeDefault", "seccompProfile not set"),
    "the host's network": Fault("security", {f"{POD}.hostNetwork": True}, "host nothing", "host hostNetwork"),
    "the host's processes": Fault("security", {f"{POD}.hostPID": True}, "host nothing", "host hostPID"),
    "a host's port": Fault("security", {f"{BOX}.ports.0.hostPort": 80}, "host nothing", "host port 80"),
    "the token": Fault("security", {f"{POD}.automountServiceAccountToken": True}, "token false", "token true"),
    "no word on the token": Fault("security", {f"{POD}.automountServiceAccountToken": REMOVED, "ServiceAccount/backend:automountServiceAccountToken": REMOVED}, "token false", "token true"),
    "a loose init container": Fault("security", {f"{POD}.initContainers": [BARE]}, "readOnlyRootFilesystem true", "readOnlyRootFilesystem not set"),
    "a loose sidecar": Fault("security", {f"{POD}.containers.{MORE}": BARE}, "drop ALL", "drop nothing", besides=frozenset({"workloads"})),
    "another port": Fault("port", {f"{BOX}.ports.0.containerPort": 9000}, "8000", "9000", besides=frozenset({"service", "readiness", "liveness", "startup"})),
    "a port more": Fault("port", {f"{BOX}.ports.{MORE}": {"containerPort": 9000}}, "8000", "8000, 9000"),
    "no port": Fault("port", {f"{BOX}.ports": []}, "8000", "nothing", besides=frozenset({"service", "readiness", "liveness", "startup"})),
    "a Service to another port": Fault("service", {"Service/backend:spec.ports.0.targetPort": 9000}, "to 8000", "taskflow-backend:8000 to 9000"),
    "a Service to no port": Fault("service", {"Service/backend:spec.ports.0.targetPort": "web"}, "to 8000", "to 'web', which is no port"),
    "a Service of other pods": Fault("service", {"Service/frontend:spec.selector": {"a": "b"}}, "to 3000", "no Service selects these pods", "frontend"),
    "a Service without selector": Fault("service", {"Service/frontend:spec.selector": REMOVED}, "to 3000", "no Service selects these pods", "frontend"),
    "a route below a path that the pages do not know": Fault("base-path", {MORE: route("/shop")}, "routes lead to /", "a route to /shop", "frontend"),
    "readiness elsewhere": Fault("readiness", {f"{BOX}.readinessProbe.httpGet.path": "/ready"}, "/api/health at 8000", "/ready at 8000"),
    "readiness at another port": Fault("readiness", {f"{BOX}.readinessProbe.httpGet.port": 9000}, "/api/health at 8000", "/api/health at 9000"),
    "readiness by command": Fault("readiness", {f"{BOX}.readinessProbe": {"exec": {"command": ["true"]}}}, "/api/health at 8000", "no HTTP probe"),
    "liveness asks the database": Fault("liveness", {f"{BOX}.livenessProbe.httpGet.path": "/api/health"}, "/api/health/live at 8000", "/api/health at 8000"),
    "no liveness": Fault("liveness", {f"{WEB}.livenessProbe": REMOVED}, "/health at 3000", "no HTTP probe", "frontend"),
    "start-up elsewhere": Fault("startup", {f"{BOX}.startupProbe.httpGet.path": "/"}, "/api/health/live or /api/health at 8000", "/ at 8000"),
    "no start-up probe": Fault("startup", {f"{WEB}.startupProbe": REMOVED}, "/health at 3000", "no HTTP probe", "frontend"),
    "no time to start": Fault("start", {f"{BOX}.startupProbe.periodSeconds": 1, f"{BOX}.startupProbe.failureThreshold": 1}, "at least budgets.start, 2 s", "1 s"),
    "MiB": Fault("memory", {f"{BOX}.resources.limits.memory": "300Mi"}, "300.0 MB", "314.6 MB"),
    "another limit": Fault("memory", {f"{WEB}.resources.limits.memory": "0.3G"}, "200.0 MB", "300.0 MB", "frontend"),
    "no limit": Fault("memory", {f"{BOX}.resources.limits": REMOVED}, "300.0 MB", "none"),
    "a limit nobody can read": Fault("memory", {f"{BOX}.resources.limits.memory": "300MB"}, "300.0 MB", "300MB"),
    "a request above the limit": Fault("memory", {f"{BOX}.resources.requests.memory": "301M"}, "300.0 MB", "less than the request of 301M"),
    "no DATABASE_URL": Fault("environment", {f"{BOX}.env.0.name": "DATABASE"}, "DATABASE_URL set", "DATABASE_URL missing"),
    "an empty DATABASE_URL": Fault("environment", {f"{BOX}.env.0": {"name": "DATABASE_URL"}}, "DATABASE_URL set", "DATABASE_URL missing"),
    "DATABASE_URL may lack": Fault("environment", variable("DATABASE_URL", valueFrom=from_secret(optional=True)), "DATABASE_URL set", "DATABASE_URL optional"),
    "DATABASE_URL from a file that is not mounted": Fault("environment", {f"{BOX}.env.0": {"name": "DATABASE_URL_FILE", "value": "/run/x"}}, "DATABASE_URL set", "DATABASE_URL missing"),
    "DATABASE_URL in plain": Fault("secrets", variable("DATABASE_URL", value="postgresql://u:p@h/d"), "nothing", "DATABASE_URL"),
    "a password in the ConfigMap": Fault("secrets", {"ConfigMap/backend:data.SMTP_PASSWORD": "x"}, "nothing", "SMTP_PASSWORD"),
    "an optional key demanded": Fault("environment", variable("OPENROUTER_API_KEY", valueFrom=from_secret()), "OPENROUTER_API_KEY optional", "OPENROUTER_API_KEY demanded"),
    "an optional key out of reach": Fault("environment", {f"{BOX}.env.1.name": "KEY_OF_SOMETHING"}, "OPENROUTER_API_KEY optional", "OPENROUTER_API_KEY out of reach"),
    "another PYTHONPATH": Fault("environment", {"ConfigMap/backend:data.PYTHONPATH": "/"}, "PYTHONPATH=/app/src", "PYTHONPATH=/"),
    "another PYTHONPATH in the pod": Fault("environment", variable("PYTHONPATH", value="/x"), "PYTHONPATH=/app/src", "PYTHONPATH=/x"),
    "a development build": Fault("environment", {"ConfigMap/frontend:data.NODE_ENV": "development"}, "NODE_ENV=production", "NODE_ENV=development", "frontend"),
    "no API_URL": Fault("environment", {"ConfigMap/frontend:data.API_URL": REMOVED}, "API_URL set", "API_URL missing", "frontend"),
    "API_URL to another Service": Fault("environment", {"ConfigMap/frontend:data.API_URL": "http://taskflow-frontend:3000"}, "API_URL=http://taskflow-backend:8000", "API_URL=http://taskflow-frontend:3000", "frontend"),
    "API_URL at another port": Fault("environment", {"ConfigMap/frontend:data.API_URL": "http://taskflow-backend"}, "API_URL=http://taskflow-backend:8000", "API_URL=http://taskflow-backend", "frontend"),
    "a writable folder more": Fault("volumes", volume("/app/src", {"emptyDir": {"sizeLimit": "1M"}}), "/app/data", "/app/data, /app/src"),
    "a claim more": Fault("volumes", volume("/app", {"persistentVolumeClaim": {"claimName": "x"}}), "/app/data", "/app, /app/data"),
    "static files writable": Fault("volumes", {"Deployment/frontend:spec.template.spec.volumes.0.name": "p", f"{WEB}.volumeMounts.0": {"name": "p", "mountPath": "/app/public"}}, "nothing", "/app/public", "frontend"),
    "no volume": Fault("volumes", {f"{BOX}.volumeMounts": []}, "/app/data", "nothing"),
    "its own volume read-only": Fault("volumes", {f"{BOX}.volumeMounts": [mount("/app/data", readOnly=True)]}, "/app/data", "nothing"),
    "a folder of the node": Fault("volumes", volume("/tmp/node", {"hostPath": {"path": "/"}}), "/app/data", "/tmp/node on the node's disk"),
    "no size limit": Fault("volumes", volume("/tmp", {"emptyDir": {}}), "/app/data", "/tmp without a size limit"),
    "an init container that writes": Fault("volumes", {f"{POD}.initContainers": [{**INIT, "volumeMounts": [mount("/more")]}], f"{POD}.volumes.{MORE}": {"name": "more", "emptyDir": {"sizeLimit": "1M"}}}, "/app/data", "/app/data, /more"),
    "no time to stop": Fault("grace", {f"{POD}.terminationGracePeriodSeconds": 12, f"{BOX}.lifecycle.preStop.sleep.seconds": 5}, "at least 15 s: preStop 5, budgets.stop 10", "12 s"),
    "a longer pause": Fault("grace", {f"{POD}.terminationGracePeriodSeconds": REMOVED, f"{BOX}.lifecycle.preStop.sleep.seconds": 25}, "at least 35 s: preStop 25", "30 s"),
    "no backend": Fault("workloads", {"Deployment/backend": REMOVED}, "backend, frontend", "frontend", ""),
    "a stranger": Fault("workloads", {"Deployment/backend:metadata.labels": {}, "Deployment/backend:spec.template.metadata.labels": {"app.kubernetes.io/component": "cache"}}, "backend, frontend", "cache/backend, frontend", ""),
    "a sidecar": Fault("workloads", {f"{POD}.containers.{MORE}": {**INIT, "name": "proxy"}}, "backend, frontend", "backend, backend/proxy, frontend", ""),
    "two workloads of one container": Fault("workloads", {MORE: "Deployment/backend"}, "backend, frontend", "backend, backend, frontend", ""),
    "a test with another image": Fault("helpers", pod("busybox:1"), "the model's images", "Pod/stranger: image busybox:1", ""),
    "a test as root": Fault("helpers", pod("taskflow-backend:0.1.0", securityContext={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}), "the model's images, users", "Pod/stranger: user any:any", ""),
    "a loose test": Fault("helpers", pod("taskflow-backend:0.1.0", hostIPC=True), "nothing loosened", "Pod/stranger: host hostIPC", ""),
    "a test that writes": Fault("helpers", pod("taskflow-backend:0.1.0", volumes=[{"name": "more", "emptyDir": {"sizeLimit": "1M"}}], initContainers=[{**INIT, "volumeMounts": [mount("/more")]}]), "folders", "Pod/stranger: writes to /more", ""),
    "a test with a token": Fault("helpers", pod("taskflow-backend:0.1.0", automountServiceAccountToken=True), "nothing loosened", "Pod/stranger: token true", ""),
}  # fmt: skip


@pytest.fixture(scope="session")
def rendered(sample: Path) -> list[dict[str, Any]]:
    """What the chart of the default project renders."""
    return helm.render(helm.find(), sample / "chart")


@pytest.fixture(scope="session")
def model(sample: Path) -> Project:
    return load(sample / "taskflow.toml")


def change(objects: list[dict[str, Any]], path: str, value: Any) -> None:
    """Set, add (`+`) or remove the field at `Kind/component:dotted.path`."""
    where, _, field = path.partition(":")
    kind, _, component = where.partition("/")
    found = [
        item
        for item in objects
        if item["kind"] == kind and item["metadata"]["name"] == f"taskflow-{component}"
    ]
    if where == MORE:
        same = value.split("/") if isinstance(value, str) else None
        objects.append(
            next(i for i in objects if i["kind"] == same[0] and same[1] in i["metadata"]["name"])
            if same
            else value
        )
        return
    assert len(found) == 1, f"{where} is not rendered once"
    if not field:
        objects.remove(found[0])
        return
    *parents, last = field.split(".")
    place: Any = found[0]
    for key in parents:
        place = place[int(key) if key.isdigit() else key]
    here: Any = int(last) if last.isdigit() else last
    if last == MORE:
        place.append(value)
    elif value is not REMOVED:
        place[here] = value
    else:
        place.pop(here, None)


def failures(results: Iterable[Result]) -> dict[str, Result]:
    return {r.id.removeprefix("contract.chart."): r for r in results if r.status is Status.FAILED}


def test_the_default_chart_passes(model: Project, rendered: list[dict[str, Any]]) -> None:
    results = check_manifests(model, rendered)
    assert failures(results) == {}
    assert {result.container for result in results} == {"backend", "frontend", ""}
    assert {r.id.removeprefix("contract.chart.") for r in results} == {
        fault.check for fault in FAULTS.values()
    }


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_in_the_manifests(
    case: str, model: Project, rendered: list[dict[str, Any]]
) -> None:
    fault = FAULTS[case]
    objects = copy.deepcopy(rendered)
    for path, value in fault.changes.items():
        change(objects, path, value)
    failed = failures(check_manifests(model, objects))
    assert set(failed) == {fault.check} | fault.besides, [
        (r.id, r.container, r.measured) for r in failed.values()
    ]
    result = failed[fault.check]
    assert fault.expected in result.expected
    assert fault.measured in result.measured
    assert result.container == fault.container
    assert result.title and result.fix and result.location


GOOD: dict[str, dict[str, Any]] = {
    "a digest": {f"{BOX}.image": f"taskflow-backend@sha256:{'0' * 64}"},
    "a tag and a digest": {f"{BOX}.image": f"taskflow-backend:9@sha256:{'0' * 64}"},
    "user of the container alone": {f"{POD}.securityContext.runAsUser": REMOVED, f"{SECURITY}.runAsUser": 1001},
    "no token by the account's word": {f"{POD}.automountServiceAccountToken": REMOVED, "ServiceAccount/backend:automountServiceAccountToken": False},
    "capabilities in small letters": {f"{SECURITY}.capabilities.drop": ["all"]},
    "numbers for names": {"Service/backend:spec.ports.0.targetPort": 8000, f"{BOX}.livenessProbe.httpGet.port": 8000},
    "a probe with a query": {f"{BOX}.readinessProbe.httpGet.path": "/api/health?deep=1"},
    "a start-up probe of readiness": {f"{BOX}.startupProbe.httpGet.path": "/api/health"},
    "bytes": {f"{BOX}.resources.limits.memory": 300_000_000},
    "a number with exponent": {f"{BOX}.resources.limits.memory": "3e8"},
    "thousandths of a byte": {f"{BOX}.resources.limits.memory": "300000000000m"},
    "a whole domain name": {"ConfigMap/frontend:data.API_URL": "http://taskflow-backend.default.svc.cluster.local:8000/"},
    "DATABASE_URL from a file": {f"{BOX}.env.0": {"name": "DATABASE_URL_FILE", "value": "/run/s/u"}, **volume("/run/s", {"secret": {"secretName": "s"}})},
    "a fixed variable repeated": variable("PYTHONPATH", value="/app/src"),
    "another variable": variable("LOG_LEVEL", value="debug"),
    "a claim for its data": volume("/app/data", {"persistentVolumeClaim": {"claimName": "x"}}),
    "a folder to read": volume("/etc/ca", {"configMap": {"name": "x"}}),
    "a node's folder to read": volume("/etc/ca", {"hostPath": {"path": "/etc/ssl"}}, readOnly=True),
    "an init container": {f"{POD}.initContainers": [INIT]},
    "a test": pod("taskflow-backend:0.1.0"),
}  # fmt: skip

# Values that say where images come from and what runs at all; the contract takes their word.
ASKED: dict[str, dict[str, Any]] = {
    "a tag": {"defaults": {"image": {"tag": "dev"}}},
    "a mirror": {"global": {"imageRegistry": "mirror.example/m"}},
    "another repository": {"containers": {"backend": {"image": {"registry": "r.example:5000", "repository": "x/y"}}}},
    "a user of the cluster's": {"defaults": {"runAsUser": None, "runAsGroup": None}},
    "one container's group of the cluster's": {"containers": {"frontend": {"runAsGroup": None}}},
    "a backend elsewhere": {"containers": {"backend": {"enabled": False}, "frontend": {"connects": {"API_URL": "https://api.example.com"}}}},
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD)
def test_other_ways_pass(case: str, model: Project, rendered: list[dict[str, Any]]) -> None:
    objects = copy.deepcopy(rendered)
    for path, value in GOOD[case].items():
        change(objects, path, value)
    assert failures(check_manifests(model, objects)) == {}


@pytest.mark.parametrize("case", ASKED)
def test_what_values_ask_for_passes_and_nothing_else(
    case: str, sample: Path, model: Project
) -> None:
    objects = helm.render(helm.find(), sample / "chart", values=[ASKED[case]])
    assert failures(check_manifests(model, objects, ASKED[case])) == {}
    # The chart's own values have no such word.
    assert failures(check_manifests(model, objects))
    assert failures(check_manifests(model, objects, {"global": {"imageRegistry": "else.example"}}))


def test_routes_and_tests_keep_to_the_base_path(
    model: Project, rendered: list[dict[str, Any]]
) -> None:
    frontend = model.containers["frontend"].model_copy(update={"base_path": "/shop"})
    below = model.model_copy(update={"containers": {**model.containers, "frontend": frontend}})
    for path, wrong in {"/": "", "/shop": "", "/sho": "a route to /sho, "}.items():
        failed = failures(check_manifests(below, [*rendered, route(path)]))
        assert failed["base-path"].measured == f"{wrong}a test of /api/health"
        asked = {"containers": {"frontend": {"test": {"paths": ["/"]}}}}
        failed = failures(check_manifests(below, [*rendered, route(path)], asked))
        assert bool(failed) == bool(wrong)


@pytest.mark.parametrize("key", ["name", "version", "appVersion"])
def test_the_chart_is_named_and_versioned_as_the_project(key: str, model: Project) -> None:
    good = {"name": "taskflow", "version": "0.1.0", "appVersion": "0.1.0"}
    assert failures(check_metadata(model, good)) == {}
    [result] = failures(check_metadata(model, {**good, key: "9"})).values()
    assert result.id == f"contract.chart.{key.lower()}"
    assert (result.expected, result.measured) == (good[key], "9")
    assert result.location == "chart/Chart.yaml"
    assert failures(check_metadata(model, {}))[key.lower()].measured == "nothing"


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("300M", 300_000_000), ("286Mi", 299_892_736), ("0.3G", 300_000_000), ("1.5k", 1500),
        ("1Ki", 1024), ("1Gi", 2**30), ("2Ti", 2**41), ("1E", 10**18), ("1Ei", 2**60), ("3e8", 3 * 10**8),
        ("3E+2", 300), ("5", 5), (5, 5), ("+5", 5), (".5k", 500), ("1.", 1), ("1001m", 2), ("1n", 1), ("0", 0),
    ],
)  # fmt: skip
def test_quantities(text: object, size: int) -> None:
    assert parse_quantity(text) == size


@pytest.mark.parametrize(
    "text", ["", "M", "300MB", "300mb", "3 M", "-1", "1K", "1e", "0x10", "1,5M", None]
)
def test_no_quantities(text: object) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity(text)
