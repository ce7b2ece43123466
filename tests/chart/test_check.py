"""`nox -s chart`: each kind of mistake in a chart is found by its own check, and named."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from taskflow_containers.checks.chart import Distinct, alike, check_chart
from taskflow_containers.checks.matrix import Case, cases, merge
from taskflow_containers.checks.readme import update
from taskflow_containers.checks.schemas import newest
from taskflow_containers.machine.errors import InputError
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load
from taskflow_containers.report import waivers
from taskflow_containers.report.result import Report, Result, Status
from tests.conftest import Render, some_of

# A small matrix is enough to show that a mistake is found, and where.
MATRIX = """
frontend:
  on: {}
  off: {containers: {frontend: {enabled: false}, backend: {public: true}}}
autoscaling:
  off: {}
  on: {defaults: {autoscaling: {enabled: true}}}
waived:
  off: {}
  on: {defaults: {environment: {LOG_LEVEL: DEBUG}, image: {registry: mirror.example.com}}}
"""
ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: all, namespace: here}
rules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"]}]
"""
CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: more, namespace: here}
data: {number: %s}
"""


class Fault(NamedTuple):
    """A file with more, less or other text, and the one check that must find it."""

    check: str
    file: str
    pattern: str
    new: str
    detail: str


END = r"\Z"
FAULTS = {
    "a broken template": Fault("chart.render", "templates/more.yaml", END, "{{ .Values.a.b }}", r"taskflow/templates/more.yaml:1:.*nil pointer.* \[the defaults\]"),
    "a value of the wrong type": Fault("chart.render", "values.yaml", "port: 8000", "port: eight", r"containers.backend.port.*\[the defaults\]"),
    "a value that is misspelt": Fault("chart.render", "values.yaml", "replicas: 2", "replica: 2", r"replica.*\[the defaults\]"),
    "values that are no YAML": Fault("chart.render", "values.yaml", END, "a: [", r"values.yaml.*\[the defaults\]"),
    "no template at all": Fault("chart.render", "templates", "", "", "no object comes out"),
    "a template that only lint refuses": Fault("chart.lint", "Chart.yaml", r"(?m)^version:.*", "version: 0.1.0\nicon: no URL", "icon"),
    "a choice that does not render": Fault("chart.render", "matrix.yaml", END, "more: {off: {}, on: {defaults: {replicas: many}}}", r"replicas.*\[more=on\] \(and \d more\)"),
    "two choices that do not go together": Fault("chart.render", "templates/more.yaml", END, "{{ if and .Values.defaults.autoscaling.enabled (eq (toString .Values.containers.frontend.enabled) \"false\") }}{{ fail \"not both\" }}{{ end }}", r"not both \[frontend=off, autoscaling=on\]"),
    "a number where a text must be": Fault("chart.schema", "templates/more.yaml", END, CONFIG % 5, r"^data.number: 5 is not of type 'string'.* \(Kubernetes 1\.\d+, 1\.\d+, 1\.\d+\) in ConfigMap/more \[the defaults\]$"),
    "an unknown field": Fault("chart.schema", "templates/more.yaml", END, CONFIG % "five" + "number: 5\n", "^its top: .*'number' was unexpected"),
    "a version that does not exist": Fault("chart.schema", "templates/more.yaml", END, "apiVersion: autoscaling/v9\nkind: HorizontalPodAutoscaler\nmetadata: {name: more}\n", "^there is no HorizontalPodAutoscaler in autoscaling/v9"),
    "a group that does not exist": Fault("chart.schema", "templates/more.yaml", END, "apiVersion: config/v1\nkind: ConfigMap\nmetadata: {name: more}\n", "^there is no ConfigMap in config/v1"),
    "a grave misconfiguration": Fault("chart.misconfiguration", "templates/more.yaml", END, ROLE, r"^KSV-\d+: (HIGH|CRITICAL) .*Role/all \[the defaults\]"),
    "no waiver": Fault("chart.findings", "../taskflow.toml", r"(?s)\[\[waivers\]\][^[]*KSV-0011.*?\n\n", "", r"^KSV-0011: LOW .*Deployment/taskflow-backend \[the defaults\].* \(and \d+ more\)$"),
    "a waiver of what nobody found": Fault("project.waivers", "../taskflow.toml", END, '\n[[waivers]]\ncheck = "chart.findings"\ncovers = "KSV-9999"\nreason = "there is no such rule"\nexpires = 2999-01-31\n', "^$"),
    "a waiver of what is grave": Fault("project.waivers", "../taskflow.toml", END, '\n[[waivers]]\ncheck = "chart.misconfiguration"\ncovers = "KSV-0001"\nreason = "it is not that grave"\nexpires = 2999-01-31\n', "^$"),
    "a wave that waits for a later one": Fault("chart.order", "templates/configmap.yaml", r'"component" \$name', '"component" $name "annotations" (dict "argocd.argoproj.io/sync-wave" "1")', r"^in an Argo CD sync Deployment/taskflow-\w+ waits for ConfigMap/taskflow-\w+, which comes later \(Sync\) \[the defaults\]"),
    "one name for two objects": Fault("chart.render", "templates/more.yaml", END, CONFIG % "five" + "---" + CONFIG % "six", r"^ConfigMap/more comes more than once \[the defaults\]"),
    "a file of values for ct": Fault("chart.render", "ci/kind-values.yaml", END, "defaults: {replicas: many}", r"replicas.*\[kind-values.yaml\]"),
    "a value that the README lacks": Fault("chart.readme", "README.md", r"\| `defaults.replicas` .*\n", "", r"^\| `defaults.replicas` \| integer"),
    "a README that lists no values any more": Fault("chart.readme", "README.md", r"<!-- values: end -->", "", "^$"),
    "another version": Fault("contract.chart.version", "Chart.yaml", r"(?m)^version:.*", "version: 0.2.0", ""),
    "another memory limit": Fault("contract.chart.memory", "values.yaml", "memory: 300M", "memory: 300Mi", "with the defaults"),
    "a choice that breaks the contract": Fault("contract.chart.memory", "matrix.yaml", END, "more: {off: {}, on: {containers: {backend: {resources: {limits: {memory: 1G}}}}}}", r"with more=on \(and \d more\)"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def helm_on_path(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One helm for all projects, found as a user's is."""
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)


def check(root: Path) -> list[Result]:
    """The verdicts of the chart's checks, with the project's waivers."""
    project, report = load(root / FILE_NAME), Report("chart")
    report.add(check_chart(root, project, lambda _: None))
    waivers.apply(report, project, project.containers, root / FILE_NAME, whole=True)
    return report.results


def failures(results: Iterable[Result]) -> dict[str, Result]:
    return {result.id: result for result in results if result.failed}


@pytest.mark.parametrize(
    "answers",
    [
        {},
        pytest.param(
            {"containers": "backend", "database": False, "registry": "ghcr.io/acme"},
            marks=pytest.mark.thorough,
        ),
        {"containers": "frontend", "project_name": "Shop 24", "registry": "localhost:5000/a/b"},
    ],
    ids=["both", "backend", "frontend"],
)
def test_the_chart_passes_whole(answers: dict[str, object], render: Render) -> None:
    _passes(render(**answers))


@pytest.mark.parametrize(
    "registry",
    some_of(
        [
            "europe-docker.pkg.dev/acme/shop",
            "gcr.io/acme",
            "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
            "acme.azurecr.io",
        ],
        "europe-docker.pkg.dev/acme/shop",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
    ),
)
def test_it_passes_with_each_kind_of_registry(
    registry: str, render: Render, tmp_path: Path
) -> None:
    """What a registry changes does not hang on the other choices: a small matrix has them all."""
    project = render(tmp_path / "project", registry=registry)
    (project / "chart" / "matrix.yaml").write_text(MATRIX)
    _passes(project)


def _passes(project: Path) -> None:
    results = check(project)
    assert failures(results) == {}
    assert not [result for result in results if result.status is Status.SKIPPED]
    [schema] = [result for result in results if result.id == "chart.schema"]
    assert re.fullmatch(r"valid for Kubernetes (1\.\d+, ){2}1\.\d+", schema.expected)
    # What nobody validates is counted.
    assert re.search(r"no schema for custom resources: .*\d+ HTTPRoute", schema.measured)


@pytest.mark.parametrize("case", FAULTS)
def test_a_mistake_is_found_by_its_own_check(case: str, project: Path) -> None:
    fault = FAULTS[case]
    folder = project / "chart"
    (folder / "matrix.yaml").write_text(MATRIX)
    path = folder / fault.file
    if path.is_dir():
        shutil.rmtree(path)
        path.mkdir()
    else:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        text, count = re.subn(fault.pattern, lambda _: fault.new, text, count=1)
        assert count == 1, f"{fault.file} no longer holds {fault.pattern}"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if fault.file == "values.yaml" and fault.check != "chart.render":
        update(project / "chart")
    failed = failures(check(project))
    assert set(failed) == {fault.check}, [(r.id, r.measured, r.detail) for r in failed.values()]
    result = failed[fault.check]
    assert re.search(fault.detail, result.detail), result.detail
    assert result.expected and result.measured and result.fix


@pytest.mark.parametrize(
    "command",
    some_of(["[alembic, upgrade, head]", "[alembic, upgrade, next]"], "[alembic, upgrade, next]"),
)
def test_a_migration_is_the_one_that_the_model_names(command: str, project: Path) -> None:
    (project / "chart/matrix.yaml").write_text(MATRIX)
    replace(
        project / "taskflow.toml",
        "[containers.backend]\n",
        '[containers.backend]\nmigrate = ["alembic", "upgrade", "head"]\n',
    )
    migration = f"    migration: {{enabled: true, command: {command}}}\n"
    replace(project / "chart/values.yaml", "\n  backend:\n", f"\n  backend:\n{migration}")
    update(project / "chart")
    failed = failures(check(project))
    if "head" in command:
        assert failed == {}
    else:
        [fault] = failed.values()
        assert fault.id == "contract.chart.helpers"
        assert "runs alembic upgrade next, and `migrate` in taskflow.toml is" in fault.measured


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_no_chart_is_said_and_nothing_else(project: Path) -> None:
    shutil.rmtree(project / "chart")
    [result] = check(project)
    assert (result.status, result.detail) == (Status.SKIPPED, "there is no chart/ here")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("matrix.yaml", None, "chart/matrix.yaml: cannot be read: No such file"),
        ("matrix.yaml", "a:\n  b: [", r"chart/matrix.yaml:\d: cannot be read"),
        ("matrix.yaml", "[1]", "chart/matrix.yaml: cannot be read: it is not a mapping"),
        ("matrix.yaml", "a: [1]", "chart/matrix.yaml: a is not a mapping of choices to values"),
        ("matrix.yaml", "a: {}", "chart/matrix.yaml: a is not a mapping of choices to values"),
        ("matrix.yaml", "a: {on: 1}", "chart/matrix.yaml: a is not a mapping of choices to values"),
        ("Chart.yaml", None, "chart/Chart.yaml: cannot be read: No such file"),
        ("values-dev.yaml", "a: [", r"chart/values-dev.yaml:\d: cannot be read"),
    ],
)
def test_a_file_nobody_can_read_is_one_message(
    file: str, text: str | None, message: str, project: Path
) -> None:
    path = project / "chart" / file
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        check(project)
    assert "\n" not in caught.value.message


def test_the_command_ends_with_a_report_and_its_code(project: Path) -> None:
    (project / "chart" / "matrix.yaml").write_text(MATRIX)
    (project / "chart" / "templates" / "more.yaml").write_text(ROLE)
    done = subprocess.run(
        [sys.executable, "-m", "taskflow_containers", "chart"], cwd=project, capture_output=True, text=True,
        env=os.environ, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Role/all" in done.stdout
    assert "Role/all" in (project / "reports" / "summary.md").read_text()


@pytest.mark.parametrize(
    ("other", "together"),
    [
        ({"name": "shop-web2", "env": [{"value": "http://web2:80"}]}, True),
        ({"name": "shop-web2", "env": [{"value": "http://web2:81"}]}, False),
        ({"name": "shop-web3", "env": [{"value": "http://web3:80"}]}, False),  # no container
        ({"name": "shop-web", "web2": [{"value": "http://web:80"}]}, False),  # a key
    ],
)
def test_objects_that_name_another_container_and_are_else_the_same_are_judged_once(
    other: dict[str, object], together: bool
) -> None:
    first = {"name": "shop-web", "env": [{"value": "http://web:80"}]}
    groups = alike(["web", "web2"], [Distinct(item, Case({})) for item in (first, other)])
    assert [group.object for group in groups] == [first, other][: len(groups)]
    assert [group.count for group in groups] == ([2] if together else [1, 1])


def test_a_fault_of_two_containers_that_are_alike_counts_twice(project: Path) -> None:
    """One is judged for both, and the report says so as if each had been."""
    (project / "chart/matrix.yaml").write_text(MATRIX)
    (project / "chart/templates/more.yaml").write_text(
        "{{ range $name, $_ := .Values.containers }}\n---"
        + CONFIG.replace("name: more", "name: {{ $name }}") % 5
        + "{{ end }}"
    )
    [schema] = failures(check(project)).values()
    assert schema.id == "chart.schema"
    assert schema.detail.endswith("(and 1 more)")


def test_single_choices_and_all_pairs_are_rendered(tmp_path: Path) -> None:
    options = {f"o{n}": {f"c{m}": {f"v{n}": m} for m in range(1, 4)} for n in range(4)}
    options["o0"]["c1"] = {}
    (tmp_path / "matrix.yaml").write_text(yaml.safe_dump(options))
    (tmp_path / "values-big.yaml").write_text("size: big")
    found = cases(tmp_path)
    names = [case.name for case in found]
    assert names[:2] == ["the defaults", "values-big.yaml"]
    singles = [f"{o}={c}" for o, choices in options.items() for c in choices if choices[c]]
    assert names[2 : 2 + len(singles)] == singles
    assert len(set(names)) == len(names)
    covered = {pair for case in found for pair in combinations(sorted(case.values.items()), 2)}
    wanted = {
        ((f"v{a}", m), (f"v{b}", n))
        for a, b in combinations(range(4), 2)
        for m in range(1, 4)
        for n in range(1, 4)
        if (a, m) != (0, 1)
    }
    assert covered >= wanted
    assert len(found) < 2 + len(singles) + 20


def test_values_are_laid_over_each_other_as_helm_does(tmp_path: Path) -> None:
    below = {"a": {"b": 1, "c": [1, 2]}, "d": 1, "e": {"f": 1}}
    above = {"a": {"c": [3], "g": 2}, "d": {"h": 1}, "e": None}
    assert merge(below, above) == {
        "a": {"b": 1, "c": [3], "g": 2}, "d": {"h": 1}, "e": None,
    }  # fmt: skip
    (tmp_path / "matrix.yaml").write_text("a: {on: {x: 1}, off: {}}")
    assert [case.name for case in cases(tmp_path)] == ["the defaults", "a=on"]


def test_the_three_newest_minors_are_known() -> None:
    versions = [tuple(map(int, schema.version.split("."))) for schema in newest()]
    assert len(versions) == 3
    assert versions == sorted(versions)
    assert versions[0] >= (1, 34)
    minors = [minor for _, minor in versions]
    assert minors == list(range(minors[0], minors[0] + 3))
