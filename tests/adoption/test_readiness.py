"""What an adopted Python application's readiness asks, by the code that its image has, of real sockets."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT

SCRIPT = """
import asyncio, os, sys
sys.path[:0] = [sys.argv[1]]
import adopted

async def answer(reader, writer):
    assert await reader.readexactly(8) == adopted.SSL_REQUEST
    writer.write(sys.argv[2].encode())
    writer.close()

async def main():
    server = await asyncio.start_server(answer, sys.argv[3], 0)
    port = server.sockets[0].getsockname()[1]
    os.environ |= {"DB_URL": f"postgresql://{sys.argv[4]}:{port}/x", "DB_HOST": sys.argv[3], "DB_PORT": str(port), "CLOSED": "1"}
    async with server:
        await adopted.reaches(*sys.argv[5:])()

asyncio.run(main())
"""


def asked(answer: str, host: str, in_url: str, *variables: str) -> int:
    words = [str(ROOT / "adoption" / "python"), answer, host, in_url, *variables]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words], capture_output=True, check=False, timeout=30
    )
    return done.returncode


@pytest.mark.parametrize("variables", [("DB_URL",), ("DB_HOST", "DB_PORT")])
@pytest.mark.parametrize(("host", "in_url"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_a_database_is_asked_by_its_url_or_by_its_parts(
    variables: tuple[str, ...], host: str, in_url: str
) -> None:
    assert asked("N", host, in_url, *variables) == 0
    assert asked("?", host, in_url, *variables) == 1


def test_one_that_is_away_is_not_ready() -> None:
    assert asked("N", "127.0.0.1", "127.0.0.1", "DB_HOST", "CLOSED") == 1
