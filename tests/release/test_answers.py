"""Answers that nobody wants: cut short, a proxy's page, too busy. One line each, and patience."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from taskflow_containers.machine.errors import EnvironmentTrouble, Refused
from taskflow_containers.release import web
from taskflow_containers.release.forge import Forge
from taskflow_containers.release.registry import ImageRepository
from taskflow_containers.release.web import send
from tests.release.front import Answer, scripted

DIGEST = "sha256:" + "0" * 64
PAGE = (200, {"Content-Type": "text/html"}, b"\n<!DOCTYPE html>\n<html>\n<title>Log in</title>")
FORBIDDEN = (403, {"Content-Type": "text/html"}, b"<html>\n<h1>Blocked</h1>")
ABSENT = (404, {"Content-Type": "text/html"}, b"<html>\n<h1>No such page</h1>")
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
SILENT = b""
LIST: Answer = (200, {}, b"[]")
HALF: Answer = (200, {}, b'{"token":')
REALM = (401, {"WWW-Authenticate": 'Bearer realm="file:///etc/passwd"'}, b"")
NO_REALM = (401, {"WWW-Authenticate": "Bearer"}, b"")
CALLS: dict[str, Callable[[ImageRepository], object]] = {
    "digest": lambda there: there.digest("1"),
    "manifest": lambda there: there.manifest("1"),
    "require": lambda there: there.require("sha256:1", "1"),
    "publish": lambda there: there.publish(DIGEST, "1", fixed=True),
    "may push": lambda there: there.may_push(),
    "unmoved": lambda there: there.unmoved("1", ["latest"]),
}


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it would have been waited."""
    made: list[float] = []
    monkeypatch.setattr("time.sleep", made.append)
    monkeypatch.setenv("DOCKER_CONFIG", "/nowhere")
    return made


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "answer", [PAGE, FORBIDDEN, ABSENT, SHORT, SILENT, LIST, HALF, REALM, NO_REALM]
)
def test_a_registry_answers_something_else(call: str, answer: bytes | Answer) -> None:
    with (
        scripted(answer) as server,
        pytest.raises((EnvironmentTrouble, Refused)) as caught,
    ):
        CALLS[call](server.repository())
    assert "\n" not in caught.value.message
    # What somebody can mend, or what passes: nothing is refused for good because of a page.
    if answer in (PAGE, ABSENT, SHORT, SILENT, REALM, NO_REALM):
        assert isinstance(caught.value, EnvironmentTrouble)


@pytest.mark.parametrize("gitlab", [False, True])
@pytest.mark.parametrize("answer", [PAGE, FORBIDDEN, SHORT, SILENT, HALF])
def test_a_forge_answers_something_else(gitlab: bool, answer: bytes | Answer) -> None:
    with scripted(answer) as server, pytest.raises((EnvironmentTrouble, Refused)) as caught:
        Forge("It", f"http://{server.host}", gitlab, {}).publish("v1", "", stable=True, latest=True)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ((429, {"Retry-After": "3"}, b""), 3),
        ((503, {"Retry-After": "0"}, b""), web.BACKOFF[0]),
        ((503, {"Retry-After": "soon"}, b""), web.BACKOFF[0]),
        ((502, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, b""), web.BACKOFF[0]),
        ((500, {}, b"<html>"), web.BACKOFF[0]),
        (SHORT, web.BACKOFF[0]),
        (SILENT, web.BACKOFF[0]),
        (b"what?\r\n\r\n", web.BACKOFF[0]),
    ],
)
def test_what_passes_is_waited_for(
    first: bytes | Answer, expected: float, pauses: list[float]
) -> None:
    with scripted(first, (200, {}, b"{}")) as server:
        assert send("GET", f"http://{server.host}/").status == 200
    assert pauses == [expected]


def test_nobody_waits_for_an_hour(pauses: list[float]) -> None:
    with scripted((429, {"Retry-After": "3600"}, b"")) as server:
        with pytest.raises(EnvironmentTrouble) as caught:
            server.repository().digest("1")
        assert "3600 s" in caught.value.hint
    assert pauses == []


@pytest.mark.parametrize(
    ("first", "times"), [((500, {}, b""), 1), ((502, {}, b""), 1), ((503, {}, b""), 4)]
)
def test_what_may_have_been_done_is_not_asked_for_twice(first: Answer, times: int) -> None:
    with scripted(first) as server:
        assert send("POST", f"http://{server.host}/", b"x").status == first[0]
        assert len(server.asked) == times
    with scripted(SHORT) as server:
        with pytest.raises(EnvironmentTrouble):
            send("POST", f"http://{server.host}/", b"x")
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("answer", "times"),
    [
        ((503, {}, b""), 4),
        ((500, {"Content-Type": "text/html"}, b"<html>"), 4),
        (SHORT, 4),
        # Nothing else asks for patience in these: it is a step's own.
        (PAGE, 4),
        ((429, {"Retry-After": "3600"}, b""), 1),
        (FORBIDDEN, 1),
    ],
)
def test_patience_is_had_once(answer: bytes | Answer, times: int) -> None:
    with scripted(answer) as server:
        there = server.repository()
        there._root()
        server.asked.clear()
        with pytest.raises((EnvironmentTrouble, Refused)):
            web.retried(lambda: there.publish(DIGEST, "latest", fixed=False), lambda _: None)
        assert len(server.asked) == times


def test_a_connection_that_nobody_takes_up_is_tried_as_often(pauses: list[float]) -> None:
    with scripted(SILENT) as server:
        there = server.repository()
    with pytest.raises(EnvironmentTrouble):
        web.retried(lambda: there.publish(DIGEST, "latest", fixed=False), lambda _: None)
    assert pauses == [*web.BACKOFF]


@pytest.mark.parametrize(
    "url", ["", "?scope=x", "file:///etc/passwd", "http://[", f"http://{'x' * 70}.y/"]
)
def test_what_is_no_address_is_named(url: str) -> None:
    with pytest.raises(EnvironmentTrouble):
        send("GET", url)
