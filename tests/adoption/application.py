"""The applications that are adopted: their files, and what their `adoption.toml` expects."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _pytest.mark import ParameterSet

from tests.conftest import ROOT, git, some_of

FOLDER = Path(__file__).parent
DECLARATION = "adoption.toml"
NODE = {
    "npm": [],
    "pnpm": ["exec", "--yes", "pnpm@10", "--"],
    "yarn": ["exec", "--yes", "yarn@1", "--"],
}


@dataclass(frozen=True, slots=True)
class Application:
    """One folder: an application as a team has it, before anybody thought of this template.

    `lock` are the commands that make its lock files, `containers` what has to be found, `taken`
    the names that are the team's and what ours are called, `requests` what its images answer, `unjudged`
    the checks of the smoke test that find a fault of the application's own.
    """

    name: str
    about: str
    containers: Mapping[str, Mapping[str, Any]]
    requests: Sequence[Mapping[str, str]] = ()
    lock: Sequence[Sequence[str]] = ()
    taken: Mapping[str, str] = field(default_factory=dict)
    unjudged: Sequence[str] = ()
    ci: bool = False

    def copy(self, target: Path, *, locked: bool = False) -> Path:
        """Its files in a git repository of their own; with lock files only if asked, for they need a network."""
        shutil.copytree(
            FOLDER / self.name, target,
            ignore=shutil.ignore_patterns(DECLARATION, "__pycache__"),
        )  # fmt: skip
        if locked and self.lock and self.lock[0][0] == "poetry":
            _name_index(target)
        for command in self.lock if locked else ():
            # pnpm would fetch the version that package.json names by itself.
            own = {"npm_config_manage_package_manager_versions": "false"}
            own |= {"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never"}
            subprocess.run(
                _program(command), cwd=target, check=True, timeout=600, env=os.environ | own
            )
        for path in target.rglob("node_modules"):
            shutil.rmtree(path, ignore_errors=True)
        git(target, "init", "--quiet", "--initial-branch=main")
        git(target, "add", "--all", "--force")
        git(target, "commit", "--quiet", "--message", "as it was")
        return target


def _name_index(folder: Path) -> None:
    """Tell poetry of the index that uv and pip use here: a mirror may not have what it asks of its own."""
    probe = folder / "probe"
    probe.mkdir()
    text = '[project]\nname = "probe"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["idna"]\n'
    (probe / "pyproject.toml").write_text(text)
    subprocess.run(_program(["uv", "lock", "--quiet"]), cwd=probe, check=True, timeout=1200)
    (index,) = set(re.findall(r'registry = "(\S+)"', (probe / "uv.lock").read_text()))
    shutil.rmtree(probe)
    with (folder / "pyproject.toml").open("a") as file:
        file.write(f'\n[[tool.poetry.source]]\nname = "index"\nurl = "{index}/"\n')


def _program(command: Sequence[str]) -> list[str]:
    """A package manager's command line, by npm or uv where the machine may not have it."""
    program, *rest = command
    if program in NODE:
        return ["npm", *NODE[program], *rest] if program != "npm" else ["npm", *rest]
    scripts = Path(sys.executable).parent
    uv = shutil.which("uv", path=f"{scripts}{os.pathsep}{os.environ['PATH']}") or "uv"
    return [uv, *rest] if program == "uv" else [uv, "tool", "run", program, *rest]


def load(name: str) -> Application:
    """Read one declaration; TypeError for a key that nobody knows."""
    given = tomllib.loads((FOLDER / name / DECLARATION).read_text(encoding="utf-8"))
    return Application(name=name, **given)


def names() -> list[str]:
    """Every application."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{DECLARATION}"))


def chosen() -> list[ParameterSet]:
    """All of them for what takes long, of which an ordinary run takes those with `ci`."""
    return some_of(names(), *(name for name in names() if load(name).ci))


def adopt(folder: Path, *words: str, template: Path = ROOT) -> str:
    """`python -m taskflow_containers adopt`, with this repository as the template; what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "taskflow_containers", "adopt", str(folder), "--template", str(template), *words],
        capture_output=True, text=True, check=False, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
