"""Install, upgrade and roll back a release of the chart; say why one does not come up."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from taskflow_containers.checks.build import Image
from taskflow_containers.cluster import helm
from taskflow_containers.cluster.diagnosis import Fault, diagnose, hopeless, uids
from taskflow_containers.cluster.helm import Values, readable, value_files
from taskflow_containers.cluster.images import image_values
from taskflow_containers.cluster.kubectl import Kubectl, NotAllowed, Object, choose
from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.errors import EnvironmentTrouble, ExitCode, TaskflowError
from taskflow_containers.machine.process import Say, run
from taskflow_containers.project.model import Project

ROLLOUT_TIMEOUT = 120  # seconds
# Helm waited in vain, and the pods know why. Any other error is helm's own.
_WAITED = re.compile(r"deadline|timed out|not ready|hooks? |BackoffLimit|[Ff]ailed$")
# What helm refuses for a reason that lies outside the chart, and what to do.
_HINTS = (
    (
        r"another operation \(.*\) is in progress",
        "wait for it; if it was broken off: `helm rollback NAME`, or `helm uninstall NAME` where "
        "nothing was installed before, with the release's name and namespace",
    ),
    (
        r'no matches for kind "\w+" in version',
        "install what defines that kind (its CRDs) in the cluster, or leave the option off",
    ),
    (
        r"because it is being terminated",
        "wait until the namespace is gone (`kubectl get namespaces` lists it), or name another",
    ),
    (
        r"cannot be imported into the current release",
        "another release, or a person, made that object: name the release or namespace otherwise",
    ),
)


class ReleaseTrouble(TaskflowError):
    """The release does not do what it should: where (`message`), and why (`hint`)."""

    exit_code = ExitCode.CHECK_FAILED


@dataclass(frozen=True, slots=True)
class ChartRelease:
    """A release of the chart, in kubectl's namespace."""

    helm: Path
    chart: Path
    name: str
    kubectl: Kubectl

    @property
    def selector(self) -> str:
        """What kubectl selects the release's objects by."""
        return f"app.kubernetes.io/instance={self.name}"

    @property
    def _argv(self) -> list[str | Path]:
        place = [f"--kube-context={self.kubectl.context}", f"--namespace={self.kubectl.namespace}"]
        config = [f"--kubeconfig={self.kubectl.kubeconfig}"] if self.kubectl.kubeconfig else []
        return [self.helm, *place, *config]

    def render(self, values: Sequence[Values]) -> list[Object]:
        """The objects that it would be made of with these values."""
        place = {"release": self.name, "namespace": self.kubectl.namespace}
        return helm.render(self.helm, self.chart, values=values, **place)

    def values(self) -> Object:
        """All values that the release was installed with, the chart's own included."""
        return dict(json.loads(self._get("values", "--all", "--output=json")))

    def notes(self) -> str:
        """What the chart says after an installation."""
        return self._get("notes").removeprefix("NOTES:").strip()

    def _get(self, what: str, *words: str) -> str:
        done = run([*self._argv, "get", what, self.name, *words], timeout=60)
        if done.returncode:
            raise ReleaseTrouble(
                f"helm get {what}: {readable(done.stderr)}",
                "`helm list` shows whether the release is there; run the command again",
            )
        return done.stdout

    def upgrade(self, values: Sequence[Values], *options: str, wait: bool = True) -> None:
        """Install or upgrade, and wait until all is ready; raises ReleaseTrouble."""
        words = ["--install", *(["--wait"] if wait else []), *options]
        # A folder that nobody else may look into: values hold passwords.
        with tempfile.TemporaryDirectory() as folder:
            self.call("upgrade", self.chart, *words, *value_files(values, Path(folder)))

    def call(self, command: str, *words: str | Path) -> None:
        """Run one helm command on the release, and give up as soon as a pod is beyond hope.

        Raises:
            ReleaseTrouble: it failed; says which pod and why.
            EnvironmentTrouble: the cluster does not answer.
        """
        argv = [*self._argv, command, self.name, *words, f"--timeout={ROLLOUT_TIMEOUT}s"]
        fault: Fault | None = None
        known, started = uids(self.kubectl, self.selector), time.monotonic()
        with subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, encoding="utf-8", errors="replace",
        ) as process:  # fmt: skip
            try:
                while True:
                    with suppress(subprocess.TimeoutExpired):
                        _, errors = process.communicate(timeout=1)
                        break
                    seconds = time.monotonic() - started
                    fault = fault or hopeless(self.kubectl, self.selector, known, seconds)
                    if fault:
                        process.terminate()
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            self.kubectl.raise_trouble(errors)
            text = readable(errors)[:600]
            if not fault and _WAITED.search(text):
                fault = diagnose(self.kubectl, self.selector)
            raise ReleaseTrouble(*(fault or (f"helm {command}: {text}", _hint(text))))


def _hint(text: str) -> str:
    return next((hint for pattern, hint in _HINTS if re.search(pattern, text)), "")


def connect(root: Path, context: str, namespace: str) -> Kubectl:
    """The cluster of the named or current context, which must answer.

    Raises:
        InputError: no such context, or one that looks like production and was not named.
        EnvironmentTrouble: there is no context, or its cluster does not answer.
    """
    program = helm.kubectl(root)
    found = choose(program, context)
    if not found:
        raise EnvironmentTrouble(
            "the kubeconfig has no current context",
            "name one (`kubectl config get-contexts` lists them), or point KUBECONFIG at another",
        )
    kubectl = Kubectl(program, found.name, namespace or found.namespace)
    kubectl.call("get", "--raw=/readyz")
    return kubectl


def _new(kubectl: Kubectl) -> list[str]:
    """The option that makes the namespace, where it is not there; many people may not do that."""
    with suppress(NotAllowed):
        if not kubectl.get("namespace", kubectl.namespace):
            return ["--create-namespace"]
    return []


def deploy(
    root: Path, project: Project, engine: Engine, images: Sequence[Image], kubectl: Kubectl,
    name: str, values: Sequence[Path], command: str, say: Say,
) -> str:  # fmt: skip
    """Install or upgrade a release with the images just built; the chart's notes on what is next.

    Raises:
        ReleaseTrouble: it does not come up; which pod and why.
        EnvironmentTrouble: the cluster does not answer, or the images cannot get there.
    """
    program = helm.find(root)
    with helm.complete(program, root / project.files.chart) as chart:
        loaded = image_values(project, engine, kubectl, images, command, say)
        release = ChartRelease(program, chart, name, kubectl)
        say(f"installing {name} in namespace {kubectl.namespace} of context {kubectl.context}")
        release.upgrade([*values, loaded], *_new(kubectl))
    place = f"--kube-context {kubectl.context} --namespace {kubectl.namespace}"
    return f"{release.notes()}\n\nRemove it:\n\n  helm uninstall {name} {place}"
