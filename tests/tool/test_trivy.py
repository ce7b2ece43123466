"""What trivy finds is what it was asked for, whatever its variables and its configuration file say."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import cast

import pytest

from taskflow_containers.checks import scan, trivy
from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.errors import EnvironmentTrouble, InputError
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load
from taskflow_containers.report.result import Status
from taskflow_containers.workspace import Workspace
from tests.tool.images import layout

# Assembled here, so that this file holds no secret that a scanner would find.
TOKEN = "ghp_" + "a1B2c3D4e5F6" * 3
ASKED: list[str | Path] = ["filesystem", "--scanners=secret,misconfig", "--skip-check-update"]
VARIABLES = {
    "TRIVY_EXIT_CODE": "1",
    "TRIVY_SEVERITY": "CRITICAL",
    "TRIVY_SCANNERS": "license",
    "TRIVY_SKIP_FILES": "**/settings.ini",
    "TRIVY_SKIP_DIRS": "**/src",
    "TRIVY_IGNOREFILE": "ignored",
    "TRIVY_SECRET_CONFIG": "nothing.yaml",
    "TRIVY_MISCONFIG_SCANNERS": "kubernetes",
    "TRIVY_SERVER": "http://127.0.0.1:1",
    "TRIVY_FORMAT": "table",
}
CONFIGS = [
    "exit-code: 1\n",
    "severity: [CRITICAL]\n",
    "scan: {scanners: [license], skip-files: ['**/settings.ini']}\n",
    "ignorefile: ignored\n",
]


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a secret and a misconfiguration, where the command runs."""
    monkeypatch.chdir(tmp_path)
    return write(tmp_path)


def write(folder: Path) -> Path:
    (folder / "src").mkdir()
    (folder / "src/settings.ini").write_text(f"token = {TOKEN}\n")
    (folder / "src/Dockerfile").write_text("FROM scratch\nCOPY a /\n")
    (folder / "ignored").write_text("github-pat\nDS-0002\n")
    (folder / "nothing.yaml").write_text("disable-rules: [github-pat]\n")
    return folder


def found(sources: Path, output: Path) -> set[str]:
    """The rules that trivy names."""
    answer, error = trivy.trivy([*ASKED, sources / "src"], output)
    assert not error
    return {
        item.get("RuleID") or item["ID"]
        for target in answer["Results"]
        for kind in ("Secrets", "Misconfigurations")
        for item in target.get(kind, ())
    }


@pytest.fixture(scope="module")
def all_of_it(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = write(tmp_path_factory.mktemp("plain"))
    rules = found(folder, folder / "answer.json")
    assert {"github-pat", "DS-0002"} <= rules
    return rules


@pytest.mark.parametrize("variable", VARIABLES)
def test_no_variable_changes_what_is_found(
    variable: str, sources: Path, all_of_it: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, VARIABLES[variable])
    assert found(sources, sources / "answer.json") == all_of_it
    assert [line.split()[0] for line in trivy.unheeded(sources, "chart")] == [variable]


@pytest.mark.parametrize("config", CONFIGS)
def test_no_configuration_file_does(config: str, sources: Path, all_of_it: set[str]) -> None:
    (sources / "trivy.yaml").write_text(config)
    assert found(sources, sources / "answer.json") == all_of_it
    assert [line.split()[0] for line in trivy.unheeded(sources, "chart")] == ["trivy.yaml"]


@pytest.mark.parametrize("file", [".trivyignore", ".trivyignore.yaml"])
def test_no_file_of_waivers_does(file: str, sources: Path, all_of_it: set[str]) -> None:
    lines = "github-pat\nDS-0002\n"
    if file.endswith("yaml"):
        lines = "misconfigurations: [{id: DS-0002}]\nsecrets: [{id: github-pat}]\n"
    (sources / file).write_text(lines)
    assert found(sources, sources / "answer.json") == all_of_it
    assert [line.split()[0] for line in trivy.unheeded(sources, "chart")] == [file]


def test_where_its_databases_come_from_is_heeded(
    sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIVY_CACHE_DIR", str(sources / "cache"))
    monkeypatch.setenv("TRIVY_DB_REPOSITORY", "127.0.0.1:1/nowhere:2")
    assert "127.0.0.1:1" in trivy.download({})
    assert trivy.unheeded(sources, "chart") == []


def test_no_checks_that_lie_in_the_cache_do(
    sources: Path, all_of_it: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle of checks that trivy once fetched would take the place of its own, even an empty one."""
    checks = sources / "cache" / "policy"
    (checks / "content").mkdir(parents=True)
    (checks / "content" / ".manifest").write_text('{"roots": [""]}')
    fetched = {"Digest": "sha256:0", "DownloadedAt": "2026-11-01T00:00:00Z"}
    (checks / "metadata.json").write_text(json.dumps(fetched))
    monkeypatch.setenv("TRIVY_CACHE_DIR", str(sources / "cache"))
    assert found(sources, sources / "answer.json") == all_of_it


def test_no_module_of_the_user_s_home_does(
    sources: Path, all_of_it: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = sources / ".trivy" / "modules"
    modules.mkdir(parents=True)
    (modules / "any.wasm").write_bytes(b"no module, so that loading it would fail")
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(sources))
    assert found(sources, sources / "answer.json") == all_of_it
    assert [line.split()[0] for line in trivy.unheeded(sources, "chart")] == ["~/.trivy/modules"]


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", "3", "<html>", '{"@context": '])
def test_a_vex_document_that_is_none_is_named(text: str | None, tmp_path: Path) -> None:
    file = tmp_path / "ours.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(InputError, match=r"ours\.json"):
        trivy.heed([file])
    trivy.heed([])


def test_an_end_without_words_is_an_error(sources: Path) -> None:
    words = [*ASKED, "--exit-code=1", "--format=json", sources / "src"]
    assert trivy.call(words, sources / "answer.json", None, 60) == "exit code 1"


def pretend(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program in trivy's place; its $OUTPUT is where the answer goes."""
    program = folder / "pretender"
    program.write_text(
        f'#!/bin/sh\nfor OUTPUT in "$@"; do [ "$last" = --output ] && break; last=$OUTPUT; done\n{script}\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(trivy, "tool", lambda _: program)


@pytest.mark.skipif(os.name == "nt", reason="the pretender is a shell script")
@pytest.mark.parametrize(
    ("script", "words"),
    {
        "no file": ("exit 0", "cannot be read"),
        "an empty file": (': >"$OUTPUT"', "cannot be read"),
        "half a file": ("""printf '{"SchemaVersion": 2, "Resu' >"$OUTPUT\"""", "cannot be read"),
        "no text": ("""printf '\\377\\376' >"$OUTPUT\"""", "cannot be read"),
        "a list": ("echo '[]' >\"$OUTPUT\"", "no report"),
        "null": ("echo null >\"$OUTPUT\"", "no report"),
        "an empty object": ("echo '{}' >\"$OUTPUT\"", "no report"),
        "another schema": ("""echo '{"SchemaVersion": 3}' >"$OUTPUT\"""", "no report"),
        "no end": ("exec sleep 60", "no answer within"),
    }.values(),
)  # fmt: skip
def test_what_is_no_report_is_no_answer(
    script: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(tmp_path, monkeypatch, script)
    monkeypatch.setattr(trivy, "_SECONDS", 2)
    output = tmp_path / "answer.json"
    output.write_text('{"SchemaVersion": 2, "Results": []}')  # of an earlier run
    with pytest.raises(EnvironmentTrouble, match=words):
        trivy.trivy(ASKED, output)


@pytest.mark.skipif(os.name == "nt", reason="the pretender is a shell script")
@pytest.mark.parametrize("script", ["kill -9 $$", "exit 1", "exit 5"])
def test_whatever_ends_badly_is_an_error(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote = """echo '{"SchemaVersion": 2}' >"$OUTPUT\""""
    pretend(tmp_path, monkeypatch, f"{wrote}\n{script}")
    answer, error = trivy.trivy(ASKED, tmp_path / "answer.json")
    assert not answer
    assert error.startswith("exit code")


@pytest.mark.skipif(os.name == "nt", reason="it holds the lock as POSIX does")
def test_a_cache_that_another_run_has_locked_delays_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    monkeypatch.setenv("TRIVY_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "cache" / "fanal").mkdir(parents=True)
    layout([{"a": b""}], tmp_path / "image")
    with (tmp_path / "cache" / "fanal" / "fanal.db").open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        asked: list[str | Path] = ["image", "--input", tmp_path / "image", "--scanners=license"]
        answer, error = trivy.trivy(asked, tmp_path / "answer.json")
    assert not error
    assert answer["ArtifactType"] == "container_image"


def test_only_what_the_model_names_is_judged(project: Path) -> None:
    """An owner's own Dockerfile or chart is named in one row; a declared one fails as it is."""
    root = 'FROM python:3.13-slim\nCMD ["python"]\n'
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n"
    pod += "  - {name: x, image: x:1, securityContext: {privileged: true}}\n"
    for name, text in {
        "old/Dockerfile": f"# trivy:ignore:DS-0002\n{root}",
        "frontend/Dockerfile.dev": root,
        "charts/theirs/Chart.yaml": "apiVersion: v2\nname: theirs\nversion: 1.0.0\n",
        "charts/theirs/templates/pod.yaml": pod,
    }.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    (project / "backend/Dockerfile").write_text(root)
    (project / "chart/templates/pod.yaml").write_text(pod)
    workspace = Workspace(project, load(project / FILE_NAME), cast(Engine, None))
    judged = {one.id: one for one in scan._sources(workspace)}
    found, aside = judged["scan.misconfiguration"], judged["scan.undeclared"]
    assert (found.status, aside.status) == (Status.FAILED, Status.SKIPPED)
    assert {line.split()[1].partition(":")[0] for line in found.detail.splitlines()} == {
        "backend/Dockerfile",
        "chart/templates/pod.yaml",
    }
    assert aside.detail.partition(": ")[2].splitlines() == [
        "charts/theirs/templates/pod.yaml",
        "frontend/Dockerfile.dev",
        "old/Dockerfile",
    ]
