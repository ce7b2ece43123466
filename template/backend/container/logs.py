"""Log lines on stdout: JSON, one object a line, in production, and text on a laptop."""

import json
import logging
import sys
import threading
import time
from datetime import UTC, datetime

from container.health import ASGIApp, Message, Receive, Scope, Send
from container.settings import Settings

access = logging.getLogger("container.access")
uvicorn_access = logging.getLogger("uvicorn.access")  # An application tells that one what to leave out.
# What any record has, and uvicorn's second wording for terminals.
COMMON = {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message"}


class JsonFormatter(logging.Formatter):
    """One record as one line, its traceback included; what a call gives as `extra` adds keys."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # its arguments do not fit
            message = f"cannot be logged: {record.msg!r}"
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
        }
        line |= {key: value for key, value in vars(record).items() if key not in COMMON and key not in line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, default=str, skipkeys=True)


def set_up_logs(settings: Settings) -> None:
    """Send every logger's records, warnings, and exceptions nobody caught, to stdout."""
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else text)
    handler.addFilter(lambda record: written_by_nobody_else(handler, record))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    log = logging.getLogger("app")
    sys.excepthook = lambda *error: log.critical("uncaught exception", exc_info=error)
    threading.excepthook = lambda hook: log.critical("uncaught exception", exc_info=hook.exc_value)
    sys.unraisablehook = lambda hook: log.error("%s", hook.err_msg or "exception ignored", exc_info=hook.exc_value)


def written_by_nobody_else(handler: logging.Handler, record: logging.LogRecord) -> bool:
    """Tell whether no handler of the application's own writes a record to the console: once is enough."""
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger:
        for one in logger.handlers:
            to_console = one is not handler and getattr(one, "stream", None) in (sys.stdout, sys.stderr)
            if to_console and record.levelno >= one.level and one.filter(record):
                return False
        logger = logger.parent
    return True


def hear_again() -> None:
    """Undo what an application's dictConfig does, unless it is told not to, to loggers made before it."""
    for name in ("app", "container.access", "container.health", "py.warnings", "uvicorn", "uvicorn.error"):
        logging.getLogger(name).disabled = False


class AccessLog:
    """An ASGI layer that writes one line per request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        access.filters = uvicorn_access.filters
        access.setLevel(uvicorn_access.level)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = time.perf_counter(), 500
        answered = 0.0

        async def note(message: Message) -> None:
            nonlocal answered, status
            status = message.get("status", status)
            await send(message)
            answered = time.perf_counter()  # What the application does in the background is no part of it.

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._app(scope, receive, note)
        finally:
            # The path as it was sent, so that it cannot break the line; no query, which may hold secrets.
            method, path = scope["method"], scope.get("raw_path", b"").decode("ascii", "replace")
            client = ":".join(map(str, scope.get("client") or ()))
            milliseconds = round(((answered or time.perf_counter()) - started) * 1000, 1)
            fields = {"method": method, "path": path, "status": status, "milliseconds": milliseconds}
            # In uvicorn's words and order, which filters read.
            words = (client, method, path, scope["http_version"], status)
            access.info('%s - "%s %s HTTP/%s" %d', *words, extra=fields)
