"""The engine seam: which engine is chosen, what it says, and the same answers from each."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from taskflow_containers.engine.buildlog import Steps
from taskflow_containers.engine.client import Builder, Engine, substitutes
from taskflow_containers.engine.dialects import for_the_legacy_builder
from taskflow_containers.engine.find import find
from taskflow_containers.engine.layersizes import LayerSizes
from taskflow_containers.machine.errors import (
    EnvironmentTrouble,
    ExitCode,
    InputError,
    MachineTrouble,
    NoEngineError,
)


def client(folder: Path, name: str, script: str) -> Path:
    """A program that answers like a client; only its words count here, not what it does."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return path


DOCKER = """case "$1" in
version) echo '{"Client":{"Version":"CLIENT"},"Server":{"Version":"27.0","Components":[]}}';;
buildx) exit BUILDX;;
esac"""
PODMAN = 'echo \'{"Client":{"APIVersion":"5.0","Version":"5.0"}}\''


def docker(version: str, *, buildx: bool) -> str:
    return DOCKER.replace("CLIENT", version).replace("BUILDX", "0" if buildx else "1")


@pytest.fixture(autouse=True)
def no_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TASKFLOW_ENGINE", raising=False)


def on_path(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """These folders, and the machine's programs but for its engines."""
    system = folders[0] / "system"
    if not system.exists():
        system.mkdir()
        programs = {path.name: path for one in ("/usr/bin", "/bin") for path in Path(one).iterdir()}
        for name, path in programs.items():
            if name not in {"docker", "podman"}:
                (system / name).symlink_to(path)
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, [*folders, system])))


def test_the_client_whose_builder_can_do_most_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client(tmp_path / "a", "docker", docker("28.2.2", buildx=False))
    client(tmp_path / "b", "docker", docker("20.10.24", buildx=False))
    on_path(monkeypatch, tmp_path / "a", tmp_path / "b")
    found = find()
    assert (found.client.parent.name, found.builder) == ("b", Builder.BUILDKIT)
    client(tmp_path / "c", "docker", docker("28.2.2", buildx=True))
    on_path(monkeypatch, tmp_path / "a", tmp_path / "b", tmp_path / "c")
    assert find().builder is Builder.BUILDX


@pytest.mark.parametrize(
    ("value", "host", "publishing"),
    [
        ("", "127.0.0.1", "127.0.0.1"),
        ("unix:///run/docker.sock", "127.0.0.1", "127.0.0.1"),
        ("npipe:////./pipe/docker_engine", "127.0.0.1", "127.0.0.1"),
        ("tcp://127.0.0.1:2375", "127.0.0.1", "127.0.0.1"),
        ("tcp://127.8.0.1:2375", "127.0.0.1", "127.0.0.1"),
        ("tcp://localhost:2375", "127.0.0.1", "127.0.0.1"),
        ("tcp://[::1]:2375", "127.0.0.1", "127.0.0.1"),
        ("tcp://0.0.0.0:2375", "127.0.0.1", "127.0.0.1"),
        ("tcp://:2375", "127.0.0.1", "127.0.0.1"),
        ("ssh://core@127.0.0.1:50123/run/podman/podman.sock", "127.0.0.1", "127.0.0.1"),
        ("tcp://docker:2376", "docker", "0.0.0.0"),
        ("10.0.0.9:2375", "10.0.0.9", "0.0.0.0"),
        ("ssh://me@build.example:22", "build.example", "0.0.0.0"),
        ("ssh://me@[fd00::9]:22/run/podman.sock", "fd00::9", "[::]"),
        ("ssh://alias", "10.9.9.9", "0.0.0.0"),
    ],
)
def test_ports_are_published_where_the_engine_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, host: str, publishing: str
) -> None:
    # As ssh answers to -G: what its configuration makes of the name.
    client(tmp_path, "ssh", 'test "$3" = alias && echo hostname 10.9.9.9 || echo "hostname $3"')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = Engine("docker", Path("docker"), "28", Builder.BUILDX, endpoint=value)
    assert (found.host, found.publishing) == (host, publishing)
    assert found.remote is (host != "127.0.0.1")


CONTEXTS = """case "$1" in
version) echo '{"Client":{"ApiVersion":"1.51","Version":"28.0","Context":"'${DOCKER_CONTEXT:-default}'"},"Server":{"Version":"28.0"}}';;
context) [ "$5" = far ] && echo ssh://me@10.1.1.1;;
esac"""
# Podman has a server of its own where it is a client of another one only.
CONNECTIONS = """case "$1" in
version) echo '{"Client":{"APIVersion":"5.0"}SERVER}';;
system) echo '[{"Name":"a","URI":"ssh://core@127.0.0.1:5000/s","Default":true},{"Name":"b","URI":"tcp://10.1.1.2:1","Default":false}]';;
esac"""
REMOTE_PODMAN = CONNECTIONS.replace("SERVER", ',"Server":{"APIVersion":"5.0"}')
LISTED = {
    "this machine's own": (CONTEXTS, {}, "127.0.0.1"),
    "DOCKER_HOST": (CONTEXTS, {"DOCKER_HOST": "tcp://10.1.1.3:2375"}, "10.1.1.3"),
    "another context": (CONTEXTS, {"DOCKER_CONTEXT": "far"}, "10.1.1.1"),
    "Podman here": (CONNECTIONS.replace("SERVER", ""), {}, "127.0.0.1"),
    "Podman's machine": (REMOTE_PODMAN, {}, "127.0.0.1"),
    "CONTAINER_HOST": (REMOTE_PODMAN, {"CONTAINER_HOST": "ssh://me@10.1.1.4/s"}, "10.1.1.4"),
    "CONTAINER_CONNECTION": (
        REMOTE_PODMAN, {"CONTAINER_CONNECTION": "b", "CONTAINER_HOST": "ssh://me@10.1.1.4/s"}, "10.1.1.2"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LISTED)
def test_an_engine_is_where_its_client_says(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, variables, host = LISTED[case]
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "CONTAINER_HOST", "CONTAINER_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert find(str(client(tmp_path, "client", script))).host == host


def test_the_clients_own_words_say_why_no_engine_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = 'unable to resolve docker endpoint: context "far": context not found'
    path = client(tmp_path, "docker", f"echo '{words}' >&2; exit 1")
    on_path(monkeypatch, tmp_path)
    for choice in ("docker", str(path)):
        with pytest.raises(NoEngineError) as caught:
            find(choice)
        assert f"{path}: {words}" in caught.value.message


def test_a_new_client_without_buildx_says_what_is_degraded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client(tmp_path, "docker", docker("28.2.2", buildx=False))
    on_path(monkeypatch, tmp_path)
    found = find()
    assert found.builder is Builder.LEGACY
    assert "without cache mounts" in found.description
    assert "install buildx" in found.description


def test_podman_that_poses_as_docker_is_podman(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client(tmp_path, "docker", PODMAN)
    on_path(monkeypatch, tmp_path)
    assert find().name == "podman"
    with pytest.raises(NoEngineError):
        find("docker")


def test_a_client_without_a_server_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client(tmp_path, "docker", 'echo \'{"Client":{"Version":"28"},"Server":null}\'; exit 1')
    client(tmp_path, "podman", PODMAN)
    on_path(monkeypatch, tmp_path)
    assert find().name == "podman"


def test_no_engine_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client(tmp_path, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/nowhere")
    with pytest.raises(NoEngineError) as caught:
        find()
    assert "no container engine answers" in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code is ExitCode.NO_ENGINE


def test_the_choice_is_by_option_then_by_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = client(tmp_path, "docker", docker("20.10", buildx=False))
    client(tmp_path, "podman", PODMAN)
    on_path(monkeypatch, tmp_path)
    monkeypatch.setenv("TASKFLOW_ENGINE", "podman")
    assert find().name == "podman"
    assert find("docker").name == "docker"
    assert find(str(path)).client == path
    with pytest.raises(InputError, match="nerdctl"):
        find("nerdctl")


CANNOT_RUN = {
    "not executable": ("#!/bin/sh\n", 0o644, "cannot be run: it is not executable"),
    "no program": ("\0\1", 0o755, "cannot be run: it is not a program for this machine"),
    "no interpreter": ("#!/nope/sh\n", 0o755, "or its interpreter, does not exist"),
    "a folder": ("", 0, "cannot be run: it is a folder"),
    "a link to nowhere": ("", 1, "the file that it links to"),
    "another program": ("#!/bin/sh\necho hello\n", 0o755, "no engine answers behind"),
    "another program's JSON": ("#!/bin/sh\necho '[1]'\n", 0o755, "no engine answers behind"),
    "JSON of another kind": ("#!/bin/sh\necho '{\"Server\":{\"Components\":5}}'\n", 0o755, "no engine answers"),
    "a program that fails": ("#!/bin/sh\nexit 1\n", 0o755, "no engine answers behind"),
}  # fmt: skip


@pytest.mark.parametrize("by", ["option", "variable"])
@pytest.mark.parametrize("case", CANNOT_RUN)
def test_a_chosen_file_that_is_no_client(
    case: str, by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, mode, message = CANNOT_RUN[case]
    path = tmp_path / "client"
    if case == "a folder":
        path.mkdir()
    elif case == "a link to nowhere":
        path.symlink_to("nowhere")
    else:
        path.write_text(text)
        path.chmod(mode)
    if by == "variable":
        monkeypatch.setenv("TASKFLOW_ENGINE", str(path))
    with pytest.raises(NoEngineError) as caught:
        find(str(path) if by == "option" else "")
    assert message in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code is ExitCode.NO_ENGINE


def test_a_client_on_path_that_cannot_be_run_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client(tmp_path, "podman", PODMAN)
    (tmp_path / "docker").write_bytes(b"\0")
    (tmp_path / "docker").chmod(0o755)
    on_path(monkeypatch, tmp_path)
    assert find().name == "podman"


@pytest.mark.parametrize("text", ["python", "=x", "python:3.13-slim=", "a=b c"])
def test_malformed_substitutes_are_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKFLOW_SUBSTITUTE_IMAGES", text)
    with pytest.raises(InputError, match="TASKFLOW_SUBSTITUTE_IMAGES"):
        substitutes()


def test_what_the_legacy_builder_does_not_know_is_taken_out_and_nothing_else() -> None:
    text = (
        "RUN --mount=type=cache,target=/x --mount=type=cache,target=/y \\\n    uv sync\n"
        "RUN --mount=type=cache,target=/z true\nRUN --network=none true\n"
        "COPY --from=build --chmod=755 a b\nadd --chmod=0644 a b\nRUN chmod --chmod=1 a\n"
    )
    assert for_the_legacy_builder(text) == (
        "RUN uv sync\nRUN true\nRUN --network=none true\n"
        "COPY --from=build a b\nadd a b\nRUN chmod --chmod=1 a\n"
    )


@pytest.mark.parametrize(
    ("lines", "steps", "cached"),
    [
        (
            [
                "#4 [build 1/2] FROM x",
                "#4 DONE",
                "#5 [build 2/2] RUN a",
                "#5 sha256:1",
                "#5 CACHED",
            ],
            1,
            1,
        ),
        (["#5 [build 2/3] RUN a", "#5 0.2 out", "#5 DONE", "#6 [3/3] COPY b c", "#6 CACHED"], 2, 1),
        (["#1 [internal] load build definition", "#1 DONE"], 0, 0),
        (["Step 1/3 : FROM x", "Step 2/3 : RUN a", " ---> Using cache", "Step 3/3 : RUN b"], 2, 1),
        (["[1/2] STEP 1/2: FROM x", "[1/2] STEP 2/2: RUN a", "--> Using cache 0123"], 1, 1),
    ],
)
def test_steps_are_counted_whoever_builds(lines: list[str], steps: int, cached: int) -> None:
    watch = Steps(lambda _: None)
    for line in lines:
        watch.see(line)
    assert (len(watch.steps), len(watch.steps & watch.cached)) == (steps, cached)


@pytest.mark.parametrize(
    "lines",
    [
        ["#5 [2/3] RUN a", "#5 CACHED", "#6 [3/3] RUN b", "#6 0.1 out"],
        ["Step 1/2 : RUN a", " ---> Using cache", "Step 2/2 : RUN b", " ---> Running in 01"],
        ["STEP 1/2: RUN a", "--> Using cache 01", "STEP 2/2: RUN b", "--> 02"],
    ],
)
def test_only_what_is_work_is_announced(lines: list[str]) -> None:
    said: list[str] = []
    watch = Steps(said.append)
    for line in lines:
        watch.see(line)
    assert [line.split()[-1] for line in said] == ["b"]


def test_an_engine_that_dies_midway_says_so(tmp_path: Path) -> None:
    path = client(
        tmp_path, "docker",
        "echo 'Cannot connect to the Docker daemon at unix:///x. Is it running?' >&2; exit 1",
    )  # fmt: skip
    gone = Engine("docker", path, "20.10", Builder.BUILDKIT)
    for check in (True, False):
        with pytest.raises(EnvironmentTrouble, match="stopped answering"):
            gone.call("ps", check=check)


def podman_info(rootless: bool, version: str, *controllers: str) -> str:
    host = {
        "security": {"rootless": rootless}, "cgroupVersion": version,
        "cgroupControllers": [*controllers],
    }  # fmt: skip
    return json.dumps({"host": host})


LIMITS = {
    "Docker": ('{"CgroupDriver":"systemd","MemoryLimit":true,"CpuCfsQuota":true}', "cpu freezer memory"),
    "Docker, rootless, version 1": ('{"CgroupDriver":"none","MemoryLimit":false,"CpuCfsQuota":false}', ""),
    "Docker, rootless, no CPU handed down": (
        '{"CgroupDriver":"systemd","MemoryLimit":true,"CpuCfsQuota":false}', "freezer memory"
    ),
    "Podman": (podman_info(False, "v1", "cpu", "memory", "pids", "freezer"), "cpu freezer memory"),
    "Podman, rootless, version 1": (podman_info(True, "v1"), ""),
    "Podman, rootless, version 2": (podman_info(True, "v2", "memory", "pids"), "freezer memory"),
    "an answer that says nothing": ("{}", "cpu freezer memory"),
    "no JSON": ("so long", "cpu freezer memory"),
}  # fmt: skip


@pytest.mark.parametrize("case", LIMITS)
def test_what_an_engine_can_limit_is_what_it_says(case: str, tmp_path: Path) -> None:
    answer, limits = LIMITS[case]
    path = client(tmp_path, "docker", f"cat <<'E'\n{answer}\nE")
    engine = Engine("docker", path, "28", Builder.BUILDX)
    assert " ".join(sorted(engine.limits())) == limits


@pytest.mark.engine
@pytest.mark.each_engine
def test_each_engine_answers_alike(engine: Engine) -> None:
    assert engine.image_config("taskflow-nowhere:1") is None
    for kind in ("container", "network", "volume"):
        assert engine.inspect(kind, "taskflow-nowhere") is None
    with pytest.raises(EnvironmentTrouble):
        engine.call("container", "start", "taskflow-nowhere")
    base = substitutes().get("python:3.13-slim", "python:3.13-slim")
    config = engine.image_config(base)
    assert config
    assert config["Id"].startswith("sha256:")
    assert LayerSizes().total(engine, config) > 50_000_000
    assert config["Platform"] == engine.platform != ""
    assert config["Created"]
    assert config["Layers"]


@pytest.mark.engine
@pytest.mark.each_engine
def test_what_an_engine_cannot_say_is_not_taken_for_nothing(engine: Engine, tmp_path: Path) -> None:
    """As Podman answers while another image vanishes; the image asked for is a real one."""
    base = substitutes().get("python:3.13-slim", "python:3.13-slim")
    refused = f"echo 'Error: layer not known' >&2; exit 125; fi\nexec {engine.client} \"$@\""
    once = f'if [ "$2" = inspect ] && mkdir {tmp_path}/asked 2> /dev/null; then {refused}'
    first = replace(engine, client=client(tmp_path / "once", engine.name, once))
    assert first.image_config(base) == engine.require_image_config(base)
    always = f'if [ "$2" = inspect ]; then {refused}'
    never = replace(engine, client=client(tmp_path / "never", engine.name, always))
    with pytest.raises(EnvironmentTrouble, match="image inspect failed: Error: layer not known"):
        never.image_config(base)
    with pytest.raises(EnvironmentTrouble, match="taskflow-nowhere:1 is gone"):
        engine.require_image_config("taskflow-nowhere:1")


@pytest.mark.engine
@pytest.mark.each_engine
def test_a_pause_that_the_kernel_refuses_at_first(engine: Engine, tmp_path: Path) -> None:
    """The client refuses once and then again and again; the container is a real one."""
    name = f"taskflow-paused-{os.getpid()}-{engine.name}"
    base = substitutes().get("python:3.13-slim", "python:3.13-slim")
    busy = f"echo 'unable to freeze' >&2; exit 1; fi\nexec {engine.client} \"$@\""
    once = f'if [ "$1" = pause ] && [ ! -e {tmp_path}/asked ]; then touch {tmp_path}/asked; {busy}'
    first = replace(engine, client=client(tmp_path / "once", engine.name, once))
    never = f'if [ "$1" = pause ]; then {busy}'
    always = replace(engine, client=client(tmp_path / "never", engine.name, never))
    engine.call("run", "--detach", "--name", name, base, "sleep", "60")
    try:
        first.pause(name)
        first.unpause(name)
        first.unpause(name)
        with pytest.raises(MachineTrouble, match="unable to freeze"):
            always.pause(name)
        engine.call("kill", name)
        with pytest.raises(EnvironmentTrouble) as caught:
            first.pause(name)
        assert not isinstance(caught.value, MachineTrouble)
    finally:
        engine.call("rm", "--force", name, check=False)
