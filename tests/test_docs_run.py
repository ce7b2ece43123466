"""Each block of commands in the pages is run as it stands there, or ELSEWHERE says where it is run, or why it is not."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Container
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from docs.said import OTHERS
from taskflow_containers.engine.client import Engine
from tests.conftest import ROOT, git, lacking, some_of
from tests.containers.conftest import NAME
from tests.pages import PAGES, README, Reader, blocks
from tests.release.conftest import free_port

TUTORIAL = "docs/tutorial.md"
# In this order they are run in one project, by an engine.
BY_ENGINE = (TUTORIAL, README, "docs/how-to/debug-smoke.md")
HERE = "run by an engine"  # as a line of these pages
CLUSTER = "needs a cluster, and names of its own there: tests/cluster has one for all its tests"
GITHUB = "downloads from GitHub"
FORGE = "needs an image in a registry of the internet"
INSTALLED = "installs an environment and passes these very tests in it"
# Commands of the pages that are not run here, and why. `FILE: WORDS` is the file that runs them, in which each of these
# words of theirs stands.
ELSEWHERE = {
    "pipx run nox": HERE,
    "nox -s chart": HERE,
    "invoke release --dry-run": HERE,
    "python3 bootstrap.py [!-]*": INSTALLED,
    "python3 bootstrap.py --provision *": INSTALLED,
    "nox -s docs": "tests/test_docs.py: docs",
    "SOURCE_DATE_EPOCH=*": "builds both images anew; tests/containers/test_reproducible.py does so with one",
    "nox -s smoke -- --engine podman": "tests/__main__.py: podman",
    "apt install *": "changes the machine",
    "nox -s cluster": "tests/cluster/test_run.py: cluster",
    "invoke deploy *": "tests/cluster/test_deploy.py: invoke deploy",
    "kubectl label *": CLUSTER,
    "kubectl * apply --server-side *": CLUSTER,
    "helm upgrade *": "tests/cluster/test_migration.py: helm upgrade",
    "helm rollback *": "tests/cluster/test_migration.py: helm rollback",
    "helm history *": CLUSTER,
    "helm *test *": "tests/cluster/test_run.py: test",
    "invoke release": "tests/release/test_release.py: release",
    "invoke verify *": "tests/release/test_verify.py: invoke verify",
    "cosign verify*": "tests/release/test_attest.py: cosign --key",
    "invoke policy > *": "tests/tool/test_policy.py: policy",
    "version=*": GITHUB,
    "curl *": GITHUB,
    "tar *": GITHUB,
    "uvx * smoke --image *": "tests/containers/test_outside.py: smoke --image",
}  # fmt: skip
# What a person fills in, or does to end what goes on.
FILLED_IN = {
    "NAME": '"$(docker ps --quiet --filter name=$PROJECT | head -n 1)"',
    "0123456789abcdef0123456789abcdef01234567": "v0.1.0",
    "logs --follow": "logs --follow & sleep 4; kill $!",
    "release --pull-request": "release --pull-request --yes",
}
# What a reader has, or does without a command of the page, before a block of it.
BEFORE = {
    ("CONTRIBUTING.md", 0): "python3 -m venv .venv; sha256sum template/tools/requirements-nox.txt"
                            " | head -c 64 > .venv/bootstrap-stamp",
    ("CONTRIBUTING.md", 1): "git commit -q --allow-empty -m 'feat: a page'",
    ("docs/how-to/openrouter.md", 0): "echo key > key.txt",
    ("docs/release.md", 1): "git init -q --bare ../remote.git && git remote add origin ../remote.git"
                            " && git commit -q --allow-empty -m 'feat: a page' && git push -q -u origin main",
    ("docs/scan.md", 1): "mkdir -p before reports; echo '{\"bomFormat\": \"CycloneDX\", \"specVersion\": \"1.6\"}'"
                         " | tee before/sbom-backend.cdx.json > reports/sbom-backend.cdx.json",
    ("docs/updates.md", 1): "git reset -q --hard && git clean -q -d -f && copier update --defaults",
    (TUTORIAL, 3): "sed -i.before 's/USER 1001:1001/USER root/' backend/Dockerfile\n"
                   "! pipx run nox -s lint > ../lint.txt 2>&1; mv backend/Dockerfile.before backend/Dockerfile\n"
                   'printf "FRONTEND_PORT=$PORT_A\\nBACKEND_PORT=$PORT_B\\n" > .env',
    (TUTORIAL, 4): 'git -C "$TEMPLATE" tag v0.2.0; '
                   "curl -sS --fail localhost:$PORT_A > ../page.html; . .venv/bin/activate",
    # The update says so: install anew, commit.
    (README, 1): "pip install -q --no-deps --no-build-isolation --force-reinstall -r tools/taskflow.txt\n"
                 "git add . && git commit -q -m Update",
    (README, 4): "git init -q --bare ../remote.git && git remote add origin ../remote.git"
                 " && git push -q -u origin main",
}  # fmt: skip


def elsewhere(line: str) -> str:
    """Where a command is run, or why it is not; empty where it is run here."""
    reasons = [reason for pattern, reason in ELSEWHERE.items() if fnmatchcase(line, pattern)]
    assert len(reasons) < 2, f"{line}: {reasons}"
    return "".join(reasons)


def steps(page: str, done: Container[str] = ()) -> list[tuple[str, str]]:
    """What is run of a page and not done yet, each behind what a reader does before."""
    found = []
    for number, block in enumerate(blocks(page)):
        before = BEFORE.get((page, number), "")
        for line in block:
            if (reason := elsewhere(line)) and not (reason == HERE and page in BY_ENGINE):
                continue
            for said, meant in FILLED_IN.items():
                line = line.replace(said, meant)
            if line not in done:
                found.append((before, line))
                before = ""
    return found


# Pages that say the same are followed once.
FOLLOWED = {
    tuple(found): page for page in PAGES if page not in BY_ENGINE and (found := steps(page))
}


@pytest.fixture(scope="session")
def later(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template at v0.1.0, and what it gets when a project has been rendered."""
    folder = tmp_path_factory.mktemp("later") / "template"
    git(folder.parent, "clone", "--quiet", str(template), folder.name)
    return folder


@pytest.fixture(scope="session")
def started(later: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that the README's commands make; a newer version of the template is there afterwards."""
    folder = tmp_path_factory.mktemp("started")
    Reader(folder / "home", later).types(steps("README.md"), folder, 1200)
    (later / README).write_text((later / README).read_text("utf-8") + "\nMore.\n", "utf-8")
    git(later, "commit", "--quiet", "--all", "--message", "later")
    git(later, "tag", "v0.2.0")
    return folder / "my-app"


# What CONTRIBUTING.md shows is what CI itself begins with.
@pytest.mark.parametrize(
    "page", some_of(FOLLOWED.values(), *({*FOLLOWED.values()} - {"CONTRIBUTING.md"}))
)
def test_a_page_is_followed(page: str, started: Path, later: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    if page == "CONTRIBUTING.md":
        git(tmp_path, "clone", "--quiet", str(later), folder.name)
    elif page == "docs/adopt.md":
        shutil.copytree(ROOT / "tests" / "adoption" / "uv", folder)
    elif any("copier copy" in line or "git clone" in line for _, line in steps(page)):
        folder.mkdir()
    else:
        shutil.copytree(started, folder, symlinks=True)
    reader = Reader(tmp_path / "home", later, OFFLINE="1")
    if page == "docs/adopt.md":
        reader.types(
            [("", "git init -q -b main && git add . && git commit -q -m Start")], folder, 20
        )
    reader.types(steps(page), folder, 1200)


@pytest.mark.thorough
@pytest.mark.engine
@pytest.mark.xdist_group("sample")
def test_the_tutorial_is_followed_to_its_end(
    later: Path, started: Path, engine: Engine, tmp_path: Path
) -> None:
    """And then what else the project's own README and the page about a failing check show."""
    if engine.name != "docker":
        lacking("the pages write docker")
    assert started.is_dir()
    git(later, "tag", "--delete", "v0.2.0")  # it comes when the tutorial has got to it
    settings = {
        "PORT_A": str(free_port()),
        "PORT_B": str(free_port()),
        "TEMPLATE": str(later),
        "COMPOSE_PROJECT_NAME": f"{NAME}-page",
        "PROJECT": NAME,
    }
    reader = Reader(
        tmp_path / "home", later, ANSWERS=f"--data project_name={NAME}", TASKFLOW_OFFLINE="1", **settings
    )  # fmt: skip
    todo: dict[str, str] = {}
    for page in BY_ENGINE:
        todo |= {line: before for before, line in steps(page, todo)}
    project = tmp_path / "my-app"
    try:
        outputs = reader.types([(before, line) for line, before in todo.items()], tmp_path, 1800)
    finally:
        down = [("", "[ ! -x .venv/bin/invoke ] || .venv/bin/invoke down --volumes")]
        reader.types(down, project, 120)
        for image in engine.call("images", "--quiet", f"{NAME}-*").stdout.split():
            engine.call("image", "rm", "--force", "--no-prune", image, check=False)
    (shown,) = blocks(TUTORIAL, "text")
    holds(shown, (tmp_path / "lint.txt").read_text("utf-8"))
    assert "Database" in (tmp_path / "page.html").read_text("utf-8")
    said = dict(zip(todo, outputs, strict=True))
    for session in ("lint", "build", "scan", "smoke", "chart"):
        assert f"Session {session} was successful" in said["pipx run nox"]
    assert len(said["pipx run nox"].splitlines()) <= 60, "a green run is short"


def holds(shown: list[str], said: str) -> None:
    """What a page shows was said; `…` stands for what varies."""
    for line in shown:
        assert re.search(re.escape(line).replace("…", ".+"), said), f"{line!r} is not in\n{said}"


def test_the_data_models_mistake_reads_as_shown(started: Path, tmp_path: Path) -> None:
    project = Path(shutil.copytree(started, tmp_path / "project"))
    model = project / "taskflow.toml"
    model.write_text(
        model.read_text("utf-8").replace('user = "1001:1001"', 'user = "root"'), "utf-8"
    )
    done = subprocess.run(
        [sys.executable, "-m", "taskflow_containers", "lint"], cwd=project, text=True, capture_output=True,
        check=False,
    )  # fmt: skip
    (shown,) = blocks("docs/data-model.md", "text")
    holds([re.sub(r":\d+:", ":…:", line) for line in shown], done.stderr)


@pytest.mark.compose
def test_the_guide_to_another_container_leads_to_one(started: Path, tmp_path: Path) -> None:
    project = Path(shutil.copytree(started, tmp_path / "project"))
    text = (ROOT / "docs/how-to/container.md").read_text("utf-8")
    shutil.copytree(project / "backend", project / "jobs")
    entry = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)[0]
    with (project / "taskflow.toml").open("a", encoding="utf-8") as model:
        model.write(f"\n{entry}")
    for name, block in zip(
        ("compose.yaml", "chart/values.yaml"), re.findall(r"```yaml\n(.*?)```", text, re.DOTALL), strict=True
    ):  # fmt: skip
        head, _, service = block.partition("\n")
        before = (project / name).read_text("utf-8")
        assert f"\n{head}\n" in before
        (project / name).write_text(before.replace(f"\n{head}\n", f"\n{head}\n{service}"), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "taskflow_containers", "lint", "jobs"], cwd=project, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


# What makes another program say what docs/messages.md has of it, in the order there; pip and python3 are the machine's.
WRONG = (
    "copier copy --defaults --data ci=jenkins $TEMPLATE out", "nox -s smok", "nox smoke", "nox -s scan --offline",
    "invoke bulid", "invoke verify", "cd / && invoke up",
)  # fmt: skip


@pytest.mark.parametrize(("line", "row"), list(zip(WRONG, OTHERS, strict=False)), ids=WRONG)
def test_other_programs_say_what_the_page_of_messages_has_of_them(
    line: str, row: tuple[str, ...], started: Path, later: Path, tmp_path: Path
) -> None:
    reader = Reader(tmp_path / "home", later)
    done = subprocess.run(
        ["sh", "-c", line], cwd=started, env=reader.environment | {"TEMPLATE": str(later)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    program, words, _, code = row
    assert program in line
    (shown,) = re.findall(r"`(.+?)`", words)
    holds([shown], done.stdout)
    assert done.returncode == int(code)


def test_what_is_not_run_here_is_somewhere_and_still_in_the_pages() -> None:
    everything = [line for page in PAGES for block in blocks(page) for line in block]
    for pattern, reason in ELSEWHERE.items():
        found = [line for line in everything if fnmatchcase(line, pattern)]
        assert found, f"{pattern} is on no page any more"
        if reason == HERE:
            followed = {line for page in BY_ENGINE for _, line in steps(page)}
            assert followed >= {*found}, pattern
        elif re.match(r"tests/\S+: ", reason):
            file, _, words = reason.partition(": ")
            text = (ROOT / file).read_text("utf-8")
            assert all(word in text and word in found[0] for word in words.split()), reason
    for page, number in BEFORE:
        assert len(blocks(page)) > number, page
