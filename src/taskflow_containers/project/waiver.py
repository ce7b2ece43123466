"""The table of taskflow.toml that accepts one finding for a time."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from taskflow_containers.project import values
from taskflow_containers.project.entry import Entry


class Waiver(Entry):
    """One finding of a check that is accepted until a day; other findings of it still fail."""

    check: values.CheckId
    """The check's id, as its report names it."""
    container: values.Label | None = None
    """Only in this container; in each, if left out."""
    covers: values.Covered | None = None
    """The finding: its rule or CVE, its file, or both with a blank between.

    Needed where a check lists what it finds.
    """
    reason: values.Reason
    """Why it is accepted; every report repeats it."""
    expires: date = Field(strict=True)
    """The last day that it holds (UTC), without quotes: 2027-01-31."""
