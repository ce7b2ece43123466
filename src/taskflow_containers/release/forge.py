"""What GitHub and GitLab are asked and told, where a token is in the environment: releases, protection."""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from taskflow_containers.machine.errors import EnvironmentTrouble, Refused
from taskflow_containers.release.git import Repository
from taskflow_containers.release.web import HttpAnswer, send


@dataclass(frozen=True, slots=True)
class Forge:
    """An API that keeps releases; `headers` hold the token, `graphql` is GitHub's other API.

    `own_key`: git pushes with an SSH key, of which this API says nothing.
    """

    name: str
    url: str
    gitlab: bool
    headers: dict[str, str] = field(repr=False)
    graphql: str = ""
    own_key: bool = False

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
        data = None if body is None else json.dumps(body).encode()
        headers = {**self.headers, "Content-Type": "application/json"}
        answer = send(method, f"{self.url}/releases{path}", data, headers)
        if answer.troubled:
            raise answer.trouble(f"{self.name} keeps no release just now")
        if answer.status not in {200, 201, 404}:
            raise Refused(f"{self.name} answers {answer.said}", "does the token suffice?")
        # Not found may come as a page.
        return answer.status, {} if answer.status == 404 else answer.json()

    def url_of(self, tag: str) -> str:
        """The page of a tag's release; empty when there is none."""
        quoted = urllib.parse.quote(tag, safe="")
        status, found = self._ask("GET", f"/{quoted}" if self.gitlab else f"/tags/{quoted}")
        return str(found.get("html_url") or tag) if status == 200 else ""

    def publish(self, tag: str, notes: str, *, stable: bool, latest: bool) -> str:
        """Make the release unless it is there; its page."""
        if page := self.url_of(tag):
            return page
        body: dict[str, object] = {"tag_name": tag, "name": tag}
        if self.gitlab:
            body["description"] = notes
        else:
            body |= {"body": notes, "prerelease": not stable, "make_latest": str(latest).lower()}
        status, found = self._ask("POST", "", body)
        if status != 201:
            raise Refused(f"{self.name} knows no such project", "does the token suffice?")
        return str(found.get("html_url") or tag)

    def propose(self, branch: str, base: str, title: str, text: str, *, draft: bool) -> str:
        """Ask for the merge of a branch that was pushed; the request's page.

        Raises:
            Refused: the forge says why not.
        """
        if self.gitlab:
            path = "merge_requests"
            named = f"Draft: {title}" if draft else title
            body = {
                "source_branch": branch,
                "target_branch": base,
                "title": named,
                "description": text,
            }
        else:
            path = "pulls"
            body = {"head": branch, "base": base, "title": title, "body": text}
        answer = self._post(path, body | ({"draft": True} if draft and not self.gitlab else {}))
        if (
            answer.status == 422 and draft and "raft" in answer.said
        ):  # not in every plan of GitHub's
            answer = self._post(path, body | {"title": f"[by hand] {title}"})
        if answer.status != 201:
            raise Refused(
                f"{self.name} opens no request: {answer.said}",
                f"{branch} is pushed: open it by hand. The token must be allowed to; on GitHub also "
                "Settings, Actions, General: let Actions create pull requests",
            )
        found = answer.json()
        return str(found.get("html_url") or found.get("web_url") or branch)

    def start(self, workflow: str, branch: str) -> None:
        """Have GitHub run a workflow on a branch: what its own token opens starts none."""
        answer = self._post(f"actions/workflows/{workflow}/dispatches", {"ref": branch})
        if answer.status not in {200, 204}:
            raise Refused(
                f"{self.name} does not start {workflow}: {answer.said}",
                "it needs `workflow_dispatch`, and the token `actions: write`; or start it by hand",
            )

    def _post(self, path: str, body: object) -> HttpAnswer:
        headers = {**self.headers, "Content-Type": "application/json"}
        return send("POST", f"{self.url}/{path}", json.dumps(body).encode(), headers)

    def protection(self, branch: str) -> str:
        """Why the token's owner may not push to a branch, as far as the forge tells; else empty.

        What it does not tell this token is no refusal: the push itself shows it.
        """
        quoted = urllib.parse.quote(branch, safe="")
        if self.own_key:
            return ""
        if self.gitlab:
            found = self._look(f"{self.url}/repository/branches/{quoted}")
            return f"{self.name} lets others push" * (_field(found, "can_push") is False)
        for rule in self._look(f"{self.url}/rules/branches/{quoted}") or ():
            if _field(rule, "type") in _DIRECT_PUSH:
                ruleset = self._look(f"{self.url}/rulesets/{_field(rule, 'ruleset_id')}")
                if _field(ruleset, "current_user_can_bypass") in ("never", "pull_requests_only"):
                    what = str(_field(rule, "type")).replace("_", " ")
                    return f"a ruleset of {self.name} asks for: {what}"
        owner, _, name = self.url.partition("/repos/")[2].partition("/")
        names = {"owner": owner, "name": name, "ref": f"refs/heads/{branch}"}
        found = self._look(self.graphql, {"query": _MAY_PUSH, "variables": names})
        for key in ("data", "repository", "ref", "refUpdateRule", "viewerCanPush"):
            found = _field(found, key)
        return f"{self.name} lets others push" * (found is False)

    def _look(self, url: str, body: object = None) -> Any:
        """What the API answers; None where it does not."""
        data = None if body is None else json.dumps(body).encode()
        headers = {**self.headers, "Content-Type": "application/json"}
        with suppress(EnvironmentTrouble, ValueError):
            answer = send("GET" if data is None else "POST", url, data, headers)
            return json.loads(answer.body) if answer.status == 200 else None
        return None


# Rules of GitHub that no direct push satisfies.
_DIRECT_PUSH = {"pull_request", "update", "merge_queue", "required_status_checks"}
_MAY_PUSH = """\
query($owner: String!, $name: String!, $ref: String!) {
  repository(owner: $owner, name: $name) {
    ref(qualifiedName: $ref) { refUpdateRule { viewerCanPush } }
  }
}"""


def _field(found: object, key: str) -> object:
    return found.get(key) if isinstance(found, dict) else None


def find(repository: Repository, remote: str) -> Forge | None:
    """The forge this remote is at, when the environment has a token for it."""
    env = os.environ
    url = repository.ask("remote", "get-url", remote).stdout.strip()
    host = path = ""
    if match := _REMOTE.match(url):
        host, path = match["host"] or match["server"], match["path"]
    own_key = url.startswith("ssh://") or bool(match and match["server"])
    token = env.get("GITHUB_TOKEN") or env.get("GH_TOKEN", "")
    project = env.get("GITHUB_REPOSITORY") or (path if host == "github.com" else "")
    if token and project:
        api = env.get("GITHUB_API_URL", "https://api.github.com")
        graphql = env.get("GITHUB_GRAPHQL_URL") or f"{api.removesuffix('/v3')}/graphql"
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
        return Forge("GitHub", f"{api}/repos/{project}", False, headers, graphql, own_key)
    personal, job = env.get("GITLAB_TOKEN", ""), env.get("CI_JOB_TOKEN", "")
    project = env.get("CI_PROJECT_ID") or (path if "gitlab" in host else "")
    if (personal or job) and project:
        api = env.get("CI_API_V4_URL") or f"https://{host}/api/v4"
        headers = {"PRIVATE-TOKEN": personal} if personal else {"JOB-TOKEN": job}
        quoted = urllib.parse.quote(project, safe="")
        return Forge("GitLab", f"{api}/projects/{quoted}", True, headers, own_key=own_key)
    return None


# A URL, or `user@server:path` as SSH has it, where a number after the colon is no port.
_REMOTE = re.compile(
    r"(?:\w+://(?:[^@/]*@)?(?P<host>[\w.-]+)(?::\d+)?/|[^@/]+@(?P<server>[\w.-]+):)/?"
    r"(?P<path>.+?)(?:\.git)?/?$"
)


def run_url() -> str:
    """The page of the CI run that this is; empty on a laptop."""
    env = os.environ
    if "GITHUB_RUN_ID" in env:
        return f"{env.get('GITHUB_SERVER_URL')}/{env.get('GITHUB_REPOSITORY')}/actions/runs/{env['GITHUB_RUN_ID']}"
    return env.get("CI_JOB_URL", "")
