"""How much of a smoke test goes on at once, by cores and memory."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from taskflow_containers.engine.client import Builder, Engine
from taskflow_containers.project.load import load
from taskflow_containers.smoke import side_by_side
from taskflow_containers.smoke.side_by_side import starting_order, steps_at_once
from taskflow_containers.workspace import Target
from tests.conftest import SERVICE

HERE = Engine("docker", Path("docker"), "28", Builder.BUILDX)
CONTAINER = load(SERVICE / "taskflow.toml").containers["backend"]
GIGABYTE = 10**9


@pytest.mark.parametrize(
    ("containers", "cores", "free", "steps"),
    [
        (1, 2, 64 * GIGABYTE, 5),
        (2, 2, 64 * GIGABYTE, 5),
        (4, 2, 64 * GIGABYTE, 7),
        (8, 2, 64 * GIGABYTE, 10),
        (8, 1, 64 * GIGABYTE, 5),
        (8, 16, 64 * GIGABYTE, 11),
        (2, 2, 5 * CONTAINER.memory, 3),
        (8, 16, 0, 2),
        (8, 16, None, 11),
    ],
)
def test_steps_follow_containers_cores_and_memory(
    containers: int, cores: int, free: int | None, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(side_by_side, "available", lambda: free)
    targets = [Target(f"backend-{number}", CONTAINER, SERVICE) for number in range(containers)]
    assert steps_at_once(targets, HERE) == steps


def test_another_machines_memory_is_not_this_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(side_by_side, "available", lambda: 0)
    there = replace(HERE, endpoint="tcp://192.0.2.1:2375")
    assert steps_at_once([Target("backend", CONTAINER, SERVICE)], there) == 5


@pytest.mark.parametrize(
    ("calls", "order"),
    [
        ({}, []),
        ({"page": ["api"], "api": ["database"]}, [["api"], ["page"]]),
        ({"page": ["api", "mail"], "api": [], "mail": ["api"]}, [["api"], ["mail"], ["page"]]),
        ({"one": [], "two": [], "page": ["one"]}, [["one", "two"], ["page"]]),
        ({"self": ["self"]}, [["self"]]),
        ({"one": ["two"], "two": ["one"], "page": ["two"]}, [["one"], ["two"], ["page"]]),
    ],
)
def test_who_is_called_starts_first_and_the_others_together(
    calls: dict[str, list[str]], order: list[list[str]]
) -> None:
    assert starting_order(calls) == order
