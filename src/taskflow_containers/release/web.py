"""HTTP as releases need it: one request, its answer, and patience with the other side."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any, TypeVar

from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.machine.process import Say, masked

LOCAL = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?")
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
BACKOFF = (1.0, 4.0, 10.0)  # seconds between attempts
_Value = TypeVar("_Value")


def retried(action: Callable[[], _Value], say: Say) -> _Value:
    """The action's value; trouble on the way is met by patience, a refusal is final."""
    for pause in BACKOFF:
        try:
            return action()
        except EnvironmentTrouble as error:
            say(f"{masked(error.message)}; once more in {pause:g} s")
            time.sleep(pause)
    return action()


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a registry or a forge answered; `headers` are found in whatever case they are asked for."""

    host: str
    status: int
    headers: Message
    body: bytes

    @property
    def digest(self) -> str:
        """The digest of the body, by which a registry knows a manifest."""
        return f"sha256:{hashlib.sha256(self.body).hexdigest()}"

    @property
    def troubled(self) -> bool:
        """Whether the other side asks for patience: too many requests, or a fault of its own."""
        return self.status == 429 or self.status >= 500

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; raises EnvironmentTrouble for a proxy's page and the like."""
        try:
            return dict(json.loads(self.body))
        except (ValueError, TypeError):
            said = masked(" ".join(self.body.decode(errors="replace").split())[:80])
            raise EnvironmentTrouble(
                f"{self.host} answers {self.status} with something else than JSON: {said}",
                "is there a proxy between? Try again",
            ) from None


def send(
    method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> HttpAnswer:
    """One request; an error status is an answer too, only silence raises."""
    request = urllib.request.Request(url, body, dict(headers or {}), method=method)
    host = urllib.parse.urlsplit(url).netloc
    try:
        try:
            # As for Docker itself: no proxy of the environment leads to this very machine.
            ask = _DIRECTLY.open if LOCAL.fullmatch(host) else urllib.request.urlopen
            reply = ask(request, timeout=60)
        except urllib.error.HTTPError as error:
            reply = error
        with reply:
            return HttpAnswer(host, reply.status, reply.headers, reply.read())
    # A body that is cut short is no OSError.
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise EnvironmentTrouble(
            f"{host} cannot be reached: {masked(str(reason))}",
            "check network, name and certificate (SSL_CERT_FILE) and try again",
        ) from None
