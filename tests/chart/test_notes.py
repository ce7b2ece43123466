"""NOTES.txt says what to do next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskflow_containers.machine.process import run
from tests.chart.conftest import Values
from tests.chart.test_switches import EXTERNAL, PEER, REMOTE, ROUTE, URL, backend

ALONE = {"containers": {"backend": {"enabled": False}, "frontend": {"connects": {"API_URL": URL}}}}


@pytest.mark.parametrize(
    ("values", "said", "unsaid"),
    [
        ({}, "create secret generic taskflow-backend \\\n    --from-literal=DATABASE_URL='…'", "https://"),
        ({}, "It may also have: OPENROUTER_API_KEY.", "taskflow-frontend \\"),
        ({}, "rollout status deployment/taskflow-backend", "Anybody"),
        ({}, "helm --namespace shop test taskflow", ""),
        ({}, "port-forward service/taskflow-frontend 8080:3000", "service/taskflow-backend 8080"),
        ({}, "backend: the test pods, frontend\n  frontend: the test pods\n", "networkPolicy.ingressFrom\n"),
        ({}, "Nobody from outside this release", ""),
        ({"networkPolicy": {"ingressFrom": [PEER]}}, "frontend: the test pods, networkPolicy.ingressFrom", "Nobody"),
        ({"networkPolicy": {"enabled": False}}, "Anybody in the cluster may reach it", "Who may"),
        ({"httpRoute": ROUTE}, "https://app.example.com/\n", ""),
        ({"ingress": {"enabled": True, "host": "h"}}, "http://h/\n", ""),
        (backend(secret={"existingSecret": "own"}), "create secret generic own", "generic taskflow"),
        ({"externalSecret": EXTERNAL, **backend(secret={"remote": {"DATABASE_URL": REMOTE}})}, "port-forward", "create secret"),
        (ALONE, "port-forward", "create secret"),
        ({"containers": {"frontend": None}}, "port-forward service/taskflow-backend 8080", ""),
        ({"ingress": {"enabled": True, "extraHosts": ["i"]}}, "http://i/\n", ""),
        ({"containers": {"frontend": {"connects": {"API_URL": "http://localhost:8000"}}}}, "localhost is the pod itself", ""),
    ],
)  # fmt: skip
def test_notes(
    values: Values, said: str, unsaid: str, program: Path, chart: Path, tmp_path: Path
) -> None:
    (tmp_path / "values.json").write_text(json.dumps(values))
    done = run(
        [program, "install", "taskflow", chart, "--dry-run=client", "--namespace", "shop",
         "--values", tmp_path / "values.json"],
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:\n")[2]
    assert said in notes
    assert not unsaid or unsaid not in notes
    assert "\n\n\n" not in notes
