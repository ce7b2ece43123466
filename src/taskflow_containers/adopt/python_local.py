"""The packages of a repository's own that the installation of one of its projects reads."""

from __future__ import annotations

import re
from collections.abc import Iterator

from taskflow_containers.adopt.python_project import members, table, workspace_of
from taskflow_containers.adopt.repository import Repository, join, normal, parent

# A line of a requirements file that names a folder or an archive: `-e ./libs/x[extra]`, `x @ file:./x`.
_LINE = re.compile(
    r"^\s*(?:(?:-e|--editable)[ =]\s*)?(?:[\w.-]+\s*(?:\[[^]]*\])?\s*@\s*)?(?:file:(?://)?)?(\.{1,2}(?:/[^\s\[;#]*)?)(?:\[[^]]*\])?\s*(?:[;#].*)?$"
    r"|^\s*(?:-e|--editable)[ =]\s*(?![\w+]+:)([^\s\[;#]+)",
    re.MULTILINE,
)


def packages(repository: Repository, folder: str, files: tuple[str, ...]) -> tuple[str, ...]:
    """Folders (and archives) of the repository that a project's installation reads beside `files`.

    The project's own folder is among them only where its requirements name it (`-e .`).
    """
    found: list[str] = []
    waiting = [folder]
    while waiting:
        one = waiting.pop(0)
        named = [*_named(repository, one)]
        for file in files if one == folder else ():
            named += _lines(repository, folder, file)
        for path in named:
            if path not in found and (repository.has_folder(path) or repository.has(path)):
                found.append(path)
                waiting += [path] if path != folder else []
    return tuple(found)


def within(path: str, folder: str) -> bool:
    """Whether a path is a folder, or below it."""
    return folder == "." or path == folder or path.startswith(folder + "/")


def common(folder: str, paths: tuple[str, ...]) -> str:
    """The folder that holds a project and all of these."""
    while not all(within(path, folder) for path in paths):
        folder = parent(folder)
    return folder


def relative(path: str, folder: str) -> str:
    """A path as it is called in a folder above it; "." for that folder itself."""
    if path == folder:
        return "."
    return path if folder == "." else path.removeprefix(folder + "/")


def _named(repository: Repository, folder: str) -> Iterator[str]:
    """The folders that a project's own tables name, and the members of its workspace that it depends on."""
    data = repository.data(join(folder, "pyproject.toml"))
    poetry = table(data, "tool", "poetry")
    tables = [table(data, "tool", "uv", "sources"), table(poetry, "dependencies")]
    tables += [table(one, "dependencies") for one in table(poetry, "group").values()]
    tables.append(table(repository.data(join(folder, "Pipfile")), "packages"))
    for stated in (one for each in tables for one in each.values()):
        path = stated.get("path") if isinstance(stated, dict) else None
        if isinstance(path, str):
            yield _place(folder, path)
    top = folder if table(data, "tool", "uv", "workspace") else workspace_of(repository, folder)
    for member in members(repository, top, folder) if top else ():
        if (place := member if member == folder else join(top, member)) != folder:
            yield place


def _lines(repository: Repository, folder: str, file: str) -> list[str]:
    """What a requirements file names; pip reads such a path from the folder that it runs in."""
    if not file.endswith((".txt", ".in")):
        return []
    text = repository.text(file)
    return [_place(folder, match[1] or match[2]) for match in _LINE.finditer(text)]


def _place(folder: str, path: str) -> str:
    return normal(f"{folder}/{path}") or "."
