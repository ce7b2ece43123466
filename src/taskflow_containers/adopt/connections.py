"""Which variable of a service holds where another service is, and in what form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from taskflow_containers.adopt.backing import scheme
from taskflow_containers.adopt.findings import Service, Variable
from taskflow_containers.adopt.images import kind_of_image
from taskflow_containers.adopt.repository import parent
from taskflow_containers.adopt.stated import ComposeService

# The variables by which one service is told where another is.
_URL = re.compile(
    r"(?:(?P<whose>\w+)_)?(?:API|BACKEND|SERVER)(?:_(?:BASE|SERVER|INTERNAL|SERVICE))?_(?:URL|URI|ORIGIN|ENDPOINT|HOST)"
)
# Words before it that name no company whose API that would be.
_OURS = frozenset((
    "next", "public", "private", "internal", "external", "local", "app", "main", "core", "rest", "http",
    "base", "python", "py", "fastapi", "flask", "django", "api", "backend", "server", "service", "proxy",
))  # fmt: skip
# An address of this machine's, as a backend has it while it is developed.
_HERE = re.compile(r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\])(?::|/|$)")
_DATABASE_URL = re.compile(
    r"(?:\w+_)?(?:DATABASE|DB|PG|PSQL|POSTGRES(?:QL)?)(?:_A?SYNC)?_(?:URL|URI|DSN)(?:_A?SYNC)?",
    re.IGNORECASE,
)
# A part of where a database is: libpq's own names, or those that begin alike.
_PART = re.compile(
    r"(?P<group>PG|(?:\w+_)?(?:DATABASE|DB|PG|SQL|POSTGRES(?:QL)?)_{1,2}"
    r"(?:(?:DB|MAIN|PRIMARY|MASTER|DEFAULT|WRITER?|READER?|READ_?ONLY|REPLICA)_)?)"
    r"(?P<part>HOST(?:NAME)?|SERVER|ADDRESS|PORT|USER(?:NAME)?|PASS(?:WORD|WD)?|PWD|(?:DB_?)?NAME|DB|DATABASE|BASE)",
    re.IGNORECASE,
)
# What is no database of ours: a test's, the one that Prisma compares with, and other kinds.
_OTHERS = re.compile(
    r"test|e2e|playwright|cypress|shadow|firebase|redis|mongo|mysql|mariadb|rabbit|clickhouse|elastic",
    re.IGNORECASE,
)
_FORMS = (
    ("host", ("HOST", "SERVER", "ADDRESS")),
    ("port", ("PORT",)),
    ("user", ("USER",)),
    ("password", ("PASS", "PWD")),
    ("name", ("DB", "NAME", "DATABASE", "BASE")),
)


def connected(
    services: Iterable[Service],
    folders: dict[str, str],
    composed: Sequence[ComposeService],
    packages: Iterable[str],
    *,
    database: bool,
    project: str,
) -> list[Service]:
    """Say which variable leads to which service: by compose's host names, else by the usual names.

    `folders` are those of the servers, with their names; `project` is what the repository is called.
    """
    services = [*services]
    places = ((c.name, (parent(c.dockerfile), c.context)) for c in composed if c.context)
    hosts = {name: folders[at] for name, all in places for at in all[::-1] if at in folders}
    ours = _OURS | {w for one in (project, *folders) for w in _words(one)}
    backends = [s.name for s in services if s.kind.value == "backend"]
    found = []
    for service in services:
        connects, forms = {}, {}
        for variable in service.variables:
            values = _values(variable, composed)
            urls = [
                m[1]
                for value in values
                if (m := re.match(r"https?://([\w-]+)(?::\d+)?(?:/|$)", value))
            ]
            named = [hosts[host] for host in urls if host in hosts and hosts[host] != service.name]
            alone = service.kind.value == "frontend" and len(backends) == 1
            if named:
                connects[variable.name] = named[0]
            elif (
                alone
                and (match := _URL.fullmatch(variable.name))
                and (any(map(_HERE.match, values)) or {*_words(match["whose"] or "")} <= ours)
            ):
                connects[variable.name] = backends[0]
        if database:
            forms = dict(_database(service.variables, composed, {*packages}))
            connects |= dict.fromkeys(forms, "database")
        said = {name: form for name, form in forms.items() if form}
        found.append(replace(service, connects=connects, connects_as=said))
    return found


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", text.lower()) if word]


def _values(variable: Variable, composed: Iterable[ComposeService]) -> list[str]:
    """What compose files, code and examples give a variable."""
    given = [c.environment.get(variable.name, "") for c in composed]
    return [value for value in (*given, variable.default) if value]


def _database(
    variables: Iterable[Variable], composed: Sequence[ComposeService], packages: set[str]
) -> Iterator[tuple[str, str]]:
    """The variables that lead to the database, each with its form: "" where it is a URL like any other."""
    variables = [v for v in variables if not _OTHERS.search(v.name)]
    groups: dict[str, dict[str, str]] = {}
    for variable in variables:
        if match := _PART.fullmatch(variable.name):
            part = match["part"].upper()
            form = next(form for form, begins in _FORMS if part.startswith(begins))
            # DB_NAME goes before DB_DB: the first of two that mean the same.
            groups.setdefault(match["group"], {}).setdefault(form, variable.name)
    for begin, others in groups.items():  # POSTGRES_DATABASE_NAME is of those like POSTGRES_HOST
        above = groups.get(re.sub(r"(?<=_)(?:DATABASE|DB)_+$", "", begin, flags=re.IGNORECASE))
        if above and "host" not in others:
            for form, name in others.items():
                above.setdefault(form, name)
    for (
        variable
    ) in variables:  # Some call the database a schema, and some mean one of PostgreSQL's.
        begin, _, last = variable.name.rpartition("_")
        if (
            last.upper() == "SCHEMA"
            and variable.default not in {"", "public"}
            and begin + "_" in groups
        ):
            groups[begin + "_"].setdefault("name", variable.name)
    kinds = [(c.name, kind_of_image(c.image)) for c in composed]
    elsewhere = {name for name, kind in kinds if kind}
    elsewhere -= {name for name, kind in kinds if kind == "postgresql"}
    by_name = {v.name: v for v in variables}
    parts: dict[str, str] = {}
    for group in groups.values():
        host = by_name.get(group.get("host", ""))
        if host and len(group) > 1 and not {*_values(host, composed)} & elsewhere:
            parts |= {name: form for form, name in group.items()}
    yield from parts.items()
    for variable in variables:
        schemes = [s for value in _values(variable, composed) if (s := scheme(value))]
        usual = _DATABASE_URL.fullmatch(variable.name) or scheme(variable.sample)
        # Beside its parts a URL is mostly put together from them: then it is given only where it must be.
        if variable.name in parts or not (schemes or (usual and (variable.required or not parts))):
            continue
        if not schemes and "ASYNC" in variable.name.upper() and "asyncpg" in packages:
            schemes = ["postgresql+asyncpg"]
        yield variable.name, next((s for s in schemes if "+" in s), "".join(schemes[:1]))
