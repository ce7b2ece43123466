"""The health answers, with components that work, fail and hang."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from container.health import LIVE, READY, Health
from container.settings import Settings


class Component:
    """A dependency that counts how often it was asked."""

    def __init__(self, error: Exception | None = None, seconds: float = 0) -> None:
        self.error, self.seconds, self.asked = error, seconds, 0

    async def check(self) -> None:
        self.asked += 1
        await asyncio.sleep(self.seconds)
        if self.error:
            raise self.error


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand in for the application: the health layer must not reach it."""
    raise AssertionError(scope["path"])


def layer(component: Component) -> Health:
    app = Starlette()
    app.state.health_checks = {"store": component.check}
    return Health(nothing, app, Settings(taskflow_version="1.2.3", taskflow_revision="abc"))


def checked(response: httpx.Response) -> dict[str, Any]:
    [reading] = response.json()["checks"]["store:responseTime"]
    return dict(reading)


def test_passes(ask: Callable[..., httpx.Response]) -> None:
    response = ask(layer(Component()), READY)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/health+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json().items() >= {"status": "pass", "version": "1.2.3", "releaseId": "abc"}.items()
    assert checked(response)["status"] == "pass"
    assert checked(response)["observedUnit"] == "ms"


def test_names_what_failed(ask: Callable[..., httpx.Response]) -> None:
    response = ask(layer(Component(HTTPException(503, "out of order"))), READY)
    assert response.status_code == 503
    assert response.json()["status"] == "fail"
    assert checked(response)["output"] == "out of order"


def test_tells_no_secrets(ask: Callable[..., httpx.Response]) -> None:
    response = ask(layer(Component(ValueError("https://user:password@host"))), READY)
    assert response.status_code == 503
    assert checked(response)["output"] == "ValueError"
    assert "password" not in response.text


def test_does_not_wait_for_what_hangs(ask: Callable[..., httpx.Response]) -> None:
    started = time.monotonic()
    response = ask(layer(Component(seconds=60)), READY)
    assert response.status_code == 503
    assert time.monotonic() - started < 1
    assert checked(response)["output"] == "no answer within 0.8 s"


def test_many_requests_share_a_reading(ask: Callable[..., httpx.Response]) -> None:
    component = Component(seconds=0.05)
    assert ask(layer(component), READY, times=50).status_code == 200
    assert component.asked == 1


def test_a_reading_is_kept(ask: Callable[..., httpx.Response]) -> None:
    component = Component()
    app = layer(component)
    assert ask(app, READY).text == ask(app, READY).text
    assert component.asked == 1


def test_life_depends_on_nothing(ask: Callable[..., httpx.Response]) -> None:
    component = Component(ValueError())
    assert ask(layer(component), LIVE).json()["status"] == "pass"
    assert component.asked == 0


@pytest.mark.parametrize("path", [READY, LIVE])
def test_methods(ask: Callable[..., httpx.Response], path: str) -> None:
    assert ask(layer(Component()), path, "HEAD").status_code == 200
    assert ask(layer(Component()), path, "POST").status_code == 405


def test_an_application_that_names_nothing_passes(ask: Callable[..., httpx.Response]) -> None:
    assert "checks" not in ask(Health(nothing, object(), Settings()), READY).json()


def test_a_check_that_blocks_holds_up_nobody(ask: Callable[..., httpx.Response]) -> None:
    app = Starlette()
    app.state.health_checks = {"store": lambda: time.sleep(2)}
    response = ask(Health(nothing, app, Settings()), READY)
    assert checked(response)["output"] == "no answer within 0.8 s"
