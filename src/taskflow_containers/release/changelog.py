"""CHANGELOG.md and release notes, written from Conventional Commits (keepachangelog.com)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from taskflow_containers.release.versions import Commit, Version

FILE_NAME = "CHANGELOG.md"
_HEAD = "# Changelog\n\nWhat changed for those who use this; newest first.\n"
_SECTIONS = {"feat": "Added", "fix": "Fixed", "perf": "Faster", "revert": "Reverted"}


def notes(commits: Iterable[Commit], source: str = "") -> str:
    """What changed, by kind, breaking changes first; `source` is the repository's URL for links."""
    commits = list(commits)
    groups = {"Breaking": [(commit, commit.breaking) for commit in commits if commit.breaking]}
    for kind, title in _SECTIONS.items():
        groups[title] = [(commit, commit.text) for commit in commits if commit.type == kind]
    parts = []
    for title, found in groups.items():
        lines = [_line(commit, text, source) for commit, text in found]
        parts += [f"### {title}\n\n" + "\n".join(lines) + "\n"] if lines else []
    return "\n".join(parts) or "Nothing that users notice.\n"


def _line(commit: Commit, text: str, source: str) -> str:
    short = commit.sha[:7]
    link = f"[{short}]({source.rstrip('/')}/commit/{commit.sha})" if source else short
    scope = f"**{commit.scope}:** " if commit.scope else ""
    return f"- {scope}{text.strip()} ({link})"


def with_release(text: str, version: Version, date: str, body: str) -> str:
    """The changelog with one more release; what people wrote stays as it is, byte for byte."""
    section = f"## {version} ({date})\n\n{body}\n"
    if "\r\n" in text:
        section = section.replace("\n", "\r\n")
    released = re.search(r"^## (?!\[?unreleased)", text, re.MULTILINE | re.IGNORECASE)
    if released:
        return f"{text[: released.start()]}{section}{text[released.start() :]}"
    return f"{(text or _HEAD).rstrip()}\n\n{section.rstrip()}\n"
