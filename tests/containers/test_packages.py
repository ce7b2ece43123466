"""What an owner adds to the backend finds the image as it finds its framework's plain one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from automation import build
from automation.engine import Engine
from automation.model import load
from automation.stack import Running, Stack
from tests.conftest import Render
from tests.containers.conftest import NAME, replace

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("sample")]

# Some read docstrings, some look for their own files, some import Pydantic's old interface.
PACKAGES = ("alembic", "typer")
CODE = '''
"""An owner's routes, and a command."""

import os

import typer
from fastapi import APIRouter
from pydantic.v1 import BaseModel
from sqlalchemy import create_engine, text

router = APIRouter(prefix="/api")


class Old(BaseModel):
    rows: int


@router.get("/rows")
def rows() -> dict[str, int]:
    with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
        return Old(rows=connection.scalar(text("SELECT 42"))).dict()


def greet(name: str) -> None:
    """Say hello to somebody."""
    assert name.istitle(), "a name has a capital"
    print(f"Hello {name}")


if __name__ == "__main__":
    typer.run(greet)
'''
# Files that differ from what their package has published, and modules that each start would compile.
INSPECT = """
import base64, hashlib, json, os, sys
from importlib.metadata import distributions
import app.__main__, app.main, app.server, uvicorn.protocols.http.httptools_impl, sqlite3, unittest.mock

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
    "uncompiled": [spec.name for spec in specs if spec.cached and not os.path.exists(spec.cached)],
}))
"""


@pytest.fixture(scope="module")
def backend(
    render: Render, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """The backend with these packages and that code, on an address as SQLAlchemy writes it."""
    folder = render(tmp_path_factory.mktemp("added"), slug=f"{NAME}-added", containers="backend")
    sources = folder / "backend"
    (sources / "src/app/extra.py").write_text(CODE, encoding="utf-8")
    add = "app.include_router(router)"
    replace("src/app/main.py", add, f"{add}\napp.include_router(extra.router)")(folder)
    replace("src/app/main.py", "from app.components", "from app import extra\nfrom app.components")(
        folder
    )
    with (sources / "requirements.in").open("a", encoding="utf-8") as file:
        file.write("\n".join(PACKAGES) + "\n")
    locking = [
        "-m",
        "uv",
        "pip",
        "compile",
        "--quiet",
        "--generate-hashes",
        "--python-version=3.13",
    ]
    subprocess.run(
        [sys.executable, *locking, "requirements.in", "--output-file=requirements.txt"],
        cwd=sources, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    project = load(folder / "taskflow.toml")
    (image,) = build.build(folder, project, engine, ["backend"], print)
    with Stack(engine, project, print) as stack:
        url = stack.start_service("database").url()
        environment = {"DATABASE_URL": url.replace("postgresql://", "postgresql+psycopg://")}
        running = stack.launch("backend", image.id, environment=environment)
        stack.wait(running)
        yield running
    engine.call("image", "rm", "--force", "--no-prune", *image.tags, check=False)


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
