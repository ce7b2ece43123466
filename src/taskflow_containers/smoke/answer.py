"""An HTTP answer of a container, and what stands in the place of one."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

STREAM = "text/event-stream"
NO_ANSWER = (OSError, http.client.HTTPException)
_EXCERPT = 200  # bytes


class Endless(TimeoutError):
    """An answer that has begun in time and came to no end within it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer and how long it took (seconds)."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        """The body as JSON, or None where it is something else."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def content_type(self) -> str:
        """What it says of its body, for a person too."""
        return self.headers.get("content-type", "no content type")

    @property
    def excerpt(self) -> str:
        """The start of the body, for a person."""
        return self.body[:_EXCERPT].decode("utf-8", "replace")
