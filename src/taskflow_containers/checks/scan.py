"""Scan sources and images with trivy: misconfiguration, secrets, licences, vulnerabilities, SBOM."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from taskflow_containers.checks import database, inventory, packages, secrets
from taskflow_containers.checks.build import Image
from taskflow_containers.checks.database import Database
from taskflow_containers.checks.packages import nothing
from taskflow_containers.checks.trivy import call, heed, suppressed, trivy
from taskflow_containers.checks.unscanned import unscanned
from taskflow_containers.engine import archive
from taskflow_containers.engine.client import substitutes
from taskflow_containers.machine import interruption
from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.machine.process import last_line
from taskflow_containers.project.kinds import Kind
from taskflow_containers.report import sbom_file
from taskflow_containers.report.result import Result, finds_nothing, judge, of_platform, skip
from taskflow_containers.workspace import Target, Workspace

# Comments by which trivy leaves out what it finds in the next line.
_INLINE = re.compile(r"(?:#|//|\{#|<!--).*\b(?:trivy|tfsec):ignore\b", re.IGNORECASE)
_SBOMS = {"cyclonedx": "cdx", "spdx-json": "spdx"}  # trivy's format → what its file is called


@dataclass(frozen=True, slots=True)
class _Run:
    """What the scans of one run share; `locks` is what the lock files tell (`inventory.locked`)."""

    workspace: Workspace
    reports: Path
    flaws: Database
    locks: Future[tuple[dict[str, Any], str]]

    @property
    def gate(self) -> set[str]:
        """The severities that count."""
        return {*self.workspace.project.scan.severities}


def scan(
    workspace: Workspace, images: Iterable[Image], reports: Path, *, offline: bool
) -> list[Result]:
    """Every scan; `offline` takes the vulnerability database that is there, if there is one."""
    targets = [
        (workspace.target(image.container, image.id), image.tags[0], part)
        for image in images
        for part in workspace.project.build.parts
    ]
    settings = workspace.project.scan
    try:
        reports.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise EnvironmentTrouble(
            f"{reports.name} is no folder", "remove it: reports are written there"
        ) from None
    for older in reports.glob("sbom-*.json"):
        older.unlink()
    heed([workspace.root / Path(file).expanduser() for file in settings.vex])
    flaws = database.fetch(workspace.root, settings, offline=offline)
    with tempfile.TemporaryDirectory() as folder, interruption.pool(2) as pool:
        sources = pool.submit(_sources, workspace)
        flaws = database.proved(flaws)
        locks = pool.submit(inventory.locked, workspace.root, Path(folder, "locks.json"), flaws)
        run = _Run(workspace, reports, flaws, locks)
        scanned = pool.map(lambda one: _image(run, *one), targets)
        results = sources.result()
        for found in scanned:
            # What is no image's is the same on each platform.
            results += [result for result in found if result not in results]
    return [*results, database.judged(flaws)]


def _sources(workspace: Workspace) -> list[Result]:
    root, started = workspace.root, time.monotonic()
    gate: set[str] = {*workspace.project.scan.severities}
    skipped = [word for pattern in inventory.SKIPPED for word in ("--skip-dirs", pattern)]
    with tempfile.TemporaryDirectory() as folder:
        answer, error = trivy(
            [
                "filesystem",
                "--scanners",
                "misconfig,secret",
                "--secret-config",
                secrets.RULES,
                "--skip-check-update",
                *skipped,
                root,
            ],
            Path(folder, "sources.json"),
        )
    if error:
        raise EnvironmentTrouble(
            f"trivy failed: {last_line(error)}", "run nox -s scan again; `trivy fs .` shows more"
        )
    seconds = time.monotonic() - started
    results = answer.get("Results") or []
    looked = [str(t["Target"]) for t in results if t.get("Class") == "config"]
    for name in workspace.project.containers:
        dockerfile = workspace.project.dockerfile(name)
        if (root / dockerfile).is_file() and dockerfile not in looked:
            raise EnvironmentTrouble(
                f"trivy says nothing of {dockerfile}, which it was to look at",
                "run the command again; a trivy of your own has to be one that this tool knows",
            )
    aside = sorted({str(t["Target"]) for t in results if _undeclared(workspace, t)})
    judged = {"Results": [t for t in results if t["Target"] not in aside]}
    looked = [file for file in looked if file not in aside]
    misconfigured = [*_findings(judged, "Misconfigurations", gate), *_inline(root, looked)]
    leaked = _findings(answer, "Secrets", gate)
    return [
        finds_nothing(
            "scan.misconfiguration", "misconfiguration in the sources", misconfigured,
            "each line names a rule; change the file it names",
            expected=nothing(gate), seconds=seconds,
        ),
        finds_nothing(
            "scan.secrets", "secrets in the sources", leaked,
            "take it out, and replace it where it is valid: whoever has the history has it",
        ),
        *([skip("scan.undeclared", "Dockerfiles and charts that taskflow.toml does not name",
                "not judged, for no image or release is made from it: " + "\n".join(aside))]
          if aside else []),
    ]  # fmt: skip


def _undeclared(workspace: Workspace, target: Mapping[str, Any]) -> bool:
    """Whether this is a Dockerfile, or of a chart, that is the owner's own and no part of the model."""
    project, path = workspace.project, PurePosixPath(target["Target"])
    if target.get("Class") != "config":
        return False
    if target.get("Type") == "dockerfile":
        return str(path) not in map(project.dockerfile, project.containers)
    charts = [one for one in path.parents if (workspace.root / one / "Chart.yaml").is_file()]
    return bool(charts) and PurePosixPath(project.files.chart) not in charts


def _inline(root: Path, files: Iterable[str]) -> list[str]:
    """A finding for each comment that keeps a finding from trivy's answer."""
    return [
        f"inline-ignore {file}:{number}: a comment hides findings, where only [[waivers]] of "
        "taskflow.toml may"
        for file in files
        if (root / file).is_file()
        for number, line in enumerate((root / file).read_text("utf-8", "replace").splitlines(), 1)
        if _INLINE.search(line)
    ]


def _findings(answer: Mapping[str, Any], kind: str, gate: set[str]) -> list[str]:
    """A line for each of Misconfigurations or Secrets, "RULE PLACE: text"; secrets count at any severity."""
    lines = []
    for target in answer.get("Results") or []:
        for item in target.get(kind) or []:
            if kind != "Secrets" and item.get("Severity") not in gate:
                continue
            if kind == "Misconfigurations":
                line = (item.get("CauseMetadata") or {}).get("StartLine", 1)
                rule, text = item["ID"], item["Message"]
            else:
                line, rule, text = item["StartLine"], item["RuleID"], item["Title"]
            where = f"{target['Target']}:{line}" if line else str(target["Target"])
            lines.append(f"{rule} {where}: {item['Severity']} {text}")
    return sorted(set(lines))


def _image(run: _Run, target: Target, tag: str, part: str) -> list[Result]:
    workspace, name, base = run.workspace, target.name, target.container.base
    engine, settings = workspace.engine, workspace.project.scan
    base = substitutes().get(base, base)
    known = set((engine.image_config(base, part) or {}).get("Layers") or [])
    about = f" ({part})" if part else ""
    with (
        tempfile.TemporaryDirectory() as folder,
        archive.saved(engine, target.image, part) as saved,
    ):
        # trivy reaches only some engines by itself, and takes all layers to be packed like the first.
        layout = Path(folder, "image")
        output = Path(folder, "image.json")
        words: list[str | Path] = ["image", "--input", layout, "--skip-check-update"]
        words += ["--image-config-scanners", "misconfig"]
        errors = []

        def examine(count: int, output: Path) -> dict[str, Any]:
            saved.write_layout(layout, count)
            answer, error = inventory.ask(words, output, tag + about, run.flaws)
            errors.append(error)
            return answer

        started = time.monotonic()
        answer = examine(len(saved.layers), output)
        layers = Path(folder, "layers")
        secrets.unpack(saved, layers, known)
        files, error = secrets.search(layers, Path(folder, "layers.json"))
        if error:
            raise EnvironmentTrouble(
                f"trivy failed on {tag}{about}: {last_line(error)}",
                "run nox -s scan again; where a disk is full, free some of it",
            )
        aside = unscanned(name, saved.layers, layout, saved.config.get("config") or {}, answer)
        for line in suppressed(answer):
            workspace.note(f"not counted in {name}{about}, by a VEX document: {line}")
        for result in answer.get("Results") or []:
            result["Target"] = result["Target"].replace(str(layout), tag)
        found = packages.Inventory(known)
        found.add_image(answer)
        for number in reversed(inventory.hiding(saved, layers)):
            found.add_deleted(examine(number - 1, Path(folder, "hidden.json")), number)
        locked, error = run.locks.result()
        context = workspace.project.context(name)
        others = inventory.others_within(workspace.project, name)
        locked = inventory.below(locked, context, others)
        found.add_locks(locked)
        error = next(filter(None, [*errors, error]), "")
        leaked = _findings(files, "Secrets", run.gate)
        seconds = time.monotonic() - started
        bundles = target.container.kind is Kind.FRONTEND and not locked["Results"]
        output.write_text(json.dumps(packages.once(answer)), encoding="utf-8")
        lock_files = inventory.judge_locks(name, workspace.root, context, locked, others)
        judged = [
            aside,
            *_judge_image(name, answer, leaked, run.gate, seconds),
            packages.licences(name, found, settings.licences),
            packages.vulnerabilities(name, found, settings, excused=run.flaws.excused, error=error),
            inventory.judge_document(name, layers, found, needed=bundles),
            _sbom(name, part, output, run.reports),
        ]  # fmt: skip
        return [lock_files, *(of_platform(one, part) for one in judged)]


def _judge_image(
    name: str,
    answer: Mapping[str, Any],
    leaked: list[str],
    gate: set[str],
    seconds: float,
) -> list[Result]:
    misconfigured = _findings(answer, "Misconfigurations", gate)
    return [
        finds_nothing(
            "scan.image-secrets", "secrets in the image", leaked,
            "keep it out of the build context and of ENV; replace it where it is valid",
            container=name, seconds=seconds,
        ),
        finds_nothing(
            "scan.image-misconfiguration", "misconfiguration of the image", misconfigured,
            "each line names a rule; mend the Dockerfile", container=name, expected=nothing(gate),
        ),
    ]  # fmt: skip


def _sbom(name: str, part: str, output: Path, reports: Path) -> Result:
    counts, error, named = [], "", sbom_file(name, part, "{cdx,spdx}")
    for form, ending in _SBOMS.items():
        target = output.with_name(sbom_file(name, part, ending))
        error = call(["convert", f"--format={form}", output], target, None, 120)
        if error:
            break
        document = json.loads(target.read_text(encoding="utf-8"))
        counts.append(len(document.get("components") or document.get("packages") or []))
        shutil.copy(target, reports)
    return judge(
        "scan.sbom",
        "SBOM (CycloneDX, SPDX)",
        not error and min(counts) > 0,
        container=name,
        expected="the packages of the image",
        measured=f"{counts[0] if counts else 0} components",
        detail=last_line(error) if error else f"{reports.name}/{named}",
        fix="`trivy image --format cyclonedx` shows what went wrong",
    )
