"""`invoke tag`: the tags of this commit, on real images, and what must never be pushed."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow_containers.checks import build
from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.errors import InputError, Refused
from taskflow_containers.project.load import load
from taskflow_containers.release import tagging
from taskflow_containers.workspace import Workspace
from tests.conftest import ROOT, SERVICE, git
from tests.containers.conftest import replace
from tests.release.conftest import Registry, remove_images

pytestmark = pytest.mark.engine


@pytest.fixture
def service(tmp_path: Path, engine: Engine) -> Iterator[Path]:
    """The small service, committed; its images are removed afterwards."""
    folder = Path(shutil.copytree(SERVICE, tmp_path / "service"))
    replace("taskflow.toml", '"faulty"', f'"tagged-{uuid.uuid4().hex[:8]}"')(folder)
    (folder / ".gitignore").write_text("reports/\n.nox/\n")
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder, "feat: begin")
    yield folder
    remove_images(engine, load(folder / "taskflow.toml").name)


def commit(folder: Path, message: str) -> str:
    (folder / "file").write_text(message)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD").strip()[:12]


def tags(folder: Path) -> list[str]:
    return tagging.tags(folder, load(folder / "taskflow.toml"))


def test_the_life_of_a_repository(service: Path) -> None:
    sha = git(service, "rev-parse", "HEAD").strip()[:12]
    assert tags(service) == [f"1.2.3-dev.1.g{sha}", f"sha-{sha}"]
    git(service, "tag", "--annotate", "--message=x", "v1.2.3")
    git(service, "tag", "v-nothing")
    assert tags(service) == ["1.2.3", "1.2", "1", "latest", f"sha-{sha}"]
    sha = commit(service, "fix: a")
    assert tags(service) == [f"1.2.4-dev.1.g{sha}", f"sha-{sha}"]
    sha = commit(service, "feat: b")
    assert tags(service) == [f"1.3.0-dev.2.g{sha}", f"sha-{sha}"]
    (service / "file").write_text("changed")
    assert tags(service) == [f"1.3.0-dev.2.g{sha}-dirty", f"sha-{sha}-dirty"]


def test_a_tag_on_another_branch_does_not_count(service: Path) -> None:
    git(service, "tag", "v1.2.3")
    git(service, "switch", "--quiet", "--create", "other")
    commit(service, "feat!: c")
    git(service, "tag", "v2.0.0")
    git(service, "switch", "--quiet", "main")
    sha = commit(service, "fix: d")
    assert tags(service)[0] == f"1.2.4-dev.1.g{sha}"
    git(service, "tag", "v1.2.4")
    assert tags(service) == ["1.2.4", "1.2", "1", f"sha-{sha}"]


def test_a_detached_head_is_no_hindrance(service: Path) -> None:
    expected = tags(service)
    git(service, "switch", "--quiet", "--detach")
    assert tags(service) == expected


def test_a_shallow_clone_is_refused_with_what_to_type(service: Path, tmp_path: Path) -> None:
    commit(service, "fix: a")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--depth=1", service.as_uri(), str(clone))
    with pytest.raises(InputError) as caught:
        tags(clone)
    git(clone, *caught.value.hint.split(" (")[0].split()[1:])
    assert tags(clone) == tags(service)


def test_no_repository_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    with pytest.raises(InputError, match="no git repository"):
        tagging.tags(tmp_path, load(SERVICE / "taskflow.toml"))


def test_tag_and_push(service: Path, engine: Engine, registry: Registry) -> None:
    toml = service / "taskflow.toml"
    toml.write_text(f'registry = "{registry.host}/acme"\n' + toml.read_text())
    sha = commit(service, "feat: a")
    project = load(toml)
    with pytest.raises(InputError, match="not built yet"):
        tagging.tag(service, project, engine, print, push=True)
    image = build.build(Workspace(service, project, engine), ["backend"])[0]
    name = project.image("backend")
    local = tagging.tag(service, project, engine, print, push=False)
    assert local == [f"{name}:1.2.3-dev.2.g{sha}", f"{name}:sha-{sha}"]
    for one in local:
        assert (engine.image_config(one) or {})["Id"] == image.id
    assert registry.tags == {}
    pushed = tagging.tag(service, project, engine, print, push=True)
    assert pushed == [f"{registry.host}/{tag}@{digest}" for tag, digest in
                      sorted(registry.tags.items())]  # fmt: skip
    # The same again changes nothing; a dirty tree pushes nothing.
    before = registry.tags
    assert tagging.tag(service, project, engine, print, push=True) == pushed
    (service / "app.py").open("a").write("\n")
    with pytest.raises(InputError, match="dirty"):
        tagging.tag(service, project, engine, print, push=True)
    build.build(Workspace(service, project, engine), ["backend"])
    local = tagging.tag(service, project, engine, print, push=False)
    assert [one.endswith("-dirty") for one in local] == [True, True]
    assert registry.tags == before


def test_an_image_of_another_commit_or_version_gets_no_tag_of_this_one(
    service: Path, engine: Engine, registry: Registry
) -> None:
    """The sources are the same, so nothing asks for another build; its labels tell."""
    toml = service / "taskflow.toml"
    toml.write_text(f'registry = "{registry.host}/acme"\n' + toml.read_text())
    commit(service, "feat: a")
    build.build(Workspace(service, load(toml), engine), ["backend"])
    git(service, "commit", "--quiet", "--allow-empty", "--message", "docs: more")
    for push in (False, True):
        with pytest.raises(Refused, match=r"says that it is 1\.2\.3 of \w+, and not 1\.2\.3 of"):
            tagging.tag(service, load(toml), engine, print, push=push)
    build.build(Workspace(service, load(toml), engine), ["backend"])
    git(service, "tag", "v1.2.4")
    with pytest.raises(Refused, match=r"says that it is 1\.2\.3 of \w+, and not 1\.2\.4 of"):
        tagging.tag(service, load(toml), engine, print, push=True)
    assert registry.tags == {}


def test_a_released_image_is_not_replaced(
    service: Path, engine: Engine, registry: Registry
) -> None:
    toml = service / "taskflow.toml"
    toml.write_text(f'registry = "{registry.host}/acme"\n' + toml.read_text())
    for count in (1, 2):
        commit(service, f"feat: {count}")
        git(service, "tag", "--force", "v1.2.3")
        build.build(Workspace(service, load(toml), engine), ["backend"])
        if count == 1:
            tagging.tag(service, load(toml), engine, print, push=True)
            before = registry.tags
            assert {tag.partition(":")[2] for tag in before} >= {"1.2.3", "1.2", "1", "latest"}
        else:
            with pytest.raises(Refused, match="there already"):
                tagging.tag(service, load(toml), engine, print, push=True)
    assert {tag: digest for tag, digest in registry.tags.items() if tag in before} == before


def test_the_task_says_words_on_stderr(service: Path) -> None:
    shutil.copy(ROOT / "template" / "tasks.py", service)
    commit(service, "feat: tasks")
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "invoke", "tag"], cwd=service, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == "tag: the image of backend is not built yet: nox -s build\n  invoke build\n"
    )
