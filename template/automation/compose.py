"""Run the project on a laptop with Docker Compose or its Podman counterpart."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import time
import urllib.request
from collections.abc import Collection, Sequence
from pathlib import Path

from automation import composefile
from automation.engine import Engine, substitutes
from automation.errors import EnvironmentTrouble, InputError
from automation.model import Project
from automation.process import run

FILE_NAME = "compose.yaml"


def command(engine: Engine) -> list[str]:
    """The compose program that works with this engine.

    Raises:
        EnvironmentTrouble: there is none; says how to get one.
    """
    candidates = [[str(engine.client), "compose"]]
    candidates += [["docker-compose"]] if engine.name == "docker" else [["podman-compose"]]
    for words in candidates:
        try:
            if run([*words, "version"], timeout=30).returncode == 0:
                return words
        except EnvironmentTrouble:
            continue
    wanted = (
        "docker-compose-plugin or docker-compose" if engine.name == "docker" else "podman-compose"
    )
    raise EnvironmentTrouble(
        f"{engine.name} has no compose command", f"install one: apt install {wanted}"
    )


def environment(project: Project) -> dict[str, str]:
    """What compose.yaml leaves open: the substitutes of the services' images."""
    instead = substitutes()
    return {
        f"{name.upper().replace('-', '_')}_IMAGE": instead[service.image]
        for name, service in project.services.items()
        if service.image in instead
    }


def _existing(root: Path) -> Path:
    """The project's compose file; an InputError where there is none."""
    if not (root / FILE_NAME).is_file():
        raise InputError(f"there is no {FILE_NAME} here", "run this in the project's top folder")
    return root / FILE_NAME


def compose(root: Path, project: Project, engine: Engine, words: Sequence[str]) -> int:
    """Run one compose command in the foreground; its exit code."""
    _existing(root)
    program = command(engine)
    if program == ["podman-compose"]:
        # Its older versions know fewer options, and none that this project cannot do without.
        known = run([*program, words[0], "--help"], timeout=30).stdout
        words = [word for word in words if word != "--remove-orphans" or word in known]
    try:
        return subprocess.call(
            [*program, *words], cwd=root, env={**os.environ, **environment(project)}
        )
    except KeyboardInterrupt:
        return 130


def tail(text: str, *, follow: bool) -> str:
    """How many lines of a log to show, as compose takes it: a number, or `all`.

    Raises:
        InputError: it is neither, or nothing would be shown.
    """
    if text == "all":
        return text
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise InputError(f"--tail {text[:40]!r} is no number of lines", "write --tail 100, or all")
    if int(text) == 0 and not follow:
        raise InputError("--tail 0 shows nothing", "add --follow, or write --tail 100")
    return text


def require_service(root: Path, name: str) -> None:
    """Raise InputError unless the compose file has a service of this name."""
    file = composefile.read(root)
    if file and name not in (services := file.section("services")):
        raise InputError(f"unknown service: {name}", f"{file.name} has: {', '.join(services)}")


def own_ports(root: Path, project: Project, engine: Engine) -> set[int]:
    """The host ports that this project's compose stack publishes now."""
    done = run([*command(engine), "ps", "--quiet"], cwd=root, env=environment(project), timeout=60)
    found = set()
    for id in done.stdout.split():
        settings = (engine.inspect("container", id) or {}).get("NetworkSettings") or {}
        for places in (settings.get("Ports") or {}).values():
            found |= {int(place.get("HostPort") or 0) for place in places or []}
    return found


def published_ports(root: Path) -> dict[str, int]:
    """Variable (as in .env) → host port of every port that compose.yaml publishes."""
    text = _existing(root).read_text(encoding="utf-8")
    settings = dict(os.environ)
    if (root / ".env").is_file():
        settings = composefile.env_file((root / ".env").read_text(encoding="utf-8")) | settings
    found = re.findall(r"\$\{(\w+_PORT):-(\d+)\}", text)
    ports: dict[str, int] = {}
    for variable, default in found:
        value = settings.get(variable) or default
        number = int(value) if value.isascii() and value.isdigit() and len(value) < 6 else 0
        if not 0 < number < 65536:
            raise InputError(f"{variable} is {value!r}", "set it to a port from 1 to 65535 in .env")
        if number in ports.values():
            other = next(name for name, port in ports.items() if port == number)
            raise InputError(
                f"{variable} and {other} are both {number}",
                "set one of them to another port in .env",
            )
        ports[variable] = number
    return ports


def wait(root: Path, project: Project, seconds: float = 60) -> dict[str, str]:
    """Wait until every published container answers 200; their URLs.

    Raises:
        EnvironmentTrouble: one did not within `seconds`.
    """
    ports = published_ports(root)
    urls = {}
    deadline = time.monotonic() + seconds
    for name, container in project.containers.items():
        port = ports.get(f"{name.upper().replace('-', '_')}_PORT")
        if port is None:
            continue
        urls[name] = f"http://localhost:{port}"
        ready = f"http://127.0.0.1:{port}{container.health.ready}"
        while not _healthy(ready):
            if time.monotonic() > deadline:
                raise EnvironmentTrouble(
                    f"{name} is not healthy after {seconds:.0f} s ({container.health.ready})",
                    f"`invoke logs --service {name}` shows why; `invoke down` ends it",
                )
            time.sleep(0.2)
    return urls


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def check_ports(root: Path, own: Collection[int] = ()) -> None:
    """Raise EnvironmentTrouble when a port that compose.yaml publishes is taken, but by its `own` stack."""
    for variable, port in published_ports(root).items():
        if port in own:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise EnvironmentTrouble(
                    f"port {port} cannot be used: {error.strerror}",
                    f"stop what listens there, or set {variable} to another port in .env",
                ) from None
