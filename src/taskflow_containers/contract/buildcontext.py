"""What a Dockerfile takes from the build context, and what .dockerignore keeps from it."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from taskflow_containers.contract import dockerignore
from taskflow_containers.contract.instructions import Instruction, Stage

_FLAGS = re.compile(r"((?:--\S+\s+)*)(.*)", re.DOTALL)
_REMOTE = re.compile(r"(https?|git|ssh)://|git@")


@dataclass(frozen=True, slots=True)
class Source:
    """A path of the build context ("." for all of it), or a pattern, that an instruction takes."""

    path: str
    item: Instruction

    @property
    def is_pattern(self) -> bool:
        """Whether it may match several paths, or none."""
        return any(character in self.path for character in "*?[")

    def find(self, folder: Path) -> list[Path]:
        """The paths below the context's folder that it names, ignored or not."""
        if not self.is_pattern:
            return [folder / self.path] if os.path.lexists(folder / self.path) else []
        pattern = re.sub(r"\\(.)", r"[\1]", self.path.replace("[^", "[!"))
        try:
            return sorted(folder.glob(pattern))
        except ValueError:
            return []  # no pattern that any file can match


@dataclass(frozen=True, slots=True)
class KeptOut:
    """A path that an instruction takes and a pattern of .dockerignore takes away."""

    path: str
    item: Instruction
    pattern: dockerignore.Pattern


def sources(stages: Iterable[Stage]) -> list[Source]:
    """Every path that COPY, ADD and bind mounts take from the context, in the order of the lines."""
    # A stage holds the instructions of the stage it is built on too.
    items = {item.line: item for stage in stages for item in stage.instructions}
    return [
        Source(posixpath.normpath(f"/{path}").lstrip("/") or ".", items[line])
        for line in sorted(items)
        for path in _paths(items[line])
    ]


def _paths(item: Instruction) -> Iterator[str]:
    flags, rest = _FLAGS.findall(item.text)[0]
    if item.name == "RUN":
        for mount in re.findall(r"--mount=(\S+)", flags):
            options = dict(part.partition("=")[::2] for part in mount.split(","))
            path = options.get("source") or options.get("src") or "."
            if options.get("type", "bind") == "bind" and "from" not in options and "$" not in path:
                yield path
    elif item.name in {"COPY", "ADD"} and "--from=" not in flags:
        words = Instruction(item.name, rest, item.line).exec_form or [
            word.strip("\"'") for word in rest.split()
        ]
        # The last is the target; a heredoc or a URL is nothing of the context.
        yield from (w for w in words[:-1] if w and w[:2] != "<<" and not _REMOTE.match(w))


def missing(folder: Path, wanted: Iterable[Source]) -> list[Source]:
    """The sources that are not there; a pattern may match nothing beside another that does."""
    wanted = list(wanted)
    served = {source.item.line for source in wanted if source.find(folder)}
    return [
        source
        for source in wanted
        if not (source.item.line in served if source.is_pattern else source.find(folder))
    ]


def kept_out(
    folder: Path,
    wanted: Iterable[Source],
    patterns: list[dockerignore.Pattern],
    needed: Iterable[str] = (),
) -> list[KeptOut]:
    """What .dockerignore takes from the sources: all of one, or a part of it that is `needed`."""
    seen = {path.relative_to(folder).as_posix() for path in dockerignore.context_files(folder)}
    lost: dict[str, KeptOut] = {}
    taken: list[tuple[str, Instruction]] = []
    for source in wanted:
        found = [path.relative_to(folder).as_posix() for path in source.find(folder)]
        taken += [(path, source.item) for path in found]
        gone = {path: by for path in found if (by := _taken_away(folder, path, patterns, seen))}
        # What a pattern matches may be ignored in part; a source that is gone whole is a fault.
        if len(gone) == len(found):
            for path, by in gone.items():
                lost.setdefault(path, KeptOut(path, source.item, by))
    for path in needed:
        item = next((item for whole, item in taken if _below(path, whole)), None)
        if item is None or any(_below(path, whole) for whole in lost):
            continue
        if by := _taken_away(folder, path, patterns, seen):
            lost[path] = KeptOut(path, item, by)
    return list(lost.values())


def _below(path: str, whole: str) -> bool:
    return whole in {".", path} or path.startswith(f"{whole}/")


def _taken_away(
    folder: Path, path: str, patterns: list[dockerignore.Pattern], seen: Iterable[str]
) -> dockerignore.Pattern | None:
    """The pattern that leaves nothing of a file or folder."""
    if any(_below(file, path) for file in seen):
        return None
    # A folder of which every file is ignored is copied as an empty one.
    inside = next(
        ((Path(here) / min(files)) for here, _, files in os.walk(folder / path) if files),
        folder / path,
    )
    by = dockerignore.decisive(patterns, inside.relative_to(folder).as_posix())
    return by if by and not by.exception else None
