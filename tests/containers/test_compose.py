"""`invoke up` and what belongs to it, with a real compose command."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from taskflow_containers.contract import composefile
from taskflow_containers.contract.composefile import NoComposeError
from taskflow_containers.engine import compose
from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.errors import EnvironmentTrouble, ExitCode, InputError
from taskflow_containers.machine.process import run
from taskflow_containers.project.load import load
from tests.conftest import lacking

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("sample")]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def project(own: Path, engine: Engine, tmp_path: Path) -> Iterator[Path]:
    """A copy of the sample that publishes free ports; nothing of it is left."""
    try:
        compose.command(engine)
    except EnvironmentTrouble as error:
        pytest.skip(f"{error.message}: {error.hint}")
    folder = Path(shutil.copytree(own, tmp_path / "up", ignore=shutil.ignore_patterns(".git")))
    (folder / ".env").write_text(
        f"FRONTEND_PORT={free_port()}\nBACKEND_PORT={free_port()}\nOPENROUTER_API_KEY=mine\n"
    )
    yield folder
    compose.compose(folder, load(folder / "taskflow.toml"), engine, ["down", "--volumes"])


def invoke(
    folder: Path, engine: Engine, *words: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """One task, as a person types it."""
    env = {**os.environ, "TASKFLOW_ENGINE": engine.name, **variables}
    return subprocess.run(
        [sys.executable, "-m", "invoke", *words], cwd=folder, text=True, capture_output=True,
        env={name: value for name, value in env.items() if value}, check=False, timeout=1200,
    )  # fmt: skip


def status(url: str, path: str) -> int:
    """What a printed URL answers; asked without the environment's proxy."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request("GET", path)
    return connection.getresponse().status


def urls(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The lines that say where each container answers."""
    return dict(line.split(": ") for line in done.stdout.splitlines() if ": http" in line)


def containers(engine: Engine, folder: Path) -> dict[str, str]:
    """Name and ID of the stack's containers."""
    label = f"label=com.docker.compose.project={folder.name}"
    lines = engine.call("ps", "--filter", label, "--format", "{{.Names}} {{.ID}}").stdout
    return dict(line.split() for line in lines.splitlines())


def inspected(engine: Engine, name: str) -> dict[str, Any]:
    """What the engine knows of a container."""
    found = engine.inspect("container", name)
    assert found
    return found


def published_ports_are_known() -> bool:
    """Whether a compose command here prints its normal form, which podman-compose does not."""
    try:
        return bool(composefile.program())
    except NoComposeError:
        return False


def a_port_that_cannot_be_had_is_refused(project: Path, engine: Engine, backend: str) -> None:
    """`invoke up` says which variable to change, and `invoke logs` which services there are."""
    settings = (project / ".env").read_text()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        other = taken.getsockname()[1]
        text = f"FRONTEND_PORT={other}\nBACKEND_PORT={urlsplit(backend).port}\n"
        (project / ".env").write_text(text)
        refused = invoke(project, engine, "up", "--no-build")
    assert refused.returncode == ExitCode.ENVIRONMENT
    assert refused.stderr.startswith(f"up: port {other} cannot be used: ")
    assert "set FRONTEND_PORT to another port in .env" in refused.stderr
    (project / ".env").write_text("FRONTEND_PORT=99999\n")
    refused = invoke(project, engine, "up", "--no-build")
    assert refused.returncode == ExitCode.WRONG_INPUT
    assert "99999" in refused.stderr
    (project / ".env").write_text(settings)
    unknown = invoke(project, engine, "logs", "--service", "nosuch")
    assert unknown.returncode == ExitCode.WRONG_INPUT
    assert "compose.yaml has: backend, database, frontend" in unknown.stderr


def test_a_stack_comes_up_stays_up_and_goes(project: Path, engine: Engine) -> None:
    up = invoke(project, engine, "up")
    assert up.returncode == ExitCode.OK, up.stdout + up.stderr
    found = urls(up)
    assert found.keys() == {"frontend", "backend"}
    assert status(found["frontend"], "/api/health") == 200
    before = containers(engine, project)
    assert len(before) == 3
    name = next(name for name in before if "backend" in name)
    assert "OPENROUTER_API_KEY=mine" in inspected(engine, name)["Config"]["Env"]

    # Its own ports are no reason to refuse it, and no proxy is asked for them.
    proxy = {"http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9", "no_proxy": ""}
    again = invoke(project, engine, "up", "--no-build", **proxy)
    assert again.returncode == ExitCode.OK, again.stdout + again.stderr
    assert containers(engine, project) == before

    if published_ports_are_known():
        a_port_that_cannot_be_had_is_refused(project, engine, found["backend"])
        assert containers(engine, project) == before, "what ran was touched"

    assert (
        "listening on port 3000" in invoke(project, engine, "logs", "--service", "frontend").stdout
    )
    assert invoke(project, engine, "logs", "--tail", "all").returncode == ExitCode.OK
    assert "frontend" in invoke(project, engine, "ps").stdout

    # What is built anew is what runs.
    (project / "backend/src/app/new.py").write_text("")
    assert invoke(project, engine, "up").returncode == ExitCode.OK
    built = engine.image_config(f"{load(project / 'taskflow.toml').image('backend')}:dev")
    assert built and built["Id"].endswith(inspected(engine, name)["Image"].removeprefix("sha256:"))

    down = invoke(project, engine, "down", "--volumes")
    assert down.returncode == ExitCode.OK, down.stdout + down.stderr
    assert containers(engine, project) == {}


def test_development_serves_a_change_of_a_source(project: Path, engine: Engine) -> None:
    env = {**os.environ, "TASKFLOW_ENGINE": engine.name}
    settings = composefile.settings(project)
    changes = {
        "backend/src/app/routes.py": ('"/time"', '"/clock"', "BACKEND_PORT", "/api/clock", ""),
        "frontend/src/app/page.tsx": ("<h1>", "<h1>changed ", "FRONTEND_PORT", "/", "changed"),
    }
    words = [sys.executable, "-m", "invoke", "dev"]
    with subprocess.Popen(words, cwd=project, env=env, start_new_session=True) as running:
        try:
            for name, (old, new, variable, path, shown) in changes.items():
                url = f"http://127.0.0.1:{settings[variable]}"
                wait_for(f"{url}{'/api/time' if 'backend' in name else path}", "", 900)
                text = (project / name).read_text("utf-8")
                assert old in text
                (project / name).write_text(text.replace(old, new), "utf-8")
                wait_for(f"{url}{path}", shown, 600)
        finally:
            os.killpg(running.pid, signal.SIGINT)  # as Ctrl-C does
            running.wait(300)
    assert containers(engine, project) == {}, "the prompt is back while they still run"


def wait_for(url: str, text: str, seconds: float) -> None:
    """Until it answers 200, with this text in it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with (
            suppress(OSError, http.client.HTTPException),
            urllib.request.urlopen(url, timeout=20) as answer,
        ):
            if text in answer.read().decode():
                return
        time.sleep(0.2)
    pytest.fail(f"{url} did not answer with {text!r} in {seconds} s")


@pytest.mark.each_engine
def test_one_image_is_built_and_all_are_cleaned_away(
    own: Path, engine: Engine, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(own, tmp_path / "gone", ignore=shutil.ignore_patterns(".git")))
    model = folder / "taskflow.toml"
    name = load(model).name
    model.write_text(model.read_text("utf-8").replace(f'"{name}"', f'"{name}-gone"'), "utf-8")
    image = f"{load(model).image('backend')}:dev"
    built = invoke(folder, engine, "build", "--container", "backend")
    assert built.returncode == ExitCode.OK, built.stdout + built.stderr
    assert f"  {image}" in built.stdout.splitlines()
    assert engine.image_config(image)
    (folder / "reports").mkdir(exist_ok=True)
    gone = invoke(folder, engine, "clean", "--images")
    assert gone.returncode == ExitCode.OK, gone.stdout + gone.stderr
    assert {"removed reports/", f"removed {image}"} <= set(gone.stdout.splitlines())
    assert engine.image_config(image) is None
    assert not (folder / "reports").exists()


@contextmanager
def relayed(path: str, address: str) -> Iterator[int]:
    """A TCP port of this address that leads to a socket: an engine as it is reached on another machine."""

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while part := source.recv(65536):
                target.sendall(part)
            target.shutdown(socket.SHUT_WR)

    def serve(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = server.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(path)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=copy, args=pair, daemon=True).start()

    with socket.create_server((address, 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        try:
            yield int(server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)


def own_address() -> str:
    """An address of this machine that others know it by."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


def test_a_stack_on_another_machine_is_asked_there(
    project: Path, engine: Engine, tmp_path: Path
) -> None:
    address = own_address()
    where = engine.endpoint or "unix:///var/run/docker.sock"
    if engine.name != "docker" or not where.startswith("unix://") or address == "127.0.0.1":
        lacking("needs Docker behind a socket, and an address beside 127.0.0.1")
    config = tmp_path / "config"
    config.mkdir()
    before = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "cli-plugins"
    if before.is_dir():
        (config / "cli-plugins").symlink_to(before)
    with relayed(where.removeprefix("unix://"), address) as port:
        endpoint = f"host=tcp://{address}:{port}"
        variables = {"DOCKER_CONFIG": str(config), "DOCKER_HOST": "", "DOCKER_CONTEXT": ""}
        for words in (["create", "far", "--docker", endpoint], ["use", "far"]):
            done = run([engine.client, "context", *words], env={"DOCKER_CONFIG": str(config)})
            assert done.returncode == 0, done.stderr
        settings = composefile.settings(project)
        text = (project / "compose.yaml").read_text("utf-8")
        (project / "compose.yaml").write_text(
            text.replace("${PUBLISH_ADDRESS:-127.0.0.1}:", "127.0.0.1:")
        )
        refused = invoke(project, engine, "up", "--no-build", **variables)
        assert refused.returncode == ExitCode.WRONG_INPUT, refused.stdout + refused.stderr
        assert f"would answer within {address} alone" in refused.stderr
        (project / "compose.yaml").write_text(text)
        try:
            up = invoke(project, engine, "up", **variables)
            assert up.returncode == ExitCode.OK, up.stdout + up.stderr
            assert urls(up) == {
                "frontend": f"http://{address}:{settings['FRONTEND_PORT']}",
                "backend": f"http://{address}:{settings['BACKEND_PORT']}",
            }
            assert status(urls(up)["frontend"], "/api/health") == 200
        finally:
            down = invoke(project, engine, "down", "--volumes", **variables)
        assert down.returncode == ExitCode.OK, down.stdout + down.stderr
    assert containers(engine, project) == {}


Ports = set[tuple[str, str, int, str]]
# A compose file, its override, .env, and what is published: service, address, port and protocol.
PORTS: dict[str, tuple[str, str, str, Ports]] = {
    "mentioned twice": (
        "a: {image: x, environment: {ORIGIN: 'http://localhost:${A_PORT:-80}'}, ports: ['${A_PORT:-80}:80']} # ${A_PORT:-80}",
        "", "", {("a", "", 80, "tcp")},
    ),
    "short": (
        "a: {image: x, ports: ['81:80', '127.0.0.1:82:80', '[::1]:83:80/udp', '10.0.0.1::80', '80', '0:80', 85-86:80-81, 9000-9010:80]}",
        "", "",
        {("a", "", 81, "tcp"), ("a", "127.0.0.1", 82, "tcp"), ("a", "::1", 83, "udp"), ("a", "", 85, "tcp"), ("a", "", 86, "tcp")},
    ),
    "long": (
        "a: {image: x, ports: [{target: 80, published: '${P}', host_ip: 127.0.0.1}, {target: 80, published: 82, protocol: udp}, {target: 1}]}",
        "", "P=81", {("a", "127.0.0.1", 81, "tcp"), ("a", "", 82, "udp")},
    ),
    "variables": (
        "a: {image: x, ports: ['$P:1', '${P-1}1:2', '${Q:-${P}2}:3', '${E:-84}:4', '${H:+127.0.0.1:}85:5']}",
        "", "P=8\nE=\nH=h", {("a", "", 8, "tcp"), ("a", "", 81, "tcp"), ("a", "", 82, "tcp"), ("a", "", 84, "tcp"), ("a", "127.0.0.1", 85, "tcp")},
    ),
    "an override": (
        "a: {image: x, ports: ['81:80']}\n  b: {image: x, ports: ['82:80']}",
        "a: {ports: ['83:81']}\n  b: {ports: !override ['84:80']}", "",
        {("a", "", 81, "tcp"), ("a", "", 83, "tcp"), ("b", "", 84, "tcp")},
    ),
    "a profile": (
        "a: {image: x, profiles: [p], ports: ['81:80']}\n  b: {image: x, profiles: [q], ports: ['82:80']}",
        "", "COMPOSE_PROFILES=q,r", {("b", "", 82, "tcp")},
    ),
    "one port on two addresses, by two protocols": (
        "a: {image: x, ports: ['127.0.0.1:81:80', '81:80/udp']}\n  b: {image: x, ports: ['127.0.0.2:81:80']}",
        "", "", {("a", "127.0.0.1", 81, "tcp"), ("a", "", 81, "udp"), ("b", "127.0.0.2", 81, "tcp")},
    ),
}  # fmt: skip


def written(folder: Path, **files: str) -> None:
    """Compose files with these services, by their names with a `_` for each dot; .env as it is."""
    for name, text in files.items():
        if text:
            text = text if name == "_env" else f"services:\n  {text}\n"
            (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")


@pytest.mark.compose
@pytest.mark.parametrize("case", PORTS)
def test_what_is_published_at_a_number_of_its_own(case: str, tmp_path: Path) -> None:
    base, over, env, expected = PORTS[case]
    written(tmp_path, compose_yaml=base, compose_override_yaml=over, _env=env)
    found = compose.published_ports(composefile.read_here(tmp_path, {}))
    assert {(one.service, one.address, one.port, one.protocol) for one in found} == expected


REFUSED = {
    "two services": ("a: {image: x, ports: ['${A:-81}:1']}\n  b: {image: x, ports: ['127.0.0.1:$B:1']}", "B=81", "a and b both want port 81", "set B to another port in .env"),
    "written out": ("a: {image: x, ports: ['81:1']}\n  b: {image: x, ports: [{target: 1, published: 81}]}", "", "a and b both want port 81", "write another port in services.b.ports"),
    "no port": ("a: {image: x, ports: ['${A}:1']}", "A=99999", "compose.yaml: Invalid hostPort: 99999", "correct it"),
    "a word": ("a: {image: x, ports: ['http:1']}", "", "compose.yaml: Invalid hostPort: http", "correct it"),
}  # fmt: skip


@pytest.mark.compose
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_published_is_named(case: str, own: Path, engine: Engine, tmp_path: Path) -> None:  # fmt: skip
    base, env, message, hint = REFUSED[case]
    written(tmp_path, compose_yaml=base, _env=env)
    with pytest.raises(InputError) as caught:
        compose.check_ports(tmp_path, load(own / "taskflow.toml"), engine)
    assert caught.value.message == message
    assert caught.value.hint.startswith(hint)


def test_a_port_that_only_the_engine_may_open_is_left_to_it() -> None:
    wanted = compose.Published("web", "127.0.0.1", 80, "tcp")
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        with socket.socket() as probe:
            try:
                probe.bind((wanted.address, wanted.port))
                pytest.skip("here everyone may open port 80")
            except PermissionError:
                assert not compose.taken(wanted)
            except OSError:
                pytest.skip("port 80 is taken")
    finally:
        os.seteuid(user)


@pytest.mark.compose
def test_the_files_are_those_that_compose_takes(tmp_path: Path) -> None:
    for index, name in enumerate([*composefile.NAMES, *composefile.OVERRIDES]):
        text = f"services:\n  a: {{image: x, labels: {{by{index}: x}}}}"
        (tmp_path / name).write_text(text, encoding="utf-8")

    def agreed() -> dict[str, str]:
        """What compose takes by itself and what the contract names to it."""
        ours, theirs = composefile.read(tmp_path), composefile.read_here(tmp_path, {})
        assert ours
        labels = dict(ours.section("services")["a"]["labels"])
        assert theirs.section("services")["a"]["labels"] == labels
        return labels

    for names in zip(composefile.NAMES, composefile.OVERRIDES, strict=True):
        assert len(agreed()) == 2
        for name in names:
            (tmp_path / name).unlink()
    assert composefile.read(tmp_path) is None
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text(f"services:\n  a: {{image: x, labels: {{{name[:3]}: x}}}}")
    (tmp_path / ".env").write_text("COMPOSE_FILE=one.yaml;two.yaml\nCOMPOSE_PATH_SEPARATOR=;\n")
    assert agreed() == {"one": "x", "two": "x"}
    (tmp_path / ".env").write_text("COMPOSE_FILE=nosuch.yaml\n")
    with pytest.raises(InputError, match=r"nosuch\.yaml"):
        composefile.read(tmp_path)
