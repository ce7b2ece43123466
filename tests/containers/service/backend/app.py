"""A backend in one file of standard library, in order unless FAULT names what it does wrong."""

import os
import signal
import time

FAULT = os.environ.get("FAULT", "")
FAULTS = set(FAULT.split())
if "sleeps-first" in FAULTS:
    time.sleep(2)
while "late-handler" in FAULTS and time.process_time() < 0.6:
    pass
if "deaf" not in FAULTS:  # First thing: as process 1 it would ignore the signal until then.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

DATABASE_URL = os.environ.get("DATABASE_URL", "")
DATABASE = urlsplit(DATABASE_URL)
DATA = Path("/app/data")
ROUTES = {
    "openapi": "3.1.0",
    "paths": {
        "/api/rows": {"get": {"parameters": []}},
        "/api/nothing": {"get": {}},  # 204
        "/api/me": {"get": {}},  # 401
        "/api/events": {"get": {}},  # a stream without end
        "/api/rows/{id}": {"get": {}},
        "/api/search": {"parameters": [{"name": "q", "required": True}], "get": {}},
    },
}
ODD_ROUTES: dict[str, object] = {
    "paths": {"/a": [], "/b": {"get": []}, "/c": {"get": {"parameters": None}}, "/d": None}
}
STARTED = time.time()
OWN_SCRIPT = f"/{socket.gethostname()}.js"  # each replica has another one


async def database_answers() -> bool:
    """Ask PostgreSQL whether it speaks TLS: one byte back means that it is there."""
    if not DATABASE.hostname:
        return True
    if "resolves-and-waits" in FAULTS:
        socket.getaddrinfo(DATABASE.hostname, 5432)
    try:
        async with asyncio.timeout(1.5):
            reader, writer = await asyncio.open_connection(DATABASE.hostname, DATABASE.port or 5432)
            try:
                writer.write(bytes.fromhex("0000000804d2162f"))
                return await reader.read(1) in {b"S", b"N"}
            finally:
                writer.transport.abort()
    except OSError:
        return False


class Service:
    """Health, liveness, one route, and whatever FAULT makes of them."""

    def __init__(self) -> None:
        self.open: set[asyncio.StreamWriter] = set()
        self.busy: dict[asyncio.StreamWriter, str] = {}
        self.leaving = self.seen_down = False
        self.hoard: list[bytes] = []
        self.asked = self.rows = 0

    async def answer(self, path: str) -> tuple[int, object]:
        """The status and the document."""
        asks = path in {"/api/health", "/api/rows"} or "live-asks-database" in FAULTS
        up = not asks or "constant-health" in FAULTS or await database_answers()
        if "no-recovery" in FAULTS:
            self.seen_down = self.seen_down or not up
            up = up and not self.seen_down
        if "needs-tmp" in FAULTS:
            upload = Path(f"/tmp/{self.asked}")
            upload.write_bytes(b"x" * 65536)
            upload.unlink()
        if "wall-clock" in FAULTS and time.time() - STARTED > 3600:
            return 500, {}
        word = "pass" if up else "fail"
        checks = {"database": [{"status": word}]}
        if path == "/api/health":
            document = {
                "status": word,
                "checks": {} if "unnamed-check" in FAULTS and not up else checks,
            }
            if "leaks" in FAULTS and up:
                document["output"] = f"connected to {DATABASE_URL}"
            if "odd-status" in FAULTS:
                document["status"] = "green"
            return (200 if up else 503), document
        if path == "/api/health/live":
            document = {"status": "pass", **({"checks": checks} if "live-checks" in FAULTS else {})}
            if "live-asks-database" in FAULTS and not up:
                return 503, document
            return 200, "fine" if "live-not-json" in FAULTS else document
        if path == "/api/rows":
            self.rows += 1
            if "limited" in FAULTS and self.rows > 2:
                return 429, []
            return (200 if up else 500 if "crashes-without-database" in FAULTS else 503), []
        if path == "/openapi.json" and "no-document" not in FAULTS:
            return 200, ODD_ROUTES if "odd-routes" in FAULTS else ROUTES
        return {
            "/api/nothing": 503 if "unconfigured" in FAULTS else 204,
            "/api/me": 401,
            "/c": 200,
        }.get(path, 404), {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        self.open.add(writer)
        try:
            while "few-connections" not in FAULTS or len(self.open) < 100:
                try:
                    async with asyncio.timeout(5 if "short-idle" in FAULTS else None):
                        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
                except (asyncio.IncompleteReadError, TimeoutError):
                    return
                if self.leaving and "hangs-up" in FAULTS:
                    return
                self.busy[writer] = path
                await self.respond(path, writer)
                del self.busy[writer]
                if self.leaving and "waits-for-idle" not in FAULTS:
                    return
            await asyncio.sleep(3600)
        except (ConnectionError, OSError):
            return
        finally:
            self.open.discard(writer)
            self.busy.pop(writer, None)
            writer.close()

    async def respond(self, path: str, writer: asyncio.StreamWriter) -> None:
        """One answer."""
        self.asked += 1
        if "grows" in FAULTS:
            self.hoard.append(os.urandom(80_000))
        if "leak" in FAULTS:
            self.hoard.append(os.urandom(2_000_000))
        if "hungry-child" in FAULTS and self.asked == 60:
            subprocess.Popen([sys.executable, "-c", "x = b'x' * 400_000_000"])
        if path == "/api/events":
            kind = "application/x-ndjson" if "endless-lines" in FAULTS else "text/event-stream"
            writer.write(f"HTTP/1.1 200 -\r\nContent-Type: {kind}\r\n\r\n".encode())
            while not self.leaving:
                writer.write(b"data: x\n\n")
                await writer.drain()
                await asyncio.sleep(0.1)
            raise ConnectionError
        status, document = await self.answer(path)
        if "errors-under-load" in FAULTS and len(self.open) > 6:
            status = 500
        body = json.dumps(document).encode() if document != "fine" else b"<p>fine</p>"
        if "own-script" in FAULTS and path in {"/", OWN_SCRIPT}:
            status, body = 200, f'<script src="{OWN_SCRIPT}"></script>'.encode()
        body = b"" if status == 204 else body
        last = "Connection: close\r\n" if self.leaving else ""
        writer.write(
            f"HTTP/1.1 {status} -\r\nContent-Type: application/health+json\r\n{last}"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()

    async def leave(self) -> None:
        """Answer for another second, on each connection for the last time."""
        self.leaving = True
        if "drops-slow" in FAULTS:
            for writer in [w for w, path in self.busy.items() if path != "/api/health/live"]:
                writer.transport.abort()
        await asyncio.sleep(1)
        while self.busy or ("waits-for-idle" in FAULTS and self.open):
            await asyncio.sleep(0.1)
        (DATA / "lock").unlink(missing_ok=True)
        os._exit(0)


async def main() -> None:
    """Serve until SIGTERM."""
    service = Service()
    loop = asyncio.get_running_loop()
    if "deaf" not in FAULTS:
        tasks: list[asyncio.Task[None]] = []
        loop.add_signal_handler(
            signal.SIGTERM, lambda: tasks.append(asyncio.create_task(service.leave()))
        )
    server = await asyncio.start_server(service.serve, "", 8000, backlog=1024)
    await server.serve_forever()


def share_of_cpu() -> float:
    """What the control group allows of the processors, as runtimes read it that adapt to it."""
    for path in ("/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"):
        with contextlib.suppress(OSError, ValueError):
            quota = int(Path(path).read_text().split()[0])
            return quota / 100_000 if quota > 0 else 1.0
    return 1.0


def misbehave() -> None:
    """What goes wrong before it listens."""
    if "crash" in FAULTS:
        sys.exit("the disk is on fire")
    if "connects-at-start" in FAULTS and not asyncio.run(database_answers()):
        sys.exit("the database is away")
    if "empties-data" in FAULTS:
        for path in DATA.iterdir():
            path.unlink()
    lock = {"lock-file": DATA / "lock", "pid-file": Path("/tmp/pid")}.get(FAULT)
    if lock and lock.exists():
        sys.exit("another one is running")
    if lock:
        lock.touch()
    if "writes" in FAULTS:
        with contextlib.suppress(OSError):
            Path("/var/tmp/cache").write_text("x")
    if "needs-a-whole-cpu" in FAULTS and share_of_cpu() < 1:
        while time.process_time() < 3.5:
            pass
    if "slow-start" in FAULTS:
        time.sleep(2.5)
    if "slower-start" in FAULTS:
        time.sleep(7)


if not DATABASE_URL.startswith("postgresql://") and os.environ.get("NEEDS_DATABASE"):
    shown = f": {DATABASE_URL}" if "shows-value" in FAULTS else ""
    sys.exit(f"DATABASE_URL is missing or no PostgreSQL URL{shown}")
misbehave()
asyncio.run(main())
