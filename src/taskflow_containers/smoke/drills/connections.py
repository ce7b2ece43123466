"""What clients do with connections: open more than they use, or keep one for later."""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

from taskflow_containers.report.result import Result
from taskflow_containers.smoke.answer import NO_ANSWER
from taskflow_containers.smoke.asking import PROBE_TIMEOUT, ask, fairly
from taskflow_containers.smoke.lab import Lab, checks
from taskflow_containers.smoke.running import Running

CONNECTIONS = 1000
# Seconds that a connection idles without --full: longer than Node.js and uvicorn leave it open by themselves.
_IDLES = 6.0
_TIMEOUT = 10.0  # seconds


# Asked within the container: networks of an engine have IPv6 only where they are made with it.
_BY_IPV6 = {
    "python": """
import errno, http.client, json, sys
connection = http.client.HTTPConnection('::1', int(sys.argv[1]), timeout=float(sys.argv[3]))
try:
    connection.request('GET', sys.argv[2])
    print(connection.getresponse().status)
except Exception as error:
    print(json.dumps(errno.errorcode.get(getattr(error, 'errno', 0), type(error).__name__)))
""",
    "node": """
const [port, path, seconds] = process.argv.slice(1), end = (said) => { console.log(JSON.stringify(said)); process.exit(); };
setTimeout(end, 1000 * seconds, 'ETIMEDOUT');
require('http').get({host: '::1', port, path}, ({statusCode}) => end(statusCode)).on('error', ({code}) => end(code));
""",
}
_WITHOUT_IPV6 = {"EAFNOSUPPORT", "EADDRNOTAVAIL", "ENETUNREACH"}


@checks("ipv6")
def by_ipv6(lab: Lab) -> Iterator[Result]:
    """A pod of a cluster with IPv6 alone is asked at its IPv6 address, and has no other."""
    model = lab.container
    words = (str(model.port), model.health.live, str(_TIMEOUT))
    said = fairly(
        lab.running,
        lambda: lab.running.evaluate(_BY_IPV6, *words),
        lambda said: isinstance(said, int) or said in _WITHOUT_IPV6,
    )
    if said in _WITHOUT_IPV6:
        yield lab.unmeasurable("ipv6", f"this engine's containers have no IPv6 address ({said})")
    else:
        yield lab.verdict("ipv6", isinstance(said, int), measured=str(said))


@checks("keep-alive")
def keep_alive(lab: Lab) -> Iterator[Result]:
    """A load balancer keeps a connection for its next request, and must be the one that ends it."""
    wanted = lab.container.keep_alive
    with lab.ready("idle") as running:
        good, said = _idle(running, wanted, wanted if lab.options.full else min(wanted, _IDLES))
        yield lab.verdict("keep-alive", good, limit=f"{wanted:g} s", measured=said)


def _idle(running: Running, wanted: float, seconds: float) -> tuple[bool, str]:
    """Whether a connection is still of use after so many seconds, and in words."""
    connection, path = running.connect(_TIMEOUT), running.container.health.live
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        link, since = connection.sock, time.monotonic()
        if answer.will_close:
            return True, "each answer says that it is the last of its connection"
        # Node.js tells when it will close (RFC 2068, 19.7.1.1).
        told = re.search(r"timeout=(\d+)", answer.getheader("Keep-Alive") or "")
        if told and int(told[1]) < wanted:
            said = f"closes idle connections after {told[1]} s, as its Keep-Alive header says"
            return False, said
        if select.select([link], [], [], seconds)[0] and time.monotonic() - since < seconds:
            return False, f"closed an idle connection after {time.monotonic() - since:.1f} s"
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
    except NO_ANSWER as error:
        return False, f"a request after {seconds:g} s idle: {type(error).__name__}"
    finally:
        connection.close()
    return running.container.well(answer.status), f"{answer.status} after {seconds:g} s idle"


def _open_files(wanted: int) -> int:
    """How many files this process may have open, after asking for so many."""
    try:
        import resource
    except ImportError:
        return wanted
    boundless = resource.RLIM_INFINITY
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    goal = wanted if hard == boundless else min(wanted, hard)
    if soft != boundless and soft < goal:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))
            soft = goal
    return wanted if soft == boundless else soft


@checks("slow-connections")
def slow_connections(lab: Lab) -> Iterator[Result]:
    """Clients that have begun to send a request and never end it."""
    allowed = _open_files(2 * CONNECTIONS)
    if allowed < 2 * CONNECTIONS:
        yield lab.unmeasurable("slow-connections", f"this user may open {allowed} files only")
        return
    with lab.ready("slow") as running, ExitStack() as held:
        refused = 0
        for _ in range(CONNECTIONS):
            try:
                link = socket.create_connection((running.engine.host, running.port), 2)
                held.callback(link.close)
                link.sendall(b"GET / HTTP/1.1\r\nHost: slow\r\nX-Slow: ")
            except OSError:
                refused += 1
        found = fairly(
            running,
            lambda: [ask(running, running.container.health.live) for _ in range(3)],
            lambda seen: all(running.container.well(status) for status, _ in seen),
        )
        held.close()
        good = all(running.container.well(status) for status, _ in found)
        statuses = ", ".join(str(status or "silent") for status, _ in found)
        said = f"{statuses}, the slowest in {max(seconds for _, seconds in found):.2f} s"
        said += f"; {refused} connections refused" if refused else ""
        ended = running.fate()
        yield lab.verdict(
            "slow-connections", good and not ended, limit=f"within {PROBE_TIMEOUT:g} s",
            measured=ended or said,
        )  # fmt: skip
