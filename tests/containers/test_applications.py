"""What real applications do that the sample does not: the smoke test knows of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from taskflow_containers import smoke
from taskflow_containers.checks import build
from taskflow_containers.engine import builder
from taskflow_containers.project.load import load
from taskflow_containers.report.result import Result, Status
from taskflow_containers.workspace import Workspace
from tests.conftest import some_of
from tests.containers.conftest import smoked
from tests.containers.test_broken import Family, family  # noqa: F401

pytestmark = pytest.mark.engine

RELATIONS = ("page", "path", "server-side", "two-backends", "backend-away", "alone")
Judge = Callable[..., dict[str, Result]]


@pytest.fixture
def judge(family: Family, tmp_path: Path) -> Judge:  # noqa: F811
    """Smoke-test the small page and service with these variables and lines of taskflow.toml."""

    def run(*only: str, page: str = "", service: str = "", **stated: str) -> dict[str, Result]:
        text = (family.folder / "taskflow.toml").read_text("utf-8")
        for container, lines in stated.items():
            text = text.replace(f"[containers.{container}]", f"[containers.{container}]\n{lines}")
        (tmp_path / "taskflow.toml").write_text(text)
        images = []
        for name, variables in (("backend", service), ("frontend", page)):
            folder = tmp_path / name
            folder.mkdir()
            base = family.images[name].tags[0]
            (folder / "Dockerfile").write_text(f"FROM {base}\nENV REAL=1 {variables}\n")
            tag = f"{base}-{uuid.uuid4().hex[:6]}"
            built = builder.build(
                family.engine, folder, tags=[tag], arguments={}, labels={}, on_step=print
            )
            family.tags.append(tag)
            images.append(build.Image(name, built.image, (tag,)))
        options = smoke.Options(smoke.select(only))
        project = load(tmp_path / "taskflow.toml")
        results = smoked(Workspace(tmp_path, project, family.engine), images, options)
        name = "frontend" if page or "frontend" in stated else "backend"
        return {r.id.removeprefix("smoke."): r for r in results if r.container == name}

    return run


@dataclass(frozen=True, slots=True)
class Case:
    """An application's variables, its line in taskflow.toml, and what cannot or must not pass."""

    page: str
    stated: str = ""
    unknown: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()


BEHIND = frozenset({"server-side", "backend-away"})
CALLS = frozenset({"path", "two-backends"})
CASES = {
    "below a path": Case("BASE_PATH=/shop", 'base-path = "/shop"'),
    "below a path that nobody named": Case("BASE_PATH=/shop", failed=frozenset(RELATIONS)),
    "a login of its own": Case("LOGIN=/login", unknown=BEHIND),
    "a login elsewhere": Case("LOGIN=https://login.example/", unknown=BEHIND),
    "a login by the browser": Case("LOGIN=401", unknown=BEHIND | {"page"}),
    "an API behind a page": Case("API_LOGIN=/login?next=/api/health", unknown=CALLS),
    "an API behind a login elsewhere": Case("API_LOGIN=https://login.example/", unknown=CALLS),
    "an API that asks who": Case("API_LOGIN=401", unknown=CALLS),
    "an API that leads to itself": Case("API_LOGIN=/api/health/", failed=CALLS),
    "an API that leads to the backend": Case("API_LOGIN=API_URL/api/health", failed=CALLS),
    "an API that is away": Case("API_LOGIN=404", failed=CALLS),
    "behind a proxy that ends TLS": Case("TLS=1"),
    "a circle": Case("LOGIN=/", unknown=BEHIND, failed=frozenset({"page", "alone"})),
}


@pytest.mark.parametrize(
    "case",
    some_of(
        CASES,
        "below a path that nobody named",
        "an API that leads to itself",
    ),
)
def test_a_page_is_judged_where_it_is(judge: Judge, case: str) -> None:
    given = CASES[case]
    results = judge(*RELATIONS, page=given.page, frontend=given.stated)
    assert {id for id, r in results.items() if r.failed} == given.failed, results
    unknown = {id for id, r in results.items() if r.status is Status.UNMEASURABLE}
    assert unknown == given.unknown, results


def test_an_api_without_a_document_is_asked_by_the_routes_that_are_stated(judge: Judge) -> None:
    results = judge(
        "load",
        "database",
        service="FAULT=no-document",
        backend='routes = ["/api/rows", "/api/events"]',
    )
    assert not [r for r in results.values() if r.failed], results
    assert "on /api/health, /api/rows" in results["load"].limit
    assert results["database.requests"].status is Status.PASSED


@pytest.mark.thorough
def test_an_answer_without_an_end_is_no_broken_one(judge: Judge) -> None:
    results = judge("load", service="FAULT=endless-lines")
    assert not [r for r in results.values() if r.failed], results
    assert "/api/events (no end)" in results["load"].limit


def test_a_limit_of_requests_is_no_fault_and_is_told(judge: Judge) -> None:
    results = judge("load", "database", service="FAULT=limited")
    assert not [r for r in results.values() if r.failed], results
    assert "× 429 on /api/rows" in results["load"].measured


def test_a_route_that_always_fails_does_not_spoil_the_database_drill(judge: Judge) -> None:
    results = judge("load", "database", service="FAULT=unconfigured")
    assert {id for id, r in results.items() if r.failed} == {"load"}, results
    assert "× 503 on /api/nothing" in results["load"].measured


def test_what_knows_no_route_says_where_one_is_named(judge: Judge) -> None:
    result = judge("database.requests", service="FAULT=no-document")["database.requests"]
    assert result.status is Status.UNMEASURABLE
    assert "/openapi.json (404)" in result.detail
    assert "taskflow.toml names others: routes = " in result.detail


@pytest.mark.thorough
def test_the_load_is_on_the_page_that_the_home_page_leads_to(judge: Judge) -> None:
    result = judge("load", page="LOGIN=/en")["load"]
    assert not result.failed, result
    assert "on /health, /en, " in result.limit
