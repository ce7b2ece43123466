"""Say which of a release's pods does not come up, and why, in two lines."""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress

from taskflow_containers.cluster.kubectl import Kubectl, Object, condition, statuses
from taskflow_containers.machine.errors import TaskflowError
from taskflow_containers.machine.process import last_line

Fault = tuple[str, str]  # which object, and why
_PATIENCE = 10.0  # seconds after which a pod that waits for something waits in vain
_OPERATOR_PATIENCE = 60.0  # seconds that an operator may take until a pod's Secret is there
_CRASHES = 2  # the first may be due to something that starts at the same time
# The kubelet has not heard of the object yet, and asks again by itself.
_LATE = re.compile(r"failed to sync \w+ cache")
_NO_SECRET = re.compile(r'secret "(.+?)" not found')
_STARTING = {"", "ContainerCreating", "PodInitializing"}


def diagnose(kubectl: Kubectl, selector: str) -> Fault | None:
    """The first of the selected pods that is not ready, the newest first."""
    pods = _pods(kubectl, selector)
    pods.sort(key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)
    faults = (_fault(kubectl, pod) for pod in pods)
    return _refused(kubectl, selector) or next(filter(None, faults), None)


def hopeless(
    kubectl: Kubectl, selector: str, known: Collection[str], seconds: float
) -> Fault | None:
    """What will not mend itself `seconds` after a rollout began.

    Pods that were there before (`known`, by UID) do not count: they may be what it mends.
    """
    patient = seconds < _PATIENCE
    if not patient and (fault := _refused(kubectl, selector)):
        return fault
    for pod in _pods(kubectl, selector):
        if pod["metadata"]["uid"] in known or not _stuck(pod, patient):
            continue
        awaited = (_external_secret(kubectl, said) for _, _, said, _, _ in _containers(pod))
        if seconds >= _OPERATOR_PATIENCE or not any(awaited):
            return _fault(kubectl, pod)
    return None


def uids(kubectl: Kubectl, selector: str) -> set[str]:
    """The UIDs of the pods that are there."""
    return {pod["metadata"]["uid"] for pod in _pods(kubectl, selector)}


def _pods(kubectl: Kubectl, selector: str) -> list[Object]:
    return kubectl.get("pods", f"--selector={selector}")


def _refused(kubectl: Kubectl, selector: str) -> Fault | None:
    """A Deployment whose pods the API server does not take: a quota, PodSecurity, a webhook.

    Only its newest ReplicaSet counts: the Deployment itself repeats what an older one met with.
    """
    newest: dict[str, Object] = {}
    for found in sorted(kubectl.get("replicasets", f"--selector={selector}"), key=_revision):
        owners = found["metadata"].get("ownerReferences") or ()
        newest |= {owner["name"]: found for owner in owners}
    for name, replicas in newest.items():
        failure = condition(replicas, "ReplicaFailure")
        if failure.get("status") == "True":
            return f"{name}: its pods are refused", str(failure.get("message"))[:600]
    return None


def _revision(replicas: Object) -> int:
    about = replicas["metadata"].get("annotations") or {}
    return int(about.get("deployment.kubernetes.io/revision", 0))


def _containers(pod: Object) -> list[tuple[str, str, str, Object, int]]:
    """(name, what it waits for, what that says, how it last ended, restarts) of each container."""
    found = []
    for one in statuses(pod):
        state, last = one.get("state") or {}, one.get("lastState") or {}
        waiting = state.get("waiting") or {}
        ended = state.get("terminated") or last.get("terminated") or {}
        said = " ".join(str(waiting.get("message", "")).split())
        reason = "" if _LATE.search(said) else str(waiting.get("reason", ""))
        restarts = int(one.get("restartCount", 0))
        found.append((one["name"], reason, said, ended, restarts))
    return found


def _external_secret(kubectl: Kubectl, said: str) -> Object:
    """The ExternalSecret by which an operator makes the Secret that is missing; empty if none does."""
    if missing := _NO_SECRET.search(said):
        # Without the operator's definitions there is no such kind, and not everybody may look.
        with suppress(TaskflowError):
            for item in kubectl.get("externalsecrets.external-secrets.io"):
                target = (item.get("spec") or {}).get("target") or {}
                if (target.get("name") or item["metadata"]["name"]) == missing[1]:
                    return item
    return {}


def _stuck(pod: Object, patient: bool) -> bool:
    return any(
        restarts >= _CRASHES or (reason not in _STARTING and not ended and not patient)
        for _, reason, _, ended, restarts in _containers(pod)
    )


def _fault(kubectl: Kubectl, pod: Object) -> Fault | None:
    name, status = pod["metadata"]["name"], pod["status"]
    on_its_way = pod["metadata"].get("deletionTimestamp") or status.get("phase") == "Succeeded"
    if on_its_way or condition(pod, "Ready").get("status") == "True":
        return None
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return f"{name}: no node takes it", str(scheduled.get("message", ""))
    for container, reason, said, ended, restarts in _containers(pod):
        if ended and (ended.get("exitCode") or restarts):
            how = f"{ended.get('reason', 'ended')}, exit code {ended.get('exitCode')}"
            times = f", {restarts} restarts" if restarts else ""
            return f"{name}: {how}{times}", last_words(kubectl, name, container)
        if reason not in _STARTING:
            if item := _external_secret(kubectl, said):
                ready = condition(item, "Ready")
                why = ready.get("message") or "its operator has not looked at it: is it running?"
                said += f"; ExternalSecret {item['metadata']['name']} has not made it: {why}"
            elif missing := _NO_SECRET.search(said):
                make = f"--namespace {kubectl.namespace} create secret generic {missing[1]}"
                said += f"; make it: kubectl {make} --from-literal=NAME=VALUE"
            if "Image" in reason and (local := re.search(r'"(localhost/\S+?)"', said)):
                said = (
                    f"the node has no {local[1]}, and no registry has it: the command that loads "
                    "images did not bring it there, or not to every node (--load COMMAND)"
                )
            return f"{name}: {reason}", said[:600]
    events = kubectl.get("events", f"--field-selector=involvedObject.name={name},type=Warning")
    said = (
        str(events[-1].get("message", "")) if events else "it is not ready, and no event says why"
    )
    return f"{name}: {said[:300]}", last_words(kubectl, name)


def last_words(kubectl: Kubectl, pod: str, container: str = "") -> str:
    """The last line of a pod's log, of the run before where this one has said nothing yet."""
    words = ["logs", pod, "--tail=20", *([f"--container={container}"] if container else [])]
    for previous in ([], ["--previous"]):
        done = kubectl.call(*words, *previous, check=False)
        if done.returncode == 0 and (line := last_line(done.stdout)):
            return f"its last line: {line[:500]}"
    return "it wrote nothing"
