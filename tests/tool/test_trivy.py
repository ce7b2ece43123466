"""What trivy finds is what it was asked for, whatever its variables and its configuration file say."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskflow_containers.checks import trivy
from taskflow_containers.machine.errors import EnvironmentTrouble

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
    assert [line.split()[0] for line in trivy.unheeded(sources)] == [variable]


@pytest.mark.parametrize("config", CONFIGS)
def test_no_configuration_file_does(config: str, sources: Path, all_of_it: set[str]) -> None:
    (sources / "trivy.yaml").write_text(config)
    assert found(sources, sources / "answer.json") == all_of_it
    assert [line.split()[0] for line in trivy.unheeded(sources)] == ["trivy.yaml"]


@pytest.mark.parametrize("file", [".trivyignore", ".trivyignore.yaml"])
def test_no_file_of_waivers_does(file: str, sources: Path, all_of_it: set[str]) -> None:
    lines = "github-pat\nDS-0002\n"
    if file.endswith("yaml"):
        lines = "misconfigurations: [{id: DS-0002}]\nsecrets: [{id: github-pat}]\n"
    (sources / file).write_text(lines)
    assert found(sources, sources / "answer.json") == all_of_it
    assert [line.split()[0] for line in trivy.unheeded(sources)] == [file]


def test_where_its_databases_come_from_is_heeded(
    sources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIVY_CACHE_DIR", str(sources / "cache"))
    monkeypatch.setenv("TRIVY_DB_REPOSITORY", "127.0.0.1:1/nowhere:2")
    asked: list[str | Path] = ["filesystem", "--scanners=vuln", sources]
    answer, error = trivy.trivy(asked, sources / "answer.json")
    assert not answer
    assert "127.0.0.1:1" in error
    assert trivy.unheeded(sources) == []


def test_an_end_without_words_is_an_error(sources: Path) -> None:
    words = [*ASKED, "--exit-code=1", "--format=json", sources / "src"]
    assert trivy.call(words, sources / "answer.json", None, 60) == "exit code 1"


def test_what_cannot_be_read_is_no_answer(sources: Path) -> None:
    with pytest.raises(EnvironmentTrouble, match="cannot be read"):
        trivy.trivy(["filesystem", "--help"], sources / "answer.json")
