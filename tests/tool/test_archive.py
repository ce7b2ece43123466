"""Saved images: every layout and every packing says the same, and what is damaged is told."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.engine.archive import UnreadableImage, opened

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Pack = Callable[[bytes], bytes]


def plain(data: bytes) -> bytes:
    return data


def in_two_members(data: bytes) -> bytes:
    """As parallel packers write it: two gzip streams, one behind the other."""
    return gzip.compress(data[:700]) + gzip.compress(data[700:])


PACKS: dict[str, Pack] = {
    "plain": plain,
    "gzip": gzip.compress,
    "gzip in parts": in_two_members,
    "zstd": zstd.compress,
}


def tar(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in files.items():
            add(archive, name, data)
    return stream.getvalue()


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


LAYERS = (tar(base=b"b" * 5000), tar(app=b"a" * 70_000), tar(base=b"b" * 5000))


def write(path: Path, layout: str, *packs: Pack) -> Path:
    """An image of LAYERS, each packed by its own; `layout` as docker, oci, attested, nested or linked."""
    blobs: dict[str, bytes] = {}

    def put(data: bytes, **more: Any) -> dict[str, Any]:
        name = digest(data)
        blobs[f"blobs/{name.replace(':', '/')}"] = data
        return {"digest": name, "size": len(data), **more}

    config = json.dumps({"rootfs": {"diff_ids": [digest(layer) for layer in LAYERS]}}).encode()
    packed = [pack(layer) for pack, layer in zip(packs, LAYERS, strict=True)]
    layers = [put(data) for data in packed]
    names = [f"blobs/{layer['digest'].replace(':', '/')}" for layer in layers]
    described = put(config)
    manifest = put(json.dumps({"config": described, "layers": layers}).encode())
    statement = {"config": put(b"{}"), "layers": []}
    attestation = put(
        json.dumps(statement).encode(), platform={"os": "unknown", "architecture": "unknown"}
    )
    elsewhere = {
        "digest": digest(b"another platform's"),
        "platform": {"os": "linux", "architecture": "s390x"},
    }
    index: dict[str, Any] = {"manifests": [attestation, elsewhere, manifest]}
    if layout == "nested":
        index = {"manifests": [put(json.dumps(index).encode())]}
    with tarfile.open(path, "w") as archive:
        for name, data in blobs.items():
            if layout == "linked" and name == names[0]:
                # Docker before 25 links a layer that another image has as well.
                add(archive, "shared.tar", data)
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, "../../shared.tar"
                archive.addfile(link)
            else:
                add(archive, name, data)
        if layout in {"docker", "linked"}:
            place = f"blobs/{described['digest'].replace(':', '/')}"
            entry = {"Config": place, "RepoTags": None, "Layers": names}
            add(archive, "manifest.json", json.dumps([entry]).encode())
        else:
            add(archive, "index.json", json.dumps(index).encode())
    return path


@pytest.mark.parametrize("layout", ["docker", "oci", "nested", "linked"])
@pytest.mark.parametrize("first", PACKS)
@pytest.mark.parametrize("second", PACKS)
def test_layers_are_the_same_in_every_layout_and_packing(
    tmp_path: Path, layout: str, first: str, second: str
) -> None:
    path = write(tmp_path / "image.tar", layout, PACKS[first], PACKS[second], PACKS[first])
    with opened(path) as image:
        assert [layer.identity for layer in image.layers] == [digest(data) for data in LAYERS]
        sizes = image.measure()
        assert [sizes[layer.identity] for layer in image.layers] == [len(data) for data in LAYERS]
        with image.files(image.layers[1]) as (files, whole):
            (member,) = files
            assert (member.name, member.size) == ("app", 70_000)
            assert whole.drain() == len(LAYERS[1])
        image.write_layout(tmp_path / "layout")
    index = json.loads((tmp_path / "layout/index.json").read_text())
    blobs = tmp_path / "layout/blobs/sha256"
    for blob in blobs.iterdir():
        assert digest(blob.read_bytes()) == f"sha256:{blob.name}"
    found = json.loads((blobs / index["manifests"][0]["digest"][7:]).read_text())
    assert [layer["size"] for layer in found["layers"]] == [len(data) for data in LAYERS]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2000])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def without_manifest(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        add(archive, "index.json", b'{"manifests": []}')


def no_list(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        add(archive, "manifest.json", b"{}")


@pytest.mark.parametrize("damage", [cut, emptied, without_manifest, no_list])
def test_an_archive_that_is_no_image_is_told(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    path = write(tmp_path / "image.tar", "docker", plain, plain, plain)
    damage(path)
    with pytest.raises(UnreadableImage) as caught, opened(path):
        pass
    assert len(str(caught.value).splitlines()) <= 2


def garbled(data: bytes) -> bytes:
    packed = gzip.compress(data)
    return packed[:20] + b"\0" * 20 + packed[40:]


@pytest.mark.parametrize(
    "pack", [garbled, lambda data: zstd.compress(data)[:-9], lambda _: b"no tar" * 200]
)
def test_a_layer_that_cannot_be_read_is_told(tmp_path: Path, pack: Pack) -> None:
    path = write(tmp_path / "image.tar", "oci", plain, pack, plain)
    with (
        opened(path) as image,
        pytest.raises(UnreadableImage),
        image.files(image.layers[1]) as (f, w),
    ):
        list(f)
        w.drain()
    with opened(path) as image, pytest.raises(UnreadableImage):
        for entry in image.walk():
            entry.read()


def test_a_walk_tells_of_each_layer_and_leaves_out_what_is_known(tmp_path: Path) -> None:
    path = write(tmp_path / "image.tar", "oci", plain, gzip.compress, zstd.compress)
    with opened(path) as image:
        known = image.layers[0].identity
        # The last is the first again.
        assert {entry.number for entry in image.walk()} == {1, 2, 3}
    with opened(path) as image:
        assert {entry.number for entry in image.walk(but=[known])} == {2}
        assert image.sizes.keys() == {layer.identity for layer in image.layers} - {known}


def test_a_full_disk_is_no_fault_of_the_image(tmp_path: Path) -> None:
    path = write(tmp_path / "image.tar", "oci", plain, gzip.compress, plain)
    with (
        opened(path) as image,
        pytest.raises(OSError, match="no room"),
        image.open(image.layers[1]),
    ):
        raise OSError("no room")
