"""Null leaves a key out, wherever it is; a key that an older release's values lack is no more than that."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from itertools import zip_longest
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from taskflow_containers.checks.matrix import cases, digest, merge
from taskflow_containers.checks.schemas import newest
from taskflow_containers.cluster import helm
from taskflow_containers.machine.errors import InputError
from taskflow_containers.machine.process import run
from tests.chart.conftest import Values
from tests.chart.test_switches import REPORTS
from tests.conftest import ROOT, git

OWN = r"containers\.(backend|frontend)\."
# What nothing can take the place of: with null the chart does not render, and a sentence says why.
NEEDED = (
    rf"containers(\.backend)?|networkPolicy\.databasePort"
    rf"|{OWN}(image(\.repository)?|port|health(\.\w+)?|drain(\.\w+)?)"
)
# The same where all that can be switched on is on.
NEEDED_ON = (
    rf"{NEEDED}|containers\.frontend(\.public)?|defaults(\.metricsPath)?"
    r"|defaults\.autoscaling\.maxReplicas|httpRoute\.parentRefs|externalSecret\.secretStoreRef(\.name)?"
)
ON = (
    "names=full", "replicas=autoscaled", "secret=external", "storage=own", "service=sticky",
    "network=narrow", "httpRoute=more", "ingress=several", "metrics=pods", "hatches=open",
)  # fmt: skip


@pytest.fixture(scope="session")
def everything(chart: Path) -> Values:
    """Values that switch on whatever can be."""
    found = [
        c.values for c in cases(chart) if c.simple and (c.name in ON or c.name.endswith("=on"))
    ]
    return reduce(merge, found, {})


def paths(values: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where the mappings and the leaves of values are."""
    for key, value in values.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from paths(value, (*above, key))


def null(path: Sequence[str]) -> Any:
    """The values that say null at a path."""
    return {path[0]: null(path[1:])} if path else None


def suspicious(item: object, place: str = "") -> Iterator[str]:
    """Where an object has null, nothing, or what a template makes of null."""
    if isinstance(item, dict | list):
        pairs = item.items() if isinstance(item, dict) else (("*", value) for value in item)
        for key, value in pairs:
            yield from suspicious(value, f"{place}.{key}")
    elif item is None or item == 0 or item == "" or re.search(r"<nil>|%!", str(item)):
        yield f"{place} {item!r}"


def together(found: Iterable[str], alone: re.Pattern[str]) -> Iterator[list[str]]:
    """Keys for one rendering each; in it, none hides what another one does."""
    groups: dict[str, list[str]] = {}
    for key in found:
        names = key.split(".")
        if alone.fullmatch(key) or len(names) == 1 or names[-1] == "enabled":
            yield [key]
        else:
            group = ".".join(names[: 3 if names[0] == "containers" else 2])
            groups.setdefault(group, []).append(key)
    for row in zip_longest(*groups.values()):
        yield [key for key in row if key]


class Verdict:
    """Judges what values render: each distinct object once."""

    def __init__(self, program: Path, chart: Path, base: Values) -> None:
        self.program, self.chart, self.base = program, chart, base
        self.schema = newest()[-1]
        self.known: dict[str, list[str]] = {}
        objects = helm.render(program, chart, values=[base], kube_version="1.37.0")
        self.plain = {place for item in objects for place in suspicious(item)}

    def __call__(self, values: Values, *options: str | Path) -> str:
        """What is wrong; the sentence with which the chart refuses them."""
        try:
            objects = self.render(values, *options)
        except InputError as refusal:
            return refusal.message
        wrong = []
        for item in objects:
            key = digest(item)
            if key not in self.known:
                self.known[key] = self.schema.errors(item)
            wrong += self.known[key] + sorted({*suspicious(item)} - self.plain)
        return "; ".join(wrong) or ("" if objects else "nothing is left")

    def render(self, values: Values, *options: str | Path) -> list[dict[str, Any]]:
        if not options:
            given = [self.base, values]
            return helm.render(self.program, self.chart, values=given, kube_version="1.37.0")
        words = ("template", "taskflow", self.chart, "--kube-version", "1.37.0", *options)
        done = run([self.program, *words], env={"GOGC": "off"}, timeout=60)
        if done.returncode:
            raise InputError(helm.readable(done.stderr), "")
        return [item for item in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if item]


@pytest.mark.parametrize(
    ("version", "by_file"), [("program", True), ("oldest", False)], ids=["file", "set"]
)
def test_null_anywhere(
    version: str, by_file: bool, chart: Path, everything: Values, request: pytest.FixtureRequest
) -> None:
    """By a file over values that switch everything on, and by --set over the chart's own."""
    judge = Verdict(request.getfixturevalue(version), chart, everything if by_file else {})
    needed = re.compile(NEEDED_ON if by_file else NEEDED)
    found = [".".join(path) for path in paths(yaml.safe_load((chart / "values.yaml").read_text()))]
    assert len(found) > 150

    def verdict(keys: Sequence[str]) -> dict[str, str]:
        if by_file:
            said = judge(reduce(merge, (null(key.split(".")) for key in keys)))
        else:
            said = judge({}, "--set", ",".join(f"{key}=null" for key in keys))
        if said and len(keys) > 1:
            return {key: why for key in keys for why in verdict([key]).values()}
        return {keys[0]: said} if said else {}

    with ThreadPoolExecutor(2) as pool:
        said = {
            k: v for each in pool.map(verdict, together(found, needed)) for k, v in each.items()
        }
    missed = {key for key in found if needed.fullmatch(key)}
    assert {key: why for key, why in said.items() if key not in missed} == {}
    for key in missed:
        # The sentence is ours, and names the key, or the one that is missed without it.
        names = rf"\b{key.split('.')[-1]}\b|containers\.<name>"
        assert re.match(rf"execution error at \(\S+\): .*({names})", said[key]), (key, said[key])


def without(values: Mapping[str, Any], path: Sequence[str]) -> Values:
    """Values without what is at a path."""
    rest = {key: value for key, value in values.items() if key != path[0]}
    return rest | {path[0]: without(values[path[0]], path[1:])} if path[1:] else rest


def test_null_in_an_entry_takes_away_what_the_defaults_have(
    program: Path, chart: Path, everything: Values
) -> None:
    """Null there renders what it does where nobody says anything, for each setting."""
    defaults = yaml.safe_load((chart / "values.yaml").read_text("utf-8"))["defaults"]
    defaults = merge(defaults, everything["defaults"])
    needed = [("image",), ("autoscaling", "maxReplicas"), ("metricsPath",)]
    settings = [path for path in paths(defaults) if path not in needed]
    entry = {**REPORTS, "connects": {"API_URL": "https://api.example.com"}, "public": True}
    beside = {**entry, "publicPath": "/n"}
    alone = {**everything, "containers": {"backend": None, "frontend": None, "n": beside}}

    judge = Verdict(program, chart, alone)

    def values(shared: Values, entries: Iterable[Values]) -> Values:
        return {"defaults": shared, "containers": {f"n{i}": one for i, one in enumerate(entries)}}

    def made(given: Values) -> dict[str, object]:
        objects = {f"{o['kind']}/{o['metadata']['name']}": o for o in judge.render(given)}
        return {name: item for name, item in objects.items() if re.search(r"-n\d", name)}

    # No two at one path, which the chart refuses.
    pairs = [(path, {**entry, "publicPath": f"/{i}"}) for i, path in enumerate(settings)]
    with_null = values({}, (merge(one, null(path)) for path, one in pairs))
    lacking = (without(merge(defaults, one), path) for path, one in pairs)
    said, other = made(with_null), made(values(dict.fromkeys(defaults), lacking))
    assert {name for name in {*said, *other} if said.get(name) != other.get(name)} == set()
    assert judge(with_null) == ""


def earlier() -> Iterator[tuple[str, Values]]:
    """The chart's values of each commit that changed them, as the default answers render them."""
    path = "template/chart/values.yaml.jinja"
    answers = {"slug": "taskflow", "registry": "", "with_backend": True, "with_frontend": True, "with_database": True}  # fmt: skip
    for commit in git(ROOT, "log", "--format=%h", "--", path).split():
        text = git(ROOT, "show", f"{commit}:{path}")
        yield commit, yaml.safe_load(jinja2.Template(text).render(answers))


def test_values_of_before(program: Path, chart: Path, tmp_path: Path) -> None:
    """In place of today's, as `--reuse-values` has it, and over them."""
    if git(ROOT, "rev-parse", "--is-shallow-repository").strip() == "true":
        pytest.skip("a shallow clone has no values of before")
    old = shutil.copytree(chart, tmp_path / "chart")
    found = dict(earlier())
    assert found
    for commit, values in found.items():
        (old / "values.yaml").write_text(yaml.safe_dump(values), "utf-8")
        for folder, given in ((old, {"defaults": {"replicas": 3}}), (chart, values)):
            assert Verdict(program, folder, {})(given) == "", commit
