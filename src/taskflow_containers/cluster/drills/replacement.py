"""Pods are replaced, in turn or at once, and the service goes on: upgrade, rollback, kill, drain."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from taskflow_containers.cluster.load import RATE, load
from taskflow_containers.cluster.namespace import Namespace
from taskflow_containers.cluster.rollout import ReleaseTrouble
from taskflow_containers.report.result import Result, judge

_GAP = 5.0  # seconds that a service may be away when one of its pods is killed
_EVICTED = 120.0  # seconds
_UPGRADE = {"podAnnotations": {"io.taskflow.drill": "upgrade"}}


def _uids(site: Namespace, name: str = "") -> set[str]:
    return {pod["metadata"]["uid"] for pod in site.pods(name)}


def upgrade(site: Namespace) -> Iterator[Result]:
    """A rolling upgrade, and the rollback after it, cost no request."""
    acts: tuple[tuple[str, str, Callable[[], object]], ...] = (
        ("upgrade", "rolling upgrade", lambda: site.upgrade(site.each(_UPGRADE))),
        ("rollback", "rollback", lambda: site.release.call("rollback", "--wait")),
    )
    for name, title, act in acts:
        before = _uids(site)
        with load(site) as under:
            act()
            seconds = site.settle()
        kept = before & _uids(site)
        yield judge(
            f"cluster.{name}", f"{title} under load", not under.failures and not kept,
            expected=f"every pod replaced, none of {RATE} requests/s failed, "
            "nor the page or what it loads",
            measured=f"{len(kept)} of {len(before)} pods are the old ones" if kept else str(under),
            detail=under.detail, seconds=seconds,
            fix="serve on while the endpoints change: a preStop sleep, maxUnavailable 0; on "
            "SIGTERM answer what still comes on open connections with `Connection: close`; what a "
            "page loads every replica must have, or get from the others (`peers` in the chart's "
            "values)",
        )  # fmt: skip


def kill(site: Namespace) -> Iterator[Result]:
    """A pod that is gone at once is replaced, and the service goes on."""
    for name in site.containers:
        victim = site.pods(name)[0]["metadata"]
        with load(site) as under:
            site.kubectl.call("delete", "pod", victim["name"], "--grace-period=0", "--force")
            seconds = site.settle()
        yield judge(
            "cluster.kill", "pod killed",
            under.gap <= _GAP and victim["uid"] not in _uids(site, name),
            container=name, seconds=seconds,
            expected=f"replaced; the service is away for {_GAP:g} s at most",
            measured=f"replaced after {seconds:.1f} s, away for {under.gap:.2f} s; {under}",
            fix="run two replicas or more, and start faster",
        )  # fmt: skip


def drain(site: Namespace) -> Iterator[Result]:
    """Every pod is evicted, as a node's drain does it, and the budget keeps the service up.

    The Eviction API is what `kubectl drain` calls. The node is not cordoned: on a cluster of one
    nothing could be replaced, and other people's pods could not start meanwhile.
    """
    refused: set[str] = set()
    with load(site) as under:
        waiting = {p["metadata"]["name"]: n for n in site.containers for p in site.pods(n)}

        def evicted() -> bool:
            for pod, name in list(waiting.items()):
                if _evict(site, pod):
                    del waiting[pod]
                else:
                    refused.add(name)
            return not waiting

        seconds = site.wait(_EVICTED, evicted)
        site.settle()
    for name in site.containers:
        yield judge(
            "cluster.drain.budget", "an eviction waits for the budget", name in refused,
            container=name, expected="refused while another pod of it is away (429)",
            measured="refused, then granted" if name in refused else "all evicted at once",
            fix="podDisruptionBudget must be enabled, with two replicas or more",
        )  # fmt: skip
    yield judge(
        "cluster.drain", "drained under load", not waiting and not under.failures,
        expected=f"every pod evicted in turn, none of {RATE} requests/s failed",
        measured=f"{len(waiting)} pods cannot be evicted" if waiting else str(under),
        detail=under.detail, seconds=seconds,
        fix="two replicas, a disruption budget that lets one go, and a shutdown that finishes",
    )  # fmt: skip


def _evict(site: Namespace, pod: str) -> bool:
    """Whether the pod may go; False where its budget says not now."""
    about = {"name": pod, "namespace": site.id}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": about}
    path = f"/api/v1/namespaces/{site.id}/pods/{pod}/eviction"
    words = ["create", f"--raw={path}", "--filename=-"]
    done = site.kubectl.call(*words, stdin=json.dumps(eviction), check=False)
    if done.returncode and "TooManyRequests" not in done.stderr and "NotFound" not in done.stderr:
        raise ReleaseTrouble(
            f"pod {pod} cannot be evicted: {done.stderr.strip()[:300]}",
            "whoever runs this must be allowed to create pods/eviction",
        )
    return "TooManyRequests" not in done.stderr
