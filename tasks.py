"""What a person does with the template: look at what it renders. `invoke --list` lists it."""

from __future__ import annotations

import argparse
import shutil
import sys
import tomllib
from functools import partial
from pathlib import Path

from invoke.collection import Collection
from invoke.context import Context
from invoke.tasks import task

HERE = Path(__file__).parent
INSTALL = (
    "python3 -m venv .venv && .venv/bin/pip install --require-hashes -r requirements/copier.txt"
    " -r template/tools/requirements.txt && .venv/bin/pip install --no-deps --no-build-isolation -e ."
)
try:
    import copier

    from taskflow_containers.cli import carry_out
    from taskflow_containers.commands import COMMANDS, Command
    from taskflow_containers.project import FILE_NAME
    from taskflow_containers.project.load import load
    from taskflow_containers.release import command
    from taskflow_containers.release.state import Product
    from taskflow_containers.tasks import as_task
except ModuleNotFoundError as missing:
    sys.exit(
        f"{missing.name} is not installed here; install what invoke needs, then use .venv/bin/invoke:\n"
        f"  {INSTALL}"
    )


@task(
    positional=["folder"],
    iterable=["data"],
    help={
        "folder": "where to render to; must not exist yet, unless --force",
        "data": "an answer, as question=value; may be repeated",
        "force": "replace the folder",
    },
)
def preview(_: Context, folder: str, data: list[str], force: bool = False) -> None:
    """Render the work tree as it lies here into a folder."""
    target = Path(folder).resolve()
    answers = dict(pair.partition("=")[::2] for pair in data)
    if wrong := [pair for pair in data if "=" not in pair]:
        sys.exit(f"preview: {wrong[0]!r} is not question=value")
    if target == HERE or HERE.is_relative_to(target):
        sys.exit(f"preview: {target} holds this repository; name another folder")
    if target.exists() and any(target.iterdir()):
        if not force:
            sys.exit(f"preview: {target} is not empty; name another folder, or add --force")
        shutil.rmtree(target)
    try:
        copier.run_copy(str(HERE), target, data=answers, defaults=True, quiet=True, vcs_ref="HEAD")
    except (copier.errors.CopierError, ValueError) as error:
        sys.exit(f"preview: {error}")
    print(f"rendered to {target}")
    for name, container in load(target / FILE_NAME).containers.items():
        print(
            f"  {name}: {container.base}, {f'port {container.port}' if container.port else container.kind}"
        )


def product() -> Product:
    """What a release of the template is: a tag that `copier update` finds, and no images."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text("utf-8"))["project"]
    gate = (("bootstrap.py", "lint"), ("bootstrap.py", "tests"))
    return Product(declared=project["version"], gate=gate)


@task
def clean(_: Context) -> None:
    """Remove the tool environments and the rendered sample."""
    shutil.rmtree(HERE / ".nox", ignore_errors=True)
    print("removed .nox/")


def release(root: Path, options: argparse.Namespace) -> int:
    """Release the template as a project releases itself, but for images and chart."""
    return command.run(root, options, product)


RELEASE = Command(
    "release",
    "plan, check, test, tag and push a version of the template",
    release,
    [option for option in COMMANDS["release"].options if option.name != "engine"],
    task="release",
)
namespace = Collection(preview, clean, as_task(RELEASE, partial(carry_out, RELEASE, HERE)))
