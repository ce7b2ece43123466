"""A backend in one file of standard library, in order unless FAULT names what it does wrong."""

import json
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = set(os.environ.get("FAULT", "").split())
DATABASE = urlsplit(os.environ.get("DATABASE_URL", ""))
HOARD: list[bytes] = []
SEEN_DOWN = threading.Event()
LEAVING = threading.Event()


def database_answers() -> bool:
    """Ask PostgreSQL whether it speaks TLS: one byte back means that it is there."""
    if not DATABASE.hostname:
        return True
    try:
        with socket.create_connection((DATABASE.hostname, DATABASE.port or 5432), 1) as link:
            link.sendall(bytes.fromhex("0000000804d2162f"))
            return link.recv(1) in {b"S", b"N"}
    except OSError:
        return False


class Handler(BaseHTTPRequestHandler):
    """Health, liveness, and whatever FAULT makes of them."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer, unless the fault is not to."""
        if LEAVING.is_set() and "hangs-up" in FAULTS:
            self.close_connection = True
            return
        asks = self.path == "/api/health" or "live-asks-database" in FAULTS
        up = not asks or "constant-health" in FAULTS or database_answers()
        if "no-recovery" in FAULTS:
            up = up and not SEEN_DOWN.is_set()
            if not up:
                SEEN_DOWN.set()
        if "leak" in FAULTS:
            HOARD.append(os.urandom(2_000_000))
        status = 200
        body: object = {"status": "pass"}
        if self.path == "/api/health":
            detail = {} if "unnamed-check" in FAULTS else {"database": [{"status": "fail"}]}
            status, body = (200, body) if up else (503, {"status": "fail", "checks": detail})
        elif self.path == "/api/health/live":
            if "live-asks-database" in FAULTS and not up:
                status = 503
        else:
            status = 404
        if "no-liveness" in FAULTS and self.path == "/api/health/live":
            status = 404
        if "errors-under-load" in FAULTS and threading.active_count() > 6:
            status = 500
        if "not-json" in FAULTS:
            body = "fine"
        data = json.dumps(body).encode() if "not-json" not in FAULTS else b"<p>fine</p>"
        self.send_response(status)
        self.send_header("Content-Type", "application/health+json")
        self.send_header("Content-Length", str(len(data)))
        if LEAVING.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Daemon threads: an idle connection must not hold the process up."""

    daemon_threads = True
    request_queue_size = 64


def leave(*_: object) -> None:
    """Answer for another second, on each connection for the last time."""
    LEAVING.set()
    threading.Timer(1, os._exit, [0]).start()


if "crash" in FAULTS:
    sys.exit("DATABASE_URL is missing")
if "slow-start" in FAULTS:
    time.sleep(8)
signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in FAULTS else leave)
Server(("", 8000), Handler).serve_forever()
