"""The options of `smoke`, the images it judges, and one report over one run or many."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from taskflow_containers.checks.build import Image
from taskflow_containers.engine.client import Engine
from taskflow_containers.machine import switches
from taskflow_containers.machine.errors import EngineGone, EnvironmentTrouble, ExitCode, UsageError
from taskflow_containers.machine.process import Say
from taskflow_containers.project.model import Project
from taskflow_containers.report import REPORTS
from taskflow_containers.report.earlier import digest, recall
from taskflow_containers.report.progress import Progress
from taskflow_containers.report.result import Report, Result, Status
from taskflow_containers.smoke import page
from taskflow_containers.smoke.catalogue import BY_ID, CHECKS, GROUPS, PREFIX, select
from taskflow_containers.smoke.earlier import inputs
from taskflow_containers.smoke.lab import Options
from taskflow_containers.smoke.runner import smoke
from taskflow_containers.smoke.timeline import Timeline
from taskflow_containers.workspace import Workspace

_PAGE = "smoke.html"


def listing() -> Iterator[str]:
    """The groups and their checks, a line each."""
    for group, title in GROUPS.items():
        yield f"{group}: {title}"
        for check in CHECKS:
            if check.group == group:
                yield f"  {check.id}: {check.title}{' (--full)' if check.full else ''}"


def list_checks(given: argparse.Namespace, console: Console) -> int:
    """Print the listing, which takes no other option; an exit code.

    Raises:
        UsageError: something else was asked for, too.
    """
    if given.containers or given.only or given.image:
        raise UsageError("--list names every check, and goes alone", "leave the other words out")
    for line in listing():
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return ExitCode.OK


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for, checked before anything is built."""

    options: Options
    images: dict[str, str]
    repeat: int
    if_changed: bool


def plan(project: Project, names: Sequence[str], given: argparse.Namespace) -> Plan:
    """Read the options.

    Raises:
        UsageError: an option names what does not exist, or two that exclude each other.
    """
    only = [name for part in given.only for name in part.split(",") if name]
    if given.only and not only:
        raise UsageError("--only names nothing", f"groups: {', '.join(GROUPS)}")
    if given.repeat < 1:
        raise UsageError(f"--repeat {given.repeat} is no number of runs", "write --repeat 20")
    if given.keep and given.repeat > 1:
        raise UsageError("--keep and --repeat exclude each other", "keep one run's stack")
    several = given.keep or given.repeat > 1
    if given.if_changed and several:
        raise UsageError(
            f"--if-changed and {'--keep' if given.keep else '--repeat'} exclude each other",
            "leave --if-changed out: both are for a run of now",
        )
    options = Options(select(only), given.full, given.keep)
    images = _images(project, names, given.image)
    judged = list(images) or names
    containers = [project.containers[name] for name in judged]
    if not any(options.make(check, project, one) for check in CHECKS for one in containers):
        slow = all(BY_ID[id].full for id in options.only)
        raise UsageError(
            f"none of these checks is made of {', '.join(judged)}: {', '.join(only)}",
            "these are slow drills: add --full" if slow else "`--list` names the checks",
        )
    if_changed = given.if_changed or (switches.switched_on(switches.IF_CHANGED) and not several)
    return Plan(options, images, given.repeat, if_changed)


def _images(project: Project, names: Sequence[str], given: Iterable[str]) -> dict[str, str]:
    """Which container each image is for; its own name tells where nobody does."""
    whole = set(project.containers)
    found: dict[str, str] = {}
    for text in given:
        container, equals, reference = text.partition("=")
        if not equals:
            reference = text
            path = reference.partition("@")[0]
            base = path.rpartition("/")[2].partition(":")[0]
            fitting = [n for n in names if base == project.image(n).rpartition("/")[2]]
            candidates = fitting or names
            if len(candidates) != 1:
                raise UsageError(
                    f"--image {text}: for which container?",
                    f"write --image {names[0]}={text} (or {', '.join(names[1:])}=…)",
                )
            container = candidates[0]
        if container not in project.containers or not reference:
            raise UsageError(
                f"--image {text}: taskflow.toml has no container {container!r}"
                if reference
                else f"--image {text} names no image",
                f"containers: {', '.join(project.containers)}",
            )
        if container not in names:
            raise UsageError(
                f"--image {text} is for {container}, but only {', '.join(names)} was asked for",
                f"leave the names out, or add {container}",
            )
        if container in found:
            raise UsageError(
                f"--image names two images of {container}: {found[container]} and {reference}",
                "judge one after the other",
            )
        found[container] = reference
    if found and (missing := [name for name in names if name not in found and set(names) != whole]):
        raise UsageError(
            f"--image gives no image of {', '.join(missing)}",
            f"add --image {missing[0]}=…, or leave {missing[0]} out",
        )
    return found


def fetch(workspace: Workspace, images: dict[str, str]) -> list[Image]:
    """The given images, pulled where they are not on this machine yet."""
    found = []
    for container, reference in images.items():
        config = provide(workspace.engine, workspace.say, reference)
        found.append(Image(container, str(config["Id"]), (reference,)))
    return found


def provide(engine: Engine, say: Say, reference: str) -> dict[str, Any]:
    """The config of an image, pulled where it is not here yet, as `Engine.image_config` has it.

    Raises:
        EnvironmentTrouble: it can be had nowhere.
    """
    try:
        config = engine.provide(reference, say)
    except EngineGone:
        raise
    except EnvironmentTrouble as error:
        said = error.message.partition(": ")[2]
        raise EnvironmentTrouble(
            f"the image {reference} can be had neither here nor from its registry: {said}",
            _remedy(engine, said),
        ) from None
    if config is None:
        raise EnvironmentTrouble(
            f"{reference} was pulled, but {engine.name} does not know it by that name",
            f"`{engine.client.name} images` shows under which name it is there",
        )
    return config


def _remedy(engine: Engine, said: str) -> str:
    """What to do about a pull that failed with these words."""
    client = engine.client.name
    if re.search(r"no matching manifest|no match for platform", said, re.IGNORECASE):
        return f"it is made for other platforms: build it for {engine.platform} too"
    if re.search(r"denied|unauthorized|authentication required|forbidden", said, re.IGNORECASE):
        return f"`{client} login` to its registry if it is private there, or correct its name"
    return f"correct its name (`{client} images` lists what is here), or check the network"


def judge_images(
    workspace: Workspace, images: Sequence[Image], wanted: Plan, report: Report, progress: Progress
) -> None:
    """Run as often as asked and fill the report."""
    options, project = wanted.options, workspace.project
    targets = [workspace.target(image.container, image.id) for image in images]
    for target in targets:
        judged = str(workspace.engine.require_image_config(target.image)["Platform"])
        others = [one for one in project.build.parts if one not in {"", judged}]
        if others:
            said = f"judged for {judged}, which this engine runs; not judged: {', '.join(others)}"
            workspace.note(f"{target.name} is {said}")
    if wanted.repeat == 1:
        report.inputs = digest(inputs(workspace, targets, options))
    if wanted.if_changed and recall(report, workspace.root / REPORTS, project, [_PAGE]):
        return
    runs: list[list[Result]] = []
    if not options.full and {c.id for c in CHECKS if c.full} & options.only:
        workspace.note("the slow drills were left out: --full makes them")
    made = {t.name: sum(options.make(c, project, t.container) for c in CHECKS) for t in targets}
    for number in range(1, wanted.repeat + 1):
        if wanted.repeat > 1:
            workspace.say(f"run {number} of {wanted.repeat}")
        progress.expect(made)
        timeline = Timeline()
        runs.append(smoke(workspace, targets, options, seen=progress.seen, timeline=timeline))
    report.add(runs[0] if len(runs) == 1 else merged(runs))
    if len(runs) > 1:
        workspace.note(_flakiness(runs))
    whole = options.only == select(())
    if not whole:
        workspace.note("only the checks chosen by --only were made")
    report.pages[_PAGE] = lambda closed: page.render(closed, timeline, whole=whole)


def merged(runs: Sequence[Sequence[Result]]) -> list[Result]:
    """Each check once: as it failed if it ever did, with how often."""
    by_check: dict[tuple[str, str, int], list[Result]] = {}
    for run in runs:
        seen: Counter[tuple[str, str]] = Counter()
        for result in run:  # with two databases a check is made twice
            key = (result.container, result.id)
            by_check.setdefault((*key, seen[key]), []).append(result)
            seen[key] += 1
    found = []
    for results in by_check.values():
        failures = [result for result in results if result.failed]
        said = f"{len(failures)} of {len(results)} runs failed"
        shown = failures[0] if failures else results[-1]
        if failures or shown.status is Status.PASSED:
            shown = replace(shown, measured=f"{shown.measured} ({said})")
        found.append(shown)
    return found


def _flakiness(runs: Sequence[Sequence[Result]]) -> str:
    flaky = {
        f"{result.container} {result.id.removeprefix(PREFIX)}": result.measured
        for result in merged(runs)
        if result.failed
    }
    if not flaky:
        return f"{len(runs)} runs, no flake"
    return f"{len(runs)} runs, with failures: {', '.join(flaky)}"
