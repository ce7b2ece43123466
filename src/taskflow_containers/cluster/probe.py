"""What the cluster drills run inside pods, in whatever Python the image has (probe.cjs for Node).

python -c "$(cat probe.py)" idle | leak BYTES | get URL… | connect HOST:PORT… | load RATE PAGE URL…
"""

from __future__ import annotations

import asyncio
import html
import http.client
import json
import re
import signal
import socket
import sys
import time
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 10.0  # slow is not failed
CONNECTIONS = 10  # kept alive, used in turn
PAUSE_SECONDS = 0.1  # between two visits of a page
SLOW_SECONDS = 1.0  # a middle answer later than this halves the rate
LEAST = 25.0  # requests per second, however slow the answers
NAMED = re.compile(r"""(?:src|href)=["']([^"']+\.(?:m?js|css)(?:\?[^"']*)?)["']""")


def leak(size: int) -> None:
    """Hold so many bytes, a megabyte at a time."""
    held: list[bytes] = []
    while len(held) * 10**6 < size:
        held.append(b"x" * 10**6)
        time.sleep(0.002)
    signal.pause()


def fetch(url: str) -> tuple[int | str, str]:
    """The status that a URL is answered with, or why it is not, and the body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", parts._replace(scheme="", netloc="", fragment="").geturl())
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__, ""
    finally:
        connection.close()


def get(url: str) -> int | str:
    """The status that a URL is answered with, or why it is not."""
    return fetch(url)[0]


def named(page: str, body: str) -> list[str]:
    """The scripts and styles of a page that are on its own server."""
    urls = {urljoin(page, html.unescape(found)) for found in NAMED.findall(body)}
    return sorted(url for url in urls if urlsplit(url).netloc == urlsplit(page).netloc)


def connect(target: str) -> bool:
    """Whether a TCP connection comes about."""
    host, port = target.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _address(url: SplitResult) -> Any:
    """The IPv4 or IPv6 address that a client would try first."""
    return socket.getaddrinfo(url.hostname, url.port, type=socket.SOCK_STREAM)[0][4][0]


class Load:
    """Requests at a constant rate, however long a single answer takes; nothing is tried twice.

    Where the middle one of a second's answers is slow, all are: the rate is halved, as what is looked
    for is a request that fails, not what the cluster can carry. Every second one goes over a connection
    that is kept alive, the others each over a new one. Besides, a visitor loads a page with all its
    scripts and styles, each over a new one.
    """

    def __init__(self, rate: float, page: str, urls: list[str]) -> None:
        self._rate = rate
        self._page, self._visits = page, 0
        self._urls = [urlsplit(url) for url in urls]
        # Looked up once: what is measured is the release, not the cluster's name server.
        self._at = {url.hostname: _address(url) for url in self._urls}
        self._idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()
        self._latencies: list[float] = []
        self._judged = 0  # how many of them have told whether the rate is kept
        self._failed: Counter[str] = Counter()
        self._first: list[tuple[float, str, str]] = []
        self._reused, self._gap, self._started, self._answered = 0, 0.0, 0.0, 0.0

    async def run(self, stop: asyncio.Event) -> dict[str, Any]:
        """Load until told to stop; what became of it (times in seconds)."""
        tasks, sent = set(), 0
        for _ in range(CONNECTIONS):
            self._idle.append(await self._open(self._urls[0]))
        self._started = self._answered = time.monotonic()
        due = judged = self._started
        visitor = asyncio.ensure_future(self._visit(stop))
        print(json.dumps({"started": True}), flush=True)
        while not stop.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            task = asyncio.ensure_future(self._request(sent, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent += 1
            due += 1 / self._rate
            if time.monotonic() > judged + 1:
                self._slow_down()
                judged = time.monotonic()
        seconds = time.monotonic() - self._started
        await asyncio.gather(visitor, *tasks)
        self._note_gap()
        slow = sorted(self._latencies) or [0.0]
        return {
            "sent": sent, "visits": self._visits, "seconds": seconds, "reused": self._reused, "gap": self._gap,
            "failed": self._failed, "first": self._first,
            "p50": slow[len(slow) // 2], "p99": slow[len(slow) * 99 // 100], "max": slow[-1],
        }  # fmt: skip

    def _slow_down(self) -> None:
        """By the answers since the last time; those that never came say nothing."""
        recent = sorted(self._latencies[self._judged :])
        self._judged = len(self._latencies)
        if recent and recent[len(recent) // 2] > SLOW_SECONDS:
            self._rate = max(LEAST, self._rate / 2)

    def _note_gap(self) -> None:
        now = time.monotonic()
        self._gap, self._answered = max(self._gap, now - self._answered), now

    async def _request(self, number: int, due: float) -> None:
        keep, url = number % 2 == 0, self._urls[number // 2 % len(self._urls)]
        link = None
        while keep and self._idle and link is None:
            link = self._idle.popleft()
            if link[0].at_eof():  # closed in the meantime, as a server may
                link[1].close()
                link = None
        kind = "kept" if link else "new"
        self._reused += kind == "kept"
        try:
            status = await asyncio.wait_for(self._exchange(link, url, keep), ANSWER_SECONDS)
            error = "" if status == 200 else f"status {status}"
        except Exception as problem:
            error = type(problem).__name__
        if not error:
            self._latencies.append(time.monotonic() - due)
            self._note_gap()
            return
        self._note(f"{error} on a {kind} connection", due, error, url.path)

    def _note(self, kind: str, at: float, error: str, path: str) -> None:
        self._failed[kind] += 1
        if len(self._first) < 5:
            self._first.append((at - self._started, error, path))

    async def _visit(self, stop: asyncio.Event) -> None:
        """A page that is none fails nothing: a server may have only an API, or ask for a login."""
        while not stop.is_set():
            began, (status, body) = time.monotonic(), await asyncio.to_thread(fetch, self._page)
            if isinstance(status, str) or status >= 500:
                self._note("page not loaded", began, str(status), urlsplit(self._page).path)
            for url in named(self._page, body) if status == 200 else ():
                began, (status, _) = time.monotonic(), await asyncio.to_thread(fetch, url)
                if status != 200:
                    self._note("script or style missing", began, str(status), urlsplit(url).path)
            self._visits += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def _open(self, url: SplitResult) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._at[url.hostname], url.port)

    async def _exchange(
        self,
        link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None,
        url: SplitResult,
        keep: bool,
    ) -> int:
        reader, writer = link or await self._open(url)
        reusable = False
        try:
            connection = "keep-alive" if keep else "close"
            lines = (f"GET {url.path} HTTP/1.1", f"Host: {url.netloc}", f"Connection: {connection}")
            writer.write("\r\n".join((*lines, "", "")).encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
            fields = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
            if "content-length" in fields:
                await reader.readexactly(int(fields["content-length"]))
            elif fields.get("transfer-encoding") == "chunked":
                while size := int((await reader.readline()).split(b";")[0], 16):
                    await reader.readexactly(size + 2)
                await reader.readline()
            else:
                keep = False
                await reader.read()
            reusable = keep and fields.get("connection") != "close"
        finally:
            if reusable:
                self._idle.append((reader, writer))
            else:
                writer.close()
        return int(head[0].split()[1])


async def load(rate: str, page: str, *urls: str) -> dict[str, Any]:
    """Load until standard input ends."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    return await Load(float(rate), page, list(urls)).run(stop)


def main(command: str, *arguments: str) -> None:
    """Carry out one command; what there is to say is JSON on standard output."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # process 1 would be deaf to it
    if command == "idle":
        signal.pause()
    elif command == "leak":
        leak(int(arguments[0]))
    elif command == "load":
        print(json.dumps(asyncio.run(load(*arguments))))
    else:
        with ThreadPoolExecutor(max(1, len(arguments))) as pool:
            found = pool.map(get if command == "get" else connect, arguments)
            print(json.dumps(dict(zip(arguments, found))))  # noqa: B905 (Python 3.9 knows no strict)


if __name__ == "__main__":
    main(*sys.argv[1:])
