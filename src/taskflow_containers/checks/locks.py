"""Lock files: which manifest each is made from, by which command, and whether it still holds that manifest.

What is compared is what the package manager itself compares before it installs a frozen lock; nothing asks
a registry.
"""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from taskflow_containers.machine.process import run
from taskflow_containers.machine.tools import node_path, npm, tool
from taskflow_containers.report.result import Result, finds_nothing

_NPM = ("package.json", "npm install --package-lock-only --ignore-scripts --no-audit --no-fund")
_MADE_BY = {
    "package-lock.json": _NPM,
    "npm-shrinkwrap.json": _NPM,
    "pnpm-lock.yaml": ("package.json", "pnpm install --lockfile-only --ignore-scripts"),
    "yarn.lock": ("package.json", "yarn install --ignore-scripts"),
    "uv.lock": ("pyproject.toml", "uv lock"),
    "poetry.lock": ("pyproject.toml", "poetry lock"),
}  # fmt: skip
_COMPILE = "uv pip compile --generate-hashes --universal --no-emit-index-url {0}.in -o {0}.txt"
# Beside such a file, the first lines of a lock say how it was made.
_SAID = re.compile(r"^#.*?\b((?:uv pip compile|pip-compile) .+)$", re.MULTILINE)
# Another lock file that must agree with it.
_BESIDE = re.compile(r"(?:^|\s)-[cr][ =]?(\S+\.txt)(?=\s|$)", re.MULTILINE)
_GROUP = re.compile(r"(?m)^#.*? --group[ =](?:pyproject\.toml:)?(\S+)")


def manifest(lock: str) -> str:
    """The path of what a lock file is made from; "" for a name that no lock file has."""
    path = PurePosixPath(lock)
    if path.name in _MADE_BY:
        return str(path.with_name(_MADE_BY[path.name][0]))
    requirements = path.name.startswith("requirements") and path.suffix == ".txt"
    return str(path.with_suffix(".in")) if requirements else ""


def made_from(lock: Path) -> Path | None:
    """What a lock file is made from, where that is there; None for any other file."""
    if not (name := manifest(lock.name)):
        return None
    source = lock.with_name(name)
    if not source.is_file() and lock.is_file() and _group(lock):
        source = lock.with_name("pyproject.toml")
    return source if source.is_file() else None


def beside(lock: Path) -> list[Path]:
    """The lock files in its folder that a file of requirements is constrained by or takes in."""
    if lock.suffix != ".txt" or not lock.is_file():
        return []
    said = _BESIDE.findall(lock.read_text("utf-8", errors="replace")[:2000])
    return [lock.with_name(name) for name in dict.fromkeys(said) if lock.with_name(name) != lock]


def asks(lock: Path, source: str, text: str) -> str:
    """What the text of its manifest `source` asks a lock file for: of pyproject.toml, a group."""
    group = _group(lock) if source.endswith("pyproject.toml") and lock.is_file() else ""
    if not group:
        return text
    return "\n".join(map(str, tomllib.loads(text).get("dependency-groups", {}).get(group, ())))


def command(lock: str, text: str) -> list[str]:
    """What resolves a lock file anew, to be run in its folder; `text` is what it holds."""
    path = PurePosixPath(lock)
    if path.name not in _MADE_BY:
        said = _SAID.search(text[:2000])
        return shlex.split(said[1] if said else _COMPILE.format(path.stem))
    if path.name == "yarn.lock" and "__metadata:" in text:
        return ["yarn", "install", "--mode=update-lockfile"]
    return _MADE_BY[path.name][1].split()


def check(root: Path, container: str, folder: Path) -> Result:
    """Whether each lock file of a container's folder holds what its manifest asks for."""
    findings, fixes = [], []
    for lock in sorted(folder.glob("*")):
        if not (source := made_from(lock)):
            continue
        place = lock.relative_to(root).as_posix()
        found = list(_outdated(lock, source))
        findings += [f"outdated {place}: {text}" for text in found]
        if found:
            again = shlex.join(command(lock.name, lock.read_text("utf-8", errors="replace")))
            fixes.append(f"`cd {folder.relative_to(root).as_posix()} && {again}`")
    return finds_nothing(
        "lint.locks", "lock files", findings, f"resolve them again: {', '.join(fixes)}",
        container=container, expected="no finding", passed="no finding",
    )  # fmt: skip


def _group(lock: Path) -> str:
    """The group of pyproject.toml that a file of requirements is made from, as its first lines say."""
    found = lock.suffix == ".txt" and _GROUP.search(
        lock.read_text("utf-8", errors="replace")[:2000]
    )
    return found[1] if found else ""


def _outdated(lock: Path, source: Path) -> Iterator[str]:
    """What of a manifest its lock file does not hold."""
    text, asked = (path.read_text("utf-8", errors="replace") for path in (lock, source))
    try:
        if re.search(r"^(<{7}|>{7}) ", text, re.MULTILINE):
            yield "it has conflict markers"
        elif lock.suffix == ".txt":
            yield from _requirements(asks(lock, source.name, asked), text)
            pins = _pins(text)
            for other in (path for path in beside(lock) if path.is_file()):
                for name, versions in _pins(other.read_text("utf-8", errors="replace")).items():
                    if not {*pins.get(name, versions)} & {*versions}:
                        yield f"{name} {' and '.join(pins[name])} is not {other.name}'s {' or '.join(versions)}"
        elif lock.name in ("package-lock.json", "npm-shrinkwrap.json"):
            json.loads(asked), json.loads(text)
            yield from _npm(lock.parent)
        elif lock.name == "uv.lock":
            done = run([tool("uv"), "lock", "--check", "--offline"], cwd=lock.parent, timeout=120)
            if done.returncode:
                yield f"{source.name} asks for something else"
        elif lock.name in ("pnpm-lock.yaml", "yarn.lock"):
            yield from _javascript(json.loads(asked), text, lock.name)
    except (ValueError, yaml.YAMLError, TypeError, AttributeError):
        yield f"it or {source.name} cannot be read"


def _requirements(asked: str, locked: str) -> Iterator[str]:
    """As `pip install -r requirements.in --dry-run --no-deps` would see what is pinned."""
    pins = _pins(locked)
    direct = {
        canonicalize_name(name) for name in re.findall(r"^([\w.-]+)\s*@", locked, re.MULTILINE)
    }
    for line in asked.splitlines():
        words = re.sub(r"(^|\s)#.*", "", line).strip()
        if not words or words.startswith("-"):
            continue
        try:
            wanted = Requirement(words)
        except InvalidRequirement:
            continue  # a path or an address: what it is called only its build tells
        name = canonicalize_name(wanted.name)
        found = pins.get(name, [])
        if name in direct or wanted.url:
            continue
        if not found:
            yield f"{wanted.name} is not in it"
        elif not any(wanted.specifier.contains(version, prereleases=True) for version in found):
            yield f"{wanted.name} {' and '.join(found)} is not {wanted.specifier}"


def _pins(locked: str) -> dict[str, list[str]]:
    """Package → the versions that a file of requirements pins; several where markers tell them apart."""
    pins: dict[str, list[str]] = {}
    pin = r"^([\w.-]+)(?:\[[^]]*\])?\s*==\s*([^\s;\\]+)"
    for name, version in re.findall(pin, locked, re.MULTILINE):
        pins.setdefault(canonicalize_name(name), []).append(version)
    return pins


def _npm(folder: Path) -> Iterator[str]:
    done = run([*npm(), "ls", "--package-lock-only"], cwd=folder, env=node_path(), timeout=120)
    for kind, what in re.findall(
        r"^npm error (missing|invalid): ([^\s,]+)", done.stderr, re.MULTILINE
    ):
        yield f"{what} is {'not in it' if kind == 'missing' else 'not what package.json asks for'}"


def _javascript(package: dict[str, Any], text: str, name: str) -> Iterator[str]:
    """As `--frozen-lockfile` compares: each range must stand in the lock as the manifest has it."""
    groups = ("dependencies", "devDependencies", "optionalDependencies")
    wanted = {
        **package.get(groups[1], {}),
        **package.get(groups[2], {}),
        **package.get(groups[0], {}),
    }
    if name == "pnpm-lock.yaml":
        here = next(yaml.safe_load_all(text)).get("importers", {}).get(".", {})
        locked = {key: str(entry["specifier"]) for group in groups for key, entry in here.get(group, {}).items()}  # fmt: skip
        yield from (f"{key} {range_} is not in it" for key, range_ in wanted.items() if locked.get(key) != range_)  # fmt: skip
        yield from (
            f"{key} is in it and not in package.json" for key in locked if key not in wanted
        )
        return
    keys = set(_yarn_keys(text.splitlines()))
    for key, range_ in wanted.items():
        if not keys & {f"{key}@{range_}", f"{key}@npm:{range_}"}:
            yield f"{key} {range_} is not in it"


def _yarn_keys(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if line.endswith(":") and not line.startswith((" ", "#")):
            yield from (key.strip().strip('"') for key in line[:-1].strip('"').split(","))
