"""Who may reach whom: the chart's own tests, and its network policies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import count

from taskflow_containers.cluster.namespace import Namespace
from taskflow_containers.cluster.neighbours import ENTRY, STRANGER
from taskflow_containers.cluster.rollout import ReleaseTrouble
from taskflow_containers.machine import interruption
from taskflow_containers.report.result import Result, judge

_TESTS = 3  # attempts; each may wait for as long as the chart's test has patience
_LAG = 10.0  # seconds that a node may be behind in what it knows of Services and policies
_CONTROL = "kubernetes.default:443"  # what every pod may reach that no policy binds


def test(site: Namespace) -> Iterator[Result]:
    """The chart's own tests pass (helm test)."""
    started = time.monotonic()
    for attempt in count(1):
        try:
            site.release.call("test")
            break
        except ReleaseTrouble:
            # A Service that was just made refuses until the node knows where its pods are, and a
            # busy node answers late: the first failures are forgiven however long they took.
            if attempt >= _TESTS and time.monotonic() - started > _LAG:
                raise
    yield judge("cluster.test", "helm test", True, expected="every test passes", measured="passed")


def policy(site: Namespace) -> Iterator[Result]:
    """Who may reach whom is enforced, and nobody else reaches anybody."""
    addresses = {name: site.address(name) for name in (*site.serving, *site.services)}
    wanted_by = {ENTRY: site.public(), STRANGER: []}
    for name in site.containers:
        wanted_by[name] = site.calls(name)
    # Most of it is waiting for what is dropped, so all ask at once.
    with interruption.pool(len(wanted_by)) as pool:
        asking = partial(_connected, site, addresses)
        answers = list(pool.map(asking, wanted_by.keys(), wanted_by.values()))
    for (source, wanted), answer in zip(wanted_by.items(), answers, strict=True):
        own = source in site.containers
        reached = [name for name, address in addresses.items() if answer.get(address)]
        alive = own or answer[_CONTROL]
        dead = "" if alive else f", but {_CONTROL} neither: its network does not work"
        yield judge(
            f"cluster.policy.{'release' if own else source}",
            f"{source} reaches {', '.join(wanted) or 'none of them'}",
            set(reached) == set(wanted) and alive, container=source if own else "",
            expected=", ".join(sorted(wanted)) or "nobody",
            measured=(", ".join(sorted(reached)) or "nobody") + dead,
            fix="networkPolicy must be enabled, and the cluster's network plugin enforce it; "
            "`connects` in taskflow.toml and in the chart's values say who calls whom",
        )  # fmt: skip


def _connected(
    site: Namespace, addresses: dict[str, str], source: str, wanted: list[str]
) -> dict[str, bool]:
    """Whom a neighbour, or a container's pod, gets a TCP connection to."""
    targets = [address for name, address in addresses.items() if name != source]
    answer: dict[str, bool] = {}

    def all_wanted() -> bool:
        if source in site.containers:
            pod = site.pods(source)[0]["metadata"]["name"]
            answer.update(site.ask(pod, "connect", *targets, container=source))
        else:
            answer.update(site.ask(source, "connect", *targets, _CONTROL))
        return all(answer.get(addresses[name]) for name in wanted)

    # A policy takes a moment to reach the node; what it drops stays dropped.
    site.wait(_LAG, all_wanted)
    return answer
