"""Everything that can be refused is refused before the first write, with what to type."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from taskflow_containers.engine.client import Engine
from taskflow_containers.release.journal import lock
from taskflow_containers.release.registry import ImageRepository
from tests.conftest import git
from tests.release.conftest import Registry, Shop, login

pytestmark = pytest.mark.engine


def colleague(shop: Shop) -> Path:
    """Another clone, whose owner may push."""
    clone = shop.folder.parent / "colleague"
    if not clone.exists():
        git(shop.folder.parent, "clone", "--quiet", str(shop.remote), str(clone))
    return clone


def pushed_by_another(shop: Shop) -> None:
    (colleague(shop) / "theirs").write_text("x")
    git(colleague(shop), "add", "--all")
    git(colleague(shop), "commit", "--quiet", "--message", "fix: theirs")
    git(colleague(shop), "push", "--quiet")


def staged(shop: Shop) -> None:
    (shop.folder / "other").write_text("x")
    shop.git("add", "other")


def diverged(shop: Shop) -> None:
    pushed_by_another(shop)
    shop.commit("fix: mine", "src")


def shallow(shop: Shop) -> None:
    shutil.rmtree(shop.folder)
    git(shop.remote.parent, "clone", "--quiet", "--depth=1", shop.remote.as_uri(), str(shop.folder))
    shop.git("config", "user.name", "Ann")
    shop.git("config", "user.email", "ann@localhost")


def tagged_here(shop: Shop) -> None:
    shop.git("switch", "--quiet", "--create", "side")
    shop.commit("feat: elsewhere", "src")
    shop.git("tag", "v1.3.0")
    shop.git("switch", "--quiet", "main")


def tagged_there(shop: Shop) -> None:
    git(colleague(shop), "tag", "v1.3.0")
    git(colleague(shop), "push", "--quiet", "--tags")


def tagged_differently(shop: Shop) -> None:
    git(colleague(shop), "tag", "--force", "v1.2.3")
    git(colleague(shop), "push", "--quiet", "--tags", "--force")


def released(shop: Shop) -> None:
    shop.git("tag", "v1.3.0")
    shop.commit("docs: only", "src")
    shop.git("push", "--quiet", "--tags", "origin", "main")


def nobody(shop: Shop) -> None:
    shop.git("config", "user.useConfigOnly", "true")
    shop.git("config", "--unset", "user.email")


def removed_folder(name: str) -> Callable[[Shop], object]:
    return lambda shop: (shop.folder / name).resolve().rename(shop.folder.parent / "gone")


def no_digest(shop: Shop) -> None:
    path = shop.folder / "chart" / "values.yaml"
    path.write_text(re.sub("image: {.*}", "image:", path.read_text()))
    shop.git("commit", "--quiet", "--all", "--message", "fix: nothing")
    shop.git("push", "--quiet")


Damage = Callable[[Shop], object]
CASES: dict[str, tuple[Damage, str, str, str]] = {
    "dirty": (lambda s: (s.folder / "src").write_text("x"), "", "not committed: M src", "git stash"),
    "staged": (staged, "", "not committed: A +other", "git stash"),
    "untracked": (lambda s: (s.folder / "new").write_text("x"), "", r"not committed: \?\? new", "git stash"),
    "deleted": (lambda s: (s.folder / "src").unlink(), "", "not committed: D src", "commit"),
    "detached": (lambda s: s.git("switch", "--quiet", "--detach"), "", "HEAD is detached", "git switch main"),
    "branch": (lambda s: s.git("switch", "--quiet", "-c", "side"), "", "this is side", "git switch main"),
    "shallow": (shallow, "", "this clone is shallow", "git fetch --unshallow --tags"),
    "behind": (pushed_by_another, "", "has what is not here", "git pull --rebase origin main"),
    "diverged": (diverged, "", "has what is not here", "git pull --rebase origin main"),
    "tag here": (tagged_here, "", r"v1\.3\.0 exists already", "--version"),
    "tag there": (tagged_there, "", r"v1\.3\.0 is there and not here", "git fetch --tags"),
    "tag elsewhere": (tagged_differently, "", r"v1\.2\.3 is \w+ here and \w+ there", "git fetch --tags"),
    "unreachable": (removed_folder("../remote.git"), "", "origin cannot be reached", "ls-remote"),
    "no remote": (lambda s: s.git("remote", "remove", "origin"), "", "no remote 'origin'", "git remote add"),
    "not atomic": (lambda s: git(s.remote, "config", "receive.advertiseAtomic", "false"), "", "atomic", "atomic"),
    "lower": (lambda _: None, "--version=1.2.2", "1.2.2 is not greater than 1.2.3", "--bump"),
    "equal": (lambda _: None, "--version=v1.2.3", "1.2.3 is not greater than 1.2.3", "--bump"),
    "no version": (lambda _: None, "--version=1.3", "'1.3' is not a version", "X.Y.Z"),
    "build metadata": (lambda _: None, "--version=1.3.0+1", r"'1\.3\.0\+1' is not a version", "image tag"),
    "PEP 440": (lambda _: None, "--version=1.3.0-next", "1.3.0-next", "1.3.0-rc.1"),
    "bump": (lambda _: None, "--bump=huge", "--bump huge", "auto, major, minor or patch"),
    "nothing": (released, "", "none of 1 commits since v1.3.0", "--bump patch"),
    "nobody": (nobody, "", "no name or e-mail", "git config user.name"),
    "no digest": (no_digest, "", "there is no containers.stock.image.digest to set", "write it first"),
    "registry down": (lambda s: s.registry.stop(), "", "cannot be reached", "network"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_refused_before_the_first_write(case: str, shop: Shop) -> None:
    damage, words, message, hint = CASES[case]
    damage(shop)
    if case == "unreachable":
        shop.remote = shop.folder.parent / "gone"
    before = shop.state
    done = shop.invoke("--yes", *words.split())
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout == ""
    failures = done.stderr.split("\n\n✗ ")[1:]
    assert len(failures) == (3 if case == "registry down" else 1), "one fault is one message"
    assert re.search(message, failures[0]), failures
    assert hint in failures[0]
    assert "Traceback" not in done.stderr
    assert shop.state == before
    assert shop.journal == {}
    assert shop.registry.uploads == []


@pytest.mark.parametrize("repository", ["acme/{}-stock", "acme/charts/{}"])
def test_a_tag_that_the_registry_has_is_refused(
    repository: str, shop: Shop, engine: Engine, tiny: Callable[[], str]
) -> None:
    there = ImageRepository(f"{shop.registry.host}/{repository.format(shop.name)}")
    there.push(engine, tiny(), "1.3.0")
    before = shop.state
    done = shop.invoke("--yes")
    assert done.returncode == 1
    assert f"{there.name}:1.3.0 exists already (sha256:" in done.stderr
    assert (shop.state, shop.journal) == (before, {})


def test_a_registry_without_credentials_is_refused(
    make_registry: Callable[..., Registry], tmp_path: Path, engine: Engine
) -> None:
    shop = Shop(tmp_path, make_registry(auth=True))
    before = shop.state
    for config in (tmp_path / "empty", login(shop.registry, tmp_path / "wrong", password="guess")):
        done = shop.invoke("--yes", "--dry-run", DOCKER_CONFIG=str(config))
        assert done.returncode == 1
        assert f"docker login {shop.registry.host}" in done.stderr
        assert "401" in done.stderr
        assert (shop.state, shop.journal) == (before, {})
    right = login(shop.registry, tmp_path / "right")
    done = shop.invoke("--dry-run", DOCKER_CONFIG=right)
    assert done.returncode == 0, f"{engine.description}: {done.stderr}"


def test_no_engine_is_refused(shop: Shop, tmp_path: Path) -> None:
    before = shop.state
    for name in ("git", "helm", "sh"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    done = shop.invoke("--yes", PATH=str(tmp_path), TASKFLOW_ENGINE="")
    assert done.returncode == 1, done.stderr
    assert "no container engine answers" in done.stderr
    assert (shop.state, shop.journal) == (before, {})


def test_nobody_to_ask(shop: Shop) -> None:
    before = shop.state
    done = shop.invoke()
    assert done.returncode == 2
    assert done.stderr.endswith("nobody is here to agree to this plan\n  add --yes\n")
    assert (shop.state, shop.journal) == (before, {})


@pytest.mark.parametrize("word", ["--resume", "--abort"])
def test_nothing_to_go_on_with(word: str, shop: Shop) -> None:
    done = shop.invoke("--yes", word)
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no unfinished release" in done.stderr


@pytest.mark.parametrize("words", [(), ("--resume",), ("--abort",)])
def test_one_at_a_time(words: tuple[str, ...], ready: Shop) -> None:
    before = ready.state, ready.journal
    with lock(ready.folder / ".git" / "taskflow-release.lock"):
        done = ready.invoke("--yes", *words)
    assert done.returncode == 2
    assert "another release is running" in done.stderr
    assert (ready.state, ready.journal) == before


def test_an_unfinished_release_comes_first(ready: Shop) -> None:
    before = ready.state, ready.journal
    done = ready.invoke("--yes")
    assert done.returncode == 2
    assert "the release 1.3.0 is unfinished" in done.stderr
    assert (ready.state, ready.journal) == before
