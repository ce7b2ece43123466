"""What a build needs beside its context: secrets, arguments, proxies, caches, platforms, newer bases."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace as changed
from pathlib import Path

import pytest

from taskflow_containers.checks import build
from taskflow_containers.engine import builder
from taskflow_containers.engine.client import Builder, Engine, substitutes
from taskflow_containers.machine.errors import EnvironmentTrouble, InputError
from taskflow_containers.report.result import Status
from taskflow_containers.workspace import Workspace
from tests.conftest import lacking
from tests.containers.conftest import Service, failed, fault, replace
from tests.release.conftest import Registry

pytestmark = pytest.mark.engine

TOKEN = "zebra-7f3a91c04d"
HOLDS = "RUN --mount=type=secret,id=token --mount=type=secret,id=npmrc mkdir data"


def with_secrets(service: Service, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's build is given a secret by a variable and one by a file, for this RUN step."""
    monkeypatch.setenv("REGISTRY_TOKEN", TOKEN)
    (service.folder / "npmrc").write_text(f"//registry.example/:_authToken={TOKEN[::-1]}\n")
    with (service.folder / "taskflow.toml").open("a") as file:
        file.write(
            "\n[containers.backend.build.secrets]\n"
            'token = { variable = "REGISTRY_TOKEN" }\nnpmrc = { file = "npmrc" }\n'
        )
    replace("Dockerfile", "RUN mkdir data", step)(service.folder)


def everything(engine: Engine, image: str) -> str:
    """All that an engine tells of an image."""
    history = engine.call("history", "--no-trunc", "--format", "{{json .}}", image).stdout
    return history + engine.call("image", "inspect", image).stdout


@pytest.mark.each_engine
def test_secrets_reach_a_step_and_nothing_else(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = tmp_path / "arguments"
    client = tmp_path / "client" / service.engine.client.name
    client.parent.mkdir()
    client.write_text(f'#!/bin/sh\necho "$@" >>{told}\nexec {service.engine.client} "$@"\n')
    client.chmod(0o755)
    service.engine = changed(service.engine, client=client)
    check = (
        f"{HOLDS} && test $(cat /run/secrets/token) = {TOKEN[:5]}${{REST}}"
        " && grep -q _authToken /run/secrets/npmrc"
    )
    with_secrets(service, f"ARG REST\n{check}", monkeypatch)
    replace("taskflow.toml", "[containers.backend.build.secrets]",
            f'[containers.backend.build.arguments]\nREST = "{TOKEN[5:]}"\n'
            "[containers.backend.build.secrets]")(service.folder)  # fmt: skip
    image = service.build()
    assert image.usable, image.results
    said = everything(service.engine, image.id) + told.read_text()
    assert TOKEN not in said
    assert TOKEN[::-1] not in said
    assert "REGISTRY_TOKEN" in told.read_text()


def test_a_step_that_prints_a_secret_is_not_quoted(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = f"{HOLDS} && cat /run/secrets/token /run/secrets/npmrc && exit 7"
    with_secrets(service, step, monkeypatch)
    (result,) = service.build().results
    said = repr(result) + "".join(capsys.readouterr())
    assert "***" in said
    assert TOKEN not in said
    assert TOKEN[::-1] not in said


def test_another_secret_builds_nothing_anew(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_secrets(service, HOLDS, monkeypatch)
    first = service.build()
    monkeypatch.setenv("REGISTRY_TOKEN", "another-value")
    assert service.build().id == first.id


@pytest.mark.parametrize("missing", ["REGISTRY_TOKEN", "npmrc"])
def test_a_secret_that_is_not_there_is_named(
    service: Service, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    with_secrets(service, HOLDS, monkeypatch)
    monkeypatch.delenv("REGISTRY_TOKEN") if missing.isupper() else (
        service.folder / missing
    ).unlink()
    with pytest.raises(InputError, match=missing) as caught:
        service.build()
    assert "containers.backend.build.secrets." in caught.value.message


def test_secrets_need_a_builder_that_has_them(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_secrets(service, HOLDS, monkeypatch)
    service.engine = changed(service.engine, builder=Builder.LEGACY)
    with pytest.raises(InputError, match="BuildKit"):
        service.build()


def test_another_argument_makes_another_image(service: Service) -> None:
    replace(
        "Dockerfile", "RUN mkdir data", "ARG FLAVOUR\nRUN mkdir data && echo $FLAVOUR >flavour"
    )(service.folder)
    with (service.folder / "taskflow.toml").open("a") as file:
        file.write('\n[containers.backend.build]\narguments = { FLAVOUR = "plain" }\n')
    first = service.build()
    replace("taskflow.toml", '"plain"', '"salted"')(service.folder)
    current, reason = build.current_image(
        Workspace(service.folder, service.project, service.engine), "backend"
    )
    assert current == ""
    assert "changed" in reason
    assert service.build().id != first.id


@pytest.mark.each_engine
def test_a_proxy_is_passed_on_and_leaves_no_trace(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = f"http://me:{TOKEN}@proxy.example:3128"
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("no_proxy", "localhost,.example")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    step = (
        'RUN mkdir data && test -n "$HTTPS_PROXY" && test "$no_proxy" = localhost,.example'
        ' && test -z "$http_proxy"'
    )
    replace("Dockerfile", "RUN mkdir data", step)(service.folder)
    image = service.build()
    assert image.usable, image.results
    assert TOKEN not in everything(service.engine, image.id)
    notes = build.notes(service.workspace, ["backend"])
    assert any(line.startswith("http_proxy is not passed") for line in notes), notes


@pytest.fixture
def mirrored(
    service: Service, registry: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> str:
    """The service's base in a registry of our own, and no longer here."""
    # Docker asks one on this machine without TLS; Podman has to be told.
    conf = tmp_path / "registries.conf"
    conf.write_text(f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n')
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(conf))
    base = substitutes().get("python:3.13-slim", "python:3.13-slim")
    name = f"{registry.host}/mirror/python:3.13-slim"
    service.engine.call("tag", base, name)
    service.engine.call("push", name)
    service.engine.call("image", "rm", "--no-prune", name)
    monkeypatch.setenv("TASKFLOW_SUBSTITUTE_IMAGES", f"python:3.13-slim={name}")
    return name


def test_a_newer_base_is_asked_for(service: Service, mirrored: str, tmp_path: Path) -> None:
    before = service.build()
    engine = service.engine
    (tmp_path / "Dockerfile").write_text(f"FROM {mirrored}\nRUN echo newer >/note\n")
    builder.build(engine, tmp_path, tags=[mirrored], arguments={}, labels={}, on_step=print)
    newer = (engine.image_config(mirrored) or {})["Id"]
    engine.call("push", mirrored)
    engine.call("image", "rm", "--force", mirrored)
    engine.call("tag", substitutes().get("x", before.id), mirrored)  # something older by that name
    project = service.project
    (image,) = build.build(Workspace(service.folder, project, engine), ["backend"], pull=True)
    try:
        assert image.usable, image.results
        base = engine.image_config(mirrored) or {}
        assert base["Id"] == newer
        assert (engine.image_config(image.id) or {})["Layers"][: len(base["Layers"])] == base[
            "Layers"
        ]
        (note,) = (
            line
            for line in build.notes(Workspace(service.folder, project, engine), ["backend"])
            if mirrored in line
        )
        assert " was made " in note
    finally:
        engine.call("image", "rm", "--force", mirrored, check=False)


def test_a_registry_that_cannot_be_asked_is_said(
    service: Service, mirrored: str, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.build()
    registry.stop()
    said: list[str] = []
    workspace = Workspace(service.folder, service.project, service.engine, note=said.append)
    (image,) = build.build(workspace, ["backend"], pull=True)
    assert image.usable
    assert any("stays as it is" in line for line in said), said
    # What nobody put in another's place must be asked for, or the base may be last year's.
    monkeypatch.delenv("TASKFLOW_SUBSTITUTE_IMAGES")
    replace("taskflow.toml", 'base = "python:3.13-slim"', f'base = "{mirrored}"')(service.folder)
    with pytest.raises(EnvironmentTrouble, match="newer"):
        build.build(
            Workspace(service.folder, service.project, service.engine), ["backend"], pull=True
        )
    service.engine.call("image", "rm", "--force", mirrored, check=False)


def test_a_build_cache_outlives_the_machine(
    service: Service, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not service.engine.keeps_indexes():
        lacking("this builder exports no cache")
    place = f"type=registry,ref={registry.host}/cache/{{container}}"
    with (service.folder / "taskflow.toml").open("a") as file:
        file.write(f'\n[build]\ncache-from = ["{place}"]\ncache-to = ["{place},mode=max"]\n')
    engine, project = service.engine, service.project
    replace("Dockerfile", "RUN mkdir data", f"RUN mkdir data && echo {os.urandom(8).hex()} >x")(
        service.folder
    )
    build.build(Workspace(service.folder, project, engine), ["backend"])
    assert not [path for path in registry.storage.rglob("*") if path.name == "cache"]
    build.build(Workspace(service.folder, project, engine), ["backend"], export=True)
    assert [path for path in registry.storage.rglob("*") if path.name == "backend"]
    monkeypatch.setenv(builder.CACHE_TO, "")
    assert (
        build.needs(Workspace(service.folder, project, engine), "backend", export=True).cache_to
        == ()
    )


def test_an_engine_that_exports_no_cache_says_so(service: Service) -> None:
    with (service.folder / "taskflow.toml").open("a") as file:
        file.write('\n[build]\nbuilder = "far"\ncache-to = ["type=gha"]\n')
    poor = changed(service.engine, builder=Builder.BUILDKIT)
    notes = build.notes(Workspace(service.folder, service.project, poor), ["backend"])
    assert [line.partition(":")[0] for line in notes[-2:]] == [
        "cache-from and cache-to are left out",
        "the builder far is left out",
    ]


def test_a_builder_that_is_not_there_is_named(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    if service.engine.builder is not Builder.BUILDX:
        lacking("this client has no buildx")
    monkeypatch.setenv(builder.BUILDER_VARIABLE, "nowhere")
    with pytest.raises(InputError, match="no builder nowhere"):
        service.build()


# The answers of buildx 0.29 with a docker-container builder as the current one, which sees no
# image of the engine and reaches no registry.
CONTAINER_BUILDER = """#!/bin/sh
case "$1 $2" in
"buildx inspect")
  printf 'Name:          ci\\nDriver:        docker-container\\n\\nNodes:\\nName:     ci0\\n'; exit ;;
"buildx build")
  case " $* " in *" --builder ci "*)
    echo '#2 [internal] load metadata for docker.io/{base}'
    echo '#2 ERROR: failed to do request: Head "https://registry-1.docker.io/v2/": no route to host'
    echo 'ERROR: failed to build: failed to solve: {base}: failed to resolve source metadata for docker.io/{base}: failed to do request'
    exit 1 ;;
  esac ;;
esac
exec {client} "$@"
"""


def test_a_builder_without_this_engines_images_leaves_a_local_base_to_it(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if service.engine.builder is not Builder.BUILDX:
        lacking("this client has no buildx")
    base = substitutes().get("python:3.13-slim", "python:3.13-slim")
    client = tmp_path / "docker"
    client.write_text(
        CONTAINER_BUILDER.replace("{base}", base).replace("{client}", str(service.engine.client))
    )
    client.chmod(0o755)
    service.engine = changed(service.engine, client=client)
    image = service.build()
    assert failed(image.results) == set()
    assert "ci (docker-container) sees no image of this engine" in capsys.readouterr().out


def test_images_of_several_platforms_need_a_store_for_them(service: Service) -> None:
    engine = service.engine
    folder = service.folder / "several"
    folder.mkdir()
    (folder / "Dockerfile").write_text('FROM scratch\nCOPY Dockerfile /\nCMD ["x"]\n')
    needs = builder.Needs(platforms=["linux/s390x", engine.platform])
    tag = f"{service.project.image('backend')}:several"
    try:
        if not engine.keeps_indexes():
            with pytest.raises(InputError, match="several platforms"):
                builder.build(
                    engine, folder, tags=[tag], arguments={}, labels={}, on_step=print, needs=needs
                )
            return
        built = builder.build(
            engine, folder, tags=[tag], arguments={}, labels={}, on_step=print, needs=needs
        )
        config = engine.image_config(built.image) or {}
        assert (config["Id"], config["Platform"]) == (built.image, engine.platform)
    finally:
        engine.call("image", "rm", "--force", tag, check=False)


def test_the_platform_is_said_and_held_to(service: Service) -> None:
    (first, *_) = service.build().results
    assert f", {service.engine.platform}, " in first.measured
    with (service.folder / "taskflow.toml").open("a") as file:
        file.write('\n[build]\nplatforms = ["linux/s390x"]\n')
    done = subprocess.run(
        [sys.executable, "-m", "taskflow_containers", "smoke", "--only", "image.platform",
         "--image", f"{service.project.image('backend')}:dev"],
        cwd=service.folder, text=True, capture_output=True, check=False,
        env=os.environ,
    )  # fmt: skip
    assert done.returncode == 1
    assert "linux/s390x" in done.stdout


@pytest.mark.thorough
def test_what_is_emulated_is_not_judged_for_its_speed(service: Service) -> None:
    """An image that says it is another processor's runs here, as under emulation."""
    # Buildah 1.28 knows no BUILDPLATFORM.
    own = f"FROM --platform={service.engine.platform} ${{"
    replace("Dockerfile", "FROM ${", own)(service.folder)
    fault("late-handler")(service.folder)
    with (service.folder / "taskflow.toml").open("a") as file:
        file.write('\n[build]\nplatforms = ["linux/s390x"]\n')
    results = {
        result.id.removeprefix("smoke."): result
        for result in service.smoke(
            "image.platform", "image.user", "start", "health", "memory", "stop"
        )
    }
    assert failed([*results.values()]) == set(), results
    for id in ("image.platform", "image.user", "readiness", "liveness"):
        assert results[id].status is Status.PASSED, results[id]
    for id in ("start", "memory", "stop.starting"):
        assert results[id].status is Status.UNMEASURABLE, results[id]
        assert "linux/s390x is emulated by this" in results[id].detail
        assert "measured: " in results[id].detail


REMOVED = """#!/bin/sh
if [ "$1" = build ] && [ ! -e {once} ]; then
  touch {once}
  echo 'Error: checking if cached image exists from a previous build: getting top layer info: layer not known' >&2
  exit 125
fi
exec {client} "$@"
"""


@pytest.mark.each_engine
def test_an_image_that_vanishes_while_buildah_looks_at_it_is_no_fault(
    service: Service, tmp_path: Path
) -> None:
    if service.engine.builder is not Builder.BUILDAH:
        lacking("only Buildah gives up then")
    client = tmp_path / service.engine.client.name
    client.write_text(REMOVED.format(once=tmp_path / "once", client=service.engine.client))
    client.chmod(0o755)
    service.engine = changed(service.engine, client=client)
    assert failed(service.build().results) == set()
    assert (tmp_path / "once").exists()


def test_names_given_and_taken_by_several_at_once_are_not_lost(service: Service) -> None:
    image, engine, name = service.build().id, service.engine, service.project.image("backend")

    def lost(number: int) -> list[str]:
        found = []
        for turn in range(10):
            kept, passing = (f"{name}:{kind}-{number}-{turn}" for kind in ("k", "p"))
            engine.call("tag", image, passing)
            engine.call("tag", image, kept)
            engine.call("image", "rm", "--no-prune", passing)
            found += [] if engine.image_config(kept) else [kept]
            engine.call("image", "rm", "--no-prune", kept)
        return found

    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(lost, range(4))] == [[]] * 4
