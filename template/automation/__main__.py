"""The command line: `python -m automation COMMAND`, called by the nox sessions."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from automation import interruption
from automation.errors import ExitCode, TaskflowError, UsageError

if __name__ == "__main__":
    interruption.hold()  # the imports take a moment
try:
    from rich.console import Console

    from automation import build, cluster, lint, reporting, scan, switches, trivy
    from automation.engine import find
    from automation.failures import forget, in_plain_words
    from automation.model import FILE_NAME, Project, load
    from automation.progress import Progress
    from automation.results import Report, judge
    from automation.smoke import command as smoke
except ModuleNotFoundError as missing:
    print(f"{missing.name} is not installed beside {sys.executable}\n"
          "  run this through nox, which installs it; `nox -l` lists the sessions",
          file=sys.stderr)  # fmt: skip
    sys.exit(ExitCode.ENVIRONMENT)


class _Console(Console):
    """A reader that has left, as `head` does, takes no verdict along."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    whole = argparse.ArgumentParser(prog="automation", description=__doc__, allow_abbrev=False)
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help in (
        ("lint", "check Dockerfiles, the contract and the code, without running anything"),
        ("build", "build the images and judge them"),
        ("scan", "scan sources and images, write an SBOM"),
        ("smoke", "run the images as the cluster will and test them"),
        ("chart", "render the Helm chart in every way and check what comes out"),
        ("cluster", "install the chart on a Kubernetes cluster and put it to the test"),
    ):
        command = commands.add_parser(name, help=help, description=help, allow_abbrev=False)
        command.set_defaults(refuse=command.error)
        if name == "chart":
            continue
        if name == "cluster":
            cluster.add_arguments(command)
        else:
            command.add_argument(
                "containers", nargs="*", help=f"names from {FILE_NAME}; all if none"
            )
        command.add_argument(
            "--engine", default="", metavar="ENGINE", help="docker, podman or a client's path"
        )
        if name == "build":
            command.add_argument("--pull", action="store_true", help="ask for newer base images")
        if name != "lint":
            command.add_argument("--no-cache", action="store_true", help="build every step anew")
        if name == "smoke":
            smoke.add_arguments(command)
        if name == "scan":
            command.add_argument(
                "--offline",
                action="store_true",
                help=f"leave out the vulnerability scan, and say so (or set {switches.OFFLINE}=1)",
            )
    return whole


def run(root: Path, options: argparse.Namespace, console: Console) -> Report:
    """Carry out one command and return its report."""
    project = load(root / FILE_NAME)
    names = list(project.select(getattr(options, "containers", [])))
    report = Report(options.command)
    with Progress(console, options.command) as progress:
        say = progress.say
        if options.command == "lint":
            report.add(lint.lint(root, project, names, options.engine))
        elif options.command == "chart":
            # Its libraries are installed for this command alone.
            from automation import chart

            report.notes += trivy.unheeded(root)
            report.add(chart.check_chart(root, project, say))
        else:
            _with_images(root, project, names, options, report, progress)
    report.close()
    return report


def _with_images(
    root: Path,
    project: Project,
    names: list[str],
    options: argparse.Namespace,
    report: Report,
    progress: Progress,
) -> None:
    say = progress.say
    offline = options.command == "scan" and (
        options.offline or switches.switched_on(switches.OFFLINE)
    )
    wanted = smoke.plan(project, names, options) if options.command == "smoke" else None
    if options.command == "cluster":
        cluster.require(root, options)
    engine = find(options.engine)
    used = [
        image
        for name in names
        for image in (project.containers[name].base, project.containers[name].build_image)
    ]
    if options.command == "smoke":
        used += [service.image for service in project.services.values()]
    report.notes += [engine.description, *build.substitution_notes(used)]
    if wanted and wanted.images:
        images = smoke.fetch(engine, wanted.images, progress)
        report.images = {image.tags[0]: image.id for image in images}
        smoke.judge_images(root, project, engine, images, wanted, report, progress)
        return
    # The engine's cache tells what is still good; a second build of the same sources is a look-up.
    building = options.command == "build"
    images = build.build(
        root, project, engine, names, say,
        no_cache=options.no_cache, pull=building and options.pull, export=building,
    )  # fmt: skip
    report.notes += build.notes(project, engine, names)
    report.images = {image.tags[0]: image.id for image in images if image.usable}
    if options.command == "build" or not all(image.usable for image in images):
        for image in images:
            report.add(image.results)
        return
    if options.command == "scan":
        say("scanning")
        folder = root / reporting.FOLDER
        report.notes += trivy.unheeded(root)
        report.add(scan.scan(root, project, engine, images, folder, offline=offline))
    elif wanted:
        smoke.judge_images(root, project, engine, images, wanted, report, progress)
    else:
        report.add(cluster.cluster(root, project, engine, images, options, say))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command in the current folder; its exit code."""
    options, unknown = parser().parse_known_args(arguments)
    if unknown:
        options.refuse(f"unknown: {' '.join(unknown)}")
    root = Path.cwd()
    started = time.monotonic()
    console = _console()
    try:
        interruption.listen()
        _end_with_nox()
        if options.command == "smoke" and options.list:
            return smoke.list_checks(options, console)
        report = run(root, options, console)
        forget(options.command, root / reporting.FOLDER)
        # Shown before it is written: a full disk must not take a verdict of minutes along.
        done = [_show(report, console), _write(report, root)]
    except UsageError as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return error.exit_code
    except (Exception, KeyboardInterrupt) as error:
        said = in_plain_words(error, options.command, root / reporting.FOLDER)
        print(f"{options.command}: {said}", file=sys.stderr)
        if (root / FILE_NAME).is_file():
            _write(_broken_off(options.command, said, seconds=time.monotonic() - started), root)
        return said.exit_code
    return report.exit_code if all(done) else report.exit_code or ExitCode.ENVIRONMENT


def _console() -> Console:
    """Standard output, whatever it is: closed, a log, or of an encoding without our marks."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 until the end
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return _Console(width=reporting.width())


def _show(report: Report, console: Console) -> bool:
    """Print the report; where that cannot be done, say so."""
    try:
        reporting.show(report, console)
        sys.stdout.flush()
    except OSError as error:
        print(f"{report.command}: the report cannot be shown: {error.strerror}", file=sys.stderr)
        return False
    return True


def _write(report: Report, root: Path) -> bool:
    """Write the report; where that cannot be done, say so."""
    try:
        reporting.write(report, root / reporting.FOLDER)
    except OSError as error:
        reason = f"{error.strerror}: {error.filename or reporting.FOLDER}"
        print(f"{report.command}: the report cannot be written: {reason}\n"
              f"  make {reporting.FOLDER}/ a folder that you may write to, with room on its disk",
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
    report = Report(command)
    report.add(
        [
            judge(
                f"{command}.run",
                "runs to its end",
                False,
                expected="a verdict",
                measured=error.message,
                fix=error.hint or "mend what is said here and run it again",
                seconds=seconds,
            )
        ]
    )
    report.close()
    return report


def _end_with_nox() -> None:
    """Stop when nox is gone: a SIGTERM that it gets alone does not reach the sessions it started."""

    def watch(nox: int) -> None:
        while os.getppid() == nox:
            time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)

    if "NOX_CURRENT_SESSION" in os.environ and os.name == "posix":
        threading.Thread(target=watch, args=(os.getppid(),), daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
