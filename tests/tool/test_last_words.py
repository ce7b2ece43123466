"""What is to be done about the last words of a container that did not start."""

from __future__ import annotations

import pytest

from taskflow_containers.smoke.drills.health import advice

READ_ONLY = "have it write below {} instead of {}: all else of an image is read-only; or declare a volume there in taskflow.toml"
MISSING = "add what provides {} to the packages that its image installs: it imports that"


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("OSError: [Errno 30] Read-only file system: '/app/logs'", READ_ONLY.format("/app/data or /tmp", "/app/logs")),
        ("Error: EROFS: read-only file system, mkdir '/app/x'", READ_ONLY.format("/app/data or /tmp", "/app/x")),
        ("ModuleNotFoundError: No module named 'jose.jwt'", MISSING.format("jose.jwt")),
        ("Error: Cannot find module '@acme/ui/button'", MISSING.format("@acme/ui")),
        ("Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'sharp' imported from", MISSING.format("sharp")),
        ("Error: Cannot find module './own.js'", ""),
        ("redis.exceptions.ConnectionError: Error 111", ""),
    ],
)  # fmt: skip
def test_what_is_known_is_said(said: str, wanted: str) -> None:
    assert advice(said, ["/app/data"]) == wanted


def test_a_container_without_a_volume_has_tmp() -> None:
    assert "write below /tmp instead" in advice("Read-only file system: '/x'", [])
