"""What each kind of container has: its keys, how to see that it is well, and its limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from taskflow_containers.project import values
from taskflow_containers.project.entry import Entry


class Kind(StrEnum):
    """What a container is: which keys it has, what health means and which checks apply."""

    BACKEND = "backend"
    FRONTEND = "frontend"
    WORKER = "worker"  # runs for ever and has no port
    CRON = "cron"  # runs to its end, by a schedule

    @property
    def serves(self) -> bool:
        """Whether it answers HTTP on a port."""
        return self in {Kind.BACKEND, Kind.FRONTEND}


class Runtime(StrEnum):
    """Which interpreter an image has; a backend's is Python, a frontend's Node.js."""

    PYTHON = "python"
    NODE = "node"


_SERVED = ("port", "health", "health.ready", "health.live", "budgets.start")
# The keys that depend on the kind: those that it must have, and those that it may have.
_KEYS: dict[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Kind.BACKEND: (_SERVED, ("routes", "keep-alive")),
    Kind.FRONTEND: (_SERVED, ("routes", "keep-alive")),
    Kind.WORKER: (("runtime", "budgets.start"), ("command", "health", "health.command")),
    Kind.CRON: (("runtime", "schedule", "budgets.run"), ("command",)),
}
_DEPENDENT = dict.fromkeys(key for must, may in _KEYS.values() for key in (*must, *may))


def by_kind(schema: dict[str, Any]) -> None:
    """Say in the JSON schema of a container what each kind must have and what it cannot have."""
    schema["allOf"] = []
    for kind, (must, may) in _KEYS.items():
        then: dict[str, Any] = {"required": [key for key in must if "." not in key]}
        for key in _DEPENDENT:
            table, _, name = key.rpartition(".")
            part = then
            if table:
                part = then.setdefault("properties", {}).setdefault(table, {})
                if part is False:
                    continue
            if key not in (*must, *may):
                part.setdefault("properties", {})[name] = False
            elif table and (key in must or table not in must):
                part.setdefault("required", []).append(name)
        condition = {"properties": {"kind": {"const": kind.value}}, "required": ["kind"]}
        schema["allOf"].append({"if": condition, "then": then})


def misplaced(kind: Kind, stated: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The keys of a container that its kind cannot have, or misses, and in words what is wrong."""
    must, may = _KEYS[kind]
    for key in _DEPENDENT:
        table, _, name = key.rpartition(".")
        there = name in (stated.get(table, {}) if table else stated)
        kinds = [f'"{other}"' for other, keys in _KEYS.items() if key in (*keys[0], *keys[1])]
        if there and f'"{kind}"' not in kinds:
            yield key, f'is for the kind {" or ".join(kinds)}; this is a "{kind}"'
        # What a table that need not be there is made of must be in it.
        if not there and (key in must or (key in may and table in stated)):
            yield key, "is missing"


def without_default(schema: dict[str, Any]) -> None:
    """Leave out of the JSON schema what stands for a key that is not there."""
    schema.pop("default", None)


def _program(words: tuple[str, ...]) -> tuple[str, ...]:
    if not all(words) or " " in "".join(words[:1]):
        raise ValueError('names no program: write it as ["alembic", "upgrade", "head"]')
    return words


Command = Annotated[tuple[str, ...], AfterValidator(_program)]


class Health(Entry):
    """How to see that a container is well: by HTTP where it has a port, else by a command."""

    ready: values.HttpPath = Field(default="", json_schema_extra=without_default)
    """Answers 200 when it can serve."""
    live: values.HttpPath = Field(default="", json_schema_extra=without_default)
    """Answers 200 when it works; it never asks a dependency."""
    command: Command = Field(default=(), json_schema_extra=without_default)
    """A worker's: ends with exit code 0 when it works; the image's HEALTHCHECK is this very one."""


class Budgets(Entry):
    """Limits a build or a smoke test holds the container to (bytes, seconds)."""

    size_above_base: values.Size
    start: values.Duration = Field(default=0.0, json_schema_extra=without_default)
    """Until it is healthy. A worker without `health` has started when it still runs after so long."""
    run: values.Duration = Field(default=0.0, json_schema_extra=without_default)
    """How long one run of a cron job takes at the most."""
    stop: values.Duration
    """From SIGTERM until it has ended, with its requests answered; the smoke test kills it then."""
