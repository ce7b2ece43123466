"""What a scan's verdict depends on, found without starting the scanner."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from taskflow_containers.checks import database, trivy
from taskflow_containers.checks.build import Image
from taskflow_containers.engine.client import substitutes
from taskflow_containers.machine.tools import sha256, tool
from taskflow_containers.project.model import Project
from taskflow_containers.report import earlier, sbom_file
from taskflow_containers.report.result import Report
from taskflow_containers.workspace import Workspace

# Folders that the scan of the sources skips, wherever they are and at the top.
_ANYWHERE, _AT_THE_TOP = {"node_modules", ".next", ".venv"}, {".nox", ".git", "reports"}


def inputs(workspace: Workspace, images: Iterable[Image], *, offline: bool) -> list[bytes]:
    """All that a verdict depends on, but for the database: images, files, rules, scanner, settings."""
    return list(_inputs(workspace, images, offline=offline))


def _inputs(workspace: Workspace, images: Iterable[Image], *, offline: bool) -> Iterator[bytes]:
    root, project, engine = workspace.root, workspace.project, workspace.engine
    instead = substitutes()
    for image in images:
        base = project.containers[image.container].base
        config = engine.image_config(instead.get(base, base)) or {}
        yield f"{image.container} {image.tags[0]} {image.id} on {config.get('Id')}".encode()
    yield f"{engine.description} {offline}".encode()
    yield sha256(tool("trivy")).encode()
    yield "".join(sorted(f"{name}={os.environ.get(name)}\n" for name in trivy.HEEDED)).encode()
    named = [root / Path(file).expanduser() for file in project.scan.vex]
    for path in [*_files(root), *named]:
        yield str(path).encode(errors="surrogateescape")
        yield sha256(path).encode() if path.is_file() else b"-"
    yield from earlier.own_sources()


def _files(root: Path) -> Iterator[Path]:
    """The project's files, as the scan of the sources sees them."""
    for folder, folders, files in os.walk(root):
        skipped = _ANYWHERE | (_AT_THE_TOP if Path(folder) == root else set())
        folders[:] = sorted(name for name in folders if name not in skipped)
        yield from (Path(folder, name) for name in sorted(files))


def digest(known: Iterable[bytes], project: Project) -> str:
    """SHA-256 of the inputs and of the databases that are here: of which day, and whether too old."""
    most = project.scan.database_days
    here = [replace(database.look(folder), most=most) for folder in ("db", "java-db")]
    known = [*known, *(f"{one.present} {one.made} {one.young}".encode() for one in here)]
    return earlier.digest(known)


def recall(
    report: Report, known: Iterable[bytes], project: Project, names: Iterable[str], reports: Path,
    *, offline: bool,
) -> bool:  # fmt: skip
    """Fill in the verdict of an earlier scan of the very same, if the database need not be updated."""
    if not (offline or trivy.updates_switched_off()) and database.look().outdated:
        return False
    report.inputs = digest(known, project)
    pages = [
        sbom_file(name, part, form)
        for name in names for part in project.build.parts for form in ("cdx", "spdx")
    ]  # fmt: skip
    return earlier.recall(report, reports, project, pages, ("trivy ", "not counted in "))
