"""The verdict of an earlier run, for whoever wants no second one while nothing has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from taskflow_containers.project.model import Project
from taskflow_containers.report.result import Report, Result
from taskflow_containers.report.waivers import expired, unwaived


def digest(parts: Iterable[bytes]) -> str:
    """SHA-256 of all that a verdict depends on."""
    found = hashlib.sha256()
    for part in parts:
        # Each with its length, so that no two lists of parts read the same.
        found.update(b"%d:%s" % (len(part), part))
    return found.hexdigest()


def own_sources() -> Iterator[bytes]:
    """What this tool judges by: its code, and the rules that lie beside it."""
    package = Path(__file__).parents[1]
    for path in sorted([*package.rglob("*.py"), *package.rglob("*.yaml")]):
        yield path.read_bytes()


def recall(
    report: Report, folder: Path, project: Project, pages: Iterable[str], notes: Sequence[str] = ()
) -> bool:
    """Fill in what `folder` keeps of a run that passed on the very same; whether there was one.

    The `pages` that such a run has written must be there; its notes that begin with one of `notes`
    come back. What was waived then comes back as it failed, for the waivers of today to judge; once
    one of them has expired, no earlier verdict stands.
    """
    if any(map(expired, project.waivers)):
        return False
    try:
        kept = json.loads((folder / f"{report.command}.json").read_text(encoding="utf-8"))
        if kept["inputs"] != report.inputs or kept["verdict"] != "passed":
            return False
        results = [unwaived(Result(**one)) for one in kept["results"]]
        started, seconds = str(kept["started"]), float(kept["seconds"])
        noted = [str(note) for note in kept["notes"] if str(note).startswith(tuple(notes))]
    except (OSError, ValueError, TypeError, KeyError):
        return False
    if not results or not all((folder / page).is_file() for page in pages):
        return False
    report.add(results)
    report.notes += noted
    report.started, report.seconds, report.earlier = started, seconds, True
    return True
