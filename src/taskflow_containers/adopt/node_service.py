"""The containers that Next.js applications are."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from taskflow_containers.adopt import (
    carried_variables,
    next_app,
    node_build,
    node_project,
    node_variables,
)
from taskflow_containers.adopt.commands import parse
from taskflow_containers.adopt.examples import examples
from taskflow_containers.adopt.findings import Finding, Next, Service, Variable, guessed, read
from taskflow_containers.adopt.python_service import name
from taskflow_containers.adopt.python_source import aside
from taskflow_containers.adopt.repository import Repository, join, parent
from taskflow_containers.adopt.stated import ComposeService, Dockerfile, is_secret

# What makes a package of JavaScript run that is no Next.js: it stays as it is.
_OTHER = (
    "express",
    "fastify",
    "@nestjs/core",
    "koa",
    "hono",
    "@remix-run/serve",
    "@react-router/serve",
    "react-router-serve",
    "nuxt",
    "@sveltejs/kit",
    "astro",
    "@tanstack/react-start",
    "nitro",
    "expo",
    "vite",
)
# The steps of a course, each a copy of the application: book/2-begin, chapters/03, templates/blog.
_CHAPTER = re.compile(
    r"/(?:templates?|tutorials?|chapters?|lessons?|exercises?|workshops?)/|/\d+[-_](?:begin|start|end|final|finished|solution)[\w-]*/"
)
# Scripts that hand on to the scripts of other packages.
_PASSED_ON = re.compile(
    r"\b(?:turbo|nx|lerna|concurrently|npm-run-all|run-[ps])\b|--filter|\s-w\b|\bworkspace\b|--prefix"
)
# A program of one's own that starts Next.js: `node server.js`, `tsx watch src/server.ts`.
_OWN_SERVER = re.compile(
    r"\b(?:node|tsx|ts-node|nodemon|bun)\b(?:\s+(?:run|watch|-\S+))*\s+(?!\S*\.next/)\S+"
)


def services(
    repository: Repository, files: list[Dockerfile], composed: list[ComposeService]
) -> list[Service]:
    """A frontend for each Next.js application."""
    found, examples_of_it = [], []
    for path in repository.below(".", "package.json"):
        if path.rsplit("/", 1)[-1] != "package.json":
            continue
        folder, package = parent(path), repository.data(path)
        needs = node_project.dependencies(package)
        configured = bool(repository.first(folder, *next_app.CONFIGURATIONS))
        start = str(_scripts(package).get("start", ""))
        if "next" in needs or configured:
            version = read(needs.get("next", ""), repository.at(path, '"next"'))
            settings = next_app.configuration(repository, folder, version)
            if not (configured or settings.router):
                continue
            if aside(path) or _CHAPTER.search(f"/{path}"):
                examples_of_it.append(folder)
                continue
            found.append(_service(repository, folder, needs, settings, files, composed))
        elif (start or _is_site(repository, folder, needs)) and not (
            aside(path) or _PASSED_ON.search(start)
        ):
            other = next((one for one in _OTHER if one in needs), "")
            repository.say(
                "said",
                f"{other or f'`{start}`'} is no Next.js: this package is left as it is",
                repository.at(path, *([f'"{other}"'] if other else ['"scripts"', '"start"'])),
            )
    if examples_of_it:
        more = f" and {len(examples_of_it) - 1} more" if examples_of_it[1:] else ""
        member = node_project.workspace_of(repository, examples_of_it[0])
        todo = "give it another folder" if member else "`adopt` that very folder"
        repository.say(
            "said",
            f"Next.js in a folder of tests, examples or documentation{more}: left as it is; "
            f"{todo} where it is to run",
            examples_of_it[0],
        )
    _without_package(repository)
    return found


def _is_site(repository: Repository, folder: str, needs: dict[str, str]) -> bool:
    """Whether another framework builds a site of a package, which nothing need start."""
    page = "vite" in needs and repository.has(join(folder, "index.html"))
    return page or any(one in needs for one in _OTHER[_OTHER.index("nuxt") :] if one != "vite")


def _without_package(repository: Repository) -> None:
    """Say of an application whose packages are those of a folder above, as Nx has it."""
    for path in repository.below(".", *next_app.CONFIGURATIONS):
        folder = parent(path)
        top = next(
            (f for f in node_project.above(folder) if repository.has(join(f, "package.json"))), ""
        )
        needs = node_project.dependencies(repository.data(join(top, "package.json"))) if top else {}
        if top not in {"", folder} and "next" in needs and not aside(path):
            repository.say(
                "change",
                "Next.js without a package.json beside it: add one that names next and the script "
                f'`"build": "next build"`, and list the folder in `workspaces` of {join(top, "package.json")}',
                path,
            )


def _service(
    repository: Repository,
    folder: str,
    needs: dict[str, str],
    settings: Next,
    files: list[Dockerfile],
    composed: list[ComposeService],
) -> Service:
    package = repository.data(join(folder, "package.json"))
    top = node_project.workspace_of(repository, folder) or folder
    own_lock = any(repository.has(join(folder, lock)) for lock in node_project.LOCKS)
    top = folder if own_lock else top
    manager, lock = node_project.manager(repository, folder, top)
    if settings.output.value == "export":
        repository.say(
            "change",
            "`output: 'export'` makes files for any web server and no Next.js server: leave it out to run one",
            settings.output.where,
        )
    _told(repository, folder, settings)
    near = [f for f in files if parent(f.path) == folder]
    near = near or [
        f
        for f in files
        if any(s.strip("./").startswith(folder) for s in f.sources if folder != ".")
    ]
    images = [
        read(image, where)
        for f in near
        for image, where in f.bases
        if re.match(r"(?:.*/)?node:\d", image)
    ]
    mine = [
        c
        for c in composed
        if c.context == folder or (c.dockerfile and parent(c.dockerfile) == folder)
    ]
    port = _port(repository, folder, near, mine)
    folders = [folder, *node_project.local(repository, top, needs)]
    found = node_variables.variables(repository, folders)
    for key, stated in node_build.prisma(repository, folders).items():
        variable = found.get(key, stated)
        found[key] = replace(variable, required=variable.required or stated.required)
    for place in dict.fromkeys([folder, top]):
        for variable in examples(repository, place):
            if variable.name in found or (
                place == folder and not node_variables.is_own(variable.name)
            ):
                old = found.get(variable.name)
                found[variable.name] = (
                    replace(old, default=old.default or variable.default) if old else variable
                )
    # What the configuration's `env` sets is put into the code when it is built.
    inlined = settings.options["env"].value if "env" in settings.options else None
    for key in inlined if isinstance(inlined, dict) else ():
        found.pop(key, None)
    for one in mine:
        for key, value in one.environment.items():
            if not node_variables.is_own(key):
                found.setdefault(key, Variable(key, one.where, required=False, default=value))
    everything = tuple(replace(v, secret=is_secret(v.name)) for v in found.values())
    baked = tuple(
        v
        for v in everything
        if v.name.startswith("NEXT_PUBLIC_")
        or (re.search(r"(?:^|/)next\.config\.\w+:", v.where) and not v.secret)
    )
    for variable in everything:
        if variable.secret and re.search(r"(?:^|/)next\.config\.\w+:", variable.where):
            repository.say(
                "said",
                f"{variable.name} is read when the image is built and is a secret by its name: give it by a build secret",
                variable.where,
            )
    own = next((f for f in near if f.runs_node), None)
    given = node_build.values(repository, folder, baked, own or next(iter(near), None), mine)
    if skip := node_build.skipped(repository, repository.below(folder, ".js", ".mjs", ".ts")):
        # What the schema asks for is there when the image runs, and is looked at then.
        baked, given = (*baked, Variable(skip, "", required=False)), given | {skip: "1"}
    node_build.say(repository, top, folders, _scripts(package), baked, given)
    node_build.say_left_out(
        repository,
        folder,
        [v for v in everything if v not in baked and "next.config." not in v.where],
    )
    return Service(
        name=name(folder, "frontend"),
        kind=guessed("frontend"),
        runtime="node",
        context=read(top, lock.where) if top != folder else guessed(folder),
        app="" if top == folder else (folder if top == "." else folder.removeprefix(top + "/")),
        base=node_project.base(repository, folder, images[0] if images else None),
        framework=read("nextjs", settings.version.where),
        port=port,
        memory="200MB",
        manager=manager,
        lock=lock,
        build=_build(repository, folder, manager.value or "npm"),
        next=settings,
        health=next_app.health(repository, folder, str(settings.base_path.value)),
        variables=tuple(v for v in everything if v not in baked),
        fixed=carried_variables.fixed(
            repository,
            top,
            own,
            {v.name for v in everything},
            elsewhere={v.name for v in baked},
        ),
        arguments=baked,
        build_values=given,
    )


def _told(repository: Repository, folder: str, settings: Next) -> None:
    """Say what its owner has to do before a container can run it."""
    major, minor, where = *_version(settings.version.value), settings.version.where
    if (0, 0) < (major, minor) < (13, 4):
        repository.say(
            "change", f"Next.js {settings.version.value} is too old: it takes 13.4 or newer", where
        )
    path = join(folder, "package.json")
    start = str(_scripts(repository.data(path)).get("start", ""))
    if "next start" not in start and (match := _OWN_SERVER.search(start)):
        repository.say(
            "change",
            f"its own server (`{match[0]}`) is not started, Next.js's is: move what it does besides "
            "into routes or middleware, or run it as a program of its own",
            repository.at(path, '"scripts"', '"start"'),
        )


def _version(stated: str) -> tuple[int, int]:
    """The newest version that a range of one number allows, as far as it counts; (0, 0) where unknown."""
    match = re.fullmatch(
        r"\s*([\^~=v]*)\s*(\d{1,3})(?:\.(\d{1,4}|[x*]))?(?:\.[\w.*+-]+)?\s*", stated
    )
    if not match:
        return 0, 0
    exact = match[1] != "^" and match[3] and match[3].isdigit()
    return int(match[2]), int(match[3]) if exact else 99


def _scripts(package: dict[str, Any]) -> dict[str, Any]:
    scripts = package.get("scripts")
    return scripts if isinstance(scripts, dict) else {}


def _build(repository: Repository, folder: str, manager: str) -> Finding[str]:
    path = join(folder, "package.json")
    if "build" in _scripts(repository.data(path)):
        return read(f"{manager} run build", repository.at(path, '"scripts"', '"build"'))
    repository.say(
        "change", 'no script to build it: add `"build": "next build"` to the scripts', path + ":1"
    )
    return guessed(f"{manager} run build")


def _port(
    repository: Repository, folder: str, files: list[Dockerfile], composed: list[ComposeService]
) -> Finding[int]:
    path = join(folder, "package.json")
    command = parse(str(_scripts(repository.data(path)).get("start", "")).split(), path)
    if command.port:
        return read(command.port, repository.at(path, '"scripts"', '"start"'))
    for file in files:
        if file.port:
            return read(file.port, file.port_where)
    for one in composed:
        if one.ports:
            return read(one.ports[0], one.where)
    return guessed(3000)
