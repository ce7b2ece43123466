"""Whose words a failed build's output holds, as each builder writes it."""

from __future__ import annotations

import pytest

from taskflow_containers.engine import buildlog

DISK, NETWORK, PORT = "the disk is full", "the network, or a package", "a port is already taken"
CERTIFICATE = "a certificate is not trusted"
IMAGE, GONE = "a base image can be had neither", "the container engine stopped"
RUN = "RUN ./check && ./serve"

# What a build prints that fails in a RUN, the step's own lines at {said}, the builder's at {own}.
BUILDX = """\
#0 building with "default" instance using docker driver
#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 209B done
#1 DONE 0.0s
#4 [1/2] FROM docker.io/library/python:3.13-slim
#4 CACHED
#5 [2/2] {run}
{said}
{own}
------
 > [2/2] {run}:
{said}
------
Dockerfile:2
--------------------
   1 |     FROM python:3.13-slim
   2 | >>> {run}
--------------------
ERROR: failed to solve: {failure}
"""
BUILDKIT = """\
#5 [2/2] {run}
#5 sha256:502af5bd68cfa2ead544014e9601a23609aeabc2caa740c2cf2e60e67ed9050c
{said}
{own}
------
 > [2/2] {run}:
------
{failure}
"""
LEGACY = """\
DEPRECATED: The legacy builder is deprecated and will be removed in a future release.

Sending build context to Docker daemon  2.048kB
Step 1/2 : FROM python:3.13-slim
 ---> 914a82d5383f
Step 2/2 : {run}
 ---> Running in e6d6669683bd
{said}
Removing intermediate container e6d6669683bd
{failure}
"""
BUILDAH = """\
STEP 1/2: FROM python:3.13-slim
STEP 2/2: {run}
{said}
{failure}
"""
OLD_BUILDAH = "[1/2] STEP 1/2: FROM x\n[1/2] STEP 2/2: {run}\n{said}\ntime=\"2026-01-01T10:00:00Z\" level=error msg=\"exit status 1\"\n{failure}\n"  # fmt: skip

BUILDERS = {
    "buildx": (BUILDX, 'process "/bin/sh -c {run}" did not complete successfully: exit code: 1'),
    "BuildKit": (BUILDKIT, "executor failed running [/bin/sh -c {run}]: exit code: 1"),
    "legacy": (LEGACY, "\x1b[0mThe command '/bin/sh -c {run}' returned a non-zero code: 1"),
    "Buildah": (BUILDAH, 'Error: building at STEP "{run}": while running runtime: exit status 1'),
    "old Buildah": (OLD_BUILDAH, 'Error: error building at STEP "{run}": error while running runtime: exit status 1'),
}  # fmt: skip


def log(builder: str, *said: str, run: str = RUN, failure: str = "") -> buildlog.Log:
    """What is read of a build that failed in a RUN which printed these lines."""
    form, usual = BUILDERS[builder]
    kit = builder in {"buildx", "BuildKit"}
    failure = failure or usual.format(run=run)
    printed = "\n".join(f"#5 0.123 {line}" if kit else line for line in said)
    whole = form.format(run=run, said=printed, own=f"#5 ERROR: {failure}", failure=failure)
    return buildlog.read(whole, buildkit=kit)


def found(read: buildlog.Log) -> str:
    fault = read.trouble()
    return fault.message if fault else ""


@pytest.mark.parametrize("builder", BUILDERS)
def test_the_steps_lines_are_its_own(builder: str) -> None:
    read = log(builder, "one", "", "--> two", "Step by step", "ERROR: three", "Error: four")
    assert read.step == ["one", "--> two", "Step by step", "ERROR: three", "Error: four"]
    assert not set(read.step) & set(read.builder)
    assert "exit" in read.builder[-1] or "non-zero" in read.builder[-1]


# What a step may print as it fails, and whether that is the machine's fault.
SAID = {
    "OSError: [Errno 98] Address already in use": "",
    "Error: listen EADDRINUSE: address already in use :::3000": "",
    "error: address already in use": "",
    "Bind for 127.0.0.1:8000 failed: port is already allocated": "",
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is it running?": "",
    "Error: No such image: taskflow-backend:dev": "",
    "manifest unknown": "",
    "toomanyrequests: You have reached your pull rate limit.": "",
    "OSError: [Errno 28] No space left on device": DISK,
    "npm error nospc ENOSPC: no space left on device, write": DISK,
    "npm error code EAI_AGAIN": NETWORK,
    "[Errno -3] Temporary failure in name resolution": NETWORK,
    "E: Failed to fetch http://deb.example.org/x.deb  Could not connect to deb.example.org:80": NETWORK,
    "curl: (6) Could not resolve host: example.org": NETWORK,
    "  cause: dns error: failed to lookup address information": NETWORK,
    "  cause: invalid peer certificate: UnknownIssuer": CERTIFICATE,
    "npm error code SELF_SIGNED_CERT_IN_CHAIN": CERTIFICATE,
    "GET https://npm.example/left-pad error (SELF_SIGNED). reason: self-signed certificate in certificate chain": CERTIFICATE,
    "WARNING: Retrying (Retry(total=4)) after connection broken by 'SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]": CERTIFICATE,
    "curl: (60) SSL certificate problem: unable to get local issuer certificate": CERTIFICATE,
    "ssl.SSLCertVerificationError: certificate verify failed": "",
    "Failed to fetch data: 404": "",
    "connect ECONNREFUSED 127.0.0.1:5432: connection refused": "",
    "dial unix /var/run/docker.sock: connect: no such file or directory": "",
    "error during connect: Post http://docker/v1.41/build: EOF": "",
}


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("builder", BUILDERS)
def test_what_a_step_may_say(builder: str, said: str) -> None:
    assert found(log(builder, "start", said, "end")).startswith(SAID[said])
    assert bool(found(log(builder, "start", said, "end"))) == bool(SAID[said])


@pytest.mark.parametrize("builder", BUILDERS)
def test_what_a_step_said_long_before_it_failed_counts_no_more(builder: str) -> None:
    later = [f"test {number} passed" for number in range(20)]
    for said in SAID:
        assert found(log(builder, said, *later, "1 test failed")) == ""


@pytest.mark.parametrize("builder", BUILDERS)
def test_npm_says_why_first(builder: str) -> None:
    usage = [f"npm error --option-{number}" for number in range(20)]
    assert "ECONNREFUSED" in found(log(builder, "npm error code ECONNREFUSED", *usage))


@pytest.mark.parametrize("builder", BUILDERS)
def test_npms_notices_come_before_no_reason(builder: str) -> None:
    notices = ["npm notice", "npm notice New major version of npm available! 11.21.2 -> 12.2.1"]
    reason = "src/a.ts(1,2): error TS2307: Cannot find module 'left-pad'"
    read = log(builder, reason, "Failed to type check.", *notices * 8)
    assert reason in read.failure("")[1]
    assert found(
        log(builder, "curl: (6) Could not resolve host: example.org", *notices * 8)
    ).startswith(NETWORK)


@pytest.mark.parametrize(
    "first", ["Error: Turbopack build failed with 1 error:", "Failed to compile."]
)
def test_next_says_why_before_it_quotes_the_source(first: str) -> None:
    reason = "Error: Module not found: Can't resolve 'left-pad'"
    source = [f"  {number} |" for number in range(20)]
    step = log("buildx", "  Creating a build ...", first, "./src/app/page.tsx:1:1", reason, *source)
    _, said, _ = step.failure("")
    assert said.startswith(first)
    assert reason in said


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("words", ["no space left on device", "address already in use"])
def test_the_words_of_the_instruction_are_nobodys_error(builder: str, words: str) -> None:
    assert found(log(builder, "3 failed", run=f"RUN ./check '{words}'")) == ""


# The builder's own last word: the step did not fail, or not of itself.
OWN = {
    "buildx": [
        (DISK, "failed to solve: failed to copy: write /var/lib/docker/x: no space left on device"),
        (GONE, "failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF"),
    ],
    "BuildKit": [
        (DISK, "failed to solve with frontend dockerfile.v0: write /x: no space left on device"),
        (GONE, "error during connect: Post \"http://docker/v1.41/build\": EOF"),
    ],
    "legacy": [
        (DISK, "Error processing tar file(exit status 1): write /x: no space left on device"),
        (DISK, "failed to copy: write /x: no space left on device"),
        (GONE, 'error during connect: Post "http://docker/v1.41/build": EOF'),
    ],
    "Buildah": [
        (DISK, "Error: committing container for step {Env:[] Command:run Args:[x]}: copying layers: write /var/tmp/x: no space left on device"),
    ],
    "old Buildah": [
        (DISK, "Error: error committing container: write /var/tmp/x: no space left on device"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("builder", "fault"), [(b, f) for b, all_ in OWN.items() for f in all_])
def test_the_builders_own_error(builder: str, fault: tuple[str, str]) -> None:
    message, line = fault
    assert found(log(builder, "address already in use", failure=line)).startswith(message)


@pytest.mark.parametrize(
    ("message", "line", "buildkit"),
    [
        (IMAGE, "#3 [internal] load metadata for docker.io/library/p:9\n#3 ERROR: docker.io/library/p:9: failed to resolve source metadata\n", True),
        (IMAGE, "#3 ERROR: failed to do request: Head \"https://registry-1.docker.io/v2/\": dial tcp\n------\n > [internal] load metadata:\n------\nERROR: failed to solve: p:9\n", True),
        (GONE, "ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock.\n", True),
        (GONE, "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.\n", False),
        (IMAGE, "Step 1/2 : FROM nope\npull access denied for nope, repository does not exist\n", False),
        (IMAGE, "STEP 1/2: FROM p:9\nTrying to pull p:9...\nError: creating build container: initializing source docker://p:9: reading manifest\n", False),
        ("", '#6 ERROR: failed to calculate checksum of ref x: "/docker.sock": not found\nERROR: failed to solve: "/docker.sock": not found\n', True),
        (DISK, "Step 2/3 : COPY . .\nfailed to copy files: no space left on device\n", False),
        (DISK, "#6 [3/3] COPY . .\n#6 ERROR: failed to copy files: no space left on device\nERROR: failed to solve\n", True),
    ],
)  # fmt: skip
def test_errors_outside_of_steps(message: str, line: str, buildkit: bool) -> None:
    said = found(buildlog.read(line, buildkit=buildkit))
    assert said.startswith(message)
    assert bool(said) == bool(message)


def test_a_step_that_succeeded_is_not_why_another_failed() -> None:
    said = "address already in use\nno space left on device\n"
    kit = said.replace("addr", "#4 0.1 addr").replace("no sp", "#4 0.1 no sp")
    outputs = [
        (f"#4 [2/3] RUN a\n{kit}#4 DONE 0.2s\n#5 [3/3] RUN b\n#5 0.1 no\n#5 ERROR: exit code: 1\n", True),
        (f"Step 1/2 : RUN a\n ---> Running in 012345678901\n{said}Removing intermediate container 012345678901\n ---> 012345678901\nStep 2/2 : RUN b\nno\nThe command 'b' returned a non-zero code: 1\n", False),
        (f"STEP 1/2: RUN a\n{said}--> 0123456789ab\nSTEP 2/2: RUN b\nno\nError: building at STEP \"RUN b\": exit status 1\n", False),
    ]  # fmt: skip
    for output, buildkit in outputs:
        read = buildlog.read(output, buildkit=buildkit)
        assert read.step == ["no"]
        assert read.trouble() is None


def test_a_progress_bar_is_the_steps() -> None:
    """A carriage return starts a line without a number."""
    bar = "#5 [2/2] RUN a\n#5 0.1 10%\n20%\n------\naddress already in use\n"
    read = buildlog.read(f"{bar}#5 ERROR: exit code: 1\nERROR: failed to solve\n", buildkit=True)
    assert read.step == ["10%", "20%", "------", "address already in use"]
    assert read.trouble() is None
    cut = buildlog.read(f"{bar}ERROR: error reading from server: EOF\n", buildkit=True)
    assert found(cut).startswith(GONE)


SHELL = "exec /bin/sh: exec format error"
TWO = ["linux/amd64", "linux/arm64"]


@pytest.mark.parametrize(
    ("output", "platforms", "named"),
    [
        (f"#8 [linux/arm64 build 2/4] RUN x\n#8 0.123 {SHELL}", TWO, "for linux/arm64: "),
        (f"#8 [2/4] RUN x\n#8 0.123 {SHELL}", TWO, "for linux/arm64: "),
        (f"STEP 2/2: RUN x\n{SHELL}\nError: building", ["linux/s390x"], "for linux/s390x: "),
        ("exec container process `/bin/sh`: Exec format error", [], "its base image"),
        (f" ---> Running in 1\n\x1b[91m{SHELL}\n\x1b[0m", [], "its base image"),
        ("#8 [linux/arm64 2/4] RUN x\n#8 1.2 exec /usr/bin/env: exec format error", TWO, "arm64: "),
        # The Dockerfile's, or the application's, own affair.
        ("#8 [2/4] RUN x\n#8 1.2 exec /usr/bin/env: exec format error", [], ""),
        ("#8 [linux/amd64 2/4] RUN x\n#8 1.2 exec /app/x: exec format error", TWO, ""),
        ("#8 [2/4] RUN x\n#8 1.2 fork/exec ./x: exec format error", [], ""),
        ("#8 [2/4] RUN x\n#8 1.2 /bin/sh: 1: ./x: Exec format error", TWO, ""),
    ],
)
def test_what_is_not_emulated(output: str, platforms: list[str], named: str) -> None:
    found = buildlog.not_run_here(output, platforms, "linux/amd64")
    assert (named in found.message and "qemu-user-static" in found.hint) if found else not named


def test_a_long_line_keeps_the_step_and_the_exit_code() -> None:
    line = f"ERROR: process {'x' * 900} did not complete successfully: exit code: 7"
    failed, _, _ = buildlog.Log([], []).failure(line)
    assert failed.startswith("ERROR: process x")
    assert failed.endswith("exit code: 7")
    assert len(failed) <= 401
