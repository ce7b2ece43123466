"""A short-lived namespace: the release, its database and two neighbours, always removed."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from taskflow_containers.checks.build import Image
from taskflow_containers.cluster.diagnosis import diagnose
from taskflow_containers.cluster.helm import Values
from taskflow_containers.cluster.kubectl import Kubectl, Object, condition
from taskflow_containers.cluster.rollout import Release, ReleaseTrouble, image_values, load
from taskflow_containers.engine.client import Engine, substitutes
from taskflow_containers.machine.errors import EnvironmentTrouble, TaskflowError
from taskflow_containers.machine.process import Say, last_line, run
from taskflow_containers.project.model import Container, Project
from taskflow_containers.smoke.stack import abandoned, owner

OWNER = "io.taskflow.cluster"  # a label that marks what is ours, an annotation that says whose
ROLE = "io.taskflow.role"
ENTRY, STRANGER = "entry", "stranger"
RATE = 200  # requests per second
_SERVICE_TIMEOUT = 90.0  # seconds
_SETTLE_TIMEOUT = 120.0
_REMOVE_TIMEOUT = 180
_STEADY = 1.0  # seconds of load before and after what is done to the release
_PROBES = {
    "python": Path(__file__).with_name("probe.py"),
    "node": Path(__file__).with_name("probe.cjs"),
}


def restricted(user: str) -> Object:
    """A pod's fields under PodSecurity `restricted`, for a numeric UID:GID."""
    uid, gid = map(int, user.split(":"))
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": uid, "runAsGroup": gid, "fsGroup": gid,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }  # fmt: skip


_CONFINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@dataclass(slots=True)
class Load:
    """A steady load from inside the cluster, and once it has ended what became of it."""

    sent: int = 0
    visits: int = 0  # of the page, with all its scripts and styles
    seconds: float = 0.0
    reused: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    first: list[tuple[float, str, str]] = field(default_factory=list)
    gap: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    max: float = 0.0

    @property
    def failures(self) -> int:
        """Requests, scripts and styles that were not answered with 200, and pages that were not at all."""
        return sum(self.failed.values())

    @property
    def detail(self) -> str:
        """When the first of them failed, and how."""
        return "; ".join(f"after {at:.1f} s: {why} on {path}" for at, why, path in self.first)

    def __str__(self) -> str:
        share = f"{self.reused / self.sent:.0%}" if self.sent else "none"
        kinds = ", ".join(f"{count} × {kind}" for kind, count in self.failed.items())
        return (
            f"{self.failures} of {self.sent} failed ({kinds + '; ' if kinds else ''}"
            f"{self.sent / max(self.seconds, 0.001):.0f}/s, {self.visits} visits of the page, {share} on kept-alive connections, "
            f"p50 {self.p50 * 1000:.0f} ms, p99 {self.p99 * 1000:.0f} ms, max {self.max:.2f} s)"
        )


class Namespace:
    """Where one run happens; a context manager that removes it, whatever happens."""

    def __init__(
        self,
        project: Project,
        kubectl: Kubectl,
        helm: Path,
        chart: Path,
        values: Sequence[Path],
        say: Say,
        *,
        keep: bool = False,
    ) -> None:
        self.project = project
        self.id = f"{project.name[:30].rstrip('-')}-cluster-{secrets.token_hex(4)}"
        self.kubectl = kubectl.within(self.id)
        self.release = Release(helm, chart, project.name, self.kubectl)
        self.containers: dict[str, Container] = {}
        self.services: list[str] = []
        self.empty: set[str] = set()
        self.values: list[Values] = [*values]
        self._neighbours_image = ""
        self._anywhere = kubectl
        self._say = say
        self._keep = keep

    def __enter__(self) -> Self:
        sweep(self._anywhere, self._say)
        standard = {
            f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")
        }
        marks = {} if self._keep else {OWNER: "run"}
        about = {"name": self.id, "labels": {**standard, **marks}, "annotations": {OWNER: owner()}}
        try:
            self._anywhere.create([{"apiVersion": "v1", "kind": "Namespace", "metadata": about}])
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if not self._keep:
            self.remove()

    def remove(self) -> None:
        """Remove the namespace and wait until it is gone."""
        self._say(f"removing namespace {self.id}")
        remove(self._anywhere, self.id)

    # --- what is in it ------------------------------------------------------------------------

    def prepare(self, engine: Engine, images: Sequence[Image], command: str) -> None:
        """Bring images, database, secrets and neighbours; the release comes with `install`."""
        models = {image.container: self.project.containers[image.container] for image in images}
        self.containers = models
        targets = {target for model in models.values() for target in model.connects.values()}
        self.services = [name for name in self.project.services if name in targets]
        values = image_values(self.project, engine, self.kubectl, images, command, self._say)
        urls = {}
        for name in self.services:
            self._say(f"starting {name}")
            urls[name] = self._start_service(name, engine, command)
        for name, model in models.items():
            self._create_secret(name, model, urls)
            own = values["containers"][name]
            own["secret"] = {"existingSecret": f"environment-{name}"}
        self.values.append(values)
        peer = {"podSelector": {"matchLabels": {ROLE: ENTRY}}}
        databases = [{"podSelector": {"matchLabels": {ROLE: name}}} for name in self.services]
        # A drill of its own tries the autoscaler; in the others nobody else sets the replicas.
        self.values.append(self.each({"autoscaling": {"enabled": False}}))
        self.values.append({"networkPolicy": {"ingressFrom": [peer], "databasePods": databases}})
        image = values["containers"][self._neighbour]["image"]
        reference = f"{image['registry']}/{image['repository']}:{image['tag']}"
        self._neighbours_image = reference.removeprefix("/")
        self._start_neighbours(ENTRY, STRANGER)
        self.empty = self.inventory()

    @property
    def _neighbour(self) -> str:
        """The container whose image the neighbours have; Python's probe is the cheaper one."""
        return min(
            self.containers, key=lambda name: self.containers[name].kind.interpreter[0] != "python"
        )

    def _create_secret(self, name: str, model: Container, urls: Mapping[str, str]) -> None:
        data = {}
        for variable in model.environment.required:
            target = model.connects.get(variable, "")
            given = urls.get(target) if target else os.environ.get(variable)
            if given is not None:
                data[variable] = given
        about = {"name": f"environment-{name}"}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": about, "stringData": data}
        self.kubectl.create([secret])

    def _start_service(self, name: str, engine: Engine, command: str) -> str:
        """Start PostgreSQL as the user its image has for it; its URL."""
        service = self.project.services[name]
        image = substitutes().get(service.image, service.image)
        config = engine.provide(image, self._say) or {}
        shown = engine.call("run", "--rm", "--entrypoint", "id", image, "-u", "postgres").stdout
        uid = shown.strip()
        short = image.rsplit("/", 1)[-1].split(":")[0]
        reference = load(engine, self.kubectl, command, {short: image}, self._say)[short]
        start = shlex.join([*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])])
        password = secrets.token_urlsafe(16)
        environment = {
            "POSTGRES_USER": "taskflow", "POSTGRES_PASSWORD": password,
            "POSTGRES_DB": "taskflow", "PGDATA": "/data/pgdata",
        }  # fmt: skip
        # The drill stops PostgreSQL for a while; its data outlive it, as those of a real one do.
        stay = f"while :; do while [ -e /data/away ]; do sleep 0.2; done; {start}; sleep 0.1; done"
        container = {
            "name": name,
            "image": reference,
            "command": ["/bin/sh", "-c", stay],
            "env": [{"name": key, "value": value} for key, value in environment.items()],
            "securityContext": _CONFINED,
            "readinessProbe": {
                "exec": {"command": ["pg_isready", "--quiet", "--host=127.0.0.1"]},
                "periodSeconds": 1, "failureThreshold": 1,
            },
            "volumeMounts": [
                {"name": "data", "mountPath": "/data"},
                {"name": "socket", "mountPath": "/var/run/postgresql"},
            ],
        }  # fmt: skip
        volumes = [{"name": "data", "emptyDir": {}}, {"name": "socket", "emptyDir": {}}]
        labels = {ROLE: name}
        pod = {**restricted(f"{uid}:{uid}"), "containers": [container], "volumes": volumes}
        port = {"port": service.port, "targetPort": service.port}
        # The whole release may come in: who of it may reach the database, the chart must say.
        peers = [
            {"podSelector": {"matchLabels": {"app.kubernetes.io/instance": self.release.name}}}
        ]
        policy = {"podSelector": {"matchLabels": labels}, "ingress": [{"from": peers}]}
        self.kubectl.create([
            _object("v1", "Pod", name, labels, pod),
            _object("v1", "Service", name, labels, {"selector": labels, "ports": [port]}),
            _object("networking.k8s.io/v1", "NetworkPolicy", name, labels, policy),
        ])  # fmt: skip
        return f"postgresql://taskflow:{password}@{name}:{service.port}/taskflow"

    def _start_neighbours(self, *roles: str) -> None:
        """Start the pod that stands for the way in, or the one that has no business here."""
        model = self.containers[self._neighbour]
        container = {
            "name": "probe",
            "image": self._neighbours_image,
            "command": [*self._probe(self._neighbour), "idle"],
            "securityContext": _CONFINED,
        }
        pod = {**restricted(model.user), "containers": [container]}
        self.kubectl.create([_object("v1", "Pod", role, {ROLE: role}, pod) for role in roles])
        names = [f"pod/{name}" for name in (*self.services, *roles)]
        words = ["--for=condition=Ready", f"--timeout={_SERVICE_TIMEOUT:g}s"]
        done = self.kubectl.call("wait", *words, *names, check=False, timeout=_SERVICE_TIMEOUT + 10)
        if done.returncode:
            raise EnvironmentTrouble(
                f"the drills' own pods did not start: {last_line(done.stderr)}",
                f"run again with --keep and look: kubectl --namespace {self.id} describe pods",
            )

    # --- the release --------------------------------------------------------------------------

    def upgrade(self, *fragments: Mapping[str, Any], wait: bool = True) -> None:
        """Install or upgrade the release, these values over the ones of this run."""
        self.release.upgrade([*self.values, *fragments], wait=wait)

    def each(self, fragment: Mapping[str, Any]) -> Object:
        """The same fragment for every container."""
        return {"containers": {name: dict(fragment) for name in self.containers}}

    def pods(self, container: str = "") -> list[Object]:
        """The release's serving pods (or one container's), without those that are on their way out."""
        wanted = [container] if container else list(self.containers)
        selector = f"{self.release.selector},app.kubernetes.io/component in ({','.join(wanted)})"
        found = self.kubectl.get("pods", f"--selector={selector}")
        return [pod for pod in found if pod["status"].get("phase") in {"Pending", "Running"}]

    def settle(self) -> float:
        """Wait until every Deployment is complete and no old pod is left; the seconds it took.

        Raises:
            ReleaseTrouble: that did not come about in time.
        """
        started = time.monotonic()
        while True:
            pods = self.pods()
            deployments = self.kubectl.get("deployments", f"--selector={self.release.selector}")
            wanted = sum(int(found["spec"]["replicas"]) for found in deployments)
            if (
                all(map(_complete, deployments))
                and len(pods) == wanted
                and all(map(is_ready, pods))
            ):
                return time.monotonic() - started
            if time.monotonic() - started > _SETTLE_TIMEOUT:
                said = ("a Deployment does not come to rest", "")
                raise ReleaseTrouble(*(diagnose(self.kubectl, self.release.selector) or said))
            time.sleep(0.5)

    def public(self) -> list[str]:
        """The containers that the way in leads to."""
        given = self.release.values()["containers"]
        return [name for name in self.containers if given[name].get("public")]

    def address(self, name: str) -> str:
        """host:port of a container's or a service's Service."""
        if name in self.services:
            return f"{name}:{self.project.services[name].port}"
        selector = f"{self.release.selector},app.kubernetes.io/component={name}"
        (service,) = self.kubectl.get("services", f"--selector={selector}")
        return f"{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"

    # --- inside pods --------------------------------------------------------------------------

    def _probe(self, container: str) -> list[str]:
        program, option = self.containers[container].kind.interpreter
        return [program, option, _PROBES[program].read_text(encoding="utf-8")]

    def leak(self, name: str, size: int) -> Object:
        """Values under which a container does nothing but take so many bytes of memory."""
        return {"command": [*self._probe(name), "leak", str(size)], "args": []}

    def ask(self, pod: str, *words: str, container: str = "") -> dict[str, Any]:
        """Run one command of the probe in a pod; its answer.

        Raises:
            ReleaseTrouble: it did not run.
        """
        probe = self._probe(container or self._neighbour)
        place = ["exec", pod, f"--container={container or 'probe'}", "--"]
        done = run([*self.kubectl.argv, *place, *probe, *words], timeout=60)
        if done.returncode:
            raise ReleaseTrouble(f"kubectl exec {pod} failed: {last_line(done.stderr)}")
        return dict(json.loads(done.stdout))

    @contextmanager
    def load(self) -> Iterator[Load]:
        """RATE requests a second on the way in, and a visitor, from before the block until after it."""
        # A new address each time: a node remembers an earlier load's connections to pods that are
        # gone, and would send one that has the port of such a connection after them.
        self.kubectl.call("delete", "pod", ENTRY, "--wait")
        self._start_neighbours(ENTRY)
        entry = self.public()[0]
        address = self.address(entry)
        callees = [
            self.containers.get(target) for target in self.containers[entry].connects.values()
        ]
        # Through the entry to whom it calls, as a browser's requests go; what asks no database
        # fails for no other reason than the rollout.
        paths = [self.containers[entry].health.live, *(c.health.live for c in callees if c)]
        urls = [f"http://{address}{path}" for path in paths]
        page = f"http://{address}{self.containers[entry].page}"
        words = ["exec", "--stdin", ENTRY, "--container=probe", "--", *self._probe(self._neighbour)]
        process = subprocess.Popen(
            [*self.kubectl.argv, *words, "load", str(RATE), page, *urls], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip
        found = Load()
        with process:
            try:
                if not (process.stdout and process.stdout.readline()):
                    said = last_line(process.stderr.read()) if process.stderr else ""
                    raise ReleaseTrouble(f"the load did not start: {said}")
                time.sleep(_STEADY)
                yield found
                time.sleep(_STEADY)
                output, errors = process.communicate(timeout=30)
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            raise ReleaseTrouble(f"the load did not end well: {last_line(errors)}")
        for key, value in json.loads(output).items():
            setattr(found, key, value)

    def restarts(self) -> int:
        """How often the containers of the serving pods were restarted."""
        return sum(
            int(one["restartCount"])
            for pod in self.pods()
            for one in pod["status"].get("containerStatuses") or ()
        )

    def wait(self, seconds: float, condition: Callable[[], bool]) -> float:
        """Ask twice a second; the seconds until it held, or just over `seconds` when it did not."""
        started = time.monotonic()
        while not condition() and time.monotonic() - started <= seconds:
            time.sleep(0.5)
        return time.monotonic() - started

    def inventory(self) -> set[str]:
        """Every object of the namespace but events and what the metrics API computes."""
        shown = self.kubectl.call("api-resources", "--namespaced", "--verbs=list", "--output=name")
        kinds = [
            k for k in shown.stdout.split() if not k.startswith("events") and "metrics" not in k
        ]
        done = self.kubectl.call("get", ",".join(kinds), "--output=name", "--ignore-not-found")
        return set(done.stdout.split())


def _object(version: str, kind: str, name: str, labels: Mapping[str, str], spec: Object) -> Object:
    about = {"name": name, "labels": dict(labels)}
    return {"apiVersion": version, "kind": kind, "metadata": about, "spec": spec}


def is_ready(pod: Object) -> bool:
    """Whether the kubelet calls a pod ready, and it is to stay."""
    ready = condition(pod, "Ready").get("status") == "True"
    return ready and "deletionTimestamp" not in pod["metadata"]


def _complete(deployment: Object) -> bool:
    wanted, status = deployment["spec"]["replicas"], deployment["status"]
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return seen and counts == [wanted] * 3


def remove(kubectl: Kubectl, namespace: str) -> None:
    """Delete a namespace and wait until it is gone, or for _REMOVE_TIMEOUT seconds."""
    words = ["--ignore-not-found", "--wait", f"--timeout={_REMOVE_TIMEOUT}s"]
    kubectl.call(
        "delete", "namespace", namespace, *words, check=False, timeout=_REMOVE_TIMEOUT + 10
    )


def sweep(kubectl: Kubectl, say: Say) -> None:
    """Remove what runs on this host left behind when they were killed."""
    for found in kubectl.get("namespaces", f"--selector={OWNER}"):
        name = found["metadata"]["name"]
        if abandoned((found["metadata"].get("annotations") or {}).get(OWNER, "")):
            say(f"removing what an interrupted run left behind: {name}")
            with suppress(TaskflowError):
                remove(kubectl, name)
