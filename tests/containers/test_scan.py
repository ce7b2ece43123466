"""Every scan catches what it is for; what cannot be scanned is said, never passed over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from automation import scan
from automation.results import Result, Status
from tests.containers.conftest import Service, failed, replace

pytestmark = pytest.mark.engine

# Assembled here, so that this file holds no secret that a scanner would find.
AWS_KEY = "AKIA" + "IOSFODNN7" + "REALKEY"
PRIVATE_KEY = "\n".join(
    ["-----BEGIN RSA PRIVATE " + "KEY-----", *["MIIEpAIBAAKCAQEA" + "q7B" * 16] * 6,
     "-----END RSA PRIVATE " + "KEY-----"]
)  # fmt: skip


def run(service: Service, *, offline: bool = True) -> list[Result]:
    image = service.build()
    assert image.usable, image.results
    return scan.scan(
        service.folder, service.project, service.engine, [image], service.folder / "reports",
        offline=offline,
    )  # fmt: skip


def by_id(results: list[Result], id: str) -> Result:
    (found,) = (result for result in results if result.id == id)
    return found


def test_a_service_in_order_passes_and_says_what_offline_left_out(
    service_on_each: Service,
) -> None:
    service = service_on_each
    results = run(service)
    assert failed(results) == set()
    vulnerabilities = by_id(results, "scan.vulnerabilities")
    assert vulnerabilities.status is Status.SKIPPED
    assert "--offline" in vulnerabilities.detail
    sbom = json.loads((service.folder / "reports" / "sbom-backend.cdx.json").read_text())
    assert sbom["bomFormat"] == "CycloneDX"
    assert len(sbom["components"]) > 10


def test_a_root_image_is_a_misconfiguration(service: Service) -> None:
    replace("Dockerfile", "USER 1001:1001\n", "")(service.folder)
    results = run(service)
    assert "scan.misconfiguration" in failed(results)
    assert "Dockerfile" in by_id(results, "scan.misconfiguration").detail


def test_a_secret_in_the_sources_is_found(service: Service) -> None:
    (service.folder / "settings.ini").write_text(f"aws_access_key_id = {AWS_KEY}\n")
    results = run(service)
    assert failed(results) == {"scan.secrets"}
    assert "settings.ini:1" in by_id(results, "scan.secrets").detail


def test_a_secret_in_a_layer_is_found(service: Service) -> None:
    (service.folder / "key.py").write_text(PRIVATE_KEY + "\n")
    replace("Dockerfile", "healthcheck.py ./", "healthcheck.py key.py ./")(service.folder)
    results = run(service)
    assert "scan.image-secrets" in failed(results)
    assert "key.py" in by_id(results, "scan.image-secrets").detail


def test_a_secret_in_the_environment_is_found(service: Service) -> None:
    replace("Dockerfile", "ENV PYTHONPATH", f"ENV AWS_ACCESS_KEY_ID={AWS_KEY} PYTHONPATH")(
        service.folder
    )
    assert "scan.image-secrets" in failed(run(service))


def test_a_forbidden_licence_is_found_and_can_be_accepted(service: Service) -> None:
    metadata = "Metadata-Version: 2.1\\nName: copyleft\\nVersion: 1.0\\nLicense: AGPL-3.0-only\\n"
    replace(
        "Dockerfile",
        "RUN mkdir data",
        "RUN mkdir -p data lib/copyleft-1.0.dist-info"
        f" && printf '{metadata}' > lib/copyleft-1.0.dist-info/METADATA",
    )(service.folder)
    results = run(service)
    assert failed(results) == {"scan.licences"}
    assert "copyleft: AGPL-3.0-only" in by_id(results, "scan.licences").detail
    with (service.folder / "taskflow.toml").open("a") as model:
        model.write('\n[scan.licences.accepted]\n"AGPL-3.0-only" = "only used in this test"\n')
    assert failed(run(service)) == set()


def test_without_its_database_the_vulnerability_scan_fails(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRIVY_DB_REPOSITORY", "localhost:1/nowhere:2")
    monkeypatch.setenv("TRIVY_CACHE_DIR", str(tmp_path / "cache"))
    results = run(service, offline=False)
    assert failed(results) == {"scan.vulnerabilities"}
    result = by_id(results, "scan.vulnerabilities")
    assert "database cannot be had" in result.measured
    assert "--offline" in result.fix


def test_a_vulnerable_package_is_found(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    database = Path(__file__).parent / "vulnerabilities" / "db"
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "db").mkdir()
    for name in ("trivy.db", "metadata.json"):
        (tmp_path / "cache" / "db" / name).write_bytes((database / name).read_bytes())
    monkeypatch.setenv("TRIVY_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TRIVY_SKIP_DB_UPDATE", "true")
    for name, version in (("mended", "1.0"), ("unmended", "1.0"), ("harmless", "1.0")):
        metadata = f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\nLicense: MIT\\n"
        replace(
            "Dockerfile",
            "RUN mkdir data",
            f"RUN mkdir -p lib/{name}-{version}.dist-info && printf '{metadata}'"
            f" > lib/{name}-{version}.dist-info/METADATA\nRUN mkdir data",
        )(service.folder)
    results = run(service, offline=False)
    assert failed(results) == {"scan.vulnerabilities"}
    result = by_id(results, "scan.vulnerabilities")
    assert result.measured == "1 with a fix, 1 without"
    assert "CVE-2026-1001 mended 1.0, fixed in 2.0" in result.detail


def test_a_root_image_is_a_misconfiguration_of_the_image_too(service: Service) -> None:
    replace("Dockerfile", "USER 1001:1001", "USER 0:0")(service.folder)
    assert "scan.image-misconfiguration" in failed(run(service))


def test_a_secret_that_a_later_layer_deletes_is_still_found(service: Service) -> None:
    (service.folder / "key.py").write_text(PRIVATE_KEY + "\n")
    replace("Dockerfile", "RUN chown", "COPY key.py ./\nRUN rm key.py && chown")(service.folder)
    assert "key.py" in by_id(run(service), "scan.image-secrets").detail
