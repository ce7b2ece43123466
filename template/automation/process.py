"""Run other programs: argv in, text out, and their failures as errors a person understands."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from automation.errors import EngineGone, EnvironmentTrouble, RegistryTrouble

Completed = subprocess.CompletedProcess[str]
Say = Callable[[str], None]  # takes a line that tells a person what goes on


class _Fault(NamedTuple):
    """What tools print when the machine, not the project, is at fault, and what to do about it."""

    pattern: str
    message: str
    hint: str
    met_by_steps: bool = False  # a program that a build runs can meet it too
    error: type[EnvironmentTrouble] = EnvironmentTrouble


_TROUBLE = (
    _Fault(
        r"no space left on device|disk quota exceeded",
        "the disk is full",
        "free some space (`invoke clean --cache` removes build caches) and run again",
        met_by_steps=True,
    ),
    _Fault(
        r"cannot connect to the docker daemon|error during connect|unable to connect to podman"
        r"|connection reset by peer.*docker|docker\.sock|rpc error.*transport is closing"
        r"|error reading from server: EOF|failed to connect to the docker API"
        r"|server did not provide an image ID",
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
        r"temporary failure in name resolution|name or service not known|could not resolve host|network is unreachable"
        r"|npm error code (ECONNREFUSED|ECONNRESET|ETIMEDOUT)|\bEAI_AGAIN\b|\bENOTFOUND\b|dns error|failed to lookup address|no route to host"
        r"|failed to fetch|connection refused.*(index|simple)",
        "the network, or a package index, cannot be reached",
        "check the connection or the mirror's settings and run again",
        met_by_steps=True,
    ),
)


def trouble(output: str, *, of_step: bool = False) -> EnvironmentTrouble | None:
    """The machine's fault in a tool's output, if that is what stopped it.

    `of_step`: in the output of a program that a build runs, which meets no engine and no registry.
    """
    for fault in _TROUBLE:
        if of_step and not fault.met_by_steps:
            continue
        if match := re.search(fault.pattern, output, re.IGNORECASE):
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
        errno.ENOENT: "what it leads to, or its interpreter, is not there",
        errno.EACCES: "it is a folder" if Path(program).is_dir() else "it is not executable",
        errno.ENOEXEC: "it is no program for this machine",
    }.get(error.errno or 0, error.strerror)
    return EnvironmentTrouble(
        f"{program} cannot be run: {reason}", "mend it, install it anew, or name another one"
    )


def _started(
    argv: Sequence[str | Path], env: Mapping[str, str] | None, stdin: str | None, **how: Any
) -> subprocess.Popen[str]:
    words = [str(word) for word in argv]
    try:
        return subprocess.Popen(
            words,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            **how,
        )
    except OSError as error:
        raise not_started(words[0], error) from None


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout: float | None = None,
    patience: float = 0.0,
) -> Completed:
    """Run to the end and capture; a missing program or a timeout (seconds) is an error.

    With `patience` (seconds) Ctrl-C does not reach the program, which has so long to finish what
    it had begun before it is killed.
    """
    group = 0 if patience else None
    with _started(
        argv, env, stdin, cwd=cwd, stderr=subprocess.PIPE, process_group=group
    ) as process:
        try:
            output, errors = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise EnvironmentTrouble(
                f"no answer within {timeout:g} s: {' '.join(map(str, argv[:4]))}",
                "run the command again",
            ) from None
        except BaseException:
            with suppress(subprocess.TimeoutExpired):
                process.wait(patience)
            process.kill()
            raise
    return Completed(process.args, process.returncode, output, errors)


def stream(
    argv: Sequence[str | Path],
    on_line: Callable[[str], None],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> tuple[int, str]:
    """Run and hand over each line of output as it comes; the exit code and the whole text."""
    lines: list[str] = []
    with _started(argv, env, stdin, cwd=cwd, stderr=subprocess.STDOUT) as process:
        try:
            if stdin is not None and process.stdin:
                # Who ends without reading says why on its output.
                with suppress(BrokenPipeError), process.stdin:
                    process.stdin.write(stdin)
            for line in process.stdout or ():
                lines.append(line)
                on_line(line.rstrip("\n"))
        except BaseException:
            process.terminate()
            raise
    return process.returncode, "".join(lines)


_SECRET_NAME = re.compile(r"(TOKEN|PASSWORD|PASSWD|SECRET|_KEY|CREDENTIALS?)$")


def masked(text: str) -> str:
    """The text without URL credentials and without the values of secret environment variables."""
    for name, value in os.environ.items():
        if _SECRET_NAME.search(name) and len(value) >= 8:
            text = text.replace(value, "***")
    text = re.sub(r"(?<=://)[^/\s@]+@", "***@", text)
    return re.sub(r"\b(Basic|Bearer) [\w+/=.~-]{8,}", r"\1 ***", text)


def last_line(text: str) -> str:
    """The last line that says something."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
