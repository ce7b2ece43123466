"""Signatures that git's settings ask for: that a key can sign, and that git left one on its object."""

from __future__ import annotations

import os
import re
import tempfile
from typing import Final

from taskflow_containers.machine.errors import Refused
from taskflow_containers.machine.process import last_line, masked
from taskflow_containers.release.git import Repository

# The settings that ask for a signature, by the kind of object that it is on.
_SETTINGS: Final = {
    "tag": ("tag.gpgSign", "tag.forceSignAnnotated"),
    "commit": ("commit.gpgSign",),
}
_SIGNERS: Final = "gpg.ssh.allowedSignersFile"
_HINT: Final = (
    "mend user.signingKey, gpg.format and gpg.program (`git config --get-regexp 'gpg|sign'`), "
    "or set {setting} to false"
)


def asking(repository: Repository, kind: str) -> str:
    """The setting that asks for a signature on a `tag` or a `commit`; empty where none does."""
    settings = _SETTINGS[kind]
    return next((key for key in settings if repository.setting(key, "--bool") == "true"), "")


def try_key(repository: Repository) -> str:
    """Sign a commit that is thrown away, where a signature is asked for at all.

    Raises:
        Refused: the key cannot sign, or what it signs does not verify.
    """
    setting = asking(repository, "tag") or asking(repository, "commit")
    if not setting:
        return "none is asked for"
    objects = repository.git("rev-parse", "--path-format=absolute", "--git-path", "objects")
    with tempfile.TemporaryDirectory() as folder:
        elsewhere = {"GIT_OBJECT_DIRECTORY": folder, "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects}
        there = Repository(repository.root, environment=elsewhere)
        made = there.ask("commit-tree", "-S", "-m", "a trial of the key", "HEAD^{tree}")
        if made.returncode:
            said = masked(" ".join(made.stderr.split())) or "without a word"
            raise Refused(
                f"{setting} asks for a signature, and git cannot sign: {said[:300]}",
                _HINT.format(setting=setting),
            )
        _require(there, "commit", made.stdout.strip(), setting)
    return f"the key of {setting} signs"


def require(repository: Repository, kind: str, name: str) -> None:
    """Look whether a `tag` or a `commit` has the signature that git's settings ask for.

    Git may say an error, end with 0 and leave a tag unsigned all the same.

    Raises:
        Refused: there is none, or it is not over this object.
    """
    if setting := asking(repository, kind):
        _require(repository, kind, name, setting)


def _require(repository: Repository, kind: str, name: str, setting: str) -> None:
    text = repository.git("cat-file", kind, name)
    mark = r"^-----BEGIN .+-----$" if kind == "tag" else r"\A(?:.+\n)*?gpgsig(?:-sha256)? "
    if not re.search(mark, text, re.MULTILINE):
        raise Refused(
            f"{setting} asks for a signature, and git left the {kind} {name[:30]} without one",
            _HINT.format(setting=setting),
        )
    signers = repository.setting(_SIGNERS)
    # Without a list of signers git verifies no SSH signature; an empty one tells whether it fits.
    listed = [] if signers else ["-c", f"{_SIGNERS}={os.devnull}"]
    done = repository.ask(*listed, f"verify-{kind}", "--raw", name)
    said = done.stderr + done.stdout
    fits = re.search(r"^\[GNUPG:\] GOODSIG ", said, re.MULTILINE) or (
        not signers and 'Good "git" signature' in said
    )
    # A key whose public half is not here leaves nothing to verify with.
    if done.returncode and not fits and "[GNUPG:] NO_PUBKEY" not in said:
        raise Refused(
            f"the signature of the {kind} {name[:30]} does not verify: {last_line(masked(said))}",
            f"is the key one of those in {signers}?" if signers else f"git verify-{kind} {name}",
        )
