"""Wrong values are refused, by the schema or by the templates, in words that say what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from taskflow_containers.cluster import helm
from taskflow_containers.machine.errors import InputError
from tests.chart.conftest import Install, Values
from tests.chart.test_switches import EXTERNAL, REPORTS, every


def backend(**settings: object) -> Values:
    return {"containers": {"backend": settings}}


# What the schema refuses: misspelt, of the wrong type, malformed. Values, where and what both Helms say.
BY_SCHEMA: list[tuple[Values, str, str]] = [
    (backend(replica=3), "containers.backend", "replica"),
    (every(replica=3), "defaults", "replica"),
    (backend(image={"name": "x"}), "containers.backend.image", "name"),
    ({"networkPolicy": {"ingresFrom": []}}, "networkPolicy", "ingresFrom"),
    ({"httpRoute": {"enable": True}}, "httpRoute", "enable"),
    (backend(replicas="3"), "containers.backend.replicas", "integer"),
    (backend(replicas=-1), "containers.backend.replicas", "0"),
    (backend(enabled="no"), "containers.backend.enabled", "boolean"),
    (backend(image={"tag": 1.0}), "containers.backend.image.tag", "string"),
    (backend(image={"tag": "a+b"}), "containers.backend.image.tag", "match"),
    (backend(image={"digest": "0123"}), "containers.backend.image.digest", "sha256:"),
    (backend(image={"digest": f"sha256:{'0' * 63}"}), "containers.backend.image.digest", "sha256:"),
    (backend(image={"repository": "x:1"}), "containers.backend.image.repository", "match"),
    (backend(image={"pullPolicy": "Sometimes"}), "containers.backend.image.pullPolicy", "IfNotPresent"),
    ({"global": {"imageRegistry": "https://x"}}, "global.imageRegistry", "match"),
    ({"global": {"imagePullSecrets": [1]}}, "global.imagePullSecrets.0", "object"),
    (backend(runAsUser=0), "containers.backend.runAsUser", "1"),
    (backend(port=70000), "containers.backend.port", "65,?535"),
    (backend(kind="job"), "containers.backend.kind", "worker"),
    (every(cron={"schedule": "every day"}), "defaults.cron.schedule", "match"),
    (backend(health={"ready": "health"}), "containers.backend.health.ready", "match"),
    (backend(resources={"limits": {"memory": "300MB"}}), "containers.backend.resources.limits.memory", "Mi"),
    (backend(resources={"limit": {}}), "containers.backend.resources", "limit"),
    (backend(tmpSize=-1), "containers.backend.tmpSize", "0"),
    # What --set makes of `command={}`.
    (backend(command=[""]), "containers.backend.command.0", "1"),
    (backend(volumes=[{"path": "/x"}]), "containers.backend.volumes.0", "size"),
    (backend(maxSurge=0), "containers.backend.maxSurge", "1"),
    (backend(maxSurge="0%"), "containers.backend.maxSurge", "match"),
    (backend(podDisruptionBudget={"maxUnavailable": 0}), "containers.backend.podDisruptionBudget", "1"),
    (backend(probes={"readiness": {"timeout": 1}}), "containers.backend.probes.readiness", "timeout"),
    (backend(environment={"A-B": "x"}), "containers.backend.environment", "A-B"),
    (backend(environment={"A": [1]}), "containers.backend.environment.A", "string"),
    (backend(secret={"required": ["A B"]}), "containers.backend.secret.required.0", "match"),
    (every(topologySpread=[{"topologyKey": "x", "whenUnsatisfiable": "Maybe"}]),
     "defaults.topologySpread.0.whenUnsatisfiable", "ScheduleAnyway"),
    ({"networkPolicy": {"databaseCidrs": ["example.com"]}}, "networkPolicy.databaseCidrs.0", "match"),
    ({"global": {"imagePullSecrets": [None]}}, "global.imagePullSecrets.0", "object"),
    (every(test={"paths": [None]}), "defaults.test.paths.0", "string"),
    ({"networkPolicy": {"dnsPorts": []}}, "networkPolicy.dnsPorts", "1"),
    ({"fullnameOverride": "Taskflow"}, "fullnameOverride", "match"),
    ({"commonLabels": {"a": True}}, "commonLabels.a", "string"),
    ({"commonLabels": {"a": "b c"}}, "commonLabels.a", "match"),
    (every(podLabels={"a": "x" * 64}), "defaults.podLabels.a", "63"),
    (backend(service={"spec": {"ports": []}}), "containers.backend.service.spec", "ports"),
    (backend(service={"spec": {"ipFamilies": ["IPv6"]}}), "containers.backend.service.spec", "ipFamilies"),
    (backend(publicRule={"backendRefs": []}), "containers.backend.publicRule", "backendRefs"),
    ({"containers": {"Reports": {}}}, "containers", "Reports"),
    ({"containers": {"reports": {"port": 1, "helth": None}}}, "containers.reports", "helth"),
]  # fmt: skip

# What the templates refuse, for it depends on more than one value.
BY_TEMPLATE: list[tuple[Values, str]] = [
    (backend(terminationGracePeriodSeconds=12), "12 is less than preStopSleepSeconds .* = 13"),
    (backend(preStopSleepSeconds=23), "30 is less than preStopSleepSeconds .* = 31"),
    (backend(drain={"seconds": 26}), "30 is less than preStopSleepSeconds .* = 31"),
    ({"containers": {"frontend": {"connects": {"API_URL": "bakend"}}}}, '"bakend" is no enabled container'),
    ({"containers": {"frontend": {"connects": {"API_URL": "http://h:80a"}}}}, '"http://h:80a" is no enabled container'),
    (backend(enabled=False), 'frontend.connects.API_URL: "backend" is no enabled .* give the URL'),
    (backend(environment={"SHUTDOWN_SECONDS": 1}), "environment.SHUTDOWN_SECONDS: .* set it there"),
    (backend(environment={"DATABASE_URL": "x"}), "environment.DATABASE_URL: .* set it there"),
    (backend(secret={"mountedAsFile": ["OPENROUTER_API_KEY"]}), "OPENROUTER_API_KEY is not in secret.required"),
    ({"externalSecret": EXTERNAL}, "backend.secret.remote.DATABASE_URL: .*{key: "),
    (backend(migration={"enabled": True}), "backend.migration.command: .* such as"),
    (backend(autoscaling={"enabled": True, "minReplicas": 9}), "minReplicas 9 is more than maxReplicas 6"),
    ({"ingress": {"enabled": True}, "containers": {"frontend": {"public": False}}}, "set containers.<name>.public"),
    ({"ingress": {"enabled": True}, **backend(public=True)}, "publicPath: only one .* theirs are /, /; set another"),
    (backend(volumes=[{"path": "/tmp/", "size": "1Gi"}]), "backend.volumes: /tmp .*tmpSize"),
    ({"containers": {"test": REPORTS}}, "containers.test: .* take another name"),
    ({"containers": {"frontend-peers": REPORTS}}, "containers.frontend-peers: .* take another name"),
    ({"image": {"tag": "1.2.3"}}, "^.*: image: .* set defaults.image, or containers.<name>.image"),
    ({"httpRoute": {"enabled": True}}, "httpRoute.parentRefs: .* name the gateways"),
    ({"externalSecret": {"enabled": True, "secretStoreRef": {"name": ""}}, **backend(secret={"remote": {"DATABASE_URL": {"key": "a"}}})},
     "externalSecret.secretStoreRef.name: .* name the store"),
    ({"containers": {"reports": {"port": 1}}},
     "containers.reports.image.repository, containers.reports.health.ready, .*drain.seconds: missing or null"),
    ({"containers": {"mail": {"kind": "worker", "port": 1}}}, "mail.port: a worker has none; leave it out"),
    ({"containers": {"tidy": {"kind": "cron", "replicas": 2}}}, "tidy.replicas: a cron has none; leave it out"),
    ({"containers": {"tidy": {"kind": "cron"}}}, "tidy.image.repository, containers.tidy.cron.schedule: missing"),
    (backend(health={"command": ["true"]}), "backend.health.command: a service has none; .* by HTTP"),
    ({"containers": {"mail": {"kind": "worker", "health": {"live": "/"}}}}, "mail.health.live: a worker has none"),
    ({"containers": {"frontend": {"connects": {"API_URL": "mail"}}, "mail": {"kind": "worker", "image": {"repository": "m"}}}},
     '"mail" is no enabled container with a port'),
    ({"containers": None}, "containers: there is none; give each"),
    ({"containers": {"backend": None, "frontend": None}}, "containers: there is none; give each"),
    ({"serviceMonitor": {"enabled": True}}, "set containers.<name>.metricsPath"),
]  # fmt: skip


def refusal(program: Path, chart: Path, values: Values) -> str:
    with pytest.raises(InputError) as raised:
        helm.render(program, chart, values=[values], kube_version="1.34.0")
    assert "\n" not in raised.value.message
    return raised.value.message


@pytest.mark.parametrize("version", ["program", "oldest"])
@pytest.mark.parametrize(("values", "where", "what"), BY_SCHEMA, ids=lambda part: str(part)[:50])
def test_schema(
    values: Values, where: str, what: str, version: str, chart: Path, request: pytest.FixtureRequest
) -> None:
    said = refusal(request.getfixturevalue(version), chart, values)
    # Helm 4 writes /a/b where Helm 3 wrote a.b.
    assert re.search(rf"{where}\b.*{what}", said.replace("/", ".")), said
    assert "allOf" not in said


@pytest.mark.parametrize(("values", "message"), BY_TEMPLATE, ids=lambda part: str(part)[:50])
def test_template(values: Values, message: str, program: Path, chart: Path) -> None:
    said = refusal(program, chart, values)
    assert re.search(message, said), said


ALLOWED: list[Values] = [
    {"another-chart": {"anything": 1}},
    {"global": {"storageClass": "fast"}},
    backend(terminationGracePeriodSeconds=13),
    backend(resources={"limits": {"cpu": 1, "memory": "0.3G"}}),
    backend(podAnnotations={"prometheus.io/scrape": "true"}),
]


@pytest.mark.parametrize("values", ALLOWED, ids=str)
def test_allowed(values: Values, install: Install) -> None:
    assert install(values)


def test_part_of_another_chart(program: Path, chart: Path, tmp_path: Path) -> None:
    """A parent chart's values, globals and conditions do not meet a closed door."""
    (tmp_path / "Chart.yaml").write_text(
        "apiVersion: v2\nname: parent\nversion: 0.0.1\n"
        f"dependencies: [{{name: taskflow, version: 0.1.0, repository: 'file://{chart}', condition: taskflow.on}}]\n"
    )
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "taskflow").symlink_to(chart)
    values = {"global": {"a": 1}, "other": 1, "taskflow": {"on": True, "defaults": {"replicas": 3}}}
    objects = helm.render(program, tmp_path, release="shop", values=[values])
    made = {f"{o['kind']}/{o['metadata']['name']}": o for o in objects}
    assert made["Deployment/shop-taskflow-backend"]["spec"]["replicas"] == 3


def test_the_schema_knows_every_value(chart: Path) -> None:
    """Whatever values.yaml has is described, so that nothing in it goes unchecked."""
    schema = json.loads((chart / "values.schema.json").read_text("utf-8"))
    values = yaml.safe_load((chart / "values.yaml").read_text("utf-8"))
    settings = schema["definitions"]["settings"]["properties"]
    assert values.keys() == schema["properties"].keys()
    own = {key for entry in values["containers"].values() for key in entry}
    assert own | values["defaults"].keys() == settings.keys()
