"""The variables that a Dockerfile gives its image, and those that it gives its own build."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from taskflow_containers.contract.instructions import Stage


class Given(NamedTuple):
    """A variable's value in an image, with its place."""

    value: str
    where: str


_LINE = re.compile(r"[^\x00-\x1f\x7f]{1,4096}")


def given(stage: Stage, text: str, path: str) -> dict[str, Given]:
    """What the last stage of a Dockerfile sets for whoever runs its image, but not from a build's arguments."""
    lines = text.split("\n")
    found: dict[str, Given] = {}
    for item in stage.all("ENV"):
        end = item.line - 1
        while end < len(lines) - 1 and re.search(r"\\\s*$|^\s*#", lines[end]):
            end += 1
        raw = " ".join(lines[item.line - 1 : end + 1])
        for name, value in item.pairs.items():
            own = re.search(rf"\b{re.escape(name)}[=\s](?:\"[^\"]*\"|'[^']*'|\S*)", raw)
            built = re.findall(r"\$\{?(\w+)", own[0] if own else "")
            found.pop(name, None)
            if not {*built} & stage.arguments.keys() - stage.environment.keys():
                found[name] = Given(value, f"{path}:{item.line}")
    return {n: g for n, g in found.items() if _LINE.fullmatch(g.value)}


def built_with(stages: Iterable[Stage]) -> dict[str, str]:
    """What a build of these stages has in its environment where nobody gives it another value."""
    found: dict[str, str] = {}
    for stage in stages:
        found |= stage.arguments | stage.environment
    return {name: value for name, value in found.items() if _LINE.fullmatch(value)}
