"""Running programs: what tools print when the machine is at fault, and what is no such fault."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.machine.process import last_line, masked, run, stream, trouble

DISK, GONE, PORT = "the disk is full", "the container engine stopped", "a port is already taken"
IMAGE, NETWORK = "a base image can be had neither", "the network, or a package index"

FAULTS = [
    (DISK, "#9 2.113 OSError: [Errno 28] No space left on device"),
    (DISK, 'ERROR: failed to solve: failed to copy files: copy file range failed: no space left on device'),
    (DISK, "Error: committing container for step: copying layers: write /var/tmp/storage123: no space left on device"),
    (DISK, "npm error nospc ENOSPC: no space left on device, write"),
    (DISK, "write /tmp/x: disk quota exceeded"),
    (GONE, "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"),
    (GONE, "failed to connect to the docker API at tcp://10.0.0.1:2375: dial tcp: connect: connection refused"),
    (GONE, "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: connect: permission denied"),
    (GONE, 'error during connect: Post "http://docker/v1.41/build": EOF'),
    (GONE, "failed to receive status: rpc error: code = Unavailable desc = error reading from server: EOF"),
    (GONE, "failed to solve: rpc error: code = Unavailable desc = transport is closing"),
    (GONE, "cannot write /tmp/x/image-id because server did not provide an image ID"),
    (GONE, "Error: unable to connect to Podman socket: dial unix /run/podman/podman.sock: connect: no such file or directory"),
    (PORT, "docker: Error response from daemon: driver failed programming external connectivity on endpoint x: Bind for 127.0.0.1:8000 failed: port is already allocated."),
    (PORT, "Error response from daemon: Ports are not available: listen tcp4 127.0.0.1:3000: bind: address already in use"),
    (PORT, "Error: rootlessport listen tcp 127.0.0.1:8000: bind: address already in use"),
    (PORT, "Error: cannot listen on the TCP port: listen tcp4 :8000: bind: address already in use"),
    (IMAGE, "Error response from daemon: pull access denied for nope, repository does not exist or may require 'docker login'"),
    (IMAGE, "Error response from daemon: manifest for python:9.9 not found: manifest unknown: manifest unknown"),
    (IMAGE, "ERROR: failed to solve: python:9.9: failed to resolve source metadata for docker.io/library/python:9.9: docker.io/library/python:9.9: not found"),
    (IMAGE, 'Error response from daemon: Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host'),
    (IMAGE, "Error: initializing source docker://python:9.9: reading manifest 9.9 in docker.io/library/python: manifest unknown"),
    (IMAGE, 'Error: creating build container: short-name "acme/x" did not resolve to an alias and no unqualified-search registries are defined in "/etc/containers/registries.conf"'),
    (IMAGE, "Error: No such image: taskflow-backend:dev"),
    (IMAGE, "Error: taskflow-backend:dev: image not known"),
    (IMAGE, "toomanyrequests: You have reached your pull rate limit."),
    (NETWORK, "#8 5.1 WARNING: Retrying after connection broken by 'NewConnectionError': [Errno -3] Temporary failure in name resolution"),
    (NETWORK, "#8 1.2 npm error code EAI_AGAIN"),
    (NETWORK, "#8 1.2 npm error code ENOTFOUND"),
    (NETWORK, "#8 1.2 npm error code ECONNREFUSED"),
    (NETWORK, "#8 1.2 curl: (6) Could not resolve host: example.org"),
    (NETWORK, "#8 1.2   Caused by: dns error: failed to lookup address information: Try again"),
    (NETWORK, "connect: network is unreachable"),
    (NETWORK, "#8 5.1 NewConnectionError: Failed to establish a new connection: [Errno -2] Name or service not known"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "output"), FAULTS)
def test_the_machines_fault(message: str, output: str) -> None:
    fault = trouble(f"#5 [2/4] RUN make\n#5 DONE 0.1s\n{output}\n#9 ERROR: exit code: 1\n")
    assert fault is not None
    assert fault.message.startswith(message)
    assert fault.message.endswith(output.strip()[:300]), "the tool's own line belongs to it"
    assert fault.hint
    assert int(fault.exit_code) == 4


@pytest.mark.parametrize(
    "output",
    [
        "",
        '#9 ERROR: process "/bin/sh -c npm run build" did not complete successfully: exit code: 1',
        "The command '/bin/sh -c exit 3' returned a non-zero code: 3",
        'Error: building at STEP "RUN exit 3": while running runtime: exit status 3',
        "#9 ModuleNotFoundError: No module named 'app'",
        "#9 FileNotFoundError: [Errno 2] No such file or directory: 'x'",
        "#9 raise HostnotFound",
        "#9 ERROR: No matching distribution found for fastapi==999",
        "#9 THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE",
        "#9 npm error code ELIFECYCLE",
        "#9 npm error code E404",
        "#9 npm error `npm ci` can only install packages when package.json and the lock file agree",
        "#9 src/app/page.tsx(3,7): error TS2322: Type 'string' is not assignable to type 'number'.",
        "#9 Killed",
        'ERROR: failed to solve: dockerfile parse error on line 3: unknown instruction: RUNN',
        'ERROR: failed to calculate checksum of ref: "/nope": not found',
        "COPY failed: file not found in build context or excluded by .dockerignore: stat nope",
        "#9 AssertionError: image of a port in the network is taken",
    ],
)  # fmt: skip
def test_no_fault_of_the_machine(output: str) -> None:
    assert trouble(f"#5 [2/4] RUN make\n{output}\n") is None


# What an application may print, whatever the machine is doing.
HARMLESS = [
    "Failed to fetch data: 404",
    "Failed to fetch `Inter` from Google Fonts.",
    "Error: Failed to fetch https://api.example.org/prices",
    "TypeError: Failed to fetch dynamically imported module: http://localhost:3000/x.js",
    "E: Failed to fetch http://deb.example.org/pool/x.deb  404  Not Found [IP: 10.0.0.1 80]",
    "ConnectionRefusedError: [Errno 111] Connection refused",
    "connection refused by the index page /simple",
    "Error: getaddrinfo ENOTFOUND backend",
    "test_no_space_left_on_device FAILED",
    "handles 'no space left on device' ... FAILED",
    "OSError: [Errno 98] Address already in use",
    "stat /var/run/docker.sock: no such file or directory",
    "error during connect: the test's own words",
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
    "No such image: x",
    "curl: (7) Failed to connect to localhost port 8000 after 0 ms: Could not connect to server",
    "curl: (22) The requested URL returned error: 404",
    "npm error code E404",
    "the network is unreachable in this scenario",
]
# What package managers print when it does stand in the way.
OF_STEPS = [
    (NETWORK, "npm error code ECONNREFUSED"),
    (NETWORK, "npm ERR! code ETIMEDOUT"),
    (NETWORK, "E: Failed to fetch http://deb.example.org/pool/x.deb  Could not connect to deb.example.org:80"),
    (NETWORK, "W: Failed to fetch http://deb.example.org/InRelease  Temporary failure resolving 'deb.example.org'"),
    (NETWORK, "WARNING: fetching https://dl.example.org/alpine/main: temporary error (try again later)"),
    (NETWORK, "WARNING: updating https://dl.example.org/alpine/main: DNS lookup error"),
    (NETWORK, "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NewConnectionError(x)': /simple/x/"),
    (NETWORK, "socket.gaierror: [Errno -2] Name or service not known"),
    (NETWORK, "  Caused by: dns error: failed to lookup address information: Try again"),
    (NETWORK, "  ╰─▶ tcp connect error: Connection refused (os error 111)"),
    (NETWORK, "curl: (6) Could not resolve host: example.org"),
    (NETWORK, "curl: (7) Failed to connect to example.org port 443 after 3 ms: Could not connect to server"),
    (NETWORK, "wget: bad address 'example.org'"),
    (NETWORK, "fatal: unable to access 'https://example.org/x.git/': Could not resolve host: example.org"),
    (DISK, "cp: error writing '/x': No space left on device"),
    (DISK, "E: Write error - write (28: No space left on device)"),
    (DISK, "error: failed to write /x: No space left on device (os error 28)"),
    (DISK, "npm error nospc ENOSPC: no space left on device, write"),
]  # fmt: skip


@pytest.mark.parametrize("output", HARMLESS)
def test_an_applications_words_are_nobodys_fault(output: str) -> None:
    assert trouble(f"one\n{output}\ntwo", of_step=True) is None


@pytest.mark.parametrize(("message", "output"), OF_STEPS)
def test_package_managers_meet_the_machines_fault(message: str, output: str) -> None:
    fault = trouble(f"one\n{output}\ntwo", of_step=True)
    assert fault is not None
    assert fault.message.startswith(message)


@pytest.mark.parametrize(
    "output",
    [
        'failed to compute cache key: failed to calculate checksum of ref x: "/docker.sock": not found',
        "Error response from daemon: invalid mount config for /var/run/docker.sock: no such path",
        "app: the file /var/run/docker.sock is not there",
        "OCI runtime exec failed: the word error during connect is in its arguments",
    ],
)
def test_who_names_the_engine_does_not_say_that_it_is_gone(output: str) -> None:
    assert trouble(output) is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Basic authentication is off", "Basic authentication is off"),
        ("use Bearer authentication.", "use Bearer authentication."),
        ("Basic YW5uOnNlY3JldA==", "Basic ***"),
        ("Bearer eyJhbGciOiJIUzI1NiJ9.e30.x-y_z", "Bearer ***"),
        ("Authorization: Basic abcdefgh", "Authorization: Basic ***"),
        ("{'authorization': 'Bearer secretsecret'}", "{'authorization': 'Bearer ***'}"),
        ("https://ann:secret@example.org/x", "https://***@example.org/x"),
    ],
)
def test_credentials_are_masked_and_words_are_not(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_a_long_line_is_cut() -> None:
    fault = trouble("x" * 10_000 + " no space left on device")
    assert fault is not None
    assert len(fault.message) < 400


PYTHON = sys.executable


def test_run_captures() -> None:
    done = run([PYTHON, "-c", "import sys; print('é'); print('no', file=sys.stderr); sys.exit(3)"])
    assert (done.stdout, done.stderr, done.returncode) == ("é\n", "no\n", 3)


def test_run_hands_over_input_environment_and_folder(tmp_path: Path) -> None:
    code = "import os, sys; print(sys.stdin.read(), os.environ['A_B'], os.getcwd(), 'PATH' in os.environ)"
    done = run([PYTHON, "-c", code], stdin="in", env={"A_B": "1"}, cwd=tmp_path)
    assert done.stdout == f"in 1 {tmp_path.resolve()} True\n"


def test_run_asks_nobody() -> None:
    assert run([PYTHON, "-c", "import sys; print(repr(sys.stdin.read()))"]).stdout == "''\n"


def test_run_takes_what_is_no_text() -> None:
    done = run([PYTHON, "-c", r"import sys; sys.stdout.buffer.write(b'a\xffb')"])
    assert done.stdout == "a\ufffdb"


def test_a_missing_program() -> None:
    for call in (lambda: run(["no-such-program", "x"]), lambda: stream(["no-such-program"], print)):
        with pytest.raises(
            EnvironmentTrouble, match=r"^no-such-program is not installed"
        ) as caught:
            call()
        assert caught.value.hint
        assert caught.value.exit_code == 4


Plant = Callable[[Path], object]
NOT_RUNNABLE: dict[str, tuple[Plant, str]] = {
    "not executable": (lambda path: path.write_text("#!/bin/sh\n"), "it is not executable"),
    "a folder": (lambda path: path.mkdir(), "it is a folder"),
    "no program": (lambda path: path.write_bytes(b"\0\1\2"), "not a program for this machine"),
    "empty": (lambda path: path.write_bytes(b""), "not a program for this machine"),
    "no interpreter": (lambda path: path.write_text("#!/nope/sh\n"), "its interpreter, does not exist"),
    "a link to nowhere": (lambda path: path.symlink_to("nowhere"), "the file that it links to"),
    "a link to itself": (lambda path: path.symlink_to(path), "symbolic links"),
    "below a file": (lambda path: path.write_text(""), "Not a directory"),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_RUNNABLE)
def test_a_file_that_cannot_be_run(case: str, tmp_path: Path) -> None:
    plant, reason = NOT_RUNNABLE[case]
    program = tmp_path / "program"
    plant(program)
    if case in {"no program", "empty", "no interpreter"}:
        program.chmod(0o755)
    program = program / "x" if case == "below a file" else program
    for call in (lambda: run([program]), lambda: stream([program], print)):
        with pytest.raises(EnvironmentTrouble) as caught:
            call()
        assert caught.value.message.startswith(f"{program} cannot be run: ")
        assert reason in caught.value.message
        assert caught.value.hint


def test_a_folder_that_is_gone_is_not_the_programs_fault(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentTrouble, match=r"gone is not there\n"):
        run([PYTHON, "-c", "pass"], cwd=tmp_path / "gone")


def test_a_timeout() -> None:
    started = time.monotonic()
    with pytest.raises(EnvironmentTrouble, match=r"^no answer within 0\.2 s: .*python") as caught:
        run([PYTHON, "-c", "import time; time.sleep(60)"], timeout=0.2)
    assert time.monotonic() - started < 30
    assert caught.value.hint == "run the command again"


@pytest.mark.skipif(os.name == "nt", reason="no process groups there")
@pytest.mark.parametrize(("patience", "finished"), [(None, False), (0.0, False), (5.0, True)])
def test_what_had_begun_may_finish(patience: float | None, finished: bool, tmp_path: Path) -> None:
    """Ctrl-C reaches the whole group, but not a program that is given time to finish."""
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    inner = f"touch {begun}; sleep 0.5; touch {ended}"
    code = f"from taskflow_containers.machine.process import run; run(['sh', '-c', {inner!r}], patience={patience})"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ,
        start_new_session=True,
    )
    while not begun.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) != 0
    assert ended.exists() == finished


# Stops in a second, as compose stops containers; told once more, or by SIGTERM, at once.
STOPS = """
import pathlib, signal, sys, time
told = []
signal.signal(signal.SIGINT, lambda *_: told.append(1))
pathlib.Path(sys.argv[1]).touch()
while not told: time.sleep(0.01)
until = time.monotonic() + 1
while time.monotonic() < until and len(told) < 2: time.sleep(0.01)
pathlib.Path(sys.argv[2]).write_text(str(len(told)))
"""
WAITS = """
import os, sys, pathlib
from taskflow_containers.machine import signals
from taskflow_containers.machine.process import foreground
signals.listen()
sys.exit(foreground([sys.executable, "-c", *sys.argv[1:]], pathlib.Path.cwd(), os.environ, patience=20))
"""


@pytest.mark.skipif(os.name == "nt", reason="no process groups there")
@pytest.mark.parametrize(
    ("sent", "ends"),
    [((signal.SIGINT,), "1"), ((signal.SIGINT, signal.SIGINT), "2"), ((signal.SIGTERM,), None)],
)
def test_a_program_at_the_terminal_ends_before_we_do(
    sent: tuple[signal.Signals, ...], ends: str | None, tmp_path: Path
) -> None:
    """Ctrl-C, Ctrl-C twice, and a SIGTERM that the program itself does not get."""
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    words = [sys.executable, "-c", WAITS, STOPS, str(begun), str(ended)]
    process = subprocess.Popen(words, start_new_session=True)
    while not begun.exists():
        assert process.poll() is None
        time.sleep(0.01)
    for number in sent:
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        time.sleep(0.2)
    assert process.wait(10) == 130
    assert (ended.read_text() if ended.exists() else None) == ends
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_stream_hands_over_lines_as_they_come() -> None:
    code = (
        "import sys, time\nprint('one', flush=True)\nprint('two', file=sys.stderr, flush=True)\n"
        "print(sys.stdin.read(), end='')\nsys.exit(5)"
    )
    seen: list[str] = []
    assert stream([PYTHON, "-c", code], seen.append, stdin="three") == (5, "one\ntwo\nthree")
    assert seen == ["one", "two", "three"]


def test_stream_of_a_program_that_does_not_read_its_input() -> None:
    code = "import sys; sys.stdin.close(); print('why'); sys.exit(1)"
    seen: list[str] = []
    answer = stream([PYTHON, "-c", code], seen.append, stdin="x" * 1_000_000)
    assert answer == (1, "why\n")
    assert seen == ["why"]


def test_an_interrupted_stream_ends_its_program(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    code = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); print(1, flush=True); time.sleep(60)"

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream([PYTHON, "-c", code], interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)


def test_last_line() -> None:
    assert last_line("a\n  b \n\n \n") == "b"
    assert last_line("") == ""
