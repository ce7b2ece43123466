"""The steps of a release that registries see: images by the IDs tested, and the chart."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path

from taskflow_containers.cluster import helm
from taskflow_containers.cluster.helm import CHART
from taskflow_containers.machine.errors import EnvironmentTrouble, Refused, TaskflowError
from taskflow_containers.machine.process import masked, run, trouble
from taskflow_containers.project import FILE_NAME
from taskflow_containers.release import versionfiles
from taskflow_containers.release.git import as_stored
from taskflow_containers.release.registry import ImageRepository
from taskflow_containers.release.state import ChartPackage, ReleasedImage
from taskflow_containers.release.step import OpenRelease, Step, remaining, sha256


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
        self.there = ImageRepository(self.plan.product.images[container])

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
        return remaining(self.there.name, [self.state.sha_tag])


class Publish(Step):
    """The version tags, and then those that move, point to the digests."""

    id = "publish"
    public = True

    def describe(self) -> tuple[str, str]:
        moving = ", ".join(self.plan.tags[1:])
        why = f"{moving} move: the highest stable one" if moving else "none moves: not the highest"
        return f"point {', '.join(self.plan.tags)} to those digests", why

    def do(self) -> None:
        for tag in self.plan.tags:
            for image in self.state.images.values():
                publish = partial(ImageRepository(image.repository).publish, image.digest, tag)
                self.patiently(partial(publish, fixed=tag == self.plan.version))
        for image in self.state.images.values():
            image.tags = self.plan.tags

    def broken(self) -> str:
        for image in self.state.images.values():
            if ImageRepository(image.repository).digest(self.plan.version) != image.digest:
                return f"{image.repository}:{self.plan.version} is not {image.digest}"
        return ""

    def undo(self) -> list[str]:
        return [
            line
            for image in self.state.images.values()
            for line in remaining(image.repository, self.plan.tags, image.digest)
        ]


class Package(Step):
    """The chart of that commit, with the images' digests in its values."""

    id = "package"

    def describe(self) -> tuple[str, str]:
        return "package the chart with these digests", "an install gets the very images tested"

    def do(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            chart = f"{self.state.commit}:{self.repository.folder}{CHART}"
            as_stored(self.release.root).obey("archive", "--output", folder / "chart.zip", chart)
            shutil.unpack_archive(folder / "chart.zip", folder / CHART)
            for container, image in self.state.images.items():
                place = ("containers", container, "image", "digest")
                versionfiles.edit(folder / CHART / "values.yaml", [place], image.digest)
            program = helm.find(self.release.root)
            done = run([program, "package", "--destination", folder, folder / CHART], timeout=300)
            if done.returncode:
                said = helm.readable(done.stderr)
                raise trouble(said) or Refused(f"helm package: {said}", "nox -s chart shows more")
            (made,) = folder.glob("*.tgz")
            self.release.folder.mkdir(parents=True, exist_ok=True)
            target = Path(shutil.copy2(made, self.release.folder))
        self.state.chart = ChartPackage(
            repository=self.plan.product.chart, file=target.name, sha256=sha256(target.read_bytes())
        )

    def broken(self) -> str:
        chart = self.state.packaged
        file = self.release.folder / chart.file
        whole = file.is_file() and sha256(file.read_bytes()) == chart.sha256
        return "" if whole else f"{file} is gone or changed"


class PushChart(Step):
    """The package goes to the registry as an OCI artefact."""

    id = "chart"
    public = True

    def __init__(self, release: OpenRelease) -> None:
        super().__init__(release)
        self.there = ImageRepository(self.plan.product.chart)

    def describe(self) -> tuple[str, str]:
        what = f"push oci://{self.there.name}:{self.plan.version}"
        return what, "helm install reads it from there"

    def _arrived(self) -> bool:
        """Whether the registry has this very package; raises Refused for another one."""
        layers = self.there.manifest(self.plan.version).get("layers")
        if layers and layers[0]["digest"] != f"sha256:{self.state.packaged.sha256}":
            raise Refused(
                f"{self.there.name}:{self.plan.version} is there already, with another content",
                "a released chart does not change: release the next version",
            )
        return bool(layers)

    def do(self) -> None:
        self.patiently(self._push)
        self.state.packaged.digest = self.there.digest(self.plan.version)

    def _push(self) -> None:
        if self._arrived():
            return
        file = self.release.folder / self.state.packaged.file
        words = ["push", str(file), f"oci://{self.there.name.rpartition('/')[0]}"]
        words += ["--plain-http"] * self.there.plain_http
        done = run([helm.find(self.release.root), *words], timeout=600)
        if done.returncode or not self._arrived():
            raise EnvironmentTrouble(
                f"helm push failed: {masked(helm.readable(done.stderr))}",
                f"helm registry login {self.there.host}, or the registry is in trouble",
            )

    def broken(self) -> str:
        return "" if self._arrived() else f"{self.there.name}:{self.plan.version} is gone"

    def undo(self) -> list[str]:
        return remaining(self.there.name, [self.plan.version])
