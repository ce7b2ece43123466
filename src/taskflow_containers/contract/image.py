"""A built image's config against the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from taskflow_containers.contract.container import (
    LABEL_PREFIX,
    LABELS,
    check_environment,
    health_command,
    runs,
)
from taskflow_containers.contract.level import Level, shown
from taskflow_containers.project.model import Container, Project
from taskflow_containers.report.result import Result


def check_image(
    project: Project, name: str, config: Mapping[str, Any], native: str
) -> list[Result]:
    """A built image's config (as `Engine.image_config` gives it) against the model.

    `native` is the engine's platform, which an image has unless the model says otherwise.
    """
    container = project.containers[name]
    level = Level("image", name, project.image(name))
    return [*_image(level, container, config), _platform(level, project, config, native)]


def _platform(level: Level, project: Project, config: Mapping[str, Any], native: str) -> Result:
    wanted = project.build.platforms or ((native,) if native else ())
    measured = str(config.get("Platform") or "")
    return level.check(
        "platform", "image platform", " or ".join(wanted) or "any", measured,
        "build it for that platform, or name the other one in taskflow.toml: "
        f'[build] platforms = ["{measured}"]',
        passed=not wanted or measured in wanted,
    )  # fmt: skip


def _image(level: Level, container: Container, config: Mapping[str, Any]) -> Iterator[Result]:
    rebuild = "mend the Dockerfile and build again"
    yield level.check("user", "image user", container.user, config.get("User") or "root", rebuild)
    yield level.check(
        "port", "image port", [f"{container.port}/tcp"] if container.port else [],
        sorted(config.get("ExposedPorts") or {}), rebuild,
    )  # fmt: skip
    shell = config.get("Shell") or ["/bin/sh", "-c"]
    started = {key: config[key] for key in ("Entrypoint", "Cmd") if config.get(key)}
    in_shell = [key for key, words in started.items() if words[: len(shell)] == shell]
    wanted = f"a program, {shown(container.command)}" if container.command else "a program"
    right = runs(container, [word for words in started.values() for word in words])
    said = wanted if right else "another program"
    yield level.check(
        "command", "image command in exec form", wanted,
        f"{shown(in_shell)} in shell form" if in_shell else said if started else "nothing",
        rebuild,
    )  # fmt: skip
    test = (config.get("Healthcheck") or {}).get("Test") or []
    if container.kind.serves:
        yield level.check(
            "healthcheck", "image health check in exec form", "CMD", test[0] if test else "none",
            rebuild,
        )  # fmt: skip
    else:
        command, test = health_command(container), [] if test == ["NONE"] else test
        yield level.check(
            "healthcheck", "image health check is health.command", shown(command) or "none",
            shown(command if test == command else test[:2]) or "none", rebuild,
            passed=test == command,
        )  # fmt: skip
    environment = dict(str(item).partition("=")[::2] for item in config.get("Env") or [])
    yield from check_environment(level, container, environment)
    labels = config.get("Labels") or {}
    missing = [label for label in LABELS if not labels.get(LABEL_PREFIX + label)]
    yield level.check(
        "labels", "image labels", "all set", f"empty: {shown(missing)}" if missing else "all set",
        "`nox -s build` sets them; the Dockerfile must declare them",
    )  # fmt: skip
    yield level.check(
        "volumes", "no anonymous volume", "nothing", shown(sorted(config.get("Volumes") or {})),
        "remove VOLUME: it makes a nameless writable volume on every start",
    )  # fmt: skip
