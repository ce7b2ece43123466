"""cosign 3: signs images and statements about them as bundles beside the image, and verifies those."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskflow_containers.machine.errors import EnvironmentTrouble, Refused
from taskflow_containers.machine.process import Completed, last_line, masked, run

KEY_VARIABLE = "COSIGN_KEY"
# What a CI gives a job that may ask for a certificate of its own (GitHub, GitLab).
IDENTITY_VARIABLES = {"ACTIONS_ID_TOKEN_REQUEST_URL", "SIGSTORE_ID_TOKEN"}
SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
OLDEST = 3  # major version: earlier ones write tags that immutable repositories refuse to move
INSTALL = "https://docs.sigstore.dev/cosign/system_config/installation says how to install cosign 3"
_COSIGN = re.compile("COSIGN_")
# What says how a registry is reached, and which Sigstore a company has.
_REACHES = re.compile(r"COSIGN_(TRUSTED_ROOT|REPOSITORY|PASSWORD|(REGISTRY|ALLOW|K8S|PKCS11)_\w+)$")
_SERVICES = ("fulcio", "oidc", "rekor", "tsa")
# What cosign says of a bundle by another key, by another identity, by a key in an identity's place,
# and by an identity in a key's.
_ANOTHER_SIGNER = re.compile(
    "signatures do not match|no matching CertificateIdentity"
    "|outside of public key validity window|expected key signature, not certificate"
)


class Unproven(Refused):
    """There is no such statement that counts; the message says why."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signature counts: a public key's, or that of an identity which an issuer vouches for.

    `log` says that the signature must be in Sigstore's public transparency log.
    """

    key: str = ""
    identity: str = ""
    issuer: str = ""
    log: bool = True

    def words(self) -> list[str]:
        """As cosign takes it."""
        words = ["--key", self.key] if self.key else []
        if self.identity:
            words += ["--certificate-identity", self.identity]
            words += ["--certificate-oidc-issuer", self.issuer]
        return words + ["--insecure-ignore-tlog=true"] * (not self.log)

    def __str__(self) -> str:
        return f"the key {self.key}" if self.key else f"{self.identity} ({self.issuer})"


def missing() -> str:
    """Why this machine signs nothing; empty where cosign 3 is there, with a key or a CI's identity."""
    if not (os.environ.get(KEY_VARIABLE) or IDENTITY_VARIABLES & os.environ.keys()):
        return f"neither {KEY_VARIABLE} nor a CI identity (id-token) is there"
    return absent()


def absent() -> str:
    """Why cosign cannot be used here; empty where it can.

    A build without a version number is taken for a current one.
    """
    program = shutil.which("cosign")
    if not program:
        return f"cosign is not installed; {INSTALL}"
    done = run([program, "version", "--json"], timeout=60)
    found = re.search(r'"gitVersion":\s*"v?(\d+)(\.[^"]*)', done.stdout)
    if found and int(found[1]) < OLDEST:
        return f"cosign is {found[1]}{found[2]}; {INSTALL}"
    return f"cosign cannot be run: {last_line(done.stderr)}" if done.returncode else ""


@dataclass(frozen=True, slots=True)
class Image:
    """An image by its digest, as cosign reaches it."""

    repository: str
    digest: str
    plain_http: bool = False

    @property
    def reference(self) -> str:
        """What cosign takes."""
        return f"{self.repository}@{self.digest}"

    def signed(self, trust: Trust) -> None:
        """Require a signature of this very digest.

        cosign takes any signed statement about an image for its signature; here it has to be one.

        Raises:
            Unproven: there is none that counts.
        """
        done = self._verify("verify", trust)
        self._require(done, "signature", trust)
        if SIGNATURE not in {one["critical"]["type"] for one in json.loads(done.stdout)}:
            raise Unproven(
                f"{self.reference} has statements by {trust}, and no signature",
                "sign it: cosign sign",
            )

    def attested(self, kind: str, trust: Trust) -> list[Any]:
        """The predicates of one type that are signed, and about this very digest.

        Raises:
            Unproven: there is none that counts.
        """
        done = self._verify("verify-attestation", trust, "--type", kind)
        self._require(done, f"attestation {kind}", trust)
        statements = [
            json.loads(b64decode(json.loads(line)["payload"])) for line in done.stdout.splitlines()
        ]
        return [statement["predicate"] for statement in statements]

    def sign(self, words: Sequence[str | Path], *, log: bool) -> None:
        """`cosign sign` or `cosign attest`, with the key or the identity of the environment.

        Raises:
            EnvironmentTrouble: cosign failed; what it did before stands.
        """
        with tempfile.TemporaryDirectory(prefix="taskflow-") as folder:
            if not log:
                config = Path(folder, "signing-config.json")
                none = [f"--no-default-{service}" for service in _SERVICES]
                run(["cosign", "signing-config", "create", *none, "--out", config], timeout=60)
                words = [*words, "--signing-config", config]
            done = run(["cosign", *words, "--yes", *self._where, self.reference], timeout=600)
        if done.returncode:
            raise EnvironmentTrouble(
                f"cosign {words[0]} failed: {_said(done)}",
                f"mend that, or go on unsigned by unsetting {KEY_VARIABLE}",
            )

    def _verify(self, command: str, trust: Trust, *more: str) -> Completed:
        # cosign reads every option from the environment too: none of those may decide.
        deciding = [name for name in os.environ if _COSIGN.match(name) and not _REACHES.match(name)]
        words = ["cosign", command, *trust.words(), *more, *self._where, self.reference]
        return run(words, env=dict.fromkeys(deciding), timeout=600)

    @property
    def _where(self) -> list[str]:
        return ["--allow-http-registry"] if self.plain_http else []

    def _require(self, done: Completed, what: str, trust: Trust) -> None:
        """Raises what cosign's refusal means; its words are all that it gives."""
        if done.returncode == 0:
            return
        said, name = done.stderr, f"{self.reference}"
        if re.search(r"no signatures found|no matching attestations: *$", said, re.MULTILINE):
            raise Unproven(f"{name} has no {what}: nothing signed is beside it",
                           "was it released without cosign, or copied without what is beside it?")  # fmt: skip
        if found := re.search(r"matched the predicate type: [^,]*, found: (\S*)", said):
            raise Unproven(
                f"{name} has no {what} that {trust} signed (but {found[1] or 'nothing'}): it was "
                "changed, made by somebody else, or never made", "release the image anew",
            )  # fmt: skip
        if _ANOTHER_SIGNER.search(said):
            raise Unproven(f"{name} has a {what}, and not by {trust}",
                           "is that the right key or identity? Else somebody else signed it")  # fmt: skip
        if "does not match any digest in statement" in said:
            raise Unproven(
                f"{name} has a {what} that is about another image", "trust it in nothing"
            )
        raise EnvironmentTrouble(f"cosign could not look for the {what} of {name}: {_said(done)}",
                                 "the registry must answer, and Sigstore's services unless "
                                 "--no-transparency-log is right here")  # fmt: skip


def signer() -> str:
    """What signs here, or why nothing does; raises EnvironmentTrouble for a key that cannot be read."""
    if why := missing():
        return f"not signed: {why}"
    if not os.environ.get(KEY_VARIABLE):
        return "a CI identity"
    with tempfile.TemporaryDirectory(prefix="taskflow-") as folder:
        public_key(Path(folder))
    return f"the key of {KEY_VARIABLE}"


def public_key(folder: Path) -> Path:
    """The public half of the key that signs, in a file of that folder; raises EnvironmentTrouble."""
    place = folder / "cosign.pub"
    key = os.environ[KEY_VARIABLE]
    done = run(["cosign", "public-key", "--key", key, "--outfile", place], timeout=120)
    if done.returncode:
        raise EnvironmentTrouble(
            f"cosign does not read the key of {KEY_VARIABLE}: {_said(done)}",
            "COSIGN_PASSWORD must be set, if only to nothing; or go on unsigned by unsetting it",
        )
    return place


def _said(done: Completed) -> str:
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    return masked((errors or [last_line(done.stderr)])[0].removeprefix("Error: ")[:300])
