"""Logins at registries, from wherever `docker login` and `podman login` keep them."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

from taskflow_containers.machine.errors import InputError
from taskflow_containers.machine.process import run

DOCKER_HUB = "registry-1.docker.io"


def credentials(host: str) -> tuple[str, str] | None:
    """User and secret that a login stored for a registry, from where Docker and Podman keep them."""
    home, runtime = Path.home(), os.environ.get("XDG_RUNTIME_DIR", "")
    files = [
        Path(os.environ.get("REGISTRY_AUTH_FILE", "")),
        Path(runtime, "containers", "auth.json") if runtime else Path(),
        Path(os.environ.get("DOCKER_CONFIG", home / ".docker"), "config.json"),
        home / ".config" / "containers" / "auth.json",
    ]
    names = ["https://index.docker.io/v1/", "docker.io"] if host == DOCKER_HUB else [host]
    for file in files:
        if not file.is_file():
            continue
        try:
            for name in names:
                if found := _stored(json.loads(file.read_text("utf-8") or "{}"), name):
                    return found
        except (ValueError, TypeError, KeyError, AttributeError):
            raise InputError(
                f"{file} (or the credential helper that it names) holds no logins that can be read",
                "docker login (or podman login) writes it anew",
            ) from None
    return None


def _stored(data: dict[str, Any], name: str) -> tuple[str, str] | None:
    stored = data.get("auths", {}).get(name, {}).get("auth", "")
    if stored:
        user, _, secret = base64.b64decode(stored).decode().partition(":")
        return user, secret
    helper = data.get("credHelpers", {}).get(name) or data.get("credsStore", "")
    if helper:
        done = run([f"docker-credential-{helper}", "get"], stdin=name, timeout=60)
        if done.returncode == 0:
            found = json.loads(done.stdout)
            return str(found["Username"]), str(found["Secret"])
    return None
