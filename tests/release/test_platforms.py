"""A release of two platforms: planned, judged, pushed as one index, signed and verified."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow_containers.engine.client import Engine
from taskflow_containers.release import cosign, provenance
from taskflow_containers.release.registry import ImageRepository
from tests.platforms import OTHER, of_two_platforms
from tests.release.conftest import Registry, Shop, beside, remove_images
from tests.release.test_release import deployed

pytestmark = pytest.mark.engine
# A gate of what platforms matter to, and of smoke the shortest part.
GATE = """
from taskflow_containers import actions

actions.GATE = [("-m", "taskflow_containers", *words) for words in (
    ("build", "--pull"), ("scan", "--offline"), ("smoke", "--only=image.platform"))]
"""


@pytest.fixture
def shop_of_two(registry: Registry, engine: Engine, tmp_path: Path) -> Iterator[Shop]:
    """The shop, of one container for this engine's platform and another one."""
    with of_two_platforms(engine, tmp_path) as text:
        shop = Shop(tmp_path, registry)
        model = shop.folder / "taskflow.toml"
        before, _, after = model.read_text().partition("[containers.stock]")  # one is enough
        model.write_text(before + after[after.index("\n[signature]") :] + text)
        with (shop.folder / "tasks.py").open("a") as file:
            file.write(GATE)
        shop.git("commit", "--quiet", "--all", "--message", "feat: two platforms")
        yield shop
        remove_images(engine, shop.name)


def test_an_index_is_released_and_each_platform_named(
    shop_of_two: Shop, engine: Engine, signing: dict[str, str]
) -> None:
    shop, own = shop_of_two, engine.platform
    planned = shop.invoke("--dry-run")
    assert f"for {own}, {OTHER}" in planned.stdout, planned.stderr
    assert f"smoke judges what this engine ({own}) runs of it, and no other" in planned.stdout
    shop.killed("do:upload-orders", "--yes")
    done = shop.invoke("--resume", "--yes", **signing)
    assert done.returncode == 0, done.stderr
    journal, digests = shop.journal, {}
    for name, image in journal["images"].items():
        there = ImageRepository(image["repository"])
        index = there.manifest("1.3.0")
        manifests = {
            "/".join((one["platform"]["os"], one["platform"]["architecture"])): one["digest"]
            for one in index["manifests"]
        }
        # What was judged is what is there: the very index, each part of it named.
        assert (image["id"], image["platform"]) == (image["digest"], own)
        assert image["platforms"] == manifests == dict.fromkeys((own, OTHER)) | manifests
        digests[name] = there.digest("1.3.0")
        kinds = [cosign.SIGNATURE, provenance.PROVENANCE, provenance.SBOM, provenance.SBOM]
        assert beside(image["repository"], image["digest"]) == sorted(kinds)
    assert deployed(f"{shop.registry.host}/acme/charts/{shop.name}") == digests | {"stock": ""}
    statement = json.loads(
        (shop.folder / "reports/release-1.3.0/provenance.intoto.json").read_text()
    )
    stated = statement["predicate"]["buildDefinition"]["internalParameters"]["images"]["orders"]
    parts = stated["platforms"]
    assert {one: parts[one]["digest"] for one in parts} == journal["images"]["orders"]["platforms"]
    assert stated["sbom"] == parts[own]["sbom"] != parts[OTHER]["sbom"]
    image = f"{journal['images']['orders']['repository']}:1.3.0"
    key = f"{signing['COSIGN_KEY'].removesuffix('key')}pub"
    words = ["verify", image, "--key", key, "--no-transparency-log"]
    verified = shop.python("-m", "taskflow_containers", *words)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert f"one for each of {own}, {OTHER}" in verified.stdout
    assert f"not judged: {OTHER}" in verified.stdout
