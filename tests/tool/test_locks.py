"""Lock files are held to their manifests as their package managers hold them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from taskflow_containers.checks.locks import check, command, manifest

PACKAGE = {"name": "web", "dependencies": {"next": "^16.1.0"}, "devDependencies": {"tsx": "4.0.0"}}
NPM = {
    "name": "web", "lockfileVersion": 3,
    "packages": {
        "": {"name": "web", "dependencies": {"next": "16.2.0"}, "devDependencies": {"tsx": "4.0.0"}},
        "node_modules/next": {"version": "16.2.0"},
        "node_modules/tsx": {"version": "4.0.0", "dev": True},
    },
}  # fmt: skip
PNPM = """lockfileVersion: '9.0'
importers:
  .:
    dependencies:
      next: {specifier: ^16.1.0, version: 16.2.0}
    devDependencies:
      tsx: {specifier: 4.0.0, version: 4.0.0}
"""
YARN = 'next@^16.1.0:\n  version "16.2.0"\n\ntsx@4.0.0, tsx@^4:\n  version "4.0.0"\n'
BERRY = (
    '__metadata:\n  version: 8\n\n"next@npm:^16.1.0, next@npm:16":\n  version: 16.2.0\n\n'
    '"tsx@npm:4.0.0":\n  version: 4.0.0\n'
)
PINS = "# Locked: uv pip compile a.in\nfastapi==0.9 \\\n    --hash=sha256:1\npsycopg-binary==3.1 ; os_name=='nt' \\\n    --hash=sha256:2\n"
IN = "# what it runs on\n-c other.txt\nfastapi>=0.5,<1  # the server\npsycopg_binary\n"
MORE = json.dumps({**PACKAGE, "dependencies": {"next": "^16.1.0", "zod": "4.0.0"}})
OTHER = json.dumps({**PACKAGE, "dependencies": {"next": "^17.0.0"}})
SAME = json.dumps(PACKAGE)

# The manifest and the lock file, and what each finding is about.
CASES = {
    "npm": (SAME, "package-lock.json", json.dumps(NPM), []),
    "npm, added": (MORE, "package-lock.json", json.dumps(NPM), ["zod@4.0.0"]),
    "npm, shrinkwrapped": (MORE, "npm-shrinkwrap.json", json.dumps(NPM), ["zod@4.0.0"]),
    "npm, raised": (OTHER, "package-lock.json", json.dumps(NPM), ["next@16.2.0"]),
    "npm, broken": ("{", "package-lock.json", json.dumps(NPM), ["cannot be read"]),
    "npm, a conflict": (SAME, "package-lock.json", "<<<<<<< yours\n", ["markers"]),
    "pnpm": (SAME, "pnpm-lock.yaml", PNPM, []),
    "pnpm, added": (MORE, "pnpm-lock.yaml", PNPM, ["zod 4.0.0"]),
    "pnpm, raised": (OTHER, "pnpm-lock.yaml", PNPM, ["next ^17.0.0"]),
    "pnpm, no YAML": (SAME, "pnpm-lock.yaml", "- [", ["cannot be read"]),
    "yarn 1": (SAME, "yarn.lock", YARN, []),
    "yarn 1, added": (MORE, "yarn.lock", YARN, ["zod 4.0.0"]),
    "yarn 4": (SAME, "yarn.lock", BERRY, []),
    "yarn 4, raised": (OTHER, "yarn.lock", BERRY, ["next ^17.0.0"]),
    "pip": (IN, "requirements.txt", PINS, []),
    "pip, added": (IN + "httpx\n", "requirements.txt", PINS, ["httpx is not in it"]),
    "pip, raised": (IN.replace("<1", ">0.9"), "requirements.txt", PINS, ["fastapi 0.9 is not"]),
    "pip, an address": (IN + "./here\n", "requirements.txt", PINS, []),
}


@pytest.mark.parametrize("case", CASES)
def test_locks(case: str, tmp_path: Path) -> None:
    asked, lock, text, about = CASES[case]
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / manifest(lock)).write_text(asked)
    (folder / lock).write_text(text)
    found = check(tmp_path, "web", folder)
    assert found.failed == bool(about)
    lines = found.detail.splitlines()
    assert len(lines) == len(about)
    for line, part in zip(lines, about, strict=True):
        assert line.startswith(f"outdated app/{lock}: ")
        assert part in line
    if about:
        assert f"cd app && {command(lock, text)[0]} " in found.fix


def test_what_is_locked() -> None:
    assert manifest("a/requirements-dev.txt") == "a/requirements-dev.in"
    assert manifest("a/uv.lock") == "a/pyproject.toml"
    assert manifest("a/README.txt") == ""
    assert command("a/requirements.txt", PINS) == ["uv", "pip", "compile", "a.in"]
    assert command("a/requirements-x.txt", "")[-1] == "requirements-x.txt"
    assert command("yarn.lock", BERRY)[-1] == "--mode=update-lockfile"


def test_a_lock_agrees_with_the_one_it_takes_in(tmp_path: Path) -> None:
    (tmp_path / "requirements.in").write_text("fastapi\n")
    (tmp_path / "requirements.txt").write_text("fastapi==0.9\ncertifi==2\n")
    (tmp_path / "requirements-dev.in").write_text("httpx\n")
    dev = tmp_path / "requirements-dev.txt"
    dev.write_text("-r requirements.txt\nhttpx==1\ncertifi==1\n")
    found = check(tmp_path, "web", tmp_path)
    assert "requirements-dev.txt: certifi 1 is not requirements.txt's 2" in found.detail
    dev.write_text("-r requirements.txt\nhttpx==1\n")
    assert not check(tmp_path, "web", tmp_path).failed
