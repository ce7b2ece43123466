"""What a Dockerfile has a package manager install: its groups and extras, and the requirements files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from taskflow_containers.adopt.commands import split
from taskflow_containers.adopt.findings import Finding, guessed, read
from taskflow_containers.adopt.repository import Repository, join, parent
from taskflow_containers.contract.instructions import Stage

_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")
_SUBCOMMANDS = {"uv": {"sync", "pip"}, "poetry": {"install"}, "pdm": {"install", "sync"}, "pip": {"install"}}  # fmt: skip
# The options by which each tool chooses what of a lock file is installed; `=`-forms are made of two words.
_CHOICES = {
    "uv": {"--extra", "--no-extra", "--group", "--no-group", "--only-group"},
    "poetry": {"--extras", "-E", "--with", "--without", "--only"},
    "pdm": {"--group", "-G", "--with", "--without"},
}
_SWITCHES = {"--all-extras", "--all-groups", "--no-default-groups"}
# What is not for an image that runs, by the name of a group, of a requirements file or of a stage.
_DEVELOPMENT = re.compile(
    r"(?:^|[._/-])(?:dev|development|develop|local|tests?|testing|ci|lint|docs?|debug)(?:[._/-]|$)"
)
_EXTRAS = re.compile(r"\.\[([\w.,\s-]+)\]")
_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True)
class Install:
    """A command of a package manager, with its place."""

    tool: str
    words: tuple[str, ...]
    where: str


def found_in(stages: Iterable[Stage], path: str) -> tuple[Install, ...]:
    """The installations of a Dockerfile, but for those of stages that are for development."""
    found: dict[Install, None] = {}
    for stage in stages:
        known = stage.arguments | stage.environment
        for item in stage.all("RUN") if not _DEVELOPMENT.search(stage.name) else ():
            text = _resolved(re.sub(r"^(?:--\S+\s+)+", "", item.text), known)
            for words in split(text):
                if one := _install(words, f"{path}:{item.line}"):
                    found[one] = None
    return tuple(found)


def _resolved(text: str, known: Mapping[str, str]) -> str:
    """A shell's line with the values that the build has for its variables."""

    def value(match: re.Match[str]) -> str:
        return known.get(match[1] or match[3]) or match[2] or ""

    return _VARIABLE.sub(value, text)


def _install(words: list[str], where: str) -> Install | None:
    while words and re.fullmatch(r"[A-Za-z_]\w*=.*|sudo|exec", words[0]):
        words = words[1:]
    name = words[0].rsplit("/", 1)[-1] if words else ""
    if re.fullmatch(r"python[\d.]*", name) and words[1:2] == ["-m"]:
        words, name = words[2:], "".join(words[2:3])
    tool = "pip" if re.fullmatch(r"pip[\d.]*", name) else name
    if not {*words[1:3]} & _SUBCOMMANDS.get(tool, set()):
        return None
    return Install(tool, tuple(_apart(words[1:])), where)


def _apart(words: Sequence[str]) -> Iterator[str]:
    """The words, where `--extra=x` is two of them."""
    for word in words:
        key, equals, value = word.partition("=")
        yield from (key, value) if equals and key.startswith("--") else (word,)


def choices(install: str, stated: Iterable[Install]) -> Finding[tuple[str, ...]]:
    """The groups and extras that are installed, as options of the tool that our image has for it."""
    found: dict[tuple[str, ...], str] = {}
    for one in stated:
        known = _CHOICES.get(one.tool, set()) if one.tool == install else set()
        for word, value in zip(one.words, (*one.words[1:], ""), strict=True):
            if one.tool == install and word in _SWITCHES:
                found.setdefault((word,), one.where)
            if word in known:
                for name in _names(one.tool, word, value):
                    found.setdefault((word, name), one.where)
            if install in {"uv", "project"} and (extras := _EXTRAS.fullmatch(word)):
                for name in re.split(r"[,\s]+", extras[1].strip()):
                    found.setdefault(("--extra", name), one.where)
    if not found:
        return guessed(())
    return read(tuple(word for words in found for word in words), next(iter(found.values())))


def _names(tool: str, option: str, value: str) -> list[str]:
    """The names that an option is given; poetry takes several, and a development group is none of ours."""
    leaves = option.startswith(("--no-", "--without"))
    names = [n for n in re.split(r"[,\s]+", value) if _NAME.fullmatch(n)]
    names = [n for n in names if leaves or not _DEVELOPMENT.search(n)]
    # poetry takes --only and the like once, with all names; its extras each by itself.
    once = tool == "poetry" and option in {"--with", "--without", "--only"}
    if option == "--only" and names == ["main"]:  # as ever
        return []
    return [",".join(names)] if once and names else names


def requirements(repository: Repository, folder: str, stated: Iterable[Install]) -> tuple[str, ...]:
    """The requirements files that are installed, as files of the repository."""
    found: dict[str, None] = {}
    for one in stated:
        if one.tool not in {"pip", "uv"} or "install" not in one.words:
            continue
        pairs = zip(one.words, one.words[1:], strict=False)
        for name in (b for a, b in pairs if a in {"-r", "--requirement", "--requirements"}):
            path = _file(repository, (folder, parent(one.where.rpartition(":")[0])), name)
            if path and path.endswith(".txt") and not _DEVELOPMENT.search(path):
                found[path] = None
    return tuple(found)


def _file(repository: Repository, folders: Iterable[str], name: str) -> str:
    """The file that a path in the image was copied from: the longest end of it that is one here."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    ends = ["/".join(parts[n:]) for n in range(len(parts))]
    places = (join(folder, end) for end in ends for folder in dict.fromkeys(folders))
    return next((place for place in places if repository.has(place)), "")
