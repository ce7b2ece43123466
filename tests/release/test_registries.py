"""Registries as they are: tags that do not move, and names of two levels."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from taskflow_containers.engine.client import Engine
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load
from taskflow_containers.release.registry import STAY, ImageRepository, TagRefused
from taskflow_containers.release.state import Product
from tests.release.conftest import Registry, Shop
from tests.release.front import IMMUTABLE, fronted, immutable, two_levels
from tests.release.test_release import deployed

pytestmark = pytest.mark.engine
MOVING = ["1.3", "1", "latest"]


def planned(shop: Shop, key: str, value: object) -> None:
    """Change what the release under way is to do."""
    path = shop.folder / "reports" / "release-1.3.0.json"
    data = json.loads(path.read_text())
    data["plan"]["product"][key] = value
    path.write_text(json.dumps(data))


def setting(shop: Shop, line: str) -> None:
    """Commit a line of [release]."""
    path = shop.folder / FILE_NAME
    path.write_text(f"{path.read_text()}\n[release]\n{line}\n")
    shop.git("commit", "--quiet", "--all", "--message", "feat: say it")


@pytest.mark.parametrize("kind", IMMUTABLE)
def test_a_tag_that_is_refused(
    kind: str, registry: Registry, engine: Engine, tiny: Callable[[], str]
) -> None:
    there = ImageRepository(f"{registry.host}/acme/app")
    images = [tiny(), tiny()]
    with fronted(registry, immutable(kind)):
        one, two = (there.push(engine, image, f"sha-{n}") for n, image in enumerate(images))
        there.publish(one, "latest", fixed=False)
        there.publish(one, "latest", fixed=False)
        # Nor is it an error to push again what is there.
        assert there.push(engine, images[0], "sha-0") == one
        with pytest.raises(TagRefused) as caught:
            there.publish(two, "latest", fixed=False)
        assert there.digest("latest") == one
    assert str(IMMUTABLE[kind][0]) in caught.value.message
    assert STAY in caught.value.hint


def test_tags_that_do_not_move_are_warned_of_and_the_rest_goes_out(
    ready: Shop, engine: Engine, tiny: Callable[[], str]
) -> None:
    there = ImageRepository(f"{ready.registry.host}/acme/{ready.name}-stock")
    theirs = {tag: there.push(engine, tiny(), tag) for tag in MOVING}
    with fronted(ready.registry, immutable("ECR")):
        ready.killed("do:publish", "--resume", "--yes")
        done = ready.invoke("--resume", "--yes")
        assert done.returncode == 0, done.stderr
        journal = ready.journal
        assert journal["status"] == "done"
        chart = f"{ready.registry.host}/acme/charts/{ready.name}"
        assert deployed(chart) == {n: i["digest"] for n, i in journal["images"].items()}
    images = journal["images"]
    assert images["stock"]["refused"] == MOVING
    assert images["stock"]["tags"] == ["1.3.0"]
    assert images["orders"]["tags"] == ["1.3.0", *MOVING]
    assert {tag: there.digest(tag) for tag in MOVING} == theirs
    assert there.digest("1.3.0") == images["stock"]["digest"]
    for tag in MOVING:
        assert f"warning: {there.name}:{tag} is refused: 400" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"1.3, 1, latest of {there.name} did not move")
    assert STAY in done.stderr


def test_no_tag_moves_where_none_is_to(ready: Shop) -> None:
    planned(ready, "moving_tags", False)
    with fronted(ready.registry, immutable("Harbor")):
        done = ready.invoke("--resume", "--yes")
        assert done.returncode == 0, done.stderr
    assert f"none moves: {STAY}" in done.stdout
    assert "warning" not in done.stderr
    tags = {tag.rpartition(":")[2] for tag in ready.registry.tags}
    assert tags == {"1.3.0", f"sha-{ready.journal['commit'][:12]}"}


def test_the_plan_says_that_tags_stood_still(
    shop: Shop, engine: Engine, tiny: Callable[[], str]
) -> None:
    there = ImageRepository(f"{shop.registry.host}/acme/{shop.name}-stock")
    digest = there.push(engine, tiny(), "1.2.3")
    there.publish(digest, "1", fixed=False)
    there.push(engine, tiny(), "latest")
    done = shop.invoke("--dry-run")
    assert done.returncode == 0, done.stderr
    assert f"\nlatest of {there.name} did not follow 1.2.3: " in done.stdout
    assert STAY in done.stdout
    setting(shop, "moving-tags = false")
    done = shop.invoke("--dry-run")
    assert "did not follow" not in done.stdout
    assert f"none moves: {STAY}" in done.stdout


@pytest.mark.parametrize(
    ("images", "charts", "expected"),
    [
        ("docker.io/acme", "", "docker.io/acme/NAME"),
        ("index.docker.io/acme", "", "index.docker.io/acme/NAME"),
        ("ghcr.io/acme", "", "ghcr.io/acme/charts/NAME"),
        ("docker.io/acme", "ghcr.io/acme/charts", "ghcr.io/acme/charts/NAME"),
        ("box.example:5000/acme", "box.example:5000/charts", "box.example:5000/charts/NAME"),
    ],
)
def test_where_the_chart_goes(images: str, charts: str, expected: str, shop: Shop) -> None:
    path = shop.folder / FILE_NAME
    text = path.read_text().replace(f'"{shop.registry.host}/acme"', f'"{images}"')
    path.write_text(text + f'\n[release]\ncharts = "{charts}"\n' * bool(charts))
    product = Product.of(shop.folder, load(path), ())
    assert product.chart == expected.replace("NAME", shop.name)
    assert product.chart not in product.images.values()


def test_two_level_names(shop: Shop, engine: Engine, tiny: Callable[[], str]) -> None:
    beside = f"{shop.registry.host}/acme/{shop.name}"
    image = tiny()
    with fronted(shop.registry, two_levels):
        refused = shop.invoke("--dry-run")
        assert refused.returncode == 1
        assert f"{shop.registry.host}/acme/charts/{shop.name} cannot be asked" in refused.stderr
        setting(shop, f'charts = "{shop.registry.host}/acme"')
        done = shop.invoke("--dry-run")
        assert done.returncode == 0, done.stderr
        assert f"push oci://{beside}:1.3.0" in done.stdout
        # Where somebody's images have that name, there is no place for it.
        ImageRepository(beside).push(engine, image, "7")
        done = shop.invoke("--dry-run")
        assert done.returncode == 0, done.stderr
        assert "push oci:" not in done.stdout
        assert " package " not in done.stdout
        assert f"\nthe chart is left out: {beside} holds images" in done.stdout


def test_a_chart_goes_beside_the_images(ready: Shop) -> None:
    beside = f"{ready.registry.host}/acme/{ready.name}"
    planned(ready, "chart", beside)
    with fronted(ready.registry, two_levels):
        done = ready.invoke("--resume", "--yes")
        assert done.returncode == 0, done.stderr
        assert deployed(beside) == {n: i["digest"] for n, i in ready.journal["images"].items()}
        assert not ImageRepository(beside).holds_images()
        assert ImageRepository(f"{beside}-stock").holds_images()
