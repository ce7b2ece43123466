"""What verifies a project: one report for each command, shown, written and judged."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path

from rich.console import Console

from taskflow_containers.checks import trivy
from taskflow_containers.checks.build import Image, notes, substitution_notes
from taskflow_containers.checks.build import build as build_images
from taskflow_containers.engine.find import find
from taskflow_containers.machine import switches, tools
from taskflow_containers.machine.errors import ExitCode, TaskflowError, UsageError
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load
from taskflow_containers.project.markers import require_merged
from taskflow_containers.project.model import Project
from taskflow_containers.project.pin import require_own_tool
from taskflow_containers.release import git
from taskflow_containers.report import REPORTS, history, index, reporting, terminal, waivers
from taskflow_containers.report.failures import in_plain_words
from taskflow_containers.report.progress import Progress
from taskflow_containers.report.result import Report, judge
from taskflow_containers.report.writing import save
from taskflow_containers.workspace import Workspace


class _Console(Console):
    """A reader that has left, as `head` does, takes no verdict along."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Run:
    """One command under way; `outside` any project there is no `project` and there are no `names`."""

    def __init__(
        self, root: Path, options: argparse.Namespace, report: Report, progress: Progress,
        *, outside: bool = False,
    ) -> None:  # fmt: skip
        self.root, self.options, self.report, self.progress = root, options, report, progress
        self.say = progress.say
        if outside:
            return
        report.commit = commit.text if (commit := git.revision(root)) else ""
        require_own_tool(root)
        require_merged(root)
        self.project: Project = load(root / FILE_NAME)
        tools.choose(root, self.project.tools.model_dump())
        self.names = list(self.project.select(getattr(options, "containers", [])))

    def workspace(self, *used: str) -> Workspace:
        """Find the engine, and note what stands in for the images that are used."""
        engine = find(self.options.engine)
        containers = [self.project.containers[name] for name in self.names]
        bases = [image for one in containers for image in (one.base, one.build_image)]
        self.report.notes += [engine.description, *substitution_notes([*bases, *used])]
        return Workspace(self.root, self.project, engine, self.say, self.report.notes.append)

    def built(
        self, workspace: Workspace, *, pull: bool = False, export: bool = False
    ) -> list[Image]:
        """Build the images; empty, and the report says why, when one of them cannot be used.

        The engine's cache tells what is still good: a second build of the same sources is a look-up.
        """
        images = build_images(
            workspace, self.names, no_cache=self.options.no_cache, pull=pull, export=export
        )
        self.report.notes += notes(workspace, self.names)
        self.report.images = {image.tags[0]: image.id for image in images if image.usable}
        if export or not all(image.usable for image in images):
            for image in images:
                self.report.add(image.results)
            return []
        return images


def lint(root: Path, options: argparse.Namespace) -> int:
    """`nox -s lint`."""
    from taskflow_containers.checks.lint import lint as check

    def run_lint(run: _Run) -> None:
        run.report.notes.append(tools.identity("hadolint"))
        run.report.add(check(root, run.project, run.names, options.engine))

    return _report(root, options, run_lint)


def build(root: Path, options: argparse.Namespace) -> int:
    """`nox -s build`."""
    return _report(
        root, options, lambda run: run.built(run.workspace(), pull=options.pull, export=True)
    )


def scan(root: Path, options: argparse.Namespace) -> int:
    """`nox -s scan`."""
    from taskflow_containers.checks import unchanged
    from taskflow_containers.checks.scan import scan as check

    def run_scan(run: _Run) -> None:
        offline = options.offline or switches.switched_on(switches.OFFLINE)
        workspace = run.workspace()
        if not (images := run.built(workspace)):
            return
        known = unchanged.inputs(workspace, images, offline=offline)
        if run.options.if_changed or switches.switched_on(switches.IF_CHANGED):
            kept = (run.report, known, run.project, run.names, root / REPORTS)
            if unchanged.recall(*kept, offline=offline):
                return
        run.say("scanning")
        run.report.notes += [
            tools.identity("trivy"),
            *trivy.unheeded(root, run.project.files.chart),
        ]
        run.report.add(check(workspace, images, root / REPORTS, offline=offline))
        run.report.inputs = unchanged.digest(known, run.project)

    return _report(root, options, run_scan)


def smoke(root: Path, options: argparse.Namespace) -> int:
    """`nox -s smoke`."""
    from taskflow_containers.smoke import command, looking, outside

    def run_smoke(run: _Run) -> None:
        wanted = command.plan(run.project, run.names, options)
        workspace = run.workspace(*(service.image for service in run.project.services.values()))
        if wanted.images:
            images = command.fetch(workspace, wanted.images)
            run.report.images = {image.tags[0]: image.id for image in images}
        else:
            images = run.built(workspace)
        if images:
            command.judge_images(workspace, images, wanted, run.report, run.progress)

    def run_outside(run: _Run) -> None:
        engine = find(options.engine)
        run.report.notes.append(engine.description)
        config = command.provide(engine, run.say, said.image)
        workspace = looking.settle(root, engine, run.say, said, config, run.report)
        [name] = workspace.project.containers
        image = Image(name, str(config["Id"]), (said.image,))
        run.report.images = {said.image: image.id}
        # No report in this folder is of this image.
        wanted = replace(command.plan(workspace.project, [name], options), if_changed=False)
        command.judge_images(workspace, [image], wanted, run.report, run.progress)

    if options.list:
        return command.list_checks(options, _console())
    if not (root / FILE_NAME).is_file():
        if not options.image:
            raise UsageError(f"{FILE_NAME} is not here ({root})", "run this in the project's top folder, "
                             "or judge an image without a project: smoke --image IMAGE")  # fmt: skip
        said = outside.read(options)
        return _report(root, options, run_outside, outside=True, folder=said.reports)
    outside.refuse_inside(options)
    return _report(root, options, run_smoke)


def chart(root: Path, options: argparse.Namespace) -> int:
    """`nox -s chart`."""
    from taskflow_containers.checks.chart import check_chart

    def run_chart(run: _Run) -> None:
        run.report.notes += [
            tools.identity("trivy"),
            *trivy.unheeded(root, run.project.files.chart),
        ]
        run.report.add(check_chart(root, run.project, run.say))

    return _report(root, options, run_chart)


def cluster(root: Path, options: argparse.Namespace) -> int:
    """`nox -s cluster`."""
    from taskflow_containers.cluster import command

    def run_cluster(run: _Run) -> None:
        command.require(root, options)
        workspace = run.workspace()
        if images := run.built(workspace):
            run.report.add(command.cluster(workspace, images, options))

    return _report(root, options, run_cluster)


def verify(root: Path, options: argparse.Namespace) -> int:
    """`invoke verify`."""
    from taskflow_containers.release import verify as checks

    def run_verify(run: _Run) -> None:
        trust = checks.trust(root, run.project.signature, options)
        run.report.add(checks.verify(run.project, options.image, trust, run.report.notes.append))

    return _report(root, options, run_verify)


def _report(
    root: Path, options: argparse.Namespace, run: Callable[[_Run], object],
    *, outside: bool = False, folder: Path | None = None,
) -> int:  # fmt: skip
    """Carry out one command and report on it, whatever becomes of it; its exit code.

    `outside` any project nothing is written but into the `folder` that a person names.
    """
    if (root / FILE_NAME).is_file():
        folder = root / REPORTS
    started = time.monotonic()
    console = _console()
    report = Report(options.command)
    # Only the sessions print so much that it needs a short form.
    verbose = getattr(options, "verbose", True) or switches.switched_on(switches.VERBOSE)
    try:
        with Progress(console, options.command, steps=verbose) as progress:
            under_way = _Run(root, options, report, progress, outside=outside)
            run(under_way)
        if not outside:
            waivers.apply(
                report, under_way.project, under_way.names, root / FILE_NAME, whole=_whole(options)
            )
        report.close()
    except UsageError:
        raise
    except (Exception, KeyboardInterrupt) as error:
        said = in_plain_words(error, options.command, root / REPORTS)
        if folder:
            seconds = time.monotonic() - started
            broken_off = _broken_off(options.command, said, seconds=seconds)
            broken_off.commit = report.commit
            _write(broken_off, folder)
        raise said from None
    # Shown before it is written: a full disk must not take a verdict of minutes along.
    done = [_show(report, console, verbose=verbose), _write(report, folder)]
    return report.exit_code if all(done) else report.exit_code or ExitCode.ENVIRONMENT


def _whole(options: argparse.Namespace) -> bool:
    """Whether no option leaves a check out."""
    chosen = getattr(options, "only", []) or getattr(options, "drill", [])
    return not chosen and getattr(options, "full", True)


def _console() -> Console:
    """Standard output, whatever it is: closed, a log, or of an encoding without our marks."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 until the end
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return _Console(width=terminal.width())


def _show(report: Report, console: Console, *, verbose: bool) -> bool:
    """Print the report; where that cannot be done, say so."""
    try:
        terminal.show(report, console, verbose=verbose)
        sys.stdout.flush()
    except OSError as error:
        print(f"{report.command}: the report cannot be shown: {error.strerror}", file=sys.stderr)
        return False
    return True


def _write(report: Report, folder: Path | None) -> bool:
    """Write the report where there is a folder for it; where that cannot be done, say so."""
    try:
        if folder:
            reporting.write(report, folder)
            if not report.earlier:
                history.append(folder, report)
            save(folder / index.FILE, index.page(folder))
    except OSError as error:
        reason = f"{error.strerror}: {error.filename or folder}"
        print(f"{report.command}: the report cannot be written: {reason}\n"
              f"  make {folder and folder.name}/ a folder that you may write to, with room on its disk",
              file=sys.stderr)  # fmt: skip
        return False
    try:
        reporting.tell_ci(report)
    except OSError as error:  # the verdict stands all the same
        print(f"{report.command}: {reporting.STEP_SUMMARY} cannot be written: {error.strerror}: "
              f"{error.filename}", file=sys.stderr)  # fmt: skip
    return True


def _broken_off(command: str, error: TaskflowError, *, seconds: float) -> Report:
    """The report of a run that came to no verdict: an older one must not be taken for it."""
    result = judge(
        f"{command}.run", "runs to its end", False,
        expected="a verdict", measured=error.message,
        fix=error.hint or "mend what is said here and run it again", seconds=seconds,
    )  # fmt: skip
    report = Report(command, results=[result])
    report.close()
    return report
