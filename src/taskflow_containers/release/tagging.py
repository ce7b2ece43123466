"""The tags of the current commit's images: shown, given, and pushed when the work tree is clean."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from taskflow_containers.checks import build
from taskflow_containers.contract.container import LABEL_PREFIX
from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.errors import InputError, Refused
from taskflow_containers.machine.process import Say
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.model import Project
from taskflow_containers.release.git import (
    Repository,
    Revision,
    require_revision,
    tag_prefix,
)
from taskflow_containers.release.registry import ImageRepository, TagRefused
from taskflow_containers.release.versions import Version, development, image_tags, legal
from taskflow_containers.release.web import retried
from taskflow_containers.workspace import Workspace


def tags(root: Path, project: Project) -> list[str]:
    """The image tags of the commit `root` is at, those of a dirty work tree ending in -dirty.

    Raises:
        InputError: there is no commit, or the history needed to count from was cut off.
    """
    return _tags(_repository(root, project), require_revision(root), project)[0]


def _repository(root: Path, project: Project) -> Repository:
    return Repository(root, tag_prefix(root, project.tag_prefix, project.name))


def _tags(repository: Repository, commit: Revision, project: Project) -> tuple[list[str], Version]:
    """Those tags, and the version that the images' labels state."""
    repository.require_whole()
    here = repository.versions(merged="HEAD")
    last = max(here, default=None)
    declared = Version.parse(project.version)
    exact = [version for version, sha in here.items() if sha == commit.sha and not commit.dirty]
    if exact:
        released = max(exact)
        moving = None if project.release.moving_tags else 1
        return [*image_tags(released, repository.versions())[:moving], commit.tag], released
    commits = repository.commits(since=last)
    found = [development(last, declared, commits, commit.sha), commit.tag]
    return [legal(f"{tag}-dirty") for tag in found] if commit.dirty else found, declared


def require_labels(
    engine: Engine, image: str, container: str, version: str, commit: str, platform: str = ""
) -> dict[str, Any]:
    """The config of an image whose labels say that it is this version, of this commit.

    `platform` is one of several, if it is given.

    Raises:
        Refused: they say something else.
    """
    config = engine.require_image_config(image, platform)
    labels = config.get("Labels") or {}
    says = [labels.get(f"{LABEL_PREFIX}{key}") for key in ("version", "revision")]
    if says != [version, commit]:
        raise Refused(
            f"the image of {container}{f' for {platform}' * bool(platform)} says that it is {' of '.join(map(str, says))}, and not "
            f"{version} of {commit}",
            "build it again; its Dockerfile must label it with VERSION and REVISION",
        )
    return config


def tag(root: Path, project: Project, engine: Engine, say: Say, *, push: bool) -> list[str]:
    """Give every built image the tags of this commit; the references, as `name:tag[@digest]`.

    Raises:
        InputError: an image is not built from these sources, or a dirty one would be pushed.
        Refused: an image is labelled as another version's or commit's, the registry says no, or it
            has a released version with another digest.
    """
    commit = require_revision(root)
    names, version = _tags(_repository(root, project), commit, project)
    if push and names[0].endswith("-dirty"):
        raise InputError("the work tree is dirty, and such images are not pushed", "git status")
    if push and not project.registry:
        raise InputError(f"{FILE_NAME} names no registry to push to", 'registry = "ghcr.io/acme"')
    images, workspace = {}, Workspace(root, project, engine)
    for container in project.containers:
        images[container], reason = build.current_image(workspace, container)
        if not images[container]:
            raise InputError(f"the image of {container} is {reason}", "invoke build")
        for part in project.build.parts:
            require_labels(engine, images[container], container, str(version), commit.text, part)
    done = []
    for container, image in images.items():
        name = project.image(container)
        for one in names:
            engine.call("tag", image, f"{name}:{one}")
        if not push:
            done += [f"{name}:{one}" for one in names]
            continue
        there = ImageRepository(name, engine.name)
        digest = retried(partial(there.push, engine, image, names[-1]), say)
        for one in names:
            try:
                there.publish(digest, one, fixed=one == names[0])
            except TagRefused as error:
                if one == names[0]:
                    raise
                say(f"warning: {error.message}; {error.hint}")
            else:
                done.append(f"{name}:{one}@{digest}")
    return done
