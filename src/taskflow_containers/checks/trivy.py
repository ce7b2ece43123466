"""Runs trivy, so that nothing but what is asked of it decides what it finds."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from taskflow_containers.machine.errors import EnvironmentTrouble, InputError
from taskflow_containers.machine.process import Completed, run
from taskflow_containers.machine.tools import tool

# Where its databases come from and how it gets there; any other variable may narrow what it looks for, or how it ends
# (https://trivy.dev/docs/latest/configuration/#environment-variables).
HEEDED = {
    f"TRIVY_{name}"
    for name in (
        "CACHE_DIR", "DB_REPOSITORY", "JAVA_DB_REPOSITORY", "SKIP_DB_UPDATE", "SKIP_JAVA_DB_UPDATE",
        "CACERT", "INSECURE", "USERNAME", "PASSWORD", "REGISTRY_TOKEN", "TIMEOUT",
    )
}  # fmt: skip
# Files that would decide what it finds, or what of it counts: waivers are in taskflow.toml.
_FILES = (
    "trivy.yaml", ".trivyignore", ".trivyignore.yaml", "trivy-secret.yaml",
)  # fmt: skip
_MODULES = Path(".trivy", "modules")  # in the user's home; each may change what trivy found
_SECONDS = 900
_TRUE = {"1", "t", "true"}  # as Go's strconv.ParseBool reads a variable, in any case

_vex: list[Path] = []


def heed(documents: Iterable[Path]) -> None:
    """Heed these OpenVEX documents from now on, in every scan.

    Raises:
        InputError: one of them is not there, or is none.
    """
    _vex[:] = documents
    for file in _vex:
        if not file.is_file():
            raise InputError(f"taskflow.toml: scan.vex: there is no file {file}", "mend the path")
        try:
            is_one = "@context" in json.loads(file.read_bytes())
        except (OSError, ValueError, TypeError):
            is_one = False
        if not is_one:
            raise InputError(
                f"taskflow.toml: scan.vex: {file} is no OpenVEX document",
                "mend it, or take it out: nothing is scanned with half of it",
            )


def unheeded(root: Path, chart: str) -> list[str]:
    """A line about each variable and file of trivy's, in a project and its chart, that decides nothing."""
    found = [name for name in sorted(os.environ) if _is_left_out(name)]
    found += [name for name in (*_FILES, f"{chart}/.trivyignore.yaml") if (root / name).exists()]
    with suppress(RuntimeError):  # there is no home
        found += [f"~/{_MODULES.as_posix()}"] if any((Path.home() / _MODULES).glob("*")) else []
    return [f"{name} is not heeded: taskflow.toml says what counts" for name in found]


def trivy(
    words: list[str | Path], output: Path, env: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], str]:
    """Trivy's JSON answer, or an empty one and the error it ended with.

    It takes the vulnerability database that is there (see `database.fetch`).

    Raises:
        EnvironmentTrouble: it did not end in time, or what it wrote is no answer.
    """
    said = call(
        [*words, "--exit-code=0", "--skip-version-check", "--format=json", "--skip-db-update",
         f"--ignorefile={os.devnull}", *(f"--vex={file}" for file in _vex), "--show-suppressed"],
        output, env, _SECONDS,
    )  # fmt: skip
    if said:
        return {}, said
    try:
        answer = json.loads(output.read_text(encoding="utf-8"))
        if not isinstance(answer, dict) or answer.get("SchemaVersion") != 2:
            raise ValueError(f"no report of schema version 2: {str(answer)[:60]}")
    except (OSError, ValueError) as error:
        raise EnvironmentTrouble(
            f"trivy ended well, and what it wrote cannot be read: {error}", "run the command again"
        ) from None
    return answer, ""


def call(
    words: list[str | Path], output: Path, env: Mapping[str, str] | None, seconds: float
) -> str:
    """Have it write a file; what it said if it failed, which is never nothing."""
    output.unlink(missing_ok=True)  # an older answer is none
    with _cache_of_its_own() as own:
        done = _run([*words, "--quiet", "--output", output], {**own, **(env or {})}, seconds)
    return _said(done)


def download(env: Mapping[str, str]) -> str:
    """Bring the vulnerability database up to date; what trivy said if it could not."""
    words: list[str | Path] = ["image", "--download-db-only", "--no-progress"]
    return _said(_run(words, {**env, "TRIVY_SKIP_DB_UPDATE": None}, _SECONDS))


def updates_switched_off() -> bool:
    """Whether whoever runs this provides the database himself (TRIVY_SKIP_DB_UPDATE)."""
    return os.environ.get("TRIVY_SKIP_DB_UPDATE", "").lower() in _TRUE


def cache() -> Path:
    """Where trivy keeps its databases: as its own default, Go's os.UserCacheDir, has it."""
    if given := os.environ.get("TRIVY_CACHE_DIR"):
        return Path(given)
    home = Path("~").expanduser()
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "trivy"
    variable = "LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME"
    return Path(os.environ.get(variable) or home / ".cache", "trivy")


def suppressed(answer: Mapping[str, Any]) -> Iterator[str]:
    """A line for each vulnerability that a VEX document says does not count."""
    for target in answer.get("Results") or ():
        for item in target.get("ExperimentalModifiedFindings") or ():
            found, why = item.get("Finding") or {}, item.get("Statement")
            yield (
                f"{found.get('VulnerabilityID')} {found.get('PkgName')}: {item.get('Status')}"
                + (f", {why}" if why else "")
                + f" ({Path(str(item.get('Source'))).name})"
            )


def _said(done: Completed) -> str:
    return (done.stderr.strip() or f"exit code {done.returncode}") if done.returncode else ""


@contextmanager
def _cache_of_its_own() -> Iterator[dict[str, str]]:
    """A cache that shares nothing but the databases.

    No other run locks it, and neither earlier answers nor checks that lie in the user's cache count.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in ("db", "java-db"):
            shared = cache().absolute() / name
            with suppress(OSError):
                shared.mkdir(parents=True, exist_ok=True)  # a Java database is downloaded on demand
            if shared.is_dir():
                _show(shared, Path(folder, name))
        yield {"TRIVY_CACHE_DIR": folder}


def _show(shared: Path, place: Path) -> None:
    try:
        place.symlink_to(shared, target_is_directory=True)
    except OSError:  # Windows lets not everybody make links
        shutil.copytree(shared, place, copy_function=_linked)


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _run(words: Iterable[str | Path], env: Mapping[str, str | None], seconds: float) -> Completed:
    neutral: dict[str, str | None] = {name: None for name in os.environ if _is_left_out(name)}
    neutral["TRIVY_MODULE_DIR"] = os.devnull
    neutral["TRIVY_TIMEOUT"] = os.environ.get("TRIVY_TIMEOUT") or f"{_SECONDS}s"
    return run([tool("trivy"), *words, "--config="], env={**neutral, **env}, timeout=seconds)


def _is_left_out(name: str) -> bool:
    return name.startswith("TRIVY_") and name not in HEEDED
