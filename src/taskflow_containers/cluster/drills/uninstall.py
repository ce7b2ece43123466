"""The release is uninstalled, and what is left then."""

from __future__ import annotations

from collections.abc import Iterator

from taskflow_containers.cluster.namespace import Namespace
from taskflow_containers.report.result import Result, judge

_LEFT = 20.0  # seconds that garbage collection may take


def uninstall(site: Namespace) -> Iterator[Result]:
    """Nothing of the release is left in the namespace."""
    site.release.call("uninstall", "--wait")
    seconds = site.wait(_LEFT, lambda: not site.inventory() - site.empty)
    left = sorted(site.inventory() - site.empty)
    yield judge(
        "cluster.uninstall", "uninstalled without a trace", not left,
        expected="nothing left", measured=", ".join(left[:5]) or "nothing left",
        fix="no resource-policy keep, and a delete policy for every hook", seconds=seconds,
    )  # fmt: skip
