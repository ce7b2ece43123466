"""The checks that an engine, or an emulated processor, cannot make, and in words why."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from taskflow_containers.engine.client import Engine
from taskflow_containers.workspace import Target

# What an emulated processor decides, not the image.
BY_SPEED = {
    "start", "run", "healthcheck", "restart", "load", "memory", "growth", "stop", "stop.in-flight", "stop.busy",
    "stop.starting", "cold-start", "slow-connections", "neon", "database.lost", "database.requests",
    "database.back",
}  # fmt: skip
# What an engine must be able to hold its containers to → the checks that need it.
_BY_LIMIT = {"memory": ("memory", "swap", "growth"), "cpu": ("cold-start",)}


def emulated(engine: Engine, targets: Iterable[Target]) -> dict[str, str]:
    """The containers whose images are for another processor than the engine's, and in words."""
    found = {}
    for target in targets:
        platform = str(engine.require_image_config(target.image)["Platform"])
        if engine.platform and platform.split("/")[:2] != engine.platform.split("/")[:2]:
            found[target.name] = f"{platform} is emulated by this {engine.platform} engine"
    return found


def missing(engine: Engine, limits: Collection[str]) -> dict[str, str]:
    """The checks that this engine cannot make, and in words what it lacks."""
    return {
        check: f"this {engine.name} does not limit a container's {limit}"
        for limit, checks in _BY_LIMIT.items()
        if limit not in limits
        for check in checks
    }
