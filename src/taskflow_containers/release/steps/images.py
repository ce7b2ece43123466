"""The steps of a release that give images to a registry, by the IDs tested."""

from __future__ import annotations

from functools import partial

from taskflow_containers.machine.errors import TaskflowError
from taskflow_containers.project import FILE_NAME
from taskflow_containers.release.registry import STAY, TagRefused
from taskflow_containers.release.state import ReleasedImage
from taskflow_containers.release.step import OpenRelease, Step, remaining


class Promote(Step):
    """The tested image gets the version, here."""

    id = "promote"

    def describe(self) -> tuple[str, str]:
        names = (f"{name}:{self.plan.version}" for name in self.plan.product.images.values())
        why = "by their IDs: nothing is built again"
        if not self.plan.product.registry:
            why += f"; pushed nowhere, as {FILE_NAME} names no registry"
        return f"tag the tested images {', '.join(names)}", why

    def do(self) -> None:
        for image in self.state.images.values():
            self.release.engine.call("tag", image.id, f"{image.repository}:{self.plan.version}")

    def undo(self) -> list[str]:
        tags = (self.plan.version, self.state.sha_tag)
        images = self.state.images.values()
        given = {f"{image.repository}:{tag}": image.id for image in images for tag in tags}
        try:
            engine = self.release.engine
            for name, image in given.items():
                if (engine.image_config(name) or {}).get("Id") == image:
                    engine.call("image", "rm", "--no-prune", name, check=False)
        except TaskflowError as error:
            return [f"perhaps {name}, here: {error.message}" for name in given]
        return []


class Upload(Step):
    """The layers go up, under the commit's own tag: no version points to them yet."""

    public = True

    def __init__(self, release: OpenRelease, container: str) -> None:
        super().__init__(release)
        self.container = container
        self.id = f"upload-{container}"
        self.there = release.repository_of(self.plan.product.images[container])

    def describe(self) -> tuple[str, str]:
        return f"push {self.there.name} as sha-…", "by digest, before any version points to it"

    def do(self) -> None:
        image, engine, tag = self.image, self.release.engine, self.state.sha_tag
        image.digest = self.patiently(lambda: self.there.push(engine, image.id, tag))

    @property
    def image(self) -> ReleasedImage:
        """What is pushed."""
        return self.state.images[self.container]

    def broken(self) -> str:
        digest = self.image.digest
        found = self.there.digest(digest)
        return "" if found == digest else f"{self.there.name}@{digest} is not there"

    def undo(self) -> list[str]:
        return remaining(self.there, [self.state.sha_tag])


class Publish(Step):
    """The version tags, and then those that move, point to the digests."""

    id = "publish"
    public = True

    @property
    def tags(self) -> list[str]:
        """The version, and what moves to it."""
        return self.plan.tags if self.plan.product.moving_tags else self.plan.tags[:1]

    def describe(self) -> tuple[str, str]:
        moving = ", ".join(self.tags[1:])
        why = f"{moving} move: the highest stable one" if moving else "none moves: not the highest"
        if not self.plan.product.moving_tags:
            why = f"none moves: {STAY}"
        return f"point {', '.join(self.tags)} to those digests", why

    def do(self) -> None:
        images = self.state.images.values()
        refused: dict[str, list[str]] = {image.repository: [] for image in images}
        for tag in self.tags:
            for image in images:
                there, fixed = (
                    self.release.repository_of(image.repository),
                    tag == self.plan.version,
                )
                try:
                    self.patiently(partial(there.publish, image.digest, tag, fixed=fixed))
                except TagRefused as error:
                    if fixed:
                        raise
                    refused[image.repository].append(tag)
                    self.release.say(f"warning: {error.message}; {error.hint}")
        for image in images:
            image.refused = refused[image.repository]
            image.tags = [tag for tag in self.tags if tag not in image.refused]

    def broken(self) -> str:
        for image in self.state.images.values():
            there = self.release.repository_of(image.repository)
            if there.digest(self.plan.version) != image.digest:
                return f"{image.repository}:{self.plan.version} is not {image.digest}"
        return ""

    def undo(self) -> list[str]:
        return [
            line
            for image in self.state.images.values()
            for line in remaining(
                self.release.repository_of(image.repository), self.tags, image.digest
            )
        ]
