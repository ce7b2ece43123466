"""The routes of a container that anybody may ask for, and why others are left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from taskflow_containers.smoke.answer import NO_ANSWER, STREAM, Endless
from taskflow_containers.smoke.running import Running

DOCUMENTS = ("/openapi.json", "/api/openapi.json")
TIMEOUT = 10.0  # seconds


def documented(running: Running) -> tuple[list[str], list[str]]:
    """The routes of its OpenAPI document that need no argument, or where none was found."""
    missing = []
    for document in DOCUMENTS:
        answer = running.get(document, TIMEOUT)
        if answer.status == 200:
            return [*_without_arguments(answer.json())], []
        missing.append(f"{document} ({answer.status})")
    return [], missing


def unusable(running: Running, path: str) -> str:
    """Why a route is not for everybody (3xx, 4xx) or comes to no end; "" if it is, broken or not."""
    try:
        answer = running.get(path, TIMEOUT)
    except Endless:
        return "no end"
    except NO_ANSWER:
        return ""
    if answer.content_type.startswith(STREAM):
        return "no end"
    return str(answer.status) if 300 <= answer.status < 500 else ""


def _without_arguments(document: Any) -> Iterator[str]:
    """The paths of an OpenAPI document that can be asked as they stand; nothing of what is malformed."""
    paths = document.get("paths") if isinstance(document, dict) else None
    for path, item in paths.items() if isinstance(paths, dict) else ():
        get = item.get("get") if isinstance(item, dict) else None
        if not isinstance(get, dict) or "{" in path:
            continue
        # What applies to every method of a path stands beside the methods.
        stated = [*_list(item.get("parameters")), *_list(get.get("parameters"))]
        if not any(isinstance(p, dict) and p.get("required") for p in stated):
            yield path


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
