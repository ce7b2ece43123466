"""What runs beside or at times: by Procfiles, supervisord's programs, crontabs and manifests."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from taskflow_containers.adopt.commands import parse
from taskflow_containers.adopt.repository import LARGEST, Repository, parent
from taskflow_containers.adopt.stated import Process, commands_of

_CRONTAB = re.compile(r"(?:.*[/.])?cron(?:tab)?(?:\.txt)?|.*/cron\.d/[^/]+|.*\.cron(?:tab)?")
_SCHEDULE = re.compile(r"(@(?:hourly|daily|midnight|weekly|monthly|yearly)|(?:[\d*/,A-Za-z-]+\s+){4}[\d*/,A-Za-z-]+)\s+(\S.*)")  # fmt: skip
_USER = re.compile(r"(?:root|www-data|nobody|app|appuser|user|django|deploy)\s+(?=\S)")
_ENVIRONMENT = re.compile(r"%\(ENV_(\w+)\)s")


def processes(repository: Repository) -> Iterator[Process]:
    """All of them; one that a person runs once is left out by its name later."""
    for path in repository.files:
        name = path.rsplit("/", 1)[-1]
        if name.endswith("Procfile"):
            yield from _procfile(repository, path)
        elif name.endswith((".conf", ".ini")) and repository.files[path] < LARGEST:
            if "[program:" in repository.text(path):
                yield from _programs(repository, path)
        elif _CRONTAB.fullmatch(path):
            yield from _crontab(repository, path)
    for path in repository.below(".", ".yaml", ".yml"):
        text = repository.text(path) if repository.files[path] < LARGEST else ""
        # A chart's template is no YAML before it is rendered.
        if "CronJob" in text and "{{" not in text:
            yield from _cron_jobs(repository, path)


def _procfile(repository: Repository, path: str) -> Iterator[Process]:
    for number, line in enumerate(repository.text(path).split("\n"), 1):
        name, colon, text = line.partition(":")
        if colon and re.fullmatch(r"[\w-]+", name.strip()):
            where = f"{path}:{number}"
            for command in commands_of(repository, text.strip(), where, parent(path)):
                yield Process(name.strip(), parent(path), command)


def _programs(repository: Repository, path: str) -> Iterator[Process]:
    """supervisord's: each runs on."""
    parser = configparser.ConfigParser(
        interpolation=None, strict=False, inline_comment_prefixes=(";",)
    )
    try:
        parser.read_string(repository.text(path))
    except configparser.Error as error:
        repository.broken(path, getattr(error, "lineno", 1), error)
        return
    for section in parser.sections():
        kind, _, name = section.partition(":")
        if kind == "program":
            stated = parser.get(section, "command", fallback="")
            text = _ENVIRONMENT.sub(r"${\1}", stated).replace("%%", "%")
            where = repository.at(path, f"[{section}]", "command")
            for command in commands_of(repository, text, where, parent(path)):
                yield Process(name.strip(), parent(path), command)


def _crontab(repository: Repository, path: str) -> Iterator[Process]:
    for number, line in enumerate(repository.text(path).split("\n"), 1):
        if match := _SCHEDULE.fullmatch(line.strip()):
            text = _USER.sub("", match[2], count=1)
            schedule = re.sub(r"\s+", " ", match[1])
            for command in commands_of(repository, text, f"{path}:{number}", parent(path))[-1:]:
                yield Process("", parent(path), command, schedule)


def _cron_jobs(repository: Repository, path: str) -> Iterator[Process]:
    for document in repository.documents(path):
        if document.get("kind") != "CronJob":
            continue
        spec = document.get("spec")
        spec = spec if isinstance(spec, dict) else {}
        for words in _containers(spec):
            command = parse(words, repository.at(path, "kind: CronJob", "schedule"))
            metadata = document.get("metadata")
            name = metadata.get("name", "cron") if isinstance(metadata, dict) else "cron"
            yield Process(str(name), parent(path), replace(command), str(spec.get("schedule", "")))


def _containers(value: Any) -> Iterator[list[str]]:
    """What the first containers below a specification run."""
    while isinstance(value, dict):
        listed = value.get("containers")
        if isinstance(listed, list) and listed and isinstance(listed[0], dict):
            words = [w for key in ("command", "args") for w in listed[0].get(key) or ()]
            if words:
                yield [str(word) for word in words]
            return
        value = value.get("jobTemplate") or value.get("template") or value.get("spec")
