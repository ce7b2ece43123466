"""The web server: how it takes leave of its open connections before it ends, and what proxies in front tell it."""

import asyncio
import os
import socket
import threading

import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from container.health import ASGIApp, Receive, Scope, Send
from container.settings import Settings


class Server(uvicorn.Server):
    """Answers what still comes on kept-alive connections and says with it that it is the last answer.

    Closed at once, an idle connection would take along the request that its client is sending just then.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._seconds = settings.shutdown_seconds
        config = uvicorn.Config(
            app,
            host=settings.listen_address,  # type: ignore[arg-type] # None: by each family that the machine has
            port=settings.port,
            loop="asyncio",  # uvloop would answer more requests, for 2 MB more of memory and of image.
            log_config=None,  # The root logger's format holds for the server too.
            access_log=False,  # `logs.AccessLog` writes it, without the health requests.
            server_header=False,
            proxy_headers=False,  # `ForwardedHeaders` reads them all.
            timeout_keep_alive=75,  # Longer than a proxy's, so that it is the proxy that ends idle connections.
            timeout_graceful_shutdown=self._seconds - self._seconds // 4,
        )
        super().__init__(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take leave, for a quarter of the time there is at most, then finish and close as ever."""
        self.server_state.default_headers.append((b"connection", b"close"))
        loop = asyncio.get_running_loop()
        begun = loop.time()
        # uvicorn tells nobody when a connection ends.
        while self.server_state.connections and loop.time() < begun + self._seconds / 4:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)
        # A thread that a request has started may work on, and Python would wait for it until somebody kills it.
        left = begun + self._seconds - loop.time()
        last = threading.Timer(max(left, 0.5), os._exit, (0,))  # Half a second for what else ends with the process.
        last.daemon = True
        last.start()


class ForwardedHeaders(ProxyHeadersMiddleware):
    """Reads X-Forwarded-Host besides -Proto and -For: `url_for` would name the address that the proxy uses.

    Below `root_path` the application is asked by browsers, whether the proxy takes that off or not.
    """

    def __init__(self, app: ASGIApp, trusted: str, root_path: str = "") -> None:
        super().__init__(app, trusted)  # type: ignore[arg-type]
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]
        if scope["type"] != "lifespan" and (scope.get("client") or [None])[0] in self.trusted_hosts:
            given = [value for name, value in scope["headers"] if name == b"x-forwarded-host"]
            # Of a chain of proxies the first one has seen what the client asked for.
            if given and (host := given[0].split(b",")[0].strip()):
                others = [header for header in scope["headers"] if header[0] != b"host"]
                scope = {**scope, "headers": [(b"host", host), *others]}
        if scope["type"] != "lifespan" and (root := self._root_path):
            path = scope["path"]
            inside = path == root or path.startswith(f"{root}/")
            scope = {**scope, "root_path": root, "path": path if inside else root + path}
        await super().__call__(scope, receive, send)  # type: ignore[arg-type]
