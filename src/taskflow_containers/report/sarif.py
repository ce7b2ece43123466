"""A report as SARIF 2.1.0, as GitHub's code scanning takes it: a result for each finding that fails.

Source: https://docs.github.com/code-security/code-scanning (SARIF support). What is waived is left
out: GitHub knows no suppressions, and would raise an alert.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import line_of
from taskflow_containers.report.result import Report, Result

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
# CVSS scores from which GitHub makes the same word.
_SCORES = {"CRITICAL": "9.5", "HIGH": "8.0", "MEDIUM": "5.5", "LOW": "2.0"}


def sarif(report: Report, root: Path) -> str:
    """The failed results of a report on the project in `root`."""
    rules: dict[str, dict[str, Any]] = {}
    seen: Counter[str] = Counter()
    results = []
    for result in report.results:
        for finding in (result.findings or ("",)) if result.failed else ():
            rule = _rule(result, finding)
            place = _place(result, finding, root)
            rules.setdefault(rule["id"], rule)
            # Without the line, which moves when something is written above it.
            same = f"{rule['id']} {result.container} {place[0]} {re.sub(r':[0-9]+:', ':', finding)}"
            seen[same] += 1
            said = finding or "; ".join(filter(None, (result.measured, result.detail)))
            words = [f"{result.title}: {said}", result.fix and f"To do: {result.fix}"]
            results.append(
                {
                    "ruleId": rule["id"],
                    "ruleIndex": list(rules).index(rule["id"]),
                    "level": "error",
                    "message": {"text": "\n".join(filter(None, words))},
                    "locations": [_location(*place)],
                    "partialFingerprints": {
                        "primaryLocationLineHash": f"{_digest(same)}:{seen[same]}"
                    },
                }
            )
    run = {
        "tool": {"driver": {"name": "taskflow-containers", "rules": [*rules.values()]}},
        # One category for each command, so that none takes another one's alerts away.
        "automationDetails": {"id": f"taskflow/{report.command}/"},
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]


def _rule(result: Result, finding: str) -> dict[str, Any]:
    """The check, and the rule of the tool behind it where a finding begins with one."""
    head, _, text = finding.partition(": ")
    name = head.split()[0] if head.strip() else ""
    rule: dict[str, Any] = {
        "id": f"{result.id}/{name}" if name else result.id,
        "shortDescription": {"text": result.title},
        "help": {"text": result.fix or result.expected or result.title},
        "defaultConfiguration": {"level": "error"},
    }
    if score := _SCORES.get(text.partition(" ")[0]):
        rule["properties"] = {"tags": ["security"], "security-severity": score}
    return rule


def _place(result: Result, finding: str, root: Path) -> tuple[str, int]:
    """The file, relative to the project, and the line that a finding is about.

    What is found in an image has none: it is about the container's entry in taskflow.toml.
    """
    head = finding.partition(": ")[0]
    for place in (head.partition(" ")[2], result.location):
        file, line = re.fullmatch(r"(.*?)(?::(\d+))?", place, re.DOTALL).groups()  # type: ignore[union-attr]
        path = PurePosixPath(file)
        if file and not path.is_absolute() and ".." not in path.parts and (root / path).is_file():
            return str(path), max(1, int(line or 1))
    try:
        text = (root / FILE_NAME).read_text(encoding="utf-8-sig")
        return FILE_NAME, line_of(text, ["containers", result.container]) or 1
    except (OSError, ValueError):
        return FILE_NAME, 1


def _location(file: str, line: int) -> dict[str, Any]:
    artifact = {"uri": quote(file), "uriBaseId": "%SRCROOT%"}
    return {"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": line}}}
