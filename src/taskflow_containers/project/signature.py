"""The table of taskflow.toml that says whose signature a released image carries."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import model_validator

from taskflow_containers.project.entry import Entry
from taskflow_containers.project.values import matching

_Word = Annotated[str, matching(r"\S*", "one word without blanks")]


class Signature(Entry):
    """Whose signature `invoke verify` and the admission policy ask for: a key's, or a CI identity's."""

    key: _Word = ""
    """The public key: a file of the project, or as cosign takes it (awskms://…)."""
    identity: _Word = ""
    """What the CI's certificates state: the URL of the workflow, with its ref."""
    issuer: _Word = ""
    """Who vouches for the identity, such as https://token.actions.githubusercontent.com."""
    transparency_log: bool = True
    """Whether signatures are in Sigstore's public log; switched off, signing asks no service."""

    @model_validator(mode="after")
    def _one_signer(self) -> Self:
        if bool(self.identity) != bool(self.issuer) or (self.key and self.identity):
            raise ValueError("must name a key, or an identity and its issuer")
        if self.identity and not self.transparency_log:
            raise ValueError(
                "must keep the transparency log for an identity: only the log proves that its "
                "certificate, which lasts for minutes, was valid when it signed"
            )
        return self
