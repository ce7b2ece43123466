"""What this machine lacks for the sessions and tasks of a project."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from taskflow_containers.cluster import helm
from taskflow_containers.contract import composefile
from taskflow_containers.contract.composefile import NoComposeError
from taskflow_containers.doctor.finding import Finding
from taskflow_containers.doctor.outdated import COMPOSE, judge, outdated
from taskflow_containers.doctor.support import ENDS
from taskflow_containers.engine.client import Builder
from taskflow_containers.engine.find import find
from taskflow_containers.machine.errors import EnvironmentTrouble, InputError, NoEngineError
from taskflow_containers.machine.process import run
from taskflow_containers.release import cosign
from taskflow_containers.report.waivers import today

_ROOM = 5_000_000_000  # bytes: both images, their build caches and the scanner's database
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def python(_: Path) -> Iterator[Finding]:
    """Whether this Python still gets fixes."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if (end := ENDS["python"].get(version)) and end < today():
        yield Finding(
            f"Python {version} has had no security fixes since {end}", sys.executable,
            "install a newer Python, then make .venv anew as the first lines of tasks.py say",
        )  # fmt: skip


def engine(root: Path) -> Iterator[Finding]:
    """Whether an engine answers, what it cannot do, and how much room it has."""
    try:
        found = find()
    except (NoEngineError, InputError) as error:
        yield Finding(error.message, "PATH, TASKFLOW_ENGINE", error.hint)
        return
    client = str(found.client)
    if found.builder is Builder.LEGACY:
        yield Finding(
            f"{found.name} has no buildx: it builds without cache mounts, one stage at a time", client,
            "install it: `apt install docker-buildx` or docker-buildx-plugin", optional=True,
        )  # fmt: skip
    if absent := sorted({"cpu", "memory"} - found.limits()):
        yield Finding(
            f"{found.name} cannot limit {' and '.join(absent)}: smoke tests measure less", client,
            "for a rootless engine delegate the controllers: `systemctl edit user@.service`, "
            "[Service] Delegate=cpu cpuset io memory pids", optional=True,
        )  # fmt: skip
    told = found.call("info", "--format", "{{.DockerRootDir}}", check=False).stdout.strip()
    places = {Path(told) if told and not found.remote and Path(told).is_dir() else root, root}
    for place in sorted(places):
        if (free := shutil.disk_usage(place).free) < _ROOM:
            yield Finding(
                f"only {free / 1e9:.1f} GB are free of {_ROOM / 1e9:.0f} GB that builds and scans take",
                str(place), "`invoke clean --images --cache`, or free space there",
            )  # fmt: skip


def compose(_: Path) -> Iterator[Finding]:
    """Whether `invoke up` can work."""
    try:
        composefile.program()
    except NoComposeError as error:
        yield from [*judge(COMPOSE)] or [Finding(error.message, "PATH", error.hint)]


def git(root: Path) -> Iterator[Finding]:
    """Whether there is git, and who commits."""
    if not shutil.which("git"):
        yield Finding("git is not installed", "PATH", "`apt install git`, `brew install git`")
        return
    for key, example in (("user.name", "Ann Example"), ("user.email", "ann@example.com")):
        if not run(["git", "-C", root, "config", "--get", key]).stdout.strip():
            yield Finding(
                f"git does not know your {key}", "git config", f'`git config --global {key} "{example}"`'
            )  # fmt: skip


def programs(_: Path) -> Iterator[Finding]:
    """What is taken from PATH where it is there."""
    if not (shutil.which("nox") or shutil.which("pipx") or importlib.util.find_spec("nox")):
        yield Finding(
            "neither nox nor pipx is here", "PATH",
            "`.venv/bin/pip install --require-hashes -r tools/requirements-nox.txt`, then `.venv/bin/nox`",
        )  # fmt: skip
    for name, use in (("helm", "installs the chart"), ("kubectl", "reaches a cluster")):
        if not shutil.which(name):
            yield Finding(
                f"{name} is not on PATH: it {use} (the checks fetch one for Linux on amd64)",
                "PATH", f"`brew install {name}`, or your system's package", optional=True,
            )  # fmt: skip
    if program := shutil.which("helm"):
        try:
            helm.find()
        except EnvironmentTrouble as error:
            yield Finding(error.message, program, error.hint)
    if why := cosign.absent():
        said, *how = why.split("; ", 1)
        mend = how[0] if how else "see what it says"
        yield Finding(f"{said}: releases are not signed here", "PATH", mend, optional=True)


def proxies(_: Path) -> Iterator[Finding]:
    """Whether a proxy that is set answers."""
    for name in [*_PROXIES, *map(str.lower, _PROXIES)]:
        url = os.environ.get(name, "")
        if not url:
            continue
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
            socket.create_connection(address, timeout=3).close()
        except (OSError, ValueError) as error:
            # A proxy's URL may hold a password.
            shown = url.rpartition("@")[2]
            yield Finding(
                f"the proxy {shown} does not answer: {error}", name,
                f"`unset {name}`, or set it to a proxy that does",
            )  # fmt: skip


LOOKS = (python, engine, compose, git, programs, outdated, proxies)
