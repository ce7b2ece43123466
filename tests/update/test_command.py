"""`invoke update`: a preview that changes nothing, an update that is whole or not at all, and what it says."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

import copier
import pytest

from taskflow_containers.machine.errors import EnvironmentTrouble, ExitCode, InputError
from taskflow_containers.project.markers import require_merged
from taskflow_containers.project.pin import BESIDE
from taskflow_containers.update import command, rendering
from tests.conftest import ROOT, git
from tests.update.projects import append, commit, start, tree

ANSWERS = "template/{{ _copier_conf.answers_file }}.jinja"
PACKAGE = '{\n  "dependencies": {\n    "next": "1"\n  }\n}\n'
QUESTIONS = """\
_subdirectory: template
_skip_if_exists: [/web/package-lock.json]
name: {type: str, default: shop}
"""
FILES: dict[str, str | None] = {
    "copier.yml": QUESTIONS,
    ANSWERS: (ROOT / ANSWERS).read_text("utf-8"),
    "template/README.md": "one\ntwo\nthree\nfour\n",
    "template/gone.txt": "gone\n",
    "template/old/gone.txt": "gone\n",
    "template/{% if name == 'acme' %}acme.txt{% endif %}": "of acme\n",
    "template/run.sh": "echo 1\n",
    "template/left/whole.txt": "left\n",
    "template/left/edited.txt": "left\n",
    "template/web/package.json": PACKAGE,
    "template/web/package-lock.json": '{"lockfileVersion": 3}\n',
    "template/api/requirements.in": "fastapi\n",
    "template/api/requirements.txt": "fastapi==1 \\\n    --hash=sha256:11\n",
}
LATER: dict[str, str | None] = {
    # What copier would delete unseen, the template names here: it leaves that where it is.
    "copier.yml": QUESTIONS + "_exclude: [/left]\nmore: {type: str, default: cream}\n",
    "template/README.md": "one\n2\nthree\nfour\n",
    "template/new.txt.jinja": "{{ name }} and {{ more }}\n",
    "template/web/package.json": PACKAGE.replace('"1"', '"2"'),
    "template/web/package-lock.json": '{"lockfileVersion": 3, "later": true}\n',
    "template/gone.txt": None,
    "template/old/gone.txt": None,
    "template/left/whole.txt": None,
    "template/left/edited.txt": None,
}


def write(folder: Path, files: dict[str, str | None]) -> None:
    for name, text in files.items():
        if text is None:
            (folder / name).unlink()
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, "utf-8")
    commit(folder)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small template in two versions."""
    folder = tmp_path_factory.mktemp("small")
    git(folder, "init", "--quiet")
    for number, files in enumerate((FILES, LATER)):
        write(folder, files)
        if number:
            (folder / "template/run.sh").chmod(0o755)
            git(folder, "commit", "--quiet", "--all", "--message", "run it")
        git(folder, "tag", f"v{number + 1}.0.0")
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    """A project of the first version."""
    folder = tmp_path / "project"
    start(template, folder, "v1.0.0", name="acme")
    return folder


def update(project: Path, **options: object) -> int:
    given = {"preview": False, "version": "", "answer": [], **options}
    return command.update(project, argparse.Namespace(**given))


def changed(project: Path) -> str:
    return git(project, "status", "--porcelain")


def program(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program first on PATH."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")


def test_unedited(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(project)
    assert update(project, preview=True) == ExitCode.OK
    told = capsys.readouterr().out
    assert "v1.0.0 -> v2.0.0" in told
    assert "added: new.txt\n" in told
    assert "removed: gone.txt\n" in told
    assert "changed: web/package-lock.json\n" in told
    assert "new question: more, answered by 'cream'\n" in told
    assert "Between them:\n  run it\n  work\n" in told
    assert tree(project) == before
    assert update(project, answer=["more=jam"]) == ExitCode.OK
    after = tree(project)
    assert after["new.txt"] == "acme and jam\n"
    assert os.access(project / "run.sh", os.X_OK)
    assert after["run.sh"] == before["run.sh"]
    assert after["web/package-lock.json"] == LATER["template/web/package-lock.json"]
    assert not (project / "old").exists()
    assert "_commit: v2.0.0" in after[".copier-answers.yml"]
    commit(project)
    assert update(project) == ExitCode.OK
    assert changed(project) == ""


def test_beside_another_templates_answers(template: Path, tmp_path: Path) -> None:
    project, other = tmp_path / "project", ".copier-answers.yml"
    copier.run_copy(
        str(template), project, defaults=True, quiet=True, vcs_ref="v1.0.0", answers_file=BESIDE
    )
    (project / other).write_text("_commit: v9\n_src_path: https://127.0.0.1:9/other.git\n")
    git(project, "init", "--quiet")
    commit(project)
    before = tree(project)
    assert update(project) == ExitCode.OK
    after = tree(project)
    assert "_commit: v2.0.0" in after[BESIDE]
    assert after["new.txt"] == "shop and cream\n"
    assert after[other] == before[other]
    assert update(project) == ExitCode.OK, "what is left of it, which is nothing"


def test_what_is_newer_than_the_newest_tag_goes_not_back(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later, project = tmp_path / "later", tmp_path / "project"
    git(tmp_path, "clone", "--quiet", str(template), "later")
    write(later, {"template/README.md": "later\n"})
    start(later, project, "HEAD")
    described = git(later, "describe", "--tags").strip()
    assert update(project) == ExitCode.OK
    assert (
        f"is of {described}, and the newest tag is v2.0.0, which is older"
        in capsys.readouterr().out
    )
    assert changed(project) == ""
    with pytest.raises(InputError, match=f"--version {described}"):
        update(project, answer=["more=jam"])


@pytest.mark.parametrize(
    ("one", "other", "is_older"),
    [
        ("v1.9.0", "v1.10.0", True),
        ("v1.10.0", "v1.9.0-3-g0123456", False),
        ("v2.0.0-1-g0123456", "v2.0.0-12-g6543210", True),
        ("v2.0.0", "v2.0.0", False),
        ("v2.0.0-rc.1", "v2.0.0", True),
        ("v2.0.0", "0123456", False),
    ],
)
def test_which_is_older(one: str, other: str, is_older: bool) -> None:
    assert rendering.older(one, other) is is_older


def test_edits_stay(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for setting in ("color.ui=always", "grep.fullName=true", "diff.external=false"):
        git(project, "config", *setting.split("="))
    # What resolves a lock file is run; where it fails, the lock stays.
    program(
        tmp_path,
        "npm",
        "echo new > package-lock.json; echo npm error offline >&2; exit 1",
        monkeypatch,
    )
    (project / "README.md").write_bytes(b"one\r\nmine\r\nthree\r\nfour\r\n")
    append(project / "gone.txt", "ours")
    own = '"1",\n    "zod": "4"'
    (project / "web/package.json").write_text(PACKAGE.replace('"1"', own), "utf-8")
    append(project / "web/package-lock.json", "")
    append(project / "api/requirements.in", "httpx")
    (project / "new.txt").mkdir()
    (project / "new.txt/mine.txt").write_text("ours\n")
    commit(project)
    assert update(project, preview=True) == ExitCode.CHECK_FAILED
    told = capsys.readouterr().out
    assert "conflict: README.md (lines 2-6)\n" in told
    assert "conflict: new.txt (new.txt is yours, and in its place)\n" in told
    assert "kept: yours now, the template has it no more: gone.txt\n" in told
    assert "removed: left/whole.txt\n" in told
    assert "merged with yours: web/package.json\n" in told
    assert "to be resolved again: web/package-lock.json\n" in told
    assert changed(project) == ""
    assert update(project) == ExitCode.CHECK_FAILED
    assert "--no-fund   # npm error offline" in capsys.readouterr().out
    after = tree(project)
    assert json.loads(after["web/package.json"]) == {"dependencies": {"next": "2", "zod": "4"}}
    assert after["gone.txt"] == "gone\nours\n"
    assert b"\r\n2\r\n" in (project / "README.md").read_bytes()
    assert git(project, "diff", "--name-only", "--diff-filter=U").split() == ["README.md"]
    assert after["new.txt/mine.txt"] == "ours\n"
    with pytest.raises(InputError, match=r"left: README\.md:2"):
        require_merged(project)
    assert after["web/package-lock.json"].endswith("\n\n")
    git(project, "reset", "--quiet", "--hard")
    git(project, "clean", "--quiet", "--force", "-d")
    (project / "README.md").unlink()
    shutil.rmtree(project / "new.txt")
    commit(project)
    assert update(project) == ExitCode.OK
    assert not (project / "README.md").exists()


def test_what_copier_left_is_finished(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    program(tmp_path, "npm", "echo new > package-lock.json", monkeypatch)
    manifest = project / "web/package.json"
    manifest.write_text(PACKAGE.replace('"1"', '"1",\n    "zod": "4"'), "utf-8")
    (project / "README.md").write_text("one\nmine\nthree\nfour\n")
    append(project / "gone.txt", "ours")
    append(project / "left/edited.txt", "ours")
    append(project / "acme.txt", "ours")
    commit(project)
    copier.run_update(project, {"name": "other"}, defaults=True, overwrite=True, quiet=True)
    assert not (project / "acme.txt").exists(), "copier deletes what another answer drops"
    with pytest.raises(InputError, match=r"README\.md:2, web/package\.json:3"):
        require_merged(project)
    with pytest.raises(InputError, match=r"v2\.0\.0 is not committed"):
        update(project, version="v1.0.0")
    before = tree(project)
    assert update(project, preview=True) == ExitCode.CHECK_FAILED
    assert tree(project) == before
    capsys.readouterr()
    assert update(project) == ExitCode.CHECK_FAILED
    told = capsys.readouterr().out
    assert "conflict: README.md (lines 2-6)\n" in told
    assert "merged with yours: web/package.json\n" in told
    # What the template has no more goes where nobody changed it, and is named and kept where they did.
    assert "removed: left/whole.txt\n" in told
    assert "git rm acme.txt gone.txt left/edited.txt" in told
    files = tree(project)
    assert "left/whole.txt" not in files
    assert files["acme.txt"] == "of acme\nours\n"
    assert (files["left/edited.txt"], files["gone.txt"]) == ("left\nours\n", "gone\nours\n")
    assert json.loads(manifest.read_text()) == {"dependencies": {"next": "2", "zod": "4"}}
    assert (project / "web/package-lock.json").read_text() == "new\n"
    assert git(project, "diff", "--name-only", "--diff-filter=U").split() == ["README.md"]
    # What somebody began to mend by hand is theirs; so is what git was told is merged.
    append(project / "README.md", "by hand")
    assert update(project) == ExitCode.CHECK_FAILED
    assert (project / "README.md").read_text().endswith("by hand\n")
    (project / "README.md").write_text("merged\n")
    git(project, "add", "README.md")
    assert update(project) == ExitCode.OK
    require_merged(project)
    commit(project)
    assert update(project) == ExitCode.OK


def test_an_interrupted_update_leaves_nothing(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(project / "web/package-lock.json", "")
    commit(project)
    before = tree(project)
    program(tmp_path, "npm", "echo half > package-lock.json; kill -INT $PPID; sleep 5", monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        update(project)
    assert tree(project) == before
    assert changed(project) == ""


def test_what_cannot_be_brought_back_is_named_and_the_rest_is_brought_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "web").mkdir()
    for name in ("web/a", "z"):
        (tmp_path / name).write_text("mine\n")
    with (
        pytest.raises(KeyboardInterrupt),
        command._whole_or_nothing(tmp_path, ["web/a", "web/new", "z"]),
    ):
        shutil.rmtree(tmp_path / "web")
        (tmp_path / "web").write_text("a file where the folder was")
        (tmp_path / "z").write_text("half")
        raise KeyboardInterrupt
    assert (tmp_path / "z").read_text() == "mine\n"
    assert "`git checkout -- FILE` brings them back: web/a\n" in capsys.readouterr().err


def test_what_is_refused(project: Path, template: Path) -> None:
    with pytest.raises(InputError, match="no value"):
        update(project, answer=["more"])
    with pytest.raises(InputError, match="nosuch"):
        update(project, answer=["nosuch=1"])
    with pytest.raises(InputError, match=r"v9\.9\.9"):
        update(project, version="v9.9.9")
    append(project / "README.md", "not committed")
    with pytest.raises(InputError, match=r"not committed: README\.md"):
        update(project)
    commit(project)
    answers = project / ".copier-answers.yml"
    text = answers.read_text()
    answers.write_text(text.replace(str(template), "https://127.0.0.1:9/none.git"))
    commit(project)
    with pytest.raises(EnvironmentTrouble):
        update(project)
    assert changed(project) == ""
    answers.write_text("- nothing\n")
    with pytest.raises(InputError, match=r"does not say which version.*\n  bring it back from git"):
        update(project, preview=True)
    with pytest.raises(
        InputError, match=r"is not here .*web.*\n  run this in the project's top folder"
    ):
        update(project / "web")
