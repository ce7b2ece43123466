"""The objects of the release: an autoscaler that works, and none left after uninstalling."""

from __future__ import annotations

from collections.abc import Iterator

from taskflow_containers.cluster.kubectl import Object, condition
from taskflow_containers.cluster.namespace import Namespace
from taskflow_containers.contract.manifests import COMPONENT
from taskflow_containers.report.result import Result, judge

_SCALER = 45.0  # seconds; the controller looks every 15 s
_SCHEDULED = 30.0  # seconds until a pod has started, on a cluster that has the image
_ENDS = ("Complete", "Failed")
_LEFT = 20.0  # seconds that garbage collection may take


def autoscaling(site: Namespace) -> Iterator[Result]:
    """The HorizontalPodAutoscaler is accepted, and its controller finds what it scales."""
    rendered = site.release.render([*site.values, site.each({"autoscaling": {"enabled": True}})])
    scalers = [item for item in rendered if item["kind"] == "HorizontalPodAutoscaler"]
    site.kubectl.create(scalers)
    try:
        seconds = site.wait(_SCALER, lambda: all(_able(site, item) for item in scalers))
        for item in scalers:
            able = _able(site, item)
            yield judge(
                "cluster.autoscaling", "HPA accepted", able == "True",
                container=item["metadata"]["labels"]["app.kubernetes.io/component"],
                expected="AbleToScale True", measured=f"AbleToScale {able or 'not said'}",
                fix="scaleTargetRef must name the Deployment", seconds=seconds,
            )  # fmt: skip
    finally:
        names = [item["metadata"]["name"] for item in scalers]
        site.kubectl.call("delete", "hpa", *names, "--ignore-not-found")


def _able(site: Namespace, scaler: Object) -> str:
    (found,) = site.kubectl.get("hpa", scaler["metadata"]["name"])
    return str(condition(found, "AbleToScale").get("status", ""))


def cron(site: Namespace) -> Iterator[Result]:
    """A cron job runs to its end in the cluster, as it would by its schedule."""
    for name, model in site.jobs.items():
        (found,) = site.kubectl.get(
            "cronjobs", f"--selector={site.release.selector},{COMPONENT}={name}"
        )
        job = f"{name}-drill"
        site.kubectl.call("create", "job", job, f"--from=cronjob/{found['metadata']['name']}")
        try:

            def ended(job: str = job) -> bool:
                (seen,) = site.kubectl.get("jobs", job)
                return any(condition(seen, kind).get("status") == "True" for kind in _ENDS)

            seconds = site.wait(model.budgets.run + _SCHEDULED, ended)
            (seen,) = site.kubectl.get("jobs", job)
            done = [kind for kind in _ENDS if condition(seen, kind).get("status") == "True"]
            yield judge(
                "cluster.cron", "runs to its end", done == ["Complete"], container=name,
                expected=f"complete within {model.budgets.run + _SCHEDULED:g} s",
                measured=f"{', '.join(done).lower() or 'not ended'} after {seconds:.1f} s",
                fix="its pods' log says why; `cron` in the chart's values says how long it may take",
                seconds=seconds,
            )  # fmt: skip
        finally:
            site.kubectl.call("delete", "job", job, "--wait", "--ignore-not-found")


def uninstall(site: Namespace) -> Iterator[Result]:
    """Nothing of the release is left in the namespace."""
    _remove_failed_tests(site)
    site.release.call("uninstall", "--wait")
    seconds = site.wait(_LEFT, lambda: not site.inventory() - site.empty)
    left = sorted(site.inventory() - site.empty)
    yield judge(
        "cluster.uninstall", "uninstalled without a trace", not left,
        expected="nothing left", measured=", ".join(left[:5]) or "nothing left",
        fix="no resource-policy keep, and a delete policy for every hook", seconds=seconds,
    )  # fmt: skip


def _remove_failed_tests(site: Namespace) -> None:
    """Helm keeps the pod of a test that failed for who looks at it, and says so at the test itself."""
    for pod in site.kubectl.get("pods", f"--selector={site.release.selector}"):
        hook = (pod["metadata"].get("annotations") or {}).get("helm.sh/hook", "")
        if "test" in hook and pod["status"].get("phase") != "Succeeded":
            site.kubectl.call("delete", "pod", pod["metadata"]["name"], "--ignore-not-found")
