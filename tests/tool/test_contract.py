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
    """What is done to a file, the one check that must fail, and a part of what it measures."""

    check: str
    edits: list[Edit]
    measured: str
    file: str = "backend/Dockerfile"


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

DOCKERFILE = {
    "root": Fault("user", user("USER root\n"), "root"),
    "root by number": Fault("user", user("USER 0:0\n"), "0:0"),
    "no user": Fault("user", user(""), "root (no USER)"),
    "user by name": Fault("user", user("RUN adduser app\nUSER app\n"), "app"),
    "user without group": Fault("user", user("USER 1001\n"), "1001"),
    "another user": Fault("user", user("USER 1002:1002\n"), "1002:1002"),
    "root again": Fault("user", line("USER root"), "root"),
    "user in an earlier stage": Fault("user", [*user(""), Edit(BUILD, IN_BUILD + "USER 1001:1001\n")], "root (no USER)"),
    "user from an unset argument": Fault("user", user("ARG UID\nUSER ${UID}:${UID}\n"), ":"),
    "frontend as root": Fault("user", user("USER node\n"), "node", "frontend/Dockerfile"),
    "another port": Fault("port", port("EXPOSE 8080\n"), "8080"),
    "a port more": Fault("port", line("EXPOSE 9000"), "8000, 9000"),
    "a UDP port": Fault("port", port("EXPOSE 8000/udp\n"), "8000/udp"),
    "no port": Fault("port", port(""), "nothing"),
    "a port in an earlier stage": Fault("port", [*port(""), Edit(BUILD, IN_BUILD + "EXPOSE 8000\n")], "nothing"),
    "frontend's port": Fault("port", [Edit("EXPOSE 3000", "EXPOSE 80")], "80", "frontend/Dockerfile"),
    "shell-form CMD": Fault("command", command("CMD python -m app\n"), "CMD in shell form"),
    "single quotes": Fault("command", command("CMD ['python', '-m', 'app']\n"), "CMD in shell form"),
    "shell-form ENTRYPOINT": Fault("command", entry("ENTRYPOINT in shell form"), "ENTRYPOINT in shell form"),
    "no command": Fault("command", command(""), "nothing"),
    "an empty command": Fault("command", command("CMD []\n"), "CMD []"),
    "no HEALTHCHECK": Fault("healthcheck", health(""), "no HEALTHCHECK"),
    "HEALTHCHECK NONE": Fault("healthcheck", health("HEALTHCHECK NONE\n"), "NONE"),
    "curl in a shell": Fault("healthcheck", health(f"HEALTHCHECK --timeout=3s CMD curl -f {LIVE} || exit 1\n"), "in shell form"),
    "HEALTHCHECK in shell form": Fault("healthcheck", health(f"HEALTHCHECK CMD python check.py {LIVE}\n"), "in shell form"),
    "HEALTHCHECK in an earlier stage": Fault("healthcheck", [*health(""), Edit(BUILD, f'{IN_BUILD}HEALTHCHECK CMD ["python", "c.py", "{LIVE}"]\n')], "no HEALTHCHECK"),
    "a nameless volume": Fault("volumes", line("VOLUME /app/data"), "/app/data"),
    "a download": Fault("pulls", line("ADD https://example.com/a.tar /app/"), "ADD from https://example.com/a.tar"),
    "the database baked in as a variable": Fault("run-time-environment", line("ENV DATABASE_URL=postgresql://u:p@h/d"), "DATABASE_URL"),
    "an optional key baked in": Fault("run-time-environment", line("ENV OPENROUTER_API_KEY=k"), "OPENROUTER_API_KEY"),
    "the backend's URL baked in": Fault("run-time-environment", [Edit("EXPOSE 3000", "ENV API_URL=http://backend:8000\nEXPOSE 3000")], "API_URL", "frontend/Dockerfile"),
    "another base": Fault("base", [Edit("ARG BASE_IMAGE=python:3.13-slim", "ARG BASE_IMAGE=python:3.12-slim")], "python:3.12-slim"),
    "a base without argument": Fault("base", [Edit(r"FROM \$\{BASE_IMAGE\}", "FROM debian:12 AS x\nFROM x")], "debian:12"),
    "another builder": Fault("stages", [Edit("ARG BUILDER_IMAGE=python:3.13-slim", "ARG BUILDER_IMAGE=python:3.13")], "2 from python:3.13, python:3.13-slim"),
    "a third image": Fault("stages", [Edit(BUILD, "FROM golang:1 AS tools\n" + IN_BUILD)], "golang:1"),
    "one stage": Fault("stages", [Edit(r"(?s)FROM \$\{BUILDER_IMAGE\} AS build\n.*?(?=FROM \$\{BASE_IMAGE\}\n)", ""), Edit(r"(?:COPY [^\n]*--from=[^\n]*\n)+", "")], "1 from python:3.13-slim"),
    "a label missing": Fault("labels", [Edit(r"\s*\S+image\.revision=\S*", "")], "missing revision"),
    "no labels": Fault("labels", [Edit(r"(?s)\nLABEL.*", "\n")], "missing title, version, revision, created, source, base.name"),
    "labels in an earlier stage": Fault("labels", [Edit(r"(?s)\nLABEL.*", "\n"), Edit(BUILD, IN_BUILD + "LABEL org.opencontainers.image.title=x\n")], "missing title"),
    "a file from another image": Fault("pulls", [Edit(BUILD, IN_BUILD + "COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /bin/\n")], "COPY from ghcr.io/astral-sh/uv:0.9"),
    "a mount from another image": Fault("pulls", line("RUN --mount=type=bind,from=busybox,target=/b true"), "RUN from busybox"),
    "a mount that starts with from": Fault("pulls", line("RUN --mount=from=busybox,target=/b true"), "RUN from busybox"),
    "a syntax line": Fault("pulls", [Edit(START, "# syntax=docker/dockerfile:1\n")], "# syntax=docker/dockerfile:1"),
    "a port that is not exposed": Fault("environment", [Edit(":: PORT=3000", ":: PORT=4000")], "PORT=4000", "frontend/Dockerfile"),
    "a port of the environment in an ENV of two": Fault("environment", line("ENV A=1 PORT=8080"), "PORT=8080"),
    "the backend's URL in the build": Fault("run-time-environment", [Edit(" AS build", " AS build\nARG API_URL=http://backend:8000")], "API_URL", "frontend/Dockerfile"),
    "the backend's URL for browsers": Fault("run-time-environment", [Edit(" AS build", " AS build\nENV NEXT_PUBLIC_API_URL=http://x")], "NEXT_PUBLIC_API_URL", "frontend/Dockerfile"),
    "all of the build stage": Fault("stages", [Edit(r"FROM \$\{BASE_IMAGE\}\n", "FROM build\n"), Edit(r"(?:COPY [^\n]*--from=[^\n]*\n)+", "")], "the last takes nothing from another"),
    "another base's label": Fault("labels", [Edit(r"base\.name=\S+", 'base.name="debian:12"')], "base.name python:3.13-slim, for it says debian:12"),
    "a range of ports": Fault("port", port("EXPOSE 8000-8001\n"), "8000-8001"),
    "the base from another registry": Fault("base", [Edit("ARG BASE_IMAGE=python:3.13-slim", "ARG BASE_IMAGE=quay.io/library/python:3.13-slim")], "quay.io/library/python:3.13-slim"),
    "another PYTHONPATH": Fault("environment", line("ENV PYTHONPATH=/app"), "PYTHONPATH=/app"),
    "no PYTHONPATH": Fault("environment", [Edit("ENV PYTHONPATH=/app/src", "ENV X=1")], "PYTHONPATH=not set"),
    "PYTHONPATH in an earlier stage": Fault("environment", [Edit("ENV PYTHONPATH=/app/src", "ENV X=1"), Edit(BUILD, IN_BUILD + "ENV PYTHONPATH=/app/src\n")], "PYTHONPATH=not set"),
    "a development build": Fault("environment", [Edit("NODE_ENV=production", "NODE_ENV=development")], "NODE_ENV=development", "frontend/Dockerfile"),
    "no FROM": Fault("present", [Edit(r"(?s).*", "# empty\n")], "no FROM"),
}  # fmt: skip

BACKEND_IGNORE, FRONTEND_IGNORE = "backend/.dockerignore", "frontend/.dockerignore"
DOCKERIGNORE = {
    ".env let in": Fault("excludes", [Edit(END, "\n!.env\n")], "let in: .env", BACKEND_IGNORE),
    "everything of a file of its own": Fault("excludes", [], "let in: .git/config, .git/HEAD, .env", "backend/Dockerfile.dockerignore"),
    "everything let in": Fault("excludes", [Edit(r"(?s).*", "# nothing\n")], ".git/config, .git/HEAD, .env, .env.local, .env.production, src/.env, src/app/.env.local, src/app/key.pem, .venv/bin/python, src/__pycache__/a.pyc", BACKEND_IGNORE),
    "only the bytecode let in": Fault("excludes", [Edit(r"(?s).*", "*\n!src\n!container\n!pyproject.toml\n!requirements*.txt\n**.pyc\n**/.env*\n**/*.pem\n")], "let in: src/__pycache__/a.pyc", BACKEND_IGNORE),
    "local packages let in": Fault("excludes", [Edit(END, "\n!node_modules\n")], "let in: node_modules/next/a.js", FRONTEND_IGNORE),
    "production's variables let in": Fault("excludes", [Edit(END, "\n!.env.production\n")], "let in: .env.production", FRONTEND_IGNORE),
    "history let in": Fault("excludes", [Edit(END, "\n!.git/HEAD\n")], "let in: .git/HEAD", BACKEND_IGNORE),
    "another file that is read instead": Fault("alone", [Edit(START, "# as it was\n")], ".dockerignore, .containerignore", BACKEND_IGNORE),
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
    measured: str


IMAGE = {
    "root": ImageFault("user", "User", "root", "root"),
    "no user": ImageFault("user", "User", "", "root"),
    "user by name": ImageFault("user", "User", "app", "app"),
    "another port": ImageFault("port", "ExposedPorts", {"80/tcp": {}}, "80/tcp"),
    "a UDP port": ImageFault("port", "ExposedPorts", {"8000/udp": {}}, "8000/udp"),
    "no port": ImageFault("port", "ExposedPorts", None, "nothing"),
    "shell form": ImageFault("command", "Cmd", ["/bin/sh", "-c", "python -m app"], "Cmd in shell form"),
    "shell form as entry point": ImageFault("command", "Entrypoint", ["/bin/sh", "-c", "python -m app"], "Entrypoint in shell form"),
    "no command": ImageFault("command", "Cmd", None, "nothing"),
    "no health check": ImageFault("healthcheck", "Healthcheck", None, "none"),
    "health check off": ImageFault("healthcheck", "Healthcheck", {"Test": ["NONE"]}, "NONE"),
    "health check in a shell": ImageFault("healthcheck", "Healthcheck", {"Test": ["CMD-SHELL", f"python c.py {LIVE}"]}, "CMD-SHELL"),
    "another PYTHONPATH": ImageFault("environment", "Env", ["PYTHONPATH=/x"], "PYTHONPATH=/x"),
    "no environment": ImageFault("environment", "Env", None, "PYTHONPATH=not set"),
    "the database": ImageFault("run-time-environment", "Env", [*ENV, "DATABASE_URL=x"], "DATABASE_URL"),
    "empty labels": ImageFault("labels", "Labels", {"org.opencontainers.image.title": ""}, "empty: title, version"),
    "no labels": ImageFault("labels", "Labels", None, "empty: title"),
    "another machine's": ImageFault("platform", "Platform", "linux/arm64", "linux/arm64"),
    "a nameless volume": ImageFault("volumes", "Volumes", {"/app/data": {}}, "/app/data"),
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
    failed: dict[str, Result],
    check: str,
    expected: str,
    measured: str,
    besides: frozenset[str] = frozenset(),
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
        failures(checked(project)), f"dockerfile.{fault.check}", "", fault.measured
    )
    assert found.container == fault.file.split("/")[0]
    assert found.location.split(":")[0] == fault.file


@pytest.mark.parametrize("case", DOCKERIGNORE)
def test_a_fault_in_a_dockerignore(case: str, project: Path) -> None:
    fault = DOCKERIGNORE[case]
    for edit in fault.edits:
        edit.apply(project / fault.file)
    if fault.check == "alone":
        (project / fault.file).with_name(".containerignore").touch()
    if not fault.edits:
        (project / fault.file).touch()
    found = assert_found(
        failures(checked(project)), f"dockerignore.{fault.check}", "", fault.measured
    )
    assert found.location.split(":")[0] == fault.file


TOP_IGNORE = (
    "reports", ".nox", "**/.git", "**/.env*", "**/*.pem", "**/.venv", "**/node_modules", "**/.next",
    "**/__pycache__",
)  # fmt: skip


@pytest.mark.parametrize(
    ("without", "let_in"),
    [
        ("", ""),
        ("reports", "reports/smoke.json"),
        (".nox", ".nox/lint/a"),
        ("**/.git", ".git/config, .git/HEAD"),
        ("**/.venv", ".venv/bin/python, frontend/.venv/bin/python, backend/.venv/bin/python"),
        ("**/node_modules", "node_modules/next/a.js, frontend/node_modules/next/a.js, "),
    ],
)
def test_a_build_of_the_top_folder(without: str, let_in: str, project: Path) -> None:
    """Below it are reports, installations and secrets, those of other containers as well."""
    model = project / "taskflow.toml"
    text = model.read_text("utf-8").replace(
        "[containers.backend]",
        '[containers.backend]\ncontext = "."\ndockerfile = "backend/Dockerfile"',
    )
    model.write_text(text, "utf-8")
    ignore = project / "backend" / "Dockerfile.dockerignore"
    ignore.write_text("\n".join(line for line in TOP_IGNORE if line != without), "utf-8")
    found = failures(checked(project))
    if let_in:
        result = assert_found(found, "dockerignore.excludes", "", f"let in: {let_in}")
        assert result.location == "backend/Dockerfile.dockerignore"
        assert len(result.detail.splitlines()) == 1
    else:
        assert found == {}


@pytest.mark.parametrize(
    ("file", "check"),
    [("Dockerfile", "dockerfile.present"), (".dockerignore", "dockerignore.present")],
)
def test_a_file_that_is_missing_or_no_text(file: str, check: str, project: Path) -> None:
    path = project / "backend" / file
    path.write_bytes(b"FROM a\n# \xff\n")
    assert_found(failures(checked(project)), check, "UTF-8", "byte 0xff at 9")
    path.unlink()
    assert_found(failures(checked(project)), check, "", "no such file")


@pytest.mark.parametrize(
    "text",
    [
        "CMD python -m app --token={}",
        'CMD ["python", "-m", "app", "{}"]',
        "HEALTHCHECK CMD curl -H {} x",
        "ADD https://me:{}@example.com/a.tar /x",
        "RUN --mount=from=busybox echo {}",
    ],
)
def test_a_secret_is_not_repeated(text: str, project: Path) -> None:
    token = f"ghp_{'a1' * 18}"
    line(text.format(token))[0].apply(project / "backend/Dockerfile")
    config = {
        **GOOD_CONFIG,
        "Cmd": ["/bin/sh", "-c", token],
        "Healthcheck": {"Test": ["CMD-SHELL", token]},
    }
    results = checked(project) + check_image(model_of(project), "backend", config, NATIVE)
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
    "a user from arguments": user("ARG UID=1001\nARG GID=${UID}\nUSER ${UID}:${GID}\n"),
    "a user from the environment": user("ENV UID=1001 GID=1001\nUSER $UID:$GID\n"),
    "a user from defaults": user("ARG UID\nUSER ${UID:-1001}:${GID:-1001}\n"),
    "root for a while": user("USER root\nRUN true\nUSER 1001:1001\n"),
    "a comment": user("# USER root\nUSER 1001:1001\n  # EXPOSE 9000\n"),
    "entry point and command": command('ENTRYPOINT ["python"]\nCMD ["-m", "app"]\n'),
    "an entry point and an empty command": command('ENTRYPOINT ["python", "-m", "app"]\nCMD []\n'),
    "a command over two lines": command('CMD ["python", \\\n     "-m", "app"]\n'),
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
    "a reset entry point": line("ENTRYPOINT []"),
    "a remark that is no directive": [Edit(START, "# first\n# syntax=docker/dockerfile:1\n")],
    "a quoted user": [Edit("USER 1001:1001", 'USER "1001:1001"')],
    "a line separator in a comment": line("# one\u2028USER root"),
    "an empty key": line('ENV OPENROUTER_API_KEY=""'),
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
        "",
        fault.measured,
    )
    assert found.container == "backend"


def test_an_image_without_any_config_fails_everything_it_can(sample: Path) -> None:
    results = check_image(model_of(sample), "backend", {}, NATIVE)
    harmless = {"run-time-environment", "volumes"}
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
    "a certificate": "!certs/ca.crt",
    "a line separator in a comment": "# one\u2028src",
    "an escaped bracket": "\\[a",
}


@pytest.mark.parametrize("case", SAME_IGNORE)
def test_another_style_of_dockerignore_passes(case: str, project: Path) -> None:
    Edit(END, f"\n{SAME_IGNORE[case]}\n").apply(project / BACKEND_IGNORE)
    assert failures(checked(project)) == {}
