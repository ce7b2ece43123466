"""Every scan catches what it is for; what cannot be scanned is said, never passed over."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from taskflow_containers.checks import scan
from taskflow_containers.engine.client import substitutes
from taskflow_containers.report.result import Result, Status
from tests.conftest import BASES, further, some_of
from tests.containers.conftest import Edit, Service, failed, replace

pytestmark = pytest.mark.engine

# Assembled here, so that this file holds no secret that a scanner would find.
AWS_KEY = "AKIA" + "IOSFODNN7" + "REALKEY"
PRIVATE_KEY = "\n".join(
    ["-----BEGIN RSA PRIVATE " + "KEY-----", *["MIIEpAIBAAKCAQEA" + "q7B" * 16] * 6,
     "-----END RSA PRIVATE " + "KEY-----"]
)  # fmt: skip


def write(file: str, text: str) -> Edit:
    """An edit that adds a file."""

    def edit(folder: Path) -> None:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text(text, encoding="utf-8")

    return edit


class Fault(NamedTuple):
    """What is done to the service, and a part of what the scan says of it."""

    edits: list[Edit]
    words: str


COPYLEFT = "Metadata-Version: 2.1\\nName: copyleft\\nVersion: 1.0\\nLicense: AGPL-3.0-only\\n"
FAULTS = {
    "misconfiguration": Fault(
        # A stage that nothing is built from: only the text says so.
        [replace("Dockerfile", "FROM ${BASE_IMAGE}", "FROM ${BASE_IMAGE} AS other\nRUN apt-get install git\nFROM ${BASE_IMAGE}")],
        "DS-0029 backend/Dockerfile:",
    ),
    "secrets": Fault(
        [write("settings.ini", f"aws_access_key_id = {AWS_KEY}\n")],
        "settings.ini:1",
    ),
    # Neither in the sources nor in the Dockerfile: whole only in the layer.
    "image-secrets": Fault(
        [replace("Dockerfile", "RUN mkdir data", f"RUN printf AKIA%s {AWS_KEY[4:]} >a.ini && mkdir data")],
        "a.ini:1",
    ),
    # The Dockerfile's text does not say who that is.
    "image-misconfiguration": Fault(
        [replace("Dockerfile", "USER 1001:1001", "ARG ME=root\nUSER $ME")],
        "should not be 'root'",
    ),
    "licences": Fault(
        [replace("Dockerfile", "RUN mkdir data", "RUN mkdir -p data lib/copyleft-1.0.dist-info"
                 f" && printf '{COPYLEFT}' >lib/copyleft-1.0.dist-info/METADATA")],
        "AGPL-3.0-only copyleft",
    ),
    # No package manager put anything there.
    "sbom": Fault(
        [replace("Dockerfile", "FROM ${BASE_IMAGE}", "FROM scratch"),
         replace("Dockerfile", "RUN chown 1001:1001 /app/data && mkdir public && echo x > public/robots.txt \\\n"
                 "    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +\n", "")],
        "0 components",
    ),
}  # fmt: skip


def run(service: Service, *, offline: bool = True) -> list[Result]:
    image = service.build()
    assert image.usable, image.results
    return scan.scan(service.workspace, [image], service.folder / "reports", offline=offline)


def by_id(results: list[Result], id: str) -> Result:
    (found,) = (result for result in results if result.id == id)
    return found


@pytest.mark.each_engine
def test_a_service_in_order_passes_and_says_what_offline_left_out(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRIVY_CACHE_DIR", str(tmp_path / "empty"))
    (service.folder / "reports").mkdir()
    (service.folder / "reports" / "sbom-gone.cdx.json").write_text("of an earlier run")
    results = run(service)
    assert failed(results) == set()
    # Each has a fault that it finds: in the table or below, and the last two in test_packages.py.
    assert {result.id for result in results} == {
        *(f"scan.{check}" for check in FAULTS),
        "scan.vulnerabilities",
        "scan.database",
        "scan.lock-files",
        "scan.installed",
        "scan.unscanned",
    }
    vulnerabilities = by_id(results, "scan.vulnerabilities")
    assert vulnerabilities.status is Status.SKIPPED
    assert "--offline" in vulnerabilities.detail
    sbom = json.loads((service.folder / "reports" / "sbom-backend.cdx.json").read_text())
    assert sbom["bomFormat"] == "CycloneDX"
    assert len(sbom["components"]) > 10
    spdx = json.loads((service.folder / "reports" / "sbom-backend.spdx.json").read_text())
    assert spdx["spdxVersion"].startswith("SPDX-2")
    assert len(spdx["packages"]) >= len(sbom["components"])
    assert len(list((service.folder / "reports").iterdir())) == 2


@pytest.mark.parametrize("check", FAULTS)
def test_a_fault_is_found(check: str, service: Service) -> None:
    fault = FAULTS[check]
    for edit in fault.edits:
        edit(service.folder)
    results = run(service)
    assert failed(results) == {f"scan.{check}"}
    result = by_id(results, f"scan.{check}")
    assert fault.words in result.measured + result.detail
    assert result.expected and result.fix


@pytest.mark.thorough
def test_a_root_image_is_a_misconfiguration_in_both_places(service: Service) -> None:
    replace("Dockerfile", "USER 1001:1001\n", "")(service.folder)
    found = failed(run(service))
    assert found == {"scan.misconfiguration", "scan.image-misconfiguration"}


def test_a_secret_in_a_layer_is_found(service: Service) -> None:
    (service.sources / "key.py").write_text(PRIVATE_KEY + "\n")
    replace("Dockerfile", "healthcheck.py ./", "healthcheck.py key.py ./")(service.folder)
    results = run(service)
    assert "scan.image-secrets" in failed(results)
    assert "key.py" in by_id(results, "scan.image-secrets").detail


# What ENV says, and what finds it in the Dockerfile and in the image.
BY_VALUE = {"scan.secrets", "scan.image-secrets"}
BY_NAME = {"scan.misconfiguration", "scan.image-misconfiguration"}
IN_ENVIRONMENT = {
    f"AWS_ACCESS_KEY_ID={AWS_KEY}": BY_VALUE | BY_NAME,
    "CACHE=redis://:zebra@cache:6379": BY_VALUE,
    "ADMIN_PASSWORD=zebra": BY_NAME,
    # Next.js writes it into the pages that everybody gets.
    "NEXT_PUBLIC_MAPBOX_TOKEN=pk.abc": set(),
}


@pytest.mark.parametrize("variable", some_of(IN_ENVIRONMENT, "ADMIN_PASSWORD=zebra"))
def test_a_secret_in_the_environment_is_found_and_not_repeated(
    service: Service, variable: str
) -> None:
    replace("Dockerfile", "ENV PYTHONPATH", f"ENV {variable} PYTHONPATH")(service.folder)
    results = run(service)
    assert failed(results) == IN_ENVIRONMENT[variable]
    assert not [r.id for r in results if variable.partition("=")[2] in f"{r.measured}{r.detail}"]


def test_a_forbidden_licence_can_be_accepted(service: Service) -> None:
    for edit in FAULTS["licences"].edits:
        edit(service.folder)
    with (service.folder / "taskflow.toml").open("a") as model:
        model.write('\n[scan.licences.accepted]\n"AGPL-3.0-only" = "only used in this test"\n')
    assert failed(run(service)) == set()


def test_without_its_database_the_vulnerability_scan_fails(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRIVY_DB_REPOSITORY", "localhost:1/nowhere:2")
    monkeypatch.setenv("TRIVY_CACHE_DIR", str(tmp_path / "cache"))
    results = run(service, offline=False)
    assert failed(results) == {"scan.vulnerabilities", "scan.database"}
    result = by_id(results, "scan.vulnerabilities")
    assert result.findings == ()
    assert "localhost:1" in by_id(results, "scan.database").measured
    assert "--offline" in result.fix


@pytest.fixture
def vulnerabilities(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A database that knows three packages."""
    database = Path(__file__).parent / "vulnerabilities" / "db"
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "db").mkdir()
    (tmp_path / "cache/db/trivy.db").write_bytes((database / "trivy.db").read_bytes())
    made_before(tmp_path, days=0)
    monkeypatch.setenv("TRIVY_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TRIVY_SKIP_DB_UPDATE", "true")


def made_before(folder: Path, *, days: int) -> None:
    """Write when the database in this folder's cache was made."""
    made = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    metadata = {"Version": 2, "UpdatedAt": made, "DownloadedAt": made, "NextUpdate": made}
    (folder / "cache/db/metadata.json").write_text(json.dumps(metadata))


def installing(folder: str, *names: str) -> str:
    """Instructions that put version 1.0 of these packages there."""
    return "".join(
        f"RUN mkdir -p {folder}/{name}-1.0.dist-info"
        f" && printf 'Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\nLicense: MIT\\n'"
        f" > {folder}/{name}-1.0.dist-info/METADATA\n"
        for name in names
    )


@pytest.mark.usefixtures("vulnerabilities")
@pytest.mark.parametrize(
    ("days", "most", "fails"),
    [
        further(7, "", False),
        (9, "", True),
        further(9, "database-days = 9", False),
    ],
)
def test_an_old_database_is_no_pass(
    days: int, most: str, fails: bool, service: Service, tmp_path: Path
) -> None:
    made_before(tmp_path, days=days)
    with (service.folder / "taskflow.toml").open("a") as model:
        model.write(f"\n[scan]\n{most}\n")
    results = run(service, offline=False)
    assert failed(results) == ({"scan.database"} if fails else set())
    assert by_id(results, "scan.database").measured.startswith(f"{days} days, of 2")


@pytest.mark.usefixtures("vulnerabilities")
def test_a_database_that_cannot_be_read_is_no_pass(service: Service, tmp_path: Path) -> None:
    (tmp_path / "cache/db/trivy.db").write_bytes(b"half of it")
    for offline in (False, True):
        assert failed(run(service, offline=offline)) == {"scan.vulnerabilities"}


@pytest.mark.usefixtures("vulnerabilities")
def test_what_a_vex_document_excuses_is_told_and_fails_nothing(service: Service) -> None:
    packages = installing("lib", "mended")
    replace("Dockerfile", "RUN mkdir data", f"{packages}RUN mkdir data")(service.folder)
    statement = {
        "vulnerability": {"name": "CVE-2026-1001"}, "status": "not_affected",
        "products": [{"@id": "pkg:pypi/mended@1.0"}], "justification": "vulnerable_code_not_present",
    }  # fmt: skip
    document = {
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.com/1", "version": 1,
        "author": "us", "timestamp": "2026-11-01T00:00:00Z", "statements": [statement],
    }  # fmt: skip
    (service.folder / "ours.json").write_text(json.dumps(document))
    with (service.folder / "taskflow.toml").open("a") as model:
        model.write('\n[scan]\nvex = ["ours.json"]\n')
    notes: list[str] = []
    image = service.build()
    workspace = dataclasses.replace(service.workspace, note=notes.append)
    results = scan.scan(workspace, [image], service.folder / "reports", offline=True)
    assert failed(results) == set()
    assert by_id(results, "scan.vulnerabilities").status is Status.PASSED
    words = "CVE-2026-1001 mended: not_affected, vulnerable_code_not_present (ours.json)"
    assert notes == [f"not counted in backend, by a VEX document: {words}"]


@pytest.mark.usefixtures("vulnerabilities")
@pytest.mark.parametrize("offline", [further(False), True])
def test_a_vulnerable_package_is_found(offline: bool, service: Service) -> None:
    packages = installing("lib", "mended", "unmended", "harmless")
    replace("Dockerfile", "RUN mkdir data", f"{packages}RUN mkdir data")(service.folder)
    results = run(service, offline=offline)
    assert failed(results) == {"scan.vulnerabilities"}
    result = by_id(results, "scan.vulnerabilities")
    assert result.measured == "1 with a fix, 1 without"
    assert result.findings and result.findings[0].startswith("CVE-2026-1001 mended ")
    assert "1.0, fixed in 2.0" in result.detail


@pytest.mark.usefixtures("vulnerabilities")
def test_what_the_base_has_to_install_with_is_told_and_refused_to_nobody(
    service: Service, tmp_path: Path
) -> None:
    base = f"{service.project.name}-base:1"
    (tmp_path / "base").mkdir()
    (tmp_path / "base/Dockerfile").write_text(
        f"FROM {substitutes().get(BASES[0], BASES[0])}\n{installing('/usr/lib/tools', 'mended')}"
    )
    service.engine.call("build", "--tag", base, str(tmp_path / "base"))
    for file in ("taskflow.toml", "Dockerfile"):
        replace(file, "python:3.13-slim", base)(service.folder)
    result = by_id(run(service, offline=False), "scan.vulnerabilities")
    service.engine.call("image", "rm", "--no-prune", base)
    assert result.status is Status.PASSED
    assert result.measured == "0 with a fix, 0 without; 1 in the base image's own tools"
    assert "in the base image: " in result.detail and "CVE-2026-1001" in result.detail


def test_a_comment_hides_nothing(service: Service) -> None:
    replace(
        "Dockerfile",
        "ENV PYTHONPATH",
        "# trivy:ignore:DS-0031\nENV ADMIN_PASSWORD=zebra PYTHONPATH",
    )(service.folder)
    result = by_id(run(service), "scan.misconfiguration")
    assert result.failed
    assert [line.partition(":")[0] for line in result.findings or ()] == [
        "inline-ignore backend/Dockerfile"
    ]


@pytest.mark.parametrize("name", some_of(["test_key.py", "notes.md"], "notes.md"))
def test_a_secret_is_one_wherever_it_is(service: Service, name: str) -> None:
    """By itself trivy leaves tests and Markdown out."""
    for file in ("key.py", name):
        (service.sources / file).write_text(PRIVATE_KEY + "\n")
    replace("Dockerfile", "RUN chown", f"COPY key.py /app/{name}\nRUN chown")(service.folder)
    results = run(service)
    assert name in by_id(results, "scan.secrets").detail
    assert name in by_id(results, "scan.image-secrets").detail


def test_a_secret_that_a_later_layer_deletes_is_still_found(service: Service) -> None:
    (service.sources / "key.py").write_text(PRIVATE_KEY + "\n")
    replace("Dockerfile", "RUN chown", "COPY key.py ./\nRUN rm key.py && chown")(service.folder)
    assert "key.py" in by_id(run(service), "scan.image-secrets").detail
