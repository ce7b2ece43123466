"""Join what trivy finds of a container's packages, each counted once, and judge it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from taskflow_containers.machine.process import last_line
from taskflow_containers.project.scanning import Licences, Scan
from taskflow_containers.report.result import Result, judge, skip

# Neither a name nor an expression, but a text, or where to find one.
_UNNAMED = re.compile(r"text://|see licen[cs]e in |unknown$", re.IGNORECASE)
_SBOM = ":SBOM"


def nothing(gate: set[str]) -> str:
    """What a check of these severities expects to find."""
    order = ["LOW", "MEDIUM", "HIGH", "CRITICAL"]
    return "nothing " + " or ".join(severity for severity in order if severity in gate)


class Use(IntEnum):
    """What a package is there for."""

    DEVELOPMENT = 0  # alone
    TOOL = 1  # the base image installs its own packages by it
    SERVICE = 2


@dataclass(slots=True)
class Package:
    """One version of a package, and each place where it was found.

    `use` is the most that a place gives it; `system` says that it is the distribution's. `flaws`
    are its vulnerabilities: by ID the severity and the version that mends it, which may be empty.
    """

    name: str
    version: str
    system: bool
    places: list[str] = field(default_factory=list)
    licences: list[str] = field(default_factory=list)
    flaws: dict[str, tuple[str, str]] = field(default_factory=dict)
    use: Use = Use.DEVELOPMENT

    def line(self, rule: str, text: str) -> str:
        """A finding about it, "RULE NAME PLACE …: text"."""
        return f"{rule} {self.name} {' '.join(self.places)}: {text}"


Place = Callable[[Mapping[str, Any], Mapping[str, Any]], str]


class Inventory:
    """The packages of a container, by ecosystem, name and version; `base` are its base's layers."""

    def __init__(self, base: set[str]) -> None:
        self.base = base
        self.packages: dict[str, Package] = {}

    def add_image(self, answer: Mapping[str, Any]) -> None:
        """What the image holds, as a container sees it."""
        self._add(answer, lambda target, item: _in_image(target, item, "image"))

    def add_deleted(self, answer: Mapping[str, Any], layer: int) -> None:
        """What the image held before this layer: of it only what is gone, and is not the base's."""
        left = {*self.packages}

        def place(target: Mapping[str, Any], item: Mapping[str, Any]) -> str:
            known = key(item) in left or _layer(item) in self.base
            return "" if known else _in_image(target, item, f"deleted-in-layer-{layer}")

        self._add(answer, place)

    def add_locks(self, answer: Mapping[str, Any]) -> None:
        """What lock files name, their own project excepted."""

        def place(target: Mapping[str, Any], item: Mapping[str, Any]) -> str:
            own = item.get("Relationship") in {"root", "workspace"}
            return "" if own else str(target["Target"])

        self._add(answer, place, locked=True)

    def _add(self, answer: Mapping[str, Any], place: Place, *, locked: bool = False) -> None:
        for target in answer.get("Results") or []:
            system = target.get("Class") == "os-pkgs"
            # What an installation holds comes first: it states its licence, an SBOM repeats it.
            items = target.get("Packages") or []
            for item in sorted(items, key=lambda item: not item.get("FilePath")):
                if not (where := place(target, item)):
                    continue
                new = Package(item["Name"], item.get("Version", ""), system)
                package = self.packages.setdefault(key(item), new)
                package.places = list(dict.fromkeys([*package.places, where]))
                package.licences = package.licences or list(item.get("Licenses") or ())
                package.use = max(package.use, self._use(target, item, locked=locked))
            for flaw in target.get("Vulnerabilities") or []:
                if known := self.packages.get(key(flaw)):
                    mended = flaw.get("FixedVersion") or ""
                    known.flaws[flaw["VulnerabilityID"]] = (flaw["Severity"], mended)

    def _use(self, target: Mapping[str, Any], item: Mapping[str, Any], *, locked: bool) -> Use:
        # Where an image is built from that lock all the same, the image has its packages, too.
        if locked and item.get("Dev"):
            return Use.DEVELOPMENT
        language = target.get("Class") == "lang-pkgs"
        return Use.TOOL if language and _layer(item) in self.base else Use.SERVICE

    def unseen(self, purls: Iterable[str]) -> list[str]:
        """Those that trivy told of no SBOM in the image."""
        told = {
            name
            for name, package in self.packages.items()
            if any(place.endswith(_SBOM) for place in package.places)
        }
        return [purl for purl in purls if _key(purl) not in told]


def key(item: Mapping[str, Any]) -> str:
    """What a package, or a vulnerability of it, is counted by: its package URL without qualifiers."""
    identifier = item.get("PkgIdentifier") or item.get("Identifier") or {}
    name, version = item.get("PkgName") or item.get("Name"), item.get("InstalledVersion")
    return _key(identifier.get("PURL") or f"{name}@{version or item.get('Version')}")


def _key(purl: str) -> str:
    name, at, version = unquote(purl.partition("?")[0]).rpartition("@")
    if name.startswith("pkg:pypi/"):
        name = f"pkg:pypi/{canonicalize_name(name.removeprefix('pkg:pypi/'))}"
    return f"{name}{at}{version}"


def _layer(item: Mapping[str, Any]) -> str:
    return str((item.get("Layer") or {}).get("DiffID", ""))


def _in_image(target: Mapping[str, Any], item: Mapping[str, Any], image: str) -> str:
    if path := item.get("FilePath"):
        return f"{image}:/{path}"
    if target.get("Class") == "os-pkgs":
        return image
    # Without a file of its own it is named by an SBOM, or is in a program, which is the target.
    by_sbom = target.get("Type") in {"node-pkg", "python-pkg"}
    return f"{image}{_SBOM}" if by_sbom else f"{image}:/{target['Target']}"


def once(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer without what an SBOM in the image repeats of the files beside it."""

    def kept(target: Mapping[str, Any]) -> list[Any]:
        items = target.get("Packages") or []
        seen = {key(item) for item in items if item.get("FilePath")}
        return [item for item in items if item.get("FilePath") or key(item) not in seen]

    results = [{**target, "Packages": kept(target)} for target in answer.get("Results") or []]
    return {**answer, "Results": results}


def vulnerabilities(
    name: str, found: Inventory, settings: Scan, *, excused: bool, error: str
) -> Result:
    """Whether what is known against the packages can be mended, or, if so set, whether nothing is.

    `error` says why that is not known, unless it is `excused`.
    """
    id, title = "scan.vulnerabilities", "known vulnerabilities"
    gate: set[str] = {*settings.severities}
    expected = nothing(gate) + ("" if settings.unfixed else " with a fix")
    if error:
        return judge(
            id,
            title,
            False,
            container=name,
            expected=expected,
            measured="not scanned: there is no vulnerability database that suffices",
            detail=last_line(error)[:300],
            findings=(),  # nothing of it can be waived
            fix="check the network, or name another mirror below [scan.database]; where there is no "
            "database at all, `nox -s scan -- --offline` leaves this scan out and says so",
        )
    if excused:
        reason = "not scanned: --offline was asked for, and there is no database here"
        return skip(id, title, reason, container=name)
    mendable: list[str] = []
    unmended: list[str] = []
    tools: list[str] = []
    development: list[str] = []
    for package in found.packages.values():
        for rule, (severity, fixed) in package.flaws.items():
            if severity not in gate:
                continue
            text = f"{severity} {package.version}, fixed in {fixed or 'no release yet'}"
            where = {Use.DEVELOPMENT: development, Use.TOOL: tools}.get(package.use)
            own = mendable if fixed else unmended
            (own if where is None else where).append(package.line(rule, text))
    aside = f"; {len(tools)} in the base image's own tools" if tools else ""
    aside += f"; {len(development)} in what development alone needs" if development else ""
    refused = sorted(mendable + unmended if settings.unfixed else mendable)
    return judge(
        id,
        title,
        not refused,
        container=name,
        expected=expected,
        measured=f"{len(mendable)} with a fix, {len(unmended)} without{aside}",
        detail="\n".join([
            *refused,
            *(f"in the base image: {line}" for line in sorted(tools)),
            *(f"for development alone: {line}" for line in sorted(development)),
        ]),
        findings=refused,
        fix="update the package, or ask for a newer base image: `nox -s build -- --pull`; then scan again",
    )  # fmt: skip


def licences(name: str, found: Inventory, settings: Licences) -> Result:
    """Whether each licence is allowed; the distribution's are its publisher's to answer for."""
    allowed = {licence.casefold() for licence in (*settings.allowed, *settings.accepted)}
    judged = [one for one in found.packages.values() if one.use and not one.system]
    refused: list[str] = []
    unknown: list[str] = []
    for package in judged:
        named = [licence for licence in package.licences if not _UNNAMED.match(licence)]
        if not named:
            unknown.append(f"{package.name} {package.version}")
        refused += [
            package.line(licence, f"{package.version} is under a licence that is not allowed")
            for licence in named
            if not is_allowed(licence, allowed)
        ]
    said = f"; {len(unknown)} say none" if unknown else ""
    return judge(
        "scan.licences",
        "licences of the application's packages",
        not refused,
        container=name,
        expected="none but the allowed ones",
        measured=f"{len(refused)} others, of {len(judged)} packages{said}",
        detail="\n".join([
            *sorted(refused), *([f"licence unknown: {', '.join(sorted(unknown))}"] if unknown else ())
        ]),
        findings=sorted(refused),
        fix="replace the package, or accept its licence with a reason: taskflow.toml, "
        '[scan.licences.accepted], "SPDX-ID" = "why"; `allowed` below [scan.licences] lists the others',
    )  # fmt: skip


def is_allowed(licence: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be kept with these IDs or expressions alone, in small letters.

    Of what OR joins one is enough, of what AND joins each is needed (SPDX 3, annex D).
    """
    licence = licence.casefold().strip()
    if licence in allowed:
        return True
    for word, enough in ((" or ", any), (" and ", all)):
        parts = _parts(licence, word)
        if len(parts) > 1:
            return enough(is_allowed(part, allowed) for part in parts)
    inner = licence[1:-1] if licence.startswith("(") and licence.endswith(")") else ""
    return bool(inner) and is_allowed(inner, allowed)


def _parts(expression: str, word: str) -> list[str]:
    """What `word` joins outside of parentheses."""
    parts = [""]
    for piece in re.split(f"({word})", expression):
        if piece == word and parts[-1].count("(") == parts[-1].count(")"):
            parts.append("")
        else:
            parts[-1] += piece
    return parts
