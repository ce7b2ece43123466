"""`copier update` from earlier states of this repository, with an edit in every file that they have.

A state is a commit that changed what is rendered. A few of them are passed here; `nox -s updates` passes all.
"""

from __future__ import annotations

import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pathspec
import pytest
import yaml

from taskflow_containers.contract.text import check_text
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load
from tests.conftest import ROOT, git, snapshot
from tests.update.projects import append, commit, start, tree, update

SHALLOW = git(ROOT, "rev-parse", "--is-shallow-repository").strip() == "true"
needs_history = pytest.mark.skipif(SHALLOW, reason="a shallow clone has no earlier states")
ANSWERS = ".copier-answers.yml"
DELETED = ("backend/src/app/routes.py", ".env.example", "backend/requirements-build.txt")
OWN_LOCKS = (
    "backend/requirements.txt",
    "backend/requirements-dev.txt",
    "frontend/package-lock.json",
)
COMMENT = {
    "// ours": {".ts", ".tsx", ".mjs", ".cjs"},
    "/* ours */": {".css"},
    "<!-- ours -->": {".md", ".svg"},
    "{{/* ours */}}": {".tpl"},
}


def paths(revision: str) -> set[str]:
    """Where the files of a state are rendered to, whatever the answers."""
    listed = git(ROOT, "ls-tree", "-r", "-z", "--name-only", f"{revision}:template").split("\0")
    return {name.removesuffix(".jinja") for name in listed if name and "{" not in name}


def states() -> list[str]:
    """The commits that changed what is rendered, the oldest first."""
    return git(ROOT, "log", "--reverse", "--format=%H", "--", "template", "copier.yml").split()


def chosen(config: pytest.Config) -> list[str]:
    """The first and the last state, and the one that the biggest move followed; or all of them."""
    every = states()
    if config.getoption("--thorough"):
        return every
    moved, _ = max(pairwise(every), key=lambda pair: len(paths(pair[0]) - paths(pair[1])))
    return list(dict.fromkeys([every[0], moved, every[-1]]))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each state a test of its own."""
    if "state" in metafunc.fixturenames:
        found = [] if SHALLOW else chosen(metafunc.config)
        metafunc.parametrize("state", found, ids=[state[:9] for state in found])


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository with all its history, and on top of it what is rendered, as it lies here.

    Copier clones it up to eight times in each test, so it is small: one pack, and few files.
    """
    folder = tmp_path_factory.mktemp("history") / "template"
    git(folder.parent, "clone", "--quiet", "--no-checkout", str(ROOT), str(folder))
    snapshot(folder)
    git(folder, "read-tree", "--empty")
    git(folder, "add", "--force", "copier.yml", "messages.jinja", "adoption", "template")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "as it lies here")
    git(folder, "clean", "--quiet", "--force", "-d", "-x")
    git(folder, "repack", "-a", "-d", "--quiet")
    return folder


@pytest.fixture(scope="session")
def fresh(history: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a new project holds."""
    folder = tmp_path_factory.mktemp("fresh") / "project"
    start(history, folder, "HEAD")
    return tree(folder)


def edit(path: Path) -> str:
    """Add a line to a file, where its format lets anything stand; the line."""
    if path.suffix != ".json":
        line = next((text for text, ends in COMMENT.items() if path.suffix in ends), "# ours")
        append(path, line)
        return f"{line}\n"
    # An object's first key, or of a manifest what one more package adds.
    line, text = '  "x-ours": 1,\n', path.read_text("utf-8")
    if path.name == "package.json":
        line = '    "clsx": "2.1.1",\n'
    after = '"dependencies": {\n' if path.name == "package.json" else "{\n"
    path.write_text(text.replace(after, after + line, 1), "utf-8")
    return line


def touched(old: Path, other: Path, edited: Path) -> bool:
    """Whether what changed from `old` to `other` touches what changed from `old` to `edited`."""

    def lines(new: Path) -> list[range]:
        words = ["git", "diff", "--no-index", "--unified=0", "--", str(old), str(new)]
        found = subprocess.run(words, capture_output=True, text=True, check=False).stdout
        hunks = re.findall(r"^@@ -(\d+)(?:,(\d+))? ", found, re.MULTILINE)
        return [range(int(at), int(at) + int(count or 1) + 1) for at, count in hunks]

    return any(a.start <= b.stop and b.start <= a.stop for a in lines(other) for b in lines(edited))


@needs_history
def test_no_edit_is_lost(state: str, history: Path, fresh: dict[str, str], tmp_path: Path) -> None:
    project, old, new = (tmp_path / name for name in ("project", "old", "new"))
    start(history, project, state)
    begun = tree(project)
    edits = {
        name: edit(project / name) for name in begun if name != ANSWERS and name not in DELETED
    }
    for name in DELETED:
        (project / name).unlink()
    own = {"backend/src/app/orders.py": "TOTAL = 7\n", "tools_notes.txt": "mine\n"}
    for name, text in own.items():
        (project / name).write_text(text)
    commit(project)
    edited = tree(project)
    update(project, "HEAD")
    after = tree(project)
    unmerged = set(git(project, "diff", "--name-only", "--diff-filter=U").split())

    assert not [name for name in after if name.endswith((".rej", ".orig"))]
    assert [name for name in DELETED if name in after] == []
    assert {name: after[name] for name in own} == own
    # What is the owner's alone now: lock files, and what the template dropped.
    for name in {*OWN_LOCKS, *(set(edits) - set(fresh))}:
        assert after[name] == edited[name], name
    assert yaml.safe_load(after[ANSWERS]) == yaml.safe_load(fresh[ANSWERS])
    for name in set(fresh) - {ANSWERS, *DELETED, *OWN_LOCKS}:
        line = edits.get(name, "")
        assert line in after[name], f"{name} lost its edit"
        if "\n<<<<<<< " not in f"\n{after[name]}":
            assert after[name].replace(line, "", 1) == fresh[name], name
            assert name not in unmerged
            continue
        assert name in unmerged
        old.write_text(begun[name])
        new.write_text(fresh[name])
        (tmp_path / "edited").write_text(edited[name])
        assert touched(old, new, tmp_path / "edited"), f"{name} has a conflict for no reason"
        (project / name).write_text(fresh[name])
    found = load(project / FILE_NAME)
    results = check_text(project, found, list(found.containers))
    assert [result for result in results if result.failed] == []


@needs_history
def test_what_was_dropped_is_left_alone() -> None:
    """An update deletes a file that the template no longer has, unless `_exclude` names it."""
    today = paths("HEAD")
    ever = set(
        git(ROOT, "log", "--no-renames", "--format=", "--name-only", "--", "template").split("\n")
    )
    ever = {
        name.removeprefix("template/").removesuffix(".jinja") for name in ever if "{" not in name
    }
    patterns = yaml.safe_load((ROOT / "copier.yml").read_text("utf-8"))["_exclude"]
    excluded = pathspec.GitIgnoreSpec.from_lines(one for one in patterns if "{%" not in one)
    assert [name for name in sorted(ever - today - {""}) if not excluded.match_file(name)] == []
    assert [name for name in sorted(today) if excluded.match_file(name)] == []
    said = re.findall(r"'(/[^']+)'", (ROOT / "messages.jinja").read_text().partition("RESOLVE")[0])
    assert said == [one for one in patterns if one.startswith("/")]
