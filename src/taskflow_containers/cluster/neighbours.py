"""What stands beside the release in its namespace: a PostgreSQL, and pods that send requests."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from taskflow_containers.cluster.kubectl import Object
from taskflow_containers.project.model import Container

ROLE = "io.taskflow.role"  # a label: ENTRY, STRANGER or a service's name
ENTRY, STRANGER = "entry", "stranger"  # stands for the way in; has no business here
_PROBES = {"python": "probe.py", "node": "probe.cjs"}
_CONFINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def probe(model: Container, *words: str) -> list[str]:
    """The command that runs the drills' probe with the interpreter of a container's image."""
    program, option = model.interpreter
    source = Path(__file__).with_name(_PROBES[program]).read_text(encoding="utf-8")
    return [program, option, source, *words]


def sender(role: str, image: str, model: Container) -> Object:
    """A pod of a container's own image that does nothing until it is asked to."""
    container = {"name": "probe", "image": image, "command": probe(model, "idle")}
    return _object("v1", "Pod", role, _pod(model.user, container))


def postgres(
    name: str, image: str, uid: str, start: Sequence[str], release: Mapping[str, str],
    port: int, password: str,
) -> list[Object]:  # fmt: skip
    """A PostgreSQL that runs as the user its image has for it, its Service and its NetworkPolicy.

    `start` is the image's own command, `release` the labels of the pods that may come in.
    """
    environment = {
        "POSTGRES_USER": "taskflow", "POSTGRES_PASSWORD": password,
        "POSTGRES_DB": "taskflow", "PGDATA": "/data/pgdata", "PGPORT": str(port),
    }  # fmt: skip
    # The drill stops PostgreSQL for a while; its data outlive it, as those of a real one do.
    stay = (
        "while :; do while [ -e /data/away ]; do sleep 0.2; done; "
        f"{shlex.join(start)}; sleep 0.1; done"
    )
    folders = {"data": "/data", "socket": "/var/run/postgresql"}
    container = {
        "name": name,
        "image": image,
        "command": ["/bin/sh", "-c", stay],
        "env": [{"name": key, "value": value} for key, value in environment.items()],
        "readinessProbe": {
            "exec": {"command": ["pg_isready", "--quiet", "--host=127.0.0.1"]},
            "periodSeconds": 1, "failureThreshold": 1,
        },
        "volumeMounts": [{"name": key, "mountPath": path} for key, path in folders.items()],
    }  # fmt: skip
    volumes = [{"name": key, "emptyDir": {}} for key in folders]
    service = {"selector": {ROLE: name}, "ports": [{"port": port, "targetPort": port}]}
    # The whole release may come in: who of it may reach the database, the chart must say.
    peers = [{"podSelector": {"matchLabels": dict(release)}}]
    policy = {"podSelector": {"matchLabels": {ROLE: name}}, "ingress": [{"from": peers}]}
    return [
        _object("v1", "Pod", name, {**_pod(f"{uid}:{uid}", container), "volumes": volumes}),
        _object("v1", "Service", name, service),
        _object("networking.k8s.io/v1", "NetworkPolicy", name, policy),
    ]


def _pod(user: str, container: Mapping[str, Any]) -> Object:
    """The spec of a pod under PodSecurity `restricted`, for a numeric UID:GID."""
    uid, gid = map(int, user.split(":"))
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": uid, "runAsGroup": gid, "fsGroup": gid,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [{**container, "securityContext": _CONFINED}],
    }  # fmt: skip


def _object(version: str, kind: str, name: str, spec: Object) -> Object:
    about = {"name": name, "labels": {ROLE: name}}
    return {"apiVersion": version, "kind": kind, "metadata": about, "spec": spec}
