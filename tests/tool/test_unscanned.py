"""What no scanner knows is told with its version, and packages that an answer leaves out are no pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.checks import trivy
from taskflow_containers.checks.unscanned import unscanned
from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.report.result import Result, Status
from tests.tool.images import ELF, layout

METADATA = b"Metadata-Version: 2.1\nName: wheel-of-mine\nVersion: 1.0\n"
SITE = "app/.venv/lib/python3.13/site-packages"
PYTHON = {
    "usr/local/bin/python3.13": ELF,
    "usr/local/lib/libpython3.13.so.1.0": ELF,
    "usr/local/lib/python3.13/lib-dynload/_ssl.so": ELF,
}
NODE = {"usr/local/bin/node": ELF}
NODE_HEADER = (
    b"#define NODE_MAJOR_VERSION 24\n#define NODE_MINOR_VERSION 5\n#define NODE_PATCH_VERSION 1\n"
)
LIBRARIES = {
    f"{SITE}/mine.libs/libcrypto-3a0647ea.so.3": ELF + b"OpenSSL 3.5.9 29 Sep 2026\0",
    f"{SITE}/mine.libs/libpq-e9b5c9ac.so.5.18": ELF,
    f"{SITE}/mine/_native.so": ELF,  # the package's own
    f"{SITE}/wheel_of_mine-1.0.dist-info/METADATA": METADATA,
}
FOUND: dict[str, tuple[list[dict[str, bytes]], list[str], list[str]]] = {
    "nothing": ([{"etc/motd": b"", "app/run.sh": b"#!/bin/sh"}], [], []),
    "Python, by its header": (
        [{**PYTHON, "usr/local/include/python3.13/patchlevel.h": b'#define PY_VERSION "3.13.7"'}],
        ["PYTHON_VERSION=3.0.0"], ["Python 3.13.7 (usr/local/bin/python3.13)"],
    ),
    "Python, by its image's word": (
        [PYTHON], ["PYTHON_VERSION=3.13.5"], ["Python 3.13.5 (usr/local/bin/python3.13)"],
    ),
    "Python, of whatever version": (
        [PYTHON], [], ["Python of an unknown version (usr/local/bin/python3.13)"],
    ),
    "Node.js": (
        [{**NODE, "usr/local/include/node/node_version.h": NODE_HEADER}], [],
        ["Node.js 24.5.1 (usr/local/bin/node)"],
    ),
    "libraries in a wheel": ([LIBRARIES], [], ["mine.libs: libcrypto 3.5.9, libpq 5.18"]),
    "a program of nobody's": ([{"opt/tool": ELF, "app/data.so.txt": b"text"}], [], ["opt/tool"]),
    "packed packages": (
        [{"app/some.jar": b"PK", "app/a-1.0-py3-none-any.whl": b"PK",
          "usr/local/lib/python3.13/ensurepip/_bundled/pip-26.0-py3-none-any.whl": b"PK", **PYTHON}],
        ["PYTHON_VERSION=3.13.5"],
        ["Python 3.13.5 (usr/local/bin/python3.13)", "app/a-1.0-py3-none-any.whl", "app/some.jar"],
    ),
    "what a later layer deletes": (
        [{**NODE, "opt/a/tool": ELF, "opt/b/tool": ELF, "opt/c": ELF},
         {"usr/local/bin/.wh.node": b"", "opt/a/.wh..wh..opq": b"", "opt/.wh.b": b"", "opt/c": b"#!"}],
        [], [],
    ),
}  # fmt: skip


def look(layers: list[dict[str, bytes]], folder: Path, environment: list[str], answer: Any = None) -> Result:  # fmt: skip
    """What is told of an image; trivy's own answer on it, unless another one is given."""
    written = layout(layers, folder / "image")
    if answer is None:
        asked: list[str | Path] = ["image", "--input", folder / "image", "--scanners=license"]
        answer, error = trivy.trivy([*asked, "--list-all-pkgs"], folder / "answer.json")
        assert not error
    return unscanned("backend", written, folder / "image", {"Env": environment}, answer)


@pytest.mark.parametrize("case", FOUND)
def test_what_no_scanner_knows_is_told(case: str, tmp_path: Path) -> None:
    layers, environment, lines = FOUND[case]
    result = look(layers, tmp_path, environment)
    assert result.status is (Status.SKIPPED if lines else Status.PASSED)
    assert result.detail.removeprefix("not scanned: ").splitlines() == lines


def test_what_the_distribution_owns_is_scanned(tmp_path: Path) -> None:
    files = {"bin/owned": ELF, "usr/lib/libowned.so.1": ELF}
    owned = [{"InstalledFiles": ["/usr/bin/owned", "/lib/libowned.so.1"]}]
    answer = {"Results": [{"Target": "x", "Class": "os-pkgs", "Packages": owned}]}
    assert look([files], tmp_path, [], answer).status is Status.PASSED


def test_a_distribution_past_its_end_is_told(tmp_path: Path) -> None:
    answer = {"Metadata": {"OS": {"Family": "alpine", "Name": "3.12.0", "EOSL": True}}}
    result = look([{}], tmp_path, [], answer)
    assert result.status is Status.SKIPPED
    assert "alpine 3.12.0" in result.detail


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("var/lib/dpkg/status", b"Package: bash\nVersion: 1\n"),
        ("lib/apk/db/installed", b"C:x\nP:musl\nV:1\n"),
        (f"{SITE}/wheel_of_mine-1.0.dist-info/METADATA", METADATA),
        ("app/node_modules/@a/b/package.json", b'{"name": "@a/b", "version": "1.0.0"}'),
    ],
)
@pytest.mark.parametrize("results", [None, [], [{"Class": "config", "Target": "x"}]])
def test_an_answer_that_leaves_packages_out_is_no_pass(
    path: str, content: bytes, results: object, tmp_path: Path
) -> None:
    with pytest.raises(EnvironmentTrouble, match="holds such packages"):
        look([{path: content}], tmp_path, [], {"SchemaVersion": 2, "Results": results})
