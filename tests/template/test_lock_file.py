"""The lock file that a frontend starts with."""

from __future__ import annotations

import json

from tests.conftest import ROOT


def test_every_package_of_the_lock_file_has_its_hash() -> None:
    lock = json.loads((ROOT / "template/frontend/package-lock.json").read_text("utf-8"))
    packages = {path: entry for path, entry in lock["packages"].items() if path}
    assert packages
    assert [path for path, entry in packages.items() if "integrity" not in entry] == []
    assert "resolved" not in str(packages), "it would name a registry"
