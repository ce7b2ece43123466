"""How much of a run goes on at once: within the machine's cores and its free memory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from taskflow_containers.engine.client import Engine
from taskflow_containers.workspace import Target

_LEAST = 2  # steps at once, whatever the machine
_FEW = 5  # for one container or two: most of a step is waiting
_MORE = 1  # for each further container
_EACH_CORE = 5  # beyond that, steps would wait for a CPU rather than for their containers


def available() -> int | None:
    """Bytes of memory that can be had without swapping; None where the kernel does not say."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    match = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def containers_at_once() -> int:
    """How many containers may be started, and then asked about themselves, at once."""
    return max(_LEAST, os.cpu_count() or 1)


def steps_at_once(targets: Sequence[Target], engine: Engine) -> int:
    """How many steps, each with an instance of its own, may go on beside the containers."""
    wanted = _FEW + _MORE * max(0, len(targets) - 2)
    most = max(_FEW, _EACH_CORE * (os.cpu_count() or 1))
    free = None if engine.remote else available()
    if free is not None:
        limits = [target.container.memory for target in targets]
        most = min(most, (free - sum(limits)) // max(limits))
    return max(_LEAST, min(wanted, most))


def starting_order(calls: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Those that may start together: whoever is called before its callers (name → whom it calls).

    A circle is broken where the file has its first.
    """
    left, order = {name: set(called) - {name} for name, called in calls.items()}, list[list[str]]()
    while left:
        together = [name for name, called in left.items() if not called & left.keys()]
        together = together or [*left][:1]
        order.append(together)
        left = {name: called for name, called in left.items() if name not in together}
    return order
