"""HTTP as releases need it: one request, its answer, and patience with the other side."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, TypeVar

from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.machine.process import Say, masked, say_aloud

LOCAL = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?")
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
BACKOFF = (1.0, 4.0, 10.0)  # seconds between attempts
_LONGEST = 60.0  # seconds: who asks to wait longer (Retry-After) is not waited for
_BROKEN_OFF = (http.client.IncompleteRead, http.client.BadStatusLine, ConnectionResetError)
_Value = TypeVar("_Value")


class StillInTrouble(EnvironmentTrouble):
    """The other side was asked as often as patience allows."""


def retried(action: Callable[[], _Value], say: Say) -> _Value:
    """The action's value; trouble on the way is met by patience, a refusal is final.

    Where `send` was patient already, its trouble is final, too.
    """
    for pause in BACKOFF:
        try:
            return action()
        except StillInTrouble:
            raise
        except EnvironmentTrouble as error:
            say(f"{masked(error.message)}; once more in {pause:g} s")
            time.sleep(pause)
    return action()


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What a registry or a forge answered; `headers` are found in whatever case they are asked for.

    `final`: no patience is left for another answer.
    """

    host: str
    status: int
    headers: Message
    body: bytes
    final: bool = False

    @property
    def digest(self) -> str:
        """The digest of the body, by which a registry knows a manifest."""
        return f"sha256:{hashlib.sha256(self.body).hexdigest()}"

    @property
    def troubled(self) -> bool:
        """Whether the other side asks for patience: too many requests, or a fault of its own."""
        return self.status == 429 or self.status >= 500

    @property
    def pause(self) -> float:
        """How many seconds the other side asks to wait (Retry-After); 0 when it does not say."""
        said = self.headers.get("retry-after", "")
        with suppress(ValueError, TypeError):
            if said.isdecimal():
                return float(said)
            return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
        return 0.0

    @property
    def said(self) -> str:
        """The status and the beginning of the body, on one line."""
        body = " ".join(self.body.decode(errors="replace").split())
        return masked(f"{self.status} {body}".strip()[:200])

    @property
    def page(self) -> bool:
        """Whether this is a page for people: no registry and no API answers with one."""
        return self.body.lstrip()[:1] == b"<"

    def trouble(self, what: str) -> EnvironmentTrouble:
        """The error for an answer that may be another one later; `what` could not be done."""
        hint = f"try again in {self.pause:g} s" if self.pause else "try again"
        if self.page:
            hint = f"is there a proxy between? {hint.capitalize()}"
        kind = StillInTrouble if self.final else EnvironmentTrouble
        return kind(f"{what}: {self.host} answers {self.said}", hint)

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; raises EnvironmentTrouble for a proxy's page and the like."""
        try:
            return dict(json.loads(self.body))
        except (ValueError, TypeError):
            raise EnvironmentTrouble(
                f"{self.host} answers with something else than JSON: {self.said}",
                "is there a proxy between? Try again",
            ) from None


def send(
    method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> HttpAnswer:
    """One request, made again while the other side is in trouble or breaks off; its last answer.

    An error status is an answer too. A POST is made again only where it was not heard.

    Raises:
        EnvironmentTrouble: there is no answer.
    """
    found = re.match("https?://([^/?#]+)", url)
    if not found:
        raise EnvironmentTrouble(
            f"{url!r} is no address on the web", "who gave it is set up wrongly"
        )
    host, request = found[1], partial(_sent, method, url, body, headers or {})
    for pause in BACKOFF:
        try:
            answer = request(host)
        except _BROKEN_OFF as error:
            if method == "POST":
                raise _silent(host, error) from None
            why = f"{host} broke off: {error!r}"
        else:
            heard = method == "POST" and answer.status not in {429, 503}
            if not answer.troubled or heard:
                return answer
            if answer.pause > _LONGEST:
                return replace(answer, final=True)
            why, pause = f"{host} answers {answer.status}", max(pause, answer.pause)
        say_aloud(f"{why}; once more in {pause:g} s")
        time.sleep(pause)
    try:
        answer = request(host)
    except _BROKEN_OFF as error:
        raise _silent(host, error, StillInTrouble) from None
    return replace(answer, final=answer.troubled)


def _sent(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str], host: str
) -> HttpAnswer:
    try:
        request = urllib.request.Request(url, body, method=method)
        for name, value in headers.items():
            # A login is for this host alone, and not for the storage that it may send one on to.
            add = request.add_unredirected_header if name == "Authorization" else request.add_header
            add(name, value)
        try:
            # As for Docker itself: no proxy of the environment leads to this very machine.
            ask = _DIRECTLY.open if LOCAL.fullmatch(host) else urllib.request.urlopen
            reply = ask(request, timeout=60)
        except urllib.error.HTTPError as error:
            reply = error
        with reply:
            return HttpAnswer(host, reply.status, reply.headers, reply.read())
    except _BROKEN_OFF:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _silent(host, error) from None


def _silent(
    host: str, error: Exception, kind: type[EnvironmentTrouble] = EnvironmentTrouble
) -> EnvironmentTrouble:
    return kind(
        f"{host} cannot be reached: {masked(str(getattr(error, 'reason', error)))}",
        "check network, name and certificate (SSL_CERT_FILE) and try again",
    )
