"""The results of one level of the contract, and values as a person reads them."""

from __future__ import annotations

from taskflow_containers.report.result import Result, judge


def shown(value: object) -> str:
    """A value as a person reads it: lists with commas, `nothing` for what is empty."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (set, frozenset, list, tuple)):
        return ", ".join(str(item) for item in value) or "nothing"
    return str(value) if value not in (None, "") else "nothing"


class Level:
    """Makes the results of one level for one container: same container, same file, same prefix."""

    def __init__(self, level: str, container: str, file: str) -> None:
        self.level = level
        self.container = container
        self.file = file

    def check(
        self,
        id: str,
        title: str,
        expected: object,
        measured: object,
        fix: str,
        *,
        passed: bool | None = None,
        line: int = 0,
    ) -> Result:
        """Passed when both values are equal, unless `passed` says otherwise."""
        return judge(
            f"contract.{self.level}.{id}",
            title,
            expected == measured if passed is None else passed,
            container=self.container,
            expected=shown(expected),
            measured=shown(measured),
            fix=fix,
            location=f"{self.file}:{line}" if line else self.file,
        )


def not_text(level: Level, error: UnicodeDecodeError) -> Result:
    """The result for a file that cannot be read as text."""
    measured = f"byte {error.object[error.start]:#04x} at {error.start}"
    return level.check("present", "file is text", "UTF-8", measured, "save it as UTF-8")
