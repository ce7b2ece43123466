"""A proxy's word about a request counts if it comes from a trusted address, and not else."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI, Request

from container.proxy import ForwardedHeaders

api = FastAPI()


@api.get("/where")
async def where(request: Request) -> list[str]:
    return [str(request.url_for("where")), request.client.host if request.client else ""]


@pytest.mark.parametrize("trusted", ["10.0.0.0/8", "127.0.0.1, 10.1.2.3", "*"])
@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, ["http://backend:8000/where", "10.1.2.3"]),
        ({"host": "shop.example"}, ["https://shop.example/where", "203.0.113.7"]),
        ({"host": "shop.example:8443, inside"}, ["https://shop.example:8443/where", "203.0.113.7"]),
        ({"host": ""}, ["https://backend:8000/where", "203.0.113.7"]),
    ],
)
def test_a_trusted_proxy_is_believed(trusted: str, headers: dict[str, str], said: list[str]) -> None:
    assert ask(trusted, headers and {"proto": "https", "for": "203.0.113.7", **headers}) == said


@pytest.mark.parametrize("trusted", ["127.0.0.1", "10.1.2.4", "192.168.0.0/16"])
def test_nobody_else_is(trusted: str) -> None:
    headers = {"proto": "https", "for": "203.0.113.7", "host": "evil.example"}
    assert ask(trusted, headers) == ["http://backend:8000/where", "10.1.2.3"]


def test_a_proxy_is_known_by_its_ipv6_address() -> None:
    headers = {"proto": "https", "for": "2001:db8::7", "host": "[2001:db8::1]:8443"}
    said = ["https://[2001:db8::1]:8443/where", "2001:db8::7"]
    assert ask("10.0.0.0/8,fc00::/7", headers, client="fd00::3") == said


@pytest.mark.parametrize("path", ["/where", "/shop/where"])
def test_it_is_published_below_a_path_that_the_proxy_may_take_off(path: str) -> None:
    headers = {"proto": "https", "for": "203.0.113.7", "host": "example.com"}
    assert ask("*", headers, path=path, root_path="/shop") == ["https://example.com/shop/where", "203.0.113.7"]


def ask(
    trusted: str, headers: dict[str, str], client: str = "10.1.2.3", path: str = "/where", root_path: str = ""
) -> object:
    """Send a request from this address with these X-Forwarded-… headers."""

    async def send() -> httpx.Response:
        layer = ForwardedHeaders(api, trusted, root_path)
        transport = httpx.ASGITransport(layer, client=(client, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://backend:8000") as browser:
            return await browser.get(path, headers={f"x-forwarded-{name}": value for name, value in headers.items()})

    return asyncio.run(send()).json()
