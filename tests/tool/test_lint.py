"""Lint: every linter finds its fault in the default project, and only that linter does."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from taskflow_containers.checks.lint import lint
from taskflow_containers.machine import tools
from taskflow_containers.project.load import load
from taskflow_containers.report.result import Result, Status
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
    "lint.locks": Fault("backend/requirements.in", "flask\n", "flask is not in it"),
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


HEREDOCS = {
    "nothing behind it": "RUN <<EOF\necho one\nEOF\n",
    "a comment behind it": "RUN <<EOF\necho one\nEOF\n# Then:\n",
    "tabs": "RUN <<-EOF\n\techo one\n\tEOF\n",
    "quotes": "RUN <<'EOF' <<-\"END\"\necho one\nEOF\n\ttwo\n\tEND\n",
    "an escaped marker": "RUN cat <<\\EOF >/tmp/x\n$one\nEOF\n",
    "two of a RUN": "RUN <<A cat <<B\necho one\nA\ntwo\nB\n",
    "another interpreter": "RUN python - <<EOF\nfor x in (1, 2):\n    print(f'{x}')\nEOF\n",
    "a descriptor": "RUN --mount=type=cache,target=/x cat 3<<-EOF\n\tone\n\tEOF\n",
    "two of a COPY": "COPY <<one.txt <<-two.txt /etc/\n1\none.txt\n\t2\n\ttwo.txt\n",
    "an ADD": "ADD --chmod=755 <<EOF /x.sh\n#!/bin/sh\nEOF\n",
    "instructions within": "RUN <<EOF\nFROM x\nADD y z\nEOF\n",
    "a continued line": "RUN echo one \\\n    && cat <<-EOF >/tmp/x\n\ttwo\n\tEOF\n",
    "lower case, Windows lines": "run <<eof\r\necho one\r\neof\r\n",
    "none": "RUN cat <<<one && echo $((1<<2))\n",
}


@pytest.mark.parametrize("case", HEREDOCS)
def test_what_follows_a_heredoc_is_linted_in_its_line(
    case: str, linted: Path, change: Change
) -> None:
    before = 'FROM python:3.13-slim\nSHELL ["/bin/bash", "-o", "pipefail", "-c"]\n'
    text = f"{before}{HEREDOCS[case]}WORKDIR here\n{HEREDOCS[case]}"
    change("backend/Dockerfile", text)
    (result,) = [r for r in checked(linted, "backend") if r.id == "lint.hadolint"]
    found = [line.split()[:2] for line in result.findings or ()]
    line = before.count("\n") + HEREDOCS[case].count("\n") + 1
    assert found == [["DL3000", f"backend/Dockerfile:{line}:"]]


def test_a_fault_within_a_heredoc_is_found_where_it_is(linted: Path, change: Change) -> None:
    script = "RUN <<-EOF\n\tset -e\n\tapt-get install --no-install-recommends -y curl\n\tEOF\n"
    change("backend/Dockerfile", f"FROM python:3.13-slim\n{script}")
    (result,) = [r for r in checked(linted, "backend") if r.id == "lint.hadolint"]
    assert "DL3008 backend/Dockerfile:2: " in result.detail


def test_hadolints_own_threshold_and_waivers_hold(linted: Path, change: Change) -> None:
    text = (linted / "backend" / "Dockerfile").read_text("utf-8")
    change("backend/Dockerfile", f"{text}RUN cd /tmp\n")
    change(".hadolint.yaml", "failure-threshold: error\n")
    (result,) = [r for r in checked(linted, "backend") if r.id == "lint.hadolint"]
    assert not result.failed
    assert "below the failure threshold" in result.measured
    change("backend/Dockerfile", f"{text}# hadolint ignore=DL3003,SC2164\nRUN cd /tmp\n")
    change(".hadolint.yaml", None)
    (result,) = [r for r in checked(linted, "backend") if r.id == "lint.hadolint"]
    assert result.measured == "no finding"


@pytest.mark.parametrize(
    ("change_of", "measured"),
    [
        (("frontend/package-lock.json", None), "no such file"),
        (("frontend/yarn.lock", "# yarn lockfile v1\n"), "package-lock.json and yarn.lock"),
    ],
)
def test_one_lock_file_is_there(
    linted: Path, change: Change, change_of: tuple[str, str | None], measured: str
) -> None:
    change(*change_of)
    results = checked(linted)
    assert failures(results) == {"lint.npm-lock"}
    assert [r.measured for r in results if r.failed] == [measured]
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

    monkeypatch.setattr(tools, "_environment", environment)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    (tmp_path / "requirements-dev.txt").touch()
    (tmp_path / "tools").mkdir()
    for part in ("", "-lint", "-scan", "-chart"):
        (tmp_path / "tools" / f"requirements{part}.txt").touch()
    tools.python_environment(tmp_path, "gate", tmp_path / "requirements-dev.txt")
    tools.gate_python(tmp_path, "tools")
    assert len(set(made)) == 2
