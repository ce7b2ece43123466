"""What Kubernetes manifests and Chart.yaml must say, by taskflow.toml."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from taskflow_containers.contract.level import Level, shown
from taskflow_containers.contract.lifecycle import (
    Judged,
    asks,
    command,
    grace,
    run,
    schedule,
    time_to_start,
)
from taskflow_containers.contract.manifests import Manifests, Object, Pod, Workload, dig, is_below
from taskflow_containers.project.kinds import Kind
from taskflow_containers.project.model import Access, Container, Project
from taskflow_containers.project.values import megabytes
from taskflow_containers.report.result import Result

# What a container may do, as the API's fields say it: the Pod Security Standard `restricted`, and
# less than that.
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


def check_metadata(project: Project, metadata: Object) -> list[Result]:
    """Chart.yaml: the chart is called and versioned as the project is."""
    place = f"{project.files.chart}/Chart.yaml"
    level = Level("chart", "", place)
    expected = {"name": project.name, "version": project.version, "appVersion": project.version}
    fix = "make both agree: {} in Chart.yaml and taskflow.toml"
    return [
        level.check(key.lower(), f"{key} of the chart", value, metadata.get(key), fix.format(key))
        for key, value in expected.items()
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
    release = _Release(project, Manifests(objects), overrides or {})
    results = [_workloads(release), _helpers(release)]
    for name in release.expected:
        if workload := release.manifests.workload(name):
            results += _judged(_Case(release, project.containers[name], workload))
    return results


class _Release(NamedTuple):
    """The manifests of a release, and what they are held to."""

    project: Project
    manifests: Manifests
    overrides: Object

    @property
    def values(self) -> str:
        """The chart's own values, as a file of the project."""
        return f"{self.project.files.chart}/values.yaml"

    @property
    def expected(self) -> list[str]:
        """The containers that are to run."""
        return [name for name in self.project.containers if self.override(name, "enabled", True)]

    def override(self, name: str, path: str, default: Any = None) -> Any:
        """What the overrides say of a container, or of all of them."""
        shared = dig(self.overrides, f"defaults.{path}", default)
        return dig(self.overrides, f"containers.{name}.{path}", shared)

    def user(self, name: str) -> tuple[str, str]:
        """UID:GID and fsGroup of a container; what the overrides set to null is the cluster's."""
        shared, own = (dig(self.overrides, at, {}) for at in ("defaults", f"containers.{name}"))
        left_out = [key for key, value in {**shared, **own}.items() if value is None]
        uid, gid = self.project.containers[name].user.split(":")
        uid = "any" if "runAsUser" in left_out else uid
        return (f"{uid}:any", "not set") if "runAsGroup" in left_out else (f"{uid}:{gid}", gid)

    def image(self, name: str) -> str:
        """A container's image without tag; the overrides may name a registry and repository."""
        own = self.project.image(name)
        host, _, path = own.partition("/") if self.project.registry else ("", "", own)
        registry = dig(self.overrides, "global.imageRegistry") or self.override(
            name, "image.registry", host
        )
        return f"{registry}/{self.override(name, 'image.repository', path)}".lstrip("/")

    def other_migration(self, pod: Pod, box: Object) -> str:
        """What a migration's Job runs, where taskflow.toml says otherwise and nobody asked for it."""
        name = pod.component.removesuffix("-migration")
        model, command = self.project.containers.get(name), tuple(box.get("command") or ())
        if box.get("name") != "migration" or not model or not model.migrate:
            return ""
        if command == model.migrate or self.override(name, "migration.command"):
            return ""
        return (
            f"runs {' '.join(command)}, and `migrate` in taskflow.toml is {' '.join(model.migrate)}"
        )

    def runs(self, pod: Pod) -> bool:
        """Whether a pod is to run a container of the model, and is no helper that ends by itself."""
        model = self.project.containers.get(pod.component)
        cron = model is not None and model.kind is Kind.CRON
        return not pod.ends or (cron and pod.owner["kind"] == "CronJob")

    def loosened(self, pod: Pod, box: Object) -> dict[str, Any]:
        """What a container may do that `_RESTRICTED` forbids."""
        may = self.manifests.may(pod, box)
        return {key: may[key] for key, value in _RESTRICTED.items() if may[key] != value}


def _written(model: Container) -> set[str]:
    """The folders that a container of the model writes to."""
    return {v.path for v in model.volumes if v.access is Access.READ_WRITE}


def _workloads(release: _Release) -> Result:
    running = [
        # The model knows one container of each pod.
        (name if box.get("name") == name else f"{name}/{box.get('name')}")
        for pod in release.manifests.pods
        if release.runs(pod)
        for name in [pod.component or pod.name]
        for box in pod.spec["containers"]
    ]
    return Level("chart", "", release.values).check(
        "workloads", "one workload for each container", sorted(release.expected), sorted(running),
        "make both agree: [containers] in taskflow.toml and `containers` in the chart's values.yaml",
    )  # fmt: skip


def _helpers(release: _Release) -> Result:
    """Jobs and tests are the model's images too, and as restricted as the services are."""
    models = release.project.containers
    images = {release.image(name): name for name in models}
    folders = {"/tmp"}.union(*map(_written, models.values()))
    wrong = []
    for pod in (pod for pod in release.manifests.pods if not release.runs(pod)):
        found = [f"writes to {path}" for path in sorted(pod.writable() - folders)]
        for box in pod.boxes:
            name = images.get(pod.repository(box))
            if not name:
                found.append(f"image {box.get('image')}")
            elif pod.user(box) != release.user(name)[0]:
                found.append(f"user {pod.user(box)}")
            elif said := release.other_migration(pod, box):
                found.append(said)
            loosened = release.loosened(pod, box).items()
            found += [f"{key} {shown(value)}" for key, value in loosened]
        wrong += [f"{pod.name}: {fault}" for fault in dict.fromkeys(found)]
    good = "the model's images, users and folders, nothing loosened"
    return Level("chart", "", f"{release.project.files.chart}/templates").check(
        "helpers", "jobs and tests run as the services do", good, wrong or good,
        "give them a service's own image and the same security context",
    )  # fmt: skip


class _Case(NamedTuple):
    """One container: what the model says of it, and the workload that runs it."""

    release: _Release
    model: Container
    workload: Workload


def _judged(case: _Case) -> Iterator[Result]:
    """Every rule, in the order of `_RULES`."""
    name = case.workload.name
    level = Level("chart", name, case.release.values)
    for id, title, rule, key, place in _RULES:
        if (judged := rule(case)) is None:
            continue
        expected, measured, *verdict = judged
        place = place.format(here=f"containers.{name}")
        fix = f"make both agree: {key} in taskflow.toml, {place}" if key else f"set {place}"
        passed = bool(verdict[0]) if verdict else None
        yield level.check(id, title, expected, measured, fix, passed=passed)


def _image(case: _Case) -> Judged:
    release, name = case.release, case.workload.name
    image = str(case.workload.box.get("image"))
    wanted = f"{release.image(name)}:{release.project.version}"
    # A digest says more than a tag, and a tag that was asked for is right.
    exact = bool(release.override(name, "image.tag")) or "@sha256:" in image
    same = Pod.repository(case.workload.box) == release.image(name)
    return wanted, image, image == wanted or (same and exact)


def _user(case: _Case) -> Judged:
    pod = case.workload.pod
    group = dig(pod.spec, "securityContext.fsGroup", "not set")
    user, wanted = case.release.user(case.workload.name)
    return f"{user}, fsGroup {wanted}", f"{pod.user(case.workload.box)}, fsGroup {group}"


def _security(case: _Case) -> Judged:
    pod = case.workload.pod
    found = {
        f"{key} {shown(value)}": f"{key} {shown(_RESTRICTED[key])}"
        for box in pod.boxes
        for key, value in case.release.loosened(pod, box).items()
    }
    whole = [f"{key} {shown(value)}" for key, value in _RESTRICTED.items()]
    return list(found.values()) or whole, list(found) or "as expected", not found


def _port(case: _Case) -> Judged:
    ports = case.workload.box.get("ports", ())
    return [case.model.port] if case.model.port else [], [
        port.get("containerPort") for port in ports
    ]


def _service(case: _Case) -> Judged:
    leads = [
        f"{dig(service, 'metadata.name')}:{port.get('port')} to "
        f"{case.workload.port(port.get('targetPort', port.get('port')))}"
        for service in case.workload.services
        for port in dig(service, "spec.ports", ())
    ]
    if not case.model.port:
        return "no Service", leads or "no Service"
    wanted = f" to {case.model.port}"
    passed = bool(leads) and all(lead.endswith(wanted) for lead in leads)
    return f"a Service's port{wanted}", leads or "no Service selects these pods", passed


def _base_path(case: _Case) -> Judged | None:
    release, model, name = case.release, case.model, case.workload.name
    if model.kind is not Kind.FRONTEND:
        return None
    routes = set() if release.override(name, "publicPath") else case.workload.routes
    tests = set() if release.override(name, "test.paths") else case.workload.tested
    found = [f"a route to {path}" for path in routes if not is_below(model.page, path)]
    tests -= {model.health.ready, model.health.live}
    found += [f"a test of {path}" for path in tests if not is_below(path, model.page)]
    wanted = f"routes lead to {model.page}, tests ask below it"
    return wanted, sorted(found) or wanted


def _of(rule: Callable[[Container, Workload], Judged | None]) -> Callable[[_Case], Judged | None]:
    return lambda case: rule(case.model, case.workload)


def _memory(case: _Case) -> Judged:
    (stated, limit), (asked, request) = map(case.workload.memory, ("limits", "requests"))
    measured = megabytes(limit) if limit else stated
    if request > limit:
        measured += f", less than the request of {asked}"
    return megabytes(case.model.memory), measured, request <= limit == case.model.memory


def _environment(case: _Case) -> Judged:
    model, given = case.model.environment, case.workload.given
    said: list[tuple[str, str]] = []  # expected, measured
    for name in model.required:
        found, target = given.get(name), case.model.connects.get(name)
        if found and found.value and target in case.release.project.containers:
            url = case.release.manifests.url(str(target), found.value)
            said.append((f"{name}={url}", f"{name}={found.value}"))
        else:
            state = "optional" if found and found.optional else "set" if found else "missing"
            said.append((f"{name} set", f"{name} {state}"))
    for name in model.optional:
        found = given.get(name)
        demanded = found and found.value is None and not found.optional
        state = "demanded" if demanded else "optional" if found else "out of reach"
        said.append((f"{name} optional", f"{name} {state}"))
    for name, value in model.fixed.items():
        found = case.workload.variables.get(name)
        said.append((f"{name}={value}", f"{name}={found.value if found else value}"))
    return [expected for expected, _ in said], [measured for _, measured in said]


# What trivy calls a ConfigMap's sensitive content is wider (LOG_LEVEL); a name that ends so is meant.
_SECRET_NAME = re.compile(
    r"(?!NEXT_PUBLIC_)(.*[_-])?(PASSWORD|PASSWD|PASSPHRASE|SECRET(_?KEY)?|TOKEN|API_?KEY|ACCESS_KEY"
    r"|PRIVATE_KEY|CREDENTIALS?|DATABASE_URL)",
    re.IGNORECASE,
)


def _secrets(case: _Case) -> Judged:
    given = case.workload.given.items()
    return [], [name for name, found in given if found.value and _SECRET_NAME.fullmatch(name)]


def _volumes(case: _Case) -> Judged:
    return sorted(_written(case.model)), sorted(case.workload.pod.writable() - {"/tmp"})


# ID, title, rule, the key of taskflow.toml and what must agree with it.
_RULES: tuple[tuple[str, str, Callable[[_Case], Judged | None], str, str], ...] = (
    ("image", "image", _image, "registry, name and version", "{here}.image"),
    ("command", "command", _of(command), "command", "{here}.command and .args"),
    ("schedule", "schedule", _of(schedule), "kind and schedule", "{here}.kind and .cron.schedule"),
    ("run", "time to run", _of(run), "budgets.run", "{here}.cron.activeDeadlineSeconds"),
    ("user", "user and group", _user, "user", "{here}.runAsUser and .runAsGroup"),
    ("security", "restrictions", _security, "", "the pod's and container's securityContext"),
    ("port", "container port", _port, "port", "{here}.port"),
    ("service", "Service", _service, "port", "the Service's selector and targetPort"),
    ("base-path", "base path", _base_path, "base-path", "{here}.publicPath and .test.paths"),
    ("readiness", "readiness probe", _of(asks("readiness", "ready")), "health.ready", "{here}.health"),
    ("liveness", "liveness probe", _of(asks("liveness", "live")), "health.live", "{here}.health"),
    ("startup", "start-up probe", _of(asks("startup", "live", "ready")), "health", "{here}.health"),
    ("start", "time to start", _of(time_to_start), "budgets.start", "{here}.probes.startup"),
    ("memory", "memory limit", _memory, "memory", "{here}.resources.limits.memory"),
    ("environment", "environment", _environment, "environment and connects",
     "{here}.environment, .connects and .secret"),
    ("secrets", "no secret in plain sight", _secrets, "",
     "them in a Secret: pods and ConfigMaps are read by many"),
    ("volumes", "writable folders beside /tmp", _volumes, "volumes",
     "{here}.volumes, each with a size"),
    ("grace", "time to stop", _of(grace), "budgets.stop",
     "{here}.terminationGracePeriodSeconds and .preStopSleepSeconds"),
)  # fmt: skip
