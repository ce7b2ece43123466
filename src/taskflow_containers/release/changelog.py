"""CHANGELOG.md and release notes: what people wrote, and what Conventional Commits tell (keepachangelog.com)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from taskflow_containers.release.versions import Commit, Version

FILE_NAME = "CHANGELOG.md"
_HEAD = "# Changelog\n\nWhat changed for those who use this; newest first.\n"
_SECTIONS = {"feat": "Added", "fix": "Fixed", "perf": "Faster", "revert": "Reverted"}
_BREAKING = "Breaking"
_NOTHING = "Nothing that users notice.\n"
UNRELEASED = "unreleased"
_TARGETS = r"(?:\[[^\]\n]+\]: .*\n\s*)+\Z"  # the links' targets, as they stand below all sections
_NEXT = re.compile(rf"^(?:## |{_TARGETS})", re.MULTILINE)
_REMARK = re.compile(r"<!--.*?-->", re.DOTALL)


def notes(commits: Iterable[Commit], source: str = "") -> str:
    """What changed, by kind, breaking changes first; `source` is the repository's URL for links."""
    commits = list(commits)
    groups = {_BREAKING: [(commit, commit.breaking) for commit in commits if commit.breaking]}
    for kind, title in _SECTIONS.items():
        groups[title] = [(commit, commit.text) for commit in commits if commit.type == kind]
    parts = []
    for title, found in groups.items():
        lines = [_line(commit, text, source) for commit, text in found]
        parts += [f"### {title}\n\n" + "\n".join(lines) + "\n"] if lines else []
    return "\n".join(parts) or _NOTHING


def _line(commit: Commit, text: str, source: str) -> str:
    short = commit.sha[:7]
    link = f"[{short}]({source.rstrip('/')}/commit/{commit.sha})" if source else short
    scope = f"**{commit.scope}:** " if commit.scope else ""
    return f"- {scope}{text.strip()} ({link})"


class _Section(NamedTuple):
    """Where a heading starts, where the text below it does, and where that ends."""

    start: int
    below: int
    end: int


def heading(name: str) -> str:
    """The pattern of how a section begins: `## 1.2.3 (date)`, `## [1.2.3] - date`."""
    return rf"^## \[?{re.escape(name)}(\]|[ (]|\r?$)"


def _section(text: str, name: str) -> _Section | None:
    found = re.search(rf"{heading(name)}.*(\n|\Z)", text, re.MULTILINE | re.IGNORECASE)
    if not found:
        return None
    after = _NEXT.search(text, found.end())
    return _Section(found.start(), found.end(), after.start() if after else len(text))


def body(text: str, name: str) -> str:
    """What the changelog says of a version, or of what is not released yet; empty without a section."""
    found = _section(text, name)
    below = text[found.below : found.end].replace("\r\n", "\n").strip() if found else ""
    return f"{below}\n" if below else ""


def untold(commits: Iterable[Commit], body: str) -> list[Commit]:
    """Those of the commits that users notice and that a section does not name."""
    return [commit for commit in commits if commit.bump and commit.sha[:7] not in body]


def with_release(
    text: str, version: Version, date: str, commits: Iterable[Commit],
    source: str = "", pending: str = "",
) -> tuple[str, str]:  # fmt: skip
    """The changelog with one more release, and that release's own notes.

    What people wrote below Unreleased goes into it, and so does the section of `pending`, a version
    that was proposed and never tagged. All else stays as it is, byte for byte.
    """
    written = ""
    for name in (pending, UNRELEASED):
        found = _section(text, name) if name else None
        if found and any(_groups(body(text, name)).values()):
            written = _joined(written, body(text, name))
            remarks = _REMARK.findall(text[found.below : found.end])
            kept = [text[found.start : found.below].strip(), *remarks] if name == UNRELEASED else []
            ending = "\r\n" if "\r\n" in text else "\n"
            kept_text = "".join(f"{part}{ending}{ending}" for part in kept)
            text = f"{text[: found.start]}{kept_text}{text[found.end :]}"
    made = notes([commit for commit in commits if commit.sha[:7] not in written], source)
    told = _joined(written, "" if written and made == _NOTHING else made)
    section = f"## {version} ({date})\n\n{told}\n"
    if "\r\n" in text:
        section = section.replace("\n", "\r\n")
    after = rf"^(?:## (?!\[?{UNRELEASED})|{_TARGETS})"
    if released := re.search(after, text, re.MULTILINE | re.IGNORECASE):
        return f"{text[: released.start()]}{section}{text[released.start() :]}", told
    return f"{(text or _HEAD).rstrip()}\n\n{section.rstrip()}\n", told


def _groups(*sections: str) -> dict[str, str]:
    """The lines of sections by their `###` title, those before the first one under an empty title."""
    found: dict[str, str] = {}
    for section in sections:
        first, *rest = re.split(r"^### +(.+?) *$", _REMARK.sub("", section), flags=re.MULTILINE)
        for title, lines in [("", first), *zip(rest[::2], rest[1::2], strict=True)]:
            found[title] = "\n".join(filter(None, [found.get(title, ""), lines.strip()]))
    return found


def _joined(*sections: str) -> str:
    """Sections as one: what has the same title stands together, breaking changes first."""
    groups = _groups(*sections)
    titles = sorted(filter(groups.get, groups), key=lambda title: title not in ("", _BREAKING))
    parts = [
        f"### {title}\n\n{groups[title]}\n" if title else f"{groups['']}\n" for title in titles
    ]
    return "\n".join(parts)
