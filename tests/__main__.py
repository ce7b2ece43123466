"""Runs the tests on the engine that is there, then a shorter set on each other engine of the machine.

    python -m tests [PYTEST OPTION ...]

One engine after the other: where the containers of two come and go at once, they disturb each other's
firewall rules, and a download in a container hangs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from provision import ENGINE, Trouble, engine, provision

PYTEST = [sys.executable, "-m", "pytest"]
LISTING = {"--collect-only", "--co"}
FAILED = pytest.ExitCode.TESTS_FAILED
OWN = "this machine's own docker"


def main(options: list[str]) -> int:
    """Run pytest once for each engine; the exit code of the first run that did not pass."""
    found, _ = engine.find(os.environ.get(ENGINE, ""))
    if found:
        os.environ.setdefault(ENGINE, found.kind)
    code = run(options)
    shorter = ["--each-engine", *options]
    if not found or LISTING & {*options} or code not in (0, FAILED) or not has_tests(shorter):
        return code
    for name in others(found):
        print(f"\n=== the shorter set of tests on {name}", flush=True)
        try:
            with ready(name):
                done = run(shorter)
        except Trouble as trouble:
            print(f"left out: {trouble}", flush=True)
            done = FAILED if os.environ.get("CI") else 0  # there, nobody reads what was left out
        if done not in (0, FAILED):
            return done
        code = code or done
    return code


def others(main: engine.Engine) -> list[str]:
    """The engines besides this one, with the machine's own Docker where the client asks another."""
    names = ["docker", *([OWN] if engine.elsewhere() else []), "podman"]
    return [name for name in names if name != main.kind]


@contextmanager
def ready(name: str) -> Iterator[None]:
    """Have the engine and its images for what this process starts, then leave it as it was.

    Raises:
        Trouble: it does not answer, and may not or cannot be provisioned.
    """
    if name == OWN:
        engine.come_home()
    kind = "podman" if name == "podman" else "docker"
    before, reason = engine.find(kind)
    try:
        if os.environ.get("TASKFLOW_PROVISION"):
            os.environ.update(provision(kind))
        elif before is None:
            raise Trouble(reason)
        os.environ[ENGINE] = kind
        yield
    finally:
        if kind == "docker" and before is None and engine.find(kind)[0]:
            engine.stop_docker()


def run(options: list[str]) -> int:
    """Run pytest to its end; a Ctrl-C is its own to hear, as it has containers to remove."""
    process = subprocess.Popen([*PYTEST, *options])
    handlers = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: process.terminate()),
    }
    try:
        return process.wait()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def has_tests(options: list[str]) -> bool:
    """Whether any test is left by these options: no engine is started for none."""
    collect = [*PYTEST, "--collect-only", "--quiet", *options]
    return subprocess.run(collect, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
