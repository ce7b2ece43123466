"""The template's versions: rendered by copier into folders of their own, and what lies between them."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from packaging.version import InvalidVersion, Version

from taskflow_containers.machine import interruption
from taskflow_containers.machine.errors import EnvironmentTrouble, InputError, TaskflowError
from taskflow_containers.machine.process import run, trouble
from taskflow_containers.project.pin import RENDERED, answers_file

_SHOWN = 40
# The short forms of a repository's address, as copier writes them out.
_SHORT = ((r"^gh:/?(.*?)(\.git)?$", r"https://github.com/\1.git"), (r"^gl:/?(.*?)(\.git)?$", r"https://gitlab.com/\1.git"), (r"^git\+", ""))  # fmt: skip


def answers(folder: Path) -> dict[str, Any]:
    """What the answers file of a project says.

    Raises:
        InputError: it is not there, or names no version of a template.
    """
    name = answers_file(folder)
    if not (folder / name).exists():
        raise InputError(
            f"{name} is not here ({folder})",
            "run this in the project's top folder; where it is missing there, bring it back from git; "
            "a project that never had one begins with `adopt`",
        )
    try:
        found = yaml.safe_load((folder / name).read_text("utf-8"))
        if found["_commit"] and found["_src_path"]:
            return dict(found)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        pass
    raise InputError(
        f"{name} does not say which version of which template this project is of",
        "bring it back from git",
    )


def render(
    root: Path, folder: Path, revision: str, given: Sequence[str] = (), held: str = ""
) -> dict[str, Any]:
    """Render a version (default: the newest) with the project's answers; the answers that it took.

    `given` are answers that replace the project's, as "question=value"; `held` is another answers file's
    text in its place.

    Raises:
        EnvironmentTrouble: copier is not there, or the template cannot be reached.
        InputError: the version is not there, or an answer is refused.
    """
    folder.mkdir()
    name = answers_file(root)
    if held:
        (folder / name).write_text(held, "utf-8")
    else:
        shutil.copy2(root / name, folder)
    words = ["recopy", "--defaults", "--overwrite", "--quiet", "--answers-file", name]
    words += ["--vcs-ref", revision] if revision else []
    words += [word for pair in given for word in ("--data", pair)]
    # The template's address may be a path that counts from the project.
    done = run(
        [sys.executable, "-W", "ignore", "-m", "copier", *words, folder], cwd=root, timeout=600
    )
    if done.returncode:
        said = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr + done.stdout)
        raise trouble(said, of_step=True) or _refused(said, revision, name)
    has = answers(folder)
    if unknown := [key for pair in given if (key := pair.partition("=")[0]) not in has]:
        asked = ", ".join(key for key in has if not key.startswith("_"))
        raise InputError(
            f"--answer {unknown[0]}: the template does not ask this project that",
            f"it asks {asked}",
        )
    return has


def both(
    root: Path, folder: Path, revisions: tuple[str, str], given: Sequence[str] = (), held: str = ""
) -> dict[str, Any]:
    """Render two versions side by side, as `old` (by the answers `held`) and `new` (with those given); the new answers."""
    with interruption.pool(2) as pool:
        old = pool.submit(render, root, folder / "old", revisions[0], held=held)
        new = pool.submit(render, root, folder / "new", revisions[1], given)
        old.result()
        return new.result()


def _refused(said: str, revision: str, name: str) -> TaskflowError:
    lines = [line.lstrip("| ").rstrip() for line in said.splitlines() if line.strip("| ")]
    plain = [line for line in lines if re.match(r"(fatal: |Validation error|\w*Error: )", line)]
    message = re.sub(r"^\w*Error: ", "", (plain or lines or ["no word of why"])[-1])
    if "Unknown revision" in message or "did not match" in message:
        return InputError(
            f"the template has no version {revision}",
            f"`git ls-remote --tags ADDRESS` lists those that it has; _commit of {name} names the project's",
        )
    if "fatal: " in message or "must be a directory" in message:
        return EnvironmentTrouble(f"the template cannot be had: {message}", "check its address in "
                                  f"_src_path of {name}, and your login there")  # fmt: skip
    return InputError(f"copier: {message}", "see --version and --answer")


def older(one: str, other: str) -> bool:
    """Whether what `git describe` calls `one` is of an earlier version than `other`; not where nobody can tell."""

    def place(described: str) -> tuple[Version, int]:
        # Where no tag comes before a commit, it is called by its hash alone.
        found = re.fullmatch(r"(.+\..+?)(?:-(\d+)-g[0-9a-f]+)?", described)
        return Version(found[1] if found else ""), int(found[2] or 0) if found else 0

    try:
        return place(one) < place(other)
    except InvalidVersion:
        return False


def commit(folder: Path) -> str:
    """The commit that a project was rendered from, or what its answers call it."""
    found = RENDERED.search((folder / answers_file(folder)).read_text("utf-8"))
    return found[2] if found else str(answers(folder)["_commit"])


def changes(root: Path, old: str, new: str) -> list[str]:
    """What the template says of the versions after `old` up to `new`: its changelog, or its commits."""
    address = str(answers(root)["_src_path"])
    for pattern, instead in _SHORT:
        address = re.sub(pattern, instead, address)
    with TemporaryDirectory() as folder:
        clone = Path(folder, "template.git")
        done = run(["git", "clone", "--quiet", "--bare", address, clone], cwd=root, timeout=600)
        if done.returncode:
            return [
                f"the template's history cannot be had: {done.stderr.strip().partition(chr(10))[0]}"
            ]
        git: list[str | Path] = ["git", "-C", clone]
        done = run(
            [
                *git,
                "diff",
                "--no-color",
                "--no-ext-diff",
                "--unified=0",
                old,
                new,
                "--",
                "CHANGELOG.md",
            ],
            timeout=60,
        )
        told = re.findall(r"^\+(?!\+\+ )(.*)", done.stdout, re.MULTILINE)
        if not told:
            done = run(
                [*git, "log", "--no-merges", "--no-show-signature", "--format=%s", f"{old}..{new}"],
                timeout=60,
            )
            told = done.stdout.splitlines()
    more = [f"… and {len(told) - _SHOWN} more"] if len(told) > _SHOWN else []
    return [*told[:_SHOWN], *more]
