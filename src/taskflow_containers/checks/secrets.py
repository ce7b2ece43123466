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
from taskflow_containers.machine.errors import EnvironmentTrouble

RULES = Path(__file__).with_name("trivy-secret.yaml")
# trivy looks into no folder of these names, and no option has it do so.
_UNSEARCHED = ("node_modules", ".git")
# Planted beside what is searched: a search that misses it has not looked. Put together here, so that this file holds none.
_CANARY, _TOKEN = "taskflow-canary.ini", "ghp_" + "c4N9" * 9


def search(folder: Path, output: Path) -> tuple[dict[str, Any], str]:
    """Trivy's answer on the secrets below a folder, or an empty one and the error it ended with.

    Raises:
        EnvironmentTrouble: it did not find the secret that is put there for it.
    """
    (folder / _CANARY).write_text(f"token = {_TOKEN}\n", encoding="utf-8")
    answer, error = trivy(
        ["filesystem", "--scanners", "secret", "--secret-config", RULES, folder], output
    )
    found = answer.get("Results") or []
    planted = [target for target in found if target.get("Target") == _CANARY]
    if not error and not any(target.get("Secrets") for target in planted):
        raise EnvironmentTrouble(
            "trivy overlooked a secret that was planted for it, and so may have overlooked others",
            "run the command again; a trivy of your own has to be one that this tool knows",
        )
    answer["Results"] = [target for target in found if target not in planted]
    for target in answer["Results"]:
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
