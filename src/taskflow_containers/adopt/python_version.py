"""Which Python a project asks for."""

from __future__ import annotations

import re

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from taskflow_containers.adopt.findings import Finding, guessed, read
from taskflow_containers.adopt.python_project import setup_arguments, table
from taskflow_containers.adopt.repository import Repository, join, parent

DEFAULT = "3.13"
_OLDEST = 11  # of Python 3: what adopted applications are served by needs that
_MINORS = ("3.13", "3.12", "3.11", "3.10", "3.14", "3.9")  # the first that is allowed is taken


def base(repository: Repository, folder: str, image: Finding[str] | None) -> Finding[str]:
    """The base image: by the version files, the Dockerfile that is there, or what the project allows."""
    minor = version(repository, folder, image)
    if _number(minor.value) < _OLDEST:
        minor = _newer(repository, folder, minor)
    return Finding(f"python:{minor.value}-slim", minor.where, minor.certainty, minor.candidates)


def _newer(repository: Repository, folder: str, minor: Finding[str]) -> Finding[str]:
    """The nearest version that what serves the application runs on, where the project does not refuse it."""
    wanted, where = _wanted(repository, folder)
    allowed = [m for m in _MINORS if _number(m) >= _OLDEST and (not wanted or _allows(wanted, m))]
    if not allowed:
        repository.say(
            "change",
            f"what serves it here needs Python 3.{_OLDEST} or newer, and this allows none: allow it, and lock again",
            where,
        )
        return minor
    nearest = min(allowed, key=_number)
    repository.say(
        "said",
        f"Python {minor.value} is older than what serves it here runs on: the image has {nearest}",
        minor.where,
    )
    return guessed(nearest, minor.where)


def _number(minor: str) -> int:
    return int(minor.partition(".")[2])


def version(repository: Repository, folder: str, image: Finding[str] | None) -> Finding[str]:
    """The minor version of Python that the project asks for."""
    places = [folder]
    while places[-1] != ".":
        places.append(parent(places[-1]))
    for above in places:
        for name, pattern in (
            (".python-version", r"^(?:c?python-?)?(3\.\d+)"),
            (".tool-versions", r"^python\s+(3\.\d+)"),
            ("runtime.txt", r"^python-(3\.\d+)"),
            ("Pipfile", r"^python(?:_full)?_version\s*=\s*[\"'](3\.\d+)"),
        ):
            path = join(above, name)
            if match := re.search(pattern, repository.text(path), re.MULTILINE):
                return read(match[1], repository.at(path, match[0]))
    if image and (match := re.search(r"python[:-]?(3\.\d+)", image.value)):
        return read(match[1], image.where)
    wanted, where = _wanted(repository, folder)
    if wanted:
        allowed = [m for m in _MINORS if _allows(wanted, m)]
        if allowed:
            finding = read if len(allowed) == 1 else guessed
            return finding(allowed[0], where)
    return guessed(DEFAULT)


def _wanted(repository: Repository, folder: str) -> tuple[str, str]:
    """What the project says of the versions that it runs on, with its place; "" where it says nothing."""
    path = join(folder, "pyproject.toml")
    data = repository.data(path)
    wanted, where = table(data, "project").get("requires-python"), path
    if not wanted:
        wanted = table(data, "tool", "poetry", "dependencies").get("python")
    if not wanted:
        where = join(folder, "setup.py")
        wanted = setup_arguments(repository, where).get("python_requires")
    if not wanted:
        where = join(folder, "setup.cfg")
        match = re.search(r"^python_requires\s*=\s*(.+)$", repository.text(where), re.MULTILINE)
        wanted = match[1] if match else None
    if not isinstance(wanted, str):
        return "", ""
    return wanted, repository.at(where, wanted)


def _allows(wanted: str, minor: str) -> bool:
    """Whether a specifier (or one of poetry's: ^3.11, ~3.11, 3.11.*) allows a minor version of Python."""

    def plain(text: str) -> str:
        if match := re.fullmatch(r"\^(\d+)(\.[\d.]+)?", text):
            return f">={match[1]}{match[2] or ''},<{int(match[1]) + 1}"
        if match := re.fullmatch(r"~(\d+)\.(\d+)(\.\d+)?", text):
            return f">={text[1:]},<{match[1]}.{int(match[2]) + 1}"
        return f"=={text}" if text[:1].isdigit() else text

    for way in wanted.split("||"):
        parts = [
            plain(part.strip()) for part in re.split(r"[,\s]+(?=[<>=!~^\d])", way.strip()) if part
        ]
        try:
            specifiers = SpecifierSet(",".join(parts))
        except InvalidSpecifier:
            continue
        # Any patch of the minor: the lowest and a high one.
        if specifiers.contains(f"{minor}.0") or specifiers.contains(f"{minor}.99"):
            return True
        if any(f"{minor}.{patch}" in specifiers for patch in range(1, 25)):
            return True
    return False
