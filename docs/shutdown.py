"""Draw docs/shutdown.svg: how a container stops, by the numbers of values.yaml and compose.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

WIDTH, LEFT, RIGHT = 720, 24, 696
# What `docker stop` and compose wait before they kill, where compose.yaml says nothing else.
COMPOSE_GRACE = 10
STYLE = """
  text { font: 21px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328;
    paint-order: stroke; stroke: #fff; stroke-width: 6px }
  .head { font-size: 25px; font-weight: 700 }
  .in, .on { stroke: none; font-size: 19px } .in { fill: #fff; font-weight: 600 }
  .time { font-size: 20px; fill: #59636e }
  .line { stroke: #818b98; stroke-width: 1.5; stroke-dasharray: 4 5 }
  .paper { fill: #fff } .serve { fill: #1a7f37 } .drain { fill: #0969da }
  .hear { fill: none; stroke: #1a7f37; stroke-width: 2; stroke-dasharray: 7 5 }
  .grace { fill: #d1d9e0 } .kill { fill: #cf222e } text.kill { font-weight: 700 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; stroke: #0d1117 } .time { fill: #9198a1 } .line { stroke: #656c76 }
    .paper { fill: #0d1117 } .serve { fill: #238636 } .hear { stroke: #3fb950 } .drain { fill: #1f6feb }
    .grace { fill: #3d444d } .kill { fill: #f85149 } .in { fill: #fff }
  }
"""


def draw(values: Mapping[str, Any], compose: Mapping[str, Any]) -> str:
    """The picture, from the chart's values and the compose file of one project."""
    every = values["defaults"]
    sleep, grace = every["preStopSleepSeconds"], every["terminationGracePeriodSeconds"]
    drains = {name: one["drain"]["seconds"] for name, one in values["containers"].items()}
    waits = {
        int(str(service.get("stop_grace_period", COMPOSE_GRACE)).removesuffix("s"))
        for name, service in compose["services"].items() if name in drains
    }  # fmt: skip
    (patience,) = waits
    picture = _Picture(longest=max(grace, patience))
    picture.head("On Kubernetes (the chart)")
    top = picture.y
    picture.bar("The pod leaves the Service; proxies hear of it in this time", 0, sleep, "hear")
    picture.bar(
        "preStopSleepSeconds: it still answers new requests", 0, sleep, "serve", f"{sleep} s"
    )
    picture.text("SIGTERM, drain.seconds: it ends what is in flight")
    for name, seconds in drains.items():
        picture.bar("", sleep, sleep + seconds, "drain", f"{name} {seconds} s")
    picture.bar(
        "terminationGracePeriodSeconds: the longest it may take", 0, grace, "grace", f"{grace} s"
    )
    picture.axis(top, {0, sleep, *(sleep + seconds for seconds in drains.values())}, grace)
    picture.head("On one machine (compose.yaml)")
    top = picture.y
    picture.text("SIGTERM at once: it ends what is in flight")
    for name, seconds in drains.items():
        picture.bar("", 0, seconds, "drain", f"{name} {seconds} s")
    picture.bar("stop_grace_period: the longest it may take", 0, patience, "grace", f"{patience} s")
    picture.axis(top, {0, *drains.values()}, patience)
    return "\n".join(picture.whole()) + "\n"


class _Picture:
    """Rows from top to bottom, over a scale of seconds from left to right."""

    def __init__(self, longest: int) -> None:
        self.longest, self.y = longest, 0
        self.behind: list[str] = []
        self.rows: list[str] = []

    def x(self, second: float) -> float:
        return round(LEFT + second * (RIGHT - LEFT) / self.longest, 1)

    def text(self, words: str, step: int = 32, kind: str = "") -> None:
        self.y += step
        self.rows.append(f'<text x="{LEFT}" y="{self.y}" class="{kind}">{escape(words)}</text>')

    def head(self, words: str) -> None:
        self.text(words, 44, "head")
        self.y += 6

    def bar(self, words: str, begin: int, end: int, kind: str, inside: str = "") -> None:
        """A row: what it is, and below it a bar from one second to another."""
        if words:
            self.text(words)
        self.y += 8
        left, right = self.x(begin), self.x(end)
        self.rows.append(
            f'<rect x="{left}" y="{self.y}" width="{right - left:.1f}" height="32" rx="4" class="{kind}"/>'
        )
        # About the width of the words; beside the bar where they do not fit into it.
        fits = 11 * len(inside) + 12 < right - left
        at = left + 8 if fits else right + 8
        label = "on" if kind == "grace" or not fits else "in"
        if inside:
            self.rows.append(
                f'<text x="{at:.1f}" y="{self.y + 23}" class="{label}">{escape(inside)}</text>'
            )
        self.y += 36

    def axis(self, top: int, seconds: set[int], killed: int) -> None:
        """Seconds below the rows since `top`, and where whatever still runs is killed."""
        self.y += 26
        for second in sorted(seconds):
            at = self.x(second)
            self.behind.append(f'<path d="M{at} {top}V{self.y - 18}" class="line"/>')
            crowded = second + 1 in seconds  # its number would run into the next one's
            where = "start" if second == 0 else "middle"
            if not crowded:
                self.rows.append(
                    f'<text x="{at}" y="{self.y}" text-anchor="{where}" class="time">{second} s</text>'
                )
        at = self.x(killed)
        end = killed > 0.8 * self.longest
        self.rows.append(
            f'<rect x="{at - 2}" y="{self.y - 66}" width="4" height="48" class="kill"/>'
        )
        self.rows.append(
            f'<text x="{at + (2 if end else -2)}" y="{self.y}" text-anchor="{"end" if end else "start"}" '
            f'class="kill">SIGKILL at {killed} s</text>'
        )
        self.y += 8

    def whole(self) -> Iterator[str]:
        height = self.y + 14
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            'aria-labelledby="title">'
        )
        yield '<title id="title">How a container stops: preStop sleep, SIGTERM, drain, grace, SIGKILL</title>'
        yield f"<style>{STYLE}</style>"
        yield f'<rect width="{WIDTH}" height="{height}" class="paper"/>'
        yield from self.behind
        yield from self.rows
        yield "</svg>"
