"""What git says of a work tree, and that its absence is no error."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from taskflow_containers.project.load import load
from taskflow_containers.release.git import revision
from taskflow_containers.release.tagging import tags
from tests.conftest import SERVICE, git


@pytest.fixture(autouse=True)
def no_repository_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A repository with one commit."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".gitignore").write_text("ignored\n", encoding="utf-8")
    (tmp_path / "file").write_text("1", encoding="utf-8")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "one\n\ntwo")
    return tmp_path


def test_no_repository(tmp_path: Path) -> None:
    assert revision(tmp_path) is None


def test_no_folder(tmp_path: Path) -> None:
    assert revision(tmp_path / "nowhere") is None


def test_no_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("1", encoding="utf-8")
    assert revision(tmp_path) is None


def test_no_git(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(work))
    assert revision(work) is None


def test_clean(work: Path) -> None:
    found = revision(work)
    sha, seconds = git(work, "log", "-1", "--format=%H %ct").split()
    assert found is not None
    assert (found.sha, found.dirty, found.text) == (sha, False, sha)
    assert found.time == datetime.fromtimestamp(int(seconds), UTC)
    assert found.tag == f"sha-{sha[:12]}"


@pytest.mark.parametrize("state", ["changed", "staged", "untracked", "deleted"])
def test_dirty(state: str, work: Path) -> None:
    if state == "deleted":
        (work / "file").unlink()
    else:
        (work / ("new" if state == "untracked" else "file")).write_text("2", encoding="utf-8")
    if state == "staged":
        git(work, "add", "--all")
    found = revision(work)
    assert found is not None
    assert found.dirty
    assert found.text == f"{found.sha}-dirty"
    assert not found.tag.endswith("dirty")


def test_what_git_ignores_leaves_it_clean(work: Path) -> None:
    (work / "ignored").write_text("x", encoding="utf-8")
    found = revision(work)
    assert found is not None
    assert not found.dirty


def test_a_folder_inside(work: Path) -> None:
    (work / "inside").mkdir()
    assert revision(work / "inside") == revision(work)


def test_a_persons_settings_do_not_matter(work: Path) -> None:
    plain = revision(work)
    for key, value in (
        ("log.showSignature", "true"),
        ("log.decorate", "full"),
        ("color.ui", "always"),
        ("status.short", "false"),
        ("status.branch", "true"),
        ("status.showUntrackedFiles", "no"),
    ):
        git(work, "config", key, value)
    assert revision(work) == plain
    (work / "new").write_text("x", encoding="utf-8")
    found = revision(work)
    assert found is not None
    assert found.dirty, "a new file is part of the build context, whatever `git status` shows"


def test_the_image_tags_of_a_project_in_a_subfolder(work: Path) -> None:
    """They count from its own git tags, and the commits of its own folder."""
    folder = work / "apps" / "service"
    folder.mkdir(parents=True)
    text = (SERVICE / "taskflow.toml").read_text("utf-8")
    (folder / "taskflow.toml").write_text(text)
    project = load(folder / "taskflow.toml")
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", "feat: begin")
    git(work, "tag", f"{project.name}-v1.2.3")
    (work / "file").write_text("2")
    git(work, "commit", "--quiet", "--all", "--message", "feat!: of another project")
    git(work, "tag", "v9.0.0")
    sha = git(work, "rev-parse", "HEAD").strip()[:12]
    assert tags(folder, project) == [f"1.2.4-dev.0.g{sha}", f"sha-{sha}"]
    (folder / "taskflow.toml").write_text(f'tag-prefix = "v"\n{text}')
    git(work, "commit", "--quiet", "--all", "--message", "chore: shared tags")
    git(work, "tag", "v9.0.1")
    assert tags(folder, load(folder / "taskflow.toml"))[0] == "9.0.1"
