"""What `adopt` says where it adds nothing, in a line or two and with an exit code."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from taskflow_containers.adopt import names, plan
from taskflow_containers.adopt.render import lay
from taskflow_containers.machine.errors import EnvironmentTrouble, InputError
from tests.adoption import application
from tests.conftest import ROOT

ADOPT = [sys.executable, "-m", "taskflow_containers", "adopt"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere", "--yes"], "is no folder"),
        (["file", "--yes"], "is no folder"),
        (["empty", "--yes"], "has no application that this template knows"),
        (["app"], "there is no terminal to ask at"),
        (["app", "--yess"], "unknown: --yess"),
        (["app", "--yes", "--data", "registy=ghcr.io/acme"], "no such question\n  write one of"),
        (["app", "--yes", "--data", "ci"], "no such question"),
        (["app", "--yes", "--data", "ci=jenkins"], "ci is one of github, gitlab, none"),
        (["app", "--yes", "--data", "registry=a b", "--template", str(ROOT)], "registry"),
        (["app", "--yes", "--template", "nowhere"], "there is no template in"),
        (["app", "--yes", "--template", "empty"], "is no template that can adopt"),
    ],
)
def test_what_is_refused_leaves_nothing(words: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    app = application.load("uv").copy(tmp_path / "app")
    before = sorted(app.rglob("*"))
    done = subprocess.run(
        [*ADOPT, *words], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(app.rglob("*")) == before
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_person_is_asked_again_where_an_answer_is_refused(tmp_path: Path) -> None:
    folder = application.load("worker").copy(tmp_path / "app")
    answers = ['bad"name', "", "jenkins", "none", "Fine", "", "", "n"]
    process, terminal = pty.fork()
    if process == 0:
        os.execv(ADOPT[0], [*ADOPT, str(folder), "--template", str(ROOT)])
    said = ""
    while True:
        try:
            text = os.read(terminal, 4096).decode("utf-8", "replace")
        except OSError:  # it has ended
            break
        said += text
        if not text:
            break
        if said.rstrip().endswith(":") and answers:
            os.write(terminal, f"{answers.pop(0)}\n".encode())
            said += "\n"
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert "question 'project_name'" in said
    assert "nothing was added" in said
    assert not (folder / "taskflow.toml").exists()


def test_what_breaks_off_takes_back_what_it_added(tmp_path: Path) -> None:
    rendered, root = tmp_path / "rendered", tmp_path / "root"
    for name in ("a/b/one", "two"):
        (rendered / name).parent.mkdir(parents=True, exist_ok=True)
        (rendered / name).write_text("ours")
    root.mkdir()
    (root / "two").write_text("theirs")
    with pytest.raises(InputError, match="is there already"):
        lay(rendered, root, ["a/b/one", "two"])
    assert [path.name for path in root.iterdir()] == ["two"]
    assert (root / "two").read_text() == "theirs"
    (root / "a").write_text("a file, where a folder is wanted")
    with pytest.raises((EnvironmentTrouble, InputError)):
        lay(rendered, root, ["a/b/one"])
    assert sorted(path.name for path in root.iterdir()) == ["a", "two"]


def test_no_name_of_theirs_is_taken_in_any_letters(tmp_path: Path) -> None:
    for name in ("Docker-Compose.YML", "NOXFILE.py", "taskflow_sessions.py", "Chart", "Tasks.py"):
        (tmp_path / name).touch()
    files = names.top_level(tmp_path, "github").files
    assert files["compose"] == "compose.taskflow.yaml"
    assert files["nox"] == "taskflow_sessions-2.py"
    assert files["chart"] == "chart-taskflow"
    assert files["tasks"] == "taskflow_tasks.py"
    assert files["ci"] == ".github/workflows/ci.yml"


@pytest.mark.parametrize(
    ("remote", "registry", "ci"),
    [
        ("git@github.com:Acme/Shop.git", "ghcr.io/acme", "github"),
        ("https://gitlab.com/acme/team/shop.git", "registry.gitlab.com/acme/team/shop", "gitlab"),
        ("https://git.example/acme/shop", "", "none"),
    ],
)
def test_the_remote_says_where_images_go(
    remote: str, registry: str, ci: str, tmp_path: Path
) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    subprocess.run(["git", "-C", str(tmp_path), "remote", "add", "origin", remote], check=True)
    answers = plan.usual_answers(tmp_path)
    assert (answers["registry"], answers["ci"]) == (registry, ci)
    assert answers["project_name"].lower() == "shop"
