"""Bring images into a cluster, and name them in the chart's values."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from taskflow_containers.checks.build import Image
from taskflow_containers.cluster.kubectl import Kubectl, Object
from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.machine.process import Say, last_line, run
from taskflow_containers.project.model import Project

LOAD_VARIABLE = "TASKFLOW_CLUSTER_LOAD"
# Contexts whose tool takes a tar of images; a command that the person gives comes first.
_LOADERS = (
    (r"kind-(?P<name>.+)", "kind load image-archive --name {name}"),
    (r"k3d-(?P<name>.+)", "k3d image import --cluster {name}"),
    (r"(?P<name>minikube.*)", "minikube image load --profile {name}"),
)


def loader(context: str, command: str) -> list[str]:
    """The words that put a tar of images (the last word) into the cluster; none where unknown."""
    command = command or os.environ.get(LOAD_VARIABLE, "")
    for pattern, known in _LOADERS:
        if not command and (match := re.fullmatch(pattern, context)):
            return known.format(**match.groupdict()).split()
    return shlex.split(command, posix=os.name != "nt")


def bring(
    engine: Engine, kubectl: Kubectl, command: str, images: Mapping[str, str], say: Say
) -> dict[str, str]:
    """Put images (a short name → the engine's name or ID) into the cluster; their names there.

    The tag holds the image's ID: a new image is a new rollout, and one that is there already is
    not loaded again.

    Raises:
        EnvironmentTrouble: no command is known for this cluster, or the command failed.
    """
    words = loader(kubectl.context, command)
    if not words:
        raise EnvironmentTrouble(
            f"how do images get into the cluster of context {kubectl.context}?",
            f'give a command that takes a tar of images: --load "k3s ctr images import" '
            f"(or set {LOAD_VARIABLE})",
        )
    there = {}
    for name, image in images.items():
        identity = str(engine.require_image_config(image)["Id"]).removeprefix("sha256:")
        there[name] = f"localhost/{name}:id-{identity[:12]}"
    present = _on_nodes(kubectl)
    missing = {there[name]: image for name, image in images.items() if there[name] not in present}
    if missing:
        say(f"loading {', '.join(missing)}: {' '.join(words)}")
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder, "images.tar")
            engine.save(missing, archive)
            done = run([*words, archive], timeout=600)
        if done.returncode:
            raise EnvironmentTrouble(
                f"{' '.join(words)} failed: {last_line(done.stderr or done.stdout)}",
                "it must take a tar of images, as `docker save` writes it, as its last word",
            )
    return there


def _on_nodes(kubectl: Kubectl) -> set[str]:
    """The images that every node says it has."""
    nodes = [
        {name for image in node["status"].get("images") or () for name in image["names"] or ()}
        for node in kubectl.get("nodes")
    ]
    return set.intersection(*nodes) if nodes else set()


def image_values(
    project: Project, engine: Engine, kubectl: Kubectl, images: Sequence[Image], command: str,
    say: Say,
) -> Object:  # fmt: skip
    """Put the images just built into the cluster; the chart's values that name them."""
    if project.registry and not loader(kubectl.context, command):
        say(f"the cluster must pull from {project.registry}: give --load to put images there")
        there = {image.container: image.tags[-1] for image in images}
    else:
        names = {image.container: f"{project.name}-{image.container}" for image in images}
        given = {names[image.container]: image.id for image in images}
        loaded = bring(engine, kubectl, command, given, say)
        there = {container: loaded[name] for container, name in names.items()}
    containers = {}
    for container, reference in there.items():
        place, _, tag = reference.rpartition(":")
        registry, _, path = place.partition("/")
        image = {"registry": registry, "repository": path, "tag": tag, "digest": ""}
        containers[container] = {"image": image}
    return {"global": {"imageRegistry": ""}, "containers": containers}
