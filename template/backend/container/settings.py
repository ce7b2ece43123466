"""What is decided when a container starts, from the environment; the application has settings of its own."""

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator


class Settings(BaseModel):
    """The variables of every service; an empty one counts as absent."""

    model_config = ConfigDict(hide_input_in_errors=True)

    taskflow_title: str = "backend"  # These three are set by the image.
    taskflow_version: str = "0.0.0"
    taskflow_revision: str = "unknown"
    port: int = Field(default=8000, ge=1, le=65535)
    listen_address: str | None = None  # every one, of both families
    log_format: Literal["text", "json"] = "text"
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(str.upper)] = "INFO"
    shutdown_seconds: int = Field(default=8, ge=1, le=3600)
    root_path: str = ""  # below which a proxy publishes the application, such as /shop
    forwarded_allow_ips: str = "127.0.0.1"  # the proxies to believe, as uvicorn calls it

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Raise a ValidationError for what is wrong."""
        return cls.model_validate({name.lower(): value for name, value in environment.items() if value})

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        for part in [] if value == "*" else value.split(","):
            ip_network(part.strip())  # uvicorn would take anything else for a name and believe nobody.
        return value

    @field_validator("root_path")
    @classmethod
    def _starts_with_a_slash(cls, value: str) -> str:
        return f"/{value.strip('/')}".rstrip("/")


def explain(error: Exception) -> str:
    """Say in one line what is wrong: of settings which variables and why, without their values."""
    if not isinstance(error, ValidationError):
        return str(error)
    said = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(map(str, problem["loc"])).upper()
        reason = "is missing or empty" if problem["type"] == "missing" else problem["msg"]
        said.append(f"{name}: {reason}".replace(": is", " is").replace(": Value error,", "").strip(": "))
    return "; ".join(said)
