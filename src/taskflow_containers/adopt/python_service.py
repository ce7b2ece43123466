"""The containers that a Python project is: its servers, workers and cron jobs."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection
from dataclasses import replace

from taskflow_containers.adopt import (
    backing,
    carried_variables,
    installs,
    python_app,
    python_images,
    python_local,
    python_project,
    python_version,
    routes,
    settings,
)
from taskflow_containers.adopt.commands import Command
from taskflow_containers.adopt.examples import examples
from taskflow_containers.adopt.findings import (
    Certainty,
    Finding,
    Service,
    Variable,
    guessed,
    read,
    unknown,
)
from taskflow_containers.adopt.python_app import App
from taskflow_containers.adopt.python_project import table
from taskflow_containers.adopt.python_source import Sources, aside, constant, keywords
from taskflow_containers.adopt.python_worker import Started, label, root_below, workers
from taskflow_containers.adopt.repository import Repository, join
from taskflow_containers.adopt.stated import Dockerfile, is_secret

# What the image or its base sets for itself, whatever the application would like; and what Windows alone has.
_IMAGE = {
    "PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONOPTIMIZE", "PYTHONUNBUFFERED", "HOME",
    "LOGNAME", "MALLOC_ARENA_MAX", "RES_OPTIONS", "SSL_CERT_DIR", "SSL_CERT_FILE",
    "PYTHON_VERSION", "PYTHON_SHA256", "GPG_KEY", "APPDATA", "LOCALAPPDATA", "USERPROFILE", "WINDIR",
}  # fmt: skip
_QUEUES = ("celery", "arq", "rq", "dramatiq", "taskiq", "saq", "huey", "procrastinate")
_SHARED = ("StaticFiles", "Jinja2Templates", "FileSystemLoader")


def services(
    repository: Repository, sources: Sources, mine: list[Started], files: list[Dockerfile]
) -> list[Service]:
    """The containers of one project; none where nothing in it serves or works."""
    folder = sources.folder
    apps = [app for app in python_app.find(sources) if not app.mounted]
    asgi = [app for app in apps if app.served == "asgi"]
    wsgi = [app for app in apps if app.served == "wsgi"]
    found: list[Service] = []
    near = python_images.near(repository, folder, files)
    installed = installs.requirements(repository, folder, near[0].installs) if near else ()
    packages = python_project.requirements(repository, folder, installed)
    noted = len(repository.notes)
    common = _common(repository, sources, near, packages, installed)
    if asgi:
        others = {app.entry(sources) for app in wsgi}
        found += _servers(
            repository, sources, common, asgi, [s for s in mine if s.command.entry not in others]
        )
    elif wsgi:
        python_app.say_wsgi(sources, wsgi, {one.command.entry for one in mine})
    found += workers(sources, common, apps, mine)
    if not found:  # no container, no notes
        kept = (n for n in repository.notes[noted:] if n.level == "fault" or "WSGI" in n.text)
        repository.notes[noted:] = [*kept]
    elif not any(one.kind.value in {"worker", "cron"} for one in found):
        _say_queue(repository, packages)
    return found


def _say_queue(repository: Repository, packages: dict[str, str]) -> None:
    if queue := next((name for name in _QUEUES if name in packages), ""):
        text = (
            f"no file says what starts {queue}'s worker: name it in a Procfile, `worker: {queue} …`"
        )
        repository.say("change", text, packages[queue])


def _common(
    repository: Repository,
    sources: Sources,
    near: list[Dockerfile],
    packages: dict[str, str],
    installed: tuple[str, ...],
) -> Service:
    """What all containers of the project share."""
    folder = sources.folder
    images = [
        read(image, where)
        for f in near
        for image, where in f.bases
        if re.search(r"python[:-]?3", image)
    ]
    python_images.say_missing(repository, near, packages)
    backing.say_file(sources)
    top = python_project.workspace_of(repository, folder)
    home = top or folder  # where the lock file lies
    install, lock, needed = python_project.installation(repository, home, installed)
    options = installs.choices(install.value, near[0].installs if near else ())
    stated = tuple(join(home, file) for file in needed)
    own = python_local.packages(repository, folder, stated)
    context = python_local.common(home, own)
    reads = (*stated, *([join(folder, "pyproject.toml")] if top else []), *own)
    beside = installed[1:] if install.value == "requirements" else ()
    more = [w for f in beside for w in ("-r", f"/src/{python_local.relative(f, context)}")]
    app = "" if context == folder else python_local.relative(folder, context)
    found, defaults = settings.variables(sources)
    for variable in examples(repository, folder):
        old = found.setdefault(variable.name, variable)
        found[variable.name] = replace(old, default=old.default or variable.default)
    variables = tuple(
        replace(v, secret=is_secret(v.name)) for v in found.values() if v.name not in _IMAGE
    )
    migrate, read_by_it = backing.migration(repository, folder, packages)
    sourced = (app, *own) if top else _sources(repository, sources, read_by_it)
    return Service(
        name=name(folder, "backend"),
        kind=guessed("backend"),
        runtime="python",
        context=read(context, lock.where) if app else guessed(folder),
        app=app,
        package=python_project.named_by_itself(repository, folder),
        base=python_version.base(repository, folder, images[0] if images else None),
        framework=guessed(""),
        port=next((read(f.port, f.port_where) for f in near if f.port), guessed(8000)),
        memory="300MB",
        install=install,
        options=read((*options.value, *more), near[0].installs[0].where) if more else options,
        lock=lock,
        files=tuple(dict.fromkeys(python_local.relative(file, context) for file in reads)),
        sources=sourced,
        health=routes.health(sources, defaults),
        variables=variables,
        fixed=carried_variables.fixed(
            repository, folder, next(iter(near), None), {v.name for v in variables}
        ),
        migrate=migrate,
    )


def name(folder: str, usual: str) -> str:
    """A container's name by its folder: a DNS label."""
    text = re.sub(r"[^a-z0-9]+", "-", folder.rsplit("/", 1)[-1].lower()).strip("-")[:40]
    return text if folder != "." and text and text[0].isalpha() else usual


def _sources(repository: Repository, sources: Sources, more: tuple[str, ...]) -> tuple[str, ...]:
    """The folders and files at the project's top that hold its Python, its data and its migrations."""
    folder = sources.folder
    start = "" if folder == "." else folder + "/"
    tops = {p.removeprefix(start).split("/")[0] for p in sources.paths}
    tops -= {
        "setup.py",
        "noxfile.py",
        "tasks.py",
        "fabfile.py",
        "scripts",
        "tools",
        "dev",
        "bin",
        "conftest.py",
    }
    for module in sources.having(*_SHARED):
        for node in module.nodes:
            if isinstance(node, ast.Call) and module.name(node.func).rsplit(".", 1)[-1] in _SHARED:
                text = constant(
                    keywords(node).get("directory") or (node.args[0] if node.args else None)
                )
                tops |= (
                    {text.split("/")[0]}
                    if text and repository.has_folder(join(folder, text.rstrip("/")))
                    else set()
                )
    tops |= {one.split("/")[0] for one in more}
    return tuple(sorted(t for t in tops if not aside(join(folder, t) + "/x", folder)))


def _servers(
    repository: Repository, sources: Sources, common: Service, apps: list[App], mine: list[Started]
) -> list[Service]:
    """A backend for each application that a file starts; else the one, or a question."""
    folder = sources.folder
    toml = join(folder, "pyproject.toml")
    if entry := table(repository.data(toml), "tool", "fastapi").get("entrypoint"):
        where = repository.at(toml, "[tool.fastapi]", "entrypoint")
        return [_server(sources, common, apps, read(str(entry), where), "", mine)]
    found: dict[str, Service] = {}
    for one in sorted(mine, key=lambda s: ("--reload" in s.command.options, not s.name)):
        command = one.command
        if command.kind != "server" or not command.entry:
            continue
        service = _stated_server(sources, common, apps, one)
        modules = {entry.split(":")[0] for entry in found}
        # Several scripts start one application, by one name of it or another.
        again = service and not one.name and service.entry.value.split(":")[0] in modules
        if service and not again and not _is_there(sources, found, service.entry.value):
            found[service.entry.value] = service
    for command in _ran(sources):
        if not found and (
            service := _stated_server(sources, common, apps, Started("", folder, command))
        ):
            found[service.entry.value] = service
    if len(found) == 1:
        return [replace(one, name=common.name) for one in found.values()]
    if found:
        return [*found.values()]
    entries: dict[str, tuple[App, str]] = {}
    for app in apps:
        root, module = sources.root_of(app.path)
        entries.setdefault(f"{module}:{app.name}", (app, root))
    objects = {e: pair for e, pair in entries.items() if not pair[0].factory} or entries
    # Django's own name for it goes before what it is made of.
    django = {e: p for e, p in objects.items() if p[0].framework == "django"}
    objects = {e: p for e, p in django.items() if e.endswith(":application")} or objects
    first = next(iter(objects))
    if len(objects) > 1:
        usual = [e for c in python_app.CONVENTIONAL for e in objects if e.split(":")[0] == c]
        first = usual[0] if usual else first
    app, root = objects[first]
    candidates = (first, *(e for e in entries if e != first))
    if len(objects) == 1:
        entry_found = Finding(first, app.where, Certainty.READ)
    else:
        entry_found = unknown(first, candidates, app.where)
    service = _server(sources, common, apps, entry_found, root, mine)
    return [service]


def _is_there(sources: Sources, found: Collection[str], entry: str) -> bool:
    """Whether an application is among these entries, by the same name or another of its module."""

    def place(entry: str) -> tuple[str, str]:
        name, _, attribute = entry.partition(":")
        path = sources.file_of("", name)
        module = sources.module(path) if path else None
        full = module.names.get(attribute, "") if module else ""
        # A file may only hand on what another one makes.
        made = sources.defined(module, full) if module and full else None
        return (made[0].path, made[1]) if made else (path or name, attribute)

    return place(entry) in {place(one) for one in found}


def _stated_server(
    sources: Sources, common: Service, apps: list[App], one: Started
) -> Service | None:
    command = one.command
    module, _, attribute = command.entry.partition(":")
    if command.entry.endswith(".py"):
        path = sources.file_named(command.entry)
        named = [app.name for app in apps if app.path == path]
        attribute = next((name for name in ("app", "api") if name in named), "".join(named[:1]))
        root, module = sources.root_of(path) if attribute else ("", "")
    else:
        path = _module_file(sources, apps, one.folder, command)
        root = root_below(sources, path, module) if path else ""
        # What a script names from its own folder, its package names by another name.
        if path and sources.repository.has(join(join(sources.folder, root), "__init__.py")):
            root, module = sources.root_of(path, stated=root)
    if not path or not attribute:
        return None
    entry = read(f"{module}:{attribute}", command.where)
    service = _server(sources, common, apps, entry, root, [one])
    return replace(service, name=label(one.name) or common.name)


def _module_file(sources: Sources, apps: list[App], folder: str, command: Command) -> str:
    """The file of a command's module: below where it is run, else where such an object is made."""
    module, _, attribute = command.entry.partition(":")
    name = module.replace(".", "/")
    for above in dict.fromkeys((folder, sources.folder)):
        for root in (command.app_dir, "", "src"):
            place = join(above, root) if root else above
            if path := sources.repository.first(place, f"{name}.py", f"{name}/__init__.py"):
                return path if path in sources.paths else ""
    path = sources.file_of(join(folder, "x"), module)
    return path if any(app.path == path and app.name == attribute for app in apps) else ""


def _server(
    sources: Sources,
    common: Service,
    apps: list[App],
    entry: Finding[str],
    root: str,
    stated: list[Started],
) -> Service:
    module, _, attribute = entry.value.partition(":")
    path = sources.file_of("", module)
    app = next((a for a in apps if a.path == path and a.name == attribute), apps[0])
    if not root and path:
        root = root_below(sources, path, module)
    port = common.port
    for one in stated:
        if one.command.kind == "server" and (one.command.port or one.port):
            port = read(one.command.port or one.port, one.command.where)
            break
    seen = {v.name for v in common.variables}
    where = stated[0].command.where if stated else ""
    more = [
        n
        for one in stated
        for n in one.environment
        if n not in seen | _IMAGE and one.command.kind == "server"
    ]
    extra = tuple(
        Variable(n, where, required=False, secret=is_secret(n)) for n in dict.fromkeys(more)
    )
    return replace(
        common,
        entry=entry,
        path=root or (sources.needed(path) if path else "") or _root_of_migrations(sources, common),
        framework=read(app.framework, app.where),
        port=port,
        # The image sets PORT.
        variables=tuple(v for v in common.variables + extra if v.name != "PORT"),
    )


def _root_of_migrations(sources: Sources, common: Service) -> str:
    """The folder that alembic's env.py imports from, where it is not the one that serves."""
    if not any("alembic" in word for word in common.migrate.value):
        return ""
    path = next((p for p in sources.paths if p.endswith("/env.py")), "")
    return sources.needed(path) if path else ""


def _ran(sources: Sources) -> list[Command]:
    """uvicorn.run("app.main:app", port=9000) in the project's own files."""
    found = []
    for module in sources.having("uvicorn.run", "uvicorn import run"):
        for node in module.nodes:
            if not (isinstance(node, ast.Call) and module.name(node.func) == "uvicorn.run"):
                continue
            named = node.args[0] if node.args else keywords(node).get("app")
            entry = constant(named)
            if not entry and isinstance(named, ast.Name):
                full = module.names.get(named.id, "")
                other = sources.defined(module, full) if full else (module, named.id)
                entry = f"{sources.root_of(other[0].path)[1]}:{other[1]}" if other else ""
            port = keywords(node).get("port")
            number = (
                port.value if isinstance(port, ast.Constant) and isinstance(port.value, int) else 0
            )
            if ":" in entry:
                found.append(
                    Command(("uvicorn", entry), module.place(node), "server", entry, port=number)
                )
    return found
