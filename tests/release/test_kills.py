"""SIGKILL at every point of every step; then --resume goes on, and --abort takes all back."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskflow_containers.engine.client import Engine
from tests.release.conftest import Shop
from tests.release.test_release import STEPS, whole

pytestmark = pytest.mark.engine
LOCAL = STEPS[: STEPS.index("push")]


def taken_back(shop: Shop, start: Shop, engine: Engine) -> None:
    """After --abort nothing of the release is here, and what remains elsewhere is named."""
    public = shop.there, shop.registry.tags
    done = shop.invoke("--abort")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (shop.there, shop.registry.tags) == public, "others' things are not touched"
    head, *rest = shop.here
    start_head, *start_rest = start.here
    assert rest == start_rest
    assert head.splitlines()[1:] == start_head.splitlines()[1:]
    assert shop.journal["status"] == "aborted"
    remains = "\n".join(shop.journal["remains"])
    assert ("v1.3.0 at origin" in remains) == (shop.there != start.there)
    for tag in shop.registry.tags:
        assert f"{shop.registry.host}/{tag}" in remains
    assert not shop.registry.tags or "commit at origin/main" in remains
    assert bool(remains) == (public != (start.there, {}))
    for name in ("orders", "stock"):
        local = f"{shop.registry.host}/acme/{shop.name}-{name}:1.3.0"
        assert engine.image_config(local) is None
    assert not (shop.folder / "reports" / "release-1.3.0").exists()
    assert not list(Path("/tmp").glob(f"taskflow-release-*/tree/{shop.name}"))


@pytest.mark.parametrize("point", ["start:prepare", "do:prepare", "finish:prepare", "start:gate"])
def test_killed_before_anything_was_tested(
    point: str, shop: Shop, engine: Engine, tmp_path: Path
) -> None:
    start = shop.copy(tmp_path / "start")
    before = shop.state
    shop.killed(point, "--yes")
    assert shop.state == before
    taken_back(shop, start, engine)
    assert shop.state == before


def test_killed_after_every_step(
    ready: Shop, engine: Engine, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """One release, killed at every point; amid each step (thorough: at each point) a copy is aborted."""
    thorough = pytestconfig.getoption("thorough")
    start = ready.copy(tmp_path / "start")
    for step in STEPS[2:]:
        for moment in ("start", "do", "finish"):
            ready.killed(f"{moment}:{step}", "--resume", "--yes")
            journal = ready.journal
            assert list(journal["steps"]) == list(STEPS[: STEPS.index(step) + 1])
            assert ("done" in journal["steps"][step]) == (moment == "finish")
            if step in LOCAL:
                assert (ready.there, ready.registry.tags) == (start.there, {})
            for tag in ready.registry.tags:
                assert any(part in tag for part in (ready.name, journal["commit"][:12]))
            if thorough or moment == "do":
                copy = ready.copy(tmp_path / f"{moment}-{step}")
                taken_back(copy, start, engine)
    done = ready.invoke("--resume", "--yes")
    assert done.returncode == 0, done.stderr
    whole(ready, engine)
