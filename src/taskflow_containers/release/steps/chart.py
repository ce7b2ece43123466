"""The steps of a release that make the chart's package, and push it once the images have digests."""

from __future__ import annotations

import gzip
import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from taskflow_containers.cluster import helm
from taskflow_containers.machine.errors import EnvironmentTrouble, Refused
from taskflow_containers.machine.process import masked, run, trouble
from taskflow_containers.release.onevalue import replaced
from taskflow_containers.release.state import ChartPackage
from taskflow_containers.release.step import OpenRelease, Step, remaining, sha256

VALUES = "values.yaml"
_BLANK = "chart-without-digests.tgz"


def blank(container: str) -> str:
    """What stands for the digest of a container's image, until a push has told it."""
    return f"sha256:{sha256(f'the image of {container}'.encode())}"


def with_blanks(values: Path, containers: Iterable[str]) -> str:
    """The text of a chart's values file with a blank for the digest of each container's image.

    Raises:
        InputError: a digest cannot be written there.
    """
    text, name = values.read_bytes().decode("utf-8"), f"{values.parent.name}/{values.name}"
    for container in containers:
        place = ("containers", container, "image", "digest")
        text = replaced(name, text, [place], blank(container))
    return text


def filled(package: bytes, digests: dict[str, str]) -> bytes:
    """A packaged chart with digests in place of its blanks; the same bytes for the same digests."""
    made = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(package)) as old,
        gzip.GzipFile(fileobj=made, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as new,
    ):
        for member in old:
            stream = old.extractfile(member)
            data = stream.read() if stream else b""
            if member.name.split("/")[1:] == [VALUES]:
                for container, digest in digests.items():
                    data = data.replace(blank(container).encode(), digest.encode())
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return made.getvalue()


class Package(Step):
    """The chart of that commit, complete but for the digests, which only a push tells."""

    id = "package"

    def describe(self) -> tuple[str, str]:
        return "package the chart with its dependencies", "what fails here is not public yet"

    def do(self) -> None:
        release, plan = self.release, self.plan
        program = helm.find(release.root)
        with release.checkout(self.state.commit) as tree, tempfile.TemporaryDirectory() as name:
            chart = tree / plan.product.files.chart
            text = with_blanks(chart / VALUES, self.state.images)
            (chart / VALUES).write_bytes(text.encode("utf-8"))
            helm.fetch_dependencies(program, chart)
            done = run([program, "package", "--destination", name, chart], timeout=300)
            if done.returncode:
                said = helm.readable(done.stderr)
                raise trouble(said) or Refused(f"helm package: {said}", "nox -s chart shows more")
            (made,) = Path(name).glob("*.tgz")
            expected = f"{plan.product.chart.rpartition('/')[2]}-{plan.version}.tgz"
            if made.name != expected:
                raise Refused(
                    f"the chart is packaged as {made.name}, and must be {expected}",
                    f"name it in {chart.name}/Chart.yaml as the project is named",
                )
            release.folder.mkdir(parents=True, exist_ok=True)
            target = Path(shutil.copyfile(made, release.folder / _BLANK))
        self.state.chart = ChartPackage(
            repository=plan.product.chart, file=target.name, sha256=sha256(target.read_bytes())
        )

    def broken(self) -> str:
        chart = self.state.packaged
        file = self.release.folder / chart.file
        whole = file.is_file() and sha256(file.read_bytes()) == chart.sha256
        return "" if whole else f"{file} is gone or changed"


class PushChart(Step):
    """The package gets the images' digests and goes to the registry as an OCI artefact."""

    id = "chart"
    public = True

    def __init__(self, release: OpenRelease) -> None:
        super().__init__(release)
        self.there = release.repository_of(self.plan.product.chart)

    def describe(self) -> tuple[str, str]:
        what = f"push oci://{self.there.name}:{self.plan.version} with these digests"
        return what, "an install gets the very images tested"

    def do(self) -> None:
        chart, folder = self.state.packaged, self.release.folder
        if chart.file == _BLANK:
            digests = {name: image.digest for name, image in self.state.images.items()}
            data = filled((folder / _BLANK).read_bytes(), digests)
            name = f"{self.there.name.rpartition('/')[2]}-{self.plan.version}.tgz"
            (folder / name).write_bytes(data)
            chart.file, chart.sha256 = name, sha256(data)
        self.patiently(self._push)
        chart.digest = self.there.digest(self.plan.version)

    def _arrived(self) -> bool:
        """Whether the registry has this very package; raises Refused for another one."""
        layers = self.there.manifest(self.plan.version).get("layers")
        if layers and layers[0]["digest"] != f"sha256:{self.state.packaged.sha256}":
            raise Refused(
                f"{self.there.name}:{self.plan.version} is there already, with another content",
                "a released chart does not change: release the next version",
            )
        return bool(layers)

    def _push(self) -> None:
        if self._arrived():
            return
        file = self.release.folder / self.state.packaged.file
        words = ["push", str(file), f"oci://{self.there.name.rpartition('/')[0]}"]
        words += ["--plain-http"] * self.there.plain_http
        with tempfile.TemporaryDirectory() as name:
            # Helm reads neither Podman's logins nor keys with a path.
            if login := self.there.login:
                config = Path(name, "config.json")
                config.write_text(login.config(self.there.host), encoding="utf-8")
                words += ["--registry-config", str(config)]
            done = run([helm.find(self.release.root), *words], timeout=600)
        if done.returncode or not self._arrived():
            raise EnvironmentTrouble(
                f"helm push failed: {masked(helm.readable(done.stderr))}",
                f"helm registry login {self.there.host}, or the registry is in trouble",
            )

    def broken(self) -> str:
        return "" if self._arrived() else f"{self.there.name}:{self.plan.version} is gone"

    def undo(self) -> list[str]:
        return remaining(self.there, [self.plan.version])
