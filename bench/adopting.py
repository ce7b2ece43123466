"""CPU time of adopting each application of tests/adoption beside that of `copier copy`, in turn, in one run."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.__main__ import ROOT
from tests.adoption import application

RUNS = 5
LIMIT = 2.0  # the most that adopting may take of what `copier copy` takes


def cpu_seconds(*words: str | Path) -> float:
    """User and system time of one command and of what it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", *words], cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def ratio(name: str, folder: Path) -> float:
    """Adopting one application, as a share of a fresh project."""
    pairs = []
    for number in range(RUNS + 1):  # the first does not count
        project = application.load(name).copy(folder / f"{name}-{number}")
        fresh = folder / f"{name}-fresh-{number}"
        pairs.append((
            cpu_seconds("taskflow_containers", "adopt", project, "--yes"),
            cpu_seconds("copier", "copy", "--quiet", "--defaults", "--vcs-ref=HEAD", ROOT, fresh),
        ))  # fmt: skip
    adopting, copying = (statistics.median(column) for column in zip(*pairs[1:], strict=True))
    found = float(adopting / copying)
    print(f"{name}: {adopting:.2f} s, {copying:.2f} s, {found:.2f}", flush=True)
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        most = max(ratio(name, Path(place)) for name in application.names())
    print(f"at most {most:.2f} (limit {LIMIT})")
    sys.exit(most > LIMIT)
