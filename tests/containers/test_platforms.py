"""An image of two platforms: each is built and scanned, and who judged which of them is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow_containers.checks import build, lint
from taskflow_containers.checks.scan import scan
from taskflow_containers.engine.archive import saved
from tests.containers.conftest import Service, failed, replace
from tests.containers.test_scan import vulnerabilities  # noqa: F401
from tests.platforms import OTHER, of_two_platforms

pytestmark = pytest.mark.engine
# Only where the platform is the other one: a package with a flaw that has a fix.
PLANTED = (
    'RUN mkdir data\nARG TARGETARCH\nRUN [ "$TARGETARCH" != s390x ] || { mkdir -p lib/mended-1.0.dist-info'
    " && printf 'Metadata-Version: 2.1\\nName: mended\\nVersion: 1.0\\n' > lib/mended-1.0.dist-info/METADATA; }"
)


@pytest.fixture
def service_of_two(service: Service, tmp_path: Path) -> Iterator[Service]:
    """The service, for this engine's platform and another one."""
    with of_two_platforms(service.engine, tmp_path) as text:
        with (service.folder / "taskflow.toml").open("a") as file:
            file.write(text)
        yield service


@pytest.mark.usefixtures("vulnerabilities")
def test_each_platform_is_built_and_scanned(
    service_of_two: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, own = service_of_two, service_of_two.engine.platform
    replace("Dockerfile", "RUN mkdir data", PLANTED)(service.folder)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    image = service.build()
    assert failed(image.results) == set()
    made = next(result for result in image.results if result.id == "build.image")
    assert f"{own}, " in made.measured and f"{OTHER}, " in made.measured
    sizes = {result.title for result in image.results if result.id == "build.size"}
    assert sizes == {f"size above the base image ({one})" for one in (own, OTHER)}
    # What is alike is told once, in lint as well.
    checks = build.check_built(service.workspace, "backend", image.id)
    assert [result.measured for result in checks if "platform" in result.id] == [own, OTHER]
    assert len([result for result in checks if result.id == "contract.image.user"]) == 1
    linted = lint._built(service.folder, service.project, ["backend"], "")
    assert linted == checks
    # A fault of one platform fails, and says of which.
    reports = service.folder / "reports"
    results = scan(service.workspace, [image], reports, offline=False)
    (flawed,) = (result for result in results if result.failed)
    assert (flawed.id, flawed.title.rpartition(" ")[2]) == ("scan.vulnerabilities", f"({OTHER})")
    boms = {}
    for platform in (own, OTHER):
        file = f"sbom-backend-{platform.replace('/', '-')}.cdx.json"
        components = json.loads((reports / file).read_text())["components"]
        boms[platform] = {component["name"] for component in components}
    assert boms[OTHER] - boms[own] == {"mended"}
    # Built again from nothing, the index has the same digest.
    again = build.build(service.workspace, ["backend"], no_cache=True)[0]
    assert again.id == image.id
    # smoke looks at the one that runs, and says so.
    for platform in (own, OTHER):
        with saved(service.engine, image.id, platform) as part:
            assert f"{part.config['os']}/{part.config['architecture']}" == platform
    done = subprocess.run(
        [sys.executable, "-m", "taskflow_containers", "smoke", "--only", "image", "--image",
         image.tags[0]], cwd=service.folder, text=True, capture_output=True, check=False,
        env={**os.environ, "COLUMNS": "300"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert f"judged for {own}, which this engine runs; not judged: {OTHER}" in done.stdout
