"""The same sources built twice: one digest where the builder can do it, and a word where it cannot."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from taskflow_containers.engine import builder
from taskflow_containers.engine.client import Builder, Engine, substitutes
from tests.conftest import SERVICE, lacking

pytestmark = [pytest.mark.engine, pytest.mark.each_engine]
BASE = "python:3.13-slim"
EPOCH = 1_700_000_000


@pytest.fixture
def build(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Build a copy of the same sources from nothing, in a folder of its own; the image's ID."""
    monkeypatch.setenv(builder.EPOCH_VARIABLE, str(EPOCH))

    def once(name: str) -> str:
        context = tmp_path / name
        shutil.copytree(SERVICE / "backend", context, copy_function=shutil.copy)
        for path in context.rglob("*"):
            os.utime(path, (time.time(), time.time()))
        base = substitutes().get(BASE, BASE)
        values = {"BASE_IMAGE": base, "BUILDER_IMAGE": base, "CREATED": "2023-11-14T22:13:20Z"}
        return builder.build(
            engine, context, tags=[f"taskflow-reproducible-{tmp_path.name.lower()}:{name}"],
            arguments=values, labels={}, on_step=lambda _: None, no_cache=True,
        ).image  # fmt: skip

    return once


def test_twice_the_same(engine: Engine, build: Callable[[str], str]) -> None:
    first, second = "", ""
    try:
        first = build("one")
        time.sleep(1.1)  # files have times in whole seconds
        second = build("two")
        configs = [engine.image_config(image) or {} for image in (first, second)]
        said = [line for line in builder.notes(builder.Needs(), engine) if "SOURCE_DATE" in line]
        if engine.builder is Builder.BUILDX and engine.keeps_indexes():
            assert (first, said) == (second, [])
            return
        # What differs is said, and it is the files' times: the base's layers and all settings agree.
        assert len(said) == 1
        assert "has another digest" in said[0]
        assert first != second
        layers = [config["Layers"] for config in configs]
        of_its_own = {"Id", "Layers", "Created"}
        one, other = ({k: v for k, v in c.items() if k not in of_its_own} for c in configs)
        assert one == other
        assert layers[0][0] == layers[1][0]
        assert len(layers[0]) == len(layers[1])
    finally:
        for image in filter(None, {first, second}):
            engine.call("image", "rm", "--force", "--no-prune", image, check=False)


def test_files_have_the_time_that_was_asked_for(
    engine: Engine, build: Callable[[str], str]
) -> None:
    if not (engine.builder is Builder.BUILDX and engine.keeps_indexes()):
        lacking("its builder leaves files the time that they were written")
    image = build("one")
    try:
        words = ("run", "--rm", "--entrypoint", "python", image, "-c")
        code = "import os; print(int(os.stat('/app/app.py').st_mtime))"
        assert engine.call(*words, code).stdout.strip() == str(EPOCH)
    finally:
        engine.call("image", "rm", "--force", "--no-prune", image, check=False)
