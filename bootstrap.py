"""Runs this repository's nox on a machine that has Python and nothing else.

    python3 bootstrap.py [--provision] [--engine docker|podman] [SESSION ... | NOX OPTION ...]

--provision  as root: install and start what is missing (git, venv, a container engine), and have
             base images, or stand-ins for them where Docker Hub cannot be reached; with
             stand-ins the vulnerability scan is left out, and the report says so
"""

import hashlib
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "bootstrap-stamp"
REQUIREMENTS = HERE / "template" / "tools" / "requirements-nox.txt"

# Here, since an older Python stops at the annotations below; one of 3.6 still reads all of this file.
if sys.version_info < (3, 11):  # noqa: UP036
    print(
        f"bootstrap.py needs Python 3.11 or newer, this is {platform.python_version()}",
        file=sys.stderr,
    )
    sys.exit(4)


def main(argv: list[str]) -> int:
    """Bring the machine to the point where nox can take over, then become nox."""
    try:
        provisioning, engine, options = read(argv)
    except ValueError as error:
        print(f"bootstrap: {error}", file=sys.stderr)
        return 2
    if options[:1] in (["-h"], ["--help"]):
        print((__doc__ or "").strip())
        return 0
    # Only now, because these files do not read on an older Python.
    from provision import ENGINE, SUBSTITUTES, Trouble, provision
    from provision.system import run

    session = ["-s"] if options and not options[0].startswith("-") else []
    nox = [str(PYTHON), "-m", "nox", "-f", str(HERE / "noxfile.py")]
    try:
        if shutil.which("git") is None:
            need("git", "git", provisioning)
        make_venv(provisioning)
        if Path(sys.prefix).resolve() != VENV.resolve():
            # The rest runs on the environment's own Python: it has pip, which Debian's has not.
            os.execv(PYTHON, [str(PYTHON), __file__, *argv])
        # A session that there is none of is said before the machine is changed for it.
        if provisioning:
            listed = run([*nox, "--list", *session, *options])
            if listed.returncode:
                sys.stderr.buffer.write(listed.stderr)
                return listed.returncode
        variables = provision(engine) if provisioning else {}
    except (Trouble, OSError) as trouble:
        print(f"bootstrap: {trouble}", file=sys.stderr)
        return 4
    if engine:
        variables[ENGINE] = engine
    if provisioning:
        variables["TASKFLOW_PROVISION"] = "1"
        if variables[SUBSTITUTES] and "TASKFLOW_OFFLINE" not in os.environ:
            # Where Docker Hub cannot be reached, neither can the vulnerability database.
            variables["TASKFLOW_OFFLINE"] = "1"
    path = os.pathsep.join([str(PYTHON.parent), os.environ.get("PATH", os.defpath)])
    words = [*nox, *session, *options]
    return os.execve(PYTHON, words, {**os.environ, **variables, "PATH": path})


def read(argv: list[str]) -> tuple[bool, str, list[str]]:
    """Whether to provision, the engine, and what is nox's; ours may stand anywhere before a `--`."""
    end = argv.index("--") if "--" in argv else len(argv)
    words, options = iter(argv[:end]), []
    engine, provisioning = "", False
    for word in words:
        name, equals, value = word.partition("=")
        if word == "--provision":
            provisioning = True
        elif name == "--engine":
            engine = value if equals else next(words, "")
            if engine not in ("docker", "podman"):
                wrong = f"is {engine!r}" if engine else "is missing"
                raise ValueError(f"--engine takes docker or podman; it {wrong}")
        else:
            for meant in get_close_matches(name, ("--provision", "--engine"), 1, 0.8):
                raise ValueError(f"there is no {name}; write {meant}")
            options.append(word)
    return provisioning, engine, options + argv[end:]


def need(package: str, what: str, provisioning: bool) -> None:
    """Install a Debian package, or say that it is missing."""
    from provision.system import Trouble, apt_install

    if not provisioning:
        raise Trouble(f"{what} is missing: install {package}, or add --provision as root.")
    apt_install([package], what)


def make_venv(provisioning: bool) -> None:
    """Install the locked requirements into .venv, unless that is what it holds already."""
    from provision.system import must, run, say

    stamp = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if is_current(stamp):
        return
    with one_at_a_time():
        if is_current(stamp):  # another run may have made it meanwhile
            return
        if run([PYTHON, "-m", "pip", "--version"]).returncode:
            say("making .venv")
            create = [sys.executable, "-m", "venv", "--clear", str(VENV)]
            if run([sys.executable, "-c", "import ensurepip, venv"]).returncode:
                need(
                    f"python{sys.version_info[0]}.{sys.version_info[1]}-venv", "venv", provisioning
                )
            must("cannot make .venv", create)
        say(f"installing {REQUIREMENTS.relative_to(HERE)} into .venv")
        install = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        must("cannot install nox", [*install, "--require-hashes", "-r", REQUIREMENTS])
        STAMP.write_text(stamp)  # last, so that an interrupted run is not taken for a whole one


def is_current(stamp: str) -> bool:
    """Whether .venv holds what the stamp stands for."""
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text() == stamp


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold a lock on the repository's folder itself, which leaves no file behind."""
    import fcntl

    folder = os.open(HERE, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
