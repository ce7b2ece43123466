"""Stand-in base images, made of Debian and npm packages, for machines without Docker Hub."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from . import archive, host
from .archive import Config
from .recipes import ARCHITECTURES, BIN, SUITE, parse
from .system import Trouble, apt_install, is_root, last_line, must, run, say, stop_all

WANTED = ("python:3.13-slim", "node:24-alpine", "postgres:17-alpine")
PREFIX = "taskflow-standin/"
COMMENT = "stand-in, recipe "  # in the image's history, before the recipe's hash
LAYOUT = 3  # of the image archive; a new number makes every stand-in anew
PULL_SECONDS = 20.0
KEEP_OUT = ("share/doc/*", "share/man/*", "share/locale/*", "share/info/*", "share/lintian/*")


def ensure_images(engine: Sequence[str], wanted: Iterable[str]) -> dict[str, str]:
    """Have every wanted image or a stand-in for it; return the substitutions alone."""
    names = list(dict.fromkeys(wanted))
    digests = {name: recipe_hash(name) for name in names}
    missing = _missing(engine, digests)
    if any(missing.values()):
        with _one_at_a_time():
            missing = _missing(engine, digests)  # another run may have made them meanwhile
            todo = [name for name, state in missing.items() if state == "absent"]
            for name in _pull(engine, todo):
                del missing[name]
            _build(engine, {name: digests[name] for name, state in missing.items() if state})
    return {name: stand_in(name) for name in missing}


def stand_in(name: str) -> str:
    """The stand-in's own name: nobody shall take it for the official image."""
    return PREFIX + name.rpartition("/")[2].partition("@")[0]


def recipe_hash(name: str) -> str:
    """Everything that decides the image's content but the packages' versions of the day."""
    try:
        recipe, version = parse(name)
    except Trouble:
        return ""  # no stand-in can be had; whether one is needed is not known yet
    parts = (recipe.packages, recipe.leave_out, dict(recipe.seed), inspect.getsource(recipe.fill))
    made_of = (LAYOUT, version, SUITE, BIN, KEEP_OUT, parts, host.facts())
    return hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]


def _missing(engine: Sequence[str], digests: dict[str, str]) -> dict[str, str]:
    """Images not here under their own name: "" = current stand-in, "stale" or "absent"."""
    asked = [*digests, *map(stand_in, digests)]
    form = "{{json .RepoTags}} {{json .Comment}}"
    # One call for all: the engine prints those it has and fails for the rest.
    out = run([*engine, "image", "inspect", "--format", form, *asked]).stdout.decode()
    found: dict[str, str] = {}
    for line in filter(None, out.splitlines()):
        tags, end = json.JSONDecoder().raw_decode(line)
        recipe = json.loads(line[end:]).removeprefix(COMMENT)
        found |= dict.fromkeys(tags or (), recipe)
    here = {_short(tag): recipe for tag, recipe in found.items()}
    missing = {}
    for name, digest in digests.items():
        if _short(name) not in here:
            have = here.get(stand_in(name))
            missing[name] = "absent" if have is None else "" if have == digest else "stale"
    return missing


def _short(name: str) -> str:
    """The name without the homes that Podman writes out and Docker leaves away."""
    return re.sub(r"^(docker\.io/library/|docker\.io/|localhost/)", "", name)


def _pull(engine: Sequence[str], names: list[str]) -> list[str]:
    """Try the registry for all at once; the names that came."""

    def pull(name: str) -> str:
        reference = name if "/" in name else f"docker.io/library/{name}"
        done = run([*engine, "pull", "--quiet", reference], timeout=PULL_SECONDS)
        return (last_line(done.stderr) or "no reason given") if done.returncode else ""

    with _side_by_side(len(names)) as pool:
        reasons = dict(zip(names, pool.map(pull, names), strict=True))
    for reason in sorted(set(reasons.values()) - {""}):
        failed = ", ".join(name for name in names if reasons[name] == reason)
        say(f"{failed} cannot be pulled: {reason}")
    return [name for name in names if not reasons[name]]


def _build(engine: Sequence[str], digests: dict[str, str]) -> None:
    if not digests:
        return
    if not is_root():
        raise Trouble("stand-in images have to be made as root: run this command with sudo.")
    os.umask(0o022)  # the files of an image are for everyone in it
    for name in digests:
        parse(name)  # complain before the work begins
    tools = [tool for tool in ("mmdebstrap", "strip") if shutil.which(tool) is None]
    if tools:
        apt_install(["binutils" if tool == "strip" else tool for tool in tools], "stand-in images")
    say(f"making stand-ins for {', '.join(digests)} from {SUITE} and npm packages")
    with _side_by_side(len(digests)) as pool:
        list(pool.map(lambda item: _make(engine, *item), digests.items()))


def _make(engine: Sequence[str], name: str, digest: str) -> None:
    recipe, version = parse(name)
    with tempfile.TemporaryDirectory(prefix="taskflow-standin-") as folder:
        root = Path(folder, "root")
        Path(folder).chmod(0o755)  # apt downloads as a user of its own
        argv = ["mmdebstrap", "--variant=minbase", "--quiet", "--dpkgopt=force-unsafe-io"]
        argv += [f"--include={','.join(('ca-certificates', *recipe.packages))}"]
        left_out = (*KEEP_OUT, *recipe.leave_out)
        argv += [f"--dpkgopt=path-exclude=/usr/{path}" for path in left_out]
        argv += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]  # licence checks read these
        argv += [f"--aptopt={option}" for option in host.apt_proxies()]
        for path, text in recipe.seed.items():
            (Path(folder, "seed") / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder, "seed") / path).write_text(text)
        if recipe.seed:
            argv += [f"--essential-hook=sync-in {folder}/seed /"]
        must(f"{name}: mmdebstrap", [*argv, SUITE, root, *host.mirrors(SUITE)])
        config = recipe.fill(root, version)
        config["Env"] += host.introduce(root)
        (root / "etc/apt/apt.conf.d/99mmdebstrap").unlink(missing_ok=True)  # the host's proxies
        for rubbish in ("var/cache/apt", "var/lib/apt/lists", "var/log", "var/cache/debconf"):
            shutil.rmtree(root / rubbish, ignore_errors=True)
            (root / rubbish).mkdir(parents=True)
        _load(engine, root, stand_in(name), config, digest)
    say(f"{stand_in(name)} is ready")


def _load(engine: Sequence[str], root: Path, target: str, config: Config, digest: str) -> None:
    """Hand the engine an image archive: `import` would not take a stop signal."""
    path = root.parent / "image.tar"
    layers = {
        "Debian packages": ("--exclude=./dev/*", "--exclude=./usr/local/*", "."),
        "/usr/local": ("./usr/local",),
    }
    archive.write(
        path,
        f"docker.io/{target}",
        root,
        layers,
        config,
        architecture=ARCHITECTURES.get(platform.machine(), platform.machine()),
        created=datetime.now(UTC).isoformat(),
        comment=COMMENT + digest,
    )
    run([*engine, "image", "rm", target])  # an older one would stay behind without a name
    must(f"{target}: load", [*engine, "load", "--input", path])


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    import fcntl  # absent on Windows, where this module is imported for its names only

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "taskflow-standins.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _side_by_side(workers: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(max(1, workers))
    try:
        yield pool
    except BaseException:
        stop_all()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
