"""`invoke release`: plan, ask, do it step by step with a journal; resume it, or take it back."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
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
from taskflow_containers.machine.process import masked, say_aloud
from taskflow_containers.project import FILE_NAME
from taskflow_containers.release import forge
from taskflow_containers.release.git import Repository
from taskflow_containers.release.journal import Journal, lock
from taskflow_containers.release.plan import ReleaseOptions, look
from taskflow_containers.release.registry import STAY
from taskflow_containers.release.state import ABORTED, DONE, Product
from taskflow_containers.release.step import OpenRelease, Step
from taskflow_containers.release.steps.chart import Package, PushChart
from taskflow_containers.release.steps.git import Branch, Gate, Prepare, Propose, Push, Tag
from taskflow_containers.release.steps.images import Promote, Publish, Upload
from taskflow_containers.release.steps.papers import Announce, Attest
from taskflow_containers.report import REPORTS, terminal
from taskflow_containers.report.result import Report

GO_ON = "invoke release --resume goes on from there, --abort takes it back"


def steps(release: OpenRelease) -> list[Step]:
    """All of them, in order: first what can be taken back, then what others see."""
    plan = release.plan
    found: list[Step] = [Prepare(release)]
    if plan.way == "propose":
        return [*found, Propose(release)]
    charts = plan.product.chart in plan.product.pushed
    found += [Gate(release), *([Package(release)] if charts else [])]
    found += [Branch(release)] if plan.way == "direct" else []
    found += [Tag(release)] if plan.way != "tagged" else []
    if plan.product.images:
        found.append(Promote(release))
    if not plan.push:
        return found
    found += [Push(release)] if plan.way != "tagged" else []
    if plan.product.registry:
        found += [Upload(release, container) for container in plan.product.images]
        found.append(Publish(release))
        if charts:
            found.append(PushChart(release))
        found.append(Attest(release))
    if where := forge.find(release.repository, plan.remote):
        found.append(Announce(release, where))
    return found


def run(root: Path, given: argparse.Namespace, product: Callable[[], Product]) -> int:
    """Plan a release and carry it out, or bring an unfinished one to an end; an exit code.

    Raises:
        TaskflowError: it was stopped; the message says what is left and what to type.
    """
    options = ReleaseOptions(
        given.bump, given.version, given.push, given.remote, given.branch,
        getattr(given, "engine", ""), given.pull_request, given.tagged,
    )  # fmt: skip
    if options.pull_request and not options.push:
        raise InputError("--pull-request is a push; --no-push excludes it", "leave one of them out")
    if options.tagged and options != ReleaseOptions(
        remote=options.remote, engine=options.engine, tagged=True
    ):
        raise InputError(
            "--tagged publishes what a tag names as it is", "leave the other options out"
        )
    if not (given.abort or given.resume):
        with _alone(root):
            return _begin(root, product(), options, given)
    word = "abort" if given.abort else "resume"
    both = given.abort and given.resume
    beside = [name for name, said in (("--dry-run", given.dry_run), ("--resume", both)) if said]
    if options not in {ReleaseOptions(), ReleaseOptions(push=False)}:
        beside.append("other options")
    if beside:
        raise InputError(
            f"--{word} and {' and '.join(beside)} exclude each other",
            f"an unfinished release keeps its plan: invoke release --{word}",
        )
    with _alone(root):
        journal = Journal.unfinished(root / REPORTS)
        if journal is None:
            raise InputError("there is no unfinished release", "invoke release --dry-run plans one")
        if not given.abort:
            journal.require_known()
        release = OpenRelease(root, journal, say_aloud)
        return _abort(release, "--abort") if given.abort else _resume(release, given)


def _begin(root: Path, product: Product, options: ReleaseOptions, given: argparse.Namespace) -> int:
    if unfinished := Journal.unfinished(root / REPORTS):
        raise InputError(
            f"the release {unfinished.state.plan.version} is unfinished",
            "invoke release --resume goes on with it, --abort takes it back",
        )
    plan, results = look(root, product, options)
    if plan is None:
        report = Report("release", results=list(results))
        report.close()
        terminal.show(report, Console(stderr=True, width=terminal.width()), verbose=True)
        return report.exit_code
    release = OpenRelease(
        root, Journal.of(root / REPORTS / f"release-{plan.version}.json", plan), say_aloud
    )
    if given.dry_run:
        _show(release)
        return ExitCode.OK
    return _agreed(release, given)


def _resume(release: OpenRelease, given: argparse.Namespace) -> int:
    """Go on with the first undone step, once the done ones are found to hold still."""
    finished = release.journal.finished
    if given.push and all(finished(step.id) for step in steps(release)):
        release.plan.push = True  # all that --no-push asked for is done: what goes on is the rest
    release.remove_checkout()
    for step in steps(release):
        if finished(step.id) and (why := step.broken()):
            raise InputError(f"{step.id} no longer holds: {why}", "invoke release --abort")
    return _agreed(release, given)


def _agreed(release: OpenRelease, given: argparse.Namespace) -> int:
    """Show the plan, and carry it out once somebody agrees to it."""
    _show(release)
    if not given.yes:
        if not sys.stdin.isatty():
            raise InputError("nobody is here to agree to this plan", "add --yes")
        print(f"release {release.version}? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise InputError("not agreed; nothing was done", "run it again when you are ready")
    release.journal.write()
    return _run(release)


def _abort(release: OpenRelease, why: str) -> int:
    """Take back what this release wrote here; say what remains elsewhere."""
    release.remove_checkout()
    state, journal, known = release.state, release.journal, steps(release)
    # Another version's, or what this environment has no token for.
    ids = {step.id for step in known}
    remains = [
        f"perhaps what {step} did: that cannot be looked at from here"
        for step in state.steps
        if step not in ids
    ]
    if journal.unread:
        fields = ", ".join(journal.unread)
        remains.append(f"perhaps more: the journal's {fields} mean nothing to this version")
    for step in reversed(known):
        if journal.started(step.id):
            remains += step.undo()
    shutil.rmtree(release.folder, ignore_errors=True)
    state.why, state.remains = masked(why), remains
    journal.end(ABORTED)
    say_aloud(
        f"release {release.version}: taken back here" + ("; what remains:" if remains else "")
    )
    for line in remains:
        say_aloud(f"  {line}")
    return ExitCode.OK


def _run(release: OpenRelease) -> int:
    journal, plan = release.journal, release.plan
    public = False
    todo = steps(release)
    try:
        for step in todo:
            if not journal.finished(step.id):
                say_aloud(f"{step.id}: {step.describe()[0]}")
                journal.start(step.id)
                step.do()
                journal.finish(step.id)
            public = public or step.public
    except (EnvironmentTrouble, NoEngineError, OSError) as error:
        # The machine's or the network's fault: what was done is worth keeping.
        what = getattr(error, "message", f"{getattr(error, 'strerror', error)}")
        hint = f"{hint}; {GO_ON}" if (hint := getattr(error, "hint", "")) else GO_ON
        raise EnvironmentTrouble(f"{step.id}: {masked(what)}", masked(hint)) from None
    except TaskflowError as error:
        if public:
            error.hint = f"{error.hint}; {GO_ON}"
        else:
            _abort(release, error.message)
        raise
    except KeyboardInterrupt:
        say_aloud(f"interrupted; {GO_ON}")
        raise
    if not plan.push:
        say_aloud(
            "not pushed; `invoke release --resume --push` does the rest, `--abort` takes it back"
        )
        return ExitCode.OK
    journal.end(DONE)
    if plan.way == "propose":
        print(plan.proposal)
        say_aloud(f"merge {plan.proposal} into {plan.branch}; `invoke release` there publishes it")
        return ExitCode.OK
    print(plan.tag)
    for image in release.state.images.values():
        print(f"{image.repository}:{plan.version}" + f"@{image.digest}" * bool(image.digest))
    for image in release.state.images.values():
        if image.refused:
            say_aloud(
                f"{', '.join(image.refused)} of {image.repository} did not move: the registry "
                f"refused it; {STAY} leaves such tags out"
            )
    if release.state.images and not plan.product.registry:
        say_aloud(f"the images are on this machine alone: {FILE_NAME} names no registry to push to")
    return ExitCode.OK


def _show(release: OpenRelease) -> None:
    plan = release.plan
    title = f"release {plan.version} after {plan.previous or 'none'}"
    title += f" for {plan.platform}" if plan.platform else ""
    table = Table(title=title, box=None)
    for heading in ("", "step", "what", "why"):
        table.add_column(heading, overflow="fold")
    for step in steps(release):
        mark = "✓" if release.journal.finished(step.id) else "·"
        table.add_row(mark, step.id, *(escape(masked(text)) for text in step.describe()))
    console = Console(width=terminal.width())
    console.print(table)
    for line in plan.notes:
        console.print(escape(line), highlight=False, soft_wrap=True)


def _alone(root: Path) -> AbstractContextManager[None]:
    folder = Repository.at(root).git("rev-parse", "--path-format=absolute", "--git-common-dir")
    return lock(Path(folder, "taskflow-release.lock"))
