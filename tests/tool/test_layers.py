"""What the search of an image's layers takes for a secret, and what not."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import random
import tarfile
from pathlib import Path

import pytest

from taskflow_containers.engine.archive import opened
from taskflow_containers.project.load import load
from taskflow_containers.smoke.drills import image
from tests.conftest import SERVICE

EDGE = "-" * 5


def pem(kind: str, size: int, newline: str = "\n", head: str = "") -> str:
    """A key of so many bytes, as openssl and ssh-keygen write it."""
    text = base64.b64encode(random.Random(size).randbytes(size)).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    before = [head, ""] if head else []
    return newline.join([f"{EDGE}BEGIN {kind}{EDGE}", *before, *lines, f"{EDGE}END {kind}{EDGE}"])


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
        found = image.files("backend", model, image.walk(saved), saved.config, base)
        results = {result.id: result for result in found}
    result = results[f"smoke.{id}"]
    return result.failed, result.measured


@pytest.mark.parametrize(
    "text",
    [
        pem("PRIVATE KEY", 48),  # Ed25519 fits one line
        pem("PRIVATE KEY", 1217, "\r\n"),
        pem("EC PRIVATE KEY", 121),
        pem("RSA PRIVATE KEY", 1190, head="Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00"),
        pem("OPENSSH PRIVATE KEY", 300),
        pem("PGP PRIVATE KEY BLOCK", 600, head="Version: 1"),
        json.dumps({"type": "service_account", "private_key": pem("PRIVATE KEY", 1217)}),
        "token = ghp_" + "a1" * 18,
        "//registry.example/:_authToken=" + "0f" * 16,
        "AKIA" + "B2" * 8,
        "gho_" + "a1" * 18,
        "ghs_" + "a1" * 18,
        "sk_live_" + "4a" * 14,
        "aws_secret_access_key = " + "a1B/" * 10,
        "postgresql://app:npg_" + "x7" * 6 + "@ep-a.neon.example/db",
    ],
)
def test_a_secret_in_a_file_is_found_and_not_repeated(tmp_path: Path, text: str) -> None:
    failed, said = verdict(archive(tmp_path / "image.tar", {"app/x.txt": text}), "image.private")
    assert failed
    assert "/app/x.txt (layer 1)" in said
    assert text.splitlines()[1 if "\n" in text else 0][-20:] not in said


@pytest.mark.parametrize(
    "text",
    [
        f"if line == '{EDGE}BEGIN PRIVATE KEY{EDGE}':",
        pem("CERTIFICATE", 800),
        pem("PUBLIC KEY", 300),
        "ghp_short",
        "AKIAIOSFODNN7" + "EXAMPLE",
    ],
)
def test_what_only_looks_like_a_secret_passes(tmp_path: Path, text: str) -> None:
    path = archive(tmp_path / "image.tar", {"app/x.txt": text, "app/.env.example": "KEY="})
    assert verdict(path, "image.private") == (False, "none")


def test_the_key_that_a_library_tests_itself_with_passes(tmp_path: Path) -> None:
    text = "\x7fELF\x02" + pem("RSA PRIVATE KEY", 1190)
    path = archive(tmp_path / "image.tar", {"usr/lib/libtls.so": text})
    assert verdict(path, "image.private") == (False, "none")


@pytest.mark.parametrize(
    "name", ["app/.git/config", "app/.env", "app/.env.local", "root/.netrc", ".env", ".git/config"]
)
def test_a_private_file_is_found_by_its_name(tmp_path: Path, name: str) -> None:
    failed, said = verdict(archive(tmp_path / "image.tar", {name: "x"}), "image.private")
    assert failed
    assert f"/{name}" in said


@pytest.mark.parametrize(
    ("history", "env"),
    [
        ("|1 NPM_TOKEN=zebra /bin/sh -c npm ci # buildkit", ""),
        ("RUN |2 A=1 NPM_TOKEN=zebra /bin/sh -c npm ci # buildkit", ""),
        ("ARG NPM_TOKEN=zebra", ""),
        ("ENV A=1 NPM_TOKEN=zebra", ""),
        ("/bin/sh -c #(nop)  ENV NPM_TOKEN zebra", ""),
        ("RUN /bin/sh -c curl https://me:zebra@host/x", ""),
        ("", "ORIGIN=https://me:zebra@host"),
        ("", "X=ghp_" + "zebra1" * 6),
    ],
)
def test_a_secret_in_history_or_environment_is_found(
    tmp_path: Path, history: str, env: str
) -> None:
    failed, said = verdict(archive(tmp_path / "image.tar", {}, history, env), "image.private")
    assert failed
    assert "zebra" not in said


def test_build_arguments_that_are_no_secrets_pass(tmp_path: Path) -> None:
    history = "|3 TITLE=Shop GPG_KEY=7169605F REQUEST_TOKEN=5 /bin/sh -c make TOKENIZER=fast"
    assert verdict(archive(tmp_path / "image.tar", {}, history), "image.private")[0] is False


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


def test_a_label_is_searched(tmp_path: Path) -> None:
    path = archive(tmp_path / "image.tar", {}, labels={"note": "ghp_" + "zebra1" * 6})
    failed, said = verdict(path, "image.private")
    assert failed
    assert "LABEL note" in said
    assert "zebra" not in said


def test_a_secret_in_env_is_the_affair_of_another_check(tmp_path: Path) -> None:
    value = "ghp_" + "zebra1" * 6
    path = archive(tmp_path / "image.tar", {}, f"ENV GITHUB_TOKEN={value}", f"GITHUB_TOKEN={value}")
    assert verdict(path, "image.private")[0] is False


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
