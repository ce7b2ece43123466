"""What is read from a control group, of either version."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from automation.cgroup import Process


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
