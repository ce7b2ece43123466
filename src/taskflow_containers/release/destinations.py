"""What a plan asks of the places it pushes to: whether it may, and what would stand in the way."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from taskflow_containers.cluster import helm
from taskflow_containers.machine.errors import Refused, TaskflowError
from taskflow_containers.project import FILE_NAME
from taskflow_containers.release.registry import STAY, ImageRepository
from taskflow_containers.release.state import Product
from taskflow_containers.release.steps.chart import VALUES, with_blanks
from taskflow_containers.release.versions import Version


def pushable(there: ImageRepository, version: Version) -> str:
    """That the version can be pushed there; raises Refused where not."""
    name, digest = there.name, there.digest(str(version))
    if digest:
        raise Refused(f"{name}:{version} exists already ({digest})", "release the next version")
    there.may_push()
    return "allowed, and the tag is free"


def packageable(root: Path, product: Product) -> str:
    """The helm that will do it, once every digest is found to have its place."""
    values = root / product.files.chart / VALUES
    with_blanks(values, product.images)
    return str(helm.find(root))


def collides(product: Product, client: str) -> str:
    """Why the chart cannot go beside the images; empty where it goes elsewhere, or can."""
    if product.chart.rpartition("/")[0] != product.registry:
        return ""
    with suppress(TaskflowError):  # whoever cannot look there is told so by the next check
        if ImageRepository(product.chart, client).holds_images():
            return (
                f'the chart is left out: {product.chart} holds images; charts = "host/path" '
                f"below [release] in {FILE_NAME} says where charts go"
            )
    return ""


def unmoved(product: Product, client: str, last: Version, tags: Sequence[str]) -> list[str]:
    """What the last release left where it was, as registries with immutable tags do."""
    pairs = {
        name: ImageRepository(name, client).unmoved(str(last), tags)
        for name in product.pushed
        if name != product.chart
    }
    return [
        f"{', '.join(stuck)} of {name} did not follow {last}: where tags are immutable, {STAY} "
        "leaves them out"
        for name, stuck in pairs.items()
        if stuck
    ]
