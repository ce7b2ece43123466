"""Where an engine runs, by its client's own settings: on this machine, or on another."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.machine.process import last_line, run

HERE = "127.0.0.1"
_NETWORK = {"tcp", "ssh", "http", "https"}
_WORDS = 200  # characters


def of(client: Path, version: Mapping[str, Any]) -> str:
    """The URL of the engine that gave this answer to `version`; empty where it is the client's own.

    Sources: `docker context` (DOCKER_HOST goes before the context in use) and podman(1)
    (CONTAINER_CONNECTION, CONTAINER_HOST, the default connection; only a remote client has a server).

    Raises:
        EnvironmentTrouble: the client does not say.
    """
    asked = version.get("Client") or {}
    if "APIVersion" in asked:
        return _of_podman(client) if version.get("Server") else ""
    context = str(asked.get("Context") or "default")
    if context == "default":
        return os.environ.get("DOCKER_HOST", "")
    return _said(client, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}", context)


def _of_podman(client: Path) -> str:
    name, url = (os.environ.get(f"CONTAINER_{word}", "") for word in ("CONNECTION", "HOST"))
    if url and not name:
        return url
    for one in json.loads(
        _said(client, "system", "connection", "list", "--format", "json") or "[]"
    ):
        known = str(one.get("Name"))
        # Podman 3 marks the default one by a star behind its name.
        if known.rstrip("*") == name if name else one.get("Default") or known.endswith("*"):
            return str(one.get("URI"))
    return ""


def _said(client: Path, *words: str) -> str:
    done = run([client, *words], timeout=20)
    if done.returncode:
        raise EnvironmentTrouble(
            f"{client.name} {' '.join(words[:2])} failed: {last_line(done.stderr)}",
            "run it by hand to see more",
        )
    return done.stdout.strip()


def complaints(clients: Iterable[Path]) -> str:
    """Clients without an engine, and what they say of that: a context unknown, a machine that is off."""
    silent: dict[str, list[str]] = {}
    for client in clients:
        try:
            said = last_line(run([client, "version"], timeout=5).stderr)
        except EnvironmentTrouble as error:
            said = error.message
        silent.setdefault(said[:_WORDS], []).append(str(client))
    return "; ".join(", ".join(names) + f": {said}" * bool(said) for said, names in silent.items())


@cache
def host(url: str) -> str:
    """The machine on which the ports that an engine publishes answer; HERE is this one.

    A socket is of this machine, and so is a virtual machine that is reached by way of localhost.
    """
    parts = urlsplit(url if "://" in url else f"tcp://{url}")
    name = (parts.hostname or "") if parts.scheme in _NETWORK else ""
    name = _ssh_host(name) if name and parts.scheme == "ssh" else name
    return HERE if not name or is_local(name) else name


def _ssh_host(name: str) -> str:
    """What ssh's configuration makes of a name, which may be known to it alone."""
    try:
        done = run(["ssh", "-G", "--", name], timeout=20)
    except EnvironmentTrouble:
        return name
    found = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    return found.get("hostname", name)


def is_local(name: str) -> bool:
    """Whether a host name or an IP address means this machine whatever the network."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def publishing(host: str) -> str:
    """The address to publish ports on, so that they answer at `host` and no wider than need be."""
    if host == HERE:
        return HERE
    return "[::]" if ":" in host else "0.0.0.0"


def web(host: str, port: int) -> str:
    """The URL of a port that is published at `host`."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
