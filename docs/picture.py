"""Draw docs/run.svg: what a smoke test of the sample really prints, as a terminal shows it."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from docs import without_paths

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / ".nox" / "sample"
TARGET = ROOT / "docs" / "run.svg"
WIDTH = 124
# All of it would be four screens long: of one container, what becomes of it without its database and at its end.
WORDS = ["backend", "--verbose", "--only", "health,database,stop"]


def main() -> int:
    """Run and draw; the run's exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "taskflow_containers", "smoke", *WORDS], cwd=SAMPLE, text=True, check=False,
        capture_output=True,
        env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH)},
    )  # fmt: skip
    # The moving line of progress ends where the report's head begins.
    _, head, report = done.stdout.partition("\x1b[2mengine:")
    if not head:
        print(done.stdout + done.stderr, file=sys.stderr)
        return done.returncode or 1
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    console.print(Text.from_ansi(head + report.rstrip()))
    svg = console.export_svg(title=f"nox -s smoke -- {' '.join(WORDS)}")
    # A picture asks nobody for a font.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = without_paths(svg)
    svg = re.sub(r' textLength="[^"]*"([^<]*\((?:docker|podman)\))', r"\1", svg)  # it was longer
    TARGET.write_text(svg.replace("Fira Code", "ui-monospace, Menlo, Consolas"), encoding="utf-8")
    print(f"wrote {TARGET.relative_to(ROOT)}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
