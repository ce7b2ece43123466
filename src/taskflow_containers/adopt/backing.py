"""The services that an application needs beside itself, and how its database is migrated."""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace

from taskflow_containers.adopt.findings import Finding, Service, Variable, guessed, read
from taskflow_containers.adopt.images import kind_of_image
from taskflow_containers.adopt.python_project import table
from taskflow_containers.adopt.python_source import Sources
from taskflow_containers.adopt.repository import Repository, join, normal, parent
from taskflow_containers.adopt.stated import ComposeService

# Packages that talk to one kind of database.
_DRIVERS = {
    "postgresql": (
        "asyncpg",
        "psycopg",
        "psycopg2",
        "psycopg2-binary",
        "psycopg-binary",
        "pg8000",
        "aiopg",
        "pg",
        "postgres",
    ),
    "mysql": ("pymysql", "mysqlclient", "aiomysql", "asyncmy", "mysql2", "mysql-connector-python"),
    "mongodb": ("pymongo", "motor", "beanie", "mongoengine", "mongoose", "mongodb"),
}
# Packages by which an application uses redis.
_REDIS = ("redis", "arq", "rq", "saq", "aioredis", "taskiq-redis", "django-redis", "channels-redis")
_SCHEME = re.compile(r"(postgres(?:ql)?|mysql|mariadb|sqlite|mongodb)(\+\w+)?://")


def say_others(
    repository: Repository,
    services: Iterable[ComposeService],
    packages: dict[str, str],
    variables: Iterable[Variable],
    database: str,
) -> None:
    """Say what else it uses, once of each kind, and which variables hold where that is."""
    used: dict[str, ComposeService] = {}
    for service in services:
        if not service.context and (kind := kind_of_image(service.image)):
            used.setdefault(kind, service)
    named = {kind: (service.image, service.where) for kind, service in used.items()}
    if "redis" not in used and (package := next((p for p in _REDIS if p in packages), "")):
        named["redis"] = (f"the package {package}", packages[package])
    variables = [*variables]
    for kind, (what, where) in named.items():
        if kind in {database, "postgresql"} or (kind == "mysql" and database):
            continue
        host = used[kind].name if kind in used else kind
        of_it = re.compile(
            rf"(?:^{kind}(?:\+?\w*)://|^{re.escape(host)}$|[/@]{re.escape(host)}(?:[:/]|$))"
        )
        names = dict.fromkeys(
            v.name
            for v in variables
            if (kind in v.name.lower() and re.search(r"(?:URL|URI|DSN|(?<!V)HOST|SERVER)$", v.name))
            or of_it.search(v.default or v.sample)
        )
        address = ", ".join([*names][:6]) or "the variable that says where it is"
        text = f"it also uses {kind} ({what}), which is neither started nor charted: set {address}"
        repository.say("said", text, where)


def scheme(value: str) -> str:
    """How a URL of PostgreSQL's begins, with SQLAlchemy's driver; "" for any other value."""
    found = re.match(r"postgres(?:ql)?(\+\w+)?://", value)
    return f"postgresql{found[1] or ''}" if found else ""


_MANAGE = re.compile(r"(?:^|/)manage\.py$")
_NAMED = ("asyncpg", "psycopg")


def database(
    repository: Repository,
    services: Iterable[ComposeService],
    packages: dict[str, str],
    variables: Iterable[Variable],
) -> tuple[Finding[str], Finding[str], str]:
    """The kind of database, the form of its URL (postgresql+asyncpg), and the image that compose runs."""
    kind, image = guessed(""), ""
    started = [(kind_of_image(s.image), s) for s in services if not s.context]
    # Where files start it with one database or another, PostgreSQL is the one that is known here.
    for found, service in sorted(started, key=lambda pair: pair[0] != "postgresql"):
        if not kind and found in _DRIVERS:
            kind, image = read(found, service.where), service.image
    for path in repository.below(".", ".prisma"):
        if not kind and (
            match := re.search(
                r'datasource\s+\w+\s*\{[^}]*?provider\s*=\s*"(\w+)"', repository.text(path)
            )
        ):
            kind = read(
                "postgresql" if match[1] in {"postgres", "cockroachdb"} else match[1],
                repository.at(path, match[0]),
            )
    for name, packaged in _DRIVERS.items():
        where = next((packages[one] for one in packaged if one in packages), "")
        kind = kind if kind or not where else read(name, where)
    forms: dict[str, Finding[str]] = {}  # by the kind of database
    for variable in variables:
        if match := _SCHEME.match(variable.default):
            name = {"mariadb": "mysql", "postgres": "postgresql"}.get(match[1], match[1])
            forms.setdefault(name, read(match[1] + (match[2] or ""), variable.where))
            kind = kind or read(name, variable.where)
    # Nothing talks to what compose starts: the file that it has by default is its database.
    if (
        kind.value == "postgresql"
        and "sqlite" in forms
        and not {*_DRIVERS[kind.value]} & {*packages}
    ):
        kind, image = read("sqlite", forms["sqlite"].where), ""
    form = forms.get(kind.value, guessed(""))
    if kind.value == "postgresql" and not form and {"sqlalchemy", "sqlmodel"} & packages.keys():
        # SQLAlchemy takes psycopg2 unless the URL names another driver.
        one = [driver for driver in ("psycopg2", "psycopg2-binary", *_NAMED) if driver in packages]
        form = guessed(f"postgresql+{one[0]}") if one and one[0] in _NAMED else form
    return kind, form, image


def migration(
    repository: Repository, folder: str, packages: dict[str, str]
) -> tuple[Finding[tuple[str, ...]], tuple[str, ...]]:
    """The command that migrates the database, run in the project's folder, and the files that it reads."""
    start = "" if folder == "." else folder + "/"
    for path in sorted(repository.below(folder, "alembic.ini"), key=lambda p: p.count("/")):
        if path.rsplit("/", 1)[-1] != "alembic.ini":
            continue
        place = parent(path)
        written = _script_location(repository, path)
        location = written.replace("%(here)s/", "").removeprefix("./").rstrip("/")
        places = [normal(join(one, location)) or "." for one in (place, folder)]
        scripts = next((s for s in places if repository.has(join(s, "env.py"))), "")
        if location and not scripts and ":" not in location:
            repository.say(
                "change",
                f"script_location {location!r} has no env.py: name the command that migrates by "
                "`migrate` in taskflow.toml",
                repository.at(path, "script_location"),
            )
            return guessed(()), ()
        below = path.removeprefix(start)
        words = ("alembic", *(("-c", below) if below != "alembic.ini" else ()), "upgrade", "head")
        # Alembic reads a relative script_location from the folder that it is run in.
        relative = scripts and "%(here)s" not in written and ":" not in location
        if below != "alembic.ini" and relative and scripts != places[1]:
            words = ("sh", "-c", f"cd {shlex.quote(parent(below))} && exec alembic upgrade head")
        return read(words, repository.at(path, "script_location")), tuple(
            filter(None, (below, scripts.removeprefix(start)))
        )
    tool = table(repository.data(join(folder, "pyproject.toml")), "tool", "alembic")
    if location := str(tool.get("script_location", "")).replace("%(here)s/", ""):
        where = repository.at(join(folder, "pyproject.toml"), "[tool.alembic]", "script_location")
        return read(("alembic", "upgrade", "head"), where), ("pyproject.toml", location)
    manages = sorted(repository.below(folder, "manage.py"), key=lambda p: p.count("/"))
    if "django" in packages and (manage := next((p for p in manages if _MANAGE.search(p)), "")):
        below = manage.removeprefix(start)
        return read(("python", below, "migrate"), manage + ":1"), (below,)
    if "alembic" in packages and any(
        repository.below(folder, "/versions/env.py", "alembic/env.py", "migrations/env.py")
    ):
        repository.say(
            "change",
            "alembic has no alembic.ini here: add one, or its migrations run by nobody",
            packages["alembic"],
        )
    return guessed(()), ()


# A database in a file: Django's engine, or a URL of SQLite's whose path does not begin at data/.
_FILE = re.compile(
    r"[\"']django\.db\.backends\.sqlite3[\"']|sqlite(?:\+\w+)?:///(?!:memory:|/?(?:app/|\./)?data/)[\w./{]"
)


def in_file(sources: Sources) -> Finding[str]:
    """SQLite, where the code says so and no variable can say otherwise."""
    return next((read("sqlite", where) for where, _ in _files(sources)), guessed(""))


def say_file(sources: Sources) -> None:
    """Say where a database that is a file has to lie, unless the address can be given from outside."""
    for where, below_data in _files(sources):
        if not below_data:
            sources.repository.say(
                "change",
                "this database is a file, and only /app/data can be written to: have it below data/ "
                "(in Django `BASE_DIR / 'data' / 'db.sqlite3'`), or its address in a variable",
                where,
            )
            return


def _files(sources: Sources) -> Iterator[tuple[str, bool]]:
    """Where a file is written into the code as the database, and whether it lies below data/."""
    for module in sources.having("sqlite", pattern=_FILE):
        source = sources.repository.text(module.path)
        match = _FILE.search(source)
        if not match or "BaseSettings" in source or "DATABASE_URL" in source:
            continue
        near = source[max(0, match.start() - 150) : match.end() + 150]
        if not re.search(r"\benv|environ|postgres", near):
            line = source.count("\n", 0, match.start()) + 1
            yield f"{module.path}:{line}", bool(re.search(r"[\"'/]data\b", near))


# The address of a PostgreSQL as a program writes it, whole or put together, but for what an object's attributes say.
_ADDRESS = re.compile(r"[\"']postgres(?:ql)?(?:\+\w+)?://(?!\{\w+\.)")


def say_written(sources: Sources) -> None:
    """Say where the address of the database is written into the code, so that nobody can give another."""
    for module in sources.having("postgres", pattern=_ADDRESS):
        source = sources.repository.text(module.path)
        match = _ADDRESS.search(source)
        if match and not re.search(r"\benviron\b|\bgetenv\b|BaseSettings", source):
            line = source.count("\n", 0, match.start()) + 1
            sources.repository.say(
                "change",
                "the address of its database is written into the code: read it from a variable, as by "
                '`os.environ["DATABASE_URL"]`, and adopt it again',
                f"{module.path}:{line}",
            )
            return


# A URL of SQLite's whose file does not lie below data/: the scheme, and the file.
_SQLITE = re.compile(
    r"(sqlite(?:\+\w+)?):///(?!:memory:|/?app/data/|(?:\./)?data/)(?:[\w.-]*/)*([\w.-]+)"
)


def with_its_file(repository: Repository, service: Service, kind: str) -> Service:
    """The service; a variable that by default means a file which our image cannot write has to be given.

    A file is its container's own, so that no other one migrates it.
    """
    if kind == "sqlite" and service.migrate:
        command = " ".join(service.migrate.value)
        repository.say(
            "change",
            f"its database is a file, which no other container reaches: have the application run `{command}` "
            "when it starts, or give it PostgreSQL",
            service.migrate.where,
        )
        service = replace(service, migrate=guessed(()))
    found = []
    for variable in service.variables:
        match = _SQLITE.fullmatch(variable.default)
        if service.runtime == "python" and match and variable.name not in service.connects:
            url = f"{match[1]}:////app/data/{match[2]}"
            repository.say(
                "said",
                f"{variable.name} is by default a file that cannot be written to in the image: where it runs, set it to {url}",
                variable.where,
            )
            variable = replace(variable, required=True, default=url, sample=url)
        found.append(variable)
    return replace(service, variables=tuple(found))


def _script_location(repository: Repository, path: str) -> str:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(repository.text(path))
        location = parser.get("alembic", "script_location", fallback="")
    except configparser.Error as error:
        repository.broken(path, getattr(error, "lineno", 1), error)
        return ""
    return location
