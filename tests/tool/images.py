"""Images made by hand, as OCI layouts, for tests without an engine."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from taskflow_containers.engine.archive import Layer

ELF = b"\x7fELF" + bytes(60)


def layout(layers: Sequence[Mapping[str, bytes]], folder: Path, **config: Any) -> list[Layer]:
    """Write an image of these layers (path → content; all of it executable); its layers."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        media = f"application/vnd.oci.image.{kind}"
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(data)}

    packed = [put(_tar(files), "layer.v1.tar") for files in layers]
    identities = [str(layer["digest"]) for layer in packed]
    described = {
        "architecture": "amd64", "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": identities},
    }  # fmt: skip
    document = {
        "schemaVersion": 2, "layers": packed,
        "config": put(json.dumps(described).encode(), "config.v1+json"),
    }  # fmt: skip
    manifest = put(json.dumps(document).encode(), "manifest.v1+json")
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return [Layer(identity, "") for identity in identities]


def _tar(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()
