"""The workers and cron jobs of a Python project, by the commands that files state."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace

from taskflow_containers.adopt.commands import LASTING, Command
from taskflow_containers.adopt.findings import Finding, Service, guessed, read, unknown
from taskflow_containers.adopt.python_app import App
from taskflow_containers.adopt.python_local import within
from taskflow_containers.adopt.python_project import table
from taskflow_containers.adopt.python_source import Sources
from taskflow_containers.adopt.repository import join, parent
from taskflow_containers.adopt.stated import ComposeService, Dockerfile, Process

RUN = re.compile(r"uvicorn\.run|hypercorn|granian|gunicorn")
# Names of processes that run to an end, once: no container of their own.
_ONCE = re.compile(
    r"release|migrat|prestart|pre-start|init|seed|setup|test|lint|bootstrap", re.IGNORECASE
)


_SUB = {"worker", "beat", "scheduler"}


@dataclass(frozen=True, slots=True)
class Started:
    """A command that a file states, with what it is called there and the build's folder."""

    name: str
    folder: str
    command: Command
    schedule: str = ""
    port: int = 0
    environment: tuple[str, ...] = ()


def started(
    files: Iterable[Dockerfile], services: Iterable[ComposeService], processes: Iterable[Process]
) -> list[Started]:
    """What compose files, Procfiles, manifests and then Dockerfiles start."""
    files = [*files]
    by_path = {one.path: one for one in files}
    found = []
    for service in services:
        built = by_path.get(service.dockerfile)
        commands = service.commands or (built.commands if built and service.context else ())
        folder = service.context or "."
        port = service.ports[0] if service.ports else 0
        found += [
            Started(service.name, folder, c, "", port, tuple(service.environment)) for c in commands
        ]
    found += [Started(p.name, p.folder, p.command, p.schedule) for p in processes]
    for file in files:
        found += [
            Started("", parent(file.path), command, "", file.port) for command in file.commands
        ]
    return found


def label(text: str) -> str:
    """A DNS label of a name, or ""."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40]


def root_below(sources: Sources, path: str, module: str) -> str:
    """The folder below the project from which a file has a module's name: what PYTHONPATH needs."""
    stem = path.removesuffix(".py").removesuffix("/__init__")
    names = (module, module.rpartition(".")[0])  # the latter of an object, package.module.name
    ends = ["/" + name.replace(".", "/") for name in names if name]
    end = next((end for end in ends if f"/{stem}".endswith(end)), "")
    root = f"/{stem}".removesuffix(end).strip("/") if end else sources.folder
    if not within(root, sources.folder):
        return ""  # it goes by the name of the project's folder itself
    return (
        root.strip(".") if sources.folder == "." else root.removeprefix(sources.folder).strip("/")
    )


def workers(
    sources: Sources, common: Service, apps: list[App], mine: list[Started]
) -> list[Service]:
    """Workers and cron jobs that a file starts; a queue's application that none starts is a question."""
    found: dict[tuple[str, ...], Service] = {}
    told: set[tuple[str, ...]] = set()
    servers = {one.name for one in mine if one.command.kind == "server"}
    # What runs before a server or a worker in one process prepares it.
    scripts = _scripts(sources)
    # Where nothing serves, what an image starts is what the project is for.
    alone = not servers and not any(app.served in {"asgi", "wsgi"} for app in apps)
    lasting = servers | {one.name for one in mine if one.command.kind == "worker"}
    for one in mine:
        command = one.command
        entry = command.entry or scripts.get(command.words[0].rsplit("/", 1)[-1], "")
        path = _file(sources, entry)
        own = bool(path)
        words = _words(sources, command, path)
        works = command.kind == "worker" and (own or not entry)
        runs = command.kind == "other" and own
        if one.schedule and (own or works):
            kind: Finding[str] = read("cron", command.where)
        elif works or (runs and LASTING.search(f"{one.name} {' '.join(words)}")):
            kind = read("worker", command.where)
        elif (
            runs
            and (alone or (one.name and one.name not in lasting))
            and not _ONCE.search(f"{one.name} {entry}")
            and not _starts_server(sources, entry)
        ):
            kind = unknown("worker", ("worker", "cron", ""), command.where)
        else:
            continue
        module = "" if "/" in entry or entry.endswith(".py") else entry.split(":")[0]
        if path:
            root = (root_below(sources, path, module) if module else "") or sources.needed(path)
        else:  # it finds its application by itself: where the server has it
            root = next((sources.root_of(app.path)[0] for app in apps), "")
        # A Dockerfile may start once more what a compose file has named.
        same = (command.words[0], entry, *sorted(_SUB & {*command.words}))
        if not one.name and same in told:
            continue
        told.add(same)
        # A compose service that starts a server as well gives the server its name.
        other = "" if one.name in servers else label(one.name)
        script = label(re.sub(r"(?:(?:^|/)__(?:init|main)__)?\.py$", "", path).rsplit("/", 1)[-1])
        found.setdefault(
            words,
            replace(
                common,
                name=other or script or "worker",
                kind=kind,
                framework=read(command.words[0].rsplit("/", 1)[-1], command.where),
                port=guessed(0),
                path=root,
                health=(),
                migrate=guessed(()),
                command=read(words, command.where),
                schedule=read(one.schedule, command.where) if one.schedule else guessed(""),
            ),
        )
    tasks = [app for app in apps if app.served == "tasks" and not app.factory]
    if tasks and not found and (words := _usual(sources, common, tasks[0])):
        root, _ = sources.root_of(tasks[0].path)
        found[words] = replace(
            common,
            name="worker",
            kind=unknown("worker", ("worker", ""), tasks[0].where),
            framework=read(tasks[0].framework, tasks[0].where),
            port=guessed(0),
            path=root,
            health=(),
            migrate=guessed(()),
            command=guessed(words, tasks[0].where),
        )
    return [*found.values()]


def _scripts(sources: Sources) -> dict[str, str]:
    """The programs that the project's own package brings, with their `module:object`."""
    data = sources.repository.data(join(sources.folder, "pyproject.toml"))
    tables = (table(data, "project", "scripts"), table(data, "tool", "poetry", "scripts"))
    return {name: place for one in tables for name, place in one.items() if isinstance(place, str)}


def _words(sources: Sources, command: Command, path: str) -> tuple[str, ...]:
    """A command as the image runs it: programs and scripts by the places that they have there."""
    below = path if sources.folder == "." else path.removeprefix(sources.folder + "/")
    named = command.entry if "/" in command.entry or command.entry.endswith(".py") else ""
    words = [below if word == named else word for word in command.words]
    inside = re.fullmatch(r"(?:/|.*\bbin/).*", words[0])  # of an environment that is not there
    program = words[0].rsplit("/", 1)[-1] if inside and words[0] != below else words[0]
    words[0] = "python" if re.fullmatch(r"python3?(\.\d+)?", program) else program
    if any("$" in word for word in words):  # only a shell replaces a variable
        return ("sh", "-c", "exec " + " ".join(w if "$" in w else shlex.quote(w) for w in words))
    return tuple(words)


def _usual(sources: Sources, common: Service, tasks: App) -> tuple[str, ...]:
    """How the worker of a queue is usually started; () where no file says enough for that."""
    module = sources.root_of(tasks.path)[1]
    if tasks.framework == "dramatiq":
        actors = [m.path for m in sources.having(".actor", "import actor")]
        named = [sources.root_of(path)[1] for path in actors if path != tasks.path]
        return ("dramatiq", module, *named)
    if tasks.framework == "rq":
        urls = [v.name for v in common.variables if re.fullmatch(r"\w*REDIS\w*_URL", v.name)]
        if not urls:
            sources.repository.say(
                "change",
                "no file says what starts the worker of this queue: name it in a Procfile, "
                "`worker: rq worker --url …`",
                tasks.where,
            )
        return ("sh", "-c", f"exec rq worker --url ${urls[0]}") if urls else ()
    return {
        "celery": ("celery", "-A", f"{module}:{tasks.name}", "worker"),
        "taskiq": ("taskiq", "worker", f"{module}:{tasks.name}"),
        "arq": ("arq", f"{module}.{tasks.name}"),
        "procrastinate": ("procrastinate", "--app", f"{module}.{tasks.name}", "worker"),
    }[tasks.framework]


def _file(sources: Sources, entry: str) -> str:
    """The file that a command's module, module:object or path names, or ""."""
    if not entry:
        return ""
    # celery -A package.app.celery_app names an object by a dot.
    module = entry.split(":")[0]
    shorter = module.rpartition(".")[0]
    # A path in the image may begin anywhere: /srv/app/jobs/clean.py.
    ends = [entry.split("/", n)[-1] for n in range(entry.count("/") + 1)]
    return (
        sources.file_of("", module)
        or next(filter(None, map(sources.file_named, ends)), "")
        or (sources.file_of("", shorter) if shorter else "")
    )


def _starts_server(sources: Sources, entry: str) -> bool:
    """Whether `python -m x` or `python x.py` runs a server by itself."""
    places = (_file(sources, entry), sources.file_of("", f"{entry}.__main__"))
    return any(RUN.search(sources.repository.text(path)) for path in places if path)
