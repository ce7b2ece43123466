"""The load of the cluster drills, as each runtime has it, on a server of this process."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers import cluster
from taskflow_containers.cluster.load import RATE
from taskflow_containers.machine.tools import node

HERE = Path(cluster.__file__).parent
PROBES = {
    "python": [sys.executable, "-c", (HERE / "probe.py").read_text()],
    "node": [str(node()), "-e", (HERE / "probe.cjs").read_text()],
}


@contextmanager
def served(late: float) -> Iterator[str]:
    """A server whose every answer is so many seconds late."""

    class Late(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            time.sleep(late)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 1000

    with Server(("127.0.0.1", 0), Late) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def loaded(runtime: str, url: str, seconds: float) -> dict[str, Any]:
    """What the probe says after so long a load."""
    with subprocess.Popen(
        [*PROBES[runtime], "load", str(RATE), url, url],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as probe:  # fmt: skip
        assert probe.stdout
        probe.stdout.readline()
        time.sleep(seconds)
        return dict(json.loads(probe.communicate()[0]))


@pytest.mark.parametrize("runtime", PROBES)
def test_what_answers_late_is_asked_less_and_has_not_failed(runtime: str) -> None:
    with served(late=1.5) as url:
        found = loaded(runtime, url, 6)
    assert found["failed"] == {}
    # 200, 200 and from the answers on 100, 50, 25; a busy machine sends fewer still.
    assert found["sent"] < 4 * RATE
    assert found["p50"] > 1.5
