# /// script
# dependencies = ["nox>=2025.10.14"]
# ///
"""What verifies this project: `nox` runs it all, `nox -l` lists it. Nothing here changes anything.

Options go behind `--`: nox -s smoke -- backend --engine podman
"""

from __future__ import annotations

import hashlib
import os
import platform
import signal
import sys
from pathlib import Path

import nox
from nox.command import CommandFailed

if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit(f"Python 3.11 or newer is needed; nox runs on {platform.python_version()}")

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"

HERE = Path(__file__).parent
TOOLS = HERE / "tools"
# A folder, a wheel or any requirement, to be used in place of tools/taskflow.txt.
PACKAGE = os.environ.get("TASKFLOW_PACKAGE", "")


@nox.session
def lint(session: nox.Session) -> None:
    """Check Dockerfiles, compose file and code against taskflow.toml; runs no container."""
    taskflow(session, "lint")


@nox.session
def build(session: nox.Session) -> None:
    """Build the images and judge what came out: user, ports, labels, size."""
    taskflow(session, "build")


@nox.session
def scan(session: nox.Session) -> None:
    """Scan for misconfiguration, secrets, licences, vulnerabilities; write an SBOM (`-- --offline`)."""
    taskflow(session, "scan")


@nox.session
def smoke(session: nox.Session) -> None:
    """Run the images as the cluster will and inject faults (`-- --list`, `--only`, `--full`, `--keep`)."""
    taskflow(session, "smoke")


@nox.session
def chart(session: nox.Session) -> None:
    """Check the Helm chart over all its options: lint, schemas, security, taskflow.toml."""
    if not (HERE / "chart").is_dir():
        session.skip("there is no chart/ here")
    taskflow(session, "chart")


@nox.session(default=False)
def cluster(session: nox.Session) -> None:
    """Install the chart on the current Kubernetes (or kind) and put it through its drills."""
    taskflow(session, "cluster")


def taskflow(session: nox.Session, command: str) -> None:
    """Run one command of the tool in the session's own environment and pass its exit code on."""
    # With --no-venv whoever calls has installed it.
    if session.virtualenv.is_sandboxed:
        install(session, command)
    for name in ("SIGTERM", "SIGHUP"):
        # Like Ctrl-C: by itself nox would leave behind what it runs.
        if (
            getattr(signal, name, None)
            and signal.getsignal(getattr(signal, name)) == signal.SIG_DFL
        ):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    try:
        # Who interrupts nox alone has not told the session, which nox then does; to hear it twice
        # does no harm. A smoke test needs a moment to remove what it started.
        session.run(
            "python", "-m", "taskflow_containers", command, *session.posargs,
            interrupt_timeout=0.2, terminate_timeout=120,
        )  # fmt: skip
    except CommandFailed as failure:
        if failure.return_code not in {None, 1}:
            # 2 wrong input, 3 no engine, 4 the machine, 70 the tool itself: no later one does better.
            raise SystemExit(failure.return_code) from None
        raise


def install(session: nox.Session, command: str) -> None:
    """Install the tool and what the command needs, unless the environment has it already."""
    pin = TOOLS / "taskflow.txt"
    names = ("requirements.txt", f"requirements-{command}.txt")
    locks = [path for name in names if (path := TOOLS / name).is_file()]
    content = b"".join(path.read_bytes() for path in [*locks, pin]) + PACKAGE.encode()
    digest = hashlib.sha256(content).hexdigest()
    stamp = Path(session.virtualenv.location) / "taskflow-stamp"
    # Even a no-op install takes a second; the stamp says that there is nothing to install.
    if stamp.is_file() and stamp.read_text() == digest:
        return
    session.install("--require-hashes", *(word for path in locks for word in ("-r", str(path))))
    what = ["-r", str(pin)]
    if PACKAGE:
        what = ["--editable", PACKAGE] if Path(PACKAGE).is_dir() else [PACKAGE]
    try:
        session.install("--no-deps", "--no-build-isolation", "--force-reinstall", *what)
        session.run("python", "-c", "import taskflow_containers", silent=True)
    except CommandFailed:
        named = f"TASKFLOW_PACKAGE={PACKAGE}" if PACKAGE else "what tools/taskflow.txt names"
        session.warn(
            f"the tool cannot be installed from {named}\n"
            "  Was this project rendered from uncommitted changes, or from a commit that its\n"
            "  repository does not have? Set TASKFLOW_PACKAGE to the template's folder, or to a wheel."
        )
        raise SystemExit(4) from None
    stamp.write_text(digest)


if __name__ == "__main__":
    nox.main()
