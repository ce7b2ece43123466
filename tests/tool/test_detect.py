"""What a look at a repository finds: shapes of Python projects, and of what files state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.adopt.detect import look
from taskflow_containers.adopt.findings import Certainty, Findings
from taskflow_containers.adopt.parts import complete

MAIN = "from fastapi import FastAPI\napp = FastAPI()\n"
ALEMBIC = {"alembic.ini": "[alembic]\nscript_location = %(here)s/db\n", "db/env.py": "pass\n"}
SETTINGS = "from pydantic_settings import BaseSettings, SettingsConfigDict\n"


def found(root: Path, files: dict[str, str]) -> Findings:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    findings = look(root)
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*")} == before
    return findings


def project(**keys: str) -> str:
    return "[project]\nname = 'x'\nversion = '1'\n" + "".join(
        f"{k} = {v}\n" for k, v in keys.items()
    )


# Files, and what the first container's entry must hold.
CASES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "requirements at the root": (
        {"main.py": MAIN, "requirements.txt": "fastapi\n"},
        {"name": "backend", "context": ".", "entry": "main:app", "install": "requirements", "sources": ["main.py"]},
    ),
    "a chain of requirements": (
        {"main.py": MAIN, "requirements/prod.txt": "-r base.txt\n", "requirements/base.txt": "fastapi"},
        {"files": ["requirements/prod.txt", "requirements/base.txt"], "install": "requirements"},
    ),
    "requirements that name themselves": (
        {"main.py": MAIN, "requirements.txt": "-r requirements.txt\n"},
        {"files": ["requirements.txt"]},
    ),
    "requirements beside a pyproject.toml that only sets up tools": (
        {"back/api/main.py": MAIN, "back/pyproject.toml": "[tool.black]\n", "back/requirements.txt": "x", "front/x.py": ""},
        {"context": "back", "entry": "api.main:app", "install": "requirements"},
    ),
    "poetry": (
        {"svc/app/main.py": MAIN, "svc/poetry.lock": "", "svc/pyproject.toml": "[tool.poetry.dependencies]\npython = '^3.12'\n"},
        {"name": "svc", "context": "svc", "install": "poetry", "files": ["pyproject.toml", "poetry.lock"], "base": "python:3.13-slim"},
    ),
    "poetry without a lock": (
        {"app.py": MAIN, "pyproject.toml": "[tool.poetry.dependencies]\npython = '~3.11'\n"},
        {"install": "poetry", "files": ["pyproject.toml"], "base": "python:3.11-slim"},
    ),
    "uv": (
        {"src/shop/main.py": MAIN, "uv.lock": "", "pyproject.toml": project(**{"requires-python": "'>=3.11,<3.13'"})},
        {"install": "uv", "entry": "shop.main:app", "path": "src", "sources": ["src"], "base": "python:3.12-slim"},
    ),
    "uv's workspace": (
        {
            "pyproject.toml": "[tool.uv.workspace]\nmembers = ['apps/*', 'libs/*']\n",
            "uv.lock": "",
            "apps/api/pyproject.toml": project(dependencies="['fastapi', 'core-lib']"),
            "apps/api/main.py": MAIN,
            "libs/core/pyproject.toml": "[project]\nname = 'core_lib'\nversion = '1'\n",
            "libs/core/core_lib/__init__.py": "",
            "libs/other/pyproject.toml": "[project]\nname = 'other'\nversion = '1'\n",
        },
        {
            "name": "api", "context": ".", "app": "apps/api", "install": "uv", "sources": ["apps/api", "libs/core"],
            "files": ["pyproject.toml", "uv.lock", "apps/api/pyproject.toml", "libs/core"],
        },
    ),
    "uv's workspace whose top serves": (
        {
            "pyproject.toml": project(dependencies="['fastapi', 'core']") + "[tool.uv.workspace]\nmembers = ['libs/*']\n",
            "uv.lock": "", "main.py": MAIN, "libs/core/pyproject.toml": "[project]\nname = 'core'\nversion = '1'\n",
        },
        {"context": ".", "app": "", "files": ["pyproject.toml", "uv.lock", "libs/core"]},
    ),
    "a package beside it, and one that this needs": (
        {
            "svc/api/pyproject.toml": "[tool.poetry.dependencies]\nshared = { path = '../../libs/shared', develop = true }\n",
            "svc/api/poetry.lock": "", "svc/api/app/main.py": MAIN,
            "libs/shared/pyproject.toml": "[tool.poetry.dependencies]\nbase = { path = '../base' }\n",
            "libs/base/pyproject.toml": "[tool.poetry.dependencies]\nshared = { path = '../shared' }\n",
        },
        {
            "name": "api", "context": ".", "app": "svc/api", "entry": "app.main:app",
            "files": ["svc/api/pyproject.toml", "svc/api/poetry.lock", "libs/shared", "libs/base"],
        },
    ),
    "requirements that name folders": (
        {
            "a/main.py": MAIN, "a/setup.py": "import setuptools", "libs/x/pyproject.toml": project(), "a/wheels/y.whl": "",
            "a/requirements.txt": "-e .[web]\n-e git+https://example.com/z.git\n../libs/x ; python_version > '3'\ny @ file:./wheels/y.whl\nfastapi\n",
        },
        {"context": ".", "app": "a", "files": ["a/requirements.txt", "a", "libs/x", "a/wheels/y.whl"]},
    ),
    "pipenv": (
        {"main.py": MAIN, "Pipfile": "[packages]\nfastapi = '*'\n[requires]\npython_version = '3.11'\n", "Pipfile.lock": "{}"},
        {"install": "pipenv", "files": ["Pipfile", "Pipfile.lock"], "base": "python:3.11-slim"},
    ),
    "pdm": (
        {"main.py": MAIN, "pdm.lock": "", "pyproject.toml": project()},
        {"install": "pdm", "files": ["pyproject.toml", "pdm.lock"]},
    ),
    "setup.py": (
        {"shop/main.py": MAIN, "shop/__init__.py": "", "setup.py": "from setuptools import setup\nsetup(python_requires='==3.12.*', install_requires=['fastapi'])\n"},
        {"install": "project", "files": ["setup.py"], "base": "python:3.12-slim", "entry": "shop.main:app"},
    ),
    "a setup.py that reads other files": (
        {"main.py": MAIN, "setup.py": "from setuptools import setup\nsetup(install_requires=open('deps.txt'))\n", "deps.txt": ""},
        {"install": "project", "files": ["."]},
    ),
    "a server that its file runs, by the argument's name": (
        {"main.py": MAIN, "other.py": MAIN + "import uvicorn\nuvicorn.run(app='other:app', port=8123)\n", "requirements.txt": "x"},
        {"entry": "other:app", "port": 8123},
    ),
    "hatch": (
        {"main.py": MAIN, "pyproject.toml": "[build-system]\nbuild-backend = 'hatchling.build'\n" + project()},
        {"install": "project", "files": ["pyproject.toml"], "options": []},
    ),
    "extras without a lock": (
        {"main.py": MAIN, "pyproject.toml": project(), "Dockerfile": "FROM python:3.13\nRUN pip install --no-cache-dir '.[server, s3]'\n"},
        {"install": "project", "options": ["--extra", "server", "--extra", "s3"]},
    ),
    "computed dependencies": (
        {"main.py": MAIN, "pyproject.toml": project(dynamic="['dependencies']")},
        {"install": "project", "files": ["."]},
    ),
    "the groups of uv that its image has": (
        {
            "main.py": MAIN, "pyproject.toml": project(), "uv.lock": "",
            "Dockerfile": "FROM python:3.13 AS base\nRUN --mount=type=cache,target=/c \\\n uv sync --frozen --extra=server --group prod --no-dev\n"
            "FROM base AS test\nRUN uv sync --all-extras\nFROM base\nRUN uv sync --group prod --group dev\n",
        },
        {"install": "uv", "options": ["--extra", "server", "--group", "prod"]},
    ),
    "those of poetry": (
        {
            "main.py": MAIN, "poetry.lock": "", "pyproject.toml": "[tool.poetry]\n",
            "Dockerfile": "FROM python:3.13\nRUN pip install poetry && poetry install --only main && poetry install -E 'a b' --with prod,dev --without=docs --no-root\n",
        },
        {"install": "poetry", "options": ["-E", "a", "-E", "b", "--with", "prod", "--without", "docs"]},
    ),
    "the requirements that its image installs": (
        {
            "svc/main.py": MAIN, "svc/requirements.txt": "-r requirements/dev.txt", "svc/requirements/dev.txt": "pytest", "svc/deploy/ml.txt": "",
            "svc/requirements/web.txt": "-r base.txt", "svc/requirements/base.txt": "asyncpg",
            "svc/Dockerfile": "FROM python:3.13\nARG KIND=web\nCOPY requirements /tmp/requirements\n"
            "RUN pip install -r /tmp/requirements/${KIND}.txt -r deploy/ml.txt\nRUN pip install -r requirements/dev.txt\n",
        },
        {
            "install": "requirements", "files": ["requirements/web.txt", "requirements/base.txt", "deploy/ml.txt"],
            "options": ["-r", "/src/deploy/ml.txt"],
        },
    ),
    "the version file goes before what is allowed": (
        {"main.py": MAIN, ".python-version": "3.12.4\n", "pyproject.toml": project(**{"requires-python": "'>=3.10'"})},
        {"base": "python:3.12-slim"},
    ),
    "an old Python that its own image has, and need not": (
        {"main.py": MAIN, "poetry.lock": "", "pyproject.toml": "[tool.poetry.dependencies]\npython = '^3.8'\n", "Dockerfile": "FROM python:3.9-slim\n"},
        {"base": "python:3.11-slim"},
    ),
    ".tool-versions above": (
        {"a/main.py": MAIN, "a/requirements.txt": "fastapi", ".tool-versions": "nodejs 22.1.0\npython 3.11.9\n"},
        {"base": "python:3.11-slim"},
    ),
    "the Dockerfile's Python": (
        {"main.py": MAIN, "requirements.txt": "fastapi", "Dockerfile": "ARG V=3.12\nFROM python:${V}-bookworm\nEXPOSE 9000\n"},
        {"base": "python:3.12-slim", "port": 9000},
    ),
    "the stated entry point": (
        {"main.py": MAIN, "other.py": MAIN, "pyproject.toml": "[tool.fastapi]\nentrypoint = 'other:app'\n" + project()},
        {"entry": "other:app"},
    ),
    "a factory by annotation": (
        {"main.py": "from fastapi import FastAPI\ndef create_app(debug: bool = False) -> FastAPI: ...\n", "requirements.txt": "x"},
        {"entry": "main:create_app"},
    ),
    "a factory of another file": (
        {"pkg/__init__.py": "", "pkg/factory.py": "import fastapi\ndef make():\n    api = fastapi.FastAPI()\n    return api\n",
         "pkg/asgi.py": "from .factory import make\napplication = make()\n", "pkg/x.py": "", "requirements.txt": "x"},
        {"entry": "pkg.asgi:application"},
    ),
    "an application within if and try": (
        {"main.py": "from starlette.applications import Starlette as S\nif True:\n    try:\n        app = S()\n    finally:\n        pass\n", "requirements.txt": "x"},
        {"entry": "main:app"},
    ),
    "a subclass": (
        {"main.py": "from fastapi import FastAPI\nclass Api(FastAPI): ...\napp = Api()\n", "requirements.txt": "x"},
        {"entry": "main:app"},
    ),
    "a middleware around it": (
        {"main.py": "import socketio\nfrom litestar import Litestar\napi = Litestar()\napi = socketio.ASGIApp(socketio.AsyncServer(), api)\n", "requirements.txt": "x"},
        {"entry": "main:api"},
    ),
    "a mounted application is not served": (
        {"main.py": "from fastapi import FastAPI\nfrom sub import inner\nouter = FastAPI()\nouter.mount('/x', inner)\n", "sub.py": "from fastapi import FastAPI\ninner = FastAPI()\n", "requirements.txt": "x"},
        {"entry": "main:outer"},
    ),
    "tests and examples are not served": (
        {"main.py": MAIN, "tests/app.py": MAIN, "examples/main.py": MAIN, "test_x.py": MAIN, "requirements.txt": "x"},
        {"entry": "main:app", "sources": ["main.py"]},
    ),
    "Django by ASGI": (
        {"shop/asgi.py": "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n", "shop/__init__.py": "", "manage.py": "", "requirements.txt": "django\n"},
        {"entry": "shop.asgi:application", "migrate": ["python", "manage.py", "migrate"]},
    ),
    "Django below a folder, which its settings are named from": (
        {"src/config/asgi.py": "import os\nfrom django.core.asgi import get_asgi_application\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'config.settings')\napplication = get_asgi_application()\n",
         "src/config/settings.py": "", "src/manage.py": "", "requirements.txt": "django\n"},
        {"entry": "config.asgi:application", "path": "src", "migrate": ["python", "src/manage.py", "migrate"]},
    ),
    "Django in a folder that is called like its package": (
        {"server/shop/shop/asgi.py": "import os\nfrom django.core.asgi import get_asgi_application\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\napplication = get_asgi_application()\n",
         "server/shop/shop/settings.py": "", "server/shop/manage.py": "", "requirements.txt": "django\n"},
        {"entry": "shop.asgi:application", "path": "server/shop"},
    ),
    "src that is imported by its name": (
        {"src/main.py": "from src.deps import x\n" + MAIN, "src/deps.py": "x = 1\n", "requirements.txt": "x"},
        {"entry": "src.main:app", "path": ""},
    ),
    "a package that is served by a name of its own": (
        {"src/__init__.py": "", "src/app/__init__.py": "", "src/app/main.py": "from .deps import x\n" + MAIN, "src/app/deps.py": "x = 1\n", "requirements.txt": "x",
         "Dockerfile": "FROM python:3.12\nWORKDIR /code\nCOPY src/app app\nCMD uvicorn app.main:app\n"},
        {"entry": "app.main:app", "path": "src"},
    ),
    "Procfile": (
        {"web/a.py": MAIN, "web/b.py": MAIN, "requirements.txt": "x", "Procfile": "web: gunicorn -k uvicorn.workers.UvicornWorker web.b:app -b 0.0.0.0:9100\nrelease: alembic upgrade head\n"},
        {"entry": "web.b:app", "port": 9100},
    ),
    "--app-dir and --port of a Dockerfile": (
        {"lib/a.py": MAIN, "lib/b.py": MAIN, "requirements.txt": "x", "Dockerfile": 'FROM python:3.12\nCMD ["uvicorn", "b:app", "--app-dir", "lib", "--port", "9000"]\n'},
        {"entry": "b:app", "path": "lib", "port": 9000},
    ),
    "fastapi run with a file": (
        {"app/main.py": MAIN, "app/other.py": MAIN, "requirements.txt": "x", "Dockerfile": "FROM python:3.12\nCMD fastapi run app/other.py --port 80\n"},
        {"entry": "app.other:app", "port": 8000},
    ),
    "a start script": (
        {"app/main.py": MAIN, "app/other.py": MAIN, "requirements.txt": "x", "start.sh": "#!/bin/sh\nset -e\nexec uv run uvicorn app.other:app --port 8123\n", "Dockerfile": "FROM python:3.12\nCMD [\"./start.sh\"]\n"},
        {"entry": "app.other:app", "port": 8123},
    ),
    "uvicorn.run": (
        {"app/main.py": MAIN, "app/b.py": MAIN, "requirements.txt": "x", "run.py": "import uvicorn\nuvicorn.run('app.b:app', port=8765)\n"},
        {"entry": "app.b:app", "port": 8765},
    ),
    "a program that runs what another file of that name makes": (
        {"main.py": "import uvicorn\nuvicorn.run('app.main:app', port=3001)\n", "app/main.py": MAIN, "requirements.txt": "x",
         "compose.yaml": "services:\n  api:\n    build: .\n    command: python main.py\n    environment: {PYTHONPATH: /code}\n"},
        {"kind": "backend", "entry": "app.main:app", "port": 3001, "environment": {"required": [], "optional": [], "fixed": {}}},
    ),
    "a folder that its files import by its name, started in two ways": (
        {"api/main.py": "from api.conf import A\n" + MAIN, "api/conf.py": "A = 1\n", "api/requirements.txt": "x",
         "api/Dockerfile": "FROM python:3.12\nWORKDIR /x/api\nENV PYTHONPATH=/x\nCOPY . .\nCMD uvicorn api.main:app --port 8001\n",
         "compose.yaml": "services:\n  web:\n    build: api\n    command: uvicorn main:app --reload\n"},
        {"context": "api", "entry": "api.main:app", "package": "api", "path": "", "port": 8001},
    ),
    "what is done with an application, and what is around it": (
        {"main.py": MAIN + "from mangum import Mangum\nfrom sqladmin import Admin\nimport httpx\nhandler = Mangum(app)\nadmin = Admin(app, 1)\ninner = httpx.ASGITransport(app)\n", "requirements.txt": "x"},
        {"entry": "main:app"},
    ),
    "a folder that is called like a package from elsewhere": (
        {"src/fastapi/main.py": MAIN, "src/fastapi/routes.py": "from fastapi import APIRouter, routing\nfrom fastapi.responses import JSONResponse\n", "src/fastapi/requirements.txt": "x"},
        {"context": "src/fastapi", "entry": "main:app"},
    ),
    "a package that starts its server": (
        {"app/__init__.py": "", "app/web.py": MAIN, "app/__main__.py": "import uvicorn\nuvicorn.run('app.web:app')\n", "requirements.txt": "x",
         "Dockerfile": "FROM python:3.12\nCMD python -m app\n"},
        {"kind": "backend", "entry": "app.web:app"},
    ),
    "what compose sets for a server, but for what is the image's own": (
        {"main.py": MAIN, "requirements.txt": "x", "compose.yaml": "services:\n  api:\n    build: .\n    command: uvicorn main:app\n    environment: {PYTHONPATH: /code, MODE: a}\n"},
        {"environment": {"required": [], "optional": ["MODE"], "fixed": {}}},
    ),
    "scripts that an image has by other names": (
        {"main.py": MAIN, "b.py": MAIN, "requirements.txt": "x", "deploy/a/start": "#!/bin/sh\ncelery -A q beat\n", "deploy/web/start": "#!/bin/bash\nuvicorn b:app\n",
         "deploy/Dockerfile": "FROM python:3.13\nCOPY ./deploy/web/start /start\nCOPY deploy/a/start /start-beat\n",
         "compose.yaml": "services:\n  web:\n    build: {context: ., dockerfile: deploy/Dockerfile}\n    command: /start\n"},
        {"kind": "backend", "entry": "b:app"},
    ),
    "a setup.cfg that only sets up tools": (
        {"main.py": MAIN, "setup.cfg": "[flake8]\nignore = E1\n", "requirements.txt": "x"},
        {"install": "requirements"},
    ),
    "a script of package.json": (
        {"a.py": MAIN, "b.py": MAIN, "requirements.txt": "x", "package.json": '{"scripts": {"api": "pip install -r requirements.txt && python -m uvicorn b:app --reload"}}'},
        {"entry": "b:app"},
    ),
    "settings with a prefix": (
        {"main.py": MAIN, "requirements.txt": "x", "conf.py": SETTINGS + "class S(BaseSettings):\n    model_config = SettingsConfigDict(env_prefix='SHOP_')\n    key: str\n    debug: bool = False\n"},
        {"environment": {"required": ["SHOP_KEY"], "optional": ["SHOP_DEBUG"], "fixed": {}}},
    ),
    "settings with aliases, inherited and nested": (
        {"main.py": MAIN, "requirements.txt": "x", "conf.py": "from pydantic import BaseModel, Field, AliasChoices\n" + SETTINGS
         + "class Db(BaseModel):\n    host: str\n    port: int = 5432\nclass Base(BaseSettings):\n    key: str = Field(validation_alias=AliasChoices('THE_KEY', 'K'))\n"
         + "class S(Base):\n    model_config = {'env_nested_delimiter': '__'}\n    db: Db\n    x: str = Field(default='1')\n"},
        {"environment": {"required": ["DB__HOST", "THE_KEY"], "optional": ["DB__PORT", "X"], "fixed": {}}},
    ),
    "os.environ": (
        {"main.py": MAIN + "import os\nfrom os import getenv as g\na = os.environ['A']\nb = os.environ.get('B', 'x')\nc = g('C')\nos.environ['SET'] = '1'\n", "requirements.txt": "x"},
        {"environment": {"required": ["A"], "optional": ["B", "C"], "fixed": {}}},
    ),
    "starlette's and decouple's config": (
        {"main.py": MAIN, "c.py": "from starlette.config import Config\nconfig = Config('.env')\nA = config('A')\nB = config('B', default='1')\n", "requirements.txt": "x"},
        {"environment": {"required": ["A"], "optional": ["B"], "fixed": {}}},
    ),
    ".env.example": (
        {"main.py": MAIN, "requirements.txt": "x", ".env.example": "# x\nexport A=1\nB=\nC=<your-id>\n"},
        {"environment": {"required": [], "optional": ["A", "B", "C"], "fixed": {}}},
    ),
    "alembic": (
        {"main.py": MAIN, "requirements.txt": "alembic\nasyncpg\n", **ALEMBIC},
        {"migrate": ["alembic", "upgrade", "head"], "sources": ["alembic.ini", "db", "main.py"]},
    ),
    "alembic in a folder": (
        {"main.py": MAIN, "requirements.txt": "alembic\n", **{f"back/{k}": v for k, v in ALEMBIC.items()}},
        {"migrate": ["alembic", "-c", "back/alembic.ini", "upgrade", "head"]},
    ),
    "alembic in a folder that it is run in": (
        {"main.py": MAIN, "requirements.txt": "alembic\n", "db/alembic.ini": "[alembic]\nscript_location = .\n# version_locations = %(here)s/bar\n", "db/env.py": ""},
        {"migrate": ["sh", "-c", "cd db && exec alembic upgrade head"]},
    ),
    "alembic in pyproject": (
        {"main.py": MAIN, "pyproject.toml": "[tool.alembic]\nscript_location = '%(here)s/db'\n" + project()},
        {"migrate": ["alembic", "upgrade", "head"]},
    ),
    "compose says who is the database": (
        {"main.py": MAIN + "import os\nu = os.environ['DATABASE_URL']\nv = os.environ.get('E2E_DATABASE_URL', 'postgresql://x')\n", "requirements.txt": "x", "compose.yaml": "services:\n  db:\n    image: postgres:16\n  api:\n    build: .\n    ports: ['9001:8080']\n    command: uvicorn main:app\n    environment:\n      DATABASE_URL: postgresql+asyncpg://db/x\n"},
        {"connects": {"DATABASE_URL": "database"}, "port": 8080},
    ),
    "a database by its parts": (
        {"main.py": MAIN, "requirements.txt": "asyncpg", "conf.py": SETTINGS + "class S(BaseSettings):\n    POSTGRES_SERVER: str\n    POSTGRES_PORT: int = 5432\n"
         "    POSTGRES_USER: str\n    POSTGRES_PASSWORD: str\n    POSTGRES_DB: str\n    POSTGRES_URI: str = ''\n    REDIS_DB_HOST: str = ''\n    TEST_DB_HOST: str = ''\n"},
        {"connects": dict.fromkeys(("POSTGRES_SERVER", "POSTGRES_PORT", "POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"), "database"),
         "connects_as": {"POSTGRES_SERVER": "host", "POSTGRES_PORT": "port", "POSTGRES_USER": "user", "POSTGRES_PASSWORD": "password", "POSTGRES_DB": "name"}},
    ),
    "what a module is tried out with": (
        {"main.py": MAIN + "import os\na = os.environ['A']\nif __name__ == '__main__':\n    b = os.environ['B'], int(os.environ['C'])\n", "requirements.txt": "x"},
        {"environment": {"required": ["A"], "optional": ["B", "C"], "fixed": {}}},
    ),
    "databases by their parts, one to write to and one to read from": (
        {"main.py": MAIN, "requirements.txt": "asyncpg", "conf.py": SETTINGS + "class S(BaseSettings):\n    database_primary_host: str\n    database_primary_name: str\n    database_readonly_host: str\n    database_readonly_name: str\n"},
        {"connects_as": {"DATABASE_PRIMARY_HOST": "host", "DATABASE_PRIMARY_NAME": "name", "DATABASE_READONLY_HOST": "host", "DATABASE_READONLY_NAME": "name"}},
    ),
    "a database by its parts, whose name is called otherwise": (
        {"main.py": MAIN, "requirements.txt": "asyncpg", "conf.py": SETTINGS + "class S(BaseSettings):\n    postgres_host: str\n    postgres_database_name: str\n"},
        {"connects_as": {"POSTGRES_HOST": "host", "POSTGRES_DATABASE_NAME": "name"}},
    ),
    "a database in a file, as Django has it at first": (
        {"manage.py": "", "shop/asgi.py": "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n",
         "shop/settings.py": "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': BASE_DIR / 'data' / 'db.sqlite3'}}\n", "requirements.txt": "django"},
        {"entry": "shop.asgi:application", "migrate": []},
    ),
    "a database in a file, though compose starts another": (
        {"main.py": MAIN, "requirements.txt": "aiosqlite", "conf.py": SETTINGS + "class S(BaseSettings):\n    database_url: str = 'sqlite+aiosqlite:///./dev.db'\n",
         "compose.yaml": "services:\n  db:\n    image: postgres:17\n", **ALEMBIC},
        {"connects": {}, "connects_as": {}, "migrate": [], "environment": {"required": ["DATABASE_URL"], "optional": [], "fixed": {},
         "examples": {"DATABASE_URL": "sqlite+aiosqlite:////app/data/dev.db"}}},
    ),
    "URLs of a database, each with its own driver": (
        {"main.py": MAIN, "requirements.txt": "asyncpg", "conf.py": "from pydantic import PostgresDsn\n" + SETTINGS
         + "class S(BaseSettings):\n    MAIN_DSN: PostgresDsn\n    PG_DSN: str = 'postgresql://a/b'\n    DATABASE_ASYNC_URL: str\n",
         ".env.example": "DATABASE_ASYNC_URL=postgresql+asyncpg://a/b # as SQLAlchemy has it\n"},
        {"connects": dict.fromkeys(("MAIN_DSN", "PG_DSN", "DATABASE_ASYNC_URL"), "database"),
         "connects_as": {"PG_DSN": "postgresql", "DATABASE_ASYNC_URL": "postgresql+asyncpg"}},
    ),
    "django-environ's env, in files that take it from another": (
        {"main.py": MAIN, "requirements.txt": "x", "conf/__init__.py": "",
         "conf/base.py": "import environ\nenv = environ.Env(DEBUG=(bool, False))\nA = env('DEBUG')\nB = env.db()\n",
         "conf/live.py": "from .base import *\nC = env.str('KEY')\nD = env.list('HOSTS', default=[])\n",
         "conf/more.py": "from conf.base import env\nE = env.int('SIZE')\n"},
        {"environment": {"required": ["DATABASE_URL", "KEY", "SIZE"], "optional": ["DEBUG", "HOSTS"], "fixed": {}, "examples": {"SIZE": "1"}}},
    ),
    "a text that must be long": (
        {"main.py": MAIN, "requirements.txt": "x", "conf.py": SETTINGS + "class S(BaseSettings):\n"
         "    A: SecretStr = Field(min_length=32)\n    B: Annotated[str, Field(min_length=10)]\n    C: str = Field('x', min_length=9)\n"},
        {"environment": {"required": ["A", "B"], "optional": ["C"], "fixed": {}, "examples": {"A": "example-" * 4, "B": "example-ex"}}},
    ),
    "a value for what takes no text": (
        {"main.py": MAIN, "requirements.txt": "x", "conf.py": "import os, enum\nfrom typing import Literal\nclass E(str, enum.Enum):\n    one = 'uno'\n" + SETTINGS
         + "class S(BaseSettings):\n    MINUTES: int\n    MODE: Literal['dev', 'prod'] | None\n    E: E\n    NAME: str\nB = int(os.environ['SIZE'])\n"},
        {"environment": {"required": ["E", "MINUTES", "MODE", "NAME", "SIZE"], "optional": [], "fixed": {},
                         "examples": {"E": "uno", "MINUTES": "1", "MODE": "dev", "SIZE": "1"}}},
    ),
    "a computed prefix, and settings within settings": (
        {"main.py": MAIN, "requirements.txt": "x", "names.py": "APP = 'SHOP'\n", "conf.py": "from names import APP\n" + SETTINGS
         + "class Db(BaseSettings):\n    model_config = SettingsConfigDict(env_prefix=f'{APP}_DB_')\n    host: str\nclass S(BaseSettings):\n    db: Db = Db()\n"},
        {"environment": {"required": ["SHOP_DB_HOST"], "optional": [], "fixed": {}}},
    ),
    "what the image sets is no variable": (
        {"main.py": MAIN, "requirements.txt": "x", ".env.example": "PYTHONPATH=src\nPORT=1\nHOME=/x\nLOG_FORMAT=x\nPYTHON_VERSION=3\n"},
        {"environment": {"required": [], "optional": ["LOG_FORMAT"], "fixed": {}}},
    ),
    "an __init__.py beside the requirements": (
        {"back/__init__.py": "", "back/app/main.py": "from app.deps import x\n" + MAIN, "back/app/deps.py": "x = 1\n", "back/requirements.txt": "x"},
        {"context": "back", "entry": "app.main:app", "files": ["requirements.txt"]},
    ),
    "requirements within the package": (
        {"shop/__init__.py": "", "shop/main.py": "from shop.deps import x\n" + MAIN, "shop/deps.py": "x = 1\n", "shop/requirements.txt": "x"},
        {"context": ".", "entry": "shop.main:app", "install": "requirements", "files": ["shop/requirements.txt"]},
    ),
    "a setup.py that sets up an application": (
        {"src/core/setup.py": MAIN, "src/core/__init__.py": "", "src/main.py": MAIN, "src/deps.py": "", "requirements.txt": "x", "Procfile": "web: uvicorn src.main:app"},
        {"context": ".", "install": "requirements"},
    ),
    "the Python of uv's image; no Dockerfile for development": (
        {"main.py": MAIN, "requirements.txt": "x", "Dockerfile": "FROM ghcr.io/astral-sh/uv:python3.12-bookworm-slim\nCOPY . .\n",
         ".devcontainer/Dockerfile": "FROM python:3.10\nEXPOSE 1\n", "tests/Dockerfile": "FROM python:3.9\nEXPOSE 2\n"},
        {"base": "python:3.12-slim", "port": 8000},
    ),
    "a Dockerfile of another project": (
        {"a/main.py": MAIN, "a/requirements.txt": "x", "Dockerfile": "FROM python:3.10\nCOPY web /web\nEXPOSE 9\n"},
        {"base": "python:3.13-slim", "port": 8000},
    ),
    "the application that Django hands requests to": (
        {"shop/asgi.py": "from django.core.asgi import get_asgi_application\nfrom channels.routing import ProtocolTypeRouter\nearly = get_asgi_application()\n"
         "application = ProtocolTypeRouter({'http': get_asgi_application()})\n", "manage.py": "", "requirements.txt": "django\n"},
        {"entry": "shop.asgi:application"},
    ),
    "another name of one application": (
        {"main.py": "from fastapi import FastAPI\ninner = FastAPI()\napp = inner\n", "requirements.txt": "x"},
        {"entry": "main:app"},
    ),
    "a script for development beside the one for production": (
        {"main.py": MAIN + "api = FastAPI()\n", "requirements.txt": "x", "a.sh": "uvicorn main:app --reload\n", "b.sh": "exec uvicorn main:api\n",
         "a.Dockerfile": "FROM python:3.12\nCMD [\"sh\", \"a.sh\"]\n", "b.Dockerfile": "FROM python:3.12\nCMD [\"sh\", \"b.sh\"]\n"},
        {"entry": "main:api"},
    ),
    "an entry point with its arguments": (
        {"main.py": MAIN, "b.py": MAIN, "requirements.txt": "x", "Dockerfile": "FROM python:3.12\nENTRYPOINT [\"uvicorn\"]\nCMD [\"b:app\", \"--port\", \"8081\"]\n"},
        {"entry": "b:app", "port": 8081},
    ),
    "what the code and its migrations import from": (
        {"src/shop/main.py": "from shop.deps import x\n" + MAIN, "src/shop/deps.py": "x = 1\n", "src/shop/logging.py": "", "requirements.txt": "x", "Procfile": "web: uvicorn src.shop.main:app"},
        {"entry": "src.shop.main:app", "path": "src"},
    ),
    "one of several databases": (
        {"main.py": MAIN, "requirements.txt": "x", "a/compose.mysql.yaml": "services: {db: {image: mariadb}}\n", "a/compose.pg.yaml": "services: {db: {image: 'postgres:16'}}\n",
         ".env.example": "DB_HOST=db\nDB_NAME=x\n"},
        {"connects_as": {"DB_HOST": "host", "DB_NAME": "name"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_first_container_of_a_python_project(tmp_path: Path, case: str) -> None:
    files, expected = CASES[case]
    findings = found(tmp_path, files)
    entry = findings.containers()[0]
    assert {key: entry[key] for key in expected} == expected
    assert entry.get("package", "") == expected.get("package", "")
    assert not findings.questions


def test_the_packages_are_those_of_the_requirements_that_its_image_installs(tmp_path: Path) -> None:
    files = {"main.py": MAIN, "requirements.txt": "pymysql", "deploy/web.txt": "asyncpg"}
    dockerfile = "FROM python:3.13\nRUN pip install -r deploy/web.txt\n"
    findings = found(tmp_path, files | {"Dockerfile": dockerfile})
    assert findings.database.value == "postgresql"
    more = {"more.txt": "", "Dockerfile": dockerfile + "RUN pip install -r more.txt\n"}
    options = found(tmp_path, more).services[0].options
    assert (options.value, options.where) == (("-r", "/src/more.txt"), "Dockerfile:2")


SET = """\
ARG SHA=unknown
FROM python:3.13-slim AS base
ENV PIP_NO_CACHE_DIR=1 \\
    # a note
    TZ=Europe/Berlin LANG=C.UTF-8
FROM base AS build
ENV ONLY_HERE=1
FROM base
ARG SHA
ARG KIND=web
ENV GIT_SHA=${SHA} APP_HOME=/srv/app GUNICORN_CMD_ARGS=-w2 APP_VERSION=3
ENV PATH=/venv/bin:$PATH PYTHONPATH=/srv/app STAGE=prod MODELS=${APP_HOME}/models/a.bin
ENV GREETING="say \\"hi\\" for \\$5" UPLOADS=/srv/app/uploads SHELL_KIND=$KIND API_URL=http://x
ENV SETTINGS=live SECRET_KEY=x
WORKDIR $APP_HOME
COPY src ./
ENV CONF=/srv/app/conf/live.yaml
CMD ["uvicorn", "main:app"]
"""


def test_the_variables_that_its_image_sets_are_set_by_ours(tmp_path: Path) -> None:
    files = {
        "main.py": MAIN + "import os\nos.environ['STAGE'], os.getenv('APP_VERSION')\n",
        "requirements.txt": "x", "models/a.bin": "", "src/conf/live.yaml": "", "Dockerfile": SET, ".env.example": "SETTINGS=\n",
        "compose.yaml": "services:\n  api:\n    build: .\n    environment: {API_URL: http://api}\n",
    }  # fmt: skip
    findings = found(tmp_path, files)
    entry = findings.containers()[0]["environment"]
    assert entry["fixed"] == {
        "TZ": "Europe/Berlin", "APP_HOME": "/app", "APP_VERSION": "3", "STAGE": "prod",
        "MODELS": "/app/models/a.bin", "CONF": "/app/src/conf/live.yaml", "GREETING": 'say "hi" for $5',
    }  # fmt: skip
    assert entry["required"] == []
    assert "STAGE" not in entry["optional"]
    told = [(note.where, note.text) for note in findings.notes if note.level == "change"]
    assert [(where, text.split(":")[0]) for where, text in told] == [
        ("Dockerfile:13", "UPLOADS=/srv/app/uploads")
    ]


def test_a_dockerfile_for_development_sets_nothing(tmp_path: Path) -> None:
    files = {
        "main.py": MAIN,
        "requirements.txt": "x",
        "Dockerfile.dev": "FROM python:3.13\nENV A=1\n",
    }
    assert found(tmp_path, files).containers()[0]["environment"]["fixed"] == {}


FLASK = "from flask import Flask\ndef create_app():\n    return Flask(__name__)\n"
WRAPPED = "from a2wsgi import WSGIMiddleware\nfrom {} import {}\nasgi = WSGIMiddleware({})\n"


@pytest.mark.parametrize("started", [True, False])
def test_what_is_told_of_wsgi_makes_it_a_backend(tmp_path: Path, started: bool) -> None:
    files = {
        "shop/__init__.py": FLASK,
        "wsgi.py": "from shop import create_app\napp = create_app()\n",
        "requirements.txt": "",
    }
    files |= {"Procfile": "web: gunicorn wsgi:app\n"} if started else {"wsgi.py": ""}
    findings = found(tmp_path, files)
    module, name, call = (
        ("wsgi", "app", "app") if started else ("shop", "create_app", "create_app()")
    )
    (note,) = findings.notes
    for line in WRAPPED.format(module, name, call).splitlines():
        assert line in note.text
    assert not findings.services
    (service,) = found(tmp_path, {"asgi.py": WRAPPED.format(module, name, call)}).services
    assert service.entry.value == "asgi:asgi"


def test_django_is_served_by_its_asgi_whatever_serves_it_today(tmp_path: Path) -> None:
    code = "from django.core.{0} import get_{0}_application\napplication = get_{0}_application()\n"
    files = {f"config/{one}.py": code.format(one) for one in ("asgi", "wsgi")}
    files |= {
        "config/__init__.py": "",
        "manage.py": "",
        "requirements.txt": "django",
        "Procfile": "web: gunicorn config.wsgi\n",
    }
    assert found(tmp_path, files).services[0].entry.value == "config.asgi:application"
    files["Procfile"] = "web: gunicorn config.wsgi:application\n"
    assert found(tmp_path, files).services[0].entry.value == "config.asgi:application"


def test_every_value_says_where_it_was_found_and_how_sure_it_is(tmp_path: Path) -> None:
    findings = found(tmp_path, {"a/main.py": "\n" + MAIN, "a/requirements.txt": "fastapi\n"})
    service = findings.services[0]
    assert (service.entry.where, service.entry.certainty) == ("a/main.py:3", Certainty.READ)
    assert (service.port.value, service.port.certainty) == (8000, Certainty.GUESSED)


def test_several_applications_are_a_question(tmp_path: Path) -> None:
    findings = found(tmp_path, {"one.py": MAIN, "two.py": MAIN, "requirements.txt": "x"})
    (question,) = findings.questions
    assert (question.container, question.key) == ("backend", "entry")
    assert {*question.candidates} == {"one:app", "two:app"}


def test_what_installs_it_is_a_question_where_no_file_says(tmp_path: Path) -> None:
    assert [q.key for q in found(tmp_path, {"main.py": MAIN}).questions] == ["install"]


def test_what_an_image_starts_where_nothing_serves_is_a_question(tmp_path: Path) -> None:
    files = {
        "ingest/__init__.py": "", "ingest/__main__.py": "", "requirements.txt": "httpx",
        "Dockerfile": "FROM python:3.13\nCMD python -m ingest\n",
    }  # fmt: skip
    findings = found(tmp_path, files)
    (service,) = findings.services
    assert (service.name, service.command.value) == ("ingest", ("python", "-m", "ingest"))
    assert [(q.container, q.key) for q in findings.questions] == [("ingest", "kind")]
    # Beside a server it may be a tool.
    assert len(found(tmp_path, {"main.py": MAIN}).services) == 1


def test_a_worker_that_is_a_program_of_the_project_s_own(tmp_path: Path) -> None:
    scripts = "[project.scripts]\nmails = 'shop.mails:main'\nserve = 'shop.web:main'\n"
    files = {
        "pyproject.toml": project(dependencies="['fastapi']") + scripts,
        "shop/__init__.py": "", "shop/mails.py": "def main(): ...\n",
        "shop/web.py": "import uvicorn\n" + MAIN + "def main(): uvicorn.run(app)\n",
        "Procfile": "web: serve\nmail-worker: .venv/bin/mails --all\nother: gone\n",
    }  # fmt: skip
    backend, worker = found(tmp_path, files).services
    assert (backend.entry.value, backend.kind.value) == ("shop.web:app", "backend")
    assert (worker.name, worker.command.value) == ("mail-worker", ("mails", "--all"))


WORKERS = {
    "celery worker": ("celery -A jobs.app worker -l info", "worker"),
    "arq": ("arq jobs.WorkerSettings", "worker"),
    "a module of that name": ("python -m jobs", "unknown"),
    "with --reload": ("taskiq worker jobs:app --reload", "taskiq worker jobs:app"),
    "by another program": ("watchmedo auto-restart -p '*.py' -- rq worker", "rq worker"),
    "of an environment": ("/opt/venv/bin/dramatiq jobs --watch .", "dramatiq jobs"),
    "a script of another folder": ("python3.11 /srv/worker.py", "python worker.py"),
    "a variable": ("rq worker --url $REDIS_URL", "sh -c exec rq worker --url $REDIS_URL"),
}


@pytest.mark.parametrize("case", WORKERS)
def test_what_works_beside_the_server_is_a_worker(tmp_path: Path, case: str) -> None:
    words, kind = WORKERS[case]
    files = {"main.py": MAIN, "jobs.py": "app = 1\n", "worker.py": "", "requirements.txt": "x"}
    compose = f"services:\n  api:\n    build: .\n    command: uvicorn main:app\n  jobs:\n    build: .\n    command: {words}\n"
    api, worker = found(tmp_path, files | {"compose.yaml": compose}).services
    assert (api.name, worker.name, worker.kind.value) == ("backend", "jobs", "worker")
    assert " ".join(worker.command.value) == (words if kind in {"worker", "unknown"} else kind)
    assert (worker.kind.certainty is Certainty.UNKNOWN) == (kind == "unknown")


def test_a_cron_job_of_a_manifest_has_its_schedule(tmp_path: Path) -> None:
    job = (
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: nightly}\nspec:\n  schedule: '0 3 * * *'\n  jobTemplate:\n"
        "    spec: {template: {spec: {containers: [{name: x, command: [python, -m, jobs.clean]}]}}}\n"
    )
    files = {"main.py": MAIN, "jobs/clean.py": "", "requirements.txt": "x", "k8s/cron.yaml": job}
    _, cron = found(tmp_path, files).services
    assert (cron.kind.value, cron.schedule.value) == ("cron", "0 3 * * *")
    assert cron.command.value == ("python", "-m", "jobs.clean")


PROCESSES = {
    "supervisord": (
        "deploy/app.conf",
        "[program:api]\ncommand=/venv/bin/uvicorn main:app\n[program:queue]\ncommand=celery -A jobs worker -n %(ENV_N)s@%%n ; one\n[program:flower]\ncommand=celery -A jobs flower\n",
        [("queue", "worker", "sh -c exec celery -A jobs worker -n ${N}@%n", "")],
    ),
    "a crontab": (
        "deploy/crontab",
        "# m h\nPATH=/bin\n*/5 * * * * root cd /app && python -m jobs >> /var/log/x 2>&1\n@daily curl http://x\n",
        [("jobs", "cron", "python -m jobs", "*/5 * * * *")],
    ),
    "a script that does this and that first": (
        "Procfile",
        "web: uvicorn main:app\njob: python jobs.py && rq worker\n",
        [("job", "worker", "rq worker", "")],
    ),
    "Django's server, and what is done before another": (
        "Procfile",
        "web: python manage.py runserver 0.0.0.0:8000\nold: python jobs.py runserver --host :: --port 5000\napi: python manage.py load && uvicorn main:app\n",
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PROCESSES)
def test_what_runs_beside_or_at_times(tmp_path: Path, case: str) -> None:
    name, text, expected = PROCESSES[case]
    files = {"main.py": MAIN, "jobs.py": "", "manage.py": "", "requirements.txt": "x", name: text}
    _, *others = found(tmp_path, files).services
    assert [
        (s.name, s.kind.value, " ".join(s.command.value), s.schedule.value) for s in others
    ] == expected


QUEUES = {
    "celery": ("from celery import Celery\nqueue = Celery('x')\n", "celery -A jobs:queue worker"),
    "arq": ("class WorkerSettings:\n    functions = []\n", "arq jobs.WorkerSettings"),
    "dramatiq": ("from dramatiq.brokers.redis import RedisBroker\nb = RedisBroker()\n", "dramatiq jobs tasks"),
    "taskiq": ("from taskiq_aio_pika import AioPikaBroker\nb = AioPikaBroker('x')\n", "taskiq worker jobs:b"),
    "rq": ("import os, rq\nq = rq.Queue(connection=os.environ['REDIS_URL'])\n", "sh -c exec rq worker --url $REDIS_URL"),
}  # fmt: skip


@pytest.mark.parametrize("case", QUEUES)
def test_a_queue_that_nothing_starts_is_a_question(tmp_path: Path, case: str) -> None:
    jobs, command = QUEUES[case]
    tasks = "import dramatiq\n@dramatiq.actor\ndef work(): ...\n"
    files = {"main.py": MAIN, "jobs.py": jobs, "tasks.py": tasks, "requirements.txt": "x"}
    findings = found(tmp_path, files)
    assert " ".join(findings.services[1].command.value) == command
    assert [(q.container, q.key) for q in findings.questions] == [("worker", "kind")]


def test_two_servers_of_one_project_are_two_backends(tmp_path: Path) -> None:
    compose = "services:\n" + "".join(
        f"  {n}:\n    build: .\n    command: uvicorn {n}:app --port {p}\n"
        for n, p in (("one", 8081), ("two", 8082))
    )
    files = {"one.py": MAIN, "two.py": MAIN, "requirements.txt": "x", "compose.yaml": compose}
    services = found(tmp_path, files).services
    assert [(s.name, s.entry.value, s.port.value) for s in services] == [
        ("one", "one:app", 8081),
        ("two", "two:app", 8082),
    ]


def test_a_file_that_hands_on_an_application_is_no_second_backend(tmp_path: Path) -> None:
    files = {
        "main.py": "from server.web import app\n", "server/web.py": MAIN, "requirements.txt": "x",
        "Dockerfile": "FROM python:3.13\nCMD uvicorn main:app\n", "Procfile": "web: uvicorn server.web:app\n",
        "Dockerfile.ui": "FROM node:24\nEXPOSE 3000\n", "logins/Dockerfile": "FROM keycloak/keycloak\nEXPOSE 8080\n",
    }  # fmt: skip
    (service,) = found(tmp_path, files).services
    assert (service.framework.where, service.port.value) == ("server/web.py:2", 8000)


ROUTES = {
    "plain": (MAIN + "@app.get('/healthz')\ndef h(): return 1\n", {}, [("/healthz", False)]),
    "asks a database": (MAIN + "@app.get('/ready')\ndef h(db: int): db.execute('x')\n", {}, [("/ready", True)]),
    "not of health": (MAIN + "@app.get('/items')\ndef h(): return 1\n", {}, []),
    "below the prefixes of routers": (
        "from routes import router\nfrom conf import settings\n" + MAIN + "app.include_router(router, prefix=settings.V1)\n",
        {
            "routes.py": "from fastapi import APIRouter\nrouter = APIRouter(prefix='/ops')\n@router.get('/health/')\nasync def h(): ...\n",
            "conf.py": SETTINGS + "class S(BaseSettings):\n    V1: str = '/api/v1'\nsettings = S()\n",
        },
        [("/api/v1/ops/health", False)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ROUTES)
def test_the_health_routes_of_a_backend(tmp_path: Path, case: str) -> None:
    main, more, expected = ROUTES[case]
    findings = found(tmp_path, {"main.py": main, "requirements.txt": "x", **more})
    assert [(r.path, r.database) for r in findings.services[0].health] == expected


NOTES = {
    "a secret build argument": ({"Dockerfile": "FROM python:3.12\nARG NPM_TOKEN\nRUN true\n"}, "fault", "Dockerfile:2"),
    "a secret of compose's build": ({"compose.yml": "services:\n  a:\n    build:\n      context: .\n      args:\n        API_KEY: x\n"}, "fault", "compose.yml:6"),
    "a secret in the image": ({"Dockerfile": "FROM python:3.12\nENV A=1 DB_PASSWORD=x\n"}, "fault", "Dockerfile:2"),
    "WSGI": ({"main.py": "from flask import Flask\napp = Flask(__name__)\n"}, "change", "main.py:2"),
    "a factory of WSGI, which a migration uses": ({"alembic/env.py": "from web import make\napp = make()\n", "main.py": "", "web.py": "from flask import Flask\ndef make():\n    return Flask('x')\n"}, "change", "web.py:2"),
    "conda": ({"requirements.txt": "", "c/environment.yml": "dependencies: [python]\n", "c/app.py": MAIN}, "change", "c/environment.yml:1"),
    "another database": ({"requirements.txt": "pymysql\n"}, "said", "requirements.txt:1"),
    "redis": ({"compose.yml": "services:\n  cache:\n    image: redis:7\n"}, "said", "compose.yml:2"),
    "redis by its package": ({"requirements.txt": "redis\n"}, "said", "requirements.txt:1"),
    "a queue without a worker": ({"requirements.txt": "huey\n"}, "change", "requirements.txt:1"),
    "no packages": ({"requirements.txt": "", "x/y.py": MAIN, "x/setup.cfg": "", "z/w.py": MAIN, "z/environment.yml": ""}, "change", "z/environment.yml:1"),
    "what apt installs": ({"Dockerfile": "FROM python:3.12\nRUN apt-get update && apt-get install -y --no-install-recommends gcc tree ffmpeg\nCMD uvicorn main:app\n"}, "change", "Dockerfile:2"),
    "a port that is root's": ({"Dockerfile": "FROM python:3.12\nCMD uvicorn main:app --port 443\n"}, "said", "Dockerfile:2"),
    "a package to be compiled": ({"requirements.txt": "psycopg2\n"}, "change", "requirements.txt:1"),
    "a package without its library": ({"requirements.txt": "psycopg==3.2\n"}, "change", "requirements.txt:1"),
    "a Python that is too old, by its image": ({"Dockerfile": "FROM python:3.9-slim\n"}, "said", "Dockerfile:1"),
    "a Python that is too old, by all that it allows": ({"pyproject.toml": project(**{"requires-python": "'<3.11'"})}, "change", "pyproject.toml:4"),
    "a prefix that no file says": ({"c.py": SETTINGS + "import os\nclass S(BaseSettings):\n    model_config = {'env_prefix': os.getenv('P')}\n    a: str\n"}, "change", "c.py:3"),
    "a template of projects": ({"{{cookiecutter.name}}/main.py": "{% x %}"}, "said", "{{cookiecutter.name}}"),
    "a database in a file": ({"shop/settings.py": "DATABASES = {'default': {\n    'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'db.sqlite3'}}\n"}, "change", "shop/settings.py:2"),
    "a database in a file, by a URL": ({"db.py": "URL = 'sqlite+aiosqlite:///./shop.db'\n"}, "change", "db.py:1"),
    "a database in a file, by a variable's default": ({"c.py": SETTINGS + "class S(BaseSettings):\n    db_url: str = 'sqlite:///shop.db'\n"}, "said", "c.py:3"),
    "migrations of a file": ({"c.py": "URL = 'sqlite:///data/shop.db'\n" + SETTINGS + "class S(BaseSettings):\n    db_url: str = 'sqlite:///data/shop.db'\n", **ALEMBIC}, "change", "alembic.ini:2"),
    "an address that nobody can change": ({"requirements.txt": "asyncpg", "db.py": "HOST = 'a'\nURL = f'postgresql+asyncpg://{HOST}/b'\n"}, "change", "db.py:2"),
    "no env.py": ({"alembic.ini": "[alembic]\nscript_location = gone\n"}, "change", "alembic.ini:2"),
    "broken TOML": ({"pyproject.toml": "[project]\nname = \n"}, "fault", "pyproject.toml:2"),
    "broken JSON": ({"package.json": "{\n  x\n"}, "fault", "package.json:2"),
    "broken YAML": ({"compose.yaml": "services:\n  a: [\n"}, "fault", "compose.yaml:3"),
    "broken Python": ({"app.py": "app = FastAPI(\n"}, "fault", "app.py:1"),
    "broken JavaScript": ({"package.json": '{"dependencies": {"next": "1"}}', "next.config.js": "module.exports = {\n  a: ,,\n"}, "fault", "next.config.js:2"),
    "a Dockerfile without FROM": ({"Dockerfile": "hello\n"}, "fault", "Dockerfile:1"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOTES)
def test_a_sentence_with_its_place(tmp_path: Path, case: str) -> None:
    files, level, where = NOTES[case]
    findings = found(tmp_path, {"main.py": MAIN, "requirements.txt": "x"} | files)
    assert (level, where) in {(note.level, note.where) for note in findings.notes}


def test_an_example_is_of_the_kind_that_its_name_says(tmp_path: Path) -> None:
    fields = "    celery_broker_url: str\n    cache_redis_url: AnyUrl\n    web_url: HttpUrl\n    jwt_algorithm: str\n    smtp_port: str\n    token: str\n"
    conf = f"from pydantic import AnyUrl, HttpUrl\n{SETTINGS}class S(BaseSettings):\n{fields}"
    findings = found(tmp_path, {"main.py": MAIN, "requirements.txt": "x", "conf.py": conf})
    containers = findings.containers()
    complete(containers, findings.backing)
    assert containers[0]["environment"]["examples"] == {
        "CELERY_BROKER_URL": "redis://localhost:6379/0", "CACHE_REDIS_URL": "redis://localhost:6379/0",
        "WEB_URL": "https://example.com", "JWT_ALGORITHM": "HS256", "SMTP_PORT": "1", "TOKEN": "example-token",
    }  # fmt: skip


def test_the_database_and_the_form_of_its_url(tmp_path: Path) -> None:
    files = {
        "main.py": MAIN,
        "requirements.txt": "x",
        ".env.example": "DATABASE_URL=postgresql+psycopg://a/b\n",
    }
    findings = found(tmp_path, files)
    assert (findings.database.value, findings.driver.value) == ("postgresql", "postgresql+psycopg")
    assert findings.backing["database"]["kind"] == "postgresql"
