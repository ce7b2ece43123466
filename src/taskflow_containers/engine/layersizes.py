"""How large an image is: the sum of its plain layers, the same number on every engine.

What engines call Size differs: unpacked files on overlay2, packed layers in containerd's store or both.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from taskflow_containers.engine import archive
from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.tools import CACHE

_FILE = CACHE / "layer-sizes.json"


class LayerSizes:
    """Bytes by diff ID, which is the digest of a layer's content: what was once measured holds for ever.

    With a `root` they are kept in a file of that project, as saving an image takes seconds.
    """

    def __init__(self, root: Path | None = None) -> None:
        self._file = root / _FILE if root else None
        self._known: dict[str, int] = {}
        if self._file:
            with suppress(OSError, ValueError, AttributeError, TypeError):
                kept = json.loads(self._file.read_text(encoding="utf-8"))
                self._known = {str(key): int(value) for key, value in kept.items()}

    def learn(self, sizes: Mapping[str, int]) -> None:
        """Take sizes in that somebody has measured."""
        if sizes.items() <= self._known.items():
            return
        self._known |= sizes
        if self._file:
            # A cache: where it cannot be written, the next run measures again.
            with suppress(OSError):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                draft = self._file.with_name(f".{self._file.name}.{os.getpid()}")
                draft.write_text(json.dumps(self._known), encoding="utf-8")
                draft.replace(self._file)

    def total(self, engine: Engine, config: Mapping[str, Any], platform: str = "") -> int:
        """Bytes of an image, by its config as `Engine.image_config` gives it for this platform.

        Raises:
            UnreadableImage: a layer of it cannot be read.
        """
        layers: list[str] = config["Layers"]
        if not self._known.keys() >= set(layers):
            with archive.saved(engine, config["Id"], platform) as image:
                self.learn(image.measure(but=self._known))
        return sum(self._known[layer] for layer in layers)
