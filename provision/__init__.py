"""Gives a machine a container engine and base images; `provision()` is all that others need."""

from __future__ import annotations

import os
from collections.abc import Iterable

from . import engine as engines
from .standins import WANTED, ensure_images
from .system import Trouble, say

__all__ = ["ENGINE", "SUBSTITUTES", "WANTED", "Trouble", "provision"]

SUBSTITUTES = "TASKFLOW_SUBSTITUTE_IMAGES"
ENGINE = "TASKFLOW_ENGINE"


def provision(engine: str = "", images: Iterable[str] = WANTED) -> dict[str, str]:
    """Have an engine and the images; return the environment variables the tool reads."""
    asked = engine or os.environ.get(ENGINE, "")
    found = engines.ensure(asked)
    substitutes = ensure_images([found.client], images)
    if substitutes:
        say(f"{found.client}: stand-ins for {', '.join(substitutes)}; remove them to try a pull")
    pairs = " ".join(f"{name}={stand_in}" for name, stand_in in substitutes.items())
    return {SUBSTITUTES: pairs, ENGINE: asked or found.kind}
