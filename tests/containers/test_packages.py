"""What an owner adds to the backend finds the image as it finds its framework's plain one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from taskflow_containers.checks import build
from taskflow_containers.engine.client import Engine
from taskflow_containers.project.load import load
from taskflow_containers.smoke.running import Running
from taskflow_containers.smoke.stack import Stack
from taskflow_containers.workspace import Workspace
from tests.conftest import Render
from tests.containers.conftest import NAME, private, replace

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("sample")]

# Some read docstrings, some look for their own files, some import Pydantic's old interface.
PACKAGES = ("alembic", "typer")
CODE = '''
"""An owner's routes, and a command."""

import os

import typer
from fastapi import APIRouter, Request
from pydantic.v1 import BaseModel
from sqlalchemy import create_engine, text

router = APIRouter(prefix="/api")


class Old(BaseModel):
    rows: int


@router.get("/rows")
def rows() -> dict[str, int]:
    with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
        return Old(rows=connection.scalar(text("SELECT 42"))).dict()


@router.get("/where")
def where(request: Request) -> list[str]:
    return [str(request.url_for("where")), request.client.host]


def greet(name: str) -> None:
    """Say hello to somebody."""
    assert name.istitle(), "a name has a capital"
    print(f"Hello {name}")


if __name__ == "__main__":
    typer.run(greet)
'''
PRIVATE = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"
# Files that differ from what their package has published, and modules besides the owner's that each start would compile.
INSPECT = """
import base64, hashlib, json, os, sys
from importlib.metadata import distributions
import container.__main__, container.health, container.server, app.main, uvicorn.protocols.http.httptools_impl, sqlite3, unittest.mock

def differs(file):
    path = file.locate()
    if not path.exists():
        return True
    digest = hashlib.sha256(path.read_bytes()).digest()
    return file.hash and file.hash.value != base64.urlsafe_b64encode(digest).decode().rstrip("=")

files = [file for found in distributions(path=[sys.path[-1]]) for file in found.files]
specs = [module.__spec__ for module in list(sys.modules.values()) if getattr(module, "__spec__", None)]
print(json.dumps({
    "files": len(files) > 500,
    "changed": [str(file) for file in files if differs(file)],
    "uncompiled": [spec.name for spec in specs
        if spec.cached and not os.path.exists(spec.cached) and not spec.origin.startswith("/app/src/")],
}))
"""


class Added:
    """A stack with its database, and the images to start there."""

    def __init__(self, stack: Stack, images: list[build.Image]) -> None:
        self.stack = stack
        self.images = {image.container: image.id for image in images}

    def start(self, name: str, instance: str = "", **environment: str) -> Running:
        """Start one and wait for it."""
        target = self.stack.workspace.target(name, self.images[name])
        running = self.stack.launch(target, instance=instance, environment=environment)
        running.wait()
        return running


@pytest.fixture(scope="module")
def added(
    render: Render, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Added]:
    """The default project, its backend with these packages and that code."""
    folder = render(tmp_path_factory.mktemp("added"), slug=f"{NAME}-added")
    sources = folder / "backend"
    (sources / "src/app/extra.py").write_text(CODE, encoding="utf-8")
    add = "app.include_router(router)"
    replace("src/app/main.py", add, f"{add}\napp.include_router(extra.router)")(folder)
    replace("src/app/main.py", "from app.routes", "from app import extra\nfrom app.routes")(folder)
    with (sources / "requirements.in").open("a", encoding="utf-8") as file:
        file.write("\n".join(PACKAGES) + "\n")
    words = "pip compile --quiet --generate-hashes --python-version=3.13 requirements.in"
    subprocess.run(
        [sys.executable, "-m", "uv", *words.split(), "--output-file=requirements.txt"],
        cwd=sources, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    private(sources)
    project = load(folder / "taskflow.toml")
    images = build.build(Workspace(folder, project, engine), project.containers)
    with Stack(Workspace(folder, project, engine)) as stack:
        stack.start_service("database")
        yield Added(stack, images)
    tags = [tag for image in images for tag in image.tags]
    engine.call("image", "rm", "--force", "--no-prune", *tags, check=False)


@pytest.fixture(scope="module")
def backend(added: Added) -> Running:
    """The backend, on an address as SQLAlchemy writes it, with a proxy in its own network."""
    url = added.stack.urls["database"].replace("postgresql://", "postgresql+psycopg://")
    return added.start("backend", DATABASE_URL=url, FORWARDED_ALLOW_IPS=PRIVATE)


def run(backend: Running, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in the container."""
    return backend.engine.call("exec", backend.handle, *words, check=False, timeout=60)


def test_packages_are_whole_and_compiled(backend: Running) -> None:
    done = run(backend, "python", "-c", INSPECT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"files": True, "changed": [], "uncompiled": []}


def test_docstrings_and_assertions_are_there(backend: Running) -> None:
    told = run(backend, "python", "-m", "app.extra", "--help")
    assert "Say hello to somebody." in told.stdout, told.stderr
    assert run(backend, "python", "-m", "app.extra", "Ada").stdout == "Hello Ada\n"
    assert "a name has a capital" in run(backend, "python", "-m", "app.extra", "ada").stderr
    made = run(backend, "alembic", "--config=/tmp/alembic.ini", "init", "/tmp/migrations")
    assert made.returncode == 0, made.stdout + made.stderr


def test_sqlalchemy_takes_the_same_address(backend: Running) -> None:
    answer = backend.get("/api/rows", 10)
    assert (answer.status, answer.json()) == (200, {"rows": 42})
    assert backend.get("/api/database", 10).status == 200


@pytest.mark.usefixtures("backend")
def test_the_public_address_comes_from_trusted_proxies_alone(added: Added) -> None:
    headers = {
        "Host": "shop.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-For": "203.0.113.7",
    }
    assert where(added.start("frontend"), headers) == [
        "https://shop.example/api/where",
        "203.0.113.7",
    ]
    headers |= {"Host": "backend", "X-Forwarded-Host": "evil.example"}
    url, client = where(added.start("backend", "closed"), headers)
    assert url == "http://backend/api/where"
    assert client != "203.0.113.7"


def where(running: Running, headers: dict[str, str]) -> list[str]:
    """What a request with these headers looks like to the backend."""
    connection = running.connect(10)
    try:
        connection.request("GET", "/api/where", headers=headers)
        found: list[str] = json.load(connection.getresponse())
    finally:
        connection.close()
    return found
