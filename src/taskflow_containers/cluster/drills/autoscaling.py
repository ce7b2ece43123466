"""The HorizontalPodAutoscaler, beside a release that has none."""

from __future__ import annotations

from collections.abc import Iterator

from taskflow_containers.cluster.kubectl import Object, condition
from taskflow_containers.cluster.namespace import Namespace
from taskflow_containers.report.result import Result, judge

_SCALER = 45.0  # seconds; the controller looks every 15 s


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
