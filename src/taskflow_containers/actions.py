"""What a person does with a project: each command of `invoke`, with effects on this machine and beyond."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from taskflow_containers.checks import build
from taskflow_containers.contract import composefile
from taskflow_containers.contract.composefile import NoComposeError
from taskflow_containers.engine import compose
from taskflow_containers.engine.client import Engine
from taskflow_containers.engine.find import find
from taskflow_containers.engine.leftovers import remove_kept, sweep
from taskflow_containers.machine.errors import ExitCode, InputError, NoEngineError, UsageError
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load
from taskflow_containers.project.markers import require_merged
from taskflow_containers.project.model import Project
from taskflow_containers.project.pin import require_own_tool
from taskflow_containers.report import REPORTS
from taskflow_containers.workspace import Workspace

GATE = tuple(
    ("-m", "taskflow_containers", *words)
    # What is released stands on the base images of the day.
    for words in (("lint",), ("chart",), ("build", "--pull"), ("scan",), ("smoke",))
)


def _project(root: Path) -> Project:
    require_own_tool(root)
    require_merged(root)
    return load(root / FILE_NAME)


def _warn(line: str) -> None:
    """Words go to stderr; stdout is for data."""
    print(line, file=sys.stderr, flush=True)


def images(root: Path, options: argparse.Namespace) -> int:
    """`invoke build`: 1 when an image does not build."""
    _, _, code = _build(root, options, options.container, options.no_cache, options.pull)
    return code


def _build(
    root: Path,
    options: argparse.Namespace,
    names: Sequence[str] = (),
    no_cache: bool = False,
    pull: bool = False,
) -> tuple[Engine, list[build.Image], int]:
    """Build, and print a line for each image; the engine, the images, an exit code."""
    project = _project(root)
    selected = list(project.select(names))
    engine = find(options.engine)
    print(engine.description)
    workspace = Workspace(root, project, engine)
    built = build.build(workspace, selected, no_cache=no_cache, pull=pull)
    for line in build.notes(workspace, selected):
        print(line)
    for image in built:
        first = image.results[0]
        print(f"{image.container}: {first.measured}" + (f"\n  {first.detail}" * bool(first.detail)))
        for name in image.tags:
            print(f"  {name}")
    usable = all(image.usable for image in built)
    return engine, built, ExitCode.OK if usable else ExitCode.CHECK_FAILED


def up(root: Path, options: argparse.Namespace) -> int:
    """`invoke up`."""
    project, engine = _project(root), find(options.engine)
    try:
        compose.check_ports(root, project, engine)
    except NoComposeError as error:
        _warn(f"the ports are not checked beforehand: {error.message}")
    if options.build:
        _, _, code = _build(root, options)
        if code:
            return code
    words = ("up", "--detach", "--no-build", "--remove-orphans")
    if code := compose.compose(root, project, engine, words):
        return code
    for name, url in compose.wait(root, project, engine).items():
        print(f"{name}: {url}")
    return ExitCode.OK


def dev(root: Path, options: argparse.Namespace) -> int:
    """`invoke dev`: in the foreground, until Ctrl-C."""
    project, engine = _project(root), find(options.engine)
    stated, over = project.files.compose, root / compose.DEVELOPMENT
    if not over.is_file():
        raise InputError(
            f"there is no {compose.DEVELOPMENT}, which says how the containers run for development",
            "write one over the compose file: sources mounted, and commands that heed their changes",
        )
    # By its own variable each compose program, and all that asks one, takes both.
    paths = [*composefile.files(root, stated), over]
    os.environ["COMPOSE_FILE"] = os.pathsep.join(map(str, paths))
    os.environ.pop("COMPOSE_PATH_SEPARATOR", None)
    compose.check_ports(root, project, engine)
    services = composefile.read_here(root, {}, stated=stated).section("services")
    theirs = [n for n in project.containers if n in services
              and services[n].get("image") != f"{project.image(n)}:dev"]  # fmt: skip
    if ours := [name for name in project.containers if name not in theirs]:
        _, _, code = _build(root, options, ours)
        if code:
            return code
    steps = [("build", *theirs)] if theirs else []
    for name, container in project.containers.items():
        if container.migrate and project.services:
            steps += [("up", "--detach", "--no-build", *project.services)]
            steps += [("run", "--rm", "--no-deps", name, *container.migrate)]
    for words in steps:
        if words[0] == "run":
            compose.await_databases(root, project, engine)
        if code := compose.compose(root, project, engine, words):
            return code
    for port in compose.published_ports(composefile.read_here(root, {}, stated=stated)):
        print(f"{port.service}: http://localhost:{port.port}", flush=True)
    return compose.compose(root, project, engine, ("up", "--no-build", "--remove-orphans"))


def down(root: Path, options: argparse.Namespace) -> int:
    """`invoke down`."""
    return _compose(
        root, options, "down", "--remove-orphans", *(["--volumes"] if options.volumes else [])
    )


def logs(root: Path, options: argparse.Namespace) -> int:
    """`invoke logs`."""
    words = ["logs", "--tail", compose.tail(options.tail, follow=options.follow)]
    words += ["--follow"] if options.follow else []
    if options.service:
        compose.require_service(root, _project(root), options.service)
        words.append(options.service)
    return _compose(root, options, *words)


def ps(root: Path, options: argparse.Namespace) -> int:
    """`invoke ps`."""
    return _compose(root, options, "ps")


def _compose(root: Path, options: argparse.Namespace, *words: str) -> int:
    """One compose command; its exit code."""
    project, engine = _project(root), find(options.engine)
    return compose.compose(root, project, engine, words)


def tag(root: Path, options: argparse.Namespace) -> int:
    """`invoke tag`."""
    from taskflow_containers.release import tagging

    for name in tagging.tag(root, _project(root), find(options.engine), _warn, push=options.push):
        print(name)
    return ExitCode.OK


def policy(root: Path, options: argparse.Namespace) -> int:
    """`invoke policy`."""
    from taskflow_containers.release import kyverno, verify

    project = _project(root)
    print(kyverno.policy(project, verify.trust(root, project.signature, options)), end="")
    return ExitCode.OK


def release(root: Path, options: argparse.Namespace) -> int:
    """`invoke release`."""
    from taskflow_containers.release import command
    from taskflow_containers.release.state import Product

    return command.run(root, options, lambda: Product.of(root, _project(root), GATE))


def sbom_diff(root: Path, options: argparse.Namespace) -> int:
    """`invoke sbom-diff`."""
    from taskflow_containers.checks import sbomdiff

    if not (options.old and options.new):
        raise UsageError("two SBOMs are needed", "name them with --old and --new")
    for line in sbomdiff.difference(*(sbomdiff.read(root / f) for f in (options.old, options.new))):
        print(line)
    return ExitCode.OK


def deploy(root: Path, options: argparse.Namespace) -> int:
    """`invoke deploy`."""
    from taskflow_containers.cluster import rollout

    project = _project(root)
    files = [root / name for name in options.values or [f"{project.files.chart}/values-dev.yaml"]]
    kubectl = rollout.connect(root, options.context, options.namespace)
    engine, built, code = _build(root, options)
    if code:
        return code
    name = options.release or project.name
    print(rollout.deploy(root, project, engine, built, kubectl, name, files, options.load, print))
    return ExitCode.OK


def chart_readme(root: Path, _: argparse.Namespace) -> int:
    """`invoke chart-readme`."""
    from taskflow_containers.checks import readme

    chart = _project(root).files.chart
    place = f"{chart}/{readme.README}"
    print(
        f"wrote {place}" if readme.update(root / chart) else f"{place} lists the values as they are"
    )
    return ExitCode.OK


def clean(root: Path, options: argparse.Namespace) -> int:
    """`invoke clean`."""
    from taskflow_containers.release.journal import Journal

    if Journal.unfinished(root / REPORTS):
        raise InputError(
            f"a release is unfinished, and {REPORTS}/ holds its journal",
            "--resume it or --abort it",
        )
    try:
        engine = find(options.engine)
    except NoEngineError:
        if options.images or options.cache:
            raise
        engine = None
    for name in (REPORTS, ".nox"):
        if (root / name).is_symlink():
            (root / name).unlink()
        elif (root / name).is_dir():
            shutil.rmtree(root / name)
            print(f"removed {name}/")
    if engine is None:
        return ExitCode.OK
    project = _project(root)
    sweep(engine, print)
    for name in remove_kept(engine, project):
        print(f"removed the smoke test's stack {name}")
    for name in [f"{project.image(name)}:dev" for name in project.containers if options.images]:
        if engine.image_config(name) is not None:
            engine.call("image", "rm", name)
            print(f"removed {name}")
    if options.cache:
        engine.call("builder", "prune", "--force", timeout=600)
        print("removed the build cache")
    return ExitCode.OK
