"""How long the same things take in an earlier state of this repository and now, in one run.

    python -m bench.earlier REVISION

Each is done in turn, once here and once there, so that a busy moment falls on both; medians are compared.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.__main__ import ROOT

RUNS = 7
COPY = (
    0.65  # the most that `copier copy` may take of what it took in c121203, which copied the tool
)
HELP = 3.0  # the most that --help may take of an empty Python


def seconds(*words: str | Path, cwd: Path, **variables: str) -> float:
    """One command's time; it must pass."""
    started = time.perf_counter()
    subprocess.run(
        [str(word) for word in words], cwd=cwd, check=True, capture_output=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore", **variables},
    )  # fmt: skip
    return time.perf_counter() - started


def in_turn(*measured: Callable[[], float], runs: int = RUNS) -> list[float]:
    """The median of each, after one run that does not count."""
    found = [[one() for one in measured] for _ in range(runs + 1)][1:]
    return [statistics.median(column) for column in zip(*found, strict=True)]


def copy(source: Path, folder: Path, name: str) -> Callable[[], float]:
    """`copier copy --defaults` of a state of the template, to a new folder each time."""
    numbers = iter(range(1000))

    def once() -> float:
        return seconds(
            sys.executable, "-m", "copier", "copy", "--quiet", "--defaults", "--vcs-ref=HEAD",
            source, folder / f"{name}-{next(numbers)}", cwd=folder,
        )  # fmt: skip

    return once


def say(what: str, then: float, now: float, limit: float) -> None:
    """One line of figures."""
    print(f"{what}: {then:.3f} s, {now:.3f} s, {now / then:.2f} (at most {limit})", flush=True)


def main(revision: str) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="taskflow-earlier-") as place:
        folder = Path(place)
        states = []
        for name, commit in (("then", revision), ("now", "HEAD")):
            state = folder / name
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(state)], check=True)
            subprocess.run(["git", "-C", str(state), "checkout", "--quiet", commit], check=True)
            states.append(state)
        before, after = in_turn(*(copy(state, folder, state.name + "-copy") for state in states))
        say("copier copy --defaults", before, after, COPY)
        python = [sys.executable, "-c", ""]
        help = [sys.executable, "-m", "taskflow_containers", "--help"]
        empty, whole = in_turn(
            lambda: seconds(*python, cwd=folder), lambda: seconds(*help, cwd=folder), runs=21
        )
        say("an empty Python, and --help", empty, whole, HELP)
        then, now = (folder / f"{state.name}-copy-0" for state in states)
        for words in (("lint",), ("chart",)):
            nox = [sys.executable, "-m", "nox", "-s", *words]
            before, after = in_turn(
                lambda nox=nox: seconds(*nox, cwd=then),  # type: ignore[misc]
                lambda nox=nox: seconds(*nox, cwd=now, TASKFLOW_PACKAGE=str(states[1])),  # type: ignore[misc]
                runs=3,
            )
            say(f"nox -s {' '.join(words)}", before, after, 1.0)
        invoke = [sys.executable, "-m", "invoke", "--list"]
        before, after = in_turn(
            lambda: seconds(*invoke, cwd=then), lambda: seconds(*invoke, cwd=now)
        )
        say("invoke --list", before, after, 1.0)


if __name__ == "__main__":
    main(sys.argv[1])
