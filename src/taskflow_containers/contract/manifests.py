"""What the rendered manifests of one release say: its pods, their containers, its Services."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

COMPONENT = "app.kubernetes.io/component"
# Kinds that keep their pods running; a Job's or a test's pod ends by itself.
_WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"}
# Volumes of these types cannot be written to, however they are mounted.
_READ_ONLY_TYPES = {"configMap", "secret", "projected", "downwardAPI", "image"}
_UNITS = {
    **{"": 1, "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": 10**3},
    **{unit: 1000**power for power, unit in enumerate("MGTPE", 2)},
    **{f"{unit}i": 1024**power for power, unit in enumerate("KMGTPE", 1)},
}

Object = Mapping[str, Any]


def dig(value: Any, path: str, default: Any = None) -> Any:
    """The value at a dotted path, or `default` where the path ends early or at null."""
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return default if value is None else value


def parse_quantity(value: object) -> int:
    """Whole units (bytes) of a Kubernetes quantity: 300M, 286Mi, 0.3G, 3e8; raises ValueError."""
    match = re.fullmatch(
        r"\+?(\d+\.?\d*|\.\d+)(?:([eE][+-]?\d+)|(n|u|m|k|[MGTPE]|[KMGTPE]i)?)", str(value), re.ASCII
    )
    if not match:
        raise ValueError(f"{value!r} is not a quantity such as 300M or 286Mi")
    size = Decimal(match[1] + (match[2] or "")) * _UNITS[match[3] or ""]
    return int(size.to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod, or the template of one, and the object that makes it."""

    owner: Object
    labels: Mapping[str, str]
    spec: Object

    @property
    def name(self) -> str:
        """Kind and name of the object that makes it, as kubectl writes them."""
        return f"{self.owner.get('kind')}/{dig(self.owner, 'metadata.name')}"

    @property
    def component(self) -> str:
        """The container of the model that its labels name."""
        return str(self.labels.get(COMPONENT, ""))

    @property
    def ends(self) -> bool:
        """Whether it is a Job's or a helm test's, and ends by itself."""
        hooks = dig(self.owner, "metadata.annotations", {}).get("helm.sh/hook", "")
        return self.owner["kind"] in {"Job", "CronJob"} or "test" in hooks

    @property
    def boxes(self) -> list[Object]:
        """Its containers; those that start it up included."""
        return [*self.spec.get("initContainers", ()), *self.spec.get("containers", ())]

    @staticmethod
    def repository(box: Object) -> str:
        """The image of one of its containers, without tag and digest."""
        tag = re.compile(r"(:[\w.-]+)?(@sha256:[0-9a-f]+)?$", re.ASCII)
        return tag.sub("", str(box.get("image")))

    def context(self, box: Object) -> dict[str, Any]:
        """The security context of one of its containers; the container's own word counts first."""
        return {**dig(self.spec, "securityContext", {}), **dig(box, "securityContext", {})}

    def user(self, box: Object) -> str:
        """UID:GID that one of its containers runs as."""
        context = self.context(box)
        return f"{context.get('runAsUser', 'any')}:{context.get('runAsGroup', 'any')}"

    def writable(self) -> set[str]:
        """The folders that its containers can write to; with what is wrong where there is no end."""
        volumes = {volume.get("name"): volume for volume in self.spec.get("volumes", ())}
        return {
            f"{mount.get('mountPath')}{_unbounded(volume)}"
            for box in self.boxes
            for mount in box.get("volumeMounts", ())
            if not mount.get("readOnly")
            and not _READ_ONLY_TYPES & (volume := volumes.get(mount.get("name"), {})).keys()
        }


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable: its value where the manifests say it, and whether it may lack."""

    value: str | None
    optional: bool = False


class Manifests:
    """The objects of one release."""

    def __init__(self, objects: Sequence[Object]) -> None:
        self.objects = objects
        self.pods = [pod for item in objects if (pod := _pod(item))]

    def find(self, kind: str, name: object) -> Object:
        """The object of that kind and name, or an empty one."""
        for item in self.objects:
            if item.get("kind") == kind and dig(item, "metadata.name") == name:
                return item
        return {}

    def url(self, target: str, measured: str) -> str:
        """The URL of a container's Service; `measured` itself where it leads there."""
        url = urlsplit(measured)
        workload = self.workload(target)
        if workload is None:
            # Switched off here, so it runs elsewhere, and any address may be right.
            return measured if url.scheme in {"http", "https"} and url.hostname else "a URL"
        wanted = f"the Service of {target}"
        for service in workload.services:
            name = dig(service, "metadata.name")
            ports = [port.get("port") for port in dig(service, "spec.ports", ())]
            if (url.hostname or "").split(".")[0] == name and (url.port or 80) in ports:
                return measured
            wanted = f"http://{name}:{ports[0]}"
        return wanted

    def workload(self, name: str) -> Workload | None:
        """The pods that run a container of the model."""
        # By kind: one that runs all the time comes before a CronJob of the same name.
        for kinds in (_WORKLOADS, {"CronJob"}):
            for pod in self.pods:
                if pod.owner["kind"] in kinds and pod.component == name:
                    return Workload(self, name, pod)
        return None

    def may(self, pod: Pod, box: Object) -> dict[str, Any]:
        """What one of a pod's containers may do, in the words of the API's fields."""
        context = pod.context(box)
        own = ("runAsNonRoot", "readOnlyRootFilesystem", "allowPrivilegeEscalation")
        account = self.find("ServiceAccount", pod.spec.get("serviceAccountName"))
        token = account.get("automountServiceAccountToken", True)
        ports = [f"port {port['hostPort']}" for port in box.get("ports", ()) if "hostPort" in port]
        return {
            **{key: context.get(key, "not set") for key in own},
            "privileged": context.get("privileged", False),
            "drop": [str(name).upper() for name in dig(context, "capabilities.drop", [])],
            "add": dig(context, "capabilities.add", []),
            "seccompProfile": dig(context, "seccompProfile.type", "not set"),
            "host": [k for k in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(k)] + ports,
            "token": bool(pod.spec.get("automountServiceAccountToken", token)),
        }


@dataclass(frozen=True)
class Workload:
    """The pods that run one container of the model, and that container in them."""

    manifests: Manifests
    name: str
    pod: Pod

    @cached_property
    def box(self) -> Object:
        """The container that is called as the model calls it, else the first."""
        boxes: list[Object] = self.pod.spec["containers"]
        return next((box for box in boxes if box.get("name") == self.name), boxes[0])

    @property
    def services(self) -> list[Object]:
        """The Services that lead here; a headless one only lists the pods."""
        return [
            item
            for item in self.manifests.objects
            if item.get("kind") == "Service"
            and dig(item, "spec.clusterIP") != "None"
            and (selector := dig(item, "spec.selector", {}))
            and selector.items() <= self.pod.labels.items()
        ]

    @cached_property
    def _service_names(self) -> set[object]:
        return {dig(service, "metadata.name") for service in self.services}

    @property
    def routes(self) -> set[str]:
        """The paths below which HTTPRoutes and Ingresses lead here."""
        found: set[str] = set()
        for rule in (r for item in self.manifests.objects for r in dig(item, "spec.rules", ())):
            if self._service_names & {dig(to, "name") for to in dig(rule, "backendRefs", ())}:
                found |= {dig(match, "path.value", "/") for match in dig(rule, "matches", ({},))}
            for path in dig(rule, "http.paths", ()):
                if dig(path, "backend.service.name") in self._service_names:
                    found.add(path.get("path", "/"))
        return found

    @property
    def tested(self) -> set[str]:
        """The paths that the pods of `helm test` ask this for."""
        boxes = [box for pod in self.manifests.pods if pod.ends for box in pod.boxes]
        urls = [urlsplit(str(word)) for box in boxes for word in box.get("command") or ()]
        return {url.path or "/" for url in urls if url.hostname in self._service_names}

    def port(self, port: object) -> object:
        """A port's number, looked up where it is named."""
        named = {item.get("name"): item.get("containerPort") for item in self.box.get("ports", ())}
        return port if isinstance(port, int) else named.get(port, f"{port!r}, which is no port")

    def memory(self, key: str) -> tuple[str, int]:
        """What `limits` or `requests` say of memory, and the bytes; 0 where that cannot be read."""
        stated = dig(self.box, f"resources.{key}.memory", "none")
        try:
            return str(stated), parse_quantity(stated)
        except ValueError:
            return str(stated), 0

    @cached_property
    def variables(self) -> dict[str, Variable]:
        """The container's environment; a later word wins over an earlier one."""
        found: dict[str, Variable] = {}
        for source in self.box.get("envFrom", ()):
            config = self.manifests.find("ConfigMap", dig(source, "configMapRef.name"))
            for key, value in dig(config, "data", {}).items():
                found[f"{source.get('prefix', '')}{key}"] = Variable(str(value))
        for item in self.box.get("env", ()):
            value = None if "valueFrom" in item else str(item.get("value", ""))
            optional = dig(item, "valueFrom.secretKeyRef.optional", False)
            found[item["name"]] = Variable(value, bool(optional))
        return found

    @cached_property
    def given(self) -> dict[str, Variable]:
        """What a service that reads NAME_FILE in place of NAME finds; an empty value is none."""
        files = {
            name.removesuffix("_FILE"): Variable(None)
            for name, found in self.variables.items()
            if name.endswith("_FILE") and self._mounted(found.value)
        }
        return files | {name: found for name, found in self.variables.items() if found.value != ""}

    def _mounted(self, path: str | None) -> bool:
        """Whether a volume is mounted over that path."""
        folders = {str(mount.get("mountPath")) for mount in self.box.get("volumeMounts", ())}
        here = PurePosixPath(path or "/")
        return not folders.isdisjoint(map(str, (here, *here.parents)))


def is_below(path: str, folder: str) -> bool:
    """Whether a URL's path is another one, or below it."""
    return f"{path}/".startswith(f"{folder.rstrip('/')}/")


def _pod(item: Object) -> Pod | None:
    path = {"Pod": "", "CronJob": "spec.jobTemplate.spec.template"}.get(
        str(item.get("kind")), "spec.template"
    )
    template = dig(item, path) if path else item
    spec = dig(template, "spec")
    if not isinstance(spec, Mapping) or "containers" not in spec:
        return None
    return Pod(item, dig(template, "metadata.labels", {}), spec)


def _unbounded(volume: Object) -> str:
    """What is wrong with a writable volume, or nothing."""
    if "hostPath" in volume:
        return " on the node's disk"
    if "emptyDir" in volume and not dig(volume, "emptyDir.sizeLimit"):
        return " without a size limit"
    return ""
