"""The PostgreSQL database: its settings, connections, health check and a route that uses it."""

import asyncio
import os
import re
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Annotated, Any, Literal, Self

import psycopg
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import JSONResponse
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo, timeout_from_conninfo
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel, SecretStr, field_validator

from app.settings import FromEnvironment

CONNECT_SECONDS = 5  # to connect, unless the URL says connect_timeout: more than a sleeping Neon takes to wake up
QUERY_SECONDS = 4.5  # for all a request does with its connection; with the above it is answered within 10 s
PING_SECONDS = 0.5  # for the round trip that proves a connection works
SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # the 8 bytes a PostgreSQL client opens with
# Options that are read as numbers, and only once there is an address.
NUMBERS = re.compile("connect_timeout|keepalives(_count|_idle|_interval)?|tcp_user_timeout")
# How SQLAlchemy's URLs name psycopg 3; libpq knows no drivers.
DRIVER = re.compile(r"(?<=^postgresql)\+psycopg(_async)?(?=://)")

type Connection = psycopg.AsyncConnection[tuple[Any, ...]]


def refused_options(parts: Mapping[str, Any]) -> list[str]:
    """Name the options whose values would make every connection fail."""
    found = [key for key in parts if NUMBERS.fullmatch(key) and not re.fullmatch("[+-]?[0-9]{1,9}", str(parts[key]))]
    addresses = str(parts.get("hostaddr") or "")
    for address in filter(None, addresses.split(",")):
        try:
            socket.getaddrinfo(address, None, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            found.append("hostaddr")
    # libpq examines the others before it connects: let it start on sockets that cannot be there, not on the network.
    hosts = ",".join("/dev/null" for _ in (addresses or str(parts.get("host"))).split(","))
    attempt = pq.PGconn.connect_start(make_conninfo(**{**parts, "host": hosts, "hostaddr": None}).encode())
    complaint = attempt.get_error_message()
    attempt.finish()
    if not complaint.startswith("connection to server on socket"):
        found += [key for key in parts if re.search(rf"\b{key}\b", complaint)] or ["one that does not go with others"]
    return found


def can_be_looked_up(name: str) -> bool:
    """Tell whether a host's name is one for DNS; a socket's folder needs no look-up."""
    try:
        return name[:1] == "/" or bool(name.encode("idna"))
    except UnicodeError:  # an empty label, or one of more than 63 characters
        return False


class DatabaseSettings(FromEnvironment):
    """Where the database is, and how its health is checked."""

    database_url: SecretStr
    # `handshake` sends no query while the last one worked, so that a serverless database may go to sleep.
    health_database_check: Literal["handshake", "query"] = "handshake"

    @field_validator("database_url")
    @classmethod
    def _is_a_database_url(cls, value: SecretStr) -> SecretStr:
        url = DRIVER.sub("", value.get_secret_value())
        if re.search(r"\s", url):
            raise ValueError("has white space in it")
        if url[0] in "\"'" or url[-1] in "\"'":
            raise ValueError("has quotes around it: remove them")
        if re.match(r"postgres(ql)?\+\w+://", url):
            raise ValueError("names another driver than psycopg: it must start with postgresql://")
        if not re.match(r"postgres(ql)?://", url):
            raise ValueError("must start with postgresql://")
        try:
            parts = conninfo_to_dict(url)
        except psycopg.ProgrammingError as error:
            if re.search(r"invalid URI query parameter", str(error)):
                raise ValueError("has an option that PostgreSQL does not know") from None
            raise ValueError("is not a PostgreSQL URL (percent-encode special characters)") from None
        host = str(parts.get("host") or parts.get("hostaddr") or "")
        for given, what in ((host, "host"), (parts.get("user"), "user"), (parts.get("dbname"), "database")):
            if not given:
                raise ValueError(f"names no {what}")
        if not re.fullmatch(r"[\w.:,%/-]+", host):
            raise ValueError("has a malformed host (percent-encode special characters of the password)")
        if not all(map(can_be_looked_up, host.split(","))):
            raise ValueError("has a host with an empty or overlong part")
        for port in filter(None, str(parts.get("port") or 5432).split(",")):
            if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
                raise ValueError("has a port that is not a number from 1 to 65535")
        if options := refused_options(parts):
            raise ValueError(f"has an option with a wrong value: {', '.join(options)}")
        return value


def hang_up(connection: Connection) -> None:
    """End a connection whose server does not answer; cancelling would wait for that very server."""
    if not connection.closed:
        with socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
            duplicate.shutdown(socket.SHUT_RDWR)


@asynccontextmanager
async def time_limit(connection: Connection, seconds: float) -> AsyncIterator[None]:
    """Hang up when the block takes longer than this."""
    timer = asyncio.get_running_loop().call_later(seconds, hang_up, connection)
    try:
        yield
    finally:
        timer.cancel()


async def ping(connection: Connection) -> None:
    """Prove that the connection works."""
    async with time_limit(connection, PING_SECONDS):
        await connection.execute("SELECT 1")


class Database:
    """Connections on demand: none at the start, none that stays idle for long."""

    name = "database"

    def __init__(self) -> None:
        settings = DatabaseSettings()
        url = DRIVER.sub("", settings.database_url.get_secret_value())
        given = conninfo_to_dict(url)
        self._host, self._port = str(given.get("hostaddr") or given["host"]), str(given.get("port") or 5432)
        # Only one TCP address can be asked for a handshake; a socket file or a list of hosts is asked by query.
        self._handshakes = settings.health_database_check == "handshake" and not re.search("[/,]", self._host)
        self._known_good = False
        self._waiting: set[asyncio.Timeout] = set()
        self._conninfo = make_conninfo(url, connect_timeout=given.get("connect_timeout") or CONNECT_SECONDS)
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            self._conninfo,
            kwargs={"autocommit": True, "prepare_threshold": None},  # None: poolers do not keep statements.
            min_size=0,
            max_size=5,
            max_idle=30,  # Neon ends connections that idle for 300 s: be earlier.
            max_lifetime=270,
            timeout=timeout_from_conninfo(conninfo_to_dict(self._conninfo)),  # A request waits for as long.
            reconnect_timeout=0,  # No growing pauses between attempts: the next request tries anew.
            reconnect_failed=self._give_up,
            check=ping,
            open=False,
        )

    async def __aenter__(self) -> Self:
        await self._pool.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close(timeout=0.5)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection in autocommit mode; `connection.transaction()` groups statements.

        Raises:
            psycopg.OperationalError: the database is away, or ended the connection.
        """
        try:
            async with AsyncExitStack() as lent:
                connection = await self._borrow(lent)
                await lent.enter_async_context(time_limit(connection, QUERY_SECONDS))
                yield connection
        except psycopg.OperationalError:
            self._known_good = False
            raise

    async def _borrow(self, lent: AsyncExitStack) -> Connection:
        """Take a connection from the pool, unless the pool gives up before."""
        try:
            async with asyncio.timeout(None) as limit:
                self._waiting.add(limit)
                return await lent.enter_async_context(self._pool.connection())
        except TimeoutError as error:
            raise psycopg.OperationalError("no connection could be made") from error
        finally:
            self._waiting.discard(limit)

    async def _give_up(self, pool: AsyncConnectionPool[Connection]) -> None:
        """Answer who waits for a connection when none could be made and none is out that may come back."""
        if not pool.get_stats()["pool_size"]:
            while self._waiting:
                self._waiting.pop().reschedule(0)

    async def check(self) -> None:
        """Shake hands; query when the last check failed, or when every check shall."""
        try:
            # One that has no answer by then would not see that the database is back.
            async with asyncio.timeout(CONNECT_SECONDS):
                if self._handshakes:
                    await self._shake_hands()
                if not self._known_good:  # A connection of its own tells at once why there is none.
                    async with await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                        await ping(connection)
                elif not self._handshakes:
                    async with self.connection():  # The pool pings before it lends.
                        pass
        except (OSError, psycopg.Error) as error:
            self._known_good = False
            reason = "cannot be reached" if isinstance(error, OSError) else "does not accept connections"
            if isinstance(error, TimeoutError | psycopg.errors.ConnectionTimeout):
                reason = "does not answer"
            raise HTTPException(503, f"the database {reason}") from error  # The detail is public.
        self._known_good = True

    async def _shake_hands(self) -> None:
        """Ask whether the server speaks TLS: it answers without a session, and Neon's without waking up."""
        async with asyncio.timeout(PING_SECONDS):
            # A name may have an IPv6 address that is dead besides its IPv4 one: do not wait for it alone.
            reader, writer = await asyncio.open_connection(self._host, int(self._port), happy_eyeballs_delay=0.1)
            try:
                writer.write(SSL_REQUEST)
                if await reader.read(1) not in (b"S", b"N"):
                    raise ConnectionError("not a PostgreSQL server")
            finally:
                writer.transport.abort()


async def unavailable(_: Request, __: Exception) -> JSONResponse:
    """Say that the database is away, and nothing more (RFC 9457)."""
    problem = {"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": "database unavailable"}
    return JSONResponse(problem, 503, {"Retry-After": "2"}, "application/problem+json")


async def connection(request: Request) -> AsyncIterator[Connection]:
    """Give a route its connection."""
    async with request.app.state.database.connection() as lent:
        yield lent


router = APIRouter(prefix="/api")


class DatabaseFacts(BaseModel):
    """What the database says about itself."""

    now: datetime
    version: str


@router.get("/database")
async def database_facts(connection: Annotated[Connection, Depends(connection)]) -> DatabaseFacts:
    """Ask the database for its time and version."""
    cursor = await connection.execute("SELECT now(), current_setting('server_version')")
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("the database returned no row")
    return DatabaseFacts(now=row[0], version=row[1])
