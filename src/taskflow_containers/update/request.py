"""A pull or merge request with the newest version of the template, for a scheduled job to open."""

from __future__ import annotations

import argparse
import base64
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from taskflow_containers.machine.errors import EnvironmentTrouble, ExitCode, InputError, Refused
from taskflow_containers.machine.process import last_line, masked, run
from taskflow_containers.project.pin import answers_file
from taskflow_containers.release import forge
from taskflow_containers.release.git import Repository

_WORKFLOWS = ".github/workflows"
_MARKED = re.compile(r"^<{7} .*?^>{7} [^\n]*\n?", re.MULTILINE | re.DOTALL)
_LONGEST = 60_000  # characters: GitHub takes 65,536
# Who commits where git does not know.
_NOBODY = {"user.name": "TaskFlow update", "user.email": "update@localhost"}


def propose(root: Path, options: argparse.Namespace) -> int:
    """Bring the template's newest version to a branch of its own, push it and ask for its merge.

    Raises:
        InputError: there is uncommitted work, or no token for the forge.
        Refused: the forge takes no request.
    """
    repository = Repository.at(root)
    if repository.changes:
        raise InputError("there is uncommitted work", "commit or stash it first")
    base = options.base or os.environ.get("GITHUB_REF_NAME") or os.environ.get("CI_COMMIT_BRANCH")
    base = base or repository.branch
    where = forge.find(repository, options.remote)
    if not where:
        raise InputError(
            "no token for GitHub or GitLab is in the environment",
            "set GITHUB_TOKEN or GITLAB_TOKEN; docs/tool.md of the template says what it must allow",
        )
    before = _version(root)
    told = _bring(root)
    if not repository.changes:
        print(f"the project is of {before}, and the template has nothing newer")
        return ExitCode.OK
    after = _version(root)
    branch = f"template/{re.sub(r'[^0-9A-Za-z.-]+', '-', after)}"
    remote = Repository(root, environment=_login(repository, options.remote, where))
    if remote.git("ls-remote", "--heads", options.remote, branch):
        repository.obey("reset", "--quiet", "--hard")
        repository.obey("clean", "--quiet", "-d", "--force")
        print(f"{branch} was pushed before: its request has the rest")
        return ExitCode.OK
    by_hand = _without_markers(repository)
    repository.obey("switch", "--quiet", "--create", branch)
    _commit(repository, f"Update the template from {before} to {after}")
    try:
        remote.obey("push", options.remote, f"HEAD:refs/heads/{branch}")
    except Refused as refusal:
        # GitHub lets a workflow's own token change no workflow.
        if "workflow" not in refusal.message:
            raise
        changed = repository.git("diff", "HEAD~1", "HEAD", "--", f":(top){_WORKFLOWS}")
        by_hand[f"{_WORKFLOWS}/ (this token may not push it)"] = changed
        repository.obey("reset", "--quiet", "--soft", "HEAD~1")
        repository.obey("restore", "--staged", "--worktree", "--source=HEAD", f":(top){_WORKFLOWS}")
        _commit(repository, f"Update the template from {before} to {after}, without its workflows")
        remote.obey("push", options.remote, f"HEAD:refs/heads/{branch}")
    title = f"Update the template to {after}"
    text = _text(before, after, told, by_hand)
    print(where.propose(branch, base, title, text, draft=bool(by_hand)))
    if options.run:
        where.start(options.run, branch)
    return ExitCode.OK


def _version(root: Path) -> str:
    return str(yaml.safe_load((root / answers_file(root)).read_text("utf-8"))["_commit"])


def _bring(root: Path) -> str:
    """Update the work tree; what the update says. Conflicts are marked, in files and for git."""
    own = [sys.executable, "-W", "ignore", "-m", "taskflow_containers", "update"]
    done = run(own, cwd=root, timeout=1800)
    if done.returncode not in {ExitCode.OK, ExitCode.CHECK_FAILED}:
        raise EnvironmentTrouble(
            f"the update failed: {last_line(masked(done.stderr))}",
            "run `invoke update` by hand to see more",
        )
    return re.sub(r"\x1b\[[0-9;]*m", "", masked(done.stdout or done.stderr)).strip()


def _without_markers(repository: Repository) -> dict[str, str]:
    """Give each file in conflict its owner's side of it; the marked places, by file.

    What the template changed elsewhere in such a file stays.
    """
    found: dict[str, str] = {}
    top = Path(repository.git("rev-parse", "--show-toplevel"))
    for name in repository.git("diff", "--name-only", "--diff-filter=U", "-z").split("\0"):
        if not name:
            continue
        path = top / name
        text = path.read_text("utf-8", errors="replace") if path.is_file() else ""
        found[name] = (
            "\n".join(match[0] for match in _MARKED.finditer(text)) or "one side has no such file"
        )
        kept = _MARKED.sub(lambda match: _yours(match[0]), text)
        path.write_text(kept, "utf-8", newline="")
    return found


def _yours(marked: str) -> str:
    """The first side of one conflict."""
    return re.split(
        r"^(?:\|{7}|={7}).*\n", marked.split("\n", 1)[1], maxsplit=1, flags=re.MULTILINE
    )[0]


def _commit(repository: Repository, message: str) -> None:
    who = [
        word
        for key, value in _NOBODY.items()
        if not repository.setting(key) for word in ("-c", f"{key}={value}")
    ]  # fmt: skip
    repository.obey("add", "--all")
    repository.obey(*who, "commit", "--quiet", "--no-verify", "--message", message)


def _login(repository: Repository, name: str, where: forge.Forge) -> dict[str, str]:
    """The forge's token for git, where the remote is on the web: in its environment alone."""
    url = urlsplit(repository.ask("remote", "get-url", name).stdout.strip())
    if url.scheme not in {"http", "https"}:
        return {}
    token = where.headers.get("PRIVATE-TOKEN") or where.headers["Authorization"].split()[-1]
    user = "oauth2" if where.gitlab else "x-access-token"
    secret = base64.b64encode(f"{user}:{token}".encode()).decode()
    host = url.netloc.rpartition("@")[2]
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{url.scheme}://{host}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {secret}",
    }


def _text(before: str, after: str, told: str, by_hand: dict[str, str]) -> str:
    parts = [
        f"The template changed from `{before}` to `{after}`. What you edited is kept.",
        _block(told),
    ]
    if by_hand:
        parts.append(
            "## By hand, before this is merged\n\nThese places were changed on both sides. The branch has "
            "yours; a later update does not bring the template's again, so take from here what you need."
        )
        parts += [f"### `{name}`\n\n{_block(text)}" for name, text in by_hand.items()]
    return "\n\n".join(filter(None, parts))[:_LONGEST]


def _block(text: str) -> str:
    """Text as it is, be there fences in it."""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=2) + 1)
    return (
        f"{fence if len(fence) > 2 else '```'}text\n{text}\n{fence if len(fence) > 2 else '```'}"
        if text
        else ""
    )
