"""The web server; it takes leave of its open connections before it ends."""

import asyncio
import socket

import uvicorn


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
