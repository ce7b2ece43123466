"""The types of the values in taskflow.toml: what each may be, and the words for one that may not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

# A DNS label (RFC 1123) that is also a legal path component of an image name (OCI distribution).
LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
# [host[:port]/]path[:tag][@digest], after the grammar of distribution/reference.
IMAGE = (
    r"([a-zA-Z0-9][a-zA-Z0-9.-]*(:\d+)?/)?[a-z0-9]+((\.|_{1,2}|-+|/)[a-z0-9]+)*"
    r"(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)
REGISTRY = r"[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*"
# Docker takes names of 255 characters: this, a slash, and the project's and container's names.
REGISTRY_LENGTH = 128
SEMVER = (
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
)
# An image tag has up to 128 characters, but the chart's label app.kubernetes.io/version only these.
VERSION_LENGTH = 63
_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def written(value: object) -> str:
    """A value as TOML has it, cut where it is long; of a list or table only that it is one."""
    if isinstance(value, (str, bool)):
        return json.dumps(value, ensure_ascii=False)[:80]
    kinds: dict[type, str] = {dict: "a table", list: "a list"}
    return kinds.get(type(value)) or str(value)[:80]


def _told(value: object) -> str:
    return repr(value[:80]) if isinstance(value, str) else written(value)


def holds(test: Callable[[str], object], message: str) -> AfterValidator:
    """Refuse a text that fails the test; the message follows the text."""

    def check(value: str) -> str:
        if not test(value):
            raise ValueError(f"{_told(value)} {message}")
        return value

    return AfterValidator(check)


def matching(pattern: str, what: str) -> AfterValidator:
    """Refuse a text that does not match as a whole; `what` it should be."""
    return holds(lambda value: re.fullmatch(pattern, value, re.ASCII), f"is not {what}")


def is_url(value: str) -> bool:
    """Whether a text is an http(s) URL."""
    try:
        url = urlsplit(value)
        known = url.scheme in {"http", "https"} and url.hostname and url.port != 0
    except ValueError:  # the port is not a port number
        return False
    return bool(known) and not re.search(r"\s", value)


def names_host(image: str) -> bool:
    """Whether an image's name starts with a registry's host, and not with a folder of Docker Hub."""
    first, slash, _ = image.partition("/")
    return bool(slash) and bool(set(first) & {".", ":"} or first == "localhost")


def _checked_host(reference: str) -> str:
    """Refuse a host[:port] that no network can have at the start of a reference."""
    host, _, port = reference.partition("/")[0].partition(":")
    if port and (port[0] == "0" or len(port) > 5 or int(port) > 65535):
        raise ValueError(
            f"{reference[:80]!r}: port {port[:9]} is none; a port goes from 1 to 65535"
        )
    if any(not 0 < len(part) <= 63 for part in host.split(".")):
        raise ValueError(
            f"{reference[:80]!r}: each part of the host between dots has 1 to 63 characters"
        )
    return reference


def parse_bytes(value: object) -> int:
    """Bytes from "300MB" (decimal), "300MiB" (binary), or a plain number of them."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**15:
        return value
    text = value if isinstance(value, str) else ""
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([kMG]?B|[KMG]iB)", text)
    size = round(float(match[1]) * _UNITS[match[2]]) if match else 0
    if size <= 0:
        raise ValueError(f'{_told(value)} is not a size such as "300MB" or "286MiB"')
    return size


def parse_seconds(value: object) -> float:
    """Seconds from "2s" or "500ms"."""
    text = value if isinstance(value, str) else ""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s)", text)
    if not match or float(match[1]) <= 0:
        raise ValueError(f'{_told(value)} is not a duration such as "2s" or "500ms"')
    return float(match[1]) / (1000 if match[2] == "ms" else 1)


def megabytes(size: float) -> str:
    """A size in bytes as decimal megabytes, the unit of the specification."""
    return f"{size / 10**6:.1f} MB"


def _memory(value: int) -> int:
    if value > 10**12:
        raise ValueError('it is more than "1000GB", which no container here needs, e.g. "300MB"')
    if value < 6 * 2**20:
        raise ValueError(f'{value} bytes are less than the 6 MiB that Docker needs, e.g. "300MB"')
    return value


# Where no volume may be mounted: a folder and all below it, and why …
_TAKEN = {
    "/proc": "is not the project's: /proc is the kernel's",
    "/sys": "is not the project's: /sys is the kernel's",
    "/dev": "is not the project's: /dev is the kernel's",
    "/etc": "is not the project's: /etc is the image's and the engine's",
    "/tmp": "is not the project's: /tmp is a tmpfs of every container already",
} | {
    folder: f'would hide the code in {folder}; use "/app/data"'
    for folder in (
        "/app/src", "/app/.venv", "/app/container", "/app/node_modules", "/app/.next", "/app/server",
    )
}  # fmt: skip
# … and folders that may have volumes below them, but be none themselves.
_PROGRAMS = {
    "/app", "/bin", "/lib", "/lib64", "/sbin", "/usr", "/usr/bin", "/usr/lib", "/usr/local",
    "/usr/local/bin", "/usr/local/lib",
}  # fmt: skip


def _mountable(value: str) -> str:
    if why := next((why for f, why in _TAKEN.items() if f"{value}/".startswith(f"{f}/")), ""):
        raise ValueError(f"{value!r} {why}")
    if value in _PROGRAMS:
        raise ValueError(f'{value!r} would hide what the container runs; use "/app/data"')
    if value.endswith(".sock") or value in {"/run", "/var/run"}:
        raise ValueError(f'{value!r} is no folder for data but of sockets; use "/app/data"')
    return value


def _inside_the_project(value: str) -> bool:
    path = PurePosixPath(value)
    # Blanks around it are a slip, and ~ is a home folder only to a shell.
    unusual = value != value.strip() or value[:1] == "~" or not value.isprintable()
    outside = path.is_absolute() or ".." in path.parts or "\\" in value
    return not outside and not unusual and len(value) <= 200


# The fields of BuildKit's cache exporters (gha, s3, azblob) that log in.
_CACHE_SECRETS = {
    "token", "access_key_id", "secret_access_key", "session_token", "secret_key",
}  # fmt: skip


def _cache_place(value: str) -> str:
    fields = dict(part.partition("=")[::2] for part in value.split(","))
    if not value.isprintable() or not ("type" in fields or re.fullmatch(IMAGE, value, re.ASCII)):
        raise ValueError(
            f'{value[:80]!r} is no place of a build cache such as "type=registry,ref=ghcr.io/acme/cache"'
        )
    for named in _CACHE_SECRETS & fields.keys():
        raise ValueError(f"{named} is a secret: leave it to the environment or to `docker login`")
    return value


def _numeric_user(value: str) -> str:
    match = re.fullmatch(r"([0-9]{1,40}):([0-9]{1,40})", value)
    if not match:
        raise ValueError(
            f'{value[:80]!r} is not numeric UID:GID such as "1001:1001" (the kubelet asks)'
        )
    plain = ":".join(str(int(part)) for part in match.groups())
    if value != plain:
        raise ValueError(f'{value!r} has leading zeros; write "{plain}"')
    if not all(0 < int(part) < 2**31 for part in match.groups()):
        raise ValueError(f"{value!r} runs as root or is out of range; use 1001:1001")
    return value


Size = Annotated[
    int,
    BeforeValidator(parse_bytes),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "examples": ["300MB", "286MiB"]}, {"type": "integer"}],
            "description": "Decimal or binary units; a number without quotes is bytes.",
        }
    ),
]
Memory = Annotated[Size, AfterValidator(_memory)]
Duration = Annotated[
    float,
    BeforeValidator(parse_seconds),
    WithJsonSchema({"type": "string", "examples": ["2s", "500ms"]}),
]
Label = Annotated[
    str,
    Field(max_length=63),
    matching(LABEL, "a DNS label: lower-case letters, digits and inner hyphens"),
]
Title = Annotated[
    str,
    Field(max_length=80),
    # isprintable: no control characters, no line separators, nothing that turns the text around.
    holds(
        lambda s: s.strip() and s.isprintable(), "is not one line of characters that can be seen"
    ),
]
Version = Annotated[
    str,
    matching(SEMVER, "a semantic version such as 1.2.3"),
    matching(
        rf"(?!.{{{VERSION_LENGTH + 1}}}).*[^-]",
        f"a value of a Kubernetes label, which has up to {VERSION_LENGTH} characters and does not "
        "end in a hyphen; shorten the pre-release name",
    ),
]
Registry = Annotated[
    str,
    matching(f"({REGISTRY})?", "a registry host[:port]/path"),
    AfterValidator(lambda value: _checked_host(value) if value else value),
    holds(lambda s: len(s) <= REGISTRY_LENGTH, f"is longer than {REGISTRY_LENGTH} characters"),
]
Source = Annotated[
    str,
    holds(
        lambda s: not s or (is_url(s) and len(s) <= 300),
        'is not a URL such as "https://example.com/acme/shop"',
    ),
]
TagPrefix = Annotated[
    str,
    Field(max_length=64),
    matching(
        r"([A-Za-z0-9][A-Za-z0-9_@-]*[./])*([A-Za-z0-9][A-Za-z0-9_@-]*)?",
        "the beginning of a git tag",
    ),
]
Image = Annotated[
    str,
    Field(max_length=512),
    matching(IMAGE, "an image reference such as python:3.13-slim"),
    AfterValidator(lambda value: _checked_host(value) if names_host(value) else value),
]
User = Annotated[str, AfterValidator(_numeric_user)]
Variable = Annotated[str, matching(r"[A-Za-z_][A-Za-z0-9_]*", "an environment variable's name")]
# Neither ENV nor an engine's file of variables can hold two lines.
VariableValue = Annotated[
    str,
    matching(
        r"[^\x00-\x1f\x7f]{0,4096}", "one line of up to 4096 characters, without control characters"
    ),
]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
# Two slashes would start a host, and a client takes dots away before it asks.
HttpPath = Annotated[
    str, matching(r"(?!.*//)(?!.*/\.{1,2}(/|$))/[\w./~-]{0,199}", 'a path such as "/health"')
]
AbsolutePath = Annotated[
    str,
    # No colon or comma: they mean something to --volume and --mount.
    matching(r"(/(?!\.{1,2}(/|$))[\w.~-]+)+", 'an absolute path such as "/app/data"'),
    AfterValidator(_mountable),
]
Folder = Annotated[
    str,
    holds(_inside_the_project, "is not a folder inside the project"),
    # One spelling of each folder: ./x/ is x.
    AfterValidator(lambda value: str(PurePosixPath(value)) if value else ""),
]
Inside = Annotated[
    str,
    holds(
        lambda s: _inside_the_project(s) and PurePosixPath(s).parts,
        "is not a file or folder inside the project",
    ),
    AfterValidator(lambda value: str(PurePosixPath(value))),
]
Dockerfile = Annotated[
    Inside,
    # By others trivy does not know it, and would not look at it.
    matching(
        r"(.*/)?(Dockerfile(\.[^/]+)?|[^/]+\.Dockerfile)",
        'called "Dockerfile", "Dockerfile.api" or "api.Dockerfile"',
    ),
]
LocalFile = Annotated[
    str,
    # A comma ends the path for buildx's --secret and trivy's --vex.
    holds(
        lambda s: s.isprintable() and re.fullmatch(r'(?=.*\S)[^,"]{1,300}', s),
        'is not a file such as "~/.npmrc" (without comma or quote)',
    ),
]
CachePlace = Annotated[
    str,
    AfterValidator(_cache_place),
    WithJsonSchema(
        {
            "type": "string",
            "examples": ["type=registry,ref=ghcr.io/acme/cache:{container}", "type=gha"],
            "description": "As buildx takes it; {container} stands for the container's name.",
        }
    ),
]
Form = Annotated[
    str,
    matching(
        r"postgres(ql)?(\+[a-z0-9_]+)?|host|port|user|password|name",
        "a scheme such as postgresql+asyncpg, or host, port, user, password or name",
    ),
]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=10)]
SecretId = Annotated[str, matching(r"[A-Za-z0-9][\w.-]{0,99}", "an ID such as npmrc")]
Platform = Annotated[str, matching(r"linux/[a-z0-9]+(/v[0-9]+)?", "a platform such as linux/amd64")]
Builder = Annotated[str, matching(r"[\w.-]{0,128}", "the name of a builder")]
LicenceId = Annotated[
    str, matching(r"[A-Za-z0-9(][A-Za-z0-9.+ ()/,_-]{0,99}", "an SPDX ID such as MIT")
]
CheckId = Annotated[
    str, matching(r"[a-z]+(\.[a-z0-9]+(-[a-z0-9]+)*)+", "the id of a check such as lint.hadolint")
]
Covered = Annotated[str, matching(r"\S+( \S+)*", "what stands in a finding, such as DL3018")]
