"""In which order Helm and Argo CD bring a release's objects, and what would wait for a later one.

Helm's order: https://helm.sh/docs/topics/charts_hooks/. Argo CD's, which renders with `helm template`
and takes Helm's hooks for its own: https://argo-cd.readthedocs.io/en/stable/user-guide/helm/#helm-hooks
and https://argo-cd.readthedocs.io/en/stable/user-guide/sync-waves/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from taskflow_containers.contract.manifests import Manifests, Object, Pod, dig

# What each way does, phase by phase; the second one is of all that is no hook.
ARGO = "an Argo CD sync"
PHASES = {
    "helm install": ("pre-install", "install", "post-install"),
    "helm upgrade": ("pre-upgrade", "upgrade", "post-upgrade"),
    ARGO: ("PreSync", "Sync", "PostSync"),
}
# Argo CD knows no installation apart from an upgrade, and no tests.
_AS_ARGO = {
    "pre-install": "PreSync",
    "pre-upgrade": "PreSync",
    "post-install": "PostSync",
    "post-upgrade": "PostSync",
}
# A phase, a weight or wave in it, and Helm's turn: it runs hooks of a weight one by one, and waits
# for each. Custom resources come after Jobs and Pods.
Step = tuple[int, int, int]


def steps(item: Object, way: str) -> list[Step]:
    """When that way applies an object; nothing for hooks that it does not know, such as tests."""
    notes: Mapping[str, Any] = dig(item, "metadata.annotations", {})
    hooks, weight = _words(notes.get("helm.sh/hook")), notes.get("helm.sh/hook-weight", 0)
    hook = bool(hooks)
    if way == ARGO:
        own = _words(notes.get("argocd.argoproj.io/hook"))
        hook = hook or bool(own)
        # An object with a hook of Argo CD's is none of Helm's to it.
        hooks = own or [_AS_ARGO.get(name, "") for name in hooks]
        weight = notes.get("argocd.argoproj.io/sync-wave", weight)
    if not hook:
        return [(1, int(weight) if way == ARGO else 0, 0)]
    turn = 0 if way == ARGO or "." not in str(item.get("apiVersion")) else 2
    if item.get("kind") in ("Job", "Pod"):
        turn = 0 if way == ARGO else 1
    phases = PHASES[way]
    return sorted({(phases.index(name), int(weight), turn) for name in hooks if name in phases})


def too_early(objects: Sequence[Object]) -> Iterator[str]:
    """A line for each pod that would wait for what the same release brings only later."""
    for way in PHASES:
        brought: dict[str, list[Step]] = {}
        for item in objects:
            for name in _brings(item):
                brought.setdefault(name, []).extend(steps(item, way))
        for pod in Manifests(objects).pods:
            for step in steps(pod.owner, way):
                for name in sorted(_needs(pod)):
                    if brought.get(name) and min(brought[name]) > step:
                        where = PHASES[way][min(brought[name])[0]]
                        yield f"in {way} {pod.name} waits for {name}, which comes later ({where})"


def _words(text: object) -> list[str]:
    return [word.strip() for word in str(text or "").split(",") if word.strip()]


def _brings(item: Object) -> Iterator[str]:
    """The object itself, and the Secret that an operator makes of it."""
    name = dig(item, "metadata.name")
    yield f"{item.get('kind')}/{name}"
    if item.get("kind") == "ExternalSecret":
        yield f"Secret/{dig(item, 'spec.target.name', name)}"


def _needs(pod: Pod) -> set[str]:
    """What must be there for a pod to start."""
    found = {f"ServiceAccount/{pod.spec.get('serviceAccountName')}"}
    sources = [source for box in pod.boxes for source in box.get("envFrom", ())]
    sources += [dig(item, "valueFrom", {}) for box in pod.boxes for item in box.get("env", ())]
    for volume in pod.spec.get("volumes", ()):
        sources += [volume, *dig(volume, "projected.sources", ())]
    for kind, keys in {
        "Secret": ("secretRef.name", "secretKeyRef.name", "secret.secretName", "secret.name"),
        "ConfigMap": ("configMapRef.name", "configMapKeyRef.name", "configMap.name"),
        "PersistentVolumeClaim": ("persistentVolumeClaim.claimName",),
    }.items():
        for source in sources:
            for path in keys:
                key = path.partition(".")[0]
                if (name := dig(source, path)) and not dig(source, f"{key}.optional"):
                    found.add(f"{kind}/{name}")
    return found
