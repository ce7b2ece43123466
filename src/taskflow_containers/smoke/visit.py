"""Where a browser ends that opens a frontend's home page."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from taskflow_containers.smoke.answer import Answer
from taskflow_containers.smoke.running import Running

PAGE_TIMEOUT = 10.0  # seconds
WHO = {401, 403}
_REDIRECTS = 5  # that are followed; more are a circle


@dataclass(frozen=True, slots=True)
class Visit:
    """Where a browser ends that opens the home page: the answer, and the redirects on its way."""

    answer: Answer
    path: str
    way: list[str]
    elsewhere: bool = False  # the last redirect leads to another host

    @property
    def status(self) -> int:
        """Of the last answer."""
        return self.answer.status

    @property
    def shows(self) -> bool:
        """Whether there is a page, or the way to one on another host."""
        return self.elsewhere or (self.status == 200 and b"<html" in self.answer.body)

    @property
    def guarded(self) -> bool:
        """Whether it asks who is there, and shows nothing."""
        return self.status in WHO

    @property
    def said(self) -> str:
        """The statuses and where they led to."""
        return " ".join([*self.way, f"{self.status}, {self.answer.content_type}"])


def target(running: Running, path: str, answer: Answer) -> SplitResult | None:
    """Where a redirect of this path leads; without a host where it stays with this container."""
    location = answer.headers.get("location", "")
    if not (300 <= answer.status < 400 and location):
        return None
    here = f"{running.engine.host}:{running.port}"
    own = {here} | {
        f"{host}:{running.container.port}"
        for host in ("localhost", "127.0.0.1", "0.0.0.0", "[::1]", "[::]")
    }
    target = urlsplit(urljoin(f"http://{here}{path}", location))
    return target._replace(scheme="", netloc="") if target.netloc in own else target


def visit(running: Running) -> Visit:
    """Open the home page as a browser does, without a cookie."""
    path, way = running.container.page, []
    for _ in range(_REDIRECTS):
        answer = running.get(path, PAGE_TIMEOUT)
        led = target(running, path, answer)
        if led is None:
            break
        way.append(f"{answer.status} to {led.netloc or led.path},")
        if led.netloc:
            return Visit(answer, path, way, elsewhere=True)
        path = urlunsplit(("", "", led.path or "/", led.query, ""))
    return Visit(answer, path, way)
