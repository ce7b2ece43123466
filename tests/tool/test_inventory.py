"""What lower layers of an image still hold is found, however it was hidden; and what .jar files need."""

from __future__ import annotations

import base64
import io
import json
import os
import sqlite3
import tarfile
import zipfile
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.checks import database, inventory, packages, secrets
from taskflow_containers.checks.database import Database
from taskflow_containers.engine.archive import opened
from taskflow_containers.project.scanning import Scan
from tests.conftest import ROOT
from tests.tool.images import layout

Layer = dict[str, bytes]
DATABASE = ROOT / "tests/containers/vulnerabilities/db/trivy.db"
# A trivy.db of the right schema without an advisory, packed.
EMPTY = zlib.decompress(base64.b85decode(
    "c-rmSAr8Vo5CFjA3XY_wkq8W$KOiuDMxW64)bN73euO{t4}|niP=_H+Gh_BP*)!{Qvmwm(IZm(R6hDtN=T-Pt>JB-^9IxZEIS+js00"
    "01h)!F?x|Hnmr`Cs3==5%{pbQAyp0M@6>^GPcJ003aKs>L1v0002ko^r>Z@+H4L00000000000000000000{NEd$#|xV"
))  # fmt: skip
NONE = Database(present=False, offline=True)


def npm(name: str, version: str) -> bytes:
    return json.dumps({"name": name, "version": version}).encode()


def wheel(name: str, version: str) -> Layer:
    about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    return {f"lib/{name}-{version}.dist-info/METADATA": about.encode()}


def dpkg(version: str) -> Layer:
    about = (
        "Package: a\nStatus: install ok installed\nMaintainer: b\nArchitecture: all\n"
        f"Version: {version}\nDescription: c\n\n"
    )
    return {
        "var/lib/dpkg/status": about.encode(),
        "etc/os-release": b'ID=debian\nVERSION_ID="12"\n',
    }


OLD: Layer = {"app/node_modules/a/package.json": npm("a", "1.0")}
# The layers, and the packages that a later one hides, with its number.
HIDDEN: dict[str, tuple[list[Layer], set[str]]] = {
    "nothing": ([OLD, {"app/b": b""}], set()),
    "written anew": ([OLD, {"app/node_modules/a/package.json": npm("a", "2.0")}], {"2 a 1.0"}),
    "written again, the same": ([OLD, OLD], set()),
    "written twice": (
        [OLD, {"app/node_modules/a/package.json": npm("a", "2.0")},
         {"app/node_modules/a/package.json": npm("a", "3.0")}],
        {"2 a 1.0", "3 a 2.0"},
    ),
    "upgraded by pip": (
        [wheel("a", "1.0"), {"lib/.wh.a-1.0.dist-info": b"", **wheel("a", "2.0")}], {"2 a 1.0"},
    ),
    "upgraded by apt": ([dpkg("1.0"), dpkg("2.0")], {"2 a 1.0"}),
    "an opaque folder": ([OLD, {"app/.wh..wh..opq": b"", "app/b": b""}], {"2 a 1.0"}),
    "a folder that is deleted": ([OLD, {"app/.wh.node_modules": b""}], {"2 a 1.0"}),
}  # fmt: skip


@pytest.mark.parametrize("case", HIDDEN)
def test_what_a_later_layer_hides_is_found(case: str, tmp_path: Path) -> None:
    layers, hidden = HIDDEN[case]
    layout(layers, tmp_path / "image")
    with tarfile.open(tmp_path / "image.tar", "w") as tar:
        tar.add(tmp_path / "image", "")
    found, told = packages.Inventory(set()), set()
    with opened(tmp_path / "image.tar") as saved:
        secrets.unpack(saved, tmp_path / "layers", ())

        def examine(count: int) -> dict[str, Any]:
            saved.write_layout(tmp_path / "layout", count)
            words: list[str | Path] = ["image", "--input", tmp_path / "layout"]
            return inventory.ask(words, tmp_path / "answer.json", "it", NONE)[0]

        found.add_image(examine(len(layers)))
        left = {*found.packages}
        for number in reversed(inventory.hiding(saved, tmp_path / "layers")):
            found.add_deleted(examine(number - 1), number)
    for key in found.packages.keys() - left:
        (place,) = found.packages[key].places
        told.add(f"{place[17:18]} {found.packages[key].name} {found.packages[key].version}")
    assert told == hidden


def jar(name: str) -> bytes:
    """A .jar file that says of which package it is, if it has a name."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        file.writestr("A.class", name)
        if name:
            about = f"groupId=org.example\nartifactId={name}\nversion=1.0\n"
            file.writestr(f"META-INF/maven/org.example/{name}/pom.properties", about)
    return packed.getvalue()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with a small database, which nobody updates."""
    monkeypatch.setenv("TRIVY_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TRIVY_SKIP_DB_UPDATE", "true")
    dated(tmp_path / "cache" / "db", 0)
    (tmp_path / "cache" / "db" / "trivy.db").write_bytes(DATABASE.read_bytes())
    return tmp_path / "cache"


def dated(folder: Path, days: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    made = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    following = (datetime.now(UTC) + timedelta(days=1)).isoformat()  # no update is due
    metadata = {"UpdatedAt": made, "DownloadedAt": made, "NextUpdate": following}
    version = 1 if folder.name == "java-db" else 2
    (folder / "metadata.json").write_text(json.dumps({"Version": version, **metadata}))


def java(folder: Path, days: int) -> None:
    """A Java database without an entry."""
    dated(folder, days)
    with sqlite3.connect(folder / "trivy-java.db") as file:
        file.execute("CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id, artifact_id)")
        file.execute("CREATE TABLE indices(artifact_id INTEGER, version, sha1 BLOB, archive_type)")


@pytest.mark.parametrize(
    ("days", "named", "offline", "words"),
    [
        (None, "a", False, ".jar files need trivy's Java database"),
        (None, "", True, ".jar files need trivy's Java database"),
        (9, "a", False, "is 9 days"),
        (9, "a", True, "is 9 days"),
        (2, "a", True, ""),
        # What it cannot name is told as not scanned.
        (9, "", True, ""),
    ],
)
def test_jar_files_need_a_java_database_that_is_young(
    days: int | None, named: str, offline: bool, words: str, cache: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("TRIVY_JAVA_DB_REPOSITORY", "localhost:1/trivy-java-db:1")
    if days is not None:
        java(cache / "java-db", days)
    layout([{"app/some.jar": jar(named)}], tmp_path / "image")
    flaws = database.fetch(tmp_path, Scan(), offline=offline)
    asked: list[str | Path] = ["image", "--input", tmp_path / "image"]
    answer, error = inventory.ask(asked, tmp_path / "answer.json", "it", flaws)
    assert words in error and bool(words) == bool(error)
    names = [
        package["Name"] for part in answer.get("Results") or () for package in part["Packages"]
    ]
    assert names == (["org.example:a"] if named and days is not None else [])


def test_a_database_that_knows_nothing_is_none(cache: Path, tmp_path: Path) -> None:
    found = database.proved(database.fetch(tmp_path, Scan(), offline=True))
    assert not database.judged(found).failed
    (cache / "db/trivy.db").write_bytes(EMPTY)
    found = database.proved(database.fetch(tmp_path, Scan(), offline=True))
    assert "lodash 4.17.20) and of PyPI" in found.error
    assert database.judged(found).failed
    asked: list[str | Path] = ["filesystem", tmp_path]
    assert inventory.ask(asked, tmp_path / "answer.json", "it", found)[1] == found.error


def test_none_need_be_here_where_offline_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIVY_CACHE_DIR", os.devnull)
    found = database.proved(database.fetch(tmp_path, Scan(), offline=True))
    assert found.excused
    assert inventory.ask(["filesystem", tmp_path], tmp_path / "answer.json", "it", found)[1] == ""
