"""The web server: where it listens, and how it takes leave of its open connections before it ends."""

import asyncio
import errno
import os
import socket
import threading

import uvicorn
from starlette.types import ASGIApp

LINGER_SECONDS = 0.5
# What a machine without IPv6, or without IPv4, says of an address of that family.
NO_SUCH_FAMILY = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


def listen(addresses: str, port: int) -> list[socket.socket]:
    """Take each address of a family that the machine has; nobody can connect before the application is there.

    One socket for both families would report IPv4 clients as ::ffff:…, which no list of proxies names.

    Raises:
        OSError: an address is taken, or there is none to listen on.
    """
    sockets: list[socket.socket] = []
    missing = None
    for address in addresses.split(","):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            sockets.append(bound(family, address, port))
        except OSError as error:
            if error.errno not in NO_SUCH_FAMILY:
                raise
            missing = error
    if missing and not sockets:
        raise missing
    return sockets


def bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    """Make a socket with this address, on which the server will listen."""
    made = socket.socket(family)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((address, port))
    except OSError:
        made.close()
        raise
    return made


class Server(uvicorn.Server):
    """Answers what still comes on kept-alive connections and says with it that it is the last answer.

    Closed at once, an idle connection would take along the request that its client is sending just then.
    """

    def __init__(self, config: uvicorn.Config, leave_seconds: float) -> None:
        super().__init__(config)
        self._leave_seconds = leave_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take leave, for so many seconds at most, then finish and close as ever."""
        self.server_state.default_headers.append((b"connection", b"close"))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._leave_seconds
        # uvicorn tells nobody when a connection ends.
        while self.server_state.connections and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)
        # A thread that a request has started may work on, and Python would wait for it until somebody kills it.
        last = threading.Timer(LINGER_SECONDS, os._exit, (0,))
        last.daemon = True
        last.start()


def make_server(app: ASGIApp, shutdown_seconds: int) -> Server:
    """Make a server that ends within so many seconds once it is asked to."""
    leave_seconds = shutdown_seconds // 4
    config = uvicorn.Config(
        app,
        loop="asyncio",  # uvloop would answer more requests, for 2 MB more of memory and of image.
        log_config=None,  # The root logger's format holds for the server too.
        access_log=False,  # `logs.AccessLog` writes it, without the health requests.
        server_header=False,
        proxy_headers=False,  # `ForwardedHeaders` reads them all.
        timeout_keep_alive=75,  # Longer than a proxy's, so that it is the proxy that ends idle connections.
        timeout_graceful_shutdown=shutdown_seconds - leave_seconds,
    )
    return Server(config, leave_seconds)
