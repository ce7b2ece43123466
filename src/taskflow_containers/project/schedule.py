"""When a cron job runs: five fields as cron has them, as far as Kubernetes takes them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from taskflow_containers.project.values import holds

# The fields of a schedule: lowest and highest number, and the names that stand for numbers.
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS: tuple[tuple[int, int, list[str]], ...] = (
    (0, 59, []), (0, 23, []), (1, 31, []), (1, 12, ["", *_MONTHS]), (0, 6, _DAYS),
)  # fmt: skip
_NAMED = {"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}


def _is_schedule(text: str) -> bool:
    """Whether Kubernetes takes it for a CronJob's: five fields of cron, or a name for them."""
    fields = text.lower().split(" ")
    return text in _NAMED or (
        len(fields) == len(_FIELDS)
        and all(
            _is_part(part, *bounds)
            for field, bounds in zip(fields, _FIELDS, strict=True)
            for part in field.split(",")
        )
    )


def _is_part(part: str, low: int, high: int, names: list[str]) -> bool:
    match = re.fullmatch(r"(?:[*?]|(\w+)(?:-(\w+))?)(?:/([1-9][0-9]?))?", part, re.ASCII)
    if not match:
        return False
    ends = [
        names.index(word) if word in names else int(word) if word.isdecimal() else -1
        for word in match.groups()[:2]
        if word
    ]
    return all(low <= end <= high for end in ends) and ends == sorted(ends)


Schedule = Annotated[
    str,
    Field(max_length=200, examples=["*/5 * * * *", "@daily"]),
    holds(_is_schedule, 'is no schedule of cron, five fields such as "*/5 * * * *"'),
]
