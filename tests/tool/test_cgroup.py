"""What is read from a control group, of either version."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from taskflow_containers.machine import cgroup
from taskflow_containers.machine.cgroup import Process


def group(folder: Path, version: int, **files: str) -> Process:
    """A control group whose files say this."""
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")
    return Process(1, folder, version)


@pytest.mark.parametrize(("text", "bytes_"), [("0", 0), ("4096", 4096), ("max", sys.maxsize)])
def test_swap_of_version_2_is_what_may_be_added(tmp_path: Path, text: str, bytes_: int) -> None:
    assert group(tmp_path, 2, memory__swap__max=text).swap() == bytes_


def test_swap_of_version_1_is_what_both_allow_beyond_memory(tmp_path: Path) -> None:
    both = {"memory__memsw__limit_in_bytes": "3000", "memory__limit_in_bytes": "1000"}
    assert group(tmp_path, 1, **both).swap() == 2000


def test_a_kernel_that_does_not_account_for_swap(tmp_path: Path) -> None:
    assert group(tmp_path, 2).swap() is None
    assert group(tmp_path, 1, memory__limit_in_bytes="1000").swap() is None


def test_memory_of_either_version(tmp_path: Path) -> None:
    new = group(
        tmp_path, 2, memory__peak="30", memory__current="20", memory__stat="anon 10\nfile 9",
        memory__events="oom 2\noom_kill 1",
    )  # fmt: skip
    assert (new.memory("peak"), new.memory("usage"), new.anonymous(), new.kills()) == (
        30,
        20,
        10,
        1,
    )
    old = group(
        tmp_path, 1, memory__max_usage_in_bytes="31", memory__usage_in_bytes="21",
        memory__stat="total_rss 11\nrss 5", memory__oom_control="under_oom 0\noom_kill 2",
    )  # fmt: skip
    (tmp_path / "memory.stat").write_text("rss 5\ntotal_rss 11\n")
    assert (old.memory("peak"), old.memory("usage"), old.anonymous(), old.kills()) == (
        31,
        21,
        11,
        2,
    )


def test_where_nothing_is_visible_nothing_is_said(tmp_path: Path) -> None:
    for process in (Process(1, None, 0), group(tmp_path, 2)):
        assert process.memory("peak") is None
        assert process.anonymous() is None
        assert process.swap() is None
        assert process.kills() == 0


ID = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
HOSTS = "1066 1052 0:40 /docker/containers/{id}/hosts /etc/hosts rw,relatime - ext4 /dev/vda rw"
SHM = "66 52 0:40 / /var/lib/docker/containers/{id}/mounts/shm rw,nosuid - tmpfs shm rw"


@pytest.mark.parametrize(
    ("groups", "mounts", "proves"),
    [
        (f"4:memory:/docker/{ID}\n1:cpu:/docker/{ID}", "", True),
        (f"0::/system.slice/docker-{ID}.scope", "", True),
        (f"0::/user.slice/user-1000.slice/user.slice/libpod-{ID}.scope/container", "", True),
        (f"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope", "", True),
        (f"0::/../../docker-{ID}.scope", "", True),
        ("4:memory:/user.slice\n0::/user.slice", HOSTS.format(id=ID), True),
        (f"0::/system.slice/docker-{OTHER}.scope", HOSTS.format(id=OTHER), False),
        (f"0::/docker/{ID[:12]}", "", False),
        ("0::/", "", False),
        # A process of the host sees the engine's own mounts.
        ("0::/system.slice/cron.service", SHM.format(id=ID), False),
    ],
)
def test_a_process_must_prove_to_be_the_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups: str, mounts: str, proves: bool
) -> None:
    monkeypatch.setattr(cgroup, "_PROC", tmp_path)
    place = tmp_path / "42"
    place.mkdir()
    for name, text in {"cgroup": groups, "mountinfo": mounts, "cmdline": "python"}.items():
        (place / name).write_text(f"{text}\n")
    assert (Process.of(42, ID) is not None) is proves
    assert Process.of(42, "") is None
    assert Process.of(43, ID) is None


@pytest.mark.parametrize(("group", "visible"), [(f"user/{ID}", True), ("user", False)])
def test_memory_is_read_from_the_containers_own_group_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str, visible: bool
) -> None:
    """A rootless container of version 1 is counted with everybody else in its user's group."""
    monkeypatch.setattr(cgroup, "_PROC", tmp_path)
    monkeypatch.setattr(cgroup, "_ROOT", tmp_path / "fs")
    place, folder = tmp_path / "42", tmp_path / "fs" / "memory" / group
    place.mkdir()
    folder.mkdir(parents=True)
    (folder / "memory.usage_in_bytes").write_text("4096\n")
    texts = {"cgroup": f"4:memory:/{group}", "mountinfo": HOSTS.format(id=ID), "cmdline": "python"}
    for name, text in texts.items():
        (place / name).write_text(f"{text}\n")
    found = Process.of(42, ID)
    assert found
    assert found.memory("usage") == (4096 if visible else None)
