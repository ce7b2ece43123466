"""Conflict markers that an update of the template left: nothing is judged or built of such files."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from taskflow_containers.machine.errors import InputError
from taskflow_containers.machine.process import run

COPIERS = ("before updating", "last update", "after updating")
OURS = ("yours", "the last update", "the template's")


def marked(root: Path) -> dict[str, int]:
    """The files of git's below `root` with an update's markers, each with the line of the first."""
    ends = "|".join(f"<{{7}} {labels[0]}|>{{7}} {labels[2]}" for labels in (COPIERS, OURS))
    if not shutil.which("git"):
        return {}
    # Whatever a person has set of git's colours and names.
    plain = ["--no-color", "--no-full-name", "--null"]
    words = ["git", "grep", *plain, "-I", "-n", "-E", f"^({ends})\r?$"]
    said = run(words, cwd=root, timeout=60).stdout
    found: dict[str, int] = {}
    for name, line in re.findall(r"^([^\0\n]+)\0(\d+)", said, re.MULTILINE):
        found.setdefault(name, int(line))
    return found


def require_merged(root: Path) -> None:
    """Refuse a project with such files.

    Raises:
        InputError: where the markers are.
    """
    if places := [f"{name}:{line}" for name, line in marked(root).items()]:
        raise InputError(
            f"conflict markers of an update are left: {', '.join(places)}",
            "`invoke update` (or `python -m taskflow_containers update`) merges JSON, TOML and requirements; "
            "edit the others, then `git add` them",
        )
