"""Lock files are read by what wrote them, and licences by their expressions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.checks import inventory, packages
from taskflow_containers.checks.database import Database
from taskflow_containers.project.load import load
from taskflow_containers.project.scanning import Licences
from taskflow_containers.report.result import Result, Status
from tests.release.conftest import FILES

NONE = Database(present=False, offline=True)
UV = """
version = 1
requires-python = ">=3.11"
[[package]]
name = "own"
version = "1.0"
source = { virtual = "." }
dependencies = [{ name = "needed" }]
[package.dev-dependencies]
dev = [{ name = "tests" }]
[[package]]
name = "needed"
version = "1.0"
source = { registry = "https://index.example/simple" }
[[package]]
name = "tests"
version = "1.0"
source = { registry = "https://index.example/simple" }
"""
POETRY = """
[[package]]
name = "needed"
version = "1.0"
groups = ["main"]
[[package]]
name = "tests"
version = "1.0"
groups = ["dev"]
[metadata]
lock-version = "2.1"
python-versions = "^3.11"
"""
NPM = json.dumps({
    "name": "own", "version": "1.0.0", "lockfileVersion": 3,
    "packages": {
        "": {"name": "own", "version": "1.0.0",
             "dependencies": {"needed": "1.0"}, "devDependencies": {"tests": "1.0"}},
        "node_modules/needed": {"version": "1.0.0", "license": "MIT"},
        "node_modules/tests": {"version": "1.0.0", "dev": True, "license": "GPL-3.0-only"},
    },
})  # fmt: skip
PNPM = """
lockfileVersion: '9.0'
importers:
  .:
    dependencies: {needed: {specifier: '1.0', version: 1.0.0}}
    devDependencies: {tests: {specifier: '1.0', version: 1.0.0}}
packages:
  needed@1.0.0: {resolution: {integrity: sha512-a}}
  tests@1.0.0: {resolution: {integrity: sha512-b}}
snapshots:
  needed@1.0.0: {}
  tests@1.0.0: {}
"""
YARN_1 = """# yarn lockfile v1


needed@1.0:
  version "1.0.0"
  resolved "https://registry.yarnpkg.com/needed/-/needed-1.0.0.tgz#1"

tests@1.0:
  version "1.0.0"
  resolved "https://registry.yarnpkg.com/tests/-/tests-1.0.0.tgz#2"
"""
YARN_4 = """__metadata:
  version: 8
  cacheKey: 10c0

"needed@npm:1.0":
  version: 1.0.0
  resolution: "needed@npm:1.0.0"
  checksum: 10c0/a
  languageName: node
  linkType: hard

"own@workspace:.":
  version: 0.0.0-use.local
  resolution: "own@workspace:."
  dependencies:
    needed: "npm:1.0"
    tests: "npm:1.0"
  languageName: unknown
  linkType: soft

"tests@npm:1.0":
  version: 1.0.0
  resolution: "tests@npm:1.0.0"
  checksum: 10c0/b
  languageName: node
  linkType: hard
"""
PACKAGE_JSON = json.dumps(
    {"name": "own", "dependencies": {"needed": "1.0"}, "devDependencies": {"tests": "1.0"}}
)
LOCKS = {
    "uv": {"uv.lock": UV},
    "poetry": {
        "poetry.lock": POETRY,
        "pyproject.toml": '[project]\nname = "own"\nversion = "1.0"\ndependencies = ["needed"]\n',
    },
    "npm": {"package-lock.json": NPM},
    "pnpm": {"pnpm-lock.yaml": PNPM},
    "yarn 1": {"yarn.lock": YARN_1, "package.json": PACKAGE_JSON},
    "yarn 4": {"yarn.lock": YARN_4, "package.json": PACKAGE_JSON},
    "pip": {"requirements.txt": "needed==1.0\n", "requirements-dev.txt": "needed==1.0\ntests==1.0\n"},
    "pip with others": {
        "requirements.txt": "-r a/base.txt\n", "a/base.txt": "needed==1.0\n-c limits.txt\n",
        "a/limits.txt": "tests==1.0\nneeded==1.0\n",
    },
    "npm, published": {"npm-shrinkwrap.json": NPM},
    "pip in a folder": {"a/requirements.txt": "needed==1.0\n", "requirements/dev.txt": "tests==1.0\n"},
}  # fmt: skip


def put(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / "context" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "context" / name).write_text(text)
    return root


@pytest.mark.parametrize("kind", LOCKS)
def test_a_lock_file_tells_what_is_needed_and_what_development_alone_needs(
    kind: str, tmp_path: Path
) -> None:
    root = put(tmp_path / "project", LOCKS[kind])
    answer, error = inventory.locked(root, tmp_path / "answer.json", NONE)
    assert not error
    found = packages.Inventory(set())
    found.add_locks(inventory.below(answer, "context"))
    told = {one.name: one.use for one in found.packages.values()}
    assert told == {"needed": packages.Use.SERVICE, "tests": packages.Use.DEVELOPMENT}
    result = inventory.judge_locks("backend", root, "context", answer)
    assert result.status is Status.PASSED
    # Of another container's folder it tells nothing.
    assert inventory.below(answer, "con") == {"Results": []}


def test_a_container_of_the_top_folder_has_neither_the_tools_nor_what_other_containers_need(
    tmp_path: Path,
) -> None:
    contexts = {"api": "services/api", "web": "."}
    top, _, rest = FILES["taskflow.toml"].replace("NAME", "shop").partition("[containers.orders]")
    parts = [
        f'[containers.{name}]\ncontext = "{folder}"{rest}' for name, folder in contexts.items()
    ]
    (tmp_path / "taskflow.toml").write_text("".join([top, *parts]))
    for name in ("services/api", "tools", "toolshed"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "requirements.txt").write_text("needed==1.0\n")
    project = load(tmp_path / "taskflow.toml")
    answer, _ = inventory.locked(tmp_path, tmp_path / "answer.json", NONE)
    told = {}
    for name, folder in contexts.items():
        others = inventory.others_within(project, name)
        told[name] = [one["Target"] for one in inventory.below(answer, folder, others)["Results"]]
        unread = inventory.judge_locks(name, tmp_path, folder, {}, others)
        assert [*told[name]] == [line.split()[1].rstrip(":") for line in unread.detail.splitlines()]
    assert told == {"api": ["services/api/requirements.txt"], "web": ["toolshed/requirements.txt"]}


def judged(folder: Path, files: dict[str, str]) -> Result:
    """What is said of the lock files among these."""
    root = put(folder / "project", files)
    answer, _ = inventory.locked(root, folder / "answer.json", NONE)
    return inventory.judge_locks("frontend", root, "context", answer)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("package-lock.json", '{"lockfileVersion": 3, "packages": {'),
        ("pnpm-lock.yaml", "lockfileVersion: ["),
        ("yarn.lock", ""),
        ("uv.lock", "version = 1\n[[package"),
        ("poetry.lock", "<<<<<<< HEAD\n"),
        ("npm-shrinkwrap.json", "{"),
        ("pdm.lock", '[[package]]\nname = "a"\nversion = "1.0"\n'),
    ],
)
def test_a_lock_file_that_cannot_be_read_is_no_pass(file: str, text: str, tmp_path: Path) -> None:
    result = judged(tmp_path, {file: text, "package.json": "{}"})
    assert result.status is Status.FAILED
    assert result.findings == (f"unread context/{file}: trivy reads no package in it",)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("package-lock.json", '{"lockfileVersion": 3, "packages": {"": {"name": "x"}}}'),
        ("pnpm-lock.yaml", "lockfileVersion: '9.0'\nimporters:\n  .: {}\n"),
        ("yarn.lock", "# THIS IS AN AUTOGENERATED FILE.\n# yarn lockfile v1\n\n\n"),
        ("yarn.lock", '__metadata:\n  version: 8\n\n"x@workspace:.":\n  version: 0.0.0\n'),
        ("uv.lock", 'version = 1\n\n[[package]]\nname = "x"\nsource = { virtual = "." }\n'),
        ("poetry.lock", 'package = []\n\n[metadata]\nlock-version = "2.1"\n'),
    ],
)
def test_a_lock_file_of_no_package_is_read(file: str, text: str, tmp_path: Path) -> None:
    assert judged(tmp_path, {file: text, "package.json": "{}"}).status is Status.PASSED


@pytest.mark.parametrize("text", ["", "fastapi>=0.110\n", "-r other.txt\n"])
def test_requirements_that_pin_nothing_are_no_lock(text: str, tmp_path: Path) -> None:
    assert judged(tmp_path, {"requirements.txt": text}).status is Status.SKIPPED


@pytest.mark.parametrize(
    ("licence", "is_allowed"),
    [
        ("MIT", True),
        ("mit", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("(MIT OR GPL-3.0-only)", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT AND (Zlib OR GPL-3.0-only)", True),
        ("(MIT AND GPL-3.0-only) OR Zlib", True),
        ("(MIT OR Zlib) AND (GPL-3.0-only OR AGPL-3.0-only)", False),
        ("MIT AND (GPL-3.0-only", False),
        ("Commercial", False),
        ("()", False),
        ("", False),
    ],
)
def test_an_expression_is_allowed_by_its_parts(licence: str, is_allowed: bool) -> None:
    assert packages.is_allowed(licence, {"mit", "zlib"}) == is_allowed


def image(*licences: list[str], version: str = "1.0") -> dict[str, Any]:
    """What trivy says of a Python package with these licences in each of its places."""
    items = [
        {"Name": "a.b", "Version": version, "Identifier": {"PURL": f"pkg:pypi/{name}@{version}"},
         "Licenses": stated, "FilePath": path}
        for (name, path), stated in zip((("a.b", "lib/METADATA"), ("a-b", "")), licences, strict=False)
    ]  # fmt: skip
    return {"Results": [{"Target": "Python", "Class": "lang-pkgs", "Type": "python-pkg", "Packages": items}]}  # fmt: skip


@pytest.mark.parametrize(
    ("stated", "settings", "fails", "measured"),
    [
        ([["MIT"], []], {}, False, "0 others, of 1 packages"),
        ([["GPL-3.0-only"], ["MIT"]], {}, True, "1 others, of 1 packages"),
        ([[], ["AGPL-3.0-only"]], {}, True, "1 others, of 1 packages"),
        ([["MIT", "GPL-3.0-only"]], {}, True, "1 others, of 1 packages"),
        ([["GPL-3.0-only"]], {"accepted": {"GPL-3.0-only": "a reason for it"}}, False, "0 others, of 1 packages"),
        ([["MIT"]], {"allowed": ("ISC",)}, True, "1 others, of 1 packages"),
        ([[], []], {}, False, "0 others, of 1 packages; 1 say none"),
        ([["text://Permission is hereby granted"]], {}, False, "0 others, of 1 packages; 1 say none"),
        ([["SEE LICENSE IN LICENSE.md"]], {}, False, "0 others, of 1 packages; 1 say none"),
        ([["See license: AGPL-3.0-only"]], {}, True, "1 others, of 1 packages"),
    ],
)  # fmt: skip
def test_a_licence_is_one_of_the_allowed_or_told(
    stated: list[list[str]], settings: dict[str, object], fails: bool, measured: str
) -> None:
    found = packages.Inventory(set())
    found.add_image(image(*stated))
    result = packages.licences("backend", found, Licences.model_validate(settings))
    assert result.failed == fails
    assert result.measured == measured
    assert ("licence unknown: a.b 1.0" in result.detail) == ("none" in measured)


def test_a_tool_of_the_base_stays_one_where_only_development_has_it_too() -> None:
    answer = image(["MIT"])
    answer["Results"][0]["Packages"][0]["Layer"] = {"DiffID": "sha256:base"}
    found = packages.Inventory({"sha256:base"})
    found.add_image(answer)
    lock: dict[str, Any] = {"Target": "context/requirements-dev.txt", "Class": "lang-pkgs", "Type": "pip",
            "Packages": [{"Name": "A_b", "Version": "1.0", "Identifier": {"PURL": "pkg:pypi/a-b@1.0"}, "Dev": True}]}  # fmt: skip
    found.add_locks({"Results": [lock]})
    (package,) = found.packages.values()
    assert package.use == packages.Use.TOOL.value
    assert package.places == ["image:/lib/METADATA", "context/requirements-dev.txt"]
    (item,) = lock["Packages"]
    needed = {"Target": "context/requirements.txt", "Packages": [{**item, "Dev": False}]}
    found.add_locks({"Results": [{**lock, **needed}]})
    assert package.use == packages.Use.SERVICE.value


@pytest.mark.parametrize(
    ("documents", "needed", "status", "findings"),
    [
        ({}, False, Status.SKIPPED, 0),
        ({}, True, Status.FAILED, 1),
        ({"layer-2/a": ["pkg:pypi/a.b@1.0"]}, True, Status.PASSED, 0),
        ({"layer-2/a": ["pkg:pypi/a.b@1.0", "pkg:pypi/c@1.0"]}, True, Status.FAILED, 1),
        # The last word on a file is the last layer's; what no build of ours installs is not judged.
        ({"layer-9/a": ["pkg:pypi/c@1.0"], "layer-10/a": ["pkg:pypi/A_B@1.0"]}, True, Status.PASSED, 0),
        ({"layer-2/a": ["pkg:pypi/a.b@1.0", "pkg:generic/openssl@3"]}, False, Status.PASSED, 0),
        ({"layer-2/a": "none"}, False, Status.FAILED, 1),
    ],
)  # fmt: skip
def test_a_document_counts_by_what_scanners_see_of_it(
    documents: dict[str, list[str]],
    needed: bool,
    status: Status,
    findings: int,
    tmp_path: Path,
) -> None:
    for folder, purls in documents.items():
        (tmp_path / folder).mkdir(parents=True)
        components = purls if isinstance(purls, str) else [{"purl": purl} for purl in purls]
        (tmp_path / folder / "sbom.cdx.json").write_text(json.dumps({"components": components}))
    found = packages.Inventory(set())
    found.add_image(image([], []))
    result = inventory.judge_document("backend", tmp_path, found, needed=needed)
    assert result.status is status
    assert len(result.findings or ()) == findings
