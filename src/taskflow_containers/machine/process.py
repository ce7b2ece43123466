"""Run other programs: argv in, text out, and their failures as errors a person understands."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, NamedTuple

from taskflow_containers.machine import interruption
from taskflow_containers.machine.errors import EngineGone, EnvironmentTrouble, RegistryTrouble

Completed = subprocess.CompletedProcess[str]
Say = Callable[[str], None]  # takes a line that tells a person what goes on


class _Fault(NamedTuple):
    """What tools print when the machine, not the project, is at fault, and what to do about it."""

    pattern: str
    message: str
    hint: str
    of_step: str = ""  # the same for what a build step prints, in which applications speak too
    error: type[EnvironmentTrouble] = EnvironmentTrouble


# What may stand in a line before the words of an engine's client or of a builder.
_SPEAKER = (
    r"^(?:#\d+ )?(?:(?:error|docker|podman|fatal|got|cannot write \S+ because|failed to [\w ]+?"
    r"|time=\S+ level=\w+ msg=\S+?)(?:: | ))*\W?"
)
_TROUBLE = (
    _Fault(
        r"no space left on device|disk quota exceeded",
        "the disk is full",
        "free some space (`invoke clean --cache` removes build caches) and run again",
        of_step=r"(?:: |\] |\(28: )(?:no space left on device|disk quota exceeded)\b"
        r"|you don't have enough free space in ",
    ),
    _Fault(
        # Only words of the client or the builder count: other lines may name the engine, too.
        rf"{_SPEAKER}(?:cannot connect to the docker daemon|error during connect:"
        r"|(?:cannot|unable to) connect to podman|failed to connect to the docker api|server did not provide an image id"
        r"|permission denied while trying to connect to the docker"
        r"|(?:dial|read|write) unix \S*(?:->)?\S*(?:docker|podman|buildkitd)\.sock: )"
        r"|rpc error: code = unavailable|error reading from server: eof|transport is closing",
        "the container engine stopped answering",
        "start it again (`docker info` must work) and repeat the command; nothing else is needed",
        error=EngineGone,
    ),
    _Fault(
        r"port is already allocated|address already in use",
        "a port is already taken",
        "stop what listens there, or set another port in .env",
    ),
    _Fault(
        r"no matching manifest for|no match for platform in manifest",
        "an image is not made for a platform that is asked for",
        "name a base image that is, or take that platform out of [build] platforms in taskflow.toml",
    ),
    _Fault(
        r"pull access denied|manifest unknown|failed to resolve reference|failed to resolve source"
        r"|error response from daemon: get \"?https?://|failed to do request|error pulling image"
        r"|toomanyrequests|initializing source docker://|no such image|image not known"
        r"|short-name .* did not resolve",
        "a base image can be had neither here nor from its registry",
        "check the network, or name another image for it with TASKFLOW_SUBSTITUTE_IMAGES="
        '"python:3.13-slim=mirror.example/python:3.13-slim"',
        error=RegistryTrouble,
    ),
    _Fault(
        "",  # what a registry's certificate is not trusted for, the engine says: see above
        "a certificate is not trusted",
        "where a proxy opens TLS, name its authorities' file: SSL_CERT_FILE for uv, PIP_CERT for pip, NODE_EXTRA_CA_CERTS "
        "for npm, in the shell that runs this and, for a build, in the base image (docs/how-to/proxy.md)",
        of_step="|".join(
            (
                r"npm (?:error|err!) code (?:self_signed_cert\w*|depth_zero_self_signed_cert|unable_to_\w+|cert_\w+)\b",
                r"\breason: (?:self[- ]signed certificate|unable to (?:get|verify)[\w ]+certificate)",
                r"(?:cause(?:d by)?: |─▶ )invalid peer certificate: ",
                r"^warning: retrying .*connection broken by .*certificate.verify.failed",
                r"\bhttpsconnectionpool\(host=.*certificate.verify.failed",
                r"\bcurl: \(60\) ",
                r"^fatal: unable to access 'https://\S+': .*certificate",
            )
        ),
    ),
    _Fault(
        r"temporary failure in name resolution|name or service not known|could not resolve host|network is unreachable"
        r"|npm error code (ECONNREFUSED|ECONNRESET|ETIMEDOUT)|\bEAI_AGAIN\b|\bENOTFOUND\b|dns error|failed to lookup address|no route to host"
        r"|connection refused.*(index|simple)",
        "the network, or a package index, cannot be reached",
        "check the connection or the mirror's settings and run again",
        of_step="|".join(
            (
                # npm, pnpm, yarn, corepack
                r"npm (?:error|err!) code (?:econn\w+|etimedout|eai_again|enotfound|enetunreach|ehostunreach|err_socket_timeout)\b",
                r"\berr_pnpm_meta_fetch_fail\b",
                r"^error (?:an unexpected error occurred: \"https?://\S+ |error: )(?:getaddrinfo|connect) e\w+",
                r"error when performing the request to https?://",
                # apt and apk; an index that answers 404 was reached
                r"^[ew]: failed to fetch https?://\S+ +(?!40\d\b)\S",
                r"^(?:warning|error): \S+ https?://\S+ (?:temporary error|dns \w+|network \w+|connection \w+|operation timed out)",
                # pip, uv and whatever else Python or Rust looks a name up with
                r"^warning: retrying (?:\(retry\(.*\) )?after connection broken by ",
                r"\bhttps?connectionpool\(host=.*max retries exceeded with url: /.*simple/",
                r"\[errno -[235]\] (?:temporary failure in name resolution|name or service not known)",
                r"(?:cause(?:d by)?: |─▶ )(?:dns error|tcp connect error|client error \(connect\)|operation timed out)",
                # curl, wget, git
                r"\bcurl: \((?:5|6|7|28|35|52|56)\) (?!.*(?:localhost|127\.0\.0\.1|::1))",
                r"^wget: (?:bad address |unable to resolve host address |can't connect to remote host )(?!.*(?:localhost|127\.0\.0\.1|::1))",
                r"^fatal: unable to access 'https?://\S+': (?:could not resolve|failed to connect)",
            )
        ),
    ),
)


def trouble(output: str, *, of_step: bool = False) -> EnvironmentTrouble | None:
    """The fault of the machine that a tool's output tells of, or None.

    `of_step`: the output is of a program that a build step ran. Such a program talks to no engine and
    no registry, and an application may print anything: only the exact forms of package managers count.
    """
    for fault in _TROUBLE:
        pattern = fault.of_step if of_step else fault.pattern
        if pattern and (match := re.search(pattern, output, re.IGNORECASE | re.MULTILINE)):
            return fault.error(f"{fault.message}: {line_at(match)}", fault.hint)
    return None


def line_at(match: re.Match[str]) -> str:
    """The line of the searched text in which a match begins, cut where it is long."""
    start = match.string.rfind("\n", 0, match.start()) + 1
    return match.string[start:].split("\n", 1)[0].strip()[:300]


def not_started(program: str, error: OSError) -> EnvironmentTrouble:
    """The error for a program that the system does not start."""
    if isinstance(error, FileNotFoundError):
        if error.filename not in {None, program}:
            return EnvironmentTrouble(f"{error.filename} is not there", "run the command again")
        if not os.path.lexists(program):
            return EnvironmentTrouble(
                f"{program} is not installed", "install it, or run the command through nox"
            )
    reason = {
        errno.ENOENT: "the file that it links to, or its interpreter, does not exist",
        errno.EACCES: "it is a folder" if Path(program).is_dir() else "it is not executable",
        errno.ENOEXEC: "it is not a program for this machine",
    }.get(error.errno or 0, error.strerror)
    return EnvironmentTrouble(
        f"{program} cannot be run: {reason}", "repair it, reinstall it, or name another one"
    )


def _started(
    argv: Sequence[str | Path],
    env: Mapping[str, str | None] | None,
    stdin: str | IO[bytes] | None,
    *,
    group: bool,
    **how: Any,
) -> subprocess.Popen[str]:
    words = [str(word) for word in argv]

    def make() -> subprocess.Popen[str]:
        return subprocess.Popen(
            words,
            env={
                key: value
                for key, value in {**os.environ, **(env or {})}.items()
                if value is not None
            },
            stdin=subprocess.PIPE if isinstance(stdin, str) else stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            process_group=0 if group else None,
            **how,
        )

    try:
        return interruption.start(make)
    except OSError as error:
        raise not_started(words[0], error) from None


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    stdin: str | Path | None = None,
    timeout: float | None = None,
    patience: float | None = None,
) -> Completed:
    """Run a program to its end and capture its output; `stdin` is text, or a file's path.

    With `patience` (seconds) the program is shielded from Ctrl-C: when this run is interrupted, it has
    that long to finish before it is ended. Without, and in a thread of an `interruption.pool`, it is
    ended at once.

    Raises:
        EnvironmentTrouble: the program is not there, or did not end within `timeout` seconds.
    """
    group = patience is not None or interruption.in_pool()
    with (
        stdin.open("rb") if isinstance(stdin, Path) else nullcontext(stdin) as given,
        _started(argv, env, given, group=group, cwd=cwd, stderr=subprocess.PIPE) as process,
    ):
        try:
            output, errors = process.communicate(given if isinstance(given, str) else None, timeout)
        except subprocess.TimeoutExpired:
            interruption.end(process, group=group)
            raise EnvironmentTrouble(
                f"no answer within {timeout:g} s: {' '.join(map(str, argv[:4]))}",
                "run the command again",
            ) from None
        except BaseException:
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience or 0)
            interruption.end(process, group=group)
            raise
    interruption.check()  # the output of a program that was ended is no answer
    return Completed(process.args, process.returncode, output, errors)


def stream(
    argv: Sequence[str | Path],
    on_line: Callable[[str], None],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str | None] | None = None,
    stdin: str | None = None,
) -> tuple[int, str]:
    """Run a program and hand over each line as it is printed; its exit code and whole output."""
    lines: list[str] = []
    group = interruption.in_pool()
    with _started(argv, env, stdin, group=group, cwd=cwd, stderr=subprocess.STDOUT) as process:
        try:
            if stdin is not None and process.stdin:
                # A program that ends without reading its input prints why.
                with suppress(BrokenPipeError), process.stdin:
                    process.stdin.write(stdin)
            if isinstance(process.stdout, TextIOWrapper):
                # The carriage returns of a progress bar do not end a line.
                process.stdout.reconfigure(newline="\n")
            for line in process.stdout or ():
                lines.append(line)
                on_line(line.rstrip("\r\n"))
        except BaseException:
            process.terminate()
            raise
    interruption.check()
    return process.returncode, "".join(lines)


def foreground(
    argv: Sequence[str | Path], cwd: Path, env: Mapping[str, str], *, patience: float = 60
) -> int:
    """Run a program at this terminal; its exit code, or 130 once it has ended after an interruption.

    Ctrl-C reaches the program by itself, and so does a second one, by which it ends at once; killed meanwhile it
    would leave behind what it stops. Told to end is one that no Ctrl-C reached: after `patience` seconds.
    """
    with subprocess.Popen(argv, cwd=cwd, env=env) as process:
        try:
            return process.wait()
        except KeyboardInterrupt as told:
            if told.args in {(), (signal.SIGINT,)}:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(patience)
            process.terminate()
            process.wait()
            return 130


_SECRET_NAME = re.compile(r"(TOKEN|PASSWORD|PASSWD|SECRET|_KEY|CREDENTIALS?)$")


def masked(text: str) -> str:
    """The text without URL credentials and without the values of secret environment variables."""
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= 8:
            text = text.replace(value, "***")
    text = re.sub(r"(?<=://)[^/\s@]+@", "***@", text)
    text = re.sub(r"(?i)(authorization['\"]?\s*[:=]\s*['\"]?\w+ )[^\s'\",]+", r"\1***", text)
    # A plain word, as in “Basic authentication”, is not a credential.
    return re.sub(
        r"\b(Basic|Bearer) (?![A-Z]?[a-z]{4,15}(?![\w+/=~-]))[\w+/=.~-]{8,}", r"\1 ***", text
    )


def say_aloud(line: str) -> None:
    """Words go to stderr, secrets masked; stdout is for data."""
    print(masked(line), file=sys.stderr, flush=True)


def last_line(text: str) -> str:
    """The last line that is not blank."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
