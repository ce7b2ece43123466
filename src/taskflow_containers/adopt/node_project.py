"""The package manager, workspace and Node version of a package."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from taskflow_containers.adopt.findings import Finding, guessed, read, unknown
from taskflow_containers.adopt.repository import Repository, join, parent

DEFAULT = "24"
_OLDEST = 20  # what builds an image asks of Node
_ENDED = {"20", "21", "23"}  # newer than that, but mended by nobody
_CODENAMES = {"hydrogen": "18", "iron": "20", "jod": "22", "krypton": "24"}
LOCKS = {
    "npm-shrinkwrap.json": "npm",  # which npm takes before the other
    "package-lock.json": "npm",
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
    "bun.lock": "bun",
    "bun.lockb": "bun",
}


def above(folder: str) -> list[str]:
    """A folder and those that it lies in, up to the repository."""
    found = [folder]
    while found[-1] != ".":
        found.append(parent(found[-1]))
    return found


def dependencies(package: dict[str, Any]) -> dict[str, str]:
    """The packages that a package.json names for run time and development."""
    found: dict[str, str] = {}
    for key in ("dependencies", "devDependencies", "peerDependencies"):
        part = package.get(key)
        found = {k: str(v) for k, v in part.items()} | found if isinstance(part, dict) else found
    return found


def workspace_of(repository: Repository, folder: str) -> str:
    """The folder of the npm, pnpm or yarn workspace that a package is a member of, or ""."""
    for top in above(folder)[1:]:
        package = repository.data(join(top, "package.json"))
        listed = package.get("workspaces")
        patterns = listed.get("packages") if isinstance(listed, dict) else listed
        if repository.has(join(top, "pnpm-workspace.yaml")):
            patterns = repository.data(join(top, "pnpm-workspace.yaml")).get("packages")
        below = PurePosixPath(folder).relative_to(top)
        member = False
        for pattern in patterns if isinstance(patterns, list) else ():
            text = str(pattern).removeprefix("!").removeprefix("./").rstrip("/")
            # "packages/**" is every folder below it, "apps/*" those in it.
            start = text.removesuffix("/**").removesuffix("**")
            matches = str(below).startswith(start) if text.endswith("**") else below.match(text)
            member = (not str(pattern).startswith("!")) if matches else member
        if member:
            return top
    return ""


def local(repository: Repository, top: str, needs: dict[str, str]) -> list[str]:
    """The folders of the workspace's packages that a package depends on, and those depend on."""
    by_name = {}
    for path in repository.below(top, "/package.json"):
        if isinstance(name := repository.data(path).get("name"), str):
            by_name[name] = parent(path)
    found: list[str] = []
    waiting = [by_name[name] for name in needs if name in by_name]
    while waiting:
        folder = waiting.pop()
        if folder not in found:
            found.append(folder)
            more = dependencies(repository.data(join(folder, "package.json")))
            waiting += [by_name[name] for name in more if name in by_name]
    return sorted(found)


def manager(repository: Repository, folder: str, top: str) -> tuple[Finding[str], Finding[str]]:
    """The package manager, and its lock file below the build's folder (`top`)."""
    stated = str(repository.data(join(top, "package.json")).get("packageManager", ""))
    locks = [name for name in LOCKS if repository.has(join(top, name))]
    name = stated.split("@")[0]
    # Another one's lock file beside bun's is there for images.
    if others := [one for one in locks if LOCKS[one] != "bun"]:
        locks, name = others, "" if name == "bun" else name
    if name in {"npm", "pnpm", "yarn", "bun"}:
        lock = next((one for one in locks if LOCKS[one] == name), "")
        where = repository.at(join(top, "package.json"), '"packageManager"')
        if not lock:
            there = f"{locks[0]} is of another: " if locks else "its lock file is not there: "
            repository.say(
                "change",
                f"packageManager is {name}, and {there}run `{name} install` and commit its lock file",
                where,
            )
        return read(name, where), read(lock, join(top, lock) + ":1") if lock else guessed("")
    if not locks:
        repository.say(
            "change",
            "no lock file: run `npm install` and commit package-lock.json",
            join(folder, "package.json"),
        )
        return guessed("npm"), guessed("")
    managers = tuple(dict.fromkeys(LOCKS[one] for one in locks))
    if len(managers) > 1:
        repository.say(
            "change",
            f"lock files of {' and '.join(managers)}: delete those that are not used",
            locks[0],
        )
        return unknown(managers[0], managers, join(top, locks[0])), guessed(locks[0])
    return read(managers[0], join(top, locks[0]) + ":1"), read(locks[0], join(top, locks[0]) + ":1")


def base(repository: Repository, folder: str, image: Finding[str] | None) -> Finding[str]:
    """The base image: by the version files, engines, or the Dockerfile that is there."""
    found: Finding[str] | None = None
    for place in above(folder):
        found = _stated(repository, place)
        if found:
            break
    if not found and image and (match := re.match(r"(?:.*/)?node:([0-9]{1,3})\b", image.value)):
        found = read(match[1], image.where)
    found = found or guessed(DEFAULT)
    if found.where and int(found.value) < _OLDEST:
        repository.say(
            "change",
            f"Node {found.value} builds no image here: ask for {_OLDEST} or newer, best {DEFAULT}",
            found.where,
        )
    elif found.where and found.value in _ENDED:
        repository.say(
            "said", f"Node {found.value} gets no security updates: ask for {DEFAULT}", found.where
        )
    return replace(found, value=f"node:{found.value}-alpine")


def _stated(repository: Repository, place: str) -> Finding[str] | None:
    """The major version that a folder's files ask for."""
    for name, before in ((".nvmrc", ""), (".node-version", ""), (".tool-versions", r"nodejs\s+")):
        path = join(place, name)
        pattern = rf"^{before}(?:v?([0-9]{{1,3}})\b|lts[/-](\w+))"
        if match := re.search(pattern, repository.text(path), re.MULTILINE):
            major = match[1] or _CODENAMES.get(match[2].lower(), DEFAULT)
            return read(major, repository.at(path, match[0]))
    path = join(place, "package.json")
    package = repository.data(path)
    volta, engines = package.get("volta"), package.get("engines")
    pinned = str(volta.get("node", "")) if isinstance(volta, dict) else ""
    if match := re.match(r"v?([0-9]{1,3})\b", pinned):
        return read(match[1], repository.at(path, '"volta"', '"node"'))
    wanted = str(engines.get("node", "")) if isinstance(engines, dict) else ""
    where = repository.at(path, '"engines"', '"node"')
    if match := re.fullmatch(r"[v=^~]*\s*([0-9]{1,3})(?:\.[\dx*.]+)?", wanted):
        return read(match[1], where)
    if not wanted or _allows(wanted, int(DEFAULT)):
        return None
    # The newest of long-term support that it allows, else the next one.
    best = int(DEFAULT)
    majors = sorted(range(12, best + 9), key=lambda n: (n > best, n % 2, abs(n - best)))
    allowed = next((str(n) for n in majors if _allows(wanted, n)), "")
    return guessed(allowed, where) if allowed else None


def _allows(wanted: str, major: int) -> bool:
    """Whether a range of versions allows the newest version of a major one."""
    for part in wanted.split("||"):
        words = re.sub(r"([<>=^~])\s+", r"\1", re.sub(r"(\S+)\s+-\s+(\S+)", r">=\1 <=\2", part))
        if all(_holds(word, major) for word in words.split()):
            return True
    return False


def _holds(word: str, major: int) -> bool:
    match = re.fullmatch(r"([<>=^~v]*)([0-9]{1,3})(?:\.([0-9]{1,4}|[x*]))?(?:\.[\w.*+-]+)?", word)
    if not match:
        return word in {"*", "x", "latest", "lts"}
    operator, number = match[1].replace("v", ""), int(match[2])
    if operator.startswith(">"):
        alone = operator == ">" and match[3] is None  # >20 is what comes behind 20
        return major > number if alone else major >= number
    if operator == "<" and match[3] in {None, "0", "x", "*"}:
        return major < number
    return major <= number if operator.startswith("<") else major == number
