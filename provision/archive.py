"""Image archives that every engine loads, and that leave in its store what a pull would have left.

An OCI image layout (https://github.com/opencontainers/image-spec/blob/main/image-layout.md) of an index,
as official images are one: of the image, and of the statement by which its builder says how it was
made. Docker's own manifest.json lies beside it, for engines that read no OCI layout.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .system import must

Config = dict[str, Any]  # the `config` part of an image, as the OCI specification has it
Descriptor = dict[str, Any]

OCI = "application/vnd.oci.image"
INDEX, MANIFEST, CONFIG = (f"{OCI}.{kind}.v1+json" for kind in ("index", "manifest", "config"))
LAYER = f"{OCI}.layer.v1.tar+gzip"
STATEMENT = "application/vnd.in-toto+json"
PROVENANCE = "https://slsa.dev/provenance/v1"
MAKER = "urn:taskflow:stand-in"


class Blobs:
    """The files of a layout, each under the digest of its content."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True)

    def add(self, media_type: str, content: object) -> Descriptor:
        """Keep JSON."""
        path = self.folder / "blob.json"
        path.write_text(json.dumps(content))
        return self._move(media_type, path)

    def pack(self, root: Path, words: Sequence[str], what: str) -> tuple[Descriptor, str]:
        """Keep a layer of files under `root`; the digest of its content before it was compressed."""
        path = self.folder / "layer.tar"
        must(f"{what}: tar", ["tar", "-C", root, "--numeric-owner", "-cf", path, *words])
        content = _digest(path)
        must(f"{what}: gzip", ["gzip", "--no-name", "-1", path])  # it is read once, on this machine
        return self._move(LAYER, path.with_suffix(".tar.gz")), content

    def _move(self, media_type: str, path: Path) -> Descriptor:
        found = {"mediaType": media_type, "digest": _digest(path), "size": path.stat().st_size}
        path.replace(self.folder / _path(found))
        return found


def write(
    archive: Path,
    reference: str,
    root: Path,
    layers: Mapping[str, Sequence[str]],
    config: Config,
    *,
    architecture: str,
    created: str,
    comment: str,
) -> None:
    """Write the image of a root file system under its full name, with its registry.

    A layer has a name and the words by which tar finds its files; `created` is a time as in RFC 3339.
    The comment goes into the history: unlike labels, what is built on the image does not inherit it.

    Raises:
        Trouble: tar or gzip failed.
    """
    blobs = Blobs(archive.with_suffix(""))
    packed = [blobs.pack(root, words, f"{reference}: {name}") for name, words in layers.items()]
    parts = [layer for layer, _ in packed]
    image = {
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": config,
        # Buildah counts the layers against the history before it builds on an image.
        "history": [
            {"created": created, "created_by": name, "comment": comment} for name in layers
        ],
        "rootfs": {"type": "layers", "diff_ids": [content for _, content in packed]},
    }
    image_config = blobs.add(CONFIG, image)
    ours = blobs.add(MANIFEST, _manifest(image_config, parts)) | {
        "platform": {"architecture": architecture, "os": "linux"},
        "annotations": {"org.opencontainers.image.created": created},
    }
    index = {"schemaVersion": 2, "mediaType": INDEX}
    whole = blobs.add(INDEX, index | {"manifests": [ours, _attestation(blobs, ours, comment)]})
    # containerd reads the one name, Podman the other.
    names = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
    whole["annotations"] = dict.fromkeys(names, reference)
    docker = {
        "Config": _path(image_config),
        "RepoTags": [reference],
        "Layers": [_path(layer) for layer in parts],
    }
    files = {
        "oci-layout": {"imageLayoutVersion": "1.0.0"},
        "index.json": index | {"manifests": [whole]},
        "manifest.json": [docker],
    }
    for name, content in files.items():
        (blobs.folder / name).write_text(json.dumps(content))
    must(f"{reference}: tar", ["tar", "-C", blobs.folder, "-cf", archive, *files, "blobs"])


def _attestation(blobs: Blobs, image: Descriptor, comment: str) -> Descriptor:
    """What BuildKit puts beside an image: how it was made, in the form of an image of no platform."""
    algorithm, _, digest = image["digest"].partition(":")
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {algorithm: digest}}],
        "predicateType": PROVENANCE,
        "predicate": {
            "buildDefinition": {"buildType": MAKER, "externalParameters": {"recipe": comment}},
            "runDetails": {"builder": {"id": MAKER}},
        },
    }
    content = blobs.add(STATEMENT, statement)
    unknown = {"architecture": "unknown", "os": "unknown"}
    rootfs = {"type": "layers", "diff_ids": [content["digest"]]}
    config = blobs.add(CONFIG, unknown | {"config": {}, "rootfs": rootfs})
    layer = content | {"annotations": {"in-toto.io/predicate-type": PROVENANCE}}
    return blobs.add(MANIFEST, _manifest(config, [layer])) | {
        "platform": unknown,
        "annotations": {
            "vnd.docker.reference.digest": image["digest"],
            "vnd.docker.reference.type": "attestation-manifest",
        },
    }


def _manifest(config: Descriptor, layers: list[Descriptor]) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}


def _path(descriptor: Descriptor) -> str:
    return f"blobs/{descriptor['digest'].replace(':', '/')}"


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
