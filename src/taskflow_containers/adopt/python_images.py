"""Which Dockerfiles are a Python project's, and what their images have that ours will not."""

from __future__ import annotations

import re

from taskflow_containers.adopt import python_project
from taskflow_containers.adopt.repository import Repository, join, normal, parent
from taskflow_containers.adopt.stated import Dockerfile


def near(repository: Repository, folder: str, files: list[Dockerfile]) -> list[Dockerfile]:
    """The Dockerfiles of a project: in its folder, else that copy it, else that copy all.

    One whose image is there for JavaScript is another application's, unless it starts a server of Python's, too.
    """

    def copies(file: Dockerfile, path: str) -> bool:
        sources = {normal(source) for source in file.sources}
        return any(one == path or one.startswith(path + "/") for one in sources)

    def serves(file: Dockerfile) -> bool:
        return any(command.kind == "server" for command in file.commands)

    def is_python(file: Dockerfile) -> bool:
        return (
            serves(file) or bool(file.installs) or any("python" in base for base, _ in file.bases)
        )

    files = [file for file in files if not file.runs_node or serves(file)]
    files.sort(key=lambda file: not serves(file))
    ranks: list[list[Dockerfile]] = [[], [], []]
    for file in files:
        above = parent(file.path)
        if above == folder:
            ranks[0].append(file)
        elif folder != "." and copies(file, folder):
            ranks[1].append(file)
        elif (
            folder == "." and not python_project.is_project(repository, above) and is_python(file)
        ) or (above == "." and copies(file, "")):
            ranks[2].append(file)
    return next(filter(None, ranks), [])


def say_missing(repository: Repository, files: list[Dockerfile], packages: dict[str, str]) -> None:
    """Say what the image would lack: a slim base has no compiler, and nothing of what apt installed."""
    if files and files[0].system:
        names = ", ".join(files[0].system[:12])
        repository.say(
            "change",
            f"installed here, and not in our image: {names}; where the application needs that, name a "
            "base image that has it by `base` in taskflow.toml",
            files[0].system_where,
        )
    if "psycopg2" in packages and not {"psycopg2-binary", "psycopg"} & packages.keys():
        repository.say(
            "change",
            "psycopg2 is compiled against libpq, which a slim image has not: write psycopg2-binary",
            packages["psycopg2"],
        )
    if where := packages.get("psycopg"):
        path = where.rpartition(":")[0]
        locks = (join(parent(path), name) for name in ("uv.lock", "poetry.lock", "pdm.lock"))
        texts = (repository.text(one) for one in (path, *locks) if repository.has(one))
        if not any(re.search(r"psycopg\W[^\n]*\bbinary\b|psycopg[-_]binary", t) for t in texts):
            repository.say(
                "change",
                "psycopg loads libpq, which a slim image has not: write psycopg[binary] and lock again",
                where,
            )
