"""The documentation says what the source says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from docs import generate, said, site, without_paths
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


def test_every_variable_of_the_tool_is_explained() -> None:
    read = [*(ROOT / "src").rglob("*.py"), ROOT / "template" / "noxfile.py"]
    named = {
        name for path in read for name in re.findall(r'"(TASKFLOW_\w+)"', path.read_text("utf-8"))
    }
    assert len(named) > 5
    assert named <= set(re.findall(r"`(TASKFLOW_\w+)`", generate.reference()))


def test_every_key_of_taskflow_toml_is_explained() -> None:
    for table, _, rows in generate.model_keys():
        assert not [row for row in rows if not row[-1].endswith(".")], table


def test_the_repository_says_how_it_is_run_and_what_invoke_needs() -> None:
    """`tests/test_docs_commands.py` holds that what stands there exists."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 120
    for session in ("demo", "tests"):
        assert f"python3 bootstrap.py --provision {session}" in readme
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tasks = (ROOT / "tasks.py").read_text(encoding="utf-8")
    install = re.search(r"^\.venv/bin/pip install (.+\.txt)", contributing, re.MULTILINE)
    assert install
    for name in re.findall(r"-r (\S+)", install[1]):
        assert (ROOT / name).is_file()
        assert f"-r {name}" in tasks, "CONTRIBUTING.md and tasks.py install the same"
    assert ".venv/bin/pip install --no-deps --no-build-isolation -e ." in contributing


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


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


def test_every_link_between_the_pages_leads_somewhere() -> None:
    """Pictures and pages of the repository, which the site's own build does not look at, included."""
    for page in PAGES:
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            assert (page.parent / target).is_file(), f"{page.name}: {target}"


def test_the_site_builds_without_a_warning_and_asks_no_host(tmp_path: Path) -> None:
    target = tmp_path / "site"
    assert not site.build(target)
    assert {page.stem for page in PAGES if page.parent != ROOT} == {
        page.stem for page in target.rglob("*.html") if page.stem != "404"
    }


def test_no_page_is_more_than_two_clicks_from_the_start() -> None:
    start = ROOT / "docs" / "index.md"
    near = {start}
    for _ in range(2):
        near |= {
            (page.parent / target).resolve()
            for page in near if page.suffix == ".md"
            for target in LINK.findall(page.read_text(encoding="utf-8"))
        }  # fmt: skip
    nav = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert page in near, f"{page.name} is far from the start"
        assert f'"{page.relative_to(ROOT / "docs").as_posix()}"' in nav, (
            f"{page.name} is in no menu"
        )


def test_every_message_says_what_now() -> None:
    """As far as the source tells: `…` alone is said by a function, and words that only describe are not known as such."""
    lacking = [
        row for _, row in said.messages_by_area() if not row[1] or row[1].startswith("nothing was")
    ]
    assert not lacking


def test_the_pictures_name_no_path_of_the_machine_that_made_them() -> None:
    head = "engine: docker 28.5 for linux/amd64 ({}), built by buildx"
    assert without_paths(head.format("/opt/an engine/bin/docker")) == head.format("docker")
    for picture in (ROOT / "docs").glob("*.svg"):
        assert not re.search(r"\(/[^()]*/(docker|podman)\)", picture.read_text("utf-8")), (
            picture.name
        )


def test_what_messages_name_is_there() -> None:
    """Messages and templates lead to pages by their place in the repository."""
    for path in [
        *(ROOT / "src").rglob("*.py"),
        *(ROOT / "template").rglob("*.*"),
        ROOT / "copier.yml",
    ]:
        if "node_modules" not in path.parts and path.is_file():
            text = path.read_text(encoding="utf-8", errors="ignore")
            for page in re.findall(r"\bdocs/[\w/-]+\.md", text):
                assert (ROOT / page).is_file(), f"{path.name}: {page}"


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
