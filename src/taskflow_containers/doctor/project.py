"""What is wrong or outdated in a project, be it half-broken: each look stands alone."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path, PurePosixPath

import yaml
from packaging.version import InvalidVersion, Version

from taskflow_containers.doctor.finding import Finding
from taskflow_containers.doctor.support import ends
from taskflow_containers.machine.errors import EnvironmentTrouble, InputError
from taskflow_containers.machine.process import Completed, masked, run
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.files import tools_folder
from taskflow_containers.project.load import load
from taskflow_containers.project.model import Project
from taskflow_containers.project.pin import PIN, answers_file, require_own_tool
from taskflow_containers.report.waivers import SOON, expired, today

_PATIENCE = 10.0  # seconds for the template's repository to say which versions it has
_AHEAD = timedelta(days=90)  # before the end of a base image's support
_CI = ".github/workflows/ci.yml"
# What tools make, and what holds secrets.
_IGNORED = (".env", ".nox/", ".venv/", "reports/", "node_modules/", "__pycache__/")
# What earlier versions of the template had, and where its content is now.
_DROPPED = {
    "automation/__main__.py": ("automation/", "it is the package that tools/taskflow.txt names: see docs/tool.md of the template"),
    "backend/requirements-build.in": ("", "it is the group `build` of backend/pyproject.toml: move what you added there"),
    "backend/requirements-dev.in": ("", "it is the group `dev` of backend/pyproject.toml: move what you added there"),
}  # fmt: skip


def _git(root: Path, *words: str | Path, timeout: float = 60) -> Completed:
    """Run git, never asking for a password."""
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -oBatchMode=yes", "LC_ALL": "C"}
    return run(["git", "-C", root, *words], env=quiet, timeout=timeout)


def _in_git(root: Path) -> bool:
    return bool(shutil.which("git")) and _git(root, "rev-parse", "HEAD").returncode == 0


def _model(root: Path) -> Project | None:
    try:
        return load(root / FILE_NAME)
    except InputError:
        return None  # `model` says why


def model(root: Path) -> Iterator[Finding]:
    """taskflow.toml: whether it is valid, which waivers end, and which bases get no fixes any more."""
    try:
        project = load(root / FILE_NAME)
    except InputError as error:
        for line in error.message.splitlines():
            where, _, what = line.partition(": ")
            yield Finding(what or where, where if what else FILE_NAME, error.hint)
        return
    for waiver in project.waivers:
        if (waiver.expires - today()).days <= SOON:
            past = expired(waiver)
            yield Finding(
                f"the waiver of {waiver.check} {waiver.covers or ''}".rstrip()
                + (" expired" if past else " expires") + f" on {waiver.expires}",
                FILE_NAME, "mend the finding and remove the waiver, or set a later day",
                optional=not past,
            )  # fmt: skip
    images = {c.base: name for name, c in project.containers.items()}
    images |= {c.build_image: name for name, c in project.containers.items()}
    images |= {service.image: name for name, service in project.services.items()}
    for image, name in images.items():
        for what, end in ends(image):
            if end - today() < _AHEAD:
                past = end < today()
                verb = "has had no security fixes since" if past else "gets no security fixes after"
                yield Finding(
                    f"{what} of {image} {verb} {end}", f"{FILE_NAME}: {name}",
                    "`copier update` for the template's newer one, or name another base here and in "
                    "the Dockerfile", optional=not past,
                )  # fmt: skip


def pin(root: Path) -> Iterator[Finding]:
    """Whether the tool, its line in tools/ and the answers are of one version of the template."""
    again = (
        "bring it back from git: `git log -- {0}` shows the commit, `git checkout COMMIT -- {0}`"
    )
    place, ours = f"{tools_folder(root)}/{PIN}", answers_file(root)
    if not (root / ours).is_file():
        yield Finding(f"{ours} is missing: `copier update` needs it", ours, again.format(ours))
    for name in (place, f"{tools_folder(root)}/requirements.txt"):
        if not (root / name).is_file():
            yield Finding(f"{name} is missing: nox installs by it", name, again.format(name))
    try:
        require_own_tool(root)
    except InputError as error:
        yield Finding(error.message, f"{ours}, {place}", error.hint)
    rendered = re.search(r"is the commit (\S+)$", _text(root / ours), re.MULTILINE)
    pinned = re.search(r"@([0-9a-f]{40,64})\b", _text(root / place))
    if rendered and pinned and rendered[1] != pinned[1]:
        yield Finding(
            f"{place} names the commit {pinned[1][:12]}, and the project was rendered from {rendered[1][:12]}",
            f"{ours}, {place}", f"`git log -- {place} {ours}`: bring both back from one commit, "
            "then `copier update`",
        )  # fmt: skip


def _text(path: Path) -> str:
    return path.read_text("utf-8", errors="replace") if path.is_file() else ""


def newer(root: Path) -> Iterator[Finding]:
    """Whether the template has a newer version; its repository is asked for some seconds only."""
    source = re.search(r"git\+(\S+?)@[0-9a-f]{40,64}", _text(root / tools_folder(root) / PIN))
    described, ours = str((_answers(root)).get("_commit") or ""), answers_file(root)
    version = re.match(r"v?(\d+(?:\.\d+)+[0-9A-Za-z.]*)", described)
    if not source or not version:
        return
    try:
        done = _git(root, "ls-remote", "--tags", "--refs", source[1], timeout=_PATIENCE)
        said = masked(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "")
        failed = bool(done.returncode)
    except EnvironmentTrouble as error:
        said, failed = error.message, True
    if failed:
        yield Finding(
            f"could not ask whether the template has a newer version: {said}", masked(source[1]),
            f"`git ls-remote {masked(source[1])}` must work: network, or a token for git", optional=True,
        )  # fmt: skip
        return
    tags = {}
    for tag in re.findall(r"refs/tags/(\S+)", done.stdout):
        try:
            tags[Version(tag)] = tag
        except InvalidVersion:
            continue
    newest = max((one for one in tags if not one.is_prerelease), default=None)
    if newest and newest > Version(version[1]):
        yield Finding(
            f"the template has {tags[newest]}, this project is of {described}", ours,
            "commit your work, then `copier update`",
        )  # fmt: skip


def _answers(root: Path) -> dict[str, object]:
    try:
        found = yaml.safe_load(_text(root / answers_file(root)))
    except yaml.YAMLError:
        return {}  # `pin` says so
    return found if isinstance(found, dict) else {}


def repository(root: Path) -> Iterator[Finding]:
    """What git holds of the project, and what it should not."""
    if not _in_git(root):
        if shutil.which("git"):
            yield Finding(
                "this is no git repository with a commit: `copier update` and releases need one",
                str(root), '`git init -b main && git add --all && git commit -m "Start"`',
            )  # fmt: skip
        return
    ours = answers_file(root)
    state = _git(root, "status", "--porcelain", "--ignored", "--", ours).stdout.strip()
    if state and (root / ours).is_file():
        ignored = state.startswith("!!")
        yield Finding(
            f"{ours} is {'ignored by git' if ignored else 'not committed'}: an update starts from it",
            ours, f"`git add {'--force ' * ignored}{ours} && git commit`",
        )  # fmt: skip
    yield from _kept_out(root)
    absent = [
        name for name in _IGNORED if _git(root, "check-ignore", "--no-index", "-q", name).returncode
    ]
    if absent:
        yield Finding(
            f"git does not ignore {', '.join(absent)}", ".gitignore",
            f"`printf '%s\\n' {' '.join(absent)} >> .gitignore`",
        )  # fmt: skip
    if _git(root, "ls-files", "--", ".env").stdout.strip():
        yield Finding(
            ".env is committed, and is meant for secrets", ".env",
            "`git rm --cached .env && git commit`, and change the secrets that it held",
        )  # fmt: skip
    marked = _git(
        root, "grep", "--no-color", "--no-full-name", "--untracked", "-I", "-l", "-z", "-E", "^(<{7}|>{7}) "
    ).stdout  # fmt: skip
    for place in filter(None, marked.split("\0")):
        yield Finding(
            "conflict markers of an update are left", place,
            f"`invoke update` merges JSON, TOML and requirements; another edit, then `git add {place}`",
        )  # fmt: skip
    for line in _git(root, "ls-files", "--eol").stdout.splitlines():
        kinds, _, name = line.partition("\t")
        if "w/crlf" in kinds and not name.lower().endswith((".bat", ".cmd")):
            yield Finding(
                "it has Windows line ends, which Linux in the containers does not read", name,
                "with the template's .gitattributes: `git add --renormalize . && git commit`, then "
                "`git rm --cached -r -q . && git reset --hard`",
            )  # fmt: skip


def _kept_out(root: Path) -> Iterator[Finding]:
    """What the sessions read and git ignores, be it by a rule of this person's own: others have none of it."""
    tools, found = tools_folder(root), _model(root)
    needed = [FILE_NAME, f":(glob){tools}/*.txt", f":(glob){tools}/*.json"]
    if found:
        chart = found.files.chart
        needed += [f":(glob){chart}/*.yaml", f":(glob){chart}/templates/**"]
        for name, container in found.containers.items():
            folder = PurePosixPath(found.context(name), container.ours)
            needed += [found.dockerfile(name), f":(glob){folder}/*"]
    words = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--")
    if names := [*filter(None, _git(root, *words, *needed).stdout.split("\0"))]:
        more = f" and {len(names) - 1} more" * (len(names) > 1)
        rule = _git(root, "check-ignore", "--verbose", "--no-index", names[0]).stdout
        yield Finding(
            f"git ignores {names[0]}{more}: no other clone has it, nor CI", rule.partition("\t")[0],
            f"take that rule out, or `git add --force {shlex.join(names)} && git commit`",
        )  # fmt: skip


def leftovers(root: Path) -> Iterator[Finding]:
    """What earlier versions of the template had, and what updates that broke off left."""
    for name, (shown, now) in _DROPPED.items():
        if (root / name).is_file():
            place = shown or name
            yield Finding(
                f"the template has no {place} any more", place, f"`git rm -r {place}`; {now}"
            )
    for folder, below, names in os.walk(root):
        below[:] = sorted({*below} - {".nox", ".venv", "node_modules", ".git"})
        for name in sorted(name for name in names if name.endswith(".rej")):
            place = Path(folder, name).relative_to(root).as_posix()
            yield Finding(
                "an update left what it could not apply",
                place,
                f"apply it by hand, then `rm {place}`",
            )


def ci(root: Path) -> Iterator[Finding]:
    """Whether the checks run on the branch that people push to."""
    text = _text(root / _CI)
    head = (
        _git(root, "symbolic-ref", "--short", "refs/remotes/origin/HEAD") if _in_git(root) else None
    )
    branch = head.stdout.strip().removeprefix("origin/") if head else ""
    if not text or not branch:
        return
    # YAML 1.1 reads the key `on` as true.
    triggers = (yaml.safe_load(text) or {}).get(True) or {}
    push = triggers.get("push") if isinstance(triggers, dict) else None
    branches = (push or {}).get("branches")
    if branches and branch not in branches:
        yield Finding(
            f"no check runs on pushes to {branch}, the default branch: only to {', '.join(branches)}",
            _CI, f"add {branch} to `branches` there",
        )  # fmt: skip


LOOKS = (model, pin, newer, repository, leftovers, ci)
