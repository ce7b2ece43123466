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
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from inspect import isawaitable, iscoroutinefunction
from typing import Any

from container.settings import Settings

# ASGI's types, of our own: no framework is presumed, nor the version of one.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class Answer:
    """A response that was encoded once and can be sent many times."""

    def __init__(self, status: int, content_type: str, text: str, headers: Mapping[str, str]) -> None:
        self._status, self._body = status, text.encode()
        named = {**headers, "content-length": str(len(self._body)), "content-type": content_type}
        self._headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; of a HEAD request's answer the server leaves out the body."""
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body})


LIVE, READY = "/api/health/live", "/api/health"
TIMEOUT = 0.8  # seconds a check has to answer: below what any probe allows
MAX_AGE = {"pass": 2.0, "fail": 1.0}  # seconds a reading holds

CHECKS: dict[str, "Check"] = {}  # of what starts an application that names none

logger = logging.getLogger(__name__)
Check = Callable[[], object]


async def run(check: Check) -> None:
    """Run a check; one that is no coroutine function would hold up all requests, and gets a thread."""
    result = check() if iscoroutinefunction(check) else await asyncio.to_thread(check)
    if isawaitable(result):
        await result


class Health:
    """An ASGI layer that answers the health requests and passes on the others."""

    def __init__(self, layers: ASGIApp, app: object, settings: Settings) -> None:
        self._layers, self._app = layers, app
        names = {"version": "taskflow_version", "releaseId": "taskflow_revision", "serviceId": "taskflow_title"}
        self._identity = {key: getattr(settings, name) for key, name in names.items()}
        self._live = self._answer("pass")
        self._reading: asyncio.Task[Answer] | None = None
        self._expires = 0.0
        self._running: dict[str, asyncio.Task[None]] = {}
        self._outputs: dict[str, str | None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", "")) if scope["type"] == "http" else None
        answer: ASGIApp = self._layers
        if path in (LIVE, READY) and scope["method"] not in ("GET", "HEAD"):
            answer = Answer(405, "text/plain; charset=utf-8", "GET or HEAD only", {"allow": "GET, HEAD"})
        elif path == LIVE:
            answer = self._live
        elif path == READY:
            if self._reading is None or (self._reading.done() and time.monotonic() >= self._expires):
                self._reading = asyncio.create_task(self._read())
            answer = await asyncio.shield(self._reading)
        await answer(scope, receive, send)

    def _answer(self, status: str, **checks: object) -> Answer:
        """Encode a response once, to be sent many times."""
        content = {"status": status, **self._identity, **checks}
        code = 503 if status == "fail" else 200
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        return Answer(code, "application/health+json", body, {"cache-control": "no-store"})

    async def _read(self) -> Answer:
        checks: Mapping[str, Check] = getattr(getattr(self._app, "state", None), "health_checks", CHECKS)
        readings = await asyncio.gather(*(self._check(name, check) for name, check in checks.items()))
        status = "fail" if any(reading["status"] == "fail" for reading in readings) else "pass"
        self._expires = time.monotonic() + MAX_AGE[status]
        said = {f"{name}:responseTime": [reading] for name, reading in zip(checks, readings, strict=True)}
        return self._answer(status, **({"checks": said} if said else {}))

    async def _check(self, name: str, check: Check) -> dict[str, Any]:
        now, started = datetime.now(UTC), time.perf_counter()
        task = self._running.get(name)
        if task is None or task.done():  # One that has not come back yet is waited for again, not doubled.
            task = self._running[name] = asyncio.create_task(run(check))
        await asyncio.wait({task}, timeout=TIMEOUT)
        output = cause = None
        if not task.done():
            output = f"no answer within {TIMEOUT} s"
        elif task.cancelled():
            output = "the check was cancelled"
        elif error := task.exception():
            # Only a message that was written for the public leaves the service.
            # Starlette's and Litestar's HTTPException have both; Django's and others' errors have neither.
            public = hasattr(error, "status_code") and getattr(error, "detail", None)
            output = str(public) if public else type(error).__name__
            cause = " ".join(repr(error.__cause__ or error).split())
        if output != self._outputs.get(name):
            level = logging.WARNING if output else logging.INFO
            logger.log(level, "%s: %s", name, output or "works again", extra={"cause": cause})
            self._outputs[name] = output
        return {
            "status": "fail" if output else "pass",
            "time": now.isoformat(timespec="milliseconds"),
            "observedValue": round((time.perf_counter() - started) * 1000, 1),
            "observedUnit": "ms",
            **({"output": output} if output else {}),
        }
