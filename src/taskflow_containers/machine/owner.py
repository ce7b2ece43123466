"""Who made something that outlives its process, and whether that process is gone."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from taskflow_containers.machine.cgroup import proc_stat

_UNKNOWN = "running"
_HOSTS_NAMESPACE = "4026531836"  # PROC_PID_INIT_INO of Linux's include/linux/proc_ns.h


def owner() -> str:
    """This process, told from any other here, in other containers and on other hosts."""
    return f"{_place()}:{os.getpid()}:{_start_of(os.getpid())}"


def abandoned(owner: str) -> bool:
    """Whether that owner ran where this process does, and is gone.

    A run elsewhere is its own affair: on another host, before another start of this one, in a
    container with process IDs of its own.
    """
    place, pid, start = (["", "", *owner.rsplit(":", 2)])[-3:]
    if place != _place() or not pid.isdigit():
        return False
    now = _start_of(int(pid))
    return now != start and now != _UNKNOWN


def rebooted(owner: str) -> bool:
    """Whether that owner ran on this very host, outside any container, before it was started anew."""
    boot, namespace, host = (["", "", "", "", *owner.rsplit(":", 4)])[-5:-2]
    this_boot, this_namespace, this_host = _place().rsplit(":", 2)
    return (
        namespace == this_namespace == _HOSTS_NAMESPACE
        and host == this_host
        and bool(boot)
        and boot != this_boot
    )


def _place() -> str:
    """A start of a host, its namespace of process IDs and its name: within these an ID means one process.

    The name is not the first, as earlier versions of this label have it: they leave these stacks alone.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        namespace = str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:  # not Linux: there is one of each
        boot = namespace = ""
    return f"{boot}:{namespace}:{socket.gethostname()}"


def _start_of(pid: int) -> str:
    """What tells a process from a later one with the same ID; "" when gone, _UNKNOWN if it is not shown."""
    if fields := proc_stat(pid):
        return fields[19]
    try:
        os.kill(pid, 0)
    except PermissionError:  # somebody else's
        return _UNKNOWN
    except (OSError, OverflowError):
        return ""
    return _UNKNOWN
