"""A limit is held to the time in which a container could run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from taskflow_containers.machine import cgroup
from taskflow_containers.machine.cgroup import Process
from taskflow_containers.machine.waiting import Connection, Starved, Watch
from taskflow_containers.smoke.answer import NO_ANSWER


class Waiting(Process):
    """A process that has been waiting for a CPU for a part of the time, in hundredths its ID."""

    def starved(self) -> float:
        return self.pid / 100 * time.monotonic()


def waiting(part: float) -> Process:
    return Waiting(int(part * 100), None, 0)


def test_a_watch_stands_still_while_a_container_waits() -> None:
    watch = Watch(waiting(0.75))
    while watch.wall < 0.2:
        time.sleep(0.01)
    assert watch.seconds < 0.5 * watch.wall
    assert watch.waited > 0.5 * watch.wall
    assert not watch.over(0.2)
    assert str(watch).startswith("waited 0.")


def test_who_does_not_wait_is_held_to_the_clock() -> None:
    watch = Watch(waiting(0))
    time.sleep(0.05)
    assert watch.over(0.04)


def test_nothing_can_be_said_of_who_never_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskflow_containers.machine.waiting._MORE", 0.0)
    watch = Watch(waiting(1))
    time.sleep(0.06)
    with pytest.raises(Starved, match=r"the machine was busy: waited 0\.\d of 0\.\d s for a CPU"):
        watch.over(0.01)


@pytest.mark.parametrize("version", [1, 2])
def test_pressure_is_read_where_the_kernel_keeps_it(tmp_path: Path, version: int) -> None:
    (tmp_path / "cpu.pressure").write_text(
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 total=9\n"
    )
    assert Process(0, tmp_path, version).starved() == 1.5
    assert cgroup.everybodys_wait() >= 0


class Slow(BaseHTTPRequestHandler):
    """Answers after so many seconds, or a byte of its body in each tenth of one."""

    def do_GET(self) -> None:
        words = self.path.strip("/").split("-")
        if words[0] == "after":
            time.sleep(float(words[1]))
        self.send_response(200)
        self.send_header("Content-Length", "20")
        self.end_headers()
        for _ in range(20):
            self.wfile.write(b"x")
            time.sleep(0.1 if words[0] == "drop" else 0)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def ask(port: int, path: str, limit: float, part: float) -> bytes:
    connection = Connection("127.0.0.1", port, limit, lambda: Watch(waiting(part)))
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/after-1", "/drop-by-drop"])
def test_an_answer_that_is_late_for_want_of_cpu_is_in_time(port: int, path: str) -> None:
    assert len(ask(port, path, 0.5, 0.95)) == 20
    with pytest.raises(NO_ANSWER):
        ask(port, path, 0.5, 0)
