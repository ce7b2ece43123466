"""Build the documentation's site, strictly: `python -m docs.site FOLDER` (site/ when left out)."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
# What a page would fetch by itself; a link that a person follows is none of these.
FETCHED = re.compile(r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?((?:https?:)?//[^"'\s>]+)|<link\b(?![^>]*rel=["']?(?:canonical|next|prev))[^>]*\bhref=["']?((?:https?:)?//[^"'\s>]+)""")  # fmt: skip


def build(target: Path) -> str:
    """Write the site, apart from the sources; what is wrong with it, empty if nothing is."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        shutil.copytree(ROOT / "docs", here / "docs", ignore=shutil.ignore_patterns("*.py", "__pycache__"))  # fmt: skip
        shutil.copy(ROOT / "zensical.toml", here)
        done = subprocess.run(
            [sys.executable, "-m", "zensical", "build", "--strict"], cwd=here, check=False,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if done.returncode or "Warning" in done.stdout:
            return done.stdout
        fetched = [
            f"{page.name} fetches {host or other}"
            for page in sorted((here / "site").rglob("*.html"))
            for host, other in FETCHED.findall(page.read_text("utf-8"))
        ]
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(here / "site", target)
    return "\n".join(fetched)


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else "site").resolve()
    if wrong := build(place):
        sys.exit(wrong)
    print(f"wrote {place}/index.html")
