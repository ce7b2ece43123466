"""The contract's level of Kubernetes: rendered manifests, and Chart.yaml, against taskflow.toml."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from taskflow_containers.contract.level import Level, shown
from taskflow_containers.contract.secret import SECRET_NAME
from taskflow_containers.project.model import Access, Container, Project, megabytes
from taskflow_containers.report.result import Result

COMPONENT = "app.kubernetes.io/component"
# Kinds that keep their pods running; a Job's or a test's pod ends by itself.
_WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"}
_UNITS = {
    **{"": 1, "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": 10**3},
    **{unit: 1000**power for power, unit in enumerate("MGTPE", 2)},
    **{f"{unit}i": 1024**power for power, unit in enumerate("KMGTPE", 1)},
}
# What a pod may do, as the API's fields say it; the Pod Security Standard `restricted`, and more.
_RESTRICTED = {
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "privileged": False,
    "drop": ["ALL"],
    "add": [],
    "seccompProfile": "RuntimeDefault",
    "host": [],
    "token": False,
}
# Volumes of these types cannot be written to, however they are mounted.
_READ_ONLY_TYPES = {"configMap", "secret", "projected", "downwardAPI", "image"}

Object = Mapping[str, Any]
# Expected, measured and, where equality is not the rule, the verdict.
Judged = tuple[object, object] | tuple[object, object, bool]


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


def check_metadata(project: Project, metadata: Object) -> list[Result]:
    """Chart.yaml: the chart is called and versioned as the project is."""
    level = Level("chart", "", "chart/Chart.yaml")
    return [
        level.check(
            key.lower(),
            f"{key} of the chart",
            expected,
            metadata.get(key),
            f"make both agree: {key} in chart/Chart.yaml and taskflow.toml",
        )
        for key, expected in (
            ("name", project.name),
            ("version", project.version),
            ("appVersion", project.version),
        )
    ]


def check_manifests(
    project: Project, objects: Sequence[Object], overrides: Object | None = None
) -> list[Result]:
    """The objects of one release against the model.

    Args:
        project: the model.
        objects: what `helm template` rendered.
        overrides: the values set over the chart's own. A container they switch off needs no
            workload, and where they take images from is theirs to say; the rest must still hold.
    """
    release = _Release(project, objects, overrides or {})
    results = [_workloads(release), _helpers(release)]
    for name in release.expected:
        workload = release.workload(name)
        if workload:
            results += _Workload(release, name, workload).check()
    return results


@dataclass(frozen=True, slots=True)
class _Pod:
    """A pod, or the template of one, and the object that makes it."""

    owner: Object
    labels: Mapping[str, str]
    spec: Object

    @property
    def name(self) -> str:
        return f"{self.owner.get('kind')}/{dig(self.owner, 'metadata.name')}"

    @property
    def boxes(self) -> list[Object]:
        """Its containers; those that start it up included."""
        return [*self.spec.get("initContainers", ()), *self.spec.get("containers", ())]

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
class _Variable:
    """An environment variable: its value where the manifests say it, and whether it may lack."""

    value: str | None
    optional: bool = False


class _Release:
    """One release's objects, and what the checks ask of them."""

    def __init__(self, project: Project, objects: Sequence[Object], overrides: Object) -> None:
        self.project = project
        self.objects = objects
        self.overrides = overrides
        self.pods = [pod for item in objects if (pod := _pod(item))]
        self.expected = [
            name for name in project.containers if self.override(name, "enabled", True)
        ]

    def override(self, name: str, path: str, default: Any = None) -> Any:
        """What the overrides say of a container, or of all of them."""
        shared = dig(self.overrides, f"defaults.{path}", default)
        return dig(self.overrides, f"containers.{name}.{path}", shared)

    def other_migration(self, pod: _Pod, box: Object) -> str:
        """What a migration's Job runs, where taskflow.toml says otherwise and nobody asked for it."""
        name = str(pod.labels.get(COMPONENT, "")).removesuffix("-migration")
        model, command = self.project.containers.get(name), tuple(box.get("command") or ())
        if box.get("name") != "migration" or not model or not model.migrate:
            return ""
        if command == model.migrate or self.override(name, "migration.command"):
            return ""
        return (
            f"runs {' '.join(command)}, and `migrate` in taskflow.toml is {' '.join(model.migrate)}"
        )

    def find(self, kind: str, name: object) -> Object:
        """The object of that kind and name, or an empty one."""
        for item in self.objects:
            if item.get("kind") == kind and dig(item, "metadata.name") == name:
                return item
        return {}

    def workload(self, name: str) -> _Pod | None:
        """The pods that run a container of the model."""
        for pod in self.pods:
            if pod.owner["kind"] in _WORKLOADS and pod.labels.get(COMPONENT) == name:
                return pod
        return None

    def services(self, pod: _Pod) -> list[Object]:
        """The Services that lead to that pod; a headless one only lists it."""
        return [
            item
            for item in self.objects
            if item.get("kind") == "Service"
            and dig(item, "spec.clusterIP") != "None"
            and (selector := dig(item, "spec.selector", {}))
            and selector.items() <= pod.labels.items()
        ]

    def image(self, name: str) -> str:
        """A container's image without tag; the overrides may name a registry and repository."""
        own = self.project.image(name)
        host, _, path = own.partition("/") if self.project.registry else ("", "", own)
        registry = dig(self.overrides, "global.imageRegistry") or self.override(
            name, "image.registry", host
        )
        return f"{registry}/{self.override(name, 'image.repository', path)}".lstrip("/")

    def token_mounted(self, pod: _Pod) -> bool:
        """Whether the pod gets the service account's token; the pod's word counts first."""
        account = self.find("ServiceAccount", pod.spec.get("serviceAccountName"))
        default = account.get("automountServiceAccountToken", True)
        return bool(pod.spec.get("automountServiceAccountToken", default))

    def loosened(self, pod: _Pod, box: Object) -> dict[str, Any]:
        """What a container may do that `_RESTRICTED` forbids."""
        context = {**dig(pod.spec, "securityContext", {}), **dig(box, "securityContext", {})}
        may = {
            **{key: context.get(key, "not set") for key in _RESTRICTED},
            "privileged": context.get("privileged", False),
            "drop": [str(name).upper() for name in dig(context, "capabilities.drop", [])],
            "add": dig(context, "capabilities.add", []),
            "seccompProfile": dig(context, "seccompProfile.type", "not set"),
            "host": [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(key)]
            + [f"port {port['hostPort']}" for port in box.get("ports", ()) if "hostPort" in port],
            "token": self.token_mounted(pod),
        }
        return {key: value for key, value in may.items() if value != _RESTRICTED[key]}


def _pod(item: Object) -> _Pod | None:
    path = {"Pod": "", "CronJob": "spec.jobTemplate.spec.template"}.get(
        str(item.get("kind")), "spec.template"
    )
    template = dig(item, path) if path else item
    spec = dig(template, "spec")
    if not isinstance(spec, Mapping) or "containers" not in spec:
        return None
    return _Pod(item, dig(template, "metadata.labels", {}), spec)


def _unbounded(volume: Object) -> str:
    """What is wrong with a writable volume, or nothing."""
    if "hostPath" in volume:
        return " on the node's disk"
    if "emptyDir" in volume and not dig(volume, "emptyDir.sizeLimit"):
        return " without a size limit"
    return ""


def _written(container: Container) -> set[str]:
    """The folders that a container of the model writes to."""
    return {v.path for v in container.volumes if v.access is Access.READ_WRITE}


def _workloads(release: _Release) -> Result:
    running = [
        # The model knows one container of each pod.
        (name if box.get("name") == name else f"{name}/{box.get('name')}")
        for pod in release.pods
        if not _ends(pod)
        for name in [pod.labels.get(COMPONENT, pod.name)]
        for box in pod.spec["containers"]
    ]
    return Level("chart", "", "chart/values.yaml").check(
        "workloads",
        "one workload for each container",
        sorted(release.expected),
        sorted(running),
        "make both agree: [containers] in taskflow.toml and `containers` in chart/values.yaml",
    )


def _ends(pod: _Pod) -> bool:
    """Whether the pod is a Job's or a helm test's, and ends by itself."""
    hooks = dig(pod.owner, "metadata.annotations", {}).get("helm.sh/hook", "")
    return pod.owner["kind"] in {"Job", "CronJob"} or "test" in hooks


def _helpers(release: _Release) -> Result:
    """Jobs and tests are the model's images too, and as restricted as the services are."""
    model = release.project.containers.values()
    images = dict(zip(map(release.image, release.project.containers), model, strict=True))
    folders = {"/tmp"}.union(*map(_written, model))
    wrong = []
    for pod in filter(_ends, release.pods):
        found = [f"writes to {path}" for path in sorted(pod.writable() - folders)]
        for box in pod.boxes:
            container = images.get(_repository(box))
            if not container:
                found.append(f"image {box.get('image')}")
            elif _user(pod, box) != container.user:
                found.append(f"user {_user(pod, box)}")
            elif said := release.other_migration(pod, box):
                found.append(said)
            loosened = release.loosened(pod, box).items()
            found += [f"{key} {shown(value)}" for key, value in loosened]
        wrong += [f"{pod.name}: {fault}" for fault in dict.fromkeys(found)]
    good = "the model's images, users and folders, nothing loosened"
    return Level("chart", "", "chart/templates").check(
        "helpers",
        "jobs and tests run as the services do",
        good,
        wrong or good,
        "give them a service's own image and the same security context",
    )


def _repository(box: Object) -> str:
    return re.sub(r"(:[\w.-]+)?(@sha256:[0-9a-f]+)?$", "", str(box.get("image")), flags=re.ASCII)


def _user(pod: _Pod, box: Object) -> str:
    context = {**dig(pod.spec, "securityContext", {}), **dig(box, "securityContext", {})}
    return f"{context.get('runAsUser', 'any')}:{context.get('runAsGroup', 'any')}"


class _Workload:
    """One container's pods, and a method for each check that `_CHECKS` names."""

    def __init__(self, release: _Release, name: str, pod: _Pod) -> None:
        self.release = release
        self.name = name
        self.pod = pod
        self.model: Container = release.project.containers[name]
        boxes = pod.spec["containers"]
        self.box: Object = next((box for box in boxes if box.get("name") == name), boxes[0])
        self.variables = self._variables()
        # A service that reads NAME_FILE takes the value from that file instead.
        self.given = {
            name.removesuffix("_FILE"): _Variable(None)
            for name, found in self.variables.items()
            if name.endswith("_FILE") and self._mounted(found.value)
        } | {name: found for name, found in self.variables.items() if found.value != ""}

    def check(self) -> Iterator[Result]:
        """Every check, in the order of `_CHECKS`."""
        level = Level("chart", self.name, "chart/values.yaml")
        for id, title, measure, key, place in _CHECKS:
            expected, measured, *verdict = measure(self)
            place = place.format(here=f"containers.{self.name}")
            fix = f"make both agree: {key} in taskflow.toml, {place}" if key else f"set {place}"
            passed = bool(verdict[0]) if verdict else None
            yield level.check(id, title, expected, measured, fix, passed=passed)

    def image(self) -> Judged:
        wanted = f"{self.release.image(self.name)}:{self.release.project.version}"
        image = str(self.box.get("image"))
        # A digest says more than a tag, and a tag that was asked for is right.
        asked = self.release.override(self.name, "image.tag")
        same = _repository(self.box) == self.release.image(self.name)
        return wanted, image, image == wanted or (same and (bool(asked) or "@sha256:" in image))

    def user(self) -> Judged:
        group = dig(self.pod.spec, "securityContext.fsGroup", "not set")
        return (
            f"{self.model.user}, fsGroup {self.model.gid}",
            f"{_user(self.pod, self.box)}, fsGroup {group}",
        )

    def security(self) -> Judged:
        found = {
            f"{key} {shown(value)}": f"{key} {shown(_RESTRICTED[key])}"
            for box in self.pod.boxes
            for key, value in self.release.loosened(self.pod, box).items()
        }
        whole = [f"{key} {shown(value)}" for key, value in _RESTRICTED.items()]
        return list(found.values()) or whole, list(found) or "as expected", not found

    def port(self) -> Judged:
        ports = [port.get("containerPort") for port in self.box.get("ports", ())]
        return [self.model.port], ports

    def service(self) -> Judged:
        leads = [
            f"{dig(service, 'metadata.name')}:{port.get('port')} to "
            f"{self._port(port.get('targetPort', port.get('port')))}"
            for service in self.release.services(self.pod)
            for port in dig(service, "spec.ports", ())
        ]
        wanted = f" to {self.model.port}"
        passed = bool(leads) and all(lead.endswith(wanted) for lead in leads)
        return f"a Service's port{wanted}", leads or "no Service selects these pods", passed

    def _port(self, port: object) -> object:
        """A port's number, looked up where it is named."""
        named = {item.get("name"): item.get("containerPort") for item in self.box.get("ports", ())}
        return port if isinstance(port, int) else named.get(port, f"{port!r}, which is no port")

    def readiness(self) -> Judged:
        return self._probe("readiness", self.model.health.ready)

    def liveness(self) -> Judged:
        return self._probe("liveness", self.model.health.live)

    def startup(self) -> Judged:
        return self._probe("startup", self.model.health.live, self.model.health.ready)

    def _probe(self, kind: str, *paths: str) -> Judged:
        probe = dig(self.box, f"{kind}Probe.httpGet", {})
        path = str(probe.get("path", "no path")).partition("?")[0]
        measured = f"{path} at {self._port(probe.get('port'))}" if probe else "no HTTP probe"
        passed = measured in [f"{path} at {self.model.port}" for path in paths]
        return f"{' or '.join(dict.fromkeys(paths))} at {self.model.port}", measured, passed

    def start(self) -> Judged:
        probe = dig(self.box, "startupProbe", {})
        allowed = probe.get("initialDelaySeconds", 0) + (
            probe.get("failureThreshold", 3) * probe.get("periodSeconds", 10)
        )
        start = self.model.budgets.start
        return f"at least budgets.start, {start:g} s", f"{allowed:g} s", allowed >= start

    def memory(self) -> Judged:
        stated, sizes = {}, {}
        for key in ("limits", "requests"):
            stated[key] = dig(self.box, f"resources.{key}.memory", "none")
            try:
                sizes[key] = parse_quantity(stated[key])
            except ValueError:
                sizes[key] = 0
        limit, request = sizes["limits"], sizes["requests"]
        measured = megabytes(limit) if limit else str(stated["limits"])
        if request > limit:
            measured += f", less than the request of {stated['requests']}"
        return megabytes(self.model.memory), measured, request <= limit == self.model.memory

    def environment(self) -> Judged:
        model, expected, measured = self.model.environment, [], []
        for name in model.required:
            found, target = self.given.get(name), self.model.connects.get(name)
            if found and found.value and target in self.release.project.containers:
                expected.append(f"{name}={self._url(str(target), found.value)}")
                measured.append(f"{name}={found.value}")
            else:
                said = "optional" if found and found.optional else "set" if found else "missing"
                expected.append(f"{name} set")
                measured.append(f"{name} {said}")
        for name in model.optional:
            found = self.given.get(name)
            demanded = found and found.value is None and not found.optional
            said = "demanded" if demanded else "optional" if found else "out of reach"
            expected.append(f"{name} optional")
            measured.append(f"{name} {said}")
        for name, value in model.fixed.items():
            found = self.variables.get(name)
            expected.append(f"{name}={value}")
            measured.append(f"{name}={found.value if found else value}")
        return expected, measured

    def secrets(self) -> Judged:
        return [], [n for n, found in self.given.items() if found.value and SECRET_NAME.search(n)]

    def _variables(self) -> dict[str, _Variable]:
        found: dict[str, _Variable] = {}
        for source in self.box.get("envFrom", ()):
            config = self.release.find("ConfigMap", dig(source, "configMapRef.name"))
            found |= {
                f"{source.get('prefix', '')}{key}": _Variable(str(value))
                for key, value in dig(config, "data", {}).items()
            }
        for item in self.box.get("env", ()):
            value = None if "valueFrom" in item else str(item.get("value", ""))
            optional = dig(item, "valueFrom.secretKeyRef.optional", False)
            found[item["name"]] = _Variable(value, bool(optional))
        return found

    def _mounted(self, path: str | None) -> bool:
        """Whether a volume is mounted over that path."""
        folders = {str(mount.get("mountPath")) for mount in self.box.get("volumeMounts", ())}
        here = PurePosixPath(path or "/")
        return not folders.isdisjoint(map(str, (here, *here.parents)))

    def _url(self, target: str, measured: str) -> str:
        """The URL of a container's Service; `measured` itself where it leads there."""
        url = urlsplit(measured)
        workload = self.release.workload(target)
        if workload is None:
            # Switched off here, so it runs elsewhere, and any address may be right.
            return measured if url.scheme in {"http", "https"} and url.hostname else "a URL"
        wanted = f"the Service of {target}"
        for service in self.release.services(workload):
            name = dig(service, "metadata.name")
            ports = [port.get("port") for port in dig(service, "spec.ports", ())]
            if (url.hostname or "").split(".")[0] == name and (url.port or 80) in ports:
                return measured
            wanted = f"http://{name}:{ports[0]}"
        return wanted

    def volumes(self) -> Judged:
        return sorted(_written(self.model)), sorted(self.pod.writable() - {"/tmp"})

    def grace(self) -> Judged:
        pause = dig(self.box, "lifecycle.preStop.sleep.seconds", 0)
        stop = self.model.budgets.stop
        grace = self.pod.spec.get("terminationGracePeriodSeconds", 30)
        expected = f"at least {pause + stop:g} s: preStop {pause:g}, budgets.stop {stop:g}"
        return expected, f"{grace:g} s", grace >= pause + stop


# ID, title, how to measure, the key of taskflow.toml and what must agree with it.
_CHECKS: tuple[tuple[str, str, Callable[[_Workload], Judged], str, str], ...] = (
    ("image", "image", _Workload.image, "registry, name and version", "{here}.image"),
    ("user", "user and group", _Workload.user, "user", "{here}.runAsUser and .runAsGroup"),
    ("security", "restrictions", _Workload.security, "", "the pod's and container's securityContext"),
    ("port", "container port", _Workload.port, "port", "{here}.port"),
    ("service", "Service", _Workload.service, "port", "the Service's selector and targetPort"),
    ("readiness", "readiness probe", _Workload.readiness, "health.ready", "{here}.health"),
    ("liveness", "liveness probe", _Workload.liveness, "health.live", "{here}.health"),
    ("startup", "start-up probe", _Workload.startup, "health", "{here}.health"),
    ("start", "time to start", _Workload.start, "budgets.start", "{here}.probes.startup"),
    ("memory", "memory limit", _Workload.memory, "memory", "{here}.resources.limits.memory"),
    ("environment", "environment", _Workload.environment, "environment and connects", "{here}.environment, .connects and .secret"),
    ("secrets", "no secret in plain sight", _Workload.secrets, "", "them in a Secret: pods and ConfigMaps are read by many"),
    ("volumes", "writable folders beside /tmp", _Workload.volumes, "volumes", "{here}.volumes, each with a size"),
    ("grace", "time to stop", _Workload.grace, "budgets.stop", "{here}.terminationGracePeriodSeconds and .preStopSleepSeconds"),
)  # fmt: skip
