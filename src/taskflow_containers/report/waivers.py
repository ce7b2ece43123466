"""Apply the waivers of taskflow.toml to a report: to what was found, and to the waivers themselves."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from taskflow_containers.project.load import line_of
from taskflow_containers.project.model import Project
from taskflow_containers.project.waiver import Waiver
from taskflow_containers.report.result import Report, Result, Status, judge

# The command that makes a check, by the beginning of the check's id.
_MAKERS = {
    "lint.": "lint",
    "contract.dockerfile.": "lint",
    "contract.dockerignore.": "lint",
    "contract.compose.": "lint",
    "contract.image.": "build",
    "build.": "build",
    "scan.": "scan",
    "smoke.": "smoke",
    "contract.chart.": "chart",
    "chart.": "chart",
    "cluster.": "cluster",
}
_NEVER = {
    **dict.fromkeys(
        (
            "contract.compose.present",
            "contract.compose.read",
            "contract.dockerfile.present",
            "contract.dockerignore.present",
            "lint.npm-lock",
            "lint.python",
        ),
        "without it other checks are not made",
    ),
    "build.image": "without the image nothing else can be checked",
    "chart.render": "what does not render cannot be checked",
    "chart.misconfiguration": "what is HIGH or CRITICAL in a chart is never accepted",
    "cluster.install": "without the release nothing else can be checked",
}
# What is told here no check looks at, ever: it keeps no check from being complete.
_ASIDE = ("scan.unscanned", "scan.undeclared")
SOON = 14  # days before its end in which a report says that a waiver is about to expire


def today() -> date:
    """The day by which waivers expire, the same one everywhere."""
    return datetime.now(UTC).date()


def expired(waiver: Waiver) -> bool:
    """Whether a waiver's last day has passed."""
    return waiver.expires < today()


def unwaived(result: Result) -> Result:
    """A result that was read from a file, as it was before any waiver was applied."""
    status = Status.FAILED if result.status is Status.WAIVED else result.status
    return replace(result, status=status, waived=())


def apply(
    report: Report, project: Project, names: Collection[str], file: Path, *, whole: bool
) -> None:
    """Mark what is waived in a report, and add a failed result for each waiver that is wrong.

    `names` are the containers that were checked; `whole` says that the command left no check out.
    Whether a waiver covers anything is judged only where its check was made of all that it is for.
    """
    if not project.waivers:
        return
    used: set[int] = set()
    report.results = [_judged(result, project, used) for result in report.results]
    everywhere = {*names} >= {*project.containers}
    complete = whole and everywhere and not report.count(Status.FAILED)

    def place(number: int, key: str) -> str:
        return (
            f"{file.name}:{line_of(file.read_text(encoding='utf-8-sig'), ['waivers', number, key])}"
        )

    for number, waiver in enumerate(project.waivers):
        title = " ".join(filter(None, ("waiver of", waiver.check, waiver.container, waiver.covers)))
        looked = _looked(waiver, report, complete=complete, everywhere=everywhere)
        listed = [r for r in report.results if r.id == waiver.check and r.findings]
        if wrong := _wrong(waiver, used=number in used, looked=looked, listed=bool(listed)):
            expected, measured, fix, key = wrong
            fault = judge(
                "project.waivers", title, False, expected=expected, measured=measured, fix=fix,
                location=place(number, key),
            )  # fmt: skip
            report.add([fault])
        elif number in used and (left := (waiver.expires - today()).days) <= SOON:
            when = f"expires in {left} days, on {waiver.expires}"
            report.notes.append(f"{place(number, 'expires')}: {title} {when}")


def _judged(result: Result, project: Project, used: set[int]) -> Result:
    """The result with its covered findings waived, and the numbers of their waivers in `used`."""
    if not result.failed or result.id in _NEVER:
        return result
    whole = f"{result.id} {result.location}: {result.measured}"
    findings = (whole,) if result.findings is None else result.findings
    waived: dict[str, str] = {}
    for number, waiver in enumerate(project.waivers):
        if waiver.check != result.id or waiver.container not in {None, result.container}:
            continue
        for finding in [] if expired(waiver) else findings:
            if _covers(waiver, finding, result):
                head = "" if finding is whole else f"{finding.partition(': ')[0]} "
                waived[finding] = f"{head}until {waiver.expires}: {waiver.reason}"
                used.add(number)
    reasons = tuple(dict.fromkeys(waived.values()))
    left = tuple(finding for finding in findings if finding not in waived)
    if not waived:
        return result
    if not left:
        return replace(result, status=Status.WAIVED, waived=reasons)
    detail = result.detail
    for finding in waived:
        detail = detail.replace(finding, "")
    return replace(
        result,
        measured=f"{result.measured}; {len(waived)} of them waived",
        detail="\n".join(filter(None, detail.split("\n"))) or "\n".join(left),
        findings=left,
        waived=reasons,
    )


def _covers(waiver: Waiver, finding: str, result: Result) -> bool:
    """Whether each word of `covers` is a finding's rule, or its place with or without the line.

    A vulnerability must be named: its place, such as a package, will have others.
    """
    if waiver.covers is None:
        return result.findings is None
    rule, *place = finding.partition(": ")[0].split()
    words = {*waiver.covers.split()}
    if result.id == "scan.vulnerabilities" and rule not in words:
        return False
    return words <= {rule, *place, *(re.sub(r":\d+$", "", word) for word in place)}


def _family(check: str) -> str:
    """The beginning that a check's id shares with those that are made with it."""
    return next((family for family in _MAKERS if f"{check}.".startswith(family)), "")


def _looked(waiver: Waiver, report: Report, *, complete: bool, everywhere: bool) -> bool:
    """Whether this command saw all that the waiver could cover."""
    if any(result.failed and result.id in _NEVER for result in report.results):
        return False  # other checks had less to look at
    judged = {Status.PASSED, Status.FAILED, Status.WAIVED}
    made = [
        result
        for result in report.results
        if result.id == waiver.check and waiver.container in {None, result.container}
    ]
    if made:
        # One that failed without a finding could not look.
        seen = all(r.status in judged and not (r.failed and r.findings == ()) for r in made)
        return seen and (everywhere or waiver.container is not None)
    family = _family(waiver.check)
    unseen = any(
        r.status not in judged and r.id not in _ASIDE and _family(r.id) == family
        for r in report.results
    )
    return complete and not unseen and _MAKERS.get(family) == report.command


def _wrong(
    waiver: Waiver, *, used: bool, looked: bool, listed: bool
) -> tuple[str, str, str, str] | None:
    """What is wrong with a waiver: expected, measured, what to do, and the key to change."""
    if why := _NEVER.get(waiver.check):
        return "a check that can be waived", why, "remove this waiver and mend the fault", "check"
    if not _family(waiver.check):
        return (
            f"a check of {', '.join(dict.fromkeys(_MAKERS.values()))}",
            f"no check is called {waiver.check}",
            "write the id as the report has it, such as lint.hadolint",
            "check",
        )
    if expired(waiver):
        return (
            "a last day that has not passed",
            f"expired on {waiver.expires}",
            "mend the finding and remove this waiver, or set a later day if its reason still holds",
            "expires",
        )
    if used or not looked:
        return None
    if waiver.covers is None and listed:
        return (
            "which of its findings it covers",
            f"{waiver.check} lists what it finds, and the waiver names none of it",
            "write in `covers` what the report says of the finding before its colon, such as its rule",
            "check",
        )
    return (
        "a finding that it covers",
        f"{waiver.check} found nothing that it covers",
        "remove this waiver; or write in `covers` what the report says of the finding before its "
        "first colon, such as its rule",
        "check" if waiver.covers is None else "covers",
    )
