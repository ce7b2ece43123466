"""The Neon budget: what the chart's default probes cost a database that would rather sleep."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from taskflow_containers.report.result import Result
from taskflow_containers.smoke.asking import ask, fairly
from taskflow_containers.smoke.lab import Lab, checks

SUSPENDED_AFTER = 300  # seconds without a query, Neon's default
_SETTLE = 3.0  # seconds after the start in which a first look at the database is fair
_SECONDS, _FULL_SECONDS = 11.0, 60.0
_DEFAULTS = {"readiness": 5.0, "liveness": 10.0}  # seconds, the chart's
_ROLE = "budget"
_TRIES = 2


def periods(values: Path) -> dict[str, float]:
    """The seconds between two probes, from the chart's values where there is a chart."""
    try:
        document: Any = yaml.safe_load(values.read_text(encoding="utf-8"))
        probes = document["defaults"]["probes"]
        return {name: float(probes[name]["periodSeconds"]) for name in _DEFAULTS}
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError):
        return dict(_DEFAULTS)


@checks("neon")
def neon(lab: Lab) -> Iterator[Result]:
    """Probe an idle instance as the kubelet would and count what the database hears of it."""
    services = lab.needed
    role = f"{_ROLE}_{re.sub('[^a-z0-9]', '_', lab.name)}"
    for service in services:
        database = lab.stack.databases[service]
        # A member of the ordinary role, so that it may do what that one may.
        as_ever = f"GRANT {database.role} TO {role}; ALTER ROLE {role} SET role = '{database.role}'"
        database.add_role(role, f"{as_ever}; ALTER ROLE {role} SET log_statement = 'all'")
    databases = lab.stack.databases
    environment = {key: databases[name].url(role) for key, name in lab.services.items()}
    seconds = _FULL_SECONDS if lab.options.full else _SECONDS
    workspace = lab.stack.workspace
    every = periods(workspace.root / workspace.project.files.chart / "values.yaml")
    with lab.ready("budget", environment=environment) as running:
        health = running.container.health
        lab.over.wait(_SETTLE)
        paths = {health.ready: every["readiness"], health.live: every["liveness"]}

        def probed() -> int:
            before = _heard(lab, services, role)
            due = dict.fromkeys(paths, 0.0)
            started = time.monotonic()
            while (now := time.monotonic() - started) < seconds:
                for path in paths:
                    if now >= due[path]:
                        ask(running, path)
                        due[path] += paths[path]
                if lab.over.wait(0.1):
                    break
            return _heard(lab, services, role) - before

        # On a busy machine its first look at the database may come late.
        heard = fairly(running, probed, lambda count: count == 0, _TRIES)
    probes = " and ".join(f"{title} every {value:g} s" for title, value in every.items())
    awake = f"it would be awake, and billed, all month ({heard / seconds * 3600:,.0f} an hour)"
    said = awake if heard else f"it could sleep after {SUSPENDED_AFTER} s"
    limit = f"0 queries and sessions in {seconds:g} s of {probes}"
    yield lab.verdict("neon", heard == 0, limit=limit, measured=f"{heard}: {said}")


def _heard(lab: Lab, services: Iterable[str], role: str) -> int:
    """Queries and sessions of a role so far, from the databases' logs."""
    pattern = rf"^{role}@.*(?:connection authorized|statement: |execute )"
    logs = [lab.engine.logs(lab.stack.handle(service)) for service in services]
    return sum(len(re.findall(pattern, log, re.MULTILINE)) for log in logs)
