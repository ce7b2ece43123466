"""Releases by pull request: proposed on a branch of their own, merged in any way, then published."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import git, some_of
from tests.release.plain import Plain
from tests.release.test_push_refusals import FORGES
from tests.release.test_refusals import colleague

FILES = ["CHANGELOG.md", "orders/pyproject.toml", "taskflow.toml"]
BRANCH = "release/1.3.0"


@pytest.fixture
def plain(tmp_path: Path) -> Plain:
    """Nobody may push to main, as GitHub says it; a merge is made by whoever keeps the remote."""
    found = Plain(tmp_path)
    found.hook("update", FORGES["GitHub"].replace("refs/heads/*", "refs/heads/main"))
    return found


def proposed(plain: Plain) -> str:
    """The proposal's commit."""
    start = plain.here
    done = plain.invoke("--yes", "--pull-request")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, BRANCH), done.stderr
    assert plain.here == start, "nothing here moves"
    assert plain.journal["status"] == "done"
    assert list(plain.journal["steps"]) == ["prepare", "propose"]
    assert "refs/tags/v1.3.0" not in plain.there
    commit = git(plain.remote, "rev-parse", BRANCH).strip()
    assert (
        git(plain.remote, "rev-parse", f"{BRANCH}^", "main").split()
        == [plain.git("rev-parse", "main")] * 2
    )
    assert git(plain.remote, "diff", "--name-only", "main", BRANCH).splitlines() == FILES
    return commit


def merge(plain: Plain, way: str, *, others: str = "", later: str = "") -> str:
    """Merge the proposal at the remote as a forge does, others' commits before and after; the merge."""
    clone = colleague(plain)
    git(clone, "fetch", "--quiet")
    git(clone, "switch", "--quiet", "main")

    def commit(message: str) -> None:
        (clone / "theirs").write_text(message)
        git(clone, "add", "--all")
        git(clone, "commit", "--quiet", "--message", message)

    if others:
        commit(others)
    if way == "merge":
        git(clone, "merge", "--quiet", "--no-ff", "-m", "Merge #7", f"origin/{BRANCH}")
    elif way == "squash":
        git(clone, "merge", "--quiet", "--squash", f"origin/{BRANCH}")
        git(clone, "commit", "--quiet", "--message", "feat: release 1.3.0 (#7)")
    else:
        git(clone, "cherry-pick", f"origin/{BRANCH}")
    merged = git(clone, "rev-parse", "HEAD").strip()
    if later:
        commit(later)
    hook = plain.remote / "hooks" / "update"
    hook.rename(hook.with_suffix(".off"))
    git(clone, "push", "--quiet", "origin", "main", f":{BRANCH}")
    hook.with_suffix(".off").rename(hook)
    plain.git("pull", "--quiet", "--ff-only", "origin", "main")
    return merged


def published(plain: Plain, commit: str) -> None:
    """The tag is at that commit, here and there, and no branch moved."""
    start = plain.git("rev-parse", "HEAD"), git(plain.remote, "rev-parse", "main")
    done = plain.invoke("--yes", SEEN=str(plain.seen))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "v1.3.0"
    assert list(plain.journal["steps"]) == ["prepare", "gate", "tag", "push"]
    assert plain.journal["commit"] == commit
    assert git(plain.remote, "rev-parse", "v1.3.0^{commit}").strip() == commit
    assert plain.git("rev-parse", "v1.3.0^{commit}") == commit
    assert (plain.git("rev-parse", "HEAD"), git(plain.remote, "rev-parse", "main")) == start
    assert 'version = "1.3.0"' in plain.checkout["taskflow.toml"]
    assert "- **orders:** take orders ([" in plain.git("cat-file", "tag", "v1.3.0")
    # The next one counts from here.
    done = plain.invoke("--dry-run", "--bump=patch")
    assert "release 1.3.1 after 1.3.0" in done.stdout, done.stderr


@pytest.mark.parametrize("way", ["merge", "squash", "rebase"])
def test_proposed_merged_and_published(way: str, plain: Plain) -> None:
    commit = proposed(plain)
    merged = merge(plain, way)
    assert merged != commit or way == "rebase"
    published(plain, merged)


@pytest.mark.parametrize("way", some_of(["merge", "squash", "rebase"], "squash"))
def test_others_commits_between(way: str, plain: Plain) -> None:
    """What users do not notice may come before; the merge is released where more came after it."""
    proposed(plain)
    published(plain, merge(plain, way, others="docs: theirs", later="feat: for the next one"))


def test_more_of_no_account_came_after(plain: Plain) -> None:
    proposed(plain)
    merged = merge(plain, "merge", later="chore: theirs")
    assert plain.git("rev-parse", "HEAD") != merged
    published(plain, plain.git("rev-parse", "HEAD"))


@pytest.mark.parametrize("way", some_of(["merge", "squash", "rebase"], "squash"))
def test_a_change_that_the_proposal_does_not_tell(way: str, plain: Plain) -> None:
    """It is refused, and a second proposal tells it; or it is published as it is."""
    proposed(plain)
    merge(plain, way, others="feat!: theirs")
    before = plain.state
    done = plain.invoke("--yes")
    assert done.returncode == 1
    assert "does not tell of 1 commits that 1.3.0 would hold" in done.stderr
    assert "theirs (" in done.stderr
    assert plain.state == before
    done = plain.invoke("--dry-run", "--version=1.3.0")
    assert "release 1.3.0 after 1.2.3" in done.stdout, done.stderr
    done = plain.invoke("--yes", "--pull-request")
    assert done.stdout.splitlines()[-1] == "release/2.0.0", done.stderr
    changelog = git(plain.remote, "show", "release/2.0.0:CHANGELOG.md")
    assert "## 1.3.0" not in changelog
    assert changelog.count("take orders") == changelog.count("theirs") - 1 == 1
    assert (
        changelog.index("## 2.0.0") < changelog.index("### Breaking") < changelog.index("## 1.2.3")
    )


def test_a_direct_release_takes_a_pending_section_along(plain: Plain) -> None:
    proposed(plain)
    merge(plain, "merge", others="feat!: theirs")
    (plain.remote / "hooks" / "update").unlink()
    done = plain.invoke("--yes", "--bump=major")
    assert done.returncode == 0, done.stderr
    assert "take orders" in plain.git("cat-file", "tag", "v2.0.0")


def test_where_the_pull_request_is_made(plain: Plain) -> None:
    plain.hook("post-receive", "echo Create a pull request: https://git.example/acme/shop/new >&2")
    done = plain.invoke("--yes", "--pull-request")
    assert "remote: Create a pull request: https://git.example/acme/shop/new" in done.stderr
    assert "merge release/1.3.0 into main" in done.stderr


def test_a_proposal_is_there_already(plain: Plain) -> None:
    proposed(plain)
    before = plain.state
    done = plain.invoke("--yes", "--pull-request")
    assert done.returncode == 1
    assert f"{BRANCH} is at origin already" in done.stderr
    assert f"git push origin --delete {BRANCH}" in done.stderr
    assert plain.state == before


def test_it_is_a_push(plain: Plain) -> None:
    done = plain.invoke("--yes", "--pull-request", "--no-push")
    assert (done.returncode, plain.journal) == (2, {})


def test_the_merge_is_not_pushed(plain: Plain) -> None:
    proposed(plain)
    plain.git("fetch", "--quiet")
    plain.git("merge", "--quiet", "--no-ff", "-m", "Merge", f"origin/{BRANCH}")
    done = plain.invoke("--yes")
    assert done.returncode == 1
    assert "git push origin main" in done.stderr


def test_the_remote_moved_on(plain: Plain) -> None:
    """A merge that is published while others merge: the tag alone is pushed."""
    proposed(plain)
    merged = merge(plain, "squash")
    done = plain.python("-m", "tests.release.interrupted", "start:gate", "--yes", AT_POINT=(
        f"cd {colleague(plain)} && git -c user.name=x -c user.email=x@y commit -q --allow-empty -m x && mv {plain.remote}/hooks/update /tmp"
        f" && git push --quiet && mv /tmp/update {plain.remote}/hooks"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert git(plain.remote, "rev-parse", "v1.3.0^{commit}").strip() == merged
    assert git(plain.remote, "rev-parse", "main").strip() != merged


POINTS = ("start", "do", "finish")


def test_a_proposal_that_is_killed(plain: Plain, tmp_path: Path) -> None:
    """At every point of every step: --resume goes on, --abort takes back what is here."""
    start = plain.here
    for step in ("prepare", "propose"):
        for moment in POINTS:
            words = ("--pull-request",) if (step, moment) == ("prepare", "start") else ("--resume",)
            plain.killed(f"{moment}:{step}", *words, "--yes")
            copy = plain.copy(tmp_path / f"{moment}-{step}")
            there = copy.there
            done = copy.invoke("--abort")
            assert done.returncode == 0, done.stderr
            assert copy.here == start
            assert copy.there == there
            assert bool(copy.journal["remains"]) == (BRANCH in there)
    done = plain.invoke("--resume", "--yes")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, BRANCH), done.stderr
    assert plain.here == start


def test_a_publication_that_is_killed(plain: Plain, tmp_path: Path) -> None:
    proposed(plain)
    merged = merge(plain, "merge")
    start = plain.here
    for step in ("prepare", "gate", "tag", "push"):
        for moment in POINTS:
            first = (step, moment) == ("prepare", "start")
            plain.killed(f"{moment}:{step}", *(() if first else ("--resume",)), "--yes")
            copy = plain.copy(tmp_path / f"{moment}-{step}")
            there = copy.there
            done = copy.invoke("--abort")
            assert done.returncode == 0, done.stderr
            assert (copy.here, copy.there) == (start, there)
            remains = "\n".join(copy.journal["remains"])
            assert ("v1.3.0 at origin" in remains) == ("tags/v1.3.0" in there)
            assert "git revert" not in remains, "the merge is not this release's to take back"
    done = plain.invoke("--resume", "--yes")
    assert done.returncode == 0, done.stderr
    assert git(plain.remote, "rev-parse", "v1.3.0^{commit}").strip() == merged


def test_a_pushed_tag_is_published(plain: Plain) -> None:
    """As CI has it: the merged proposal's commit checked out and tagged, no branch, nothing pushed."""
    proposed(plain)
    merged = merge(plain, "squash")
    plain.git("checkout", "--quiet", "--detach", merged)
    done = plain.invoke("--yes", "--tagged")
    assert done.returncode == 1
    assert "has no tag v1.3.0" in done.stderr
    plain.git("tag", "v1.3.0")
    done = plain.invoke("--yes", "--tagged")
    assert "the remote has no v1.3.0" in done.stderr
    plain.git("push", "--quiet", "origin", "v1.3.0")
    before = plain.there
    for key in ("user.name", "user.email"):  # a CI's git knows nobody
        plain.git("config", "--unset", key)
    done = plain.invoke("--yes", "--tagged")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "v1.3.0"), done.stderr
    assert list(plain.journal["steps"]) == ["prepare", "gate"]
    assert (plain.journal["commit"], plain.journal["plan"]["previous"]) == (merged, "1.2.3")
    assert plain.there == before
    plain.git("checkout", "--quiet", "v1.2.3")
    assert plain.invoke("--yes", "--tagged").returncode == 0, "an older one, as it was tagged"
    assert "leave the other options out" in plain.invoke("--tagged", "--bump=minor").stderr
