"""Every switch does what its line in values.yaml says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.checks.matrix import BESIDE, Case, cases
from tests.chart.conftest import Install, Objects, Values
from tests.chart.test_defaults import (
    BACK,
    BOX,
    FRONT,
    POD,
    SELECTOR,
    http,
    incomplete,
    peers,
    secret,
)  # fmt: skip

DIGEST = f"sha256:{'0123456789abcdef' * 4}"
URL = "https://api.example.com/v1"
PEER = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateway"}}}
ROUTE = {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": ["app.example.com"]}
REMOTE = {"key": "app/database", "property": "url"}
EXTERNAL = {"enabled": True, "secretStoreRef": {"name": "vault", "kind": "SecretStore"}}
METRIC = {
    "type": "Pods",
    "pods": {"metric": {"name": "m"}, "target": {"type": "Value", "value": 1}},
}
RULE = {"ports": [{"port": 443}]}
SCALED = {"autoscaling": {"enabled": True, "metrics": [METRIC], "behavior": {"scaleUp": {}}}}
FAMILIES = {"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6", "IPv4"]}
MIGRATION = {"migration": {"enabled": True, "command": ["migrate"]}}
# What OpenShift's restricted-v2 asks for: the namespace's own range of users and groups.
OPENSHIFT: Values = {
    "defaults": {"runAsUser": None, "runAsGroup": None},
    "networkPolicy": {"dnsPorts": [5353]},
}
REPORTS = {
    "image": {"repository": "team/reports"},
    "port": 8001,
    "health": {"ready": "/ready", "live": "/live"},
    "drain": {"variable": "SHUTDOWN_SECONDS", "seconds": 8},
    "connects": {"API_URL": "backend"},
}
JOB = "Job/taskflow-backend-migration"
LIMIT = f"{BOX}.resources.limits.ephemeral-storage"


def backend(**settings: object) -> Values:
    return {"containers": {"backend": settings}}


def every(**settings: object) -> Values:
    return {"defaults": settings}


# A migration with a store, and the annotations of what it needs.
MIGRATED: Values = {
    "externalSecret": EXTERNAL,
    **backend(**MIGRATION, secret={"remote": {"DATABASE_URL": REMOTE}}),
}
BEFORE = {
    "helm.sh/hook": "pre-install,pre-upgrade",
    "helm.sh/hook-weight": "-1",
    "helm.sh/hook-delete-policy": "before-hook-creation,hook-succeeded",
}


def metrics(**more: object) -> Values:
    return {**backend(metricsPath="/metrics"), "serviceMonitor": {"enabled": True, **more}}


# Values, where to look, what is there (None: nothing).
SWITCHES: list[tuple[Values, str, Any]] = [
    # images
    (every(image={"tag": "sha-1"}), f"{BACK} {BOX}.image", "taskflow-backend:sha-1"),
    (every(image={"tag": "x", "digest": DIGEST}), f"{BACK} {BOX}.image", f"taskflow-backend@{DIGEST}"),
    (every(image={"registry": "ghcr.io"}), f"{FRONT} {BOX}.image", "ghcr.io/taskflow-frontend:0.1.0"),
    ({"global": {"imageRegistry": "mirror:5000/x"}, **every(image={"registry": "ghcr.io"})},
     f"{FRONT} {BOX}.image", "mirror:5000/x/taskflow-frontend:0.1.0"),
    (every(image={"pullPolicy": "Always"}), f"{BACK} {BOX}.imagePullPolicy", "Always"),
    ({"global": {"imagePullSecrets": [{"name": "r"}]}}, f"{BACK} {POD}.imagePullSecrets", [{"name": "r"}]),
    ({"global": {"imagePullSecrets": ["r", {"name": "s"}]}},
     "Pod/taskflow-backend-test spec.imagePullSecrets", [{"name": "r"}, {"name": "s"}]),
    # `defaults` is for both, an entry wins key by key
    (every(replicas=4), f"{FRONT} spec.replicas", 4),
    ({**every(replicas=4), **backend(replicas=0)}, f"{BACK} spec.replicas", 0),
    (backend(resources={"limits": {"memory": "400M"}}), f"{BACK} {BOX}.resources",
     {"limits": {"memory": "400M", "ephemeral-storage": "384Mi"},
      "requests": {"cpu": "100m", "memory": "100M", "ephemeral-storage": "64Mi"}}),
    (backend(volumes=[]), f"{BACK} {POD}.volumes.1", None),
    # security
    (every(runAsUser=1000660000), f"{BACK} {POD}.securityContext.runAsUser", 1000660000),
    (every(runAsGroup=2000), f"{BACK} {POD}.securityContext.fsGroup", 2000),
    (OPENSHIFT, f"{BACK} {POD}.securityContext",
     {"runAsNonRoot": True, "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"}}),
    (backend(runAsUser=None), f"{BACK} {POD}.securityContext.runAsUser", None),
    (backend(runAsUser=None), f"{FRONT} {POD}.securityContext.runAsUser", 1001),
    # null leaves a key out, and takes from an entry what `defaults` has
    (backend(resources={"requests": {"cpu": None}}), f"{BACK} {BOX}.resources",
     {"limits": {"memory": "300M", "ephemeral-storage": "384Mi"},
      "requests": {"memory": "100M", "ephemeral-storage": "64Mi"}}),
    (backend(tmpSize=None), f"{BACK} {LIMIT}", None),
    (backend(logsSize=None), f"{BACK} {LIMIT}", None),
    (backend(podDisruptionBudget=None), "PodDisruptionBudget/taskflow-backend", None),
    (backend(replicas=None), f"{BACK} spec.replicas", None),
    (backend(replicas=None), f"{FRONT} spec.replicas", 2),
    (backend(enabled=None), f"{BACK} spec.replicas", 2),
    (every(probes={"liveness": None}), f"{BACK} {BOX}.livenessProbe", None),
    (every(probes={"liveness": {"periodSeconds": None, "timeoutSeconds": None, "failureThreshold": None}}),
     f"{BACK} {BOX}.livenessProbe", {"httpGet": http("/api/health/live")}),
    (every(tmpSize=None), f"{BACK} {POD}.volumes.0", {"name": "tmp", "emptyDir": {}}),
    (every(extraEnv=[{"name": "A", "value": None}]), f"{FRONT} {BOX}.env", [{"name": "A"}]),
    ({"networkPolicy": None}, "NetworkPolicy/taskflow-backend", None),
    ({"containers": {"frontend": None}}, FRONT, None),
    # rollout and stop
    (every(maxSurge="50%"), f"{BACK} spec.strategy.rollingUpdate.maxSurge", "50%"),
    (every(maxSurge=2), f"{BACK} spec.strategy.rollingUpdate.maxUnavailable", 0),
    (every(preStopSleepSeconds=9), f"{BACK} {BOX}.lifecycle.preStop.sleep.seconds", 9),
    (every(preStopSleepSeconds=0), f"{BACK} {BOX}.lifecycle", None),
    (every(terminationGracePeriodSeconds=60), f"{BACK} {POD}.terminationGracePeriodSeconds", 60),
    (backend(drain={"seconds": 20}), "ConfigMap/taskflow-backend data.SHUTDOWN_SECONDS", "20"),
    (every(revisionHistoryLimit=1), f"{BACK} spec.revisionHistoryLimit", 1),
    # probes
    (every(probes={"liveness": {"periodSeconds": 7}}), f"{BACK} {BOX}.livenessProbe.periodSeconds", 7),
    (every(probes={"liveness": {"periodSeconds": 7}}), f"{BACK} {BOX}.livenessProbe.timeoutSeconds", 3),
    (backend(health={"live": "/up"}), f"{BACK} {BOX}.startupProbe.httpGet.path", "/up"),
    (backend(health={"live": "/up"}), f"{BACK} {BOX}.readinessProbe.httpGet.path", "/api/health"),
    # environment
    (backend(environment={"A": 1000000}), "ConfigMap/taskflow-backend data.A", "1000000"),
    (backend(environment={"A": True}), "ConfigMap/taskflow-backend data.A", "true"),
    (backend(environment={"A": "007"}), "ConfigMap/taskflow-backend data.A", "007"),
    ({"containers": {"frontend": {"connects": {"API_URL": URL}}}},
     "ConfigMap/taskflow-frontend data.API_URL", URL),
    (backend(port=8080), "ConfigMap/taskflow-frontend data.API_URL", "http://taskflow-backend:8080"),
    (backend(port=8080), "Service/taskflow-backend spec.ports.0.port", 8080),
    # secrets
    (backend(secret={"existingSecret": "own"}), f"{BACK} {BOX}.env.0.valueFrom.secretKeyRef.name", "own"),
    (backend(secret={"required": ["A"], "optional": ["A"]}), f"{BACK} {BOX}.env", [secret("A", optional=True)]),
    (backend(secret={"mountedAsFile": ["DATABASE_URL"]}), f"{BACK} {BOX}.env",
     [secret("OPENROUTER_API_KEY", optional=True)]),
    (backend(secret={"mountedAsFile": ["DATABASE_URL"]}),
     "ConfigMap/taskflow-backend data.DATABASE_URL_FILE", "/run/secrets/app/DATABASE_URL"),
    (backend(secret={"mountedAsFile": ["DATABASE_URL"]}), f"{BACK} {BOX}.volumeMounts.2",
     {"name": "secret-files", "mountPath": "/run/secrets/app", "readOnly": True}),
    (backend(secret={"mountedAsFile": ["DATABASE_URL"]}), f"{BACK} {POD}.volumes.2.secret",
     {"secretName": "taskflow-backend", "defaultMode": 0o440,
      "items": [{"key": "DATABASE_URL", "path": "DATABASE_URL"}]}),
    ({"externalSecret": EXTERNAL, **backend(secret={"remote": {"DATABASE_URL": REMOTE}})},
     "ExternalSecret/taskflow-backend spec",
     {"refreshInterval": "1h", "secretStoreRef": {"name": "vault", "kind": "SecretStore"},
      "target": {"name": "taskflow-backend"},
      "data": [{"secretKey": "DATABASE_URL", "remoteRef": REMOTE}]}),
    ({"externalSecret": EXTERNAL, **backend(secret={"existingSecret": "own"})},
     "ExternalSecret/taskflow-backend", None),
    # Without an fsGroup its files are root's, unless the cluster gives one.
    ({**OPENSHIFT, **backend(secret={"mountedAsFile": ["DATABASE_URL"]})},
     f"{BACK} {POD}.volumes.2.secret.defaultMode", 0o444),
    # volumes
    (every(tmpSize="1Gi"), f"{FRONT} {POD}.volumes.0.emptyDir.sizeLimit", "1Gi"),
    (backend(volumes=[{"path": "/data/My_Files", "size": "1M"}]), f"{BACK} {POD}.volumes.1",
     {"name": "data-my-files", "emptyDir": {"sizeLimit": "1M"}}),
    (backend(volumes=[{"path": "/d", "existingClaim": "c"}]), f"{BACK} {POD}.volumes.1",
     {"name": "d", "persistentVolumeClaim": {"claimName": "c"}}),
    # ephemeral storage: what folders and logs may take, in any unit, unless somebody says or nobody knows
    (every(tmpSize="1G"), f"{FRONT} {LIMIT}", "1210Mi"),
    (every(tmpSize=67108864, logsSize="0.5Gi"), f"{FRONT} {LIMIT}", "576Mi"),
    (backend(volumes=[{"path": "/d", "existingClaim": "c"}]), f"{BACK} {LIMIT}", "320Mi"),
    (every(resources={"limits": {"ephemeral-storage": "1Gi"}}), f"{FRONT} {LIMIT}", "1Gi"),
    # Kubernetes refuses a request above its limit.
    (every(resources={"requests": {"ephemeral-storage": "1Gi"}}), f"{FRONT} {LIMIT}", "1024Mi"),
    (every(resources={"requests": None}), f"{FRONT} {LIMIT}", "320Mi"),
    (every(logsSize=""), f"{FRONT} {LIMIT}", None),
    (every(extraVolumes=[{"name": "v", "emptyDir": {}}]), f"{FRONT} {LIMIT}", None),
    (every(resources={"limits": {"cpu": 1}}), "Pod/taskflow-backend-test spec.containers.1.resources.limits.cpu", 1),
    # scaling and disruption
    (every(**SCALED), f"{BACK} spec.replicas", None),
    (every(**SCALED), "HorizontalPodAutoscaler/taskflow-backend spec.scaleTargetRef",
     {"apiVersion": "apps/v1", "kind": "Deployment", "name": "taskflow-backend"}),
    (every(**SCALED), "HorizontalPodAutoscaler/taskflow-backend spec.maxReplicas", 6),
    (every(**SCALED), "HorizontalPodAutoscaler/taskflow-backend spec.metrics",
     [{"type": "Resource", "resource": {
         "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}, METRIC]),
    (every(**SCALED), "HorizontalPodAutoscaler/taskflow-backend spec.behavior", {"scaleUp": {}}),
    (backend(**SCALED), "HorizontalPodAutoscaler/taskflow-frontend", None),
    (every(podDisruptionBudget={"enabled": False}), "PodDisruptionBudget/taskflow-backend", None),
    (every(podDisruptionBudget={"maxUnavailable": "50%"}),
     "PodDisruptionBudget/taskflow-backend spec.maxUnavailable", "50%"),
    (every(topologySpread=[]), f"{BACK} {POD}.topologySpreadConstraints", None),
    # services and accounts
    (every(service={"type": "NodePort"}), "Service/taskflow-frontend spec.type", "NodePort"),
    (backend(service={"annotations": {"a": "b"}}), "Service/taskflow-backend metadata.annotations", {"a": "b"}),
    (every(service=FAMILIES), "Service/taskflow-backend spec.ipFamilies", ["IPv6", "IPv4"]),
    (every(service=FAMILIES), "Service/taskflow-frontend-peers spec.ipFamilyPolicy", "PreferDualStack"),
    ({}, "Service/taskflow-frontend-peers spec.ipFamilyPolicy", None),
    (every(service={"appProtocol": "http"}), "Service/taskflow-frontend spec.ports.0.appProtocol", "http"),
    (every(service={"appProtocol": "http"}), "Service/taskflow-frontend-peers spec.ports.0.appProtocol", "http"),
    (every(service={"spec": {"sessionAffinity": "ClientIP"}}),
     "Service/taskflow-frontend spec.sessionAffinity", "ClientIP"),
    (every(serviceAccount={"name": "own"}), "ServiceAccount/taskflow-backend", None),
    (every(serviceAccount={"name": "own"}), f"{BACK} {POD}.serviceAccountName", "own"),
    (every(serviceAccount={"annotations": {"a": "b"}}),
     "ServiceAccount/taskflow-backend metadata.annotations", {"a": "b"}),
    # routes
    ({"httpRoute": ROUTE}, "HTTPRoute/taskflow-route spec",
     {"parentRefs": [{"name": "public"}], "hostnames": ["app.example.com"],
      "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                 "backendRefs": [{"name": "taskflow-frontend", "port": 3000}]}]}),
    ({"httpRoute": ROUTE, **backend(public=True, publicPath="/api")},
     "HTTPRoute/taskflow-route spec.rules.0.matches.0.path.value", "/api"),
    ({"httpRoute": ROUTE}, "HTTPRoute/taskflow-redirect", None),
    ({"httpRoute": {**ROUTE, "redirectFrom": [{"name": "public", "sectionName": "http"}]}},
     "HTTPRoute/taskflow-redirect spec",
     {"parentRefs": [{"name": "public", "sectionName": "http"}], "hostnames": ["app.example.com"],
      "rules": [{"filters": [{
          "type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}]}]}),
    ({"httpRoute": {**ROUTE, "rules": [{"name": "x"}]}}, "HTTPRoute/taskflow-route spec.rules.0", {"name": "x"}),
    ({"httpRoute": ROUTE, **every(publicRule={"timeouts": {"request": "9s"}})},
     "HTTPRoute/taskflow-route spec.rules.0.timeouts", {"request": "9s"}),
    ({"ingress": {"enabled": True, "host": "h", "extraHosts": ["i", "j"], "pathType": "Exact"}},
     "Ingress/taskflow-route spec.rules.2", {"host": "j", "http": {"paths": [
         {"path": "/", "pathType": "Exact",
          "backend": {"service": {"name": "taskflow-frontend", "port": {"name": "http"}}}}]}}),
    ({"ingress": {"enabled": True, "host": "h", "extraHosts": ["h"]}}, "Ingress/taskflow-route spec.rules.1", None),
    ({"ingress": {"enabled": True, "extraHosts": ["i"]}}, "Ingress/taskflow-route spec.rules.0.host", "i"),
    ({"ingress": {"enabled": True, "rules": [{"host": "i"}]}}, "Ingress/taskflow-route spec.rules.1", {"host": "i"}),
    ({"ingress": {"enabled": True, "host": "h", "className": "c", "tls": [{"hosts": ["h"]}]}},
     "Ingress/taskflow-route spec",
     {"ingressClassName": "c", "tls": [{"hosts": ["h"]}], "rules": [{"host": "h", "http": {"paths": [
         {"path": "/", "pathType": "Prefix",
          "backend": {"service": {"name": "taskflow-frontend", "port": {"name": "http"}}}}]}}]}),
    ({"ingress": {"enabled": True}}, "Ingress/taskflow-route spec.rules.0.host", None),
    # metrics
    (metrics(interval="5s"), "ServiceMonitor/taskflow-backend spec",
     {"selector": {"matchLabels": {**SELECTOR, "app.kubernetes.io/component": "backend"}},
      "endpoints": [{"port": "http", "path": "/metrics", "interval": "5s"}]}),
    (metrics(labels={"release": "p"}), "ServiceMonitor/taskflow-backend metadata.labels.release", "p"),
    (metrics(), "ServiceMonitor/taskflow-frontend", None),
    (metrics(kind="PodMonitor", endpoint={"scrapeTimeout": "1s"}),
     "PodMonitor/taskflow-backend spec.podMetricsEndpoints",
     [{"port": "http", "path": "/metrics", "interval": "30s", "scrapeTimeout": "1s"}]),
    (metrics(**{"from": [PEER]}), "NetworkPolicy/taskflow-backend spec.ingress.0.from.2", PEER),
    # network
    ({"networkPolicy": {"enabled": False}}, "NetworkPolicy/taskflow-backend", None),
    ({"networkPolicy": {"enabled": False}}, "NetworkPolicy/taskflow-test", None),
    ({"networkPolicy": {"ingressFrom": [PEER]}}, "NetworkPolicy/taskflow-frontend spec.ingress.0.from.2", PEER),
    ({"networkPolicy": {"ingressFrom": [PEER]}}, "NetworkPolicy/taskflow-backend spec.ingress.0.from.2", None),
    ({"networkPolicy": {"dnsTo": [PEER]}}, "NetworkPolicy/taskflow-backend spec.egress.0.to", [PEER]),
    (OPENSHIFT, "NetworkPolicy/taskflow-backend spec.egress.0.ports",
     [{"port": 5353, "protocol": "UDP"}, {"port": 5353, "protocol": "TCP"}]),
    (OPENSHIFT, "NetworkPolicy/taskflow-test spec.egress.0.ports.0.port", 5353),
    ({**OPENSHIFT, **backend(**MIGRATION)}, "NetworkPolicy/taskflow-backend-migration spec.egress.0.ports.0.port", 5353),
    ({"networkPolicy": {"databasePods": [PEER]}}, "NetworkPolicy/taskflow-backend spec.egress.1.to.2", PEER),
    ({"networkPolicy": {"databasePort": 6432}},
     "NetworkPolicy/taskflow-backend spec.egress.1.ports", [{"port": 6432}]),
    # An empty list must not come to mean anywhere.
    ({"networkPolicy": {"databaseCidrs": []}}, "NetworkPolicy/taskflow-backend spec.egress.1", None),
    (backend(networkPolicy={"egress": [RULE]}), "NetworkPolicy/taskflow-backend spec.egress.2", RULE),
    (backend(networkPolicy={"ingress": [RULE]}), "NetworkPolicy/taskflow-backend spec.ingress.1", RULE),
    # migration
    (backend(**MIGRATION), f"{JOB} spec.template.spec.containers.0.command", ["migrate"]),
    (backend(**MIGRATION), f"{JOB} spec.template.spec.containers.0.image", "taskflow-backend:0.1.0"),
    (backend(**MIGRATION), f"{JOB} spec.template.spec.containers.0.env.4", secret("DATABASE_URL")),
    # The ConfigMap is made after the hook has run.
    (backend(**MIGRATION), f"{JOB} spec.template.spec.containers.0.envFrom", None),
    (backend(**MIGRATION), f"{JOB} spec.activeDeadlineSeconds", 300),
    # So is the ServiceAccount of the pods; it has its own, with what a cloud knows theirs by.
    (backend(**MIGRATION), f"{JOB} spec.template.spec.serviceAccountName", "taskflow-backend-migration"),
    (backend(**MIGRATION, serviceAccount={"annotations": {"a": "b"}}),
     "ServiceAccount/taskflow-backend-migration metadata.annotations", {**BEFORE, "a": "b"}),
    (backend(**MIGRATION, serviceAccount={"name": "own"}), "ServiceAccount/taskflow-backend-migration", None),
    (backend(**MIGRATION, serviceAccount={"name": "own"}), f"{JOB} spec.template.spec.serviceAccountName", "own"),
    (backend(**MIGRATION), f"{JOB} spec.template.spec.restartPolicy", "Never"),
    (backend(**MIGRATION), f"{JOB} metadata.annotations",
     {key: value for key, value in BEFORE.items() if key != "helm.sh/hook-weight"}),
    # Nor is the Secret of the pods there: it gets its own from the store.
    (MIGRATED, "ExternalSecret/taskflow-backend-migration metadata.annotations", BEFORE),
    (MIGRATED, "ExternalSecret/taskflow-backend-migration spec.target.name", "taskflow-backend-migration"),
    (MIGRATED, f"{JOB} spec.template.spec.containers.0.env.4.valueFrom.secretKeyRef.name",
     "taskflow-backend-migration"),
    (MIGRATED, "ExternalSecret/taskflow-backend metadata.annotations", None),
    (MIGRATED, f"{BACK} {BOX}.env.0", secret("DATABASE_URL")),
    ({"externalSecret": EXTERNAL, **backend(**MIGRATION, secret={"existingSecret": "own"})},
     f"{JOB} spec.template.spec.containers.0.env.4.valueFrom.secretKeyRef.name", "own"),
    # A sidecar's label and annotation, each for its own pod alone.
    (backend(migration={**MIGRATION["migration"], "podLabels": {"a": "b"}}),
     f"{JOB} spec.template.metadata.labels.a", "b"),
    (backend(migration={**MIGRATION["migration"], "podAnnotations": {"a": "b"}}),
     f"{JOB} spec.template.metadata.annotations", {"a": "b"}),
    (backend(**MIGRATION, podLabels={"a": "b"}), f"{JOB} spec.template.metadata.labels.a", None),
    # tests
    (backend(test={"podLabels": {"a": "b"}}), "Pod/taskflow-backend-test metadata.labels.a", "b"),
    (backend(test={"podAnnotations": {"a": "b"}}), "Pod/taskflow-backend-test metadata.annotations.a", "b"),
    (backend(test={"command": []}), "Pod/taskflow-backend-test", None),
    (every(test={"paths": ["/"]}), "Pod/taskflow-backend-test spec.containers.2.name", "root"),
    # labels and hatches
    ({"commonLabels": {"team": "x"}}, "Service/taskflow-backend metadata.labels.team", "x"),
    ({"commonLabels": {"team": "x"}}, f"{BACK} spec.template.metadata.labels.team", "x"),
    ({"commonLabels": {"team": "x"}}, f"{BACK} spec.selector.matchLabels.team", None),
    ({"commonAnnotations": {"a": "b"}}, "Service/taskflow-backend metadata.annotations", {"a": "b"}),
    (every(podLabels={"a": "b"}), f"{BACK} spec.template.metadata.labels.a", "b"),
    (every(podAnnotations={"a": "b"}), f"{BACK} spec.template.metadata.annotations.a", "b"),
    (every(extraEnv=[{"name": "A", "value": "b"}]), f"{FRONT} {BOX}.env", [{"name": "A", "value": "b"}]),
    # Helm 4 applies server-side, where a list with one name twice is refused.
    (backend(extraEnv=[{"name": "DATABASE_URL", "value": "b"}]), f"{BACK} {BOX}.env",
     [secret("OPENROUTER_API_KEY", optional=True), {"name": "DATABASE_URL", "value": "b"}]),
    (backend(**MIGRATION, extraEnv=[{"name": "FORWARDED_ALLOW_IPS", "value": "b"}]),
     f"{JOB} spec.template.spec.containers.0.env.0.name", "HEALTH_DATABASE_CHECK"),
    (every(extraEnvFrom=[{"secretRef": {"name": "s"}}]), f"{FRONT} {BOX}.envFrom.1", {"secretRef": {"name": "s"}}),
    (every(extraVolumes=[{"name": "v", "emptyDir": {}}]), f"{FRONT} {POD}.volumes.1", {"name": "v", "emptyDir": {}}),
    (every(extraVolumeMounts=[{"name": "v", "mountPath": "/v"}]), f"{FRONT} {BOX}.volumeMounts.1",
     {"name": "v", "mountPath": "/v"}),
    (every(nodeSelector={"a": "b"}), f"{BACK} {POD}.nodeSelector", {"a": "b"}),
    (every(tolerations=[{"key": "a"}]), f"{BACK} {POD}.tolerations", [{"key": "a"}]),
    (every(affinity={"podAffinity": {}}), f"{BACK} {POD}.affinity", {"podAffinity": {}}),
    (every(priorityClassName="high"), f"{BACK} {POD}.priorityClassName", "high"),
    (backend(command=["a"], args=["b"]), f"{BACK} {BOX}.command", ["a"]),
    (backend(command=["a"], args=["b"]), f"{BACK} {BOX}.args", ["b"]),
]  # fmt: skip


def label(value: object) -> str:
    """A test's name for values."""
    return str(value).replace("'", "")[:70] if isinstance(value, dict) else ""


@pytest.mark.parametrize(("values", "place", "wanted"), SWITCHES, ids=label)
def test_switch(values: Values, place: str, wanted: object, install: Install) -> None:
    assert install(values).at(place) == wanted


def test_common_labels_name_the_whole_but_select_nothing(install: Install) -> None:
    wanted = ("part-of", "component")
    found = install({"commonLabels": {f"app.kubernetes.io/{name}": "x" for name in wanted}})
    labels = found.at("Service/taskflow-backend metadata.labels")
    assert [labels[f"app.kubernetes.io/{name}"] for name in wanted] == ["x", "backend"]


def of(component: str, objects: Objects) -> set[str]:
    return {n for n in objects if f"-{component}" in n}


def test_either_service_alone(install: Install) -> None:
    both = install()
    alone = install(
        {"containers": {"backend": {"enabled": False}, "frontend": {"connects": {"API_URL": URL}}}}
    )
    assert alone.keys() == both.keys() - of("backend", both)
    # What is outside the cluster is reached at its port, wherever it is.
    assert peers(alone.at("NetworkPolicy/taskflow-frontend spec.egress")) == {
        "anywhere:53/53", "anywhere:443", "frontend:3000",
    }  # fmt: skip
    alone = install({"containers": {"frontend": {"enabled": False}}})
    assert alone.keys() == both.keys() - of("frontend", both)
    assert peers(alone.at("NetworkPolicy/taskflow-backend spec.ingress")) == {"test:8000"}


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://h", 80),
        ("https://h/x", 443),
        ("http://h:8000/v1", 8000),
        ("https://[::1]:1/", 1),
        ("http://[fd00::1]", 80),
        ("https://[fd00::8000]/v1", 443),
        ("http://user:8080@h?a=:1", 80),
    ],
)
def test_port_of_a_url(url: str, port: int, install: Install) -> None:
    objects = install({"containers": {"frontend": {"connects": {"API_URL": url}}}})
    assert objects.at("NetworkPolicy/taskflow-frontend spec.egress.1") == {
        "ports": [{"port": port}]
    }


def test_a_third_container_is_an_entry(install: Install) -> None:
    objects = install({"containers": {"reports": REPORTS}})
    kinds = {name.split("/")[0] for name in of("reports", objects)}
    assert kinds == {name.split("/")[0] for name in install()} - {"Pod"}
    assert (
        objects.at("Deployment/taskflow-reports spec.template.spec.containers.0.image")
        == "team/reports:0.1.0"
    )
    assert "reports:8000" in peers(objects.at("NetworkPolicy/taskflow-backend spec.ingress"))


@pytest.mark.parametrize(
    ("release", "values", "name"),
    [
        ("taskflow", {}, "taskflow-backend"),
        ("my-taskflow", {}, "my-taskflow-backend"),
        ("shop", {}, "shop-taskflow-backend"),
        ("shop", {"nameOverride": "app"}, "shop-app-backend"),
        ("shop", {"fullnameOverride": "own"}, "own-backend"),
        ("x" * 53, {}, f"{'x' * 53}-t-backend"),
        ("x" * 49, {"nameOverride": "y" * 20}, f"{'x' * 49}-yyyyy-backend"),
        ("shop", {"fullnameOverride": "x" * 53}, f"{'x' * 53}-backend"),
    ],
)
def test_name(release: str, values: Values, name: str, install: Install) -> None:
    objects = install(values, release=release)
    assert f"Service/{name}" in objects
    assert all(len(item["metadata"]["name"]) <= 63 for item in objects.values())


@pytest.mark.parametrize("word", ["on", "1e3", "null"])
def test_words_that_yaml_takes_for_something_else(word: str, install: Install) -> None:
    secret = {"existingSecret": word, "required": ["NO"], "optional": ["Y"]}
    values = {"nameOverride": "on", **backend(secret=secret), "defaults": {"image": {"tag": word}}}
    objects = install(values, release=word)
    for item in objects.values():
        labels = item["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "on"
        assert labels["app.kubernetes.io/instance"] == word
    deployment = "Deployment/on-backend" if word == "on" else f"Deployment/{word}-on-backend"
    assert objects.at(f"{deployment} {BOX}.image") == f"taskflow-backend:{word}"
    reference = objects.at(f"{deployment} {BOX}.env.0.valueFrom.secretKeyRef")
    assert reference == {"name": word, "key": "NO"}
    assert objects.at(f"{deployment} {BOX}.env.1.name") == "Y"


def test_a_changed_configuration_restarts_its_pods_alone(install: Install) -> None:
    def checksums(values: Values) -> list[str]:
        objects = install(values)
        place = "spec.template.metadata.annotations"
        return [objects.at(f"{name} {place}")["checksum/config"] for name in (BACK, FRONT)]

    before, after = checksums({}), checksums(backend(environment={"A": "b"}))
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_a_migration_reaches_the_database(install: Install) -> None:
    policy = install(backend(**MIGRATION)).at("NetworkPolicy/taskflow-backend-migration")
    assert peers(policy["spec"]["egress"]) == {"anywhere:53/53", "0.0.0.0/0:5432", "::/0:5432"}
    assert policy["metadata"]["annotations"]["helm.sh/hook-weight"] == "-1"
    job = install(backend(**MIGRATION)).at(JOB)
    pod = job["spec"]["template"]["metadata"]["labels"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= pod.items()
    # No Service sends requests to it.
    assert pod["app.kubernetes.io/component"] == "backend-migration"


def test_oldest_helm_renders_the_same(oldest: Path, program: Path, chart: Path) -> None:
    pairs = [case for case in cases(chart) if ", " in case.name or not case.values]
    assert len(pairs) > 10
    for case in pairs:
        choices = case.choices
        if any(BESIDE in values for values in choices.values()):
            # In a parent chart Helm's versions read null differently (docs/chart.md).
            choices = {
                name: values for name, values in choices.items() if "null" not in json.dumps(values)
            }
        made = [Case(choices) for _ in (oldest, program)]
        for one, each in zip(made, (oldest, program), strict=True):
            one.render(each, chart, "taskflow", "1.34.0")
            assert not one.error
        first, second = (sorted(map(str, one.objects)) for one in made)
        assert first == second, case.name
        assert [wrong for item in made[0].objects for wrong in incomplete(item)] == [], case.name
