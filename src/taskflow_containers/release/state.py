"""What a release knows: its plan, and what each step leaves behind for those after it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from taskflow_containers.machine.distribution import Tool
from taskflow_containers.machine.errors import InputError
from taskflow_containers.project.files import Files
from taskflow_containers.project.model import Project
from taskflow_containers.release.git import commit_tag, tag_prefix
from taskflow_containers.release.logins import DOCKER_HUB
from taskflow_containers.release.registry import ImageRepository
from taskflow_containers.release.versions import TAG_PREFIX

FORMAT: Final = 1
RUNNING: Final = "running"
DONE: Final = "done"
ABORTED: Final = "aborted"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Product(_Part):
    """What is released: its version as the files state it, its images and its chart.

    `images` maps containers to repositories, `chart` is the chart's; `gate` is what must pass,
    each command run in a checkout of the very commit that is tagged; `tag_prefix` begins its tags.
    `moving_tags`: whether X.Y, X and latest follow; `files`: what the chart's folder is called.
    """

    declared: str
    tag_prefix: str = TAG_PREFIX
    gate: tuple[tuple[str, ...], ...]
    source: str = ""
    folders: tuple[str, ...] = ()
    files: Files = Files()
    images: dict[str, str] = {}
    registry: str = ""
    chart: str = ""
    moving_tags: bool = True
    platforms: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    identity: str = ""
    issuer: str = ""
    transparency_log: bool = True

    @classmethod
    def of(cls, root: Path, project: Project, gate: Sequence[Sequence[str]]) -> Product:
        """The product a taskflow.toml describes; without a registry nothing of it is pushed."""
        has_chart = (root / project.files.chart / "Chart.yaml").is_file()
        hub = ImageRepository(f"{project.registry}/{project.name}").host == DOCKER_HUB
        charts = project.release.charts or f"{project.registry}{'' if hub else '/charts'}"
        return cls(
            declared=project.version,
            tag_prefix=tag_prefix(root, project.tag_prefix, project.name),
            # Without a chart there is nothing that the session could judge.
            gate=tuple(tuple(words) for words in gate if has_chart or "chart" not in words),
            source=project.source,
            folders=(*(project.context(name) for name in project.containers), project.files.chart),
            files=project.files,
            images={name: project.image(name) for name in project.containers},
            registry=project.registry,
            chart=f"{charts}/{project.name}" if has_chart else "",
            moving_tags=project.release.moving_tags,
            platforms=tuple(project.build.platforms),
            bases=tuple(sorted({one.base for one in project.containers.values()})),
            identity=project.signature.identity,
            issuer=project.signature.issuer,
            transparency_log=project.signature.transparency_log,
        )

    @property
    def pushed(self) -> list[str]:
        """The repositories that a release pushes to."""
        return [*self.images.values(), *filter(None, [self.chart])] if self.registry else []


class ReleasePlan(_Part):
    """Everything a release needs to know before its first step; a resumed one obeys it too.

    `engine` is the client's path, `client` what it is (docker or podman); `platform` is what the images are for, as os/architecture;
    `notes` are lines for whoever agrees to it. What has a default is not needed to take it back.
    `way` is how the release commit gets to the branch: pushed there (direct), proposed on a branch of
    its own (propose), or there already, as `base`: once that was merged (publish), and with its tag (tagged). `pending` is a
    version that was proposed and not tagged; its section of the changelog goes into this one.
    """

    version: str
    remote: str
    branch: str
    base: str
    product: Product
    way: Literal["direct", "propose", "publish", "tagged"] = "direct"
    previous: str = ""
    pending: str = ""
    reason: str = ""
    push: bool = True
    tags: list[str] = []
    files: list[str] = []
    engine: str = ""
    client: str = "docker"
    platform: str = ""
    notes: list[str] = []

    @property
    def tag(self) -> str:
        """The git tag."""
        return f"{self.product.tag_prefix}{self.version}"

    @property
    def proposal(self) -> str:
        """The branch that a pull request for this release is made from."""
        return f"release/{self.tag.removeprefix(TAG_PREFIX)}"


class StepTimes(_Part):
    """When a step began and, once its effect is complete, ended; in UTC."""

    started: str
    done: str = ""


class ReleasedImage(_Part):
    """An image that passed the gate: the engine's ID, and the registry's digest once it is pushed.

    `platform` is what smoke ran; `platforms` maps each of several to its manifest's digest. `tags` lead to it; those in `refused` the registry did not move.
    """

    id: str
    repository: str
    platform: str
    platforms: dict[str, str] = {}
    digest: str = ""
    tags: list[str] = []
    refused: list[str] = []

    @property
    def parts(self) -> list[str]:
        """Its platforms where it has several, or else "" for the image itself."""
        return [*self.platforms] or [""]

    @property
    def reference(self) -> str:
        """How anybody pulls it, and it alone."""
        return f"{self.repository}@{self.digest}"


class GateVerdict(_Part):
    """What a command of the gate came to: how many checks passed, which were left out or waived, and why."""

    verdict: str
    passed: int
    skipped: list[str] = []
    waived: list[str] = []


class WrittenFile(_Part):
    """A file beside the journal, in the release's folder."""

    file: str
    sha256: str


class ChartPackage(WrittenFile):
    """The packaged chart, at first without the images' digests, and its own once it is pushed."""

    repository: str
    digest: str = ""


class State(_Part):
    """All of it. `format`, `tool` and `status` keep their meaning in every format there will be."""

    format: Literal[1]
    tool: Tool
    status: Literal["running", "done", "aborted"]
    plan: ReleasePlan
    steps: dict[str, StepTimes]
    started: str = ""
    ended: str = ""
    checkout: str = ""
    # prepare and gate leave these …
    commit: str = ""
    builder: str = ""
    images: dict[str, ReleasedImage] = {}
    verdicts: dict[str, GateVerdict] = {}
    sbom: dict[str, str] = {}
    # … package, chart, attest and announce these …
    chart: ChartPackage | None = None
    provenance: WrittenFile | None = None
    attested: list[str] = []
    signed: list[str] = []
    announced: str = ""
    # … and --abort, or a refusal on the way, these.
    why: str = ""
    remains: list[str] | None = None

    @property
    def sha_tag(self) -> str:
        """The development tag of the release commit."""
        return commit_tag(self.commit)

    @property
    def packaged(self) -> ChartPackage:
        """The chart, once it was packaged."""
        assert self.chart, "no step asks before package is done"
        return self.chart


# What stands in where a journal is read in order to take its release back.
_STAND_INS: dict[tuple[str | int, ...], object] = {
    ("tool",): {"version": "unknown"},
    ("plan", "product"): {"declared": "", "gate": []},
}


def salvaged(path: Path, data: dict[str, Any]) -> tuple[State, list[str]]:
    """What this version understands of another one's state, and the fields it does not understand.

    Raises:
        InputError: that is less than it takes to take the release back.
    """
    begun_by = data.get("tool")
    data = copy.deepcopy(data) | {"format": FORMAT, "status": RUNNING}
    unread: list[str] = []
    while True:
        try:
            return State.model_validate(data), unread
        except ValidationError as error:
            fault = error.errors()[0]
        loc = fault["loc"]
        unread.append(".".join(map(str, loc)))
        if fault["type"] == "missing" and loc not in _STAND_INS:
            loc = loc[:-1]
        if not loc:
            raise InputError(
                f"{path} says too little to take the release back: it lacks {unread[-1]}",
                f"go on with the tool that wrote it ({begun_by}), or take back by hand what it says "
                "was done, and remove it",
            )
        parent: Any = data
        for key in loc[:-1]:
            parent = parent[key]
        if loc in _STAND_INS:
            parent[loc[-1]] = copy.deepcopy(_STAND_INS[loc])
        elif loc[0] == "steps" and len(loc) > 1:
            data["steps"][loc[1]] = {"started": ""}  # whatever it says, the step was begun
        else:
            del parent[loc[-1]]
