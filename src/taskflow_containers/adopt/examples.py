"""The variables that the example of an .env file names, and what it gives for each."""

from __future__ import annotations

import re

from taskflow_containers.adopt.findings import Variable
from taskflow_containers.adopt.repository import Repository

# What stands in an example in place of a value: <id>, sk-xxxx, ****, your-key, changeme.
_MASKED = re.compile(
    r"<[^>]*>|x{3,}|\*{3}|\.{3}|\byour[-_ ]|change[-_ ]?(?:me|this)", re.IGNORECASE
)

# What a variable holds that is called so: a program that reads it at its start takes no other text.
_USUAL = (
    (
        r"(?!\w*_REST_)\w*(?:REDIS|CELERY|BROKER)\w*_(?:URL|URI|DSN|BACKEND)",
        "redis://localhost:6379/0",
    ),
    (r"\w*(?:RABBIT|AMQP)\w*_(?:URL|URI|DSN)", "amqp://localhost"),
    (r"\w*MONGO\w*_(?:URL|URI|DSN)", "mongodb://localhost/app"),
    (r"\w*(?:MYSQL|MARIADB)\w*_(?:URL|URI|DSN)", "mysql://localhost/app"),
    (r"\w*(?:DATABASE|DB|PG|PSQL|POSTGRES\w*)_(?:URL|URI|DSN)", "postgresql://localhost/app"),
    (r"\w*(?:URL|URI|ORIGINS?|ENDPOINT)", "https://example.com"),
    (r"\w*DOMAIN", "example.com"),
    (r"\w*EMAIL(?:_FROM|_ADDRESS)?", "someone@example.com"),
    (r"\w*(?:HOST|HOSTNAME|SERVER)", "localhost"),
    (r"\w*(?:PORT|SECONDS|MINUTES|HOURS|DAYS|TTL|EXPIRES?(?:_IN)?)", "1"),
    (r"\w*(?:JWT\w*_ALGORITHM|ALGORITHM)", "HS256"),
)


def usual(name: str) -> str:
    """A value that a variable of this name takes, where no file gives one."""
    value = next((v for pattern, v in _USUAL if re.fullmatch(pattern, name.upper())), "")
    return value or f"example-{name.lower().replace('_', '-')}"


def examples(repository: Repository, folder: str) -> list[Variable]:
    """The variables of the example of an .env file in a folder."""
    names = (
        ".env.example",
        ".env.sample",
        ".env.template",
        "example.env",
        ".env.dist",
        ".env.local.example",
    )
    path = repository.first(folder, *names)
    return pairs(repository, path) if path else []


def pairs(repository: Repository, path: str) -> list[Variable]:
    """The variables of an .env file."""
    found = []
    for number, line in enumerate(repository.text(path).split("\n"), 1):
        if match := re.match(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)", line):
            text = re.sub(r"\s+#.*", "", match[2]).strip().strip("\"'")
            # A URL says what kind of service it is of, whatever its password.
            value = "" if _MASKED.search(text) and "://" not in text else text
            found.append(Variable(match[1], f"{path}:{number}", required=False, default=value))
    return found
