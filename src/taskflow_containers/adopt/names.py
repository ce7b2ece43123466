"""Under which name each of the template's files lies in an adopted repository: none of the user's is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path, PurePosixPath
from typing import Any

from taskflow_containers.project.pin import ANSWERS, BESIDE

Part = dict[str, Any]  # a container, as adoption/ of the template takes it

# What a template's file is called, and what instead where a repository has one of that name.
_USUAL = {
    "compose": ("compose.yaml", "compose.taskflow.yaml"),
    "nox": ("noxfile.py", "taskflow_sessions.py"),
    "tasks": ("tasks.py", "taskflow_tasks.py"),
    "chart": ("chart", "chart-taskflow"),
    "tools": ("tools", "tools-taskflow"),
    "readme": ("CONTAINERS.md", "CONTAINERS.taskflow.md"),
    "answers": (ANSWERS, BESIDE),
}
# Compose takes the first of these that it finds, so each of them is the user's own.
_COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_CI = {
    "github": (".github/workflows/ci.yml", ".github/workflows/containers.yml"),
    "gitlab": (".gitlab-ci.yml", ".gitlab/containers.yml"),
}
OURS = "container"  # the folder of what runs an application in a container


@dataclass(frozen=True, slots=True)
class Taken:
    """A name that the repository has already: whose it stays, and what ours is called instead."""

    usual: str
    ours: str


@dataclass(frozen=True, slots=True)
class Names:
    """The names of all files beside the containers' own, and which of the usual ones were taken."""

    files: Mapping[str, str]
    taken: tuple[Taken, ...]


def top_level(root: Path, ci: str) -> Names:
    """The names of the files that are there once.

    A name is taken as soon as something has it, be it in other letters: some file systems tell no capitals.
    """
    there = _Existing(root)
    files, taken = {}, []
    for key, (usual, other) in {**_USUAL, **({"ci": _CI[ci]} if ci in _CI else {})}.items():
        rivals = _COMPOSE if key == "compose" else (usual,)
        own = next((name for name in rivals if there(name)), "")
        files[key] = _free(there, other) if own else usual
        if own:
            taken.append(Taken(own, files[key]))
    if ci == "github":
        files["update"] = _free(there, ".github/workflows/update-containers.yml")
        files["release"] = _free(there, ".github/workflows/release-containers.yml")
    files["gitignore"] = "" if there(".gitignore") else ".gitignore"
    return Names({"ci": "", "update": "", "release": "", **files}, tuple(taken))


def of_containers(root: Path, parts: Sequence[Part]) -> tuple[Taken, ...]:
    """Give each container its `dockerfile` and its folder `ours`; the names that were taken."""
    there = _Existing(root)
    contexts = [part["context"] for part in parts]
    given: set[str] = set()
    found = []
    for part in parts:
        folder = PurePosixPath(part["context"])
        # Of several in one folder, and of one at the top, the name says whose it is.
        shared = contexts.count(part["context"]) > 1 or part["context"] == "."
        own = (folder / f"{part['name']}.Dockerfile").as_posix()
        usual = own if shared else (folder / "Dockerfile").as_posix()
        part["dockerfile"] = next(
            name
            for name in chain((usual, own), _numbered(own))
            if not there(name) and not there(f"{name}.dockerignore") and name not in given
        )
        if there((folder / "Dockerfile").as_posix()):
            found.append(Taken((folder / "Dockerfile").as_posix(), part["dockerfile"]))
        # One folder serves all of an interpreter's containers that are built from one place.
        first = next(
            p for p in parts if (p["context"], p["runtime"]) == (part["context"], part["runtime"])
        )
        mixed = len({p["runtime"] for p in parts if p["context"] == part["context"]}) > 1
        ours = f"{OURS}-{part['runtime']}" if mixed else OURS
        part["ours"] = first.get("ours") or next(
            name
            for name in chain((ours, f"{OURS}-{part['runtime']}"), _numbered(f"{OURS}-taskflow"))
            if not there((folder / name).as_posix())
        )
        if part is first and part["ours"] != ours:
            found.append(Taken((folder / ours).as_posix(), (folder / part["ours"]).as_posix()))
        given |= {part["dockerfile"]}
        part["dockerfile_from_context"] = (
            part["dockerfile"]
            if part["context"] == "."
            else part["dockerfile"].removeprefix(f"{part['context']}/")
        )
    return tuple(found)


class _Existing:
    """Whether something in a repository has this name, capitals or not."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen: dict[str, set[str]] = {}

    def __call__(self, name: str) -> bool:
        path = PurePosixPath(name)
        parent = path.parent.as_posix()
        if parent not in self._seen:
            folder = self._root / parent
            self._seen[parent] = (
                {entry.name.casefold() for entry in folder.iterdir()} if folder.is_dir() else set()
            )
        return path.name.casefold() in self._seen[parent]


def _free(there: Callable[[str], bool], name: str) -> str:
    return next(other for other in chain((name,), _numbered(name)) if not there(other))


def _numbered(name: str) -> Iterator[str]:
    path = PurePosixPath(name)
    return (path.with_stem(f"{path.stem}-{number}").as_posix() for number in count(2))
