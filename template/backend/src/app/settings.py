"""The service's settings, from the environment."""

import os
from pathlib import Path
from typing import Any

from pydantic import SecretStr, model_validator
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
    """What every route may need; the database brings its own settings along."""

    taskflow_version: str = "0.0.0"  # set by the image
    openrouter_api_key: SecretStr | None = None
