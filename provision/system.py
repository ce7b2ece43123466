"""What every provisioning step needs of the machine: words to the user, processes, packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_running: set[subprocess.Popen[bytes]] = set()
_apt = threading.Lock()


class Trouble(Exception):
    """Something about the machine that the user has to settle; its text is what they read."""


def say(line: str) -> None:
    """Progress goes to stderr: stdout belongs to the one line other programs read."""
    print(f"provision: {line}", file=sys.stderr, flush=True)


def run(
    argv: Sequence[object],
    *,
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run to the end and capture; a missing program or a timeout reads as a failed run."""
    command = [str(part) for part in argv]
    pipe, full_env = subprocess.PIPE, {**os.environ, **(env or {})}
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=full_env, cwd=cwd
        )
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, b"", str(error).encode())
    _running.add(process)
    try:
        out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(command, process.returncode, out, err)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return subprocess.CompletedProcess(command, 124, b"", f"no answer in {timeout} s".encode())
    finally:
        _running.discard(process)


def must(
    what: str,
    argv: Sequence[object],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> bytes:
    """Run and return stdout; a failure becomes one line that says what failed and why."""
    done = run(argv, env=env, cwd=cwd)
    if done.returncode:
        raise Trouble(f"{what}: {last_line(done.stderr) or last_line(done.stdout)}")
    return done.stdout


def last_line(output: bytes) -> str:
    """The last line that says something; where a tool marks its error, that line."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    marked = [line for line in lines if line.lower().startswith(("e:", "error", "npm error code"))]
    return (marked or lines or [""])[-1]


def stop_all() -> None:
    """End what is still running, for Ctrl-C while several steps run side by side."""
    for process in list(_running):
        process.terminate()


def is_root() -> bool:
    """Whether apt, mmdebstrap and dockerd will do as they are told."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def is_debian() -> bool:
    """Debian or a relative of it, such as Ubuntu."""
    return Path("/etc/debian_version").is_file() and shutil.which("apt-get") is not None


def apt_install(packages: Iterable[str], why: str) -> None:
    """Install Debian packages as root; says what it does, refuses in one line where it cannot."""
    names = list(packages)
    if not is_debian():
        raise Trouble(f"{why} needs {' '.join(names)}; install it with this system's own packages.")
    if not is_root():
        raise Trouble(f"{why} needs {' '.join(names)}; run: sudo apt-get install {' '.join(names)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
    # Another process may be installing too, such as another worker of the tests: wait for it.
    patient = ["-o", "DPkg::Lock::Timeout=300"]
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *patient, *names]
    with _apt:
        say(f"apt-get install {' '.join(names)} ({why})")
        # The package lists of a fresh machine may be absent or old: refresh only when needed.
        if run(install, env=quiet).returncode:
            run(["apt-get", "update", "-q"], env=quiet)
            must(f"apt cannot install {' '.join(names)}", install, env=quiet)


def available(*packages: str) -> list[str]:
    """Those of the packages that this machine's apt knows."""
    return [name for name in packages if run(["apt-cache", "show", name]).returncode == 0]
