"""What the kernel knows of a container's process: memory, kills, waiting; control groups v1 and v2."""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
# What is asked for → the file's name in v1 and v2.
_LOOKS = 50  # 10 ms apart, at a process that is just being replaced
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
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _has_program(pid: int) -> bool:
    """Whether a process has a command line, as no zombie has, nor one that is just being replaced."""
    for _ in range(_LOOKS):
        if Path(f"/proc/{pid}/cmdline").read_bytes():
            return True
        if proc_stat(pid)[:1] in ([], ["Z"], ["X"]):
            break
        time.sleep(0.01)
    return False


@dataclass(frozen=True, slots=True)
class Process:
    """A container's process 1, where this host can see it; every reading is None where it cannot."""

    pid: int
    folder: Path | None
    version: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process with this ID; None when it is gone or lives in a virtual machine."""
        try:
            groups = Path(f"/proc/{pid}/cgroup").read_text() if pid else ""
            if not groups or not _has_program(pid):
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
            if (folder / _FILES["usage"][version - 1]).is_file():
                return cls(pid, folder, version)
        return cls(pid, None, 0)

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
        """Whether its first thread neither runs nor could, nor waits for a disk."""
        return proc_stat(self.pid)[:1] in ([], ["S"])

    def cpu(self) -> float:
        """Seconds of CPU that it has used so far, all threads together."""
        return sum(map(int, proc_stat(self.pid)[11:13])) / os.sysconf("SC_CLK_TCK")

    def scheduled(self) -> tuple[float, float] | None:
        """Seconds that its first thread ran, and seconds that it waited for a CPU."""
        return _schedule(f"/proc/{self.pid}/schedstat")


def _schedule(path: str) -> tuple[float, float] | None:
    try:
        ran, waited, _ = Path(path).read_text().split()
    except (OSError, ValueError):
        return None
    return int(ran) / 1e9, int(waited) / 1e9


def own_wait() -> float:
    """Seconds that this thread has waited for a CPU."""
    found = _schedule(f"/proc/self/task/{threading.get_native_id()}/schedstat")
    return found[1] if found else 0.0
