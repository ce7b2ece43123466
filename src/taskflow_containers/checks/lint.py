"""Lint: the contract's text levels, hadolint, and each container's own linters, side by side."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from taskflow_containers.checks import build, locks
from taskflow_containers.contract.instructions import with_plain_heredocs
from taskflow_containers.contract.text import check_text
from taskflow_containers.engine.find import find
from taskflow_containers.machine import interruption
from taskflow_containers.machine.errors import NoEngineError
from taskflow_containers.machine.process import run
from taskflow_containers.machine.tools import (
    CACHE,
    NODE_LOCKS,
    node_modules,
    node_path,
    python_environment,
    tool,
)
from taskflow_containers.project.model import Project
from taskflow_containers.report.result import Result, judge, skip
from taskflow_containers.workspace import Target, Workspace

_SHOWN_LINES = 20
_MAKE_IT = (
    "name ruff and mypy in pyproject.toml under [dependency-groups] dev, then "
    "`uv pip compile --generate-hashes --group dev -o requirements-dev.txt`"
)


def lint(root: Path, project: Project, names: Iterable[str], engine: str = "") -> list[Result]:
    """Every check that needs no running container."""
    names = list(names)
    # These wait for the engine, so the linters have the cores meanwhile.
    jobs: list[Callable[[], list[Result]]] = [
        partial(_built, root, project, names, engine),
        partial(check_text, root, project, names),
    ]
    for name in names:
        jobs.append(partial(_linters, root, Target.of(root, project, name)))
        jobs.append(partial(_hadolint, root, name, project.dockerfile(name)))
    with interruption.pool(4) as pool:
        return [result for results in pool.map(lambda job: job(), jobs) for result in results]


def _linters(root: Path, target: Target) -> list[Result]:
    if not target.container.lint:
        return []
    if target.container.interpreter[0] == "node":
        return _node(root, target)
    held = locks.check(root, target.name, target.folder)
    # Locks that contradict each other cannot be installed.
    return [held] if held.failed else [held, *_python(root, target)]


def _python(root: Path, target: Target) -> list[Result]:
    name, folder = target.name, target.folder
    requirements = folder / "requirements-dev.txt"
    place = requirements.relative_to(root).as_posix()
    if not requirements.is_file():
        reason = f"{place} is not there: {_MAKE_IT}"
        return [skip("lint.python", "Python linters", reason, container=name)]
    # Its header's command leaves out the line `-r requirements.txt`, which the linters need.
    runs_on = [path for path in locks.beside(requirements) if locks.made_from(path)]
    scripts = python_environment(root, name, requirements, *runs_on)
    absent = [word for word in ("ruff", "mypy") if not shutil.which(word, path=scripts)]
    if absent:
        # A finding like the others, so that those are told too.
        return [judge("lint.python", "Python linters", False, container=name,
                      expected="ruff, mypy", measured=f"without {', '.join(absent)}",
                      location=place, fix=_MAKE_IT)]  # fmt: skip
    cache = root / CACHE / f"mypy-{name}"
    return [
        _program(f"lint.{id}", title, name, root, folder, [scripts / program, *words], fix)
        for id, title, program, words, fix in (
            ("ruff", "ruff check", "ruff", ("check", "."), "`ruff check --fix` mends most of it"),
            ("ruff-format", "ruff format", "ruff", ("format", "--check", "."), "`ruff format` mends it"),
            ("mypy", "mypy --strict", "mypy", ("--cache-dir", cache, "src"), "mend the types named under detail"),
        )
    ]  # fmt: skip


def _node(root: Path, target: Target) -> list[Result]:
    name, folder = target.name, target.folder
    found = [lock for lock in NODE_LOCKS if (folder / lock).is_file()]
    if len(found) != 1:
        # A finding like the others, so that those are told too.
        return [judge("lint.npm-lock", "the packages' lock file", False, container=name,
                      expected=f"one of {', '.join(NODE_LOCKS)}",
                      measured=" and ".join(found) or "no such file",
                      location=(folder / NODE_LOCKS[0]).relative_to(root).as_posix(),
                      fix="commit your package manager's (`npm install` makes npm's), and no other's")]  # fmt: skip
    held = locks.check(root, name, folder)
    if held.failed:
        return [held]  # the package manager would install nothing
    node_modules(root, folder, folder / found[0], target.container.ours)
    scripts = [
        _program(f"lint.npm-{script}", f"npm run {script}", name, root, folder,
                 ["node", "--run", script], f"`npm run {script}` shows it", node_path())
        for script in ("lint", "typecheck")
    ]  # fmt: skip
    return [held, *scripts]


def _program(
    id: str,
    title: str,
    container: str,
    root: Path,
    folder: Path,
    argv: list[str | Path],
    fix: str,
    env: dict[str, str] | None = None,
) -> Result:
    started = time.monotonic()
    done = run(argv, cwd=folder, env={"NO_COLOR": "1", **(env or {})}, timeout=600)
    lines = [line.rstrip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    findings = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines[:_SHOWN_LINES]))
    return judge(
        id,
        title,
        done.returncode == 0,
        container=container,
        expected="no finding",
        measured="no finding" if done.returncode == 0 else f"exit code {done.returncode}",
        detail="" if done.returncode == 0 else findings,
        fix=fix,
        location=folder.relative_to(root).as_posix(),
        seconds=time.monotonic() - started,
    )


def _hadolint(root: Path, name: str, dockerfile: str) -> list[Result]:
    path = root / dockerfile
    if not path.is_file():
        return []  # the contract says so
    started = time.monotonic()
    text, numbers = with_plain_heredocs(path.read_text("utf-8", errors="replace"))
    # Where it runs is where it looks for .hadolint.yaml.
    done = run([tool("hadolint"), "--format", "json", "-"], cwd=root, stdin=text, timeout=120)
    # A threshold in .hadolint.yaml decides what fails, and only the exit code tells.
    passed = done.returncode == 0
    try:
        findings = json.loads(done.stdout)
    except ValueError:
        passed = False
        findings = [
            {"code": "hadolint", "line": 1, "message": done.stderr.strip().partition("\n")[0]}
        ]
    lines = [
        f"{f['code']} {dockerfile}:{numbers[min(f['line'], len(numbers)) - 1]}: {f['message']}"
        for f in findings
    ]
    minor = " below the failure threshold" if passed else ""
    return [
        judge(
            "lint.hadolint",
            "hadolint",
            passed,
            container=name,
            expected="no finding",
            measured=f"{len(lines)} findings{minor}" if lines else "no finding",
            detail="\n".join(lines[:_SHOWN_LINES]),
            location=lines[0].split(" ")[1].removesuffix(":") if lines else "",
            fix="each rule is explained in hadolint's wiki under its code",
            seconds=time.monotonic() - started,
            findings=lines,
        )
    ]


def _built(root: Path, project: Project, names: list[str], choice: str) -> list[Result]:
    """The contract's image level, where an image of these very sources exists."""
    title = "built image"
    try:
        workspace = Workspace(root, project, find(choice))
    except NoEngineError as error:
        return [skip("contract.image", title, error.message)]
    results = []
    for name in names:
        if not (root / project.dockerfile(name)).is_file():
            continue
        image, reason = build.current_image(workspace, name)
        if image:
            results += build.check_built(workspace, name, image)
        else:
            results.append(skip("contract.image", title, reason, container=name))
    return results
