"""Where a project keeps what the template made, where its own files have those names."""

from __future__ import annotations

import tomllib
from pathlib import Path

from taskflow_containers.project import FILE_NAME, values
from taskflow_containers.project.entry import Entry

TOOLS = "tools"


class Files(Entry):
    """Other names for what the template made at the project's top, relative to the project."""

    compose: values.Inside = "compose.yaml"
    """The compose file; under another name it is read alone, without override and COMPOSE_FILE."""
    chart: values.Inside = "chart"
    """The folder of the Helm chart."""
    tools: values.Inside = TOOLS
    """The folder of the tool's pin and of the lock files that the sessions install."""


def tools_folder(root: Path) -> str:
    """The folder of the tool's pin, before taskflow.toml is checked; the default one if it cannot be read."""
    try:
        data = tomllib.loads((root / FILE_NAME).read_text("utf-8-sig"))
        return Files(tools=data["files"]["tools"]).tools
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return TOOLS
