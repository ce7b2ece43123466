"""`invoke release`: plan, ask, do it step by step with a journal; resume it, or take it back."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from taskflow_containers.machine.errors import (
    EnvironmentTrouble,
    ExitCode,
    InputError,
    NoEngineError,
    TaskflowError,
)
from taskflow_containers.machine.process import masked
from taskflow_containers.project import FILE_NAME
from taskflow_containers.release import forge
from taskflow_containers.release.git import Repository
from taskflow_containers.release.journal import ABORTED, DONE, Journal, lock
from taskflow_containers.release.plan import Options, Plan, Product, look
from taskflow_containers.release.step import Release, Step
from taskflow_containers.release.steps.git import Branch, Gate, Prepare, Push, Tag
from taskflow_containers.release.steps.images import Package, Promote, Publish, PushChart, Upload
from taskflow_containers.release.steps.papers import Announce, Attest
from taskflow_containers.report import REPORTS, reporting
from taskflow_containers.report.result import Report


def say(line: str) -> None:
    """Words go to stderr, secrets masked; stdout is for data."""
    print(masked(line), file=sys.stderr, flush=True)


def steps(release: Release) -> list[Step]:
    """All of them, in order: first what can be taken back, then what others see."""
    plan = release.plan
    found: list[Step] = [Prepare(release), Gate(release), Branch(release), Tag(release)]
    if plan.product.images:
        found.append(Promote(release))
    if not plan.push:
        return found
    found.append(Push(release))
    if plan.product.registry:
        found += [Upload(release, container) for container in plan.product.images]
        found.append(Publish(release))
        if plan.product.chart:
            found += [Package(release), PushChart(release)]
        found.append(Attest(release))
    if where := forge.find(release.repository, plan.remote):
        found.append(Announce(release, where))
    return found


def run(root: Path, given: argparse.Namespace, product: Callable[[], Product]) -> int:
    """Plan a release and carry it out, or bring an unfinished one to an end; an exit code.

    Raises:
        TaskflowError: it was stopped; the message says what is left and what to type.
    """
    options = Options(
        given.bump, given.version, given.push, given.remote, given.branch,
        getattr(given, "engine", ""),
    )  # fmt: skip
    if given.abort or given.resume:
        return _settle(root, options, given)
    return _release(root, product(), options, dry_run=given.dry_run, yes=given.yes)


def _settle(root: Path, options: Options, given: argparse.Namespace) -> int:
    """Bring an unfinished release to an end, --abort or --resume; both obey the plan it began with."""
    word = "abort" if given.abort else "resume"
    both = given.abort and given.resume
    asked = [name for name, said in (("dry-run", given.dry_run), ("resume", both)) if said]
    changed = replace(options, push=True) != Options()
    if asked or changed:
        beside = " and ".join(f"--{name}" for name in asked) or "other options"
        raise InputError(
            f"--{word} and {beside} exclude each other",
            f"an unfinished release keeps its plan: invoke release --{word}",
        )
    with _alone(root):
        made = _unfinished(root, whole=not given.abort)
        return _abort(made, "--abort") if given.abort else _resume(made, options.push, given.yes)


def _release(root: Path, product: Product, options: Options, *, dry_run: bool, yes: bool) -> int:
    with _alone(root):
        if unfinished := Journal.unfinished(root / REPORTS):
            raise InputError(
                f"the {unfinished.path.stem.replace('-', ' ', 1)} is unfinished",
                "invoke release --resume goes on with it, --abort takes it back",
            )
        plan, results = look(root, product, options)
        if plan is None:
            report = Report("release", results=list(results))
            report.close()
            reporting.show(report, Console(stderr=True, width=reporting.width()))
            return report.exit_code
        path = root / REPORTS / f"release-{plan.version}.json"
        journal = Journal(path, {"state": "planned", "plan": asdict(plan), "steps": {}})
        made = Release(root, plan, journal, say)
        _show(plan, steps(made))
        if dry_run:
            return ExitCode.OK
        _consent(plan, yes)
        made.journal = Journal.begin(path, asdict(plan))
        return _run(made)


def _resume(made: Release, push: bool, yes: bool) -> int:
    """Go on with the first undone step, once the done ones are found to hold still."""
    if push and all(made.journal.finished(step.id) for step in steps(made)):
        # All that --no-push asked for is done: what goes on is the rest.
        made.plan = replace(made.plan, push=True)
        made.journal.note(plan=asdict(made.plan))
    made.remove_checkout()
    for step in steps(made):
        if made.journal.finished(step.id) and (why := step.broken()):
            raise InputError(f"{step.id} no longer holds: {why}", "invoke release --abort")
    _show(made.plan, steps(made), made.journal)
    _consent(made.plan, yes)
    return _run(made)


def _abort(made: Release, why: str) -> int:
    """Take back what this release wrote here; say what remains elsewhere."""
    made.remove_checkout()
    known = steps(made)
    # Another version's, or what this environment has no token for.
    remains = [
        f"perhaps what {step} did: that cannot be looked at from here"
        for step in made.journal.data["steps"].keys() - {step.id for step in known}
    ]
    for step in reversed(known):
        if made.journal.started(step.id):
            remains += step.undo()
    shutil.rmtree(made.folder, ignore_errors=True)
    made.journal.state(ABORTED, why=masked(why), remains=remains)
    say(f"release {made.plan.version}: taken back here" + ("; what remains:" if remains else ""))
    for line in remains:
        say(f"  {line}")
    return ExitCode.OK


def _unfinished(root: Path, *, whole: bool) -> Release:
    journal = Journal.unfinished(root / REPORTS)
    if journal is None:
        raise InputError("there is no unfinished release", "invoke release --dry-run plans one")
    return Release(root, Plan.of(journal.data["plan"], whole=whole), journal, say)


def _run(made: Release) -> int:
    journal = made.journal
    public = False
    go_on = "invoke release --resume goes on from there, --abort takes it back"
    try:
        for step in steps(made):
            if not journal.finished(step.id):
                say(f"{step.id}: {step.describe()[0]}")
                journal.start(step.id)
                step.do()
                journal.finish(step.id)
            public = public or step.public
    except (EnvironmentTrouble, NoEngineError, OSError) as error:
        # The machine's or the network's fault: what was done is worth keeping.
        what = getattr(error, "message", f"{getattr(error, 'strerror', error)}")
        hint = f"{hint}; {go_on}" if (hint := getattr(error, "hint", "")) else go_on
        raise EnvironmentTrouble(f"{step.id}: {masked(what)}", masked(hint)) from None
    except TaskflowError as error:
        if public:
            error.hint = f"{error.hint}; {go_on}"
        else:
            _abort(made, error.message)
        raise
    except KeyboardInterrupt:
        say(f"interrupted; {go_on}")
        raise
    if not made.plan.push:
        say("not pushed; `invoke release --resume --push` does the rest, `--abort` takes it back")
        return ExitCode.OK
    journal.state(DONE)
    print(made.plan.tag)
    for image in made.images.values():
        digest = f"@{image['digest']}" if "digest" in image else ""
        print(f"{image['repository']}:{made.plan.version}{digest}")
    if made.images and not made.plan.product.registry:
        say(f"the images are on this machine alone: {FILE_NAME} names no registry to push to")
    return ExitCode.OK


def _show(plan: Plan, actions: Sequence[Step], journal: Journal | None = None) -> None:
    title = f"release {plan.version} after {plan.previous or 'none'}"
    title += f" for {plan.platform}" if plan.platform else ""
    table = Table(title=title, box=None)
    for heading in ("", "step", "what", "why"):
        table.add_column(heading, overflow="fold")
    for step in actions:
        mark = "✓" if journal and journal.finished(step.id) else "·"
        table.add_row(mark, step.id, *(escape(masked(text)) for text in step.describe()))
    console = Console(width=reporting.width())
    console.print(table)
    for line in plan.notes:
        console.print(escape(line), highlight=False, soft_wrap=True)


def _consent(plan: Plan, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise InputError("nobody is here to agree to this plan", "add --yes")
    print(f"release {plan.version}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise InputError("not agreed; nothing was done", "run it again when you are ready")


def _alone(root: Path) -> AbstractContextManager[None]:
    folder = Repository.at(root).git("rev-parse", "--path-format=absolute", "--git-common-dir")
    return lock(Path(folder, "taskflow-release.lock"))
