"""Whose stack it is that an earlier run left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from taskflow_containers.machine.owner import _HOSTS_NAMESPACE, abandoned, owner, rebooted

WHO = "import sys; from taskflow_containers.machine.owner import owner; print(owner(), flush=True); sys.stdin.read()"


def other(*around: str) -> tuple[subprocess.Popen[str], str]:
    """Another process that lives until its input ends, and what it calls itself."""
    process = subprocess.Popen(
        [*around, sys.executable, "-c", WHO], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, env=os.environ,
    )  # fmt: skip
    assert process.stdout
    return process, process.stdout.readline().strip()


def test_who_is_gone_has_abandoned_it_and_who_lives_has_not() -> None:
    process, its = other()
    assert not abandoned(its)
    assert not abandoned(owner())
    process.communicate("")
    assert abandoned(its)
    assert not rebooted(its)


def test_a_process_id_means_another_process_in_another_namespace() -> None:
    """As in two containers of one host, of one host name."""
    if not shutil.which("unshare"):
        pytest.skip("no program here makes a namespace of process IDs")
    process, its = other("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
    if not its:
        pytest.skip("this user may make no namespace of process IDs")
    assert its.split(":")[0] == owner().split(":")[0]
    assert not abandoned(its)
    process.communicate("")
    assert not abandoned(its), "whether it is gone cannot be seen from here"


def test_who_may_not_be_seen_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user's process: on macOS, or where /proc hides it."""
    place, pid, start = owner().rsplit(":", 2)

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("taskflow_containers.machine.owner.proc_stat", lambda _: [])
    monkeypatch.setattr(os, "kill", refuse)
    assert not abandoned(f"{place}:{pid}:{start}")


@pytest.mark.parametrize("written", ["", "host", "host:1:2", "::", ":::::", "a:b:c:no:5"])
def test_what_nobody_here_wrote_is_nobodys_to_remove(written: str) -> None:
    assert not abandoned(written)
    assert not rebooted(written)


def test_a_run_before_the_host_was_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "taskflow_containers.machine.owner._place", lambda: f"now:{_HOSTS_NAMESPACE}:box"
    )
    before = f"before:{_HOSTS_NAMESPACE}:box:7:1"
    assert rebooted(before)
    assert not abandoned(before)
    assert not rebooted(before.replace("box", "other"))
    assert not rebooted("before:4026532500:box:7:1"), "a container may be of another host"
