"""The database goes away and comes back: who is ready then, and who lives on."""

from __future__ import annotations

from collections.abc import Iterator

from taskflow_containers.cluster.kubectl import Object
from taskflow_containers.cluster.namespace import Namespace, is_ready
from taskflow_containers.report.result import Result, judge

# Seconds until a service must know that its database is away, or back; a probe's time is added.
_NOTICE = 10.0
_STOP = 'touch /data/away; kill -INT "$(head -n 1 /data/pgdata/postmaster.pid)"'


def database(site: Namespace) -> Iterator[Result]:
    """Without its database a container is not ready, but alive; with it, ready by itself."""
    for service in site.services:
        users = [n for n in site.serving if service in site.containers[n].connects.values()]
        before = site.restarts()
        site.kubectl.call("exec", service, "--", "/bin/sh", "-c", _STOP)
        try:
            yield from _away(site, service, users)
        finally:
            site.kubectl.call("exec", service, "--", "rm", "/data/away")
        seconds, late = _wait_for(site, users, ready=True)
        restarts = site.restarts() - before
        state = f"not ready: {late}" if late else f"ready in {seconds:.1f} s"
        yield judge(
            "cluster.database.back", f"{service} back: ready by itself", not late and not restarts,
            expected="every pod ready, no restart", measured=f"{state}, {restarts} restarts",
            fix="drop dead connections and connect again; no restart may be needed",
            seconds=seconds,
        )  # fmt: skip


def _away(site: Namespace, service: str, users: list[str]) -> Iterator[Result]:
    seconds, still = _wait_for(site, users, ready=False)
    state = f"still ready: {still}" if still else f"not ready after {seconds:.1f} s"
    for name in users:
        answers = _probed(site, name)
        yield judge(
            "cluster.database.readiness", f"{service} away: not ready",
            not still and answers["readiness"] == 503,
            container=name, expected="503, and taken from the Service",
            measured=f"{answers['readiness']}, {state}", seconds=seconds,
            fix=f"the readiness probe must ask a path that tells that {service} is away",
        )  # fmt: skip
        yield judge(
            "cluster.database.liveness", f"{service} away: alive",
            answers["liveness"] == answers["startup"] == 200,
            container=name, expected="200 for the liveness and the startup probe",
            measured=f"liveness {answers['liveness']}, startup {answers['startup']}",
            fix=f"neither probe may ask a path that depends on {service}",
        )  # fmt: skip
    others = [n for n, model in site.containers.items() if service not in model.connects.values()]
    for name in others:
        unready = [pod["metadata"]["name"] for pod in site.pods(name) if not is_ready(pod)]
        yield judge(
            "cluster.database.others", f"{service} away: {name} stays ready", not unready,
            container=name, expected="every pod ready",
            measured=f"not ready: {', '.join(unready)}" if unready else "every pod ready",
            fix="readiness must not ask what other containers depend on",
        )  # fmt: skip


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
    urls = {}
    for kind in ("startup", "readiness", "liveness"):
        path = _probe(pod, name, kind).get("httpGet", {}).get("path", "/")
        urls[kind] = f"http://localhost:{site.containers[name].port}{path}"
    answer = site.ask(pod["metadata"]["name"], "get", *set(urls.values()), container=name)
    return {kind: answer[url] for kind, url in urls.items()}
