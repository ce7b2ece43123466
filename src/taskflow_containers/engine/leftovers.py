"""What smoke tests leave on an engine: when they are killed, or when they were asked to keep it."""

from __future__ import annotations

from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.owner import abandoned, rebooted
from taskflow_containers.machine.process import Say
from taskflow_containers.project.model import Project

OWNER_LABEL = "io.taskflow.smoke"
RUN_LABEL = f"{OWNER_LABEL}.run"
KEPT_LABEL = f"{OWNER_LABEL}.kept"


def sweep(engine: Engine, say: Say) -> None:
    """Remove what runs on this host left behind when they were killed."""
    listed = engine.call(
        "ps", "--all", "--quiet", "--filter", f"label={OWNER_LABEL}", check=False
    ).stdout.split()
    # Inspected, as Podman's listing cannot print a single label; meanwhile one may be gone.
    found = [one for id in listed if (one := engine.inspect("container", id))]
    runs: dict[tuple[str, str], bool] = {}  # owner and run → whether anything of it runs
    for one in found:
        labels = one["Config"]["Labels"]
        run = labels[OWNER_LABEL], labels[RUN_LABEL]
        runs[run] = runs.get(run, False) or bool(one["State"].get("Running"))
    for (its_owner, run_id), runs_on in sorted(runs.items()):
        left = not engine.remote and not runs_on and rebooted(its_owner)
        if not (left or abandoned(its_owner)):
            continue
        say(f"removing what an interrupted run left behind: {run_id}")
        remove(engine, f"{RUN_LABEL}={run_id}", run_id)


def remove_kept(engine: Engine, project: Project) -> list[str]:
    """Remove the stacks of this project that `--keep` left up; their names."""
    label = f"{KEPT_LABEL}={project.name}"
    words = ["network", "ls", "--filter", f"label={label}", "--format", "{{.Name}}"]
    names = engine.call(*words, check=False).stdout.split()
    remove(engine, label, *names)
    return names


def remove(engine: Engine, label: str, *runs: str) -> None:
    """Remove the containers, networks and volumes of a label, and volumes named after these runs."""
    by_name = [f"name={run}" for run in runs]
    for kind, listing, filters in (
        ("container", ["ps", "--all", "--quiet"], [f"label={label}"]),
        ("network", ["network", "ls", "--quiet"], [f"label={label}"]),
        # A container that starts after its volume was removed gets a new one, without a label.
        ("volume", ["volume", "ls", "--quiet"], [f"label={label}", *by_name]),
    ):
        found: dict[str, None] = {}
        for wanted in filters:
            listed = engine.call(*listing, "--filter", wanted, check=False)
            found |= dict.fromkeys(listed.stdout.split())
        if found:
            words = ["rm", "--force", "--volumes"] if kind == "container" else [kind, "rm"]
            engine.call(*words, *found, check=False)
