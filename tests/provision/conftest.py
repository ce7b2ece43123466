"""Stand-ins for the engines' own programs: small scripts that record how they were called."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Program = Callable[..., Path]

SCRIPT = """\
#!{python}
import json, os, pathlib, sys, time
words = sys.argv[1:]
with open({calls!r}, "a") as log:
    log.write(json.dumps(words) + "\\n")
{body}
"""


@pytest.fixture(autouse=True)
def at_home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """For stand-ins of a client: it asks this machine's own engine, whichever the tests run on."""
    if request.node.get_closest_marker("engine"):
        return
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Write an executable whose body is Python; its calls are kept in `calls` beside it."""

    def write(name: str, body: str, folder: str = "bin") -> Path:
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        calls = str(path.with_name(f"{name}.calls"))
        path.write_text(SCRIPT.format(python=sys.executable, calls=calls, body=body))
        path.chmod(0o755)
        return path

    return write


def calls(path: Path) -> list[list[str]]:
    """How the program was called, in order."""
    log = path.with_name(f"{path.name}.calls")
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture
def called() -> Callable[[Path], list[list[str]]]:
    """Return what reads a program's calls."""
    return calls
