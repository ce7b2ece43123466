"""A saved image: its config document and its layers, in whatever layout and whatever packs them.

Engines save in Docker's layout (manifest.json), in OCI's (index.json) or in both at once. A layer is
a tar: plain from overlay2 and Podman, as it was pushed or built (plain, gzip, zstd) from containerd's
store. Source: OCI image specification, image-layout.md, layer.md and config.md.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from taskflow_containers.engine.client import Engine
from taskflow_containers.machine import interruption
from taskflow_containers.machine.errors import EnvironmentTrouble

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_BLOCK = 2**20  # bytes
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_DAMAGED = (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, zstd.ZstdError)
_NO_DOCUMENT = (*_DAMAGED, ValueError, LookupError, TypeError, AttributeError)


class UnreadableImage(EnvironmentTrouble):
    """What an engine saved cannot be read as an image."""


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Unpacked:
    """The plain bytes of a layer, in order; `size` counts those that were read."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self.size = 0

    def read(self, size: int = _BLOCK) -> bytes:
        """Up to so many bytes; none at the end."""
        interruption.check()
        data = self._source.read(size)
        self.size += len(data)
        return data

    def drain(self) -> int:
        """Read to the end; all bytes of the layer."""
        while self.read():
            pass
        return self.size


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: its diff ID (the SHA-256 of its plain tar) and its place in the archive."""

    identity: str
    member: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, folder or link of a layer; `number` counts the layers from 1 on."""

    number: int
    info: tarfile.TarInfo
    _tar: tarfile.TarFile

    def read(self) -> bytes:
        """A file's content.

        Raises:
            UnreadableImage: the layer is damaged.
        """
        with _readable():
            stream = self._tar.extractfile(self.info)
            return stream.read() if stream else b""


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise UnreadableImage(
            f"a layer of the saved image cannot be read: {error}", "build or pull it again"
        ) from error


class SavedImage:
    """An image in an archive; `config` is its config document."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        names = set(archive.getnames())
        if "manifest.json" in names:
            entry = self._document("manifest.json")[0]
            config, members = str(entry["Config"]), [str(name) for name in entry["Layers"] or ()]
        else:
            manifest = self._manifest("index.json", names)
            config = _blob(manifest["config"])
            members = [_blob(layer) for layer in manifest["layers"]]
        self.config: dict[str, Any] = dict(self._document(config))
        identities = list((self.config.get("rootfs") or {}).get("diff_ids") or ())
        if len(identities) != len(members):
            raise UnreadableImage(
                f"the saved image has {len(members)} layers, and its config names {len(identities)}",
                "build or pull the image again",
            )
        self.layers = tuple(map(Layer, identities, members))
        self.sizes: dict[str, int] = {}  # bytes of the plain layers that were read, by diff ID

    def _stream(self, member: str) -> IO[bytes]:
        # A layer that another one equals may be a link to it.
        try:
            stream = self._archive.extractfile(member)
        except KeyError:
            stream = None
        if stream is None:
            raise UnreadableImage(f"the saved image has no {member}", "save or pull it again")
        return stream

    def _document(self, member: str) -> Any:
        return json.load(self._stream(member))

    def _manifest(self, member: str, names: set[str]) -> dict[str, Any]:
        """The first manifest below an index that is an image, and here: no attestation, no other platform's."""
        for entry in self._document(member)["manifests"]:
            if (entry.get("platform") or {}).get("os") == "unknown" or _blob(entry) not in names:
                continue
            found = self._document(_blob(entry))
            if "manifests" in found:
                found = self._manifest(_blob(entry), names)
            if _blob(found["config"]) in names:
                return dict(found)
        raise UnreadableImage("the saved image has no manifest", "build or pull the image again")

    @contextmanager
    def open(self, layer: Layer) -> Iterator[Unpacked]:
        """A layer's plain bytes.

        Raises:
            UnreadableImage: it is damaged, or packed by something that the OCI specification does not name.
        """
        with _readable():
            stream = self._stream(layer.member)
            magic = stream.read(4)
            stream.seek(0)
            if magic.startswith(_GZIP):
                with gzip.open(stream) as plain:
                    yield Unpacked(plain)
            elif magic == _ZSTD:
                with zstd.open(stream) as plain:
                    yield Unpacked(plain)
            else:
                yield Unpacked(stream)

    @contextmanager
    def files(self, layer: Layer) -> Iterator[tuple[tarfile.TarFile, Unpacked]]:
        """A layer as a tar that is read once and in order, and its plain bytes."""
        with (
            self.open(layer) as plain,
            tarfile.open(
                fileobj=plain,
                mode="r|",
                bufsize=_BLOCK,  # type: ignore[call-overload]
            ) as tar,
        ):
            yield tar, plain

    def walk(self, but: Collection[str] = ()) -> Iterator[Entry]:
        """What the layers hold, in order, without those that have the diff IDs of `but`.

        To be read as it comes; `sizes` then has the layers that were walked.

        Raises:
            UnreadableImage: as `open` does.
        """
        for number, layer in enumerate(self.layers, 1):
            if layer.identity in but:
                continue
            with self.files(layer) as (tar, plain):
                for member in tar:
                    yield Entry(number, member, tar)
                self.sizes[layer.identity] = plain.drain()

    def measure(self, but: Collection[str] = ()) -> dict[str, int]:
        """Bytes of the plain layers, by diff ID, without those of `but`."""
        for layer in self.layers:
            if layer.identity not in {*but, *self.sizes}:
                with self.open(layer) as plain:
                    self.sizes[layer.identity] = plain.drain()
        return self.sizes

    def write_layout(self, folder: Path, count: int | None = None) -> None:
        """Write the image as an OCI image layout whose layers are plain, each blob named by its digest.

        For programs that take all layers to be packed alike, as trivy does. Of the layers only the
        first `count`, if it is given; what another layout there had already is kept.
        """
        blobs = folder / "blobs" / "sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        config = self.config
        if count is not None and count < len(self.layers):
            identities = [layer.identity for layer in self.layers[:count]]
            rootfs = {"type": "layers", "diff_ids": identities}
            config = {**config, "rootfs": rootfs, "history": []}

        def put(document: object, kind: str) -> dict[str, Any]:
            data = json.dumps(document).encode()
            digest = hashlib.sha256(data).hexdigest()
            (blobs / digest).write_bytes(data)
            return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

        layers = []
        for layer in self.layers[:count]:
            path = blobs / layer.identity.removeprefix("sha256:")
            if not path.exists():
                with self.open(layer) as plain, path.open("wb") as file:
                    shutil.copyfileobj(plain, file, _BLOCK)
            layers.append(
                {"mediaType": _LAYER, "digest": layer.identity, "size": path.stat().st_size}
            )
        manifest = {
            "schemaVersion": 2, "mediaType": _MANIFEST,
            "config": put(config, _CONFIG), "layers": layers,
        }  # fmt: skip
        index = {"schemaVersion": 2, "manifests": [put(manifest, _MANIFEST)]}
        (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")


def _blob(descriptor: dict[str, Any]) -> str:
    """Where a layout keeps what a descriptor points to."""
    return "blobs/" + str(descriptor["digest"]).replace(":", "/")


@contextmanager
def opened(path: Path) -> Iterator[SavedImage]:
    """The image in an archive.

    Raises:
        UnreadableImage: it holds none, or is damaged.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            try:
                image = SavedImage(archive)
            except _NO_DOCUMENT as error:
                raise UnreadableImage(
                    f"the saved image cannot be read: {error}", "build or pull it again"
                ) from error
            yield image
    except tarfile.ReadError as error:
        raise UnreadableImage(
            f"the saved image cannot be read: {error}", "save it again"
        ) from error


@contextmanager
def saved(engine: Engine, image: str, platform: str = "") -> Iterator[SavedImage]:
    """An image of an engine (by its ID), saved for as long as the block takes.

    `platform` chooses one of several in an index; without it, it is the first that is here.
    A file works with every engine, and says the same whatever its store is.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "image.tar")
        words = [f"--platform={platform}"] if platform else []
        engine.call("image", "save", *words, "--output", path, image, timeout=600, patience=0)
        with opened(path) as found:
            yield found
