"""One image, packed in every way that an engine's store and a builder know: the same verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow_containers import smoke
from taskflow_containers.checks import build, scan
from taskflow_containers.engine import archive, builder
from taskflow_containers.engine.client import Engine, substitutes
from taskflow_containers.engine.layersizes import LayerSizes
from tests.conftest import lacking, some_of
from tests.containers.conftest import Service, failed, smoked

pytestmark = pytest.mark.engine

BASE = "python:3.13-slim"


@pytest.fixture
def packed_base(engine: Engine, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The Python base with one layer more, all layers packed as the test's parameter says."""
    compression = str(request.param)
    store = engine.call("info", "--format", "{{json .DriverStatus}}").stdout
    if "io.containerd.snapshotter" not in store:
        lacking("only containerd's store keeps layers as they were packed")
    base = substitutes().get(BASE, BASE)
    name = f"taskflow-test/{compression}:3.13"
    words = ["buildx", "build", "--quiet", "--provenance=false", "--output",
             f"type=image,name={name},compression={compression},oci-mediatypes=true"
             f"{',force-compression=true' if compression != 'uncompressed' else ''}"]  # fmt: skip
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "Dockerfile").write_text(f"FROM {base}\nRUN echo {compression} >/note\n")
    engine.call(*words, tmp_path / "base", timeout=1200)
    yield name
    engine.call("image", "rm", "--force", name, check=False)


@pytest.mark.parametrize(
    "packed_base", some_of(["uncompressed", "gzip", "zstd"], "zstd"), indirect=True
)
def test_the_verdict_is_the_same_whatever_packs_the_layers(
    service: Service, packed_base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = service.build()
    pairs = {**substitutes(), BASE: packed_base}
    monkeypatch.setenv("TASKFLOW_SUBSTITUTE_IMAGES", " ".join(f"{k}={v}" for k, v in pairs.items()))
    image = service.build()
    assert failed(image.results) == set(), image.results
    # Above the base, so that the base's own layer more does not count.
    above = {r.measured for one in (plain, image) for r in one.results if r.id == "build.size"}
    assert len(above) == 1, above
    options = smoke.Options(smoke.select(["image"]))
    results = smoked(service.workspace, [image], options)
    assert {r.status.value for r in results} == {"passed"}, [
        (r.id, r.measured, r.detail) for r in results if r.status.value != "passed"
    ]
    reports = service.folder / "reports"
    found = scan.scan(service.workspace, [image], reports, offline=True)
    assert failed(found) == set()
    assert json.loads((reports / "sbom-backend.cdx.json").read_text("utf-8"))["components"]


def test_an_image_with_attestations_is_judged_by_what_runs(service: Service) -> None:
    """As buildx makes one unless told otherwise: an index, with a manifest for unknown/unknown."""
    engine = service.engine
    if not engine.keeps_indexes():
        lacking("this store keeps no index, and so no attestation")
    plain = service.build()
    tag = f"{service.project.image('backend')}:attested"
    (service.folder / "attested").mkdir()
    (service.folder / "attested" / "Dockerfile").write_text(f"FROM {plain.tags[0]}\n")
    words = ["buildx", "build", "--quiet", "--provenance=mode=max", "--tag", tag]
    engine.call(*words, service.folder / "attested", timeout=1200)
    try:
        config = engine.image_config(tag) or {}
        assert (
            "index" in engine.call("image", "inspect", "--format={{json .Descriptor}}", tag).stdout
        )
        assert config["Layers"] == (engine.image_config(plain.id) or {})["Layers"]
        with archive.saved(engine, config["Id"]) as saved:
            assert [layer.identity for layer in saved.layers] == config["Layers"]
        attested = build.Image("backend", config["Id"], (tag,))
        options = smoke.Options(smoke.select(["image", "identity"]))
        assert failed(smoked(service.workspace, [attested], options)) == set()
    finally:
        engine.call("image", "rm", "--force", tag, check=False)


def test_the_size_is_that_of_the_plain_layers(service: Service) -> None:
    """Twice the same 2,000,000 bytes, which gzip brings to next to nothing."""
    image = service.build()
    (service.folder / "big").mkdir()
    (service.folder / "big" / "Dockerfile").write_text(
        f"FROM {image.tags[0]}\nUSER 0:0\nRUN head -c 2000000 /dev/zero >/a\nRUN head -c 2000000 /dev/zero >/b\n"
    )
    tag = f"{service.project.image('backend')}:big"
    built = builder.build(
        service.engine, service.folder / "big", tags=[tag], arguments={}, labels={}, on_step=print
    )
    try:
        config = service.engine.image_config(built.image)
        before = service.engine.image_config(image.id)
        assert config
        assert before
        sizes = LayerSizes(service.folder)
        above = sizes.total(service.engine, config) - sizes.total(service.engine, before)
        # Each layer: a header and an end of archive beside the file, and what the mounts leave.
        assert 4_000_000 < above < 4_100_000
        with archive.saved(service.engine, built.image) as saved:
            measured = saved.measure()
            total = sum(measured[layer.identity] for layer in saved.layers)
        assert total == sizes.total(service.engine, config)
        assert LayerSizes(service.folder).total(service.engine, config) == total
    finally:
        service.engine.call("image", "rm", "--force", "--no-prune", tag, check=False)
