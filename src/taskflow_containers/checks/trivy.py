"""Runs trivy, so that nothing but what is asked of it decides what it finds."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.machine.process import Completed, run
from taskflow_containers.machine.tools import tool

# Where its databases come from and how it gets there; any other variable may narrow what it looks for, or how it ends
# (https://trivy.dev/docs/latest/configuration/#environment-variables).
_HEEDED = {
    f"TRIVY_{name}"
    for name in (
        "CACHE_DIR", "DB_REPOSITORY", "JAVA_DB_REPOSITORY", "SKIP_DB_UPDATE", "SKIP_JAVA_DB_UPDATE",
        "CACERT", "INSECURE", "USERNAME", "PASSWORD", "REGISTRY_TOKEN", "TIMEOUT",
    )
}  # fmt: skip
# Files that would decide what it finds, or what of it counts: waivers are in taskflow.toml.
_FILES = ("trivy.yaml", ".trivyignore", ".trivyignore.yaml", "chart/.trivyignore.yaml")


def unheeded(root: Path) -> list[str]:
    """A line about each variable and file of trivy's that is there and decides nothing."""
    found = [name for name in sorted(os.environ) if _is_left_out(name)]
    found += [name for name in _FILES if (root / name).exists()]
    return [f"{name} is not heeded: taskflow.toml says what counts" for name in found]


def trivy(
    words: list[str | Path], output: Path, env: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], str]:
    """Trivy's JSON answer, or an empty one and the error it ended with.

    Raises:
        EnvironmentTrouble: what it wrote cannot be read.
    """
    said = call(
        [*words, "--exit-code=0", "--skip-version-check", "--format=json",
         f"--ignorefile={os.devnull}"], output, env, 900,
    )  # fmt: skip
    if said:
        return {}, said
    try:
        answer = json.loads(output.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EnvironmentTrouble(
            f"trivy ended well, and what it wrote cannot be read: {error}", "run the command again"
        ) from None
    return dict(answer), ""


def call(
    words: list[str | Path], output: Path, env: Mapping[str, str] | None, seconds: float
) -> str:
    """Have it write a file; what it said if it failed, which is never nothing."""
    done = _run([*words, "--quiet", "--output", output], env, seconds)
    return (done.stderr.strip() or f"exit code {done.returncode}") if done.returncode else ""


def database_made() -> datetime | None:
    """When its vulnerability database was made; None where there is none."""
    done = _run(["version", "--format=json"], None, 60)
    try:
        text = json.loads(done.stdout)["VulnerabilityDB"]["UpdatedAt"]
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, KeyError, TypeError):
        return None


def _run(words: list[str | Path], env: Mapping[str, str] | None, seconds: float) -> Completed:
    neutral = {name: None for name in os.environ if _is_left_out(name)}
    return run(
        [tool("trivy"), *words, "--config="], env={**neutral, **(env or {})}, timeout=seconds
    )


def _is_left_out(name: str) -> bool:
    return name.startswith("TRIVY_") and name not in _HEEDED
