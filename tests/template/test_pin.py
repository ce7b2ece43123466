"""Where a project's tool comes from: the commit of the template, a wheel, or what a person sets.

All of it is real: git repositories, pip, uv, an index over HTTP, and nox, which runs the tool's help.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import copier
import pytest
import yaml

from taskflow_containers.machine.distribution import Tool
from taskflow_containers.machine.errors import InputError
from taskflow_containers.project import pin
from tests.conftest import ROOT, further, git, snapshot, some_of

PIN = "tools/taskflow.txt"
SESSION = ("-m", "nox", "-s", "cluster", "--", "--help")  # of all sessions it installs least


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template in a repository whose path has a space: a tag, and a commit after it."""
    work = tmp_path_factory.mktemp("source") / "a template"
    snapshot(work)
    git(work, "init", "--quiet", "--initial-branch=main")
    git(work, "add", "--all", "--force")
    git(work, "commit", "--quiet", "--message", "one")
    git(work, "tag", "v0.1.0")
    git(work, "commit", "--quiet", "--allow-empty", "--message", "two")
    return work


def instead(source: Path, url: str, folder: Path) -> dict[str, str]:
    """An environment in which git takes the repository for what is at this address."""
    config = folder / "gitconfig"
    config.write_text(f'[url "{source.as_uri()}"]\n\tinsteadOf = {url}\n')
    return {"GIT_CONFIG_GLOBAL": str(config)}


def run(
    folder: Path, *words: str, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run this Python there, as somebody who chose no tool of their own."""
    environment = {**os.environ, "NO_COLOR": "1", **(variables or {})}
    if not (variables or {}).get(pin.PACKAGE_VARIABLE):
        environment.pop(pin.PACKAGE_VARIABLE, None)
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True,
        check=False, timeout=1200,
    )  # fmt: skip


def copy(given: str, project: Path, variables: Mapping[str, str], revision: str = "HEAD") -> None:
    """`copier copy` of what is given, in the folder above the project."""
    words = ("copy", "--quiet", "--defaults", f"--vcs-ref={revision}", given, project.name)
    done = run(project.parent, "-m", "copier", *words, variables=variables)
    assert done.returncode == 0, done.stderr


def origin(project: Path, session: str = "cluster") -> dict[str, object]:
    """What the tool in a session's environment says of where it came from (PEP 610)."""
    (path,) = (project / ".nox" / session).glob(
        "**/taskflow_containers-*.dist-info/direct_url.json"
    )
    found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return found


def requirement(project: Path) -> str:
    """The one line of the pin that is no comment."""
    lines = (project / PIN).read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line and not line.startswith("#")]
    return line


@pytest.mark.parametrize(
    ("given", "address", "pinned"),
    [
        ("gh:acme/t", "https://github.com/acme/t.git", "git+https://github.com/acme/t.git@"),
        ("gl:/acme/t.git", "https://gitlab.com/acme/t.git", "git+https://gitlab.com/acme/t.git@"),
        ("https://git.example.com/acme/t.git",) * 2 + ("git+https://git.example.com/acme/t.git@",),
        ("git+https://example.com/acme/t", "https://example.com/acme/t", "git+https://example.com/acme/t@"),
        ("git@git.example.com:acme/t.git",) * 2 + ("git+ssh://git@git.example.com/acme/t.git@",),
        ("ssh://git@git.example.com:2222/acme/t.git",) * 2 + ("git+ssh://git@git.example.com:2222/acme/t.git@",),
    ],
    ids=lambda text: text.partition("/")[0],
)  # fmt: skip
@pytest.mark.parametrize("revision", some_of(["HEAD", "v0.1.0"], "HEAD"))
def test_each_form_of_a_source_leads_to_a_full_commit(
    given: str, address: str, pinned: str, revision: str, source: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    copy(given, project, instead(source, address, tmp_path), revision)
    commit = git(source, "rev-parse", f"{revision}^{{commit}}").strip()
    assert requirement(project) == f"taskflow-containers @ {pinned}{commit}"
    answers = (project / ".copier-answers.yml").read_text(encoding="utf-8")
    described = yaml.safe_load(answers)["_commit"]
    assert answers.endswith(f"# {described} is the commit {commit}\n")


def test_it_comes_from_behind_a_mirror(source: Path, tmp_path: Path) -> None:
    """As from a private host: whatever git is told about an address holds for the tool, too."""
    variables = instead(source, "https://git.example.com/acme/t.git", tmp_path)
    project = tmp_path / "project"
    words = (
        "copy",
        "--quiet",
        "--defaults",
        "--vcs-ref=HEAD",
        "https://git.example.com/acme/t.git",
    )
    done = run(tmp_path, "-m", "copier", *words, str(project), variables=variables)
    assert done.returncode == 0, done.stderr
    variables = instead(source, "https://git.example.com/acme/t.git", tmp_path)
    done = run(project, *SESSION, variables=variables)
    assert done.returncode == 0, done.stdout + done.stderr
    commit = git(source, "rev-parse", "HEAD").strip()
    assert origin(project)["vcs_info"]["commit_id"] == commit  # type: ignore[index]


@pytest.fixture(scope="module")
def local(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project rendered from the repository's path, which has a space."""
    project = tmp_path_factory.mktemp("local")
    copier.run_copy(str(source), project, defaults=True, quiet=True, vcs_ref="HEAD", overwrite=True)
    return project


@pytest.mark.parametrize("backend", some_of(["uv", "virtualenv"], "uv"))
def test_it_comes_from_a_local_path(
    backend: str, local: Path, source: Path, tmp_path: Path
) -> None:
    project = Path(shutil.copytree(local, tmp_path / "project"))
    done = run(project, *SESSION[:2], "--default-venv-backend", backend, *SESSION[2:])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "taskflow_containers cluster [-h]" in done.stdout
    found = origin(project)
    assert found["vcs_info"]["commit_id"] == git(source, "rev-parse", "HEAD").strip()  # type: ignore[index]
    # The stamp spares the second run any installation.
    again = run(project, *SESSION)
    assert again.returncode == 0
    assert "pip install" not in again.stdout + again.stderr


def test_an_older_pip_takes_a_local_path(local: Path, tmp_path: Path) -> None:
    """Those before 24.1 refuse `name @ git+file:///…`; Debian 12 has such a one."""
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = str(environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    tools = local / "tools"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "pip==23.2.1"], check=True, timeout=600)
    subprocess.run([*pip, "--require-hashes", "-r", str(tools / "requirements.txt")], check=True, timeout=1200)  # fmt: skip
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-r", str(local / PIN)], check=True, timeout=600)  # fmt: skip
    subprocess.run([python, "-m", "invoke", "--list"], cwd=local, check=True, timeout=60)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tool as a wheel."""
    return build(tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("wheel"))


def build(clone: Path, target: Path) -> Path:
    """Build the wheel in a copy of its own."""
    snapshot(clone)
    words = ["-m", "hatchling", "build", "--target", "wheel", "--directory", str(target)]
    subprocess.run([sys.executable, *words], cwd=clone, check=True, capture_output=True)
    (path,) = target.glob("*.whl")
    return path


def test_a_wheel_built_twice_is_the_same_to_the_bit(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    again = build(tmp_path / "elsewhere", tmp_path / "wheel")
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


def test_what_is_built_holds_the_whole_package_and_the_licence(wheel: Path, tmp_path: Path) -> None:
    """The wheel, and the sdist from which `python -m build` and `uv build` make one: no file more or less."""
    snapshot(tmp_path)
    words = ["-m", "hatchling", "build", "--target", "sdist", "--directory", "out"]
    subprocess.run([sys.executable, *words], cwd=tmp_path, check=True, capture_output=True)
    (sdist,) = (tmp_path / "out").glob("*.tar.gz")
    listed = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "src").split()
    files = {name for name in listed if (ROOT / name).is_file()}
    with tarfile.open(sdist) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    assert found == files | {"LICENSE", "pyproject.toml", "PKG-INFO", ".gitignore"}
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
        (licence,) = (name for name in archive.namelist() if name.endswith("/licenses/LICENSE"))
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert found == {name.removeprefix("src/") for name in files}


@pytest.fixture(scope="module")
def index(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a package index (PEP 503) that has the wheel."""
    root = tmp_path_factory.mktemp("index")
    folder = root / "simple" / "taskflow-containers"
    folder.mkdir(parents=True)
    shutil.copy(wheel, folder)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()


@pytest.mark.parametrize(
    ("form", "backend"),
    [
        ("index", "uv"),
        further("find-links", "virtualenv"),
        ("URL", "uv"),
        further("folder", "virtualenv"),
    ],
)
def test_a_hashed_wheel_takes_the_lines_place(
    form: str, backend: str, local: Path, wheel: Path, index: str, tmp_path: Path
) -> None:
    project = Path(shutil.copytree(local, tmp_path / "project"))
    version = wheel.name.split("-")[1]
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    line = {
        "index": f"--index-url {index}\ntaskflow-containers=={version}",
        "find-links": f"--no-index\n--find-links {wheel.parent}\ntaskflow-containers=={version}",
        "URL": f"taskflow-containers @ {index}/taskflow-containers/{wheel.name}",
        "folder": f"taskflow-containers @ {wheel.as_uri()}",
    }[form]
    tagged = (project / ".copier-answers.yml").read_text(encoding="utf-8")
    assert "_commit: v0.1.0-1-g" in tagged
    # With the wrong hash first: what is not installed leaves no stamp.
    for given, code in (("0" * 64, 4), (digest, 0)):
        (project / PIN).write_text(f"{line} --hash=sha256:{given}\n", encoding="utf-8")
        done = run(project, *SESSION[:2], "--default-venv-backend", backend, *SESSION[2:])
        assert done.returncode == code, done.stdout + done.stderr


def test_what_a_person_sets_is_used_instead(local: Path, wheel: Path, tmp_path: Path) -> None:
    project = Path(shutil.copytree(local, tmp_path / "project"))
    for package in (ROOT, wheel):
        done = run(project, *SESSION, variables={pin.PACKAGE_VARIABLE: str(package)})
        assert done.returncode == 0, done.stdout + done.stderr
        found = origin(project)
        assert found["url"] == package.as_uri()
        assert ("dir_info" in found) == (package == ROOT)


def test_uncommitted_changes_say_what_to_set(source: Path, tmp_path: Path) -> None:
    work, project = tmp_path / "work", tmp_path / "project"
    git(tmp_path, "clone", "--quiet", str(source), str(work))
    with (work / "copier.yml").open("a", encoding="utf-8") as file:
        file.write("# not committed\n")
    copier.run_copy(str(work), project, defaults=True, quiet=True, vcs_ref="HEAD")
    done = run(project, *SESSION)
    assert done.returncode == 4
    said = done.stdout + done.stderr
    assert "rendered from uncommitted changes" in said
    assert "set TASKFLOW_PACKAGE to the template's folder" in said
    assert "Traceback" not in said
    done = run(project, *SESSION, variables={pin.PACKAGE_VARIABLE: str(work)})
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_relative_path_says_what_to_set(source: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(source), str(tmp_path / "work"))
    copy("work", tmp_path / "project", {})
    text = (tmp_path / "project" / PIN).read_text(encoding="utf-8")
    assert re.search(r"^# work leads to the template from .*TASKFLOW_PACKAGE", text, re.MULTILINE)
    names_no_tool(tmp_path / "project")


def names_no_tool(project: Path) -> None:
    """A session ends with a sentence and the code for wrong input."""
    done = run(project, *SESSION)
    assert done.returncode == 2
    assert "tools/taskflow.txt names no tool" in done.stdout + done.stderr
    assert "Set TASKFLOW_PACKAGE" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("damage", some_of(["absent", "empty"], "empty"))
def test_a_pin_without_a_tool_does_not_run_the_one_of_before(
    damage: str, local: Path, tmp_path: Path
) -> None:
    project = Path(shutil.copytree(local, tmp_path / "project"))
    assert run(project, *SESSION).returncode == 0
    (project / PIN).unlink()
    if damage == "empty":
        (project / PIN).write_text("# nothing\n--no-index\n", encoding="utf-8")
    names_no_tool(project)


def test_a_wheel_that_was_built_anew_is_installed_anew(
    local: Path, wheel: Path, tmp_path: Path
) -> None:
    project = Path(shutil.copytree(local, tmp_path / "project"))
    mine = Path(shutil.copy(wheel, tmp_path))
    variables = {pin.PACKAGE_VARIABLE: str(mine)}
    assert run(project, *SESSION, variables=variables).returncode == 0
    with zipfile.ZipFile(mine, "a") as file:
        file.comment = b"built anew"
    done = run(project, *SESSION, variables=variables)
    assert "pip install" in done.stdout + done.stderr


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("described", "tool", "agree"),
    [
        ("v0.1.0", Tool(version="0.1.0"), True),
        ("v0.1.0", Tool(version="0.2.0"), False),
        ("v0.1.0-rc.1", Tool(version="0.1.0rc1"), True),
        ("v0.1.0-3-g0123456", Tool(version="0.1.0", commit=COMMIT), True),
        ("v0.1.0-3-gfffffff", Tool(version="0.1.0", commit=COMMIT), False),
        ("v0.1.0-rc.1-3-g0123456", Tool(version="7", commit=COMMIT), True),
        ("v0.1.0-3-g0123456", Tool(version="0.1.0"), True),
        ("v0.1.0-3-g0123456", Tool(version="0.2.0"), False),
        ("0123456", Tool(version="0.1.0", commit=COMMIT), True),
        ("fffffff", Tool(version="0.1.0", commit=COMMIT), False),
        ("fffffff", Tool(version="0.1.0", commit=COMMIT, folder=True), True),
    ],
)
def test_tool_and_project_belong_together(
    described: str, tool: Tool, agree: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tool, "running", lambda: tool)
    (tmp_path / pin.ANSWERS).write_text(f"_commit: {described}\n")
    if agree:
        pin.require_own_tool(tmp_path)
    else:
        with pytest.raises(
            InputError, match=f"is of the template's {described}, and this is"
        ) as said:
            pin.require_own_tool(tmp_path)
        assert "tools/taskflow.txt" in said.value.hint and "copier update" in said.value.hint


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (f"_commit: v9.9.9\n# v0.1.0 is the commit {COMMIT}\n", "says v9.9.9, but the project was"),
        (f"_commit: v0.1.0\n# v0.1.0 is the commit {'f' * 40}\n", "and this is taskflow-containers 0.3.0"),
        ("a: [\n", "does not say which version"),
        ("a: b\n", "does not say which version"),
        ("", "does not say which version"),
        ("_commit:\n", "does not say which version"),
    ],
)  # fmt: skip
def test_an_answers_file_that_was_changed(
    answers: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tool, "running", lambda: Tool(version="0.3.0", commit=COMMIT))
    (tmp_path / pin.ANSWERS).write_text(answers)
    with pytest.raises(InputError, match=said):
        pin.require_own_tool(tmp_path)


def test_a_template_without_git_leaves_the_choice_to_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tool, "running", lambda: Tool(version="0.3.0", commit=COMMIT))
    (tmp_path / pin.ANSWERS).write_text("_src_path: /srv/template\nci: github\n")
    pin.require_own_tool(tmp_path)


def test_the_pinned_tool_refuses_another_versions_project(local: Path, tmp_path: Path) -> None:
    project = Path(shutil.copytree(local, tmp_path / "project"))
    answers = project / pin.ANSWERS
    text = answers.read_text(encoding="utf-8")
    done = run(project, "-m", "nox", "-s", "cluster", "--", "--context", "nowhere")
    assert "is of the template's" not in done.stdout + done.stderr
    answers.write_text(re.sub(r"v0\.1\.0-1-g\w+", "v0.2.0", re.sub(r"[0-9a-f]{40}", COMMIT, text)))
    done = run(project, "-m", "nox", "-s", "cluster", "--", "--context", "nowhere")
    assert done.returncode == 2, done.stdout + done.stderr
    assert (
        "this project is of the template's v0.2.0, and this is taskflow-containers 0.1.0 ("
        in done.stderr + done.stdout
    )


def test_an_update_moves_the_pin_without_a_conflict(source: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    copier.run_copy(str(source), project, defaults=True, quiet=True, vcs_ref="v0.1.0")
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "begin")
    copier.run_update(str(project), defaults=True, quiet=True, overwrite=True, vcs_ref="HEAD")
    assert git(project, "diff", "--name-only").split() == [".copier-answers.yml", PIN]
    assert git(source, "rev-parse", "HEAD").strip() in requirement(project)
