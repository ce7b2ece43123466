"""Lint: every linter finds its fault in the default project, and only that linter does."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from automation import toolenv
from automation.lint import lint
from automation.model import load
from automation.results import Result, Status
from tests.conftest import Render

# One worker makes them all: the linters are installed once.
pytestmark = pytest.mark.xdist_group("lint")


class Fault(NamedTuple):
    """A file that is added, or grows by a text, and a part of what the linter says of it."""

    file: str
    text: str
    detail: str


FAULTS = {
    "lint.ruff": Fault("backend/src/app/extra.py", "import os\n", "F401"),
    "lint.ruff-format": Fault("backend/src/app/extra.py", "NAME = 'extra'\n", "extra.py"),
    "lint.mypy": Fault("backend/src/app/extra.py", 'COUNT: int = "one"\n', "[assignment]"),
    "lint.npm-lint": Fault(
        "frontend/src/lib/extra.ts", "export function extra() {\n  debugger;\n}\n", "noDebugger"
    ),
    "lint.npm-typecheck": Fault(
        "frontend/src/lib/extra.ts", 'export const count: number = "one";\n', "TS2322"
    ),
    "lint.hadolint": Fault("backend/Dockerfile", "RUN cd /tmp\n", "DL3003"),
}
Change = Callable[[str, "str | None"], None]


@pytest.fixture(scope="module")
def linted(render: Render) -> Path:
    """A project that passes, its linters installed; what a test changes, it puts back."""
    folder = render()
    assert failures(checked(folder)) == set()
    return folder


@pytest.fixture
def change(linted: Path) -> Iterator[Change]:
    """`change(file, text)`: write a file of the project, or remove it, until the test ends."""
    before: dict[Path, str | None] = {}

    def write(path: Path, text: str | None) -> None:
        if text is None:
            path.unlink()
        else:
            path.write_text(text, encoding="utf-8")

    def run(file: str, text: str | None) -> None:
        path = linted / file
        before[path] = path.read_text(encoding="utf-8") if path.exists() else None
        write(path, text)

    yield run
    for path, text in before.items():
        write(path, text)


def checked(root: Path, *names: str) -> list[Result]:
    """The verdicts on these containers, or on all."""
    model = load(root / "taskflow.toml")
    results = lint(root, model, names or model.containers)
    return [result for result in results if result.status is not Status.SKIPPED]


def failures(results: list[Result]) -> set[str]:
    return {result.id for result in results if result.failed}


@pytest.mark.parametrize("id", FAULTS)
def test_a_fault_is_found(id: str, linted: Path, change: Change) -> None:
    fault = FAULTS[id]
    path = linted / fault.file
    container = fault.file.partition("/")[0]
    change(fault.file, (path.read_text(encoding="utf-8") if path.exists() else "") + fault.text)
    results = checked(linted, container)
    assert failures(results) == {id}, [r.detail for r in results if r.failed]
    (result,) = [r for r in results if r.id == id]
    assert result.container == container
    assert result.expected == "no finding"
    assert result.measured != result.expected
    assert fault.detail in result.detail
    assert result.fix
    assert (linted / result.location.partition(":")[0]).exists(), "a path, seen from the top folder"


def test_a_missing_lock_file_is_found(linted: Path, change: Change) -> None:
    change("frontend/package-lock.json", None)
    results = checked(linted)
    # The Dockerfile copies it, too.
    assert failures(results) == {"lint.npm-lock", "contract.dockerfile.sources"}
    assert "lint.mypy" in {result.id for result in results}


def test_every_linter_has_a_fault_that_it_finds(linted: Path) -> None:
    made = {result.id for result in checked(linted) if result.id.startswith("lint.")}
    assert made == FAULTS.keys()


def python_linters(root: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    """What lint says of them; without an engine, which it does not need."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    results = lint(root, load(root / "taskflow.toml"), ["backend"])
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


def test_a_container_called_gate_has_an_environment_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def environment(_: Path, name: str, *__: object, **___: object) -> Path:
        made.append(name)
        return tmp_path / name

    monkeypatch.setattr(toolenv, "_environment", environment)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    (tmp_path / "requirements-dev.txt").touch()
    toolenv.python_environment(tmp_path, "gate", tmp_path / "requirements-dev.txt")
    toolenv.gate_python(tmp_path)
    assert len(set(made)) == 2
