"""What several tests use."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest
from starlette.types import ASGIApp

type Ask = Callable[..., httpx.Response]


@pytest.fixture
def ask() -> Ask:
    """Give a function that sends requests to an application, all at once, and returns the last response."""

    def ask(app: ASGIApp, path: str, method: str = "GET", times: int = 1) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                requests: list[Awaitable[httpx.Response]] = [client.request(method, path) for _ in range(times)]
                return (await asyncio.gather(*requests))[-1]

        return asyncio.run(send())

    return ask
