"""A helm that waits is ended, whatever ends the waiting."""

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
