"""The vulnerability database: brought up to date before anything is scanned, and judged by its age."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from taskflow_containers.checks.trivy import cache, download, updates_switched_off
from taskflow_containers.machine.errors import InputError
from taskflow_containers.machine.process import last_line
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.entry import Origin
from taskflow_containers.project.scanning import DatabaseSource
from taskflow_containers.report.result import Result, judge, skip

_CLOCKS = timedelta(days=1)  # by which two clocks may differ


@dataclass(frozen=True, slots=True)
class Database:
    """What a scan has to compare with; `error` says why it has nothing."""

    present: bool
    made: datetime | None = None  # None where its metadata do not say
    outdated: bool = True  # by its own word there is a newer one
    error: str = ""

    def days(self) -> int | None:
        """Its age; None where that is not known, or in the future."""
        if self.made is None or self.made - datetime.now(UTC) > _CLOCKS:
            return None
        return max(0, (datetime.now(UTC) - self.made).days)


def look() -> Database:
    """The database that is here, without running trivy."""
    folder = cache() / "db"
    if not (folder / "trivy.db").is_file():
        return Database(present=False)
    try:
        metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
        made = datetime.fromisoformat(metadata["UpdatedAt"]).astimezone(UTC)
        following = datetime.fromisoformat(metadata["NextUpdate"]).astimezone(UTC)
    except (OSError, ValueError, LookupError, TypeError, OverflowError):
        return Database(present=True)
    return Database(present=True, made=made, outdated=following <= datetime.now(UTC))


def fetch(root: Path, source: DatabaseSource, *, offline: bool) -> Database:
    """The database, brought up to date unless that is switched off.

    Raises:
        InputError: a credential that taskflow.toml names is not there.
    """
    if not offline and not updates_switched_off() and (error := download(_reach(root, source))):
        return Database(present=False, error=last_line(error)[:300])
    found = look()
    return found if found.present else Database(present=False, error=f"there is none in {cache()}")


def judged(database: Database, most: int, *, offline: bool) -> Result:
    """Whether the database knows what was found lately; trivy itself takes one of any age."""
    id, title = "scan.database", "age of the vulnerability database"
    if offline and not database.present:
        return skip(id, title, f"--offline was asked for, and {database.error}")
    days = database.days()
    if database.error:
        measured = f"none: {database.error}"
    elif database.made is None or days is None:
        measured = f"unknown: its metadata say {database.made or 'nothing'}"
    else:
        measured = f"{days} days, of {database.made:%Y-%m-%d}"
    return judge(
        id,
        title,
        days is not None and days <= most and not database.error,
        expected=f"at most {most} days",
        measured=measured + ("; not updated, for --offline was asked for" if offline else ""),
        fix="let trivy update it: run without --offline and TRIVY_SKIP_DB_UPDATE, or update the "
        "mirror that `repository` below [scan.database] or TRIVY_DB_REPOSITORY names; how old it "
        "may be is `database-days` below [scan]",
    )


def _reach(root: Path, source: DatabaseSource) -> dict[str, str]:
    """The variables by which trivy finds the mirror; what is set already goes first."""
    wanted = {
        "TRIVY_DB_REPOSITORY": source.repository,
        "TRIVY_JAVA_DB_REPOSITORY": source.java_repository,
        "HTTPS_PROXY": source.proxy,
        "HTTP_PROXY": source.proxy,
        "TRIVY_USERNAME": _value(root, "username", source.username),
        "TRIVY_PASSWORD": _value(root, "password", source.password),
    }
    return {name: value for name, value in wanted.items() if value and not _is_set(name)}


def _is_set(name: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a variable is set, in capitals or, as proxies are often written, without."""
    return bool(environment.get(name) or environment.get(name.lower()))


def _value(root: Path, key: str, origin: Origin | None) -> str:
    if origin is None:
        return ""
    name = origin.variable or origin.file or ""
    try:
        if origin.variable:
            value = os.environ.get(origin.variable, "")
        else:
            value = (root / Path(name).expanduser()).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise InputError(
            f"{FILE_NAME}: scan.database.{key}: {name} cannot be read: {error}", "mend the path"
        ) from None
    if not value:
        raise InputError(
            f"{FILE_NAME}: scan.database.{key}: {name} is empty or not set",
            "set it where the scan runs, or scan with --offline",
        )
    return value
