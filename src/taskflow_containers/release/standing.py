"""How a work tree stands to what is released from it: clean, on its branch, up to date, tagged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from taskflow_containers.machine.errors import Refused
from taskflow_containers.release import versionfiles
from taskflow_containers.release.git import Remote, Repository
from taskflow_containers.release.proposal import read
from taskflow_containers.release.versions import Version


def require(fine: object, message: str, hint: str) -> None:
    """Raise Refused unless it is fine."""
    if not fine:
        raise Refused(message, hint)


def clean(repository: Repository) -> str:
    """Whether everything is committed."""
    changes = [line.strip() for line in repository.changes]
    more = f" and {len(changes) - 4} more" * (len(changes) > 4)
    require(not changes, f"not committed: {', '.join(changes[:4])}{more}",
             "commit it, or `git stash --include-untracked`")  # fmt: skip
    return "clean"


def identity(repository: Repository) -> str:
    """Who commits, by name and e-mail address."""
    done = repository.ask("var", "GIT_COMMITTER_IDENT")
    require(done.returncode == 0, "no name or e-mail address",
             'git config user.name "…"; git config user.email …')  # fmt: skip
    return done.stdout.rsplit(" ", 2)[0]


def default_branch(repository: Repository, remote: str) -> str:
    """The remote's default branch as it was when cloned, else main."""
    ref = repository.ask("symbolic-ref", "--quiet", "--short", f"refs/remotes/{remote}/HEAD")
    return ref.stdout.strip().removeprefix(f"{remote}/") or "main"


def on_branch(repository: Repository, branch: str) -> str:
    """The branch that is checked out, which has to be this one."""
    here = repository.branch
    # CI systems check a commit out, and no branch.
    require(here, "HEAD is detached",
             f"git switch {branch} (in CI: git switch --force-create {branch})")  # fmt: skip
    way = f"git switch {branch} (or --branch {here}, to release from it)"
    if not repository.commit(f"refs/heads/{branch}"):
        way = f"there is no branch {branch} here; --branch {here} releases from this one"
    require(here == branch, f"this is {here}", way)
    return here


def current(repository: Repository, remote: Remote, branch: str, merged: str) -> str:
    """How this branch stands to the remote's; a merged release only has to be there."""
    there = remote.refs.get(f"refs/heads/{branch}", "")
    if merged:
        seen = (there, f"refs/remotes/{remote.name}/{branch}")
        require(any(repository.contains(merged, tip) for tip in seen if tip),
                 f"{remote.name}/{branch} does not have {merged[:7]}, which is to be released",
                 f"git push {remote.name} {branch}, or git fetch {remote.name}")  # fmt: skip
        return f"{remote.name}/{branch} has {merged[:7]}"
    if not there:
        return "the branch is new there"
    known = repository.commit(there)
    what = "is ahead" if known and repository.contains("HEAD", there) else "has what is not here"
    require(known and repository.contains(there, "HEAD"),
             f"{remote.name}/{branch} ({there[:7]}) {what}",
             f"git pull --rebase {remote.name} {branch}")  # fmt: skip
    ahead = int(repository.git("rev-list", "--count", f"{there}..HEAD"))
    return f"{ahead} commits are not pushed yet and will be" if ahead else "up to date"


def known_tags(
    repository: Repository, here: dict[Version, str], there: dict[Version, str], remote: str
) -> str:
    """How many versions are tagged; each one at the remote has to be the same here."""
    for version, commit in there.items():
        tag = repository.tag(version)
        require(version in here, f"{tag} is there and not here",
                 f"git fetch --tags {remote}")  # fmt: skip
        require(here[version] == commit,
                 f"{tag} is {here[version][:7]} here and {commit[:7]} there",
                 f"see which is right: git fetch --tags --force {remote}")  # fmt: skip
    return f"{len(here)} versions"


def stated(
    repository: Repository, declared: str, files: Sequence[str], there: Mapping[Version, str]
) -> str:
    """The version whose tag the checked-out commit has, here and at the remote, as all its files state it."""
    version, commit = Version.parse(declared), repository.head
    tag = repository.tag(version)
    require(repository.versions().get(version) == commit, f"{commit[:7]} has no tag {tag}, and its files say {version}",
             "tag the commit that says its version, or let `invoke release` make both")  # fmt: skip
    require(there.get(version) == commit, f"the remote has no {tag} at {commit[:7]}", f"push it: git push origin {tag}")  # fmt: skip
    for name in files:
        require(versionfiles.states(name, read(repository, commit, name), version, files),
                 f"{name} does not say {version}", "a release commit says its version in every file")  # fmt: skip
    return f"{version} tagged {tag}"
