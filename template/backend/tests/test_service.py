"""The service as a whole: routes, documentation, logs."""

import json
import logging
import sys
from collections.abc import Callable

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from app.logs import AccessLog, JsonFormatter
from app.routes import router


def api(*routers: APIRouter) -> FastAPI:
    made = FastAPI()
    for one in routers:
        made.include_router(one)
    return made


def test_time(ask: Callable[..., httpx.Response]) -> None:
    assert ask(api(router), "/api/time").json()["now"].endswith("Z")


def test_documentation(ask: Callable[..., httpx.Response]) -> None:
    assert "/api/time" in ask(api(router), "/openapi.json").json()["paths"]


def test_access_log(ask: Callable[..., httpx.Response], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ask(AccessLog(api(router)), "/api/time?token=secret")
    assert "GET /api/time 200" in caplog.messages


def test_a_traceback_is_one_line() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        record = logging.LogRecord("app", logging.ERROR, "", 0, "it %s", ("broke",), sys.exc_info())
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["message"] == "it broke"
    assert "Traceback" in json.loads(line)["exception"]
