"""Runs `invoke release` and kills it, or does something else, at one point of one step.

python -m tests.release.interrupted POINT WORD...; the environment's AT_POINT is a shell command to
run there in place of the kill.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from invoke.main import program

from taskflow_containers.release import web
from taskflow_containers.release.journal import Journal

point, *words = sys.argv[1:]
web.BACKOFF = (0.1, 0.2, 0.3)
_start, _finish = Journal.start, Journal.finish


def reached(name: str) -> None:
    """Die without a word, as a power cut does; or do what the test wants to happen here."""
    if name == point:
        if command := os.environ.get("AT_POINT"):
            subprocess.run(command, shell=True, check=True)
        else:
            os.kill(os.getpid(), signal.SIGKILL)


def start(self: Journal, step: str) -> None:
    """Note it, then the point between note and effect."""
    _start(self, step)
    reached(f"start:{step}")


def finish(self: Journal, step: str) -> None:
    """The point between effect and note, the note, the point after it."""
    reached(f"do:{step}")
    _finish(self, step)
    reached(f"finish:{step}")


for name, function in {"start": start, "finish": finish}.items():
    setattr(Journal, name, function)
program.run(["invoke", "release", *words])
