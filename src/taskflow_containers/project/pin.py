"""Whether this tool and the project belong together: both come from one commit of the template."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from packaging.version import Version

from taskflow_containers.machine.errors import InputError

DISTRIBUTION = "taskflow-containers"
PACKAGE_VARIABLE = "TASKFLOW_PACKAGE"
ANSWERS = ".copier-answers.yml"
PIN = "tools/taskflow.txt"
# The last line of the answers file, which the template writes: what Copier calls the commit, and its hash.
_RENDERED = re.compile(r"^# (\S+) is the commit ([0-9a-f]{40,64})$", re.MULTILINE)
# What `git describe --tags --always` says, and Copier keeps as `_commit`.
_DESCRIBED = re.compile(
    r"(?:v?(?P<version>\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+?)?)(?:-\d+-g|$))?(?P<hash>[0-9a-f]{7,64})?"
)


@dataclass(frozen=True, slots=True)
class Tool:
    """An installation of this tool: its version, and the full commit if it was installed from git.

    `chosen` says that a person put it in the place of the pinned one.
    """

    version: str
    commit: str = ""
    chosen: bool = False

    def __str__(self) -> str:
        return f"{self.version} ({self.commit[:12]})" if self.commit else self.version


def installed() -> Tool | None:
    """This very installation, by its metadata (PEP 610); None where it has none."""
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return None
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    chosen = bool(os.environ.get(PACKAGE_VARIABLE)) or "dir_info" in origin
    return Tool(distribution.version, origin.get("vcs_info", {}).get("commit_id", ""), chosen)


def require_own_tool(root: Path) -> None:
    """Refuse to judge a project that was rendered from another version of the template.

    A project without an answers file has nothing to compare with, and a tool that a person chose (by
    TASKFLOW_PACKAGE, or from a folder) is theirs to answer for.

    Raises:
        InputError: the answers file names another commit or version than this tool is of.
    """
    tool = installed()
    if tool is None or tool.chosen or not (root / ANSWERS).is_file():
        return
    text = (root / ANSWERS).read_text("utf-8")
    try:
        described = str(yaml.safe_load(text)["_commit"])
    except (yaml.YAMLError, KeyError, TypeError):
        raise InputError(
            f"{ANSWERS} does not say which version of the template this project is of",
            "bring it back from git; `copier update` needs it too",
        ) from None
    rendered = _RENDERED.search(text)
    if rendered and rendered[1] != described:
        raise InputError(
            f"{ANSWERS} says {described}, but the project was rendered from {rendered[1]}",
            "bring the file back from git, then run `copier update`",
        )
    if not _agree(tool, described, rendered[2] if rendered else ""):
        raise InputError(
            f"this project is of the template's {described}, and the tool is {tool}",
            f"let {PIN} name that version, as `copier update` does, or set {PACKAGE_VARIABLE}",
        )


def _agree(tool: Tool, described: str, commit: str) -> bool:
    found = _DESCRIBED.fullmatch(described)
    if tool.commit and (known := commit or (found and found["hash"])):
        return tool.commit.startswith(known)
    # A wheel knows its version alone; between two versions nobody can tell.
    return not found or not found["version"] or Version(found["version"]) == Version(tool.version)
