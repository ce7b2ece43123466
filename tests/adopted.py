"""A container of an adopted project, as the template renders its files: Dockerfile, ignore file, container/."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from tests.conftest import ROOT

FRONTEND = ROOT / "template" / "frontend"
NODE = ROOT / "adoption" / "node"
# What lies in the container/ folder of a Next.js application, and of a program without a port.
SERVES = [
    *sorted((FRONTEND / "container").iterdir()),
    *(NODE / name for name in ("adopted.mjs", "manifests.mjs", "workspace.mjs", "build.mjs")),
]
RUNS = [
    *(FRONTEND / "container" / name for name in ("install.mjs", "sbom.mjs")),
    *(NODE / name for name in ("manifests.mjs", "workspace.mjs", "program.mjs", "signals.mjs")),
]
_environment = Environment(
    loader=FileSystemLoader(ROOT), keep_trailing_newline=True,
    extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"],
)  # fmt: skip


def described(**stated: Any) -> dict[str, Any]:
    """A container of Node.js as a plan describes it; what is not said is as for one alone in its folder."""
    return {
        "name": "web", "kind": "frontend", "runtime": "node", "context": ".", "app": "",
        "dockerfile": "Dockerfile", "ours": "container", "base": "node:24-alpine", "port": 3000,
        "memory": "200MB", "lock": "package-lock.json", "build": "", "build_arguments": [],
        "environment": {"required": [], "optional": [], "fixed": {}}, "connects": {},
        "health": {"ready": "/health", "live": "/health"}, "command": [], "ignore": [],
    } | stated  # fmt: skip


def rendered(source: Path, container: dict[str, Any]) -> str:
    """The text of one file of the template in an adopted project."""
    template = _environment.get_template(source.relative_to(ROOT).as_posix())
    return template.render(slug="adopted", file={"container": container})


def place(folder: Path, **stated: Any) -> dict[str, Any]:
    """Write the files of a container beside the application that lies in a folder."""
    container = described(**stated)
    ours = folder / container["ours"]
    ours.mkdir(parents=True)
    serves = container["kind"] == "frontend"
    for source in SERVES if serves else RUNS:
        (ours / source.name.removesuffix(".jinja")).write_text(rendered(source, container))
    file = FRONTEND / "Dockerfile.jinja" if serves else NODE / "worker.Dockerfile.jinja"
    dockerfile = folder / container["dockerfile"]
    dockerfile.write_text(rendered(file, container))
    Path(f"{dockerfile}.dockerignore").write_text(rendered(NODE / "dockerignore.jinja", container))
    return container
