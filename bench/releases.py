"""Seconds of the plan of a release in a long history: 5,000 commits, 300 tags, a remote."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from taskflow_containers.release.plan import ReleaseOptions, look
from taskflow_containers.release.state import Product

COMMITS, TAGS, RUNS = 5000, 300, 5


def history(folder: Path) -> None:
    """A repository with that history and a bare remote that has all of it."""
    lines = []
    for number in range(1, COMMITS + 1):
        message = f"{'fix' if number % 3 else 'docs'}(part): change {number}\n\nAnd why."
        lines += [
            "commit refs/heads/main", f"mark :{number}",
            f"committer Ann <ann@localhost> {1_700_000_000 + number} +0000",
            f"data {len(message)}", message, f"M 100644 inline file-{number % 200}", "data 1", "x",
        ]  # fmt: skip
        if number % (COMMITS // TAGS) == 0 and number < COMMITS - 100:
            lines += [f"reset refs/tags/v0.{number}.0", f"from :{number}", ""]
    git = ["git", "-C", str(folder)]
    subprocess.run([*git, "init", "--quiet", "--initial-branch=main"], check=True)
    subprocess.run([*git, "fast-import", "--quiet"], input="\n".join(lines), text=True, check=True)
    subprocess.run([*git, "reset", "--quiet", "--hard", "main"], check=True)
    for key, value in {"user.name": "Ann", "user.email": "ann@localhost"}.items():
        subprocess.run([*git, "config", key, value], check=True)
    remote = str(folder.with_name("remote.git"))
    subprocess.run(["git", "clone", "--quiet", "--bare", str(folder), remote], check=True)
    subprocess.run([*git, "remote", "add", "origin", remote], check=True)


def plan_seconds() -> float:
    """The median of some plans."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder, "work")
        work.mkdir()
        history(work)
        seconds = []
        for _ in range(RUNS):
            started = time.monotonic()
            plan, results = look(work, Product(declared="0.1.0", gate=()), ReleaseOptions())
            seconds.append(time.monotonic() - started)
            assert plan, [result for result in results if result.failed]
        return statistics.median(seconds)


if __name__ == "__main__":
    print(f"{plan_seconds():.2f} s for the plan of a release, {COMMITS} commits, {TAGS} tags")
