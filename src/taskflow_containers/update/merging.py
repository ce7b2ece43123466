"""Three texts of one file made one: by lines as git does, and where that clashes by keys or requirements."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import tomlkit
from packaging.utils import canonicalize_name
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Array

from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.machine.process import run
from taskflow_containers.project.markers import OURS
from taskflow_containers.project.pin import PIN

_REQUIREMENT = re.compile(r"[A-Za-z0-9][\w.-]*")
_PINNED = re.compile(r"^.*\bgit\+\S+@([0-9a-f]{40,64})\b.*$", re.MULTILINE)
_MARKER = re.compile(r"^<{7} .*?^>{7} [^\n]*", re.MULTILINE | re.DOTALL)


class Merged(NamedTuple):
    """The text, and where both sides changed the same: "lines 3-9" has markers, a key is still yours."""

    text: str
    clashes: list[str]
    marked: bool = False


def merge(name: str, yours: str, old: str, new: str) -> Merged:
    """Bring what changed from `old` to `new` into `yours`; JSON and requirements never get markers."""
    if PurePosixPath(name).name == PIN and _PINNED.sub(r"\1", yours) == _PINNED.sub(r"\1", old):
        return Merged(
            new, []
        )  # the template has moved: the same commit was named by another address
    text, marked = by_lines(yours, old, new)
    structure = _structure(name)
    if structure and (marked or not _reads(structure, text)):
        try:
            return structure(yours, old, new)
        except (ValueError, TypeError, AttributeError, TOMLKitError):
            pass  # one of the three is no such document
    return Merged(text, places(text) if marked else [], marked)


def places(text: str) -> list[str]:
    """The lines that conflict markers enclose."""
    found = []
    for match in _MARKER.finditer(text):
        first = text.count("\n", 0, match.start()) + 1
        found.append(f"lines {first}-{first + match[0].count(chr(10))}")
    return found


def by_lines(
    yours: str, old: str, new: str, labels: tuple[str, str, str] = OURS
) -> tuple[str, bool]:
    """As git merges them, and whether there are markers."""
    with TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("yours", "old", "new")]
        for file, text in zip(files, (yours, old, new), strict=True):
            file.write_text(text, "utf-8", newline="")
        named = [word for label in labels for word in ("-L", label)]
        done = run(["git", "merge-file", "-p", *named, *files], timeout=60)
    if not 0 <= done.returncode < 128:  # else it is the number of conflicts
        raise EnvironmentTrouble(f"git merge-file: {done.stderr.strip()}", "run it again")
    return done.stdout, done.returncode > 0


def _structure(name: str) -> Callable[[str, str, str], Merged] | None:
    path = PurePosixPath(name)
    if path.suffix == ".json":
        return _json
    if path.suffix == ".toml":
        return _toml
    if path.name.startswith("requirements") and path.suffix in {".in", ".txt"}:
        return _requirements
    return None


def _reads(structure: Callable[[str, str, str], Merged], text: str) -> bool:
    """Whether what git merged without a conflict is still such a document: commas go missing."""
    try:
        structure(text, text, text)
    except (ValueError, TOMLKitError):
        return False
    return True


def _json(yours: str, old: str, new: str) -> Merged:
    made = json.loads(yours, object_pairs_hook=_object)
    clashes = bring(made, json.loads(old), json.loads(new))
    indent = re.match(r"\{\r?\n([ \t]+)", yours)
    return Merged(
        json.dumps(made, indent=indent[1] if indent else 2, ensure_ascii=False) + "\n", clashes
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are all kept: `//` may stand there twice, for two comments."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("one key stands there twice")
    return found


def _toml(yours: str, old: str, new: str) -> Merged:
    made = tomlkit.parse(yours)
    clashes = bring(made, tomlkit.parse(old), tomlkit.parse(new))
    return Merged(tomlkit.dumps(made), clashes)


def _requirements(yours: str, old: str, new: str) -> Merged:
    made = requirements(yours)
    clashes = bring(made, requirements(old), requirements(new))
    return Merged("".join(made.values()), [clash.partition(": ")[0] for clash in clashes])


def requirements(text: str) -> dict[str, str]:
    """The lines of a requirements file, hashes with theirs, by name and marker; others by themselves."""
    found: dict[str, str] = {}
    for block in re.findall(r"^[^\n]*\n(?:[ \t]+\S[^\n]*\n)*", text.rstrip() + "\n", re.MULTILINE):
        name = _REQUIREMENT.match(block)
        marker = block.partition(";")[2].partition("\\")[0].split("#")[0]
        key = f"{canonicalize_name(name[0])} {marker}".strip() if name else block.strip()
        found[key if key not in found else f"{key} ({len(found)})"] = block
    return found


def bring(
    yours: MutableMapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any], at: str = ""
) -> list[str]:
    """Change in `yours` what changed from `old` to `new`, and return where yours was changed as well.

    Such a value stays yours, and what you removed stays removed.
    """
    clashes, ordered = [], list(yours) == sorted(yours)
    for key in [*old, *(key for key in new if key not in old)]:
        was, now, own = old.get(key), new.get(key), yours.get(key)
        if now == was or own == now or (key in old and key not in yours):
            continue
        if own == was and key not in new:
            del yours[key]
        elif own == was:
            yours[key] = now
        elif isinstance(own, MutableMapping) and isinstance(now, Mapping):
            clashes += bring(own, was if isinstance(was, Mapping) else {}, now, f"{at}{key}.")
        elif isinstance(own, list) and isinstance(now, list):
            items, before = _items(own), list(own)
            found = bring(
                items, _items(was if isinstance(was, list) else []), _items(now), f"{at}{key}."
            )
            clashes += found
            if list(items.values()) != before:
                _change(own, items)
        else:
            clashes.append(f"{at}{key}: yours is {own!r}, the template's {now!r}")
    if ordered and isinstance(yours, dict) and type(yours) is dict and list(yours) != sorted(yours):
        for key, value in sorted(yours.items()):
            del yours[key]
            yours[key] = value
    return clashes


def _change(own: list[Any], items: dict[str, Any]) -> None:
    """Make a list hold these items, in place: a TOML array keeps its lines and comments so."""
    keys = [*_items(own)]
    if len(keys) < len(own):  # one stands there twice, and nothing tells them apart
        own[:] = items.values()
        return
    for at in reversed(range(len(keys))):
        if keys[at] not in items:
            del own[at], keys[at]
    commented = isinstance(own, Array) and "#" in own.as_string()
    for at, (key, value) in enumerate(items.items()):
        if key not in keys:
            # A comment goes for what is below it, which is nothing of the template's.
            place = len(own) if commented else at
            own.insert(place, value)
            keys.insert(place, key)
        elif own[keys.index(key)] != value:
            own[keys.index(key)] = value


def _items(values: list[Any]) -> dict[str, Any]:
    """A list by its requirements' names, or by its values."""
    found: dict[str, Any] = {}
    for value in values:
        name = _REQUIREMENT.match(value) if isinstance(value, str) else None
        key = canonicalize_name(name[0]) if name else repr(value)
        if key in found:  # several of one name: they are told apart by all that they say
            return {repr(value): value for value in values}
        found[key] = value
    return found
