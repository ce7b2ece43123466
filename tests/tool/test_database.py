"""What is not known to be young enough is no database to pass by, whatever its metadata say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from taskflow_containers.checks import database
from taskflow_containers.machine.errors import InputError
from taskflow_containers.project.scanning import Scan
from taskflow_containers.report.result import Result, Status


def days(number: float) -> str:
    """So many days ago."""
    return (datetime.now(UTC) - timedelta(days=number)).isoformat()


YOUNG = {"Version": 2, "UpdatedAt": days(2), "NextUpdate": days(1)}
METADATA: dict[str, tuple[str | None, bool, str]] = {
    "young": (json.dumps(YOUNG), True, "2 days, of 2"),
    "made by a clock that is ahead": (json.dumps(YOUNG | {"UpdatedAt": days(-0.5)}), True, "0 days"),
    "old": (json.dumps(YOUNG | {"UpdatedAt": days(9)}), False, "9 days, of 2"),
    "of the future": (json.dumps(YOUNG | {"UpdatedAt": days(-400)}), False, "unknown"),
    "beyond all dates": (json.dumps(YOUNG | {"UpdatedAt": "9999-12-31T23:59:59-23:59"}), False, "unknown"),
    "before all dates": (json.dumps(YOUNG | {"UpdatedAt": "0001-01-01T00:00:00+23:59"}), False, "unknown"),
    "a date that is none": (json.dumps(YOUNG | {"UpdatedAt": "yesterday"}), False, "unknown"),
    "a number": (json.dumps(YOUNG | {"UpdatedAt": 3}), False, "unknown"),
    "without dates": ('{"Version": 2}', False, "unknown"),
    "a list": ("[]", False, "unknown"),
    "no JSON": ("nonsense", False, "unknown"),
    "empty": ("", False, "unknown"),
    "no file": (None, False, "unknown"),
}  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the database, which nobody updates."""
    monkeypatch.setenv("TRIVY_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TRIVY_SKIP_DB_UPDATE", "true")
    folder = tmp_path / "cache" / "db"
    folder.mkdir(parents=True)
    return folder


def judged(folder: Path, *, offline: bool = False) -> Result:
    return database.judged(database.fetch(folder, Scan(), offline=offline))


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("case", METADATA)
def test_its_age_decides(case: str, offline: bool, here: Path) -> None:
    text, passes, words = METADATA[case]
    (here / "trivy.db").write_bytes(b"not looked at")
    if text is not None:
        (here / "metadata.json").write_text(text)
    result = judged(here, offline=offline)
    assert result.status is (Status.PASSED if passes else Status.FAILED)
    assert result.measured.startswith(words)
    assert ("--offline" in result.measured) == offline


def test_none_is_a_failure_but_where_offline_was_asked_for(here: Path) -> None:
    (here / "metadata.json").write_text(json.dumps(YOUNG))  # of a database that is gone
    assert judged(here).status is Status.FAILED
    result = judged(here, offline=True)
    assert result.status is Status.SKIPPED
    assert str(here.parent) in result.detail


def test_one_that_cannot_be_updated_is_none(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "trivy.db").write_bytes(b"not looked at")
    (here / "metadata.json").write_text(json.dumps(YOUNG))
    monkeypatch.setenv("TRIVY_SKIP_DB_UPDATE", "false")
    source = {"database": {"repository": "localhost:1/mirror/trivy-db:2"}}
    settings = Scan.model_validate(source)
    found = database.fetch(here, settings, offline=False)
    assert not found.present
    assert "localhost:1/" in database.judged(found).measured
    assert database.fetch(here, settings, offline=True).present


def test_mirror_credentials_and_proxy_are_settings(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, str] = {}
    monkeypatch.setattr(database, "download", lambda env: given.update(env) or "")
    monkeypatch.delenv("TRIVY_SKIP_DB_UPDATE")
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MIRROR_USER", "reader")
    (here / "password").write_text("zebra\n")
    source = {
        "repository": "mirror.example/trivy-db:2",
        "java-repository": "mirror.example/trivy-java-db:1",
        "username": {"variable": "MIRROR_USER"},
        "password": {"file": "password"},
        "proxy": "http://proxy.example:3128",
    }
    settings = Scan.model_validate({"database": source})
    # The Java database is fetched later, by the scan that needs it.
    assert database.fetch(here, settings, offline=False).reach == given
    assert given == {
        "TRIVY_DB_REPOSITORY": "mirror.example/trivy-db:2",
        "TRIVY_JAVA_DB_REPOSITORY": "mirror.example/trivy-java-db:1",
        "TRIVY_USERNAME": "reader",
        "TRIVY_PASSWORD": "zebra",
        "HTTPS_PROXY": "http://proxy.example:3128",
        "HTTP_PROXY": "http://proxy.example:3128",
    }
    given.clear()
    monkeypatch.setenv("TRIVY_DB_REPOSITORY", "nearer.example/trivy-db:2")
    monkeypatch.setenv("https_proxy", "http://nearer.example")
    database.fetch(here, settings, offline=False)
    assert not {"TRIVY_DB_REPOSITORY", "HTTPS_PROXY"} & given.keys()
    monkeypatch.delenv("MIRROR_USER")
    with pytest.raises(InputError, match=r"scan\.database\.username: MIRROR_USER"):
        database.fetch(here, settings, offline=False)
