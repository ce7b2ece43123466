"""Programs on PATH that are older than what the sessions and tasks rely on."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from taskflow_containers.doctor.finding import Finding
from taskflow_containers.machine import interruption
from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.machine.process import last_line, run


class Needed(NamedTuple):
    """A program: the words that ask for its version, the oldest that serves, why, and what mends it.

    `optional`: an older one does less, and what it does not do is said where it matters.
    """

    words: str
    oldest: str
    why: str
    mend: str
    optional: bool = False


# Helm's and cosign's are stated where they are run: `cluster.helm.OLDEST`, `release.cosign.OLDEST`.
COMPOSE = Needed("docker-compose version", "2.0", "`config --format json` begins with it",
                 "`apt install docker-compose-plugin`, `brew upgrade docker-compose`")  # fmt: skip
NEEDED = (
    # docs.docker.com/engine/release-notes/23.0: buildx is the builder from this version on.
    Needed("docker --version", "23.0", "earlier ones build without buildx, so without build caches of a registry",
           "`apt install docker.io`, or docker-ce from docs.docker.com/engine/install", optional=True),
    # github.com/docker/buildx/issues/1507: what is new in 0.10.0.
    Needed("docker buildx version", "0.10", "`--provenance` and `--sbom` begin with it",
           "`apt install docker-buildx` or docker-buildx-plugin, `brew upgrade docker-buildx`"),
    # github.com/containers/podman/issues/12062: 3.4 refuses them.
    Needed("podman --version", "4.0", "cache mounts of a Dockerfile begin with it",
           "`apt install podman buildah` of a newer release, `brew upgrade podman`"),
    Needed("docker compose version", *COMPOSE[1:]),
    # copier's README, "Installation".
    Needed("git --version", "2.27", "copier needs it", "`apt install git`, `brew upgrade git`"),
    # `nox.needs_version` of a project's noxfile.py.
    Needed("nox --version", "2025.10.14", "noxfile.py refuses an earlier one", "`pipx upgrade nox`, or "
           "`.venv/bin/pip install --require-hashes -r tools/requirements-nox.txt`"),
    # `_min_copier_version` of the template's copier.yml.
    Needed("copier --version", "9.11.0", "the template refuses an earlier one",
           "`pipx upgrade copier` or `uv tool upgrade copier`"),
    # github.com/astral-sh/uv/releases/tag/0.4.27
    Needed("uv --version", "0.4.27", "`[dependency-groups]` of pyproject.toml begin with it",
           "`uv self update` or `pipx upgrade uv`", optional=True),
)  # fmt: skip


def outdated(_: Path) -> Iterator[Finding]:
    """What is too old, or does not say how old it is."""
    with interruption.pool(len(NEEDED)) as pool:
        for findings in pool.map(lambda one: [*judge(one)], NEEDED):
            yield from findings


def judge(needed: Needed) -> Iterator[Finding]:
    """The finding about one program; none where it is new enough or not there."""
    name, *words = needed.words.split()
    called = " ".join([name, *words[:-1]])
    if not (program := shutil.which(name)):
        return
    try:
        done = run([program, *words], timeout=20)
    except EnvironmentTrouble as error:
        yield Finding(error.message, program, needed.mend, optional=True)
        return
    said = done.stdout + done.stderr
    if done.returncode and len(words) > 1:
        return  # a plug-in that is not there, which other looks tell of where it matters
    if name == "docker" and "podman" in said.lower():
        return  # Podman under another name
    found = re.search(r"\d+(?:\.\d+)+", said)
    if done.returncode or not found:
        yield Finding(
            f"`{needed.words}` tells no version: {last_line(said) or 'nothing'}", program, needed.mend,
            optional=True,
        )  # fmt: skip
    elif _numbers(found[0]) < _numbers(needed.oldest):
        optional = needed.optional or (name == "podman" and bool(shutil.which("docker")))
        yield Finding(
            f"{called} is {found[0]}, and {needed.oldest} or newer is needed: {needed.why}", program,
            needed.mend, optional=optional,
        )  # fmt: skip


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part[:9]) for part in version.split("."))
