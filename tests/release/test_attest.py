"""What a release signs, by cosign itself; and what becomes of it where cosign fails, or dies."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from taskflow_containers.release import cosign, provenance
from taskflow_containers.release.state import State
from tests.conftest import ROOT, further
from tests.release.conftest import Shop, beside

pytestmark = pytest.mark.engine
KINDS = sorted([cosign.SIGNATURE, provenance.SBOM, provenance.PROVENANCE])
# Stands in cosign's place; VERB and THEN are filled in. What it is asked for is in the file `asked`.
SCRIPT = """#!/bin/sh
echo "$@" >> {folder}/asked
case "$1" in
sign|attest)
  echo x >> {folder}/calls
  n=$(wc -l < {folder}/calls)
  {then}
esac
exec {program} "$@"
"""


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[[str], str]:
    """Make a cosign that does something else at times; the PATH that has it."""

    def make(then: str, program: str = "") -> str:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        program = program or str(shutil.which("cosign"))
        text = SCRIPT.format(
            folder=tmp_path, then=then.replace("PROGRAM", program), program=program
        )
        (folder / "cosign").write_text(text)
        (folder / "cosign").chmod(0o755)
        return f"{folder}{os.pathsep}{os.environ['PATH']}"

    return make


def whole(shop: Shop) -> None:
    """Each image has one signature, one SBOM and one provenance, and the journal says so."""
    images = shop.journal["images"].values()
    assert shop.journal["signed"] == [f"{one['repository']}@{one['digest']}" for one in images]
    for one in images:
        assert beside(one["repository"], one["digest"]) == KINDS


def plain_commands() -> list[str]:
    """The commands of cosign that the page shows for a key."""
    page = (ROOT / "docs" / "release.md").read_text("utf-8")
    return re.findall(r"^cosign verify.*--key .*$", page, re.MULTILINE)


def test_cosign_alone_finds_what_was_signed(ready: Shop, signing: dict[str, str]) -> None:
    done = ready.invoke("--resume", "--yes", **signing)
    assert done.returncode == 0, done.stderr
    whole(ready)
    # Bundles are referrers: this registry lists them in one tag, and there is none of cosign 2.
    tags = [tag.partition(":")[2] for tag in ready.registry.tags]
    assert not [tag for tag in tags if tag.endswith((".sig", ".att", ".sbom"))]
    assert sum(tag.startswith("sha256-") for tag in tags) == 2
    image = ready.journal["images"]["orders"]
    commands = plain_commands()
    assert len(commands) == 3
    for command in commands:
        command = command.replace("ghcr.io/acme/shop-backend:1.2.0", f"{image['repository']}:1.3.0")
        words = shlex.split(command.replace("cosign.pub", signing["COSIGN_KEY"][:-3] + "pub"))
        words.append("--allow-http-registry")
        shown = subprocess.run(words, capture_output=True, text=True, check=False)
        assert shown.returncode == 0, shown.stderr
    # The provenance says by whom, from what, and how little that proves.
    statement = json.loads(
        (ready.folder / "reports/release-1.3.0/provenance.intoto.json").read_text()
    )
    predicate = statement["predicate"]
    assert predicate["runDetails"]["builder"]["id"] == provenance.MACHINE
    inner = predicate["buildDefinition"]["internalParameters"]
    assert inner["slsaBuildLevel"] == 1
    assert inner["images"]["orders"]["digest"] == image["digest"]
    assert inner["images"]["orders"]["platform"] == image["platform"]


@pytest.mark.parametrize("call", [1, further(2), further(3), 6])
def test_killed_while_it_signs(
    call: int, ready: Shop, signing: dict[str, str], stand_in: Callable[[str], str]
) -> None:
    """What cosign wrote before the kill is found again, though no journal knows of it."""
    path = stand_in(f'[ $n = {call} ] && {{ PROGRAM "$@"; kill -9 $PPID; exit 1; }}')
    done = ready.invoke("--resume", "--yes", PATH=path, **signing)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(ready.journal.get("attested", [])) == call - 1
    done = ready.invoke("--resume", "--yes", **signing)
    assert done.returncode == 0, done.stderr
    whole(ready)


@pytest.mark.parametrize("call", [further(1), 5])
def test_cosign_fails_midway(
    call: int, ready: Shop, signing: dict[str, str], stand_in: Callable[[str], str]
) -> None:
    path = stand_in(f'[ $n = {call} ] && {{ echo "Error: no luck" >&2; exit 1; }}')
    done = ready.invoke("--resume", "--yes", PATH=path, **signing)
    assert done.returncode == 4
    assert re.search(r"attest: cosign \w+ failed: no luck", done.stderr)
    assert "--resume" in done.stderr
    assert ready.journal["status"] == "running"
    done = ready.invoke("--resume", "--yes", **signing)
    assert done.returncode == 0, done.stderr
    whole(ready)


def test_given_up_it_names_what_is_signed(
    ready: Shop, signing: dict[str, str], stand_in: Callable[[str], str]
) -> None:
    path = stand_in("[ $n = 2 ] && exit 1")
    assert ready.invoke("--resume", "--yes", PATH=path, **signing).returncode == 4
    assert ready.invoke("--abort").returncode == 0
    assert any(provenance.SBOM in line for line in ready.journal["remains"])


def test_an_older_cosign_signs_nothing(ready: Shop, stand_in: Callable[..., str]) -> None:
    old = ready.folder.parent / "old"
    old.write_text('#!/bin/sh\necho \'{"gitVersion": "v2.6.1"}\'\n')
    old.chmod(0o755)
    done = ready.invoke("--resume", "--yes", PATH=stand_in("", str(old)), COSIGN_KEY="cosign.key")
    assert done.returncode == 0, done.stderr
    assert "not signed: cosign is 2.6.1; " in done.stderr
    assert "install" in done.stderr
    assert "signed" not in ready.journal
    assert ready.journal["status"] == "done"


def test_a_key_that_cannot_be_read(ready: Shop, signing: dict[str, str]) -> None:
    wrong = {**signing, "COSIGN_KEY": str(ready.folder / "taskflow.toml")}
    done = ready.invoke("--resume", "--yes", **wrong)
    assert done.returncode == 4
    assert "cosign does not read the key of COSIGN_KEY" in done.stderr
    # It goes on without, once somebody says so.
    done = ready.invoke("--resume", "--yes")
    assert done.returncode == 0, done.stderr
    assert "not signed: neither COSIGN_KEY nor a CI identity" in done.stderr


def test_the_plan_reads_the_key(shop: Shop, signing: dict[str, str]) -> None:
    before = shop.state
    for wrong in ({"COSIGN_PASSWORD": "guess"}, {"COSIGN_KEY": "/nowhere"}):
        done = shop.invoke("--yes", **{**signing, **wrong})
        assert done.returncode == 1
        assert "what signs the images can be read" in done.stderr
        assert (shop.state, shop.journal) == (before, {})
    done = shop.invoke("--dry-run", **signing)
    assert done.returncode == 0, done.stderr
    assert "signed by cosign" in done.stdout


def test_a_ci_identity_signs_without_a_key(
    ready: Shop, tmp_path: Path, stand_in: Callable[..., str]
) -> None:
    """Its certificates are not to be had here: what cosign is asked for is looked at."""
    done = ready.invoke("--resume", "--yes", PATH=stand_in("", "true"), SIGSTORE_ID_TOKEN="ey.x.y",
                        CI_JOB_URL="https://gitlab.example/acme/shop/-/jobs/7",
                        CI_PROJECT_URL="https://gitlab.example/acme/shop", CI_RUNNER_ID="12")  # fmt: skip
    assert done.returncode == 0, done.stderr
    asked = [line.split() for line in (tmp_path / "asked").read_text().splitlines()]
    for image in ready.journal["images"].values():
        reference = f"{image['repository']}@{image['digest']}"
        words = [line for line in asked if line[-1] == reference]
        assert [line[0] for line in words] == ["attest", "attest", "sign"]
        assert all("--yes" in line and "--key" not in line for line in words)
    assert "ey.x.y" not in json.dumps(ready.journal) + done.stderr


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, provenance.MACHINE),
        ({"GITHUB_RUN_ID": "1", "RUNNER_ENVIRONMENT": "github-hosted"},
         "https://github.com/actions/runner/github-hosted"),
        ({"GITHUB_RUN_ID": "1"}, "https://github.com/actions/runner/self-hosted"),
        ({"CI_JOB_URL": "https://g/-/jobs/1", "CI_PROJECT_URL": "https://g/a", "CI_RUNNER_ID": "7"},
         "https://g/a/-/runners/7"),
    ],
)  # fmt: skip
def test_who_builds(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GITHUB_RUN_ID", "RUNNER_ENVIRONMENT", "CI_JOB_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert provenance.builder() == expected


def test_the_same_release_states_the_same(ready: Shop) -> None:
    """However often it is resumed: nothing in it is the time of the day."""
    state = State.model_validate(ready.journal)
    for image in state.images.values():
        image.digest = f"sha256:{'0' * 64}"
    assert provenance.statement(state, {}) == provenance.statement(state, {})
    assert provenance.canonical({"a": 10.0, "b": [1]}) == provenance.canonical({"b": [1], "a": 10})
    assert provenance.canonical({"a": 1.5}) != provenance.canonical({"a": 1})


def test_cosign_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "cosign is not installed; " in cosign.absent()
