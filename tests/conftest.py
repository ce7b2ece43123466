"""Shared fixtures: the template as a tagged git repository, rendered projects, the engine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import NoReturn

import copier
import pytest
from _pytest.mark import ParameterSet
from filelock import ReadWriteLock

from taskflow_containers.contract import composefile
from taskflow_containers.contract.composefile import NoComposeError
from taskflow_containers.engine.client import Engine, substitutes
from taskflow_containers.engine.find import find
from taskflow_containers.machine.errors import NoEngineError

ROOT = Path(__file__).parent.parent
SERVICE = ROOT / "tests" / "containers" / "service"  # small, and quick to build and to start
BASES = ("python:3.13-slim", "node:24-alpine", "postgres:17-alpine")

Render = Callable[..., Path]

# A shell starts what runs in the background deaf to Ctrl-C; what the tests interrupt must hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def git(folder: Path, *words: str) -> str:
    """Run git in a folder with an identity of its own; what it prints."""
    identity = [
        "-c",
        "user.name=test",
        "-c",
        "user.email=test@localhost",
        "-c",
        "tag.gpgsign=false",
    ]
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
    return done.stdout


def snapshot(target: Path) -> None:
    """Copy the work tree, uncommitted changes included, without what git ignores."""
    listed = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


@pytest.fixture(scope="session", autouse=True)
def _own_copier_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Copier keeps a mirror of each address in the person's cache, which two workers would both renew."""
    os.environ["COPIER_CACHE_DIR"] = str(tmp_path_factory.mktemp("copier"))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it lies here, committed and tagged v0.1.0 in a repository of its own."""
    folder = tmp_path_factory.mktemp("template")
    snapshot(folder)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", "snapshot")
    git(folder, "tag", "v0.1.0")
    return folder


@pytest.fixture(scope="session")
def render(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """`render(slug="x", …)`: a new project from these answers and the defaults; never trusted."""

    def run(target: Path | None = None, **answers: object) -> Path:
        folder = target or tmp_path_factory.mktemp("project")
        copier.run_copy(
            str(template), folder, data=answers, defaults=True, overwrite=True, quiet=True,
            vcs_ref="HEAD", unsafe=False,
        )  # fmt: skip
        return folder

    return run


@pytest.fixture(scope="session")
def sample(render: Render) -> Path:
    """A project rendered from the defaults; tests that change files render their own."""
    return render()


@pytest.fixture
def project(sample: Path, tmp_path: Path) -> Path:
    """A private copy of the default project, to break."""
    return Path(shutil.copytree(sample, tmp_path / "project"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare how the run for a further engine is asked for."""
    parser.addoption(
        "--each-engine", action="store_true", help="only what every engine has to pass"
    )
    parser.addoption(
        "--thorough",
        action="store_true",
        help="also the cases that an ordinary run has no time for",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what is asked for, which `-m` would do as well if it were not the caller's own."""
    chosen = items
    if config.getoption("--each-engine"):
        chosen = [item for item in chosen if item.get_closest_marker("each_engine")]
    if not config.getoption("--thorough"):
        chosen = [item for item in chosen if not item.get_closest_marker("thorough")]
    if left_out := {*items} - {*chosen}:
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = chosen


def some_of(names: Iterable[str], *ordinary: str) -> list[ParameterSet]:
    """The cases of a test of which an ordinary run has time for these only, a thorough one for all."""
    found = [*names]
    assert {*ordinary} <= {*found}, ordinary
    return [
        pytest.param(name, id=name) if name in ordinary else further(name, id=name)
        for name in found
    ]


def further(*values: object, id: str | None = None) -> ParameterSet:
    """One case of a test for which an ordinary run has no time, a thorough one has."""
    return pytest.param(*values, marks=pytest.mark.thorough, id=id)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """While what is marked `alone` runs, no other worker of this checkout begins a test."""
    assert item.config.cache, "the lock is kept in pytest's cache"
    lock = ReadWriteLock(item.config.cache.mkdir("alone") / "lock.db")
    with lock.write_lock() if item.get_closest_marker("alone") else lock.read_lock():
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what asks the real compose command where there is none."""
    if item.get_closest_marker("compose"):
        try:
            composefile.program()
        except NoComposeError as error:
            pytest.skip(f"{error.message}: {error.hint}")


LACKING = "nothing for this engine: "


def lacking(why: str) -> NoReturn:
    """Skip what another engine, store or compose is tested with; in CI, too, this is no failure."""
    pytest.skip(LACKING + why)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a container test that is skipped has failed: nobody reads what was left out."""
    report = yield
    silent = report.skipped and LACKING not in str(report.longrepr)
    needed = item.get_closest_marker("engine") or item.get_closest_marker("compose")
    if silent and os.environ.get("CI") and needed:
        report.outcome = "failed"
        report.longrepr = f"a container test was skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The engine of this run, with the base images or stand-ins for them; without one, skips."""
    try:
        found = find()
    except NoEngineError as error:
        pytest.skip(f"needs a container engine: {error}")
    instead = substitutes()
    missing = [image for image in BASES if found.image_config(instead.get(image, image)) is None]
    if missing:
        pytest.skip(f"{found.name} lacks {', '.join(missing)}: pull them, or use --provision")
    return found
