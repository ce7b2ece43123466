"""Have trivy list the packages of an image, of what its layers delete, and of the lock files."""

from __future__ import annotations

import filecmp
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from taskflow_containers.checks.database import Database
from taskflow_containers.checks.packages import Inventory
from taskflow_containers.checks.trivy import trivy
from taskflow_containers.engine.archive import SavedImage
from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.machine.process import last_line
from taskflow_containers.project.model import Project
from taskflow_containers.report.result import Result, finds_nothing, judge, skip

SKIPPED = ("**/node_modules", "**/.next", "**/.venv", ".nox", ".git", "reports")
DOCUMENT = "sbom.cdx.json"  # written by the build of an image, …
_ECOSYSTEMS = ("pkg:npm/", "pkg:pypi/")  # … which installs these
_LOCKS = {
    "package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock", "bun.lock", "bun.lockb",
    "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml",
}  # fmt: skip
_AGAIN = "run nox -s scan again; where a disk is full, free some of it"
_HEADS = {"lockfileVersion", "__metadata"}  # of pnpm's and of Yarn's lock files
_REQUIREMENTS = r"(^|/)requirements[^/]*(/[^/]+)?\.txt$"
_SHRINKWRAP = r"(^|/)npm-shrinkwrap\.json$"
# What else a requirements file is installed with (pip's "Requirements File Format").
_INCLUDE = re.compile(
    r"^[ \t]*(-r|--requirement|-c|--constraint)(?:[ \t]*=?[ \t]*)([^\s#]+)", re.MULTILINE
)
_DATABASE_ERROR = re.compile(r"DB error|--skip-db-update|Java DB", re.IGNORECASE)


def ask(
    words: list[str | Path], output: Path, subject: str, flaws: Database
) -> tuple[dict[str, Any], str]:
    """What trivy knows of packages, and why their vulnerabilities are missing if they had to be there.

    Raises:
        EnvironmentTrouble: it failed for another reason than its database.
    """

    def once(scanners: str, *further: str) -> tuple[dict[str, Any], str]:
        listing = ["--list-all-pkgs", "--scanners", scanners, *further]
        return trivy([*words, *listing], output, flaws.reach)

    missing = "" if flaws.excused else flaws.error
    if flaws.present:
        closed = ["--offline-scan", "--skip-java-db-update"] if flaws.offline else []
        answer, error = once("license,vuln", *closed)
        if not error:
            jars = any(part.get("Type") == "jar" for part in answer.get("Results") or ())
            return answer, missing or (flaws.java_error() if jars else "")
        if not _DATABASE_ERROR.search(error):
            raise EnvironmentTrouble(f"trivy failed on {subject}: {last_line(error)}", _AGAIN)
        java = "Java DB" in error
        missing = ".jar files need trivy's Java database: " * java + last_line(error)
    # The rest still says what it finds.
    answer, error = once("license", "--offline-scan")
    if error:
        raise EnvironmentTrouble(f"trivy failed on {subject}: {last_line(error)}", _AGAIN)
    return answer, missing


def locked(root: Path, output: Path, flaws: Database) -> tuple[dict[str, Any], str]:
    """What the lock files below a project's folder name, as `ask` tells it."""
    skipped = [word for pattern in SKIPPED for word in ("--skip-dirs", pattern)]
    needed, others = _included(root)
    also = [f"(^|/){re.sub('[^A-Za-z0-9_/]', '.', file)}$" for file in sorted(needed | others)]
    patterns = [f"pip:{pattern}" for pattern in (_REQUIREMENTS, *also)] + [f"npm:{_SHRINKWRAP}"]
    words = ["filesystem", "--include-dev-deps", *(f"--file-patterns={one}" for one in patterns)]
    answer, error = ask([*words, *skipped, root], output, "the lock files", flaws)
    for part in answer.get("Results") or ():
        if part.get("Type") == "pip" and part["Target"] not in needed:
            for package in part.get("Packages") or ():
                package["Dev"] = True
    return answer, error


def _files(root: Path, context: str = ".") -> Iterator[str]:
    """The files below a folder of the project, relative to it, without what no scan looks at."""
    pruned = {pattern.removeprefix("**/") for pattern in SKIPPED}
    for place, folders, files in os.walk(root / context):
        folders[:] = sorted(name for name in folders if name not in pruned)
        yield from (Path(place, name).relative_to(root).as_posix() for name in sorted(files))


def _included(root: Path) -> tuple[set[str], set[str]]:
    """Each requirements.txt with what it includes (-r), and what other ones include or constrain (-c).

    A constraint alone installs nothing.
    """
    needed: set[str] = set()
    others: set[str] = set()

    def follow(file: str, found: set[str]) -> None:
        if file in found or not (root / file).is_file():
            return
        found.add(file)
        for option, name in _INCLUDE.findall(_text(root / file)):
            inner = Path(os.path.normpath(Path(file).parent / name.strip("\"'"))).as_posix()
            follow(inner, others if option in {"-c", "--constraint"} else found)

    for file in _files(root):
        if re.search(_REQUIREMENTS, file):
            follow(file, needed if Path(file).name == "requirements.txt" else others)
    return needed, others - needed


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def others_within(project: Project, name: str) -> list[str]:
    """The folders in a container's own that hold what is not its: other containers, and the project's tools."""
    context = project.context(name)
    folders = [project.context(other) for other in project.containers] + [project.files.tools]
    return [folder for folder in folders if folder != context and _is_in(folder, context)]


def _is_in(file: str, context: str, others: Sequence[str] = ()) -> bool:
    within = context == "." or file.startswith(f"{context}/")
    return within and not any(file.startswith(f"{other}/") for other in others)


def below(answer: Mapping[str, Any], context: str, others: Sequence[str] = ()) -> dict[str, Any]:
    """What an answer says of files in a container's folder, and in none of these others."""
    results = answer.get("Results") or []
    return {"Results": [part for part in results if _is_in(str(part["Target"]), context, others)]}


def judge_locks(
    name: str, root: Path, context: str, answer: Mapping[str, Any], others: Sequence[str] = ()
) -> Result:
    """Whether each lock file was read; trivy passes over one that it cannot."""
    id, title = "scan.lock-files", "lock files"
    read = {part["Target"] for part in answer.get("Results") or [] if part.get("Packages")}
    there = [file for file in _lock_files(root, context) if _is_in(file, context, others)]
    found = [file for file in there if file not in read]
    files = [file for file in found if not _locks_nothing(root / file)]
    if not found and not read:
        return skip(id, title, f"there is none in {context}/", container=name)
    return finds_nothing(
        id,
        title,
        [f"unread {file}: trivy reads no package in it" for file in files],
        "lock it anew with its own package manager, or in a format that trivy knows; `trivy fs` on its "
        "folder says what is wrong",
        container=name,
        expected="each one read",
        passed=f"{len(read) + len(found)} read",
    )


def _lock_files(root: Path, context: str) -> list[str]:
    included = set().union(*_included(root))
    return [
        file
        for file in _files(root, context)
        if Path(file).name in _LOCKS
        or ((file in included or re.search(_REQUIREMENTS, file)) and _pins(root / file))
    ]


def _locks_nothing(path: Path) -> bool:
    """Whether a lock file is whole and names no package, as that of a project without dependencies."""
    text = _text(path)
    try:
        if path.suffix == ".json":
            lock = json.loads(text)
            named = [one for one in lock.get("packages", {}) if "node_modules/" in one]
            return "lockfileVersion" in lock and not named and not lock.get("dependencies")
        if path.name == "yarn.lock" and "__metadata" not in text:
            return text.startswith("# ") and not re.search(r"^[^#\s]", text, re.MULTILINE)
        if path.suffix == ".yaml" or path.name == "yarn.lock":
            lock = yaml.safe_load(text)
            entries = [one for one in lock if "@" in one and "@workspace:" not in one]
            return not entries and not lock.get("packages") and bool({*lock} & _HEADS)
        lock = tomllib.loads(text)
        sources = [one.get("source", {}) for one in lock.get("package", [])]
        return bool(lock) and all({"virtual", "editable"} & source.keys() for source in sources)
    except (ValueError, TypeError, AttributeError, yaml.YAMLError):
        return False


def _pins(path: Path) -> bool:
    """Whether a requirements file is a lock, at least in part."""
    return bool(re.search(r"^[A-Za-z0-9][\w.\[\],-]*\s*==", _text(path), re.MULTILINE))


def hiding(image: SavedImage, layers: Path) -> list[int]:
    """The numbers of the layers that delete or replace what another own layer of the image put there.

    `layers` has each own layer unpacked (`secrets.unpack`), with the marks of what it deletes
    (OCI image specification, layer.md, whiteouts).
    """
    own = [n for n in range(1, len(image.layers) + 1) if (layers / f"layer-{n}").is_dir()]

    def hides(number: int, file: Path) -> bool:
        path = file.relative_to(layers / f"layer-{number}")
        below = [layers / f"layer-{n}" for n in own if n < number]
        if not path.name.startswith(".wh."):
            olds = [folder / path for folder in below if (folder / path).is_file()]
            return not all(filecmp.cmp(old, file, shallow=False) for old in olds)
        path = path.parent if path.name == ".wh..wh..opq" else path.with_name(path.name[4:])
        # Some folders are unpacked under another name.
        names = (path, path.with_name(f"{path.name}~") if path.name else path)
        return any((folder / name).exists() for folder in below for name in names)

    def files(number: int) -> Iterator[Path]:
        return (path for path in (layers / f"layer-{number}").rglob("*") if path.is_file())

    return [n for n in own[1:] if any(hides(n, file) for file in files(n))]


def judge_document(name: str, layers: Path, found: Inventory, *, needed: bool) -> Result:
    """Whether the image says what its build installed, and scanners understand it.

    A bundler leaves no package.json of what it takes into its chunks: such a document is `needed`
    then, unless a lock file tells the same.
    """
    id, title = "scan.installed", "SBOM in the image of what its build installed"
    # Of one that a later layer writes anew only the last counts.
    files: dict[Path, Path] = {}
    for layer in sorted(layers.glob("layer-*"), key=lambda layer: (len(layer.name), layer.name)):
        files |= {path.relative_to(layer): path for path in layer.rglob(DOCUMENT)}
    if not files and not needed:
        reason = f"the image has no {DOCUMENT}: its lock file, and what lies in it, tell alone"
        return skip(id, title, reason, container=name)
    count = 0
    wrong = [] if files else [f"missing {DOCUMENT}: nothing tells what the build bundled"]
    for file in files.values():
        try:
            components = json.loads(file.read_text(encoding="utf-8"))["components"]
            purls = [str(component.get("purl")) for component in components]
        except (ValueError, LookupError, TypeError, AttributeError):
            wrong.append(f"unread {DOCUMENT}: it is no CycloneDX document")
            continue
        written = [purl for purl in purls if purl.startswith(_ECOSYSTEMS)]
        count += len(written)
        wrong += [f"unread {purl}: no scanner tells it" for purl in found.unseen(written)]
    return judge(
        id,
        title,
        not wrong,
        container=name,
        expected="each package that was installed for production",
        measured=f"{count} packages" if files else f"no {DOCUMENT}, and no lock file",
        detail="\n".join(wrong),
        findings=wrong,
        fix=f"write {DOCUMENT} while building, as the template's Dockerfile does; or commit a lock file",
    )
