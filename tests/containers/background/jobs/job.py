"""A job in one file of standard library, for ever or once, in order unless FAULTS say what it does wrong."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

FAULTS = os.environ.get("FAULTS", "").split()
if "deaf" not in FAULTS:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
DATABASE = urlsplit(os.environ.get("DATABASE_URL", "//nowhere" if "careless" in FAULTS else ""))
ALIVE = Path("/tmp/alive")


def work() -> None:
    """See that the database is there."""
    with socket.create_connection((DATABASE.hostname or "", DATABASE.port or 5432), 1):
        pass


if not DATABASE.netloc:
    sys.exit("DATABASE_URL is missing")
if "writes" in FAULTS:
    with contextlib.suppress(OSError):
        Path("/var/tmp/cache").write_text("x")
if "hungry" in FAULTS:
    subprocess.run([sys.executable, "-c", "x = b'x' * 400_000_000"], check=True)
hoard = []
while os.environ.get("RUNS"):
    if "grows" in FAULTS:
        hoard.append(os.urandom(600_000))
    if "brittle" in FAULTS:
        work()
    if "needs-tmp" in FAULTS:
        Path(f"/tmp/{time.time()}").write_bytes(b"x" * 4096)
    try:
        work()
        ALIVE.touch()
    except OSError as error:
        print(error)
    time.sleep(0.1)
if "careless" not in FAULTS:
    work()
Path("/app/data/done").touch()
print("done")
