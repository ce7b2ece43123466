"""What a browser meets that opens a frontend: its page, what the page loads, and whether it asks for a login."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from automation.results import Result
from automation.smoke.catalogue import unmeasurable, verdict
from automation.smoke.lab import Lab, ask, checks, fairly, fine
from automation.stack import Answer, Running

PAGE_TIMEOUT = 10.0  # seconds
_LOADED = {"stylesheet", "icon", "preload", "modulepreload", "manifest"}
_SHOWN = 3  # of what is missing
_REDIRECTS = 5  # that are followed; more are a circle
_WHO = {401, 403}


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
        return self.status in _WHO

    @property
    def said(self) -> str:
        """The statuses and where they led to."""
        kind = self.answer.headers.get("content-type", "no content type")
        return " ".join([*self.way, f"{self.status}, {kind}"])


def _target(running: Running, path: str, answer: Answer) -> SplitResult | None:
    """Where a redirect of this path leads; without a host where it stays with this container."""
    location = answer.headers.get("location", "")
    if not (300 <= answer.status < 400 and location):
        return None
    here = f"{running.engine.host}:{running.port}"
    own = {here} | {
        f"{host}:{running.model.port}" for host in ("localhost", "127.0.0.1", "0.0.0.0")
    }
    target = urlsplit(urljoin(f"http://{here}{path}", location))
    return target._replace(scheme="", netloc="") if target.netloc in own else target


def visit(running: Running) -> Visit:
    """Open the home page as a browser does, without a cookie."""
    path, way = running.model.page, []
    for _ in range(_REDIRECTS):
        answer = running.get(path, PAGE_TIMEOUT)
        target = _target(running, path, answer)
        if target is None:
            break
        way.append(f"{answer.status} to {target.netloc or target.path},")
        if target.netloc:
            return Visit(answer, path, way, elsewhere=True)
        path = urlunsplit(("", "", target.path or "/", target.query, ""))
    return Visit(answer, path, way)


def asks_who(running: Running, path: str, answer: Answer, backends: Iterable[str]) -> bool:
    """Whether a call below /api/ meets a login: refused, or led to a page, but not to a backend's address."""
    if answer.status in _WHO:
        return True
    target = _target(running, path, answer)
    if target is None:
        return False
    inside = target.path.startswith(f"{running.model.base_path}/api/")
    return not inside and target.netloc not in {urlsplit(address).netloc for address in backends}


@checks("page", "assets")
def opens(lab: Lab, name: str) -> Iterator[Result]:
    """The frontend's page and what it loads."""
    running = lab.alive[name]
    page = fairly(running, lambda: visit(running), lambda found: found.shows)
    if page.guarded:
        yield unmeasurable("page", name, f"it needs a login: {page.said}")
    else:
        yield verdict(
            "page", name, page.shows, limit=running.model.page, measured=page.said,
            seconds=page.answer.seconds,
        )  # fmt: skip
    yield _assets(running, page)


class _Assets(HTMLParser):
    """The scripts, styles and icons that a page has a browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take what the element loads; a link of another relation, such as canonical, loads nothing."""
        given = dict(attrs)
        loads = tag == "script" or {*(given.get("rel") or "").lower().split()} & _LOADED
        if loads and (place := given.get("src" if tag == "script" else "href")):
            self.found.append(place)


def _assets(running: Running, page: Visit) -> Result:
    parser = _Assets()
    parser.feed(page.answer.body.decode("utf-8", "replace"))
    here = f"http://{running.engine.host}:{running.port}"
    places = [urlsplit(urljoin(f"{here}{page.path}", place)) for place in parser.found]
    paths = [
        urlunsplit(("", "", p.path, p.query, ""))
        for p in places
        if p.netloc == urlsplit(here).netloc
    ]
    paths = list(dict.fromkeys(paths))
    if page.elsewhere or not paths:
        return unmeasurable("assets", running.name, f"{page.said} names none of its own")

    def missing() -> list[str]:
        return [
            f"{status} {p}" for p in paths if not fine(status := ask(running, p, PAGE_TIMEOUT)[0])
        ]

    lost = fairly(running, missing, lambda found: not found)
    return verdict(
        "assets",
        running.name,
        not lost,
        measured=", ".join(lost[:_SHOWN]) if lost else f"200 for each of {len(paths)}",
    )
