"""The contract: Dockerfile, .dockerignore, compose file and built image against taskflow.toml."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from taskflow_containers.contract.compose import check_compose
from taskflow_containers.contract.context import check_dockerignore
from taskflow_containers.contract.dockerfile import check_dockerfile
from taskflow_containers.project.model import Project
from taskflow_containers.report.result import Result


def check_text(root: Path, project: Project, names: Iterable[str]) -> list[Result]:
    """The text levels of the named containers: Dockerfile, .dockerignore, compose file."""
    results: list[Result] = []
    for name in names:
        results += check_dockerfile(root, project, name)
        results += check_dockerignore(root, project, name)
    return results + check_compose(root, project, names)
