"""Take the pictures of the reports: their pages, as a browser shows a real run's (`python -m docs.screenshots FOLDER`)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from docs import without_paths

ROOT = Path(__file__).parent.parent
REPORTS = ROOT / ".nox" / "sample" / "reports"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Of each page its picture, and the CSS pixels that hold what is above its long lists.
PICTURES = {"index.html": ("reports.png", "1280,1400"), "smoke.html": ("smoke.png", "1280,1780")}


def browser() -> str | None:
    """The first of these programs that is on PATH."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def main(reports: Path) -> int:
    """Take a picture of each page in a folder; 1 if one is missing, or there is no browser."""
    program = browser()
    if program is None:
        print(f"needs a browser: {', '.join(BROWSERS)} (apt install chromium)", file=sys.stderr)
        return 1
    for name, (picture, size) in PICTURES.items():
        page, target = reports.resolve() / name, ROOT / "docs" / picture
        if not page.is_file():
            print(f"{page} is missing: run `nox -s demo` first", file=sys.stderr)
            return 1
        with tempfile.TemporaryDirectory() as profile:
            shown = Path(profile) / name
            shown.write_text(without_paths(page.read_text("utf-8")), "utf-8")
            subprocess.run(
                [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                 f"--user-data-dir={profile}", f"--window-size={size}", f"--screenshot={target}", shown.as_uri()],
                check=True, capture_output=True, timeout=120,
            )  # fmt: skip
        print(f"wrote docs/{picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else REPORTS))
