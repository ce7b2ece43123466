"""A repository's files, walked once: nothing is written, run or followed out of the folder."""

from __future__ import annotations

import ast
import json
import os
import re
import sys
import tomllib
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from taskflow_containers.adopt.findings import Note

FILES = 200_000  # more than this is no repository of one application: the rest is not looked at
VALUES = 1_000_000  # of one YAML file
LARGEST = 1_000_000  # bytes; no source file that a person writes is larger
# What tools make or fetch: never the application's own sources.
_SKIPPED = frozenset(
    [
        ".git",
        ".hg",
        ".svn",
        ".venv",
        "venv",
        ".tox",
        ".nox",
        ".next",
        ".nuxt",
        ".turbo",
        ".svelte-kit",
        ".cache",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        "__pycache__",
        "node_modules",
        "bower_components",
        "site-packages",
        ".pnpm-store",
        ".yarn",
        "coverage",
        ".terraform",
        ".eggs",
        ".direnv",
        ".devcontainer",
        ".idea",
        ".vscode",
        ".gradle",
    ]
)
# These are made as well, but a package of Python may have such a name.
_OUTPUT = frozenset(["build", "dist", "out", "target", "env", "vendor"])


def join(folder: str, name: str) -> str:
    """A path below a folder of the repository, where "." is the repository itself."""
    return name if folder in {".", ""} else f"{folder}/{name}"


def parent(path: str) -> str:
    """The folder of a path: "." for the repository itself."""
    return str(PurePosixPath(path).parent)


def normal(path: str) -> str:
    """A path without `.` and `..`; "" for the repository itself."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in {".", "..", ""}:
            parts.append(part)
    return "/".join(parts)


class Repository:
    """The files below a folder, read on demand; what cannot be read becomes a note."""

    def __init__(self, root: Path) -> None:
        """Walk the folder."""
        self.root = root
        self.notes: list[Note] = []
        self.files: dict[str, int] = {}
        """Size in bytes by path, `/` between parts, in order."""
        self._texts: dict[str, str] = {}
        self._data: dict[str, Any] = {}
        self._trees: dict[str, ast.Module | None] = {}
        self._walk()

    def say(self, level: Any, text: str, where: str = "") -> None:
        """Add a note, once."""
        if (note := Note(level, text, where)) not in self.notes:
            self.notes.append(note)

    def _walk(self) -> None:
        found: dict[str, int] = {}
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(self.root / folder) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                self.say("said", f"this folder cannot be read: {error.strerror}", folder or ".")
                continue
            names = {entry.name for entry in listed}
            if "{{" in folder or "{%" in folder:
                self.say("said", "a template, from which projects are made: not looked at", folder)
                continue
            if folder and ".git" in names:
                self.say("said", "a git repository of its own (a submodule): not looked at", folder)
                continue
            if "pyvenv.cfg" in names or (
                folder.rsplit("/", 1)[-1] in _OUTPUT
                and not names & {"__init__.py", "pyproject.toml", "package.json", "Dockerfile"}
            ):
                continue
            for entry in listed:
                path = f"{folder}/{entry.name}" if folder else entry.name
                try:
                    path.encode()
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name not in _SKIPPED:
                            waiting.append(path)
                    elif entry.is_file() and self._inside(entry):
                        found[path] = entry.stat().st_size
                except (OSError, UnicodeEncodeError):
                    continue
            if len(found) > FILES:
                self.say("said", f"more than {FILES} files: the rest is not looked at")
                break
        self.files = dict(sorted(found.items()))

    def _inside(self, entry: os.DirEntry[str]) -> bool:
        return not entry.is_symlink() or Path(entry.path).resolve().is_relative_to(self._resolved)

    @cached_property
    def _resolved(self) -> Path:
        return self.root.resolve()

    @cached_property
    def folders(self) -> dict[str, set[str]]:
        """The names of the files of each folder."""
        found: dict[str, set[str]] = {}
        for path in self.files:
            folder, _, name = path.rpartition("/")
            found.setdefault(folder or ".", set()).add(name)
        return found

    def has(self, path: str) -> bool:
        """Whether the path is a file here."""
        return path in self.files

    def has_folder(self, path: str) -> bool:
        """Whether there is a file somewhere below the path."""
        return path in self._above

    @cached_property
    def _above(self) -> set[str]:
        found: set[str] = set()
        for folder in self.folders:
            while folder not in found:
                found.add(folder)
                folder = parent(folder)
        return found

    def first(self, folder: str, *names: str) -> str:
        """The path of the first of these names that is in the folder, or ""."""
        return next((join(folder, n) for n in names if join(folder, n) in self.files), "")

    def below(self, folder: str, *suffixes: str) -> Iterator[str]:
        """The files at or below a folder that end in one of the suffixes, or have one of the names."""
        start = "" if folder == "." else folder + "/"
        ends = tuple(one if one[0] in "./" else f"/{one}" for one in suffixes)
        return (p for p in self.files if p.startswith(start) and f"/{p}".endswith(ends))

    def text(self, path: str) -> str:
        """The text of a file; "" where it is absent, too large or no UTF-8, which a note says."""
        if path not in self._texts:
            self._texts[path] = self._read(path)
        return self._texts[path]

    def _read(self, path: str) -> str:
        size = self.files.get(path)
        if not size:
            return ""
        if size > LARGEST and not path.endswith((".lock", "lock.json", "lock.yaml")):
            self.say("said", f"{size / 1e6:.0f} MB: too large to be read", path)
            return ""
        try:
            data = (self.root / path).read_bytes()
        except OSError as error:
            self.say("said", f"cannot be read: {error.strerror}", path)
            return ""
        encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
        try:
            return data.decode(encoding).replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            self.say("fault", "not UTF-8: save it as UTF-8", f"{path}:{line}")
            return ""

    def broken(self, path: str, line: int | None, error: object) -> None:
        """Say that a file cannot be parsed."""
        message = str(error).splitlines()[0] if str(error) else "broken"
        self.say("fault", f"cannot be parsed: {message}", f"{path}:{line or 1}")

    def data(self, path: str) -> dict[str, Any]:
        """What a TOML, JSON or YAML file holds; {} where it is absent or broken, which a note says."""
        if path not in self._data:
            try:
                found = self._parse(path)
            except tomllib.TOMLDecodeError as error:
                at = re.search(r"line (\d+)", str(error))
                self.broken(path, int(at[1]) if at else self.text(path).count("\n") + 1, error)
                found = {}
            except json.JSONDecodeError as error:
                self.broken(path, error.lineno, error)
                found = {}
            except yaml.YAMLError as error:
                mark = getattr(error, "problem_mark", None)
                self.broken(path, mark.line + 1 if mark else 1, getattr(error, "problem", error))
                found = {}
            except (RecursionError, ValueError, MemoryError):
                self.broken(path, 1, "nested too deeply, or a value that cannot be read")
                found = {}
            self._data[path] = found if isinstance(found, dict) else {}
        found = self._data[path]
        return found if isinstance(found, dict) else {}

    def _parse(self, path: str) -> Any:
        text = self.text(path)
        if not text.strip():
            return {}
        if path.endswith((".toml", "Pipfile", ".lock")):
            return tomllib.loads(text)
        if path.endswith((".yml", ".yaml")):
            found = yaml.load(text, Loader=_Loader)
            _weigh(found, {})
            return found
        return json.loads(text)

    def documents(self, path: str) -> list[dict[str, Any]]:
        """The documents of a YAML file that are mappings; [] where it is broken."""
        try:
            found = [*yaml.load_all(self.text(path), Loader=_Loader)]
            _weigh(found, {})
        except (yaml.YAMLError, RecursionError, ValueError):
            return []
        return [one for one in found if isinstance(one, dict)]

    def tree(self, path: str) -> ast.Module | None:
        """The syntax tree of a Python file; None where it is broken, which a note says."""
        if path not in self._trees:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    self._trees[path] = ast.parse(self.text(path))
            except SyntaxError as error:
                version = "Python {}.{}".format(*sys.version_info)
                self.broken(path, error.lineno, f"{version}, which runs this, says: {error.msg}")
                self._trees[path] = None
            except (ValueError, RecursionError, MemoryError):
                self.broken(path, 1, "no Python source, or nested too deeply")
                self._trees[path] = None
        return self._trees[path]

    def at(self, path: str, *words: str) -> str:
        """`file:line` of the line that has the last word, looked for behind the words before it."""
        text, start = self.text(path), 0
        for word in words:
            if (found := text.find(word, start)) < 0:
                break
            start = found
        return f"{path}:{text.count(chr(10), 0, start) + 1}"


def _weigh(value: Any, known: dict[int, int]) -> int:
    """The values below a value, those of a YAML alias counted each time: ValueError where they are too many."""
    if not isinstance(value, (dict, list)):
        return 1
    if id(value) not in known:
        known[id(value)] = VALUES  # one that holds itself has no end
        below = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_weigh(one, known) for one in below)
    if known[id(value)] >= VALUES:
        raise ValueError("its aliases multiply")
    return known[id(value)]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML without the tags of one program: a value behind an unknown tag is left out."""


_Loader.add_multi_constructor("!", lambda *_: None)
