"""How builders differ: in what they read of a Dockerfile, and where they look for what belongs to it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

ARGUMENTS_LABEL = "io.taskflow.arguments"


def for_the_legacy_builder(dockerfile: str) -> str:
    """The same Dockerfile without what that builder does not know: cache mounts, which save time, and modes of a COPY."""
    dockerfile = re.sub(r"(?im)^(\s*(?:COPY|ADD)\s.*?)--chmod=\S+\s+", r"\1", dockerfile)
    return re.sub(r"--mount=type=cache\S*\s*(\\\n\s*)?", "", dockerfile)


def with_stated_arguments(dockerfile: str, arguments: Mapping[str, str]) -> str:
    """The same Dockerfile with a label of the arguments' values before a stage's first use of them.

    Buildah looks a LABEL or ENV up in its cache by its text alone, whatever its arguments hold; a
    label that differs keeps it from taking an image of another version for this one.
    """
    digest = hashlib.sha256(repr(sorted(arguments.items())).encode()).hexdigest()[:12]
    lines: list[str] = []
    due = False
    for line in dockerfile.splitlines(keepends=True):
        word, _, rest = line.strip().partition(" ")
        if word.upper() == "FROM":
            due = True
        elif due and word.upper() == "ARG" and re.split(r"[=\s]", rest.strip())[0] in arguments:
            lines.append(f"LABEL {ARGUMENTS_LABEL}={digest}\n")
            due = False
        lines.append(line)
    return "".join(lines)


def given(dockerfile: str, ignore: Path, folder: Path, *, buildkit: bool) -> list[str | Path]:
    """The options for a Dockerfile, the builder's input, with an ignore file that it would not find.

    BuildKit looks for one beside the Dockerfile, so it gets copies of both in `folder`. The context's
    own .dockerignore is found by every builder.
    """
    if ignore.name == ".dockerignore":
        return ["--file", "-"]
    if not buildkit:
        return ["--file", "-", "--ignorefile", ignore]
    copy = folder / "Dockerfile"
    copy.write_text(dockerfile, "utf-8", errors="surrogateescape")
    shutil.copyfile(ignore, folder / "Dockerfile.dockerignore")
    return ["--file", copy]


def reachable_cache_mounts() -> dict[str, str]:
    """A folder of this user's own for cache mounts where Buildah 1.28's, one for all users, is another's."""
    shared = Path(os.environ.get("TMPDIR") or "/var/tmp", "buildah-cache")
    if not shared.is_dir() or os.access(shared, os.W_OK):
        return {}
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "buildah")
    own.mkdir(parents=True, exist_ok=True)
    return {"TMPDIR": str(own)}
