"""Finds a container engine that answers, or installs and starts one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .system import Trouble, apt_install, available, is_debian, is_root, last_line, must, run, say

DOCKERD_LOG = Path("/var/log/dockerd.log")
START_SECONDS = 60.0
LIMITS = Path("/etc/containers/containers.conf.d/50-taskflow.conf")
DOCKERD_PID = Path("/var/run/docker.pid")
SYSTEMD = Path("/run/systemd/system")
# Where the dockerd of this machine listens, and where packages install programs.
OWN = ("", "unix:///var/run/docker.sock", "unix:///run/docker.sock")
SYSTEM_PATH = [
    f"{prefix}/{bin}" for prefix in ("/usr/local", "/usr", "") for bin in ("sbin", "bin")
]
STATUS = Path("/proc/self/status")
CAP_SYS_RESOURCE = 24
# Podman's network backend: the Debian package that resolves names on its networks, and its file.
NAME_PLUGINS = {
    "cni": ("golang-github-containernetworking-plugin-dnsname", Path("/usr/lib/cni/dnsname")),
    "netavark": ("aardvark-dns", Path("/usr/lib/podman/aardvark-dns")),
}
# The Debian package, and its program, for engines whose client has no compose command of its own.
COMPOSE = {"docker": "docker-compose", "podman": "podman-compose"}
LIMITED = """\
# Written by provision: without CAP_SYS_RESOURCE no container may raise its limits.
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=10000:10000"]
[engine]
runtime = "runc"
"""


@dataclass(frozen=True)
class Engine:
    """A client whose server answers."""

    kind: str  # docker or podman
    client: str


def ensure(wanted: str = "") -> Engine:
    """The engine asked for ("" = any, docker, podman, or a client's path), made if need be."""
    found, reason = find(wanted)
    no_docker = wanted in ("", "docker") and (found is None or found.kind == "podman")
    if no_docker and (address := elsewhere()):
        if found is None:
            raise Trouble(
                f"Docker at {address} does not answer: {reason}\n"
                "Start it, or unset DOCKER_HOST and run `docker context use default` to have "
                "this machine's own."
            )
        say(f"Docker at {address} does not answer; taking Podman")
    elif no_docker and not wanted and _dockerd_is_idle():
        # Whoever installed dockerd meant it to be used; Podman stays for where it does not start.
        try:
            _install_docker(fallback=False)
            found, reason = find("docker")
        except Trouble as trouble:
            if found is None:
                raise
            say(f"{trouble}; taking Podman")
    if found is None:
        if wanted not in ("", "docker", "podman"):
            raise Trouble(f"{wanted} is no container engine that answers: {reason}")
        _may_provision(reason)
        if wanted == "podman":
            _install_podman()
        else:
            _install_docker(fallback=not wanted)
        found, reason = find(wanted)
    if found is None:
        raise Trouble(f"the engine was installed but does not answer: {reason}")
    if found.kind == "podman":
        limit_podman()
        resolve_names(found.client)
    have_compose(found)
    return found


def elsewhere() -> str:
    """The address of the Docker that DOCKER_HOST or a context names; "" = this machine's own.

    Only Linux has one of its own that could be started.
    """
    if sys.platform != "linux":
        return ""
    form = ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    address = os.environ.get("DOCKER_HOST", "")
    for client in _clients("docker"):
        done = run([client, *form], timeout=30)
        if done.returncode == 0:
            address = done.stdout.decode().strip()
            break
    return "" if address in OWN else address


def come_home() -> None:
    """Make `docker` mean this machine's own, in this process and those that it starts."""
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"):
        os.environ.pop(variable, None)
    if elsewhere():  # by `docker context use`
        os.environ["DOCKER_CONTEXT"] = "default"
    # A Docker that was put beside the machine's own brings its programs along.
    os.environ["PATH"] = os.pathsep.join(
        folder
        for folder in os.get_exec_path()
        if folder in SYSTEM_PATH
        or not any(shutil.which(name, path=folder) for name in ("docker", "dockerd"))
    )


def stop_docker() -> None:
    """End this machine's own dockerd, and wait for its end."""
    if SYSTEMD.is_dir():
        must("systemctl stop docker", ["systemctl", "stop", "docker.socket", "docker"])
        return
    os.kill(int(DOCKERD_PID.read_text()), signal.SIGTERM)
    deadline = time.monotonic() + START_SECONDS
    while DOCKERD_PID.exists() and time.monotonic() < deadline:
        time.sleep(0.3)


def have_compose(engine: Engine) -> None:
    """Install what `invoke up` starts containers with, where that can be done here."""
    name = COMPOSE[engine.kind]
    if shutil.which(name) or run([engine.client, "compose", "version"]).returncode == 0:
        return
    if is_debian() and is_root():
        try:
            apt_install([name], "the compose command")
        except Trouble as trouble:  # all but `invoke up` works without
            say(str(trouble))


def find(wanted: str = "") -> tuple[Engine | None, str]:
    """The first client that answers, and otherwise why the first one did not."""
    kinds = {"": ("docker", "podman")}.get(wanted, (wanted,))
    reasons = []
    for kind in kinds:
        for client in _clients(kind):
            done = run([client, "info", "--format", "{{json .}}"], timeout=30)
            # Podman can pose as docker, and some clients exit 0 with the server's error inside.
            text = done.stdout.decode(errors="replace")
            is_podman = '"buildahVersion"' in text
            if done.returncode == 0 and (is_podman or '"ServerVersion":"' in text):
                if not (kind == "docker" and is_podman):
                    return Engine("podman" if is_podman else "docker", client), ""
                reasons.append(f"{client} is Podman")
            else:
                reasons.append(last_line(done.stderr) or f"{client} has no server that answers")
    return None, (reasons or [f"no {' or '.join(kinds)} on PATH"])[0]


def _clients(kind: str) -> Iterator[str]:
    """Every client of that name: one that is too new for its server must not hide another."""
    if os.sep in kind:
        yield kind
        return
    for folder in dict.fromkeys(os.get_exec_path()):
        if found := shutil.which(kind, path=folder):
            yield found


def _dockerd_is_idle() -> bool:
    """Whether a Docker that nobody started is installed, and may be started here."""
    return sys.platform == "linux" and is_root() and shutil.which("dockerd") is not None


def _may_provision(reason: str) -> None:
    if sys.platform != "linux":
        raise Trouble("no container engine answers: start Docker Desktop or Podman Desktop first.")
    if not is_root():
        raise Trouble(
            f"no container engine answers ({reason}).\n"
            "Run this command again with sudo to have one installed and started."
        )


def _install_docker(fallback: bool) -> None:
    if shutil.which("dockerd") is None or shutil.which("docker") is None:
        try:
            apt_install(["docker.io"], "the container engine")
            # Newer releases split these off.
            if extra := available("docker-cli", "docker-buildx"):
                apt_install(extra, "the container engine's client")
        except Trouble as trouble:
            if not fallback:
                raise
            say(f"{trouble}; trying Podman")
            _install_podman()
            return
    if SYSTEMD.is_dir():
        say("systemctl start docker")
        done = run(["systemctl", "start", "docker"])
        if done.returncode:
            raise Trouble(f"systemctl start docker: {last_line(done.stderr)}")
    _start_dockerd(own=not SYSTEMD.is_dir())


def _start_dockerd(own: bool) -> None:
    """Wait until the daemon answers; without systemd it is started here, to outlive this run."""
    daemon = None
    if own:
        say(f"starting dockerd (log: {DOCKERD_LOG})")
        with DOCKERD_LOG.open("ab") as log:
            daemon = subprocess.Popen(
                ["dockerd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if find("docker")[0]:
            say("docker answers")
            return
        if daemon and daemon.poll() is not None:
            break
        time.sleep(0.3)
    why = last_line(DOCKERD_LOG.read_bytes()) if own else find("docker")[1]
    raise Trouble(f"dockerd does not come up: {why}")


def _install_podman() -> None:
    apt_install(["podman", "buildah", "netavark", "aardvark-dns"], "the container engine")
    limit_podman()


def resolve_names(client: str) -> None:
    """Give Podman's networks the plugin by which containers find each other by name."""
    backend = run([client, "info", "--format", "{{.Host.NetworkBackend}}"]).stdout.decode().strip()
    package, plugin = NAME_PLUGINS.get(backend, ("", Path()))
    if package and is_root() and shutil.which("apt-get") and not plugin.exists():
        apt_install([package], "name resolution for Podman's networks")


def limit_podman() -> None:
    """Give Podman limits that the kernel grants a machine without CAP_SYS_RESOURCE."""
    if not is_root() or LIMITS.exists() or not STATUS.exists():
        return
    fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines() if ":" in line)
    if int(fields["CapEff"], 16) >> CAP_SYS_RESOURCE & 1:
        return
    if shutil.which("runc") is None:
        apt_install(["runc"], "Podman's runtime")
    LIMITS.parent.mkdir(parents=True, exist_ok=True)
    LIMITS.write_text(LIMITED)
    say(f"wrote {LIMITS}: this machine may not raise limits")
