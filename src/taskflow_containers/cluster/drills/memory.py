"""A version that takes ever more memory, under load."""

from __future__ import annotations

from collections.abc import Iterator

from taskflow_containers.cluster.kubectl import statuses
from taskflow_containers.cluster.load import RATE, load
from taskflow_containers.cluster.namespace import Namespace
from taskflow_containers.cluster.neighbours import probe
from taskflow_containers.project.values import megabytes
from taskflow_containers.report.result import Result, judge

_OOM = 20.0  # seconds


def memory(site: Namespace) -> Iterator[Result]:
    """A version that leaks is killed at its limit, and the one before goes on serving."""
    sizes = {name: model.memory * 3 // 2 for name, model in site.containers.items()}
    leaking = {
        name: {"command": probe(site.containers[name], "leak", str(size)), "args": []}
        for name, size in sizes.items()
    }
    fates: dict[str, str] = {}

    def killed() -> bool:
        fates.update((name, fate) for name in sizes if (fate := _fate(site, name)))
        return len(fates) == len(sizes)

    with load(site) as under:
        site.upgrade({"containers": leaking}, wait=False)
        seconds = site.wait(_OOM, killed)
        site.release.call("rollback", "--wait")
        site.settle()
    for name, model in site.containers.items():
        fate = fates.get(name, f"holds {megabytes(sizes[name])} and lives")
        yield judge(
            "cluster.memory", "killed at the memory limit", fate == "OOMKilled", container=name,
            expected=f"OOMKilled below {megabytes(sizes[name])} (limit {megabytes(model.memory)})",
            measured=fate, seconds=seconds,
            fix="resources.limits.memory must be the model's `memory`",
        )  # fmt: skip
    yield judge(
        "cluster.memory.service", "a leak does not stop the service", not under.failures,
        expected=f"none of {RATE} requests/s failed", measured=str(under), detail=under.detail,
        fix="maxUnavailable must be 0, so that no old pod goes before a new one is ready",
    )  # fmt: skip


def _fate(site: Namespace, name: str) -> str:
    """How a pod of the container ended last, if one did."""
    for pod in site.pods(name):
        for one in statuses(pod):
            for state in (one.get("state") or {}, one.get("lastState") or {}):
                if ended := state.get("terminated"):
                    return str(ended.get("reason"))
    return ""
