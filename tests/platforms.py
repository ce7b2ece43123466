"""Base images of two platforms, made of one that is here: the second differs in what it says it is.

So nothing has to be emulated, and everything else is as with an image that was built twice.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.engine.client import SUBSTITUTES_VARIABLE, Engine, substitutes
from tests.conftest import lacking

OTHER = "linux/s390x"
BASE = "python:3.13-slim"
_INDEX = "application/vnd.oci.image.index.v1+json"


@contextmanager
def of_two_platforms(engine: Engine, folder: Path) -> Iterator[str]:
    """What taskflow.toml says of the platforms; until the end the base image has both."""
    if not (engine.keeps_indexes() and engine.shows_platforms()):
        lacking("its store keeps no image of several platforms")
    name = f"taskflow-platforms/{uuid.uuid4().hex[:12]}:python"
    engine.call("load", "--input", _index(engine, folder / "index", name))
    try:
        with pytest.MonkeyPatch.context() as patch:
            others = substitutes() | {BASE: name}
            patch.setenv(SUBSTITUTES_VARIABLE, " ".join(map("=".join, others.items())))
            yield f'\n[build]\nplatforms = ["{engine.platform}", "{OTHER}"]\n'
    finally:
        engine.call("image", "rm", "--force", name, check=False)


def _index(engine: Engine, folder: Path, name: str) -> Path:
    """An archive of an index whose parts have the same layers, packed as they are in the store."""
    base, tar = substitutes().get(BASE, BASE), folder.with_suffix(".tar")
    words = ("--platform", engine.platform, "--output", tar, base)
    engine.call("image", "save", *words, timeout=600)
    with tarfile.open(tar) as saved:
        saved.extractall(folder, filter="data")

    def path(descriptor: dict[str, Any]) -> Path:
        return folder / "blobs" / str(descriptor["digest"]).replace(":", "/")

    def put(like: dict[str, Any], content: object) -> dict[str, Any]:
        data = json.dumps(content).encode()
        found = like | {"digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}
        path(found).write_bytes(data)
        return found

    found: dict[str, Any] = {}
    manifest = json.loads((folder / "index.json").read_text())
    while "manifests" in manifest:  # an index may hold one with attestations and other platforms
        found = next(one for one in manifest["manifests"] if path(one).exists())
        manifest = json.loads(path(found).read_text())
    parts = []
    for platform in (engine.platform, OTHER):
        of = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
        config = json.loads(path(manifest["config"]).read_text()) | of
        own = manifest | {"config": put(manifest["config"], config)}
        parts.append(put({"mediaType": found["mediaType"]}, own) | {"platform": of})
    index = {"schemaVersion": 2, "mediaType": _INDEX}
    whole = put({"mediaType": _INDEX}, index | {"manifests": parts})
    whole["annotations"] = {"io.containerd.image.name": f"docker.io/{name}"}
    (folder / "index.json").write_text(json.dumps(index | {"manifests": [whole]}))
    (folder / "manifest.json").unlink(missing_ok=True)
    with tarfile.open(tar, "w") as archive:
        archive.add(folder, ".")
    return tar
