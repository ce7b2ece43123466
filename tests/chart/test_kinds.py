"""A worker and a cron job beside the services: what the chart makes of them, and what holds it to the model."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskflow_containers.checks.schemas import newest
from taskflow_containers.contract.chart import check_manifests
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load
from taskflow_containers.project.model import Project
from tests.chart.conftest import Install, Objects, Values

MODEL = """
[containers.mail]
kind = "worker"
runtime = "python"
base = "python:3.13-slim"
user = "1001:1001"
memory = "100MB"
command = ["python", "mail.py"]
health = { command = ["python", "well.py"] }
connects = { DATABASE_URL = "database" }
environment = { required = ["DATABASE_URL"] }
volumes = [{ path = "/app/data", access = "read-write" }]
budgets = { size-above-base = "2MB", start = "3s", stop = "5s" }

[containers.tidy]
kind = "cron"
runtime = "node"
schedule = "*/5 * * * *"
base = "node:24-alpine"
user = "1001:1001"
memory = "100MB"
connects = { API_URL = "backend" }
environment = { required = ["API_URL"] }
budgets = { size-above-base = "2MB", run = "1800s", stop = "5s" }
"""
MAIL: Values = {
    "kind": "worker",
    "image": {"repository": "taskflow-mail"},
    "health": {"command": ["python", "well.py"]},
    "secret": {"required": ["DATABASE_URL"]},
    "database": True,
    "volumes": [{"path": "/app/data", "size": "1Mi"}],
    "resources": {"limits": {"memory": "100M"}},
    "autoscaling": {"enabled": True},
}
TIDY: Values = {
    "kind": "cron",
    "image": {"repository": "taskflow-tidy"},
    "cron": {"schedule": "*/5 * * * *"},
    "connects": {"API_URL": "backend"},
    "resources": {"limits": {"memory": "100M"}},
}
# Set for all, and nothing of it is for a container without a port.
FOR_SERVICES = {"metricsPath": "/metrics", "service": {"type": "NodePort"}}


def values(mail: Values | None = None, tidy: Values | None = None) -> Values:
    entries = {"mail": MAIL | (mail or {}), "tidy": TIDY | (tidy or {})}
    return {"defaults": FOR_SERVICES, "containers": entries}


@pytest.fixture
def project(sample: Path, tmp_path: Path) -> Project:
    """The default project with a worker and a cron job."""
    path = tmp_path / FILE_NAME
    path.write_text((sample / FILE_NAME).read_text("utf-8") + MODEL, "utf-8")
    return load(path)


def of(objects: Objects, name: str) -> set[str]:
    return {key.split("/")[0] for key in objects if key.endswith(f"/taskflow-{name}")}


def test_what_there_is_of_each(install: Install, project: Project) -> None:
    objects = install(values())
    everybody = {"ConfigMap", "NetworkPolicy", "ServiceAccount"}
    assert of(objects, "mail") == {
        *everybody, "Deployment", "HorizontalPodAutoscaler", "PodDisruptionBudget",
    }  # fmt: skip
    assert of(objects, "tidy") == {*everybody, "CronJob"}
    assert objects.at("NetworkPolicy/taskflow-mail spec.ingress") is None
    pod = "CronJob/taskflow-tidy spec.jobTemplate.spec.template.spec"
    for name in ("Deployment/taskflow-mail spec.template.spec", pod):
        assert objects.at(f"{name}.containers.0.ports") is None
        assert objects.at(f"{name}.containers.0.lifecycle") is None
    assert objects.at(f"{pod}.restartPolicy") == "Never"
    spec = objects["CronJob/taskflow-tidy"]["spec"]
    assert (spec["concurrencyPolicy"], spec["suspend"]) == ("Forbid", False)
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 2
    wrong = [
        error for schema in newest() for item in objects.values() for error in schema.errors(item)
    ]
    assert wrong == []
    results = check_manifests(project, list(objects.values()), values())
    assert [(r.id, r.measured) for r in results if r.failed] == []
    judged = {(r.container, r.id.removeprefix("contract.chart.")) for r in results}
    assert {
        ("mail", "liveness"),
        ("mail", "service"),
        ("tidy", "schedule"),
        ("tidy", "run"),
    } <= judged
    assert not {("mail", "readiness"), ("mail", "schedule"), ("tidy", "start")} & judged


@pytest.mark.parametrize(
    ("mail", "tidy", "failed"),
    [
        ({"command": ["python"], "args": ["other.py"]}, {}, {"command"}),
        ({"health": {"command": ["true"]}}, {}, {"liveness", "startup"}),
        ({"health": {}}, {}, {"liveness", "startup"}),
        ({"probes": {"startup": {"failureThreshold": 1}}}, {}, {"start"}),
        ({"terminationGracePeriodSeconds": 1}, {}, {"grace"}),
        ({}, {"cron": {"schedule": "@daily"}}, {"schedule"}),
        ({}, {"cron": {"schedule": "*/5 * * * *", "activeDeadlineSeconds": 60}}, {"run"}),
        ({}, {"kind": "worker", "cron": {}}, {"schedule"}),
        ({"kind": "cron", "health": {}, "autoscaling": {}, "cron": {"schedule": "@daily"}}, {}, {"workloads", "liveness", "startup"}),
    ],
)  # fmt: skip
def test_each_is_held_to_the_model(
    mail: Values, tidy: Values, failed: set[str], install: Install, project: Project
) -> None:
    objects = install(values(mail, tidy))
    results = check_manifests(project, list(objects.values()), values(mail, tidy))
    assert {r.id.removeprefix("contract.chart.") for r in results if r.failed} == failed
