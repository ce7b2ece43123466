"""`copier update` without trust brings the template's changes and loses nothing of the user's."""

from __future__ import annotations

import shutil
from pathlib import Path

import copier
import pytest
import yaml

from taskflow_containers.contract.text import check_text
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load
from tests.conftest import git, snapshot
from tests.update.projects import append, commit, replace, start, tree, update

EARLIER = "v0.0.9"
LATER = "v0.1.0"
# What the user's own files hold before and must hold after.
ADDED = {
    "backend/src/app/orders.py": '"""Orders."""\n\nTOTAL = 7\n',
    "frontend/src/app/orders/page.tsx": "export default function Page() {\n  return null;\n}\n",
    "docs/decisions.md": "# Decisions\n\nNone yet.\n",
    "tools_notes.txt": "mine\n",
}
DELETED = [".github/workflows/ci.yml", "backend/src/app/routes.py", ".env.example"]


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template twice: an older variation of it, and as it lies here."""
    folder = tmp_path_factory.mktemp("versions")
    snapshot(folder)
    source = folder / "template"
    git(folder, "init", "--quiet", "--initial-branch=main")
    append(source / "tools" / "requirements.txt", "# older")
    replace(folder / "copier.yml", "  - /automation\n", "")
    (source / "automation").mkdir()
    (source / "automation" / "__main__.py").write_text("# older: a copy of the tool\n")
    (source / "tools" / "retired.txt").write_text("# gone in the next version\n")
    append(source / ".gitignore", "older/")
    append(source / ".github" / "workflows" / "ci.yml.jinja", "# older")
    replace(source / "README.md.jinja", "## Check it", "## Verify it")
    replace(source / "taskflow.toml.jinja", "port = 3000", "port = 3000  # older")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", "earlier")
    git(folder, "tag", EARLIER)
    git(folder, "rm", "-r", "--quiet", "--force", ".")
    snapshot(folder)
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", "later")
    git(folder, "tag", LATER)
    return folder


def work(project: Path) -> None:
    """What a user does between two updates."""
    for name, text in ADDED.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    for name in DELETED:
        (project / name).unlink()
    replace(project / "taskflow.toml", 'memory = "300MB"', 'memory = "350MB"')
    replace(project / "compose.yaml", "mem_limit: 300000000", "mem_limit: 350000000")
    append(project / "README.md", "\nOur own words.")
    append(project / "backend" / "src" / "app" / "main.py", "# ours")
    append(project / "frontend" / "src" / "app" / "globals.css", "/* ours */")
    append(project / "noxfile.py", "# our own session")
    commit(project)


@pytest.fixture(scope="module")
def updated(versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project begun with the earlier version, worked on, then updated."""
    project = tmp_path_factory.mktemp("updated")
    start(versions, project, EARLIER, project_name="Shop", registry="ghcr.io/acme")
    work(project)
    update(project)
    return project


def test_the_users_work_is_kept(updated: Path) -> None:
    files = tree(updated)
    assert {name: files.get(name) for name in ADDED} == ADDED
    assert 'memory = "350MB"' in files["taskflow.toml"]
    assert "mem_limit: 350000000" in files["compose.yaml"]
    assert files["README.md"].endswith("\nOur own words.\n")
    assert files["backend/src/app/main.py"].endswith("# ours\n")
    assert files["frontend/src/app/globals.css"].endswith("/* ours */\n")
    assert files["noxfile.py"].endswith("# our own session\n")


def test_what_the_user_deleted_stays_deleted(updated: Path) -> None:
    assert [name for name in DELETED if (updated / name).exists()] == []


def test_the_templates_changes_arrive(updated: Path, versions: Path) -> None:
    files = tree(updated)
    # What was dropped and is named in _exclude stays.
    assert [name for name, text in files.items() if "# older" in text] == ["automation/__main__.py"]
    assert "tools/retired.txt" not in files
    assert "older/" not in files[".gitignore"].split()
    assert "## Check it" in files["README.md"]
    locks(updated, versions)


def locks(project: Path, template: Path) -> None:
    """What the tool needs is what the template says, and the tool itself is of the template's commit."""
    for path in (template / "template" / "tools").glob("requirements*.txt"):
        assert (project / "tools" / path.name).read_bytes() == path.read_bytes()
    commit = git(template, "rev-parse", "HEAD").strip()
    pin = (project / "tools" / "taskflow.txt").read_text(encoding="utf-8")
    assert f"git+file://{template.as_posix()}@{commit}#" in pin


def test_what_the_template_drops_is_named_before_and_after_and_stays(
    versions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "a [project]"
    start(versions, project, EARLIER)
    append(project / "automation" / "__main__.py", "# ours")
    commit(project)
    capsys.readouterr()
    copier.run_update(project, defaults=True, overwrite=True)
    before, _, after = capsys.readouterr().err.partition("Updating to template version")
    assert "has these no more: automation\n" in before
    assert "git rm -r automation\n" in after
    assert "# ours" in (project / "automation" / "__main__.py").read_text()
    git(project, "rm", "-r", "--quiet", "automation")
    commit(project)
    copier.run_update(project, defaults=True, overwrite=True)
    assert "automation" not in capsys.readouterr().err


def test_nothing_is_left_over(updated: Path) -> None:
    files = tree(updated)
    assert not [name for name in files if name.endswith((".rej", ".orig"))]
    assert not [name for name, text in files.items() if "\n<<<<<<< " in text]
    assert not git(updated, "diff", "--name-only", "--diff-filter=U")


def test_the_answers_file_is_right(updated: Path, versions: Path) -> None:
    answers = yaml.safe_load((updated / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert answers == {
        "_commit": LATER,
        "_src_path": str(versions),
        "ci": "github",
        "code_owners": "",
        "containers": "both",
        "database": True,
        "description": "A Next.js frontend and a FastAPI backend in containers.",
        "licence": "none",
        "node_version": "24",
        "project_name": "Shop",
        "registry": "ghcr.io/acme",
        "slug": "shop",
    }


def passes_contract(project: Path) -> None:
    """The text checks of the contract find nothing wrong."""
    found = load(project / FILE_NAME)
    results = check_text(project, found, list(found.containers))
    assert [result for result in results if result.failed] == []


def test_the_contract_still_holds(updated: Path) -> None:
    passes_contract(updated)


def test_an_update_without_news_changes_nothing(updated: Path, tmp_path: Path) -> None:
    project = Path(shutil.copytree(updated, tmp_path / "project"))
    commit(project)
    update(project)
    assert git(project, "status", "--porcelain") == ""


def test_conflicts_are_marked_and_lose_nothing(versions: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    start(versions, project, EARLIER)
    replace(project / "README.md", "## Verify it", "## How we prove it")
    append(project / "tools" / "requirements-lint.txt", "# an addition of ours")
    commit(project)
    update(project)
    readme = (project / "README.md").read_text(encoding="utf-8")
    marked = readme[readme.index("<<<<<<<") : readme.index(">>>>>>>")]
    assert "## How we prove it" in marked
    assert "## Check it" in marked
    assert "# an addition of ours" in (project / "tools" / "requirements-lint.txt").read_text()
    assert "README.md" in git(project, "diff", "--name-only", "--diff-filter=U").split()
    assert not list(project.rglob("*.rej"))


def test_an_answer_can_change(versions: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    start(versions, project, EARLIER)
    update(project, node_version="26", database=False, ci="gitlab")
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    assert (answers["node_version"], answers["database"], answers["ci"]) == ("26", False, "gitlab")
    found = load(project / FILE_NAME)
    assert found.containers["frontend"].base == "node:26-alpine"
    assert not found.services
    assert not (project / "backend" / "src" / "app" / "database.py").exists()
    assert (project / ".gitlab-ci.yml").is_file()
    assert not (project / ".github" / "workflows").exists()
    passes_contract(project)


def test_uncommitted_work_is_not_touched(versions: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    start(versions, project, EARLIER)
    append(project / "README.md", "not committed")
    before = tree(project)
    with pytest.raises(copier.errors.UserMessageError, match=r"dirty.*commit or stash"):
        update(project)
    assert tree(project) == before
