"""The build context: what a .dockerignore keeps out of it, and must not keep out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from taskflow_containers.contract import buildcontext, dockerignore
from taskflow_containers.contract.dockerfile import written
from taskflow_containers.contract.instructions import parse
from taskflow_containers.contract.level import Level, not_text, shown
from taskflow_containers.machine.tools import NODE_LOCKS
from taskflow_containers.project.model import Kind, Project
from taskflow_containers.report.result import Result

# What must never reach a build context: history, secrets, local environments, caches.
_NEVER = (
    ".git/config", ".git/HEAD", ".env", ".env.local", ".env.production", "src/.env",
    "src/app/.env.local", "src/app/key.pem",
)  # fmt: skip
_MUST_IGNORE: dict[Kind, tuple[str, ...]] = {
    Kind.BACKEND: (*_NEVER, ".venv/bin/python", "src/__pycache__/a.pyc"),
    Kind.FRONTEND: (*_NEVER, "node_modules/next/a.js", ".next/cache/a"),
}
# What BuildKit or Buildah prefer to a .dockerignore.
_READ_INSTEAD = ("Dockerfile.dockerignore", "Dockerfile.containerignore", ".containerignore")
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
    Kind.BACKEND: ("requirements.txt", "uv.lock", "poetry.lock", "src/app/main.py"),
    Kind.FRONTEND: (
        "package.json",
        *NODE_LOCKS,
        "pnpm-workspace.yaml",
        "tsconfig.json",
        "next.config.ts",
        "next.config.mjs",
        "next.config.js",
        "src/app/page.tsx",
        "app/page.tsx",
        "src",
        "container",
        "public",
    ),
}
# The files of which a service is made, by folder; tests, notes and what is hidden may stay out.
_PARTS: dict[Kind, Mapping[str, str]] = {
    Kind.BACKEND: {"src": r".*\.py", "container": r".*\.py"},
    Kind.FRONTEND: {
        "src": r".*\.([cm]?[jt]sx?|css|json)",
        "container": r".*\.[cm]?js",
        "public": r".*",
    },
}
_NO_PART = re.compile(
    r"(^|/)(\.[^/]*|__tests__|__mocks__|__pycache__|tests?)(/|$)|(^|/)(test_[^/]*|conftest)\.py$"
    r"|[._](test|spec|stories)\.\w+$|\.d\.ts$",
    re.IGNORECASE,
)


def check_dockerignore(root: Path, project: Project, name: str) -> list[Result]:
    """What a .dockerignore keeps out of, and must not keep out of, the build context."""
    container = project.containers[name]
    folder = root / project.context(name)
    path = folder / ".dockerignore"
    others = [other for other in _READ_INSTEAD if (folder / other).exists()]
    level = Level("dockerignore", name, path.relative_to(root).as_posix())
    try:
        patterns = dockerignore.read(path)
    except UnicodeDecodeError as error:
        return [not_text(level, error)]
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
        f"(Dockerfile:{gone.item.line}: {written(gone.item)})"
        for gone in lost[:5]
    ] + ([f"and {len(lost) - 5} more"] if len(lost) > 5 else [])
    return [
        level.check(
            "alone",
            "no other ignore file beside it",
            path.name,
            shown([path.name, *others]),
            f"move its patterns to {path.name} and remove it: some engines read it instead, others do not",
            passed=not others,
        ),
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
