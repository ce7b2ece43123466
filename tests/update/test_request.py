"""The scheduled update: the jobs' own command, against a bare remote and a server that keeps what it is sent.

What the jobs install before it is not done here; tests/template/test_ci.py holds those lines.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml

from tests.conftest import ROOT, git
from tests.update.projects import commit, replace

WORKFLOW = ".github/workflows/ci.yml"
# In GitHub's words, for a token without that right.
REFUSES_WORKFLOWS = """#!/bin/sh
while read -r old new ref; do
  for commit in $(git rev-list "$new" --not --all); do
    if git diff-tree -r --name-only "$commit" | grep -q ^.github/workflows/; then
      echo "refusing to allow a GitHub App to create or update workflow without workflows permission" >&2
      exit 1
    fi
  done
done
"""


class Forge(ThreadingHTTPServer):
    """Keeps the requests and starts that it is asked for: (path, body)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, dict[str, Any]]] = []


class Handler(BaseHTTPRequestHandler):
    server: Forge

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body))
        self.send_response(204 if self.path.endswith("/dispatches") else 201)
        self.end_headers()
        if not self.path.endswith("/dispatches"):
            self.wfile.write(b'{"html_url": "https://page/1", "web_url": "https://page/1"}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def forge() -> Iterator[Forge]:
    with Forge() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def newer(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template with a version 0.2.0, which changes the README and the workflow."""
    folder = tmp_path_factory.mktemp("newer") / "template"
    git(folder.parent, "clone", "--quiet", str(template), str(folder))
    replace(folder / "template/README.md.jinja", "## Check it", "## Verify it")
    replace(folder / "template/README.md.jinja", "## Release it", "## Publish it")
    replace(folder / "template" / f"{WORKFLOW}.jinja", "timeout-minutes: 30", "timeout-minutes: 31")
    commit(folder)
    git(folder, "tag", "v0.2.0")
    return folder


@pytest.fixture(scope="module")
def started(newer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Projects of version 0.1.0, for each forge one, each the bare remote of a branch main."""
    folder = tmp_path_factory.mktemp("started")
    for ci in ("github", "gitlab"):
        copier.run_copy(
            str(newer), folder / ci, data={"ci": ci}, defaults=True, quiet=True, vcs_ref="v0.1.0"
        )
        git(folder / ci, "init", "--quiet", "--initial-branch=main")
        commit(folder / ci)
        git(folder, "clone", "--quiet", "--bare", ci, f"{ci}.git")
    return folder


class Project:
    """A clone as a job has it, and the job's own command in it."""

    def __init__(self, started: Path, folder: Path, ci: str, forge: Forge) -> None:
        self.ci, self.folder, self.remote, self.forge = ci, folder / "clone", folder / "bare", forge
        shutil.copytree(started / f"{ci}.git", self.remote)
        self.clone()

    def clone(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        git(self.remote, "clone", "--quiet", str(self.remote), str(self.folder))
        git(self.folder, "checkout", "--quiet", "--detach")

    def edit(self, name: str, old: str, new: str) -> None:
        """What somebody merged into main meanwhile."""
        replace(self.folder / name, old, new)
        commit(self.folder)
        git(self.folder, "push", "--quiet", "origin", "HEAD:main")

    def run(self) -> str:
        """Run what the job runs, as its file says it; what it prints."""
        api = f"http://127.0.0.1:{self.forge.server_address[1]}"
        env = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder.parent),
        }
        if self.ci == "github":
            steps = yaml.safe_load(
                (self.folder / ".github/workflows/update.yml").read_text("utf-8")
            )
            line = steps["jobs"]["template"]["steps"][-1]["run"]
            env |= {"GITHUB_TOKEN": "t0ken-of-the-job", "GITHUB_REPOSITORY": "acme/shop", "GITHUB_API_URL": api,
                    "GITHUB_REF_NAME": "main", "CHECKS": "ci.yml"}  # fmt: skip
        else:
            jobs = yaml.safe_load((self.folder / ".gitlab-ci.yml").read_text("utf-8"))
            (line,) = jobs["update"]["script"]
            env |= {"GITLAB_TOKEN": "t0ken-of-the-job", "CI_PROJECT_ID": "7", "CI_API_V4_URL": api,
                    "CI_COMMIT_BRANCH": "main"}  # fmt: skip
        done = subprocess.run(
            ["sh", "-ec", line], cwd=self.folder, env=env, capture_output=True, text=True, check=False,
            timeout=600,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "t0ken" not in done.stdout + done.stderr
        return done.stdout

    def shown(self, name: str) -> str:
        return git(self.remote, "show", f"template/v0.2.0:{name}")

    def text(self) -> str:
        (_, body), *_ = self.forge.asked
        return str(body.get("body") or body.get("description"))


def test_a_request_is_opened_once_and_its_checks_are_started(
    started: Path, forge: Forge, tmp_path: Path
) -> None:
    project = Project(started, tmp_path, "github", forge)
    assert project.run() == "https://page/1\n"
    (path, asked), start = forge.asked
    assert path == "/repos/acme/shop/pulls"
    assert (asked["head"], asked["base"]) == ("template/v0.2.0", "main")
    assert asked["title"] == "Update the template to v0.2.0"
    assert "draft" not in asked
    assert "By hand" not in asked["body"]
    dispatches = "/repos/acme/shop/actions/workflows/ci.yml/dispatches"
    assert start == (dispatches, {"ref": "template/v0.2.0"})
    assert "## Verify it" in project.shown("README.md")
    assert "_commit: v0.2.0" in project.shown(".copier-answers.yml")
    assert git(project.remote, "rev-list", "--count", "main..template/v0.2.0") == "1\n"
    project.clone()
    assert "was pushed before" in project.run()
    assert git(project.folder, "status", "--porcelain") == ""
    git(project.folder, "push", "--quiet", "origin", "origin/template/v0.2.0:main")
    project.clone()
    assert "nothing newer" in project.run()
    assert len(forge.asked) == 2


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_a_conflict_is_told_and_not_committed(
    ci: str, started: Path, forge: Forge, tmp_path: Path
) -> None:
    project = Project(started, tmp_path, ci, forge)
    project.edit("README.md", "## Check it", "## How we prove it")
    project.run()
    readme = project.shown("README.md")
    assert "## How we prove it" in readme
    assert "## Publish it" in readme, "what the template changed elsewhere in the file"
    assert not [line for line in readme.splitlines() if line[:7] in {"<" * 7, "=" * 7, ">" * 7}]
    text = project.text()
    assert text.index("By hand") < text.index("### `README.md`") < text.index("## How we prove it")
    assert text.index("=======") < text.index("## Verify it")
    path, asked = forge.asked[0]
    if ci == "github":
        assert asked["draft"] is True
    else:
        assert path == "/projects/7/merge_requests"
        assert asked["title"] == "Draft: Update the template to v0.2.0"
        assert (asked["source_branch"], asked["target_branch"]) == ("template/v0.2.0", "main")


def test_workflows_that_the_token_may_not_push_are_told(
    started: Path, forge: Forge, tmp_path: Path
) -> None:
    project = Project(started, tmp_path, "github", forge)
    hook = project.remote / "hooks" / "pre-receive"
    hook.write_text(REFUSES_WORKFLOWS)
    hook.chmod(0o755)
    project.run()
    assert "timeout-minutes: 30" in project.shown(WORKFLOW)
    assert "## Verify it" in project.shown("README.md")
    assert "+    timeout-minutes: 31" in project.text()
    assert forge.asked[0][1]["draft"] is True
    assert (ROOT / "template" / f"{WORKFLOW}.jinja").is_file()
