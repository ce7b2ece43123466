"""The web server, and how it takes leave of its open connections before it ends."""

import asyncio
import os
import socket
import threading

import uvicorn
from starlette.types import ASGIApp

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
