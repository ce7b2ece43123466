"""The test command's engines: which ones, in which order and with which environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from provision import ENGINE
from tests import __main__ as command

Program = Callable[..., Path]
Run = tuple[str, str, list[str]]  # the engine, DOCKER_HOST and pytest's options
Passes = Callable[..., tuple[int, list[Run]]]  # exit codes → the command's own, and the runs
DOCKER = """
if words[0] == "context":
    print(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
else:
    print('{"ServerVersion":"1"}')
"""
PODMAN = 'print(\'{"host": {"buildahVersion": "1.28"}}\')'
SHORTER = ["--each-engine", "-k", "x"]


@pytest.fixture
def passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Passes:
    """Run the command with fake engines; its exit code, and each pytest run's engine and options."""
    for variable in (ENGINE, "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "CI"):
        monkeypatch.setenv(variable, "")  # and as it was when the test is over
        monkeypatch.delenv(variable)
    monkeypatch.delenv("TASKFLOW_PROVISION", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def call(*codes: int) -> tuple[int, list[Run]]:
        left, made = list(codes), []

        def run(options: list[str]) -> int:
            made.append((os.environ[ENGINE], os.environ.get("DOCKER_HOST", ""), options))
            return left.pop(0)

        monkeypatch.setattr(command, "run", run)
        monkeypatch.setattr(command, "has_tests", lambda _: True)
        return command.main(["-k", "x"]), made

    return call


def test_each_engine_in_turn_and_the_named_one_first(
    passes: Passes, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provision.engine.SYSTEM_PATH", [os.environ["PATH"]])
    program("docker", DOCKER)
    program("podman", PODMAN)
    monkeypatch.setenv("DOCKER_HOST", "unix:///far.sock")
    code, made = passes(0, 1, 0)
    assert made == [
        ("docker", "unix:///far.sock", ["-k", "x"]),
        ("docker", "", SHORTER),
        ("podman", "", SHORTER),
    ]
    assert code == 1


@pytest.mark.parametrize("first", [0, 1])
def test_the_engine_that_is_there_is_enough_but_not_in_ci(
    passes: Passes, program: Program, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str], first: int,
) -> None:  # fmt: skip
    program("docker", DOCKER)
    assert passes(first) == (first, [("docker", "", ["-k", "x"])])
    assert "left out: no podman on PATH" in capfd.readouterr().out
    monkeypatch.setenv("CI", "true")
    assert passes(first)[0] == 1


def test_an_interrupted_run_is_the_last(passes: Passes, program: Program) -> None:
    program("docker", DOCKER)
    program("podman", PODMAN)
    assert passes(2) == (2, [("docker", "", ["-k", "x"])])
