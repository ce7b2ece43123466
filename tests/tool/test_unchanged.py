"""What an earlier scan's verdict depends on: each of it makes another digest, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from taskflow_containers.checks import unchanged
from taskflow_containers.checks.build import Image
from taskflow_containers.engine.client import Engine
from taskflow_containers.machine import tools
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load
from taskflow_containers.report import reporting
from taskflow_containers.report.result import Report, judge
from taskflow_containers.workspace import Workspace


class Setting:
    """A project with its images and a database, and what is found to depend on."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root, self.database = root, cache / "db"
        self.image, self.base, self.offline = "sha256:1", "sha256:2", False
        self.database.mkdir(parents=True)
        (self.database / "trivy.db").write_bytes(b"")
        self.made(days=2)

    def made(self, days: float, following: float = 7) -> None:
        """Write when the database was made, and how many days later the next one is due."""
        day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days)
        due = (day + timedelta(following)).isoformat()
        dates = {"UpdatedAt": day.isoformat(), "NextUpdate": due}
        (self.database / "metadata.json").write_text(json.dumps(dates))

    def known(self) -> list[bytes]:
        engine = SimpleNamespace(description="x", image_config=lambda _: {"Id": self.base})
        workspace = Workspace(self.root, load(self.root / FILE_NAME), cast(Engine, engine))
        images = [Image("backend", self.image, ("shop-backend:dev",))]
        return unchanged.inputs(workspace, images, offline=self.offline)

    def digest(self) -> str:
        return unchanged.digest(self.known(), load(self.root / FILE_NAME))

    def recalled(self) -> bool:
        report, model = Report("scan"), load(self.root / FILE_NAME)
        return unchanged.recall(
            report, self.known(), model, ["backend"], self.root / "reports", offline=self.offline
        )


@pytest.fixture
def setting(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    monkeypatch.setenv("TRIVY_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("TRIVY_SKIP_DB_UPDATE", raising=False)
    return Setting(project, tmp_path / "cache")


def write(file: str, text: str) -> Callable[[Setting], None]:
    """Add to a file of the project's."""

    def change(setting: Setting) -> None:
        (setting.root / file).parent.mkdir(parents=True, exist_ok=True)
        with (setting.root / file).open("a", encoding="utf-8") as stream:
            stream.write(text)

    return change


def another_scanner(setting: Setting) -> None:
    program = setting.root.parent / "scanner"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    tools.choose(setting.root, {"trivy": str(program)})


def java_database(setting: Setting) -> None:
    folder = setting.database.with_name("java-db")
    folder.mkdir()
    (folder / "trivy-java.db").write_bytes(b"")


CHANGES: dict[str, tuple[Callable[[Setting], Any], bool]] = {
    "the image": (lambda setting: setattr(setting, "image", "sha256:3"), True),
    "its base": (lambda setting: setattr(setting, "base", "sha256:3"), True),
    "a lock file": (write("frontend/package-lock.json", "\n"), True),
    "a new file": (write("backend/src/new.py", ""), True),
    "the settings": (write(FILE_NAME, "# word\n"), True),
    "another day's database": (lambda setting: setting.made(days=1), True),
    "the database is gone": (lambda setting: (setting.database / "trivy.db").unlink(), True),
    "a Java database": (java_database, True),
    "without network": (lambda setting: setattr(setting, "offline", True), True),
    "the scanner": (another_scanner, True),
    "a report": (write("reports/scan.md", "x"), False),
    "an installed package": (write("frontend/node_modules/x/index.js", "x"), False),
    "nothing": (lambda _: None, False),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_verdict_depends_on(change: str, setting: Setting) -> None:
    act, matters = CHANGES[change]
    before = setting.digest()
    act(setting)
    after = setting.digest()
    tools.choose(setting.root, {})
    assert (before != after) == matters


def test_a_verdict_stands_until_the_database_is_to_be_updated(setting: Setting) -> None:
    reports = setting.root / "reports"
    result = judge("scan.secrets", "x", True)
    report = Report("scan", ["trivy 1 judged: x", "another note"], results=[result])
    report.inputs = setting.digest()
    report.close()
    reporting.write(report, reports)
    assert not setting.recalled(), "the SBOMs are not there"
    for name in ("cdx", "spdx"):
        (reports / f"sbom-backend.{name}.json").touch()
    assert setting.recalled()
    setting.made(days=2, following=1)
    assert not setting.recalled(), "there may be a newer database"
    report.results = [replace(result, status=judge("", "", False).status)]
    setting.made(days=2)
    reporting.write(report, reports)
    assert not setting.recalled(), "a failure does not stand"


def test_a_verdict_ends_when_its_database_is_too_old(setting: Setting) -> None:
    model = load(setting.root / FILE_NAME)
    strict = model.model_copy(update={"scan": model.scan.model_copy(update={"database_days": 1})})
    assert unchanged.digest([], model) != unchanged.digest([], strict)
