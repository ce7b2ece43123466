"""Measure the default project beside its plain peers and write docs/benchmarks.md."""

from __future__ import annotations

import http.client
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from automation import builder
from automation.engine import Engine, find, substitutes
from automation.layersizes import LayerSizes
from automation.model import load
from automation.stack import restrictions
from bench import dependency, releases

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "benchmarks.md"
PEERS = Path(__file__).parent / "peers"
RUNS = 5
REQUESTS, CONCURRENCY = 2000, 16
MEBI = 2**20

Row = tuple[str, str, float, float]


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


def run(
    engine: Engine, image: str, port: int, health: str, page: str, options: list[str]
) -> dict[str, float]:
    """Start RUNS times; of the last one memory and rates. Seconds, MiB, requests/s."""
    starts: list[float] = []
    pages: list[float] = []
    name = f"taskflow-bench-{os.getpid()}"
    found: dict[str, float] = {}
    for number in range(RUNS):
        try:
            started = time.monotonic()
            engine.call("run", "--detach", "--name", name, "--publish", f"127.0.0.1::{port}",
                        *options, image)  # fmt: skip
            published = int(engine.call("port", name, str(port)).stdout.split(":")[-1])
            while not answers(published, health):
                if time.monotonic() - started > 60:
                    raise SystemExit(f"bench: {image} does not answer on {health}")
                time.sleep(0.003)
            starts.append(time.monotonic() - started)
            if number < RUNS - 1:
                if not answers(published, page):
                    raise SystemExit(f"bench: {image} answers on {health}, but not on {page}")
                pages.append(time.monotonic() - started)
                continue
            # The last one has served nothing but health so far.
            time.sleep(3)
            found["idle"] = memory(engine, name)[0]
            load_it(published, page)
            found["peak"] = memory(engine, name)[1]
            if shutil.which("wrk"):
                found["rate"] = rate(published, health)
        finally:
            engine.call("rm", "--force", name, check=False)
    return {**found, "start": statistics.median(starts), "page": statistics.median(pages)}


def bare_start(engine: Engine, base: str, program: list[str]) -> float:
    """Median seconds of a container that does nothing: what the engine itself takes."""
    times = []
    for _ in range(RUNS):
        started = time.monotonic()
        engine.call("run", "--rm", base, *program)
        times.append(time.monotonic() - started)
    return statistics.median(times)


def measure(engine: Engine, project: Path, rows: list[Row]) -> None:
    """Every figure of both containers beside their peers."""
    model = load(project / "taskflow.toml")
    instead = substitutes()
    database = f"taskflow-bench-database-{os.getpid()}"
    network = f"taskflow-bench-{os.getpid()}"
    postgres = instead.get("postgres:17-alpine", "postgres:17-alpine")
    engine.call("network", "create", network)
    try:
        engine.call("run", "--detach", "--name", database, "--network", network, "--env",
                    "POSTGRES_PASSWORD=bench", postgres)  # fmt: skip
        url = f"postgresql://postgres:bench@{database}:5432/postgres"
        for name, settings, page, edit in (
            ("backend", {"DATABASE_URL": url}, "/api/health", "src/app/__init__.py"),
            ("frontend", {"API_URL": "http://127.0.0.1:9"}, "/", "src/app/page.tsx"),
        ):
            container = model.containers[name]
            base = instead.get(container.base, container.base)
            peer = project / f"peer-{name}"
            if name == "frontend":
                ignored = shutil.ignore_patterns("node_modules", ".next")
                shutil.copytree(project / name, peer, ignore=ignored)
                (peer / ".dockerignore").unlink(missing_ok=True)
            shutil.copytree(PEERS / name, peer, dirs_exist_ok=True)
            tags = (f"taskflow-bench-{name}:ours", f"taskflow-bench-{name}:peer")
            options = ["--network", network]
            for key, value in settings.items():
                options += ["--env", f"{key}={value}"]
            builds = measure_builds(engine, (project / name, peer), tags, base, edit)
            ours = run(engine, tags[0], container.port, container.health.ready, page,
                       [*options, *restrictions(container)])  # fmt: skip
            free = run(engine, tags[0], container.port, container.health.ready, page, options)
            theirs = run(engine, tags[1], container.port,
                         container.health.ready if name == "backend" else "/health", page,
                         options)  # fmt: skip
            program = [container.kind.interpreter[0], "--version"]
            idle_start = bare_start(engine, base, program)
            rows += [
                (name, label, ours_s, theirs_s) for label, (ours_s, theirs_s) in builds.items()
            ]
            rows += [
                (
                    name,
                    "size above the base, MB",
                    above_base(engine, tags[0], base),
                    above_base(engine, tags[1], base),
                ),
                (name, "start to first 200, s", ours["start"], theirs["start"]),
                (name, "of which the engine's own, s", idle_start, idle_start),
                *(
                    [("frontend", "start to the first page, s", ours["page"], theirs["page"])]
                    if name == "frontend"
                    else []
                ),
                (name, "memory idle, MiB", ours["idle"], theirs["idle"]),
                (name, f"memory peak after {REQUESTS} requests, limited, MiB", ours["peak"], 0),
                (name, "the same without a limit, MiB", free["peak"], theirs["peak"]),
            ]
            if "rate" in ours:
                rows.append((name, "health, requests/s", ours["rate"], theirs["rate"]))
    finally:
        engine.call("rm", "--force", "--volumes", database, check=False)
        engine.call("network", "rm", network, check=False)
        for name in ("backend", "frontend"):
            for tag in ("ours", "peer"):
                engine.call("image", "rm", f"taskflow-bench-{name}:{tag}", check=False)


def measure_builds(
    engine: Engine, folders: tuple[Path, Path], tags: tuple[str, str], base: str, edit: str
) -> Mapping[str, tuple[float, float]]:
    """Seconds of a build without a cache, after one changed line of source, and one dependency more."""
    cold, line, more = [], [], []
    for folder, tag in zip(folders, tags, strict=True):
        build(engine, folder, tag, base)  # fills the package caches: the network is not measured
        cold.append(build(engine, folder, tag, base, no_cache=True))
        build(engine, folder, tag, base)
        changed = folder / edit if (folder / edit).exists() else folder / "app.py"
        text = changed.read_text("utf-8")
        comment = "//" if changed.suffix == ".tsx" else "#"
        # A line that no earlier run has built.
        changed.write_text(f"{text}{comment} one line more: {time.time_ns()}\n", "utf-8")
        line.append(build(engine, folder, tag, base))
        changed.write_text(text, "utf-8")
        for _ in range(2):  # the first fetches the package: the network is not measured
            before = dependency.add(folder, str(time.time_ns()))
            seconds = build(engine, folder, tag, base)
            dependency.restore(before)
        more.append(seconds)
        build(engine, folder, tag, base)
    return {
        "build without layer cache, s": (cold[0], cold[1]),
        "build after one changed line, s": (line[0], line[1]),
        "build with one dependency more, s": (more[0], more[1]),
    }


def page(engine: Engine, rows: list[Row], rendering: float, planning: float) -> str:
    """The figures as a document."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `python3 bootstrap.py --provision bench`. Both columns come from one run on one",
        "machine; the ratio is what to compare, the seconds depend on the machine.",
        "",
        f"- {engine.description}, {os.cpu_count()} processors",
        *(f"- {wanted} is replaced by {instead}" for wanted, instead in substitutes().items()),
        "- peers (`bench/peers/`): FastAPI as its documentation builds it, with the same database "
        "driver and no database connected; the same Next.js application as its Docker example "
        "builds it",
        f"- start: median of {RUNS}; requests/s: wrk, one thread, {CONCURRENCY} connections",
        "",
        "| container | figure | this template | plain peer | ratio |",
        "|---|---|---|---|---|",
    ]
    for name, label, ours, theirs in rows:
        shown = [f"{value:,.0f}" if value >= 1000 else f"{value:.2f}" for value in (ours, theirs)]
        ratio = f"{ours / theirs:.2f}" if theirs else "–"
        lines.append(f"| {name} | {label} | {shown[0]} | {shown[1] if theirs else '–'} | {ratio} |")
    lines += [
        "",
        f"`copier copy --defaults`: {rendering:.2f} s (median of {RUNS}). Plan of a release with "
        f"{releases.COMMITS:,} commits and {releases.TAGS} tags: {planning:.2f} s.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    engine = find()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        folders = [Path(folder, f"project-{number}") for number in range(RUNS)]
        rendering = statistics.median([render(target) for target in folders])
        measure(engine, folders[0], rows)
    TARGET.write_text(page(engine, rows, rendering, releases.plan_seconds()), encoding="utf-8")
    print(TARGET.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
