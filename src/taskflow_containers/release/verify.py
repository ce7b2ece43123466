"""`invoke verify`: whether an image in a registry is what a release signed, stated and tested."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from taskflow_containers.contract.container import LABEL_PREFIX
from taskflow_containers.machine.errors import EnvironmentTrouble, InputError, Refused
from taskflow_containers.machine.process import Say
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.model import Project
from taskflow_containers.project.signature import Signature
from taskflow_containers.release import cosign, provenance
from taskflow_containers.release.cosign import Trust
from taskflow_containers.release.registry import ImageRepository
from taskflow_containers.report.result import Result, Verdict, judge, skip

_GATE = "smoke"  # the command whose verdict an image must have


def trust(root: Path, stated: Signature, options: argparse.Namespace) -> Trust:
    """Whose signature counts: what the options say, or else taskflow.toml.

    Raises:
        InputError: neither says so, or not in full.
    """
    given = [options.key, options.identity, options.issuer]
    key, identity, issuer = given if any(given) else [stated.key, stated.identity, stated.issuer]
    if bool(key) == bool(identity) or bool(identity) != bool(issuer):
        raise InputError(
            "whose signature is asked for? Neither the options nor taskflow.toml say it in full",
            f"--key FILE, or --identity and --issuer; or the same in [signature] of {FILE_NAME}",
        )
    if key and "://" not in key:
        if not (root / key).is_file():
            raise InputError(f"there is no public key {key}", "name the file that cosign made")
        key = str(root / key)
    log = options.transparency_log and (stated.transparency_log or any(given))
    if identity and not log:
        raise InputError(
            "a CI's identity is proven by the transparency log alone",
            "leave --no-transparency-log out, or ask for a key's signature",
        )
    return Trust(key, identity, issuer, log)


def verify(project: Project, name: str, signer: Trust, note: Say) -> list[Result]:
    """The checks of one image, by its digest: a tag is looked up once, and said.

    Raises:
        InputError: this is no image's name.
        Refused: there is no such image.
        EnvironmentTrouble: the registry or cosign does not do its part.
    """
    if why := cosign.absent():
        raise EnvironmentTrouble(*why.split("; ", 1))
    repository, reference = _parts(name)
    there = ImageRepository(repository)
    digest = there.digest(reference)
    if not digest:
        raise Refused(f"{name} is not in its registry", "see the tags that it has there")
    note(f"{name} is {repository}@{digest}")
    note(f"asked for is a signature by {signer}")
    image = cosign.Image(repository, digest, there.plain_http)
    return _Checks(there, image, signer).all(_container(project, repository))


def _parts(name: str) -> tuple[str, str]:
    """Repository, and tag or digest."""
    repository, _, digest = name.partition("@")
    above, slash, last = repository.rpartition("/")
    last, _, tag = last.partition(":")
    if not last or not slash or (not digest and not tag) or any(map(str.isspace, name)):
        raise InputError(
            f"{name!r} names no image of a registry", "write ghcr.io/acme/shop-backend:1.2.0"
        )
    return f"{above}/{last}", digest or tag


def _container(project: Project, repository: str) -> str:
    names = [name for name in project.containers if project.image(name) == repository]
    return names[0] if names else ""


class _Checks:
    """What is checked of one image; the later checks stand on what its provenance says."""

    def __init__(self, there: ImageRepository, image: cosign.Image, signer: Trust) -> None:
        self.there, self.image, self.signer = there, image, signer
        self.predicate: dict[str, Any] = {}
        self.own: dict[str, Any] = {}  # what the provenance says of this very image

    def all(self, container: str) -> list[Result]:
        """One result each."""
        results = []
        for id, title, check in (
            ("signature", "the image is signed", self._signature),
            ("provenance", "its provenance is signed", self._provenance),
            ("sbom", "its SBOM is signed, and the one that the release made", self._sbom),
            ("labels", "its labels say what the provenance says", self._labels),
            ("judged", "it is the image that the tests judged", self._judged),
        ):
            id = f"verify.{id}"
            if id in {"verify.sbom", "verify.labels", "verify.judged"} and not self.own:
                why = "it is compared with a provenance, and there is none that counts"
                results.append(skip(id, title, why, container=container))
                continue
            measured, fix = "", ""
            try:
                measured = check()
            except Refused as error:
                measured, fix = error.message, error.hint
            except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
                measured = f"the provenance is not as `invoke release` writes it ({error!r})"
                fix = "see who signed it, and with what: cosign verify-attestation"
            results.append(
                judge(id, title, not fix, container=container, measured=measured, fix=fix)
            )
        return results

    def _signature(self) -> str:
        self.image.signed(self.signer)
        return f"by {self.signer}"

    def _provenance(self) -> str:
        found = [
            one
            for one in self.image.attested(provenance.PROVENANCE, self.signer)
            if one["buildDefinition"]["buildType"] == provenance.BUILD_TYPE
        ]
        if not found:
            raise Refused(
                f"the provenance of {self.image.reference} is another tool's",
                "`invoke release` writes one that says what was tested",
            )
        self.predicate = max(found, key=lambda one: one["runDetails"]["metadata"]["finishedOn"])
        images = list(self._parameters["images"].values())
        # A mirror of a registry has other names for the same digests.
        own = [image for image in images if image["digest"] == self.image.digest]
        if not own:
            raise Refused(
                f"the provenance of {self.image.reference} is about other images: "
                f"{', '.join(image['digest'] for image in images)}",
                "it was attached to this one by hand: trust it in nothing",
            )
        self.own = own[0]
        built = self.predicate["runDetails"]["builder"]["id"]
        return f"built by {built}; SLSA Build level {self._parameters['slsaBuildLevel']}"

    @property
    def _parameters(self) -> dict[str, Any]:
        return dict(self.predicate["buildDefinition"]["internalParameters"])

    def _sbom(self) -> str:
        found = self.image.attested(provenance.SBOM, self.signer)
        stated = self.own.get("platforms") or {"": self.own}
        there = {*map(provenance.canonical, found)}
        if missing := [part for part, one in stated.items() if one["sbom"] not in there]:
            which = f"{self.image.reference} for {', '.join(missing)}".removesuffix(" for ")
            raise Refused(
                f"the SBOM of {which} is signed, and is not the one that the release "
                "made of it", "somebody with the key signed another one: release the image anew",
            )  # fmt: skip
        said = f"{max(len(bom.get('components', ())) for bom in found)} components"
        return said + f", one for each of {', '.join(stated)}" * ("" not in stated)

    def _labels(self) -> str:
        build = self.predicate["buildDefinition"]
        source = build["externalParameters"]["source"].removeprefix("git+").rpartition("@")[0]
        wanted = {
            "version": build["externalParameters"]["version"],
            "revision": build["resolvedDependencies"][0]["digest"]["gitCommit"],
            "source": source or "unknown",  # as the build labels a project that states none
        }
        for manifest in self._platforms.values():
            config = self.there.blob(manifest["config"]["digest"])
            labels = (config.get("config") or {}).get("Labels") or {}
            for key, value in wanted.items():
                says = labels.get(f"{LABEL_PREFIX}{key}", "")
                if says != value:
                    raise Refused(
                        f"the label {key} says {says or 'nothing'}, the provenance {value}",
                        "the provenance was made for another build: release the image anew",
                    )
        return f"{wanted['version']} of {wanted['revision'][:12]}"

    @property
    def _platforms(self) -> dict[str, dict[str, Any]]:
        """The manifests behind the digest by their platforms; an image alone has the one stated."""
        held = self.there.manifest(self.image.digest)
        if "manifests" not in held:
            return {self.own["platform"]: held}
        return {
            "/".join(
                filter(None, map(of.get, ("os", "architecture", "variant")))
            ): self.there.manifest(part["digest"])
            for part in held["manifests"]
            # BuildKit gives its attestations a platform that no machine has.
            if (of := part.get("platform") or {}).get("os") != "unknown"
        }

    def _judged(self) -> str:
        self.there.require(self.own["id"], self.image.digest)
        verdicts = self._parameters["verdicts"]
        if failed := [name for name, one in verdicts.items() if one["verdict"] != Verdict.PASSED]:
            raise Refused(f"{', '.join(failed)} had not passed", "do not run it: release it anew")
        smoke = verdicts[_GATE]
        said = [f"{_GATE} passed {smoke['passed']} checks on {self.own['platform']}"]
        said += [f"{len(smoke[kind])} {kind}" for kind in ("skipped", "waived") if smoke[kind]]
        others = self._platforms.keys() - {self.own["platform"]}
        said += [f"not judged: {', '.join(sorted(others))}"] if others else []
        return ", ".join(said)
