"""Two releases' SBOMs side by side: what came, what went, what has another version."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers import actions
from taskflow_containers.checks import trivy
from taskflow_containers.machine.errors import InputError, UsageError
from tests.tool.images import layout

SAID = """\
added: 1
  npm @acme/new 1.0.0
removed: 1
  npm gone 1.0.0
changed: 1
  npm moved 1.0.0 → 1.0.0, 2.0.0
unchanged: 1
"""


def package(name: str, version: str, folder: str = "") -> dict[str, bytes]:
    path = f"app/{folder}node_modules/{name}/package.json"
    return {path: json.dumps({"name": name, "version": version}).encode()}


OLD = package("gone", "1.0.0") | package("moved", "1.0.0") | package("same", "1.0.0")
NEW = (
    package("@acme/new", "1.0.0") | package("moved", "2.0.0") | package("moved", "1.0.0", "x/")
    | package("same", "1.0.0")
)  # fmt: skip


@pytest.fixture(scope="module")
def sboms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both formats of two images, as trivy writes them."""
    folder = tmp_path_factory.mktemp("sboms")
    for name, files in {"old": OLD, "new": NEW}.items():
        layout([files], folder / name)
        asked: list[Any] = ["image", "--input", folder / name, "--scanners=license"]
        _, error = trivy.trivy([*asked, "--list-all-pkgs"], folder / f"{name}.json")
        assert not error
        for form, ending in {"cyclonedx": "cdx", "spdx-json": "spdx"}.items():
            words: list[Any] = ["convert", f"--format={form}", folder / f"{name}.json"]
            assert not trivy.call(words, folder / f"{name}.{ending}.json", None, 60)
    return folder


@pytest.mark.parametrize("old", ["old.cdx.json", "old.spdx.json"])
@pytest.mark.parametrize("new", ["new.cdx.json", "new.spdx.json"])
def test_what_differs_is_told(
    old: str, new: str, sboms: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert actions.sbom_diff(sboms, Namespace(old=old, new=new)) == 0
    assert capsys.readouterr().out == SAID


def test_the_same_twice_has_no_difference(sboms: Path, capsys: pytest.CaptureFixture[str]) -> None:
    actions.sbom_diff(sboms, Namespace(old="old.cdx.json", new="old.spdx.json"))
    assert capsys.readouterr().out.splitlines()[-1] == "unchanged: 3"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"bomFormat": "CycloneDX", "components": [{"purl": "x"}]}', "null"]
)
def test_what_is_no_sbom_is_said(text: str, sboms: Path, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    for name in ("x.json", "none.json"):
        with pytest.raises(InputError, match=name):
            actions.sbom_diff(tmp_path, Namespace(old=str(sboms / "old.cdx.json"), new=name))
    with pytest.raises(UsageError):
        actions.sbom_diff(tmp_path, Namespace(old="", new="x"))
