"""helm and kubectl come from PATH or from a hashed package; else one message says how to get them."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taskflow_containers.cluster import helm
from taskflow_containers.machine.errors import EnvironmentTrouble, InputError
from taskflow_containers.machine.process import run

PACKAGED = sys.platform == "linux" and platform.machine().lower() in {"x86_64", "amd64"}
only_packaged = pytest.mark.skipif(not PACKAGED, reason="the package is for linux/amd64 alone")

CHART = """
apiVersion: v2
name: small
version: 1.2.3
icon: https://example.com/icon.png
"""
SCHEMA = '{"properties": {"size": {"type": "integer"}}}'
CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-{{ .Release.Namespace }}
data:
  size: {{ .Values.size | quote }}
  kubernetes: {{ .Capabilities.KubeVersion.Version }}
"""


@pytest.fixture
def no_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty PATH; what is put into the folder is on it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A chart of one object."""
    folder = tmp_path / "small"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(CHART)
    (folder / "values.yaml").write_text("size: 1\n")
    (folder / "values.schema.json").write_text(SCHEMA)
    (folder / "templates" / "config.yaml").write_text(CONFIG)
    return folder


def fake(folder: Path, version: str) -> Path:
    """A program called helm that says it is of that version."""
    program = folder / "helm"
    program.write_text(f"#!/bin/sh\necho '{version}'\n")
    program.chmod(0o755)
    return program


def test_helm_from_path_comes_first(no_path: Path) -> None:
    program = fake(no_path, "v3.14.0")
    assert helm.find() == program


@pytest.mark.parametrize("version", ["v3.13.3", "v2.17.0", "no version at all", ""])
def test_a_helm_that_is_too_old_is_named(no_path: Path, version: str) -> None:
    program = fake(no_path, version)
    with pytest.raises(EnvironmentTrouble) as caught:
        helm.find()
    assert str(program) in caught.value.message
    assert version in caught.value.message
    assert "3.14" in caught.value.hint


@only_packaged
def test_the_package_is_unpacked_once_by_two_runs_at_once(tmp_path: Path, no_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(helm.find, [tmp_path, tmp_path])
    assert first == second
    assert tmp_path / ".nox" in first.parents
    # One folder, and no half of another.
    assert [path.name for path in first.parent.parent.iterdir()] == [first.parent.name]
    assert run([first, "version", "--short"]).stdout.startswith("v")
    kubectl = helm.kubectl(tmp_path)
    assert run([kubectl, "version", "--client"]).returncode == 0
    # Nothing is fetched or unpacked again.
    stamp = first.stat().st_mtime_ns
    assert helm.find(tmp_path).stat().st_mtime_ns == stamp
    assert not list(no_path.iterdir())


@only_packaged
def test_neither_path_nor_package_is_one_message(
    no_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    for find, name in ((helm.find, "Helm 3.14"), (helm.kubectl, "kubectl")):
        with pytest.raises(EnvironmentTrouble) as caught:
            find(tmp_path)
        assert re.search(r"not on PATH, and \S+==\S+ cannot be had: ", caught.value.message)
        assert "\n" not in caught.value.message
        assert f"install {name}" in caught.value.hint
    # What a failed try leaves behind does not pass for the programs.
    assert not list((tmp_path / ".nox" / "tools" / "helm").iterdir())
    assert not list(no_path.iterdir())


def test_another_platform_has_no_package(no_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    with pytest.raises(EnvironmentTrouble, match="helm is not on PATH") as caught:
        helm.find(no_path)
    assert "install Helm 3.14" in caught.value.hint


def test_rendering_takes_release_namespace_values_and_version(chart: Path, tmp_path: Path) -> None:
    file = tmp_path / "more.yaml"
    file.write_text("size: 2\n")
    options = {"release": "a", "namespace": "b", "kube_version": "1.34.0"}
    [item] = helm.render(helm.find(), chart, values=[{"size": 3}, file], **options)
    assert item["metadata"]["name"] == "a-b"
    assert item["data"] == {"size": "2", "kubernetes": "v1.34.0"}
    [item] = helm.render(helm.find(), chart, values=[file, {"size": 3}])
    assert item["data"]["size"] == "3"


@pytest.mark.parametrize(
    ("template", "values", "message"),
    [
        (CONFIG, {"size": "big"}, "values.schema.json refuses the values: .*size.* integer"),
        ("{{ .Values.a.b }}", {}, "small/templates/config.yaml:1:.*nil pointer"),
        ('{{ fail "set a host" }}', {}, "small/templates/config.yaml.*set a host"),
        ("{{ nonsense }}", {}, 'function "nonsense" not defined'),
        ("a: b: c", {}, "YAML parse error on small/templates/config.yaml"),
    ],
)
def test_what_does_not_render_is_one_readable_line(
    chart: Path, template: str, values: dict[str, object], message: str
) -> None:
    (chart / "templates" / "config.yaml").write_text(template)
    with pytest.raises(InputError, match=message) as caught:
        helm.render(helm.find(), chart, values=[values])
    assert "\n" not in caught.value.message
    assert not caught.value.message.startswith("Error")
    assert "--debug" not in caught.value.message


def test_lint_finds_nothing_or_says_what(chart: Path) -> None:
    assert helm.lint(helm.find(), chart) == []
    assert any("size" in line for line in helm.lint(helm.find(), chart, values=[{"size": "big"}]))
    (chart / "templates" / "config.yaml").write_text("a: b: c")
    [line] = helm.lint(helm.find(), chart)
    assert "templates/config.yaml" in line
    shutil.rmtree(chart)
    assert helm.lint(helm.find(), chart)
