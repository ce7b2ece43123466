"""What an image holds that no scanner knows: interpreters, C libraries in wheels, programs of no package."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from taskflow_containers.engine.archive import Layer
from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.report.result import Result, Status, judge

# Where packages are written down, what an entry has, and the kind of result that trivy makes of it.
_PACKAGES = (
    (r"(usr/)?lib/apk/db/installed|var/lib/dpkg/status(\.d/[^/]+)?", rb"(?m)^P(ackage)?:", "os-pkgs"),
    (r"(.*/)?[^/]+\.dist-info/METADATA", rb"(?ms)^Name: \S.*^Version: \S", "python-pkg"),
    (r"(.*/)?node_modules/(@[^/]+/)?[^/]+/package\.json", rb'(?s)(?=.*"name").*"version"', "node-pkg"),
)  # fmt: skip
# What an interpreter's program, its library and its modules are called, and where its version is.
_INTERPRETERS = (
    ("Python", r"(.*/)?(bin/python3[.\d]*|libpython3[^/]*|lib/python3\.\d+/(?!(site|dist)-packages/).+)"),
    ("Node.js", r"(.*/)?(bin/node|libnode\.so[^/]*)"),
)  # fmt: skip
_HEADERS = {
    "Python": (r"(.*/)?include/python3\.\d+/patchlevel\.h", rb'PY_VERSION\s+"([\w.]+)"'),
    "Node.js": (
        r"(.*/)?include/node/node_version\.h",
        rb"NODE_(?:MAJOR|MINOR|PATCH)_VERSION (\d+)",
    ),
}
# What libraries say of their own version; of others the number in the name is told.
_BANNERS = {
    r"lib(ssl|crypto)": rb"OpenSSL (\d+\.\d+\.\d+[a-z]?) \d",
    r"lib(krb5|gssapi_krb5|k5crypto)": rb"krb5-(\d+(?:\.\d+)+)",
    r"libz": rb"(?:de|in)flate (\d+(?:\.\d+)+) Copyright",
    r"libpng\d*": rb"libpng version (\d+(?:\.\d+)+)",
    r"libcurl": rb"libcurl/(\d+(?:\.\d+)+)",
}
_LIBRARY = re.compile(
    r"(?P<name>lib[\w+-]+?|\w[\w+-]*?)(-[0-9a-f]{6,})?\.(so|dylib)[.]?(?P<version>[\d.]*)"
)
_BUNDLED = re.compile(r"(?:.*/)?([^/]+\.(?:libs|dylibs)|[^/]+/\.dylibs)/([^/]+)")
# Packages that lie there as one file: trivy knows some of the Java ones, and of the others none.
_PACKED = (".jar", ".war", ".ear", ".par", ".whl", ".pex", ".pyz")
_READ = 64 * 2**20  # bytes of a library that are searched for its version
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


def unscanned(
    name: str, layers: Iterable[Layer], layout: Path, config: Mapping[str, Any], answer: Mapping[str, Any]
) -> Result:  # fmt: skip
    """What the image of a container (its layers in an OCI layout) holds beside trivy's answer on it.

    Raises:
        EnvironmentTrouble: it holds packages of a kind of which that answer has none.
    """
    results = answer.get("Results") or ()
    kinds = {target.get(key) for target in results for key in ("Class", "Type")}
    known = {_plain(str(target.get("Target"))) for target in results}
    known |= {
        _plain(path)
        for target in results
        for package in target.get("Packages") or ()
        for path in (package.get("FilePath") or "", *(package.get("InstalledFiles") or ()))
    }
    found: dict[str, tuple[str, str]] = {}
    for layer in layers:
        found = _over(found, layout / "blobs" / "sha256" / layer.identity[7:], kinds, known)
    if missed := sorted({what for what, version in found.values() if version == "missed"}):
        raise EnvironmentTrouble(
            f"trivy's answer on {name} has no {missed[0]}, and the image holds such packages",
            "run the command again; a trivy of your own has to be one that this tool knows",
        )
    lines = _told(found, dict(one.partition("=")[::2] for one in config.get("Env") or ()))
    system = (answer.get("Metadata") or {}).get("OS") or {}
    if system.get("EOSL"):
        lines.append(
            f"{system.get('Family')} {system.get('Name')} is past its end of life: "
            "what is found in its packages is listed nowhere any more"
        )
    id, title = "scan.unscanned", "what no scanner knows"
    if lines:
        detail = "not scanned: " + "\n".join(lines)
        return Result(id, title, Status.SKIPPED, container=name, detail=detail)
    expected = "every program and library is of a package that was scanned"
    return judge(id, title, True, container=name, expected=expected, measured="no other one")


def _plain(path: str) -> str:
    """A path as an image has it whose /bin and /lib are links to those below /usr, or are not."""
    return re.sub(r"^usr/(?=(s?bin|lib\d*)/)", "", str(PurePosixPath("/", path))[1:])


def _over(
    below: dict[str, tuple[str, str]], layer: Path, kinds: set[Any], known: set[str]
) -> dict[str, tuple[str, str]]:
    """What is left of the layers below and comes with this one: path → what it is, and its version."""
    gone: list[str] = []
    added: dict[str, tuple[str, str]] = {}
    with tarfile.open(layer, "r:") as tar:
        for member in tar:
            path = str(PurePosixPath("/", member.name))[1:]
            folder, _, last = path.rpartition("/")
            if last == _OPAQUE:
                gone.append(f"{folder}/")
            elif last.startswith(_WHITEOUT):
                hidden = f"{folder}/{last.removeprefix(_WHITEOUT)}".lstrip("/")
                gone += [f"{hidden}/", hidden]
            else:
                gone.append(path)
                if member.isfile() and (what := _what(tar, member, path, kinds, known)):
                    added[path] = what
    whole, folders = {*gone}, tuple(word for word in gone if word.endswith("/"))
    kept = {p: w for p, w in below.items() if p not in whole and not p.startswith(folders)}
    return kept | added


def _what(
    tar: tarfile.TarFile, member: tarfile.TarInfo, path: str, kinds: set[Any], known: set[str]
) -> tuple[str, str] | None:
    """What a file is for this report, and its version; None for one that is of no interest."""

    def content(size: int = _READ) -> bytes:
        stream = tar.extractfile(member)
        return stream.read(size) if stream else b""

    if _plain(path) in known:
        return None
    for pattern, entry, kind in _PACKAGES:
        if re.fullmatch(pattern, path):
            listed = kind in kinds or not re.search(entry, content())
            return None if listed else (kind, "missed")
    for name, (pattern, numbers) in _HEADERS.items():
        if re.fullmatch(pattern, path):
            return f"{name}'s header", b".".join(re.findall(numbers, content())[:3]).decode()
    packed = path.endswith(_PACKED)
    if not (packed or member.mode & 0o111 or ".so" in path or ".dylib" in path):
        return None
    bundled = _BUNDLED.fullmatch(path)
    if not (bundled or packed) and re.search(r"(^|/)((site|dist)-packages|node_modules)/", path):
        return None  # a package's own, which its advisories speak of
    if not packed and content(4) not in {b"\x7fELF", b"\xcf\xfa\xed\xfe"}:
        return None
    for name, pattern in _INTERPRETERS:
        if re.fullmatch(pattern, path):
            return name, ""
    library = _LIBRARY.match(path.rpartition("/")[2])
    if not library:
        return path, ""
    version = library["version"].strip(".")
    for pattern, banner in _BANNERS.items():
        if re.fullmatch(pattern, library["name"]) and (match := re.search(banner, content())):
            version = match[1].decode()
    return (library["name"] if bundled else path), version


def _told(found: Mapping[str, tuple[str, str]], environment: Mapping[str, str]) -> list[str]:
    """A line for each interpreter, each folder of bundled libraries and each other program."""
    lines = []
    names = {name for name, _ in _INTERPRETERS}
    for name in sorted(names & {what for what, _ in found.values()}):
        header = [v for what, v in found.values() if what == f"{name}'s header"]
        stated = environment.get(f"{name.removesuffix('.js').upper()}_VERSION", "")
        place = min(
            (p for p, (what, _) in found.items() if what == name),
            key=lambda p: ("/bin/" not in p, p),
        )
        version = (header or [stated])[0] or "of an unknown version"
        lines.append(f"{name} {version} ({place})")
    folders: dict[str, set[str]] = {}
    others = []
    for path, (what, version) in sorted(found.items()):
        if what in names or what.endswith("'s header"):
            continue
        text = f"{what} {version}".strip()
        if bundled := _BUNDLED.fullmatch(path):
            folders.setdefault(bundled[1], set()).add(text)
        else:
            others.append(text)
    lines += [f"{folder}: {', '.join(sorted(libraries))}" for folder, libraries in folders.items()]
    return lines + others
