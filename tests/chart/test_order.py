"""What a pod needs comes before it, by Helm's phases and by Argo CD's."""

from __future__ import annotations

from typing import Any

import pytest

from taskflow_containers.checks.order import ARGO, PHASES, steps, too_early
from tests.chart.conftest import Install, Values
from tests.chart.test_switches import MIGRATED, MIGRATION, backend

BEFORE, AFTER = "pre-install,pre-upgrade", "post-install,pre-upgrade"


def thing(kind: str, name: str, **notes: str) -> dict[str, Any]:
    """An object; `hook`, `weight`, `argo` and `wave` are its annotations."""
    keys = {"hook": "helm.sh/hook", "weight": "helm.sh/hook-weight"}
    keys |= {"argo": "argocd.argoproj.io/hook", "wave": "argocd.argoproj.io/sync-wave"}
    api = {"Job": "batch/v1", "ExternalSecret": "external-secrets.io/v1"}.get(kind, "v1")
    annotations = {keys[key]: value for key, value in notes.items()}
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "annotations": annotations}}


def job(source: dict[str, Any], **notes: str) -> dict[str, Any]:
    box = {"name": "x", "envFrom": [source]}
    return {**thing("Job", "job", **notes), "spec": {"template": {"spec": {"containers": [box]}}}}


SECRET = {"secretRef": {"name": "url"}}
CONFIG = {"configMapRef": {"name": "config"}}
HELM = {"helm install", "helm upgrade"}
ALL = {*HELM, ARGO}
# Objects, and the ways in which they would wait for ever.
ORDERS: dict[str, tuple[list[dict[str, Any]], set[str]]] = {
    "no hooks": ([job(SECRET), thing("ExternalSecret", "url")], set()),
    "a Secret of the release": ([job(SECRET, hook=BEFORE), thing("Secret", "url")], ALL),
    "a Secret that an operator makes": ([job(SECRET, hook=BEFORE), thing("ExternalSecret", "url")], ALL),
    "after the installation, before an upgrade": ([job(SECRET, hook=AFTER), thing("ExternalSecret", "url")], {"helm upgrade", ARGO}),
    "a hook of less weight": ([job(SECRET, hook=BEFORE), thing("ExternalSecret", "url", hook=BEFORE, weight="-1")], set()),
    "a custom resource of the same weight": ([job(SECRET, hook=BEFORE), thing("ExternalSecret", "url", hook=BEFORE)], HELM),
    "a ConfigMap of the same weight": ([job(CONFIG, hook=BEFORE), thing("ConfigMap", "config", hook=BEFORE)], set()),
    "a hook of more weight": ([job(CONFIG, hook=BEFORE), thing("ConfigMap", "config", hook=BEFORE, weight="1")], ALL),
    "Argo CD's own hook": ([job(SECRET, hook="post-install,post-upgrade", argo="PreSync"), thing("Secret", "url")], {ARGO}),
    "Argo CD's waves": ([job(SECRET, argo="Sync", wave="-1"), thing("ExternalSecret", "url", wave="-2")], set()),
    "Argo CD's waves the other way": ([job(SECRET, wave="1"), thing("ExternalSecret", "url", wave="2")], {ARGO}),
    "a test": ([job(SECRET, hook="test"), thing("Secret", "url")], set()),
    "what somebody else has made": ([job(SECRET, hook=BEFORE)], set()),
    "what need not be there": ([job({"secretRef": {"name": "url", "optional": True}}, hook=BEFORE), thing("Secret", "url")], set()),
}  # fmt: skip


@pytest.mark.parametrize("case", ORDERS)
def test_who_would_wait_for_ever(case: str) -> None:
    objects, wanted = ORDERS[case]
    found = list(too_early(objects))
    assert {
        way for way in PHASES if any(f"in {way} Job/job waits" in line for line in found)
    } == wanted
    assert len(found) == len(wanted)


@pytest.mark.parametrize("values", [backend(**MIGRATION), MIGRATED], ids=["secret", "store"])
@pytest.mark.parametrize("way", PHASES)
def test_a_migration_has_all_it_needs_before_the_release(
    way: str, values: Values, install: Install
) -> None:
    """Its policy and its account too, in that order; what serves comes after it."""
    objects = install(values)
    assert list(too_early([*objects.values()])) == []
    order = {name: steps(item, way) for name, item in objects.items()}
    [done] = order["Job/taskflow-backend-migration"]
    early = {name for name, found in order.items() if found and found[0] < done}
    kinds = ["NetworkPolicy", "ServiceAccount"] + ["ExternalSecret"] * (values is MIGRATED)
    assert early == {f"{kind}/taskflow-backend-migration" for kind in kinds}
    assert order["Deployment/taskflow-backend"] > [done]
