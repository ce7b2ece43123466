"""The frontend's way to its backend: requests arrive as they were sent, answers of any kind do no harm."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow_containers.checks import build
from taskflow_containers.engine.client import Engine, substitutes
from taskflow_containers.project.load import load
from taskflow_containers.smoke.running import Running
from taskflow_containers.smoke.stack import Stack
from taskflow_containers.workspace import Workspace

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("sample")]

# A backend that says what it was asked, and misbehaves where its health is asked in that way.
BACKEND = """
import json, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

arrived = threading.Event()

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        if self.path == "/switching/api/health" or self.path == "/api/switching":
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: x\\r\\nConnection: upgrade\\r\\n\\r\\n")
            self.close_connection = True
            return
        if self.path == "/api/echo":
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: upgrade\\r\\n\\r\\n")
            self.wfile.write(self.rfile.readline())
            self.close_connection = True
            return
        if self.path == "/api/stream":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"data: 1\\n")
            arrived.wait(20)
            self.wfile.write(b"data: 2\\n")
            self.close_connection = True
            return
        if self.path == "/api/reason":
            self.wfile.write(b"HTTP/1.1 200 a\\x01b\\r\\nContent-Length: 0\\r\\n\\r\\n")
            return
        if self.path == "/api/arrived":
            arrived.set()
        length = int(self.headers.get("Content-Length", 0))
        said = {"target": self.path, "headers": dict(self.headers), "body": self.rfile.read(length).decode()}
        body = json.dumps(said).encode()
        if self.path == "/odd/api/health":
            body = b'{"status": {"a": 1}, "checks": {}}'
        if self.path == "/huge/api/health":
            body = b'{"status": "' + b"x" * 300_000_000
        self.send_response(307 if self.path == "/api/moved" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Location", "//fake:8000/api/time")
        self.send_header("Content-Disposition", self.headers.get("Content-Disposition", "inline"))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_HEAD = answer

ThreadingHTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def stack(own: Path, engine: Engine) -> Iterator[Stack]:
    """A network with that backend on it, called `fake`."""
    project = load(own / "taskflow.toml")
    base = project.containers["backend"].base
    with Stack(Workspace(own, project, engine)) as made:
        name = f"{made.id}-fake"
        network = ["--network", made.id, "--network-alias", "fake"]
        image = substitutes().get(base, base)
        engine.call("run", "--detach", "--name", name, *network, image, "python", "-c", BACKEND)
        try:
            yield made
        finally:
            engine.call("rm", "--force", name)


def start(stack: Stack, own: Path, engine: Engine, instance: str, **more: str) -> Running:
    """A frontend whose backend has its paths below the instance's name."""
    (image,) = build.build(Workspace(own, stack.project, engine), ["frontend"])
    url = {
        "API_URL": f"http://fake:8000/{instance}".removesuffix("/proxy").removesuffix("/strict")
    } | more
    target = stack.workspace.target("frontend", image.id)
    running = stack.launch(target, instance=instance, environment=url)
    running.wait()
    return running


@pytest.fixture(scope="module")
def frontend(stack: Stack, own: Path, engine: Engine) -> Iterator[Running]:
    running = start(stack, own, engine, "proxy")
    yield running
    stack.discard(running)


def ask(
    frontend: Running, target: str, method: str = "GET", body: str | None = None, **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = frontend.connect(20)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        if body is not None:
            headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders(None if body is None else body.encode())
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    "target",
    [
        "/api/x?q=%ff", "/api/x?flag", "/api/x?q=%20", "/api/x?sig=a/b:c~", "/api/x?nxtPpath=evil",
        "/api/x?a=1&a=2", "/api/x?", "/api/a%20b%2Bc/", "/api/health",
    ],
)  # fmt: skip
def test_a_request_target_arrives_as_it_was_sent(frontend: Running, target: str) -> None:
    status, _, body = ask(frontend, target)
    assert status == 200
    assert json.loads(body)["target"] == target


def test_the_backend_hears_for_whom_the_frontend_asks(
    stack: Stack, own: Path, engine: Engine, frontend: Running
) -> None:
    """Who is not trusted cannot say so itself."""
    strict = start(stack, own, engine, "strict", FORWARDED_ALLOW_IPS="")
    said = {"X_Forwarded_For": "192.0.2.7", "X_Forwarded_Host": "shop.example", "X_Real_IP": "::9"}
    heard = []
    for asked in (frontend, strict):
        _, _, body = ask(asked, "/api/x", X_Forwarded_Proto="https", **said)
        headers = json.loads(body)["headers"]
        heard.append({k.lower(): v for k, v in headers.items() if k.lower().startswith("x-")})
    believed, replaced = heard
    peer = replaced["x-forwarded-for"]
    assert ipaddress.ip_address(peer)
    assert believed == {
        "x-forwarded-for": f"192.0.2.7, {peer}",
        "x-forwarded-host": "shop.example",
        "x-forwarded-proto": "https",
        "x-real-ip": "::9",
    }
    assert "shop.example" not in replaced["x-forwarded-host"]
    assert replaced["x-forwarded-proto"] == "http"
    assert "x-real-ip" not in replaced
    stack.discard(strict)


def test_a_websocket_and_a_stream_reach_the_browser_at_once(frontend: Running) -> None:
    with socket.create_connection((frontend.engine.host, frontend.port), 20) as connection:
        connection.sendall(
            b"GET /api/echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        reader = connection.makefile("rb")
        assert reader.readline() == b"HTTP/1.1 101 Switching Protocols\r\n"
        while reader.readline() != b"\r\n":
            pass
        connection.sendall(b"ping\n")
        assert reader.readline() == b"ping\n"
    with contextlib.closing(frontend.connect(20)) as stream:
        # The backend sends no more until it is told that this has arrived.
        stream.request("GET", "/api/stream")
        response = stream.getresponse()
        assert response.readline() == b"data: 1\n"
        assert ask(frontend, "/api/arrived")[0] == 200
        assert response.readline() == b"data: 2\n"


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("name", [b"\xe9.pdf", "é.pdf".encode()])
def test_a_header_arrives_as_the_bytes_it_was_sent_as(
    frontend: Running, method: str, name: bytes
) -> None:
    """The name of a file, behind a length, is what Node.js has rules of its own for."""
    sent = f'attachment; filename="{name.decode("latin-1")}"'
    length = {"Content_Length": "0"} if method == "POST" else {}
    status, headers, _ = ask(frontend, "/api/x", method, **length, Content_Disposition=sent)
    assert (status, headers["Content-Disposition"]) == (200, sent)


def test_a_post_that_offers_another_protocol_is_answered(frontend: Running) -> None:
    offer = {"Connection": "Upgrade", "Upgrade": "websocket"}
    status, _, body = ask(frontend, "/api/x", "POST", body="all", **offer)
    assert (status, json.loads(body)["body"]) == (200, "all")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_body_that_is_not_passed_on_takes_no_other_request(
    frontend: Running, method: str
) -> None:
    """Its length alone would make the backend take the next request for the body."""
    for _ in range(3):
        status, _, _ = ask(frontend, "/api/x", method, body="abcdefgh")
        assert status == 400
        status, _, body = ask(frontend, "/api/y", "POST", body="all")
        assert (status, json.loads(body)["body"]) == (200, "all")


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/api/%", 400),
        ("GET", "/api/%ff", 400),
        ("GET", "/api/x/%2e%2e/y", 400),
        ("OPTIONS", "*", 400),
        ("TRACE", "/api/x", 405),
        ("GET", "/api/switching", 502),
        ("GET", "/api/reason", 502),
    ],
)
def test_what_is_refused(frontend: Running, method: str, target: str, status: int) -> None:
    assert ask(frontend, target, method)[0] == status


def test_a_redirect_does_not_tell_the_backends_address(frontend: Running) -> None:
    status, headers, _ = ask(frontend, "/api/moved")
    assert (status, headers["Location"]) == (307, "/api/time")


@pytest.mark.parametrize("kind", ["switching", "huge", "odd"])
def test_a_health_answer_of_any_kind_does_no_harm(
    stack: Stack, own: Path, engine: Engine, kind: str
) -> None:
    frontend = start(stack, own, engine, kind)
    for _ in range(2):
        answer = frontend.get("/", 10)
        assert answer.status == 200
        assert b"Backend away" in answer.body
    assert frontend.alive()
    stack.discard(frontend)


def test_a_connection_without_a_request_does_not_hold_up_the_stop(
    stack: Stack, own: Path, engine: Engine
) -> None:
    frontend = start(stack, own, engine, "opened")
    with socket.create_connection((engine.host, frontend.port)):
        assert frontend.get("/health").status == 200
        seconds, code = frontend.stop(20)
    assert code in {0, 143}
    assert seconds < 5, "STOP_SECONDS is 7: it waited for a request that nobody sent"
