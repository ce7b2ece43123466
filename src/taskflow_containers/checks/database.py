"""The vulnerability database: brought up to date before anything is scanned, and judged by its age."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from taskflow_containers.checks.trivy import cache, download, trivy, updates_switched_off
from taskflow_containers.machine.errors import InputError
from taskflow_containers.machine.process import last_line
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.entry import Origin
from taskflow_containers.project.scanning import DatabaseSource, Scan
from taskflow_containers.report.result import Result, judge, skip

_CLOCKS = timedelta(days=1)  # by which two clocks may differ
_FILES = {"db": "trivy.db", "java-db": "trivy-java.db"}  # by the folder in the cache
# Packages with flaws that were published years ago: a database that has none of theirs has lost more.
_FLAWED = {  # lock file → what it holds, in words and as it is written
    "package-lock.json": (
        "npm (lodash 4.17.20)",
        '{"lockfileVersion": 3, "packages": {"node_modules/lodash": {"version": "4.17.20"}}}',
    ),
    "requirements.txt": ("PyPI (PyYAML 5.3)", "PyYAML==5.3\n"),
}


@dataclass(frozen=True, slots=True)
class Database:
    """What a scan has to compare with; `error` says why that does not suffice."""

    present: bool
    made: datetime | None = None  # None where its metadata do not say
    outdated: bool = True  # by its own word there is a newer one
    error: str = ""
    most: int = 0  # days that it may be old
    offline: bool = False  # nothing is to be fetched, and none has to be here
    reach: Mapping[str, str] = field(default_factory=dict)  # trivy's variables for the way there

    def days(self) -> int | None:
        """Its age; None where that is not known, or in the future."""
        if self.made is None or self.made - datetime.now(UTC) > _CLOCKS:
            return None
        return max(0, (datetime.now(UTC) - self.made).days)

    @property
    def young(self) -> bool:
        """Whether it is known to be no older than it may be."""
        days = self.days()
        return days is not None and days <= self.most

    @property
    def age(self) -> str:
        """Its age in words."""
        days = self.days()
        if self.made is None or days is None:
            return f"unknown: its metadata say {self.made or 'nothing'}"
        return f"{days} days, of {self.made:%Y-%m-%d}"

    @property
    def excused(self) -> bool:
        """Whether there is none, and none has to be."""
        return self.offline and not self.present

    def java_error(self) -> str:
        """Why trivy's Java database, which names the packages of .jar files, does not suffice."""
        java = replace(look("java-db"), most=self.most)
        if java.young:
            return ""
        return f"the age of the Java database, by which .jar files are known, is {java.age}"


def look(folder: str = "db") -> Database:
    """The database that is here, in this folder of the cache, without running trivy."""
    place = cache() / folder
    if not (place / _FILES[folder]).is_file():
        return Database(present=False)
    try:
        metadata = json.loads((place / "metadata.json").read_text(encoding="utf-8"))
        made = datetime.fromisoformat(metadata["UpdatedAt"]).astimezone(UTC)
        following = datetime.fromisoformat(metadata["NextUpdate"]).astimezone(UTC)
    except (OSError, ValueError, LookupError, TypeError, OverflowError):
        return Database(present=True)
    return Database(present=True, made=made, outdated=following <= datetime.now(UTC))


def fetch(root: Path, settings: Scan, *, offline: bool) -> Database:
    """The database, brought up to date unless that is switched off.

    Raises:
        InputError: a credential that taskflow.toml names is not there.
    """
    updated = not offline and not updates_switched_off()
    reach = _reach(root, settings.database) if updated else {}
    error = last_line(download(reach))[:300] if updated else ""
    found = Database(present=False)
    if not error:
        found = look()
        error = "" if found.present else f"there is none in {cache()}"
    most = settings.database_days
    return replace(found, error=error, most=most, offline=offline, reach=reach)


def proved(database: Database) -> Database:
    """The database, having shown that it knows flaws which each complete one knows."""
    if not database.present:
        return database
    with tempfile.TemporaryDirectory() as folder:
        for name, (_, text) in _FLAWED.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        words: list[str | Path] = ["filesystem", "--scanners=vuln", "--offline-scan", folder]
        answer, error = trivy(words, Path(folder, "answer.json"))
    if error:  # the scan itself meets it, and says so
        return database
    told = {
        target["Target"]
        for target in answer.get("Results") or ()
        # A VEX document may excuse it.
        if target.get("Vulnerabilities") or target.get("ExperimentalModifiedFindings")
    }
    if not (missing := sorted(_FLAWED.keys() - told)):
        return database
    named = " and of ".join(_FLAWED[name][0] for name in missing)
    error = f"the one in {cache()} is empty or incomplete: it knows no flaw in packages of {named}"
    return replace(database, error=error)


def judged(database: Database) -> Result:
    """Whether the database knows what was found lately; trivy itself takes one of any age."""
    id, title = "scan.database", "age of the vulnerability database"
    if database.excused:
        return skip(id, title, f"--offline was asked for, and {database.error}")
    measured = f"none: {database.error}" if database.error else database.age
    return judge(
        id,
        title,
        database.young and not database.error,
        expected=f"at most {database.most} days",
        measured=measured + "; not updated, for --offline was asked for" * database.offline,
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
