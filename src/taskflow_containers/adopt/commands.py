"""What a command line starts: a server with its application, a worker, or a migration."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, replace
from typing import Literal

_RUNNERS = ("uv", "poetry", "pdm", "pipenv", "hatch", "rye")
# Those of a runner's and a wrapper's options that take a value.
_VALUED = {
    "--extra",
    "--group",
    "--with",
    "--package",
    "--directory",
    "--project",
    "-p",
    "--python",
    "-C",
}
_SERVERS = {"uvicorn", "gunicorn", "hypercorn", "granian", "daphne", "uwsgi", "waitress-serve"}
_WORKERS = {
    "celery",
    "arq",
    "rq",
    "dramatiq",
    "taskiq",
    "procrastinate",
    "huey_consumer",
    "huey_consumer.py",
    "faststream",
    "saq",
}
# Names of what runs on and serves nobody.
LASTING = re.compile(
    r"worker|consumer|listener|queue|scheduler|beat|bot|daemon|subscriber|qcluster|dramatiq|huey",
    re.IGNORECASE,
)
# Words of a worker's command that are none of its application's name.
_SUBCOMMANDS = {"worker", "run", "scheduler", "beat"}
_MIGRATIONS = {"alembic": "upgrade", "aerich": "upgrade", "prisma": "migrate"}
_APPLICATION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*(?:\(\))?")
_PATH = re.compile(r"[\w./-]+\.py")


@dataclass(frozen=True, slots=True)
class Command:
    """A command with its place; `kind` says what it starts."""

    words: tuple[str, ...]
    where: str
    kind: Literal["server", "worker", "migrate", "node", "other"] = "other"
    entry: str = ""
    """module:object, or the file that `fastapi run` is given."""
    factory: bool = False
    wsgi: bool = False
    app_dir: str = ""
    port: int = 0
    options: dict[str, str] = field(default_factory=dict)


def split(text: str) -> list[list[str]]:
    """The commands of a shell line, as words: those behind && and ; too."""
    try:
        words = shlex.split(text.replace("\\\n", " "), comments=True)
    except ValueError:
        return []
    found: list[list[str]] = [[]]
    redirected = False
    for word in words:
        if redirected or (match := re.match(r"\d*(?:>>?|<)(.*)", word)):
            # What a stream is led to is no word of the command.
            redirected = not redirected and match is not None and not match[1]
        elif word in {"&&", "||", ";", "|", "&"}:
            found.append([])
        elif word.endswith(";"):
            found[-1].append(word[:-1])
            found.append([])
        else:
            found[-1].append(word)
    return [one for one in found if one]


def of_shell(words: list[str]) -> list[list[str]]:
    """The commands that `sh -c "…"` is given; [] for any other command."""
    shell = len(words) > 2 and words[0].rsplit("/", 1)[-1] in {"sh", "bash", "ash", "dash"}
    return split(words[2]) if shell and re.fullmatch(r"-\w*c", words[1]) else []


def _value(text: str) -> str:
    """A word in which ${NAME:-default} is its default."""
    return re.sub(r"\$\{\w+:?[-=]([^}]*)\}", r"\1", text)


def _bare(words: list[str]) -> list[str]:
    """The command itself, without a shell, assignments, `uv run` and the like before it."""
    while words:
        if words[0] in {"then", "else", "do", "if", "{", "("}:
            words = words[1:]
            continue
        name = words[0].rsplit("/", 1)[-1]
        if inner := of_shell(words):
            return _bare(inner[-1])
        if name == "watchfiles" and (run := [word for word in words[1:] if " " in word]):
            return _bare(run[0].split())
        # What waits, restarts or reads secrets first: wait-for-it.sh db:5432 -- celery -A app worker
        if "--" in words[1:] and name not in {*_SERVERS, *_WORKERS, *_RUNNERS}:
            return _bare(words[words.index("--", 1) + 1 :])
        if (
            name
            in {
                "exec",
                "dumb-init",
                "tini",
                "time",
                "nohup",
                "ddtrace-run",
                "newrelic-admin",
                "--",
                "run-program",
            }
            or name == "opentelemetry-instrument"
            or re.fullmatch(r"[A-Za-z_]\w*=.*", words[0])
        ):
            words = words[1:]
        elif name in _RUNNERS and "run" in words[1:4]:
            words = words[words.index("run") + 1 :]
            while words and words[0].startswith("-"):
                words = words[2 if words[0] in _VALUED else 1 :]
        elif re.fullmatch(r"python[\d.]*|pypy3?", name) and len(words) > 2 and words[1] == "-m":
            module = words[2].split(".")[0]
            if module not in {*_SERVERS, *_WORKERS, *_MIGRATIONS, "fastapi"}:
                return words
            words = [module, *words[3:]]
        else:
            return words
    return words


def parse(words: list[str], where: str) -> Command:
    """What a command starts."""
    words = _bare([_value(word) for word in words])
    command = Command(tuple(words), where)
    if not words:
        return command
    name = words[0].rsplit("/", 1)[-1]
    options, rest = _options(words[1:])
    if name in _SERVERS or (name == "fastapi" and "run" in rest[:1]):
        return _server(replace(command, options=options), name, rest, options)
    if name == "fastapi" and "dev" in rest[:1]:
        return _server(replace(command, options=options), name, rest, options)
    if name in _WORKERS:
        beside = {"flower", "inspect", "status", "purge", "info", "schema"}
        if beside & {*rest} and not _SUBCOMMANDS & {*rest}:
            return command
        named = options.get("-A") or options.get("--app", "")
        if not named and name not in {"celery", "procrastinate", "rq"}:
            own = (word for word in rest if re.fullmatch(r"[A-Za-z_][\w.]*(?::\w+)?", word))
            named = next((word for word in own if word not in _SUBCOMMANDS), "")
        return replace(command, words=_lasting(words), kind="worker", entry=named, options=options)
    if name == "litestar" and "workers" in rest:
        entry = options.get("--app", "")
        return replace(command, kind="worker", entry=entry, options=options)
    if _MIGRATIONS.get(name) in rest[:1] or (
        "manage.py" in " ".join(words[:2]) and "migrate" in words
    ):
        return replace(command, kind="migrate")
    # Django's, and what Flask's scripts took it from.
    if re.search(r"\.py$", " ".join(words[:2])) and "runserver" in words[1:3]:
        bound = re.search(r"(?:^|:)(\d+)$", words[-1])
        return replace(command, kind="server", port=_port(bound[1]) if bound else 8000)
    if re.fullmatch(r"python[\d.]*", name) and len(words) > 1:
        return replace(command, entry=words[2] if words[1] == "-m" and len(words) > 2 else words[1])
    if name in {"node", "next", "npm", "pnpm", "yarn", "bun"}:
        port = options.get("-p") or options.get("--port") or ""
        return replace(command, kind="node", port=_port(port))
    return command


def _lasting(words: list[str]) -> tuple[str, ...]:
    """A worker's command without what restarts it when a developer changes a file."""
    watched = [i for i, word in enumerate(words) if word == "--watch"]
    dropped = {*watched, *(i + 1 for i in watched)}
    return tuple(w for i, w in enumerate(words) if i not in dropped and w != "--reload")


def _port(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) else 0


def _options(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The options with their values, and the other words. A word behind an option is its value, too."""
    options: dict[str, str] = {}
    rest: list[str] = []
    for index, word in enumerate(words):
        if word.startswith("-"):
            key, equals, value = word.partition("=")
            following = words[index + 1] if index + 1 < len(words) else ""
            options[key] = value if equals else ("" if following.startswith("-") else following)
        else:
            rest.append(word)
    return options, rest


def _server(command: Command, name: str, rest: list[str], options: dict[str, str]) -> Command:
    entry = next((word for word in rest if _APPLICATION.fullmatch(word)), "")
    if name == "fastapi":
        named = [word for word in rest[1:] if _PATH.fullmatch(word)]
        entry = options.get("--entrypoint") or options.get("-e") or (named[0] if named else entry)
    port = options.get("--port") or options.get("-p") or ""
    bound = options.get("--bind") or options.get("-b") or options.get("--http") or ""
    if match := re.search(r":(\d+)$", bound):
        port = match[1]
    worker = options.get("-k") or options.get("--worker-class") or ""
    wsgi = name in {"uwsgi", "waitress-serve"} or (
        name == "gunicorn" and "uvicorn" not in worker.lower()
    )
    return replace(
        command,
        kind="server",
        entry=entry.removesuffix("()"),
        factory="--factory" in options or entry.endswith("()"),
        # A configuration file of gunicorn may name the class of its workers.
        wsgi=wsgi and "-c" not in options and "--config" not in options,
        app_dir=(
            options.get("--app-dir") or options.get("--chdir") or options.get("--working-dir") or ""
        ).strip("/"),
        port=_port(port) or (8000 if name == "fastapi" else 0),
    )
