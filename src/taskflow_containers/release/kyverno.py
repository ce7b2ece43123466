"""The policy by which Kyverno admits released images only: signed, attested and tested."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from taskflow_containers.machine.errors import InputError
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.model import Project
from taskflow_containers.release.cosign import Trust
from taskflow_containers.release.provenance import PROVENANCE, SBOM

_HEAD = """\
# Pods run images of {images} only where they are signed by
# {signer}.
# Needs Kyverno 1.19 for a key (1.13 for an identity) and a registry with the OCI referrers API.
"""


def policy(project: Project, signer: Trust) -> str:
    """A ClusterPolicy in YAML; raises InputError for a project that pushes nowhere."""
    if not project.registry:
        raise InputError(f"{FILE_NAME} names no registry", 'registry = "ghcr.io/acme"')
    images = [f"{project.image(name)}{end}*" for name in project.containers for end in ":@"]
    attestors = [{"entries": [_entry(signer)]}]
    verdict = "{{ buildDefinition.internalParameters.verdicts.smoke.verdict }}"
    tested = {"key": verdict, "operator": "Equals", "value": "passed"}
    rule = {
        "name": "signed-attested-and-tested",
        "match": {"any": [{"resources": {"kinds": ["Pod"]}}]},
        "verifyImages": [
            {
                "type": "SigstoreBundle",
                "failureAction": "Enforce",
                "imageReferences": images,
                "mutateDigest": True,
                "verifyDigest": True,
                "required": True,
                "attestors": attestors,
                "attestations": [
                    {"type": SBOM, "attestors": attestors},
                    {"type": PROVENANCE, "attestors": attestors,
                     "conditions": [{"all": [tested]}]},
                ],
            }
        ],
    }  # fmt: skip
    document = {
        "apiVersion": "kyverno.io/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": f"{project.name}-images"},
        "spec": {
            "background": False,
            "webhookConfiguration": {"failurePolicy": "Fail", "timeoutSeconds": 30},
            "rules": [rule],
        },
    }
    head = _HEAD.format(images=f"{project.registry}/{project.name}-…", signer=signer)
    return head + yaml.dump(document, Dumper=_Plain, sort_keys=False, width=1000)


class _Plain(yaml.SafeDumper):
    """Writes a list again where it is used again, and text of several lines as a block."""

    def ignore_aliases(self, _: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Plain.add_representer(str, _text)


def _entry(signer: Trust) -> dict[str, Any]:
    if signer.identity:
        rekor = {"url": "https://rekor.sigstore.dev"}
        return {"keyless": {"subject": signer.identity, "issuer": signer.issuer, "rekor": rekor}}
    file = Path(signer.key)
    key = {"kms": signer.key} if "://" in signer.key else {"publicKeys": file.read_text("utf-8")}
    # A key has no certificate, so that none is in a log of certificates (SCT).
    log = {"rekor": {"ignoreTlog": not signer.log}, "ctlog": {"ignoreSCT": not signer.log}}
    return {"keys": key | log}
