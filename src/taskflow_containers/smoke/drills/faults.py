"""How a PostgreSQL fails, and how it comes back."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from taskflow_containers.smoke.postgres import Postgres

_KILL = "kill -INT $(head -1 $PGDATA/postmaster.pid)"
# pg_isready's 2: nobody listens any more; while it shuts down, it still shakes hands.
_STOP = (
    f"touch /tmp/down; {_KILL}; while pg_isready -q -h 127.0.0.1; [ $? -ne 2 ]; do sleep 0.05; done"
)
_LEFT = "SELECT count(*) FROM pg_stat_activity WHERE usename = '{role}'"
_CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"


@dataclass(frozen=True, slots=True)
class Fault:
    """How the database fails, and how it comes back."""

    name: str
    inject: Callable[[Postgres], object]
    heal: Callable[[Postgres], object]
    full: bool = False
    silent: bool = False  # only a connection notices: health need not fail before a request does
    brief: bool = False  # may be over before anybody asks
    freezes: bool = False  # needs an engine that can pause a container


def stop(database: Postgres) -> None:
    """Shut it down; its address stays, and nobody listens there."""
    database.shell(_STOP)


def start(database: Postgres) -> None:
    """Have it run again after `stop`."""
    database.shell("rm -f /tmp/down")
    database.wait()


def cut(database: Postgres) -> None:
    """End the connections of its ordinary role."""
    database.sql(_CUT.format(role=database.role))


def connected(database: Postgres) -> bool:
    """Whether its ordinary role has a connection."""
    return database.sql(_LEFT.format(role=database.role)) != "0"


def _alter(change: str) -> Callable[[Postgres], object]:
    """Change the role, and cut its connections, so that it has to make new ones."""

    def run(database: Postgres) -> None:
        own, other = database.password(database.role), secrets.token_hex(8)
        database.sql(f"ALTER ROLE {database.role} {change.format(own=own, other=other)}")
        cut(database)

    return run


FAULTS = (
    Fault("stopped", stop, start),
    Fault(
        "paused",
        lambda database: database.engine.pause(database.handle),
        lambda database: database.engine.unpause(database.handle),
        freezes=True,
    ),
    Fault(
        "password changed", _alter("PASSWORD '{other}'"), _alter("PASSWORD '{own}'"),
        full=True, silent=True,
    ),
    Fault(
        "connections exhausted", _alter("CONNECTION LIMIT 0"), _alter("CONNECTION LIMIT -1"),
        full=True, silent=True,
    ),
    Fault(
        "restarted", lambda database: database.shell(_KILL), Postgres.wait, full=True, brief=True
    ),
)  # fmt: skip
