"""Which engine is found, and what is said and done where none answers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from provision import engine
from provision.system import Trouble

Program = Callable[..., Path]
ANSWERS = 'print(\'{"ServerVersion":"20.10"}\')'
SILENT = 'print("Cannot connect to the daemon", file=sys.stderr); sys.exit(1)'
PODMAN = 'print(\'{"host": {"buildahVersion": "1.28"}}\')'


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with two folders of our own on it and nothing else."""
    folders = [tmp_path / "first", tmp_path / "second"]
    monkeypatch.setenv("PATH", ":".join(map(str, folders)))
    for variable in ("TASKFLOW_ENGINE", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"):
        monkeypatch.setenv(variable, "")  # and as it was when the test is over
        monkeypatch.delenv(variable)
    return tmp_path


@pytest.mark.usefixtures("path")
def test_a_client_that_cannot_reach_its_server_hides_no_other(program: Program) -> None:
    program("docker", SILENT, "first")
    second = program("docker", ANSWERS, "second")
    assert engine.find()[0] == engine.Engine("docker", str(second))


@pytest.mark.usefixtures("path")
def test_podman_that_poses_as_docker_is_podman(program: Program) -> None:
    program("docker", PODMAN, "first")
    podman = program("podman", PODMAN, "first")
    assert engine.find()[0] == engine.Engine("podman", str(podman))
    assert engine.find("docker")[0] is None


@pytest.mark.usefixtures("path")
def test_an_engine_can_be_asked_for(program: Program) -> None:
    docker = program("docker", ANSWERS, "first")
    podman = program("podman", PODMAN, "first")
    assert engine.find("podman")[0] == engine.Engine("podman", str(podman))
    assert engine.find(str(docker))[0] == engine.Engine("docker", str(docker))


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    ("platform", "root", "words"),
    [("darwin", True, "Docker Desktop"), ("linux", False, r"Cannot connect.*\n.*sudo")],
)
def test_without_an_engine_the_way_to_one_is_said(
    program: Program, monkeypatch: pytest.MonkeyPatch, platform: str, root: bool, words: str
) -> None:
    program("docker", SILENT, "first")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(engine, "is_root", lambda: root)
    with pytest.raises(Trouble, match=words):
        engine.ensure("docker")


def test_a_client_given_by_its_path_is_not_replaced(program: Program) -> None:
    with pytest.raises(Trouble, match="Cannot connect"):
        engine.ensure(str(program("docker", SILENT)))


@pytest.fixture
def dockerd(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root's machine without systemd, with a log of our own."""
    monkeypatch.setattr(engine, "is_root", lambda: True)
    monkeypatch.setattr(engine, "SYSTEMD", path / "absent")
    monkeypatch.setattr(engine, "DOCKERD_LOG", path / "dockerd.log")
    monkeypatch.setattr(engine, "START_SECONDS", 10.0)
    return path


def test_the_daemon_is_started_and_waited_for(dockerd: Path, program: Program) -> None:
    socket = str(dockerd / "socket")
    program("dockerd", f"time.sleep(0.5); open({socket!r}, 'w'); time.sleep(20)", "first")
    client = program("docker", f"if os.path.exists({socket!r}): {ANSWERS}\nelse: {SILENT}", "first")
    assert engine.ensure() == engine.Engine("docker", str(client))


@pytest.mark.usefixtures("dockerd")
def test_a_daemon_that_dies_says_why(program: Program) -> None:
    program("docker", SILENT, "first")
    program("dockerd", 'print("no space left", file=sys.stderr); sys.exit(1)', "first")
    with pytest.raises(Trouble, match="dockerd does not come up: no space left"):
        engine.ensure("docker")


def test_an_installed_docker_is_started_before_podman_is_taken(
    dockerd: Path, program: Program
) -> None:
    socket = str(dockerd / "socket")
    program("podman", PODMAN, "first")
    program("dockerd", f"open({socket!r}, 'w'); time.sleep(20)", "first")
    client = program("docker", f"if os.path.exists({socket!r}): {ANSWERS}\nelse: {SILENT}", "first")
    assert engine.ensure() == engine.Engine("docker", str(client))


@pytest.mark.usefixtures("dockerd")
def test_podman_is_taken_where_docker_does_not_start(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "limit_podman", lambda: None)
    podman = program("podman", PODMAN, "first")
    program("docker", SILENT, "first")
    program("dockerd", "sys.exit(1)", "first")
    assert engine.ensure() == engine.Engine("podman", str(podman))


@pytest.mark.usefixtures("dockerd")
@pytest.mark.parametrize("wanted", ["", "docker"])
def test_no_daemon_is_started_where_the_client_asks_another(program: Program, wanted: str) -> None:
    """Whether DOCKER_HOST or a context says so: the client knows."""
    program("docker", f'if words[0] == "context": print("tcp://far:1")\nelse: {SILENT}', "first")
    own = program("dockerd", "", "first")
    with pytest.raises(
        Trouble, match=r"tcp://far:1 does not answer: Cannot connect.*\nStart it, or unset"
    ):
        engine.ensure(wanted)
    assert not own.with_name("dockerd.calls").exists()


def test_the_machines_own_docker_is_found_behind_another(
    dockerd: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is started, used and stopped, whatever the environment named before."""
    other = program("docker", ANSWERS, "first")
    program("dockerd", "", "first")
    socket, pid = dockerd / "socket", dockerd / "pid"
    asked = f"os.environ.get('DOCKER_HOST') is None and os.path.exists({str(socket)!r})"
    own = program("docker", f"if {asked}: {ANSWERS}\nelse: {SILENT}", "second")
    program(
        "dockerd",
        "import signal\n"
        f"files = [pathlib.Path({str(pid)!r}), pathlib.Path({str(socket)!r})]\n"
        "def end(*_): [file.unlink() for file in files]; sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "[file.write_text(str(os.getpid())) for file in files]\n"
        "time.sleep(30)",
        "second",
    )
    monkeypatch.setattr(engine, "DOCKERD_PID", pid)
    monkeypatch.setattr(engine, "SYSTEM_PATH", [str(own.parent)])
    monkeypatch.setenv("DOCKER_HOST", "unix:///elsewhere.sock")
    assert engine.ensure() == engine.Engine("docker", str(other))
    engine.come_home()
    assert engine.ensure("docker") == engine.Engine("docker", str(own))
    engine.stop_docker()
    assert engine.find("docker")[0] is None


@pytest.mark.parametrize(
    ("capabilities", "written"), [("1fffeffffff", True), ("1ffffffffff", False)]
)
def test_podman_gets_limits_only_where_it_may_not_raise_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capabilities: str, written: bool
) -> None:
    status = tmp_path / "status"
    status.write_text(f"Name:\tpython\nCapEff:\t{capabilities}\n")
    monkeypatch.setattr(engine, "STATUS", status)
    monkeypatch.setattr(engine, "LIMITS", tmp_path / "conf.d/limits.conf")
    monkeypatch.setattr(engine, "is_root", lambda: True)
    monkeypatch.setattr(engine, "apt_install", lambda *_: None)
    engine.limit_podman()
    assert engine.LIMITS.exists() is written
