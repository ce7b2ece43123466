"""Adds one small dependency to a container's folder, as its owner would to the lock file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_PYTHON = (
    "six==1.17.0 --hash=sha256:4721f391ed90541fddacab5acf947aa0d3dc7d27b2e1e8eda2be8970586c3274"
)
_NODE = {
    "version": "7.0.0",
    "integrity": (
        "sha512-41Cifkg6e8TylSpdtTpeLVMqvSBEVzTttHvERD741+pnZ8ANv0004MRL43QKPDlK9cGvNp6NZWZUBlbGXYxxng=="
    ),
    "license": "MIT",
}


def add(folder: Path, mark: str) -> dict[Path, str]:
    """Add it, with a mark that no earlier build has seen; the files as they were."""
    before: dict[Path, str] = {}

    def change(name: str, old: str, new: str) -> None:
        path = folder / name
        before[path] = path.read_text("utf-8")
        path.write_text(before[path].replace(old, new, 1) if old else before[path] + new, "utf-8")

    if (folder / "requirements.txt").exists():
        change("requirements.txt", "", f"{_PYTHON}\n# {mark}\n")
    elif (folder / "app.py").exists():  # the peer without a lock file
        change("Dockerfile", '"psycopg[binary]"', f'"psycopg[binary]" "six!=0.{mark}"')
    else:
        for name in ("package.json", "package-lock.json"):
            before[folder / name] = (folder / name).read_text("utf-8")
            document: dict[str, Any] = json.loads(before[folder / name])
            package = document["packages"][""] if "packages" in document else document
            package["dependencies"]["is-number"] = _NODE["version"]
            if "packages" in document:
                document["packages"]["node_modules/is-number"] = _NODE
            else:
                document["description"] = mark
            (folder / name).write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    return before


def restore(before: dict[Path, str]) -> None:
    """The files as they were."""
    for path, text in before.items():
        path.write_text(text, "utf-8")
