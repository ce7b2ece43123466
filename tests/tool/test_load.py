"""What the load calls a broken connection, against a server that ends one as uvicorn does."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest

from taskflow_containers.smoke.drills import load
from taskflow_containers.smoke.running import Running


class Handler(BaseHTTPRequestHandler):
    """Answers 500 on /raises, whole and without a word of it, and then closes the connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/cut":
            self.close_connection = True
            return
        self.send_response(500 if self.path == "/raises" else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
        self.close_connection = self.path == "/raises"

    def log_message(self, *given: Any) -> None:
        """Say nothing."""


class Container:
    """What the load needs of one: connections to it, and whether it runs."""

    def __init__(self, port: int) -> None:
        self.port = port

    def connect(self, seconds: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)

    def alive(self) -> bool:
        return True


@pytest.fixture
def container() -> Iterator[Running]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield cast("Running", Container(server.server_port))
        server.shutdown()


@pytest.mark.parametrize(
    ("path", "bad"), [("/raises", "500 on /raises"), ("/cut", "RemoteDisconnected on /cut")]
)
def test_only_the_request_that_failed_is_named(path: str, bad: str, container: Running) -> None:
    seen = load._Seen()
    load._round(container, ["/fine", path], 24, 2, seen)
    assert dict(seen.bad) == {bad: 12}
