"""The contract: Dockerfile, .dockerignore, compose file and built image against taskflow.toml."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from automation import buildcontext, dockerignore
from automation.dockerfile import Instruction, Stage, parse
from automation.model import Container, Kind, Project
from automation.results import Result, judge

LABEL_PREFIX = "org.opencontainers.image."
LABELS = ("title", "version", "revision", "created", "source", "base.name")
SECRET_NAME = re.compile(
    # GPG_KEY is in the official Python images: the fingerprint their source is signed with.
    # Nor is a public key one, nor what says where a secret is, how long it lives or how it is made.
    r"^(?!GPG_KEY$|(.*[_.-])?(PUBLIC|PUBLISHABLE)[_.-]KEYS?$|((.*[_.-])?(MAX|MIN)[_.-](\w+_)?TOKENS)$"
    r"|.*_(FILE|PATH|DIR|URI|TTL|PREFIX|LENGTH|SIZE|TIMEOUT|NAME|HEADER|ALGORITHM)$"
    r"|.*[_.-](HASHER|VERSION|ROTATION|TYPE|POLICY|EXPIRY|LIMIT|(EXPIRES?_)?(MINUTES|SECONDS|HOURS|DAYS))$)"
    r"(.*[_.-])?(KEY|(?<=[_.-])KEYS|APIKEY|\w*TOKENS?|\w*PASS(WORD|WD|PHRASE)S?|PASS|PWD|PAT|\w*SECRETS?|CREDENTIALS?)([_.-](?!URL$)\w+)?$"
    r"|^.*DATABASE_URL$",
    re.IGNORECASE,
)
# A number is no secret, unless somebody chose it as a password.
_HARMLESS = re.compile(r"true|false|yes|no|on|off|\d{1,9}(\.\d{1,9})?", re.IGNORECASE)
_CHOSEN = re.compile(r".*(PASS|PASSWORD|PASSWD|PASSPHRASE|PWD|PIN|SECRET)", re.IGNORECASE)
# What gives itself away, whatever its name. A shell command may speak of npm_config_….
TOKEN = re.compile(
    r"\b(?:(?:gh[pousr]_|npm_|npg_|hf_|sk-|AKIA|ASIA)[A-Za-z0-9]{12,}"
    r"|(?:github_pat_|glpat-|sk-or-v1-|sk-ant-|sk-proj-|[sr]k_live_|dckr_pat_|pypi-AgE|AIza|xox[abprs]-)[\w-]{12,}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}|(?i:Bearer)\s+[\w.~+/-]{20,})"
    r"|-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY"
)
_URL_PASSWORD = re.compile(r"://[^/\s:@]*:[^/\s@$]+@")
# A build may need an address to parse, of a server that is not there.
_COMMAND_PASSWORD = re.compile(_URL_PASSWORD.pattern + r"(?!localhost\b|127\.|\[::1\])")


def _is_secret(name: str, value: str) -> bool:
    """Whether a variable or a label holds a secret, by its name or its value."""
    named = SECRET_NAME.match(name) and not (
        _HARMLESS.fullmatch(value) and not (_CHOSEN.fullmatch(name) and value[:1].isdigit())
    )
    return bool(value and (named or TOKEN.search(value) or _URL_PASSWORD.search(value)))


# What must never reach a build context: history, secrets, local environments, caches.
_MUST_IGNORE: dict[Kind, tuple[str, ...]] = {
    Kind.BACKEND: (
        ".git/config",
        ".env",
        ".env.local",
        ".venv/bin/python",
        "src/.env",
        "src/app/.env.local",
        "src/app/key.pem",
        "src/__pycache__/a.pyc",
        ".env.production",
        ".git/HEAD",
    ),
    Kind.FRONTEND: (
        ".git/config",
        ".env",
        ".env.local",
        "node_modules/next/a.js",
        ".next/cache/a",
        "src/.env",
        "src/app/.env.local",
        "src/app/key.pem",
        ".env.production",
        ".git/HEAD",
    ),
}
# What an exception must not let in again, by the last part of its name.
_SECRET_FILE = re.compile(
    r"\.env(\.(?!example$|sample$|template$).*)?|[^.].*\.env|id_(rsa|dsa|ecdsa|ed25519)"
    r"|[._]netrc|\.pgpass|\.pypirc|\.git-credentials|\.htpasswd|.*\.(key|p12|pfx|jks|keystore)|.*key\.pem"
    r"|([\w.-]*[._-])?(secrets?|credentials|service[_-]account)([._-]\w+)*\.(json|ya?ml|toml|ini|txt)",
    re.IGNORECASE,
)
_SECRET_FOLDER = re.compile(r"(^|/)\.(git|ssh|aws|gnupg|docker|kube)(/|$)")
# A wildcard of an exception stands for names such as these.
_SECRET_FILES = (
    "id_rsa", "id_ed25519", ".netrc", ".pgpass", ".pypirc", ".git-credentials", ".ssh/id_rsa",
    ".aws/credentials", "secrets.json", "credentials.json", "server.key",
)  # fmt: skip
# What must reach the build, where it is there and an instruction takes the folder it lies in.
_MUST_KEEP: dict[Kind, tuple[str, ...]] = {
    Kind.BACKEND: ("requirements.txt", "src/app/main.py"),
    Kind.FRONTEND: (
        "package.json",
        "package-lock.json",
        "tsconfig.json",
        "next.config.ts",
        "next.config.mjs",
        "next.config.js",
        "src/app/page.tsx",
        "app/page.tsx",
        "src",
        "server",
        "public",
    ),
}
# The files of which a service is made, by folder; tests, notes and what is hidden may stay out.
_PARTS: dict[Kind, Mapping[str, str]] = {
    Kind.BACKEND: {"src": r".*\.py"},
    Kind.FRONTEND: {
        "src": r".*\.([cm]?[jt]sx?|css|json)",
        "server": r".*\.[cm]?js",
        "public": r".*(?<!\.md)",
    },
}
_NO_PART = re.compile(
    r"(^|/)(\.[^/]*|__tests__|__mocks__|__pycache__|tests?)(/|$)|(^|/)(test_[^/]*|conftest)\.py$"
    r"|[._](test|spec|stories)\.\w+$|\.d\.ts$",
    re.IGNORECASE,
)


def shown(value: object) -> str:
    """A value as a person reads it: lists with commas, `nothing` for what is empty."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (set, frozenset, list, tuple)):
        return ", ".join(str(item) for item in value) or "nothing"
    return str(value) if value not in (None, "") else "nothing"


class Level:
    """Makes the results of one level for one container: same container, same file, same prefix."""

    def __init__(self, level: str, container: str, file: str) -> None:
        self.level = level
        self.container = container
        self.file = file

    def check(
        self,
        id: str,
        title: str,
        expected: object,
        measured: object,
        fix: str,
        *,
        passed: bool | None = None,
        line: int = 0,
    ) -> Result:
        """Passed when both values are equal, unless `passed` says otherwise."""
        return judge(
            f"contract.{self.level}.{id}",
            title,
            expected == measured if passed is None else passed,
            container=self.container,
            expected=shown(expected),
            measured=shown(measured),
            fix=fix,
            location=f"{self.file}:{line}" if line else self.file,
        )


def check_text(root: Path, project: Project, names: Iterable[str]) -> list[Result]:
    """The text levels of the named containers: Dockerfile, .dockerignore, compose file."""
    from automation import composecontract  # it is built on this module

    results: list[Result] = []
    for name in names:
        results += check_dockerfile(root, project, name)
        results += check_dockerignore(root, project, name)
    results += composecontract.check_compose(root, project, names)
    return results


def check_dockerfile(root: Path, project: Project, name: str) -> list[Result]:
    """The final stage of a Dockerfile against its entry in the model."""
    container = project.containers[name]
    path = root / project.context(name) / "Dockerfile"
    relative = path.relative_to(root).as_posix()
    level = Level("dockerfile", name, relative)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        return [_not_text(level, error)]
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
        measured = f"{_written(item)} goes on to the end of the file"
        title, wanted = "every heredoc ends", f"a line {item.endless}"
        return [level.check("present", title, wanted, measured, fix, line=item.line)]
    results = list(_dockerfile(level, container, stages, text))
    absent = buildcontext.missing(path.parent, buildcontext.sources(stages))
    results.append(
        level.check(
            "sources",
            "what it copies is there",
            "nothing missing",
            shown([f"{_redacted(source.path)} (of {_written(source.item)})" for source in absent])
            if absent
            else "nothing missing",
            f"correct the path, which starts at {path.parent.relative_to(root).as_posix()}/, or add "
            "the file; what is built first belongs in a build stage, copied with --from",
            line=absent[0].item.line if absent else 0,
        )
    )
    return results


def _written(item: Instruction) -> str:
    text = _redacted(f"{item.name} {item.text}")
    return text if len(text) <= 60 else f"{text[:59]}…"


def _redacted(text: str) -> str:
    """A text for a report, which must not repeat a secret."""
    return _URL_PASSWORD.sub("://…@", TOKEN.sub("…", text))


def _not_text(level: Level, error: UnicodeDecodeError) -> Result:
    measured = f"byte {error.object[error.start]:#04x} at {error.start}"
    return level.check("present", "file is text", "UTF-8", measured, "save it as UTF-8")


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
    yield level.check(
        "stages",
        "multi-stage build from the declared images only",
        f"2 or more stages from {shown(sorted({container.base, container.build_image}))}",
        f"{len(stages)} from {shown(sorted(external))}",
        "build in a stage of its own, and name its image as `builder` in taskflow.toml",
        passed=len(stages) > 1 and not strangers and full_name(container.build_image) in builders,
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
    yield level.check(
        "port",
        "exposed port",
        [str(container.port)],
        ports,
        f"write EXPOSE {container.port}, or change `port` in taskflow.toml",
        line=next((item.line for item in final.all("EXPOSE")), final.line),
    )
    yield _command(level, final)
    yield from _healthcheck(level, container, final)
    yield from _environment(level, container, final.environment, final)
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
    labels = {key for item in final.all("LABEL") for key in item.pairs}
    missing = [label for label in LABELS if LABEL_PREFIX + label not in labels]
    yield level.check(
        "labels",
        "OCI labels",
        "all present",
        f"missing {shown(missing)}" if missing else "all present",
        f"add LABEL {LABEL_PREFIX}… for each",
        # Beside those that are there.
        line=_line(final, "LABEL", labels),
    )
    names = {stage.name for stage in stages}
    remote = {
        item.line: f"{item.name} from {source}"
        for stage in stages
        for item in stage.instructions
        for source in _sources(item)
        if source.lower() not in names and not source.isdigit()
    }
    syntax = re.match(r"(?i)(?:\s*#[^\n]*\n)*?\s*#\s*syntax\s*=\s*(\S+)", text)
    yield level.check(
        "pulls",
        "pulls nothing beside its bases",
        "nothing",
        shown([*remote.values(), *([f"# syntax={syntax[1]}"] if syntax else [])]),
        "take it from a package in the build stage: a mirror or an air gap has only the bases",
        line=min(remote, default=1),
    )


def full_name(image: str) -> str:
    """An image's name as an engine completes it: with Docker Hub's host, and a tag."""
    first, slash, _ = image.partition("/")
    if not slash or not (set(first) & {".", ":"} or first == "localhost"):
        image = f"docker.io/{image}"
    image = re.sub(r"^(index\.)?docker\.io/", "docker.io/", image)
    image = re.sub(r"^docker\.io/(?=[^/]+$)", "docker.io/library/", image)
    return image if re.search(r"[:@]", image.rpartition("/")[2]) else f"{image}:latest"


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
        shown([_redacted(f"{item.name} {item.text}") for item in shell or found]),
        "write a JSON array that starts with the program: a shell as PID 1 swallows SIGTERM",
        passed=_starts_program([w for item in found for w in item.exec_form or ()]) and not shell,
        line=(shell or found)[0].line if found else final.line,
    )


_SHELL = re.compile(r"(.*/)?(ba|da|a|k|z|c|tc|fi)?sh")
# They start what follows them and take its place, or its parent's.
_WRAPPER = re.compile(
    r"(.*/)?(tini(-static)?|dumb-init|catatonit|docker-init|env|exec|busybox|nice)"
)
_OPERAND = re.compile(r"[-+].*|\w+=.*|\d+|SIG[A-Z]+", re.DOTALL)


def _starts_program(command: list[str]) -> bool:
    """Whether its first word can name a program."""
    return bool(command) and bool(command[0].strip())


def starts_shell(command: list[str]) -> bool:
    """Whether a shell comes first, alone or behind an init, or runs a `-c` further on.

    A script that ends in exec comes as a program of its own, and is none of these.
    """
    rest = iter(command)
    first = next(rest, "")
    while _WRAPPER.fullmatch(first):
        first = next((word for word in rest if not _OPERAND.fullmatch(word)), "")
    return bool(_SHELL.fullmatch(first)) or any(
        _SHELL.fullmatch(word) and _takes_commands(command[index + 1 :])
        for index, word in enumerate(command)
    )


def _takes_commands(options: list[str]) -> bool:
    """Whether `-c` is among the options, of which `-o` has a name behind it."""
    named = False
    for option in options:
        if re.fullmatch(r"-\w*c", option):
            return True
        if not named and option[:1] not in {"-", "+"}:
            return False
        named = not named and bool(re.fullmatch(r"[-+]\w*[oO]|--(rcfile|init-file)", option))
    return False


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
        _redacted(item.text) if item else "no HEALTHCHECK",
        fix,
        passed=asks_health(container, words, final.environment),
        line=item.line if item else final.line,
    )


def health_paths(container: Container) -> list[str]:
    """Where a container answers for its health."""
    return sorted({container.health.live, container.health.ready})


# A URL of the container itself; its port may come from the interpreter, not from a shell.
_OWN_URL = re.compile(
    r"https?://(?:127\.0\.0\.1|0\.0\.0\.0|localhost|\[::1?\]):"
    r"(?:(\d+)|\$?\{(?:process\.env|(?:os\.)?(?:environ|getenv))(?:\.get)?[\[(.]?['\"]?(\w+)[^{}]*\})"
    r"(/[^\s\"'`),?#]*)"
)


def asks_health(
    container: Container, words: list[str], environment: Mapping[str, str] | None = None
) -> bool:
    """Whether an exec-form command has the interpreter ask this port on a path of the model."""
    if not words or Path(words[0]).name.rstrip("0123456789.") != container.kind.interpreter[0]:
        return False
    return any(
        (number or (environment or {}).get(variable)) == str(container.port)
        and path in health_paths(container)
        for number, variable, path in _OWN_URL.findall(" ".join(words))
    )


def _environment(
    level: Level, container: Container, environment: Mapping[str, str], stage: Stage | None = None
) -> Iterator[Result]:
    # A kind's server listens on PORT where that is set, whatever EXPOSE says.
    listens = {"PORT": str(container.port)} if "PORT" in environment else {}
    fixed = listens | container.environment.fixed
    measured = {key: environment.get(key, "not set") for key in fixed}
    yield level.check(
        "environment",
        "fixed environment",
        [f"{key}={value}" for key, value in fixed.items()],
        [f"{key}={value}" for key, value in measured.items()],
        "set each in the final stage with ENV, or change environment.fixed, or port, in taskflow.toml",
        line=_line(stage, "ENV", [key for key in fixed if fixed[key] != measured[key]]),
    )
    open_names = (*container.environment.required, *container.environment.optional)
    baked = [key for key in open_names if environment.get(key)]
    yield level.check(
        "run-time-environment",
        "run-time variables left open",
        "nothing baked in",
        shown(baked) if baked else "nothing baked in",
        "remove the ENV: one image serves every environment",
        line=_line(stage, "ENV", baked),
    )


def _line(stage: Stage | None, name: str, keys: Iterable[str] = ()) -> int:
    """Where a stage last gives one of the keys a value; else where it starts."""
    if stage is None:
        return 0
    wanted = set(keys)
    lines = [item.line for item in stage.all(name) if wanted & item.pairs.keys()]
    return lines[-1] if lines else stage.line


def _baked_secrets(stages: list[Stage]) -> list[tuple[str, int]]:
    """What holds a secret, without the secret itself: the variable, or the instruction."""
    found: dict[tuple[str, int], None] = {}  # a stage holds what the stage it is built on does, too
    for item in (item for stage in stages for item in stage.instructions):
        for key, value in item.pairs.items():
            if _is_secret(key, value) or (
                item.name == "ARG" and not value and SECRET_NAME.match(key)
            ):
                found[key, item.line] = None
        command = "" if item.pairs else f"{item.text}\n{item.body}"
        if TOKEN.search(command) or _COMMAND_PASSWORD.search(command):
            found[f"{item.name} in line {item.line}", item.line] = None
    return list(found)


def check_dockerignore(root: Path, project: Project, name: str) -> list[Result]:
    """What a .dockerignore keeps out of, and must not keep out of, the build context."""
    container = project.containers[name]
    folder = root / project.context(name)
    path = folder / ".dockerignore"
    level = Level("dockerignore", name, path.relative_to(root).as_posix())
    try:
        patterns = dockerignore.read(path)
    except UnicodeDecodeError as error:
        return [_not_text(level, error)]
    except OSError:
        fix = "write one that starts with `*` and lists what the build needs"
        return [level.check("present", ".dockerignore", "present", "no such file", fix)]
    let_in = [p for p in _MUST_IGNORE[container.kind] if not dockerignore.excludes(patterns, p)]
    let_in += [p for p in _let_in_again(patterns) if p.removeprefix("!") not in let_in]
    needed = [p for p in _MUST_KEEP[container.kind] if (folder / p).exists()]
    needed += _parts(container.kind, folder)
    lost = buildcontext.kept_out(folder, _wanted(folder), patterns, needed)
    kept_out = [
        f"{gone.path if gone.path != '.' else 'everything'} by `{gone.pattern.text}` in line {gone.pattern.line} "
        f"(Dockerfile:{gone.item.line}: {_written(gone.item)})"
        for gone in lost[:5]
    ] + ([f"and {len(lost) - 5} more"] if len(lost) > 5 else [])
    return [
        level.check(
            "excludes",
            "kept out of the build context",
            "nothing let in",
            f"let in: {shown(let_in)}" if let_in else "nothing let in",
            "add a line for each below the exceptions, or take its exception away: history, secrets and "
            "local installs do not belong in a context",
        ),
        level.check(
            "includes",
            "build context is complete",
            "nothing missing",
            f"kept out: {shown(kept_out)}" if kept_out else "nothing missing",
            "add exceptions below that line, such as "
            f"!{next((gone.path for gone in lost if gone.path != '.'), 'src')}, or take the line away",
            line=lost[0].pattern.line if lost else 0,
        ),
    ]


def _let_in_again(patterns: list[dockerignore.Pattern]) -> list[str]:
    """The exceptions that let a secret in, by the name they give or a name they match."""
    found: dict[str, None] = {}
    for pattern in (p for p in patterns if p.exception):
        path = re.sub(r"\*+", "x", pattern.text.removeprefix("!").strip().strip("/"))
        if _SECRET_FILE.fullmatch(path.rpartition("/")[2]) or _SECRET_FOLDER.search(path):
            if dockerignore.decisive(patterns, path) is pattern:
                found[pattern.text] = None
        elif any(dockerignore.decisive(patterns, name) is pattern for name in _SECRET_FILES):
            found[pattern.text] = None
    return list(found)


def _parts(kind: Kind, folder: Path) -> list[str]:
    """The files that the service is made of, relative to its build folder."""
    return [
        path
        for part, names in _PARTS[kind].items()
        for file in sorted((folder / part).rglob("*"))
        if re.fullmatch(names, path := file.relative_to(folder).as_posix())
        and not _NO_PART.search(path)
        and file.is_file()
    ]


def _wanted(folder: Path) -> list[buildcontext.Source]:
    """What the Dockerfile of a folder takes from it; nothing where there is none to read."""
    try:
        text = (folder / "Dockerfile").read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return []
    return buildcontext.sources(parse(text))


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
        passed=_starts_program(command) and not starts_shell(command),
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
    yield from _environment(level, container, environment)
    baked = sorted(k for k, v in environment.items() if _is_secret(k, v))
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
