"""The findings of all sessions as one Code Quality report, which a merge request of GitLab's shows.

Source: https://docs.gitlab.com/ci/testing/code_quality/ (report format). GitLab takes one such file from a job, so
it is made from the SARIF files of the sessions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

FILE_NAME = "gl-code-quality-report.json"


def codequality(documents: Iterable[Path]) -> str:
    """Every result of these SARIF files that we wrote, each with a fingerprint that no other has."""
    issues = []
    for path in documents:
        for run in json.loads(path.read_text("utf-8"))["runs"]:
            for result in run["results"]:
                place = result["locations"][0]["physicalLocation"]
                rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
                severe = float(rule.get("properties", {}).get("security-severity", 0)) >= 9
                issues.append(
                    {
                        "description": result["message"]["text"],
                        "check_name": result["ruleId"],
                        "fingerprint": result["partialFingerprints"]["primaryLocationLineHash"],
                        "severity": "critical" if severe else "major",
                        "location": {
                            "path": unquote(place["artifactLocation"]["uri"]),
                            "lines": {"begin": place["region"]["startLine"]},
                        },
                    }
                )
    return json.dumps(issues, indent=2, ensure_ascii=False) + "\n"
