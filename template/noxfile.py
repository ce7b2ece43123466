# /// script
# dependencies = ["nox>=2025.10.14"]
# ///
"""What verifies this project: `nox` runs it all, `nox -l` lists it. Nothing here changes anything.

Options go behind `--`: nox -s smoke -- backend --engine podman
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"

HERE = Path(__file__).parent


@nox.session
def lint(session: nox.Session) -> None:
    """Check Dockerfiles, compose file and code against taskflow.toml; runs no container."""
    automation(session, "lint")


@nox.session
def build(session: nox.Session) -> None:
    """Build the images and judge what came out: user, ports, labels, size."""
    automation(session, "build")


@nox.session
def scan(session: nox.Session) -> None:
    """Scan for misconfiguration, secrets, licences, vulnerabilities; write an SBOM (`-- --offline`)."""
    automation(session, "scan")


@nox.session
def smoke(session: nox.Session) -> None:
    """Run the images as the cluster will and inject faults (`-- --list`, `--only`, `--full`, `--keep`)."""
    automation(session, "smoke")


@nox.session
def chart(session: nox.Session) -> None:
    """Check the Helm chart over all its options: lint, schemas, security, taskflow.toml."""
    automation(session, "chart")


@nox.session(default=False)
def cluster(session: nox.Session) -> None:
    """Install the chart on the current Kubernetes (or kind) and put it through its drills."""
    automation(session, "cluster")


def automation(session: nox.Session, command: str) -> None:
    """Run one command of automation/ in its own environment and pass its exit code on."""
    # With --no-venv whoever calls has installed it.
    if session.virtualenv.is_sandboxed:
        install(session, command)
    try:
        # An interrupted test needs a moment to remove what it started.
        session.run(
            "python", "-m", "automation", command, *session.posargs,
            env={"PYTHONPATH": str(HERE)}, interrupt_timeout=60, terminate_timeout=60,
        )  # fmt: skip
    except CommandFailed as failure:
        if failure.return_code not in {None, 1}:
            # 2 wrong input, 3 no engine, 4 the machine: no later session can do better.
            raise SystemExit(failure.return_code) from None
        raise


def install(session: nox.Session, command: str) -> None:
    """Install what the command needs, unless the environment has it already."""
    names = ("requirements.txt", f"requirements-{command}.txt")
    files = [path for name in names if (path := HERE / "automation" / name).is_file()]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    stamp = Path(session.virtualenv.location) / "taskflow-stamp"
    # Even a no-op install takes a second; the stamp says that there is nothing to install.
    if not stamp.is_file() or stamp.read_text() != digest:
        words = [word for path in files for word in ("-r", str(path))]
        session.install("--require-hashes", *words)
        stamp.write_text(digest)


if __name__ == "__main__":
    nox.main()
