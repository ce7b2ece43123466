"""The chart as it comes: one test per field that matters."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from taskflow_containers.cluster import helm
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load
from tests.chart.conftest import Install

BACK, FRONT = "Deployment/taskflow-backend", "Deployment/taskflow-frontend"
POD, BOX = "spec.template.spec", "spec.template.spec.containers.0"
SELECTOR = {"app.kubernetes.io/name": "taskflow", "app.kubernetes.io/instance": "taskflow"}

BOTH: dict[str, Any] = {
    "spec.replicas": 2,
    "spec.revisionHistoryLimit": 5,
    "spec.strategy": {
        "type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    },
    f"{POD}.automountServiceAccountToken": False,
    f"{POD}.enableServiceLinks": False,
    f"{POD}.terminationGracePeriodSeconds": 30,
    f"{POD}.securityContext": {
        "runAsNonRoot": True, "runAsUser": 1001, "runAsGroup": 1001, "fsGroup": 1001,
        "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": {"type": "RuntimeDefault"},
    },
    f"{POD}.volumes.0": {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
    f"{POD}.containers.1": None,
    f"{POD}.imagePullSecrets": None,
    f"{BOX}.securityContext": {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
    f"{BOX}.imagePullPolicy": "IfNotPresent",
    f"{BOX}.lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    f"{BOX}.terminationMessagePolicy": "FallbackToLogsOnError",
    f"{BOX}.resources.requests": {"cpu": "100m", "memory": "100M", "ephemeral-storage": "64Mi"},
    f"{BOX}.command": None,
    f"{BOX}.args": None,
    f"{BOX}.startupProbe.periodSeconds": 1,
    f"{BOX}.startupProbe.failureThreshold": 60,
    f"{BOX}.readinessProbe.timeoutSeconds": 2,
    f"{BOX}.readinessProbe.failureThreshold": 2,
    f"{BOX}.livenessProbe.timeoutSeconds": 3,
    f"{BOX}.livenessProbe.failureThreshold": 3,
    f"{POD}.topologySpreadConstraints.0.topologyKey": "kubernetes.io/hostname",
    f"{POD}.topologySpreadConstraints.1.topologyKey": "topology.kubernetes.io/zone",
    f"{POD}.topologySpreadConstraints.0.whenUnsatisfiable": "ScheduleAnyway",
    f"{POD}.topologySpreadConstraints.0.maxSkew": 1,
    f"{POD}.topologySpreadConstraints.0.matchLabelKeys": ["pod-template-hash"],
}  # fmt: skip


def secret(name: str, **more: object) -> dict[str, object]:
    reference = {"name": "taskflow-backend", "key": name, **more}
    return {"name": name, "valueFrom": {"secretKeyRef": reference}}


def http(path: str) -> dict[str, str]:
    return {"path": path, "port": "http"}


ONE: dict[str, Any] = {
    f"{BACK} {POD}.serviceAccountName": "taskflow-backend",
    f"{BACK} {BOX}.name": "backend",
    f"{BACK} {BOX}.image": "taskflow-backend:0.1.0",
    f"{BACK} {BOX}.ports": [{"name": "http", "containerPort": 8000}],
    # /tmp, /app/data and logs; the other has no /app/data.
    f"{BACK} {BOX}.resources.limits": {"memory": "300M", "ephemeral-storage": "384Mi"},
    f"{BACK} {BOX}.startupProbe.httpGet": http("/api/health/live"),
    f"{BACK} {BOX}.readinessProbe.httpGet": http("/api/health"),
    f"{BACK} {BOX}.livenessProbe.httpGet": http("/api/health/live"),
    f"{BACK} {BOX}.env": [secret("DATABASE_URL"), secret("OPENROUTER_API_KEY", optional=True)],
    f"{BACK} {BOX}.envFrom": [{"configMapRef": {"name": "taskflow-backend"}}],
    f"{BACK} {BOX}.volumeMounts": [
        {"name": "tmp", "mountPath": "/tmp"},
        {"name": "app-data", "mountPath": "/app/data"},
    ],
    f"{BACK} {POD}.volumes.1": {"name": "app-data", "emptyDir": {"sizeLimit": "64Mi"}},
    f"{FRONT} {POD}.serviceAccountName": "taskflow-frontend",
    f"{FRONT} {BOX}.name": "frontend",
    f"{FRONT} {BOX}.image": "taskflow-frontend:0.1.0",
    f"{FRONT} {BOX}.ports": [{"name": "http", "containerPort": 3000}],
    f"{FRONT} {BOX}.resources.limits": {"memory": "200M", "ephemeral-storage": "320Mi"},
    f"{FRONT} {BOX}.startupProbe.httpGet": http("/health"),
    f"{FRONT} {BOX}.readinessProbe.httpGet": http("/health"),
    f"{FRONT} {BOX}.livenessProbe.httpGet": http("/health"),
    f"{FRONT} {BOX}.env": None,
    f"{FRONT} {BOX}.volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    f"{FRONT} {POD}.volumes.1": None,
    # A probe that a scale-to-zero database sleeps through, and the drain that the grace covers.
    "ConfigMap/taskflow-backend data": {
        "FORWARDED_ALLOW_IPS": "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7",
        "HEALTH_DATABASE_CHECK": "handshake", "PYTHONPATH": "/app/src", "SHUTDOWN_SECONDS": "8",
    },
    "ConfigMap/taskflow-frontend data": {
        "API_URL": "http://taskflow-backend:8000", "HOSTNAME": "::",
        "NODE_ENV": "production", "PEERS": "taskflow-frontend-peers:3000", "STOP_SECONDS": "7",
    },
    "Service/taskflow-backend spec": {
        "type": "ClusterIP",
        "selector": {**SELECTOR, "app.kubernetes.io/component": "backend"},
        # No appProtocol: some gateways refuse any that they do not know, and all read the name.
        "ports": [{"name": "http", "port": 8000, "targetPort": "http"}],
    },
    # Of the frontend's pods alone, old ones too; under a label of its own, for only the other is scraped.
    "Service/taskflow-frontend-peers spec": {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": {**SELECTOR, "app.kubernetes.io/component": "frontend"},
        "ports": [{"name": "http", "port": 3000, "targetPort": "http"}],
    },
    "ServiceAccount/taskflow-backend automountServiceAccountToken": False,
    "PodDisruptionBudget/taskflow-backend spec": {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": {**SELECTOR, "app.kubernetes.io/component": "backend"}},
    },
    "Pod/taskflow-backend-test spec.restartPolicy": "Never",
    "Pod/taskflow-backend-test spec.containers.0.command": [
        "python", "-S", "/app/container/healthcheck.py", "http://taskflow-backend:8000/api/health",
    ],
    "Pod/taskflow-backend-test spec.containers.1.command.3": (
        "http://taskflow-backend:8000/api/health/live"
    ),
    # Through the frontend to the backend.
    "Pod/taskflow-frontend-test spec.containers.1.command": [
        "node", "/app/container/healthcheck.cjs", "http://taskflow-frontend:3000/api/health",
    ],
}  # fmt: skip


@pytest.mark.parametrize("deployment", [BACK, FRONT])
@pytest.mark.parametrize("path", BOTH)
def test_field_of_both(path: str, deployment: str, install: Install) -> None:
    assert install().at(f"{deployment} {path}") == BOTH[path]


@pytest.mark.parametrize("place", ONE)
def test_field(place: str, install: Install) -> None:
    assert install().at(place) == ONE[place]


def test_objects(install: Install) -> None:
    kinds = {"ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service"}
    wanted = {
        f"{k}/taskflow-{c}" for k in {*kinds, "ServiceAccount"} for c in ("backend", "frontend")
    }
    tests = {
        "NetworkPolicy/taskflow-test",
        "Pod/taskflow-backend-test",
        "Pod/taskflow-frontend-test",
    }
    assert install().keys() == wanted | tests | {"Service/taskflow-frontend-peers"}


def test_labels(install: Install, sample: Path) -> None:
    version = load(sample / FILE_NAME).version
    for name, item in install().items():
        labels = item["metadata"]["labels"]
        component = labels.pop("app.kubernetes.io/component")
        assert labels == {
            **SELECTOR,
            "app.kubernetes.io/part-of": "taskflow",
            "app.kubernetes.io/version": version,
            "app.kubernetes.io/managed-by": "Helm",
            "helm.sh/chart": f"taskflow-{version}",
        }, name
        assert component in {"backend", "frontend", "frontend-peers", "test"}, name
        assert item["metadata"]["namespace"] == "shop", name
        labels["app.kubernetes.io/component"] = component


@pytest.mark.parametrize(
    ("version", "label"),
    [
        ("1.2.3-rc.1+build.5", "1.2.3-rc.1_build.5"),
        (f"1.2.3-{'x' * 56}.{'y' * 9}", f"1.2.3-{'x' * 56}"),
    ],
)
def test_any_version_makes_a_label(version: str, label: str, program: Path, project: Path) -> None:
    about = project / "chart/Chart.yaml"
    text = about.read_text("utf-8")
    about.write_text(re.sub(r"(?m)^(version|appVersion): .*", rf'\1: "{version}"', text), "utf-8")
    for item in helm.render(
        program, project / "chart", values=[{"defaults": {"image": {"tag": "x"}}}]
    ):
        assert item["metadata"]["labels"]["app.kubernetes.io/version"] == label
        assert incomplete(item) == []


LABELS = {
    "helm.sh/chart",
    *(
        f"app.kubernetes.io/{name}"
        for name in ("name", "instance", "component", "part-of", "version", "managed-by")
    ),
}


def incomplete(item: dict[str, Any]) -> list[str]:
    """What is wrong with the labels of an object, and of the pod that it makes."""
    made = item.get("spec", {}).get("template", {})
    wrong = []
    for labels in (item["metadata"]["labels"], *([made["metadata"]["labels"]] if made else [])):
        wrong += [f"{item['kind']}: no {name}" for name in sorted(LABELS - labels.keys())]
        wrong += [
            f"{item['kind']}: {name}={value!r}"
            for name, value in labels.items()
            if not re.fullmatch(r"[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?", value, re.ASCII)
        ]
    return wrong


def test_selectors_select(install: Install) -> None:
    """Services, budgets and policies take the pods of their own component, and none else."""
    objects = install()
    pods = {
        item["metadata"]["labels"]["app.kubernetes.io/component"]: item["spec"]["template"]
        for item in objects.values()
        if item["kind"] == "Deployment"
    }
    for name, item in objects.items():
        spec = item.get("spec", {})
        selector = spec.get("podSelector") or spec.get("selector") or {}
        wanted = selector.get("matchLabels", selector).items()
        taken = [
            c for c, pod in pods.items() if wanted and wanted <= pod["metadata"]["labels"].items()
        ]
        component = item["metadata"]["labels"]["app.kubernetes.io/component"].removesuffix("-peers")
        assert taken == ([component] if wanted and component in pods else []), name


def peers(rules: list[dict[str, Any]]) -> set[str]:
    """The components, addresses or ports that rules allow."""
    found = set()
    for rule in rules:
        ports = "/".join(str(port["port"]) for port in rule.get("ports", ())) or "any"
        for peer in rule.get("from", rule.get("to", [{}])):
            labels = peer.get("podSelector", {}).get("matchLabels", {})
            who = labels.get("app.kubernetes.io/component") or peer.get("ipBlock", {}).get("cidr")
            found.add(f"{who or ('release' if labels else 'anywhere')}:{ports}")
    return found


@pytest.mark.parametrize(
    ("policy", "come", "go"),
    [
        ("backend", {"test:8000", "frontend:8000"},
         {"anywhere:53/53", "0.0.0.0/0:5432", "::/0:5432"}),
        ("frontend", {"test:3000", "frontend:3000"},
         {"anywhere:53/53", "backend:8000", "frontend:3000"}),
        ("test", set[str](), {"anywhere:53/53", "release:any"}),
    ],
)  # fmt: skip
def test_nothing_else_passes(policy: str, come: set[str], go: set[str], install: Install) -> None:
    spec = install().at(f"NetworkPolicy/taskflow-{policy} spec")
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert peers(spec.get("ingress", [])) == come
    assert peers(spec["egress"]) == go


def test_tests_are_hooks_that_leave_nothing(install: Install) -> None:
    hooks = [item for name, item in install().items() if name.endswith("test")]
    assert len(hooks) == 3
    for item in hooks:
        annotations = item["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "test"
        assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"


@pytest.mark.parametrize("user", [1001, None])
def test_every_pod_is_restricted(user: int | None, install: Install) -> None:
    """Tests and Jobs too: the same security as the services, whoever chooses their user."""
    objects = install(
        {
            "defaults": {"runAsUser": user, "runAsGroup": user},
            "containers": {"backend": {"migration": {"enabled": True, "command": ["x"]}}},
        }
    )
    assert objects.at(f"{BACK} {POD}.securityContext.runAsNonRoot") is True
    wanted = (
        objects.at(f"{BACK} {POD}.securityContext"),
        objects.at(f"{BACK} {BOX}.securityContext"),
    )
    found = 0
    for name, item in objects.items():
        pod = (
            item["spec"]
            if item["kind"] == "Pod"
            else item.get("spec", {}).get("template", {}).get("spec")
        )
        for box in (pod or {}).get("containers", ()):
            assert (pod["securityContext"], box["securityContext"]) == wanted, name
            assert pod["automountServiceAccountToken"] is False, name
            for said in box["resources"].values():
                assert {"memory", "ephemeral-storage"} <= said.keys(), name
            found += 1
    assert found == 7


@pytest.mark.parametrize("version", ["program", "oldest"])
def test_lint_is_silent(version: str, chart: Path, request: pytest.FixtureRequest) -> None:
    program = request.getfixturevalue(version)
    for values in ([], [chart / "values-dev.yaml"], [chart / "values-prod.yaml"]):
        assert helm.lint(program, chart, values=values) == []


@pytest.mark.parametrize("version", ["program", "oldest"])
def test_the_package_holds_what_its_users_need(
    version: str, chart: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    program = request.getfixturevalue(version)
    shutil.copytree(chart, tmp_path / "chart")
    (tmp_path / "chart" / "ci").mkdir()
    (tmp_path / "chart" / "ci" / "kind-values.yaml").write_text("defaults: {replicas: 1}\n")
    subprocess.run([program, "package", tmp_path / "chart", "-d", tmp_path], check=True)
    with tarfile.open(tmp_path / "taskflow-0.1.0.tgz") as package:
        names = {name.partition("/")[2] for name in package.getnames()}
    top = {name for name in names if "/" not in name}
    assert top == {"Chart.yaml", "README.md", "values.schema.json", "values.yaml"}
    assert {name.partition("/")[0] for name in names - top} == {"templates"}
    shown = subprocess.run(
        [program, "show", "readme", tmp_path / "taskflow-0.1.0.tgz"],
        check=True, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert shown.stdout.strip() == (chart / "README.md").read_text("utf-8").strip()


def test_the_settings_of_chart_testing(program: Path, chart: Path) -> None:
    """The keys are its own (it ignores others), and Helm takes the words that it is to be given."""
    settings = yaml.safe_load((chart / "ct.yaml").read_text(encoding="utf-8"))
    assert settings.keys() <= {
        "additional-commands", "build-id", "chart-dirs", "chart-repos", "chart-yaml-schema", "charts",
        "check-version-increment", "debug", "exclude-deprecated", "excluded-charts", "github-groups",
        "helm-dependency-extra-args", "helm-extra-args", "helm-extra-set-args", "helm-repo-extra-args",
        "kubectl-timeout", "lint-conf", "namespace", "release-label", "remote", "since", "skip-clean-up",
        "skip-missing-values", "target-branch", "upgrade", "validate-chart-schema",
        "validate-maintainers", "validate-yaml",
    }  # fmt: skip
    assert settings["charts"] == [chart.name]
    words = [*settings["helm-extra-args"].split(), *settings["helm-extra-set-args"].split()]
    rendered = subprocess.run(
        [program, "template", "chart-a1b2c3", *settings["charts"], *words], cwd=chart.parent,
        check=True, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert re.search(r'image: "?taskflow-backend:dev', rendered.stdout)
    # The release's name is another at each run, so the Secret must not be called by it.
    secrets = set(re.findall(r'secretKeyRef:\s+name: "?([\w-]+)', rendered.stdout))
    assert secrets == {"taskflow-backend"}


def test_it_reads_in_ten_minutes(chart: Path) -> None:
    templates = [path for path in (chart / "templates").rglob("*") if path.is_file()]
    assert sum(len(path.read_text("utf-8").splitlines()) for path in templates) <= 900
    for path in templates:
        if path.suffix == ".yaml":
            kinds = set(re.findall(r"^kind: (.+)", path.read_text("utf-8"), re.MULTILINE))
            assert len(kinds) == 1, f"{path.name} makes {kinds}"
