"""A Dockerfile against the model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from taskflow_containers.contract import buildcontext
from taskflow_containers.contract.container import (
    LABEL_PREFIX,
    LABELS,
    asks_health,
    check_environment,
    full_name,
    health_paths,
    line_of,
    listens_elsewhere,
    starts_program,
    starts_shell,
)
from taskflow_containers.contract.instructions import Instruction, Stage, parse
from taskflow_containers.contract.level import Level, not_text, shown
from taskflow_containers.contract.secret import (
    COMMAND_PASSWORD,
    SECRET_NAME,
    TOKEN,
    is_secret,
    redacted,
)
from taskflow_containers.project.model import Container, Project
from taskflow_containers.report.result import Result


def check_dockerfile(root: Path, project: Project, name: str) -> list[Result]:
    """The final stage of a Dockerfile against its entry in the model."""
    container = project.containers[name]
    path = root / project.context(name) / "Dockerfile"
    relative = path.relative_to(root).as_posix()
    level = Level("dockerfile", name, relative)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        return [not_text(level, error)]
    except OSError:
        fix = f"write {relative}, or set containers.{name}.context in taskflow.toml"
        return [level.check("present", "Dockerfile is there", relative, "no such file", fix)]
    stages = parse(text)
    if not stages:
        fix = "start it with FROM ${BASE_IMAGE}"
        return [level.check("present", "Dockerfile has a stage", "FROM …", "no FROM", fix)]
    for item in (item for stage in stages for item in stage.instructions if item.endless):
        # The rest of the file is its text, so nothing else can be judged.
        fix = f"write {item.endless} in a line of its own where it ends, without blanks around it"
        measured = f"{written(item)} goes on to the end of the file"
        title, wanted = "every heredoc ends", f"a line {item.endless}"
        return [level.check("present", title, wanted, measured, fix, line=item.line)]
    results = list(_dockerfile(level, container, stages, text))
    absent = buildcontext.missing(path.parent, buildcontext.sources(stages))
    results.append(
        level.check(
            "sources",
            "what it copies is there",
            "nothing missing",
            shown([f"{redacted(source.path)} (of {written(source.item)})" for source in absent])
            if absent
            else "nothing missing",
            f"correct the path, which starts at {path.parent.relative_to(root).as_posix()}/, or add "
            "the file; what is built first belongs in a build stage, copied with --from",
            line=absent[0].item.line if absent else 0,
        )
    )
    return results


def _dockerfile(
    level: Level, container: Container, stages: list[Stage], text: str
) -> Iterator[Result]:
    final = stages[-1]
    yield level.check(
        "base",
        "base image",
        container.base,
        final.base,
        "make both agree: `base` in taskflow.toml and ARG BASE_IMAGE in the Dockerfile",
        passed=full_name(final.base) == full_name(container.base),
        line=final.line,
    )
    external = {stage.base for stage in stages} - {"scratch"}
    # The final stage's own image is judged above.
    known = {full_name(i) for i in (container.base, container.build_image, final.base)}
    strangers = {image for image in external if full_name(image) not in known}
    builders = {full_name(image) for image in external}
    own = _own_stages(stages)
    taken = [s for item in final.instructions for s in _sources(item) if s.lower() not in own]
    yield level.check(
        "stages",
        "multi-stage build from the declared images only",
        f"2 or more stages from {shown(sorted({container.base, container.build_image}))}",
        f"{len(stages)} from {shown(sorted(external))}"
        + ("" if taken else ", and the last takes nothing from another"),
        "build in a stage of its own, name its image as `builder` in taskflow.toml, and copy into the last "
        "stage what it needs: COPY --from",
        passed=bool(taken) and not strangers and full_name(container.build_image) in builders,
        line=stages[0].line,
    )
    user = final.last("USER")
    yield level.check(
        "user",
        "numeric runtime user",
        container.user,
        user.text if user else "root (no USER)",
        f"write USER {container.user} in the final stage; the kubelet refuses names",
        line=user.line if user else final.line,
    )
    exposed = [word for item in final.all("EXPOSE") for word in item.text.split()]
    ports = sorted({_port(word) for word in exposed})
    started = [item for item in (final.last("ENTRYPOINT"), final.last("CMD")) if item]
    elsewhere = listens_elsewhere(container, [w for item in started for w in item.exec_form or ()])
    yield level.check(
        "port",
        "exposed port",
        [str(container.port)],
        [*ports, *elsewhere],
        f"write EXPOSE {container.port}, and have the command listen there; or change `port` in taskflow.toml",
        line=next(
            (item.line for item in (started if elsewhere else final.all("EXPOSE"))), final.line
        ),
    )
    yield _command(level, final)
    yield from _healthcheck(level, container, final)
    yield from check_environment(level, container, final.environment, stages)
    volumes = final.all("VOLUME")
    yield level.check(
        "volumes",
        "no anonymous volume",
        "nothing",
        shown([item.text for item in volumes]),
        "remove VOLUME: it makes a nameless writable volume on every start",
        line=volumes[0].line if volumes else 0,
    )
    baked = _baked_secrets(stages)
    yield level.check(
        "secrets",
        "no secret written down",
        "nothing",
        shown([n for n, _ in baked]),
        "pass secrets when the container runs, or to a RUN with --mount=type=secret; what is written "
        "here stays in the image's history",
        line=baked[0][1] if baked else 0,
    )
    labels = {key: value for item in final.all("LABEL") for key, value in item.pairs.items()}
    missing = [label for label in LABELS if LABEL_PREFIX + label not in labels]
    stated = labels.get(f"{LABEL_PREFIX}base.name")
    if stated and full_name(stated) not in {full_name(container.base), full_name(final.base)}:
        missing.append(f"base.name {container.base}, for it says {stated}")
    yield level.check(
        "labels",
        "OCI labels",
        "all present",
        f"missing {shown(missing)}" if missing else "all present",
        f"add LABEL {LABEL_PREFIX}… for each",
        # Beside those that are there.
        line=line_of(final, "LABEL", labels),
    )
    names = {stage.name for stage in stages}
    remote = {
        item.line: f"{item.name} from {source}"
        for stage in stages
        for item in stage.instructions
        for source in _sources(item)
        if source.lower() not in names and not source.isdigit()
    }
    syntax = re.match(r"(?i)(?:\s*#\s*\w+\s*=[^\n]*\n)*?\s*#\s*syntax\s*=\s*(\S+)", text)
    yield level.check(
        "pulls",
        "pulls nothing beside its bases",
        "nothing",
        shown([*remote.values(), *([f"# syntax={syntax[1]}"] if syntax else [])]),
        "take it from a package in the build stage: a mirror or an air gap has only the bases",
        line=min(remote, default=1),
    )


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
    """The stages or images that a COPY, or a mount of a RUN, takes files from."""
    if item.name == "COPY":
        return re.findall(r"(?:^|\s)--from=(\S+)", item.text)
    if item.name == "ADD":
        return re.findall(
            r"(?:^|\s)\[?\"?((?:https?|git|ssh)://[^\s\",]+|git@[^\s\",]+)", item.text
        )
    if item.name == "RUN":
        mounts = re.findall(r"(?:^|\s)--mount=(\S+)", item.text)
        return [source for mount in mounts for source in re.findall(r"(?:^|,)from=([^,]+)", mount)]
    return []


def _command(level: Level, final: Stage) -> Result:
    found = [item for item in (final.last("ENTRYPOINT"), final.last("CMD")) if item]
    shell = [item for item in found if item.exec_form is None or starts_shell(item.exec_form)]
    return level.check(
        "command",
        "command in exec form",
        'CMD ["program", "argument"]',
        shown([redacted(f"{item.name} {item.text}") for item in shell or found]),
        "write a JSON array that starts with the program: a shell as PID 1 swallows SIGTERM",
        passed=starts_program([w for item in found for w in item.exec_form or ()]) and not shell,
        line=(shell or found)[0].line if found else final.line,
    )


def _healthcheck(level: Level, container: Container, final: Stage) -> Iterator[Result]:
    item = final.last("HEALTHCHECK")
    wanted = f":{container.port} and {' or '.join(health_paths(container))}"
    fix = (
        "let the interpreter ask, in exec form: "
        f'HEALTHCHECK CMD ["{container.kind.interpreter[0]}", …, '
        f'"http://127.0.0.1:{container.port}{container.health.live}"]'
    )
    words: list[str] = []
    if item:
        command = re.sub(r"^(--\S+\s+)*(CMD\s+)?", "", item.text, flags=re.IGNORECASE)
        words = Instruction(item.name, command, item.line).exec_form or []
    yield level.check(
        "healthcheck",
        "HEALTHCHECK asks the service",
        wanted,
        redacted(item.text) if item else "no HEALTHCHECK",
        fix,
        passed=asks_health(container, words, final.environment),
        line=item.line if item else final.line,
    )


def _baked_secrets(stages: list[Stage]) -> list[tuple[str, int]]:
    """What holds a secret, without the secret itself: the variable, or the instruction."""
    found: dict[tuple[str, int], None] = {}  # a stage holds what the stage it is built on does, too
    for item in (item for stage in stages for item in stage.instructions):
        for key, value in item.pairs.items():
            if is_secret(key, value) or (
                item.name == "ARG" and not value and SECRET_NAME.match(key)
            ):
                found[key, item.line] = None
        command = "" if item.pairs else f"{item.text}\n{item.body}"
        if TOKEN.search(command) or COMMAND_PASSWORD.search(command):
            found[f"{item.name} in line {item.line}", item.line] = None
    return list(found)


def written(item: Instruction) -> str:
    """An instruction as a report names it: short, and without what is secret."""
    text = redacted(f"{item.name} {item.text}")
    return text if len(text) <= 60 else f"{text[:59]}…"
