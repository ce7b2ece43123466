"""Fixture: copier asking the questions without writing a whole project."""

from __future__ import annotations

import shutil
from pathlib import Path

import copier
import pytest
import yaml

from tests.template.choices import ROOT, Ask

ANSWERS = "{{ _copier_conf.answers_file }}.jinja"


@pytest.fixture(scope="session")
def questions_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A template of these very questions and no file but the answers file, so it takes no time."""
    template = tmp_path_factory.mktemp("questions")
    (template / "template").mkdir()
    shutil.copy2(ROOT / "copier.yml", template)
    shutil.copy2(ROOT / "template" / ANSWERS, template / "template" / ANSWERS)
    return template


@pytest.fixture(scope="session")
def ask(questions_alone: Path, tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """`ask(slug="x", …)`: the answers that copier takes; raises what copier raises.

    What is refused must leave nothing behind.
    """

    def run(**answers: object) -> dict[str, object]:
        folder = tmp_path_factory.mktemp("asked") / "project"
        try:
            copier.run_copy(str(questions_alone), folder, data=answers, defaults=True, quiet=True)
        except Exception:
            assert not folder.exists()
            raise
        text = (folder / ".copier-answers.yml").read_text(encoding="utf-8")
        found: dict[str, object] = yaml.safe_load(text)
        return found

    return run
