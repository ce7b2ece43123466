"""The backend's image on a base without a shell, from each kind of lock file, on machines with and without IPv6."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from taskflow_containers import smoke
from taskflow_containers.checks import build
from taskflow_containers.engine import builder
from taskflow_containers.engine.client import Engine, substitutes
from taskflow_containers.project.load import load
from taskflow_containers.workspace import Workspace
from tests.conftest import Render, some_of
from tests.containers.conftest import NAME, failed, replace, smoked

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("sample")]

PYTHON = "python:3.13-slim"
SHELL_LESS = """
ARG BASE_IMAGE
FROM ${BASE_IMAGE} AS whole
RUN ["python", "-c", "import pathlib; [f.unlink() for d in ('/usr/bin', '/bin', '/usr/sbin', '/sbin') \\
    for f in pathlib.Path(d).iterdir() if not f.name.startswith('python') and not f.is_dir()]"]
FROM scratch
COPY --from=whole / /
ENV PATH=/usr/local/bin:/usr/bin
"""


def test_a_base_without_a_shell(render: Render, engine: Engine, tmp_path: Path) -> None:
    base, folder = f"{NAME}-shell-less:3.13", render(tmp_path / "project", slug=f"{NAME}-bare")
    (tmp_path / "base").mkdir()
    (tmp_path / "base/Dockerfile").write_text(SHELL_LESS)
    arguments = {"BASE_IMAGE": substitutes().get(PYTHON, PYTHON)}
    builder.build(
        engine, tmp_path / "base", tags=[base], arguments=arguments, labels={}, on_step=print
    )
    assert engine.call("run", "--rm", base, "sh", "-c", "true", check=False).returncode != 0
    replace("taskflow.toml", f'base = "{PYTHON}"', f'base = "{base}"\nbuilder = "{PYTHON}"')(folder)
    project = load(folder / "taskflow.toml")
    (image,) = build.build(Workspace(folder, project, engine), ["backend"])
    assert image.usable, image.results
    results = smoked(Workspace(folder, project, engine), [image])
    assert not failed(results), results
    assert asked_by_ipv6(engine, image.tags[0]) == 0
    trusts = "import os, ssl; ssl.create_default_context(cafile=os.environ['SSL_CERT_FILE'])"
    engine.call("run", "--rm", image.tags[0], "python", "-c", trusts)
    engine.call("image", "rm", "--force", "--no-prune", *image.tags, base, check=False)


ASKS = """
import socket, sys, time, urllib.request
for _ in range(40):
    try:
        [*_, (address, *_)] = socket.getaddrinfo("backend", 8000, socket.AF_INET6)[0]
        sys.exit(urllib.request.urlopen(f"http://[{address}]:8000/api/health/live").status != 200)
    except OSError as error:
        said = error
        time.sleep(0.5)
sys.exit(f"no answer by IPv6: {said}")
"""


def asked_by_ipv6(engine: Engine, image: str) -> int:
    """The exit code of another container that asks this one by its IPv6 address."""
    name = f"{NAME}-ipv6"
    engine.call("network", "create", "--ipv6", "--subnet=fd00:7a5c::/64", name)
    words = ["--rm", "--network", name, "--env=DATABASE_URL=postgresql://u@localhost/d"]
    try:
        engine.call("run", "--detach", "--network-alias=backend", "--name", name, *words, image)
        return engine.call("run", *words, image, "python", "-c", ASKS, check=False).returncode
    finally:
        engine.call("rm", "--force", "--volumes", name, check=False)
        engine.call("network", "rm", name, check=False)


def uv(folder: Path, *words: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "uv", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL
    )


@pytest.fixture(scope="module")
def plain(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project without a database, whose pyproject.toml names its packages, locked by uv."""
    folder = render(tmp_path_factory.mktemp("locks"), slug=f"{NAME}-locks", database=False)
    python = 'requires-python = ">=3.13"'
    packages = '"fastapi", "httptools", "pydantic-settings", "uvicorn"'
    # Whatever Python runs this makes the lock.
    text = f"{python.replace('13', '11')}\ndependencies = [{packages}]"
    replace("backend/pyproject.toml", python, text)(folder)
    uv(folder / "backend", "lock", "--quiet", "--python", sys.executable)
    return folder


@pytest.mark.parametrize("kind", some_of(["uv", "poetry", "two", "none"], "uv", "two", "none"))
def test_lock_files(kind: str, plain: Path, engine: Engine, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(plain, tmp_path / "project"))
    backend = folder / "backend"
    if kind != "two":
        (backend / "requirements.txt").unlink()
    (registry,) = set(re.findall(r'registry = "(\S+)"', (backend / "uv.lock").read_text()))
    if kind in {"poetry", "none"}:
        (backend / "uv.lock").unlink()
    if kind == "poetry":
        with (backend / "pyproject.toml").open("a") as file:
            file.write(f'\n[[tool.poetry.source]]\nname = "index"\nurl = "{registry}/"\n')
        replace("backend/pyproject.toml", "build = [", 'build = ["poetry", ')(folder)
        words = "pip compile --quiet --generate-hashes --python-version=3.13 --group=build"
        uv(backend, *words.split(), "--output-file=requirements-build.txt")
        uv(backend, "tool", "run", "--quiet", "--python", sys.executable, "poetry", "lock")
    project = load(folder / "taskflow.toml")
    (image,) = build.build(Workspace(folder, project, engine), ["backend"])
    if kind in {"two", "none"}:
        assert not image.usable
        lying = {"two": "requirements.txt uv.lock", "none": "none"}[kind]
        assert f"and has {lying}: keep the one" in image.results[0].detail, image.results
        return
    assert image.usable, image.results
    options = smoke.Options(smoke.select(["readiness", "image.development", "image.caches"]))
    results = smoked(Workspace(folder, project, engine), [image], options)
    assert not failed(results), results
    engine.call("image", "rm", "--force", "--no-prune", *image.tags, check=False)
