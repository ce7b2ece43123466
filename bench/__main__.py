"""Measure the default project beside its plain peers and write docs/benchmarks.md."""

from __future__ import annotations

import functools
import http.client
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench import dependency, releases
from taskflow_containers.engine import builder
from taskflow_containers.engine.client import Engine, substitutes
from taskflow_containers.engine.find import find
from taskflow_containers.engine.layersizes import LayerSizes
from taskflow_containers.project.load import load
from taskflow_containers.project.model import Container
from taskflow_containers.smoke.stack import restrictions

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "benchmarks.md"
PEERS = Path(__file__).parent / "peers"
RUNS = 5
REQUESTS, CONCURRENCY = 2000, 16
MEBI = 2**20

COLD = "build without layer cache, s"
LINE = "build after one changed line, s"
MORE = "build with one dependency more, s"
SIZE = "size above the base, MB"
START = "start to first 200, s"
BARE = "of which the engine's own, s"
NET = "start without the engine's own part, s"
PAGE = "start to the first page, s"
IDLE = "memory idle, MiB"
LIMITED = "memory peak after load, limited, MiB"
PEAK = "memory peak after load, MiB"
RATE = "health, requests/s"
# What the ratio beside the peer has to be.
LIMITS = {
    ("backend", SIZE): ("≤", 0.45),
    ("backend", NET): ("≤", 0.6),
    ("backend", IDLE): ("≤", 0.8),
    ("backend", RATE): ("≥", 3.0),
    ("backend", MORE): ("≤", 0.3),
    ("backend", COLD): ("≤", 1.0),
    ("frontend", SIZE): ("≤", 0.65),
    ("frontend", NET): ("≤", 0.8),
    ("frontend", IDLE): ("≤", 0.85),
    ("frontend", PEAK): ("≤", 0.35),
    ("frontend", LINE): ("≤", 0.6),
    ("frontend", MORE): ("≤", 0.6),
    ("frontend", COLD): ("≤", 1.1),
}


def render(folder: Path) -> float:
    """Seconds of one `copier copy --defaults`."""
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "copier", "copy", "--quiet", "--defaults", "--vcs-ref=HEAD",
         str(ROOT), str(folder)],
        check=True, capture_output=True,
    )  # fmt: skip
    return time.monotonic() - started


def build(engine: Engine, folder: Path, tag: str, base: str, *, no_cache: bool = False) -> float:
    """Seconds of one build."""
    started = time.monotonic()
    builder.build(
        engine, folder, tags=[tag], arguments={"BASE_IMAGE": base, "BUILDER_IMAGE": base}, labels={},
        on_step=lambda _: None, no_cache=no_cache,
    )  # fmt: skip
    return time.monotonic() - started


def above_base(engine: Engine, tag: str, base: str) -> float:
    """Megabytes (decimal) above the base image."""
    sizes = [LayerSizes().total(engine, engine.image_config(name) or {}) for name in (tag, base)]
    return float(sizes[0] - sizes[1]) / 10**6


def answers(port: int, path: str) -> bool:
    """Whether a GET is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def memory(engine: Engine, name: str) -> tuple[float, float]:
    """MiB in use (without inactive file cache, as `docker stats` counts) and at the highest."""
    pid = (engine.inspect("container", name) or {})["State"]["Pid"]
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, kind, path = line.split(":", 2)
        if kind == "memory":
            group, used, peak, cache = (
                Path(f"/sys/fs/cgroup/memory{path}"), "memory.usage_in_bytes",
                "memory.max_usage_in_bytes", "total_inactive_file",
            )  # fmt: skip
            break
    else:
        group, used, peak, cache = (
            Path(f"/sys/fs/cgroup{path}"), "memory.current", "memory.peak", "inactive_file",
        )  # fmt: skip
    stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    in_use = int((group / used).read_text()) - int(stat[cache])
    return in_use / MEBI, int((group / peak).read_text()) / MEBI


def load_it(port: int, path: str) -> float:
    """Requests per second of REQUESTS at CONCURRENCY on kept-alive connections."""

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for _ in range(REQUESTS // CONCURRENCY):
            connection.request("GET", path)
            connection.getresponse().read()
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(CONCURRENCY)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return REQUESTS / (time.monotonic() - started)


def rate(port: int, path: str) -> float:
    """Requests per second as wrk counts them; a Python client would measure itself."""
    done = subprocess.run(
        ["wrk", "-t1", f"-c{CONCURRENCY}", "-d3s", f"http://127.0.0.1:{port}{path}"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(done.stdout.split("Requests/sec:")[1].split()[0])


class Side(NamedTuple):
    """One of the images that are compared: where it is built from, and how it is run and asked."""

    folder: Path
    tag: str
    health: str
    page: str
    options: list[str]


class Row(NamedTuple):
    """A figure of one container: a value per turn, of this template's image and of its peer's, if it has one."""

    container: str
    figure: str
    ours: list[float]
    theirs: list[float]

    @property
    def ratio(self) -> float | None:
        """The median of the turns' ratios: what the machine did in a turn, it did to both."""
        pairs = zip(self.ours, self.theirs, strict=bool(self.theirs))
        ratios = [own / other for own, other in pairs]
        return statistics.median(ratios) if ratios else None


@contextmanager
def started(engine: Engine, side: Side, port: int, path: str) -> Iterator[tuple[str, int, float]]:
    """The container's name, its published port, and the seconds until it answered on this path; removed in the end."""
    name = f"taskflow-bench-{os.getpid()}"
    try:
        since = time.monotonic()
        engine.call("run", "--detach", "--name", name, "--publish", f"127.0.0.1::{port}",
                    *side.options, side.tag)  # fmt: skip
        published = int(engine.call("port", name, str(port)).stdout.split(":")[-1])
        while not answers(published, path):
            if time.monotonic() - since > 60:
                raise SystemExit(f"bench: {side.tag} does not answer on {path}")
            time.sleep(0.003)
        yield name, published, time.monotonic() - since
    finally:
        engine.call("rm", "--force", name, check=False)


def bare_start(engine: Engine, base: str, program: list[str]) -> float:
    """Seconds of a container that does nothing: what the engine itself takes."""
    since = time.monotonic()
    engine.call("run", "--rm", base, *program)
    return time.monotonic() - since


def run(engine: Engine, side: Side, port: int) -> dict[str, float]:
    """Start once; then memory and rates. Seconds, MiB, requests/s."""
    with started(engine, side, port, side.health) as (name, published, seconds):
        found = {START: seconds}
        # It has served nothing but health so far.
        time.sleep(3)
        found[IDLE] = memory(engine, name)[0]
        load_it(published, side.page)
        found[PEAK] = memory(engine, name)[1]
        if shutil.which("wrk"):
            found[RATE] = rate(published, side.health)
    return found


def measure_builds(
    engine: Engine, sides: tuple[Side, Side], base: str, edit: str
) -> dict[str, tuple[list[float], list[float]]]:
    """Seconds of a build without a cache, after one changed line of source, and with one dependency more."""
    found: dict[str, tuple[list[float], list[float]]] = {
        key: ([], []) for key in (COLD, LINE, MORE)
    }
    for turn in range(RUNS):
        for number, side in enumerate(sides):
            seconds = functools.partial(build, engine, side.folder, side.tag, base)
            if not turn:
                seconds()  # fills the package caches: the network is not measured
            found[COLD][number].append(seconds(no_cache=True))
            seconds()
            changed = (
                side.folder / edit if (side.folder / edit).exists() else side.folder / "app.py"
            )
            text = changed.read_text("utf-8")
            comment = "//" if changed.suffix == ".tsx" else "#"
            # A line that no earlier run has built.
            changed.write_text(f"{text}{comment} one line more: {time.time_ns()}\n", "utf-8")
            found[LINE][number].append(seconds())
            changed.write_text(text, "utf-8")
            for _ in range(1 if turn else 2):  # the very first fetches the package
                before = dependency.add(side.folder, str(time.time_ns()))
                more = seconds()
                dependency.restore(before)
            found[MORE][number].append(more)
            seconds()
    return found


def measure(
    engine: Engine,
    container: Container,
    name: str,
    sides: tuple[Side, Side],
    free: Side,
    base: str,
    edit: str,
) -> Iterator[Row]:
    """Every figure of a container beside its peer's, each turn one after the other."""
    for figure, (own, other) in measure_builds(engine, sides, base, edit).items():
        yield Row(name, figure, own, other)
    sizes = [above_base(engine, side.tag, base) for side in sides]
    yield Row(name, SIZE, [sizes[0]], [sizes[1]])
    program = [container.interpreter[0], "--version"]
    figures: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for _ in range(RUNS):
        bare = bare_start(engine, base, program)
        for number, side in enumerate(sides):
            values = run(engine, side, container.port)
            for figure in (START, IDLE, RATE):
                if figure in values:
                    figures[figure][number].append(values[figure])
            figures[NET][number].append(values[START] - bare)
            figures[LIMITED if number == 0 else PEAK][number].append(values[PEAK])
            if name == "frontend":
                with started(engine, side, container.port, side.page) as (*_, seconds):
                    figures[PAGE][number].append(seconds)
        figures[PEAK][0].append(run(engine, free, container.port)[PEAK])
        figures[BARE][0].append(bare)
    for figure in (START, BARE, NET, PAGE, IDLE, LIMITED, PEAK, RATE):
        if figure in figures:
            yield Row(name, figure, *figures[figure])


def compare(engine: Engine, project: Path) -> Iterator[Row]:
    """The rows of both containers."""
    model = load(project / "taskflow.toml")
    instead = substitutes()
    network = f"taskflow-bench-{os.getpid()}"
    database = f"{network}-database"
    postgres = instead.get("postgres:17-alpine", "postgres:17-alpine")
    engine.call("network", "create", network)
    try:
        engine.call("run", "--detach", "--name", database, "--network", network, "--env",
                    "POSTGRES_PASSWORD=bench", postgres)  # fmt: skip
        url = f"postgresql://postgres:bench@{database}:5432/postgres"
        for name, setting, page, edit in (
            ("backend", f"DATABASE_URL={url}", "/api/health", "src/app/__init__.py"),
            ("frontend", "API_URL=http://127.0.0.1:9", "/", "src/app/page.tsx"),
        ):
            container = model.containers[name]
            base = instead.get(container.base, container.base)
            peer = project / f"peer-{name}"
            if name == "frontend":
                ignored = shutil.ignore_patterns("node_modules", ".next")
                shutil.copytree(project / name, peer, ignore=ignored)
                (peer / ".dockerignore").unlink(missing_ok=True)
            shutil.copytree(PEERS / name, peer, dirs_exist_ok=True)
            options = ["--network", network, "--env", setting]
            health = container.health.ready
            free = Side(project / name, f"taskflow-bench-{name}:ours", health, page, options)
            ours = free._replace(options=[*options, *restrictions(container)])
            theirs = Side(peer, f"taskflow-bench-{name}:peer", health, page, options)
            yield from measure(engine, container, name, (ours, theirs), free, base, edit)
    finally:
        engine.call("rm", "--force", "--volumes", database, check=False)
        engine.call("network", "rm", network, check=False)
        for name in ("backend", "frontend"):
            for tag in ("ours", "peer"):
                engine.call("image", "rm", f"taskflow-bench-{name}:{tag}", check=False)


def shown(values: list[float]) -> str:
    """The median, or a dash where there is none."""
    if not values:
        return "–"
    value = statistics.median(values)
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}"


def line(row: Row) -> str:
    """A row of the table; a ratio that misses its limit is bold."""
    sign, limit = LIMITS.get((row.container, row.figure), ("", 0.0))
    ratio = f"{row.ratio:.2f}" if row.ratio else "–"
    if row.ratio and sign and (row.ratio > limit) == (sign == "≤"):
        ratio = f"**{ratio}**"
    words = (
        row.container,
        row.figure,
        shown(row.ours),
        shown(row.theirs),
        ratio,
        f"{sign} {limit}" if sign else "",
    )
    return f"| {' | '.join(words)} |"


def page(engine: Engine, rows: list[Row], rendering: float, planning: float) -> str:
    """The figures as a document."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `python3 bootstrap.py --provision bench`. Both columns come from one run on one",
        "machine; the ratio is what to compare, the seconds depend on the machine.",
        "",
        f"- engine: {engine.name} {engine.version} for {engine.platform}, built by {engine.builder}, "
        f"{os.cpu_count()} processors",
        *(f"- {wanted} is replaced by {instead}" for wanted, instead in substitutes().items()),
        "- peers (`bench/peers/`): FastAPI as its documentation builds it, with the same database "
        "driver and no database connected; the same Next.js application as its Docker example "
        "builds it",
        f"- each figure is the median of {RUNS} turns, in which both are measured one after the other; "
        "the ratio is the median of the turns' ratios, bold where it misses its limit",
        f"- memory after {REQUESTS} requests, {CONCURRENCY} at a time; requests/s: wrk, one thread, "
        f"{CONCURRENCY} connections",
        "",
        "| container | figure | this template | plain peer | ratio | limit |",
        "|---|---|---|---|---|---|",
        *map(line, rows),
        "",
        f"`copier copy --defaults`: {rendering:.2f} s (median of {RUNS}). Plan of a release with "
        f"{releases.COMMITS:,} commits and {releases.TAGS} tags: {planning:.2f} s.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    engine = find()
    with tempfile.TemporaryDirectory() as folder:
        folders = [Path(folder, f"project-{number}") for number in range(RUNS)]
        rendering = statistics.median([render(target) for target in folders])
        rows = list(compare(engine, folders[0]))
    TARGET.write_text(page(engine, rows, rendering, releases.plan_seconds()), encoding="utf-8")
    print(TARGET.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
