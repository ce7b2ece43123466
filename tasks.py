"""What a person does with the template: look at what it renders. `invoke --list` lists it."""

from __future__ import annotations

import shutil
import sys
import tomllib
from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

HERE = Path(__file__).parent
INSTALL = (
    "python3 -m venv .venv && .venv/bin/pip install --require-hashes"
    " -r requirements/copier.txt -r template/automation/requirements.txt"
)
sys.path.insert(0, str(HERE / "template"))
try:
    import copier

    from automation import release as releases
    from automation.errors import TaskflowError
    from automation.model import FILE_NAME, load
    from automation.release_plan import Options, Product
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
    """Render the work tree, uncommitted changes included, and list the containers."""
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
        print(f"  {name}: {container.base}, port {container.port}")


def product() -> Product:
    """What a release of the template is: a tag that `copier update` finds, and no images."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text("utf-8"))["project"]
    return Product(
        declared=project["version"], gate=[["bootstrap.py", s] for s in ("lint", "tests")]
    )


@task(help=releases.HELP)
def release(
    _: Context, bump: str = "auto", version: str = "", dry_run: bool = False, push: bool = True,
    resume: bool = False, abort: bool = False, branch: str = "", remote: str = "origin",
    yes: bool = False,
) -> None:  # fmt: skip
    """Plan, check, test and tag a version of the template, and push it."""
    try:
        options = Options(bump, version, push, remote, branch)
        if abort or resume:
            code = releases.settle(
                HERE, options, abort=abort, resume=resume, dry_run=dry_run, yes=yes
            )
        else:
            code = releases.release(HERE, product(), options, dry_run=dry_run, yes=yes)
        sys.exit(code)
    except TaskflowError as error:
        print(f"release: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


@task
def clean(_: Context) -> None:
    """Remove the tool environments and the rendered sample."""
    shutil.rmtree(HERE / ".nox", ignore_errors=True)
    print("removed .nox/")
