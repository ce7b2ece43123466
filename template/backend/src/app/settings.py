"""The service's settings, from the environment."""

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class FromEnvironment(BaseSettings):
    """Settings that are variables, or files that hold their values: NAME_FILE instead of NAME."""

    # An empty variable counts as absent, and no message ever shows a value.
    model_config = SettingsConfigDict(env_ignore_empty=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, values: dict[str, Any]) -> dict[str, Any]:
        found = dict(values)
        for name in cls.model_fields:
            variable = f"{name.upper()}_FILE"
            path = os.environ.get(variable)
            if not path:
                continue
            if name in values:
                raise ValueError(f"{variable} and {name.upper()} are both set: keep one of them")
            try:
                found[name] = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
            except OSError as error:
                raise ValueError(f"{variable} names a file that cannot be read: {error.strerror}") from None
            except UnicodeDecodeError:
                raise ValueError(f"{variable} names a file that is not text") from None
            if not found[name]:
                raise ValueError(f"{variable} names an empty file")
        return found


class Settings(FromEnvironment):
    """What every service has; a component brings its own settings along."""

    taskflow_title: str = "backend"  # These three are set by the image.
    taskflow_version: str = "0.0.0"
    taskflow_revision: str = "unknown"
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    shutdown_seconds: int = Field(default=8, ge=1, le=3600)
    forwarded_allow_ips: str = "127.0.0.1"  # the proxies to believe, as uvicorn calls it
    openrouter_api_key: SecretStr | None = None

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        try:
            for part in [] if value == "*" else value.split(","):
                ip_network(part.strip())
        except ValueError:  # uvicorn would take it for a name and believe nobody.
            raise ValueError("is neither `*` nor addresses and networks with commas between them") from None
        return value


def explain(error: ValidationError) -> str:
    """Say in one line which variables are wrong and why, without their values."""
    problems = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(map(str, problem["loc"])).upper()
        if problem["type"] == "missing":
            problems.append(f"{name} is missing or empty")
        else:
            problems.append(f"{name}: {problem['msg']}".replace(": Value error,", "").strip())
    return "; ".join(problems)
