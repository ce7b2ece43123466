"""What kubectl and helm say of a cluster that is at fault becomes two lines with the right cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskflow_containers.cluster.kubectl import Kubectl, NotAllowed
from taskflow_containers.machine.errors import EnvironmentTrouble

WEBHOOK = (
    "Error: UPGRADE FAILED: server-side apply failed for object shop/backend apps/v1, "
    "Kind=Deployment: Internal error occurred: failed calling webhook "
    '"check.example.com": failed to call webhook: Post "https://gone.shop.svc:443/?timeout=5s": '
)
# As kubectl 1.34 and helm 4 say it.
SAID = {
    f"{WEBHOOK}dial tcp 10.96.18.185:443: connect: connection refused": "has a webhook that",
    f"{WEBHOOK}tls: failed to verify certificate: x509: certificate signed by unknown authority":
        "has a webhook that",
    f'{WEBHOOK}service "gone" not found': "has a webhook that",
    "error: unable to retrieve the complete list of server APIs: metrics.k8s.io/v1beta1: stale "
    "GroupVersion discovery: metrics.k8s.io/v1beta1": "has an API that is away",
    "Error from server (ServiceUnavailable): the server is currently unable to handle the request":
        "has an API that is away",
    "error: Internal error occurred: error sending request: Post "
    '"https://10.250.0.2:10250/exec/a/b/c": dial tcp 10.250.0.2:10250: connect: connection refused':
        "has a node whose kubelet",
    "Unable to connect to the server: tls: failed to verify certificate: x509: certificate signed "
    "by unknown authority": "shows a certificate",
    "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?":
        "does not answer",
    "Error: Kubernetes cluster unreachable: Get \"https://127.0.0.1:1/version\": dial tcp "
    "127.0.0.1:1: connect: connection refused": "does not answer",
    "Unable to connect to the server: net/http: TLS handshake timeout": "does not answer",
    "error: You must be logged in to the server (Unauthorized)": "does not accept these credentials",
    "Unable to connect to the server: getting credentials: exec: executable aws not found":
        "does not accept these credentials",
    'Error from server (Forbidden): namespaces is forbidden: User "joe" cannot create resource '
    '"namespaces" in API group "" at the cluster scope': "does not allow that to this user",
}  # fmt: skip
# These speak of the objects, or of a helm that waited.
OTHERS = (
    'Error from server (Forbidden): error when creating "STDIN": pods "entry" is forbidden: '
    "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1",
    'Error from server (Forbidden): pods "entry" is forbidden: violates PodSecurity "restricted"',
    'Error from server (Forbidden): admission webhook "check.example.com" denied the request: no',
    'Error: UPGRADE FAILED: create: failed to create: secrets "x" is forbidden: unable to create '
    "new content in namespace x because it is being terminated",
    "Error: UPGRADE FAILED: context deadline exceeded",
    'E1128 01:05:30.452409 29368 memcache.go:287] "Unhandled Error" err="couldn\'t get resource '
    'list for metrics.k8s.io/v1beta1: the server is currently unable to handle the request"\n'
    'Error from server (NotFound): pods "x" not found',
)
KUBECTL = Kubectl(Path("kubectl"), "lab")


@pytest.mark.parametrize("said", SAID)
def test_a_cluster_at_fault_is_told_by_its_words(said: str) -> None:
    with pytest.raises(EnvironmentTrouble) as trouble:
        KUBECTL.raise_trouble(f"some warning\n{said}\n")
    assert f"context lab {SAID[said]}" in trouble.value.message
    assert said[-40:] in trouble.value.message, "the cause is not cut off"
    assert trouble.value.hint
    assert isinstance(trouble.value, NotAllowed) == ("not allow" in SAID[said])


@pytest.mark.parametrize("said", OTHERS)
def test_other_words_do_not_blame_the_cluster(said: str) -> None:
    KUBECTL.raise_trouble(said)
