"""What the kernel knows of a container's process: memory, kills, waiting; control groups v1 and v2."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_ROOT = Path("/sys/fs/cgroup")
_LOOKS = 50  # 10 ms apart, at a process that is just being replaced
# 127.0.0.1, the same in IPv6, and ::1, as /proc/net/tcp and tcp6 write them on little-endian machines.
_LOOPBACK = {
    "0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000",
}  # fmt: skip
_LISTENS = "0A"  # TCP_LISTEN of Linux's include/net/tcp_states.h
# What is asked for → the file's name in v1 and v2.
_FILES = {
    "peak": ("memory.max_usage_in_bytes", "memory.peak"),
    "usage": ("memory.usage_in_bytes", "memory.current"),
    "limit": ("memory.limit_in_bytes", "memory.max"),
}


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
        return sys.maxsize if text == "max" else int(text)
    except (OSError, ValueError):
        return None


def _pairs(path: Path) -> dict[str, int]:
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
        return {parts[0]: int(parts[1]) for parts in lines if len(parts) == 2}
    except (OSError, ValueError):
        return {}


def proc_stat(pid: int) -> list[str]:
    """What /proc/PID/stat says behind the program's name, the state first; nothing when it is gone."""
    try:
        return (_PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _has_program(pid: int) -> bool:
    """Whether a process has a command line, as no zombie has, nor one that is just being replaced."""
    for _ in range(_LOOKS):
        if (_PROC / f"{pid}/cmdline").read_bytes():
            return True
        if proc_stat(pid)[:1] in ([], ["Z"], ["X"]):
            break
        time.sleep(0.01)
    return False


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _is_of(container: str, pid: int, groups: str) -> bool:
    """Whether a process here proves to be a container's, which has this full ID.

    The engine's process IDs may be another kernel's, or another namespace's: Docker Desktop, WSL 2, dind.
    """
    if not container:
        return False
    # Where the group does not say (rootless, version 1): the engine mounts a file of its own over /etc/hosts.
    mounts = (line.split()[3:5] for line in _text(_PROC / f"{pid}/mountinfo").splitlines())
    return container in groups or any(m[1:] == ["/etc/hosts"] and container in m[0] for m in mounts)


@dataclass(frozen=True, slots=True)
class Process:
    """A container's process 1, where this host can see it; every reading is None where it cannot."""

    pid: int
    folder: Path | None
    version: int
    container: str = ""

    @classmethod
    def of(cls, pid: int, container: str) -> Process | None:
        """The process with this ID, if it is the container's with that full ID.

        None when it is gone, is somebody else's or lives in a virtual machine.
        """
        try:
            groups = (_PROC / f"{pid}/cgroup").read_text() if pid else ""
            if not _is_of(container, pid, groups) or not _has_program(pid):
                return None
        except OSError:
            return None
        places = {}
        for line in groups.splitlines():
            _, controllers, path = line.split(":", 2)
            if "memory" in controllers.split(","):
                places[1] = Path(f"{_ROOT}/memory{path}")
            elif not controllers:
                places[2] = Path(f"{_ROOT}{path}")
        for version, folder in sorted(places.items()):
            # A rootless container of version 1 has no group of its own: it is counted with everybody.
            if container in str(folder) and (folder / _FILES["usage"][version - 1]).is_file():
                return cls(pid, folder, version, container)
        return cls(pid, None, 0, container)

    def again(self) -> Process | None:
        """The same process now; None when it is gone."""
        return Process.of(self.pid, self.container)

    def memory(self, what: str) -> int | None:
        """Bytes: `peak`, `usage` or `limit`; sys.maxsize where there is no limit."""
        return _number(self.folder / _FILES[what][self.version - 1]) if self.folder else None

    def anonymous(self) -> int | None:
        """Bytes that are the processes' own, without the files that the kernel caches for them."""
        if not self.folder:
            return None
        found = _pairs(self.folder / "memory.stat")
        return found.get("anon", found.get("total_rss"))

    def kills(self) -> int:
        """Processes of the container that were killed for memory, its children included."""
        if not self.folder:
            return 0
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        return _pairs(self.folder / name).get("oom_kill", 0)

    def swap(self) -> int | None:
        """Bytes of swap it may use; sys.maxsize where there is no limit."""
        if not self.folder:
            return None
        if self.version == 2:
            return _number(self.folder / "memory.swap.max")
        both = _number(self.folder / "memory.memsw.limit_in_bytes")
        limit = self.memory("limit")
        return None if both is None or limit is None else both - limit

    def age(self) -> float | None:
        """Seconds since it started."""
        fields = proc_stat(self.pid)
        if not fields:
            return None
        return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")

    def sleeps(self) -> bool:
        """Whether none of its threads runs or could, or waits for a disk."""
        threads = [*_PROC.glob(f"{self.pid}/task/*/stat")]
        states = [_text(path).rpartition(")")[2].split()[:1] for path in threads]
        return all(state in ([], ["S"]) for state in states)

    def cpu(self) -> float:
        """Seconds of CPU that it has used so far, all threads together."""
        return sum(map(int, proc_stat(self.pid)[11:13])) / os.sysconf("SC_CLK_TCK")

    def scheduled(self) -> tuple[float, float] | None:
        """Seconds that its first thread ran, and seconds that it waited for a CPU."""
        return _schedule(_PROC / f"{self.pid}/schedstat")

    def starved(self) -> float:
        """Seconds for which the container could have run, and others had the CPU.

        Of all its processes where the kernel keeps that (PSI), of the first thread elsewhere.
        """
        found = _pressure(self.folder / "cpu.pressure") if self.folder else None
        return (self.scheduled() or (0.0, 0.0))[1] if found is None else found

    def listeners(self, port: int) -> list[str]:
        """The addresses at which somebody in its network listens on a TCP port, as the kernel writes them."""
        tables = [_text(_PROC / f"{self.pid}/net/{table}") for table in ("tcp", "tcp6")]
        lines = [line.split() for table in tables for line in table.splitlines()]
        found = [p[1].partition(":")[::2] for p in lines if len(p) > 3 and p[3] == _LISTENS]
        return [address for address, its in found if its == f"{port:04X}"]

    def listens(self, port: int) -> bool:
        """Whether somebody in its network listens on a TCP port."""
        return bool(self.listeners(port))

    def hears_itself_alone(self, port: int) -> bool:
        """Whether nobody else can reach what listens there."""
        found = self.listeners(port)
        return bool(found) and all(address in _LOOPBACK for address in found)

    def status(self) -> str:
        """Its /proc/PID/status: user, group, capabilities; "" when its users are others than this host's."""
        same = _text(_PROC / f"{self.pid}/uid_map") == _text(_PROC / "self/uid_map")
        return _text(_PROC / f"{self.pid}/status") if same else ""


def _schedule(path: Path) -> tuple[float, float] | None:
    try:
        ran, waited, _ = path.read_text().split()
    except (OSError, ValueError):
        return None
    return int(ran) / 1e9, int(waited) / 1e9


def _pressure(path: Path) -> float | None:
    match = re.search(r"^some .*\btotal=(\d+)", _text(path), re.MULTILINE)
    return int(match[1]) / 1e6 if match else None


def own_wait() -> float:
    """Seconds that this thread has waited for a CPU."""
    found = _schedule(_PROC / f"self/task/{threading.get_native_id()}/schedstat")
    return found[1] if found else 0.0


def contended() -> float:
    """The part of the last ten seconds for which anybody on this machine waited for a CPU."""
    match = re.search(r"^some avg10=([\d.]+)", _text(_PROC / "pressure/cpu"), re.MULTILINE)
    return float(match[1]) / 100 if match else 0.0


def everybodys_wait() -> float:
    """Seconds for which anybody on this machine waited for a CPU; 0 where the kernel keeps no count."""
    return _pressure(_PROC / "pressure/cpu") or 0.0
