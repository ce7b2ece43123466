"""What broke a run off, in words for a person, and a file with details of a fault of the tool."""

from __future__ import annotations

import platform
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path

from taskflow_containers.machine.errors import (
    EnvironmentTrouble,
    InputError,
    InternalError,
    Interrupted,
    TaskflowError,
)
from taskflow_containers.machine.process import masked, trouble
from taskflow_containers.machine.tools import not_installed
from taskflow_containers.project import FILE_NAME


def in_plain_words(error: BaseException, command: str, reports: Path) -> TaskflowError:
    """The error to show; the traceback of one that nobody foresaw goes to a file.

    That file is in `reports`, or in the temporary folder where `reports` cannot be written.
    """
    match error:
        case TaskflowError():
            return error
        case KeyboardInterrupt():
            return Interrupted("interrupted; everything started was removed", "run it again")
        case ModuleNotFoundError():
            return not_installed(error.name or str(error))
        case UnicodeDecodeError():
            line = error.object.count(b"\n", 0, error.start) + 1
            return InputError(
                f"a file of this project is not UTF-8 text, see its line {line}", "save it as UTF-8"
            )
        case OSError():
            where = error.filename or f"somewhere below {tempfile.gettempdir()}"
            reason = f"{error.strerror or error}: {where}"
            known = trouble(reason)
            hint = known.hint if known else "see that it is there and may be written to"
            return EnvironmentTrouble(reason, hint)
    said = " ".join(masked(f"{type(error).__name__}: {error}").split())[:200]
    place = _keep(error, command, reports)
    return InternalError(
        f"a fault of the tool itself, which says nothing about the project: {said}",
        f"its details are in {place}; report it with them" if place else "report it",
    )


def forget(command: str, reports: Path) -> None:
    """Remove the details of an earlier run's error: they are not of this run."""
    with suppress(OSError):
        _details(command, reports).unlink()


def _details(command: str, reports: Path) -> Path:
    return reports / f"{command}-error.txt"


def _keep(error: BaseException, command: str, reports: Path) -> str:
    """Write the traceback to a file; the file's path, or "" where no file can be written."""
    text = masked("".join(traceback.format_exception(error)))
    text = f"{command}, Python {platform.python_version()} on {platform.platform()}\n\n{text}"
    with suppress(OSError):
        if (reports.parent / FILE_NAME).is_file():
            reports.mkdir(exist_ok=True)
        path = _details(command, reports)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
        return f"{reports.name}/{path.name}"
    with (
        suppress(OSError),
        tempfile.NamedTemporaryFile(
            "w", prefix=f"taskflow-{command}-", suffix=".txt", delete=False,
            encoding="utf-8", errors="backslashreplace",
        ) as file,
    ):  # fmt: skip
        file.write(text)
        return file.name
    print(text, file=sys.stderr)
    return ""
