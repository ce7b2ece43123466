"""GitHub's and GitLab's releases, against a server that keeps what it is sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.machine.errors import EnvironmentTrouble, Refused
from taskflow_containers.release import forge
from taskflow_containers.release.git import Repository
from tests.conftest import further, git
from tests.release.plain import Plain

NAMES = ("GITHUB_TOKEN", "GH_TOKEN", "GITHUB_REPOSITORY", "GITHUB_API_URL", "GITLAB_TOKEN",
         "CI_JOB_TOKEN", "CI_PROJECT_ID", "CI_API_V4_URL", "GITHUB_GRAPHQL_URL")  # fmt: skip


class Api(ThreadingHTTPServer):
    """Keeps releases by tag; `status` in place of an answer when set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.releases: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.status = 0
        self.absent: object = {"message": "Not Found"}
        # What other questions are answered with, by the end of their path.
        self.answers: dict[str, object] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        found = self.server.releases.get(self.path.rsplit("/", 1)[1])
        known = [answer for end, answer in self.server.answers.items() if self.path.endswith(end)]
        if known:
            self.answer(200, known[0])
        else:
            self.answer(200 if found else 404, found or self.server.absent)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/graphql"):
            self.answer(200, self.server.answers.get("/graphql", {}))
        else:
            self.server.releases[body["tag_name"]] = body | {"html_url": "https://page"}
            self.answer(201, {"html_url": "https://page"})

    def answer(self, status: int, body: object) -> None:
        token = self.headers.get("Authorization") or self.headers.get("PRIVATE-TOKEN") or ""
        self.server.asked.append((self.command, self.path, token))
        self.send_response(self.server.status or status)
        self.end_headers()
        self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "remote", "add", "origin", "git@github.com:acme/shop.git")
    return Repository(tmp_path)


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("git@github.com:acme/shop.git", {}, None),
        ("git@github.com:acme/shop.git", {"GITHUB_TOKEN": "t"}, "https://api.github.com/repos/acme/shop"),
        ("git@github.com:42/app", {"GITHUB_TOKEN": "t"}, "https://api.github.com/repos/42/app"),
        ("https://u:p@github.com/acme/shop", {"GH_TOKEN": "t"}, "https://api.github.com/repos/acme/shop"),
        ("ssh://git@gitlab.acme.org:22/a/b/shop.git", {"GITLAB_TOKEN": "t"},
         "https://gitlab.acme.org/api/v4/projects/a%2Fb%2Fshop"),
        ("https://gitlab.com/a/shop.git", {"CI_JOB_TOKEN": "t", "CI_PROJECT_ID": "7",
         "CI_API_V4_URL": "https://g/api/v4"}, "https://g/api/v4/projects/7"),
        ("/srv/git/shop.git", {"GITHUB_TOKEN": "t"}, None),
    ],
)  # fmt: skip
def test_which_forge(
    url: str, environment: dict[str, str], expected: str | None,
    repository: Repository, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    git(repository.root, "remote", "set-url", "origin", url)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = forge.find(repository, "origin")
    assert (found.url if found else None) == expected


@pytest.mark.parametrize("gitlab", [False, True])
def test_a_release_is_made_once(
    gitlab: bool, api: Api, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    if gitlab:
        values = {"GITLAB_TOKEN": "t", "CI_PROJECT_ID": "7", "CI_API_V4_URL": api.url}
    else:
        values = {"GITHUB_TOKEN": "t", "GITHUB_API_URL": api.url}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    found = forge.find(repository, "origin")
    assert found
    # What is not there may be answered with a page.
    api.absent = b"<html>Not found</html>"
    for _ in range(2):
        found.publish("v1.3.0-rc.1", "the notes", stable=False, latest=False)
    (release,) = api.releases.values()
    assert release["description" if gitlab else "body"] == "the notes"
    assert [method for method, _, _ in api.asked] == ["GET", "POST", "GET"]
    assert {token for _, _, token in api.asked} == {"t" if gitlab else "Bearer t"}
    if not gitlab:
        assert (release["prerelease"], release["make_latest"]) == (True, "false")
    api.status = 502
    with pytest.raises(EnvironmentTrouble):
        found.publish("v9", "", stable=True, latest=True)
    api.status = 403
    with pytest.raises(Refused):
        found.publish("v9", "", stable=True, latest=True)


def ruled(kind: str, bypass: str) -> dict[str, object]:
    """A branch of GitHub below one rule of a ruleset."""
    return {
        "/rules/branches/main": [{"type": "deletion", "ruleset_id": 1}, {"type": kind, "ruleset_id": 2}],
        "/rulesets/2": {"id": 2, "current_user_can_bypass": bypass},
    }  # fmt: skip


def classic(may: bool | None) -> dict[str, object]:
    """A branch of GitHub with or without a branch protection rule."""
    rule = None if may is None else {"viewerCanPush": may}
    return {"/graphql": {"data": {"repository": {"ref": {"refUpdateRule": rule}}}}}


@pytest.mark.parametrize(
    ("gitlab", "answers", "protected"),
    [
        (False, ruled("pull_request", "never"), True),
        further(False, ruled("update", "pull_requests_only"), True),
        (False, ruled("pull_request", "always"), False),
        further(False, ruled("required_signatures", "never"), False),
        (False, classic(False), True),
        further(False, classic(True), False),
        further(False, classic(None), False),
        further(False, {"/graphql": []}, False),
        (False, {"/rules/branches/main": b"<html>", "/graphql": b"<html>"}, False),
        further(False, {}, False),
        (True, {"/repository/branches/main": {"protected": True, "can_push": False}}, True),
        (True, {"/repository/branches/main": {"protected": True, "can_push": True}}, False),
        further(True, {}, False),
    ],
)
def test_a_protected_branch_is_found_by_the_plan(
    gitlab: bool, answers: dict[str, object], protected: bool, api: Api, tmp_path: Path
) -> None:
    plain = Plain(tmp_path)
    api.answers = answers
    environment = dict.fromkeys(NAMES, "")
    if gitlab:
        environment |= {"GITLAB_TOKEN": "t", "CI_PROJECT_ID": "7", "CI_API_V4_URL": api.url}
    else:
        environment |= {
            "GITHUB_TOKEN": "t",
            "GITHUB_REPOSITORY": "acme/shop",
            "GITHUB_API_URL": api.url,
        }
    done = plain.invoke("--dry-run", **environment)
    assert done.returncode == (1 if protected else 0), done.stderr
    assert ("main is protected at origin: " in done.stderr) == protected
    assert ("invoke release --pull-request" in done.stderr) == protected
    done = plain.invoke("--dry-run", "--pull-request", **environment)
    assert done.returncode == 0, done.stderr


def test_an_api_says_nothing_of_an_ssh_key(
    api: Api, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.answers = ruled("pull_request", "never")
    monkeypatch.setenv("GITHUB_TOKEN", "t")
    monkeypatch.setenv("GITHUB_API_URL", api.url)
    found = forge.find(repository, "origin")
    assert found
    assert found.protection("main") == ""
    assert api.asked == []
