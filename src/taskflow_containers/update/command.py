"""`invoke update`: plan, tell, write; and what is left to do then."""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from taskflow_containers.checks import locks, readme
from taskflow_containers.machine.errors import (
    EnvironmentTrouble,
    ExitCode,
    InputError,
    TaskflowError,
)
from taskflow_containers.machine.process import Completed, run, say_aloud
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.files import tools_folder
from taskflow_containers.project.load import load
from taskflow_containers.project.pin import answers_file
from taskflow_containers.update import rendering
from taskflow_containers.update.plan import Fate, File, dropped, plan
from taskflow_containers.update.rest import rest, under_way

PATIENCE = 600  # seconds for a package manager that resolves


def update(root: Path, options: argparse.Namespace) -> int:
    """Show what a newer version of the template brings, or bring it; 1 when conflicts are left."""
    given = list(options.answer)
    if wrong := [pair for pair in given if "=" not in pair]:
        raise InputError(f"--answer {wrong[0]}: no value", "write it as question=value")
    had = rendering.answers(root)
    if under_way(root):
        return _finish(root, options, str(had["_commit"]))
    if not options.preview:
        _require_clean(root)
    with TemporaryDirectory(prefix="taskflow-update-") as folder:
        old, new = Path(folder, "old"), Path(folder, "new")
        say_aloud("rendering the version that the project has, and the newer one")
        has = rendering.both(root, Path(folder), (str(had["_commit"]), options.version), given)
        if not options.version and rendering.older(str(has["_commit"]), str(had["_commit"])):
            return _newer_already(had, has, given)
        files = plan(root, old, new)
        print(f"{had['_src_path']}: {had['_commit']} -> {has['_commit']}")
        if not files:
            print("Nothing changes.")
            return ExitCode.OK
        _tell(files)
        _tell_questions(had, has)
        if options.preview:
            commits = [rendering.commit(one) for one in (old, new)]
            told = rendering.changes(root, *commits) if len({*commits}) > 1 else []
            print("\n".join(["", "Between them:", *(f"  {line}" for line in told)] if told else []))
        else:
            _bring(root, files)
    return _left(files)


def _newer_already(had: dict[str, Any], has: dict[str, Any], given: Sequence[str]) -> int:
    """What is of a commit after the newest tag goes back to none; only a version that is named does that."""
    said = f"the project is of {had['_commit']}, and the newest tag is {has['_commit']}, which is older"
    if given:
        raise InputError(said, f"name the version to render: --version {had['_commit']}")
    print(f"{said}. Nothing changes; --version takes another tag or a commit.")
    return ExitCode.OK


def _finish(root: Path, options: argparse.Namespace, version: str) -> int:
    """Do what is left of an update that is not committed."""
    if options.version or options.answer:
        raise InputError(
            f"the update to {version} is not committed",
            "finish it by `invoke update` and commit, or undo it by `git reset --hard`; then update again",
        )
    files = [*rest(root), *_dropped(root)]
    print(
        f"The update to {version} is not committed.{'' if files else ' Nothing else is left of it.'}"
    )
    _tell(files)
    if not options.preview:
        _bring(root, files)
        if written := [file.name for file in files if file.text is not None]:
            _git(root, "add", "--", *written)  # no longer unmerged
    return _left(files)


def _dropped(root: Path) -> list[File]:
    """What the newer version has no more; none where the template cannot be asked, which is said."""
    name = answers_file(root)
    held = _git(root, "show", f"HEAD:./{name}").stdout
    if not held or held == (root / name).read_text("utf-8"):
        return []
    with TemporaryDirectory(prefix="taskflow-update-") as folder:
        say_aloud("rendering both versions, to see what the newer one has no more")
        try:
            versions = (
                str(yaml.safe_load(held)["_commit"]),
                str(rendering.answers(root)["_commit"]),
            )
            rendering.both(root, Path(folder), versions, held=held)
        except (TaskflowError, yaml.YAMLError, LookupError, TypeError) as error:
            say_aloud(f"what it has no more is not looked at: {error}")
            return []
        return dropped(root, Path(folder, "old"), Path(folder, "new"))


def _left(files: Sequence[File]) -> int:
    conflicts = any(file.fate is Fate.CONFLICT for file in files)
    return ExitCode.CHECK_FAILED if conflicts else ExitCode.OK


def _bring(root: Path, files: Sequence[File]) -> None:
    names = [file.name for file in files]
    with _whole_or_nothing(root, [*names, *_chart_readme(root)]):
        _write(root, files)
        unresolved = _resolve(root, files)
        _list_values(root)
        _mark(root, [file for file in files if file.fate is Fate.CONFLICT])
    _say_what_is_next(root, files, unresolved)


def _git(root: Path, *words: str, stdin: str | Path | None = None) -> Completed:
    return run(["git", *words], cwd=root, stdin=stdin, timeout=60)


def _require_clean(root: Path) -> None:
    done = _git(root, "status", "--porcelain", "--", ".")
    if done.returncode:
        raise InputError(
            "this is no git repository", "an update needs one: git init -b main, add, commit"
        )
    if done.stdout:
        raise InputError(
            f"not committed: {', '.join(line[3:] for line in done.stdout.splitlines()[:3])}",
            "commit or stash it first",
        )


def _tell(files: Sequence[File]) -> None:
    for fate in Fate:
        chosen = [file for file in files if file.fate is fate]
        for file in chosen:
            places = f" ({'; '.join(file.clashes)})" if file.clashes else ""
            print(f"  {fate}: {file.name}{places}")


def _tell_questions(had: dict[str, Any], has: dict[str, Any]) -> None:
    asked = [key for key in has if key not in had and not key.startswith("_")]
    gone = [key for key in had if key not in has and not key.startswith("_")]
    print("".join(f"  new question: {key}, answered by {has[key]!r}\n" for key in asked), end="")
    print("".join(f"  no longer asked: {key}\n" for key in gone), end="")


@contextmanager
def _whole_or_nothing(root: Path, names: Sequence[str]) -> Iterator[None]:
    """Bring every file back when what is done with them breaks off."""
    paths = [root / name for name in names]
    before = {path: path.read_bytes() if path.is_file() else None for path in paths}
    modes = {path: path.stat().st_mode for path in paths if path.is_file()}
    try:
        yield
    except BaseException:
        left = []
        for path, held in before.items():
            try:
                _restore(root, path, held, modes.get(path, 0))
            except OSError:
                left.append(path.relative_to(root).as_posix())
        say_aloud(
            f"these are not as they were before, `git checkout -- FILE` brings them back: {', '.join(left)}"
            if left
            else "every file is as it was before"
        )
        raise


def _restore(root: Path, path: Path, held: bytes | None, mode: int) -> None:
    if held is None:
        if path.is_file():
            path.unlink()
            _remove_empty(root, path.parent)
        return
    if not path.is_file() or path.read_bytes() != held:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(held)
    if path.stat().st_mode != mode:
        path.chmod(mode)


def _write(root: Path, files: Sequence[File]) -> None:
    for file in files:
        path = root / file.name
        if file.fate is Fate.REMOVED:
            path.unlink()
            _remove_empty(root, path.parent)
        if file.text is None:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        crlf = path.is_file() and b"\r\n" in path.read_bytes()
        path.write_bytes(file.text.replace(b"\n", b"\r\n") if crlf else file.text)
        if file.mode and file.mode != path.stat().st_mode & 0o777:
            path.chmod(file.mode)


def _chart_readme(root: Path) -> list[str]:
    with suppress(TaskflowError):
        return [f"{load(root / FILE_NAME).files.chart}/README.md"]
    return []


def _list_values(root: Path) -> None:
    """Have the chart's README list the values that the chart now has, if it lists them."""
    for name in _chart_readme(root):
        chart = (root / name).parent
        with suppress(TaskflowError):
            if readme.check_readme(chart).failed:
                readme.update(chart)


def _remove_empty(root: Path, folder: Path) -> None:
    with suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent


def _resolve(root: Path, files: Sequence[File]) -> dict[str, str]:
    """Resolve the lock files that need it; for each that could not be, its command and why."""
    left: dict[str, str] = {}
    marked = {file.name for file in files if file.sides}
    # requirements.txt comes before those that it constrains.
    for file in sorted(
        (one for one in files if one.fate is Fate.LOCK), key=lambda one: len(one.name)
    ):
        path = root / file.name
        before = path.read_text("utf-8")
        words = locks.command(file.name, before)
        said = f"cd {PurePosixPath(file.name).parent} && {shlex.join(words)}"
        program = shutil.which(words[0])
        if not program:
            left[said] = f"{words[0]} is not here"
            continue
        source = locks.made_from(path)
        if source and source.relative_to(root).as_posix() in marked:
            left[said] = "after the conflict"
            continue
        say_aloud(f"resolving {file.name}")
        with suppress(OSError):
            try:
                done = run([program, *words[1:]], cwd=path.parent, timeout=PATIENCE)
                why = "" if done.returncode == 0 else _reason(done)
            except EnvironmentTrouble as error:
                why = error.message
            if why:
                path.write_text(before, "utf-8", newline="")
                left[said] = why
            elif path.suffix == ".txt":
                _keep_head(path, before)
    return left


def _reason(done: Completed) -> str:
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), [*lines, "it failed"][0])[:160]


def _keep_head(path: Path, before: str) -> None:
    """What stands above the first package, such as how to lock it and `-r`, is its owner's."""

    def parts(text: str) -> tuple[str, str]:
        lines = text.splitlines(keepends=True)
        first = next((at for at, line in enumerate(lines) if line[:1].isalnum()), len(lines))
        return "".join(lines[:first]), "".join(lines[first:])

    path.write_text(parts(before)[0] + parts(path.read_text("utf-8"))[1], "utf-8", newline="")


def _mark(root: Path, conflicts: Sequence[File]) -> None:
    """Tell git which files have markers, so that it commits none of them unseen."""
    prefix = _git(root, "rev-parse", "--show-prefix").stdout.strip()
    lines = []
    for file in conflicts:
        listed = _git(root, "ls-files", "--stage", "--", file.name).stdout.splitlines()
        if not file.sides or len(listed) != 1:  # none of git's, or unmerged already
            continue
        held = listed[0].split()
        ids = [held[1], *(_blob(root, text) for text in file.sides)]
        lines.append(f"0 {'0' * len(held[1])}\t{prefix}{file.name}")
        lines += [
            f"{held[0]} {id} {stage}\t{prefix}{file.name}"
            for id, stage in zip(ids, (2, 1, 3), strict=True)
        ]
    if lines:
        _git(root, "update-index", "--index-info", stdin="\n".join(lines) + "\n")


def _blob(root: Path, text: bytes) -> str:
    words = ["git", "hash-object", "-w", "--stdin"]
    done = subprocess.run(words, cwd=root, input=text, capture_output=True, check=True)
    return done.stdout.decode().strip()


def _say_what_is_next(root: Path, files: Sequence[File], unresolved: dict[str, str]) -> None:
    conflicts = [file for file in files if file.fate is Fate.CONFLICT]
    print("\nNext:")
    for file in conflicts:
        how = "take one of both" if file.sides else "yours was kept; look at the template's"
        print(f"  {file.name}: {how}")
    if kept := [file.name for file in files if file.fate is Fate.KEPT]:
        print(f"  git rm {shlex.join(kept)}   # unless you still need what you changed there")
    for words, why in unresolved.items():
        print(f"  {words}   # {why}")
    if any(file.name.startswith(f"{tools_folder(root)}/") for file in files):
        print("  install .venv anew, as the first lines of tasks.py (or taskflow_tasks.py) say")
    print("  git diff, nox, git add --all, git commit")
