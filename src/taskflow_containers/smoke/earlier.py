"""The verdict of an earlier run, for whoever wants no second one while nothing has changed."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path

from taskflow_containers.engine.client import substitutes
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.model import Project
from taskflow_containers.report.result import Report, Result
from taskflow_containers.report.waivers import expired, unwaived
from taskflow_containers.smoke.lab import Options
from taskflow_containers.workspace import Target, Workspace

_FILES = (FILE_NAME, "chart/values.yaml")
_PAGE = "smoke.html"


def digest(workspace: Workspace, targets: Iterable[Target], options: Options) -> str:
    """SHA-256 of all that a verdict depends on, but for what else the machine is doing."""
    found = hashlib.sha256()
    for part in _parts(workspace, targets, options):
        # Each with its length, so that no two lists of parts read the same.
        found.update(b"%d:%s" % (len(part), part))
    return found.hexdigest()


def _parts(workspace: Workspace, targets: Iterable[Target], options: Options) -> Iterator[bytes]:
    engine, project = workspace.engine, workspace.project
    instead, names = substitutes(), []
    for target in targets:
        container = target.container
        yield f"{target.name} {target.image}".encode()
        names.append(container.base)
        for variable in container.environment.required:
            if variable not in container.connects:
                yield f"{variable}={os.environ.get(variable)}".encode()
    names += [service.image for service in project.services.values()]
    for name in names:
        config = engine.image_config(instead.get(name, name)) or {}
        yield f"{name} {config.get('Id')}".encode()
    yield f"{engine.description} on {platform.platform()}".encode()
    yield f"{sorted(options.only)} {options.full}".encode()
    own = Path(__file__).parents[1]
    for path in [*(workspace.root / name for name in _FILES), *sorted(own.rglob("*.py"))]:
        yield path.read_bytes() if path.is_file() else b"-"


def recall(report: Report, folder: Path, project: Project) -> bool:
    """Fill in what `folder` keeps of a run that passed on the very same; whether there was one.

    What was waived then comes back as it failed, for the waivers of today to judge; once one of
    them has expired, no earlier verdict stands.
    """
    if any(map(expired, project.waivers)):
        return False
    try:
        kept = json.loads((folder / "smoke.json").read_text(encoding="utf-8"))
        if kept["inputs"] != report.inputs or kept["verdict"] != "passed":
            return False
        results = [unwaived(Result(**one)) for one in kept["results"]]
        started, seconds = str(kept["started"]), float(kept["seconds"])
    except (OSError, ValueError, TypeError, KeyError):
        return False
    if not results or not (folder / _PAGE).is_file():
        return False
    report.add(results)
    report.started, report.seconds, report.earlier = started, seconds, True
    return True
