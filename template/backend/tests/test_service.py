"""The service as a whole: routes, documentation, logs, its end, what it listens on, proxies, settings."""

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
from pydantic import ValidationError

from app.routes import router
from app.settings import Settings as AppSettings
from container.logs import AccessLog, JsonFormatter
from container.server import ForwardedHeaders, Server
from container.settings import Settings, SettingsError, explain


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
        from container.settings import Settings, explain

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
        from container.settings import Settings, explain

        async def app(scope, receive, send):
            pass

        async def serve():
            server = Server(app, Settings(shutdown_seconds={seconds}, port=0))
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


# Settings: variables, or files that hold their values; what is wrong is one line without the value.
VARIABLE = "OPENROUTER_API_KEY"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a file that the variable with `_FILE` names, and no variable."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv(f"{VARIABLE}_FILE", str(tmp_path / "key"))
    return tmp_path / "key"


def complaint(make: Callable[[], object] = AppSettings) -> str:
    with pytest.raises((ValidationError, SettingsError)) as raised:
        make()
    return explain(raised.value)


@pytest.mark.parametrize("content", ["secret", "secret\n", "secret\r\n"])
def test_value_from_a_file(file: Path, content: str) -> None:
    file.write_bytes(content.encode())
    key = AppSettings().openrouter_api_key
    assert key is not None
    assert key.get_secret_value() == "secret"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "names a file that cannot be read: No such file or directory"),
        (b"", "names an empty file"),
        (b"\n", "names an empty file"),
        (b"\xff\xfe", "names a file that is not text"),
    ],
)
def test_bad_file(file: Path, content: bytes | None, reason: str) -> None:
    if content is not None:
        file.write_bytes(content)
    assert complaint() == f"{VARIABLE}_FILE {reason}"


def test_both(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("secret")
    monkeypatch.setenv(VARIABLE, "other")
    assert complaint() == f"{VARIABLE}_FILE and {VARIABLE} are both set: keep one of them"


def test_an_empty_name_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{VARIABLE}_FILE", "")
    monkeypatch.setenv(VARIABLE, "secret")
    assert AppSettings().openrouter_api_key


def container_settings() -> Settings:
    return Settings.read(os.environ)


@pytest.mark.parametrize("value", ["*", "10.1.2.3", "10.0.0.0/8,::1, 192.168.0.0/16"])
def test_proxies(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", value)
    assert container_settings().forwarded_allow_ips == value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("frontend", "'frontend' does not appear to be an IPv4 or IPv6 network"),
        ("10.0.0.0/8,", "'' does not appear to be an IPv4 or IPv6 network"),
        ("10.0.0.1/8", "10.0.0.1/8 has host bits set"),
        ("*,10.0.0.1", "'*' does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_proxies_nobody_can_be(value: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", value)
    assert complaint(container_settings) == f"FORWARDED_ALLOW_IPS {reason}"


@pytest.mark.parametrize(("value", "path"), [("/shop", "/shop"), ("shop/", "/shop"), ("/", ""), ("", "")])
def test_root_path(value: str, path: str) -> None:
    assert Settings.read({"ROOT_PATH": value}).root_path == path


@pytest.mark.parametrize("level", ["debug", "Debug", "DEBUG"])
def test_log_level(level: str) -> None:
    assert Settings.read({"LOG_LEVEL": level}).log_level == "DEBUG"


def test_other_variables_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    monkeypatch.setenv("SHUTDOWN_SECONDS", "0")
    assert complaint(container_settings) == (
        "LOG_LEVEL: Input should be 'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'; "
        "SHUTDOWN_SECONDS: Input should be greater than or equal to 1"
    )
