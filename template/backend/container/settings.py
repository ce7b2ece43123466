"""What is decided when a container starts, from the environment; the application has settings of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Self


class SettingsError(ValueError):
    """Which variables are wrong and why, in one line."""


def number(least: int, most: int) -> Callable[[str], int]:
    """Read a whole number from `least` to `most`."""

    def read(value: str) -> int:
        try:
            found = int(value)
        except ValueError:
            raise ValueError(": Input should be a valid integer") from None
        if found < least:
            raise ValueError(f": Input should be greater than or equal to {least}")
        if found > most:
            raise ValueError(f": Input should be less than or equal to {most}")
        return found

    return read


def one_of(*words: str) -> Callable[[str], str]:
    """Read one of these words, in any case."""

    def read(value: str) -> str:
        for word in words:
            if word.lower() == value.lower():
                return word
        *others, last = map(repr, words)
        raise ValueError(f": Input should be {', '.join(others)} or {last}")

    return read


def networks(value: str) -> str:
    """Read addresses and networks, or `*`: uvicorn would take anything else for a name and believe nobody."""
    for part in [] if value == "*" else value.split(","):
        try:
            ip_network(part.strip())
        except ValueError as error:
            raise ValueError(f" {error}") from None
    return value


def path(value: str) -> str:
    """Read a path so that it starts with a slash and ends with none."""
    return f"/{value.strip('/')}".rstrip("/")


READERS: dict[str, Callable[[str], Any]] = {
    "port": number(1, 65535),
    "log_format": one_of("text", "json"),
    "log_level": one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
    "shutdown_seconds": number(1, 3600),
    "root_path": path,
    "forwarded_allow_ips": networks,
}


@dataclass(frozen=True)
class Settings:
    """The variables of every service; an empty one counts as absent."""

    taskflow_title: str = "backend"  # These three are set by the image.
    taskflow_version: str = "0.0.0"
    taskflow_revision: str = "unknown"
    port: int = 8000
    listen_address: str | None = None  # every one, of both families
    log_format: str = "text"
    log_level: str = "INFO"
    shutdown_seconds: int = 8
    root_path: str = ""  # below which a proxy publishes the application, such as /shop
    forwarded_allow_ips: str = "127.0.0.1"  # the proxies to believe, as uvicorn calls it

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Raise a SettingsError for what is wrong."""
        found, wrong = {}, []
        for name in cls.__dataclass_fields__:
            if value := environment.get(name.upper()):
                try:
                    found[name] = READERS.get(name, str)(value)
                except ValueError as error:
                    wrong.append(f"{name.upper()}{error}")
        if wrong:
            raise SettingsError("; ".join(wrong))
        return cls(**found)


def explain(error: Exception) -> str:
    """Say in one line what is wrong: of pydantic's settings which variables and why, without their values."""
    if not hasattr(error, "errors"):
        return str(error)
    said = []
    for problem in error.errors():
        name = ".".join(map(str, problem["loc"])).upper()
        missing = problem["type"] in ("missing", "value_error.missing")  # the latter is pydantic 1's
        reason = "is missing or empty" if missing else problem["msg"]
        said.append(f"{name}: {reason}".replace(": is", " is").replace(": Value error,", "").strip(": "))
    return "; ".join(said)
