"""What becomes of each file in an update, from three texts: the owner's, and what two versions of the template wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath

from taskflow_containers.checks.locks import asks, beside, made_from
from taskflow_containers.machine.process import run
from taskflow_containers.project.pin import answers_file
from taskflow_containers.update.merging import merge


class Fate(StrEnum):
    """What an update does with a file; the value is how it is told."""

    ADDED = "added"
    CHANGED = "changed"
    MERGED = "merged with yours"
    CONFLICT = "conflict"
    REMOVED = "removed"
    KEPT = "kept: yours now, the template has it no more"
    DELETED = "stays deleted"
    LOCK = "to be resolved again"


@dataclass(slots=True)
class File:
    """A file that an update is about.

    `text` is what it will hold, None where nothing is written; `clashes` is where both sides changed
    the same; `sides` are the old and the new text of a file with conflict markers. A `mode` of 0 is the one
    that the file has.
    """

    name: str
    fate: Fate
    text: bytes | None = None
    mode: int = 0
    clashes: list[str] = field(default_factory=list)
    sides: tuple[bytes, bytes] | None = None


def plan(root: Path, old: Path, new: Path) -> list[File]:
    """What the update from the version rendered in `old` to that in `new` does, by name."""
    ours = answers_file(root)
    names = sorted({*_names(old), *_names(new)} - {ours})
    # Those of another package manager than the template's are in the owner's folders alone.
    around = {
        path.relative_to(root).as_posix()
        for folder in {(root / name).parent for name in names}
        for path in folder.glob("*")
    }
    is_lock = [name for name in {*names, *around} if _sources(root, new, name)]
    found = {name: _file(root, old, new, name) for name in names if name not in is_lock}
    # requirements.txt comes before those that it constrains.
    for name in sorted(is_lock, key=len):
        found[name] = _lock(root, old, new, name, found)
    gone = _gone(root, old)
    for name, file in found.items():
        if file and file.fate is Fate.ADDED and not gone.isdisjoint(PurePosixPath(name).parents):
            found[name] = File(name, Fate.DELETED)
    answers = File(ours, Fate.CHANGED, (new / ours).read_bytes())
    files = [file for _, file in sorted(found.items()) if file]
    return files + [answers] * (answers.text != _text(root / ours))


def dropped(root: Path, old: Path, new: Path) -> list[File]:
    """What the version in `new` has no more, where an update by copier alone left it or took it away.

    What its owner changed and copier deleted is brought back from the last commit.
    """
    found = []
    for name in sorted({*_names(old)} - {*_names(new)}):
        if (root / name).is_file():
            found.append(_file(root, old, new, name))
            continue
        done = run(["git", "show", f"HEAD:./{name}"], cwd=root, timeout=60)
        held = done.stdout.encode().replace(b"\r\n", b"\n")
        if done.returncode == 0 and held != _text(old / name):
            found.append(File(name, Fate.KEPT, held))
    return [file for file in found if file]


def _gone(root: Path, old: Path) -> set[PurePosixPath]:
    """The folders of the template's that their owner deleted as a whole: what is new in them is not wanted either."""
    were = [PurePosixPath(name) for name in _names(old)]
    listed = run(["git", "ls-files", "-z"], cwd=root, timeout=60).stdout.split("\0")
    held = [*map(PurePosixPath, listed), *(name for name in were if (root / name).exists())]
    return {folder for name in were for folder in name.parents} - {
        folder for name in held for folder in name.parents
    }


def _names(folder: Path) -> Iterator[str]:
    for top, _, names in os.walk(folder):
        yield from (Path(top, name).relative_to(folder).as_posix() for name in names)


def _text(path: Path) -> bytes | None:
    """A file's bytes, with the line ends that git keeps; None where there is none."""
    return path.read_bytes().replace(b"\r\n", b"\n") if path.is_file() else None


def _mode(root: Path, old: Path, new: Path, name: str) -> int:
    """The permissions that a file will have: yours, and the right to run it where the template gave or took that."""
    has, had, will = (
        (folder / name).stat().st_mode & 0o777 if (folder / name).is_file() else None
        for folder in (root, old, new)
    )
    if has is None or will is None or had is None or not (had ^ will) & 0o100:
        return has or will or 0
    return has | will & 0o111 if will & 0o100 else has & ~0o111


def _in_the_way(root: Path, name: str) -> str:
    """What has the place of a file that is not there: a folder of its name, or a file where its folder goes."""
    path = root / name
    for one in (path, *path.parents):
        if one == root:
            break
        if one.is_symlink() or one.exists():
            is_its_folder = one != path and one.is_dir()
            return "" if is_its_folder else one.relative_to(root).as_posix()
    return ""


def _file(root: Path, old: Path, new: Path, name: str) -> File | None:
    yours, was, now = (_text(folder / name) for folder in (root, old, new))
    if now is None:
        if yours is None:
            return None
        return File(name, Fate.REMOVED if yours == was else Fate.KEPT)
    mode = _mode(root, old, new, name)
    if yours is None:
        if was is not None:
            return None if was == now else File(name, Fate.DELETED)
        if taken := _in_the_way(root, name):
            return File(name, Fate.CONFLICT, clashes=[f"{taken} is yours, and in its place"])
        return File(name, Fate.ADDED, now, mode)
    if now in (was, yours):
        # Of a file that stays as it is, whether it can be run may be what is new.
        same = mode == (root / name).stat().st_mode & 0o777
        return None if same else File(name, Fate.CHANGED, yours, mode)
    if yours == was:
        return File(name, Fate.CHANGED, now, mode)
    try:
        made = merge(name, yours.decode(), (was or b"").decode(), now.decode())
    except UnicodeDecodeError:
        return File(name, Fate.CONFLICT, clashes=["no text: it is left as it is"])
    fate = Fate.CONFLICT if made.clashes else Fate.MERGED
    sides = (was or b"", now) if made.marked else None
    return File(name, fate, made.text.encode(), mode, made.clashes, sides)


def _sources(root: Path, new: Path, name: str) -> list[str]:
    """The paths of what a lock file is made from, the owner's and the template's; none for any other file."""
    found = ((folder, made_from(folder / name)) for folder in (root, new))
    return [source.relative_to(folder).as_posix() for folder, source in found if source]


def _lock(
    root: Path, old: Path, new: Path, name: str, files: Mapping[str, File | None]
) -> File | None:
    """A lock file stays its owner's; the template's comes where they changed neither it nor what it is made from."""
    yours, was, now = (_text(folder / name) for folder in (root, old, new))
    if yours is None or (now is None and was is not None):
        return _file(root, old, new, name)

    def text(path: str) -> bytes | None:
        """What a file will hold."""
        made = files.get(path)
        return made.text if made and made.text is not None else _text(root / path)

    def asked(text: bytes | None) -> str:
        said = (text or b"").decode(errors="replace")
        with suppress(ValueError):  # a pyproject.toml with markers
            return asks(folder / name, source, said)
        return said

    sources = _sources(root, new, name)
    gone = [one for one in sources if (made := files.get(one)) and made.fate is Fate.REMOVED]
    source = next((one for one in sources if one not in gone), sources[-1])
    folder = new if now is not None else root
    others = [path.relative_to(folder).as_posix() for path in beside(folder / name)]
    agrees = all(text(other) == _text(new / other) for other in others)
    anew = any((made := files.get(other)) and made.fate is Fate.LOCK for other in others)
    had, will, brought = (
        asked(_text(root / source)),
        asked(text(source)),
        asked(_text(new / source)),
    )
    if yours == was and will == brought and agrees and not anew:
        return File(name, Fate.CHANGED, now) if now != was else None
    if now == was and will == had and not anew:
        return None
    # What nobody changed begins with the template's; so does what it makes from another manifest now.
    begins = gone or (yours == was and (new / source).is_file())
    merged = _file(root, old, new, name) if begins else None
    return File(name, Fate.LOCK, merged.text if merged else None)
