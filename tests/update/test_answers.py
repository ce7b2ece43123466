"""Questions over the years: each answer of an earlier state is taken as it is, and nothing is asked again."""

from __future__ import annotations

import shutil
from pathlib import Path

import copier
import pytest
import yaml

from tests.conftest import ROOT, git
from tests.update.projects import start, update

ANSWERS = ".copier-answers.yml"
TEMPLATE = "template/{{ _copier_conf.answers_file }}.jinja"
GIVEN: tuple[dict[str, object], ...] = (
    {"project_name": "Tâche & Co", "registry": "ghcr.io/acme", "ci": "none", "database": False},
    {"project_name": "9", "slug": "shop", "containers": "backend", "ci": "gitlab"},
    {"containers": "frontend", "node_version": "22", "description": "It's [x] | y: 100 %"},
)
EARLIER = (
    []
    if git(ROOT, "rev-parse", "--is-shallow-repository").strip() == "true"
    else git(ROOT, "log", "--format=%H", "--", "copier.yml").split()
)


def questions(folder: Path, text: str) -> Path:
    """A template of these questions and no file but the answers file."""
    (folder / TEMPLATE).parent.mkdir(parents=True, exist_ok=True)
    (folder / "copier.yml").write_text(text, "utf-8")
    shutil.copy2(ROOT / TEMPLATE, folder / TEMPLATE)
    shutil.copy2(ROOT / "messages.jinja", folder)
    (folder / "adoption").mkdir(exist_ok=True)
    (folder / "adoption" / "files.jinja").write_text("[]")
    return folder


@pytest.mark.parametrize("state", EARLIER, ids=[state[:9] for state in EARLIER])
def test_the_answers_of_an_earlier_state_are_taken(state: str, tmp_path: Path) -> None:
    old = questions(tmp_path / "old", git(ROOT, "show", f"{state}:copier.yml"))
    new = questions(tmp_path / "new", (ROOT / "copier.yml").read_text("utf-8"))
    asked = yaml.safe_load(git(ROOT, "show", f"{state}:copier.yml"))
    today = yaml.safe_load((ROOT / "copier.yml").read_text("utf-8"))
    # A question of later is answered by its default, which has to keep a project as it was.
    fresh = {
        name: today[name]["default"] for name in ("licence", "code_owners") if name not in asked
    }
    assert fresh.items() <= {"licence": "none", "code_owners": ""}.items()
    for number, given in enumerate(GIVEN):
        project = tmp_path / str(number)
        copier.run_copy(str(old), project, data=given, defaults=True, quiet=True)
        text = (project / ANSWERS).read_text("utf-8")
        (project / ANSWERS).write_text(text.replace(str(old), str(new)), "utf-8")
        # Whoever is asked anything here is told that there is no terminal.
        copier.run_recopy(project, data=fresh, skip_answered=True, overwrite=True, quiet=True)
        before, after = (
            {key: value for key, value in yaml.safe_load(one).items() if key[0] != "_"}
            for one in (text, (project / ANSWERS).read_text("utf-8"))
        )
        assert after == before | fresh
        assert given.items() <= after.items()


def test_new_renamed_and_removed_questions(tmp_path: Path) -> None:
    """The policy of docs/updates.md, as copier keeps it."""
    template, project = tmp_path / "template", tmp_path / "project"
    texts = (
        "host: {type: str, default: example.com}\ngone: {type: str, default: x}\n",
        "domain: {type: str, default: \"{{ host | default('example.com') }}\"}\n"
        "fresh: {type: str, default: taken}\n",
    )
    for number, text in enumerate(texts):
        questions(template, f"_subdirectory: template\n{text}")
        if not number:
            git(template, "init", "--quiet")
        git(template, "add", "--all")
        git(template, "commit", "--quiet", "--message", "questions")
        git(template, "tag", f"v{number}.0.0")
    start(template, project, "v0.0.0", host="acme.example", gone="y")
    update(project)
    answers = yaml.safe_load((project / ANSWERS).read_text("utf-8"))
    assert {key: value for key, value in answers.items() if key[0] != "_"} == {
        "domain": "acme.example",
        "fresh": "taken",
    }
