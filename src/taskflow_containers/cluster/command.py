"""Install the chart on a real cluster, in a namespace of its own, and put the release to drills."""

from __future__ import annotations

import argparse
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from taskflow_containers.checks.build import Image
from taskflow_containers.cluster import helm
from taskflow_containers.cluster.drills import DRILLS, run_drill
from taskflow_containers.cluster.kubectl import Kubectl, choose
from taskflow_containers.cluster.namespace import Namespace
from taskflow_containers.cluster.rollout import ReleaseTrouble
from taskflow_containers.machine.errors import EnvironmentTrouble, UsageError
from taskflow_containers.machine.process import Say, last_line, run
from taskflow_containers.report.result import Result, judge, skip
from taskflow_containers.workspace import Workspace

INSTALL_SECONDS = 30.0  # from `helm install` to all ready, with the images there


def require(root: Path, options: argparse.Namespace) -> None:
    """Refuse, before anything is built, what `cluster` would refuse; the same errors."""
    _values(options)
    program = helm.kubectl(root)
    if not choose(program, options.context):
        _kind()


def cluster(
    workspace: Workspace, images: Sequence[Image], options: argparse.Namespace
) -> list[Result]:
    """Install and drill; removes all it made, unless `options.keep` says otherwise.

    Raises:
        EnvironmentTrouble: there is no cluster, it does not answer, or images cannot get there.
        InputError: no such context, or one that looks like production and was not named.
    """
    root, say, values = workspace.root, workspace.say, _values(options)
    kubectl_program, helm_program = helm.kubectl(root), helm.find(root)
    results: list[Result] = []
    with (
        target(kubectl_program, options.context, say) as kubectl,
        helm.complete(helm_program, root / workspace.project.files.chart) as chart,
    ):
        parts = (workspace.project, kubectl, helm_program, chart, values, say)
        with Namespace(*parts, keep=options.keep) as site:
            site.prepare(workspace.engine, images, options.load)
            results += [
                skip("cluster.install", "installed, and all ready",
                     "the chart makes no Deployment for it with these values", container=name)
                for name in site.absent
            ]  # fmt: skip
            results += _installed(site, say)
            if not any(result.id == "cluster.install" and result.failed for result in results):
                for name in options.drill or DRILLS:
                    say(f"drill: {name}")
                    results += run_drill(site, name)
        results.append(_removed(kubectl, site, keep=options.keep))
    return results


def _values(options: argparse.Namespace) -> list[Path]:
    paths = [Path(name).absolute() for name in options.values]
    for path in paths:
        if not path.is_file():
            raise UsageError(f"--values {path}: no such file", "mend the path")
    return paths


def _kind() -> str:
    kind = shutil.which("kind")
    if not kind:
        raise EnvironmentTrouble(
            "there is no cluster: the kubeconfig has no current context, and kind is not installed",
            "install kind (https://kind.sigs.k8s.io), or point KUBECONFIG at any cluster "
            "that may be used for tests",
        )
    return kind


@contextmanager
def target(program: Path, name: str, say: Say) -> Iterator[Kubectl]:
    """The cluster of the named or current context, else a kind cluster that goes when this ends."""
    if context := choose(program, name):
        say(f"cluster: context {context.name}, {context.server}")
        yield Kubectl(program, context.name)
        return
    kind = _kind()
    cluster = f"taskflow-{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory() as folder:
        place = ["--name", cluster, "--kubeconfig", str(Path(folder, "config"))]
        say(f"creating the kind cluster {cluster}")
        try:
            done = run([kind, "create", "cluster", *place, "--wait=120s"], timeout=600)
            if done.returncode:
                raise EnvironmentTrouble(
                    f"kind made no cluster: {last_line(done.stderr)}",
                    "`kind create cluster` by hand shows more; or point KUBECONFIG at another cluster",
                )
            yield Kubectl(program, f"kind-{cluster}", kubeconfig=Path(folder, "config"))
        finally:
            run([kind, "delete", "cluster", *place], timeout=120)


def _installed(site: Namespace, say: Say) -> Iterator[Result]:
    """The release comes up in time, and the API server has nothing to warn of."""
    say("asking the API server what it thinks of the objects")
    try:
        warnings = site.kubectl.create(site.release.render(site.values), "--dry-run=server")
    except EnvironmentTrouble as error:
        warnings = [error.message]
    yield judge(
        "cluster.warnings", "no PodSecurity or API warning", not warnings,
        expected="none under PodSecurity restricted",
        measured="; ".join(warnings)[:600] or "none",
        fix="the message names the field; the chart's own values give no warning",
    )  # fmt: skip
    say("installing the release")
    started, measured, detail = time.monotonic(), "", ""
    try:
        site.upgrade()
        site.settle()
    except ReleaseTrouble as error:
        measured, detail = error.message, error.hint
    seconds = time.monotonic() - started
    yield judge(
        "cluster.install", "installed, and all ready",
        not measured and seconds <= INSTALL_SECONDS,
        expected=f"within {INSTALL_SECONDS:g} s", measured=measured or f"{seconds:.1f} s",
        detail=detail, seconds=seconds,
        fix="the detail is the pod's own word; look with --keep and kubectl describe",
    )  # fmt: skip


def _removed(kubectl: Kubectl, site: Namespace, *, keep: bool) -> Result:
    words = f"kubectl --context {kubectl.context}"
    if keep:
        return skip(
            "cluster.removed", "nothing stays behind",
            f"kept as asked; look: {words} --namespace {site.id} get all; "
            f"remove: {words} delete namespace {site.id}",
        )  # fmt: skip
    left = kubectl.get("namespace", site.id)
    conditions = ((left[0].get("status") or {}).get("conditions") or ()) if left else ()
    held = "; ".join(one["message"] for one in conditions if one["status"] == "True")
    return judge(
        "cluster.removed", "nothing stays behind", not left,
        expected=f"no namespace {site.id}", measured=f"still being deleted: {held}"[:600] if left else "removed",
        fix=f"look what holds it: {words} get namespace {site.id} --output yaml",
    )  # fmt: skip
