"""What every table of taskflow.toml is, and the table that tells where a secret value is."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from taskflow_containers.project import values


class Entry(BaseModel):
    """A table of the file: its keys have hyphens, and no others are allowed."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=lambda name: name.replace("_", "-"),
        use_attribute_docstrings=True,
    )


def at(message: str, *location: str | int) -> PydanticCustomError:
    """An error whose place is `location` below the entry that found it."""
    return PydanticCustomError("reference", "{message}", {"message": message, "at": location})


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names as they are; raises ValueError where one is stated twice."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"stated twice: {', '.join(twice)}")
    return names


class Origin(Entry):
    """Where a value is when an image is built: a variable of whoever builds it, or a file."""

    variable: values.Variable | None = None
    """The environment variable that holds it."""
    file: values.LocalFile | None = None
    """Relative to the project, absolute, or from ~ on."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.variable is None) == (self.file is None):
            raise ValueError('must name a variable or a file, e.g. { variable = "NPM_TOKEN" }')
        return self
