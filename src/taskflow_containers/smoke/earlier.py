"""What a smoke test's verdict depends on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator

from taskflow_containers.engine.client import substitutes
from taskflow_containers.project import FILE_NAME
from taskflow_containers.report.earlier import own_sources
from taskflow_containers.smoke.lab import Options
from taskflow_containers.workspace import Target, Workspace


def inputs(workspace: Workspace, targets: Iterable[Target], options: Options) -> Iterator[bytes]:
    """All that a verdict depends on, but for what else the machine is doing."""
    engine, project = workspace.engine, workspace.project
    instead, names = substitutes(), []
    for target in targets:
        container = target.container
        yield f"{target.name} {target.image}".encode()
        names.append(container.base)
        for variable in container.environment.required:
            if variable not in container.connects:
                yield f"{variable}={os.environ.get(variable)}".encode()
    names += [service.image for service in project.services.values()]
    for name in names:
        config = engine.image_config(instead.get(name, name)) or {}
        yield f"{name} {config.get('Id')}".encode()
    yield f"{engine.description} on {platform.platform()}".encode()
    yield f"{sorted(options.only)} {options.full}".encode()
    for path in [
        workspace.root / name for name in (FILE_NAME, f"{project.files.chart}/values.yaml")
    ]:
        yield path.read_bytes() if path.is_file() else b"-"
    yield from own_sources()
