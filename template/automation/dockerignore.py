"""Which paths a .dockerignore keeps out of the build context."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from automation.errors import InputError

Pattern = tuple[bool, re.Pattern[str]]


def read(path: Path) -> list[Pattern]:
    """The patterns of a file as (is an exception, expression), in order.

    Raises:
        InputError: a line is no pattern.
    """
    patterns = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        text = line.strip()
        if not text or line.startswith("#"):
            continue
        exception = text.startswith("!")
        text = text.removeprefix("!").strip()
        if text:
            text = re.sub(r"(\*\*/)+", "**/", posixpath.normpath(text).lstrip("/"))
            try:
                patterns.append((exception, re.compile(_expression(text))))
            except re.error as error:
                raise InputError(
                    f"{path.parent.name}/{path.name}:{number}: {line!r} is no pattern: {error}",
                    "mend it: an engine refuses to build with it",
                ) from None
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
    """Whether `path` (relative, with slashes) stays out; the last match decides."""
    out = False
    for exception, expression in patterns:
        if expression.fullmatch(path):
            out = not exception
    return out


def context_files(folder: Path) -> Iterator[Path]:
    """The files a build of `folder` can see, sorted; ignored folders are not entered."""
    ignore = folder / ".dockerignore"
    patterns = read(ignore) if ignore.is_file() else []
    # An exception may lie below an excluded folder, so only without one is the folder skipped.
    may_skip = not any(exception for exception, _ in patterns)
    for here, folders, files in os.walk(folder):
        base = Path(here)
        folders.sort()
        for name in list(folders):
            relative = (base / name).relative_to(folder).as_posix()
            if (may_skip or name in {"node_modules", ".git"}) and excludes(patterns, relative):
                folders.remove(name)
        for name in sorted(files):
            if not excludes(patterns, (base / name).relative_to(folder).as_posix()):
                yield base / name
