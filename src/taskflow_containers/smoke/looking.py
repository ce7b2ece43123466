"""A look at an image outside any project while it runs: what its configuration does not tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from taskflow_containers.checks.build import substitution_notes
from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.errors import UsageError
from taskflow_containers.machine.process import Say
from taskflow_containers.machine.waiting import Starved
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.guest import Guest
from taskflow_containers.project.kinds import Health, Kind
from taskflow_containers.report.result import Report, Taken
from taskflow_containers.smoke.answer import NO_ANSWER
from taskflow_containers.smoke.catalogue import CHECKS
from taskflow_containers.smoke.outside import (
    FRONTEND_MEMORY,
    Said,
    asked_by_healthcheck,
    derive,
    project,
)
from taskflow_containers.smoke.running import Running
from taskflow_containers.smoke.stack import Stack
from taskflow_containers.smoke.visit import visit
from taskflow_containers.workspace import Workspace

# Where services usually answer for their health, the telling ones first.
_READY = (
    "/api/health", "/health/ready", "/readyz", "/ready", "/health", "/healthz", "/api/healthz", "/-/ready",
    "/actuator/health/readiness", "/actuator/health", "/status", "/ping", "/api/ping",
)  # fmt: skip
_LIVE = (
    "/api/health/live", "/health/live", "/livez", "/live", "/-/healthy", "/actuator/health/liveness",
)  # fmt: skip
_RUNS = {"python": ("-c", "print(1)"), "node": ("-e", "console.log(1)")}
_TIMEOUT = 5.0  # seconds


def settle(
    root: Path, engine: Engine, say: Say, said: Said, config: Mapping[str, Any], report: Report
) -> Workspace:
    """The workspace of one image, once it is known what to hold it to; the report says where from.

    `config` is its own, as `Engine.image_config` has it.

    Raises:
        UsageError: something is missing that nobody but a person knows.
    """
    guest, report.taken = derive(said, config)
    first = Workspace(
        root, project(said.image, guest), engine, say, report.notes.append, said.handed
    )
    [name] = first.project.containers
    report.notes += substitution_notes([one.image for one in first.project.services.values()])
    report.notes.append(f"where a line names {FILE_NAME}, the options of the table stand for it")
    say(f"looking at {name}")
    with Stack(first) as stack:
        for service in first.project.services:
            stack.start_service(service)
        running = stack.launch(first.target(name, str(config["Id"])), instance="look")
        try:
            running.wait("/", healthy=False)
            answers = running.seconds_to_healthy is not None
        except Starved:
            answers = False
        guest = _learn(guest, said, config, running if answers else None, report.taken)
        shown = "unknown, as it does not run"
        if running.alive():
            guest = guest.model_copy(update={"program": _program(running)})
            shown = guest.program or "none: what needs Python or Node.js in it is not measurable"
    report.taken.append(Taken("interpreter", shown, "what runs in the image"))
    judged = replace(first, project=project(said.image, guest))
    left = [c.id for c in CHECKS if c.needs in {"statement", "health"}
            and not c.concerns(judged.project, guest)]  # fmt: skip
    why = "only a project states a base image, fixed variables and labels"
    why += "" if guest.health_known else ", and no health path is known"
    report.taken.append(Taken("left out", ", ".join(left), why))
    return judged


def _learn(
    guest: Guest, said: Said, config: Mapping[str, Any], running: Running | None, taken: list[Taken]
) -> Guest:
    """The model with its health paths and its kind."""
    ready, source = said.ready, "--ready"
    if not ready and (ready := asked_by_healthcheck(config)):
        source = "the image's configuration: HEALTHCHECK"
    if not ready and running and (ready := _first(running, _READY)):
        source = "a usual path, which answers"
    live, live_source = said.live, "--live"
    if not live and running and (live := _first(running, _LIVE)):
        live_source = "a usual path, which answers"
    if not ready and guest.connects:
        raise UsageError(
            "nothing tells on which path the image says that it is ready, as --database needs it",
            "name it: --ready /health",
        )
    if ready:
        live, live_source = (live, live_source) if live else (ready, "as ready")
        taken += [Taken("ready", ready, source), Taken("live", live, live_source)]
        health = Health(ready=ready, live=live)
        guest = guest.model_copy(update={"health": health, "health_known": True})
    else:
        wanted = f"any answer on port {guest.port} below 500"
        taken.append(Taken("ready", wanted, "no usual health path answers: --ready names it"))
    page = running is not None and not guest.connects and _shows_a_page(running)
    if page and not said.limits["memory"]:
        guest = guest.model_copy(update={"memory": FRONTEND_MEMORY})
        at = next(number for number, one in enumerate(taken) if one.what == "memory")
        taken[at] = taken[at]._replace(value="200MB")
    seen = "/ is a page" if page else "/ is no page" if running else "nothing answers"
    taken.append(Taken("kind", "frontend" if page else "backend", seen))
    return guest.model_copy(update={"kind": Kind.FRONTEND}) if page else guest


def _first(running: Running, paths: Sequence[str]) -> str:
    """The first path that answers 200, or else 503, and with no page, as those for people do; or ""."""
    later = ""
    for path in paths:
        try:
            answer = running.get(path, _TIMEOUT)
        except NO_ANSWER:
            continue
        if answer.content_type.startswith("text/html"):
            continue
        if answer.status == 200:
            return path
        later = later or (path if answer.status == 503 else "")
    return later


def _shows_a_page(running: Running) -> bool:
    try:
        found = visit(running)
    except NO_ANSWER:
        return False
    return found.shows and not found.elsewhere


def _program(running: Running) -> str:
    """The interpreter that runs in a container; "" where there is neither."""
    config = running.engine.image_config(running.target.image) or {}
    # Images of Node.js may have Python for its build tools, hardly ever the other way round.
    node_first = any(str(item).startswith("NODE_VERSION=") for item in config.get("Env") or [])
    for name in sorted(_RUNS, reverse=not node_first):
        words = ("exec", running.handle, name, *_RUNS[name])
        if running.engine.call(*words, check=False).stdout.strip() == "1":
            return name
    return ""
