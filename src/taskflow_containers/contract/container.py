"""What a Dockerfile and a built image are both held to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from taskflow_containers.contract.instructions import Stage
from taskflow_containers.contract.level import Level, shown
from taskflow_containers.project.building import OWN_ARGUMENTS
from taskflow_containers.project.model import Container
from taskflow_containers.project.values import names_host
from taskflow_containers.report.result import Result

LABEL_PREFIX = "org.opencontainers.image."
LABELS = ("title", "version", "revision", "created", "source", "base.name")


def full_name(image: str) -> str:
    """An image's name as an engine completes it: with Docker Hub's host, and a tag."""
    if not names_host(image):
        image = f"docker.io/{image}"
    image = re.sub(r"^(index\.)?docker\.io/", "docker.io/", image)
    image = re.sub(r"^docker\.io/(?=[^/]+$)", "docker.io/library/", image)
    return image if re.search(r"[:@]", image.rpartition("/")[2]) else f"{image}:latest"


def health_command(container: Container) -> list[str]:
    """The words of the HEALTHCHECK that a container without a port must have; none: it has none."""
    command = container.health.command
    return ["CMD", *command] if command else []


def runs(container: Container, words: Sequence[str]) -> bool:
    """Whether an image's entry point and command end with what the container is to run."""
    return not container.command or tuple(words[-len(container.command) :]) == container.command


def check_environment(
    level: Level, container: Container, environment: Mapping[str, str], stages: Sequence[Stage] = ()
) -> Iterator[Result]:
    """The variables that an image fixes, and those that it must leave open, in every stage."""
    stage = stages[-1] if stages else None
    # A kind's server listens on PORT where that is set, whatever EXPOSE says.
    listens = {"PORT": str(container.port)} if container.port and "PORT" in environment else {}
    fixed = listens | container.environment.fixed
    measured = {key: environment.get(key, "not set") for key in fixed}
    yield level.check(
        "environment", "fixed environment", [f"{key}={value}" for key, value in fixed.items()],
        [f"{key}={value}" for key, value in measured.items()],
        "set each in the final stage with ENV, or change environment.fixed, or port, in taskflow.toml",
        line=line_of(stage, "ENV", [key for key in fixed if fixed[key] != measured[key]]),
    )  # fmt: skip
    open_names = (*container.environment.required, *container.environment.optional)
    baked = [key for key in open_names if environment.get(key)]
    # What a build stage is given, a frontend's build may write into its pages.
    public = [f"NEXT_PUBLIC_{key}" for key in open_names]
    given = {
        key: item.line
        for each in stages
        for item in each.instructions
        for key, value in item.pairs.items()
        if value
        and key in {*open_names, *public}
        # What every build is given ends with it: an ARG is no variable of the image.
        and (item.name == "ENV" or (item.name == "ARG" and key not in OWN_ARGUMENTS))
    }
    baked += sorted(given.keys() - set(baked))
    yield level.check(
        "run-time-environment", "run-time variables left open", "nothing baked in",
        shown(baked) if baked else "nothing baked in",
        "remove the ENV or ARG: one image serves every environment",
        line=next((given[key] for key in baked if key in given), stage.line if stage else 0),
    )  # fmt: skip


def line_of(stage: Stage | None, name: str, keys: Iterable[str]) -> int:
    """Where a stage last gives one of the keys a value; else where it starts."""
    if stage is None:
        return 0
    wanted = set(keys)
    lines = [item.line for item in stage.all(name) if wanted & item.pairs.keys()]
    return lines[-1] if lines else stage.line
