"""How a workload runs its container, sees that it is well and ends it, against taskflow.toml."""

from __future__ import annotations

from collections.abc import Callable

from taskflow_containers.contract.container import runs
from taskflow_containers.contract.level import shown
from taskflow_containers.contract.manifests import Workload, dig
from taskflow_containers.project.kinds import Kind
from taskflow_containers.project.model import Container

# Expected, measured and, where equality is not the rule, the verdict.
Judged = tuple[object, object] | tuple[object, object, bool]


def asks(kind: str, *keys: str) -> Callable[[Container, Workload], Judged | None]:
    """The rule that a probe asks one of these paths of the model's `health`, or runs its command."""

    def rule(model: Container, workload: Workload) -> Judged | None:
        probe = dig(workload.box, f"{kind}Probe", {})
        if not model.kind.serves:
            # Nobody asks it anything, so it is as ready as it is alive.
            if not probe and (kind == "readiness" or not model.health.command):
                return None
            words = dig(probe, "exec.command", ())
            found = shown(words) if words or not probe else "another kind of probe"
            return shown(model.health.command), found
        paths = dict.fromkeys(getattr(model.health, key) for key in keys)
        probe = dig(probe, "httpGet", {})
        path = str(probe.get("path", "no path")).partition("?")[0]
        at = f"{path} at {workload.port(probe.get('port'))}" if probe else "no HTTP probe"
        passed = at in [f"{path} at {model.port}" for path in paths]
        return f"{' or '.join(paths)} at {model.port}", at, passed

    return rule


def time_to_start(model: Container, workload: Workload) -> Judged | None:
    """Whether the startup probe leaves as much time as the model allows."""
    if not (model.health.live or model.health.command):
        return None
    probe = dig(workload.box, "startupProbe", {})
    failing = probe.get("failureThreshold", 3) * probe.get("periodSeconds", 10)
    allowed = probe.get("initialDelaySeconds", 0) + failing
    start = model.budgets.start
    return f"at least budgets.start, {start:g} s", f"{allowed:g} s", allowed >= start


def command(model: Container, workload: Workload) -> Judged | None:
    """What takes the place of the image's command ends with the model's."""
    words = [*(workload.box.get("command") or ()), *(workload.box.get("args") or ())]
    wanted = shown(model.command)
    right = not words or runs(model, words)
    return (wanted, wanted if right else shown(words)) if model.command else None


def schedule(model: Container, workload: Workload) -> Judged | None:
    """A cron job is a CronJob of the model's schedule."""
    if model.kind is not Kind.CRON:
        return None
    owner = workload.pod.owner
    return model.schedule, dig(owner, "spec.schedule", f"a {owner['kind']}")


def run(model: Container, workload: Workload) -> Judged | None:
    """A run of a cron job may take as long as the model allows."""
    if model.kind is not Kind.CRON:
        return None
    limit = dig(workload.pod.owner, "spec.jobTemplate.spec.activeDeadlineSeconds")
    said = f"{limit} s" if limit else "no limit"
    longest = model.budgets.run
    return f"at least budgets.run, {longest:g} s", said, not limit or limit >= longest


def grace(model: Container, workload: Workload) -> Judged:
    """The pod is given the time to stop that the model allows."""
    pause = dig(workload.box, "lifecycle.preStop.sleep.seconds", 0)
    stop = model.budgets.stop
    given = workload.pod.spec.get("terminationGracePeriodSeconds", 30)
    expected = f"at least {pause + stop:g} s: preStop {pause:g}, budgets.stop {stop:g}"
    return expected, f"{given:g} s", given >= pause + stop
