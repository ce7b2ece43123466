"""`invoke doctor` names each thing once, with what mends it, and stands whatever is broken."""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from taskflow_containers.contract import composefile
from taskflow_containers.doctor import command, machine, outdated, project, support
from taskflow_containers.doctor.finding import Finding
from taskflow_containers.project import FILE_NAME
from taskflow_containers.report.waivers import today
from tests.conftest import ROOT, Render, git


@pytest.fixture(scope="module")
def remote(render: Render) -> Path:
    """A committed project whose branch is main."""
    folder = render()
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder)
    return folder


@pytest.fixture
def healthy(remote: Path, tmp_path: Path) -> Path:
    """A clone of it, to break."""
    git(tmp_path, "clone", "--quiet", str(remote), "clone")
    return tmp_path / "clone"


def commit(folder: Path) -> None:
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", "work")


def edit(name: str, old: str, new: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text("utf-8")
        assert re.search(old, text), old
        (folder / name).write_text(re.sub(old, new, text, count=1), "utf-8")

    return change


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(text.encode())


def committed(change: Callable[[Path], object]) -> Callable[[Path], object]:
    def both(folder: Path) -> None:
        change(folder)
        commit(folder)

    return both


def found(folder: Path) -> list[Finding]:
    return [one for look in project.LOOKS for one in command._findings(look, folder)]


def test_a_healthy_project_has_nothing_to_mend(healthy: Path) -> None:
    assert found(healthy) == []


def ignore_tools(folder: Path) -> None:
    (folder / ".git/info/exclude").write_text("tools/\n")
    git(folder, "rm", "-r", "--quiet", "--cached", "tools")
    git(folder, "commit", "--quiet", "--message", "as nobody saw it")


SOON, PAST = (f"{today() + timedelta(days=days)}" for days in (3, -1))
# What is done to a project → what is found, where, and what mends it.
DAMAGES: dict[str, tuple[Callable[[Path], object], str, str, str, bool]] = {
    "the model": (edit("taskflow.toml", "port = 8000", "port = 80000"), "must be 65535 or less", r"taskflow\.toml:\d+", "schema", False),
    "a waiver that ended": (edit("taskflow.toml", "expires = .*", f"expires = {PAST}"), "waiver of chart.findings KSV-0011 expired", "taskflow.toml", "later day", False),
    "a waiver that ends": (edit("taskflow.toml", "expires = .*", f"expires = {SOON}"), "KSV-0011 expires on", "taskflow.toml", "later day", True),
    "an old base": (edit("taskflow.toml", 'base = "node:24', 'base = "node:20'), "node 20 of node:20-alpine has had no", "frontend", "copier update", False),
    "no answers": (lambda f: (f / ".copier-answers.yml").unlink(), r"\.copier-answers\.yml is missing", "copier-answers", "git log", False),
    "new answers": (edit(".copier-answers.yml", "ci: github", "ci: none"), "not committed", "copier-answers", "git add", False),
    "no pin": (lambda f: (f / "tools/taskflow.txt").unlink(), "taskflow.txt is missing", "tools/taskflow.txt", "git checkout", False),
    "another pin": (edit("tools/taskflow.txt", "@[0-9a-f]{40}", "@" + "0" * 40), "names the commit 000000000000", "tools/taskflow.txt", "copier update", False),
    "ignored": (committed(write(".gitignore", ".env\n")), r"does not ignore \.nox/, \.venv/, reports/", ".gitignore", r">> \.gitignore", False),
    "a rule of one's own": (ignore_tools, r"git ignores tools/requirements-chart.txt and 6 more: no other clone", r"exclude:1:tools/$", r"git add --force tools/", False),
    "a secret": (committed(write(".env", "A=1\n")), "meant for secrets", ".env", "git rm --cached", False),
    "markers": (edit("README.md", "^", "<<<<<<< before\n=======\n>>>>>>> after\n"), "conflict markers", "README.md", "git add README.md", False),
    "a reject": (write("README.md.rej", "@@\n"), "could not apply", "README.md.rej", "rm README.md.rej", False),
    "dropped": (committed(write("backend/requirements-dev.in", "pytest\n")), "has no backend/requirements-dev.in any more", "requirements-dev.in", "group `dev`", False),
    "line ends": (write("backend/container/install.sh", "set -eu\r\n"), "Windows line ends", "install.sh", "renormalize", False),
    "a branch": (edit(".github/workflows/ci.yml", r"branches: \[main, ", "branches: [release, "), "no check runs on pushes to main", "ci.yml", "add main", False),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_wrong_is_found_and_nothing_else(name: str, healthy: Path) -> None:
    damage, what, where, mend, optional = DAMAGES[name]
    damage(healthy)
    (one,) = found(healthy)
    assert re.search(what, one.what), one
    assert re.search(where, one.where), one
    assert re.search(mend, one.mend), one
    assert one.optional is optional


def test_a_newer_version_is_found_where_the_template_can_be_asked(
    template: Path, healthy: Path, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "--quiet", str(template), "source")
    pin = edit("tools/taskflow.txt", r"git\+file://\S+@", f"git+file://{tmp_path / 'source'}@")
    pin(healthy)
    assert [*project.newer(healthy)] == []
    git(tmp_path / "source", "tag", "v0.3.0")
    git(tmp_path / "source", "tag", "v0.4.0rc1")
    (one,) = project.newer(healthy)
    assert one.what == "the template has v0.3.0, this project is of v0.1.0"
    edit("tools/taskflow.txt", r"git\+file://\S+@", "git+file:///nowhere@")(healthy)
    (one,) = project.newer(healthy)
    assert one.optional
    assert one.what.startswith("could not ask whether the template has a newer version")


def everything(folder: Path) -> None:
    """Break all files that are read, and git."""
    for name in (
        "taskflow.toml",
        ".copier-answers.yml",
        "tools/taskflow.txt",
        ".github/workflows/ci.yml",
    ):
        (folder / name).write_bytes(b"\xff{[\0")
    (folder / ".git/HEAD").write_text("nonsense")


@pytest.mark.parametrize("state", ["empty", "broken", "without a machine"])
def test_it_never_ends_in_a_traceback(state: str, healthy: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    folder = tmp_path / "empty" if state == "empty" else healthy
    env = {**os.environ, "HTTPS_PROXY": "http://user:secret@127.0.0.1:9"}
    if state == "broken":
        everything(folder)
    if state == "without a machine":
        env |= {"PATH": str(tmp_path / "empty"), "HOME": str(tmp_path), "TASKFLOW_ENGINE": "nosuch"}
    done = subprocess.run(
        [sys.executable, "-m", "taskflow_containers", "doctor", "--json"], cwd=folder, env=env,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    told = json.loads(done.stdout)
    if state == "empty":
        (one,) = told["this project"]
        assert one["mend"] == "run this in the project's top folder"
    assert {one["what"] for one in told["this project"]} or state == "without a machine"
    assert all(
        one["what"] and one["where"] and one["mend"] for part in told.values() for one in part
    )
    said = " ".join(one["what"] for one in told["this machine"])
    assert "the proxy 127.0.0.1:9 does not answer" in said
    assert "secret" not in done.stdout
    if state == "without a machine":
        for what in (
            "no container engine is called 'nosuch'",
            "no compose command",
            "git is not installed",
            "helm",
            "cosign",
        ):
            assert what in said


OLD = {  # what each program of a machine prints → what is found, and whether it is optional
    "docker": ("Docker version 20.10.18, build b40c2f6", "docker is 20.10.18, and 23.0", True),
    "docker buildx": ("github.com/docker/buildx v0.9.1-docker ed00243", "docker buildx is 0.9.1, and 0.10", False),
    "podman": ("podman version 3.4.4", "podman is 3.4.4, and 4.0", True),
    "docker compose": ("Docker Compose version dev", "`docker compose version` tells no version: Docker Compose version dev", True),
    "git": ("git version 1.8.3.1", "git is 1.8.3.1, and 2.27", False),
    "nox": ("2024.4.15", "nox is 2024.4.15, and 2025.10.14", False),
    "copier": ("copier 9.4.1", "copier is 9.4.1, and 9.11.0", False),
    "uv": ("uv 0.4.2 (abcdef 2024-08-28)", "uv is 0.4.2, and 0.4.27", True),
}  # fmt: skip
ODD = {
    "git": "printf '\\377\\000 v'",
    "nox": "kill -9 $$",
    "uv": "echo 99999999999999999999.1",
    "copier": "exit 3",
}


def programs(folder: Path, scripts: dict[str, str]) -> str:
    """A PATH on which these programs are, and no others."""
    folder.mkdir()
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return str(folder)


@pytest.mark.skipif(os.name == "nt", reason="the programs are shell scripts")
def test_outdated_programs_are_named_with_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = {name: f"echo '{said}'" for name, (said, *_) in OLD.items()}
    cases = " ".join(f"{one.split()[1]}) {lines.pop(one)};;" for one in [*lines] if " " in one)
    lines["docker"] = f'case "$1" in {cases} *) {lines["docker"]};; esac'
    monkeypatch.setenv("PATH", programs(tmp_path / "old", lines))
    told = [*outdated.outdated(Path())]
    assert [(one.what.partition(" or newer")[0], one.optional) for one in told] == [
        (what, optional) for _, what, optional in OLD.values()
    ]
    assert all("`" in one.mend and Path(one.where).is_file() for one in told)
    # Compose 1 is what `compose` says, and nothing else of it.
    path = programs(
        tmp_path / "v1", {"docker-compose": "echo docker-compose version 1.29.2, build 5becea4c"}
    )
    monkeypatch.setenv("PATH", path)
    composefile.program.cache_clear()  # of this machine's own
    (one,) = machine.compose(Path())
    composefile.program.cache_clear()
    assert one.what.startswith("docker-compose is 1.29.2, and 2.0 or newer is needed")
    # What is odd is said, or passed over; Podman under Docker's name is no old Docker.
    monkeypatch.setenv(
        "PATH", programs(tmp_path / "odd", {**ODD, "docker": "echo podman version 4.9.3"})
    )
    told = [*outdated.outdated(Path())]
    assert [one.what.partition(" tells no version")[0] for one in told] == [
        "`git --version`", "`nox --version`", "`copier --version`",
    ]  # fmt: skip
    assert all(one.optional for one in told)


def test_the_oldest_nox_and_copier_are_those_that_the_template_states() -> None:
    oldest = {one.words.split()[0]: one.oldest for one in outdated.NEEDED}
    assert f'nox.needs_version = ">={oldest["nox"]}"' in (ROOT / "template/noxfile.py").read_text()
    assert f'_min_copier_version: "{oldest["copier"]}"' in (ROOT / "copier.yml").read_text()


def test_findings_that_are_optional_fail_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stumbles(_: Path) -> list[Finding]:
        raise KeyError("x")

    (tmp_path / FILE_NAME).touch()
    monkeypatch.setattr(command, "PARTS", {"this machine": (stumbles,), "this project": ()})
    assert command.doctor(tmp_path, argparse.Namespace(json=False)) == 0
    shown = capsys.readouterr().out
    assert "optional: could not be looked at: KeyError: 'x'" in shown
    assert "this project: nothing to do" in shown


def test_an_engine_is_asked_and_a_proxy_that_answers_is_fine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (*machine._PROXIES, *map(str.lower, machine._PROXIES)):
        monkeypatch.delenv(name, raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("http_proxy", f"127.0.0.1:{server.getsockname()[1]}")
        assert [*machine.proxies(Path())] == []


@pytest.mark.parametrize(
    ("image", "ends"),
    [
        ("python:3.13-slim", {"python 3.13": date(2029, 10, 31)}),
        ("mirror.example:5000/x/python:3.9.18-slim-bookworm@sha256:0",
         {"python 3.9": date(2025, 10, 31), "debian bookworm": date(2028, 6, 30)}),
        ("node:22.3-alpine3.21", {"node 22": date(2027, 4, 30), "alpine 3.21": date(2026, 11, 1)}),
        ("postgres:17-alpine", {"postgres 17": date(2029, 11, 8)}),
        ("acme/base:7", {}),
        ("python", {}),
    ],
)  # fmt: skip
def test_how_long_a_base_is_supported(image: str, ends: dict[str, date]) -> None:
    assert dict(support.ends(image)) == ends
