"""The compose file's part of the contract, judged by what the real compose command makes of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from taskflow_containers.contract import composefile
from taskflow_containers.contract.compose import check_compose
from taskflow_containers.engine.compose import require_service
from taskflow_containers.machine.errors import InputError
from taskflow_containers.project.load import load
from taskflow_containers.report.result import Result, Status
from tests.conftest import Render

pytestmark = pytest.mark.compose

REMOVED = object()


class Fault(NamedTuple):
    """A key of a service (the backend, if not said) with another value, and what must come of it."""

    check: str
    key: str
    value: object
    expected: str
    measured: str
    service: str = "backend"


FAULTS = {
    "another user": Fault("security", "user", "1000:1000", "user 1001:1001", "user 1000:1000"),
    "no user": Fault("security", "user", REMOVED, "user 1001:1001", "user not set"),
    "a user's number": Fault("read", "user", 1001, "accepted", "services.backend.user must be a string"),
    "a writable root": Fault("security", "read_only", False, "read_only True", "read_only False"),
    "no word on the root": Fault("security", "read_only", REMOVED, "read_only True", "read_only False"),
    "capabilities": Fault("security", "cap_drop", REMOVED, "cap_drop ['ALL']", "cap_drop []"),
    "some capabilities": Fault("security", "cap_drop", ["NET_RAW"], "cap_drop ['ALL']", "cap_drop ['NET_RAW']"),
    "a capability back": Fault("security", "cap_add", ["SYS_ADMIN"], "cap_add []", "cap_add ['SYS_ADMIN']"),
    "privileged": Fault("security", "privileged", True, "privileged False", "privileged True"),
    "new privileges": Fault("security", "security_opt", REMOVED, "security_opt ['no-new-privileges']", "security_opt []"),
    "new privileges allowed": Fault("security", "security_opt", ["no-new-privileges:false"], "['no-new-privileges']", "no-new-privileges:false"),
    "no seccomp": Fault("security", "security_opt", ["no-new-privileges:true", "seccomp=unconfined"], "['no-new-privileges']", "seccomp:unconfined"),
    "the host's network": Fault("security", "network_mode", "host", "of the host []", "network_mode host"),
    "another's processes": Fault("security", "pid", "service:database", "of the host []", "pid service:database"),
    "a device": Fault("security", "devices", ["/dev/kvm"], "of the host []", "devices"),
    "the engine's socket": Fault("security", "volumes", ["/var/run/docker.sock:/var/run/docker.sock:ro", "backend-data:/app/data"], "of the host []", "the engine's socket"),
    "no /tmp": Fault("volumes", "tmpfs", REMOVED, "/app/data, /tmp", "/app/data"),
    "a tmpfs more": Fault("volumes", "tmpfs", ["/tmp", "/app/src:size=1m"], "/app/data, /tmp", "/app/data, /app/src, /tmp"),
    "no health check": Fault("healthcheck", "healthcheck", {"disable": True}, "on", "off"),
    "an empty health check": Fault("healthcheck", "healthcheck", {"test": ["NONE"]}, "on", "off"),
    "MiB": Fault("memory", "mem_limit", "300m", "300.0 MB", "314.6 MB"),
    "GiB": Fault("memory", "mem_limit", "1GB", "300.0 MB", "1073.7 MB"),
    "another limit": Fault("memory", "mem_limit", 200_000_000, "300.0 MB", "200.0 MB"),
    "no limit": Fault("memory", "mem_limit", REMOVED, "300.0 MB", "no mem_limit"),
    "a limit nobody can read": Fault("read", "mem_limit", "much", "accepted", "services[backend].mem_limit' invalid size: 'much'"),
    "another port": Fault("port", "ports", ["8000:8080"], "8000", "8080"),
    "a port more": Fault("port", "ports", ["8000:8000", "5678:5678"], "8000", "5678, 8000"),
    "a UDP port": Fault("port", "ports", ["8000:8000/udp"], "8000", "8000/udp"),
    "a port in long form": Fault("port", "ports", [{"target": 9000, "published": 8000}], "8000", "9000"),
    "a bare number": Fault("read", "ports", 9000, "accepted", "services.backend.ports must be a"),
    "no port": Fault("port", "ports", REMOVED, "8000", "nothing"),
    "no DATABASE_URL": Fault("environment", "environment", {"A": "1"}, "DATABASE_URL set", "DATABASE_URL missing"),
    "no environment": Fault("environment", "environment", REMOVED, "DATABASE_URL set", "DATABASE_URL missing"),
    "no DATABASE_URL in a list": Fault("environment", "environment", ["A=1"], "DATABASE_URL set", "DATABASE_URL missing"),
    "another PYTHONPATH": Fault("environment", "environment", {"DATABASE_URL": "postgresql://u:p@database/d", "PYTHONPATH": "/"}, "PYTHONPATH=/app/src", "PYTHONPATH=/"),
    "another NODE_ENV in a list": Fault("environment", "environment", ["API_URL=http://backend:8000/", "NODE_ENV=test"], "NODE_ENV=production", "NODE_ENV=test", "frontend"),
    "another port of the backend": Fault("connects", "environment", {"API_URL": "http://backend:9000"}, "API_URL=http://backend:8000", "API_URL=http://backend:9000", "frontend"),
    "another image": Fault("image", "image", "ghcr.io/else/backend:dev", "taskflow-backend", "ghcr.io/else/backend"),
    "no image": Fault("image", "image", REMOVED, "taskflow-backend", "not set"),
    "a writable volume more": Fault("volumes", "volumes", ["backend-data:/app/data", "./src:/app/src"], "/app/data", "/app/data, /app/src"),
    "a writable volume in long form": Fault("volumes", "volumes", ["backend-data:/app/data", {"type": "bind", "source": ".", "target": "/app"}], "/app/data", "/app, /app/data"),
    "a nameless volume": Fault("volumes", "volumes", ["backend-data:/app/data", "/var/lib"], "/app/data", "/app/data, /tmp, /var/lib"),
    "no volume": Fault("volumes", "volumes", REMOVED, "/app/data, /tmp", "/tmp"),
    "its own volume read-only": Fault("volumes", "volumes", ["backend-data:/app/data:ro"], "/app/data, /tmp", "/tmp"),
    "frontend writes": Fault("volumes", "volumes", ["./public:/app/public"], "/tmp", "/app/public", "frontend"),
    "another database": Fault("service.database", "image", "postgres:16", "postgres:17-alpine", "postgres:16", "database"),
    "a database without image": Fault("read", "image", REMOVED, "accepted", 'service "database" has neither an image', "database"),
    "no database": Fault("service.database", "", REMOVED, "postgres:17-alpine", "missing", "database"),
    "a database that is a word": Fault("read", "", "postgres", "accepted", "services.database must be a mapping", "database"),
    "a stranger with rights": Fault("services", "", {"image": "redis", "privileged": True}, "none", "cache (privileged)", "cache"),
    "a stranger on the host's network": Fault("services", "", {"image": "redis", "network_mode": "host"}, "none", "cache (network_mode host)", "cache"),
    "a database elsewhere": Fault("connects", "environment", {"DATABASE_URL": "postgresql://elsewhere/d"}, "DATABASE_URL at database", "DATABASE_URL at elsewhere"),
    "swap": Fault("memory", "memswap_limit", "1g", "300.0 MB", "1073.7 MB"),
    "a second limit": Fault("read", "deploy", {"resources": {"limits": {"memory": "1g"}}}, "accepted", "services.backend: can't set distinct values"),
    "another tag": Fault("image", "image", "taskflow-backend:latest", "taskflow-backend:dev", "taskflow-backend:latest"),
    "the host's files": Fault("security", "volumes", ["/:/host:ro", "backend-data:/app/data"], "of the host []", "its root folder"),
    "the host's files in long form": Fault("security", "volumes", [{"type": "bind", "source": "/", "target": "/host", "read_only": True}, "backend-data:/app/data"], "of the host []", "['its root folder']"),
    "the host's files by another spelling": Fault("security", "volumes", ["/.:/host:ro", "backend-data:/app/data"], "of the host []", "['its root folder']"),
    "the host's /etc": Fault("security", "volumes", ["/etc:/host:ro", "backend-data:/app/data"], "of the host []", "['its /etc']"),
    "the host's processes": Fault("security", "volumes", [{"type": "bind", "source": "/proc", "target": "/host", "read_only": "true"}, "backend-data:/app/data"], "of the host []", "['its /proc']"),
    "the folder with the socket": Fault("security", "volumes", ["/var/run:/host/run:ro", "backend-data:/app/data"], "of the host []", "['its /var/run']"),
    "somebody's keys": Fault("security", "volumes", ["~/.ssh:/keys:ro", "backend-data:/app/data"], "of the host []", "/.ssh']"),
    "somebody's home": Fault("security", "volumes", ["${HOME}/x:/keys:ro", "backend-data:/app/data"], "of the host []", "/x']"),
    "a folder beside the project": Fault("security", "volumes", ["./a/../../b:/b:ro", "backend-data:/app/data"], "of the host []", "/b']"),
    "a folder that a variable names": Fault("security", "volumes", ["${DATA:-/srv}:/app/data"], "of the host []", "['its /srv']"),
    "the socket in long form": Fault("security", "volumes", [{"type": "bind", "source": "/run/podman/podman.sock", "target": "/s", "read_only": True}, "backend-data:/app/data"], "of the host []", "the engine's socket"),
    "a stranger with the host's files": Fault("services", "", {"image": "redis", "volumes": ["/etc:/x"]}, "none", "cache (its /etc)", "cache"),
    "all graphics cards": Fault("security", "gpus", "all", "of the host []", "['gpus']"),
    "reserved devices": Fault("security", "deploy", {"resources": {"reservations": {"devices": [{"capabilities": ["gpu"]}]}}}, "of the host []", "['deploy.resources devices']"),
    "another runtime": Fault("security", "runtime", "nvidia", "of the host []", "['runtime']"),
    "another control group": Fault("security", "cgroup_parent", "/", "of the host []", "['cgroup_parent']"),
    "memory to share": Fault("security", "ipc", "shareable", "of the host []", "ipc shareable"),
    "the host's memory": Fault("security", "ipc", "host", "of the host []", "ipc host"),
    "another's memory": Fault("security", "ipc", "service:database", "of the host []", "ipc service:database"),
    "a hook as root": Fault("security", "post_start", [{"command": ["a"], "user": "root"}], "of the host []", "post_start as root"),
    "a privileged hook": Fault("security", "pre_stop", [{"command": ["a"], "privileged": True}], "of the host []", "pre_stop privileged"),
    "no seccomp by a colon": Fault("security", "security_opt", ["no-new-privileges", "seccomp:unconfined"], "['no-new-privileges']", "seccomp:unconfined"),
    "no AppArmor": Fault("security", "security_opt", ["no-new-privileges", "apparmor=unconfined"], "['no-new-privileges']", "apparmor:unconfined"),
    "a stranger without seccomp": Fault("services", "", {"image": "redis", "security_opt": ["seccomp=unconfined"]}, "none", "cache (security_opt seccomp=unconfined)", "cache"),
    "a stranger with a privileged hook": Fault("services", "", {"image": "redis", "post_start": [{"command": "a", "privileged": "true"}]}, "none", "cache (post_start privileged)", "cache"),
    "a database with a device": Fault("services", "devices", ["/dev/kvm"], "none", "database (devices)", "database"),
    "another's folder": Fault("build", "build", "./frontend", "./backend", "project/frontend"),
    "a folder without a name": Fault("build", "build", {"target": "x"}, "./backend", "project, target"),
    "a folder elsewhere": Fault("build", "build", "https://example.com/a.git", "./backend", "context https://example.com/a.git"),
    "another Dockerfile": Fault("build", "build", {"context": "backend", "dockerfile": "Dockerfile.dev"}, "./backend", "dockerfile Dockerfile.dev"),
    "another stage": Fault("build", "build", {"context": "backend", "target": "build"}, "./backend", "target"),
    "another base for it": Fault("build", "build", {"context": "backend", "args": {"BASE_IMAGE": "debian"}}, "./backend", "args BASE_IMAGE=debian"),
    "another builder in a list": Fault("build", "build", {"context": "backend", "args": ["BUILDER_IMAGE=debian"]}, "./backend", "args BUILDER_IMAGE=debian"),
    "a Dockerfile within": Fault("build", "build", {"context": "backend", "dockerfile_inline": "FROM x"}, "./backend", "dockerfile_inline"),
    "a health check by a shell": Fault("healthcheck", "healthcheck", {"test": ["CMD", "/bin/sh", "-c", "true"]}, "on, without a shell", "CMD, /bin/sh, -c, true"),
    "a health check that is a text": Fault("healthcheck", "healthcheck", {"test": "python c.py"}, "on, without a shell", "CMD-SHELL, python c.py"),
    "another port of the database": Fault("connects", "environment", {"DATABASE_URL": "postgresql://u:p@database:5433/d"}, "DATABASE_URL at database:5432 (postgresql)", "DATABASE_URL at database:5433 (postgresql)"),
    "another kind of database": Fault("connects", "environment", {"DATABASE_URL": "mysql://u:p@database:5432/d"}, "DATABASE_URL at database:5432 (postgresql)", "DATABASE_URL at database:5432 (mysql)"),
    "an empty DATABASE_URL": Fault("environment", "environment", {"DATABASE_URL": ""}, "DATABASE_URL set", "DATABASE_URL empty"),
    "an empty default": Fault("environment", "environment", ["DATABASE_URL=${DATABASE_URL:-}"], "DATABASE_URL set", "DATABASE_URL empty"),
    "PYTHONPATH from the shell": Fault("environment", "environment", ["DATABASE_URL", "PYTHONPATH"], "PYTHONPATH=/app/src", "PYTHONPATH from the shell"),
    "a mount of nothing": Fault("volumes", "volumes", [":", "backend-data:/app/data"], "/app/data, /tmp", "/app/data, /tmp, :"),
    "data in a volume that a variable names": Fault("read", "volumes", ["${DATA:?set it}:/app/data"], "accepted", "undefined volume ${DATA}"),
    "data in memory": Fault("read", "tmpfs", ["/tmp", "/app/data"], "accepted", "/app/data already mounted"),
    "data in memory in long form": Fault("volumes", "volumes", [{"type": "tmpfs", "target": "/app/data"}], "/app/data, /tmp", "/app/data (tmpfs), /tmp"),
    "data in a nameless volume": Fault("volumes", "volumes", ["/app/data"], "/app/data, /tmp", "/app/data (nameless), /tmp"),
    "data in a nameless volume in long form": Fault("volumes", "volumes", [{"type": "volume", "target": "/app/data"}], "/app/data, /tmp", "/app/data (nameless), /tmp"),
    "another port in the environment": Fault("environment", "environment", {"API_URL": "http://backend:8000", "PORT": 4000}, "PORT=3000", "PORT=4000", "frontend"),
    "no time to stop": Fault("stop", "stop_grace_period", "1s500ms", "at least 10 s", "1.5 s"),
    "a time that is none": Fault("read", "stop_grace_period", "soon", "accepted", "invalid duration"),
    "killed at once": Fault("stop", "stop_signal", "SIGKILL", "not by SIGKILL", "by SIGKILL"),
    "no backend": Fault("present", "", REMOVED, "backend", "missing"),
    "a backend that is a list": Fault("read", "", ["image"], "accepted", "services.backend must be a mapping"),
}  # fmt: skip


@pytest.fixture
def project(sample: Path, tmp_path: Path) -> Path:
    """The model and the compose file of the default project, to break."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("taskflow.toml", "compose.yaml"):
        shutil.copy(sample / name, folder / name)
    return folder


def checked(root: Path) -> list[Result]:
    model = load(root / "taskflow.toml")
    return check_compose(root, model, list(model.containers))


def failures(results: Iterable[Result]) -> dict[str, Result]:
    return {
        r.id.removeprefix("contract.compose."): r for r in results if r.status is not Status.PASSED
    }


def recompose(root: Path, service: object, key: str, value: object) -> None:
    """Set a key of a service, or the whole service, in compose.yaml."""
    path = root / "compose.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    place, name = (data["services"][service], key) if key else (data["services"], service)
    if value is REMOVED:
        place.pop(name)
    else:
        place[name] = value
    path.write_text(yaml.safe_dump(data), encoding="utf-8")


def test_the_default_project_passes(sample: Path) -> None:
    results = checked(sample)
    assert failures(results) == {}
    assert {result.container for result in results} == {"backend", "frontend", ""}


@pytest.mark.parametrize(
    "answers",
    [
        {"containers": "backend", "database": False},
        {"containers": "frontend", "registry": "localhost:5000/acme", "node_version": "22"},
    ],
)
def test_other_projects_pass(render: Render, answers: dict[str, object]) -> None:
    assert failures(checked(render(**answers))) == {}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_found(case: str, project: Path) -> None:
    fault = FAULTS[case]
    recompose(project, fault.service, fault.key, fault.value)
    failed = failures(checked(project))
    assert set(failed) == {fault.check}, [(r.id, r.measured) for r in failed.values()]
    found = failed[fault.check]
    assert found.status is Status.FAILED
    assert fault.expected in found.expected
    assert fault.measured in found.measured
    assert found.fix
    assert found.location.startswith("compose.yaml")


def test_every_check_has_a_fault_that_it_finds(sample: Path) -> None:
    emitted = {r.id.removeprefix("contract.compose.") for r in checked(sample)}
    assert emitted - {fault.check for fault in FAULTS.values()} == set()


URL = "postgresql://u:p@database/d"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ports", ["9000:8000/tcp"]),
        ("ports", ["[::1]:9000:8000", "8000"]),
        ("ports", [{"target": 8000, "published": "9000"}]),
        ("ports", ["${ANY}:8000"]),
        ("environment", [f"DATABASE_URL={URL}", "LOG_LEVEL=debug"]),
        ("environment", ["DATABASE_URL"]),
        ("environment", ["DATABASE_URL=${DATABASE_URL:?set it in .env}", "A=${B}", "C=$D"]),
        ("environment", {"DATABASE_URL": "postgres://u:p@database:5432/d", "PORT": "8000"}),
        ("environment", {"DATABASE_URL": URL, "PYTHONPATH": "/app/src"}),
        ("mem_limit", "300000000b"),
        ("cap_drop", ["all", "NET_RAW"]),
        ("cap_add", []),
        ("security_opt", ["no-new-privileges=true", "no-new-privileges", "seccomp=builtin"]),
        ("volumes", ["./data:/app/data:rw,z", "${X:-./src}:/app/src:ro,z"]),
        ("volumes", [{"type": "volume", "source": "backend-data", "target": "/app/data/"}]),
        ("volumes", ["${PWD}/data:/app/data", {"type": "volume", "target": "/x", "read_only": True}]),
        ("privileged", "${P:-false}"),
        ("tmpfs", "/tmp/"),
        ("memswap_limit", 300_000_000),
        ("command", ["python", "-m", "app"]),
        ("use_api_socket", False),
        ("network_mode", "bridge"),
        ("ipc", "private"),
        ("healthcheck", {"interval": "5s", "disable": "${D:-false}"}),
        ("healthcheck", {"test": ["CMD", "python3", "c.py"]}),
        ("build", "backend/"),
        ("build", {"context": "./backend", "dockerfile": "./Dockerfile", "args": {"VERSION": "1"}}),
        ("build", {"context": "backend", "args": ["BASE_IMAGE", "BUILDER_IMAGE=python:3.13-slim"]}),
        ("build", {"context": "backend", "args": ["BASE_IMAGE=$BASE"]}),
        ("build", REMOVED),
        ("post_start", [{"command": ["a"], "user": "1001:1001"}]),
        ("stop_grace_period", "1m"),
        ("stop_signal", "SIGINT"),
        ("env_file", [{"path": ".env.absent", "required": False}, "absent.env"]),
    ],
)  # fmt: skip
def test_another_style_passes(key: str, value: object, project: Path) -> None:
    recompose(project, "backend", key, value)
    assert failures(checked(project)) == {}


ENV_FILE = f"""# local
export DATABASE_URL="{URL}"
LOG_LEVEL=debug # loud
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, {}),  # what git ignores is on some machines only
        (ENV_FILE, {}),
        (ENV_FILE + "PYTHONPATH=/x\n", {"environment": "PYTHONPATH=/x"}),
        (ENV_FILE.replace("@database", "@elsewhere"), {"connects": "at elsewhere"}),
        ("DATABASE_URL=\n", {"environment": "DATABASE_URL empty"}),
        ("A=1\n", {"environment": "DATABASE_URL missing"}),
        (ENV_FILE + "MY PASSWORD=${hunter2\n", {"read": "local.env"}),
        (ENV_FILE + "PASSWORD=${hunter2\n", {"read": "local.env"}),
    ],
)
def test_an_env_file_counts(text: str | None, expected: dict[str, str], project: Path) -> None:
    recompose(project, "backend", "environment", REMOVED)
    recompose(project, "backend", "env_file", "local.env")
    if text is not None:
        (project / "local.env").write_text(text, encoding="utf-8")
    found = failures(checked(project))
    assert found.keys() == expected.keys()
    for check, measured in expected.items():
        assert measured in str(found[check].measured)
        assert "hunter2" not in str(found)


def test_an_env_file_by_a_variable_counts(project: Path) -> None:
    recompose(project, "backend", "environment", REMOVED)
    recompose(project, "backend", "env_file", ["./${STAGE:-local}.env"])
    (project / "local.env").write_text(ENV_FILE + "PYTHONPATH=/x\n", encoding="utf-8")
    assert failures(checked(project)).keys() == {"environment"}


def test_a_variable_that_needs_a_value_is_named(project: Path) -> None:
    recompose(project, "backend", "stop_grace_period", "${GRACE}")
    (fault,) = failures(checked(project)).values()
    assert "give GRACE a default there: ${NAME:-…}" in fault.fix


@pytest.mark.parametrize(
    ("network", "given"),
    [
        ({"name": "host", "external": True}, "networks default (host)"),
        ({"driver": "host"}, "networks default (host)"),
        ({"name": "shared", "external": True}, ""),
    ],
)
def test_the_hosts_network_by_a_name(network: object, given: str, project: Path) -> None:
    path = project / "compose.yaml"
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**data, "networks": {"default": network}}), encoding="utf-8")
    found = failures(checked(project))
    assert found.keys() == ({"security", "services"} if given else set())
    assert all(given in str(result.measured) for result in found.values())


def test_a_memory_limit_under_deploy_alone_passes(project: Path) -> None:
    recompose(project, "backend", "mem_limit", REMOVED)
    recompose(project, "backend", "deploy", {"resources": {"limits": {"memory": "300000000"}}})
    assert failures(checked(project)) == {}


@pytest.mark.parametrize("value", ["${API_URL:?x}", "$API_URL", "http://me:hunter2@${HOST}", None])
def test_a_url_from_the_shell_passes_and_is_said_to_be(value: object, project: Path) -> None:
    recompose(project, "frontend", "environment", {"API_URL": value})
    results = {(r.id, r.container): r for r in checked(project)}
    assert failures(results.values()) == {}
    found = results["contract.compose.connects", "frontend"]
    assert found.measured == "API_URL from the shell"


def test_no_password_is_shown(project: Path) -> None:
    recompose(project, "frontend", "environment", {"API_URL": "http://me:hunter2@elsewhere"})
    found = failures(checked(project))
    assert set(found) == {"connects"}
    assert "hunter2" not in str(found)
    assert "elsewhere" in found["connects"].measured


@pytest.mark.parametrize(
    "image", ["docker.io/library/postgres:17-alpine", "library/postgres:17-alpine"]
)
def test_an_image_by_its_full_name_passes(image: str, project: Path) -> None:  # fmt: skip
    recompose(project, "database", "image", image)
    assert failures(checked(project)) == {}


def test_neither_the_shell_nor_the_values_in_env_count(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {
        "DATABASE_URL": "mysql://me:hunter2@far",
        "DATABASE_IMAGE": "x",
        "PYTHONPATH": "/x",
    }
    recompose(project, "backend", "environment", ["DATABASE_URL=${DATABASE_URL:-" + URL + "}"])
    (project / ".env").write_text("".join(f"{k}={v}\n" for k, v in variables.items()))
    for name, value in {**variables, "COMPOSE_PROFILES": "x", "COMPOSE_PROJECT_NAME": "Y"}.items():
        monkeypatch.setenv(name, value)
    assert failures(checked(project)) == {}
    (project / "other.yaml").write_text("services: {backend: {image: x}}")
    monkeypatch.setenv("COMPOSE_FILE", "other.yaml")
    results = checked(project)
    assert {"present", "security"} <= set(failures(results))
    assert results[0].measured == "other.yaml accepted"


# An override, the one check that must fail, and a part of what is measured.
OVER = {
    "a volume that is the host's": ("volumes:\n  backend-data: {driver_opts: {type: none, o: bind, device: /}}", "security", "['its root folder']"),
    "a volume that is /etc": ("volumes:\n  backend-data:\n    driver_opts: {o: bind, device: /etc}", "security", "['its /etc']"),
    "a volume in memory": ("volumes:\n  backend-data: {driver_opts: {type: tmpfs, device: tmpfs}}", "volumes", "/app/data (tmpfs)"),
    "a volume on another machine": ("volumes: {backend-data: {driver_opts: {type: nfs, o: addr=10.0.0.1, device: ':/x'}}}", "", ""),
    "a configuration of the host's": ("services: {backend: {configs: [c]}}\nconfigs: {c: {file: /etc/shadow}}", "security", "['its /etc/shadow']"),
    "a secret that is a folder": ("services: {backend: {secrets: [{source: c}]}}\nsecrets: {c: {file: /etc}}", "security", "['its /etc']"),
    "a secret of its own": ("services: {backend: {secrets: [s]}}\nsecrets: {s: {file: /run/keys/s}}", "", ""),
    "a volume on /tmp": ("services:\n  backend:\n    tmpfs: !reset []\n    volumes:\n      - temp:/tmp\nvolumes: {temp: }", "volumes", "/tmp (volume)"),
    "a link to the root": ("services:\n  backend:\n    volumes: ['./link:/x:ro']", "security", "its "),
    "restrictions taken back": ("services: {backend: {read_only: !reset false, cap_drop: !override [NET_RAW]}}", "security", "read_only False, cap_drop ['NET_RAW']"),
    "a capability": ("services: {backend: {cap_add: [X]}, cache: {image: redis}}", "security", "cap_add ['X']"),
    "a stranger": ("services: {cache: {image: redis, privileged: true}}", "services", "cache (privileged)"),
    "a stranger of a profile": ("services: {cache: {image: redis, privileged: true, profiles: [p]}}", "services", "cache (privileged)"),
    "a stranger by a number": ("services: {'1': {image: redis, privileged: true}}", "services", "1 (privileged)"),
    "a variable": ("services: {backend: {environment: {A: b, PYTHONPATH: /}}}", "environment", "PYTHONPATH=/"),
    "a port": ("services: {backend: {ports: ['9:9']}}", "port", "8000, 9"),
    "another file's": ("include: [other.yaml]", "services", "other (privileged)"),
    "another service's": ("services: {backend: {extends: {file: other.yaml, service: other}}}", "security", "privileged True"),
    "what git ignores of another file": ("include: [third.yaml]", "", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", OVER)
def test_an_override_counts(case: str, project: Path) -> None:
    text, check, measured = OVER[case]
    (project / "link").symlink_to("/")
    (project / "other.yaml").write_text(
        "services: {other: {image: taskflow-backend:dev, privileged: true}}"
    )
    (project / "third.yaml").write_text("services: {other: {image: x, env_file: absent.env}}")
    (project / "compose.yaml").rename(project / "docker-compose.yml")
    (project / "docker-compose.override.yml").write_text(text, encoding="utf-8")
    found = failures(checked(project))
    assert set(found) == ({check} if check else set()), found
    if check:
        assert measured in found[check].measured
        location = "docker-compose.yml, docker-compose.override.yml: services."
        assert found[check].location.startswith(location)


def test_only_the_named_containers_are_checked(project: Path) -> None:
    recompose(project, "frontend", "user", "0:0")
    model = load(project / "taskflow.toml")
    assert failures(check_compose(project, model, ["backend"])) == {}
    assert set(failures(check_compose(project, model, ["frontend"]))) == {"security"}


def test_a_project_without_compose_is_said_to_have_none(project: Path) -> None:
    (project / "compose.yaml").unlink()
    found = failures(checked(project))
    assert list(found) == ["present"]
    assert found["present"].status is Status.SKIPPED


def test_a_file_of_another_name_is_read_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a compose.yaml that is the owner's, whatever COMPOSE_FILE says."""
    entry = yaml.safe_load((project / "compose.yaml").read_text("utf-8"))
    entry["services"]["backend"]["build"] = {
        "context": "backend",
        "dockerfile": "../api.Dockerfile",
    }
    (project / "ours.yaml").write_text(yaml.safe_dump(entry), encoding="utf-8")
    (project / "compose.yaml").write_text("services: {x: {image: x, privileged: true}}")
    monkeypatch.setenv("COMPOSE_FILE", "compose.yaml")
    model = project / "taskflow.toml"
    text = model.read_text("utf-8") + '\n[files]\ncompose = "ours.yaml"\n'
    model.write_text(text, "utf-8")
    found = failures(checked(project))
    assert set(found) == {"build"}
    assert found["build"].location == "ours.yaml: services.backend.build"
    own = '[containers.backend]\ndockerfile = "api.Dockerfile"'
    model.write_text(text.replace("[containers.backend]", own), "utf-8")
    assert failures(checked(project)) == {}
    require_service(project, load(model), "database")
    with pytest.raises(InputError, match=r"unknown service: x.*") as caught:
        require_service(project, load(model), "x")
    assert caught.value.hint.startswith("ours.yaml has: ")
    (project / "ours.yaml").unlink()
    (absent,) = checked(project)
    assert (absent.status, absent.detail) == (Status.SKIPPED, "there is no ours.yaml")


def test_where_nobody_reads_compose_files_nothing_has_passed(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    composefile.program.cache_clear()
    monkeypatch.setenv("PATH", os.devnull)
    try:
        (found,) = checked(project)
        require_service(
            project, load(project / "taskflow.toml"), "left to the program that runs it"
        )
    finally:
        composefile.program.cache_clear()
    assert found.status is Status.UNMEASURABLE
    assert "install Docker Compose" in found.detail


# Nine values of nine values of …, which fills any memory.
BOMB = "x0: &x0 [x]\n" + "".join(
    f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services:\n  a: {\n  b: ]\n", "line 2"),
        ("services:\n\tbackend: 1\n", "line 2"),
        ("services: [backend]\n", "services must be a mapping"),
        ("just words", "just words"),
        ("", "empty compose file"),
        ("services: " + "[" * 2000, "nested too deeply"),
        ("services: &a\n  b: *a\n", "cycle"),
        pytest.param(BOMB, "anchors make too many values", id="bomb"),
        ("services:\n  a: {}\n  b: {}\n  a: {}\n", "line 4"),
        ("services: {a: {image: x, nosuch: y}}\n", "'nosuch' not allowed"),
        ("services: {a: {image: x, mem_limit: much}}\n", "'much'"),
        ("services: {a: {image: x, read_only: $RO}}\n", "${RO}"),
        ("services: {a: {image: x, environment: {A: '${hunter2'}}}\n", "services.a.environment.A"),
        ("include: [nosuch.yaml]\nservices: {a: {image: x}}\n", "nosuch.yaml"),
    ],
)  # fmt: skip
def test_what_compose_refuses_fails_in_its_words(text: str, message: str, project: Path) -> None:
    (project / "compose.yaml").write_text(text, encoding="utf-8")
    (found,) = checked(project)
    assert found.status is Status.FAILED
    assert found.id == "contract.compose.read"
    assert found.location == "compose.yaml"
    assert found.measured.startswith("compose.yaml: ")
    assert message in found.measured
    assert "hunter2" not in found.measured
    with pytest.raises(InputError):
        composefile.read_here(project, {})
