"""Which images are kept, pulled or made, and that a stand-in behaves as the image it replaces."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import platform
import subprocess
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provision import ENGINE, archive, host, recipes, standins
from provision import engine as engines
from provision.recipes import parse
from provision.system import Trouble
from taskflow_containers.engine.client import Engine

Program = Callable[..., Path]
Called = Callable[[Path], list[list[str]]]
PYTHON = "python:3.13-slim"


def client(program: Program, images: dict[str, str], *, pull: int = 1) -> Path:
    """Write an engine that has these images (tag → recipe hash) and answers a pull like this."""
    body = f"""
have = {images!r}
if words[:2] == ["image", "inspect"]:
    for tag in [tag for tag in words[4:] if tag in have]:
        print(json.dumps([tag]), json.dumps({standins.COMMENT!r} + have[tag]))
    sys.exit(any(tag not in have for tag in words[4:]))
if words[0] == "pull":
    print("no such host", file=sys.stderr)
    sys.exit({pull})
"""
    return program("docker", body)


def test_an_image_that_is_here_is_kept(program: Program, called: Called) -> None:
    docker = client(program, {PYTHON: ""})
    assert standins.ensure_images([str(docker)], [PYTHON, PYTHON]) == {}
    assert len(called(docker)) == 1


def test_a_current_stand_in_costs_one_call(program: Program, called: Called) -> None:
    own = standins.stand_in(PYTHON)
    docker = client(program, {own: standins.recipe_hash(PYTHON)})
    assert standins.ensure_images([str(docker)], [PYTHON]) == {PYTHON: own}
    assert [words[:2] for words in called(docker)] == [["image", "inspect"]]


def test_an_image_that_can_be_pulled_needs_no_stand_in(program: Program) -> None:
    assert standins.ensure_images([str(client(program, {}, pull=0))], [PYTHON, "redis:7"]) == {}


@pytest.mark.parametrize("images", [{}, {standins.stand_in(PYTHON): "an older recipe"}])
def test_stand_ins_are_made_when_absent_or_stale(
    program: Program, monkeypatch: pytest.MonkeyPatch, images: dict[str, str]
) -> None:
    made: list[str] = []
    monkeypatch.setattr(standins, "is_root", lambda: True)
    monkeypatch.setattr(standins, "_make", lambda _engine, name, _digest: made.append(name))
    standins.ensure_images([str(client(program, images))], [PYTHON])
    assert made == [PYTHON]


def test_only_root_makes_stand_ins(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standins, "is_root", lambda: False)
    with pytest.raises(Trouble, match="sudo"):
        standins.ensure_images([str(client(program, {}))], [PYTHON])


@pytest.mark.parametrize(
    ("name", "version"),
    [
        (PYTHON, "3.13"),
        ("docker.io/library/python:3.13", "3.13"),
        ("mirror.example:5000/library/node:26-alpine", "26"),
        ("node:22-alpine@sha256:0123", "22"),
        ("postgres:17-alpine", "17"),
    ],
)
def test_recipes_are_found_by_repository_name(name: str, version: str) -> None:
    assert parse(name)[1] == version


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("redis:7", "only for node, postgres, python"),
        ("acme/python:3.13", "only for"),
        ("python", "only for"),
        ("python:latest", "has to begin with"),
        ("python:3.12-slim", "3.13"),
        ("postgres:16-alpine", "17"),
    ],
)
def test_what_has_no_recipe_is_refused_in_one_line(name: str, words: str) -> None:
    with pytest.raises(Trouble, match=words) as caught:
        parse(name)
    assert "\n" not in str(caught.value)


def test_the_hash_follows_the_image_and_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    before = standins.recipe_hash(PYTHON)
    assert before == standins.recipe_hash(PYTHON) != standins.recipe_hash("node:24-alpine")
    monkeypatch.setattr(host, "facts", lambda: host.Facts(b"another authority", "", ""))
    assert standins.recipe_hash(PYTHON) != before


def test_an_image_learns_the_machines_indexes_but_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc/ssl/certs").mkdir(parents=True)
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    monkeypatch.setenv("npm_config_registry", "https://user:secret@mirror.example/npm")
    monkeypatch.setattr(host, "facts", host.facts.__wrapped__)
    variables = host.introduce(tmp_path)
    assert "UV_DEFAULT_INDEX=https://mirror.example/simple" in variables
    assert "index-url = https://mirror.example/simple" in (tmp_path / "etc/pip.conf").read_text()
    assert "secret" not in json.dumps(variables)


# --- the archive that an engine loads -----------------------------------------------------------


@pytest.fixture
def image_archive(tmp_path: Path) -> Path:
    """An image of two files in two layers, whose name no other test uses."""
    for name in ("root/etc/a", "root/usr/local/b"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(name)
    path = tmp_path / "image.tar"
    archive.write(
        path, f"docker.io/taskflow-test/{uuid.uuid4().hex[:8]}:1", tmp_path / "root",
        {"one": ("./etc",), "two": ("./usr",)}, {"StopSignal": "SIGINT"},
        architecture=recipes.ARCHITECTURES.get(platform.machine(), platform.machine()),
        created="2026-01-02T03:04:05Z", comment="by hand",
    )  # fmt: skip
    return path


def test_an_archive_holds_what_a_registry_would_serve(image_archive: Path) -> None:
    """An index of an image with compressed layers and of how it was made, in OCI's media types."""
    with tarfile.open(image_archive) as tar:
        files = {
            name: tar.extractfile(name)
            for name in tar.getnames()
            if not tar.getmember(name).isdir()
        }
        content = {name: file.read() for name, file in files.items() if file}

    def blob(descriptor: dict[str, Any]) -> bytes:
        algorithm, _, digest = descriptor["digest"].partition(":")
        found = content[f"blobs/{algorithm}/{digest}"]
        assert hashlib.sha256(found).hexdigest() == digest
        assert len(found) == descriptor["size"]
        return found

    (named,) = json.loads(content["index.json"])["manifests"]
    assert named["mediaType"] == "application/vnd.oci.image.index.v1+json"
    ours, statement = json.loads(blob(named))["manifests"]
    assert statement["platform"] == {"architecture": "unknown", "os": "unknown"}
    assert statement["annotations"]["vnd.docker.reference.digest"] == ours["digest"]
    manifests = [json.loads(blob(descriptor)) for descriptor in (ours, statement)]
    assert {one["mediaType"] for one in (ours, statement, *manifests)} == {
        "application/vnd.oci.image.manifest.v1+json"
    }
    layers = manifests[0]["layers"]
    assert {layer["mediaType"] for layer in layers} == {
        "application/vnd.oci.image.layer.v1.tar+gzip"
    }
    config = json.loads(blob(manifests[0]["config"]))
    assert config["rootfs"]["diff_ids"] == [
        f"sha256:{hashlib.sha256(gzip.decompress(blob(layer))).hexdigest()}" for layer in layers
    ]
    assert "Labels" not in config["config"]


@pytest.mark.engine
@pytest.mark.each_engine
def test_an_engine_keeps_it_as_a_pulled_image(image_archive: Path, engine: Engine) -> None:
    with tarfile.open(image_archive) as tar:
        (named,) = json.load(tar.extractfile("index.json") or io.BytesIO())["manifests"]
    name = named["annotations"]["org.opencontainers.image.ref.name"]
    engine.call("load", "--input", image_archive)
    try:
        (found,) = json.loads(engine.call("image", "inspect", name).stdout)
        assert found["Created"].startswith("2026-01-02T03:04:05")
        assert found["Comment"] == "by hand"
        assert found["Config"]["StopSignal"] == "SIGINT"
        assert not found["Config"].get("Labels")
        assert len(found["RootFS"]["Layers"]) == 2
        # Only containerd's store keeps the manifest itself, and calls the image by it.
        if "Descriptor" in found:
            assert found["Id"] == named["digest"]
            assert found["Descriptor"]["mediaType"] == named["mediaType"]
    finally:
        engine.call("image", "rm", name)


# --- the images themselves: whichever are here, official ones or stand-ins -------------------


@pytest.fixture(scope="module")
def images() -> tuple[str, dict[str, str]]:
    """The client, and what stands for each wanted image."""
    found, reason = engines.find(os.environ.get(ENGINE, ""))
    assert found, reason
    names = standins.WANTED
    return found.client, {name: name for name in names} | standins.ensure_images(
        [found.client], names
    )


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.mark.engine
def test_a_second_run_changes_nothing(images: tuple[str, dict[str, str]]) -> None:
    engine, names = images
    before = run(engine, "image", "inspect", "--format", "{{.Id}}", *names.values())
    standins.ensure_images([engine], standins.WANTED)
    assert run(engine, "image", "inspect", "--format", "{{.Id}}", *names.values()) == before


@pytest.mark.engine
def test_python_is_where_the_official_image_has_it(images: tuple[str, dict[str, str]]) -> None:
    engine, names = images
    here = [engine, "run", "--rm", "--network", "none", names[PYTHON]]
    assert run(*here, "which", "python", "python3", "python3.13", "pip").split() == [
        f"/usr/local/bin/{name}" for name in ("python", "python3", "python3.13", "pip")
    ]
    assert run(*here, "find", "/usr", "-name", "*.pyc") == ""
    environment = "python -m venv /tmp/e && /tmp/e/bin/python -m pip --version"
    assert run(*here, "sh", "-c", environment).startswith("pip ")


@pytest.mark.engine
def test_node_is_where_the_official_image_has_it(images: tuple[str, dict[str, str]]) -> None:
    engine, names = images
    here = [engine, "run", "--rm", "--network", "none", names["node:24-alpine"]]
    assert run(*here, "which", "node", "npm", "npx").split() == [
        f"/usr/local/bin/{name}" for name in ("node", "npm", "npx")
    ]
    assert run(*here, "node", "--print", "process.version").startswith("v24.")
    assert run(*here, "--print", "process.version").startswith("v24.")
    assert run(*here, "npm", "--version")


@pytest.fixture
def postgres(images: tuple[str, dict[str, str]]) -> Iterator[tuple[str, str]]:
    """A running server that was given a user, a password, a database and an argument."""
    engine, names = images
    name = f"taskflow-test-{uuid.uuid4().hex[:8]}"
    given = {"POSTGRES_USER": "app", "POSTGRES_PASSWORD": "right", "POSTGRES_DB": "tasks"}
    options = [part for pair in given.items() for part in ("--env", "=".join(pair))]
    image = names["postgres:17-alpine"]
    run(engine, "run", "--detach", "--name", name, *options, image, "-c", "max_connections=42")
    try:
        yield engine, name
    finally:
        run(engine, "rm", "--force", "--volumes", name)


@pytest.mark.engine
def test_postgres_takes_the_official_images_settings(postgres: tuple[str, str]) -> None:
    engine, name = postgres

    def query(password: str) -> subprocess.CompletedProcess[str]:
        login = ["exec", "--env", f"PGPASSWORD={password}", name, "psql", "-h", "127.0.0.1"]
        words = ["-U", "app", "-d", "tasks", "-Atc", "show max_connections"]
        command = [engine, *login, *words]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    deadline = time.monotonic() + 30
    while (answer := query("right")).returncode and time.monotonic() < deadline:
        time.sleep(0.2)
    assert answer.stdout.strip() == "42"
    assert "password authentication failed" in query("wrong").stderr
    owner = run(engine, "exec", name, "cat", "/proc/1/status")
    assert "Uid:\t0\t" not in owner and "Name:\tpostgres" in owner

    start = time.monotonic()
    run(engine, "stop", name)
    assert time.monotonic() - start < 2
    assert run(engine, "inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
