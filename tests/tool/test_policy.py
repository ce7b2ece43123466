"""The admission policy is one that Kyverno takes, and asks for what `verify` asks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from taskflow_containers.machine.errors import InputError
from taskflow_containers.project.load import load
from taskflow_containers.release import kyverno
from taskflow_containers.release.cosign import Trust
from taskflow_containers.release.provenance import PROVENANCE, SBOM
from tests.conftest import ROOT
from tests.tool.test_cli import taskflow

SCHEMA = json.loads(
    (Path(__file__).parent / "kyverno-clusterpolicy.schema.json").read_text("utf-8")
)
KEY = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"
WORKFLOW = "https://github.com/acme/shop/.github/workflows/release.yml@refs/heads/main"
ISSUER = "https://token.actions.githubusercontent.com"


@pytest.fixture
def registered(project: Path) -> Path:
    """A project with a registry and the public half of a key."""
    file = project / "taskflow.toml"
    text = file.read_text("utf-8")
    head, rest = text.split("\n[", 1)
    lines = [line for line in head.splitlines() if not line.startswith("registry")]
    file.write_text("\n".join([*lines, 'registry = "ghcr.io/acme"', "", f"[{rest}"]))
    (project / "cosign.pub").write_text(KEY)
    return project


def valid(text: str) -> dict[str, Any]:
    """What it asks of an image, once the CRD's schema (closed) has taken it."""
    document = yaml.safe_load(text)
    jsonschema.Draft7Validator(SCHEMA).validate(document)
    (rule,) = document["spec"]["rules"]
    (asked,) = rule["verifyImages"]
    assert asked["type"] == "SigstoreBundle"
    return dict(asked)


def test_a_key(registered: Path) -> None:
    done = taskflow(registered, "policy", "--key", "cosign.pub", "--no-transparency-log")
    assert done.returncode == 0, done.stderr
    asked = valid(done.stdout)
    name = load(registered / "taskflow.toml").name
    assert f"ghcr.io/acme/{name}-backend:*" in asked["imageReferences"]
    keys = {"publicKeys": KEY, "rekor": {"ignoreTlog": True}, "ctlog": {"ignoreSCT": True}}
    signers = [{"entries": [{"keys": keys}]}]
    kinds = {one["type"]: one for one in asked["attestations"]}
    assert kinds.keys() == {SBOM, PROVENANCE}
    assert [asked["attestors"], *(one["attestors"] for one in kinds.values())] == [signers] * 3
    (tested,) = kinds[PROVENANCE]["conditions"][0]["all"]
    assert (tested["operator"], tested["value"]) == ("Equals", "passed")
    assert "verdicts.smoke.verdict" in tested["key"]


def test_an_identity_from_the_settings(registered: Path) -> None:
    with (registered / "taskflow.toml").open("a") as file:
        file.write(f'\n[signature]\nidentity = "{WORKFLOW}"\nissuer = "{ISSUER}"\n')
    done = taskflow(registered, "policy")
    assert done.returncode == 0, done.stderr
    (entry,) = valid(done.stdout)["attestors"][0]["entries"]
    assert (entry["keyless"]["subject"], entry["keyless"]["issuer"]) == (WORKFLOW, ISSUER)


def test_a_key_in_a_service(registered: Path) -> None:
    project = load(registered / "taskflow.toml")
    (entry,) = valid(kyverno.policy(project, Trust("awskms:///alias/release")))["attestors"][0][
        "entries"
    ]
    assert entry["keys"]["kms"] == "awskms:///alias/release"
    assert entry["keys"]["rekor"]["ignoreTlog"] is False


@pytest.mark.parametrize(
    ("words", "toml", "said"),
    [
        ([], "", "whose signature is asked for"),
        (["--identity", WORKFLOW], "", "whose signature is asked for"),
        (["--key", "absent.pub"], "", "no public key absent.pub"),
        (["--key", "a", "--identity", "b", "--issuer", "c"], "", "whose signature is asked for"),
        (["--identity", "b", "--issuer", "c", "--no-transparency-log"], "", "the transparency log alone"),
        ([], '[signature]\nidentity = "x"\n', "must name a key, or an identity and its issuer"),
        ([], '[signature]\nkey = "k"\nidentity = "x"\nissuer = "y"\n', "must name a key, or"),
        ([], '[signature]\nidentity = "x"\nissuer = "y"\ntransparency-log = false\n', "must keep the"),
    ],
)  # fmt: skip
def test_nobody_to_ask_for(words: list[str], toml: str, said: str, registered: Path) -> None:
    with (registered / "taskflow.toml").open("a") as file:
        file.write(f"\n{toml}")
    for command in (["policy"], ["verify", "ghcr.io/acme/x:1"]):
        done = taskflow(registered, *command, *words)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_a_project_without_a_registry(project: Path) -> None:
    model = load(project / "taskflow.toml").model_copy(update={"registry": ""})
    with pytest.raises(InputError, match="names no registry"):
        kyverno.policy(model, Trust("k"))


def test_the_page_shows_the_policys_command() -> None:
    assert "invoke policy" in (ROOT / "docs" / "release.md").read_text("utf-8")
