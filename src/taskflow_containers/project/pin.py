"""Whether this tool and the project belong together: both come from one commit of the template."""

from __future__ import annotations

import os
import re
from pathlib import Path

import yaml
from packaging.version import Version

from taskflow_containers.machine.distribution import Tool
from taskflow_containers.machine.errors import InputError
from taskflow_containers.project.files import tools_folder

PACKAGE_VARIABLE = "TASKFLOW_PACKAGE"
ANSWERS = ".copier-answers.yml"
BESIDE = ".copier-answers.taskflow.yml"  # of an adopted project that has another template's, too
PIN = "taskflow.txt"  # in the folder of tools
# The last line of the answers file, which the template writes: what Copier calls the commit, and its hash.
RENDERED = re.compile(r"^# (\S+) is the commit ([0-9a-f]{40,64})$", re.MULTILINE)
# What `git describe --tags --always` says, and Copier keeps as `_commit`.
_DESCRIBED = re.compile(
    r"(?:v?(?P<version>\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+?)?)(?:-\d+-g|$))?(?P<hash>[0-9a-f]{7,64})?"
)


def answers_file(root: Path) -> str:
    """The name of the file with the template's version and the answers to its questions."""
    return BESIDE if (root / BESIDE).is_file() else ANSWERS


def require_own_tool(root: Path) -> None:
    """Refuse to judge a project that was rendered from another version of the template.

    A project without an answers file has nothing to compare with, and a tool that a person chose, by
    TASKFLOW_PACKAGE or by running it from a folder, is theirs to answer for.

    Raises:
        InputError: the answers file names another commit or version than this tool is of.
    """
    tool = Tool.running()
    # Only a session of nox installs what the variable names.
    given = os.environ.get(PACKAGE_VARIABLE) and "NOX_CURRENT_SESSION" in os.environ
    chosen = tool.folder or given
    name = answers_file(root)
    if chosen or not (root / name).is_file():
        return
    unknown = InputError(
        f"{name} does not say which version of the template this project is of",
        "bring it back from git; `copier update` needs it too",
    )
    try:
        text = (root / name).read_text("utf-8")
        answers = yaml.safe_load(text)
        if "_commit" not in answers and "_src_path" in answers and not RENDERED.search(text):
            return  # the template was no git repository: whoever wrote the pin chose the tool
        described = str(answers["_commit"] or "")
    except (UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        raise unknown from None
    rendered = RENDERED.search(text)
    if not described:
        raise unknown
    if rendered and rendered[1] != described:
        raise InputError(
            f"{name} says {described}, but the project was rendered from {rendered[1]}",
            "bring the file back from git, then run `copier update`",
        )
    if not _agree(tool, described, rendered[2] if rendered else ""):
        raise InputError(
            f"this project is of the template's {described}, and this is {tool}",
            f"install what {tools_folder(root)}/{PIN} names, as the first lines of tasks.py (in an "
            "adopted project taskflow_tasks.py) say; if it names another one, "
            "run `copier update` again, or bring both files back from git",
        )


def _agree(tool: Tool, described: str, commit: str) -> bool:
    found = _DESCRIBED.fullmatch(described)
    if tool.commit and (known := commit or (found and found["hash"])):
        return tool.commit.startswith(known)
    # A wheel knows its version alone; between two versions nobody can tell.
    return not found or not found["version"] or Version(found["version"]) == Version(tool.version)
