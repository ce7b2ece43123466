"""A Dockerfile as builders other than BuildKit understand it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

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
