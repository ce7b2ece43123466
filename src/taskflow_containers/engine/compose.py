"""Run the project on a laptop with Docker Compose or its Podman counterpart."""

from __future__ import annotations

import errno
import http.client
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from taskflow_containers.contract import composefile
from taskflow_containers.contract.composefile import ComposeFile, NoComposeError, no_file
from taskflow_containers.engine import endpoint
from taskflow_containers.engine.client import Engine, substitutes
from taskflow_containers.machine.errors import EnvironmentTrouble, InputError
from taskflow_containers.machine.process import foreground, run
from taskflow_containers.project.kinds import Kind
from taskflow_containers.project.model import Container, Project

# Where the compose file publishes its ports; `invoke up` sets it for an engine on another machine.
ADDRESS = "PUBLISH_ADDRESS"
DEVELOPMENT = ".devcontainer/compose.yaml"
_EVERYWHERE = {"", "0.0.0.0", "::"}
_PODMAN = "podman-compose"
_OPTIONAL = {"--remove-orphans", "--all"}


def command(engine: Engine) -> list[str]:
    """The compose program that works with this engine.

    Raises:
        EnvironmentTrouble: there is none; says how to get one.
    """
    candidates = [[str(engine.client), "compose"]]
    if engine.name == "docker":
        candidates.append(["docker-compose"])
    else:
        # First: what `podman compose` finds may be Docker's, which needs a socket that nobody serves.
        candidates.insert(0, [_PODMAN])
    for words in candidates:
        try:
            if run([*words, "version"], timeout=30).returncode == 0:
                return words
        except EnvironmentTrouble:
            continue
    wanted = "docker-compose-plugin or docker-compose" if engine.name == "docker" else _PODMAN
    raise EnvironmentTrouble(
        f"{engine.name} has no compose command", f"install one: apt install {wanted}"
    )


def environment(root: Path, project: Project, engine: Engine) -> dict[str, str]:
    """What the compose file leaves open: substitutes of services' and builders' images, where to publish."""
    instead = substitutes()
    found = {
        f"{name.upper().replace('-', '_')}_IMAGE": instead[service.image]
        for name, service in project.services.items()
        if service.image in instead
    }
    found |= {
        f"{name.upper().replace('-', '_')}_BUILDER": instead[container.build_image]
        for name, container in project.containers.items()
        if container.build_image in instead
    }
    if engine.remote and not composefile.settings(root).get(ADDRESS):
        found[ADDRESS] = engine.publishing
    return found


def _words(root: Path, project: Project, engine: Engine, words: Sequence[str]) -> list[str]:
    """A compose command as the program at hand takes it."""
    program, stated = command(engine), project.files.compose
    if program != [_PODMAN]:
        return [*program, *composefile.options(root, stated), *words]
    if "podman" in engine.client.resolve().name:
        program += ["--podman-path", str(engine.client)]
    # It merges whatever file has a name it knows, and seeks COMPOSE_FILE in the environment alone.
    program += [word for path in composefile.files(root, stated) for word in ("--file", str(path))]
    # Its older versions know fewer options, and none that this project cannot do without.
    known = run([_PODMAN, words[0], "--help"], timeout=30).stdout
    return program + [word for word in words if word not in _OPTIONAL or word in known]


def compose(root: Path, project: Project, engine: Engine, words: Sequence[str]) -> int:
    """Run one compose command in the foreground; its exit code."""
    if not composefile.files(root, project.files.compose):
        raise no_file(project.files.compose)
    whole = _words(root, project, engine, words)
    variables = {**os.environ, **environment(root, project, engine)}
    if whole[0] == _PODMAN:
        # What a service takes from .env by name alone, it takes from the environment only.
        # A value with a variable in it is left to its own reading of .env.
        given = composefile.settings(root)
        variables = {k: v for k, v in given.items() if "$" not in v} | variables
        if words[0] == "up" and any(
            _outdated(engine, seen) for seen in stack(root, project, engine).values()
        ):
            whole.append("--force-recreate")
    return foreground(whole, root, variables)


def _outdated(engine: Engine, seen: Mapping[str, Any]) -> bool:
    """Whether a container was made from another image than has its image's name now."""
    image = engine.image_config(str((seen.get("Config") or {}).get("Image")))
    if image is None:
        return False
    # Podman writes IDs with their algorithm here and without it there.
    return str(image["Id"]).rpartition(":")[2] != str(seen.get("Image")).rpartition(":")[2]


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


def require_service(root: Path, project: Project, name: str) -> None:
    """Raise InputError unless the compose file has a service of this name."""
    try:
        file = composefile.read_here(root, {}, "--profile", "*", stated=project.files.compose)
    except NoComposeError:  # the compose program at hand says so itself
        return
    if name not in (services := file.section("services")):
        raise InputError(f"unknown service: {name}", f"{file.name} has: {', '.join(services)}")


def stack(root: Path, project: Project, engine: Engine) -> dict[str, dict[str, Any]]:
    """Service → what the engine knows of its container, of those that there are.

    Raises:
        EnvironmentTrouble: compose refuses, such as a file that it cannot read.
    """
    done = run(
        _words(root, project, engine, ["ps", "--all", "--quiet"]),
        cwd=root,
        env=environment(root, project, engine),
        timeout=60,
    )
    if done.returncode:
        raise engine.failure(done, "compose", "ps")
    found = {}
    for id in re.findall(r"^[0-9a-f]{12,64}$", done.stdout, re.MULTILINE):
        seen = engine.inspect("container", id) or {}
        labels = (seen.get("Config") or {}).get("Labels") or {}
        found[str(labels.get("com.docker.compose.service"))] = seen
    return found


def own_ports(root: Path, project: Project, engine: Engine) -> set[int]:
    """The host ports that this project's compose stack publishes now."""
    found = set()
    for seen in stack(root, project, engine).values():
        if not (seen.get("State") or {}).get("Running"):
            continue
        for places in ((seen.get("NetworkSettings") or {}).get("Ports") or {}).values():
            found |= {int(place.get("HostPort") or 0) for place in places or []}
    return found


@dataclass(frozen=True, slots=True)
class Published:
    """A port of the engine's machine that a service asks for, on one address or (empty) on all."""

    service: str
    address: str
    port: int
    protocol: str

    def meets(self, other: Published) -> bool:
        """Whether both cannot be had at once."""
        if (self.port, self.protocol) != (other.port, other.protocol):
            return False
        addresses = {self.address, other.address}
        alike = (":" in self.address) == (":" in other.address)
        return len(addresses) == 1 or "" in addresses or (alike and bool(addresses & _EVERYWHERE))


def published_ports(file: ComposeFile) -> list[Published]:
    """The ports that compose publishes at fixed numbers; what the engine is to choose is left out."""
    return [
        Published(name, port.get("host_ip", ""), int(port["published"]), port["protocol"])
        for name, entry in file.section("services").items()
        for port in entry.get("ports") or []
        if port.get("published", "").lstrip("0").isdigit()
    ]


def _remedy(root: Path, stated: str, wanted: Published, variables: Mapping[str, str]) -> str:
    """How to have another port."""
    name = composefile.variable_of(root, wanted.service, wanted.port, variables, stated)
    where = f"services.{wanted.service}.ports of the compose file"
    return f"set {name} to another port in .env" if name else f"write another port in {where}"


def check_ports(root: Path, project: Project, engine: Engine) -> None:
    """See to it that what the compose file publishes can be had, and will answer where it is asked.

    Raises:
        EnvironmentTrouble: a port is taken, and not by the project's own stack.
        InputError: two services want the same port, or it would answer elsewhere only.
        NoComposeError: nothing here says which ports compose would publish.
    """
    variables, stated = environment(root, project, engine), project.files.compose
    ports = published_ports(composefile.read_here(root, variables, stated=stated))
    values = composefile.settings(root) | variables
    for first, second in combinations(ports, 2):
        if first.service != second.service and first.meets(second):
            raise InputError(
                f"{first.service} and {second.service} both want port {second.port}",
                _remedy(root, stated, second, values),
            )
    own = own_ports(root, project, engine)
    for each in ports:
        if engine.remote:
            kept = each.address not in _EVERYWHERE and endpoint.is_local(each.address)
            if kept and each.service in project.containers:
                raise InputError(
                    f"services.{each.service}.ports: {each.service} would answer within {engine.host} alone",
                    f'write "${{{ADDRESS}:-127.0.0.1}}:…" there, and `invoke up` says where to publish',
                )
        elif each.port not in own and (reason := taken(each)):
            raise EnvironmentTrouble(
                f"port {each.port} cannot be used: {reason}",
                f"stop what listens there, or {_remedy(root, stated, each, values)}",
            )


def taken(wanted: Published) -> str:
    """Why a port of this machine cannot be had: another program has it; empty where it is free."""
    family = socket.AF_INET6 if ":" in wanted.address else socket.AF_INET
    kind = socket.SOCK_DGRAM if wanted.protocol == "udp" else socket.SOCK_STREAM
    try:
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((wanted.address, wanted.port))
    except OSError as error:
        # What is not for this user, or no address of this machine, may be for the engine.
        return str(error.strerror) if error.errno == errno.EADDRINUSE else ""
    return ""


def wait(root: Path, project: Project, engine: Engine, seconds: float = 60) -> dict[str, str]:
    """Wait until every published container answers 200, and every worker is well; the URLs.

    Raises:
        EnvironmentTrouble: one did not within `seconds`.
    """
    urls = {}
    deadline = time.monotonic() + seconds
    running = stack(root, project, engine)
    for name, container in project.containers.items():
        seen = running.get(name, {})
        if container.kind is Kind.WORKER and seen:
            while not _runs_on(engine, str(seen["Id"]), container):
                _still_time(name, seconds, deadline, "its health command fails or it ends")
            continue
        published = (seen.get("HostConfig") or {}).get("PortBindings") or {}
        if not published.get(f"{container.port}/tcp"):
            continue
        while not (place := _healthy(engine, str(seen["Id"]), container)):
            _still_time(name, seconds, deadline, container.health.ready)
        urls[name] = endpoint.web(*place)
    return urls


def await_databases(root: Path, project: Project, engine: Engine, seconds: float = 60) -> None:
    """Wait until every PostgreSQL of the stack takes connections.

    Raises:
        EnvironmentTrouble: one does not within `seconds`.
    """
    deadline, running = time.monotonic() + seconds, stack(root, project, engine)
    for name in project.services:
        asked = ("exec", str(running.get(name, {}).get("Id")), "pg_isready", "--host", "127.0.0.1")
        while engine.call(*asked, check=False).returncode:
            _still_time(name, seconds, deadline, "pg_isready")


def _still_time(name: str, seconds: float, deadline: float, what: str) -> None:
    """Wait a moment; raises EnvironmentTrouble once the deadline, by the monotonic clock, is over."""
    if time.monotonic() > deadline:
        raise EnvironmentTrouble(
            f"{name} is not healthy after {seconds:.0f} s ({what})",
            f"`invoke logs --service {name}` shows why; `invoke down` ends it",
        )
    time.sleep(0.2)


def _runs_on(engine: Engine, id: str, container: Container) -> bool:
    """Whether a worker is well: by its health command, or as it still runs after its time to start."""
    began = engine.state(id)
    if command := container.health.command:
        return engine.call("exec", id, *command, check=False).returncode == 0
    time.sleep(container.budgets.start)
    now = engine.state(id)
    return bool(now.get("Running")) and now.get("StartedAt") == began.get("StartedAt")


def _healthy(engine: Engine, id: str, container: Container) -> tuple[str, int] | None:
    """Where a container answers 200 on its health route, by the port that the engine gave it; else None."""
    settings = (engine.inspect("container", id) or {}).get("NetworkSettings") or {}
    for place in (settings.get("Ports") or {}).get(f"{container.port}/tcp") or []:
        address, port = str(place.get("HostIp") or ""), int(place.get("HostPort") or 0)
        host = engine.host if address in _EVERYWHERE else address
        # No urlopen: a proxy of the environment is none for the project's own ports.
        connection = http.client.HTTPConnection(host, port, timeout=3)
        try:
            connection.request("GET", container.health.ready)
            if connection.getresponse().status == 200:
                return "localhost" if host == endpoint.HERE else host, port
        except (OSError, http.client.HTTPException):
            continue
        finally:
            connection.close()
    return None
