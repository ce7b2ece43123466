"""Seconds of each session for a project of 2, 4 and 8 containers; writes docs/growth.md and its picture.

    python -m bench.growth [COUNT ...]

Each pair is a copy of the default backend and frontend, as entries and folders of their own. `lint` and `chart`
run twice, and the second run counts: by then the tools and packages of the first are there. `build` is without
the layer cache, and `smoke` finds the images built.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomlkit
import yaml

from bench.__main__ import ROOT, render

COUNTS = (2, 4, 8)
SESSIONS = {"lint": 2.5, "build": 3.5, "smoke": 3.5, "chart": 2.5}  # the most that 8 may take of 2
TARGET = ROOT / "docs" / "growth.md"
PICTURE = TARGET.with_suffix(".svg")
COLOURS = ("#2563eb", "#d97706", "#059669", "#7c3aed")


def multiply(project: Path, count: int) -> None:
    """Make a rendered project one of `count` containers, half of them backends."""
    model = tomlkit.parse((project / "taskflow.toml").read_text("utf-8"))
    compose = yaml.safe_load((project / "compose.yaml").read_text("utf-8"))
    values = yaml.safe_load((project / "chart/values.yaml").read_text("utf-8"))
    matrix = yaml.safe_load((project / "chart/matrix.yaml").read_text("utf-8"))
    containers: dict[str, Any] = model["containers"]
    for number in range(2, count // 2 + 1):
        backend, frontend = f"backend-{number}", f"frontend-{number}"
        for name, of in ((backend, "backend"), (frontend, "frontend")):
            shutil.copytree(project / of, project / name, ignore=_caches)
            _make_its_own(project / name)
            containers[name] = copy.deepcopy(containers[of])
            compose["services"][name] = _service(compose["services"][of], of, name)
            values["containers"][name] = {
                **copy.deepcopy(values["containers"][of]),
                "image": {"repository": f"taskflow-{name}"},
                "public": False,
            }
        external = matrix["secret"]["external"]["containers"]
        external[backend] = copy.deepcopy(external["backend"])
        containers[frontend]["connects"]["API_URL"] = backend
        compose["services"][frontend]["environment"]["API_URL"] = f"http://{backend}:8000"
        compose["volumes"][f"{backend}-data"] = None
        values["containers"][frontend]["connects"]["API_URL"] = backend
    (project / "taskflow.toml").write_text(tomlkit.dumps(model), "utf-8")
    (project / "compose.yaml").write_text(yaml.safe_dump(compose, sort_keys=False), "utf-8")
    (project / "chart/matrix.yaml").write_text(yaml.safe_dump(matrix, sort_keys=False), "utf-8")
    (project / "chart/values.yaml").write_text(yaml.safe_dump(values, sort_keys=False), "utf-8")


def _make_its_own(folder: Path) -> None:
    """Other packages by the look of them: a builder makes identical stages once."""
    for name in ("package.json", "package-lock.json", "requirements.txt"):
        if (path := folder / name).is_file():
            text = path.read_text("utf-8")
            own = text.replace('"name": "', f'"name": "{folder.name}-', 1)
            path.write_text(own if own != text else f"{text}# {folder.name}\n", "utf-8")


def _caches(_: str, names: list[str]) -> set[str]:
    return {"node_modules", ".next", "__pycache__"} & set(names)


def _service(service: Mapping[str, Any], of: str, name: str) -> dict[str, Any]:
    text = json.dumps(service).replace(f"taskflow-{of}:", f"taskflow-{name}:")
    text = text.replace(f"./{of}", f"./{name}").replace(f"{of}-data", f"{name}-data")
    made: dict[str, Any] = json.loads(text)
    variable = f"{name.upper().replace('-', '_')}_PORT"
    made["ports"] = [port.replace(f"{of.upper()}_PORT", variable) for port in made["ports"]]
    return made


def seconds(project: Path, session: str) -> float:
    """What the session says that it took."""
    words = {"build": ["--no-cache"]}.get(session, [])
    for _ in range(2 if session in ("lint", "chart") else 1):
        done = subprocess.run(
            [sys.executable, "-m", "nox", "-s", session, "--", *words], cwd=project, text=True,
            capture_output=True, check=False, env={**os.environ, "TASKFLOW_PACKAGE": str(ROOT)},
        )  # fmt: skip
        if done.returncode:
            sys.exit(
                f"{session} of {project.name} failed:\n{done.stdout[-3000:]}{done.stderr[-2000:]}"
            )
    report = json.loads((project / f"reports/{session}.json").read_text("utf-8"))
    return float(report["seconds"])


def measure(counts: tuple[int, ...]) -> dict[str, dict[int, float]]:
    """Session → containers → seconds."""
    found: dict[str, dict[int, float]] = {session: {} for session in SESSIONS}
    with tempfile.TemporaryDirectory(prefix="taskflow-growth-") as folder:
        for count in counts:
            project = Path(folder, f"containers-{count}")
            render(project)
            multiply(project, count)
            for session in SESSIONS:
                found[session][count] = seconds(project, session)
                print(f"{count} containers, {session}: {found[session][count]:.1f} s", flush=True)
    return found


def page(found: Mapping[str, Mapping[int, float]]) -> Iterator[str]:
    """The table, in Markdown."""
    counts = list(next(iter(found.values())))
    few, many = counts[0], counts[-1]
    yield "# How the sessions grow with the number of containers\n"
    yield f"Written by `python -m bench.growth`: the default service, with {few} to {many} containers,\n"
    yield f"judged side by side on {os.cpu_count()} cores. Seconds of one run; what counts is the ratio.\n"
    yield f"\n![Seconds beside {few} containers]({PICTURE.name})\n"
    yield f"\n| session | {' | '.join(map(str, counts))} | {many} beside {few} | at most |\n"
    yield f"|{'---|' * (len(counts) + 3)}\n"
    for session, by_count in found.items():
        cells = " | ".join(f"{value:.1f} s" for value in by_count.values())
        yield f"| {session} | {cells} | {by_count[many] / by_count[few]:.2f} | {SESSIONS[session]} |\n"


def picture(found: Mapping[str, Mapping[int, float]]) -> str:
    """The curves, each beside its own value at the fewest containers."""
    counts = list(next(iter(found.values())))
    ratios = {s: [v / by[counts[0]] for v in by.values()] for s, by in found.items()}
    top = max(counts[-1] / counts[0], *(max(line) for line in ratios.values()))
    width, height, left, bottom = 620, 300, 40, 260

    def place(count: float, ratio: float) -> tuple[float, float]:
        x = left + (count - counts[0]) / (counts[-1] - counts[0]) * (width - left - 130)
        return round(x, 1), round(bottom - (ratio - 1) / (top - 1) * (bottom - 20), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="ui-sans-serif, sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for count in counts:
        x, y = place(count, 1)
        parts.append(
            f'<text x="{x}" y="{y + 22}" text-anchor="middle" fill="#374151">{count}</text>'
        )
    for ratio in range(1, int(top) + 1):
        x, y = place(counts[0], ratio)
        parts.append(f'<text x="8" y="{y + 4}" fill="#374151">{ratio}×</text>')
        parts.append(f'<path d="M{x},{y} H{width - 130}" stroke="#e5e7eb"/>')
    for (session, line), colour in zip(ratios.items(), COLOURS, strict=True):
        points = " ".join(
            f"{x},{y}" for x, y in (place(c, r) for c, r in zip(counts, line, strict=True))
        )
        x, y = place(counts[-1], line[-1])
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(
            f'<text x="{x + 8}" y="{y + 4}" fill="{colour}">{session} {line[-1]:.1f}×</text>'
        )
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    """Measure, write, say."""
    counts = tuple(map(int, sys.argv[1:])) or COUNTS
    found = measure(counts)
    TARGET.write_text("".join(page(found)), "utf-8")
    PICTURE.write_text(picture(found), "utf-8")
    print(f"wrote {TARGET.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
