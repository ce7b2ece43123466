"""The template in two versions for what is adopted; the applications' own tests are theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.adoption.application import adopt
from tests.conftest import git, snapshot
from tests.release.conftest import _programs, make_registry, registry  # noqa: F401

collect_ignore_glob = ["*/*"]
OLDER = {".py": "# older\n", ".mjs": "// older\n", ".jinja": "# older\n"}


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template twice: an older variation of what adopted applications get, and as it lies here."""
    folder = tmp_path_factory.mktemp("versions")
    snapshot(folder)
    git(folder, "init", "--quiet", "--initial-branch=main")
    for name in (
        "backend/container/health.py",
        "frontend/container/log.mjs",
        "compose.yaml.jinja",
        "backend/Dockerfile.jinja",
        "frontend/Dockerfile.jinja",
        "taskflow.toml.jinja",
    ):
        path = folder / "template" / name
        path.write_text(path.read_text("utf-8") + OLDER[path.suffix], "utf-8")
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", "earlier")
    git(folder, "tag", "v0.8.0")
    git(folder, "rm", "-r", "--quiet", "--force", ".")
    snapshot(folder)
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", "later")
    return folder


@pytest.fixture(scope="module")
def adopt_earlier(versions: Path) -> Callable[[Path], None]:
    """Adopt by the older version, after which the newer one is there to update to."""

    def run(folder: Path) -> None:
        git(versions, "tag", "--force", "v0.9.0", "main")
        git(versions, "tag", "--delete", "v0.9.0")
        adopt(folder, "--yes", template=versions)
        git(versions, "tag", "v0.9.0", "main")

    return run
