"""Lock the rendered backend's requirements; what only the database needs gets a Jinja condition."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

BACKEND = Path(__file__).parent.parent / "template" / "backend"
OPTIONS = (
    "--generate-hashes", "--no-emit-index-url", "--universal", "--python-version", "3.13",
    "--no-annotate",
)  # fmt: skip
DATABASE = re.compile(r"\{%-? if database.*?\{%-? endif -?%\}\n?", re.DOTALL)


def lock(folder: Path, name: str, *constraints: str) -> str:
    """Compile NAME.in of the folder, or the group that NAME ends in, to NAME.txt; its text."""
    _, _, group = name.partition("-")
    source = ["--group", group] if group else [f"{name}.in"]
    words = [*OPTIONS, *(word for file in constraints for word in ("-c", file)), *source]
    done = subprocess.run(
        ["uv", "pip", "compile", "--quiet", "--no-header", *words], cwd=folder, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    head = f"# Locked: uv pip compile {' '.join(words)} -o {name}.txt\n"
    (folder / f"{name}.txt").write_text(head + done.stdout, encoding="utf-8")
    return head + done.stdout


def packages(text: str) -> list[str]:
    """Each package's own lines: its name and version, and its hashes."""
    return re.findall(r"^[a-z].*(?:\n[ ].*)*\n", text, re.MULTILINE)


def main() -> None:
    """Write all three lock files anew."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = (BACKEND / "requirements.in.jinja").read_text("utf-8")
        shutil.copy2(BACKEND / "pyproject.toml", folder)
        (folder / "requirements.in").write_text(re.sub(r"\{%.*?%\}\n?", "", source), "utf-8")
        (folder / "plain.in").write_text(DATABASE.sub("", source), "utf-8")
        whole = lock(folder, "requirements")
        plain = {entry.split()[0] for entry in packages(lock(folder, "plain", "requirements.txt"))}
        text, inside = whole.splitlines(keepends=True)[0], False
        for entry in packages(whole):
            if (entry.split()[0] not in plain) != inside:
                inside = not inside
                text += "{%- if database %}\n" if inside else "{%- endif %}\n"
            text += entry
        (BACKEND / "requirements.txt.jinja").write_text(
            text + ("{%- endif %}\n" if inside else ""), "utf-8"
        )
        lock(folder, "requirements-build")
        head, rest = lock(folder, "requirements-dev", "requirements.txt").split("\n", 1)
        (folder / "requirements-dev.txt").write_text(
            f"{head}\n-r requirements.txt\n{rest}", "utf-8"
        )
        for part in ("build", "dev"):
            shutil.copy2(folder / f"requirements-{part}.txt", BACKEND)


if __name__ == "__main__":
    main()
