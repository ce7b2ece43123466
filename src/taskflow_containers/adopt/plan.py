"""What an adoption adds, under which names, and what its owner has to know; nothing is written yet."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import packaging.version

from taskflow_containers.adopt import names, parts
from taskflow_containers.adopt.names import Part, Taken
from taskflow_containers.machine.errors import InputError
from taskflow_containers.project import FILE_NAME
from taskflow_containers.release import versionfiles
from taskflow_containers.report import REPORTS

_FIRST = "0.1.0"  # the version of what states none


@dataclass(frozen=True, slots=True)
class Plan:
    """The answers that Copier is given, and what is to be said of them."""

    answers: Mapping[str, Any]
    taken: tuple[Taken, ...]
    by_hand: tuple[str, ...] = field(default=())  # lines that only the owner can add

    @property
    def files(self) -> Mapping[str, str]:
        """What the template's files at the top are called here."""
        found: Mapping[str, str] = self.answers["adopted"]["files"]
        return found

    def shown_as(self, name: str) -> str:
        """A file, or with a slash the folder of ours that it is in."""
        inside = [
            part["ours"] if part["context"] == "." else f"{part['context']}/{part['ours']}"
            for part in self.parts
        ]
        for folder in (self.files["chart"], self.files["tools"], *inside):
            if name.startswith(f"{folder}/"):
                return f"{folder}/"
        return name

    @property
    def parts(self) -> list[Part]:
        """The containers."""
        found: list[Part] = self.answers["adopted"]["containers"]
        return found


def make(
    root: Path,
    containers: list[Part],
    services: Mapping[str, Part],
    answers: Mapping[str, str],
    driver: str = "",
) -> Plan:
    """Work out names and what follows from what was found; `answers` are those of the usual questions.

    `driver` is how the application writes its database's URL, such as postgresql+asyncpg.

    Raises:
        InputError: there is nothing to put into a container.
    """
    if not containers:
        raise InputError(
            f"{root} has no application that this template knows: an ASGI application in Python, or Next.js",
            "name the folder that holds one, or start with `copier copy`",
        )
    for part in containers:
        usual = {k: driver for k, v in part["connects"].items() if v in services and "+" in driver}
        forms = usual | part.get("connects_as", {})
        part["connects_as"] = {key: form for key, form in forms.items() if form != "postgresql"}
        public = root / part["context"] / part.get("app", "") / "public"
        if part["kind"] == "frontend":
            part["public_files"] = public.is_dir() and any(public.iterdir())
    parts.complete(containers, services)
    top = names.top_level(root, answers["ci"])
    taken = names.of_containers(root, containers)
    at_the_top = [name for key, name in top.files.items() if name and key != "gitignore"]
    for part in containers:
        # In the project's top folder there is also what the other files are for.
        if part["context"] == ".":
            part["ignore"] = sorted({*at_the_top, FILE_NAME, REPORTS})
    folders = [f"{part['context']}/{part.get('app', '')}" for part in containers]
    stated = versionfiles.highest(root, folders)
    adopted = {
        "files": dict(top.files),
        "containers": containers,
        "services": dict(services),
        "version": max(_FIRST, stated or _FIRST, key=packaging.version.Version),
    }
    hands = (*_by_hand(root, top.files), *_same_name(root, containers))
    return Plan({**answers, "adopted": adopted}, top.taken + taken, hands)


def _same_name(root: Path, containers: list[Part]) -> Iterator[str]:
    """What has the name under which the template's code lies in the image of a Python application."""
    for part in containers:
        app = root / part["context"] / part.get("app", "")
        for folder in (app, app / part.get("path", "")):
            for name in (names.OURS, f"{names.OURS}.py"):
                if part["runtime"] == "python" and (folder / name).exists():
                    place = (folder / name).relative_to(root).as_posix()
                    yield (
                        f"{place}: give it another name, for what serves an application in the image "
                        f"is the package `{names.OURS}`"
                    )
                    return


def _by_hand(root: Path, files: Mapping[str, str]) -> tuple[str, ...]:
    found: list[str] = []
    if files["nox"] != "noxfile.py":
        module = Path(files["nox"]).stem
        found.append(
            f'noxfile.py: add `import sys; sys.path.append("."); import {module}`: '
            "nox lists these sessions too"
        )
    if files["tasks"] != "tasks.py":
        module = Path(files["tasks"]).stem
        found.append(f"tasks.py: add `from {module} import *`, and invoke lists these tasks too")
    if files["ci"].startswith(".gitlab/"):
        found.append(f".gitlab-ci.yml: add `include: {{local: {files['ci']}}}`")
    if not files["gitignore"]:
        unseen = [name for name in (".nox/x", "reports/x", ".venv/x") if not _ignores(root, name)]
        if unseen:
            lines = ", ".join(f"`{name[:-1]}`" for name in unseen)
            found.append(f".gitignore: add {lines}, which hold what the tools make")
    return tuple(found)


def _ignores(root: Path, name: str) -> bool:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "check-ignore", "--no-index", "--quiet", name],
            capture_output=True, check=False, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def usual_answers(root: Path) -> dict[str, str]:
    """What the usual questions are answered with, by the folder's name, its remote and its CI files."""
    remote = _remote(root)
    host, _, path = remote.partition("/")
    title = re.sub(r"[^\w .&+-]+", " ", path.rpartition("/")[2] or root.resolve().name).strip()[:60]
    registry = {
        "github.com": f"ghcr.io/{path.partition('/')[0]}",
        "gitlab.com": f"registry.gitlab.com/{path}",
    }
    known = {".github": "github", ".gitlab-ci.yml": "gitlab"}
    ci = next((ci for name, ci in known.items() if (root / name).exists()), "")
    by_host = {"github.com": "github", "gitlab.com": "gitlab"}.get(host, "none")
    name = title.lstrip("_ .&+-") or "TaskFlow"
    return {
        "project_name": name,
        "description": f"{name} in containers.",
        "registry": registry.get(host, "").lower(),
        "ci": ci or by_host,
    }


def _remote(root: Path) -> str:
    """The host and path of the repository's origin, such as github.com/acme/shop; empty without one."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "remote", "get-url", "origin"],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    url = done.stdout.strip() if not done.returncode else ""
    found = re.fullmatch(r"(?:[a-z+]+://)?(?:[^@/]+@)?([\w.-]+)(?::\d+)?[/:](.+?)(?:\.git)?/?", url)
    return f"{found[1]}/{found[2]}" if found and "." in found[1] else ""
