"""The steps of a release that leave papers: provenance, signatures, and the forge's release."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from taskflow_containers.machine.errors import TaskflowError
from taskflow_containers.machine.process import masked
from taskflow_containers.release import cosign, forge, provenance
from taskflow_containers.release.provenance import canonical
from taskflow_containers.release.registry import ImageRepository
from taskflow_containers.release.state import WrittenFile
from taskflow_containers.release.step import OpenRelease, Step, sha256
from taskflow_containers.report import sbom_file


class Attest(Step):
    """Where the images come from (SLSA provenance), and signatures where cosign can make them.

    Signed are the SBOM, the provenance and last the image itself, so that whoever finds an image
    signed finds the rest, too. What a run before did is looked for first and not done twice.
    """

    id = "attest"
    public = True

    def describe(self) -> tuple[str, str]:
        if why := cosign.missing():
            return "write provenance and SBOM hashes", f"not signed: {why}"
        return "write provenance, attest it and the SBOM, sign by digest", "signed by cosign"

    def do(self) -> None:
        release, state = self.release, self.state
        boms = {
            name: {part: path for part in image.parts
                   if (path := release.folder / sbom_file(name, part)).is_file()}
            for name, image in state.images.items()
        }  # fmt: skip
        contents = {
            name: {part: canonical(json.loads(path.read_text())) for part, path in own.items()}
            for name, own in boms.items()
        }
        statement = provenance.statement(state, contents)
        path = release.file("provenance.intoto.json", json.dumps(statement, indent=2) + "\n")
        state.provenance = WrittenFile(file=path.name, sha256=sha256(path.read_bytes()))
        if why := cosign.missing():
            release.say(f"not signed: {why}")
            return
        origin = release.file("predicate.json", json.dumps(statement["predicate"]))
        with tempfile.TemporaryDirectory(prefix="taskflow-") as folder:
            signer = self._signer(Path(folder))
            for name, image in state.images.items():
                plain_http = ImageRepository(image.repository).plain_http
                there = cosign.Image(image.repository, image.digest, plain_http)
                for part, bom in boms[name].items():
                    self._attest(there, signer, provenance.SBOM, bom, part)
                self._attest(there, signer, provenance.PROVENANCE, origin)
                self._once(
                    there,
                    cosign.SIGNATURE,
                    ["sign"],
                    partial(there.signed, signer) if signer else None,
                )
                if there.reference not in state.signed:
                    state.signed.append(there.reference)

    def undo(self) -> list[str]:
        return [f"in the registry, signed: {line}" for line in self.state.attested]

    def _signer(self, folder: Path) -> cosign.Trust | None:
        """Whose signatures this run makes, to find those there are; None where only the CI knows."""
        product = self.plan.product
        if os.environ.get(cosign.KEY_VARIABLE):
            return cosign.Trust(str(cosign.public_key(folder)), log=product.transparency_log)
        if product.identity:
            return cosign.Trust(identity=product.identity, issuer=product.issuer)
        return None

    def _attest(
        self, there: cosign.Image, signer: cosign.Trust | None, kind: str, predicate: Path,
        part: str = "",
    ) -> None:  # fmt: skip
        content = canonical(json.loads(predicate.read_text("utf-8")))

        def look() -> None:
            assert signer
            if content not in map(canonical, there.attested(kind, signer)):
                raise cosign.Unproven("it has another content", "sign it anew")

        words = ["attest", "--type", kind, "--predicate", str(predicate)]
        self._once(there, kind, words, look if signer else None, part)

    def _once(
        self, there: cosign.Image, kind: str, words: list[str], look: Callable[[], None] | None,
        part: str = "",
    ) -> None:  # fmt: skip
        """Let cosign write one statement unless the journal or the registry has it already."""
        line = f"{kind} of {there.reference}" + f" ({part})" * bool(part)
        if line in self.state.attested:
            return
        try:
            if look is None:
                raise cosign.Unproven("nobody knows by whom", "sign it anew")
            look()
        except TaskflowError:
            there.sign(words, log=self.plan.product.transparency_log)
        self.state.attested.append(line)
        self.release.journal.write()


class Announce(Step):
    """The release at GitHub or GitLab, with the notes."""

    id = "announce"
    public = True

    def __init__(self, release: OpenRelease, where: forge.Forge) -> None:
        super().__init__(release)
        self.where = where

    def describe(self) -> tuple[str, str]:
        return f"release at {self.where.name} with the notes", "a token is there"

    def do(self) -> None:
        notes = (self.release.folder / "notes.md").read_text("utf-8")
        latest, stable = "latest" in self.plan.tags, self.release.version.stable
        publish = partial(self.where.publish, self.plan.tag, notes, latest=latest, stable=stable)
        self.state.announced = masked(self.patiently(publish))

    def undo(self) -> list[str]:
        with suppress(TaskflowError):
            if not self.where.url_of(self.plan.tag):
                return []
        return [f"the release {self.plan.tag} at {self.where.name}"]
