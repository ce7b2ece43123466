"""The verdict of an earlier run, for whoever wants no second one while nothing has changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from taskflow_containers.project.model import Project
from taskflow_containers.report.result import Report, Result, Status, Taken, Verdict
from taskflow_containers.report.waivers import expired, unwaived

UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError)


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
        kept = read(folder / f"{report.command}.json")
    except UNREADABLE:
        return False
    if kept.inputs != report.inputs or kept.verdict is not Verdict.PASSED:
        return False
    if not kept.results or not all((folder / page).is_file() for page in pages):
        return False
    report.add(map(unwaived, kept.results))
    report.notes += [note for note in kept.notes if note.startswith(tuple(notes))]
    report.started, report.seconds, report.earlier = kept.started, kept.seconds, True
    return True


def read(path: Path) -> Report:
    """A report as its JSON file keeps it.

    Raises:
        UNREADABLE: there is none, it cannot be read, or it is of another version of this tool.
    """
    kept = json.loads(path.read_text(encoding="utf-8"))
    return Report(
        str(kept["command"]), [str(note) for note in kept["notes"]],
        {str(name): str(id) for name, id in kept["images"].items()},
        [Taken(**one) for one in kept["taken"]], [_result(one) for one in kept["results"]],
        started=str(kept["started"]), seconds=float(kept["seconds"]), inputs=str(kept["inputs"]),
        commit=str(kept.get("commit", "")),
    )  # fmt: skip


def _result(kept: dict[str, Any]) -> Result:
    """One result; JSON has lists for tuples, and text for a status."""
    findings = kept.get("findings")
    own = {
        "status": Status(kept["status"]),
        "findings": None if findings is None else tuple(findings),
        "waived": tuple(kept.get("waived", ())),
    }
    return Result(**{**kept, **own})
