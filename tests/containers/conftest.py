"""A small service that every container test can break in its own way."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from taskflow_containers import smoke
from taskflow_containers.checks import build
from taskflow_containers.engine.client import Engine
from taskflow_containers.project.load import load
from taskflow_containers.project.model import Project
from taskflow_containers.report.result import Result
from taskflow_containers.workspace import Workspace
from tests.conftest import ROOT, SERVICE, Render, git
from tests.release.conftest import _programs, make_registry, registry  # noqa: F401

# The same in each run of this clone, for the build cache; another's in another clone.
NAME = f"sample-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:6]}"
Edit = Callable[[Path], None]


def replace(file: str, old: str, new: str) -> Edit:
    """An edit that must find what it replaces, in a folder or its one service's."""

    def edit(folder: Path) -> None:
        path = folder / file if (folder / file).is_file() else folder / "backend" / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in {file}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    return edit


def fault(name: str) -> Edit:
    """The app does this one thing wrong."""
    return replace("Dockerfile", "PYTHONPATH=/app/src", f"FAULT={name} PYTHONPATH=/app/src")


def with_database(folder: Path) -> None:
    """Connect the service to a PostgreSQL."""
    replace(
        "taskflow.toml",
        "environment = {",
        'connects = { DATABASE_URL = "database" }\nenvironment = { required = ["DATABASE_URL"],',
    )(folder)
    replace("Dockerfile", "PYTHONPATH=/app/src", "NEEDS_DATABASE=1 PYTHONPATH=/app/src")(folder)


def private(folder: Path) -> None:
    """Make it as a checkout with umask 077 is: nobody but the owner reads it."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode & 0o700)


def smoked(
    workspace: Workspace, images: Iterable[build.Image], options: smoke.Options | None = None
) -> list[Result]:
    """Smoke-test these images of a project."""
    targets = [workspace.target(image.container, image.id) for image in images]
    return smoke.smoke(workspace, targets, options)


class Service:
    """A private copy of the service, built and judged."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        self.folder = folder
        self.engine = engine
        replace("taskflow.toml", '"faulty"', f'"faulty-{uuid.uuid4().hex[:8]}"')(folder)

    @property
    def sources(self) -> Path:
        """The build context of the one container."""
        return self.folder / "backend"

    @property
    def project(self) -> Project:
        """The model as it reads now."""
        return load(self.folder / "taskflow.toml")

    @property
    def workspace(self) -> Workspace:
        """It and its engine, as they are now."""
        return Workspace(self.folder, self.project, self.engine)

    def build(self) -> build.Image:
        """Build the one image."""
        return build.build(Workspace(self.folder, self.project, self.engine), ["backend"])[0]

    def smoke(self, *only: str) -> list[Result]:
        """Build and smoke-test it, by these groups or checks alone."""
        image = self.build()
        assert image.usable, image.results
        options = smoke.Options(smoke.select(only))
        return smoked(self.workspace, [image], options)

    def remove(self) -> None:
        """Remove the image; not its layers, which another test may be building on."""
        image = f"{self.project.image('backend')}:dev"
        self.engine.call("image", "rm", "--force", "--no-prune", image, check=False)


@pytest.fixture
def service(tmp_path: Path, engine: Engine) -> Iterator[Service]:
    """The service, still in order."""
    found = Service(Path(shutil.copytree(SERVICE, tmp_path / "service")), engine)
    yield found
    found.remove()


def failed(results: list[Result]) -> set[str]:
    """The IDs of what failed."""
    return {result.id for result in results if result.failed}


def left_over(engine: Engine, project: Project) -> str:
    """What of this project's runs the engine still has."""
    listings = (
        ["ps", "--all", "--quiet"],
        ["network", "ls", "--quiet"],
        ["volume", "ls", "--quiet"],
    )
    return "".join(
        engine.call(*words, "--filter", f"name={project.name}-smoke").stdout for words in listings
    )


@pytest.fixture(scope="session")
def own(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default project, committed, under a name that no other test uses."""
    folder = render(tmp_path_factory.mktemp("sample"), project_name=NAME)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Start")
    return folder
