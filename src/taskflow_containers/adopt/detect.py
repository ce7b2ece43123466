"""Look at an existing repository: find its services and what each of them needs."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

from taskflow_containers.adopt import (
    backing,
    node_project,
    node_service,
    python_project,
    python_service,
    stated,
)
from taskflow_containers.adopt.connections import connected
from taskflow_containers.adopt.findings import (
    Certainty,
    Findings,
    Note,
    Question,
    Service,
    Variable,
    guessed,
)
from taskflow_containers.adopt.processes import processes
from taskflow_containers.adopt.python_source import Sources, aside
from taskflow_containers.adopt.python_worker import Started, started
from taskflow_containers.adopt.repository import Repository, join, parent

_QUESTIONS = {
    "entry": "which of these applications does the container serve?",
    "kind": "is this a worker (runs on), a cron job, or no container at all?",
    "install": "what installs its packages? No file says it",
    "manager": "which package manager installs it? There are lock files of several",
    "base_path": "below which path is it served? It is known only when it is built",
}


def look(folder: Path) -> Findings:
    """Read a repository; write nothing, run nothing of it and use no network."""
    repository = Repository(folder)
    files = stated.dockerfiles(repository)
    composed = stated.compose(repository)
    commands = started(files, composed, processes(repository))
    if not any(one.command.kind == "server" for one in commands):
        commands += [Started("", one.folder, one.command) for one in stated.scripts(repository)]
    services: list[Service] = []
    projects = _projects(repository)
    homes = {sources.folder for sources in projects}
    for sources in projects:
        mine = [one for one in commands if _starts(one, sources.folder, homes)]
        try:
            services += python_service.services(repository, sources, mine, files)
        except RecursionError:
            repository.say(
                "fault", "a Python file below is nested too deeply to be read", sources.folder
            )
    services = _once(services)
    services += node_service.services(repository, files, composed)
    packages = _packages(repository, services)
    variables = [v for service in services for v in (*service.variables, *service.arguments)]
    values = [Variable(k, c.where, False, v) for c in composed for k, v in c.environment.items()]
    kind, driver, image = backing.database(repository, composed, packages, [*variables, *values])
    kind = kind or next(filter(None, map(backing.in_file, projects)), kind)
    database = {
        "database": {"kind": kind.value, "image": image or "postgres:17-alpine", "port": 5432}
    }
    named = [_unprivileged(repository, service) for service in _named(services)]
    folders = {_folder(s): s.name for s in named if s.kind.value in {"backend", "frontend"}}
    named = connected(
        named, folders, composed, packages,
        database=kind.value == "postgresql", project=folder.resolve().name,
    )  # fmt: skip
    named = [backing.with_its_file(repository, service, kind.value) for service in named]
    if kind.value == "postgresql":
        told = {_folder(s) for s in named if "database" in s.connects.values()}
        silent = {_folder(s) for s in named if s.runtime == "python"} - told
        for sources in projects:
            if sources.folder in silent:
                backing.say_written(sources)
    if kind and kind.value not in {"postgresql", "sqlite"}:
        repository.say(
            "said",
            f"its database is {kind.value}: only PostgreSQL is started and charted beside it",
            kind.where,
        )
    backing.say_others(repository, composed, packages, [*variables, *values], kind.value)
    return Findings(
        services=tuple(named),
        database=kind,
        driver=driver,
        backing=database if kind.value == "postgresql" else {},
        notes=tuple(_newer(repository.notes, services)),
        questions=tuple(_questions(named)),
    )


# Below it a port is root's, unless the node allows all; containerd does from 2.0 on (`enable_unprivileged_ports`).
_UNPRIVILEGED = 1024


def _unprivileged(repository: Repository, service: Service) -> Service:
    """The service on a port that every node lets a user listen on."""
    port = service.port
    if not 0 < port.value < _UNPRIVILEGED:
        return service
    usual = 3000 if service.runtime == "node" else 8000
    repository.say(
        "said",
        f"port {port.value} is root's alone on many nodes: in our image it is {usual}",
        port.where,
    )
    return replace(service, port=guessed(usual))


def _once(services: list[Service]) -> list[Service]:
    """The services without one command's again, which may be found in several projects."""
    told: set[tuple[str, ...]] = set()
    found = []
    for service in services:
        key = (service.command.where, *service.command.value)
        if not service.command or key not in told:
            found.append(service)
        told.add(key)
    return found


def _projects(repository: Repository) -> list[Sources]:
    """The Python files by the project that they belong to: the nearest folder that says it is one."""
    homes: dict[str, str] = {}

    def home(folder: str) -> str:
        if folder not in homes:
            if folder == "." or python_project.is_project(repository, folder):
                homes[folder] = folder
            else:
                homes[folder] = home(parent(folder))
        return homes[folder]

    files: dict[str, list[str]] = {}
    for path in repository.below(".", ".py"):
        files.setdefault(home(parent(path)), []).append(path)
    return [Sources(repository, folder, paths) for folder, paths in sorted(files.items())]


def _starts(one: Started, folder: str, homes: set[str]) -> bool:
    """Whether a command can start what is in a project: it is run there, or in a folder above."""
    if aside(join(one.folder, "x")):
        return False
    if one.folder == "." or folder == one.folder or folder.startswith(one.folder + "/"):
        return True
    above = next((above for above in node_project.above(one.folder) if above in homes), ".")
    return above in {folder, "."}  # of a folder of no project, such as deploy/, for any


def _newer(notes: list[Note], services: list[Service]) -> list[Note]:
    """The notes; where a service asks for a newer Python than runs this, its syntax is no fault."""
    running = sys.version_info[:2]
    images = [s.base.value for s in services if s.base.certainty is Certainty.READ]
    wanted = [int(m[1]) for image in images if (m := re.match(r"python:3\.([0-9]{1,3})\b", image))]
    if max(wanted, default=0) <= running[1]:
        return notes
    broken = [note for note in notes if note.level == "fault" and ", which runs this" in note.text]
    if not broken:
        return notes
    text = (
        f"Python {running[0]}.{running[1]}, which runs this, cannot parse {len(broken)} files, of which nothing is "
        "known: run this by the Python that the project asks for"
    )
    return [*(note for note in notes if note not in broken), Note("said", text, broken[0].where)]


def _packages(repository: Repository, services: list[Service]) -> dict[str, str]:
    found: dict[str, str] = {}
    for service in services:
        folder = _folder(service)
        if service.runtime == "python":
            listed = service.files if service.install.value == "requirements" else ()
            files = (join(service.context.value, f) for f in listed if f.endswith(".txt"))
            found = python_project.requirements(repository, folder, tuple(files)) | found
        else:
            path = f"{folder}/package.json".removeprefix("./")
            needs = node_project.dependencies(repository.data(path))
            found |= {n: repository.at(path, f'"{n}"') for n in needs if n not in found}
    return found


def _folder(service: Service) -> str:
    parts = [part for part in (service.context.value, service.app) if part not in {"", "."}]
    return "/".join(parts) or "."


def _named(services: list[Service]) -> list[Service]:
    """The services with names that differ; a folder's name goes to what lies in it."""
    named: dict[int, str] = {}
    own = [_folder(service).rsplit("/", 1)[-1] == service.name for service in services]
    for index in sorted(range(len(services)), key=lambda index: not own[index]):
        service = services[index]
        name, kind = service.name, service.kind.value or "worker"
        above = _folder(service).split("/")[-2:-1]
        choices = [
            name,
            f"{name}-{kind}",
            *(f"{one}-{name}" for one in above),
            *(f"{name}-{n}" for n in range(2, 99)),
        ]
        named[index] = next(c for c in choices if c not in named.values())
    return [
        replace(service, name=re.sub(r"[^a-z0-9-]", "-", named[index].lower()))
        for index, service in enumerate(services)
    ]


def _questions(services: list[Service]) -> list[Question]:
    found = []
    for service in services:
        facts = dict(service.found)
        if service.next:
            facts["base_path"] = service.next.base_path
        for key, fact in facts.items():
            if fact.certainty is Certainty.UNKNOWN:
                text = _QUESTIONS.get(key, f"what is its {key}?")
                found.append(Question(service.name, key, text, tuple(map(str, fact.candidates))))
    return found
