"""A registry that keeps blobs elsewhere: a login goes to the registry, and no further."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from taskflow_containers.release.web import send


class _Sends(BaseHTTPRequestHandler):
    """Sends one on to /storage, and notes which logins came where."""

    heard: dict[str, str | None]

    def do_GET(self) -> None:
        """Answer."""
        self.heard[self.path] = self.headers.get("Authorization")
        moved = self.path != "/storage"
        self.send_response(307 if moved else 200)
        if moved:
            self.send_header("Location", "/storage")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def heard() -> Iterator[dict[str, str | None]]:
    """What the server was told, under its port in "port"."""
    _Sends.heard = {}
    server = HTTPServer(("127.0.0.1", 0), _Sends)
    _Sends.heard["port"] = str(server.server_address[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield _Sends.heard
    server.shutdown()
    server.server_close()


def test_a_login_is_for_one_host(heard: dict[str, str | None]) -> None:
    url = f"http://127.0.0.1:{heard['port']}/v2/x/blobs/y"
    answer = send("GET", url, headers={"Authorization": "Basic eDp5", "Accept": "text/plain"})
    assert (answer.status, answer.json()) == (200, {})
    assert (heard["/v2/x/blobs/y"], heard["/storage"]) == ("Basic eDp5", None)
