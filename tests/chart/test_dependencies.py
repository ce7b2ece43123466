"""A chart that depends on others: they are fetched where they are missing, and not into the sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from taskflow_containers.checks.chart import check_chart
from taskflow_containers.cluster import helm
from taskflow_containers.machine.errors import TaskflowError
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def own_helm(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Helm on PATH, and nothing of the person's own repositories."""
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    for name in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"HELM_{name}_HOME", str(tmp_path / name))


@pytest.fixture
def common(project: Path) -> Path:
    """A chart beside the project's own."""
    folder = project / "common"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: common\nversion: 1.0.0\n")
    return folder


@pytest.fixture
def charts(common: Path, program: Path, tmp_path: Path) -> Iterator[str]:
    """The URL of a repository that has that chart, too."""
    served = tmp_path / "served"
    subprocess.run([program, "package", "--destination", served, common], check=True)
    handler = partial(_Quiet, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        subprocess.run([program, "repo", "index", served, "--url", url], check=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield url
        server.shutdown()


def depend(project: Path, repository: str) -> Path:
    """Make the project's chart depend on it."""
    chart = project / "chart"
    (chart / "matrix.yaml").write_text("frontend: {both: {}}\n")  # it is what it is with any values
    with (chart / "Chart.yaml").open("a") as file:
        file.write(
            f'dependencies:\n  - {{name: common, version: ">=1.0.0", repository: "{repository}"}}\n'
        )
    return chart


def files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


@pytest.mark.parametrize("where", ["file://../common", "a repository"])
@pytest.mark.parametrize("locked", [False, True])
def test_a_dependency_is_fetched(
    where: str, locked: bool, charts: str, project: Path, program: Path, tmp_path: Path
) -> None:
    chart = depend(project, where if where.startswith("file:") else charts)
    if locked:
        subprocess.run([program, "dependency", "update", chart], check=True)
        shutil.rmtree(chart / "charts")
    before = files(chart)
    with helm.complete(program, chart) as whole:
        assert [path.name for path in (whole / "charts").iterdir()] == ["common-1.0.0.tgz"]
        assert helm.render(program, whole)
    results = check_chart(project, load(project / FILE_NAME), lambda _: None)
    assert [r.id for r in results if r.failed and r.id != "chart.findings"] == []
    assert files(chart) == before
    helm.fetch_dependencies(program, chart)
    subprocess.run([program, "package", "--destination", tmp_path, chart], check=True)
    (package,) = tmp_path.glob("*.tgz")
    with tarfile.open(package) as archive:
        assert any("/charts/common" in name for name in archive.getnames())


def test_one_that_is_there_is_not_asked_for(common: Path, project: Path, program: Path) -> None:
    chart = depend(project, "http://127.0.0.1:9")
    shutil.copytree(common, chart / "charts" / "common")
    with helm.complete(program, chart) as whole:
        assert whole == chart
    helm.fetch_dependencies(program, chart)
    assert [path.name for path in (chart / "charts").iterdir()] == ["common"]


def test_one_that_cannot_be_had_is_named(project: Path, program: Path) -> None:
    chart = depend(project, "file://../nowhere")
    with pytest.raises(TaskflowError, match="nowhere"), helm.complete(program, chart):
        pass
