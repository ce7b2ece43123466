"""The files that state the project's version: which they are, and which have a version of their own."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import packaging.version

from taskflow_containers.machine.errors import InputError
from taskflow_containers.release.onevalue import COMPUTED, Keys, replaced, said, value_at
from taskflow_containers.release.versions import Version

_UNSET = "0.0.0"  # what the template's own manifests say before the first release
_NAMED = 6  # files that the plan names of those which it leaves alone
_MUST = {"taskflow.toml", "Chart.yaml"}  # in these a missing version is a fault


def _pyproject(data: Mapping[str, Any], _: Collection[str]) -> Iterator[Keys]:
    yield ("project", "version")
    # That plug-in writes the version in while it builds.
    if not value_at(data, ("tool", "poetry-dynamic-versioning", "enable")):
        yield ("tool", "poetry", "version")


def _uv_lock(data: Mapping[str, Any], folders: Collection[str]) -> Iterator[Keys]:
    return (("package", name, "version") for name in data["package"] if name in folders)


def _npm_lock(data: Mapping[str, Any], folders: Collection[str]) -> Iterator[Keys]:
    if "." in folders:
        yield ("version",)
    packages = data.get("packages") or {}
    yield from (("packages", name, "version") for name in packages if (name or ".") in folders)


# Where the version is stated, by the file's name: of what it says, and of the folders below a lock
# file whose manifests state it.
_Places = Callable[[Any, Collection[str]], Iterable[Keys]]
_PLACES: dict[str, _Places] = {
    "taskflow.toml": lambda *_: [("version",)],
    "pyproject.toml": _pyproject,
    "setup.cfg": lambda *_: [("metadata", "version")],
    "setup.py": lambda *_: [("version",)],
    "uv.lock": _uv_lock,
    "package.json": lambda *_: [("version",)],
    "package-lock.json": _npm_lock,
    "npm-shrinkwrap.json": _npm_lock,
    "Chart.yaml": lambda *_: [("version",), ("appVersion",)],
}
_LOCKS = {"uv.lock": "pyproject.toml", "package-lock.json": "package.json", "npm-shrinkwrap.json": "package.json"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """The files that state the project's version, and others as "path (version)"."""

    files: list[str]
    others: list[str]

    @property
    def notes(self) -> list[str]:
        """The line that names the others, if there are any."""
        more = f" and {len(self.others) - _NAMED} more" * (len(self.others) > _NAMED)
        named = f"{', '.join(self.others[:_NAMED])}{more}"
        return [f"left alone, for the versions are their own: {named}"] if self.others else []


def find(
    root: Path, tracked: Collection[str], folders: Sequence[str], own: Collection[str]
) -> Found:
    """Of the files tracked by git, those in the top folder, these and their workspaces' members.

    `own` are the versions that a file of this project states: what taskflow.toml says, and the last
    release's. What states another one has a version of its own, and what states none is left out.

    Raises:
        InputError: one of them cannot be read.
    """
    places = dict.fromkeys(map(posixpath.normpath, (".", *folders)))
    versions = {_plain(one) for one in own}
    files, others, locks = list[str](), list[str](), list[str]()
    for folder in [*places, *(one for one in _members(root, tracked, places) if one not in places)]:
        for name in _PLACES:
            path = posixpath.normpath(f"{folder}/{name}")
            if path not in tracked or not (root / path).is_file():
                continue
            if name in _LOCKS:
                locks.append(path)
                continue
            stated = _stated(path, _text(root / path))
            unset = folder in places and {*stated} == {_UNSET}
            if name in _MUST or unset or not versions.isdisjoint(map(_plain, stated)):
                files.append(path)
            else:
                others += [f"{path} ({one})" for one in dict.fromkeys(stated)]
    # A lock file's entries follow the manifests that they were made from.
    files += [path for path in locks if _places(path, _text(root / path), files)]
    return Found(files, others)


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace")


def _plain(version: str) -> str:
    """The same text for what Python's tools hold for the same version: 1.2 and 1.2.0, 1.0rc1 and 1.0.0-rc.1."""
    with suppress(packaging.version.InvalidVersion):
        found = packaging.version.Version(version)
        return str(found).replace(
            found.base_version, ".".join(map(str, (*found.release, 0, 0)[:3]))
        )
    return version


def _stated(path: str, text: str) -> list[str]:
    """The versions that a file states, "computed" for one that comes from elsewhere."""
    data, found = said(path, text), list[str]()
    for keys in _PLACES[PurePosixPath(path).name](data, ()):
        value = value_at(data, keys)
        if value is COMPUTED:
            found.append("computed")
        elif isinstance(value, str):
            found.append(value)
        elif value:
            raise InputError(
                f"{path}: this is no string that can be replaced", "write it in quotes"
            )
    return found


def _members(root: Path, tracked: Collection[str], folders: Iterable[str]) -> Iterator[str]:
    """The folders of manifests that a workspace of npm, pnpm, yarn or uv names, or Poetry by path."""
    manifests = {"pyproject.toml", "setup.cfg", "setup.py", "package.json"}
    found = dict.fromkeys(
        posixpath.dirname(path) or "."
        for path in sorted(tracked)
        if posixpath.basename(path) in manifests and "node_modules" not in path.split("/")
    )
    for folder in folders:
        named = [*_named(root / folder)]
        for member in found:
            last = [p for p in named if re.fullmatch(_pattern(folder, p.lstrip("!")), member)]
            if last and not last[-1].startswith("!"):
                yield member


def _named(folder: Path) -> Iterator[str]:
    """The patterns by which the manifests of a folder name members, those of what is none with a `!`."""

    def read(name: str) -> Any:
        path = folder / name
        return said(name, _text(path)) if path.is_file() else None

    package, project = read("package.json"), read("pyproject.toml")
    listed = value_at(package, ("workspaces",))
    yield from (listed.get("packages") if isinstance(listed, dict) else listed) or ()
    yield from value_at(read("pnpm-workspace.yaml"), ("packages",)) or ()
    workspace = value_at(project, ("tool", "uv", "workspace")) or {}
    yield from workspace.get("members", ())
    yield from (f"!{one}" for one in workspace.get("exclude", ()))
    needs = value_at(project, ("tool", "poetry", "dependencies")) or {}
    yield from (one["path"] for one in needs.values() if isinstance(one, dict) and "path" in one)


def _pattern(folder: str, glob: str) -> str:
    """A workspace's pattern as a regular expression for folders of the project."""
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    path = posixpath.normpath(f"{folder}/{glob}")
    return re.sub(r"\*\*/?|.", lambda m: words.get(m[0], re.escape(m[0])), path)


def highest(root: Path, folders: Sequence[str]) -> str:
    """The highest version that files in the top folder and these state, as X.Y.Z; "" where none does.

    What cannot be read, or is no version, states none. The other members of a workspace are not
    asked: a library's high number is no version of what is released.
    """
    found = []
    for path in (root / folder / name for folder in (".", *folders) for name in _PLACES):
        with suppress(OSError, InputError):
            for one in _stated(path.name, _text(path)) if path.name not in _LOCKS else ():
                with suppress(packaging.version.InvalidVersion):
                    found.append((*packaging.version.Version(one).release, 0, 0)[:3])
    return ".".join(map(str, max(found, default=())))


def _places(path: str, text: str, files: Collection[str]) -> list[Keys]:
    """Where a file states the version, for all these files; a lock file where they lie below it."""
    data, name = said(path, text), PurePosixPath(path).name
    beside, top = _LOCKS.get(name), posixpath.dirname(path) or "."
    folders = [
        posixpath.relpath(posixpath.dirname(one) or ".", top)
        for one in files
        if posixpath.basename(one) == beside
    ]
    places = _PLACES[name](data, folders)
    return [p for p in places if name in _MUST or isinstance(value_at(data, p), str)]


def _with(path: str, text: str, files: Collection[str], version: Version) -> str:
    """The text of a version file that states this version."""
    if not (places := _places(path, text, files)):
        raise InputError(f"{path}: there is no version to set", "write it first")
    return replaced(path, text, places, str(version))


def write(root: Path, files: Sequence[str], version: Version) -> None:
    """State the version in these files, which are all that `find` found."""
    for name in files:
        text = (root / name).read_bytes().decode("utf-8")
        (root / name).write_bytes(_with(name, text, files, version).encode("utf-8"))


def require_settable(root: Path, files: Sequence[str], version: Version) -> None:
    """Raises InputError where a version cannot be stated in these files; nothing is written."""
    for name in files:
        _with(name, (root / name).read_bytes().decode("utf-8"), files, version)


def states(name: str, text: str, version: Version, files: Collection[str]) -> bool:
    """Whether a version file of this text states this version, and no other; `files` are all of them."""
    try:
        places = _places(name, text, files)
        data = said(name, text)
    except InputError:
        return False
    wanted = _plain(str(version))
    return bool(places) and all(_plain(str(value_at(data, p))) == wanted for p in places)
