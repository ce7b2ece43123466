"""What smoke checks make of IPv6, without a container: it may be absent, and addresses leak in either form."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from taskflow_containers.report.result import Status
from taskflow_containers.smoke.answer import Answer
from taskflow_containers.smoke.catalogue import unmeasurable, verdict
from taskflow_containers.smoke.drills.connections import by_ipv6
from taskflow_containers.smoke.drills.health import leaks
from taskflow_containers.smoke.lab import Lab


def lab(said: object = None) -> Lab:
    """A container whose own word on IPv6 this is."""
    running = SimpleNamespace(
        evaluate=lambda *_: said, watch=lambda: SimpleNamespace(waited=0.0, wall=1.0)
    )
    container = SimpleNamespace(
        port=1,
        health=SimpleNamespace(live="/live"),
        connects={},
        environment=SimpleNamespace(required=[]),
    )
    stub: Any = SimpleNamespace(
        running=running, container=container, stack=SimpleNamespace(url=str, environment=lambda _: {}),
        verdict=lambda id, passed, **more: verdict(id, "backend", passed, **more),
        unmeasurable=lambda id, why: unmeasurable(id, "backend", why),
    )  # fmt: skip
    return cast(Lab, stub)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (200, Status.PASSED),
        (503, Status.PASSED),
        ("ECONNREFUSED", Status.FAILED),
        ("RemoteDisconnected", Status.FAILED),
        ("EADDRNOTAVAIL", Status.UNMEASURABLE),
        ("EAFNOSUPPORT", Status.UNMEASURABLE),
    ],
)
def test_nobody_answers_where_there_is_no_ipv6(
    monkeypatch: pytest.MonkeyPatch, said: object, status: Status
) -> None:
    monkeypatch.setattr("taskflow_containers.smoke.asking.contended", lambda: 0.0)
    [result] = by_ipv6(lab(said))
    assert result.status is status
    assert str(said) in f"{result.measured}{result.detail}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("fd00:10:96::a", ["the address fd00:10:96::a"]),
        ("http://[fd00::1]:8000/", ["the address fd00::1"]),
        ("2606:4700:4700::1111", []),  # anybody's to know
        ("at 12:30:45, a std::vector of 1:2:3:4", []),
        ("10.0.0.7", ["the address 10.0.0.7"]),
    ],
)
def test_an_inner_address_leaks_in_either_form(text: str, found: list[str]) -> None:
    assert leaks(lab(), Answer(200, {}, text.encode(), 0.0)) == found
