"""The service as a whole: routes, documentation, logs, its end, what it listens on, proxies in front."""

import asyncio
import errno
import json
import logging
import os
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request

from app.routes import router
from container.logs import AccessLog, JsonFormatter
from container.proxy import ForwardedHeaders
from container.server import Server
from container.settings import Settings


def api(*routers: APIRouter) -> FastAPI:
    made = FastAPI()
    for one in routers:
        made.include_router(one)
    return made


def test_time(ask: Callable[..., httpx.Response]) -> None:
    assert ask(api(router), "/api/time").json()["now"].endswith("Z")


def test_documentation(ask: Callable[..., httpx.Response]) -> None:
    assert "/api/time" in ask(api(router), "/openapi.json").json()["paths"]


def test_access_log(ask: Callable[..., httpx.Response], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ask(AccessLog(api(router)), "/api/time?token=secret")
    (line,) = [record for record in caplog.records if record.name == "container.access"]
    assert line.getMessage().endswith(' - "GET /api/time HTTP/1.1" 200')
    assert vars(line).items() >= {"method": "GET", "path": "/api/time", "status": 200}.items()


def test_a_traceback_is_one_line() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        record = logging.LogRecord("app", logging.ERROR, "", 0, "it %s", ("broke",), sys.exc_info())
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "it broke"
    assert "Traceback" in json.loads(line)["exception"]


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": "src"}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_every_line_is_json() -> None:
    done = run("""
        import logging, threading, warnings
        from container.logs import set_up_logs
        from container.settings import Settings

        set_up_logs(Settings(log_format="json"))
        logging.getLogger("x").info("%d of many", "one")
        logging.getLogger("x").info("where", stack_info=True, extra={"order": 7, "level": "high"})
        warnings.warn("first\\nsecond")
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
        class Gone:
            def __del__(self):
                raise ValueError("late")
        Gone()
        raise SystemError
    """)
    assert done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["level"] for line in lines] == ["info", "info", "warning", "critical", "error", "critical"]
    assert lines[0]["message"] == "cannot be logged: '%d of many'"
    assert "Stack" in lines[1].pop("stack")
    assert {key: lines[1][key] for key in lines[1] if key != "time"} == {
        "level": "info", "logger": "x", "message": "where", "order": 7,
    }  # fmt: skip
    assert "ZeroDivisionError" in lines[3]["exception"]


def ended(seconds: int, at_work: str) -> subprocess.CompletedProcess[str]:
    """Run a server that is asked to end, and has these seconds for it, while something is at work."""
    return run(f"""
        import asyncio, atexit, time
        from container.server import Server
        from container.settings import Settings

        async def app(scope, receive, send):
            pass

        async def serve():
            server = Server(app, Settings(shutdown_seconds={seconds}).model_copy(update={{"port": 0}}))
            loop = asyncio.get_running_loop()
            {at_work}
            loop.call_later(0.5, setattr, server, "should_exit", True)
            await server.serve()

        asyncio.run(serve())
    """)


def test_a_busy_thread_does_not_hold_up_the_end() -> None:
    done = ended(1, "loop.run_in_executor(None, time.sleep, 60)")
    assert done.returncode == 0, done.stderr


def test_what_an_application_does_at_its_end_has_the_rest_of_the_time() -> None:
    done = ended(30, 'atexit.register(print, "sent"); atexit.register(time.sleep, 1)')
    assert (done.returncode, done.stdout) == (0, "sent\n"), done.stderr


def families(settings: Settings) -> set[socket.AddressFamily]:
    """Start the server, say which families it listens by, and end it."""

    async def serve() -> set[socket.AddressFamily]:
        server = Server(FastAPI(), settings)
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        found = {one.family for listening in server.servers for one in listening.sockets}
        server.should_exit = True
        await serving
        return found

    return asyncio.run(serve())


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """Give a free port; the server's last resort would end the tests."""
    monkeypatch.setattr(threading.Timer, "start", lambda _: None)
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
def test_it_listens_on_both_families(port: int) -> None:
    assert families(Settings(port=port)) == {socket.AF_INET, socket.AF_INET6}


def test_it_listens_on_the_family_that_is_there(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class WithoutIPv6(socket.socket):
        def __init__(self, family: int = -1, *words: int) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, *words)

    monkeypatch.setattr(socket, "socket", WithoutIPv6)
    assert families(Settings(port=port)) == {socket.AF_INET}


def test_it_listens_on_one_address(port: int) -> None:
    assert families(Settings(port=port, listen_address="127.0.0.1")) == {socket.AF_INET}


asked = FastAPI()


@asked.get("/where")
async def where(request: Request) -> list[str]:
    return [str(request.url_for("where")), request.client.host if request.client else ""]


@pytest.mark.parametrize("trusted", ["10.0.0.0/8", "127.0.0.1, 10.1.2.3", "*"])
@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, ["http://backend:8000/where", "10.1.2.3"]),
        ({"host": "shop.example"}, ["https://shop.example/where", "203.0.113.7"]),
        ({"host": "shop.example:8443, inside"}, ["https://shop.example:8443/where", "203.0.113.7"]),
        ({"host": ""}, ["https://backend:8000/where", "203.0.113.7"]),
    ],
)
def test_a_trusted_proxy_is_believed(trusted: str, headers: dict[str, str], said: list[str]) -> None:
    assert told(trusted, headers and {"proto": "https", "for": "203.0.113.7", **headers}) == said


@pytest.mark.parametrize("trusted", ["127.0.0.1", "10.1.2.4", "192.168.0.0/16"])
def test_no_other_proxy_is_believed(trusted: str) -> None:
    headers = {"proto": "https", "for": "203.0.113.7", "host": "evil.example"}
    assert told(trusted, headers) == ["http://backend:8000/where", "10.1.2.3"]


def test_a_proxy_is_known_by_its_ipv6_address() -> None:
    headers = {"proto": "https", "for": "2001:db8::7", "host": "[2001:db8::1]:8443"}
    said = ["https://[2001:db8::1]:8443/where", "2001:db8::7"]
    assert told("10.0.0.0/8,fc00::/7", headers, client="fd00::3") == said


@pytest.mark.parametrize("path", ["/where", "/shop/where"])
def test_it_is_published_below_a_path_that_the_proxy_may_take_off(path: str) -> None:
    headers = {"proto": "https", "for": "203.0.113.7", "host": "example.com"}
    assert told("*", headers, path=path, root_path="/shop") == ["https://example.com/shop/where", "203.0.113.7"]


def told(
    trusted: str, headers: dict[str, str], client: str = "10.1.2.3", path: str = "/where", root_path: str = ""
) -> object:
    """Send a request from this address with these X-Forwarded-… headers."""

    async def send() -> httpx.Response:
        layer = ForwardedHeaders(asked, trusted, root_path)
        transport = httpx.ASGITransport(layer, client=(client, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://backend:8000") as browser:
            return await browser.get(path, headers={f"x-forwarded-{name}": value for name, value in headers.items()})

    return asyncio.run(send()).json()
