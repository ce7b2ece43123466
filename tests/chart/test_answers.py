"""Whatever the answers, the chart has the project's containers, and they are as taskflow.toml says."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskflow_containers.cluster import helm
from taskflow_containers.contract.chart import check_manifests
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load
from tests.conftest import Render

ANSWERS: list[dict[str, object]] = [
    {},
    {"containers": "backend"},
    {"containers": "backend", "database": False},
    {"containers": "frontend"},
    {"database": False, "registry": "localhost:5000/team", "slug": "my-shop"},
    {
        "registry": "ghcr.io/acme",
        "description": "Says “hello” & goes; it's 100 % (really).",
        "slug": "on",
    },
    {"description": "🚀 Grüße: it's [all] | fine & 100 % #1", "project_name": "Grüße 𠮷"},
]


@pytest.mark.parametrize("answers", ANSWERS, ids=str)
def test_answers(answers: dict[str, object], render: Render, program: Path) -> None:
    folder = render(**answers)
    project = load(folder / FILE_NAME)
    chart = folder / "chart"
    assert helm.lint(program, chart) == []
    results = check_manifests(project, helm.render(program, chart, release=project.name))
    assert {result.container for result in results} >= project.containers.keys()
    assert [result for result in results if result.failed] == []
