"""Why a pod does not come up, by what the API server has of it: the cause, not what looks like it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from taskflow_containers.cluster.diagnosis import diagnose, hopeless
from taskflow_containers.cluster.kubectl import Kubectl, Object


def _kubectl(**objects: list[Object]) -> Kubectl:
    given: Any = SimpleNamespace(namespace="shop", get=lambda kind, *_: objects.get(kind, []))
    return cast("Kubectl", given)


def _replicas(revision: int, *failures: str) -> Object:
    conditions = [
        {"type": "ReplicaFailure", "status": "True", "message": said} for said in failures
    ]
    return {
        "metadata": {
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
            "ownerReferences": [{"kind": "Deployment", "name": "backend"}],
        },
        "status": {"conditions": conditions},
    }


def test_only_the_newest_rollout_counts_as_refused() -> None:
    old, new = _replicas(9, "violates PodSecurity"), _replicas(10)
    assert diagnose(_kubectl(replicasets=[new, old]), "x") is None
    refused = diagnose(_kubectl(replicasets=[_replicas(11, "exceeded quota"), old]), "x")
    assert refused == ("backend: its pods are refused", "exceeded quota")


def test_an_image_that_was_not_brought_is_no_registry_that_is_away() -> None:
    said = (
        'failed to pull and unpack image "localhost/app:id-1": failed to resolve reference '
        '"localhost/app:id-1": dial tcp 127.0.0.1:80: connect: connection refused'
    )
    waiting = {"waiting": {"reason": "ErrImagePull", "message": said}}
    pod = {
        "metadata": {"name": "app-1", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": {"containerStatuses": [{"name": "app", "state": waiting}]},
    }
    found = diagnose(_kubectl(pods=[pod]), "x")
    assert found
    assert found[0] == "app-1: ErrImagePull"
    assert "localhost/app:id-1" in found[1]
    assert "--load" in found[1]
    assert "connection refused" not in found[1]


def test_a_secret_that_an_operator_makes_is_waited_for() -> None:
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "app-backend" not found'}
    pod = {
        "metadata": {"name": "app-1", "uid": "1", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": {"containerStatuses": [{"name": "app", "state": {"waiting": waiting}}]},
    }
    refused = {"type": "Ready", "status": "False", "message": "could not get secret data"}
    asked = {
        "metadata": {"name": "app"},
        "spec": {"target": {"name": "app-backend"}},
        "status": {"conditions": [refused]},
    }
    nobodys = _kubectl(pods=[pod])
    late = {**waiting, "message": "failed to sync configmap cache: timed out waiting"}
    statuses = [{"name": "app", "state": {"waiting": late}}]
    unheard = {**pod, "status": {"containerStatuses": statuses}}
    assert hopeless(_kubectl(pods=[unheard]), "x", (), 99) is None
    operated = _kubectl(**{"pods": [pod], "externalsecrets.external-secrets.io": [asked]})
    assert hopeless(nobodys, "x", (), 5) is None
    assert hopeless(operated, "x", (), 20) is None
    without, in_vain = hopeless(nobodys, "x", (), 20), hopeless(operated, "x", (), 61)
    assert without
    assert "create secret generic app-backend" in without[1]
    assert in_vain
    assert "ExternalSecret app has not made it: could not get secret data" in in_vain[1]
    assert "create secret" not in in_vain[1]
