"""Writes what an application asks of its own package (importlib.metadata), as its pyproject.toml states it.

Its tool would install the package with its code; here the code lies in /app, and a change of it installs nothing anew.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

toml: Any = import_module("tomllib" if sys.version_info >= (3, 11) else "pip._vendor.tomli")
SCRIPT = "#!{python}\nimport sys\nfrom {module} import {first}\nsys.exit({called}())\n"


def plain(name: str) -> str:
    """The name of a package as its folder has it."""
    return re.sub(r"[-_.]+", "_", name).lower()


def packaged(data: Mapping[str, Any], install: str) -> bool:
    """Whether the tool that wrote the lock installs the project itself, too."""
    tool = data.get("tool", {})
    usual = "build-system" in data
    if install == "poetry":
        return bool(tool.get("poetry", {}).get("package-mode", True))
    if install == "uv":
        return bool(tool.get("uv", {}).get("package", usual))
    if install == "pdm":
        return bool(tool.get("pdm", {}).get("distribution", usual))
    return install == "project"


def points(data: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Its entry points: group, name and object."""
    project, poetry = data.get("project", {}), data.get("tool", {}).get("poetry", {})
    groups = [*project.get("entry-points", {}).items(), *poetry.get("plugins", {}).items()]
    groups += [("console_scripts", one.get("scripts", {})) for one in (project, poetry)]
    for group, named in groups:
        for name, place in named.items():
            if isinstance(place, str):
                yield group, name, place


def main(environment: Path, file: Path, install: str) -> str:
    """Write them into a virtual environment; answer what a person should know of it."""
    data = toml.loads(file.read_text("utf-8"))
    project, poetry = data.get("project", {}), data.get("tool", {}).get("poetry", {})
    name = project.get("name") or poetry.get("name")
    if not name or not packaged(data, install):
        return ""
    folder = next(environment.glob("lib/python*/site-packages"))
    if plain(name) in {plain(one.name.split("-")[0]) for one in folder.glob("*.dist-info")}:
        return ""
    stated = project.get("version") or poetry.get("version")
    version = stated or "0.0.0"
    own = folder / f"{plain(name)}-{version}.dist-info"
    own.mkdir()
    (own / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups: dict[str, str] = {}
    for group, key, place in points(data):
        groups[group] = f"{groups.get(group, '')}{key} = {place}\n"
        if group == "console_scripts":
            write_script(environment / "bin", key, place)
    text = "".join(f"[{group}]\n{lines}" for group, lines in groups.items())
    (own / "entry_points.txt").write_text(text)
    return (
        ""
        if stated
        else f"{name} has its version from its build: to importlib.metadata it is 0.0.0"
    )


def write_script(folder: Path, name: str, place: str) -> None:
    """The program of an entry point, as installers write it, unless there is one."""
    module, _, called = place.partition("[")[0].strip().partition(":")
    script = folder / name
    if called and not script.exists():
        python, first = folder / "python", called.partition(".")[0]
        script.write_text(SCRIPT.format(python=python, module=module, first=first, called=called))
        script.chmod(0o755)


if __name__ == "__main__":
    if said := main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]):
        print(f"{sys.argv[4]}: {said}", file=sys.stderr)
