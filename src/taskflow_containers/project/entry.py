"""What every table of taskflow.toml is, and the table that tells where a secret value is."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from taskflow_containers.project import values


class Entry(BaseModel):
    """A table of the file: its keys have hyphens, and no others are allowed."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=lambda name: name.replace("_", "-"),
        use_attribute_docstrings=True,
    )


class Origin(Entry):
    """Where a value is when an image is built: a variable of whoever builds it, or a file."""

    variable: values.Variable | None = None
    file: values.LocalFile | None = None
    """Relative to the project, absolute, or from ~ on."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.variable is None) == (self.file is None):
            raise ValueError('must name a variable or a file, e.g. { variable = "NPM_TOKEN" }')
        return self
