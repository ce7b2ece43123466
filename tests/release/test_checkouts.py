"""What a release makes of line ends, a project in a subfolder, submodules and notes written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import git
from tests.release.plain import Plain

PACKAGE = '{\n  "name": "stock", "files": ["dist"],\n  "version": "0.0.0"\n}\n'


@pytest.fixture
def plain(tmp_path: Path) -> Plain:
    return Plain(tmp_path)


def numstat(plain: Plain) -> dict[str, str]:
    """The lines that the release commit added and removed, by file."""
    lines = plain.git("show", "--numstat", "--format=", "HEAD").splitlines()
    return {line.split("\t")[2]: line.rpartition("\t")[0] for line in lines}


# --- Line ends ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changelog", "attributes", "safe"),
    [
        (True, "", "false"),
        (False, "", "true"),
        (True, "* text=auto\n", "true"),
        (False, "* text=auto eol=crlf\n", "true"),
    ],
)
def test_a_clone_with_windows_line_ends(
    changelog: bool, attributes: str, safe: str, plain: Plain, tmp_path: Path
) -> None:
    (plain.folder / "stock").mkdir()
    (plain.folder / "stock" / "package.json").write_text(PACKAGE)
    toml = (plain.folder / "taskflow.toml").read_text()
    more = toml[toml.index("\n[") :].replace("orders", "stock")
    (plain.folder / "taskflow.toml").write_text(toml + more)
    (plain.folder / ".gitattributes").write_text(attributes)
    # Notes written by hand, with the line ends of Unix.
    (plain.folder / "CHANGELOG.md").write_text("# C\n\n## [Unreleased]\n\n- by hand\n")
    if not changelog:
        (plain.folder / "CHANGELOG.md").unlink()
    plain.git("add", "--all")
    plain.git("commit", "--quiet", "--message", "feat: stock")
    plain.git("push", "--quiet", "origin", "main")
    clone = tmp_path / "windows"
    git(tmp_path, "clone", "--quiet", "--config=core.autocrlf=true", f"--config=core.safecrlf={safe}",
        str(plain.remote), str(clone))  # fmt: skip
    assert b"\r\n" in (clone / "taskflow.toml").read_bytes()
    plain.folder = plain.top = clone
    for key, value in {"user.name": "Ann", "user.email": "ann@localhost"}.items():
        plain.git("config", key, value)
    done = plain.invoke("--yes", SEEN=str(plain.seen))
    assert done.returncode == 0, done.stderr
    changed = numstat(plain)
    assert changed.pop("CHANGELOG.md").endswith("\t0"), "nothing that was there is changed"
    assert changed == dict.fromkeys(
        ("orders/pyproject.toml", "stock/package.json", "taskflow.toml"), "1\t1"
    )
    assert "\r" not in git(plain.remote, "show", "main:CHANGELOG.md")
    assert git(plain.remote, "show", "main:stock/package.json") == PACKAGE.replace("0.0.0", "1.3.0")
    # What is built is what git stores, and here the line ends are as before.
    if "eol" not in attributes:
        assert "\r" not in plain.checkout["taskflow.toml"]
    assert plain.git("status", "--porcelain") == ""
    assert (
        b'version = "1.3.0"  # set by `invoke release`\r\n'
        in (clone / "taskflow.toml").read_bytes()
    )


def test_a_file_that_cannot_be_set_is_found_by_the_plan(plain: Plain) -> None:
    path = plain.folder / "orders" / "pyproject.toml"
    path.write_text('[project]\nname = "orders"\nversion = 7\n')
    plain.git("commit", "--quiet", "--all", "--message", "fix: a number")
    before = plain.state
    done = plain.invoke("--dry-run")
    assert done.returncode == 1
    assert "orders/pyproject.toml: this is no string" in done.stderr
    assert (plain.state, plain.journal) == (before, {})


# --- Notes written by hand ------------------------------------------------------------------------


def test_unreleased_notes_go_into_the_release(plain: Plain) -> None:
    text = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Written by hand.\n\n## 1.2.3\n\nOld.\n"
    (plain.folder / "CHANGELOG.md").write_text(text)
    plain.git("commit", "--quiet", "--all", "--message", "docs: notes")
    done = plain.invoke("--yes")
    assert done.returncode == 0, done.stderr
    changelog = (plain.folder / "CHANGELOG.md").read_text()
    assert changelog.startswith("# Changelog\n\n## [Unreleased]\n\n## 1.3.0 (")
    assert changelog.endswith("\n\n## 1.2.3\n\nOld.\n")
    tag = plain.git("cat-file", "tag", "v1.3.0")
    for where in (changelog, tag):
        assert "### Added\n\n- Written by hand.\n- **orders:** take orders (" in where


# --- A project in a subfolder ---------------------------------------------------------------------


def beside(plain: Plain, message: str) -> None:
    """A commit that does not touch the project."""
    (plain.top / "other").mkdir(exist_ok=True)
    (plain.top / "other" / "file").write_text(message)
    plain.git("add", str(plain.top / "other"))
    plain.git("commit", "--quiet", "--message", message)


@pytest.mark.parametrize("stated", [None, "v", "shop/", "shop@"])
def test_a_project_in_a_subfolder(stated: str | None, tmp_path: Path) -> None:
    """Its tags have its prefix, its commits are those of its folder; others' are let alone."""
    prefix = "shop-v" if stated is None else stated
    plain = Plain(tmp_path, project="apps/shop", tag=f"{prefix}1.2.3")
    if stated is not None:
        path = plain.folder / "taskflow.toml"
        path.write_text(f'tag-prefix = "{stated}"\n{path.read_text()}')
        plain.git("commit", "--quiet", "--all", "--message", "chore: prefix")
    beside(plain, "feat!: of another project")
    others = "web-v9.0.0" if prefix == "v" else "v9.0.0"
    plain.git("tag", others)
    git(plain.remote, "tag", others.replace("9", "8"), "main")
    plain.git("push", "--quiet", "--tags", "origin", "main")
    done = plain.invoke("--yes", SEEN=str(plain.seen))
    assert done.returncode == 0, done.stderr
    tag = f"{prefix}1.3.0"
    assert done.stdout.splitlines()[-1] == tag
    assert (
        git(plain.remote, "rev-parse", f"{tag}^{{commit}}", "main").split()
        == [plain.git("rev-parse", "HEAD")] * 2
    )
    assert sorted(numstat(plain)) == [
        f"apps/shop/{name}" for name in ("CHANGELOG.md", "orders/pyproject.toml", "taskflow.toml")
    ]
    notes = plain.git("cat-file", "tag", tag)
    assert "take orders" in notes
    assert "another project" not in notes
    assert 'version = "1.3.0"' in plain.checkout["taskflow.toml"]
    assert plain.git("tag", "--list", "v9*", "v8*").split() == ([] if prefix == "v" else ["v9.0.0"])
    beside(plain, "fix: of another project")
    done = plain.invoke("--dry-run")
    assert done.returncode == 1
    assert f"none of 0 commits since {tag}" in done.stderr


def test_a_proposal_of_a_subfolder(tmp_path: Path) -> None:
    plain = Plain(tmp_path, project="shop", tag="shop-v1.2.3")
    done = plain.invoke("--yes", "--pull-request")
    assert done.stdout.splitlines()[-1] == "release/shop-v1.3.0", done.stderr
    plain.git("fetch", "--quiet")
    plain.git("merge", "--quiet", "--no-ff", "-m", "Merge", "origin/release/shop-v1.3.0")
    plain.git("push", "--quiet", "origin", "main")
    done = plain.invoke("--yes")
    assert done.returncode == 0, done.stderr
    assert list(plain.journal["steps"]) == ["prepare", "gate", "tag", "push"]
    assert (
        git(plain.remote, "rev-parse", "shop-v1.3.0^{commit}", "main").split()
        == [plain.git("rev-parse", "HEAD")] * 2
    )


def test_a_hook_that_adds_a_file_of_another_project(tmp_path: Path) -> None:
    plain = Plain(tmp_path, project="apps/shop", tag="shop-v1.2.3")
    hook = plain.top / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\ntouch ../extra extra; git add :/extra\n")
    hook.chmod(0o755)
    done = plain.invoke("--yes")
    assert done.returncode == 1
    assert "a commit hook added extra to the release" in done.stderr


def test_the_first_release_of_a_subfolder_takes_no_other_projects_tag(tmp_path: Path) -> None:
    plain = Plain(tmp_path, project="shop", tag="v7.0.0")
    done = plain.invoke("--dry-run")
    assert "release 1.2.3 after none" in done.stdout, done.stderr


@pytest.mark.parametrize("prefix", ["a b", "-v", "v..", "x~", "/v", "v^"])
def test_a_prefix_that_git_does_not_take(prefix: str, plain: Plain) -> None:
    path = plain.folder / "taskflow.toml"
    path.write_text(f'tag-prefix = "{prefix}"\n{path.read_text()}')
    plain.git("commit", "--quiet", "--all", "--message", "fix: prefix")
    done = plain.invoke("--dry-run")
    assert done.returncode == 2
    assert "tag-prefix" in done.stderr


# --- Submodules -----------------------------------------------------------------------------------


def submodule(folder: Path, into: Path, at: str) -> Path:
    """A repository with one file, as a submodule of another one."""
    (folder / "file").parent.mkdir(parents=True, exist_ok=True)
    (folder / "file").write_text(folder.name)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "x")
    add = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(folder), at)
    git(into, *add)
    git(into, "commit", "--quiet", "--all", "--message", f"feat: {folder.name}")
    return folder


@pytest.mark.parametrize("project", ["", "apps/shop"])
def test_submodules_are_in_the_gates_checkout(project: str, tmp_path: Path) -> None:
    tag = "shop-v1.2.3" if project else "v1.2.3"
    plain = Plain(tmp_path, project=project, tag=tag)
    (tmp_path / "outer").mkdir()
    outer = submodule(tmp_path / "outer", plain.folder, "orders/lib")
    submodule(tmp_path / "inner", plain.folder / "orders" / "lib", "deep")
    plain.git("commit", "--quiet", "--all", "--message", "feat: deeper")
    before = plain.git("submodule", "status", "--recursive")
    done = plain.invoke("--yes", SEEN=str(plain.seen))
    assert done.returncode == 0, done.stderr
    seen = plain.checkout
    assert seen["orders/lib/file"] == "outer"
    assert seen["orders/lib/deep/file"] == "inner"
    assert plain.git("submodule", "status", "--recursive") == before
    assert plain.git("status", "--porcelain") == ""
    assert len(plain.git("worktree", "list").splitlines()) == 1
    assert outer.is_dir()


def test_a_submodule_that_is_not_here_is_refused(plain: Plain, tmp_path: Path) -> None:
    submodule(tmp_path / "outer", plain.folder, "orders/lib")
    plain.git("submodule", "--quiet", "deinit", "--force", "orders/lib")
    before = plain.state
    done = plain.invoke("--dry-run")
    assert done.returncode == 1
    assert "orders/lib" in done.stderr
    assert "git submodule update --init --recursive" in done.stderr
    assert (plain.state, plain.journal) == (before, {})


def test_a_submodule_of_another_project_does_not_count(tmp_path: Path) -> None:
    plain = Plain(tmp_path, project="apps/shop", tag="shop-v1.2.3")
    submodule(tmp_path / "outer", plain.top, "lib")
    git(plain.top, "submodule", "--quiet", "deinit", "--force", "lib")
    done = plain.invoke("--dry-run")
    assert done.returncode == 0, done.stderr
