"""A steady load on the release's way in, and what became of its requests."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from taskflow_containers.cluster.namespace import Namespace
from taskflow_containers.cluster.neighbours import ENTRY
from taskflow_containers.cluster.rollout import ReleaseTrouble
from taskflow_containers.machine.process import last_line
from taskflow_containers.project.kinds import Kind

RATE = 200  # requests per second
_START = 60.0  # seconds until the first request must have gone out
_AGAIN = "run it again with --keep and look: kubectl describe pods"
_STEADY = 1.0  # seconds of load before and after what is done to the release


@dataclass(slots=True)
class Load:
    """What the probe counted, known once the load has ended; times in seconds."""

    sent: int = 0
    visits: int = 0  # of the page, with all its scripts and styles
    seconds: float = 0.0
    reused: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    first: list[tuple[float, str, str]] = field(default_factory=list)
    gap: float = 0.0  # the longest time without an answer of 200
    p50: float = 0.0
    p99: float = 0.0
    max: float = 0.0

    @property
    def failures(self) -> int:
        """Requests, scripts and styles not answered with 200, and pages not answered at all."""
        return sum(self.failed.values())

    @property
    def detail(self) -> str:
        """When the first of them failed, and how."""
        return "; ".join(f"after {at:.1f} s: {why} on {path}" for at, why, path in self.first)

    def __str__(self) -> str:
        share = f"{self.reused / self.sent:.0%}" if self.sent else "none"
        kinds = ", ".join(f"{count} × {kind}" for kind, count in self.failed.items())
        return (
            f"{self.failures} of {self.sent} failed ({kinds + '; ' if kinds else ''}"
            f"{self.sent / max(self.seconds, 0.001):.0f}/s, {self.visits} visits of the page, "
            f"{share} on kept-alive connections, p50 {self.p50 * 1000:.0f} ms, "
            f"p99 {self.p99 * 1000:.0f} ms, max {self.max:.2f} s)"
        )


@contextmanager
def load(site: Namespace) -> Iterator[Load]:
    """RATE requests a second on the way in, and a visitor, from before the block until after it.

    Raises:
        ReleaseTrouble: the load did not start, or broke off.
    """
    # A new pod, and so a new address, each time: a node remembers an earlier load's connections to
    # pods that are gone, and would send one that has the port of such a connection after them.
    site.kubectl.call("delete", "pod", ENTRY, "--wait")
    site.start(ENTRY)
    process = subprocess.Popen(
        site.inside(ENTRY, "load", str(RATE), *_urls(site), stdin=True),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, encoding="utf-8",
    )  # fmt: skip
    found = Load()
    with process:
        try:
            # An API server that hangs would never end the reading.
            late = threading.Timer(_START, process.kill)
            late.start()
            started = process.stdout and process.stdout.readline()
            late.cancel()
            if not started:
                said = last_line(process.stderr.read()) if process.stderr else ""
                raise ReleaseTrouble(f"the load did not start: {said}", _AGAIN)
            time.sleep(_STEADY)
            yield found
            time.sleep(_STEADY)
            output, errors = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise ReleaseTrouble(
                "the load did not end within 30 s of being told to", _AGAIN
            ) from None
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise ReleaseTrouble(f"the load did not end well: {last_line(errors)}", _AGAIN)
    for key, value in json.loads(output).items():
        setattr(found, key, value)


def _urls(site: Namespace) -> list[str]:
    """The entry's page, then what is asked of it: the entry itself, and whom it calls through it.

    Liveness paths, as they ask no database: they fail for no other reason than the rollout.
    """
    entry = site.public()[0]
    model = site.containers[entry]
    callees = [site.containers[name] for name in site.calls(entry) if name in site.containers]
    # A frontend alone passes on what comes below /api/; what a backend calls is its own affair.
    passed_on = callees if model.kind is Kind.FRONTEND else []
    through = [model.base_path + callee.health.live for callee in passed_on]
    paths = [model.page, model.health.live, *through]
    return [f"http://{site.address(entry)}{path}" for path in paths]
