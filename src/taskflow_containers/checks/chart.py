"""The chart verified: linted, rendered over its matrix, validated, scanned, held to the contract."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from taskflow_containers.checks.matrix import MATRIX, Case, Render, cases, digest
from taskflow_containers.checks.order import too_early
from taskflow_containers.checks.readme import check_readme
from taskflow_containers.checks.schemas import Schema, newest
from taskflow_containers.checks.trivy import trivy
from taskflow_containers.cluster import helm
from taskflow_containers.cluster.helm import read
from taskflow_containers.contract.chart import check_manifests, check_metadata
from taskflow_containers.contract.manifests import Object
from taskflow_containers.machine import interruption
from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.machine.process import Say, last_line
from taskflow_containers.project.model import Project
from taskflow_containers.report.result import Result, finds_nothing, skip

# Findings of these are never accepted; lesser ones are where a waiver says why.
_NEVER = ("HIGH", "CRITICAL")


@dataclass(frozen=True, slots=True)
class Distinct:
    """An object that one or more cases render alike, and the first of them.

    It stands for `count` objects that differ in nothing but which container they name. Neither a
    schema nor a rule of trivy's asks for a container's name, so what is said of it holds for each.
    """

    object: Object
    case: Case
    count: int = 1

    def __str__(self) -> str:
        """Kind and name, as kubectl writes them, and the case in brackets."""
        name = (self.object.get("metadata") or {}).get("name")
        return f"{self.object.get('kind')}/{name} [{self.case.name}]"


def check_chart(root: Path, project: Project, say: Say) -> list[Result]:
    """Every check of the chart; a skipped result where there is none.

    Raises:
        InputError: Chart.yaml, the matrix or an example cannot be read.
        EnvironmentTrouble: no helm, or trivy failed.
    """
    folder = root / project.files.chart
    if not folder.is_dir():
        return [skip("chart.present", "Helm chart", f"there is no {project.files.chart}/ here")]
    metadata, program = read(folder / "Chart.yaml"), helm.find(root)
    with helm.complete(program, folder) as whole:
        return _check(whole, metadata, program, project, say)


def _check(
    folder: Path, metadata: dict[str, Any], program: Path, project: Project, say: Say
) -> list[Result]:
    found = cases(folder)
    schemas = newest()
    version = f"{schemas[-1].version}.0"

    def render(case: Case) -> None:
        case.render(program, folder, project.name, version)

    started = time.monotonic()
    say(f"rendering {len(found)} sets of values with {program}")
    with interruption.pool(os.cpu_count() or 2) as pool:
        render(found[0])
        if found[0].error:
            # Whatever else there is to say would be said of the same mistake.
            return [*check_metadata(project, metadata), _rendered(found[:1], render, 0, started)]
        linted = pool.submit(_lint, program, folder, version)
        list(pool.map(render, found[1:]))
        distinct = _distinct(found)
        say(f"checking {len(distinct)} distinct objects")
        # trivy's rules look at one field each, and single choices show all that a field can be.
        simple = alike(project.containers, (item for item in distinct if item.case.simple))
        scanned = pool.submit(_scan, simple)
        return [
            linted.result(),
            _rendered(found, render, len(distinct), started),
            check_readme(folder),
            *check_metadata(project, metadata),
            _validate(schemas, alike(project.containers, distinct)),
            _ordered(found),
            *_contract(project, found, render),
            *scanned.result(),
        ]


def _distinct(found: Iterable[Case]) -> list[Distinct]:
    distinct: dict[str, Distinct] = {}
    for case in found:
        for item in case.objects:
            distinct.setdefault(digest(item), Distinct(item, case))
    return list(distinct.values())


def alike(containers: Iterable[str], distinct: Iterable[Distinct]) -> list[Distinct]:
    """The objects, those together that differ in the containers' names alone."""
    names = "|".join(sorted(map(re.escape, containers), key=len, reverse=True))
    # A name in a value, alone or as a part of another one; keys are the API's.
    named = re.compile(rf'(?<![a-z0-9])(?:{names})(?![a-z0-9])(?=[^"]*"(?!:))')
    groups: dict[str, Distinct] = {}
    for item in distinct:
        text = named.sub("*", json.dumps(item.object, default=str))
        known = groups.get(text)
        groups[text] = replace(known, count=known.count + 1) if known else item
    return list(groups.values())


def _nothing(
    id: str, title: str, found: Mapping[str, list[str]], fix: str, *, expected: str = "nothing",
    passed: str = "nothing", started: float = 0.0,
) -> Result:  # fmt: skip
    """A check that passes when nothing was found: a line for each rule, with where it was broken."""
    return finds_nothing(
        id,
        title,
        [f"{rule} {_first(places)}".strip() for rule, places in found.items()],
        fix,
        expected=expected,
        passed=passed,
        seconds=time.monotonic() - started if started else 0.0,
    )


def _first(places: list[str]) -> str:
    """The first place, and how many more there are."""
    return " ".join(places[:1]) + (f" (and {len(places) - 1} more)" if places[1:] else "")


def _lint(program: Path, folder: Path, version: str) -> Result:
    started = time.monotonic()
    lines = helm.lint(program, folder, kube_version=version)
    found: dict[str, list[str]] = {line: [] for line in lines}
    title, fix = "helm lint --strict", "mend what each line names"
    return _nothing("chart.lint", title, found, fix, started=started)


def _rendered(found: list[Case], render: Render, distinct: int, started: float) -> Result:
    errors: dict[str, list[str]] = {}
    for case in filter(lambda case: case.error, found):

        def same(other: Case, error: str = case.error) -> bool:
            return other.error == error

        # The first is the simplest; of a set of many choices only those that matter are named.
        cause = case if case.error in errors else case.simplest(render, same)
        errors.setdefault(case.error, []).append(f"[{cause.name}]")
    if not distinct and not errors:
        errors["no object comes out"] = ["[the defaults]"]
    return _nothing(
        "chart.render",
        "renders with every choice of the matrix",
        errors,
        f"mend the template, the chart's values.yaml, or the choice in brackets in its {MATRIX}",
        expected="every set of values renders",
        passed=f"{len(found)} sets of values, {distinct} distinct objects",
        started=started,
    )


def _validate(schemas: list[Schema], objects: list[Distinct]) -> Result:
    started = time.monotonic()
    wrong: dict[str, list[str]] = {}
    custom: Counter[str] = Counter()
    for item in objects:
        versions: dict[str, list[str]] = {}
        for schema in schemas:
            for error in schema.errors(item.object):
                versions.setdefault(error, []).append(schema.version)
        for error, those in versions.items():
            rule = f"{error} (Kubernetes {', '.join(those)})"
            wrong.setdefault(rule, []).extend([f"in {item}"] * item.count)
        if all(schema.custom(item.object) for schema in schemas):
            custom[str(item.object.get("kind"))] += item.count
    unchecked = ", ".join(f"{number} {kind}" for kind, number in sorted(custom.items()))
    return _nothing(
        "chart.schema", "objects are valid Kubernetes", wrong,
        "mend the template of the object named; `kubectl explain` knows its fields",
        expected=f"valid for Kubernetes {', '.join(schema.version for schema in schemas)}",
        passed=f"{sum(item.count for item in objects) - custom.total()} valid; "
        f"no schema for custom resources: {unchecked or 'none rendered'}",
        started=started,
    )  # fmt: skip


def _ordered(found: list[Case]) -> Result:
    early: dict[str, list[str]] = {}
    for case in found:
        for line in too_early(case.objects):
            early.setdefault(line, []).append(f"[{case.name}]")
    return _nothing(
        "chart.order", "what runs first needs nothing that comes later", early,
        "make what it needs a hook of the same phase with a lesser weight, or let the pod need it not: "
        "a hook is waited for, so what comes after it never comes",
        expected="an order that Helm and Argo CD can keep",
        passed=f"nothing in {len(found)} sets of values",
    )  # fmt: skip


def _contract(project: Project, found: list[Case], render: Render) -> Iterator[Result]:
    """A result for each check: of the simplest case that fails it, else of the first."""

    def judged(case: Case) -> dict[tuple[str, str], Result]:
        results = check_manifests(project, case.own, case.values) if case.objects else ()
        return {(result.id, result.container): result for result in results}

    verdicts = [(case, judged(case)) for case in found]
    for key in dict.fromkeys(key for _, results in verdicts for key in results):

        def fails(case: Case, key: tuple[str, str] = key) -> bool:
            result = judged(case).get(key)
            return bool(result and result.failed)

        judgements = [(case, results[key]) for case, results in verdicts if key in results]
        failed = [case for case, result in judgements if result.failed]
        if failed:
            cause = failed[0].simplest(render, fails)
            places = [f"with {case.name}" for case in (cause, *failed[1:])]
            yield replace(judged(cause)[key], detail=_first(places))
        else:
            yield judgements[0][1]


def _scan(objects: list[Distinct]) -> list[Result]:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        manifests = Path(temporary, "manifests")
        manifests.mkdir()
        for number, item in enumerate(objects):
            # JSON is YAML, and written much faster.
            text = json.dumps(item.object, default=str)
            (manifests / f"{number}.yaml").write_text(text, "utf-8")
        answer, error = trivy(
            ["filesystem", "--scanners", "misconfig", "--misconfig-scanners", "kubernetes",
             "--skip-check-update", manifests],
            Path(temporary, "answer.json"),
            # It ends soon: less time for garbage.
            env={"GOGC": "400"},
        )  # fmt: skip
    if error:
        raise EnvironmentTrouble(
            f"trivy failed: {last_line(error)}", "`trivy config` of the chart's folder shows more"
        )
    targets = answer.get("Results") or []
    if len(targets) != len(objects):
        raise EnvironmentTrouble(
            f"trivy looked at {len(targets)} of {len(objects)} manifests",
            "run the command again; a trivy of your own has to be one that this tool knows",
        )
    grave: dict[str, list[str]] = {}
    lesser: dict[str, list[str]] = {}
    # By number, so that what is told first of a rule is the simplest case of it.
    numbered = {int(Path(target["Target"]).stem): target for target in targets}
    for number, target in sorted(numbered.items()):
        item = objects[number]
        for finding in target.get("Misconfigurations") or ():
            rule = f"{finding['ID']}: {finding['Severity']} {finding['Title']}:"
            places = [f"{item}: {finding['Message']}"] * item.count
            severe = finding["Severity"] in _NEVER
            (grave if severe else lesser).setdefault(rule, []).extend(places)
    return [
        _nothing(
            "chart.misconfiguration", "no grave misconfiguration", grave,
            "each line names a rule and what to set; these cannot be waived",
            expected="nothing HIGH or CRITICAL",
            passed=f"nothing in {sum(item.count for item in objects)} objects",
            started=started,
        ),
        _nothing(
            "chart.findings", "every lesser finding has a reason", lesser,
            "set what each line says, or write why not in a [[waivers]] of taskflow.toml: "
            'check = "chart.findings", covers = "KSV-…"',
            expected="nothing without a waiver",
        ),
    ]  # fmt: skip
