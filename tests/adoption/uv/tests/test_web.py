from fastapi.testclient import TestClient

from service.web import api


def test_healthz() -> None:
    assert TestClient(api).get("/healthz").json() == "ok"
