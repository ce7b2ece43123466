"""What a release is put through on a live cluster: the table of drills, and how one is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from taskflow_containers.cluster.drills.database import database
from taskflow_containers.cluster.drills.memory import memory
from taskflow_containers.cluster.drills.network import policy, test
from taskflow_containers.cluster.drills.objects import autoscaling, cron, uninstall
from taskflow_containers.cluster.drills.replacement import drain, kill, upgrade
from taskflow_containers.cluster.namespace import Namespace
from taskflow_containers.cluster.rollout import ReleaseTrouble
from taskflow_containers.report.result import Result, judge, skip

Drill = Callable[[Namespace], Iterator[Result]]


def _always(_: Namespace) -> str:
    return ""


def _without_entry(site: Namespace) -> str:
    return "" if site.public() else "no container is public, so nobody may send requests"


def _without_database(site: Namespace) -> str:
    return "" if site.services else "no container needs a database"


# Drill → why it does not apply here, "" where it does. The command line lists the same names.
DRILLS: dict[str, tuple[Drill, Callable[[Namespace], str]]] = {
    "test": (test, _always),
    "policy": (policy, _always),
    "upgrade": (upgrade, _without_entry),
    "kill": (kill, _without_entry),
    "database": (database, _without_database),
    "drain": (drain, _without_entry),
    "memory": (memory, _without_entry),
    "autoscaling": (autoscaling, _always),
    "cron": (cron, _always),
    "uninstall": (uninstall, _always),
}


def run_drill(site: Namespace, name: str) -> Iterator[Result]:
    """One drill; what cannot be carried out has failed, and says why."""
    drill, applies = DRILLS[name]
    title = (drill.__doc__ or name).splitlines()[0].rstrip(".")
    try:
        if why := applies(site):
            yield skip(f"cluster.{name}", title, why)
            return
        yield from drill(site)
    except ReleaseTrouble as error:
        yield judge(
            f"cluster.{name}", title, False,
            expected="carried out", measured=error.message, detail=error.hint,
            fix="run it alone and look: --drill NAME --keep",
        )  # fmt: skip
        with suppress(ReleaseTrouble):
            site.upgrade()  # for the drills that follow
            site.settle()
