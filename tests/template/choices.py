"""The questions of copier.yml, and sets of answers that cover the pairs of their choices."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]

Answers = dict[str, object]
Ask = Callable[..., dict[str, object]]
Pair = tuple[tuple[str, object], tuple[str, object]]


@cache
def questions() -> dict[str, dict[str, Any]]:
    """Every question, asked or computed, in order."""
    config = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    found = {name: value for name, value in config.items() if not name.startswith("_")}
    found["adopted"]["when"] = False  # the command `adopt` answers it
    return found


def asked(answers: Mapping[str, object]) -> set[str]:
    """The names of the questions that a person with these answers is asked."""
    containers = answers.get("containers", "both")
    silent = {"backend": {"node_version"}, "frontend": {"database"}}.get(str(containers), set())
    return {name for name, q in questions().items() if q.get("when") is not False} - silent


def offered() -> dict[str, tuple[object, ...]]:
    """Question → what it offers, the default first; for free text, what differs in kind."""
    found: dict[str, tuple[object, ...]] = {
        "project_name": ("TaskFlow", "Tâche & Co", "123 App", "A" * 60),
        "registry": ("", "ghcr.io/acme", "localhost:5000/team"),
    }
    for name, question in questions().items():
        if question.get("when") is False:
            continue
        if question["type"] == "bool":
            found[name] = (question["default"], not question["default"])
        elif "choices" in question:
            values = list(question["choices"].values())
            found[name] = tuple(sorted(values, key=question["default"].__ne__))
    return found


def alone() -> Iterator[Answers]:
    """Each question changed while the others keep their defaults."""
    yield {"slug": "my-shop", "code_owners": "@acme/platform ada@example.com"}
    yield {"description": "Says “hello” & goes; it's 100 % (really)."}
    yield {"description": "🚀 Grüße, 𠮷野家: it's C#-free [x] | y * z & more – 100 %"}
    for name, values in offered().items():
        yield from ({name: value} for value in values[1:])


def pairwise(options: Mapping[str, Sequence[object]]) -> list[Answers]:
    """Few sets of answers such that any two choices of two questions meet in one of them."""

    def pairs(row: Mapping[str, object]) -> set[Pair]:
        return set(combinations(((name, row[name]) for name in options if name in row), 2))

    names = list(options)
    missing = [
        ((a, x), (b, y)) for a, b in combinations(names, 2) for x in options[a] for y in options[b]
    ]
    rows: list[Answers] = []
    while missing:
        row: Answers = dict(missing[0])
        for name in names:
            if name not in row:
                gains = {
                    value: len(pairs({**row, name: value}) & set(missing))
                    for value in options[name]
                }
                row[name] = max(gains, key=lambda value: gains[value])
        covered = pairs(row)
        missing = [pair for pair in missing if pair not in covered]
        rows.append(row)
    return rows


def label(answers: Mapping[str, object]) -> str:
    """A test's name for a set of answers."""
    words = [f"{name}={str(value)[:12]}" for name, value in answers.items()]
    return re.sub(r"[^\w=.:,/-]", "_", ",".join(words)) or "defaults"
