"""A service in order passes on either engine; what a run says, keeps, repeats and refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace as with_
from pathlib import Path

import pytest

from taskflow_containers import smoke
from taskflow_containers.engine.client import Engine
from taskflow_containers.engine.leftovers import remove_kept, sweep
from taskflow_containers.machine.errors import ExitCode
from taskflow_containers.report.result import Status, judge
from taskflow_containers.smoke.command import merged
from taskflow_containers.smoke.stack import Stack
from tests.conftest import further
from tests.containers.conftest import (
    Service,
    failed,
    fault,
    left_over,
    replace,
    smoked,
    with_database,
)
from tests.release.conftest import Registry

pytestmark = pytest.mark.engine


def taskflow(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`taskflow_containers smoke` in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "taskflow_containers", "smoke", *words], cwd=folder, text=True,
        env=os.environ, capture_output=True, check=False,
    )  # fmt: skip


@pytest.mark.each_engine
def test_a_service_in_order_passes_every_check(service: Service) -> None:
    with_database(service.folder)
    results = service.smoke()
    assert failed(results) == set(), [(r.id, r.measured) for r in results if r.failed]
    quick = {
        f"smoke.{c.id}"
        for c in smoke.CHECKS
        if not c.full and c.concerns(service.project, service.project.containers["backend"])
    }
    assert {result.id for result in results} == quick
    for result in results:
        assert result.measured or result.status is Status.UNMEASURABLE
    assert left_over(service.engine, service.project) == ""


def test_a_crash_is_reported_with_the_last_words_of_the_container(service: Service) -> None:
    fault("crash")(service.folder)
    (result,) = [result for result in service.smoke() if result.failed]
    assert result.id == "smoke.start"
    assert result.measured == "ended with exit code 1"
    assert result.detail == "the disk is on fire"


def test_a_start_without_200_says_what_came_instead(service: Service) -> None:
    replace("taskflow.toml", '"/api/health"', '"/api/nowhere"')(service.folder)
    (result,) = [result for result in service.smoke("start") if result.failed]
    assert "answered 404, and no 200" in result.measured
    assert "answer /api/nowhere with 200" in result.fix


def test_a_required_variable_that_nobody_set_is_named(service: Service) -> None:
    fault("crash")(service.folder)
    replace("taskflow.toml", "environment = {", 'environment = { required = ["SHOP_KEY"],')(
        service.folder
    )
    (result,) = [result for result in service.smoke("start") if result.failed]
    assert result.fix.startswith("set SHOP_KEY where the smoke test is run")


def test_a_program_that_is_not_there_is_the_images_fault(service: Service) -> None:
    replace("Dockerfile", 'CMD ["python", "-u"', 'CMD ["nosuchprogram", "-u"')(service.folder)
    (result,) = [result for result in service.smoke() if result.failed]
    assert result.id == "smoke.start"
    assert result.measured == "its command cannot be started"
    assert "nosuchprogram" in result.detail
    assert left_over(service.engine, service.project) == ""


def test_what_did_not_start_is_not_passed_over_in_silence(service: Service) -> None:
    fault("crash")(service.folder)
    results = {result.id.removeprefix("smoke."): result for result in service.smoke()}
    project = service.project
    backend = project.containers["backend"]
    made = {c.id for c in smoke.CHECKS if not c.full and c.concerns(project, backend)}
    assert set(results) == made
    assert results["load"].status is Status.UNMEASURABLE
    assert results["load"].detail == "it did not start"


@contextmanager
def busy_machine() -> Iterator[None]:
    """Something else wants every CPU that there is."""
    loop = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(loop) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


@pytest.mark.thorough
def test_a_busy_machine_changes_no_verdict(service: Service) -> None:
    """These would: a probe's time limit, a signal that comes late, a start that takes long."""
    checks = ("start", "healthcheck", "stop.starting", "stop.busy")
    with_database(service.folder)
    with busy_machine():
        results = service.smoke(*checks)
        assert failed(results) == set(), [(r.id, r.measured) for r in results if r.failed]
        fault("late-handler")(service.folder)
        assert failed(service.smoke("stop.starting")) == {"smoke.stop.starting"}


UNLIMITED = """#!/bin/sh
case "$1" in
info) echo '{{"CgroupDriver":"none","MemoryLimit":false,"CpuCfsQuota":false}}'; exit ;;
pause) echo 'cannot pause: no cgroup' >&2; exit 1 ;;
esac
exec {client} "$@"
"""


def test_what_an_engine_cannot_limit_is_not_judged(service: Service, tmp_path: Path) -> None:
    """As rootless Docker and Podman on control groups of version 1, or with none handed down."""
    client = tmp_path / service.engine.client.name
    client.write_text(UNLIMITED.format(client=service.engine.client))
    client.chmod(0o755)
    service.engine = with_(service.engine, client=client)
    with_database(service.folder)
    asked = ("load", "stop.in-flight", "cold-start", "database")
    results = {result.id.removeprefix("smoke."): result for result in service.smoke(*asked)}
    assert failed([*results.values()]) == set(), results
    unjudged = {id for id, result in results.items() if result.status is Status.UNMEASURABLE}
    assert unjudged == {"memory", "swap", "growth", "cold-start", "stop.in-flight"}
    assert "paused: not tried" in results["database.requests"].measured


@pytest.mark.thorough
def test_several_variables_may_lead_to_one_database(service: Service) -> None:
    """As where it is given by its parts."""
    with_database(service.folder)
    replace(
        "taskflow.toml", '{ DATABASE_URL = "database" }',
        '{ DATABASE_URL = "database", DATABASE_HOST = "database" }\nconnects-as = { DATABASE_HOST = "host" }',
    )(service.folder)  # fmt: skip
    replace("taskflow.toml", '["DATABASE_URL"]', '["DATABASE_URL", "DATABASE_HOST"]')(
        service.folder
    )
    results = service.smoke("neon", "stop.in-flight")
    assert {(r.id, r.status) for r in results} == {
        ("smoke.neon", Status.PASSED), ("smoke.stop.in-flight", Status.PASSED)
    }  # fmt: skip


def test_a_probe_that_is_slower_than_its_own_limit_is_caught(service: Service) -> None:
    replace("Dockerfile", "--timeout=3s", "--timeout=1s")(service.folder)
    with (service.sources / "healthcheck.py").open("a") as file:
        file.write("import time\ntime.sleep(8)\n")
    for _ in range(3):  # while others have the CPU, the check is said to be not measurable
        (result,) = service.smoke("healthcheck")
        if result.status is not Status.UNMEASURABLE:
            break
    assert result.failed, result
    took = re.fullmatch(r"healthy, after (\d+\.\d) s", result.measured)
    assert float(took[1]) >= 8 if took else result.measured in {"starting", "unhealthy"}


def client_that(folder: Path, engine: Engine, script: str) -> Engine:
    """The engine behind a client that does something of its own, too."""
    client = folder / "docker"
    client.write_text(f"#!/bin/bash\n{script}\n")
    client.chmod(0o755)
    return with_(engine, client=client)


def test_another_kernels_process_ids_are_nobodys_here(service: Service, tmp_path: Path) -> None:
    """As from Docker Desktop, WSL 2 or dind at localhost: one of them lives here, too."""
    stranger = client_that(
        tmp_path, service.engine,
        f'set -o pipefail\n[ "$2" = inspect ] || exec {service.engine.client} "$@"\n'
        f"{service.engine.client} \"$@\" | sed 's/\"Pid\": [1-9][0-9]*/\"Pid\": {os.getpid()}/'",
    )  # fmt: skip
    with_database(service.folder)
    options = smoke.Options(smoke.select(["start", "load", "stop", "environment", "data"]))
    results = smoked(with_(service.workspace, engine=stranger), [service.build()], options)
    assert failed(results) == set(), [(r.id, r.measured) for r in results if r.failed]
    found = {result.id.removeprefix("smoke."): result for result in results}
    for id in ("stop.starting", "growth"):
        assert found[id].status is Status.UNMEASURABLE, found[id]
    # Nobody can say who waited for a CPU: where anybody did, no time is held against the image.
    for id in {"start", "stop", "stop.in-flight", "environment", "data", "restart"}:
        assert found[id].measured or "the machine was busy" in found[id].detail, found[id]


def test_no_value_is_in_a_command_line(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Command lines are everybody's to read: `ps`."""
    words = tmp_path / "words"
    watched = client_that(
        tmp_path,
        service.engine,
        f'printf "%s\\n" "$@" >> {words}\nexec {service.engine.client} "$@"',
    )
    with_database(service.folder)
    replace("taskflow.toml", '["DATABASE_URL"]', '["DATABASE_URL", "SIGNING_KEY"]')(service.folder)
    secret = "-----BEGIN KEY-----\nMIIE 'quoted' \"twice\" $HOME\n-----END KEY-----"
    monkeypatch.setenv("SIGNING_KEY", secret)
    image = service.build()
    with Stack(with_(service.workspace, engine=watched)) as stack:
        database = stack.start_service("database")
        database.add_role("another")
        running = stack.start(stack.workspace.target("backend", image.id))
        assert running.seconds_to_healthy is not None, running.last_words()
        given = (watched.inspect("container", running.handle) or {})["Config"]["Env"]
        assert f"SIGNING_KEY={secret}" in given
        assert f"DATABASE_URL={database.url()}" in given
        hidden = [
            "BEGIN KEY",
            "MIIE",
            database.password("another"),
            database.password(database.role),
        ]
    said = words.read_text()
    assert "SIGNING_KEY" in said
    assert [text for text in hidden if text in said] == []


@pytest.mark.parametrize(
    ("wrong", "caught"), [("pid-file", "restart"), further("sleeps-first", "stop.starting")]
)
def test_other_ways_to_fail_the_same_check(service: Service, wrong: str, caught: str) -> None:
    fault(wrong)(service.folder)
    assert failed(service.smoke(caught)) == {f"smoke.{caught}"}


def test_an_odd_document_of_routes_breaks_nothing(service: Service) -> None:
    fault("odd-routes")(service.folder)
    assert failed(service.smoke("load", "clock", "tmp-full")) == set()


@pytest.mark.each_engine
def test_a_leak_is_reported_as_killed_for_memory(service: Service) -> None:
    fault("leak")(service.folder)
    (memory,) = (r for r in service.smoke("load") if r.id == "smoke.memory")
    assert memory.failed
    assert memory.measured.startswith("killed")
    assert memory.measured.endswith("more than 100.0 MB of memory")


def test_any_image_is_judged_and_named(service: Service) -> None:
    image = service.build()
    reference = image.tags[0]
    done = taskflow(service.folder, "--image", reference, "--only", "image,identity")
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    report = json.loads((service.folder / "reports/smoke.json").read_text("utf-8"))
    assert report["images"] == {reference: image.id}
    assert {result["group"] for result in report["results"]} == {"image", "identity"}
    page = (service.folder / "reports/smoke.html").read_text("utf-8")
    assert image.id in page
    assert "<script" not in page
    assert "http" not in page.replace("http://127.0.0.1:8000/", "")


def test_an_image_built_elsewhere_is_pulled_by_its_digest(
    service: Service, registry: Registry
) -> None:
    engine, built = service.engine, service.build()
    name = f"{registry.host}/shop/faulty"
    engine.call("tag", built.id, f"{name}:1")
    engine.call("push", f"{name}:1")
    reference = f"{name}@{registry.tags['shop/faulty:1']}"
    engine.call("image", "rm", "--force", *built.tags, f"{name}:1", reference, check=False)
    try:
        done = taskflow(service.folder, "--image", reference, "--only", "image,readiness")
        assert done.returncode == ExitCode.OK, done.stdout + done.stderr
        report = json.loads((service.folder / "reports/smoke.json").read_text("utf-8"))
        assert list(report["images"]) == [reference]
        assert report["images"][reference].startswith("sha256:")
        registry.stop()
        unknown = f"{name}@sha256:{'0' * 64}"
        done = taskflow(service.folder, "--image", unknown)
        assert done.returncode == ExitCode.ENVIRONMENT
        assert len(done.stderr.strip().splitlines()) <= 2
    finally:
        engine.call("image", "rm", "--force", reference, check=False)


def test_a_kept_stack_stays_until_it_is_removed(service: Service) -> None:
    done = taskflow(service.folder, "--keep", "--only", "health.start,readiness,start")
    assert done.returncode == ExitCode.WRONG_INPUT
    done = taskflow(service.folder, "--keep", "--only", "readiness")
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    notes = json.loads((service.folder / "reports/smoke.json").read_text("utf-8"))["notes"]
    assert any(f"exec -it {service.project.name}-smoke-" in note for note in notes)
    assert any("invoke clean" in note for note in notes)
    sweep(service.engine, print)
    assert left_over(service.engine, service.project) != ""
    assert len(remove_kept(service.engine, service.project)) == 1
    assert left_over(service.engine, service.project) == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "identiy"], "no smoke check or group is called 'identiy'"),
        (["--only", ","], "--only names nothing"),
        (["--repeat", "0"], "--repeat 0 is no number of runs"),
        (["--keep", "--repeat", "2"], "exclude each other"),
        (["--image", "nobody=x:1"], "no container 'nobody'"),
        (["--image", "backend="], "names no image"),
        (["--image", "backend=a:1", "--image", "backend=b:1"], "two images of backend"),
        (["--only", "clock"], "add --full"),
        (["--only", "neon,page"], "none of these checks is made of backend: neon, page"),
    ],
)
def test_what_cannot_be_meant_is_one_message(
    service: Service, words: list[str], message: str
) -> None:
    done = taskflow(service.folder, *words)
    assert done.returncode == ExitCode.WRONG_INPUT
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2


def test_the_list_needs_no_engine(tmp_path: Path) -> None:
    done = taskflow(tmp_path, "--list")
    assert done.returncode == ExitCode.OK
    assert all(f"  {check.id}: {check.title}" in done.stdout for check in smoke.CHECKS)


def test_a_flake_is_counted() -> None:
    good, bad = (judge("smoke.load", "load", passed, container="a") for passed in (True, False))
    (result,) = merged([[good], [bad], [good]])
    assert result.failed
    assert "1 of 3 runs failed" in result.measured
