"""A short-lived namespace: the release, its database and two neighbours, always removed."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from taskflow_containers.checks.build import Image
from taskflow_containers.cluster.diagnosis import diagnose
from taskflow_containers.cluster.helm import Values
from taskflow_containers.cluster.images import bring, image_values
from taskflow_containers.cluster.kubectl import (
    Kubectl,
    NotAllowed,
    Object,
    condition,
    statuses,
)
from taskflow_containers.cluster.neighbours import ENTRY, ROLE, STRANGER, postgres, probe, sender
from taskflow_containers.cluster.rollout import ChartRelease, ReleaseTrouble
from taskflow_containers.engine.client import Engine, substitutes
from taskflow_containers.machine.errors import EnvironmentTrouble, InputError, TaskflowError
from taskflow_containers.machine.owner import abandoned, owner
from taskflow_containers.machine.process import Say, last_line, run
from taskflow_containers.project.forms import formed
from taskflow_containers.project.kinds import Kind
from taskflow_containers.project.model import Container, Project

OWNER = "io.taskflow.cluster"  # a label that marks what is ours, an annotation that says whose
_SERVICE_TIMEOUT = 90.0  # seconds
_SETTLE_TIMEOUT = 120.0
_REMOVE_TIMEOUT = 180


class Namespace:
    """Where one run happens; a context manager that removes it, whatever happens."""

    def __init__(
        self, project: Project, kubectl: Kubectl, helm: Path, chart: Path,
        values: Sequence[Path], say: Say, *, keep: bool = False,
    ) -> None:  # fmt: skip
        self.project = project
        self.id = f"{project.name[:30].rstrip('-')}-cluster-{secrets.token_hex(4)}"
        self.kubectl = kubectl.within(self.id)
        self.release = ChartRelease(helm, chart, project.name, self.kubectl)
        self.containers: dict[str, Container] = {}  # that run on
        self.jobs: dict[str, Container] = {}  # that run to their end
        self.absent: list[str] = []  # containers that the values leave out
        self.services: list[str] = []
        self.empty: set[str] = set()  # what is here without the release
        self.values: list[Values] = [*values]
        self._anywhere = kubectl
        self._say = say
        self._keep = keep

    def __enter__(self) -> Self:
        with suppress(NotAllowed):  # whoever may not list namespaces may still make one
            sweep(self._anywhere, self._say)
        standard = {
            f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")
        }
        marks = {} if self._keep else {OWNER: "run"}
        about = {"name": self.id, "labels": {**standard, **marks}, "annotations": {OWNER: owner()}}
        try:
            self._anywhere.create([{"apiVersion": "v1", "kind": "Namespace", "metadata": about}])
        except BaseException:
            with suppress(TaskflowError):
                self.remove()
            raise
        return self

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> None:
        if self._keep:
            if error:  # else its result says so
                self._say(f"namespace {self.id} is kept: kubectl delete namespace {self.id}")
            return
        try:
            self.remove()
        except TaskflowError as trouble:
            if not error:
                raise
            self._say(f"namespace {self.id} may be left behind: {trouble.message}")

    def remove(self) -> None:
        """Remove the namespace and wait until it is gone."""
        self._say(f"removing namespace {self.id}")
        remove(self._anywhere, self.id)

    def prepare(self, engine: Engine, images: Sequence[Image], command: str) -> None:
        """Bring images, database, secrets and neighbours; the release comes with `upgrade`."""
        components = {
            (item["metadata"].get("labels") or {}).get("app.kubernetes.io/component")
            for item in self.release.render(self.values)
            if item["kind"] in {"Deployment", "CronJob"}
        }
        built = [image.container for image in images]
        there = {name: self.project.containers[name] for name in built if name in components}
        self.jobs = {name: model for name, model in there.items() if model.kind is Kind.CRON}
        self.containers = {name: there[name] for name in there if name not in self.jobs}
        self.absent = [name for name in built if name not in components]
        if not there:
            raise InputError(
                f"there is nothing to install: the chart makes no pods for {', '.join(built)}",
                "give other --values; `enabled: false` leaves a container out",
            )
        targets = {name for model in there.values() for name in model.connects.values()}
        self.services = [name for name in self.project.services if name in targets]
        kept = [image for image in images if image.container in there]
        values = image_values(self.project, engine, self.kubectl, kept, command, self._say)
        urls = {}
        for name in self.services:
            self._say(f"starting {name}")
            urls[name] = self._start_service(name, engine, command)
        for name, model in there.items():
            self._create_secret(name, model, urls)
            values["containers"][name]["secret"] = {"existingSecret": f"environment-{name}"}
        for name in self.jobs:
            # A drill of its own runs it; by its schedule it would run amid the others.
            values["containers"][name]["cron"] = {"suspend": True}
        peer, *databases = (
            {"podSelector": {"matchLabels": {ROLE: name}}} for name in (ENTRY, *self.services)
        )
        # The databases listen where the chart opens a port for them; it knows one.
        ports = {self.project.services[name].port for name in self.services}
        port = {"databasePort": ports.pop()} if len(ports) == 1 else {}
        # A drill of its own tries the autoscaler; in the others nobody else sets the replicas.
        self.values += [
            values,
            self.each({"autoscaling": {"enabled": False}}),
            {"networkPolicy": {"ingressFrom": [peer], "databasePods": databases, **port}},
        ]
        # The senders have the image of a container; Python's probe is the cheaper one.
        name = min(there, key=lambda name: there[name].interpreter[0] != "python")
        image = values["containers"][name]["image"]
        place = "/".join(filter(None, (image["registry"], image["repository"])))
        self._senders = f"{place}:{image['tag']}", there[name]
        self.start(ENTRY, STRANGER)
        self.empty = self.inventory()

    def _create_secret(self, name: str, model: Container, urls: Mapping[str, str]) -> None:
        given = {
            # The chart itself sets the URLs of other containers.
            key: urls.get(model.connects[key])
            if key in model.connects
            else os.environ.get(key, model.environment.examples.get(key))
            for key in model.environment.required
        }
        forms = model.connects_as
        data = {k: formed(v, forms.get(k, "")) for k, v in given.items() if v is not None}
        about = {"name": f"environment-{name}"}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": about, "stringData": data}
        self.kubectl.create([secret])

    def _start_service(self, name: str, engine: Engine, command: str) -> str:
        """Start PostgreSQL; its URL."""
        service = self.project.services[name]
        image = substitutes().get(service.image, service.image)
        config = engine.provide(image, self._say) or {}
        uid = engine.call("run", "--rm", "--entrypoint", "id", image, "-u", "postgres").stdout
        short = image.rsplit("/", 1)[-1].split(":")[0]
        there = bring(engine, self.kubectl, command, {short: image}, self._say)[short]
        start = [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]
        password = secrets.token_urlsafe(16)
        release = {"app.kubernetes.io/instance": self.release.name}
        self.kubectl.create(
            postgres(name, there, uid.strip(), start, release, service.port, password)
        )
        return f"postgresql://taskflow:{password}@{name}:{service.port}/taskflow"

    def start(self, *roles: str) -> None:
        """Start the pod that stands for the way in, or the one that has no business here."""
        image, model = self._senders
        self.kubectl.create([sender(role, image, model) for role in roles])
        names = [f"pod/{name}" for name in (*self.services, *roles)]
        words = ["--for=condition=Ready", f"--timeout={_SERVICE_TIMEOUT:g}s"]
        done = self.kubectl.call("wait", *words, *names, check=False, timeout=_SERVICE_TIMEOUT + 10)
        if done.returncode:
            raise EnvironmentTrouble(
                f"the drills' own pods did not start: {last_line(done.stderr)}",
                f"run again with --keep and look: kubectl --namespace {self.id} describe pods",
            )

    def upgrade(self, *fragments: Mapping[str, Any], wait: bool = True) -> None:
        """Install or upgrade the release, these values over the ones of this run."""
        self.release.upgrade([*self.values, *fragments], wait=wait)

    def each(self, fragment: Mapping[str, Any]) -> Object:
        """The same fragment for every container."""
        return {"containers": {name: dict(fragment) for name in self.containers}}

    def pods(self, container: str = "") -> list[Object]:
        """The release's serving pods (or one container's), without those that are on their way out."""
        found = self.kubectl.get("pods", self._selector(container))
        return [pod for pod in found if pod["status"].get("phase") in {"Pending", "Running"}]

    def _selector(self, container: str = "") -> str:
        """The option that selects the containers' objects (or one's), and none of a dependency's."""
        wanted = [container] if container else [*(self.containers or self.jobs)]
        components = f"app.kubernetes.io/component in ({','.join(wanted)})"
        return f"--selector={self.release.selector},{components}"

    def settle(self) -> float:
        """Wait until every Deployment is complete and no old pod is left; the seconds it took.

        Raises:
            ReleaseTrouble: that did not come about in time.
        """
        seconds = self.wait(_SETTLE_TIMEOUT, self._settled)
        if seconds > _SETTLE_TIMEOUT and not self._settled():
            said = ("a Deployment does not come to rest", "")
            raise ReleaseTrouble(*(diagnose(self.kubectl, self.release.selector) or said))
        return seconds

    def _settled(self) -> bool:
        pods = self.pods()
        deployments = self.kubectl.get("deployments", self._selector())
        wanted = sum(int(found["spec"]["replicas"]) for found in deployments)
        whole = len(pods) == wanted and all(map(is_ready, pods))
        return whole and all(map(_complete, deployments))

    @property
    def serving(self) -> list[str]:
        """The containers that have a Service."""
        return [name for name, model in self.containers.items() if model.kind.serves]

    def public(self) -> list[str]:
        """The containers that the way in leads to."""
        return [name for name, public in self._installed("public").items() if public]

    def calls(self, name: str) -> list[str]:
        """The containers and services of this run that a container calls, as it is installed."""
        connects = self.containers[name].connects | (self._installed("connects")[name] or {})
        return [
            callee for callee in connects.values() if callee in (*self.containers, *self.services)
        ]

    def _installed(self, key: str) -> dict[str, Any]:
        """A setting of every container, as the release was installed with it."""
        values = self.release.values()
        own, common = values["containers"], values["defaults"]
        return {name: own[name].get(key, common.get(key)) for name in self.containers}

    def address(self, name: str) -> str:
        """host:port of a container's or a service's Service."""
        if name in self.services:
            return f"{name}:{self.project.services[name].port}"
        selector = f"{self.release.selector},app.kubernetes.io/component={name}"
        (service,) = self.kubectl.get("services", f"--selector={selector}")
        return f"{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"

    def inside(self, pod: str, *words: str, container: str = "", stdin: bool = False) -> list[str]:
        """The command line that runs the probe in a neighbour, or in a container's pod."""
        model = self.containers[container] if container else self._senders[1]
        place = [
            "exec",
            *(["--stdin"] if stdin else []),
            pod,
            f"--container={container or 'probe'}",
        ]
        return [*map(str, self.kubectl.argv), *place, "--", *probe(model, *words)]

    def ask(self, pod: str, *words: str, container: str = "") -> dict[str, Any]:
        """Run one command of the probe in a pod; its answer.

        Raises:
            ReleaseTrouble: it did not run.
        """
        done = run(self.inside(pod, *words, container=container), timeout=60)
        if done.returncode:
            raise ReleaseTrouble(
                f"kubectl exec {pod} failed: {last_line(done.stderr)}",
                "whoever runs this must be allowed to create pods/exec; a pod that ended tells why in its logs",
            )
        return dict(json.loads(done.stdout))

    def restarts(self) -> int:
        """How often the containers of the serving pods were restarted."""
        return sum(int(one["restartCount"]) for pod in self.pods() for one in statuses(pod))

    def wait(self, seconds: float, condition: Callable[[], bool]) -> float:
        """Ask twice a second; the seconds until it held, or just over `seconds` when it did not."""
        started = time.monotonic()
        while not condition() and time.monotonic() - started <= seconds:
            time.sleep(0.5)
        return time.monotonic() - started

    def inventory(self) -> set[str]:
        """Every object of the namespace but events and what the metrics API computes."""
        # Those that answer are listed though another API is away, which shows in the exit code.
        listing = ("api-resources", "--namespaced", "--verbs=list", "--output=name")
        shown = run([*self.kubectl.argv, *listing], timeout=60)
        if not shown.stdout:
            self.kubectl.raise_trouble(shown.stderr)
        kinds = [
            k for k in shown.stdout.split() if not k.startswith("events") and "metrics" not in k
        ]
        done = self.kubectl.call("get", ",".join(kinds), "--output=name", "--ignore-not-found")
        return set(done.stdout.split())


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
