"""Bring images into a cluster, and name them in the chart's values."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from taskflow_containers.checks.build import Image
from taskflow_containers.cluster.kubectl import Kubectl, NotAllowed, Object
from taskflow_containers.cluster.ways import LOAD_VARIABLE, TAR, Way, find_way
from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.machine.process import Say, last_line, run
from taskflow_containers.project.model import Project


def bring(
    engine: Engine, kubectl: Kubectl, command: str, images: Mapping[str, str], say: Say
) -> dict[str, str]:
    """Put images (a short name → the engine's name or ID) into the cluster; their names there.

    The tag holds the image's ID: a new image is a new rollout, and one that is there already is
    not loaded again.

    Raises:
        EnvironmentTrouble: no command is known for this cluster, or the command failed.
    """
    way = find_way(kubectl, engine, command)
    if not (way.commands or way.shared):
        what = f", which is {way.cluster}" if way.cluster else ""
        raise EnvironmentTrouble(
            f"how do images get into the cluster of context {kubectl.context}{what}?",
            f'give a command that takes a tar of images: --load "{way.example}" (or set '
            f"{LOAD_VARIABLE}); or name a `registry` in taskflow.toml that the nodes pull from",
        )
    there = {}
    for name, image in images.items():
        identity = str(engine.require_image_config(image)["Id"]).removeprefix("sha256:")
        there[name] = f"localhost/{name}:id-{identity[:12]}"
    present = _on_nodes(kubectl)
    missing = {there[name]: image for name, image in images.items() if there[name] not in present}
    if way.shared:
        for reference, image in missing.items():
            engine.call("tag", image, reference)
    elif missing:
        with tempfile.TemporaryDirectory() as folder:
            archive = Path(folder, "images.tar")
            engine.save(missing, archive)
            for words in way.commands:
                say(f"loading {', '.join(missing)}: {' '.join(words)}")
                _load(way, words, archive)
    return there


def _load(way: Way, words: Sequence[str], archive: Path) -> None:
    shown = " ".join(words)
    assigned = [word.partition("=") for word in takewhile(lambda word: "=" in word, words)]
    program, *rest = words[len(assigned) :]
    if way.cluster and not shutil.which(program):
        raise EnvironmentTrouble(
            f"images get into {way.cluster} by `{shown}`, and {program} is not on PATH",
            "put it there, or give another command that takes a tar of images: --load COMMAND",
        )
    done = run(
        [program, *(str(archive) if word == TAR else word for word in rest)], timeout=600,
        env={name: value for name, _, value in assigned},
        stdin=None if TAR in rest else archive,
    )  # fmt: skip
    if done.returncode:
        raise EnvironmentTrouble(
            f"`{shown}` failed: {last_line(done.stderr or done.stdout)}",
            "a command of --load must take a tar of images, as `docker save` writes it, as its "
            "last word",
        )


def _on_nodes(kubectl: Kubectl) -> set[str]:
    """The images that every node says it has; none where a person may not look at nodes."""
    with suppress(NotAllowed):
        nodes = [
            {name for image in node["status"].get("images") or () for name in image["names"] or ()}
            for node in kubectl.get("nodes")
        ]
        return set.intersection(*nodes) if nodes else set()
    return set()


def image_values(
    project: Project, engine: Engine, kubectl: Kubectl, images: Sequence[Image], command: str,
    say: Say,
) -> Object:  # fmt: skip
    """Put the images just built into the cluster; the chart's values that name them."""
    way = find_way(kubectl, engine, command)
    if project.registry and not (way.commands or way.shared):
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
