"""What this machine knows of mirrors, indexes and certificates, and how an image learns it."""

from __future__ import annotations

import configparser
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from .system import run

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
OWN_CAS = Path("/usr/local/share/ca-certificates")
HOME = Path.home()
PIP_CONFIGS = (
    Path("/etc/xdg/pip/pip.conf"),
    Path("/etc/pip.conf"),
    HOME / ".pip/pip.conf",
    HOME / ".config/pip/pip.conf",
)
NPM_CONFIGS = (HOME / ".npmrc", Path("/usr/etc/npmrc"), Path("/etc/npmrc"))


@dataclass(frozen=True)
class Facts:
    """What a container needs to reach the package indexes that this machine reaches."""

    ca: bytes  # the machine's CA bundle; empty where no authority of its own was added
    index_url: str
    npm_registry: str


@cache
def facts() -> Facts:
    """Read from the files: asking pip and npm takes longer than all the rest of a re-run."""
    own_ca = CA_BUNDLE.is_file() and any(OWN_CAS.rglob("*.crt"))
    pip = configparser.RawConfigParser(strict=False)
    pip.read([*PIP_CONFIGS, os.environ.get("PIP_CONFIG_FILE", "")])
    index = os.environ.get("PIP_INDEX_URL") or pip.get("global", "index-url", fallback="")
    registry = next(
        (value for key, value in os.environ.items() if key.lower() == "npm_config_registry"), ""
    )
    for npmrc in NPM_CONFIGS:
        if not registry and npmrc.is_file():
            line = re.search(r"^registry\s*=\s*(\S+)", npmrc.read_text(), re.MULTILINE)
            registry = str(line[1]) if line else ""
    return Facts(
        CA_BUNDLE.read_bytes() if own_ca else b"", _usable(index or ""), _usable(registry or "")
    )


def _usable(url: str) -> str:
    """The address, unless it means nothing in a container or carries a password."""
    parts = urlsplit(url)
    return url if parts.scheme in ("http", "https") and "@" not in parts.netloc else ""


def introduce(root: Path) -> list[str]:
    """Write the facts into an image's root file system; return the variables to go with them."""
    known, variables, settings = facts(), [], []
    if known.ca:
        (root / CA_BUNDLE.relative_to("/")).write_bytes(known.ca)
        variables += [f"{key}={CA_BUNDLE}" for key in ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")]
        settings += [f"cert = {CA_BUNDLE}"]
    if known.index_url:
        variables += [f"UV_DEFAULT_INDEX={known.index_url}"]
        settings += [f"index-url = {known.index_url}"]
    if known.npm_registry:
        variables += [f"NPM_CONFIG_REGISTRY={known.npm_registry}"]
    if settings:
        (root / "etc/pip.conf").write_text("\n".join(["[global]", *settings, ""]))
    return variables


def mirrors(suite: str) -> list[str]:
    """Source lines for the Debian mirrors apt uses here; none on Ubuntu: mmdebstrap knows one."""
    form = "$(REPO_URI) $(ORIGIN) $(RELEASE)"
    out = run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"]).stdout
    rows = [line.split() for line in out.decode().splitlines()]
    debian = [(row[0], row[2]) for row in rows if len(row) == 3 and row[1] == "Debian"]
    plain = [uri for uri, release in debian if "-" not in release][:1]
    security = [uri for uri, release in debian if release.endswith("-security")][:1]
    lines = [f"deb {uri} {name} main" for uri in plain for name in (suite, f"{suite}-updates")]
    return lines + [f"deb {uri} {suite}-security main" for uri in security if plain]


def apt_proxies() -> list[str]:
    """The proxies of this machine's apt, as options for another one."""
    out = run(["apt-config", "dump", "--no-empty", "--format", '%F "%v"%n', "Acquire"]).stdout
    return [line for line in out.decode().splitlines() if "::proxy" in line.lower()]
