"""What is left to do of an update that is not committed yet, copier's own or ours."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from taskflow_containers.checks.locks import asks, beside, made_from
from taskflow_containers.machine.process import run
from taskflow_containers.project.markers import COPIERS, OURS, marked
from taskflow_containers.project.pin import answers_file
from taskflow_containers.update.merging import by_lines, merge, places
from taskflow_containers.update.plan import Fate, File


def under_way(root: Path) -> bool:
    """Whether the project has another version or other answers than its last commit, or an update's markers."""
    name = answers_file(root)
    texts = (_git(root, "show", f"HEAD:./{name}"), (root / name).read_text("utf-8"))
    try:
        was, now = (
            {key: value for key, value in yaml.safe_load(text).items() if key != "_src_path"}
            for text in texts
        )
        return was != now
    except (yaml.YAMLError, AttributeError):
        pass  # it was not committed yet
    return bool(marked(root))


def rest(root: Path) -> list[File]:
    """Files with markers, merged by key where nobody has edited them since; lock files behind their manifests."""
    stages: dict[str, dict[str, str]] = {}
    listed = _git(root, "ls-files", "--unmerged", "-z")
    for id, stage, name in re.findall(r"\d+ (\w+) ([123])\t([^\0]+)\0", listed):
        stages.setdefault(name, {})[stage] = id
    found = {name: _file(root, name, stages.get(name, {})) for name in marked(root)}
    since = set(_git(root, "diff", "HEAD", "--relative", "--name-only", "-z").split("\0"))
    locks = {name for name in _git(root, "ls-files", "-z").split("\0") if made_from(root / name)}
    for name in sorted(locks - since, key=len):
        others = [path.relative_to(root).as_posix() for path in beside(root / name)]
        if _asks_anew(root / name) or any(other in locks & {*since, *found} for other in others):
            found[name] = File(name, Fate.LOCK)
    return [file for _, file in sorted(found.items())]


def _asks_anew(lock: Path) -> bool:
    """Whether what a lock file is made from asks for something else than when it was committed."""
    if not (source := made_from(lock)):
        return False
    committed = _git(lock.parent, "show", f"HEAD:./{source.name}")
    try:
        now, was = (asks(lock, source.name, one) for one in (source.read_text("utf-8"), committed))
    except ValueError:
        return True  # it has markers
    return now != was


def _file(root: Path, name: str, stages: dict[str, str]) -> File:
    text = (root / name).read_text("utf-8", errors="replace")
    yours, old, new = (
        _git(root, "cat-file", "blob", stages[one]) if one in stages else "" for one in "213"
    )
    made_by = (by_lines(yours, old, new, labels)[0] for labels in (COPIERS, OURS))
    if len(stages) == 3 and "\ufffd" not in text and text in made_by:
        made = merge(name, yours, old, new)
        if not made.marked:
            fate = Fate.CONFLICT if made.clashes else Fate.MERGED
            return File(name, fate, made.text.encode(), clashes=made.clashes)
    return File(
        name, Fate.CONFLICT, clashes=places(text) or ["markers"], sides=(old.encode(), new.encode())
    )


def _git(root: Path, *words: str) -> str:
    return run(["git", *words], cwd=root, timeout=60).stdout
