"""`nox -l` and `invoke --list` read like menus; wrong use is answered by one message and a code."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import taskflow_containers
from taskflow_containers.engine import compose
from tests.conftest import ROOT

SESSIONS = ("lint", "build", "scan", "smoke", "chart")
TASKS = (
    "build",
    "up",
    "down",
    "logs",
    "ps",
    "tag",
    "release",
    "verify",
    "policy",
    "clean",
    "doctor",
)
INSTALL = (
    "python3 -m venv .venv && .venv/bin/pip install --require-hashes -r tools/requirements.txt"
    " && .venv/bin/pip install --no-deps --no-build-isolation --force-reinstall -r tools/taskflow.txt"
)
# Runs invoke as if the named module had never been installed.
WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from invoke.main import program
program.run(["invoke", *sys.argv[2:]])
"""


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run this Python in a folder, colours off."""
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
    environment.pop("FORCE_COLOR", None)
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True,
        check=False, timeout=600,
    )  # fmt: skip


def load(path: Path) -> ModuleType:
    """Import a file by its path under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"rendered_{path.stem}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def one_message(done: subprocess.CompletedProcess[str], code: int, message: str) -> None:
    """The exit code, and a message of two lines at most in place of a traceback."""
    assert done.returncode == code, done.stderr
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2


def test_nox_lists_a_menu(sample: Path) -> None:
    done = python(sample, "-m", "nox", "-l")
    assert done.returncode == 0, done.stderr
    menu = dict(re.findall(r"^\* (\w+) -> (.+)$", done.stdout, re.MULTILINE))
    assert tuple(menu) == SESSIONS
    for description in menu.values():
        assert 20 <= len(description) <= 100, description
    assert "nox" in done.stdout.splitlines()[0]


def test_invoke_lists_a_menu(sample: Path) -> None:
    done = python(sample, "-m", "invoke", "--list")
    assert done.returncode == 0, done.stderr
    menu = dict(re.findall(r"^  (\S+) {2,}(\S.+)$", done.stdout, re.MULTILINE))
    assert set(menu) >= set(TASKS)
    for description in menu.values():
        assert 20 <= len(description) <= 100, description


def test_invoke_lists_from_a_folder_below(sample: Path) -> None:
    done = python(sample / "backend", "-m", "invoke", "--list")
    assert done.returncode == 0, done.stderr
    assert "build" in done.stdout


@pytest.mark.parametrize("task", TASKS)
def test_every_option_has_help(task: str, sample: Path) -> None:
    arguments = load(sample / "tasks.py").namespace[task].get_arguments()
    assert arguments
    for argument in arguments:
        assert len(argument.help or "") > 10, f"{task} --{argument.name}"


def test_invoke_explains_a_task(sample: Path) -> None:
    done = python(sample, "-m", "invoke", "--help", "build")
    assert done.returncode == 0, done.stderr
    for words in ("--container", "a name from taskflow.toml", "--no-cache", "--engine", "podman"):
        assert words in done.stdout


@pytest.mark.parametrize("module", ["pydantic", "yaml"])
def test_invoke_says_what_is_missing(module: str, sample: Path) -> None:
    done = python(sample, "-c", WITHOUT, module, "build")
    one_message(
        done, 4, rf"build: {module} is not installed beside .*\n  .* the first lines of tasks.py"
    )


def test_invoke_says_how_to_install_the_tool(sample: Path) -> None:
    done = python(sample, "-c", WITHOUT, "taskflow_containers", "--list")
    one_message(done, 1, rf"taskflow_containers is not installed here.*\n  {re.escape(INSTALL)}")


def test_what_to_install_is_what_is_needed(sample: Path) -> None:
    path = "tools/requirements.txt"
    text = (sample / path).read_text(encoding="utf-8")
    packages = re.findall(r"^([\w.-]+)==", text, re.MULTILINE)
    assert {"invoke", "pydantic", "pyyaml", "rich", "hatchling"} <= set(packages)
    assert text.count("--hash=sha256:") >= len(packages)
    assert INSTALL in (sample / "README.md").read_text(encoding="utf-8")
    assert INSTALL in (sample / "tasks.py").read_text(encoding="utf-8").split('"""')[1]


def make_folder(path: Path) -> None:
    """Put a folder where a file was."""
    path.unlink()
    path.mkdir()


Break = Callable[[Path], object]
BROKEN: dict[str, tuple[Break, str]] = {
    "absent": (lambda path: path.unlink(), r"taskflow\.toml is not here"),
    "folder": (make_folder, r"taskflow\.toml cannot be read"),
    "binary": (lambda path: path.write_bytes(b"\xff\xfe\0"), r"taskflow\.toml.*(UTF-8|utf-8)"),
    "not TOML": (
        lambda path: path.write_text('name = "a"\nname =\n'),
        r"taskflow\.toml:2: not valid TOML",
    ),
    "empty": (lambda path: path.write_text(""), r"taskflow\.toml: .*is missing"),
    "wrong port": (
        lambda path: path.write_text(path.read_text().replace("port = 8000", "port = 80000")),
        r"taskflow\.toml:\d+: containers\.backend\.port: .*65535",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("command", [("taskflow_containers", "lint"), ("invoke", "build")])
def test_unusable_model(case: str, command: tuple[str, str], project: Path) -> None:
    damage, message = BROKEN[case]
    damage(project / "taskflow.toml")
    done = python(project, "-m", *command)
    assert done.returncode == 2, done.stderr
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("taskflow_containers", "lint", "nosuch"),
        ("taskflow_containers", "build", "backend", "nosuch"),
        ("invoke", "build", "--container", "nosuch"),
    ],
)
def test_unknown_container(command: tuple[str, ...], sample: Path) -> None:
    done = python(sample, "-m", *command)
    one_message(done, 2, r"unknown container: nosuch\n.*taskflow\.toml has: backend, frontend")


@pytest.mark.parametrize(
    "command", [("taskflow_containers", "build"), ("invoke", "build"), ("invoke", "ps")]
)
def test_an_engine_that_cannot_be_run(
    command: tuple[str, ...], sample: Path, tmp_path: Path
) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\n")
    for path, message in ((tmp_path / "docker", "it is not executable"), (tmp_path, "a folder")):
        done = python(sample, "-m", *command, f"--engine={path}")
        one_message(done, 3, f"{command[1]}: {path} cannot be run: .*{message}\n")


@pytest.mark.parametrize(
    "tail", ["abc", "-5", "1.5", "", " ", "1e3", "+1", "٣", "1" * 30, "ALL", "0"]
)
def test_a_number_of_lines_that_is_none(tail: str, sample: Path) -> None:
    done = python(sample, "-m", "invoke", "logs", f"--tail={tail}")
    one_message(done, 2, r"logs: --tail .*(is no number of lines|shows nothing)\n  .*--tail 100")


@pytest.mark.parametrize(
    ("tail", "follow"), [("1", False), ("999999999", False), ("all", False), ("0", True)]
)
def test_a_number_of_lines(tail: str, follow: bool) -> None:
    assert compose.tail(tail, follow=follow) == tail


def test_no_option_is_parsed_by_invoke_itself(sample: Path) -> None:
    """What it cannot parse ends in its traceback."""
    tasks = load(sample / "tasks.py")
    for task in TASKS:
        for argument in tasks.namespace[task].get_arguments():
            assert argument.kind in {str, bool, list}, f"{task} --{argument.name}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), ("taskflow_containers: the following arguments are required: COMMAND", "--help")),
        (("deplo",), ("taskflow_containers: unknown: deplo", "write deploy")),
        (("lint", "--nosuch"), ("lint: unknown: --nosuch", "lint --help")),
        (("lint", "--offline"), ("lint: unknown: --offline", "lint --help")),
    ],
)
def test_unknown_option(
    words: tuple[str, ...], said: tuple[str, str], sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOX_CURRENT_SESSION", "theirs")
    done = python(sample, "-m", "taskflow_containers", *words)
    assert done.returncode == 2
    what, now = done.stderr.splitlines()
    assert what == said[0]
    assert said[1] in now
    monkeypatch.setenv("NOX_CURRENT_SESSION", "lint")
    asked = python(sample, "-m", "taskflow_containers", *words).stderr
    assert ("`nox -s lint -- --help`" in asked) == (words[:1] == ("lint",))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--resume", "--dry-run"), "--resume and --dry-run exclude each other"),
        (("--abort", "--dry-run"), "--abort and --dry-run exclude each other"),
        (("--abort", "--resume"), "--abort and --resume exclude each other"),
        (("--resume", "--version", "1.2.3"), "--resume and other options exclude each other"),
        (("--abort", "--bump", "major"), "--abort and other options exclude each other"),
    ],
)
@pytest.mark.parametrize("folder", ["sample", "template"])
def test_an_unfinished_release_keeps_its_plan(
    words: tuple[str, ...], message: str, folder: str, sample: Path
) -> None:
    where = sample if folder == "sample" else ROOT
    one_message(python(where, "-m", "invoke", "release", *words), 2, message)


def test_nox_installs_nothing_without_an_environment(noxfile: ModuleType) -> None:
    ran: list[tuple[object, ...]] = []
    session = SimpleNamespace(
        virtualenv=SimpleNamespace(is_sandboxed=False),
        posargs=[],
        run=lambda *words, **_: ran.append(words),
    )
    noxfile.taskflow(session, "lint")
    assert ran == [("python", "-m", "taskflow_containers", "lint")]


def test_outside_of_a_project(tmp_path: Path) -> None:
    done = python(tmp_path, "-m", "taskflow_containers", "lint")
    one_message(done, 2, r"taskflow\.toml is not here \(.+\)\n.*project's top folder")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def noxfile(sample: Path) -> ModuleType:
    return load(sample / "noxfile.py")


# Runs a module as if by Python 3.10.
OLD = """
import platform, runpy, sys
import invoke.main, nox._cli
sys.version_info, platform.python_version = (3, 10, 12, "final", 0), lambda: "3.10.12"
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    "words", [("invoke", "--list"), ("nox", "-l"), ("taskflow_containers", "lint")]
)
def test_an_older_python_is_told_in_one_line(words: tuple[str, ...], sample: Path) -> None:
    done = python(sample, "-W", "ignore", "-c", OLD, *words)
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert line.endswith(" needs Python 3.11 or newer, this is 3.10.12")


def test_an_older_python_reads_as_far_as_that_line(sample: Path) -> None:
    package = Path(str(taskflow_containers.__file__))
    for file in (sample / "tasks.py", sample / "noxfile.py", package, ROOT / "bootstrap.py"):
        text = file.read_text("utf-8")
        ast.parse(text, feature_version=(3, 6))
        assert "from __future__ import annotations" not in text  # 3.6 does not know it


@pytest.fixture
def adopted(project: Path) -> Path:
    """A project whose owner has a noxfile.py and a chart; ours have other names."""
    (project / "noxfile.py").rename(project / "taskflow_sessions.py")
    (project / "tasks.py").rename(project / "taskflow_tasks.py")
    (project / "tools").rename(project / "tools-taskflow")
    with (project / "taskflow.toml").open("a", encoding="utf-8") as file:
        file.write('\n[files]\nchart = "own-chart"\ntools = "tools-taskflow"\n')
    (project / "noxfile.py").write_text(OWN_NOXFILE, encoding="utf-8")
    return project


OWN_NOXFILE = """
import nox

@nox.session
def lint(session):
    \"\"\"Their own check.\"\"\"

@nox.session(default=False)
def docs(session):
    \"\"\"Their own pages.\"\"\"

import sys; sys.path.append("."); import taskflow_sessions
print("options:", nox.options.reuse_venv, nox.options.default_venv_backend)
"""


def test_sessions_beside_a_noxfile_of_ones_own(
    adopted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a session of theirs nor what `nox` alone runs is another than before."""
    programs = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", os.pathsep.join([programs, os.environ["PATH"]]))
    done = python(adopted, "-P", "-m", "nox", "-l")
    assert done.returncode == 0, done.stderr
    menu = dict(re.findall(r"^[*-] (\S+).* -> (.+)$", done.stdout, re.MULTILINE))
    ours = [f"taskflow-{name}" for name in (*SESSIONS, "cluster")]
    assert sorted(menu) == sorted(["lint", "docs", *ours])
    assert menu["lint"] == "Their own check."
    assert re.findall(r"^\* (\S+)", done.stdout, re.MULTILINE) == ["lint"]
    assert "options: no virtualenv" in done.stdout  # nox's own
    tagged = python(adopted, "-P", "-m", "nox", "-l", "-t", "taskflow").stdout
    assert re.findall(r"^\* taskflow-(\S+)", tagged, re.MULTILINE) == list(SESSIONS)
    assert load(adopted / "taskflow_sessions.py").folder("tools") == "tools-taskflow"
    # It runs the tool, whose exit code ends nox, as in a noxfile of the template's own.
    done = python(adopted, "-P", "-m", "nox", "--no-venv", "-s", "taskflow-lint", "--", "nosuch")
    assert done.returncode == 2
    assert "unknown container: nosuch" in done.stdout + done.stderr
    done = python(adopted, "-P", "-m", "nox", "--no-venv", "-s", "taskflow-chart")
    assert done.returncode == 0 and "there is no own-chart/ here" in done.stderr
    done = python(adopted, "-P", "-W", "ignore", "-c", OLD, "nox", "-l")
    assert done.returncode == 0, done.stderr
    done = python(
        adopted, "-P", "-W", "ignore", "-c", OLD, "nox", "-s", "taskflow-lint", "--no-venv"
    )
    assert done.returncode == 4
    assert "taskflow_sessions.py needs Python 3.11 or newer, this is 3.10.12" in done.stderr


OWN_TASK = """
from invoke import Collection, task

@task
def build(_):
    \"\"\"Their own build.\"\"\"
    print("theirs")
"""
OWN_TASKS = {
    "without a namespace": (f"{OWN_TASK}\nfrom taskflow_tasks import *\n", "taskflow-build"),
    "the import first": (f"from taskflow_tasks import *\n{OWN_TASK}", "taskflow-build"),
    "with a namespace": (
        f"{OWN_TASK}\nns = Collection(build)\n"
        'import taskflow_tasks; ns.add_collection(taskflow_tasks, "taskflow")\n',
        "taskflow.build",
    ),
}


@pytest.mark.parametrize("case", OWN_TASKS)
def test_tasks_beside_a_file_of_ones_own(case: str, adopted: Path) -> None:
    text, ours = OWN_TASKS[case]
    (adopted / "tasks.py").write_text(text, encoding="utf-8")
    done = python(adopted, "-P", "-m", "invoke", "--list")
    assert done.returncode == 0, done.stderr
    menu = dict(re.findall(r"^  (\S+) {2,}(\S.+)$", done.stdout, re.MULTILINE))
    assert menu["build"] == "Their own build."
    assert {name.replace("taskflow.", "taskflow-") for name in menu} - {"build"} >= {
        f"taskflow-{name}" for name in TASKS
    }
    done = python(adopted, "-P", "-m", "invoke", ours, "--container", "nosuch")
    one_message(done, 2, "build: unknown container: nosuch")
    # Where the tool is not installed, their own tasks work all the same.
    done = python(adopted, "-P", "-c", WITHOUT, "taskflow_containers", "build")
    assert (done.returncode, done.stdout) == (0, "theirs\n")
    assert "taskflow_containers is not installed here" in done.stderr


def test_nox_leaves_the_chart_out_where_there_is_none(project: Path) -> None:
    """As `nox` without words runs every session."""
    shutil.rmtree(project / "chart")
    done = python(project, "-m", "nox", "--no-venv", "-s", "chart")
    assert done.returncode == 0, done.stderr
    assert "there is no chart/ here" in done.stderr


@pytest.mark.parametrize(("given", "passed_on"), [(1, None), (2, 2), (3, 3), (4, 4), (70, 70)])
def test_nox_passes_exit_codes_on(
    given: int, passed_on: int | None, noxfile: ModuleType, tmp_path: Path
) -> None:
    """A failed check lets later sessions run; what no session can mend ends nox with its code."""
    installed: list[str] = []

    def run(*words: str, **_: object) -> None:
        if words == ("python", "-c", "import taskflow_containers"):
            return
        assert words == ("python", "-m", "taskflow_containers", "lint", "backend")
        raise noxfile.CommandFailed(reason="", return_code=given)

    session = SimpleNamespace(
        virtualenv=SimpleNamespace(location=str(tmp_path), is_sandboxed=True),
        install=lambda *words, **_: installed.extend(words),
        posargs=["backend"],
        run=run,
    )
    for _ in range(2):
        with pytest.raises(SystemExit if passed_on else noxfile.CommandFailed) as ended:
            noxfile.taskflow(session, "lint")
        assert getattr(ended.value, "code", None) == passed_on
    # What did not change is not installed again.
    assert installed.count("--require-hashes") == 1
    assert installed.count("--no-deps") == 1
    assert {Path(word).name for word in installed[1:]} >= {"requirements.txt"}
