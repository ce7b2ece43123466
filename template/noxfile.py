# /// script
# dependencies = ["nox>=2025.10.14"]
# ///
"""What verifies this project: `nox` runs it all, `nox -l` lists it. Nothing here changes anything.

Options go behind `--`: nox -s smoke -- backend --engine podman
Under another name it serves a noxfile.py of your own, which imports it: its sessions are then called
taskflow-lint and so on, run only where they are named (or all: `nox -t taskflow`), and change nothing of yours.
"""

import hashlib
import os
import platform
import signal
import sys
from pathlib import Path
from typing import Callable, NoReturn  # noqa: UP035 an older Python reads this file, too

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.10.14"

HERE = Path(__file__).resolve().parent
# A folder, a wheel or any requirement, to be used in place of the tool that taskflow.txt names.
PACKAGE = os.environ.get("TASKFLOW_PACKAGE", "")
BACKEND = "uv|virtualenv"
IMPORTED = __name__ not in {"user_nox_module", "__main__"}  # by a noxfile of your own
TOO_OLD = ""
if sys.version_info < (3, 11):  # noqa: UP036
    TOO_OLD = (
        f"{Path(__file__).name} needs Python 3.11 or newer, this is {platform.python_version()}"
    )
if not IMPORTED:
    if TOO_OLD:
        sys.exit(TOO_OLD)
    nox.options.default_venv_backend = BACKEND
    nox.options.reuse_venv = "yes"


def session(body: Callable[[nox.Session], None]) -> object:
    """A session of nox under its function's name, or, imported, under one that is none of yours."""
    name, default = body.__name__, body.__name__ != "cluster"
    if not IMPORTED:
        return nox.session(default=default)(body)
    return nox.session(
        name=f"taskflow-{name}", default=False, tags=["taskflow"] if default else [],
        venv_backend=BACKEND, reuse_venv=True,
    )(body)  # fmt: skip


@session
def lint(session: nox.Session) -> None:
    """Check Dockerfiles, compose file and code against taskflow.toml; runs no container."""
    taskflow(session, "lint")


@session
def build(session: nox.Session) -> None:
    """Build the images and judge what came out: user, ports, labels, size."""
    taskflow(session, "build")


@session
def scan(session: nox.Session) -> None:
    """Scan for misconfiguration, secrets, licences, vulnerabilities; write an SBOM (`-- --offline`)."""
    taskflow(session, "scan")


@session
def smoke(session: nox.Session) -> None:
    """Run the images as the cluster will and inject faults (`-- --list`, `--only`, `--full`, `--keep`)."""
    taskflow(session, "smoke")


@session
def chart(session: nox.Session) -> None:
    """Check the Helm chart over all its options: lint, schemas, security, taskflow.toml."""
    if not (HERE / folder("chart")).is_dir():
        session.skip(f"there is no {folder('chart')}/ here")
    taskflow(session, "chart")


@session
def cluster(session: nox.Session) -> None:
    """Install the chart on the current Kubernetes (or kind) and put it through its drills."""
    taskflow(session, "cluster")


def taskflow(session: nox.Session, command: str) -> None:
    """Run one command of the tool in the session's own environment and pass its exit code on."""
    if TOO_OLD:
        refuse(session, 4, TOO_OLD, "Install nox with a newer Python.")
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
    tools = folder("tools")
    pin = HERE / tools / "taskflow.txt"
    lines = pin.read_text("utf-8").splitlines() if pin.is_file() else []
    if not PACKAGE and not any(line.strip() and line.strip()[0] not in "#-" for line in lines):
        refuse(session, 2, f"{tools}/taskflow.txt names no tool", "Set TASKFLOW_PACKAGE to the template's"
               " folder or to a wheel, or bring the file back from git.")  # fmt: skip
    # What installs the chart needs nothing that its checks do not.
    needs = {"cluster": "chart"}.get(command, command)
    names = ("requirements.txt", f"requirements-{needs}.txt")
    locks = [path for path in (HERE / tools / name for name in names) if path.is_file()]
    wheel = Path(PACKAGE).read_bytes() if Path(PACKAGE).is_file() else b""
    parts = [
        *(path.read_bytes() for path in locks),
        "\n".join(lines).encode(),
        PACKAGE.encode(),
        wheel,
    ]
    digest = hashlib.sha256(b"".join(parts)).hexdigest()
    stamp = Path(session.virtualenv.location) / "taskflow-stamp"
    # Even a no-op install takes a second; the stamp says that there is nothing to install.
    if stamp.is_file() and stamp.read_text() == digest:
        return
    what = ["-r", str(pin)]
    if PACKAGE:
        what = ["--editable", PACKAGE] if Path(PACKAGE).is_dir() else [PACKAGE]
    try:
        session.install("--require-hashes", *(word for path in locks for word in ("-r", str(path))))
        session.install("--no-deps", "--no-build-isolation", "--force-reinstall", *what, log=False)
        session.run("python", "-c", "import taskflow_containers", silent=True, log=False)
    except CommandFailed:
        named = f"TASKFLOW_PACKAGE={PACKAGE}" if PACKAGE else f"{tools}/"
        hint = "The words above say why: a network, a hash, or a name that leads nowhere."
        if not PACKAGE and "git+" in "".join(lines):
            hint += (
                "\n  A commit that its repository does not have was rendered from uncommitted changes:"
                "\n  set TASKFLOW_PACKAGE to the template's folder."
            )
        refuse(session, 4, f"the tool cannot be installed from {named}", hint)
    stamp.write_text(digest)


def folder(name: str) -> str:
    """The folder of the `chart` or the `tools`, where [files] of taskflow.toml says so under another name."""
    import tomllib  # Python's own from 3.11 on

    try:
        text = (HERE / "taskflow.toml").read_text("utf-8-sig")
        return str(tomllib.loads(text)["files"][name])
    except (OSError, ValueError, LookupError, TypeError):
        return name  # what is wrong with the file, the tool says


def refuse(session: nox.Session, code: int, what: str, hint: str) -> NoReturn:
    """End nox with an exit code, having said what is wrong and what to do."""
    session.warn(f"{what}\n  {hint}")
    raise SystemExit(code)


if __name__ == "__main__":
    nox.main()
