"""What a person does with this project; `invoke --list` lists it, `invoke --help TASK` explains.

Install once: python3 -m venv .venv && .venv/bin/pip install --require-hashes -r automation/requirements.txt
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from invoke.context import Context
from invoke.tasks import task

HERE = Path(__file__).parent
INSTALL = (
    "python3 -m venv .venv && .venv/bin/pip install --require-hashes -r automation/requirements.txt"
)

sys.path.insert(0, str(HERE))
try:
    from automation import build as images
    from automation import compose, interruption, journal, model, release_plan, stack, tagging
    from automation import deploy as rollout
    from automation import release as releases
    from automation.engine import Engine, find
    from automation.errors import ExitCode, NoEngineError
    from automation.failures import forget, in_plain_words
    from automation.reporting import FOLDER
except ModuleNotFoundError as missing:
    sys.exit(
        f"{missing.name} is not installed here; install what invoke needs, then use .venv/bin/invoke:\n"
        f"  {INSTALL}"
    )

ENGINE = {"engine": "docker, podman or a client's path (default: what works)"}
SERVICE = {"service": "a name from compose.yaml (default: all)"}


def spoken(function: Callable[..., None]) -> Callable[..., None]:
    """Show errors as a line and an exit code instead of a traceback."""

    @wraps(function)
    def wrapper(*arguments: Any, **options: Any) -> None:
        interruption.listen()
        try:
            function(*arguments, **options)
        except KeyboardInterrupt:
            sys.exit(ExitCode.INTERRUPTED)
        except Exception as error:
            said = in_plain_words(error, function.__name__, HERE / FOLDER)
            print(f"{function.__name__}: {said}", file=sys.stderr)
            sys.exit(said.exit_code)
        forget(function.__name__, HERE / FOLDER)

    return wrapper


def project() -> model.Project:
    """The data model of this project."""
    return model.load(HERE / model.FILE_NAME)


def warn(line: str) -> None:
    """Words go to stderr; stdout is for data."""
    print(line, file=sys.stderr, flush=True)


def run_compose(engine: Engine, *words: str) -> None:
    """One compose command; its exit code is the task's."""
    code = compose.compose(HERE, project(), engine, words)
    if code:
        sys.exit(code)


@task(
    help={
        "container": "a name from taskflow.toml; may be repeated (default: all)",
        "no-cache": "build every step anew",
        "pull": "ask for newer base images",
        **ENGINE,
    },
    iterable=["container"],
)
@spoken
def build(
    _: Context, container: list[str], engine: str = "", no_cache: bool = False, pull: bool = False
) -> None:
    """Build the images (tag dev, and sha-… when the work tree is clean)."""
    build_images(container, engine, no_cache, pull)


def build_images(
    container: list[str], choice: str, no_cache: bool = False, pull: bool = False
) -> tuple[Engine, list[images.Image]]:
    """Build and print a line for each image; exit code 1 when one does not build."""
    found = project()
    selected = list(found.select(container))
    chosen = find(choice)
    print(chosen.description)
    built = images.build(HERE, found, chosen, selected, print, no_cache=no_cache, pull=pull)
    for line in images.notes(found, chosen, selected):
        print(line)
    for image in built:
        first = image.results[0]
        print(f"{image.container}: {first.measured}" + (f"\n  {first.detail}" * bool(first.detail)))
        for tag in image.tags:
            print(f"  {tag}")
    if not all(image.usable for image in built):
        sys.exit(1)
    return chosen, built


@task(help={"build": "build the images first (default: yes)", **ENGINE})
@spoken
def up(_: Context, engine: str = "", build: bool = True) -> None:
    """Start everything on this machine, its services included, and wait until it is healthy."""
    chosen, found = find(engine), project()
    compose.check_ports(HERE, found, chosen)
    if build:
        build_images([], engine)
    run_compose(chosen, "up", "--detach", "--no-build", "--remove-orphans")
    for name, url in compose.wait(HERE, found, chosen).items():
        print(f"{name}: {url}")


@task(help={"volumes": "remove the data as well, the database's included", **ENGINE})
@spoken
def down(_: Context, engine: str = "", volumes: bool = False) -> None:
    """Stop what `invoke up` started; the data stays."""
    run_compose(find(engine), "down", "--remove-orphans", *(["--volumes"] if volumes else []))


@task(
    help={"follow": "go on until Ctrl-C", "tail": "lines of each, or all (default: 100)",
          **SERVICE, **ENGINE}
)  # fmt: skip
@spoken
def logs(
    _: Context, service: str = "", follow: bool = False, tail: str = "100", engine: str = ""
) -> None:
    """Show what the containers write."""
    words = ["logs", "--tail", compose.tail(tail, follow=follow)]
    words += ["--follow"] if follow else []
    if service:
        compose.require_service(HERE, service)
    run_compose(find(engine), *words, *([service] if service else []))


@task(help=ENGINE)
@spoken
def ps(_: Context, engine: str = "") -> None:
    """List the containers of `invoke up`."""
    run_compose(find(engine), "ps")


@task(help={"push": "push them too, from a clean work tree only", **ENGINE})
@spoken
def tag(_: Context, push: bool = False, engine: str = "") -> None:
    """Give the built images the tags of this commit: release, development and sha-… ones."""
    for name in tagging.tag(HERE, project(), find(engine), warn, push=push):
        print(name)


@task(help={**releases.HELP, **ENGINE})
@spoken
def release(
    _: Context, bump: str = "auto", version: str = "", dry_run: bool = False, push: bool = True,
    resume: bool = False, abort: bool = False, branch: str = "", remote: str = "origin",
    yes: bool = False, engine: str = "",
) -> None:  # fmt: skip
    """Plan, check, build, test, tag and publish a version: git, images and chart as one."""
    options = release_plan.Options(bump, version, push, remote, branch, engine)
    if abort or resume:
        sys.exit(
            releases.settle(HERE, options, abort=abort, resume=resume, dry_run=dry_run, yes=yes)
        )
    # What is released stands on the base images of the day.
    commands = (("lint",), ("build", "--pull"), ("scan",), ("smoke",))
    gate = tuple(("-m", "automation", *words) for words in commands)
    product = release_plan.Product.of(HERE, project(), gate)
    sys.exit(releases.release(HERE, product, options, dry_run=dry_run, yes=yes))


@task(
    help={
        "context": "a context of the kubeconfig (default: the current one, unless it looks like "
        "production)",
        "namespace": "where to install (default: the context's)",
        "release": "the release's name (default: the project's)",
        "values": "a file of values; may be repeated (default: chart/values-dev.yaml)",
        "load": "a command that puts a tar of images into the cluster (known for kind, k3d, minikube)",
        **ENGINE,
    },
    iterable=["values"],
)
@spoken
def deploy(
    _: Context, values: list[str], context: str = "", namespace: str = "", release: str = "",
    load: str = "", engine: str = "",
) -> None:  # fmt: skip
    """Build the images and install the chart with them on a cluster, until all is ready."""
    found = project()
    files = [HERE / name for name in values or ["chart/values-dev.yaml"]]
    kubectl = rollout.connect(HERE, context, namespace)
    chosen, built = build_images([], engine)
    name = release or found.name
    print(rollout.deploy(HERE, found, chosen, built, kubectl, name, files, load, print))


@task(help={"images": "remove the dev images too", "cache": "remove the engine's build cache too",
            **ENGINE})  # fmt: skip
@spoken
def clean(_: Context, images: bool = False, cache: bool = False, engine: str = "") -> None:
    """Remove reports, tool environments and kept smoke stacks (nothing that is committed)."""
    if journal.Journal.unfinished(HERE / "reports"):
        sys.exit(
            "clean: a release is unfinished, and reports/ holds its journal: --resume or --abort"
        )
    try:
        chosen = find(engine)
    except NoEngineError:
        if images or cache:
            raise
        chosen = None
    for name in ("reports", ".nox"):
        if (HERE / name).is_symlink():
            (HERE / name).unlink()
        elif (HERE / name).is_dir():
            shutil.rmtree(HERE / name)
            print(f"removed {name}/")
    if chosen is None:
        return
    found = project()
    stack.sweep(chosen, print)
    for name in stack.remove_kept(chosen, found):
        print(f"removed the smoke test's stack {name}")
    for name in [f"{found.image(name)}:dev" for name in found.containers] if images else ():
        if chosen.image_config(name) is not None:
            chosen.call("image", "rm", name)
            print(f"removed {name}")
    if cache:
        chosen.call("builder", "prune", "--force", timeout=600)
        print("removed the build cache")
