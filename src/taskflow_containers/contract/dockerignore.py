"""Which paths a .dockerignore keeps out of the build context."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from taskflow_containers.machine.errors import InputError

# Go's filepath.Match refuses the rest, and with it the engine.
_SYNTAX = re.compile(
    r"(?:[^\\\[]|\\.|\[\^?(?:(?:\\.|[^\\\]-])(?:-(?:\\.|[^\\\]-]))?)+\])*", re.DOTALL
)


class Pattern(NamedTuple):
    """A line of the file; an exception lets in again what lines above it keep out."""

    exception: bool
    expression: re.Pattern[str]


def read(path: Path) -> list[Pattern]:
    """The patterns of a file, in order.

    Raises:
        InputError: a line is no pattern.
    """
    patterns = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        text = line.strip()
        body = text.removeprefix("!").strip()
        if not body or line.startswith("#"):
            continue
        body = re.sub(r"(\*\*/)+", "**/", posixpath.normpath(body).lstrip("/"))
        try:
            if not _SYNTAX.fullmatch(body):
                raise re.error("a [ without its ], or a \\ at the end")
            expression = re.compile(_expression(body))
        except re.error as error:
            raise InputError(
                f"{path.parent.name}/{path.name}:{number}: {line!r} is no pattern: {error}",
                "mend it: an engine refuses to build with it",
            ) from None
        patterns.append(Pattern(text.startswith("!"), expression))
    return patterns


def _expression(pattern: str) -> str:
    """Go's filepath.Match with `**`, as Docker reads it; a folder covers what is below it."""
    # Docker reads `**` as whole folders, unless nothing follows it.
    tokens = {"**": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    pattern, everything = re.subn(r"\*\*$", "", pattern)
    parts = re.findall(r"(\*\*)/?|(\*|\?|\[[^\]]+\]|\\.|.)", pattern)
    body = "".join(
        tokens.get(part) or (part if part[0] == "[" and len(part) > 1 else re.escape(part[-1]))
        for part in map("".join, parts)
    )
    return f"{body}.*" if everything else f"{body}(?:/.*)?"


def excludes(patterns: list[Pattern], path: str) -> bool:
    """Whether `path` (relative, with slashes) stays out: the last pattern that matches decides."""
    last = next((p for p in reversed(patterns) if p.expression.fullmatch(path)), None)
    return last is not None and not last.exception


def context_files(folder: Path) -> Iterator[Path]:
    """The files a build of `folder` can see, sorted; ignored folders are not entered.

    Raises:
        InputError: the .dockerignore cannot be read as one.
    """
    ignore = folder / ".dockerignore"
    try:
        patterns = read(ignore) if ignore.is_file() else []
    except UnicodeDecodeError:
        raise InputError(
            f"{folder.name}/.dockerignore is no UTF-8 text", "save it as UTF-8"
        ) from None
    # An exception may lie below an excluded folder, so only without one is the folder skipped.
    may_skip = not any(pattern.exception for pattern in patterns)
    for here, folders, files in os.walk(folder):
        base = Path(here)
        folders.sort()
        for name in list(folders):
            relative = (base / name).relative_to(folder).as_posix()
            if (may_skip or name in {"node_modules", ".git"}) and excludes(patterns, relative):
                folders.remove(name)
        # A link to a folder is walked into by nobody: in the image it is the link.
        links = [name for name in folders if (base / name).is_symlink()]
        for name in sorted([*files, *links]):
            if not excludes(patterns, (base / name).relative_to(folder).as_posix()):
                yield base / name
