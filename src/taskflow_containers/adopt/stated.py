"""What a repository says of itself by Dockerfiles, compose files, Procfiles and manifests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from taskflow_containers.adopt.commands import LASTING, Command, of_shell, parse, split
from taskflow_containers.adopt.image_variables import Given, built_with, given
from taskflow_containers.adopt.images import kind_of_image
from taskflow_containers.adopt.installs import Install, found_in
from taskflow_containers.adopt.python_source import aside
from taskflow_containers.adopt.repository import Repository, join, normal, parent
from taskflow_containers.contract import instructions

SECRET = re.compile(
    r"(?!(?:NEXT_PUBLIC|VITE|REACT_APP|NUXT_PUBLIC)_)(?:.*_)?(?:PASSWORD|PASSWD|PASSPHRASE|SECRET(?:_?KEY|_BASE)?|TOKEN"
    r"|API_?KEY|ACCESS_KEY|AUTH_KEY|PRIVATE_KEY|CREDENTIALS?|DATABASE_URL)",
    re.IGNORECASE,
)
_COMPOSE = re.compile(r"(?:docker-)?compose(?:[.-][\w.-]+)?\.ya?ml")
_DOCKERFILE = re.compile(r"(?:.*\.)?(?:Dockerfile|Containerfile)(?:\..+)?", re.IGNORECASE)
_DEVELOPMENT = re.compile(
    r"(?:^|[._-])(?:dev|development|test|local|debug|ci|e2e)(?:[._-]|$)", re.IGNORECASE
)


# What an image gets for its build, or for what the template does in another way.
_TOOLS = re.compile(
    r"build-(?:essential|base)|gcc|g\+\+|make|cmake|curl|wget|git|gnupg2?|ca-certificates|lsb-release|apt-utils|unzip|zip|vim|nano"
    r"|less|bash|openssl|pkg-config|procps|netcat\S*|nc|iputils-ping|software-properties-common|tini|dumb-init|gosu|supervisor|nginx"
    r"|sudo|tzdata|musl-dev|linux-headers|python3?(?:\.\d+)?(?:-\S+)?|\S+-dev|\S+-dev(?:el)?|postgresql-client|libpq5?|jq|htop|tree|telnet|lsof|strace|net-tools|dnsutils"
)


_NO_COPIES: Mapping[str, str] = {}


def is_secret(name: str) -> bool:
    """Whether a variable's name says that its value is a secret; those of a page are public."""
    return bool(SECRET.fullmatch(name))


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """An existing Dockerfile: its final image's base, port and command, and what it copies."""

    path: str
    base: str
    base_where: str
    port: int = 0
    port_where: str = ""
    commands: tuple[Command, ...] = ()
    arguments: dict[str, str] = field(default_factory=dict)
    """Names to places."""
    sources: tuple[str, ...] = ()
    bases: tuple[tuple[str, str], ...] = ()
    """Every stage's image with its place."""
    system: tuple[str, ...] = ()
    """The distribution's packages that its last stage installs, but for what only a build needs."""
    system_where: str = ""
    installs: tuple[Install, ...] = ()
    """What its stages have a package manager install."""
    variables: Mapping[str, Given] = field(default_factory=dict)
    """What it sets for whoever runs the image, but for secrets."""
    workdir: str = ""
    built_with: Mapping[str, str] = field(default_factory=dict)
    """What its build has in its environment where nobody gives it more, but for secrets."""

    @property
    def runs_node(self) -> bool:
        """Whether its image is there for JavaScript."""
        return bool(re.search(r"(?:^|/)(?:node|nodejs\d*|bun)(?:[-:@]|$)", self.base))


@dataclass(frozen=True, slots=True)
class ComposeService:
    """A service of a compose file."""

    name: str
    where: str
    image: str = ""
    context: str = ""
    """The build's folder; "" where it is not built."""
    dockerfile: str = ""
    commands: tuple[Command, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    arguments: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Process:
    """A line of a Procfile or crontab, a program of supervisord's, or a CronJob of a manifest."""

    name: str
    folder: str
    command: Command
    schedule: str = ""


def commands_of(
    repository: Repository,
    text: Any,
    where: str,
    folder: str,
    copies: Mapping[str, str] = _NO_COPIES,
) -> tuple[Command, ...]:
    """The commands of a text or list of words; those of a shell script of the repository that it runs.

    `copies` are the places in the image of the files that it is given, with theirs in the repository.
    """
    if isinstance(text, list):
        words = [str(word) for word in text]
        # An entry point of `sh -c` takes one word, which is a line.
        lines = split(words[0]) if len(words) == 1 else of_shell(words) or [words]
    else:
        lines = split(str(text)) if isinstance(text, str) else []
    found: list[Command] = []
    for words in lines:
        found.append(parse(words, where))
        for word in words:
            if script := _script(repository, folder, copies.get(word) or word):
                text = repository.text(script)
                for number, line in enumerate(text.replace("\\\n", "  ").split("\n"), 1):
                    if not line.lstrip().startswith("#"):
                        found.extend(parse(one, f"{script}:{number}") for one in split(line))
    found = [one for one in found if one.words]
    # Of several commands only the last runs on, but for what a name says of.
    return tuple(
        one
        for one in found
        if one.kind != "other" or one is found[-1] or LASTING.search(" ".join(one.words))
    )


def run_by(
    repository: Repository,
    entrypoint: Any,
    command: Any,
    where: str,
    folder: str,
    copies: Mapping[str, str] = _NO_COPIES,
) -> list[Command]:
    """The commands of an entry point and what it is given: one command, or a script that runs the other."""
    if isinstance(command, str) and isinstance(entrypoint, list):
        command = [word for line in split(command) for word in line]
    own = isinstance(entrypoint, list) and not any(
        _script(repository, folder, copies.get(str(word)) or str(word)) for word in entrypoint
    )
    if own and isinstance(command, list):
        return [*commands_of(repository, [*entrypoint, *command], where, folder, copies)]
    both = (entrypoint, command)
    return [one for text in both for one in commands_of(repository, text, where, folder, copies)]


def _copies(stages: list[instructions.Stage]) -> dict[str, str]:
    """The single files that a Dockerfile copies to a place of their own: `COPY deploy/web/start /start`."""
    found = {}
    for stage in stages:
        for item in (*stage.all("COPY"), *stage.all("ADD")):
            words = _copied(item)
            if len(words) == 2 and words[1].startswith("/"):
                found[words[1]] = normal(words[0])
    return found


def _copied(item: instructions.Instruction) -> list[str]:
    """What a COPY or ADD takes from the build's folder, and last where to; [] of one from another stage."""
    words = [word for word in item.text.split() if not word.startswith("--")]
    return [] if "--from" in item.text else words


def _stages(repository: Repository, path: str) -> list[instructions.Stage]:
    """The stages of a Dockerfile; [] where none can be read."""
    try:
        return instructions.parse(repository.text(path))
    except (ValueError, IndexError, RecursionError):
        return []


def _script(repository: Repository, folder: str, word: str) -> str:
    """The shell script of the repository that a word of a command is, or ""."""
    name = re.sub(r"^(?:\./|/\w+/)", "", word)
    last = name.rsplit("/", 1)[-1]
    path = repository.first(folder, name, word.lstrip("./"), last, f"scripts/{name}")
    if not path and word.startswith("/"):  # COPY docker/start /start
        path = next((p for p in repository.below(folder, f"/{last}")), "")
    shell = word.endswith(".sh") or re.match(r"#!.*sh\b", repository.text(path) if path else "")
    return path if shell else ""


def dockerfiles(repository: Repository) -> list[Dockerfile]:
    """The Dockerfiles; one for development comes after the others."""
    paths = [p for p in repository.files if _DOCKERFILE.fullmatch(p.rsplit("/", 1)[-1])]
    paths = [
        p for p in paths if not p.endswith((".dockerignore", ".md", ".jinja")) and not aside(p)
    ]
    found = [one for p in paths if (one := _dockerfile(repository, p))]
    return sorted(found, key=lambda one: bool(_DEVELOPMENT.search(one.path.rsplit("/", 1)[-1])))


def _dockerfile(repository: Repository, path: str) -> Dockerfile | None:
    stages = _stages(repository, path)
    if not stages:
        repository.say("fault", "no stage that can be read: is it a Dockerfile?", path + ":1")
        return None
    final = stages[-1]
    arguments: dict[str, str] = {}
    for stage in stages:
        for item in stage.all("ARG"):
            arguments |= dict.fromkeys(item.pairs, f"{path}:{item.line}")
        for item in stage.all("ENV"):
            for name, value in item.pairs.items():
                if is_secret(name) and value and name not in arguments and "://" not in value:
                    repository.say(
                        "fault",
                        f"{name} is a secret by its name and has a value in the image",
                        f"{path}:{item.line}",
                    )
    for name in filter(is_secret, arguments):
        repository.say(
            "fault",
            f"the secret {name} is a build argument, which the image's history shows to everybody: "
            "give it at run time, or by `RUN --mount=type=secret`",
            arguments[name],
        )
    commands: list[Command] = []
    for stage in reversed(stages):
        runs = [stage.last("ENTRYPOINT"), stage.last("CMD")]
        lines = [run.line for run in runs if run]
        texts = [(run.exec_form or run.text) if run else None for run in runs]
        where = f"{path}:{max(lines)}" if lines else path
        commands += run_by(repository, texts[0], texts[1], where, parent(path), _copies(stages))
    exposed = final.last("EXPOSE")
    port = re.match(r"[0-9]{1,5}(?![0-9])", exposed.text) if exposed else None
    copied = [word for item in final.all("COPY") for word in _copied(item)[:-1]]
    base_where = f"{path}:{final.line}"
    bases = tuple((stage.base, f"{path}:{stage.line}") for stage in stages)
    development = _DEVELOPMENT.search(path.rsplit("/", 1)[-1])
    variables = {} if development else given(final, repository.text(path), path)
    built = {} if development else built_with(stages)
    installed = [(name, item.line) for item in final.all("RUN") for name in _system(item.text)]
    return Dockerfile(
        path,
        final.base,
        base_where,
        int(port[0]) if port else 0,
        f"{path}:{exposed.line}" if exposed else "",
        tuple(commands),
        arguments,
        tuple(copied),
        bases,
        tuple(dict.fromkeys(name for name, _ in installed)),
        f"{path}:{installed[0][1]}" if installed else "",
        found_in(stages, path),
        {n: v for n, v in variables.items() if not is_secret(n)},
        workdir.text if (workdir := final.last("WORKDIR")) else "",
        {n: v for n, v in built.items() if not is_secret(n)},
    )


def _system(text: str) -> list[str]:
    """The packages that a RUN has apt or apk install and that are no mere tools of the build."""
    found: list[str] = []
    for match in re.finditer(
        r"\b(?:apt(?:-get)?\s[^&;|]*?install|apk\s[^&;|]*?add)\s([^&;|]*)", text
    ):
        words = [word.split("=")[0] for word in match[1].replace("\\", " ").split()]
        found += [w for w in words if re.fullmatch(r"[a-z][\w.+-]+", w) and not _TOOLS.fullmatch(w)]
    return found


def compose_files(repository: Repository) -> list[str]:
    """The compose files, with those at the top and those that are not for development first."""
    found = [
        p for p in repository.files if _COMPOSE.fullmatch(p.rsplit("/", 1)[-1]) and not aside(p)
    ]
    return sorted(found, key=lambda p: (p.count("/"), bool(_DEVELOPMENT.search(p)), len(p)))


def compose(repository: Repository) -> list[ComposeService]:
    """The services of all compose files; of those with one name the first file's."""
    found: dict[str, ComposeService] = {}
    for path in compose_files(repository):
        services = repository.data(path).get("services")
        for name, service in services.items() if isinstance(services, dict) else ():
            if not isinstance(service, dict):
                continue
            # Variants of one file may start another database, or queue, under the same name.
            kind = kind_of_image(str(service.get("image", "")))
            if (key := f"{name} {kind}" if kind else str(name)) not in found:
                found[key] = _service(repository, path, str(name), service)
    return [*found.values()]


def _service(
    repository: Repository, path: str, name: str, service: dict[str, Any]
) -> ComposeService:
    build = service.get("build")
    context = build.get("context", ".") if isinstance(build, dict) else build
    folder = normal(join(parent(path), str(context))) or "." if context else ""
    dockerfile = (
        str(build.get("dockerfile", "Dockerfile")) if isinstance(build, dict) else "Dockerfile"
    )
    dockerfile = normal(join(folder, dockerfile)) if folder else ""
    where = repository.at(path, "services", f"{name}:")
    commands = run_by(
        repository,
        service.get("entrypoint"),
        service.get("command"),
        repository.at(path, f"{name}:", "command:" if "command" in service else "entrypoint:"),
        folder or parent(path),
        _copies(_stages(repository, dockerfile)) if dockerfile else {},
    )
    ports = [
        _target(port) for port in _listed(service.get("ports")) + _listed(service.get("expose"))
    ]
    arguments = build.get("args") if isinstance(build, dict) else None
    given_to_build = _pairs(arguments)
    for secret in filter(is_secret, given_to_build):
        repository.say(
            "fault",
            f"the secret {secret} is a build argument, which the image's history shows to everybody: "
            "give it at run time, or by a build secret",
            repository.at(path, f"{name}:", "args", secret),
        )
    return ComposeService(
        name,
        where,
        by_default(str(service.get("image", ""))),
        folder,
        dockerfile,
        tuple(commands),
        _pairs(service.get("environment")),
        tuple(filter(None, ports)),
        given_to_build,
    )


def by_default(text: str) -> str:
    """A text of a compose file where nobody sets a variable that has a default there."""
    return re.sub(r"\$\{\w+:?-([^}]*)\}", r"\1", text)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _pairs(value: Any) -> dict[str, str]:
    """A mapping, or a list of NAME=value."""
    if isinstance(value, dict):
        return {str(k): "" if v is None else str(v) for k, v in value.items()}
    pairs = (str(one).partition("=") for one in _listed(value))
    return {key: text for key, _, text in pairs}


def _target(port: Any) -> int:
    if isinstance(port, dict):
        port = port.get("target")
    match = re.search(r"(?<![0-9])([0-9]{1,5})(?:/\w+)?$", str(port))
    return int(match[1]) if match else 0


def scripts(repository: Repository) -> Iterator[Process]:
    """The servers that a package.json's scripts start: people put `uvicorn` beside `next dev`."""
    for path in repository.below(".", "package.json"):
        listed = repository.data(path).get("scripts")
        for name, text in listed.items() if isinstance(listed, dict) else ():
            where = repository.at(path, '"scripts"', f'"{name}"')
            for command in commands_of(repository, text, where, parent(path)):
                if command.kind == "server":
                    yield Process("", parent(path), command)
