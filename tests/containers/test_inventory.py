"""Each way by which a package gets into an image: what is known of it is found, once, and where."""

from __future__ import annotations

import io
import json
import re
import tarfile
import zipfile
from pathlib import Path

import pytest

from taskflow_containers.report.result import Result, Status
from tests.containers.conftest import Service, failed, replace
from tests.containers.test_scan import by_id, run, vulnerabilities  # noqa: F401

pytestmark = pytest.mark.engine

DPKG = (
    r"Package: by-dpkg\nStatus: install ok installed\nMaintainer: nobody\nArchitecture: all\n"
    r"Version: 1.0\nDescription: bad\n\n"
)
BACKEND = """
import shutil

def build_wheel(folder, *_):
    return shutil.copy("by_sdist-1.0-py3-none-any.whl", folder).rpartition("/")[2]
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
# The last stage installs a wheel and an sdist as pip does, and the rest as it lies on a disk.
INSTALL = rf"""
COPY packages/by_* /tmp/packages/
RUN pip install --no-index --no-deps --root-user-action=ignore --target=/app/lib /tmp/packages/by_*
RUN mkdir lib/deleted-1.0.dist-info \
    && printf 'Metadata-Version: 2.1\nName: deleted\nVersion: 1.0\n' > lib/deleted-1.0.dist-info/METADATA \
    && mkdir -p node_modules/is-number \
    && echo '{{"name": "is-number", "version": "7.0.0"}}' > node_modules/is-number/package.json \
    && printf '{DPKG}' >> /var/lib/dpkg/status
RUN rm -r lib/deleted-1.0.dist-info node_modules
COPY packages/ms/package.json node_modules/ms/
COPY packages/sbom.cdx.json node_modules/
"""


def wheel(name: str) -> bytes:
    """A package of one module."""
    about = f"{name}-1.0.dist-info"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        metadata = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n"
        file.writestr(f"{name}.py", "")
        file.writestr(f"{about}/METADATA", metadata)
        file.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{about}/RECORD", "")
    return data.getvalue()


def sdist(path: Path) -> None:
    """A package that is built while it is installed."""
    files = {"by_sdist-1.0-py3-none-any.whl": wheel("by_sdist"), "backend.py": BACKEND.encode()}
    with tarfile.open(path, "w:gz") as tar:
        for name, data in {**files, "pyproject.toml": PYPROJECT.encode()}.items():
            info = tarfile.TarInfo(f"by_sdist-1.0/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def document(*packages: str) -> str:
    """A CycloneDX document of packages of npm, "name@version"."""
    components = [
        {
            "type": "library",
            "name": one.partition("@")[0],
            "version": one.partition("@")[2],
            "purl": f"pkg:npm/{one}",
        }
        for one in packages
    ]
    return json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components})


@pytest.fixture
def planted(service: Service) -> Service:
    """The service with a bad package by each way."""
    packages = service.sources / "packages"
    (packages / "ms").mkdir(parents=True)
    (packages / "by_wheel-1.0-py3-none-any.whl").write_bytes(wheel("by_wheel"))
    sdist(packages / "by_sdist-1.0.tar.gz")
    (packages / "ms/package.json").write_text('{"name": "ms", "version": "2.1.2"}')
    (packages / "sbom.cdx.json").write_text(document("ms@2.1.2", "lodash@4.17.20"))
    (service.sources / "requirements.txt").write_text("by-lock==1.0\nby-wheel==1.0\n")
    (service.sources / "requirements-dev.txt").write_text("by-tests==1.0\nby-wheel==1.0\n")
    with (service.sources / ".dockerignore").open("a") as file:
        file.write("\n!packages\n")
    replace("Dockerfile", "RUN chown", f"{INSTALL}RUN chown")(service.folder)
    return service


def places(result: Result) -> dict[str, set[str]]:
    """Where the packages of the findings are; each is in one."""
    found = {}
    for line in result.findings or ():
        _, name, *where = line.partition(": ")[0].split()
        assert name not in found, line
        found[name] = set(where)
        assert len(where) == len(found[name]), line
    return found


@pytest.mark.usefixtures("vulnerabilities")
def test_each_way_of_getting_in_is_found_once_and_with_its_place(planted: Service) -> None:
    results = run(planted, offline=False)
    assert failed(results) == {"scan.vulnerabilities"}
    result = by_id(results, "scan.vulnerabilities")
    said = re.sub(r"in-layer-\d+", "in-layer-N", "\n".join(result.findings or ()))
    lock, development = "backend/requirements.txt", "backend/requirements-dev.txt"
    assert {line.partition(": ")[0] for line in said.split("\n")} == {
        "CVE-2026-2001 by-dpkg image",
        f"CVE-2026-2002 by-wheel image:/app/lib/by_wheel-1.0.dist-info/METADATA {development} {lock}",
        "CVE-2026-2002 by-sdist image:/app/lib/by_sdist-1.0.dist-info/METADATA",
        "CVE-2026-2002 deleted deleted-in-layer-N:/app/lib/deleted-1.0.dist-info/METADATA",
        "CVE-2026-2002 is-number deleted-in-layer-N:/app/node_modules/is-number/package.json",
        "CVE-2026-2002 ms image:/app/node_modules/ms/package.json image:SBOM",
        "CVE-2026-2002 lodash image:SBOM",
        f"CVE-2026-2002 by-lock {lock}",
    }
    assert len(places(result)) == 8
    assert result.measured == "8 with a fix, 0 without; 1 in what development alone needs"
    assert f"for development alone: CVE-2026-2002 by-tests {development}: HIGH 1.0" in result.detail
    assert by_id(results, "scan.installed").measured == "2 packages"
    assert by_id(results, "scan.lock-files").measured == "2 read"
    sbom = json.loads((planted.folder / "reports/sbom-backend.cdx.json").read_text())
    names = [component["name"] for component in sbom["components"]]
    assert (names.count("ms"), names.count("lodash")) == (1, 1)


def test_a_document_that_no_scanner_understands_is_found(planted: Service) -> None:
    file = planted.sources / "packages/sbom.cdx.json"
    file.write_text(file.read_text().replace("CycloneDX", "Another"))
    result = by_id(run(planted), "scan.installed")
    assert result.status is Status.FAILED
    assert result.findings and "pkg:npm/lodash@4.17.20" in result.findings[-1]
