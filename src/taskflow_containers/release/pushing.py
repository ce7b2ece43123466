"""What git, a hook and the known forges say where they refuse a push, and the way out of each."""

from __future__ import annotations

import re
from typing import NamedTuple

from taskflow_containers.machine.errors import EnvironmentTrouble, Refused, TaskflowError
from taskflow_containers.machine.process import last_line, masked

BY_PULL_REQUEST = "invoke release --pull-request"


class _Reason(NamedTuple):
    """Words of a refusal; {remote}, {branch} and {tag} stand for names, {said} for the words."""

    pattern: str
    message: str
    hint: str
    error: type[TaskflowError] = Refused


_PROTECTED = _Reason(
    # GitHub, GitLab, Gitea and Forgejo, Bitbucket Cloud and Data Center, Azure, Gerrit.
    r"GH006|rule violations found for refs/heads/|protected branch|TF402455"
    r"|branch \S+ is protected|permission denied to update branch|(?:only|must) .*pull request"
    r"|branch permissions|prohibited by gerrit",
    "{branch} is protected at {remote}: {said}",
    BY_PULL_REQUEST + " proposes the release commit on a branch of its own; once that is "
    "merged, `invoke release` publishes it. Or let whoever releases push to {branch}",
)
# The first that fits counts.
_REASONS = (
    _Reason(
        r"does not support --atomic push",
        "{remote} cannot take branch and tag as one: it does not support --atomic",
        "on the server: git config receive.advertiseAtomic true, or a newer git there",
    ),
    _Reason(
        r"authentication failed|could not read (?:username|password)|permission denied \("
        r"|returned error: 40[13]|http basic: access denied|permission to \S+ denied"
        r"|(?:key|token) .*(?:read[- ]only|does not have write access)|repository not found"
        r"|not allowed to push code to this project|host key verification failed",
        "{remote} does not let this login push: {said}",
        "log in with a key or token that may write (in CI: `contents: write`, or a token of your "
        "own); `git push --dry-run {remote} HEAD:refs/heads/{branch}` tries it",
        EnvironmentTrouble,
    ),
    _Reason(
        r"create this tag as it is protected|tag \S+ is protected|protected tag"
        r"|rule violations found for refs/tags/",
        "a rule of {remote} protects the tag {tag}: {said}",
        "let whoever releases create such tags (the rule's bypass list, or another token)",
    ),
    _PROTECTED,
    _Reason(
        r"\(already exists\)|reference already exists",
        "{tag} was pushed to {remote} by somebody else meanwhile",
        "git fetch --tags {remote} shows it; release the next version",
    ),
    _Reason(
        r"\((?:fetch first|non-fast-forward|stale info|needs force)\)|incorrect old value"
        r"|cannot lock ref .*\bis at \w+ but expected",
        "somebody else pushed to {branch} at {remote} meanwhile",
        "git pull --rebase {remote} {branch}, then release again",
    ),
    _Reason(
        r"src refspec \S+ does not match any",
        "what was to be pushed is not here: {said}",
        "git branch --list {branch}; git tag --list {tag}",
    ),
    _Reason(
        # Git's locks pass, and so does a server that fell over.
        r"cannot lock ref|\[remote failure\]|fatal:(?![\s\S]*rejected\])",
        "git push failed: {last}",
        "{remote} must answer",
        EnvironmentTrouble,
    ),
    _Reason(
        r"\[remote rejected\]",
        "a hook or rule of {remote} refuses the push: {said}",
        "see what it asks for, or ask whoever keeps {remote}; then release again",
    ),
    _Reason(
        r"rejected\]",
        "{remote} refuses the push: {said}",
        "git fetch --tags {remote}, then release again",
    ),
)
_OWN_HOOK = _Reason(
    "",
    "your own pre-push hook refuses the push: {said}",
    "mend what it finds, commit, and release again; `git rev-parse --git-path hooks` is its folder",
)
# What git itself adds to every refusal.
_NOISE = re.compile(
    r"^(?:hint: .*|To \S+|Done|!\t.*|error: failed to push some refs .*"
    r"|error: hook declined to update \S+|Please make sure you have .*|and the repository exists\.)$"
)


def refusal(output: str, remote: str, branch: str, tag: str) -> TaskflowError:
    """Why a push of this branch and tag did not succeed, from what `git push --porcelain` printed."""
    output = masked(output)
    lines = [line.removeprefix("remote:").strip() for line in output.splitlines()]
    said = " ".join(" ".join(line for line in lines if not _NOISE.match(line)).split())
    # Where the other side was not even asked, the hook here said no.
    asked = re.search(r"^!\t|fatal:|src refspec", output, re.MULTILINE)
    fitting = (one for one in _REASONS if re.search(one.pattern, output, re.IGNORECASE))
    reason = next(fitting, _OWN_HOOK) if asked else _OWN_HOOK
    names = {"remote": remote, "branch": branch, "tag": tag, "last": last_line(output)}
    names["said"] = said[:500] or "it does not say why"
    return reason.error(reason.message.format(**names), reason.hint.format(**names))


def protected(remote: str, branch: str, said: str) -> Refused:
    """The refusal of a protected branch, where a forge told of it before any push."""
    names = {"remote": remote, "branch": branch, "said": said}
    return Refused(_PROTECTED.message.format(**names), _PROTECTED.hint.format(**names))
