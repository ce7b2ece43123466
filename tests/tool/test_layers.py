"""What the walk over an image's layers finds where it does not belong."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from taskflow_containers.engine.archive import opened
from taskflow_containers.project.load import load
from taskflow_containers.smoke.drills import image
from tests.conftest import SERVICE


def archive(
    path: Path,
    files: dict[str, str],
    history: str = "",
    env: str = "",
    labels: dict[str, str] | None = None,
    layer: bytes = b"",
) -> Path:
    """An image of one layer, as `docker save` writes it."""
    if not layer:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for name, text in files.items():
                _add(tar, name, text.encode())
        layer = stream.getvalue()
    diff = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    config = {
        "rootfs": {"type": "layers", "diff_ids": [diff]},
        "history": [{"created_by": history}],
        "config": {"Env": [env] if env else [], "Labels": labels},
    }
    manifest = [{"Config": "config.json", "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as tar:
        _add(tar, "layer.tar", layer)
        _add(tar, "config.json", json.dumps(config).encode())
        _add(tar, "manifest.json", json.dumps(manifest).encode())
    return path


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def verdict(path: Path, id: str, base: int = 0) -> tuple[bool, str]:
    """Whether that check fails on the archive, and what it says."""
    model = load(SERVICE / "taskflow.toml").containers["backend"]
    with opened(path) as saved:
        found = image.files("backend", model, image.walk(saved), base)
        results = {result.id: result for result in found}
    result = results[f"smoke.{id}"]
    return result.failed, result.measured


@pytest.mark.parametrize(
    "name", ["app/.git/config", "app/.env", "app/.env.local", "root/.netrc", ".env", ".git/config"]
)
def test_a_private_file_is_found_by_its_name(tmp_path: Path, name: str) -> None:
    failed, said = verdict(archive(tmp_path / "image.tar", {name: "x"}), "image.private")
    assert failed
    assert f"/{name}" in said


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("opt/anything/http-v2/a/b", "caches"),
        (".cache/pip/x", "caches"),
        ("srv/uv-cache/x", "caches"),
        ("tmp/x/wheels-v5/pypi/x", "caches"),
        ("root/.local/share/pnpm/store/v10/x", "caches"),
        ("app/.yarn/cache/react.zip", "caches"),
        ("opt/tools/lib/python3.13/site-packages/pytest/__init__.py", "development"),
        ("vendor/pytest-8.3.dist-info/METADATA", "development"),
        ("app/node_modules/.pnpm/x/node_modules/@vitest/runner/package.json", "development"),
    ],
)
def test_what_does_not_belong_is_found_wherever_it_lies(tmp_path: Path, name: str, id: str) -> None:
    assert verdict(archive(tmp_path / "image.tar", {name: "x"}), f"image.{id}")[0]


def test_a_file_with_capabilities_is_privileged_and_so_is_a_link_to_it(tmp_path: Path) -> None:
    capability = {"SCHILY.xattr.security.capability": "x"}
    for link in (False, True):
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            info = tarfile.TarInfo("bin/ping")
            info.pax_headers = capability
            tar.addfile(info, io.BytesIO())
            if link:
                other = tarfile.TarInfo("bin/other")
                other.type, other.linkname = tarfile.LNKTYPE, "./bin/ping"
                tar.addfile(other)
                _add(tar, "bin/.wh.ping", b"")
        path = archive(tmp_path / f"{link}.tar", {}, layer=layer.getvalue())
        failed, said = verdict(path, "image.set-id")
        assert failed
        assert said == ("/bin/other" if link else "/bin/ping")
        # Of the base it is reported, and is no fault of what is built upon it.
        assert verdict(path, "image.set-id", 1) == (
            False,
            f"none; without effect in the base: {said}",
        )


def test_what_a_later_layer_deletes_at_the_root_is_gone(tmp_path: Path) -> None:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        info = tarfile.TarInfo("./blob")
        info.mode = 0o4777
        tar.addfile(info, io.BytesIO())
        _add(tar, "./.wh.blob", b"")
    path = archive(tmp_path / "image.tar", {}, layer=layer.getvalue())
    assert verdict(path, "image.set-id") == (False, "none")
    assert verdict(path, "image.writable") == (False, "none")
