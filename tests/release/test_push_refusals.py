"""Each way in which a push is refused is told apart, and says what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from taskflow_containers.machine.errors import EnvironmentTrouble, Refused
from taskflow_containers.release.pushing import refusal
from tests.conftest import git
from tests.release.plain import Plain
from tests.release.test_refusals import colleague, pushed_by_another

PROTECTED = "main is protected at origin"
PULL_REQUEST = "invoke release --pull-request"


@pytest.fixture
def plain(tmp_path: Path) -> Plain:
    return Plain(tmp_path)


def says(*lines: str, of: str = "refs/heads/*") -> str:
    """An update hook that refuses some refs as a forge does."""
    text = "\n".join(f'echo "{line}" >&2' for line in lines)
    return f'case "$1" in {of})\n{text}\nexit 1;; esac'


FORGES = {
    "GitHub": says("error: GH006: Protected branch update failed for $1.",
                   "error: Changes must be made through a pull request."),
    "GitHub's rules": says("error: GH013: Repository rule violations found for $1.",
                           "- Changes must be made through a pull request."),
    "GitLab": says("GitLab: You are not allowed to push code to protected branches on this project."),
    "Gitea": says("Gitea: Not allowed to push to protected branch main"),
    "Forgejo": says("Forgejo: Not allowed to push to protected branch main"),
    "Bitbucket": says("Permission denied to update branch main."),
    "Bitbucket Data Center": says("Branch refs/heads/main can only be modified through pull requests."),
    "Azure": says("error: TF402455: Pushes to this branch are not permitted; you must use a pull "
                  "request to update this branch."),
}  # fmt: skip


@pytest.mark.parametrize("forge", FORGES)
def test_a_protected_branch(forge: str, plain: Plain) -> None:
    plain.hook("update", FORGES[forge])
    before = plain.state
    done = plain.invoke("--yes")
    assert done.returncode == 1, done.stderr
    assert PROTECTED in done.stderr
    assert PULL_REQUEST in done.stderr
    assert "git pull" not in done.stderr
    assert plain.state == before
    assert (plain.journal["status"], plain.journal["remains"]) == ("aborted", [])


Case = tuple[Callable[[Plain], object], str, str]
OTHERS: dict[str, Case] = {
    "own hook": (lambda p: p.hook("pre-push", "echo tests fail >&2; exit 1", there=False),
                 "your own pre-push hook refuses the push: tests fail", "mend what it finds"),
    "own silent hook": (lambda p: p.hook("pre-push", "exit 1", there=False),
                        "your own pre-push hook refuses the push: it does not say why", "hooks"),
    "own hook's words": (lambda p: p.hook("pre-push", "echo main is a protected branch; exit 1", there=False),
                         "your own pre-push hook refuses the push", "mend"),
    "server's hook": (lambda p: p.hook("pre-receive", "echo closed today >&2; exit 1"),
                      "a hook or rule of origin refuses the push: closed today", "whoever keeps origin"),
    "protected tag": (lambda p: p.hook("update", says(
        "GitLab: You are not allowed to create this tag as it is protected.", of="refs/tags/*")),
        "a rule of origin protects the tag v1.3.0", "such tags"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_refused_by_a_hook_or_rule(case: str, plain: Plain) -> None:
    damage, message, hint = OTHERS[case]
    damage(plain)
    before = plain.state
    done = plain.invoke("--yes")
    assert done.returncode == 1, done.stderr
    assert message in done.stderr
    assert hint in done.stderr
    assert "--rebase" not in done.stderr
    assert plain.state == before


def test_somebody_pushed_meanwhile(plain: Plain) -> None:
    plain.killed("finish:tag", "--yes")
    pushed_by_another(plain)
    done = plain.invoke("--resume", "--yes")
    assert done.returncode == 1
    assert "somebody else pushed to main at origin meanwhile" in done.stderr
    assert "git pull --rebase origin main" in done.stderr


def test_somebody_tagged_meanwhile(plain: Plain) -> None:
    plain.killed("finish:tag", "--yes")
    git(colleague(plain), "tag", "v1.3.0")
    git(colleague(plain), "push", "--quiet", "--tags")
    done = plain.invoke("--resume", "--yes")
    assert done.returncode == 1
    assert "v1.3.0 was pushed to origin by somebody else meanwhile" in done.stderr


def test_a_branch_that_is_not_here(plain: Plain) -> None:
    done = plain.invoke("--dry-run", "--branch=trunk")
    assert done.returncode == 1
    assert "there is no branch trunk here; --branch main" in done.stderr


SAID = {
    "remote: Permission to acme/shop.git denied to bob.\nfatal: unable to access "
    "'https://github.com/acme/shop.git/': The requested URL returned error: 403": "Permission to acme",
    "git@github.com: Permission denied (publickey).\nfatal: Could not read from remote repository.": "publickey",
    "ERROR: The key you are authenticating with has been marked as read only.\nfatal: Could not read "
    "from remote repository.": "read only",
    "fatal: could not read Username for 'https://github.com': terminal prompts disabled": "Username",
    "remote: HTTP Basic: Access denied\nfatal: Authentication failed for 'https://gitlab.com/a/b.git/'": "HTTP Basic",
    "remote: GitLab: You are not allowed to push code to this project.\nfatal: unable to access "
    "'https://gitlab.com/a/b.git/': The requested URL returned error: 403": "this project",
}  # fmt: skip


@pytest.mark.parametrize("said", SAID)
def test_a_login_that_may_not_push(said: str) -> None:
    """It can be mended: what was done stays, for --resume."""
    error = refusal(said, "origin", "main", "v1.3.0")
    assert isinstance(error, EnvironmentTrouble)
    assert error.message.startswith("origin does not let this login push: ")
    assert SAID[said] in error.message
    assert "log in" in error.hint


def test_a_broken_connection_is_no_refusal() -> None:
    said = "fatal: unable to access 'https://github.com/a/b/': Could not resolve host: github.com"
    error = refusal(said, "origin", "main", "v1.3.0")
    assert isinstance(error, EnvironmentTrouble)
    assert "Could not resolve host" in error.message
    lost = (
        "!\tx:refs/heads/main\t[remote rejected] (cannot lock ref 'refs/heads/main': File exists.)"
    )
    assert isinstance(refusal(lost, "origin", "main", "v1"), EnvironmentTrouble)
    raced = "!\tx:refs/heads/main\t[remote rejected] (cannot lock ref 'refs/heads/main': is at 12ab but expected 34cd)"
    assert isinstance(refusal(raced, "origin", "main", "v1"), Refused)


def test_a_secret_in_an_answer_is_masked() -> None:
    said = "fatal: Authentication failed for 'https://ann:hunter2hunter2@git.example/shop.git/'"
    error = refusal(said, "origin", "main", "v1.3.0")
    assert not re.search("hunter2", f"{error}")
