"""What two SBOMs, CycloneDX or SPDX, differ in: packages that came, went, or changed their version."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from taskflow_containers.machine.errors import InputError

Packages = dict[str, set[str]]  # "npm lodash" → its versions


def read(path: Path) -> Packages:
    """The packages of an SBOM.

    Raises:
        InputError: it cannot be read, or is neither CycloneDX nor SPDX, both as JSON.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("bomFormat") == "CycloneDX":
            found = [*_cyclonedx(document)]
        elif str(document.get("spdxVersion")).startswith("SPDX-2"):
            found = [*_spdx(document)]
        else:
            raise ValueError("neither CycloneDX nor SPDX 2")
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is no SBOM that can be read: {error}",
            "name a .cdx.json or .spdx.json, as `nox -s scan` writes them to reports/",
        ) from None
    packages: Packages = {}
    for name, version in found:
        packages.setdefault(name, set()).add(version)
    return packages


def _cyclonedx(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for one in document.get("components") or ():
        if purl := one.get("purl"):
            yield _named(purl, one.get("version"))
        elif one.get("type") == "operating-system":
            yield one["name"], str(one.get("version") or "")


def _spdx(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for one in document.get("packages") or ():
        references = one.get("externalRefs") or ()
        purls = [r["referenceLocator"] for r in references if r["referenceType"] == "purl"]
        if one.get("primaryPackagePurpose") == "OPERATING-SYSTEM":
            yield one["name"], str(one.get("versionInfo") or "")
        elif purls and one.get("primaryPackagePurpose") != "CONTAINER":
            yield _named(purls[0], one.get("versionInfo"))


def _named(purl: str, version: object) -> tuple[str, str]:
    """Kind and name, and the version, of a package URL: pkg:KIND/NAMESPACE/NAME@VERSION?MORE#PATH."""
    match = re.match(r"pkg:([^/]+)/(.+?)(?:@([^?#@]*))?(?:[?#].*)?$", purl)
    if not match:
        raise ValueError(f"{purl} is no package URL")
    return f"{match[1]} {unquote(match[2])}", unquote(match[3] or "") or str(version or "")


def difference(old: Packages, new: Packages) -> Iterator[str]:
    """A line for each package that differs, by what became of it."""
    added, removed = sorted(new.keys() - old.keys()), sorted(old.keys() - new.keys())
    changed = sorted(name for name in old.keys() & new.keys() if old[name] != new[name])
    for heading, names in (("added", added), ("removed", removed), ("changed", changed)):
        yield f"{heading}: {len(names)}"
        for name in names:
            versions = [_versions(side[name]) for side in (old, new) if name in side]
            yield f"  {name} {' → '.join(versions)}"
    yield f"unchanged: {len(old.keys() & new.keys()) - len(changed)}"


def _versions(found: set[str]) -> str:
    return ", ".join(sorted(found))
