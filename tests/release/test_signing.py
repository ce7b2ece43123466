"""A signature that git's settings ask for is there and fits, or nothing is released."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import git, lacking
from tests.release.plain import Plain


@pytest.fixture
def plain(tmp_path: Path) -> Plain:
    return Plain(tmp_path)


@pytest.fixture
def gnupg(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty keyring; its path is short, as its sockets' must be."""
    if not shutil.which("gpg"):
        lacking("gpg is not installed")
    with tempfile.TemporaryDirectory(prefix="g") as folder:
        Path(folder).chmod(0o700)
        monkeypatch.setenv("GNUPGHOME", folder)
        yield Path(folder)
        subprocess.run(["gpgconf", "--kill", "all"], check=False)


def ssh_key(plain: Plain, name: str = "key") -> Path:
    """Sign by a new SSH key."""
    if not shutil.which("ssh-keygen"):
        lacking("ssh-keygen is not installed")
    key = plain.top.parent / name
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(words, check=True)
    plain.git("config", "gpg.format", "ssh")
    plain.git("config", "user.signingKey", str(key))
    return key


def listed(plain: Plain, key: Path) -> None:
    """A list of those who may sign, which has this key alone."""
    public = key.with_suffix(".pub").read_text("utf-8")
    (plain.top.parent / "signers").write_text(f"ann@localhost {public}", "utf-8")
    plain.git("config", "gpg.ssh.allowedSignersFile", str(plain.top.parent / "signers"))


@pytest.mark.parametrize("setting", ["tag.gpgSign", "tag.forceSignAnnotated", "commit.gpgSign"])
@pytest.mark.parametrize(
    ("form", "program"), [("ssh", "ssh-keygen"), ("openpgp", "gpg"), ("x509", "gpgsm")]
)
def test_a_key_that_is_not_there_is_found_by_the_plan(
    form: str, program: str, setting: str, plain: Plain, gnupg: Path
) -> None:
    if not shutil.which(program):
        lacking(f"{program} is not installed")
    plain.git("config", setting, "true")
    plain.git("config", "gpg.format", form)
    plain.git("config", "user.signingKey", "/nowhere/key")
    before = plain.state
    done = plain.invoke("--dry-run")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{setting} asks for a signature, and git cannot sign: error: " in done.stderr
    assert "user.signingKey" in done.stderr
    assert (plain.state, plain.journal) == (before, {})
    assert str(gnupg) not in done.stdout


def test_a_program_that_is_not_there(plain: Plain) -> None:
    plain.git("config", "tag.gpgSign", "true")
    plain.git("config", "gpg.program", "/nowhere/gpg")
    done = plain.invoke("--dry-run")
    assert done.returncode == 1
    assert "git cannot sign" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("known", [False, True])
def test_signed_by_ssh(known: bool, plain: Plain) -> None:
    key = ssh_key(plain)
    for setting in ("tag.gpgSign", "commit.gpgSign"):
        plain.git("config", setting, "true")
    if known:
        listed(plain, key)
    before = set((plain.top / ".git" / "objects").glob("??/*"))
    assert plain.invoke("--dry-run").returncode == 0
    assert set((plain.top / ".git" / "objects").glob("??/*")) == before, "a trial leaves nothing"
    done = plain.invoke("--yes")
    assert done.returncode == 0, done.stderr
    for kind, name in (("tag", "v1.3.0"), ("commit", "main")):
        assert "-----BEGIN SSH SIGNATURE-----" in git(plain.remote, "cat-file", kind, name)
    listed(plain, key)
    plain.git("verify-tag", "v1.3.0")
    plain.git("verify-commit", "main")


@pytest.mark.usefixtures("gnupg")
def test_signed_by_gpg(plain: Plain) -> None:
    subprocess.run(
        ["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key",
         "Ann <ann@localhost>", "ed25519", "sign", "never"], check=True, capture_output=True,
    )  # fmt: skip
    plain.git("config", "tag.gpgSign", "true")
    done = plain.invoke("--yes")
    assert done.returncode == 0, done.stderr
    plain.git("verify-tag", "v1.3.0")
    assert "gpgsig" not in plain.git("cat-file", "commit", "main"), "nobody asked for that"


def test_a_signer_that_is_not_listed(plain: Plain) -> None:
    other = ssh_key(plain, "other")
    ssh_key(plain)
    listed(plain, other)
    plain.git("config", "tag.gpgSign", "true")
    done = plain.invoke("--dry-run")
    assert done.returncode == 1
    assert "does not verify: No principal matched" in done.stderr
    assert "signers" in done.stderr


@pytest.mark.parametrize(
    ("setting", "step", "kind"),
    [("tag.gpgSign", "tag", "tag"), ("commit.gpgSign", "prepare", "commit")],
)
@pytest.mark.parametrize("fault", ["unsigned", "over another object"])
def test_what_git_leaves_is_looked_at_before_anything_is_pushed(
    fault: str, setting: str, step: str, kind: str, plain: Plain, tmp_path: Path
) -> None:
    """The key goes away between the plan and the step, or the signature is another object's."""
    ssh_key(plain)
    plain.git("config", setting, "true")
    before = plain.state
    real = shutil.which("git")
    shim = tmp_path / "bin" / "git"
    shim.parent.mkdir()
    sign = f"-c {setting}=false" if fault == "unsigned" else "-c gpg.ssh.program=$BAD"
    # It signs something else: what it was given, and a line more.
    bad = tmp_path / "bad"
    bad.write_text(
        '#!/bin/sh\nfor last; do :; done\ncase "$*" in *"-Y sign"*) echo more >> "$last";; esac\n'
        'exec ssh-keygen "$@"\n'
    )
    bad.chmod(0o755)
    word = "tag --annotate" if kind == "tag" else "commit --quiet"
    shim.write_text(
        f'#!/bin/sh\nBAD={bad}\ncase "$*" in *"{word}"*) exec {real} {sign} "$@";; esac\n'
        f'exec {real} "$@"\n'
    )
    shim.chmod(0o755)
    path = f"{shim.parent}{os.pathsep}{os.environ['PATH']}"
    done = plain.invoke("--yes", PATH=path)
    assert done.returncode == 1, done.stderr
    expected = "without one" if fault == "unsigned" else "does not verify"
    assert expected in plain.journal["why"]
    assert list(plain.journal["steps"])[-1] == step
    assert plain.journal["status"] == "aborted"
    assert plain.state == before
