"""`invoke verify` on what a release left in a real registry, and on all that others do to it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.engine.client import Engine
from taskflow_containers.release import cosign
from taskflow_containers.release.provenance import PROVENANCE, SBOM
from taskflow_containers.release.registry import ImageRepository
from tests.release.conftest import Shop, free_port

pytestmark = pytest.mark.engine
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CHECKS = ["signature", "provenance", "sbom", "labels", "judged"]


class Registered:
    """One image of the released shop, and what is beside it in the registry."""

    def __init__(self, shop: Shop, name: str) -> None:
        image = shop.journal["images"][name]
        self.repository, self.digest = image["repository"], image["digest"]
        self.there = ImageRepository(self.repository)
        self.tag = self.digest.replace(":", "-")

    def put(self, reference: str, document: dict[str, Any], kind: str) -> dict[str, Any]:
        """Put a manifest there; its descriptor."""
        body = json.dumps(document).encode()
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        answer = self.there._ask(
            "PUT", f"manifests/{reference or digest}", body, {"Content-Type": kind}
        )
        assert answer.status == 201
        return {"mediaType": kind, "digest": digest, "size": len(body)}

    def blob(self, content: bytes) -> dict[str, Any]:
        """Put a blob there; its descriptor."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        begun = self.there._ask("POST", "blobs/uploads/", b"")
        where = begun.headers["location"]
        where += ("&" if "?" in where else "?") + f"digest={digest}"
        kind = {"Content-Type": "application/octet-stream"}
        assert self.there._ask("PUT", where, content, kind).status == 201
        return {"digest": digest, "size": len(content)}

    def bundles(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """The manifests beside it, and the bundle in each."""
        index = self.there.manifest(self.tag)
        found = [self.there.manifest(one["digest"]) for one in index["manifests"]]
        return [(one, self.there.blob(one["layers"][0]["digest"])) for one in found]

    def take(self, other: Registered) -> None:
        """Put what is beside another image beside this one in place of its own."""
        self.blob(b"{}")
        taken = []
        for manifest, bundle in other.bundles():
            manifest["layers"][0] |= self.blob(json.dumps(bundle).encode())
            taken.append(manifest)
        self.attach(taken)

    def attach(self, manifests: list[dict[str, Any]]) -> None:
        """Make these all that is beside it."""
        listed = [self.put("", {**one, "subject": self.subject}, MANIFEST) for one in manifests]
        self.put(self.tag, {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}, INDEX)

    @property
    def subject(self) -> dict[str, Any]:
        """The descriptor of the image itself."""
        answer = self.there._manifest(self.digest)
        assert answer
        return {"mediaType": answer.headers["content-type"], "digest": self.digest,
                "size": len(answer.body)}  # fmt: skip

    def sign(self, signing: dict[str, str], kind: str, predicate: object, folder: Path) -> None:
        """Attest something by hand, in place of what there is of that kind."""
        self.attach([one for one, _ in self.bundles()
                     if one["annotations"]["dev.sigstore.bundle.predicateType"] != kind])  # fmt: skip
        config, file = folder / "config.json", folder / "predicate.json"
        file.write_text(json.dumps(predicate))
        none = [f"--no-default-{service}" for service in ("fulcio", "oidc", "rekor", "tsa")]
        for words in (
            f"signing-config create {' '.join(none)} --out {config}",
            f"attest --yes --signing-config {config} --allow-http-registry --type {kind} "
            f"--predicate {file} {self.repository}@{self.digest}",
        ):
            subprocess.run(["cosign", *words.split()], env={**os.environ, **signing}, check=True,
                           capture_output=True)  # fmt: skip


@pytest.fixture(scope="module")
def released(
    tested: Shop, engine: Engine, signing: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Shop:
    """A release that is finished and signed."""
    tested.registry.wipe()
    for image in tested.journal["images"].values():
        engine.call("image", "rm", "--no-prune", f"{image['repository']}:1.3.0", check=False)
    shop = tested.copy(tmp_path_factory.mktemp("released"))
    done = shop.invoke("--resume", "--yes", **signing)
    assert done.returncode == 0, done.stderr
    return shop


@pytest.fixture
def orders(released: Shop) -> Iterator[Registered]:
    """An image whose company is put right again afterwards."""
    found = Registered(released, "orders")
    before = [manifest for manifest, _ in found.bundles()]
    yield found
    found.attach(before)


Verify = Callable[..., tuple[int, dict[str, str], str]]


@pytest.fixture
def verify(released: Shop, signing: dict[str, str]) -> Verify:
    """Verify an image: exit code, status of each check, and all that was said."""

    def ask(image: str, *words: str) -> tuple[int, dict[str, str], str]:
        key = signing["COSIGN_KEY"].removesuffix("key") + "pub"
        words = words or ("--key", key, "--no-transparency-log")
        done = released.python("-m", "taskflow_containers", "verify", image, *words)
        assert "Traceback" not in done.stdout + done.stderr
        report = json.loads((released.folder / "reports" / "verify.json").read_text())
        statuses = {one["id"].removeprefix("verify."): one["status"] for one in report["results"]}
        said = [one["measured"] + one["detail"] for one in report["results"]]
        return done.returncode, statuses, "\n".join([*report["notes"], *said, done.stderr])

    return ask


def predicate_of(image: Registered, kind: str) -> dict[str, Any]:
    """What is stated of an image."""
    for _, bundle in image.bundles():
        statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
        if statement["predicateType"] == kind:
            return dict(statement["predicate"])
    raise AssertionError(kind)


def test_what_was_released_holds(released: Shop, orders: Registered, verify: Verify) -> None:
    code, statuses, said = verify(f"{orders.repository}:1.3.0")
    assert (code, statuses) == (0, dict.fromkeys(CHECKS, "passed")), said
    assert f"{orders.repository}:1.3.0 is {orders.repository}@{orders.digest}" in said
    assert "SLSA Build level 1" in said
    assert re.search(r"smoke passed \d+ checks on linux/", said)
    assert f"1.3.0 of {released.journal['commit'][:12]}" in said
    assert verify(f"{orders.repository}@{orders.digest}")[0] == 0


def test_invoke_takes_the_image_as_its_word(
    released: Shop, orders: Registered, signing: dict[str, str]
) -> None:
    key = signing["COSIGN_KEY"].removesuffix("key") + "pub"
    done = released.python("-m", "invoke", "verify", f"{orders.repository}:1.3.0", "--key", key,
                           "--no-transparency-log")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "signed" in done.stdout


def test_another_key(orders: Registered, verify: Verify, tmp_path: Path) -> None:
    subprocess.run(["cosign", "generate-key-pair"], cwd=tmp_path, check=True, capture_output=True,
                   env={**os.environ, "COSIGN_PASSWORD": ""})  # fmt: skip
    words = ("--key", str(tmp_path / "cosign.pub"), "--no-transparency-log")
    code, statuses, said = verify(f"{orders.repository}:1.3.0", *words)
    assert code == 1
    assert statuses == dict.fromkeys(CHECKS[:2], "failed") | dict.fromkeys(CHECKS[2:], "skipped")
    assert "has a signature, and not by the key" in said


def test_nothing_is_signed(
    orders: Registered, verify: Verify, engine: Engine, tiny: Callable[[], str]
) -> None:
    orders.there.push(engine, tiny(), "unsigned")
    code, statuses, said = verify(f"{orders.repository}:unsigned")
    assert (code, statuses["signature"]) == (1, "failed")
    assert "has no signature: nothing signed is beside it" in said


def test_only_statements_are_signed(orders: Registered, verify: Verify) -> None:
    """For cosign any signed statement is a signature; for a release it is not."""
    orders.attach([one for one, _ in orders.bundles()
                   if one["annotations"]["dev.sigstore.bundle.predicateType"] in {SBOM, PROVENANCE}])  # fmt: skip
    code, statuses, said = verify(f"{orders.repository}:1.3.0")
    assert (code, statuses) == (1, dict.fromkeys(CHECKS, "passed") | {"signature": "failed"})
    assert "and no signature" in said


def test_the_attestations_of_another_image(
    released: Shop, orders: Registered, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the environment asks cosign to look less closely."""
    monkeypatch.setenv("COSIGN_CHECK_CLAIMS", "false")
    orders.take(Registered(released, "stock"))
    code, statuses, said = verify(f"{orders.repository}:1.3.0")
    assert (code, statuses["signature"], statuses["provenance"]) == (1, "failed", "failed")
    assert "has a signature that is about another image" in said


def test_a_changed_sbom(orders: Registered, verify: Verify) -> None:
    found = []
    for manifest, bundle in orders.bundles():
        envelope = bundle["dsseEnvelope"]
        statement = json.loads(base64.b64decode(envelope["payload"]))
        if statement["predicateType"] == SBOM:
            statement["predicate"]["components"] = []
            envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
            manifest["layers"][0] |= orders.blob(json.dumps(bundle).encode())
        found.append(manifest)
    orders.attach(found)
    code, statuses, said = verify(f"{orders.repository}:1.3.0")
    assert (code, statuses) == (1, dict.fromkeys(CHECKS, "passed") | {"sbom": "failed"})
    assert f"has no attestation {SBOM} that the key" in said


def test_another_sbom_by_the_right_key(
    orders: Registered, verify: Verify, signing: dict[str, str], tmp_path: Path
) -> None:
    orders.sign(signing, SBOM, predicate_of(orders, SBOM) | {"components": []}, tmp_path)
    code, statuses, said = verify(f"{orders.repository}:1.3.0")
    assert (code, statuses) == (1, dict.fromkeys(CHECKS, "passed") | {"sbom": "failed"})
    assert "is signed, and is not the one that the release made" in said


def _label(predicate: dict[str, Any]) -> None:
    predicate["buildDefinition"]["externalParameters"]["version"] = "9.9.9"


def _image(predicate: dict[str, Any]) -> None:
    for image in predicate["buildDefinition"]["internalParameters"]["images"].values():
        image["id"] = f"sha256:{'0' * 64}"


def _verdict(predicate: dict[str, Any]) -> None:
    predicate["buildDefinition"]["internalParameters"]["verdicts"]["smoke"]["verdict"] = "failed"


def _untested(predicate: dict[str, Any]) -> None:
    del predicate["buildDefinition"]["internalParameters"]["verdicts"]["smoke"]


@pytest.mark.parametrize(
    ("change", "fails", "words"),
    [
        (_label, "labels", "the label version says 1.3.0, the provenance 9.9.9"),
        (_image, "judged", "is not the image tested"),
        (_verdict, "judged", "smoke had not passed"),
        (_untested, "judged", "not as `invoke release` writes it"),
    ],
)
def test_a_provenance_that_says_something_else(
    change: Callable[[dict[str, Any]], None], fails: str, words: str, orders: Registered,
    verify: Verify, signing: dict[str, str], tmp_path: Path,
) -> None:  # fmt: skip
    predicate = predicate_of(orders, PROVENANCE)
    change(predicate)
    orders.sign(signing, PROVENANCE, predicate, tmp_path)
    code, statuses, said = verify(f"{orders.repository}:1.3.0")
    assert (code, statuses) == (1, dict.fromkeys(CHECKS, "passed") | {fails: "failed"}), said
    assert words in said


def test_the_provenance_of_another_tool(
    orders: Registered, verify: Verify, signing: dict[str, str], tmp_path: Path
) -> None:
    predicate = predicate_of(orders, PROVENANCE)
    predicate["buildDefinition"]["buildType"] = "https://actions.github.io/buildtypes/workflow/v1"
    orders.sign(signing, PROVENANCE, predicate, tmp_path)
    code, statuses, said = verify(f"{orders.repository}:1.3.0")
    assert (code, statuses["provenance"], statuses["judged"]) == (1, "failed", "skipped")
    assert "is another tool's" in said


# A certificate as Fulcio makes them: an identity, and who vouched for it.
AUTHORITY = """\
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[leaf]
keyUsage = critical, digitalSignature
extendedKeyUsage = codeSigning
subjectAltName = critical, URI:https://git.example/acme/shop/release.yml
1.3.6.1.4.1.57264.1.8 = ASN1:UTF8String:https://issuer.example
"""


class _OwnAuthority(cosign.Trust):
    """An identity that an authority of ours certified, in place of Sigstore's with its logs."""

    def words(self) -> list[str]:
        own = ["--insecure-ignore-tlog=true", "--insecure-ignore-sct=true"]
        return [*super().words(), *own, "--trusted-root", "root.json"]


def test_a_ci_identity(
    orders: Registered, signing: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed with a certificate: by that identity, and by no other, and by no key."""
    monkeypatch.chdir(tmp_path)
    Path("ca.conf").write_text(AUTHORITY)
    orders.attach([])
    reference = f"{orders.repository}@{orders.digest}"
    none = " ".join(f"--no-default-{service}" for service in ("fulcio", "oidc", "rekor", "tsa"))
    for command in (
        "openssl ecparam -name prime256v1 -genkey -noout -out ca.key",
        "openssl req -x509 -new -key ca.key -config ca.conf -extensions root -subj /CN=root -out ca.pem",
        "openssl ecparam -name prime256v1 -genkey -noout -out leaf.key",
        "openssl req -new -key leaf.key -config ca.conf -subj /O=test -out leaf.csr",
        "openssl x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile ca.conf "
        "-extensions leaf -out leaf.pem",
        "cosign import-key-pair --key leaf.key",
        "cosign trusted-root create --fulcio=url=https://ca.example,certificate-chain=ca.pem --out root.json",
        f"cosign signing-config create {none} --out config.json",
        "cosign sign --yes --key import-cosign.key --certificate leaf.pem --certificate-chain ca.pem "
        f"--signing-config config.json --allow-http-registry {reference}",
    ):
        env = {**os.environ, "COSIGN_PASSWORD": ""}
        subprocess.run(command.split(), env=env, check=True, capture_output=True)
    image = cosign.Image(orders.repository, orders.digest, plain_http=True)
    workflow, issuer = "https://git.example/acme/shop/release.yml", "https://issuer.example"
    image.signed(_OwnAuthority(identity=workflow, issuer=issuer))
    for identity, vouches in ((f"{workflow}x", issuer), (workflow, f"{issuer}x")):
        with pytest.raises(cosign.Unproven, match="has a signature, and not by"):
            image.signed(_OwnAuthority(identity=identity, issuer=vouches))
    key = cosign.Trust(signing["COSIGN_KEY"].removesuffix("key") + "pub", log=False)
    with pytest.raises(cosign.Unproven, match="has a signature, and not by the key"):
        image.signed(key)


def test_a_registry_that_does_not_answer(verify: Verify) -> None:
    host = f"localhost:{free_port()}"
    code, statuses, said = verify(f"{host}/acme/shop-orders:1.3.0")
    assert (code, statuses) == (4, {"run": "failed"})
    assert f"{host} cannot be reached" in said


@pytest.mark.parametrize(
    ("image", "code", "words"),
    [("REPOSITORY:7.7.7", 1, "is not in its registry"),
     ("shop", 2, "names no image of a registry"),
     ("REPOSITORY", 2, "names no image of a registry"),
     ("REPOSITORY:a b", 2, "names no image of a registry")],
)  # fmt: skip
def test_an_image_that_is_none(
    image: str, code: int, words: str, orders: Registered, verify: Verify
) -> None:
    found, _, said = verify(image.replace("REPOSITORY", orders.repository))
    assert found == code
    assert words in said


def test_without_cosign(orders: Registered, released: Shop, tmp_path: Path) -> None:
    (tmp_path / "k").touch()
    done = released.python("-m", "taskflow_containers", "verify", f"{orders.repository}:1.3.0",
                           "--key", str(tmp_path / "k"), PATH="/nowhere")  # fmt: skip
    assert done.returncode == 4
    assert "cosign is not installed" in done.stderr
