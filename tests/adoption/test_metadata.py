"""What an adopted Python application's own package is to importlib.metadata, by the code that its image's build runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PROJECT = """\
[project]
name = "Shop.Api"
version = "1.2"
scripts = {{ serve = "shop.run:main.start" }}
entry-points."shop.plugins" = {{ mail = "shop.mail" }}
{0}
"""
POETRY = "[tool.poetry]\nname = 'shop-api'\nversion = '1.2'\npackage-mode = {0}\n[tool.poetry.scripts]\nserve = 'shop.run:main.start'\n[tool.poetry.plugins.'shop.plugins']\nmail = 'shop.mail'\n"
BUILT = '[build-system]\nrequires = ["hatchling"]\n'
ASKED = """
import sys
from importlib.metadata import entry_points, version
print(version("shop-api"), *(e.name for e in entry_points(group="shop.plugins")), *(e.value for e in entry_points(group="console_scripts") if e.name == "serve"))
"""


def written(folder: Path, text: str, install: str) -> tuple[str, Path]:
    site = folder / "env" / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    site.mkdir(parents=True, exist_ok=True)
    (folder / "env" / "bin").mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(text)
    script = ROOT / "adoption" / "python" / "metadata.py"
    given = [str(script), str(folder / "env"), str(folder / "pyproject.toml"), install, "api"]
    words = [sys.executable, "-I", *given]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    return done.stderr.strip(), site


@pytest.mark.parametrize(
    ("text", "install"),
    [
        (PROJECT.format(BUILT), "uv"),
        (PROJECT.format("[tool.uv]\npackage = true"), "uv"),
        (PROJECT.format("[tool.pdm]\ndistribution = true"), "pdm"),
        (PROJECT.format(""), "poetry"),
        (PROJECT.format(""), "project"),
        (POETRY.format("true"), "poetry"),
    ],
)
def test_it_is_as_if_the_package_were_installed(tmp_path: Path, text: str, install: str) -> None:
    assert written(tmp_path, text, install)[0] == ""
    said, site = written(tmp_path, text, install)  # a second time, too
    assert said == ""
    words = [sys.executable, "-c", ASKED]
    done = subprocess.run(
        words, env={"PYTHONPATH": str(site)}, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["1.2", "mail", "shop.run:main.start"]
    (package := tmp_path / "shop").mkdir()
    (package / "run.py").write_text("class main:\n    start = staticmethod(lambda: 7)\n")
    script = (tmp_path / "env" / "bin" / "serve").read_text().split("\n", 1)[1]
    ran = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False, timeout=60)
    assert ran.returncode == 7


@pytest.mark.parametrize(
    ("text", "install"),
    [
        (PROJECT.format(""), "uv"),
        (PROJECT.format(BUILT), "requirements"),
        (PROJECT.format(BUILT + "[tool.uv]\npackage = false"), "uv"),
        (POETRY.format("false"), "poetry"),
        (BUILT, "uv"),
    ],
)
def test_what_its_tool_does_not_install_is_not_there(
    tmp_path: Path, text: str, install: str
) -> None:
    _, site = written(tmp_path, text, install)
    assert not [*site.iterdir()]


def test_a_computed_version_is_told(tmp_path: Path) -> None:
    said, site = written(tmp_path, "[project]\nname = 'x'\ndynamic = ['version']\n", "project")
    assert "0.0.0" in said
    assert "Version: 0.0.0" in (site / "x-0.0.0.dist-info" / "METADATA").read_text()


def test_a_package_that_is_installed_stays(tmp_path: Path) -> None:
    _, site = written(tmp_path, PROJECT.format(""), "uv")
    (site / "shop_api-1.0.dist-info").mkdir()
    written(tmp_path, PROJECT.format(""), "project")
    assert [one.name for one in site.iterdir()] == ["shop_api-1.0.dist-info"]
