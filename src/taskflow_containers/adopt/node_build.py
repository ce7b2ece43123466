"""What the build of a Next.js application needs besides its packages, and what no build of an image has."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from typing import Any

from taskflow_containers.adopt.examples import pairs
from taskflow_containers.adopt.findings import Variable
from taskflow_containers.adopt.repository import Repository, join
from taskflow_containers.adopt.stated import ComposeService, Dockerfile, by_default

# Programs that change a database, which no build of an image has.
_MIGRATES = re.compile(
    r"prisma (?:migrate (?:deploy|dev|reset)|db (?:push|seed|execute))|drizzle-kit (?:migrate|push)"
    r"|(?:payload|knex|sequelize|typeorm|kysely|mikro-orm)\b[^&|;]*\bmigrat\w*|node-pg-migrate"
)
_SKIPS = re.compile(r"\bskipValidation\s*:[^,;}]{0,300}?process\.env\.(\w*SKIP\w*)")


def values(
    repository: Repository,
    folder: str,
    arguments: Iterable[Variable],
    file: Dockerfile | None,
    composed: Sequence[ComposeService],
) -> dict[str, str]:
    """The values of the build's variables that the repository itself holds.

    A Dockerfile's and compose's are in the environment of the build, which wins over .env files
    (https://nextjs.org/docs/app/guides/environment-variables#environment-variable-load-order).
    """
    wanted = {one.name for one in arguments}
    found: dict[str, str] = {}
    for path in _committed(repository, [join(folder, n) for n in (".env", ".env.production")]):
        for variable in pairs(repository, path):
            # What refers to other variables has a value in its file alone.
            if variable.name in wanted and variable.default and "$" not in variable.default:
                found[variable.name] = variable.default
    built_with = file.built_with if file else {}
    found |= {name: text for name, text in built_with.items() if name in wanted}
    for service in composed:
        for name, text in service.arguments.items():
            value = by_default(text)
            if name in wanted and value and "$" not in value:
                found[name] = value
    return found


def _committed(repository: Repository, paths: Sequence[str]) -> list[str]:
    """Those of the files that git keeps: the others are of one machine."""
    there = [path for path in paths if repository.has(path)]
    if not there:
        return []
    words = [
        "git",
        "-c",
        "core.fsmonitor=false",
        "-C",
        str(repository.root),
        "ls-files",
        "-z",
        "--",
    ]
    try:
        done = subprocess.run([*words, *there], capture_output=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    kept = done.stdout.decode(errors="replace").split("\0")
    return [path for path in there if path in kept]


def skipped(repository: Repository, paths: Iterable[str]) -> str:
    """The variable by which a schema of the environment is left alone while the image is built, or ""."""
    for path in paths:
        if match := _SKIPS.search(repository.text(path)):
            return match[1]
    return ""


def prisma(repository: Repository, folders: Iterable[str]) -> dict[str, Variable]:
    """The variables of Prisma's data sources: the URL is needed, the others are the migrations'."""
    found: dict[str, Variable] = {}
    for path in (p for folder in folders for p in repository.below(folder, ".prisma")):
        for block in re.findall(r"\bdatasource\s+\w+\s*\{([^}]*)\}", repository.text(path)):
            if match := re.search(r'^\s*url\s*=\s*"\w+://[^"]*"', block, re.MULTILINE):
                repository.say(
                    "change",
                    "the address of its database is written into the schema: write "
                    '`url = env("DATABASE_URL")`, and adopt it again',
                    repository.at(path, "datasource", match[0].strip()),
                )
            for key, name in re.findall(r'^\s*(\w+)\s*=\s*env\("(\w+)"\)', block, re.MULTILINE):
                where = repository.at(path, "datasource", f'"{name}"')
                found.setdefault(name, Variable(name, where, required=key == "url"))
    return found


def say(
    repository: Repository, top: str, folders: Sequence[str], scripts: dict[str, Any],
    arguments: Sequence[Variable], given: dict[str, str],
) -> None:  # fmt: skip
    """Say what the build takes, what it must not do, and what nobody does for it."""
    path = join(folders[0], "package.json")
    missing = [one for one in arguments if one.name not in given]
    needed = [one for one in missing if one.required]
    for level, some in (("change", needed), ("said", [one for one in missing if not one.required])):
        names = [one.name for one in some]
        more = f" and {len(names) - 4} more" if names[4:] else ""
        if some:
            repository.say(
                level,
                f"{', '.join(names[:4])}{more}: read when the image is built, which takes the value from "
                "`build.arguments` in taskflow.toml",
                some[0].where,
            )
    _say_token(repository, top)
    command = _whole(scripts, "build")
    if match := _MIGRATES.search(command):
        repository.say(
            "change",
            f"`{match[0]}` in its `build` asks a database, which no build of an image has: take it out, "
            "and run it before a release",
            repository.at(path, '"scripts"', '"build"'),
        )
        return
    for one in folders:
        tool, place = _migrations(repository, one)
        if tool:
            repository.say(
                "said",
                f"no container here migrates the database: run `{tool}` before a release",
                place,
            )
            return


def _say_token(repository: Repository, top: str) -> None:
    """Say of a registry that asks for a secret."""
    for path in (join(top, name) for name in (".npmrc", ".yarnrc.yml", "bunfig.toml")):
        for name in re.findall(
            r"(?:_authToken|npmAuthToken|token)\W+\$\{?(\w+)\}?", repository.text(path)
        ):
            repository.say(
                "change",
                f"a registry of packages asks for {name}: give it by `build.secrets` in taskflow.toml, and a "
                "mount of that secret on the Dockerfile's RUN that installs",
                repository.at(path, name),
            )


def say_left_out(repository: Repository, folder: str, variables: Sequence[Variable]) -> None:
    """Say of a committed .env file what it would have set, had the image one."""
    wanted = {one.name for one in variables if not one.required}
    for path in _committed(repository, [join(folder, n) for n in (".env", ".env.production")]):
        names = [one.name for one in pairs(repository, path) if one.name in wanted]
        if names:
            repository.say(
                "said",
                f"no .env file is in an image: give {', '.join(dict.fromkeys(names))} when it runs",
                path,
            )


def _migrations(repository: Repository, folder: str) -> tuple[str, str]:
    """The command that applies an application's migrations, and where those are."""
    for path in repository.below(folder, "migration_lock.toml"):
        return "npx prisma migrate deploy", path
    for path in repository.below(folder, "meta/_journal.json"):
        return "npx drizzle-kit migrate", path
    return "", ""


def _whole(scripts: dict[str, Any], name: str, depth: int = 3) -> str:
    """A script with those that it calls by their names."""
    text = " && ".join(str(scripts.get(n) or "") for n in (f"pre{name}", name, f"post{name}"))
    called = [word for word in re.findall(r"[\w:.-]+", text) if word in scripts and word != name]
    runs = re.search(r"\brun\b|\brun-[sp]\b|npm-run-all|\b(?:yarn|pnpm|bun|concurrently)\b", text)
    more = [_whole(scripts, one, depth - 1) for one in called[:20] if runs and depth]
    return " && ".join([text, *more])
