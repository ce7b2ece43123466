"""Which file says what a build does not see, and which paths it keeps out of the build context."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from taskflow_containers.machine.errors import InputError

# Go's filepath.Match refuses the rest, and with it the engine.
_SYNTAX = re.compile(
    r"(?:[^\\\[]|\\.|\[\^?(?:(?:\\.|[^\\\]-])(?:-(?:\\.|[^\\\]-]))?)+\])*", re.DOTALL
)


# Nobody lets in again what is below these, so that they are skipped where they are excluded.
_LARGE = {"node_modules", ".git", ".venv", ".next"}


class Pattern(NamedTuple):
    """A line of the file; an exception lets in again what lines above it keep out."""

    exception: bool
    expression: re.Pattern[str]


def ignore_file(dockerfile: Path, context: Path) -> Path:
    """What a build reads: the one named after the Dockerfile where it is there, else the context's.

    Source: https://docs.docker.com/build/concepts/context/#filename-and-location
    """
    own = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
    return own if own.is_file() else context / ".dockerignore"


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


def context_files(folder: Path, ignore: Path, beside: Collection[str] = ()) -> Iterator[Path]:
    """The files a build of `folder` can see, sorted; ignored folders are not entered.

    Args:
        folder: the build context.
        ignore: the ignore file that the build reads; it need not be there.
        beside: names at the context's top that are none of its sources.

    Raises:
        InputError: the ignore file cannot be read as one.
    """
    try:
        patterns = read(ignore) if ignore.is_file() else []
    except UnicodeDecodeError:
        raise InputError(
            f"{ignore.parent.name}/{ignore.name} is no UTF-8 text", "save it as UTF-8"
        ) from None
    # An exception may lie below an excluded folder, so only without one is the folder skipped.
    may_skip = not any(pattern.exception for pattern in patterns)
    for here, folders, files in os.walk(folder):
        base = Path(here)
        folders[:] = sorted(name for name in folders if base != folder or name not in beside)
        for name in list(folders):
            relative = (base / name).relative_to(folder).as_posix()
            if (may_skip or name in _LARGE) and excludes(patterns, relative):
                folders.remove(name)
        # A link to a folder is walked into by nobody: in the image it is the link.
        links = [name for name in folders if (base / name).is_symlink()]
        for name in sorted([*files, *links]):
            if not excludes(patterns, (base / name).relative_to(folder).as_posix()):
                yield base / name
