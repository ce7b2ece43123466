"""Releases at GitHub and GitLab, where a token is in the environment."""

from __future__ import annotations

import json
import os
import re
import urllib.parse
from dataclasses import dataclass, field

from taskflow_containers.machine.errors import EnvironmentTrouble, Refused
from taskflow_containers.release.git import Repository
from taskflow_containers.release.web import send


@dataclass(frozen=True, slots=True)
class Forge:
    """An API that keeps releases; `headers` hold the token."""

    name: str
    url: str
    gitlab: bool
    headers: dict[str, str] = field(repr=False)

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
        data = None if body is None else json.dumps(body).encode()
        headers = {**self.headers, "Content-Type": "application/json"}
        answer = send(method, f"{self.url}/releases{path}", data, headers)
        if answer.troubled:
            raise EnvironmentTrouble(f"{self.name} answers {answer.status}", "try again: --resume")
        if answer.status not in {200, 201, 404}:
            said = answer.body.decode(errors="replace")[:200]
            raise Refused(f"{self.name} answers {answer.status}: {said}", "does the token suffice?")
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


def find(repository: Repository, remote: str) -> Forge | None:
    """The forge this remote is at, when the environment has a token for it."""
    env = os.environ
    url = repository.ask("remote", "get-url", remote).stdout.strip()
    match = re.search(r"(?:@|//)(?:[^@/]*@)?([\w.-]+)(?::\d+)?[:/](.+?)(?:\.git)?/?$", url)
    host, path = match.groups() if match else ("", "")
    token = env.get("GITHUB_TOKEN") or env.get("GH_TOKEN", "")
    project = env.get("GITHUB_REPOSITORY") or (path if host == "github.com" else "")
    if token and project:
        api = env.get("GITHUB_API_URL", "https://api.github.com")
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
        return Forge("GitHub", f"{api}/repos/{project}", False, headers)
    personal, job = env.get("GITLAB_TOKEN", ""), env.get("CI_JOB_TOKEN", "")
    project = env.get("CI_PROJECT_ID") or (path if "gitlab" in host else "")
    if (personal or job) and project:
        api = env.get("CI_API_V4_URL") or f"https://{host}/api/v4"
        headers = {"PRIVATE-TOKEN": personal} if personal else {"JOB-TOKEN": job}
        quoted = urllib.parse.quote(project, safe="")
        return Forge("GitLab", f"{api}/projects/{quoted}", True, headers)
    return None


def run_url() -> str:
    """The page of the CI run that this is; empty on a laptop."""
    env = os.environ
    if "GITHUB_RUN_ID" in env:
        return f"{env.get('GITHUB_SERVER_URL')}/{env.get('GITHUB_REPOSITORY')}/actions/runs/{env['GITHUB_RUN_ID']}"
    return env.get("CI_JOB_URL", "")
