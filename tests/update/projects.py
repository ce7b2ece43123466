"""Projects that are rendered from a version of the template, worked on, and updated."""

from __future__ import annotations

from pathlib import Path

import copier

from tests.conftest import git


def replace(path: Path, old: str, new: str) -> None:
    """Change one place of a file; it must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path.name} has no {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def append(path: Path, line: str) -> None:
    """Add a line at the end of a file."""
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")


def tree(project: Path) -> dict[str, str]:
    """File → text, without what git keeps for itself."""
    return {
        path.relative_to(project).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in project.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(project).parts
    }


def start(template: Path, project: Path, revision: str, **answers: object) -> None:
    """Render a project from a revision of the template and commit it."""
    copier.run_copy(
        str(template), project, data=answers, defaults=True, quiet=True, vcs_ref=revision
    )
    git(project, "init", "--quiet")
    commit(project)


def commit(project: Path) -> None:
    """Commit whatever there is."""
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "work")


def update(project: Path, revision: str | None = None, **answers: object) -> None:
    """`copier update --defaults`, never trusted."""
    copier.run_update(
        project, data=answers, defaults=True, overwrite=True, quiet=True, vcs_ref=revision
    )
