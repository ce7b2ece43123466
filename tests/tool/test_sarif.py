"""reports/COMMAND.sarif is what GitHub's code scanning takes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.project import FILE_NAME
from taskflow_containers.report import reporting
from taskflow_containers.report.result import Report, Result, Status, finds_nothing, judge, skip

MODEL = 'name = "x"\n\n[containers.backend]\nport = 1\n'
LINT = finds_nothing(
    "lint.hadolint", "hadolint",
    ["DL3018 backend/Dockerfile:3: Pin versions", "DL3018 backend/Dockerfile:9: Pin versions"],
    "mend it", container="backend",
)  # fmt: skip
FLAWS = finds_nothing(
    "scan.vulnerabilities", "known vulnerabilities",
    ["CVE-2026-1001 mended shop-backend:dev (debian 13.8): HIGH 1.0, fixed in 2.0"],
    "update", container="backend",
)  # fmt: skip
WHOLE = judge("smoke.stop", "stops", False, measured="kïlled", location="ä b/file.py:7")
QUIET = [
    judge("lint.mypy", "mypy", True),
    skip("scan.database", "database", "--offline"),
    replace(LINT, status=Status.WAIVED, waived=("until then: so be it",)),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for file, text in {"backend/Dockerfile": "", "ä b/file.py": "", FILE_NAME: MODEL}.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    return tmp_path


def written(root: Path, *results: Result) -> dict[str, Any]:
    """The one run of the document."""
    reporting.write(Report("scan", results=[*results]), root / "reports")
    document = json.loads((root / "reports" / "scan.sarif").read_text(encoding="utf-8"))
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    assert run["automationDetails"]["id"] == "taskflow/scan/"
    return dict(run)


def test_each_finding_that_fails_is_a_result(root: Path) -> None:
    run = written(root, *QUIET, LINT, FLAWS, WHOLE)
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [
        "lint.hadolint/DL3018", "scan.vulnerabilities/CVE-2026-1001", "smoke.stop",
    ]  # fmt: skip
    assert all(rule["help"]["text"] and rule["shortDescription"]["text"] for rule in rules)
    assert rules[1]["properties"] == {"tags": ["security"], "security-severity": "8.0"}
    places = []
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] == "error"
        (location,) = result["locations"]
        physical = location["physicalLocation"]
        places.append((physical["artifactLocation"]["uri"], physical["region"]["startLine"]))
    assert places == [
        ("backend/Dockerfile", 3), ("backend/Dockerfile", 9),
        (FILE_NAME, 3),  # an image's is its container's
        ("%C3%A4%20b/file.py", 7),
    ]  # fmt: skip
    assert "To do: update" in run["results"][2]["message"]["text"]


def test_a_fingerprint_outlives_lines_above_and_is_one_alone(root: Path) -> None:
    def prints(*results: Result) -> list[str]:
        found = written(root, *results)["results"]
        return [one["partialFingerprints"]["primaryLocationLineHash"] for one in found]

    before = prints(LINT, FLAWS, WHOLE)
    assert len({*before}) == 4
    moved = tuple(finding.replace(":3:", ":5:") for finding in LINT.findings or ())
    assert prints(replace(LINT, findings=moved), FLAWS, WHOLE) == before


@pytest.mark.parametrize("place", ["/etc/passwd:1", "../../x:1", "no/such/file:1", "", ":"])
def test_every_location_is_in_the_project(place: str, root: Path) -> None:
    (root / FILE_NAME).write_text("not [toml")
    result = finds_nothing("scan.x", "x", [f"R {place}: text"], "fix", container="backend")
    (found,) = written(root, replace(result, location=place))["results"]
    physical = found["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == FILE_NAME
    assert physical["region"]["startLine"] == 1


def test_nothing_that_fails_is_no_result(root: Path) -> None:
    assert written(root, *QUIET)["results"] == []


def test_gitlab_shows_the_same_findings(root: Path) -> None:
    """One file for all sessions, with the keys that GitLab documents as needed and fingerprints that differ."""
    written(root, LINT, WHOLE)
    (root / "reports" / "scan.sarif").rename(root / "reports" / "lint.sarif")
    written(root, *QUIET, FLAWS)
    found = json.loads((root / "reports" / "gl-code-quality-report.json").read_text("utf-8"))
    assert [(one["check_name"], one["location"], one["severity"]) for one in found] == [
        ("lint.hadolint/DL3018", {"path": "backend/Dockerfile", "lines": {"begin": 3}}, "major"),
        ("lint.hadolint/DL3018", {"path": "backend/Dockerfile", "lines": {"begin": 9}}, "major"),
        ("smoke.stop", {"path": "ä b/file.py", "lines": {"begin": 7}}, "major"),
        ("scan.vulnerabilities/CVE-2026-1001", {"path": FILE_NAME, "lines": {"begin": 3}}, "major"),
    ]
    assert all(one["description"] for one in found)
    assert len({one["fingerprint"] for one in found}) == len(found)
