"""What goes wrong after the plan: nothing is lost, and nothing is half-published unnamed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from taskflow_containers.engine.client import Engine
from taskflow_containers.release.registry import ImageRepository
from tests.conftest import ROOT, further, git, some_of
from tests.release.conftest import Registry, Shop, login
from tests.release.test_refusals import colleague, pushed_by_another
from tests.release.test_release import whole

pytestmark = pytest.mark.engine


def rolled_back(shop: Shop, start: Shop, reason: str) -> None:
    """Refused on the way: all is as it was before the release, and the journal says why."""
    assert shop.here == start.here
    assert shop.journal["status"] == "aborted"
    assert shop.journal["remains"] == []
    assert re.search(reason, shop.journal["why"]), shop.journal["why"]
    assert not list((shop.folder / ".git").glob("worktrees/*"))


# --- Before anything is visible -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        further("exit 1 # says nothing", "git commit was refused"),
        ("echo no releases on Fridays >&2; exit 1", "no releases on Fridays"),
        ("echo x > extra; git add extra", "added extra to the release"),
    ],
)
def test_a_local_hook_meddles_with_the_commit(
    hook: str, reason: str, shop: Shop, tmp_path: Path
) -> None:
    # The hook sees paths of the commit only through `git commit -- FILES`' own index.
    shop.hook("pre-commit", hook, there=False)
    start = shop.copy(tmp_path / "start")
    before = shop.state
    done = shop.invoke("--yes")
    assert done.returncode == 1
    assert re.search(reason, done.stderr)
    assert shop.state == before
    rolled_back(shop, start, reason)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "gate"),
    [
        ("orders/Dockerfile", "USER 1001:1001", "USER root", "lint"),
        ("chart/templates/images.yaml", "kind: ConfigMap", 'kind: {{ fail "no" }}', "chart"),
        ("orders/Dockerfile", "RUN mkdir data", "RUN exit 3", "build"),
        further(
            "stock/Dockerfile", "ENV PYTHONPATH", "ENV FAULT=live-not-json PYTHONPATH", "smoke"
        ),
        further(
            "orders/app.py",
            '"""A backend',
            f'KEY = "AKIA{"Q3EGRPTZ5NVDKLW7"}"\n"""A backend',
            "scan",
        ),
    ],
)
def test_a_failing_gate_leaves_no_trace(
    file: str, old: str, new: str, gate: str, shop: Shop, tmp_path: Path
) -> None:
    text = (shop.folder / file).read_text()
    assert old in text
    (shop.folder / file).write_text(text.replace(old, new))
    shop.git("commit", "--quiet", "--all", "--message", "feat: break it")
    start = shop.copy(tmp_path / "start")
    before = shop.state
    done = shop.invoke("--yes")
    assert done.returncode == 1, done.stderr
    assert f"{gate} failed, see above" in done.stderr
    assert "✗" in done.stderr
    assert shop.state == before
    rolled_back(shop, start, f"{gate} failed")


# --- Here, after the images passed ----------------------------------------------------------------


def test_the_branch_moved_meanwhile(ready: Shop, tmp_path: Path) -> None:
    ready.commit("fix: one more", "src")
    start = ready.copy(tmp_path / "start")
    done = ready.invoke("--resume", "--yes")
    assert done.returncode == 1
    assert "main moved meanwhile" in done.stderr
    rolled_back(ready, start, "main moved")


def test_a_version_file_was_edited_meanwhile(ready: Shop, tmp_path: Path) -> None:
    with (ready.folder / "taskflow.toml").open("a") as stream:
        stream.write("# mine\n")
    start = ready.copy(tmp_path / "start")
    done = ready.invoke("--resume", "--yes")
    assert done.returncode == 1
    rolled_back(ready, start, "would be overwritten")
    assert (ready.folder / "taskflow.toml").read_text().endswith("# mine\n")


def test_the_tag_was_made_meanwhile(ready: Shop, tmp_path: Path) -> None:
    ready.git("tag", "v1.3.0")
    start = ready.copy(tmp_path / "start")
    done = ready.invoke("--resume", "--yes")
    assert done.returncode == 1
    rolled_back(ready, start, "v1.3.0 is there already")


def test_the_tested_image_is_gone(ready: Shop) -> None:
    path = ready.folder / "reports" / "release-1.3.0.json"
    path.write_text(
        path.read_text().replace(ready.journal["images"]["stock"]["id"], "sha256:" + "0" * 64)
    )
    before = ready.state
    done = ready.invoke("--resume", "--yes")
    assert done.returncode == 2
    assert "the tested image of stock is gone" in done.stderr
    assert ready.state == before


def test_a_done_step_no_longer_holds(ready: Shop) -> None:
    ready.killed("finish:tag", "--resume", "--yes")
    ready.git("tag", "--delete", "v1.3.0")
    before = ready.state
    done = ready.invoke("--resume", "--yes")
    assert (done.returncode, ready.state) == (2, before)
    assert (
        "tag no longer holds: v1.3.0 is gone or elsewhere\n  invoke release --abort" in done.stderr
    )


# --- At the git remote ----------------------------------------------------------------------------

REJECTED: dict[str, tuple[Callable[[Shop], object], str]] = {
    "pre-receive": (lambda s: s.hook("pre-receive", "echo closed today >&2; exit 1"), "closed today"),
    "branch": (lambda s: s.hook("update", 'case "$1" in refs/heads/*) echo closed today >&2; exit 1;; esac'), "closed today"),
    "tag": (lambda s: s.hook("update", 'case "$1" in refs/tags/*) echo closed today >&2; exit 1;; esac'), "closed today"),
    "pre-push": (lambda s: s.hook("pre-push", "echo closed today >&2; exit 1", there=False), "own pre-push hook"),
    "pushed between": (pushed_by_another, "somebody else pushed to main"),
    "tag between": (lambda s: (git(colleague(s), "tag", "v1.3.0"), git(colleague(s), "push", "-q", "--tags")),
                    "v1.3.0 was pushed"),
}  # fmt: skip


@pytest.mark.parametrize(
    "case", some_of(REJECTED, "pre-receive", "pre-push", "pushed between", "tag between")
)
def test_the_remote_rejects_and_all_is_taken_back(case: str, ready: Shop, tmp_path: Path) -> None:
    damage, reason = REJECTED[case]
    damage(ready)
    start = ready.copy(tmp_path / "start")
    there = ready.there
    done = ready.invoke("--resume", "--yes")
    assert done.returncode == 1, done.stderr
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert (ready.there, ready.registry.tags) == (there, {})
    rolled_back(ready, start, reason)


def test_the_remote_is_away_and_comes_back(ready: Shop, engine: Engine) -> None:
    away = ready.remote.parent / "away"
    done = ready.python("-m", "tests.release.interrupted", "start:push", "--resume", "--yes",
                        AT_POINT="mv ../remote.git ../away")  # fmt: skip
    assert done.returncode == 4
    assert done.stderr.count("once more in") == 3
    assert "invoke release --resume goes on from there" in done.stderr
    assert ready.journal["status"] == "running"
    away.rename(ready.remote)
    done = ready.invoke("--resume", "--yes")
    assert done.returncode == 0, done.stderr
    whole(ready, engine)


@pytest.mark.parametrize("when", ["prepared", "committed"])
def test_the_remote_dies_in_the_middle_of_a_push(when: str, ready: Shop, engine: Engine) -> None:
    """It dies before its refs changed, or after that and before it could say so."""
    once = ready.remote / "died"
    ready.hook("reference-transaction",
               f'[ "$1" = {when} ] && [ ! -e {once} ] && touch {once} && kill -9 $PPID; exit 0')  # fmt: skip
    done = ready.python("-m", "tests.release.interrupted", "", "--resume", "--yes")
    assert once.exists()
    if when == "prepared":
        # Its locks are left, so no retry helps; who keeps the remote removes them.
        assert done.returncode == 4, done.stderr
        assert done.stderr.count("once more in") == 3
        assert "v1.3.0" not in ready.there
        assert ready.journal["status"] == "running"
        for lock in ready.remote.rglob("*.lock"):
            lock.unlink()
        done = ready.invoke("--resume", "--yes")
    assert done.returncode == 0, done.stderr
    whole(ready, engine)


def test_a_secret_in_the_remotes_url_is_masked(ready: Shop) -> None:
    ready.git("remote", "set-url", "origin", "http://ann:hunter2hunter2@127.0.0.1:9/shop.git")
    done = ready.python("-m", "tests.release.interrupted", "", "--resume", "--yes")
    assert done.returncode == 4
    assert "127.0.0.1" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
    path = ready.folder / "reports" / "release-1.3.0.json"
    assert "hunter2" not in path.read_text()


@pytest.mark.thorough
def test_two_clones_release_at_once(ready: Shop, tmp_path: Path, engine: Engine) -> None:
    """One wins; the other takes its own back and says so."""
    other = ready.copy(tmp_path / "other")
    other.remote = ready.remote
    other.git("remote", "set-url", "origin", str(ready.remote))
    # Their release commits differ, as those of two people do.
    assert other.invoke("--abort").returncode == 0
    other.git("config", "user.name", "Bob")
    other.killed("finish:gate", "--yes")
    start = other.copy(tmp_path / "start")
    path = str(ROOT)
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "invoke", "release", "--resume", "--yes"], cwd=one.folder,
            env={**os.environ, "PYTHONPATH": path}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for one in (ready, other)
    ]  # fmt: skip
    said = [process.communicate(timeout=1200)[1] for process in running]
    codes = [process.returncode for process in running]
    assert sorted(codes) == [0, 1], said
    winner, loser = (ready, other) if codes[0] == 0 else (other, ready)
    whole(winner, engine)
    assert "somebody else" in said[codes.index(1)]
    rolled_back(loser, start, "somebody else")


# --- At the registry ------------------------------------------------------------------------------


def test_the_registry_dies_after_the_first_of_two_images(ready: Shop, engine: Engine) -> None:
    process = ready.registry._process
    assert process
    done = ready.python("-m", "tests.release.interrupted", "finish:upload-orders", "--resume",
                        "--yes", AT_POINT=f"kill -9 {process.pid}")  # fmt: skip
    assert done.returncode == 4
    assert "upload-stock: " in done.stderr
    journal = ready.journal
    assert journal["status"] == "running"
    assert list(journal["steps"])[-1] == "upload-stock"
    assert "digest" in journal["images"]["orders"]
    assert "digest" not in journal["images"]["stock"]
    # No version points to half a release.
    sha = journal["commit"][:12]
    assert [tag.rpartition(":")[2] for tag in ready.registry.tags] == [f"sha-{sha}"]
    ready.registry.stop()
    ready.registry.start()
    done = ready.invoke("--resume", "--yes")
    assert done.returncode == 0, done.stderr
    whole(ready, engine)


def test_someone_takes_the_version_in_the_registry(
    ready: Shop, engine: Engine, tiny: Callable[[], str], tmp_path: Path
) -> None:
    start = ready.copy(tmp_path / "start")
    there = ImageRepository(f"{ready.registry.host}/acme/{ready.name}-stock")
    theirs = there.push(engine, tiny(), "1.3.0")
    done = ready.invoke("--resume", "--yes")
    assert done.returncode == 1
    assert f"{there.name}:1.3.0 is there already, as {theirs}" in done.stderr
    assert "invoke release --resume" in done.stderr
    assert there.digest("1.3.0") == theirs
    assert not any(tag.endswith(":latest") for tag in ready.registry.tags)
    tags = dict(ready.registry.tags)
    done = ready.invoke("--abort")
    assert ready.here[1:] == start.here[1:]
    named = "\n".join(ready.journal["remains"])
    assert theirs == ready.registry.tags[f"acme/{ready.name}-stock:1.3.0"]
    for tag in tags:
        assert (tag in named) == (tag != f"acme/{ready.name}-stock:1.3.0")


def test_a_chart_of_that_version_is_there(
    ready: Shop, engine: Engine, tiny: Callable[[], str]
) -> None:
    there = ImageRepository(f"{ready.registry.host}/acme/charts/{ready.name}")
    theirs = there.push(engine, tiny(), "1.3.0")
    done = ready.invoke("--resume", "--yes")
    assert done.returncode == 1
    assert "with another content" in done.stderr
    assert there.digest("1.3.0") == theirs


@pytest.mark.thorough
def test_tls_and_a_login(
    make_registry: Callable[..., Registry], tmp_path: Path, engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Over TLS with a login; the login is lost half-way, and found again."""
    shop = Shop(tmp_path, make_registry(auth=True, tls=True))
    monkeypatch.setenv("SSL_CERT_FILE", str(shop.registry.certificate))
    monkeypatch.setenv("DOCKER_CONFIG", login(shop.registry, tmp_path / "right"))
    shop.killed("finish:push", "--yes")
    wrong = login(shop.registry, tmp_path / "wrong", password="guess")
    there = shop.there
    done = shop.invoke("--resume", "--yes", DOCKER_CONFIG=wrong)
    assert done.returncode == 1
    assert "login" in done.stderr
    assert shop.journal["status"] == "running"
    assert (shop.there, shop.registry.tags) == (there, {})
    done = shop.invoke("--resume", "--yes")
    assert done.returncode == 0, done.stderr
    whole(shop, engine)
    assert "correct-horse" not in done.stdout + done.stderr


# --- The machine ----------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="needs to mount a tmpfs")
@pytest.mark.parametrize("step", some_of(["branch", "tag", "push", "package"], "push"))
def test_the_disk_is_full(step: str, ready: Shop, tmp_path: Path, engine: Engine) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(small)], check=True)
    try:
        there = ready.copy(small)
        start = ready.copy(tmp_path / "start")
        filler = small / "filler"
        done = there.python("-m", "tests.release.interrupted", f"start:{step}", "--resume", "--yes",
                            AT_POINT=f"cat /dev/zero > {filler} 2>/dev/null || true")  # fmt: skip
        assert done.returncode == 4, done.stderr
        assert "Traceback" not in done.stderr
        assert there.journal["status"] == "running"
        filler.unlink()
        again = there.copy(tmp_path / "again")
        done = there.invoke("--resume", "--yes")
        assert done.returncode == 0, done.stderr
        whole(there, engine)
        again.remote, again.registry = start.remote, ready.registry
        assert again.invoke("--abort").returncode == 0
        assert again.here[1:] == start.here[1:]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_cleaning_spares_the_journal(ready: Shop) -> None:
    before = ready.journal
    done = ready.python("-m", "invoke", "clean")
    assert done.returncode == 2
    assert "a release is unfinished" in done.stderr
    assert ready.journal == before
