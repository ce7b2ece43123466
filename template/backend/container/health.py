"""Health answers (draft-inadarei-api-health-check-06), given in front of the application.

`/api/health/live` says that the process answers and asks nobody. `/api/health` asks what the application names:

    app.state.health_checks = {"database": database.check}

A check returns if all is well and raises if not; the detail of an HTTPException is for the public. A reading is shared
by all who wait for it and kept for a moment, so that probes cost next to nothing.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from inspect import isawaitable, iscoroutinefunction
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from container.settings import Settings

LIVE, READY = "/api/health/live", "/api/health"
TIMEOUT = 0.8  # seconds a check has to answer: below what any probe allows
MAX_AGE = {"pass": 2.0, "fail": 1.0}  # seconds a reading holds

type Check = Callable[[], object]

logger = logging.getLogger(__name__)


class Answer(NamedTuple):
    """A response as the server sends it."""

    start: Message
    body: Message


def answer(status: int, content: Mapping[str, Any], *headers: tuple[bytes, bytes]) -> Answer:
    """Encode a response once, to be sent many times."""
    body = json.dumps(content, separators=(",", ":")).encode()
    standard = [
        (b"content-type", b"application/health+json"),
        (b"cache-control", b"no-store"),
        (b"content-length", b"%d" % len(body)),
    ]
    return Answer(
        {"type": "http.response.start", "status": status, "headers": [*standard, *headers]},
        {"type": "http.response.body", "body": body},
    )


async def run(check: Check) -> None:
    """Run a check; one that is no coroutine function would hold up all requests, and gets a thread."""
    result = check() if iscoroutinefunction(check) else await asyncio.to_thread(check)
    if isawaitable(result):
        await result


class Health:
    """An ASGI layer that answers the health requests and passes on the others."""

    def __init__(self, layers: ASGIApp, app: object, settings: Settings) -> None:
        self._layers = layers
        self._app = app
        self._identity = {
            "version": settings.taskflow_version,
            "releaseId": settings.taskflow_revision,
            "serviceId": settings.taskflow_title,
        }
        self._live = answer(200, {"status": "pass", **self._identity})
        self._not_allowed = answer(405, {"status": "warn", "output": "GET or HEAD only"}, (b"allow", b"GET, HEAD"))
        self._ready = self._live
        self._expires = 0.0
        self._reading: asyncio.Task[Answer] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._outputs: dict[str, str | None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            send = self._read_once_started(send)
        path = scope["path"] if scope["type"] == "http" else None
        if path == READY:
            given = self._ready if time.monotonic() < self._expires else await asyncio.shield(self.read())
        elif path == LIVE:
            given = self._live
        else:
            await self._layers(scope, receive, send)
            return
        if scope["method"] not in ("GET", "HEAD"):
            given = self._not_allowed
        await send(given.start)
        await send(given.body)

    def _read_once_started(self, send: Send) -> Send:
        async def started(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self.read()  # The first probe finds an answer on its way.
            await send(message)

        return started

    def read(self) -> asyncio.Task[Answer]:
        """Start a reading, or join the one under way."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        return self._reading

    async def _read(self) -> Answer:
        checks: Mapping[str, Check] = getattr(getattr(self._app, "state", None), "health_checks", {})
        readings = await asyncio.gather(*(self._check(name, check) for name, check in checks.items()))
        status = "fail" if any(reading["status"] == "fail" for reading in readings) else "pass"
        content: dict[str, Any] = {"status": status, **self._identity}
        if readings:
            pairs = zip(checks, readings, strict=True)
            content["checks"] = {f"{name}:responseTime": [reading] for name, reading in pairs}
        self._ready = answer(200 if status == "pass" else 503, content)
        self._expires = time.monotonic() + MAX_AGE[status]
        return self._ready

    async def _check(self, name: str, check: Check) -> dict[str, Any]:
        now, started = datetime.now(UTC), time.perf_counter()
        task = self._tasks.get(name)
        if task is None or task.done():  # One that has not come back yet is waited for again, not doubled.
            task = self._tasks[name] = asyncio.create_task(run(check))
        await asyncio.wait({task}, timeout=TIMEOUT)
        reading: dict[str, Any] = {
            "status": "pass",
            "time": now.isoformat(timespec="milliseconds"),
            "observedValue": round((time.perf_counter() - started) * 1000, 1),
            "observedUnit": "ms",
        }
        output = cause = None
        if not task.done():
            output = f"no answer within {TIMEOUT} s"
        elif task.cancelled():
            output = "the check was cancelled"
        elif error := task.exception():
            # Only a message that was written for the public leaves the service.
            output = str(error.detail) if isinstance(error, HTTPException) else type(error).__name__
            cause = " ".join(repr(error.__cause__ or error).split())
        if output:
            reading.update(status="fail", output=output)
        if output != self._outputs.get(name):
            level = logging.WARNING if output else logging.INFO
            logger.log(level, "%s: %s", name, output or "works again", extra={"fields": {"cause": cause}})
            self._outputs[name] = output
        return reading
