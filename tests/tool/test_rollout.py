"""A helm that waits is ended, whatever ends the waiting; what it refuses is told with a way out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskflow_containers.cluster import rollout
from taskflow_containers.cluster.kubectl import Kubectl
from taskflow_containers.machine.errors import EnvironmentTrouble


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for helm is a shell script")
@pytest.mark.parametrize("error", [EnvironmentTrouble("the cluster is away"), KeyboardInterrupt()])
def test_helm_is_ended_when_its_pods_cannot_be_asked(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helm = tmp_path / "helm"
    helm.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 600\n")
    helm.chmod(0o755)

    def away(*_: object) -> None:
        raise error

    monkeypatch.setattr(rollout, "uids", lambda *_: set())
    monkeypatch.setattr(rollout, "hopeless", away)
    release = rollout.ChartRelease(helm, tmp_path, "x", Kubectl(helm, "here", "default"))
    with pytest.raises(type(error)):
        release.call("upgrade", tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


REFUSED = (
    ("another operation (install/upgrade/rollback) is in progress", "helm rollback"),
    ('no matches for kind "HTTPRoute" in version "gateway.networking.k8s.io/v1"', "CRDs"),
    ("create: unable to create new content in namespace x because it is being terminated", "wait"),
    ('ConfigMap "x" exists and cannot be imported into the current release: invalid', "another"),
    ('Deployment.apps "x" is invalid: spec.selector: field is immutable', ""),
)


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for helm is a shell script")
@pytest.mark.parametrize(("said", "hint"), REFUSED)
def test_what_helm_refuses_is_not_laid_to_a_pod(
    said: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod that is not ready is to blame only where helm waited for it."""
    monkeypatch.setattr(rollout, "uids", lambda *_: set())
    monkeypatch.setattr(
        rollout, "diagnose", lambda *_: ("pod-1: CrashLoopBackOff", "its last line")
    )
    helm = tmp_path / "helm"
    release = rollout.ChartRelease(helm, tmp_path, "x", Kubectl(helm, "here", "default"))

    def trouble(words: str) -> rollout.ReleaseTrouble:
        helm.write_text(
            f"#!/bin/sh\ncat >&2 <<'END'\nError: UPGRADE FAILED: {words}\nEND\nexit 1\n"
        )
        helm.chmod(0o755)
        with pytest.raises(rollout.ReleaseTrouble) as caught:
            release.call("upgrade", tmp_path)
        return caught.value

    refused = trouble(said)
    assert said in refused.message
    assert (hint in refused.hint) if hint else not refused.hint
    for waited in ("context deadline exceeded", "pre-upgrade hooks failed: job x failed",
                   "resource Deployment/a/b not ready. status: InProgress"):  # fmt: skip
        assert trouble(waited).message == "pod-1: CrashLoopBackOff"
