"""The contract: every check finds its fault, names both values, and lets other styles pass."""

import copy
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from taskflow_containers.contract.context import check_dockerignore
from taskflow_containers.contract.dockerfile import check_dockerfile
from taskflow_containers.contract.image import check_image
from taskflow_containers.machine.errors import InputError
from taskflow_containers.project.load import load
from taskflow_containers.project.model import Project
from taskflow_containers.report.result import Result, Status
from tests.conftest import Render

END = r"\Z"
START = r"\A"
# The end of the final stage's configuration; what is put here wins.
LAST = r"(?m)^USER 1001:1001\n"
HEALTHCHECK = r"(?m)^HEALTHCHECK .*\\\n.*\n"
# Of the backend; the frontend's has a path.
COMMAND = r'(?m)^ENTRYPOINT \[\]\nCMD \["python", .*\n'
LIVE = "http://127.0.0.1:8000/api/health/live"


class Edit(NamedTuple):
    """A change of one file: what the regular expression finds becomes `new`, once."""

    pattern: str
    new: str

    def apply(self, path: Path) -> None:
        text, count = re.subn(
            self.pattern, lambda _: self.new, path.read_text(encoding="utf-8"), count=1
        )
        assert count == 1, f"{path.name} no longer holds {self.pattern}"
        path.write_text(text, encoding="utf-8")


class Fault(NamedTuple):
    """What is done to a file, the one check that must fail, and parts of both its values."""

    check: str
    edits: list[Edit]
    expected: str
    measured: str
    file: str = "backend/Dockerfile"
    besides: frozenset[str] = frozenset()


def line(text: str) -> list[Edit]:
    """A line more in the final stage."""
    return [Edit(LAST, f"USER 1001:1001\n{text}\n")]


def user(text: str) -> list[Edit]:
    return [Edit(LAST, text)]


def health(text: str) -> list[Edit]:
    return [Edit(HEALTHCHECK, text)]


def port(text: str) -> list[Edit]:
    return [Edit(r"EXPOSE 8000\n", text)]


def command(text: str) -> list[Edit]:
    return [Edit(COMMAND, text)]


def entry(text: str) -> list[Edit]:
    """Another entry point before the command."""
    return [Edit(r"(?m)^ENTRYPOINT \[\]$", text)]


BUILD = r"(?m)^FROM \$\{BUILDER_IMAGE\} AS build\n"
IN_BUILD = "FROM ${BUILDER_IMAGE} AS build\n"
SECRETS = frozenset({"dockerfile.secrets"})

DOCKERFILE = {
    "root": Fault("user", user("USER root\n"), "1001:1001", "root"),
    "root by number": Fault("user", user("USER 0:0\n"), "1001:1001", "0:0"),
    "no user": Fault("user", user(""), "1001:1001", "root (no USER)"),
    "user by name": Fault("user", user("RUN adduser app\nUSER app\n"), "1001:1001", "app"),
    "user without group": Fault("user", user("USER 1001\n"), "1001:1001", "1001"),
    "another user": Fault("user", user("USER 1002:1002\n"), "1001:1001", "1002:1002"),
    "root again": Fault("user", line("USER root"), "1001:1001", "root"),
    "user in an earlier stage": Fault("user", [*user(""), Edit(BUILD, IN_BUILD + "USER 1001:1001\n")], "1001:1001", "root (no USER)"),
    "user from an unset argument": Fault("user", user("ARG UID\nUSER ${UID}:${UID}\n"), "1001:1001", ":"),
    "frontend as root": Fault("user", user("USER node\n"), "1001:1001", "node", "frontend/Dockerfile"),
    "another port": Fault("port", port("EXPOSE 8080\n"), "8000", "8080"),
    "a port more": Fault("port", line("EXPOSE 9000"), "8000", "8000, 9000"),
    "a UDP port": Fault("port", port("EXPOSE 8000/udp\n"), "8000", "8000/udp"),
    "no port": Fault("port", port(""), "8000", "nothing"),
    "a port in an earlier stage": Fault("port", [*port(""), Edit(BUILD, IN_BUILD + "EXPOSE 8000\n")], "8000", "nothing"),
    "frontend's port": Fault("port", [Edit("EXPOSE 3000", "EXPOSE 80")], "3000", "80", "frontend/Dockerfile"),
    "shell-form CMD": Fault("command", command("CMD python -m app\n"), 'CMD ["program", "argument"]', "CMD python -m app"),
    "single quotes": Fault("command", command("CMD ['python', '-m', 'app']\n"), "CMD [", "CMD ['python'"),
    "shell-form ENTRYPOINT": Fault("command", entry("ENTRYPOINT python -m app"), "CMD [", "ENTRYPOINT python -m app"),
    "a shell in front": Fault("command", command('CMD ["/bin/sh", "-c", "python -m app"]\n'), "CMD [", "/bin/sh"),
    "a shell behind an init": Fault("command", command('CMD ["tini", "--", "sh", "-c", "python -m app"]\n'), "CMD [", "tini"),
    "a shell with options": Fault("command", command('CMD ["bash", "-o", "pipefail", "-c", "python"]\n'), "CMD [", "pipefail"),
    "a shell with many options": Fault("command", command('CMD ["/bin/sh", "-e", "-u", "-x", "-c", "python"]\n'), "CMD [", "-x"),
    "a shell with a script": Fault("command", command('CMD ["/bin/sh", "start.sh"]\n'), "CMD [", "start.sh"),
    "a shell as entry point": Fault("command", entry('ENTRYPOINT ["bash", "/app/start.sh"]'), "CMD [", "bash"),
    "a shell and nothing else": Fault("command", command('CMD ["sh"]\n'), "CMD [", "sh"),
    "a script behind an init": Fault("command", command('CMD ["tini", "-g", "--", "/bin/sh", "start.sh"]\n'), "CMD [", "tini"),
    "a shell through env": Fault("command", command('CMD ["/usr/bin/env", "A=1", "sh", "start.sh"]\n'), "CMD [", "env"),
    "BusyBox's shell": Fault("command", command('CMD ["busybox", "sh", "start.sh"]\n'), "CMD [", "busybox"),
    "a command without a name": Fault("command", command('CMD [""]\n'), "CMD [", 'CMD [""]'),
    "an entry point without a name": Fault("command", entry('ENTRYPOINT [" "]'), "CMD [", 'ENTRYPOINT [" "]'),
    "no command": Fault("command", command(""), "CMD [", "nothing"),
    "an empty command": Fault("command", command("CMD []\n"), "CMD [", "CMD []"),
    "no HEALTHCHECK": Fault("healthcheck", health(""), ":8000 and /api/health or /api/health/live", "no HEALTHCHECK"),
    "HEALTHCHECK NONE": Fault("healthcheck", health("HEALTHCHECK NONE\n"), ":8000", "NONE"),
    "curl": Fault("healthcheck", health(f'HEALTHCHECK CMD ["curl", "-f", "{LIVE}"]\n'), ":8000", "curl"),
    "curl in a shell": Fault("healthcheck", health(f"HEALTHCHECK --timeout=3s CMD curl -f {LIVE} || exit 1\n"), ":8000", "curl -f"),
    "HEALTHCHECK in shell form": Fault("healthcheck", health(f"HEALTHCHECK CMD python check.py {LIVE}\n"), ":8000", "python check.py"),
    "HEALTHCHECK on another port": Fault("healthcheck", health('HEALTHCHECK CMD ["python", "c.py", "http://127.0.0.1:8080/api/health/live"]\n'), ":8000", ":8080"),
    "HEALTHCHECK on another path": Fault("healthcheck", health('HEALTHCHECK CMD ["python", "c.py", "http://127.0.0.1:8000/"]\n'), "/api/health", ":8000/"),
    "HEALTHCHECK on a longer path": Fault("healthcheck", health(f'HEALTHCHECK CMD ["python", "c.py", "{LIVE}ness"]\n'), "/api/health", "liveness"),
    "HEALTHCHECK elsewhere": Fault("healthcheck", health('HEALTHCHECK CMD ["python", "c.py", "http://example.org:8000/api/health"]\n'), ":8000", "example.org"),
    "HEALTHCHECK of nothing": Fault("healthcheck", health('HEALTHCHECK CMD ["python", "-c", "pass"]\n'), ":8000", "pass"),
    "HEALTHCHECK in an earlier stage": Fault("healthcheck", [*health(""), Edit(BUILD, f'{IN_BUILD}HEALTHCHECK CMD ["python", "c.py", "{LIVE}"]\n')], ":8000", "no HEALTHCHECK"),
    "the wrong interpreter": Fault("healthcheck", [Edit(r'CMD \["node", "/app/container/healthcheck', 'CMD ["python", "/app/container/healthcheck')], ":3000 and /health", "python", "frontend/Dockerfile"),
    "a secret in ENV": Fault("secrets", line("ENV ADMIN_PASSWORD=hunter2"), "nothing", "ADMIN_PASSWORD"),
    "a secret in old ENV": Fault("secrets", line("env STRIPE_SECRET abc"), "nothing", "STRIPE_SECRET"),
    "a second secret in ENV": Fault("secrets", line('ENV A="x y" \\\n # both\n  SIGNING_KEY="a b"'), "nothing", "SIGNING_KEY"),
    "a secret in ARG": Fault("secrets", [Edit(BUILD, IN_BUILD + "ARG NPM_TOKEN\n")], "nothing", "NPM_TOKEN"),
    "a secret in a second ARG": Fault("secrets", line("ARG MODE=x api_key=y"), "nothing", "api_key"),
    "a secret in an ARG before FROM": Fault("secrets", [Edit(START, "ARG DEPLOY_TOKEN=abc\n")], "nothing", "DEPLOY_TOKEN"),
    "a number as a password": Fault("secrets", line("ENV ADMIN_PASSWORD=12345678"), "nothing", "ADMIN_PASSWORD"),
    "a model's key by another name": Fault("secrets", line(f"ENV MODEL=sk-proj-{'a1B2' * 6}"), "nothing", "MODEL"),
    "a signed token": Fault("secrets", line(f"ARG WHO=eyJ{'a1' * 8}.eyJ{'b2' * 8}.{'c3' * 8}"), "nothing", "WHO"),
    "a private key": Fault("secrets", line('LABEL com.acme.note="-----BEGIN RSA ' + 'PRIVATE KEY-----"'), "nothing", "com.acme.note"),
    "a private key as a public one": Fault("secrets", line('ENV JWT_PUBLIC_KEY="-----BEGIN ' + 'PRIVATE KEY-----"'), "nothing", "JWT_PUBLIC_KEY"),
    "a token in CMD": Fault("secrets", command(f'CMD ["python", "-m", "app", "--token=ghp_{"a1" * 18}"]\n'), "nothing", "CMD in line"),
    "a token in ENTRYPOINT": Fault("secrets", line(f'ENTRYPOINT ["python", "glpat-{"a1" * 10}"]'), "nothing", "ENTRYPOINT in line"),
    "a token in RUN": Fault("secrets", line(f'RUN fetch -H "Authorization: Bearer ghp_{"a1" * 18}" x'), "nothing", "RUN in line"),
    "a bearer of no known kind": Fault("secrets", line(f'RUN fetch -H "Authorization: Bearer {"a1" * 18}" x'), "nothing", "RUN in line"),
    "a password in RUN": Fault("secrets", line("RUN pip install -i https://me:hunter2@pypi.example/simple x"), "nothing", "RUN in line"),
    "a token in a heredoc": Fault("secrets", line(f"COPY <<EOF /app/x\n//host/:_authToken=npm_{'a1' * 18}\nEOF"), "nothing", "COPY in line"),
    "a nameless volume": Fault("volumes", line("VOLUME /app/data"), "nothing", "/app/data"),
    "a secret by another name": Fault("secrets", line("ENV DB_PASS=abc"), "nothing", "DB_PASS"),
    "a key's number": Fault("secrets", line("ENV AWS_ACCESS_KEY_ID=abc"), "nothing", "AWS_ACCESS_KEY_ID"),
    "a secret value": Fault("secrets", line("ENV CACHE=redis://:secret@cache:6379"), "nothing", "CACHE"),
    "a download": Fault("pulls", line("ADD https://example.com/a.tar /app/"), "nothing", "ADD from https://example.com/a.tar"),
    "a secret in LABEL": Fault("secrets", line('LABEL com.example.token="abc"'), "nothing", "com.example.token"),
    "the database baked in": Fault("secrets", line("ENV DATABASE_URL=postgresql://u:p@h/d"), "nothing", "DATABASE_URL", besides=frozenset({"dockerfile.run-time-environment"})),
    "the database baked in as a variable": Fault("run-time-environment", line("ENV DATABASE_URL=postgresql://u:p@h/d"), "nothing baked in", "DATABASE_URL", besides=SECRETS),
    "an optional key baked in": Fault("run-time-environment", line("ENV OPENROUTER_API_KEY=k"), "nothing baked in", "OPENROUTER_API_KEY", besides=SECRETS),
    "the backend's URL baked in": Fault("run-time-environment", [Edit("EXPOSE 3000", "ENV API_URL=http://backend:8000\nEXPOSE 3000")], "nothing baked in", "API_URL", "frontend/Dockerfile"),
    "another base": Fault("base", [Edit("ARG BASE_IMAGE=python:3.13-slim", "ARG BASE_IMAGE=python:3.12-slim")], "python:3.13-slim", "python:3.12-slim"),
    "a base without argument": Fault("base", [Edit(r"FROM \$\{BASE_IMAGE\}", "FROM debian:12 AS x\nFROM x")], "python:3.13-slim", "debian:12"),
    "another builder": Fault("stages", [Edit("ARG BUILDER_IMAGE=python:3.13-slim", "ARG BUILDER_IMAGE=python:3.13")], "python:3.13-slim", "2 from python:3.13, python:3.13-slim"),
    "a third image": Fault("stages", [Edit(BUILD, "FROM golang:1 AS tools\n" + IN_BUILD)], "python:3.13-slim", "golang:1"),
    "one stage": Fault("stages", [Edit(r"(?s)FROM \$\{BUILDER_IMAGE\} AS build\n.*?(?=FROM \$\{BASE_IMAGE\}\n)", ""), Edit(r"(?:COPY [^\n]*--from=[^\n]*\n)+", "")], "2 or more stages", "1 from python:3.13-slim"),
    "a label missing": Fault("labels", [Edit(r"\s*\S+image\.revision=\S*", "")], "all present", "missing revision"),
    "no labels": Fault("labels", [Edit(r"(?s)\nLABEL.*", "\n")], "all present", "missing title, version, revision, created, source, base.name"),
    "labels in an earlier stage": Fault("labels", [Edit(r"(?s)\nLABEL.*", "\n"), Edit(BUILD, IN_BUILD + "LABEL org.opencontainers.image.title=x\n")], "all present", "missing title"),
    "a file from another image": Fault("pulls", [Edit(BUILD, IN_BUILD + "COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /bin/\n")], "nothing", "COPY from ghcr.io/astral-sh/uv:0.9"),
    "a mount from another image": Fault("pulls", line("RUN --mount=type=bind,from=busybox,target=/b true"), "nothing", "RUN from busybox"),
    "a mount that starts with from": Fault("pulls", line("RUN --mount=from=busybox,target=/b true"), "nothing", "RUN from busybox"),
    "a syntax line": Fault("pulls", [Edit(START, "# syntax=docker/dockerfile:1\n")], "nothing", "# syntax=docker/dockerfile:1"),
    "a file that is not there": Fault("sources", line("COPY no/such.txt /x"), "nothing missing", "no/such.txt (of COPY no/such.txt /x)"),
    "an added file that is not there": Fault("sources", line("ADD --chmod=444 nosuch.tar.gz /x"), "nothing missing", "nosuch.tar.gz"),
    "a pattern without a file": Fault("sources", line("COPY nosuch*.txt /x"), "nothing missing", "nosuch*.txt"),
    "one of a list that is not there": Fault("sources", line('COPY ["src", "no such", "/x"]'), "nothing missing", "no such (of COPY"),
    "a name in other letters": Fault("sources", [Edit("COPY requirements-build.txt", "COPY Requirements-build.txt")], "nothing missing", "Requirements-build.txt"),
    "a path outside of the context": Fault("sources", line("COPY ../taskflow.toml /x"), "nothing missing", "taskflow.toml (of"),
    "a mount that is not there": Fault("sources", line("RUN --mount=type=bind,source=nosuch,target=/b true"), "nothing missing", "nosuch"),
    "a port that is not exposed": Fault("environment", [Edit(":: PORT=3000", ":: PORT=4000")], "PORT=3000", "PORT=4000", "frontend/Dockerfile"),
    "a port of the environment in an ENV of two": Fault("environment", line("ENV A=1 PORT=8080"), "PORT=8000", "PORT=8080"),
    "HEALTHCHECK on an unknown variable": Fault("healthcheck", health('HEALTHCHECK CMD ["python", "-c", "u(f\'http://localhost:{os.environ[\\"PORT\\"]}/api/health\')"]\n'), ":8000", "PORT"),
    "HEALTHCHECK on a shell's variable": Fault("healthcheck", health('ENV PORT=8000\nHEALTHCHECK CMD ["python", "c.py", "http://localhost:${PORT}/api/health"]\n'), ":8000", "${PORT}"),
    "a command on another port": Fault("port", command('CMD ["uvicorn", "app:app", "--port", "9000"]\n'), "8000", "8000, --port 9000"),
    "a command for itself alone": Fault("port", command('CMD ["uvicorn", "app:app", "--host=127.0.0.1"]\n'), "8000", "--host 127.0.0.1"),
    "HEALTHCHECK by curl behind the interpreter": Fault("healthcheck", health(f'HEALTHCHECK CMD ["python", "-c", "import os; os.system(\'curl -f {LIVE}\')"]\n'), ":8000", "os.system"),
    "HEALTHCHECK in a remark": Fault("healthcheck", health(f'HEALTHCHECK CMD ["python", "-c", "pass # {LIVE}"]\n'), ":8000", "pass #"),
    "the backend's URL in the build": Fault("run-time-environment", [Edit(" AS build", " AS build\nARG API_URL=http://backend:8000")], "nothing baked in", "API_URL", "frontend/Dockerfile"),
    "the backend's URL for browsers": Fault("run-time-environment", [Edit(" AS build", " AS build\nENV NEXT_PUBLIC_API_URL=http://x")], "nothing baked in", "NEXT_PUBLIC_API_URL", "frontend/Dockerfile"),
    "all of the build stage": Fault("stages", [Edit(r"FROM \$\{BASE_IMAGE\}\n", "FROM build\n"), Edit(r"(?:COPY [^\n]*--from=[^\n]*\n)+", "")], "2 or more stages", "the last takes nothing from another"),
    "another base's label": Fault("labels", [Edit(r"base\.name=\S+", 'base.name="debian:12"')], "all present", "base.name python:3.13-slim, for it says debian:12"),
    "a mail service's key": Fault("secrets", line(f"ENV MAIL=SG.{'a1' * 11}.{'b2' * 11}"), "nothing", "MAIL"),
    "a key of Neon": Fault("secrets", line(f"ENV X=napi_{'a1' * 11}"), "nothing", "X"),
    "a range of ports": Fault("port", port("EXPOSE 8000-8001\n"), "8000", "8000-8001"),
    "the base from another registry": Fault("base", [Edit("ARG BASE_IMAGE=python:3.13-slim", "ARG BASE_IMAGE=quay.io/library/python:3.13-slim")], "python:3.13-slim", "quay.io/library/python:3.13-slim"),
    "another PYTHONPATH": Fault("environment", line("ENV PYTHONPATH=/app"), "PYTHONPATH=/app/src", "PYTHONPATH=/app"),
    "no PYTHONPATH": Fault("environment", [Edit("ENV PYTHONPATH=/app/src", "ENV X=1")], "PYTHONPATH=/app/src", "PYTHONPATH=not set"),
    "PYTHONPATH in an earlier stage": Fault("environment", [Edit("ENV PYTHONPATH=/app/src", "ENV X=1"), Edit(BUILD, IN_BUILD + "ENV PYTHONPATH=/app/src\n")], "PYTHONPATH=/app/src", "PYTHONPATH=not set"),
    "a development build": Fault("environment", [Edit("NODE_ENV=production", "NODE_ENV=development")], "NODE_ENV=production", "NODE_ENV=development", "frontend/Dockerfile"),
    "a heredoc without end": Fault("present", line("RUN <<EOF-1\ntrue\nEOF"), "a line EOF-1", "RUN <<EOF-1 goes on to the end"),
    "no FROM": Fault("present", [Edit(r"(?s).*", "# empty\n")], "FROM …", "no FROM"),
}  # fmt: skip

BACKEND_IGNORE, FRONTEND_IGNORE = "backend/.dockerignore", "frontend/.dockerignore"
DOCKERIGNORE = {
    ".env let in": Fault("excludes", [Edit(END, "\n!.env\n")], "nothing let in", "let in: .env", BACKEND_IGNORE),
    "everything let in": Fault("excludes", [Edit(r"(?s).*", "# nothing\n")], "nothing let in", ".git/config, .git/HEAD, .env, .env.local, .env.production, src/.env, src/app/.env.local, src/app/key.pem, .venv/bin/python, src/__pycache__/a.pyc", BACKEND_IGNORE),
    "only the bytecode let in": Fault("excludes", [Edit(r"(?s).*", "*\n!src\n!container\n!pyproject.toml\n!requirements*.txt\n**.pyc\n**/.env*\n**/*.pem\n")], "nothing let in", "let in: src/__pycache__/a.pyc", BACKEND_IGNORE),
    "local packages let in": Fault("excludes", [Edit(END, "\n!node_modules\n")], "nothing let in", "let in: node_modules/next/a.js", FRONTEND_IGNORE),
    "sources kept out": Fault("includes", [Edit(END, "\nsrc\n")], "nothing missing", "kept out: src by `src` in line", BACKEND_IGNORE),
    "all kept out": Fault("includes", [Edit(END, "\n*\n")], "nothing missing", "kept out: container by `*` in line", BACKEND_IGNORE),
    "the lock file kept out": Fault("includes", [Edit(END, "\n**/package-lock.json\n")], "nothing missing", "kept out: package-lock.json by `**/package-lock.json`", FRONTEND_IGNORE),
    "a file of no kind kept out": Fault("includes", [Edit(END, "\nrequirements-build.txt\n")], "nothing missing", "kept out: requirements-build.txt by `requirements-build.txt` in line", BACKEND_IGNORE),
    "a folder emptied": Fault("includes", [Edit(END, "\nsrc/**\n")], "nothing missing", "kept out: src by `src/**`", BACKEND_IGNORE),
    "the part that is served kept out": Fault("includes", [Edit(END, "\n**/main.py\n")], "nothing missing", "kept out: src/app/main.py by `**/main.py` in line", BACKEND_IGNORE),
    "a part of the whole kept out": Fault("includes", [Edit(END, "\nsrc/app/*.tsx\n")], "nothing missing", "kept out: src/app/page.tsx by `src/app/*.tsx` in line", FRONTEND_IGNORE),
    "a module kept out": Fault("includes", [Edit(END, "\nsrc/app/settings.py\n")], "nothing missing", "kept out: src/app/settings.py by", BACKEND_IGNORE),
    "the public folder kept out": Fault("includes", [Edit(END, "\npublic\n")], "nothing missing", "kept out: public by `public` in line", FRONTEND_IGNORE),
    "how it runs kept out": Fault("includes", [Edit(END, "\ncontainer/*\n")], "nothing missing", "container by `container/*`", FRONTEND_IGNORE),
    "a part of how it runs kept out": Fault("includes", [Edit(END, "\ncontainer/main.mjs\n")], "nothing missing", "kept out: container/main.mjs by", FRONTEND_IGNORE),
    "the frontend's source kept out": Fault("includes", [Edit(END, "\nsrc\n")], "nothing missing", "kept out: src", FRONTEND_IGNORE),
    "the compiler's options kept out": Fault("includes", [Edit(END, "\n*.json\n!package*.json\n")], "nothing missing", "tsconfig.json by `*.json`", FRONTEND_IGNORE),
    "the configuration kept out": Fault("includes", [Edit(END, "\nnext.config.ts\n")], "nothing missing", "next.config.ts by", FRONTEND_IGNORE),
    "production's variables let in": Fault("excludes", [Edit(END, "\n!.env.production\n")], "nothing let in", "let in: .env.production", FRONTEND_IGNORE),
    "history let in": Fault("excludes", [Edit(END, "\n!.git/HEAD\n")], "nothing let in", "let in: .git/HEAD", BACKEND_IGNORE),
    "another file that is read instead": Fault("alone", [Edit(START, "# as it was\n")], ".dockerignore", ".dockerignore, Dockerfile.dockerignore", BACKEND_IGNORE),
    "a private key let in": Fault("excludes", [Edit(END, "\n!id_rsa\n")], "nothing let in", "!id_rsa", BACKEND_IGNORE),
    "a password file let in": Fault("excludes", [Edit(END, "\n!.netrc\n")], "nothing let in", "!.netrc", FRONTEND_IGNORE),
    "secrets let in": Fault("excludes", [Edit(END, "\n!config/secrets.json\n")], "nothing let in", "!config/secrets.json", BACKEND_IGNORE),
    "credentials let in by a wildcard": Fault("excludes", [Edit(END, "\n!*.json\n")], "nothing let in", "!*.json", BACKEND_IGNORE),
    "everything of the whole kept out": Fault("includes", [Edit(END, "\n**\n")], "nothing missing", "everything by `**` in line", FRONTEND_IGNORE),
}  # fmt: skip

GOOD_CONFIG: dict[str, Any] = {
    "User": "1001:1001",
    "ExposedPorts": {"8000/tcp": {}},
    "Entrypoint": None,
    "Cmd": ["python", "-m", "app"],
    "Healthcheck": {"Test": ["CMD", "python", "c.py", LIVE], "Interval": 30_000_000_000},
    "Env": ["PATH=/usr/bin", "PYTHONPATH=/app/src", "GPG_KEY=7169605F62C751356D054A26A821E680"],
    "Labels": {
        f"org.opencontainers.image.{name}": "x"
        for name in ("title", "version", "revision", "created", "source", "base.name")
    },
    "Volumes": None,
    "Platform": "linux/amd64",
}
NATIVE = "linux/amd64"
ENV = GOOD_CONFIG["Env"]


class ImageFault(NamedTuple):
    """A key of an image's config with another value, and what must come of it."""

    check: str
    key: str
    value: object
    expected: str
    measured: str
    besides: frozenset[str] = frozenset()


IMAGE = {
    "root": ImageFault("user", "User", "root", "1001:1001", "root"),
    "no user": ImageFault("user", "User", "", "1001:1001", "root"),
    "user by name": ImageFault("user", "User", "app", "1001:1001", "app"),
    "another port": ImageFault("port", "ExposedPorts", {"80/tcp": {}}, "8000/tcp", "80/tcp"),
    "a UDP port": ImageFault("port", "ExposedPorts", {"8000/udp": {}}, "8000/tcp", "8000/udp"),
    "no port": ImageFault("port", "ExposedPorts", None, "8000/tcp", "nothing"),
    "shell form": ImageFault("command", "Cmd", ["/bin/sh", "-c", "python -m app"], "no shell in front", "/bin/sh, -c, python"),
    "another shell": ImageFault("command", "Cmd", ["bash", "-lc", "python"], "no shell in front", "bash, -lc"),
    "a shell as entry point": ImageFault("command", "Entrypoint", ["sh", "-c"], "no shell in front", "sh, -c, python"),
    "a shell behind an init": ImageFault("command", "Cmd", ["docker-entrypoint.sh", "/bin/sh", "-c", "node app.js"], "no shell in front", "docker-entrypoint.sh"),
    "a shell with many options": ImageFault("command", "Cmd", ["sh", "-e", "-u", "-x", "-c", "python"], "no shell in front", "-x, -c"),
    "a shell with a script": ImageFault("command", "Cmd", ["/bin/sh", "start.sh"], "no shell in front", "start.sh"),
    "a command without a name": ImageFault("command", "Cmd", [""], "no shell in front", ""),
    "no command": ImageFault("command", "Cmd", None, "no shell in front", "nothing"),
    "no health check": ImageFault("healthcheck", "Healthcheck", None, ":8000 and /api/health", "nothing"),
    "health check off": ImageFault("healthcheck", "Healthcheck", {"Test": ["NONE"]}, ":8000", "NONE"),
    "health check in a shell": ImageFault("healthcheck", "Healthcheck", {"Test": ["CMD-SHELL", f"python c.py {LIVE}"]}, ":8000", "CMD-SHELL"),
    "curl": ImageFault("healthcheck", "Healthcheck", {"Test": ["CMD", "curl", LIVE]}, ":8000", "curl"),
    "another PYTHONPATH": ImageFault("environment", "Env", ["PYTHONPATH=/x"], "PYTHONPATH=/app/src", "PYTHONPATH=/x"),
    "no environment": ImageFault("environment", "Env", None, "PYTHONPATH=/app/src", "PYTHONPATH=not set"),
    "a secret": ImageFault("secrets", "Env", [*ENV, "SMTP_PASSWORD=x"], "nothing", "SMTP_PASSWORD"),
    "somebody's GPG key": ImageFault("secrets", "Env", [*ENV, "MY_GPG_KEY=x"], "nothing", "MY_GPG_KEY"),
    "a secret value": ImageFault("secrets", "Env", [*ENV, f"MODEL=sk-proj-{'a1B2' * 6}"], "nothing", "MODEL"),
    "the database": ImageFault("run-time-environment", "Env", [*ENV, "DATABASE_URL=x"], "nothing baked in", "DATABASE_URL", frozenset({"image.secrets"})),
    "empty labels": ImageFault("labels", "Labels", {"org.opencontainers.image.title": ""}, "all set", "empty: title, version"),
    "no labels": ImageFault("labels", "Labels", None, "all set", "empty: title"),
    "another machine's": ImageFault("platform", "Platform", "linux/arm64", "linux/amd64", "linux/arm64"),
    "a nameless volume": ImageFault("volumes", "Volumes", {"/app/data": {}}, "nothing", "/app/data"),
}  # fmt: skip


def checked(root: Path) -> list[Result]:
    model = load(root / "taskflow.toml")
    checks = (check_dockerfile, check_dockerignore)
    return [
        result
        for name in model.containers
        for check in checks
        for result in check(root, model, name)
    ]


def failures(results: Iterable[Result]) -> dict[str, Result]:
    return {r.id.removeprefix("contract."): r for r in results if r.status is not Status.PASSED}


def assert_found(
    failed: dict[str, Result], check: str, expected: str, measured: str, besides: frozenset[str]
) -> Result:
    assert set(failed) == {check} | besides, [(r.id, r.measured) for r in failed.values()]
    result = failed[check]
    assert result.status is Status.FAILED
    assert expected in result.expected
    assert measured in result.measured
    assert result.title and result.fix and result.location
    return result


def test_the_default_project_passes(sample: Path) -> None:
    results = checked(sample)
    assert failures(results) == {}
    assert {result.container for result in results} == {"backend", "frontend"}


@pytest.mark.parametrize(
    "answers",
    [
        {"containers": "backend", "database": False},
        {"containers": "frontend", "registry": "localhost:5000/acme", "node_version": "22"},
    ],
)
def test_other_projects_pass(render: Render, answers: dict[str, object]) -> None:
    assert failures(checked(render(**answers))) == {}


@pytest.mark.parametrize("case", DOCKERFILE)
def test_a_fault_in_a_dockerfile(case: str, project: Path) -> None:
    fault = DOCKERFILE[case]
    for edit in fault.edits:
        edit.apply(project / fault.file)
    found = assert_found(
        failures(checked(project)),
        f"dockerfile.{fault.check}",
        fault.expected,
        fault.measured,
        fault.besides,
    )
    assert found.container == fault.file.split("/")[0]
    assert found.location.split(":")[0] == fault.file


@pytest.mark.parametrize("case", DOCKERIGNORE)
def test_a_fault_in_a_dockerignore(case: str, project: Path) -> None:
    fault = DOCKERIGNORE[case]
    for edit in fault.edits:
        edit.apply(project / fault.file)
    if fault.check == "alone":
        (project / fault.file).with_name("Dockerfile.dockerignore").touch()
    found = assert_found(
        failures(checked(project)),
        f"dockerignore.{fault.check}",
        fault.expected,
        fault.measured,
        fault.besides,
    )
    assert found.location.split(":")[0] == fault.file


def test_who_takes_what_from_whom(project: Path) -> None:
    """Both lines are named: the instruction's and the pattern's."""
    ignore, dockerfile = (project / "backend" / name for name in (".dockerignore", "Dockerfile"))
    Edit(END, "\nsrc/app  \n").apply(ignore)
    place = len(ignore.read_text(encoding="utf-8").splitlines())
    taker = (
        dockerfile.read_text(encoding="utf-8").splitlines().index("COPY --chmod=755 src src") + 1
    )
    found = failures(checked(project))["dockerignore.includes"]
    assert found.location == f"backend/.dockerignore:{place}"
    assert found.measured == (
        f"kept out: src by `src/app` in line {place} (Dockerfile:{taker}: COPY --chmod=755 src src)"
    )
    assert "such as !src," in found.fix


# Instructions of the last stage, lines more in .dockerignore, and the sources kept out.
CONTEXT = {
    "a pattern": ("COPY conf/*.toml /x/", "conf/*.toml", ["conf/a.toml", "conf/b.toml"]),
    "a pattern in part": ("COPY conf/*.toml /x/", "conf/b.toml", []),
    "a pattern of one character": ("COPY conf/[^b].toml /x/", "conf/a*", ["conf/a.toml"]),
    "a folder through a pattern": ("COPY con? /x/", "conf", ["conf"]),
    "a JSON list": ('COPY --chown=1001:1001 ["conf/a.toml", "/x/"]', "conf", ["conf/a.toml"]),
    "quotes": ('COPY "conf/a.toml" /x/', "conf", ["conf/a.toml"]),
    "a variable": ("ARG PART=a\nCOPY conf/${PART}.toml /x/", "conf", ["conf/a.toml"]),
    "slashes and dots": ("COPY /./conf/../conf/ /x/", "conf", ["conf"]),
    "several sources": ("COPY src conf /x/", "conf", ["conf"]),
    "an ADD": ("add conf/a.toml /x/", "conf", ["conf/a.toml"]),
    "a bind mount": ("RUN --mount=type=bind,source=conf,target=/b true", "conf", ["conf"]),
    "a mount of everything": ("RUN --mount=target=/b true", "requirements.txt", ["requirements.txt"]),
    "everything": ("COPY . /x/", "requirements.txt", ["requirements.txt"]),
    "everything, what no kind needs": ("COPY . /x/", "conf", []),
    "let in again": ("COPY conf /x/", "conf\n!conf/a.toml", []),
    "from a stage": ("COPY --chown=1:1 --from=build /conf/a.toml /x/", "conf", []),
    "a cache": ("RUN --mount=type=cache,target=/conf true", "conf", []),
    "a heredoc": ("COPY <<EOF /x\nconf\nEOF", "conf", []),
    "a target": ("COPY src conf", "conf", []),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTEXT)
def test_what_the_instructions_take_reaches_them(case: str, project: Path) -> None:
    instruction, ignored, lost = CONTEXT[case]
    backend = project / "backend"
    (backend / "conf").mkdir()
    for name in ("a", "b"):
        (backend / "conf" / f"{name}.toml").touch()
    Edit(LAST, f"{instruction}\nUSER 1001:1001\n").apply(backend / "Dockerfile")
    Edit(r"(?m)^COPY requirements-build\.txt.*\n", "").apply(backend / "Dockerfile")
    Edit(END, f"\n!conf\n{ignored}\n").apply(backend / ".dockerignore")
    failed = failures(checked(project))
    assert set(failed) == ({"dockerignore.includes"} if lost else set())
    measured = failed["dockerignore.includes"].measured if lost else "kept out: "
    assert re.findall(r"(?:out: |\), )(\S+) by", measured) == lost


def test_sources_that_may_be_absent(project: Path) -> None:
    """A pattern beside a file makes it optional; a URL or a heredoc is no file."""
    text = "COPY requirements.txt constraints*.txt /x/\nCOPY <<EOF nosuch /x/\nEOF\n"
    Edit(LAST, f"{text}USER 1001:1001\n").apply(project / "backend/Dockerfile")
    found = failures(checked(project))
    assert set(found) == {"dockerfile.sources"}
    assert found["dockerfile.sources"].measured.startswith("nosuch (of COPY <<EOF nosuch /x/)")
    assert "starts at backend/" in found["dockerfile.sources"].fix


@pytest.mark.parametrize(
    ("file", "check"),
    [("Dockerfile", "dockerfile.present"), (".dockerignore", "dockerignore.present")],
)
def test_a_file_that_is_missing_or_no_text(file: str, check: str, project: Path) -> None:
    path = project / "backend" / file
    path.write_bytes(b"FROM a\n# \xff\n")
    none: frozenset[str] = frozenset()
    assert_found(failures(checked(project)), check, "UTF-8", "byte 0xff at 9", none)
    path.unlink()
    assert_found(failures(checked(project)), check, "", "no such file", none)


def test_a_secret_is_not_repeated(project: Path) -> None:
    token = f"ghp_{'a1' * 18}"
    edit = command(f'CMD ["python", "{token}"]\nRUN echo {token}\nCOPY no/{token} /x\n')[0]
    edit.apply(project / "backend/Dockerfile")
    results = checked(project)
    assert "dockerfile.secrets" in failures(results)
    assert not [r.id for r in results if token in f"{r.expected} {r.measured} {r.fix} {r.detail}"]


def test_the_line_of_a_fault(project: Path) -> None:
    path = project / "backend/Dockerfile"
    Edit(LAST, "USER app\n").apply(path)
    number = path.read_text(encoding="utf-8").splitlines().index("USER app") + 1
    found = failures(checked(project))["dockerfile.user"]
    assert found.location == f"backend/Dockerfile:{number}"


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("ENV A=1 PYTHONPATH=/x", "environment"),
        ("ENV PORT=1", "environment"),
        ("ENV OPENROUTER_API_KEY=x", "run-time-environment"),
    ],
)
def test_the_line_of_a_variable(text: str, check: str, project: Path) -> None:
    path = project / "backend/Dockerfile"
    Edit(LAST, f"USER 1001:1001\n{text}\n").apply(path)
    number = path.read_text(encoding="utf-8").splitlines().index(text) + 1
    found = failures(checked(project))[f"dockerfile.{check}"]
    assert found.location == f"backend/Dockerfile:{number}"


def test_the_line_of_the_labels(project: Path) -> None:
    path = project / "backend/Dockerfile"
    Edit(r"\s*\S+image\.revision=\S*", "").apply(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    number = next(n for n, text in enumerate(lines, 1) if text.startswith("LABEL "))
    found = failures(checked(project))["dockerfile.labels"]
    assert found.location == f"backend/Dockerfile:{number}"


def lower(text: str) -> str:
    return re.sub(r"(?m)^[A-Z]+ ", lambda match: match[0].lower(), text).replace(" AS ", " as ")


# Other ways to write the same; a person's style is no fault.
SAME = {
    "a port with its protocol": port("EXPOSE 8000/tcp\n"),
    "a port stated twice": line("EXPOSE 8000"),
    "a port from a variable": port("ENV PORT=8000\nEXPOSE ${PORT}\n"),
    "a range of one port": port("EXPOSE 8000-8000\n"),
    "a range of one port with its protocol": port("EXPOSE 8000-8000/TCP\n"),
    "images by their full names": [
        Edit("ARG BASE_IMAGE=python:3.13-slim", "ARG BASE_IMAGE=docker.io/library/python:3.13-slim"),
        Edit("ARG BUILDER_IMAGE=python", "ARG BUILDER_IMAGE=docker.io/python"),
    ],
    "HEALTHCHECK of any address": health('HEALTHCHECK CMD ["python", "c.py", "http://0.0.0.0:8000/api/health/live?x=1"]\n'),
    "HEALTHCHECK by the interpreter's variable": health(
        "ENV PORT=8000\nHEALTHCHECK CMD "
        """["python", "-c", "import os; u(f'http://localhost:{os.environ[\\"PORT\\"]}/api/health')"]\n"""
    ),
    "a user from arguments": user("ARG UID=1001\nARG GID=${UID}\nUSER ${UID}:${GID}\n"),
    "a user from the environment": user("ENV UID=1001 GID=1001\nUSER $UID:$GID\n"),
    "a user from defaults": user("ARG UID\nUSER ${UID:-1001}:${GID:-1001}\n"),
    "root for a while": user("USER root\nRUN true\nUSER 1001:1001\n"),
    "a comment": user("# USER root\nUSER 1001:1001\n  # EXPOSE 9000\n"),
    "entry point and command": command('ENTRYPOINT ["python"]\nCMD ["-m", "app"]\n'),
    "a script as entry point": entry('ENTRYPOINT ["/app/start.sh"]'),
    "a program behind an init": command('CMD ["tini", "-g", "--", "env", "A=1", "python", "-m", "app"]\n'),
    "a shell's name among the words": command('CMD ["python", "-m", "app", "--shell", "bash", "run", "-c"]\n'),
    "an entry point and an empty command": command('ENTRYPOINT ["python", "-m", "app"]\nCMD []\n'),
    "a command over two lines": command('CMD ["python", \\\n     "-m", "app"]\n'),
    "python3": health(f'HEALTHCHECK CMD ["python3", "/app/check.py", "{LIVE}"]\n'),
    "a path to python": health(f'HEALTHCHECK CMD ["/usr/local/bin/python3.13", "c.py", "{LIVE}"]\n'),
    "one line of Python": health(
        """HEALTHCHECK --interval=5s CMD ["python", "-c", "import urllib.request as u; """
        """u.urlopen('http://localhost:8000/api/health', timeout=2)"]\n"""
    ),
    "readiness in small letters": health(
        'healthcheck --retries=2 cmd [ "python" , "c.py", "http://localhost:8000/api/health" ]\n'
    ),
    "a stage for tests": [
        Edit(r"FROM \$\{BASE_IMAGE\}\n", "FROM build AS test\nRUN pytest\n\nFROM ${BASE_IMAGE}\n")
    ],
    "a base of its own": [
        Edit(r"FROM \$\{BASE_IMAGE\}", "FROM ${BASE_IMAGE} AS runtime\nENV LANG=C\nFROM Runtime")
    ],
    "a stage by number": [Edit(r"--from=build", "--from=0")],
    "a platform": [Edit(BUILD, "FROM --platform=$BUILDPLATFORM ${BUILDER_IMAGE} AS build\n")],
    "a heredoc": line("RUN <<EOF\nUSER root\nEXPOSE 1\nFROM x\nEOF"),
    "heredocs with other marks": line("RUN sh <<-'E-1' 3<<\"E 2\"\nUSER root\n\tE-1\nVOLUME /x\nE 2"),
    "the old form of ENV": [Edit("ENV PYTHONPATH=/app/src", "ENV PYTHONPATH /app/src\nENV")],
    "a quoted value": [Edit("ENV PYTHONPATH=/app/src", 'ENV PYTHONPATH="/app/src"')],
    "what is no secret": line("ENV MONKEY=banana TOKEN_TTL=5 API_KEY_FILE=/run/x"),
    "a reset entry point": line("ENTRYPOINT []"),
    "a command on its port": command('CMD ["uvicorn", "app:app", "--host", "0.0.0.0", "--port=8000"]\n'),
    "HEALTHCHECK by a client of its own": health(
        """HEALTHCHECK CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000); """
        """c.request('GET', '/api/health/live'); exit(c.getresponse().status != 200)"]\n"""
    ),
    "HEALTHCHECK in parts": health(
        """ENV PORT=8000\nHEALTHCHECK CMD ["python", "-c", "import os; """
        """u('http://127.0.0.1:' + os.environ['PORT'] + '/api/health')"]\n"""
    ),
    "what says where a token is from": line(
        "ENV TOKEN_AUDIENCE=api TOKEN_ISSUER=x PASSWORD_RESET_URL=/x PRIMARY_KEY=id PWD=/app STRIPE_KEY=pk_test_1"
    ),
    "a remark that is no directive": [Edit(START, "# first\n# syntax=docker/dockerfile:1\n")],
    "a quoted user": [Edit("USER 1001:1001", 'USER "1001:1001"')],
    "a line separator in a comment": line("# one\u2028USER root"),
    "a token's life": line("ENV ACCESS_TOKEN_EXPIRE_MINUTES=30 MAX_TOKENS=4000 SESSION_KEY_ID=7"),
    "a token's life as an argument": line("ARG ACCESS_TOKEN_EXPIRE_MINUTES MAX_TOKENS"),
    "a public key": line("ENV JWT_PUBLIC_KEY=MFkwEwYHKoZIzj0CAQY PASSWORD_HASHER=argon2 CACHE_KEY_VERSION=v2"),
    "a switch": line("ENV USE_TOKEN=true RESET_PASSWORD=off"),
    "a label on keys": line("LABEL com.acme.key.rotation=90d"),
    "a package manager's variable": line("RUN npm_config_update_notifier=false true"),
    "a token from a mount": line('RUN fetch -H "Authorization: Bearer $(cat /run/secrets/token)" x'),
    "an address to parse": line("RUN DATABASE_URL=postgresql://x:x@localhost/x true"),
    "a label of several words": line('LABEL description="the key to it all" keys="a"'),
    "an argument of several words": line('ARG MOTTO="not a token"'),
    "an empty key": line('ENV OPENROUTER_API_KEY=""'),
    "the name of a key's file": line("ENV DATABASE_PASSWORD_FILE=/run/secrets/db"),
    "a program's own --from": [Edit(BUILD, IN_BUILD + "RUN uvx --from=ruff ruff check\n")],
    "a mount from a stage": line("RUN --mount=type=bind,from=build,target=/b true"),
    "a secret mount": [Edit(BUILD, IN_BUILD + "RUN --mount=type=secret,id=npm_token true\n")],
    "a byte order mark": [Edit(START, "\ufeff")],
}  # fmt: skip


@pytest.mark.parametrize("case", SAME)
def test_another_style_of_dockerfile_passes(case: str, project: Path) -> None:
    for edit in SAME[case]:
        edit.apply(project / "backend/Dockerfile")
    assert failures(checked(project)) == {}


@pytest.mark.parametrize("container", ["backend", "frontend"])
def test_small_letters_and_windows_lines_pass(container: str, project: Path) -> None:
    path = project / container / "Dockerfile"
    path.write_bytes(lower(path.read_text(encoding="utf-8")).replace("\n", "\r\n").encode())
    assert failures(checked(project)) == {}


def model_of(root: Path) -> Project:
    return load(root / "taskflow.toml")


def test_a_good_image_passes(sample: Path) -> None:
    assert failures(check_image(model_of(sample), "backend", GOOD_CONFIG, NATIVE)) == {}


@pytest.mark.parametrize("case", IMAGE)
def test_a_fault_in_an_image(case: str, sample: Path) -> None:
    fault = IMAGE[case]
    config = {**copy.deepcopy(GOOD_CONFIG), fault.key: fault.value}
    found = assert_found(
        failures(check_image(model_of(sample), "backend", config, NATIVE)),
        f"image.{fault.check}",
        fault.expected,
        fault.measured,
        fault.besides,
    )
    assert found.container == "backend"


def test_an_image_without_any_config_fails_everything_it_can(sample: Path) -> None:
    results = check_image(model_of(sample), "backend", {}, NATIVE)
    harmless = {"run-time-environment", "secrets", "volumes"}
    assert {r.id.rpartition(".")[2] for r in results if not r.failed} == harmless


@pytest.mark.parametrize(
    ("level", "faults"),
    [
        ("dockerfile", {fault.check for fault in DOCKERFILE.values()}),
        ("dockerignore", {fault.check for fault in DOCKERIGNORE.values()}),
        ("image", {fault.check for fault in IMAGE.values()}),
    ],
)
def test_every_check_has_a_fault_that_it_finds(level: str, faults: set[str], sample: Path) -> None:
    results = checked(sample) + check_image(model_of(sample), "backend", GOOD_CONFIG, NATIVE)
    prefix = f"contract.{level}."
    emitted = {r.id.removeprefix(prefix) for r in results if r.id.startswith(prefix)}
    assert emitted
    assert emitted - faults == set(), "a check without a broken variation in this file"
    assert faults - emitted <= {"present"}, "a variation of a check that is no more"


@pytest.mark.parametrize("pattern", ["[z-a]", "[a", "a/[", "[]", "[]a]", "[a-]", "a\\", "!b\\"])
def test_a_pattern_that_is_none_is_one_message(pattern: str, project: Path) -> None:
    path = project / "backend" / ".dockerignore"
    path.write_text(path.read_text(encoding="utf-8") + pattern + "\n", encoding="utf-8")
    named = rf"backend/.dockerignore:\d+: {re.escape(repr(pattern))} is no pattern"
    with pytest.raises(InputError, match=named):
        checked(project)


# Lines more that let in or keep out nothing they should not.
SAME_IGNORE = {
    "an example of variables": "!.env.example",
    "a secret let in and out": "!id_rsa\nid_rsa",
    "a module on secrets": "!src/app/secrets.py\n!src/secrets",
    "a certificate": "!certs/ca.crt",
    "tests": "src/tests\nsrc/**/test_*.py\nsrc/**/conftest.py",
    "notes": "**/*.md",
    "a line separator in a comment": "# one\u2028src",
    "an escaped bracket": "\\[a",
}


@pytest.mark.parametrize("case", SAME_IGNORE)
def test_another_style_of_dockerignore_passes(case: str, project: Path) -> None:
    for name in ("src/tests/test_a.py", "src/app/test_b.py", "src/conftest.py", "src/app/a.md"):
        (project / "backend" / name).parent.mkdir(exist_ok=True)
        (project / "backend" / name).touch()
    Edit(END, f"\n{SAME_IGNORE[case]}\n").apply(project / BACKEND_IGNORE)
    assert failures(checked(project)) == {}
