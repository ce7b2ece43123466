"""The steps of a release that leave papers: provenance, signatures, and the forge's release."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from functools import partial
from typing import Any

from taskflow_containers.machine.errors import EnvironmentTrouble, TaskflowError
from taskflow_containers.machine.process import last_line, masked, run
from taskflow_containers.release import forge
from taskflow_containers.release.journal import now
from taskflow_containers.release.state import WrittenFile
from taskflow_containers.release.step import OpenRelease, Step, sha256


class Attest(Step):
    """Where the images come from (SLSA provenance), and a signature where cosign can make one."""

    id = "attest"
    public = True

    def describe(self) -> tuple[str, str]:
        what = "write provenance and SBOM hashes"
        if self.cosign:
            return f"{what}, sign by digest", "signed by cosign"
        return what, "not signed: no cosign on PATH with a key or CI identity"

    @property
    def cosign(self) -> list[str]:
        """The program and how it signs: with COSIGN_KEY, or the CI's identity; empty without."""
        program = shutil.which("cosign")
        key = os.environ.get("COSIGN_KEY", "")
        identity = {"ACTIONS_ID_TOKEN_REQUEST_URL", "SIGSTORE_ID_TOKEN"} & os.environ.keys()
        if not program or not (key or identity):
            return []
        return [program, *(["--key", key] if key else [])]

    def do(self) -> None:
        release, statement = self.release, self._statement()
        path = release.file("provenance.intoto.json", json.dumps(statement, indent=2) + "\n")
        signed = []
        for name, image in self.state.images.items() if self.cosign else ():
            program, *key = self.cosign
            sbom = release.folder / f"sbom-{name}.cdx.json"
            predicate = release.file("predicate.json", json.dumps(statement["predicate"]))
            for words in (
                ["sign"],
                ["attest", "--type", "cyclonedx", "--predicate", str(sbom)],
                ["attest", "--type", "slsaprovenance1", "--predicate", str(predicate)],
            ):
                argv = [program, words[0], "--yes", *key, *words[1:], image.reference]
                done = run(argv, timeout=600)
                if done.returncode:
                    raise EnvironmentTrouble(
                        f"cosign {words[0]} failed: {masked(last_line(done.stderr))}", "--resume"
                    )
            signed.append(image.reference)
        self.state.provenance = WrittenFile(file=path.name, sha256=sha256(path.read_bytes()))
        self.state.signed = signed

    def _statement(self) -> dict[str, Any]:
        """An in-toto statement (v1) with a SLSA provenance (v1)."""
        state, plan = self.state, self.plan
        source = f"git+{plan.product.source}@refs/tags/{plan.tag}"
        subjects = [
            {"name": image.repository, "digest": dict([image.digest.split(":", 1)])}
            for image in state.images.values()
        ]
        verdicts = {name: verdict.model_dump() for name, verdict in state.verdicts.items()}
        return {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": subjects,
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {
                "buildDefinition": {
                    "buildType": "https://slsa.dev/container-based-build/v0.1",
                    "externalParameters": {"source": source, "version": plan.version},
                    "internalParameters": {
                        "verdicts": verdicts, "sbom": state.sbom,
                        "imageIds": {name: image.id for name, image in state.images.items()},
                        "platforms": {name: one.platform for name, one in state.images.items()},
                    },
                    "resolvedDependencies": [{"uri": source, "digest": {"gitCommit": state.commit}}],
                },
                "runDetails": {
                    "builder": {"id": forge.run_url() or "https://localhost/invoke-release"},
                    "metadata": {"startedOn": state.started, "finishedOn": now()},
                },
            },
        }  # fmt: skip


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
