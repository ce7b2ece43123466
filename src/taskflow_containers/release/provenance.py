"""What a release states of its images' origin: a SLSA provenance (v1) in an in-toto statement (v1).

Source: https://slsa.dev/spec/v1.1/provenance. The level that it claims is the honest one: the steps
that build are also those that write and sign this, so nothing outside of them vouches for its fields.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any

from taskflow_containers.release import forge
from taskflow_containers.release.state import State

SBOM, PROVENANCE = "https://cyclonedx.org/bom", "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:taskflow-containers:release:1"
MACHINE = "urn:taskflow-containers:developer-machine"


def builder() -> str:
    """What builds here, as a SLSA builder's ID: the CI's kind of runner, or a person's machine."""
    env = os.environ
    if "GITHUB_RUN_ID" in env:
        kind = env.get("RUNNER_ENVIRONMENT") or "self-hosted"
        return f"https://github.com/actions/runner/{kind}"
    if "CI_JOB_URL" in env:
        return f"{env.get('CI_PROJECT_URL')}/-/runners/{env.get('CI_RUNNER_ID')}"
    return MACHINE


def canonical(data: object) -> str:
    """The SHA-256 of JSON data, however its text was laid out: cosign sorts keys and writes 1.0 as 1."""
    text = json.dumps(_plain(data), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(data: object) -> object:
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_plain(value) for value in data]
    return int(data) if isinstance(data, float) and data.is_integer() else data


def statement(state: State, contents: dict[str, dict[str, str]]) -> dict[str, Any]:
    """The statement about all images of a release; the same words each time that it is asked for.

    `contents` is the canonical hash of each container's SBOM, by platform ("" for an image of one):
    what is attested is the data, not the bytes of a file.
    """
    plan, run = state.plan, forge.run_url()
    source = f"git+{plan.product.source}@refs/tags/{plan.tag}"
    images: dict[str, dict[str, Any]] = {
        name: {"repository": image.repository, "digest": image.digest, "id": image.id,
               "platform": image.platform,
               "sbom": contents.get(name, {}).get(image.platform if image.platforms else "", ""),
               "refusedTags": image.refused}
        for name, image in state.images.items()
    }  # fmt: skip
    for name, image in state.images.items():
        if image.platforms:
            images[name]["platforms"] = {
                part: {"digest": digest, "sbom": contents.get(name, {}).get(part, "")}
                for part, digest in image.platforms.items()
            }
    built = state.builder or builder()
    gate = state.steps.get("gate")
    metadata = {"startedOn": state.started, "finishedOn": gate.done if gate else ""}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": image.repository, "digest": dict([image.digest.split(":", 1)])}
            for image in state.images.values()
        ],
        "predicateType": PROVENANCE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"source": source, "version": plan.version},
                "internalParameters": {
                    "images": images,
                    "verdicts": {name: one.model_dump() for name, one in state.verdicts.items()},
                    "sbom": state.sbom,
                    "slsaBuildLevel": 1,
                    "isolation": "none between the build, its tests and what writes this statement"
                    + ("; the machine is a person's own" if built == MACHINE else ""),
                },
                "resolvedDependencies": [{"uri": source, "digest": {"gitCommit": state.commit}}],
            },
            "runDetails": {
                "builder": {"id": built, "version": {"taskflow-containers": str(state.tool)}},
                "metadata": metadata | ({"invocationId": run} if run else {}),
            },
        },
    }  # fmt: skip
