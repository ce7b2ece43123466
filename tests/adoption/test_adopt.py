"""Adopting an application: what is found and added, and that nothing of its own is touched."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import copier
import pytest

from taskflow_containers.contract.text import check_text
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load
from tests.adoption import application
from tests.adoption.application import Application, adopt
from tests.adoption.conftest import OLDER
from tests.conftest import ROOT, git


@pytest.fixture(scope="module", params=application.names())
def app(request: pytest.FixtureRequest) -> Application:
    """Each of them."""
    return application.load(request.param)


@pytest.fixture(scope="module")
def adopted(app: Application, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It, adopted by the guesses, beside nothing else."""
    folder = app.copy(tmp_path_factory.mktemp("adopted") / app.name)
    (folder.parent / "before").write_text(repr(digests(folder)))
    (folder.parent / "said").write_text(adopt(folder, "--yes"))
    return folder


def test_the_list_has_every_file_that_a_fresh_project_has() -> None:
    """What is listed by name must not be forgotten when the template gets a file."""
    listed = (ROOT / "adoption" / "files.jinja").read_text("utf-8")
    template = ROOT / "template"
    folders = ("tools", "chart", "chart/templates", "backend/container", "frontend/container")
    there = [path for folder in folders for path in (template / folder).iterdir() if path.is_file()]
    # An adopted chart has a README of its own; requirements of an image are its lock file's.
    ours = {"README.md.jinja"}
    assert [p.name for p in there if p.name not in listed and p.name not in ours] == []


def digests(folder: Path) -> dict[str, tuple[str, int]]:
    """Every file but git's own: its SHA-256 and its mode."""
    return {
        path.relative_to(folder).as_posix(): (
            hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mode,
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }  # fmt: skip


def test_no_file_of_theirs_is_changed_or_moved(adopted: Path) -> None:
    assert git(adopted, "diff", "--name-only") == ""
    assert git(adopted, "status", "--porcelain", "--untracked-files=no") == ""


def test_a_checkout_on_windows_leaves_shell_scripts_their_line_ends(
    adopted: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(adopted, tmp_path / "adopted"))
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", "adopted")
    git(tmp_path, "clone", "--quiet", "--config", "core.autocrlf=true", str(folder), "windows")
    assert b"\r\n" in (tmp_path / "windows" / "taskflow.toml").read_bytes()
    scripts = [*(tmp_path / "windows").rglob("container*/install.sh")]
    assert [path for path in scripts if b"\r\n" in path.read_bytes()] == []


def test_what_is_found(app: Application, adopted: Path) -> None:
    project = load(adopted / FILE_NAME)
    expected = {name: dict(entry) for name, entry in app.containers.items()}
    found = {
        name: {key: str(getattr(project.containers[name], key.replace("-", "_"))) for key in entry}
        for name, entry in expected.items()
        if name in project.containers
    }
    assert found == expected
    assert set(project.containers) == set(expected)


def test_names_that_are_theirs_are_told(app: Application, adopted: Path) -> None:
    said = (adopted.parent / "said").read_text()
    for usual, ours in app.taken.items():
        assert f"{usual} is yours and stays; ours is {ours}" in said
        assert (adopted / ours).is_file()


def test_the_contract_holds(adopted: Path) -> None:
    project = load(adopted / FILE_NAME)
    results = check_text(adopted, project, list(project.containers))
    assert [result for result in results if result.failed] == []


def test_a_second_time_changes_nothing(adopted: Path) -> None:
    before = digests(adopted)
    assert "nothing to add" in adopt(adopted, "--yes")
    assert digests(adopted) == before


@pytest.mark.parametrize("name", application.chosen())
def test_a_dry_run_writes_nothing(name: str, tmp_path: Path) -> None:
    app = application.load(name)
    folder = app.copy(tmp_path / app.name)
    before = digests(folder)
    said = adopt(folder, "--dry-run")
    assert "nothing was added" in said
    assert digests(folder) == before


EDITS = {
    "taskflow.toml": ('stop = "10s"', 'stop = "12s"'),
    "chart/values.yaml": ("replicas: 2", "replicas: 3"),
}


@pytest.mark.parametrize("name", application.chosen())
def test_an_update_keeps_every_edit(
    name: str, adopt_earlier: Callable[[Path], None], tmp_path: Path
) -> None:
    """By `copier update` alone: the template's changes arrive beside the owner's."""
    app = application.load(name)
    folder = app.copy(tmp_path / app.name)
    adopt_earlier(folder)
    assert OLDER[".jinja"] in (folder / FILE_NAME).read_text("utf-8")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", "adopted")
    for name, (old, new) in EDITS.items():
        path = folder / name
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")
    (folder / "CONTAINERS.md").unlink()
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "work")
    theirs = {name: value for name, value in digests(folder).items() if name not in EDITS}
    copier.run_update(folder, defaults=True, overwrite=True, quiet=True)
    after = digests(folder)
    assert not (folder / "CONTAINERS.md").exists()
    assert [name for name in after if name.endswith(".rej")] == []
    for name, (_, new) in EDITS.items():
        assert new in (folder / name).read_text("utf-8")
    changed = {name for name in theirs if after.get(name) != theirs[name]}
    texts = {name: (folder / name).read_text("utf-8") for name in changed}
    marks = ("<<<<<<<", *OLDER.values())
    assert [name for name, text in texts.items() if any(mark in text for mark in marks)] == []
    project = load(folder / FILE_NAME)
    ours = {
        project.files.compose, "tools/taskflow.txt", ".copier-answers.yml",
        *map(project.dockerfile, project.containers),
        *(f"{project.context(n)}/{c.ours}/{f}".removeprefix("./")
          for n, c in project.containers.items() for f in ("health.py", "log.mjs")),
    }  # fmt: skip
    assert changed <= ours
