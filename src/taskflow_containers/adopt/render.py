"""Have Copier render what is missing, and lay it into a repository without touching what is there."""

from __future__ import annotations

import os
import subprocess
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from taskflow_containers.machine.distribution import Tool
from taskflow_containers.machine.errors import EnvironmentTrouble, InputError
from taskflow_containers.project import FILE_NAME

_TOP = Path(__file__).parents[3]
_ANOTHER = "name its repository, or a folder with it: --template"


def template_of_this_tool() -> tuple[str, str | None]:
    """Where the template is that this tool came from, and at which revision.

    Raises:
        InputError: it was installed from a place that does not say.
    """
    tool = Tool.running()
    if tool.commit:
        source = tool.source
        return source.removeprefix("file://") if source.startswith(
            "file:"
        ) else f"git+{source}", tool.commit
    if (_TOP / "copier.yml").is_file():
        return str(_TOP), "HEAD"
    raise InputError(
        "this tool was installed without its template",
        _ANOTHER,
    )


def render(source: str, revision: str | None, answers: Mapping[str, Any], target: Path) -> None:
    """Render the template with these answers into an empty folder.

    Raises:
        InputError: an answer is refused, or the template cannot be read.
    """
    import copier

    try:
        with warnings.catch_warnings():
            # Uncommitted changes of a template's folder are what its author wants to try.
            warnings.simplefilter("ignore")
            copier.run_copy(
                source, target, data=dict(answers), defaults=True, quiet=True, vcs_ref=revision,
                answers_file=answers["adopted"]["files"]["answers"],
            )  # fmt: skip
    except (copier.errors.CopierError, ValueError) as error:
        if "template must be" in str(error):
            raise InputError(f"there is no template in {source}", _ANOTHER) from None
        raise InputError(" ".join(str(error).split()), "give another answer") from None
    except Exception as error:  # plumbum's, of git
        if type(error).__name__ != "ProcessExecutionError":
            raise
        last = str(getattr(error, "stderr", error)).strip().splitlines()[-1:]
        raise EnvironmentTrouble(
            f"the template {source} cannot be had: {''.join(last)}",
            "check its address and the network; `git ls-remote ADDRESS` must work",
        ) from None
    if not (target / FILE_NAME).is_file():
        raise InputError(f"{source} is no template that can adopt", _ANOTHER)


def lay(rendered: Path, root: Path, files: Sequence[str]) -> None:
    """Copy rendered files into a repository; where one cannot be written, none stays.

    Raises:
        InputError: one of them is there already.
        EnvironmentTrouble: one cannot be written.
    """
    made: list[Path] = []
    try:
        for name in files:
            target = root / name
            missing = [folder for folder in target.parents if not folder.exists()]
            for folder in reversed(missing):
                folder.mkdir()
                made.append(folder)
            # Exclusively: what came in between is not written over.
            with target.open("xb") as file:
                made.append(target)
                file.write((rendered / name).read_bytes())
    except OSError as error:
        _remove(made)
        if isinstance(error, FileExistsError):
            raise InputError(f"{error.filename} is there already", "run it again") from None
        raise EnvironmentTrouble(
            f"{error.filename or root} cannot be written: {error.strerror}",
            "mend that and run it again: nothing was added",
        ) from None
    except BaseException:
        _remove(made)
        raise


def _remove(made: Sequence[Path]) -> None:
    for path in reversed(made):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)


def listed(folder: Path) -> list[str]:
    """All files of a folder, as POSIX paths below it."""
    return sorted(
        (Path(parent) / name).relative_to(folder).as_posix()
        for parent, _, names in os.walk(folder)
        for name in names
    )


def ignored(root: Path, files: Sequence[str]) -> list[str]:
    """Those of the files that the repository's .gitignore would keep out of its commits."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "check-ignore", "--no-index", "--stdin", "-z"],
            input="\0".join(files), capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [name for name in done.stdout.split("\0") if name]


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for what is rendered, removed with all that is in it."""
    return tempfile.TemporaryDirectory(prefix="taskflow-adopt-", ignore_cleanup_errors=True)
