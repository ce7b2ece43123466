"""The build context: what an ignore file must keep out of it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from taskflow_containers.contract import dockerignore
from taskflow_containers.contract.level import Level, not_text, shown
from taskflow_containers.project.model import Project
from taskflow_containers.report.result import Result

# What must never reach a build context: history, secrets, local environments, caches.
_NEVER = (
    ".git/config", ".git/HEAD", ".env", ".env.local", ".env.production", "src/.env",
    "src/app/.env.local", "src/app/key.pem",
)  # fmt: skip
_PYTHONS, _NODES = (".venv/bin/python",), ("node_modules/next/a.js", ".next/cache/a")
_MUST_IGNORE: dict[str, tuple[str, ...]] = {
    "python": (*_NEVER, *_PYTHONS, "src/__pycache__/a.pyc"),
    "node": (*_NEVER, *_NODES),
}
# In the project's top folder there is also what the checks write, anew each time, and what other
# containers install and keep secret below it.
_AT_THE_TOP = ("reports/smoke.json", ".nox/lint/a")
_OF_OTHERS = (".env", *_PYTHONS, *_NODES)
_WHY = {
    r"(^|/)\.git/": "the history holds all that was ever committed",
    r"(^|/)\.env|\.pem$": "whoever has the image, or its build cache, has the secrets in it",
    r"\.venv/|node_modules/": "it is installed for this machine; the build installs for the image",
    r"__pycache__/|\.next/": "what another build left decides what comes out of this one",
    r"^(reports|\.nox)/": "every check writes it anew, so that no image would be of the present sources",
}


def check_dockerignore(root: Path, project: Project, name: str) -> list[Result]:
    """Whether the ignore file keeps out what no build needs; what one needs, the build misses by itself."""
    container = project.containers[name]
    folder, dockerfile = root / project.context(name), root / project.dockerfile(name)
    path = dockerignore.ignore_file(dockerfile, folder)
    # What Buildah prefers to a .dockerignore, and BuildKit does not know.
    beside = (
        folder / ".containerignore",
        dockerfile.with_name(f"{dockerfile.name}.containerignore"),
    )
    others = [other.name for other in beside if other.exists() and path.name == ".dockerignore"]
    level = Level("dockerignore", name, path.relative_to(root).as_posix())
    try:
        patterns = dockerignore.read(path)
    except UnicodeDecodeError as error:
        return [not_text(level, error)]
    except OSError:
        fix = "write one that starts with `*` and lists what the build needs"
        return [level.check("present", ".dockerignore", "present", "no such file", fix)]
    forbidden = [*_MUST_IGNORE[container.interpreter[0]]]
    if folder == root:
        places = [project.context(other) for other in project.containers]
        places += [
            Path(project.dockerfile(other)).parent.as_posix() for other in project.containers
        ]
        below = [f"{place}/{one}" for place in places if place != "." for one in _OF_OTHERS]
        forbidden = [*dict.fromkeys([*forbidden, *_AT_THE_TOP, *_PYTHONS, *_NODES, *below])]
    let_in = [path for path in forbidden if not dockerignore.excludes(patterns, path)]
    excluded = level.check(
        "excludes", "kept out of the build context", "nothing let in",
        f"let in: {shown(let_in)}" if let_in else "nothing let in",
        "add a line for each below the exceptions, or take its exception away",
    )  # fmt: skip
    reasons = [
        f"{shown(found)}: {reason}"
        for pattern, reason in _WHY.items()
        if (found := [one for one in let_in if re.search(pattern, one)])
    ]
    return [
        level.check(
            "alone", "no other ignore file beside it", path.name, shown([path.name, *others]),
            f"move its patterns to {path.name} and remove it: some engines read it instead, others do not",
        ),
        replace(excluded, detail="\n".join(reasons)),
    ]  # fmt: skip
