"""One thing that the doctor found: what, where, and the command or edit that mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

# Each looks at the project in a folder, or at the machine that it lies on.
Look = Callable[[Path], "Iterator[Finding]"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`optional`: only some commands want it, or it could not be looked at; it fails nothing."""

    what: str
    where: str
    mend: str
    optional: bool = False
