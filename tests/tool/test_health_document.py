"""What counts as a health document, after draft-inadarei-api-health-check-06."""

from __future__ import annotations

import pytest

from taskflow_containers.smoke.drills.health import document_fault

READING = {"status": "pass", "time": "2026-01-31T12:00:00.5Z", "observedValue": 1.5}


@pytest.mark.parametrize(
    "document",
    [
        {"status": "pass"},
        {"status": "UP", "version": "1", "checks": {}},
        {"status": "warn", "checks": {"cache": [{"status": "fail", "output": "away"}]}},
        {"status": "pass", "checks": {"database:responseTime": [READING, {}]}},
    ],
)
def test_a_healthy_document_passes(document: object) -> None:
    assert document_fault(document) == ""


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (None, "no JSON object"),
        ([], "no JSON object"),
        ("pass", "no JSON object"),
        ({}, "status absent"),
        ({"status": "green"}, "status green"),
        ({"status": "fail"}, "status fail"),
        ({"status": ["pass"]}, "status ['pass']"),
        ({"status": "pass", "version": 2}, "version is no text"),
        ({"status": "pass", "checks": ["database"]}, "checks is no object"),
        ({"status": "pass", "checks": {"db": {"status": "pass"}}}, "is no list of objects"),
        ({"status": "pass", "checks": {"db": ["pass"]}}, "is no list of objects"),
        ({"status": "pass", "checks": {"db": [{"status": True}]}}, "has status True"),
        ({"status": "pass", "checks": {"db": [{"time": "soon"}]}}, "not ISO 8601"),
        ({"status": "pass", "checks": {"db": [{"time": 5}]}}, "not ISO 8601"),
    ],
)
def test_a_fault_is_named(document: object, fault: str) -> None:
    assert fault in document_fault(document)
