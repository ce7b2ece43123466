"""Lint of a backend that brings no linters: said, with what to do, and never silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from automation import lint
from automation.model import load
from automation.results import Result, Status


def python_linters(root: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    """What lint says of them; without an engine, which it does not need."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    results = lint.lint(root, load(root / "taskflow.toml"), ["backend"])
    (found,) = (result for result in results if result.id == "lint.python")
    return found


def test_a_backend_without_their_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "backend/requirements-dev.txt").unlink()
    found = python_linters(project, monkeypatch)
    assert found.status is Status.SKIPPED
    assert found.detail.startswith("backend/requirements-dev.txt is not there: name ruff and mypy")


def test_a_file_that_does_not_name_them(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "backend/requirements-dev.txt").write_text("# none\n")
    found = python_linters(project, monkeypatch)
    assert found.status is Status.FAILED
    assert (found.expected, found.measured) == ("ruff, mypy", "without ruff, mypy")
    assert found.location == "backend/requirements-dev.txt"
    assert "uv pip compile --generate-hashes" in found.fix
