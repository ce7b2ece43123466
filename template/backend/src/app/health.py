"""Health answers (draft-inadarei-api-health-check-06), given in front of the application.

`/api/health/live` says that the process answers and asks nobody. `/api/health` asks the components; a reading is
shared by all who wait for it and kept for a moment, so that probes cost next to nothing.
"""

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.settings import Settings

LIVE, READY = "/api/health/live", "/api/health"
TIMEOUT = 0.8  # seconds a component has to answer: below what any probe allows
MAX_AGE = {"pass": 2.0, "fail": 1.0}  # seconds a reading holds

logger = logging.getLogger(__name__)


class CheckError(Exception):
    """A component's check failed; the message is public, the cause goes to the log."""


class Checked(Protocol):
    """What the service depends on."""

    name: str

    async def check(self) -> None:
        """Return if the component works, raise if it does not."""


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


class Health:
    """An ASGI layer that answers the health requests and passes on the others."""

    def __init__(self, app: ASGIApp, components: Sequence[Checked], settings: Settings) -> None:
        self._app = app
        self._components = components
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
        self._checks: dict[str, asyncio.Task[None]] = {}
        self._outputs: dict[str, str | None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self.read()  # The first probe finds an answer on its way.
        path = scope["path"] if scope["type"] == "http" else None
        if path == READY:
            given = self._ready if time.monotonic() < self._expires else await asyncio.shield(self.read())
        elif path == LIVE:
            given = self._live
        else:
            await self._app(scope, receive, send)
            return
        if scope["method"] not in ("GET", "HEAD"):
            given = self._not_allowed
        await send(given.start)
        await send(given.body)

    def read(self) -> asyncio.Task[Answer]:
        """Start a reading, or join the one under way."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        return self._reading

    async def _read(self) -> Answer:
        readings = await asyncio.gather(*map(self._check, self._components))
        status = "fail" if any(reading["status"] == "fail" for reading in readings) else "pass"
        content: dict[str, Any] = {"status": status, **self._identity}
        if readings:
            pairs = zip(self._components, readings, strict=True)
            content["checks"] = {f"{component.name}:responseTime": [reading] for component, reading in pairs}
        self._ready = answer(200 if status == "pass" else 503, content)
        self._expires = time.monotonic() + MAX_AGE[status]
        return self._ready

    async def _check(self, component: Checked) -> dict[str, Any]:
        now, started = datetime.now(UTC), time.perf_counter()
        task = self._checks.get(component.name)
        if task is None or task.done():  # One that has not come back yet is waited for again, not doubled.
            task = self._checks[component.name] = asyncio.create_task(component.check())
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
            output = str(error) if isinstance(error, CheckError) else type(error).__name__
            cause = " ".join(repr(error.__cause__ or error).split())
        if output:
            reading.update(status="fail", output=output)
        if output != self._outputs.get(component.name):
            level = logging.WARNING if output else logging.INFO
            logger.log(level, "%s: %s", component.name, output or "works again", extra={"fields": {"cause": cause}})
            self._outputs[component.name] = output
        return reading
