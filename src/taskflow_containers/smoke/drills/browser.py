"""What a browser meets that opens a frontend: its page, what the page loads, and whether it asks for a login."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit, urlunsplit

from taskflow_containers.report.result import Result
from taskflow_containers.smoke.answer import Answer
from taskflow_containers.smoke.asking import ask, fairly, fine
from taskflow_containers.smoke.lab import Lab, checks
from taskflow_containers.smoke.running import Running
from taskflow_containers.smoke.visit import PAGE_TIMEOUT, WHO, Visit, target, visit

_LOADED = {"stylesheet", "icon", "preload", "modulepreload", "manifest"}
_SHOWN = 3  # of what is missing


def asks_who(running: Running, path: str, answer: Answer, backends: Iterable[str]) -> bool:
    """Whether a call below /api/ meets a login: refused, or led to a page, but not to a backend's address."""
    if answer.status in WHO:
        return True
    led = target(running, path, answer)
    if led is None:
        return False
    inside = led.path.startswith(f"{running.container.base_path}/api/")
    return not inside and led.netloc not in {urlsplit(address).netloc for address in backends}


@checks("page", "assets")
def opens(lab: Lab) -> Iterator[Result]:
    """The frontend's page and what it loads."""
    page = fairly(lab.running, lambda: visit(lab.running), lambda found: found.shows)
    if page.guarded:
        yield lab.unmeasurable("page", f"it needs a login: {page.said}")
    else:
        yield lab.verdict(
            "page", page.shows, limit=lab.container.page, measured=page.said,
            seconds=page.answer.seconds,
        )  # fmt: skip
    yield _assets(lab, page)


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


def _assets(lab: Lab, page: Visit) -> Result:
    running, parser = lab.running, _Assets()
    parser.feed(page.answer.body.decode("utf-8", "replace"))
    here = f"http://{running.engine.host}:{running.port}"
    places = [urlsplit(urljoin(f"{here}{page.path}", place)) for place in parser.found]
    own = [p for p in places if p.netloc == urlsplit(here).netloc]
    paths = list(dict.fromkeys(urlunsplit(("", "", p.path, p.query, "")) for p in own))
    if page.elsewhere or not paths:
        return lab.unmeasurable("assets", f"{page.said} names none of its own")

    def missing() -> list[str]:
        found = [(ask(running, path, PAGE_TIMEOUT)[0], path) for path in paths]
        return [f"{status} {path}" for status, path in found if not fine(status)]

    lost = fairly(running, missing, lambda found: not found)
    said = ", ".join(lost[:_SHOWN]) or f"200 for each of {len(paths)}"
    return lab.verdict("assets", not lost, measured=said)
