"""The part of a frontend's lock file that has a layer of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from automation.toolenv import node
from tests.conftest import ROOT

FRONTEND = ROOT / "template" / "frontend"
# The Dockerfile names more: here something is left for the second installation.
NAMES = ("next", "react", "react-dom", "typescript")

Document = dict[str, Any]


def subset(folder: Path, manifest: Document, lock: Document) -> tuple[Document, Document]:
    """What the script makes of the two files."""
    for name, content in (("package.json", manifest), ("package-lock.json", lock)):
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    script = FRONTEND / "image" / "lock-subset.mjs"
    subprocess.run([node(), script, "subset", *NAMES], cwd=folder, check=True)
    made = [folder / "subset" / name for name in ("package.json", "package-lock.json")]
    first, second = (json.loads(path.read_text(encoding="utf-8")) for path in made)
    return first, second


def lock_of(packages: Mapping[str, Document], **dependencies: str) -> tuple[Document, Document]:
    """A package.json and its lock file."""
    manifest = {"name": "x", "version": "1.0.0", "dependencies": dependencies}
    return manifest, {
        "name": "x", "version": "1.0.0", "lockfileVersion": 3, "requires": True,
        "packages": {"": manifest, **packages},
    }  # fmt: skip


NEXT: dict[str, Document] = {
    "node_modules/next": {
        "version": "16.0.0",
        "dependencies": {"postcss": "8.0.0"},
        "optionalDependencies": {"sharp": "1.0.0"},
        "peerDependencies": {"react": "19.0.0", "sass": "1.0.0"},
        "peerDependenciesMeta": {"sass": {"optional": True}},
    },
    "node_modules/postcss": {"version": "8.0.0", "dependencies": {"nanoid": "1.0.0"}},
    "node_modules/sharp": {"version": "1.0.0", "optional": True},
    "node_modules/react": {"version": "19.0.0"},
    "node_modules/nanoid": {"version": "1.0.0"},
}


def test_the_framework_and_what_it_needs(tmp_path: Path) -> None:
    manifest, lock = subset(tmp_path, *lock_of(NEXT, next="16.0.0"))
    assert manifest == {"private": True, "dependencies": {"next": "16.0.0"}}
    assert lock["packages"] == {"": {"dependencies": {"next": "16.0.0"}}, **NEXT}


def test_another_package_or_version_changes_nothing(tmp_path: Path) -> None:
    before = subset(tmp_path, *lock_of(NEXT, next="16.0.0"))
    more: dict[str, Document] = {
        "node_modules/sass": {"version": "1.0.0", "dependencies": {"nanoid": "2.0.0"}},
        "node_modules/sass/node_modules/nanoid": {"version": "2.0.0"},
    }
    manifest, lock = lock_of({**NEXT, **more}, next="16.0.0", sass="1.0.0")
    for document in (manifest, lock):
        document["version"] = "2.0.0"
    assert subset(tmp_path, manifest, lock) == before


def test_the_nearest_version_is_taken(tmp_path: Path) -> None:
    """Another package's version may lie where the framework's lay before."""
    moved = dict(NEXT)
    nested = "node_modules/postcss/node_modules/nanoid"
    moved[nested] = moved.pop("node_modules/nanoid")
    other: dict[str, Document] = {"node_modules/nanoid": {"version": "9.0.0"}}
    _, lock = subset(tmp_path, *lock_of({**moved, **other}, next="16.0.0", nanoid="9.0.0"))
    assert set(lock["packages"]) == {"", *moved}


@pytest.mark.xdist_group("lint")
def test_both_installations_give_what_one_gives(tmp_path: Path) -> None:
    """As the Dockerfile runs them: `npm ci` of the subset, then `npm install` of the rest."""
    npm = node().parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    flags = ("--omit=dev", "--ignore-scripts")
    files = ("package.json", "package-lock.json", ".npmrc")

    def install(folder: Path, source: Path, *words: str) -> None:
        folder.mkdir(exist_ok=True)
        for name in files:
            shutil.copy2(source / name, folder)
        subprocess.run([node(), npm, *words, *flags], cwd=folder, check=True, capture_output=True)

    def tree(folder: Path) -> set[tuple[str, int]]:
        # npm's own record of the tree aside: it names the packages in another order.
        found = (path for path in (folder / "node_modules").rglob("*") if path.is_file())
        return {
            (path.relative_to(folder).as_posix(), path.stat().st_size)
            for path in found
            if path.name != ".package-lock.json"
        }

    manifest, lock = (json.loads((FRONTEND / name).read_text("utf-8")) for name in files[:2])
    subset(tmp_path, manifest, lock)
    shutil.copy2(FRONTEND / ".npmrc", tmp_path / "subset")
    install(tmp_path / "once", FRONTEND, "ci")
    install(tmp_path / "twice", tmp_path / "subset", "ci")
    assert tree(tmp_path / "twice") < tree(tmp_path / "once")
    install(tmp_path / "twice", FRONTEND, "install", "--no-save")
    assert tree(tmp_path / "twice") == tree(tmp_path / "once")
    for name in files[:2]:
        assert (tmp_path / "twice" / name).read_bytes() == (FRONTEND / name).read_bytes()


def test_every_package_of_the_lock_file_has_its_hash() -> None:
    lock = json.loads((FRONTEND / "package-lock.json").read_text("utf-8"))
    packages = {path: entry for path, entry in lock["packages"].items() if path}
    assert packages
    assert [path for path, entry in packages.items() if "integrity" not in entry] == []
    assert "resolved" not in str(packages), "it would name a registry"
