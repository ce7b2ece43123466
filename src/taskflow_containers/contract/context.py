"""The build context: what a .dockerignore must keep out of it."""

from __future__ import annotations

from pathlib import Path

from taskflow_containers.contract import dockerignore
from taskflow_containers.contract.level import Level, not_text, shown
from taskflow_containers.project.model import Kind, Project
from taskflow_containers.report.result import Result

# What must never reach a build context: history, secrets, local environments, caches.
_NEVER = (
    ".git/config", ".git/HEAD", ".env", ".env.local", ".env.production", "src/.env",
    "src/app/.env.local", "src/app/key.pem",
)  # fmt: skip
_MUST_IGNORE: dict[Kind, tuple[str, ...]] = {
    Kind.BACKEND: (*_NEVER, ".venv/bin/python", "src/__pycache__/a.pyc"),
    Kind.FRONTEND: (*_NEVER, "node_modules/next/a.js", ".next/cache/a"),
}
# What BuildKit or Buildah prefer to a .dockerignore.
_READ_INSTEAD = ("Dockerfile.dockerignore", "Dockerfile.containerignore", ".containerignore")


def check_dockerignore(root: Path, project: Project, name: str) -> list[Result]:
    """Whether a .dockerignore keeps out what no build needs; what one needs, the build misses by itself."""
    container = project.containers[name]
    folder = root / project.context(name)
    path = folder / ".dockerignore"
    others = [other for other in _READ_INSTEAD if (folder / other).exists()]
    level = Level("dockerignore", name, path.relative_to(root).as_posix())
    try:
        patterns = dockerignore.read(path)
    except UnicodeDecodeError as error:
        return [not_text(level, error)]
    except OSError:
        fix = "write one that starts with `*` and lists what the build needs"
        return [level.check("present", ".dockerignore", "present", "no such file", fix)]
    let_in = [p for p in _MUST_IGNORE[container.kind] if not dockerignore.excludes(patterns, p)]
    return [
        level.check(
            "alone", "no other ignore file beside it", path.name, shown([path.name, *others]),
            f"move its patterns to {path.name} and remove it: some engines read it instead, others do not",
        ),
        level.check(
            "excludes", "kept out of the build context", "nothing let in",
            f"let in: {shown(let_in)}" if let_in else "nothing let in",
            "add a line for each below the exceptions, or take its exception away: history, secrets and "
            "local installs do not belong in a context",
        ),
    ]  # fmt: skip
