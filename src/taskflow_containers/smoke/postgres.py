"""A short-lived PostgreSQL in a container, with roles as ordinary as one of production has."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field

from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.errors import MachineTrouble
from taskflow_containers.machine.process import last_line

_TIMEOUT = 120.0  # seconds; one that cannot start ends, and is not waited for
# Keeps the server's address while it is down, so that connections are refused, not lost. One that
# fails, as it does at once in an image without PostgreSQL, is not started again.
_SUPERVISOR = 'trap exit TERM; while :; do "$@" & wait $! || exit; while [ -e /tmp/down ]; do sleep 0.1; done; done'


@dataclass(frozen=True, slots=True)
class Postgres:
    """A service of taskflow.toml while it runs: `handle` in the engine, `host` on the network."""

    service: str
    engine: Engine
    handle: str
    host: str
    port: int
    database: str
    role: str
    _passwords: dict[str, str] = field(default_factory=dict)

    def start(self, image: str, options: list[str]) -> None:
        """Run it with the engine's `options` and wait until it takes connections.

        Raises:
            MachineTrouble: it does not come up.
        """
        entrypoint = (self.engine.image_config(image) or {}).get("Entrypoint") or []
        self.engine.call(
            "run", "--detach", "--name", self.handle, *options, "--env", "POSTGRES_USER=postgres",
            "--env", "POSTGRES_PASSWORD",
            "--env", f"POSTGRES_DB={self.database}", "--env", f"PGPORT={self.port}",
            "--env", "POSTGRES_INITDB_ARGS=--no-sync",
            "--entrypoint", "/bin/sh", image, "-c", _SUPERVISOR, "sh", *entrypoint, "postgres",
            "-c", "log_connections=on", "-c", "log_line_prefix=%u@", "-c", "fsync=off",
            env={"POSTGRES_PASSWORD": secrets.token_urlsafe(16)},
        )  # fmt: skip
        self.wait()
        self.add_role(self.role)
        self.sql(f"ALTER DATABASE {self.database} OWNER TO {self.role}")

    def add_role(self, role: str, settings: str = "") -> None:
        """Add a user of the database; `settings` are further statements."""
        self._passwords[role] = secrets.token_urlsafe(16)
        self.sql(f"CREATE ROLE {role} LOGIN PASSWORD '{self.password(role)}'; {settings}")

    def password(self, role: str) -> str:
        """The password that a role was made with."""
        return self._passwords[role]

    def url(self, role: str = "", host: str = "") -> str:
        """The URL with which a role (the ordinary one) reaches it, or would by another name."""
        role = role or self.role
        return f"postgresql://{role}:{self.password(role)}@{host or self.host}:{self.port}/{self.database}"

    def sql(self, statement: str) -> str:
        """What a statement answers, run as the database's administrator."""
        words = [
            "psql",
            "--username=postgres",
            f"--dbname={self.database}",
            "-qAt",
            "-v",
            "ON_ERROR_STOP=1",
        ]
        # By its input: a password in a command line is everybody's to read.
        return self.engine.call(
            "exec", "--interactive", self.handle, *words, stdin=statement
        ).stdout.strip()

    def shell(self, script: str) -> None:
        """Run a script beside the server."""
        self.engine.call("exec", self.handle, "sh", "-c", script)

    def wait(self) -> None:
        """Wait until it answers over TCP (its set-up server listens on a socket only).

        Raises:
            MachineTrouble: it ended, or does not within two minutes.
        """
        ready = ["pg_isready", "--quiet", "--host=127.0.0.1", "--username=postgres",
                 f"--dbname={self.database}"]  # fmt: skip
        deadline = time.monotonic() + _TIMEOUT
        while self.engine.call("exec", self.handle, *ready, check=False).returncode:
            if not self.engine.state(self.handle).get("Running") or time.monotonic() > deadline:
                words = self.engine.call("logs", "--tail", "5", self.handle, check=False)
                raise MachineTrouble(
                    f"{self.service} did not come up: {last_line(words.stderr + words.stdout)}",
                    f"check services.{self.service} in taskflow.toml",
                )
            time.sleep(0.25)
