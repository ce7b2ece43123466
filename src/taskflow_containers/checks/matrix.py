"""The values the chart is verified with: examples, the matrix's choices, alone and in pairs."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

from allpairspy import AllPairs

from taskflow_containers.cluster import helm
from taskflow_containers.cluster.helm import read
from taskflow_containers.contract.manifests import Object, dig
from taskflow_containers.machine.errors import InputError

MATRIX = "matrix.yaml"
# In a choice these are no values, but how the chart is rendered: in a parent chart beside itself, which
# is there under that name; with these options of `helm template`.
BESIDE, OPTIONS = "$beside", "$options"
Render = Callable[["Case"], None]


@dataclass(slots=True)
class Case:
    """A set of values over the chart's own, made of named choices, and what it renders."""

    choices: Mapping[str, Mapping[str, Any]]
    objects: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""

    @property
    def name(self) -> str:
        """Its choices; those that leave the defaults as they are do not count."""
        return ", ".join(name for name, values in self.choices.items() if values) or "the defaults"

    @property
    def simple(self) -> bool:
        """Whether it is one choice at most."""
        return len([values for values in self.choices.values() if values]) < 2

    @property
    def values(self) -> dict[str, Any]:
        """Its choices laid over each other."""
        return reduce(merge, self.choices.values(), {})

    @property
    def own(self) -> list[dict[str, Any]]:
        """The objects of the chart with these values, without those of itself beside it."""
        beside, name = self.values.get(BESIDE), "app.kubernetes.io/name"
        labels = (dig(item, "metadata.labels", {}) for item in self.objects)
        return [
            item
            for item, found in zip(self.objects, labels, strict=True)
            if not beside or found.get(name) != beside
        ]

    def render(self, program: Path, folder: Path, release: str, version: str) -> None:
        """Fill `objects`, or `error` with helm's reason."""
        place = {"release": release, "namespace": release, "kube_version": version}
        values = self.values
        beside, options = values.pop(BESIDE, ""), values.pop(OPTIONS, ())
        try:
            with _in_parent(folder, beside, values) as (chart, those):
                self.objects = helm.render(program, chart, values=[those], options=options, **place)
        except InputError as error:
            self.error = error.message
        names = Counter(f"{item.get('kind')}/{dig(item, 'metadata.name')}" for item in self.objects)
        for name in [name for name, count in names.items() if count > 1]:
            self.error = f"{name} comes more than once"

    def simplest(self, render: Render, shows: Callable[[Case], bool]) -> Case:
        """The case without each choice that a fault does not need to show."""
        found = self
        for name in self.choices:
            fewer = Case({key: found.choices[key] for key in found.choices if key != name})
            render(fewer)
            if shows(fewer):
                found = fewer
        return found


@contextmanager
def _in_parent(folder: Path, beside: str, values: Object) -> Iterator[tuple[Path, Object]]:
    """A chart and its values; of a parent that has it twice, where `beside` is a name for the second."""
    if not beside:
        yield folder, values
        return
    about = read(folder / "Chart.yaml")
    name, one = about["name"], {"name": about["name"], "version": about["version"]}
    parts = [one, {**one, "alias": beside}]
    parent = {"apiVersion": "v2", "name": "parent", "version": "0.1.0", "dependencies": parts}
    with tempfile.TemporaryDirectory() as draft:
        shutil.copytree(folder, Path(draft, "charts", name))
        Path(draft, "Chart.yaml").write_text(json.dumps(parent), encoding="utf-8")
        shared = {"global": values.get("global", {})}
        yield Path(draft), {name: {k: v for k, v in values.items() if k != "global"}, **shared}


def cases(folder: Path) -> list[Case]:
    """The defaults, each file of values, each choice of the matrix, and a cover of all pairs."""
    matrix = read(folder / MATRIX)
    for option, choices in matrix.items():
        fragments = list(choices.values()) if isinstance(choices, dict) else []
        if not fragments or not all(isinstance(values, dict) for values in fragments):
            raise InputError(
                f"{folder.name}/{MATRIX}: {option} is not a mapping of choices to values",
                "write: option: {choice: {values}}",
            )
    options = [
        [(f"{option}={_word(choice)}", values) for choice, values in choices.items()]
        for option, choices in matrix.items()
    ]
    found = [Case({})]
    files = [*folder.glob("values-*.yaml"), *folder.glob("ci/*-values.yaml")]
    found += [Case({path.name: read(path)}) for path in sorted(files)]
    found += [Case(dict([choice])) for option in options for choice in option]
    if len(options) > 1:
        found += [Case(dict(row)) for row in AllPairs(options)]
    # A choice that leaves the defaults as they are makes a set of values that is already there.
    different: dict[str, Case] = {}
    for case in found:
        different.setdefault(digest(case.values), case)
    return list(different.values())


def _word(choice: object) -> str:
    """A choice as it is written: YAML reads on and off as truth values."""
    return ("off", "on")[choice] if isinstance(choice, bool) else str(choice)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Values over values, as helm lays them."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        deeper = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(old or {}, value) if deeper else value
    return merged


def digest(value: object) -> str:
    """The same for values and objects that say the same."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
