"""What the search of an image's layers takes for a secret, and what not."""

from __future__ import annotations

import base64
import io
import json
import random
import tarfile
from pathlib import Path

import pytest

from automation.model import load
from automation.smoke import image
from tests.conftest import SERVICE

EDGE = "-" * 5


def pem(kind: str, size: int, newline: str = "\n", head: str = "") -> str:
    """A key of so many bytes, as openssl and ssh-keygen write it."""
    text = base64.b64encode(random.Random(size).randbytes(size)).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    before = [head, ""] if head else []
    return newline.join([f"{EDGE}BEGIN {kind}{EDGE}", *before, *lines, f"{EDGE}END {kind}{EDGE}"])


def archive(path: Path, files: dict[str, str], history: str = "", env: str = "") -> Path:
    """An image of one layer, as `docker save` writes it."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name, text in files.items():
            _add(tar, name, text.encode())
    config = {"history": [{"created_by": history}], "config": {"Env": [env] if env else []}}
    manifest = [{"Config": "config.json", "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as tar:
        _add(tar, "layer.tar", layer.getvalue())
        _add(tar, "config.json", json.dumps(config).encode())
        _add(tar, "manifest.json", json.dumps(manifest).encode())
    return path


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def verdict(path: Path, id: str) -> tuple[bool, str]:
    """Whether that check fails on the archive, and what it says."""
    model = load(SERVICE / "taskflow.toml").containers["backend"]
    results = {result.id: result for result in image.files("backend", model, *image.walk(path))}
    found = results[f"smoke.{id}"]
    return found.failed, found.measured


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


@pytest.mark.parametrize("name", ["app/.git/config", "app/.env", "app/.env.local", "root/.netrc"])
def test_a_private_file_is_found_by_its_name(tmp_path: Path, name: str) -> None:
    failed, said = verdict(archive(tmp_path / "image.tar", {name: "x"}), "image.private")
    assert failed
    assert f"/{name}" in said


@pytest.mark.parametrize(
    ("history", "env"),
    [
        ("|1 NPM_TOKEN=zebra /bin/sh -c npm ci # buildkit", ""),
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
    history = "|2 TITLE=Shop GPG_KEY=7169605F /bin/sh -c make TOKENIZER=fast"
    assert verdict(archive(tmp_path / "image.tar", {}, history), "image.private")[0] is False
