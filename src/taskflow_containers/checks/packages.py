"""Judge the packages that trivy finds: known vulnerabilities and licences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taskflow_containers.machine.process import last_line
from taskflow_containers.project.model import Project
from taskflow_containers.report.result import Result, judge, skip


def nothing(gate: set[str]) -> str:
    """What a check of these severities expects to find."""
    order = ["LOW", "MEDIUM", "HIGH", "CRITICAL"]
    return "nothing " + " or ".join(severity for severity in order if severity in gate)


def _findings(answer: Mapping[str, Any], kind: str, gate: set[str]) -> list[str]:
    """A line for each of Vulnerabilities or Licenses, "RULE PACKAGE PLACE: text"."""
    lines = []
    for target in answer.get("Results") or []:
        for item in target.get(kind) or []:
            if item.get("Severity") not in gate:
                continue
            if kind == "Vulnerabilities":
                rule, fixed = item["VulnerabilityID"], item.get("FixedVersion") or "no release yet"
                text = f"{item['InstalledVersion']}, fixed in {fixed}"
            else:
                rule, text = item["Name"], item["Category"]
            lines.append(f"{rule} {item['PkgName']} {target['Target']}: {item['Severity']} {text}")
    return sorted(set(lines))


def licences(project: Project, answer: Mapping[str, Any], gate: set[str]) -> list[str]:
    """Licences of language packages; the base's distribution is its publisher's to answer for."""
    packages = [
        {
            **target,
            "Licenses": [
                item
                for item in target.get("Licenses") or []
                if item.get("Name") not in project.scan.licences.accepted
            ],
        }
        for target in answer.get("Results") or []
        if target.get("Class") == "license" and target.get("Target") != "OS Packages"
    ]
    return _findings({"Results": packages}, "Licenses", gate)


def _split(answer: Mapping[str, Any], base: set[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A scan's answer, and apart from it what it found in language packages of the base's layers.

    Those are the base's own tools, such as its npm or pip: no update of the application mends them.
    """
    own, tools = [], []
    for target in answer.get("Results") or []:
        found = target.get("Vulnerabilities") or []
        idle = [
            item
            for item in found
            if target.get("Class") == "lang-pkgs"
            and (item.get("Layer") or {}).get("DiffID") in base
        ]
        own.append({**target, "Vulnerabilities": [item for item in found if item not in idle]})
        tools.append({**target, "Vulnerabilities": idle})
    return {"Results": own}, {"Results": tools}


def vulnerabilities(
    name: str, answer: Mapping[str, Any], gate: set[str], offline: bool, error: str, base: set[str]
) -> Result:
    """Whether what is known against the packages has a fix; `base` are the base's layers."""
    id, title = "scan.vulnerabilities", "known vulnerabilities"
    if error:
        return judge(
            id,
            title,
            False,
            container=name,
            expected=nothing(gate),
            measured="not scanned: the vulnerability database cannot be had",
            detail=last_line(error)[:300],
            findings=(),  # nothing of it can be waived
            fix="check the network or name a mirror (TRIVY_DB_REPOSITORY); "
            "`nox -s scan -- --offline` leaves this scan out and says so",
        )
    if offline:
        return skip(id, title, "not scanned: --offline was asked for", container=name)
    own, tools = _split(answer, base)
    found = _findings(own, "Vulnerabilities", gate)
    mendable = [line for line in found if not line.endswith("no release yet")]
    idle = _findings(tools, "Vulnerabilities", gate)
    aside = f"; {len(idle)} in the base image's own tools" if idle else ""
    return judge(
        id,
        title,
        not mendable,
        container=name,
        expected=f"{nothing(gate)} with a fix",
        measured=f"{len(mendable)} with a fix, {len(found) - len(mendable)} without{aside}",
        detail="\n".join([*mendable, *(f"in the base image: {line}" for line in idle)]),
        findings=mendable,
        fix="update the package, or ask for a newer base image: `nox -s build -- --pull`; then scan again",
    )
