"""What becomes of lock files that are made from one another, or from another manifest than before."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskflow_containers.update.plan import Fate, plan
from tests.conftest import git

GROUP = "# uv pip compile -c requirements.txt --group dev -o requirements-dev.txt\n"
OLD = {
    ".copier-answers.yml": "_commit: v1\n",
    "requirements.in": "fastapi\n",
    "requirements.txt": "fastapi==1\n",
    "requirements-dev.in": "pytest\n",
    "requirements-dev.txt": "# uv pip compile requirements-dev.in\n-r requirements.txt\npytest==1\n",
}
NEW = {
    ".copier-answers.yml": "_commit: v2\n",
    "requirements.in": "fastapi\n",
    "requirements.txt": "fastapi==2\n",
    "pyproject.toml": '[dependency-groups]\ndev = ["pytest"]\n',
    "requirements-dev.txt": f"{GROUP}-r requirements.txt\npytest==2\n",
}
# What the owner changed; what becomes of the two lock files, and what the second is resolved from.
CASES = {
    "nothing": ({}, Fate.CHANGED, Fate.CHANGED, GROUP),
    "a package": ({"requirements.in": "fastapi\nhttpx\n"}, Fate.LOCK, Fate.LOCK, GROUP),
    "a lock file": ({"requirements.txt": "fastapi==1.1\n"}, Fate.LOCK, Fate.LOCK, GROUP),
    "the second lock file": (
        {"requirements-dev.txt": OLD["requirements-dev.txt"] + "ruff==1\n"},
        Fate.CHANGED, Fate.LOCK, GROUP,
    ),
    "a manifest that is dropped": (
        {"requirements-dev.in": "pytest\nruff\n"}, Fate.CHANGED, Fate.LOCK, "# uv pip compile requirements-dev.in\n",
    ),
}  # fmt: skip


def test_what_is_new_in_a_folder_that_was_deleted_stays_away(tmp_path: Path) -> None:
    root, old, new = (tmp_path / name for name in ("root", "old", "new"))
    files = {
        root: ("web/mine.txt", ".copier-answers.yml"),
        old: ("chart/templates/pod.yaml", "web/page.txt", ".copier-answers.yml"),
        new: ("chart/README.md", "chart/templates/job.yaml", "web/page.txt", "web/new.txt", "docs/new.txt",
              ".copier-answers.yml"),
    }  # fmt: skip
    for folder, names in files.items():
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("same\n")
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    assert {file.name: file.fate for file in plan(root, old, new)} == {
        "chart/README.md": Fate.DELETED, "chart/templates/job.yaml": Fate.DELETED,
        "web/new.txt": Fate.ADDED, "docs/new.txt": Fate.ADDED,
    }  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_lock_files(case: str, tmp_path: Path) -> None:
    edits, first, second, head = CASES[case]
    folders = []
    for name, files in {"root": {**OLD, **edits}, "old": OLD, "new": NEW}.items():
        folders.append(tmp_path / name)
        folders[-1].mkdir()
        for path, text in files.items():
            (folders[-1] / path).write_text(text)
    found = {file.name: file for file in plan(*folders)}
    assert (found["requirements.txt"].fate, found["requirements-dev.txt"].fate) == (first, second)
    made = (found["requirements-dev.txt"].text or OLD["requirements-dev.txt"].encode()).decode()
    assert made.startswith(head)
    assert ("ruff" in made) == ("ruff" in edits.get("requirements-dev.txt", ""))
