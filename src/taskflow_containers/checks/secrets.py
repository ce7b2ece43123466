"""Secrets: trivy searches the sources and what an image holds, with the rules beside this file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from io import BytesIO
from pathlib import Path
from typing import Any

from taskflow_containers.checks.trivy import trivy
from taskflow_containers.engine.archive import SavedImage

RULES = Path(__file__).with_name("trivy-secret.yaml")
# trivy looks into no folder of these names, and no option has it do so.
_UNSEARCHED = ("node_modules", ".git")


def search(folder: Path, output: Path) -> tuple[dict[str, Any], str]:
    """Trivy's answer on the secrets below a folder, or an empty one and the error it ended with."""
    answer, error = trivy(
        ["filesystem", "--scanners", "secret", "--secret-config", RULES, folder], output
    )
    for target in answer.get("Results") or []:
        for name in _UNSEARCHED:
            target["Target"] = target["Target"].replace(f"{name}~", name)
    return answer, error


def unpack(image: SavedImage, folder: Path, known: Collection[str]) -> None:
    """Unpack a saved image's config, and each layer but the `known` ones into a folder of its own.

    trivy guesses from an image's history which layers are its base's and leaves them out of the
    search for secrets; where it guesses wrong it searches nothing. Files that a later layer
    deletes are still in the image, so the layers stay apart.
    """
    folder.mkdir()
    # The environment, the labels and the history are in the image as well.
    config = json.dumps(image.config, indent=1, ensure_ascii=False)
    (folder / "image-config.json").write_text(config, encoding="utf-8")
    for number, layer in enumerate(image.layers, 1):
        if layer.identity in known:
            continue
        target = folder / f"layer-{number}"
        target.mkdir()
        with image.files(layer) as (files, _):
            for member in files:
                parts = member.name.strip("/").split("/")
                path = target.joinpath(*(f"{p}~" if p in _UNSEARCHED else p for p in parts))
                # Nothing that an image holds is written outside of the folder.
                if member.isfile() and ".." not in path.parts:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with files.extractfile(member) or BytesIO() as source, path.open("wb") as file:
                        shutil.copyfileobj(source, file)
