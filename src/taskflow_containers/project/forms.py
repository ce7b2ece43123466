"""In what form a variable holds where a service is: its URL, one of another driver, or a part of it."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

PARTS = ("host", "port", "user", "password", "name")


def formed(url: str, form: str) -> str:
    """What a variable holds of a service's URL in this form; what is no such URL stays as it is.

    `form` is a URL's scheme with SQLAlchemy's driver, such as postgresql+asyncpg, or one of PARTS.
    """
    if not form or not url.startswith("postgresql://"):
        return url
    if form not in PARTS:
        return form + url.removeprefix("postgresql")
    found = urlsplit(url)
    part = {
        "host": found.hostname, "port": found.port, "user": found.username,
        "password": found.password, "name": found.path.lstrip("/"),
    }[form]  # fmt: skip
    return unquote(str(part or ""))
