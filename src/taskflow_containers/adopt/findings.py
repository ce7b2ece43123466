"""What was found in a repository: every value with its place and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")


class Certainty(StrEnum):
    """How a value came about."""

    READ = "read"
    """A file says it."""
    GUESSED = "guessed"
    """It follows from what is usual; no file says it."""
    UNKNOWN = "unknown"
    """Only a person can say it: the candidates are what was found."""


@dataclass(frozen=True, slots=True)
class Finding(Generic[T]):
    """A value, the `file:line` that says it ("" where none does), and how sure it is."""

    value: T
    where: str = ""
    certainty: Certainty = Certainty.GUESSED
    candidates: tuple[T, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.value)


def read(value: T, where: str) -> Finding[T]:
    """A value that a file states."""
    return Finding(value, where, Certainty.READ)


def guessed(value: T, where: str = "") -> Finding[T]:
    """A value that no file states, but that follows from what is usual."""
    return Finding(value, where, Certainty.GUESSED)


def unknown(default: T, candidates: tuple[T, ...] = (), where: str = "") -> Finding[T]:
    """A value to be asked for."""
    return Finding(default, where, Certainty.UNKNOWN, candidates)


@dataclass(frozen=True, slots=True)
class Note:
    """One sentence for the owner: a fault, a line to add to the code, or a thing to know."""

    level: Literal["fault", "change", "said"]
    text: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What no file answers: `key` is the key of the container's entry that the answer belongs in."""

    container: str
    key: str
    text: str
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that code or a file names; `secret` as its name tells."""

    name: str
    where: str
    required: bool
    default: str = ""
    secret: bool = False
    sample: str = ""
    """A value of its type, where any text will not do."""


@dataclass(frozen=True, slots=True)
class Route:
    """A route that answers about health; `database` where its function is seen to ask one."""

    path: str
    where: str
    database: bool = False


@dataclass(frozen=True, slots=True)
class Next:
    """What a Next.js application's configuration evaluates to, as far as it is certain."""

    version: Finding[str]
    router: Finding[str]
    """app, pages, both, or "" where neither folder is there."""
    output: Finding[str] = field(default_factory=lambda: guessed(""))
    base_path: Finding[str] = field(default_factory=lambda: guessed(""))
    dist_dir: Finding[str] = field(default_factory=lambda: guessed(".next"))
    rewrites: tuple[Finding[tuple[str, str]], ...] = ()
    """Pairs of source and destination; "" where a part is known only when it runs."""
    options: dict[str, Finding[Any]] = field(default_factory=dict)
    """images, i18n, trailingSlash, transpilePackages, assetPrefix, experimental…, where stated."""


@dataclass(frozen=True, slots=True)
class Service:
    """A container to be: what its folder says about it."""

    name: str
    kind: Finding[str]
    runtime: Literal["python", "node"]
    context: Finding[str]
    app: str
    base: Finding[str]
    framework: Finding[str]
    """fastapi, starlette, litestar, quart, django, flask, nextjs, celery …"""
    port: Finding[int]
    memory: str
    install: Finding[str] = field(default_factory=lambda: guessed(""))
    options: Finding[tuple[str, ...]] = field(default_factory=lambda: guessed(()))
    """What of it is installed beside its packages for every day: groups, extras, further requirements files."""
    lock: Finding[str] = field(default_factory=lambda: guessed(""))
    entry: Finding[str] = field(default_factory=lambda: guessed(""))
    path: str = ""
    package: str = ""
    """The name by which files import the project's own folder, as `app.main` in app/."""
    files: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    manager: Finding[str] = field(default_factory=lambda: guessed(""))
    build: Finding[str] = field(default_factory=lambda: guessed(""))
    next: Next | None = None
    health: tuple[Route, ...] = ()
    variables: tuple[Variable, ...] = ()
    arguments: tuple[Variable, ...] = ()
    """Variables that the build bakes in: NEXT_PUBLIC_… and those that next.config reads."""
    build_values: dict[str, str] = field(default_factory=dict)
    """What the repository says of those."""
    connects: dict[str, str] = field(default_factory=dict)
    """Variable to service: DATABASE_URL to database, API_URL to the backend."""
    connects_as: dict[str, str] = field(default_factory=dict)
    """The form of those that are no plain URL: postgresql+asyncpg, host, port, user, password, name."""
    fixed: Finding[Mapping[str, str]] = field(default_factory=lambda: guessed({}))
    """Variables that its own image sets."""
    migrate: Finding[tuple[str, ...]] = field(default_factory=lambda: guessed(()))
    command: Finding[tuple[str, ...]] = field(default_factory=lambda: guessed(()))
    schedule: Finding[str] = field(default_factory=lambda: guessed(""))

    @property
    def found(self) -> dict[str, Finding[Any]]:
        """Its single findings by name, for a table."""
        pairs = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in pairs.items() if isinstance(value, Finding)}

    def entry_of_model(self) -> dict[str, Any]:
        """Its entry in `adopted.containers`, without the names that depend on what is taken."""
        python = self.runtime == "python"
        # What leads to another service is that service's to say.
        fixed = {k: v for k, v in self.fixed.value.items() if k not in self.connects}
        variables = [v for v in self.variables if v.name not in fixed]
        required = [v for v in variables if v.required]
        needed = sorted({v.name for v in required})
        # What a file gives as an example may be none of a secret's.
        given = [v for v in required if v.default and not v.secret]
        examples = {v.name: v.sample for v in required if v.sample}
        examples |= {v.name: v.default for v in given}
        own = {
            "entry": self.entry.value,
            "path": self.path,
            **({"package": self.package} if self.package else {}),
            "install": self.install.value,
            "options": [*self.options.value],
            "files": [*self.files],
            "sources": [*self.sources],
        }
        node = {
            "manager": self.manager.value,
            "lock": self.lock.value,
            "base_path": self.next.base_path.value if self.next else "",
            "build": self.build.value,
            "build_values": dict(self.build_values),
        }
        return {
            "name": self.name,
            "kind": self.kind.value,
            "runtime": self.runtime,
            "context": self.context.value,
            "app": self.app,
            "base": self.base.value,
            "port": self.port.value,
            "memory": self.memory,
            **(own if python else node),
            "environment": {
                "required": needed,
                "optional": sorted({v.name for v in variables} - {*needed}),
                "fixed": fixed,
                **({"examples": examples} if examples else {}),
            },
            "arguments": sorted({v.name for v in self.arguments}),
            "connects": dict(self.connects),
            "connects_as": dict(self.connects_as),
            "migrate": [*self.migrate.value],
            "command": [*self.command.value],
            "schedule": self.schedule.value,
        }


@dataclass(frozen=True, slots=True)
class Findings:
    """All that a look at a repository found."""

    services: tuple[Service, ...] = ()
    database: Finding[str] = field(default_factory=lambda: guessed(""))
    """postgresql, mysql, sqlite, mongodb or ""."""
    driver: Finding[str] = field(default_factory=lambda: guessed(""))
    """How the database's URL begins, where a default or an example says it: postgresql+asyncpg."""
    backing: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the application needs beside itself, as `adopted.services`: {database: {kind, image, port}}."""
    notes: tuple[Note, ...] = ()
    questions: tuple[Question, ...] = ()

    def containers(self) -> list[dict[str, Any]]:
        """The entries of `adopted.containers`; an unanswered question's key has "" or its usual value."""
        return [service.entry_of_model() for service in self.services]
