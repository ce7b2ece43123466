"""Starts an application that was there before: once what it needs is set, and with a readiness that asks its databases.

TASKFLOW_NEEDS, which the image sets by taskflow.toml, names the variables: `NAME` must be there, `NAME=http` holds a
URL, `NAME=postgresql:database` leads to a PostgreSQL that is called database, and `NAME=host:database:PORT` holds its host,
and the variable PORT its port.
"""

import os
import signal
import sys

# As process 1 Python ignores SIGTERM until somebody handles it: before anything else is imported.
signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))

import asyncio  # noqa: E402
import re  # noqa: E402
from collections.abc import Callable, Mapping  # noqa: E402
from urllib.parse import urlsplit  # noqa: E402

SSL_REQUEST = bytes([0, 0, 0, 8, 4, 210, 22, 47])  # what a PostgreSQL client opens with
SCHEMES = {"http": "https?", "postgresql": r"postgres(ql)?(\+\w+)?"}


def fault(variable: str, kind: str, environment: Mapping[str, str]) -> str:
    """Say what is wrong with a variable, never its value; nothing where all is well."""
    value = environment.get(variable)
    if not value and not environment.get(f"{variable}_FILE"):
        return f"{variable} is missing or empty"
    if value and kind in SCHEMES and not re.match(rf"{SCHEMES[kind]}://[^\s/?#]", value):
        return f"{variable} is no URL of {'PostgreSQL' if kind == 'postgresql' else 'HTTP'}"
    return ""


def reaches(variable: str, port: str = "") -> Callable[[], object]:
    """Make a health check that opens PostgreSQL's handshake and sends no query: an idle database may go on sleeping."""

    async def check() -> None:
        value = os.environ.get(variable, "")
        url = urlsplit(value) if "://" in value else None
        host = url.hostname if url else value
        number = (url and url.port) or int(os.environ.get(port) or 5432)
        if value.startswith("/"):  # the folder of a socket on this machine
            reader, writer = await asyncio.open_unix_connection(f"{value}/.s.PGSQL.{number}")
        else:
            reader, writer = await asyncio.open_connection(host, number)
        try:
            writer.write(SSL_REQUEST)
            if await reader.read(1) not in (b"S", b"N"):
                raise ConnectionError("no PostgreSQL answers there")
        finally:
            writer.close()

    return check


def ours(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out what has a name of ours and is the application's own, in words of its own."""
    words = {
        "LOG_FORMAT": ("text", "json"),
        "LOG_LEVEL": ("debug", "info", "warning", "error", "critical"),
    }
    return {k: v for k, v in environment.items() if k not in words or v.lower() in words[k]}


def main(name: str) -> int:
    """Serve the application `module:attribute`; the exit code is 78 where something that it needs is not set."""
    from container.__main__ import main as serve
    from container.health import CHECKS

    faults = []
    for word in os.environ.get("TASKFLOW_NEEDS", "").split():
        variable, _, what = word.partition("=")
        kind, service, port = [*what.split(":"), "", ""][:3]
        faults.append(fault(variable, kind, os.environ))
        if service and os.environ.get(variable):
            CHECKS[service] = reaches(variable, port)
    if wrong := [one for one in faults if one]:
        print(
            f"{os.environ.get('TASKFLOW_TITLE') or 'backend'}: {'; '.join(wrong)}", file=sys.stderr
        )
        return 78  # EX_CONFIG of sysexits.h
    return serve(name, {"LOG_FORMAT": "json", **ours(os.environ)})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
