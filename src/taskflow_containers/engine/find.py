"""Which engine is used: the chosen one, or of those that answer the one that builds best."""

from __future__ import annotations

import json
import os
import platform
import shutil
from pathlib import Path

from taskflow_containers.engine import endpoint
from taskflow_containers.engine.client import Builder, Engine, platform_of
from taskflow_containers.machine import interruption
from taskflow_containers.machine.errors import EnvironmentTrouble, InputError, NoEngineError
from taskflow_containers.machine.process import run

CHOICE_VARIABLE = "TASKFLOW_ENGINE"


def _clients(name: str) -> list[Path]:
    """Every program of that name on PATH, in order, each once."""
    found: dict[Path, Path] = {}
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        program = shutil.which(name, path=folder) if folder else None
        if program:
            found.setdefault(Path(program).resolve(), Path(program))
    return list(found.values())


def _probe(client: Path) -> Engine | None:
    """The engine behind a client, or None when it cannot be run or its server does not answer."""
    try:
        return _ask(client)
    except EnvironmentTrouble:
        return None


def _ask(client: Path) -> Engine | None:
    """The engine behind a client, or None when its server does not answer.

    Raises:
        EnvironmentTrouble: the client cannot be run, or says nothing for too long.
    """
    done = run([client, "version", "--format", "{{json .}}"], timeout=20)
    if done.returncode:
        return None
    try:
        answer = json.loads(done.stdout)
        server = answer.get("Server") or answer.get("Client") or {}
        # Podman answers to the name docker too, by a wrapper or through its socket.
        names = " ".join(str(part.get("Name")) for part in server.get("Components") or [])
        if "Podman" in names or "APIVersion" in server or "podman" in client.resolve().name:
            platform = str(server.get("OsArch", ""))
            where = endpoint.of(client, answer)
            version = str(server.get("Version", ""))
            return Engine("podman", client, version, Builder.BUILDAH, platform, where)
        if not answer.get("Server"):
            return None
        version = str(server.get("Version", ""))
        platform = platform_of(server.get("Os"), server.get("Arch")) if server.get("Arch") else ""
        where = endpoint.of(client, answer)
        if run([client, "buildx", "version"], timeout=20).returncode == 0:
            return Engine("docker", client, version, Builder.BUILDX, platform, where)
        # From 23 on the client leaves BuildKit to the buildx plugin; before, it speaks it itself.
        major = int(str((answer.get("Client") or {}).get("Version", "0")).split(".")[0])
        builder = Builder.BUILDKIT if major < 23 else Builder.LEGACY
        return Engine("docker", client, version, builder, platform, where)
    except (ValueError, AttributeError, TypeError):
        return None


def find(choice: str = "") -> Engine:
    """The engine to use: the chosen one, else the one whose builder can do most.

    The choice (or TASKFLOW_ENGINE) is docker, podman or a client's path.

    Raises:
        NoEngineError: none answers, or the chosen file cannot be run.
        InputError: the choice is neither a known name nor a file.
    """
    choice = choice or os.environ.get(CHOICE_VARIABLE, "")
    if choice not in {"", "docker", "podman"}:
        return _behind(choice)
    clients = [c for name in ("docker", "podman") if choice in {"", name} for c in _clients(name)]
    with interruption.pool(max(1, len(clients))) as pool:
        engines = [engine for engine in pool.map(_probe, clients) if engine]
    if choice == "docker":
        engines = [engine for engine in engines if engine.name == "docker"]
    if engines:
        order = list(Builder)
        return min(engines, key=lambda engine: order.index(engine.builder))
    said = endpoint.complaints(clients) if clients else ""
    raise NoEngineError(
        f"no {choice or 'container'} engine answers" + (f" (asked: {said})" if said else ""),
        _how_to_get_one(said),
    )


def _behind(choice: str) -> Engine:
    """The engine behind a client that a person named by its path."""
    program = shutil.which(choice) or choice
    if not os.path.lexists(program):
        raise InputError(f"no container engine is called {choice!r}", "use docker or podman")
    try:
        found = _ask(Path(program).absolute())
    except EnvironmentTrouble as error:
        raise NoEngineError(error.message, error.hint) from None
    if found:
        return found
    raise NoEngineError(
        f"no engine answers behind {endpoint.complaints([Path(program).absolute()])}",
        f"is it docker or podman, and started? `{program} version` says more",
    )


def _how_to_get_one(said: str) -> str:
    if "permission denied" in said.lower():
        return (
            "your user may not talk to it: `sudo usermod --append --groups docker $USER`, then log in "
            "anew; Podman needs no such right"
        )
    match platform.system():
        case "Darwin" | "Windows":
            return "start Docker Desktop or Podman Desktop, then run this again"
        case _:
            return (
                "install one (`apt install docker.io` or `apt install podman buildah`), start it "
                "(`systemctl start docker`), and let your user reach it (`sudo usermod --append "
                "--groups docker $USER`, then log in anew)"
            )
