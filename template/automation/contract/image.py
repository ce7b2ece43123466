"""A built image's config against the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from automation.contract.container import (
    LABEL_PREFIX,
    LABELS,
    asks_health,
    check_environment,
    health_paths,
    starts_program,
    starts_shell,
)
from automation.contract.level import Level, shown
from automation.contract.secret import is_secret
from automation.model import Container, Project
from automation.results import Result


def check_image(project: Project, name: str, config: Mapping[str, Any]) -> list[Result]:
    """A built image's config (as `Engine.image_config` gives it) against the model."""
    container = project.containers[name]
    level = Level("image", name, project.image(name))
    return list(_image(level, container, config))


def _image(level: Level, container: Container, config: Mapping[str, Any]) -> Iterator[Result]:
    rebuild = "mend the Dockerfile and build again"
    yield level.check("user", "image user", container.user, config.get("User") or "root", rebuild)
    yield level.check(
        "port",
        "image port",
        [f"{container.port}/tcp"],
        sorted(config.get("ExposedPorts") or {}),
        rebuild,
    )
    command = [str(word) for key in ("Entrypoint", "Cmd") for word in config.get(key) or ()]
    yield level.check(
        "command",
        "image command in exec form",
        "no shell in front",
        shown(command),
        rebuild,
        passed=starts_program(command) and not starts_shell(command),
    )
    environment = dict(str(item).partition("=")[::2] for item in config.get("Env") or [])
    test = (config.get("Healthcheck") or {}).get("Test") or []
    yield level.check(
        "healthcheck",
        "image health check",
        f":{container.port} and {' or '.join(health_paths(container))}",
        shown(test),
        rebuild,
        passed=test[:1] == ["CMD"]
        and asks_health(container, [str(w) for w in test[1:]], environment),
    )
    yield from check_environment(level, container, environment)
    baked = sorted(k for k, v in environment.items() if is_secret(k, v))
    yield level.check("secrets", "no secret in the image's ENV", "nothing", shown(baked), rebuild)
    labels = config.get("Labels") or {}
    missing = [label for label in LABELS if not labels.get(LABEL_PREFIX + label)]
    yield level.check(
        "labels",
        "image labels",
        "all set",
        f"empty: {shown(missing)}" if missing else "all set",
        "`nox -s build` sets them; the Dockerfile must declare them",
    )
    yield level.check(
        "volumes",
        "no anonymous volume",
        "nothing",
        shown(sorted(config.get("Volumes") or {})),
        "remove VOLUME: it makes a nameless writable volume on every start",
    )
