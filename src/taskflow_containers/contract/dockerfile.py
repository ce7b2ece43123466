"""A Dockerfile against the model: what its text says for sure, before anything is built."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from taskflow_containers.contract.container import (
    LABEL_PREFIX,
    LABELS,
    check_environment,
    full_name,
    health_command,
    line_of,
    runs,
)
from taskflow_containers.contract.instructions import Instruction, Stage, exec_form, parse
from taskflow_containers.contract.level import Level, not_text, shown
from taskflow_containers.project.model import Container, Project
from taskflow_containers.report.result import Result


def check_dockerfile(root: Path, project: Project, name: str) -> list[Result]:
    """The stages of a Dockerfile against its entry in the model."""
    container = project.containers[name]
    relative = project.dockerfile(name)
    path, level = root / relative, Level("dockerfile", name, relative)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        return [not_text(level, error)]
    except OSError:
        fix = f"write {relative}, or set containers.{name}.dockerfile (or its context) in taskflow.toml"
        return [level.check("present", "Dockerfile is there", relative, "no such file", fix)]
    stages = parse(text)
    if not stages:
        fix = "start it with FROM ${BASE_IMAGE}"
        return [level.check("present", "Dockerfile has a stage", "FROM …", "no FROM", fix)]
    final = stages[-1]
    return [
        *_images(level, container, stages),
        *_configuration(level, container, final),
        *check_environment(level, container, final.environment, stages),
        _labels(level, container, final),
        _pulls(level, stages, text),
    ]


def _images(level: Level, container: Container, stages: list[Stage]) -> Iterator[Result]:
    """Which images it is made of."""
    final = stages[-1]
    yield level.check(
        "base", "base image", container.base, final.base,
        "make both agree: `base` in taskflow.toml and ARG BASE_IMAGE in the Dockerfile",
        passed=full_name(final.base) == full_name(container.base), line=final.line,
    )  # fmt: skip
    external = {stage.base for stage in stages} - {"scratch"}
    # The final stage's own image is judged above.
    known = {full_name(i) for i in (container.base, container.build_image, final.base)}
    strangers = {image for image in external if full_name(image) not in known}
    builders = {full_name(image) for image in external}
    own = _own_stages(stages)
    taken = [s for item in final.instructions for s in _sources(item) if s.lower() not in own]
    yield level.check(
        "stages", "multi-stage build from the declared images only",
        f"2 or more stages from {shown(sorted({container.base, container.build_image}))}",
        f"{len(stages)} from {shown(sorted(external))}"
        + ("" if taken else ", and the last takes nothing from another"),
        "build in a stage of its own, name its image as `builder` in taskflow.toml, and copy into the last "
        "stage what it needs: COPY --from",
        passed=bool(taken) and not strangers and full_name(container.build_image) in builders,
        line=stages[0].line,
    )  # fmt: skip


def _configuration(level: Level, container: Container, final: Stage) -> Iterator[Result]:
    """What the final stage says of how the container runs."""
    user = final.last("USER")
    yield level.check(
        "user", "numeric runtime user", container.user, user.text if user else "root (no USER)",
        f"write USER {container.user} in the final stage; the kubelet refuses names",
        line=user.line if user else final.line,
    )  # fmt: skip
    exposes = final.all("EXPOSE")
    yield level.check(
        "port", "exposed port", [str(container.port)] if container.port else [],
        sorted({_port(word) for item in exposes for word in item.text.split()}),
        f"write EXPOSE {container.port}, or change `port` in taskflow.toml" if container.port
        else f"take EXPOSE away: a {container.kind} has no port",
        line=exposes[0].line if exposes else final.line,
    )  # fmt: skip
    started = [item for item in (final.last("ENTRYPOINT"), final.last("CMD")) if item]
    in_shell = [item for item in started if item.exec_form is None]
    wanted = f"CMD {json.dumps(container.command)}" if container.command else ""
    words = [word for item in started for word in item.exec_form or ()]
    yield level.check(
        "command", "command in exec form", wanted or 'CMD ["program", "argument"]',
        shown([_form(item.name, item.text) for item in in_shell or started]),
        (f"write {wanted}, or change `command` in taskflow.toml" if wanted and not in_shell else
         "write a JSON array that starts with the program: the shell form's shell, as process 1, "
         "keeps SIGTERM from it"),
        passed=any(item.exec_form for item in started) and not in_shell and runs(container, words),
        line=(in_shell or started)[0].line if started else final.line,
    )  # fmt: skip
    yield _healthcheck(level, container, final)
    volumes = final.all("VOLUME")
    yield level.check(
        "volumes", "no anonymous volume", "nothing", shown([item.text for item in volumes]),
        "remove VOLUME: it makes a nameless writable volume on every start",
        line=volumes[0].line if volumes else 0,
    )  # fmt: skip


def _healthcheck(level: Level, container: Container, final: Stage) -> Result:
    health = final.last("HEALTHCHECK")
    text = re.sub(r"(?i)^(--\S+\s+)*(CMD\s+)?", "", health.text) if health else ""
    said = _form("HEALTHCHECK", text) if health else "no HEALTHCHECK"
    line = health.line if health else final.line
    if container.kind.serves:
        return level.check(
            "healthcheck", "HEALTHCHECK in exec form", 'HEALTHCHECK CMD ["program", "argument"]',
            said, f'write HEALTHCHECK CMD ["{container.interpreter[0]}", …, '
            f'"http://127.0.0.1:{container.port}{container.health.live}"]: no shell, no curl',
            passed=bool(exec_form(text)), line=line,
        )  # fmt: skip
    _, *command = health_command(container) or [""]
    wanted = f"HEALTHCHECK CMD {json.dumps(command)}" if command else "no HEALTHCHECK"
    asks = [] if text.upper() in {"", "NONE"} else exec_form(text)
    return level.check(
        "healthcheck", "HEALTHCHECK is health.command", wanted, said,
        f"write {wanted}, or change health in taskflow.toml" if command
        else "take it away, or state it as health.command of a worker in taskflow.toml",
        passed=asks == command, line=line,
    )  # fmt: skip


def _labels(level: Level, container: Container, final: Stage) -> Result:
    labels = {key: value for item in final.all("LABEL") for key, value in item.pairs.items()}
    missing = [label for label in LABELS if LABEL_PREFIX + label not in labels]
    stated = labels.get(f"{LABEL_PREFIX}base.name")
    if stated and full_name(stated) not in {full_name(container.base), full_name(final.base)}:
        missing.append(f"base.name {container.base}, for it says {stated}")
    return level.check(
        "labels",
        "OCI labels",
        "all present",
        f"missing {shown(missing)}" if missing else "all present",
        f"add LABEL {LABEL_PREFIX}… for each",
        # Beside those that are there.
        line=line_of(final, "LABEL", labels),
    )


def _pulls(level: Level, stages: list[Stage], text: str) -> Result:
    names = {stage.name for stage in stages}
    remote = {
        item.line: f"{item.name} from {source}"
        for stage in stages
        for item in stage.instructions
        for source in _sources(item)
        if source.lower() not in names and not source.isdigit()
    }
    syntax = re.match(r"(?i)(?:\s*#\s*\w+\s*=[^\n]*\n)*?\s*#\s*syntax\s*=\s*(\S+)", text)
    return level.check(
        "pulls", "pulls nothing beside its bases", "nothing",
        shown([*remote.values(), *([f"# syntax={syntax[1]}"] if syntax else [])]),
        "take it from a package in the build stage: a mirror or an air gap has only the bases",
        line=min(remote, default=1),
    )  # fmt: skip


def _own_stages(stages: list[Stage]) -> set[str]:
    """The names and numbers of the final stage and of those that it is built on."""
    found: set[str] = set()
    stage: Stage | None = stages[-1]
    while stage:
        found |= {stage.name, str(stages.index(stage))}
        parent = stage.image.lower()
        stage = next((s for s in stages if s.name == parent and parent not in found), None)
    return found


def _port(word: str) -> str:
    """A port of EXPOSE as it is written shortest: TCP goes without saying, and 80-80 is 80."""
    return re.sub(r"^(\d+)-\1(?=/|$)", r"\1", word.lower().removesuffix("/tcp"))


def _sources(item: Instruction) -> list[str]:
    """The stages or images that a COPY, or a mount of a RUN, takes files from; the URLs of an ADD."""
    if item.name == "COPY":
        return re.findall(r"(?:^|\s)--from=(\S+)", item.text)
    if item.name == "ADD":
        url = r"(?:^|\s)\[?\"?((?:https?|git|ssh)://[^\s\",]+|git@[^\s\",]+)"
        return [re.sub(r"//[^/@]*@", "//…@", found) for found in re.findall(url, item.text)]
    if item.name == "RUN":
        mounts = re.findall(r"(?:^|\s)--mount=(\S+)", item.text)
        return [source for mount in mounts for source in re.findall(r"(?:^|,)from=([^,]+)", mount)]
    return []


def _form(name: str, text: str) -> str:
    """An instruction as a report names it: a command line may hold a secret."""
    words = exec_form(text)
    if words is None:
        return f"{name} {text}" if text.upper() == "NONE" else f"{name} in shell form"
    return f'{name} ["{words[0]}", …]' if words else f"{name} []"
