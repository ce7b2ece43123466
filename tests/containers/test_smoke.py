"""Every smoke check catches the broken service that is meant for it, and only that one."""

from __future__ import annotations

import pytest

from automation.results import Status
from tests.containers.conftest import (
    Edit,
    Service,
    failed,
    fault,
    left_over,
    replace,
    with_database,
)

pytestmark = pytest.mark.engine

ALONE: dict[str, tuple[Edit, set[str]]] = {
    # Without its capabilities root may not write into a volume that is another user's.
    "root": (
        replace("Dockerfile", "USER 1001:1001", "USER 0:0"),
        {"smoke.user", "smoke.ownership", "smoke.file-system"},
    ),
    "another group": (replace("Dockerfile", "USER 1001:1001", "USER 1001:0"), {"smoke.user"}),
    "owns its program": (
        replace("Dockerfile", "chown 1001:1001 /app/data", "chown -R 1001:1001 /app"),
        {"smoke.ownership"},
    ),
    "world-writable program": (
        replace(
            "Dockerfile", "chown 1001:1001 /app/data", "chmod 666 app.py && chown 1001:1001 data"
        ),
        {"smoke.ownership"},
    ),
    "volume not writable": (
        replace("Dockerfile", "chown 1001:1001", "chown 0:0"),
        {"smoke.file-system"},
    ),
    "crashes": (fault("crash"), {"smoke.start"}),
    "starts slowly": (replace("taskflow.toml", 'start = "6s"', 'start = "10ms"'), {"smoke.start"}),
    "listens elsewhere": (replace("app.py", '"", 8000', '"", 8001'), {"smoke.start"}),
    "health is not JSON": (fault("not-json"), {"smoke.readiness", "smoke.liveness"}),
    "no liveness": (fault("no-liveness"), {"smoke.liveness", "smoke.healthcheck"}),
    "health check fails": (
        replace("Dockerfile", "8000/api/health/live", "8000/nowhere"),
        {"smoke.healthcheck"},
    ),
    "no health check": (
        replace("Dockerfile", "HEALTHCHECK --interval=30s --timeout=3s CMD", "HEALTHCHECK NONE\n#"),
        {"smoke.healthcheck"},
    ),
    "errors under load": (fault("errors-under-load"), {"smoke.load"}),
    "leaks": (fault("leak"), {"smoke.load", "smoke.memory"}),
    "ignores SIGTERM": (fault("deaf"), {"smoke.stop"}),
}
WITH_DATABASE: dict[str, tuple[Edit, set[str]]] = {
    "healthy without its database": (fault("constant-health"), {"smoke.dependency-lost"}),
    "does not name the check": (fault("unnamed-check"), {"smoke.dependency-lost"}),
    "liveness asks the database": (fault("live-asks-database"), {"smoke.dependency-liveness"}),
    "does not recover": (fault("no-recovery"), {"smoke.dependency-back"}),
}


def test_a_service_in_order_passes_every_check(service_on_each: Service) -> None:
    service = service_on_each
    with_database(service.folder)
    results = service.smoke()
    assert failed(results) == set()
    assert {result.status for result in results} == {Status.PASSED}
    assert left_over(service.engine, service.project) == ""


@pytest.mark.parametrize("case", ALONE)
def test_a_broken_service_fails_its_check(service: Service, case: str) -> None:
    edit, expected = ALONE[case]
    edit(service.folder)
    assert_caught(service, expected)


@pytest.mark.parametrize("case", WITH_DATABASE)
def test_a_service_wrong_about_its_database_fails(service: Service, case: str) -> None:
    edit, expected = WITH_DATABASE[case]
    with_database(service.folder)
    edit(service.folder)
    assert_caught(service, expected)


@pytest.mark.parametrize("case", ["root", "owns its program", "leaks", "ignores SIGTERM"])
def test_both_engines_catch_the_same(service_on_each: Service, case: str) -> None:
    edit, expected = ALONE[case]
    edit(service_on_each.folder)
    assert_caught(service_on_each, expected)


def assert_caught(service: Service, expected: set[str]) -> None:
    results = service.smoke()
    assert failed(results) == expected, [r for r in results if r.failed]
    for result in results:
        if result.failed:
            assert result.expected
            assert result.measured
            assert result.fix
    assert left_over(service.engine, service.project) == ""


def test_a_crash_is_reported_with_the_last_words_of_the_container(service: Service) -> None:
    fault("crash")(service.folder)
    (result,) = service.smoke()
    assert result.measured == "ended with exit code 1"
    assert result.detail == "DATABASE_URL is missing"


def test_a_leak_is_reported_as_killed_for_memory(service_on_each: Service) -> None:
    fault("leak")(service_on_each.folder)
    (memory,) = (r for r in service_on_each.smoke() if r.id == "smoke.memory")
    assert memory.measured.startswith("killed")
    assert memory.measured.endswith("more than 100.0 MB of memory")
