"""The CI files of a project: each is held by the linters of its field, and each linter by a defect."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from taskflow_containers.commands import COMMANDS
from tests.conftest import Render

GITHUB, GITLAB = ".github/workflows/ci.yml", ".gitlab-ci.yml"
UPDATE, RELEASE = ".github/workflows/update.yml", ".github/workflows/release.yml"
INSTALL = "pip install --require-hashes -r tools/requirements-nox.txt"
# The update runs the tool itself: what it needs by hash, then the pinned commit, as a person installs it.
INSTALL_TOOL = [
    "pip install --require-hashes -r tools/requirements.txt",
    "pip install --no-deps --no-build-isolation -r tools/taskflow.txt",
]
# Without shellcheck and pyflakes, which some machines have and others have not.
LINTERS = {
    "zizmor": (GITHUB, "--offline --no-progress --strict-collection --persona=auditor"),
    "actionlint": (GITHUB, "-no-color -shellcheck= -pyflakes="),
    "check-jsonschema": (GITLAB, "--builtin-schema vendor.gitlab-ci"),
}


@pytest.fixture(scope="module", params=["both", "backend", "frontend"])
def rendered(request: pytest.FixtureRequest, render: Render) -> dict[str, Path]:
    """Each CI file of projects with these containers."""
    folders = {
        ci: render(containers=request.param, ci=ci, registry="ghcr.io/acme")
        for ci in ("github", "gitlab")
    }
    github, gitlab = folders["github"], folders["gitlab"]
    return {
        GITHUB: github / GITHUB,
        UPDATE: github / UPDATE,
        RELEASE: github / RELEASE,
        GITLAB: gitlab / GITLAB,
    }


def judge(linter: str, file: Path) -> tuple[int, str]:
    """The exit code and the words of a linter about one file."""
    words = LINTERS[linter][1].split()
    program = Path(sys.executable).with_name(linter)
    done = subprocess.run(
        [program, *words, file.name], cwd=file.parent, capture_output=True, text=True, check=False,
        timeout=60, env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("linter", LINTERS)
def test_a_linter_finds_nothing(linter: str, rendered: dict[str, Path]) -> None:
    name = LINTERS[linter][0]
    for file in (name, UPDATE, RELEASE) if name == GITHUB else (name,):
        code, words = judge(linter, rendered[file])
        assert code == 0, words


@pytest.mark.parametrize(
    ("linter", "right", "wrong", "named"),
    [
        ("zizmor", r"(checkout)@\S+ # \S+", r"\1@v7", "unpinned-uses"),
        ("zizmor", r"permissions: \{\}", "permissions: write-all", "excessive-permissions"),
        ("zizmor", r"persist-credentials: false", "fetch-depth: 1", "artipacked"),
        ("zizmor", r"run: nox\n", "run: nox ${{ github.head_ref }}\n", "template-injection"),
        ("actionlint", r"github\.sha", "github.commit", '"commit" is not defined'),
        (
            "actionlint",
            r"ubuntu-\d\S+(?=\n    timeout-minutes: 30)",
            "ubuntu-16.04",
            'label "ubuntu-16.04" is unknown',
        ),
        ("check-jsonschema", r"timeout: 30 .*", "timeout: [30]", "nox.timeout"),
        ("check-jsonschema", r"interruptible: true", "interruptable: true", "interruptable"),
    ],
)
def test_a_linter_finds_a_defect(
    linter: str, right: str, wrong: str, named: str, rendered: dict[str, Path], tmp_path: Path
) -> None:
    name = LINTERS[linter][0]
    text, count = re.subn(right, wrong, rendered[name].read_text("utf-8"))
    assert count == 1
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    code, words = judge(linter, file)
    assert code > 0
    assert named in words


def test_an_action_names_its_commit_and_its_version(rendered: dict[str, Path]) -> None:
    lines = [
        line for name in (GITHUB, UPDATE, RELEASE) for line in re.findall(r"uses: (.*)", rendered[name].read_text("utf-8"))
    ]  # fmt: skip
    assert lines
    for line in lines:
        assert re.fullmatch(r"[\w-]+(/[\w-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (GITHUB, [INSTALL]),
        (UPDATE, INSTALL_TOOL),
        (RELEASE, INSTALL_TOOL),
        (GITLAB, [INSTALL, *INSTALL_TOOL * 2]),
    ],
)
def test_nothing_is_installed_without_its_hash(
    name: str, expected: list[str], rendered: dict[str, Path]
) -> None:
    text = rendered[name].read_text("utf-8")
    installs = re.findall(r"(?<![./\w])(?:pipx?|uvx?|npm|npx)\b.*", re.sub(r"#.*", "", text))
    assert [line.replace("--root-user-action=ignore ", "") for line in installs] == expected
    folder = rendered[name].parents[0 if name == GITLAB else 2]
    lock = (folder / "tools" / "requirements-nox.txt").read_text("utf-8")
    entries = re.findall(r"^[a-z].*(?:\n[ ].*)*", lock, re.MULTILINE)
    assert {"nox", "uv"} <= {entry.split("==")[0] for entry in entries}
    assert all("--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize(
    ("branch", "session", "expected"),
    [
        ("main", "build,scan,smoke", "-s smoke -- --full\n"),
        ("main", "lint,chart", ""),
        ("", "build,scan,smoke", ""),
    ],
)
def test_the_slow_drills_are_made_for_what_can_be_released(
    branch: str, session: str, expected: str, rendered: dict[str, Path]
) -> None:
    """On the default branch alone; GitHub's condition is evaluated where its jobs run."""
    (line,) = (
        line
        for line in yaml.safe_load(rendered[GITLAB].read_text("utf-8"))["nox"]["script"]
        if "--full" in line
    )
    env = {"CI_COMMIT_BRANCH": branch, "CI_DEFAULT_BRANCH": "main", "NOXSESSION": session}
    done = subprocess.run(
        ["bash", "-euc", f'nox() {{ echo "$@"; }}\n{line}'], env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == expected


def test_a_release_reads_no_cache_and_runs_what_there_is(rendered: dict[str, Path]) -> None:
    """Its command and options exist; nothing that another run left gets into what is published."""
    github = yaml.safe_load(rendered[RELEASE].read_text("utf-8"))
    gitlab = yaml.safe_load(rendered[GITLAB].read_text("utf-8"))["release"]
    assert "cache" not in rendered[RELEASE].read_text("utf-8").replace("# No cache", "")
    assert "cache" not in gitlab
    (line,) = [
        step["run"]
        for step in github["jobs"]["release"]["steps"]
        if " release " in step.get("run", "")
    ]
    assert gitlab["script"] == [line]
    options = {f"--{option.name}" for option in COMMANDS["release"].options}
    assert line.split()[:4] == ["python", "-m", "taskflow_containers", "release"]
    assert set(line.split()[4:]) <= options
    env = next(
        step["env"] for step in github["jobs"]["release"]["steps"] if step.get("run") == line
    )
    given = {name: str(value) for name, value in env.items()} | {
        "GITHUB_TOKEN": "t0ken",
        "HOME": "/none",
    }
    done = subprocess.run(
        ["git", "credential", "fill"], input="protocol=https\nhost=github.com\n\n", env=os.environ | given,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "\nusername=x-access-token\npassword=t0ken\n" in done.stdout
