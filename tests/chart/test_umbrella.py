"""Services of this template as parts of one parent chart: none takes the other's names, pods or helpers."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.cluster import helm
from tests.chart.conftest import Objects, Values
from tests.chart.test_switches import MIGRATION
from tests.conftest import Render

Parent = Callable[..., Objects]
PARTS = ("shop", "orders", "Second_one")


@pytest.fixture(scope="module")
def parent(render: Render, program: Path, tmp_path_factory: pytest.TempPathFactory) -> Parent:
    """`parent({values}, release="x")`: two projects' charts, and the first once more as `Second_one`."""
    folder = tmp_path_factory.mktemp("parent")
    for slug in PARTS[:2]:
        shutil.copytree(render(slug=slug) / "chart", folder / "charts" / slug)
    # A helper that its owner has changed; the other project's stays as it is.
    changed = folder / "charts" / "orders" / "templates" / "_pod.tpl"
    text = changed.read_text(encoding="utf-8")
    changed.write_text(text.replace("enableServiceLinks: false", "enableServiceLinks: true"))
    parts: list[dict[str, str]] = [
        {"name": "shop"},
        {"name": "orders", "condition": "orders.enabled"},
    ]
    parts += [{"name": "shop", "alias": PARTS[2]}]
    dependencies = [{**part, "version": "0.1.0"} for part in parts]
    about = {"apiVersion": "v2", "name": "parent", "version": "0.1.0", "dependencies": dependencies}
    (folder / "Chart.yaml").write_text(json.dumps(about))

    def render_it(values: Values | None = None, *, release: str = "all") -> Objects:
        found = helm.render(program, folder, release=release, values=[values or {}])
        objects = Objects({f"{item['kind']}/{item['metadata']['name']}": item for item in found})
        assert len(objects) == len(found), "two objects of one kind have the same name"
        names = [str(item["metadata"]["name"]) for item in found]
        assert [
            name for name in names if not re.fullmatch("[a-z][-a-z0-9]{0,61}[a-z0-9]", name)
        ] == []
        return objects

    return render_it


def part(item: dict[str, Any]) -> str:
    return str(item["metadata"]["labels"]["app.kubernetes.io/name"])


@pytest.mark.parametrize(
    "release", ["all", "shop", "orders-and-shop", "second-orders-shop", "x" * 53]
)
def test_no_two_objects_are_called_alike(release: str, parent: Parent) -> None:
    values = {name: {"containers": {"backend": MIGRATION}} for name in PARTS}
    objects = parent(values, release=release)
    assert {part(item) for item in objects.values()} == set(PARTS)


def test_each_keeps_its_own_helpers(parent: Parent) -> None:
    for item in parent().values():
        if item["kind"] == "Deployment":
            links = item["spec"]["template"]["spec"]["enableServiceLinks"]
            assert links == (part(item) == "orders"), item["metadata"]["name"]


def test_what_selects_pods_takes_none_of_another_part(parent: Parent) -> None:
    objects = [*parent({name: {"containers": {"backend": MIGRATION}} for name in PARTS}).values()]
    pods = [item for item in objects if item["kind"] in {"Deployment", "Job", "Pod"}]
    found = 0
    for item in objects:
        selectors = re.findall(r'"matchLabels": (\{.*?\})', json.dumps(item))
        if item["kind"] == "Service":
            selectors.append(json.dumps(item["spec"]["selector"]))
        for selector in map(json.loads, selectors):
            found += 1
            for pod in pods:
                template = pod if pod["kind"] == "Pod" else pod["spec"]["template"]
                if selector.items() <= template["metadata"]["labels"].items():
                    assert part(pod) == part(item), (
                        item["metadata"]["name"],
                        pod["metadata"]["name"],
                    )
    assert found > 20


def test_a_part_is_switched_off_and_what_is_global_is_for_all(parent: Parent) -> None:
    objects = parent(
        {"orders": {"enabled": False}, "global": {"imageRegistry": "mirror.example.com"}}
    )
    assert {part(item) for item in objects.values()} == {"shop", "Second_one"}
    images = re.findall(r'"image": "([^"]+)"', json.dumps(objects))
    assert images and all(image.startswith("mirror.example.com/shop-") for image in images)


def test_one_part_calls_another(parent: Parent) -> None:
    """As docs/chart.md says it: the URL on one side, who may come in on the other."""
    labels = {"app.kubernetes.io/name": "shop", "app.kubernetes.io/component": "frontend"}
    guest = {"from": [{"podSelector": {"matchLabels": labels}}], "ports": [{"port": 8000}]}
    objects = parent(
        {
            "shop": {"containers": {"frontend": {"connects": {"API_URL": "http://all-orders-backend:8000"}}}},
            "orders": {"containers": {"backend": {"networkPolicy": {"ingress": [guest]}}}},
        }
    )  # fmt: skip
    url = objects.at("ConfigMap/all-shop-frontend data.API_URL")
    assert f"Service/{url.removeprefix('http://').removesuffix(':8000')}" in objects
    pod = objects.at("Deployment/all-shop-frontend spec.template.metadata.labels")
    assert labels.items() <= pod.items()
    assert guest in objects.at("NetworkPolicy/all-orders-backend spec.ingress")
    out = objects.at("NetworkPolicy/all-shop-frontend spec.egress")
    assert {"ports": [{"port": 8000}]} in out
