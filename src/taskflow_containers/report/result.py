"""One result model: every check, whoever runs it, yields a Result, and a Report holds them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from taskflow_containers.machine.errors import ExitCode


class Status(StrEnum):
    """The verdict of one check."""

    PASSED = "passed"
    FAILED = "failed"
    WAIVED = "waived"
    SKIPPED = "skipped"
    UNMEASURABLE = "not measurable"


class Verdict(StrEnum):
    """What a whole report comes to."""

    PASSED = "passed"
    FAILED = "failed"
    UNJUDGED = "not judged"


_JUDGED = {Status.PASSED, Status.FAILED}
AT_REST = "image"  # the group of checks that need no container


@dataclass(frozen=True, slots=True)
class Result:
    """One check: what was expected, what was measured and, when it failed, what to do.

    `id` is stable ("contract.dockerfile.user"); `container` is empty for the whole project;
    `location` is "file:line" where a file is at fault; `seconds` is how long the check took;
    `limit` is the bound that `measured` is held to, where there is one beside the expectation;
    `figure` is what was measured as one number (bytes, or seconds), where runs are compared by it;
    `group` is the heading a report puts the check under.

    `findings` is for a check that may fail for several things: each as "RULE PLACE: text", so that
    one of them can be waived; None for a check that fails as a whole. `waived` says which findings
    are waived, until when and why.
    """

    id: str
    title: str
    status: Status
    container: str = ""
    expected: str = ""
    measured: str = ""
    fix: str = ""
    location: str = ""
    detail: str = ""
    seconds: float = 0.0
    limit: str = ""
    group: str = ""
    findings: tuple[str, ...] | None = None
    waived: tuple[str, ...] = ()
    figure: float | None = None

    @property
    def failed(self) -> bool:
        """Whether this check fails the command."""
        return self.status is Status.FAILED


def judge(
    id: str,
    title: str,
    passed: bool,
    *,
    container: str = "",
    expected: object = "",
    measured: object = "",
    fix: str = "",
    location: str = "",
    detail: str = "",
    seconds: float = 0.0,
    limit: str = "",
    group: str = "",
    findings: Sequence[str] | None = None,
    figure: float | None = None,
) -> Result:
    """A Result from a verdict; `fix` and `location` are kept only where it failed."""
    return Result(
        id=id,
        title=title,
        status=Status.PASSED if passed else Status.FAILED,
        container=container,
        expected=str(expected),
        measured=str(measured),
        fix="" if passed else fix,
        location="" if passed else location,
        detail=detail,
        seconds=seconds,
        limit=limit,
        group=group,
        findings=None if findings is None else tuple(findings),
        figure=figure,
    )


def finds_nothing(
    id: str, title: str, findings: Sequence[str], fix: str, *, container: str = "",
    expected: str = "nothing", passed: str = "nothing", seconds: float = 0.0,
) -> Result:  # fmt: skip
    """A check that passes when nothing was found; each finding is a line: "RULE PLACE: text"."""
    return judge(
        id,
        title,
        not findings,
        container=container,
        expected=expected,
        measured=f"{len(findings)} found" if findings else passed,
        detail="\n".join(findings),
        fix=fix,
        seconds=seconds,
        findings=findings,
    )


def of_platform(result: Result, platform: str) -> Result:
    """The result on one of an image's several platforms, which its title names; "" is the only one."""
    return replace(result, title=f"{result.title} ({platform})") if platform else result


def skip(id: str, title: str, reason: str, *, container: str = "") -> Result:
    """A check that was not made, and why."""
    return Result(id, title, Status.SKIPPED, container=container, detail=reason)


class Taken(NamedTuple):
    """A value that a run goes by, and where it is from."""

    what: str
    value: str
    source: str


@dataclass(slots=True)
class Report:
    """The results of one command, with notes (engine, stand-ins) and the images judged (name → ID).

    `taken` is what an image was judged by that no taskflow.toml describes.

    `inputs` is a digest of all that the verdict depends on, so that it can be reused while nothing
    changes; `earlier` marks a verdict that was reused. `commit` is where the work tree stood, with
    "-dirty" where it differed from it; "" without git.
    """

    command: str
    notes: list[str] = field(default_factory=list)
    images: dict[str, str] = field(default_factory=dict)
    taken: list[Taken] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    # Further files (name → function that makes their text), written once the report is closed.
    pages: dict[str, Callable[[Report], str]] = field(default_factory=dict, repr=False)
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    _clock: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    inputs: str = ""
    earlier: bool = False
    commit: str = ""

    def add(self, results: Iterable[Result]) -> None:
        """Append results."""
        self.results.extend(results)

    def close(self) -> None:
        """Set the duration; a reused verdict keeps its own."""
        if self.earlier:
            return
        self.seconds = round(time.monotonic() - self._clock, 3)

    def count(self, status: Status) -> int:
        """How many checks ended so."""
        return sum(result.status is status for result in self.results)

    @property
    def unjudged(self) -> list[str]:
        """The containers of which nothing passed or failed; [""] where nothing at all did.

        Checks of an image at rest do not count for a container that was to run. A container whose
        checks were all skipped was left out on purpose, if others were judged.
        """
        unseen: list[str] = []
        found = {r.status for r in self.results}
        for name in dict.fromkeys(r.container for r in self.results if r.container):
            own = [r for r in self.results if r.container == name]
            statuses = {r.status for r in [r for r in own if r.group != AT_REST] or own}
            if Status.UNMEASURABLE in statuses and not statuses & _JUDGED:
                unseen.append(name)
        return unseen if found & _JUDGED else [""]

    @property
    def verdict(self) -> Verdict:
        """FAILED when anything failed or nothing was checked at all.

        UNJUDGED when nothing could be judged of a container, or of any: what was not looked at has
        not passed.
        """
        if not self.results or self.count(Status.FAILED):
            return Verdict.FAILED
        return Verdict.UNJUDGED if self.unjudged else Verdict.PASSED

    @property
    def exit_code(self) -> ExitCode:
        """OK for a verdict that passed, else CHECK_FAILED."""
        return ExitCode.OK if self.verdict is Verdict.PASSED else ExitCode.CHECK_FAILED
