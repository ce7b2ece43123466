"""The tables of taskflow.toml that say what the scan gate fails on, and by what database."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from taskflow_containers.project import values
from taskflow_containers.project.entry import Entry, Origin

# They ask for no more than a notice, or for the changed files of the package itself (MPL).
_ALLOWED = (
    "0BSD", "Apache-2.0", "Artistic-2.0", "BlueOak-1.0.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0",
    "CC-BY-3.0", "CC-BY-4.0", "CC0-1.0", "CNRI-Python", "HPND", "ICU", "ISC", "MIT", "MIT-0", "MIT-CMU",
    "MPL-2.0", "NCSA", "OFL-1.1", "PostgreSQL", "PSF-2.0", "Python-2.0", "Unicode-3.0",
    "Unicode-DFS-2016", "Unlicense", "UPL-1.0", "X11", "Zlib", "ZPL-2.1",
)  # fmt: skip


class Licences(Entry):
    """What the packages of an image may be under; OR and AND of an SPDX expression are understood."""

    allowed: tuple[values.LicenceId, ...] = _ALLOWED
    """Names none of which needs a reason. A list of your own takes the place of the whole default."""
    accepted: dict[values.LicenceId, values.Reason] = Field(default_factory=dict)
    """Others, each with its reason: SPDX ID = reason."""


class DatabaseSource(Entry):
    """Where trivy gets its databases; its own variables and the proxy's, where set, go first."""

    repository: values.Image | Literal[""] = ""
    """A mirror of ghcr.io/aquasecurity/trivy-db:2."""
    java_repository: values.Image | Literal[""] = ""
    """A mirror of ghcr.io/aquasecurity/trivy-java-db:1, which only images with .jar files need."""
    username: Origin | None = None
    """Of the mirror; without it Docker's logins count."""
    password: Origin | None = None
    """That user's."""
    proxy: values.Source = ""
    """URL of the proxy on the way there."""


class Scan(Entry):
    """What the scan gate fails on."""

    severities: tuple[Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"], ...] = Field(
        default=("HIGH", "CRITICAL"), min_length=1
    )
    """How bad a vulnerability or misconfiguration is that fails the scan."""
    unfixed: bool = False
    """Whether a vulnerability that no release mends yet fails the scan, too."""
    licences: Licences = Licences()
    database_days: int = Field(default=7, ge=1)
    """How many days old the vulnerability database may be."""
    database: DatabaseSource = DatabaseSource()
    vex: tuple[values.LocalFile, ...] = ()
    """OpenVEX documents: what they say is not affected, or fixed, is listed and fails nothing."""
