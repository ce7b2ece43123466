"""The contract: Dockerfile, .dockerignore, compose file and built image against taskflow.toml."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from automation.contract.compose import check_compose
from automation.contract.container import LABEL_PREFIX
from automation.contract.context import check_dockerignore
from automation.contract.dockerfile import check_dockerfile
from automation.contract.image import check_image
from automation.model import Project
from automation.results import Result

__all__ = ["LABEL_PREFIX", "check_image", "check_text"]


def check_text(root: Path, project: Project, names: Iterable[str]) -> list[Result]:
    """The text levels of the named containers: Dockerfile, .dockerignore, compose file."""
    results: list[Result] = []
    for name in names:
        results += check_dockerfile(root, project, name)
        results += check_dockerignore(root, project, name)
    return results + check_compose(root, project, names)
