"""A whole release, on a real remote, a real registry and a real engine: what is there afterwards."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile

import pytest
import yaml

from taskflow_containers.contract.container import LABEL_PREFIX
from taskflow_containers.engine.client import Engine
from taskflow_containers.release.registry import ImageRepository
from tests.conftest import git
from tests.release.conftest import Shop, identity

pytestmark = pytest.mark.engine
STEPS = ("prepare", "gate", "package", "branch", "tag", "promote", "push", "upload-orders",
         "upload-stock", "publish", "chart", "attest")  # fmt: skip
FILES = ["CHANGELOG.md", "chart/Chart.yaml", "orders/pyproject.toml", "stock/package-lock.json",
         "stock/package.json", "taskflow.toml"]  # fmt: skip


def whole(shop: Shop, engine: Engine, version: str = "1.3.0") -> None:
    """All that a finished release must have brought about, and nothing besides."""
    journal = shop.journal
    assert journal["status"] == "done"
    assert tuple(journal["steps"]) == STEPS
    assert all("done" in step for step in journal["steps"].values())
    commit = shop.git("rev-parse", "HEAD")
    assert journal["commit"] == commit
    assert shop.git("status", "--porcelain", "--untracked-files=all") == ""
    assert shop.git("log", "-1", "--format=%s") == f"chore(release): {version}"
    assert shop.git("diff", "--name-only", "HEAD~1", "HEAD").splitlines() == FILES
    assert shop.git("rev-parse", f"v{version}^{{commit}}", "main") == f"{commit}\n{commit}"
    assert shop.git("cat-file", "-t", f"v{version}") == "tag"
    for ref in ("main", f"v{version}"):
        assert git(shop.remote, "rev-parse", ref).strip() == shop.git("rev-parse", ref)
    assert len(shop.git("worktree", "list").splitlines()) == 1
    expected = {}
    for name in ("orders", "stock"):
        image = journal["images"][name]
        repository = ImageRepository(f"{shop.registry.host}/acme/{shop.name}-{name}")
        # What is released is what was tested, and it says so itself.
        assert identity(engine, repository, version) == image["id"]
        labels = (engine.image_config(image["id"]) or {})["Labels"]
        assert labels[f"{LABEL_PREFIX}version"] == version
        assert labels[f"{LABEL_PREFIX}revision"] == commit
        for tag in (version, "1.3", "1", "latest", f"sha-{commit[:12]}"):
            expected[f"acme/{shop.name}-{name}:{tag}"] = image["digest"]
    expected[f"acme/charts/{shop.name}:{version}"] = journal["chart"]["digest"]
    assert shop.registry.tags == expected


def deployed(chart: str) -> dict[str, str]:
    """The images' digests that a chart of a registry deploys."""
    rendered = subprocess.run(
        ["helm", "template", f"oci://{chart}", "--version", "1.3.0", "--plain-http",
         "--show-only", "templates/images.yaml"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return dict(yaml.safe_load(rendered.stdout)["data"])


def test_the_dry_run_is_the_plan_and_changes_nothing(shop: Shop) -> None:
    before = shop.state
    dry = shop.invoke("--dry-run")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert (shop.state, shop.journal) == (before, {})
    for step in STEPS:
        assert f" ·  {step} " in dry.stdout
    assert "feat: take orders (" in dry.stdout
    assert "1.3, 1, latest move" in dry.stdout
    stopped = shop.invoke()
    assert stopped.stdout == dry.stdout, "what is asked about is the very plan"


@pytest.mark.each_engine
def test_a_release_and_what_it_leaves(shop: Shop, engine: Engine) -> None:
    (shop.folder / "reports").mkdir()
    token = "hunter2-hunter2"
    done = shop.invoke("--yes", SOME_TOKEN=token)
    assert done.returncode == 0, done.stderr
    whole(shop, engine)
    assert token not in done.stdout + done.stderr + json.dumps(shop.journal)
    data = done.stdout.splitlines()[-3:]
    images = shop.journal["images"]
    assert data == ["v1.3.0", *(f"{i['repository']}:1.3.0@{i['digest']}" for i in images.values())]
    # Only the version changed in the files, down to comments and line ends.
    removed, added = (
        [line[1:] for line in shop.git("diff", "--unified=0", "HEAD~1", "HEAD", "--",
                                       *FILES[1:]).splitlines()
         if line.startswith(sign) and not line.startswith(sign * 3)]
        for sign in "-+"
    )  # fmt: skip
    assert [line.replace("1.2.3", "1.3.0").replace("0.0.0", "1.3.0") for line in removed] == added
    changelog = (shop.folder / "CHANGELOG.md").read_bytes()
    assert changelog.count(b"\n") == changelog.count(b"\r\n")
    assert changelog.endswith(b"## 1.2.3 (2026-01-01)\r\n\r\nBy hand, with CRLF.\r\n")
    assert b"### Added\r\n\r\n- **orders:** take orders ([" in changelog
    # The chart deploys those digests.
    folder = shop.folder / "reports" / "release-1.3.0"
    package = folder / shop.journal["chart"]["file"]
    assert hashlib.sha256(package.read_bytes()).hexdigest() == shop.journal["chart"]["sha256"]
    digests = {name: image["digest"] for name, image in images.items()}
    assert deployed(f"{shop.registry.host}/acme/charts/{shop.name}") == digests
    with tarfile.open(package) as archive:
        values = archive.extractfile(f"{shop.name}/values.yaml")
        assert values
        assert b"# set by `invoke release`" in values.read()
    # The papers.
    for name, digest in shop.journal["sbom"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        document = json.loads((folder / name).read_text())
        form = "bomFormat" if name.endswith(".cdx.json") else "spdxVersion"
        assert document[form] in {"CycloneDX", "SPDX-2.3"}
    statement = json.loads((folder / "provenance.intoto.json").read_text())
    assert [s["digest"]["sha256"] for s in statement["subject"]] == [
        digest.removeprefix("sha256:") for digest in digests.values()
    ]
    build = statement["predicate"]["buildDefinition"]
    assert build["resolvedDependencies"][0]["digest"] == {"gitCommit": shop.journal["commit"]}
    assert {verdict["verdict"] for verdict in shop.journal["verdicts"].values()} == {"passed"}
    assert "take orders" in (folder / "notes.md").read_text()
    # The next one has something to do as soon as there is a fix.
    again = shop.invoke("--yes")
    assert again.returncode == 1
    assert "nothing to release" in again.stderr
    shop.commit("fix: one", "src")
    assert "release 1.3.1 after 1.3.0" in shop.invoke("--dry-run").stdout


@pytest.mark.thorough
def test_not_pushed_and_then_pushed(ready: Shop, engine: Engine) -> None:
    """Nobody outside sees --no-push; --resume then does the rest."""
    assert ready.invoke("--yes", "--abort").returncode == 0
    before = ready.there
    ready.remote.rename(ready.remote.parent / "unplugged")
    done = ready.invoke("--yes", "--no-push")
    assert done.returncode == 0, done.stderr
    assert "invoke release --resume" in done.stderr
    assert tuple(ready.journal["steps"]) == STEPS[: STEPS.index("push")]
    (ready.remote.parent / "unplugged").rename(ready.remote)
    assert (ready.there, ready.registry.tags) == (before, {})
    assert ready.git("rev-parse", "v1.3.0^{commit}") == ready.git("rev-parse", "main")
    done = ready.invoke("--yes", "--resume")
    assert done.returncode == 0, done.stderr
    whole(ready, engine)


def test_a_maintenance_release_leaves_latest_alone(ready: Shop) -> None:
    assert ready.invoke("--abort").returncode == 0
    ready.git("tag", "v2.0.0")
    ready.git("switch", "--quiet", "--create", "1.2.x", "v1.2.3")
    ready.commit("fix: old", "src")
    ready.git("push", "--quiet", "--tags", "origin", "1.2.x")
    done = ready.invoke("--dry-run", "--branch=1.2.x")
    assert done.returncode == 0, done.stderr
    assert "release 1.2.4 after 1.2.3" in done.stdout
    assert "point 1.2.4, 1.2, 1 to" in done.stdout
