"""The CI files of a project: each is held by the linters of its field, and each linter by a defect."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Render

GITHUB, GITLAB = ".github/workflows/ci.yml", ".gitlab-ci.yml"
INSTALL = "pip install --require-hashes -r tools/requirements-nox.txt"
# Without shellcheck and pyflakes, which some machines have and others have not.
LINTERS = {
    "zizmor": (GITHUB, "--offline --no-progress --strict-collection --persona=auditor"),
    "actionlint": (GITHUB, "-no-color -shellcheck= -pyflakes="),
    "check-jsonschema": (GITLAB, "--builtin-schema vendor.gitlab-ci"),
}


@pytest.fixture(scope="module", params=["both", "backend", "frontend"])
def rendered(request: pytest.FixtureRequest, render: Render) -> dict[str, Path]:
    """Each CI file of projects with these containers."""
    folders = {ci: render(containers=request.param, ci=ci) for ci in ("github", "gitlab")}
    return {GITHUB: folders["github"] / GITHUB, GITLAB: folders["gitlab"] / GITLAB}


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
    code, words = judge(linter, rendered[LINTERS[linter][0]])
    assert code == 0, words


@pytest.mark.parametrize(
    ("linter", "right", "wrong", "named"),
    [
        ("zizmor", r"(checkout)@\S+ # \S+", r"\1@v7", "unpinned-uses"),
        ("zizmor", r"permissions: \{\}", "permissions: write-all", "excessive-permissions"),
        ("zizmor", r"persist-credentials: false", "fetch-depth: 1", "artipacked"),
        ("zizmor", r"run: nox\n", "run: nox ${{ github.head_ref }}\n", "template-injection"),
        ("actionlint", r"github\.sha", "github.commit", '"commit" is not defined'),
        ("actionlint", r"ubuntu-\d\S+", "ubuntu-16.04", 'label "ubuntu-16.04" is unknown'),
        ("check-jsonschema", r"timeout: .*", "timeout: [30]", "nox.timeout"),
        ("check-jsonschema", r"interruptible: true", "interruptable: true", "interruptable"),
    ],
)
def test_a_linter_finds_a_defect(
    linter: str, right: str, wrong: str, named: str, template: Path, tmp_path: Path
) -> None:
    name = LINTERS[linter][0]
    text, count = re.subn(right, wrong, (template / "template" / name).read_text("utf-8"))
    assert count == 1
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    code, words = judge(linter, file)
    assert code > 0
    assert named in words


def test_an_action_names_its_commit_and_its_version(rendered: dict[str, Path]) -> None:
    lines = re.findall(r"uses: (.*)", rendered[GITHUB].read_text("utf-8"))
    assert lines
    for line in lines:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


@pytest.mark.parametrize("name", [GITHUB, GITLAB])
def test_nothing_is_installed_without_its_hash(name: str, rendered: dict[str, Path]) -> None:
    text = rendered[name].read_text("utf-8")
    installs = re.findall(r"(?:pipx?|uvx?|npm|npx)\b.*", re.sub(r"#.*", "", text))
    assert [line.replace("--root-user-action=ignore ", "") for line in installs] == [INSTALL]
    folder = rendered[name].parents[2 if name == GITHUB else 0]
    lock = (folder / "tools" / "requirements-nox.txt").read_text("utf-8")
    entries = re.findall(r"^[a-z].*(?:\n[ ].*)*", lock, re.MULTILINE)
    assert {"nox", "uv"} <= {entry.split("==")[0] for entry in entries}
    assert all("--hash=sha256:" in entry for entry in entries)
