"""The documentation says what the source says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from docs import generate
from tests.conftest import ROOT


@pytest.mark.parametrize("page", generate.PAGES, ids=lambda page: page.name)
def test_the_reference_is_current(page: Path) -> None:
    assert generate.PAGES[page]() == page.read_text(encoding="utf-8"), "run `nox -s docs`"


def test_every_value_of_the_chart_is_explained() -> None:
    page = generate.chart_values()
    schema = json.loads((ROOT / "template/chart/values.schema.json").read_text(encoding="utf-8"))
    settings = schema["definitions"]["settings"]["properties"]
    for name in schema["properties"].keys() - {"defaults"}:
        assert re.search(rf"`{name}\b", page), name
    for name in settings:
        assert re.search(rf"`(defaults|containers\.\w+)\.{name}\b", page), name


def test_the_sessions_and_tasks_that_the_readme_names_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    tasks = (ROOT / "tasks.py").read_text(encoding="utf-8")
    sessions = re.findall(r"bootstrap\.py (?:--provision )?(\w+)", readme)
    assert {"demo", "tests", "lint"} <= set(sessions)
    for session in sessions:
        assert f"def {session}(session: nox.Session)" in noxfile
    acts = re.findall(r"^\.venv/bin/invoke (\w+)", readme, re.MULTILINE)
    assert acts
    for task in acts:
        assert re.search(rf'def {task}\(|task="{task}"', tasks)
    install = re.search(r"^\.venv/bin/pip install (.+\.txt)", readme, re.MULTILINE)
    assert install
    for name in re.findall(r"-r (\S+)", install[1]):
        assert (ROOT / name).is_file()
        assert f"-r {name}" in tasks, "README.md and tasks.py install the same"
    assert ".venv/bin/pip install --no-deps --no-build-isolation -e ." in readme


def test_what_invoke_needs_is_installed_by_one_line() -> None:
    """Debian has no `python`, and its pip installs into environments only."""
    command = (
        "python3 -m venv .venv && .venv/bin/pip install --require-hashes -r tools/requirements.txt"
        " && .venv/bin/pip install --no-deps --no-build-isolation --force-reinstall -r tools/taskflow.txt"
    )
    for page in ("docs/tutorial.md", "copier.yml", "template/README.md.jinja", "template/tasks.py"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert command in text, page
        assert not re.search(r"(^|\s)python -m pip", text), page


def test_every_link_between_the_pages_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).is_file(), f"{page.name}: {target}"


def test_the_explanation_leads_to_each_checks_code() -> None:
    """Each id that is written out is in its module; each module of checks is in the table."""
    page = (ROOT / "docs" / "explanation.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "taskflow_containers"
    named = set()
    for ids, code in re.findall(r"^\| (`.+?`) \| .*? \| (`\S+\.py`.*) \|$", page, re.MULTILINE):
        modules = re.findall(r"`(\S+\.py)`", code)
        named |= set(modules)
        text = "".join((package / module).read_text(encoding="utf-8") for module in modules)
        for id in re.findall(r"`([\w.-]+)`", ids):
            assert f'"{id.partition(".")[2]}' in text or f'"{id}' in text, f"{id} in {code}"
    drills = {
        f"{path.parent.parent.name}/drills/{path.name}" for path in package.glob("*/drills/*.py")
    }
    assert {name for name in drills if not name.endswith(("__init__.py", "faults.py"))} <= named
