"""Measures an application's two images beside each other, and writes what was measured as a table."""

from __future__ import annotations

import http.client
import re
import statistics
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.__main__ import above_base, memory
from taskflow_containers.smoke.running import Running
from tests.gallery import application, places
from tests.gallery.pair import Pair, Side

RUNS = 3
REQUESTS, CONCURRENCY = 400, 8
LABELS = (
    "size above the base, MB",
    "start, s",
    "memory after load, MiB",
    "build after one changed line, s",
)
Figures = Mapping[str, tuple[float, float]]  # label → ours and the reference's


def measure(pair: Pair) -> Figures:
    """Every figure of both: medians of a few, taken in turns, as the machine's speed changes."""
    found: dict[str, tuple[list[float], list[float]]] = {label: ([], []) for label in LABELS}
    size, start, used, rebuild = (found[label] for label in LABELS)
    for column, side in enumerate(pair.sides):
        size[column].append(above_base(side.stack.engine, side.image, side.base))
    for turn in range(RUNS):
        for column, side in enumerate(pair.sides):
            running, seconds = first_answer(pair, side)
            start[column].append(seconds)
            if turn == RUNS - 1:
                load_it(running, pair.application.load)
                used[column].append(memory(side.stack.engine, running.handle)[0])
            side.stack.discard(running)
    for _ in range(RUNS):
        for column, side in enumerate(pair.sides):
            rebuild[column].append(one_line(pair, side))
    return {
        label: (statistics.median(ours), statistics.median(theirs))
        for label, (ours, theirs) in found.items()
    }


def first_answer(pair: Pair, side: Side) -> tuple[Running, float]:
    """A container more, and the seconds from `run` to its application's first 200."""
    running = side.launch(f"measured-{uuid.uuid4().hex[:6]}", pair.environment(side))
    while True:
        try:
            if not running.port:
                running.find_port()
            if running.get(pair.application.load).status == 200:
                return running, time.monotonic() - running.launched
        except (OSError, http.client.HTTPException):
            assert running.alive(), side.said(running.handle)
        time.sleep(0.005)


def load_it(running: Running, path: str) -> None:
    """Ask REQUESTS times, CONCURRENCY at a time, on kept-alive connections."""

    def ask() -> None:
        connection = http.client.HTTPConnection(running.engine.host, running.port, timeout=60)
        for _ in range(REQUESTS // CONCURRENCY):
            connection.request("GET", path)
            connection.getresponse().read()
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(CONCURRENCY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def one_line(pair: Pair, side: Side) -> float:
    """Seconds of a build after a line that no build has seen; the sources are put right again."""
    path = places.source(pair.application, side.folder, pair.application.line)
    before = path.read_text(encoding="utf-8")
    comment = "#" if path.suffix == ".py" else "//"
    try:
        places.append(path, f"{comment} {uuid.uuid4()}")
        with side.changed() as seconds:
            return seconds
    finally:
        path.write_text(before, encoding="utf-8")


HEAD = ["| application | " + " | ".join(LABELS) + " |", "|---" * (len(LABELS) + 1) + "|"]


def row(name: str, figures: Figures) -> str:
    """A line of the Markdown table: ours beside the reference's and the ratio."""
    cells = [cell(*figures[label]) for label in LABELS]
    return f"| {name} | " + " | ".join(cells) + " |"


def cell(ours: float, theirs: float) -> str:
    """Both and their ratio, in bold where ours is the worse."""
    ratio = f"{ours / theirs:.2f}" if theirs else "–"
    return f"{ours:.2f} / {theirs:.2f} = " + (f"**{ratio}**" if ours > theirs else ratio)


def kept(page: Path) -> dict[str, str]:
    """The lines of a table that was written before, by application."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    return {
        name: line for line, name in re.findall(r"^(\| ([a-z-]+) \| .* = .*)$", text, re.MULTILINE)
    }


def write(page: Path, rows: Mapping[str, str], notes: Sequence[str]) -> None:
    """Write the gallery's document: what it has, and the table."""
    names = application.names()
    abouts = [f"- **{name}**: {application.load(name).about}" for name in names]
    text = [
        "# The gallery",
        "",
        "Applications of the kinds people write, each added to a freshly rendered project, built, smoke-tested and",
        "compared with the image of its framework's own documentation (`tests/gallery/references/`): the same requests get",
        "the same answers, the same packages import, a log line is one line, and what the one refuses the other refuses no",
        "later and with the same words. `python3 bootstrap.py --provision gallery` does all of it and writes the figures",
        "below; `gallery -- media ai` does these two alone. The ordinary tests compare two of them.",
        "",
        *abouts,
        "",
        "To add one, add a folder to `tests/gallery/`: the files that a person adds, and a `gallery.toml`",
        "(`tests/gallery/application.py` says what it may hold).",
        "",
        "## Figures",
        "",
        "Ours / the reference's = ratio, bold where ours is the worse. Both are built on the same base and measured in turns,",
        f"so the ratio is what to compare. Start (to the application's first answer) and build: median of {RUNS}. Memory: after",
        f"{REQUESTS} requests, {CONCURRENCY} at a time, ours within its limit.",
        "",
        *(f"- {note}" for note in notes),
        "",
        *HEAD,
        *(rows[name] for name in names if name in rows),
    ]  # fmt: skip
    page.write_text("\n".join(text) + "\n", encoding="utf-8")
