"""What a release is put through on a live cluster; each drill is a named check or a few."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count

from taskflow_containers.cluster import helm
from taskflow_containers.cluster.kubectl import Object, condition
from taskflow_containers.cluster.namespace import ENTRY, RATE, STRANGER, Namespace, is_ready
from taskflow_containers.cluster.rollout import ReleaseTrouble
from taskflow_containers.machine import interruption
from taskflow_containers.project.model import megabytes
from taskflow_containers.report.result import Result, judge, skip

GAP = 5.0  # seconds that a service may be away when one of its pods is killed
_NOTICE = 10.0  # seconds until a service must know that its database is away, or back; a probe's time comes on top
_LAG = 10.0  # a node may be so far behind in what it knows of Services and policies
_OOM = 20.0
_SCALER = 45.0  # the controller looks every 15 s
_EVICTED = 120.0
_LEFT = 20.0  # seconds that garbage collection may take
_UPGRADE = {"podAnnotations": {"io.taskflow.drill": "upgrade"}}
_CONTROL = "kubernetes.default:443"  # what every pod may reach that no policy binds

Drill = Callable[[Namespace], Iterator[Result]]


def test(site: Namespace) -> Iterator[Result]:
    """The chart's own tests pass (helm test)."""
    started = time.monotonic()
    for attempt in count(1):
        try:
            site.release.call("test")
            break
        except ReleaseTrouble:
            # A Service that was just made refuses until the node knows where its pods are, and a
            # busy node answers late: one failure is forgiven however long it took.
            if attempt > 1 and time.monotonic() - started > _LAG:
                raise
    yield judge("cluster.test", "helm test", True, expected="every test passes", measured="passed")


def policy(site: Namespace) -> Iterator[Result]:
    """Who may reach whom is enforced, and nobody else reaches anybody."""
    public = site.public()
    addresses = {name: site.address(name) for name in (*site.containers, *site.services)}
    wanted_by = {ENTRY: public, STRANGER: []}
    for name, model in site.containers.items():
        wanted_by[name] = [callee for callee in model.connects.values() if callee in addresses]
    with interruption.pool(len(wanted_by)) as pool:  # most of it is waiting for what is dropped
        answers = list(
            pool.map(
                lambda source: _connected(
                    site, source, addresses, [addresses[name] for name in wanted_by[source]]
                ),
                wanted_by,
            )
        )
    for (source, wanted), answer in zip(wanted_by.items(), answers, strict=True):
        own = source in site.containers
        reached = [name for name, address in addresses.items() if answer.get(address)]
        alive = own or answer[_CONTROL]
        yield judge(
            f"cluster.policy.{'release' if own else source}",
            f"{source} reaches {', '.join(wanted) or 'none of them'}",
            set(reached) == set(wanted) and alive,
            container=source if own else "",
            expected=", ".join(sorted(wanted)) or "nobody",
            measured=(", ".join(sorted(reached)) or "nobody")
            + ("" if alive else f", but {_CONTROL} neither: its network does not work"),
            fix="networkPolicy must be enabled, and the cluster's network plugin enforce it; "
            "`connects` in taskflow.toml and in the chart's values say who calls whom",
        )


def _connected(
    site: Namespace, source: str, addresses: dict[str, str], wanted: list[str]
) -> dict[str, bool]:
    """Whom a neighbour, or a container's pod, gets a TCP connection to."""
    targets = [address for name, address in addresses.items() if name != source]
    started = time.monotonic()
    while True:
        if source in site.containers:
            pod = site.pods(source)[0]["metadata"]["name"]
            answer = site.ask(pod, "connect", *targets, container=source)
        else:
            answer = site.ask(source, "connect", *targets, _CONTROL)
        # A policy takes a moment to reach the node; what it drops stays dropped.
        if all(map(answer.get, wanted)) or time.monotonic() - started > _LAG:
            return answer


def upgrade(site: Namespace) -> Iterator[Result]:
    """A rolling upgrade, and the rollback after it, cost no request."""
    acts: tuple[tuple[str, str, Callable[[], object]], ...] = (
        ("upgrade", "rolling upgrade", lambda: site.upgrade(site.each(_UPGRADE))),
        ("rollback", "rollback", lambda: site.release.call("rollback", "--wait")),
    )
    for name, title, act in acts:
        before = {pod["metadata"]["uid"] for pod in site.pods()}
        with site.load() as load:
            act()
            seconds = site.settle()
        kept = before & {pod["metadata"]["uid"] for pod in site.pods()}
        yield judge(
            f"cluster.{name}",
            f"{title} under load",
            not load.failures and not kept,
            expected=f"every pod replaced, none of {RATE} requests/s failed, nor the page or what it loads",
            measured=str(load)
            if not kept
            else f"{len(kept)} of {len(before)} pods are the old ones",
            detail=load.detail,
            fix="serve on while the endpoints change: a preStop sleep, maxUnavailable 0; on SIGTERM "
            "answer what still comes on open connections with `Connection: close`; what a page loads "
            "every replica must have, or get from the others (`peers` in the chart's values)",
            seconds=seconds,
        )


def kill(site: Namespace) -> Iterator[Result]:
    """A pod that is gone at once is replaced, and the service goes on."""
    for name in site.containers:
        victim = site.pods(name)[0]["metadata"]
        with site.load() as load:
            site.kubectl.call("delete", "pod", victim["name"], "--grace-period=0", "--force")
            seconds = site.settle()
        yield judge(
            "cluster.kill",
            "pod killed",
            load.gap <= GAP
            and victim["uid"] not in {p["metadata"]["uid"] for p in site.pods(name)},
            container=name,
            expected=f"replaced; the service is away for {GAP:g} s at most",
            measured=f"replaced after {seconds:.1f} s, away for {load.gap:.2f} s; {load}",
            fix="run two replicas or more, and start faster",
            seconds=seconds,
        )


def database(site: Namespace) -> Iterator[Result]:
    """Without its database a container is not ready, but alive; with it, ready by itself."""
    for service in site.services:
        users = [n for n, model in site.containers.items() if service in model.connects.values()]
        before = site.restarts()
        stop = 'touch /data/away; kill -INT "$(head -n 1 /data/pgdata/postmaster.pid)"'
        site.kubectl.call("exec", service, "--", "/bin/sh", "-c", stop)
        try:
            yield from _away(site, service, users)
        finally:
            site.kubectl.call("exec", service, "--", "rm", "/data/away")
        seconds, late = _wait_for(site, users, ready=True)
        restarts = site.restarts() - before
        yield judge(
            "cluster.database.back",
            f"{service} back: ready by itself",
            not late and not restarts,
            expected="every pod ready, no restart",
            measured=(f"not ready: {late}" if late else f"ready in {seconds:.1f} s")
            + f", {restarts} restarts",
            fix="drop dead connections and connect again; no restart may be needed",
            seconds=seconds,
        )


def _away(site: Namespace, service: str, users: list[str]) -> Iterator[Result]:
    seconds, still = _wait_for(site, users, ready=False)
    for name in users:
        answers = _probed(site, name)
        yield judge(
            "cluster.database.readiness",
            f"{service} away: not ready",
            not still and answers["readiness"] == 503,
            container=name,
            expected="503, and taken from the Service",
            measured=f"{answers['readiness']}, "
            + (f"still ready: {still}" if still else f"not ready after {seconds:.1f} s"),
            fix=f"the readiness probe must ask a path that tells that {service} is away",
            seconds=seconds,
        )
        yield judge(
            "cluster.database.liveness",
            f"{service} away: alive",
            answers["liveness"] == answers["startup"] == 200,
            container=name,
            expected="200 for the liveness and the startup probe",
            measured=f"liveness {answers['liveness']}, startup {answers['startup']}",
            fix=f"neither probe may ask a path that depends on {service}",
        )
    for name in set(site.containers) - set(users):
        unready = [pod["metadata"]["name"] for pod in site.pods(name) if not is_ready(pod)]
        yield judge(
            "cluster.database.others",
            f"{service} away: {name} stays ready",
            not unready,
            container=name,
            expected="every pod ready",
            measured=f"not ready: {', '.join(unready)}" if unready else "every pod ready",
            fix="readiness must not ask what other containers depend on",
        )


def _wait_for(site: Namespace, names: list[str], *, ready: bool) -> tuple[float, str]:
    """Wait until the kubelet sees the pods (not) ready; the seconds, and which it still does not."""
    probes = (_probe(site.pods(name)[0], name, "readiness") for name in names)
    probing = [
        p["periodSeconds"] * p["failureThreshold"] + p["timeoutSeconds"] for p in probes if p
    ]

    def others() -> list[str]:
        pods = [pod for name in names for pod in site.pods(name)]
        return [pod["metadata"]["name"] for pod in pods if is_ready(pod) is not ready]

    seconds = site.wait(_NOTICE + max(probing, default=0), lambda: not others())
    return seconds, ", ".join(others())


def _probe(pod: Object, name: str, kind: str) -> Object:
    (spec,) = (c for c in pod["spec"]["containers"] if c["name"] == name)
    return dict(spec.get(f"{kind}Probe") or {})


def _probed(site: Namespace, name: str) -> dict[str, object]:
    """What the kubelet's own questions are answered with now, by the probe's kind."""
    pod = site.pods(name)[0]
    paths = {
        kind: _probe(pod, name, kind).get("httpGet", {}).get("path", "/")
        for kind in ("startup", "readiness", "liveness")
    }
    urls = {path: f"http://localhost:{site.containers[name].port}{path}" for path in paths.values()}
    answer = site.ask(pod["metadata"]["name"], "get", *urls.values(), container=name)
    return {kind: answer[urls[path]] for kind, path in paths.items()}


def drain(site: Namespace) -> Iterator[Result]:
    """Every pod is evicted, as a node's drain does it, and the budget keeps the service up.

    The Eviction API is what `kubectl drain` calls. The node is not cordoned: on a cluster of one
    nothing could be replaced, and other people's pods could not start meanwhile.
    """
    refused: set[str] = set()
    with site.load() as load:
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
            "cluster.drain.budget",
            "an eviction waits for the budget",
            name in refused,
            container=name,
            expected="refused while another pod of it is away (429)",
            measured="refused, then granted" if name in refused else "all evicted at once",
            fix="podDisruptionBudget must be enabled, with two replicas or more",
        )
    yield judge(
        "cluster.drain",
        "drained under load",
        not waiting and not load.failures,
        expected=f"every pod evicted in turn, none of {RATE} requests/s failed",
        measured=str(load) if not waiting else f"{len(waiting)} pods cannot be evicted",
        detail=load.detail,
        fix="two replicas, a disruption budget that lets one go, and a shutdown that finishes",
        seconds=seconds,
    )


def _evict(site: Namespace, pod: str) -> bool:
    """Whether the pod may go; False where its budget says not now."""
    about = {"name": pod, "namespace": site.id}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": about}
    path = f"/api/v1/namespaces/{site.id}/pods/{pod}/eviction"
    words = ["create", f"--raw={path}", "--filename=-"]
    done = site.kubectl.call(*words, stdin=json.dumps(eviction), check=False)
    if done.returncode and "TooManyRequests" not in done.stderr and "NotFound" not in done.stderr:
        raise ReleaseTrouble(f"pod {pod} cannot be evicted: {done.stderr.strip()[:300]}")
    return "TooManyRequests" not in done.stderr


def memory(site: Namespace) -> Iterator[Result]:
    """A version that leaks is killed at its limit, and the one before goes on serving."""
    sizes = {name: model.memory * 3 // 2 for name, model in site.containers.items()}
    leaking = {"containers": {name: site.leak(name, size) for name, size in sizes.items()}}
    fates: dict[str, str] = {}

    def killed() -> bool:
        fates.update((name, fate) for name in sizes if (fate := _fate(site, name)))
        return len(fates) == len(sizes)

    with site.load() as load:
        site.upgrade(leaking, wait=False)
        seconds = site.wait(_OOM, killed)
        site.release.call("rollback", "--wait")
        site.settle()
    for name, model in site.containers.items():
        fate = fates.get(name, f"holds {megabytes(sizes[name])} and lives")
        yield judge(
            "cluster.memory",
            "killed at the memory limit",
            fate == "OOMKilled",
            container=name,
            expected=f"OOMKilled below {megabytes(sizes[name])} (limit {megabytes(model.memory)})",
            measured=fate,
            fix="resources.limits.memory must be the model's `memory`",
            seconds=seconds,
        )
    yield judge(
        "cluster.memory.service",
        "a leak does not stop the service",
        not load.failures,
        expected=f"none of {RATE} requests/s failed",
        measured=str(load),
        detail=load.detail,
        fix="maxUnavailable must be 0, so that no old pod goes before a new one is ready",
    )


def _fate(site: Namespace, name: str) -> str:
    """How a pod of the container ended last, if one did."""
    for pod in site.pods(name):
        for one in pod["status"].get("containerStatuses") or ():
            for state in (one.get("state") or {}, one.get("lastState") or {}):
                if ended := state.get("terminated"):
                    return str(ended.get("reason"))
    return ""


def autoscaling(site: Namespace) -> Iterator[Result]:
    """The HorizontalPodAutoscaler is accepted, and its controller finds what it scales."""
    values = [*site.values, site.each({"autoscaling": {"enabled": True}})]
    rendered = helm.render(
        site.release.helm, site.release.chart, release=site.release.name, namespace=site.id,
        values=values,
    )  # fmt: skip
    scalers = [item for item in rendered if item["kind"] == "HorizontalPodAutoscaler"]
    site.kubectl.create(scalers)
    try:
        seconds = site.wait(_SCALER, lambda: all(_able(site, item) for item in scalers))
        for item in scalers:
            able = _able(site, item)
            yield judge(
                "cluster.autoscaling",
                "HPA accepted",
                able == "True",
                container=item["metadata"]["labels"]["app.kubernetes.io/component"],
                expected="AbleToScale True",
                measured=f"AbleToScale {able or 'not said'}",
                fix="scaleTargetRef must name the Deployment",
                seconds=seconds,
            )
    finally:
        names = [item["metadata"]["name"] for item in scalers]
        site.kubectl.call("delete", "hpa", *names, "--ignore-not-found")


def _able(site: Namespace, scaler: Object) -> str:
    (found,) = site.kubectl.get("hpa", scaler["metadata"]["name"])
    return str(condition(found, "AbleToScale").get("status", ""))


def uninstall(site: Namespace) -> Iterator[Result]:
    """Nothing of the release is left in the namespace."""
    site.release.call("uninstall", "--wait")
    seconds = site.wait(_LEFT, lambda: not site.inventory() - site.empty)
    left = sorted(site.inventory() - site.empty)
    yield judge(
        "cluster.uninstall",
        "uninstalled without a trace",
        not left,
        expected="nothing left",
        measured=", ".join(left[:5]) or "nothing left",
        fix="no resource-policy keep, and a delete policy for every hook",
        seconds=seconds,
    )


def _without_entry(site: Namespace) -> str:
    return "" if site.public() else "no container is public, so nobody may send requests"


def _without_database(site: Namespace) -> str:
    return "" if site.services else "no container needs a database"


# Drill → why it does not apply here, "" where it does.
DRILLS: dict[str, tuple[Drill, Callable[[Namespace], str]]] = {
    "test": (test, lambda _: ""),
    "policy": (policy, lambda _: ""),
    "upgrade": (upgrade, _without_entry),
    "kill": (kill, _without_entry),
    "database": (database, _without_database),
    "drain": (drain, _without_entry),
    "memory": (memory, _without_entry),
    "autoscaling": (autoscaling, lambda _: ""),
    "uninstall": (uninstall, lambda _: ""),
}


def run(site: Namespace, name: str) -> Iterator[Result]:
    """One drill; what cannot be carried out has failed, and says why."""
    drill, applies = DRILLS[name]
    title = (drill.__doc__ or name).splitlines()[0].rstrip(".")
    try:
        if why := applies(site):
            yield skip(f"cluster.{name}", title, why)
            return
        yield from drill(site)
    except ReleaseTrouble as error:
        yield judge(
            f"cluster.{name}",
            title,
            False,
            expected="carried out",
            measured=error.message,
            detail=error.hint,
            fix="run it alone and look: --drill NAME --keep",
        )
        with suppress(ReleaseTrouble):
            site.upgrade()  # for the drills that follow
            site.settle()
