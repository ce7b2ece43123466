"""The database: which addresses are accepted, and, where DATABASE_URL names one, a real server."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from fastapi import FastAPI, HTTPException
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from app.database import Database, DatabaseSettings, router, unavailable
from container.health import READY, Health
from container.settings import Settings, explain

GOOD = "postgresql://user:pass%40word@host:5432/name"
real_database = pytest.mark.skipif("DATABASE_URL" not in os.environ, reason="DATABASE_URL names no database")


def complaint(url: str | None, monkeypatch: pytest.MonkeyPatch) -> str:
    if url is None:
        monkeypatch.delenv("DATABASE_URL", raising=False)
    else:
        monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(ValidationError) as raised:
        DatabaseSettings()
    return explain(raised.value)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (None, "is missing or empty"),
        ("", "is missing or empty"),
        ("   ", "has white space in it"),
        (GOOD + "\n", "has white space in it"),
        (f'"{GOOD}"', "has quotes around it: remove them"),
        ("secret", "must start with postgresql://"),
        ("mysql://user:secret@host/name", "must start with postgresql://"),
        (
            "postgresql+asyncpg://user:secret@host/name",
            "names another driver than psycopg: it must start with postgresql://",
        ),
        (
            "postgresql+psycopg2://user:secret@host/name",
            "names another driver than psycopg: it must start with postgresql://",
        ),
        (
            "postgres+psycopg://user:secret@host/name",
            "names another driver than psycopg: it must start with postgresql://",
        ),
        ("postgresql+psycopg://user:secret@/name", "names no host"),
        ("postgresql+psycopg:/user:secret@host/name", "must start with postgresql://"),
        ("postgresql://user:secret@/name", "names no host"),
        ("postgresql://host/name", "names no user"),
        ("postgresql://user:secret@host", "names no database"),
        ("postgresql://user:secret@host:port/name", "has a port that is not a number from 1 to 65535"),
        ("postgresql://user:secret@host:70000/name", "has a port that is not a number from 1 to 65535"),
        (
            "postgresql://user:sec@ret@host/name",
            "has a malformed host (percent-encode special characters of the password)",
        ),
        (
            "postgresql://user:secret@host/name?nonsense=1",
            "has an option that PostgreSQL does not know",
        ),
        ("postgresql://user:secret@[host/name", "is not a PostgreSQL URL (percent-encode special characters)"),
        ("postgresql://user:secret@a..b/name", "has a host with an empty or overlong part"),
        (f"postgresql://user:secret@{'a' * 64}.b/name", "has a host with an empty or overlong part"),
    ],
)
def test_bad_address(url: str | None, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert complaint(url, monkeypatch) == f"DATABASE_URL {reason}"


@pytest.mark.parametrize(
    "url",
    [
        GOOD,
        "postgres://user@host/name",
        "postgresql+psycopg://user:secret@host/name?sslmode=require",
        "postgresql+psycopg_async://user:secret@host/name",
        "postgresql://u:p@one:5432,two:5433/name?target_session_attrs=primary",
        "postgresql://user:secret@[::1]:5432/name",
        "postgresql://user:secret@/name?host=/var/run/postgresql",
        "postgresql://u:p@ep-x-1.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require",
        "postgresql://u:p@ep-x-1-pooler.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require",
    ],
)
def test_good_address(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    Database()


# Nothing listens there: psycopg comes as far as that with options in order, and not with others.
NOBODY = "postgresql://user:secret@127.0.0.1:1/name?"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("sslmode=s3cret", "sslmode"),
        ("sslmode=", "sslmode"),
        ("sslmode=require&channel_binding=requir", "channel_binding"),
        ("target_session_attrs=primery", "target_session_attrs"),
        ("gssencmode=x", "gssencmode"),
        ("sslnegotiation=x", "sslnegotiation"),
        ("sslnegotiation=direct&sslmode=prefer", "sslmode, sslnegotiation"),
        ("sslrootcert=system&sslmode=require", "sslmode, sslrootcert"),
        ("sslmode=x&sslmode=y", "sslmode"),
        ("load_balance_hosts=x", "load_balance_hosts"),
        ("require_auth=x", "require_auth"),
        ("ssl_min_protocol_version=x", "ssl_min_protocol_version"),
        (
            "ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.2",
            "one that does not go with others",
        ),
        ("service=nowhere", "service"),
        ("port=5432,5433", "port"),
        ("connect_timeout=abc", "connect_timeout"),
        ("keepalives=x", "keepalives"),
        ("keepalives=", "keepalives"),
        ("keepalives_idle=1s", "keepalives_idle"),
        ("tcp_user_timeout=x", "tcp_user_timeout"),
        ("hostaddr=localhost", "hostaddr"),
        ("connect_timeout=x&sslmode=y", "connect_timeout, sslmode"),
    ],
)
def test_bad_option(options: str, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert complaint(NOBODY + options, monkeypatch) == f"DATABASE_URL has an option with a wrong value: {named}"
    with pytest.raises(psycopg.Error) as refused:
        psycopg.connect(NOBODY + options)
    assert "Connection refused" not in str(refused.value)


@pytest.mark.parametrize("options", ["application_name=%zz", "application_name=%00", "sslmode"])
def test_malformed_options(options: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "is not a PostgreSQL URL (percent-encode special characters)"
    assert complaint(NOBODY + options, monkeypatch) == f"DATABASE_URL {reason}"


@pytest.mark.parametrize(
    "options",
    [
        "sslmode=require&channel_binding=require",
        "sslmode=verify-full&sslrootcert=system",
        "sslrootcert=system",
        "sslnegotiation=direct&sslmode=require",
        "connect_timeout=10&keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=3",
        "tcp_user_timeout=-1&application_name=a%20name",
        "target_session_attrs=read-write&load_balance_hosts=random",
        "hostaddr=127.0.0.1",
        "sslmode=require&sslmode=disable",
        "options=endpoint%3Dep-x-1",
    ],
)
def test_good_option(options: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", NOBODY + options)
    Database()
    with pytest.raises(psycopg.OperationalError, match="Connection refused"):
        psycopg.connect(NOBODY + options)


def test_an_address_is_judged_without_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("DATABASE_URL", f"postgresql://u:p@127.0.0.1:{server.getsockname()[1]}/name?sslmode=require")
        Database()
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_address_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "url").write_text(GOOD + "\n")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    assert DatabaseSettings().database_url.get_secret_value() == GOOD


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "is missing or empty"),
        ({"DATABASE_URL": f"{NOBODY}sslmode=s3cret"}, "has an option with a wrong value: sslmode"),
    ],
)
def test_start_without_a_usable_address_says_one_line(given: dict[str, str], reason: str) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": "src", **given}
    ended = subprocess.run(
        [sys.executable, "-m", "container"], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stdout) == (78, "")
    assert ended.stderr == f"backend: DATABASE_URL {reason}\n"


def test_a_server_that_hangs_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:  # It accepts connections and never says a word.
        monkeypatch.setenv("DATABASE_URL", f"postgresql://u:p@127.0.0.1:{mute.getsockname()[1]}/name")
        started = time.monotonic()
        with pytest.raises(HTTPException, match="does not answer"):
            asyncio.run(Database().check())
    assert time.monotonic() - started < 0.8


def test_a_database_that_is_away_gives_503_at_once(
    ask: Callable[..., httpx.Response], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", NOBODY + "connect_timeout=60")
    started = time.monotonic()
    response = ask(with_database(), "/api/database", times=10)
    assert time.monotonic() - started < 30
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == "database unavailable"


@real_database
def test_route(ask: Callable[..., httpx.Response]) -> None:
    response = ask(with_database(), "/api/database")
    assert response.status_code == 200, response.text
    assert response.json().keys() == {"now", "version"}


@real_database
@pytest.mark.parametrize("options", ["", "connect_timeout=10"])
def test_a_database_that_wakes_up(
    options: str, ask: Callable[..., httpx.Response], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request waits for it; readiness says meanwhile, and in time, that it is not there yet."""
    url = urlsplit(os.environ["DATABASE_URL"])
    awake = asyncio.Event()

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while part := await source.read(65536):
            target.write(part)
        target.close()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asyncio.get_running_loop().call_later(3, awake.set)
        await awake.wait()
        upstream, downstream = await asyncio.open_connection(url.hostname, url.port or 5432)
        await asyncio.gather(copy(reader, downstream), copy(upstream, writer), return_exceptions=True)

    listening = socket.create_server(("127.0.0.1", 0))
    netloc = f"{url.netloc.rpartition('@')[0]}@127.0.0.1:{listening.getsockname()[1]}"
    monkeypatch.setenv("DATABASE_URL", url._replace(netloc=netloc, query=options).geturl())
    statuses: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        named = FastAPI()
        named.state.health_checks = {"database": Database().check}
        health = Health(with_database(), named, Settings())
        async with await asyncio.start_server(pass_on, sock=listening), asyncio.TaskGroup() as tasks:
            tasks.create_task(health(scope, receive, send))
            transport = httpx.ASGITransport(health)
            async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=2) as client:
                while not awake.is_set():
                    statuses.append((await client.get(READY)).status_code)
                    await asyncio.sleep(0.2)

    response = ask(app, "/api/database")
    assert response.status_code == 200, response.text
    assert statuses[0] == 503


@real_database
@pytest.mark.parametrize("kind", ["handshake", "query"])
def test_check(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_DATABASE_CHECK", kind)

    async def twice() -> None:
        async with Database() as database:
            await database.check()
            await database.check()

    asyncio.run(twice())


def with_database() -> ASGIApp:
    """Make an application that opens its database with the first request, as no server is there to do it."""
    api, database = FastAPI(), Database()
    api.state.database = database
    api.include_router(router)
    api.add_exception_handler(psycopg.OperationalError, unavailable)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async with database:
            await api(scope, receive, send)

    return app
