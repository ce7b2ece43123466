"""A builder's output: the steps it counts, and of a failed build whose words are which."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from taskflow_containers.machine.errors import EnvironmentTrouble
from taskflow_containers.machine.process import Say, trouble

# So many lines at the end of a failed step are taken for why it failed.
_LAST_WORDS = 12
_REASON_LINES = 6  # of it, in the report
_SAID_LINES = 60  # of it, in which the reason is looked for
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
# The instruction that failed, repeated in the builder's own words.
_QUOTED = re.compile(
    r"process \".*\" did not complete|executor failed running \[.*\]: exit"
    r"|The command '.*' returned a non-zero code|building at STEP \".*\": |for step \{.*\}"
)
_NPM = re.compile(r"npm (?:error|ERR!) (?=\S)")
# A newer npm is no reason to fail, and npm says so behind the reason.
_NOTICE = re.compile(r"(?:#\d+ \d+\.\d+ )?npm notice\b")
_NEXTS = re.compile(r"(?:Error: )?(?:Turbopack build failed with|Failed to compile)")
_VERTEX = re.compile(r"#(\d+) (?:(\d+\.\d+ ?)|(ERROR: )|(\[))?(.*)")
_OWN_ERROR = re.compile(
    r"error|failed|cannot connect|permission denied|unable|unexpected|dockerfile", re.IGNORECASE
)
_CLASSIC_STEP = re.compile(r"(?:\[[\d/]+\] )?STEP \d+(?:/\d+)?: +(\w+)", re.IGNORECASE)
_LEGACY_STEP = re.compile(r"Step \d+/\d+ : (\w+)")
_DONE = re.compile(r" ?-{2,3}> (Using cache.*|[0-9a-f]{10,64})")
_ASIDE = re.compile(r" ---> Running in .*|Removing intermediate container [0-9a-f]+")
# What runc and crun say of a step's own shell or program, which the kernel does not start.
_NOT_RUN = re.compile(
    r"^(?:#(?P<step>\d+) [\d.]+ )?(?P<said>.*?\bexec (?:container process )?`?(?P<program>/[^\s`:]+)`?: "
    r"exec format error)",
    re.IGNORECASE | re.MULTILINE,
)
# What Buildah may say before its last word.
_BUILDAHS = re.compile(r"error \w+ing |time=\"")


@dataclass(frozen=True, slots=True)
class Log:
    """A failed build's lines: the builder's own, and the output of the step that failed."""

    builder: list[str]
    step: list[str]

    def trouble(self) -> EnvironmentTrouble | None:
        """The machine's fault, if that is what the build failed of.

        A step that runs into a full disk or a dead network says so last. What else sounds like
        the machine, such as a port that is taken, happens inside of the step.
        """
        own = "\n".join(_QUOTED.sub("", line) for line in self.builder)
        last = self.step[-_LAST_WORDS:]
        if any(_NPM.match(line) for line in last):
            last = [*_reason(self.step), *last]
        return trouble(own) or trouble("\n".join(last), of_step=True)

    def failure(self, output: str) -> tuple[str, str, str]:
        """What the builder says of the step that failed, why it did, and that step's last words."""
        lines = [line.rstrip() for line in output.splitlines() if line.strip()]
        failed = next(
            (
                line
                for line in reversed(lines)
                if re.search(r"did not complete|ERROR|returned a non-zero|^Error", line)
            ),
            lines[-1] if lines else "the builder said nothing",
        )
        said = [re.sub(r"^#\d+ ", "", line) for line in lines if "ERROR" not in line]
        step = self.step or said
        last = "\n".join(step[-_SAID_LINES:])
        return _ends(failed.strip(), 400), " | ".join(_reason(step))[:800], last


def _ends(text: str, most: int) -> str:
    """A long line with its middle left out: a builder names the step first, and its exit code last."""
    half = most // 2 - 1
    return text if len(text) <= most else f"{text[:half]} … {text[-half:]}"


def not_run_here(output: str, platforms: Sequence[str], native: str) -> EnvironmentTrouble | None:
    """The fault of a machine that emulates no processor of another platform, where that ended a build.

    On the `native` one a shell that does not start is another platform's, and any other program
    the Dockerfile's own affair.
    """
    match = _NOT_RUN.search(_COLOUR.sub("", output))
    if not match:
        return None
    step = match["step"] and re.search(rf"^#{match['step']} \[(linux/\S+) ", output, re.MULTILINE)
    platform = step[1] if step else ", ".join(p for p in platforms if p != native)
    if platform in {"", native}:
        if not match["program"].endswith("sh"):
            return None
        platform = "the platform of its base image"
    return EnvironmentTrouble(
        f"this machine runs no programs for {platform}: {match['said']}",
        "have it emulate that processor (Debian's qemu-user-static and binfmt-support, or `docker run "
        "--privileged --rm tonistiigi/binfmt --install all`), or build on a machine of that kind",
    )


def read(output: str, *, buildkit: bool) -> Log:
    """The output of a build that failed, as BuildKit or a classic builder writes it."""
    lines = [line for line in _COLOUR.sub("", output).splitlines() if line.strip()]
    lines = [line for line in lines if not _NOTICE.match(line)]
    return _buildkit(lines) if buildkit else _classic(lines)


def _buildkit(lines: list[str]) -> Log:
    """`#5 0.123 words` are a step's; below `------` they are repeated, with lines of the Dockerfile."""
    said: dict[str, list[str]] = {}
    own: list[str] = []
    failed, fence, speaking = "", "", ""
    for line in lines:
        if fence or (not speaking and re.fullmatch(r"-{6}|-{20}", line)):
            # A fence is closed by its like.
            fence = "" if line == fence else fence or line
            continue
        match = _VERTEX.fullmatch(line)
        if not match:
            # A step's carriage return starts a line that bears no number.
            if speaking and not _OWN_ERROR.match(line):
                said[speaking].append(line)
            else:
                own.append(line)
                speaking = ""
            continue
        number, seconds, error, heading, text = match.groups()
        speaking = number if seconds else ""
        if seconds:
            said.setdefault(number, []).extend([text] if text.strip() else [])
        elif not heading:
            own.append(line)
            failed = number if error else failed
    return Log(own, said.get(failed, []))


def _classic(lines: list[str]) -> Log:
    """Between the heading of a RUN and the next one, or the last line, the step speaks."""
    own: list[str] = []
    step: list[str] = []
    running = False
    for line in lines:
        if heading := _LEGACY_STEP.match(line) or _CLASSIC_STEP.match(line):
            running, step = heading[1].upper() == "RUN", []
        elif _ASIDE.fullmatch(line):
            continue
        elif running and _DONE.fullmatch(line):
            running, step = False, []
        else:
            (step if running else own).append(line)
    if running and step:
        own.append(step.pop())  # the builder has the last word
        before = list(takewhile(_BUILDAHS.match, reversed(step)))
        own += reversed(before)
        step = step[: len(step) - len(before)]
    return Log(own, step)


def _reason(said: Sequence[str]) -> Sequence[str]:
    """Why a step failed: its last lines; of npm and Next.js the first, for usage and source come after."""
    npms = [line for line in said if _NPM.match(line)]
    first = next((n for n, line in enumerate(npms) if _NPM.sub("", line).startswith("code ")), None)
    if first is not None:
        return npms[first:][:_REASON_LINES]
    nexts = next((n for n, line in enumerate(said) if _NEXTS.match(line)), -_REASON_LINES)
    return said[nexts:][:_REASON_LINES]


class Steps:
    """Counts the steps of a build and those served from the cache, whatever the builder prints."""

    _BUILDKIT = re.compile(r"#(\d+) (.*)")
    _STEP = re.compile(r"\[(?!internal).*\d+/\d+\] (?!FROM )")
    _CLASSIC = re.compile(
        r"(?:\[[\d/]+\] )?STEP (\d+(?:/\d+)?): (.*)|Step (\d+/\d+) : (.*)", re.IGNORECASE
    )

    def __init__(self, on_step: Say) -> None:
        self.steps: set[str] = set()
        self.cached: set[str] = set()
        self._on_step = on_step
        self._current = ""
        self._pending: dict[str, str] = {}

    def see(self, line: str) -> None:
        """Take one line of the builder's output."""
        if match := self._BUILDKIT.match(line):
            number, what = match.groups()
            if what.startswith("CACHED"):
                self.cached.add(number)
                self._pending.pop(number, None)
            elif self._STEP.match(what):
                self.steps.add(number)
                self._pending[number] = what
            elif number in self._pending and not what.startswith("sha256:"):
                # Announced when it turns out to be work: cached steps follow with CACHED.
                self._on_step(self._pending.pop(number))
        elif self._CLASSIC.match(line):
            self._current = f"{len(self.steps)} {line}"
            if not re.search(r": FROM ", line, re.IGNORECASE):
                self.steps.add(self._current)
                self._pending["classic"] = line
        elif re.match(r"\s*-+> Using cache", line):
            self.cached.add(self._current)
            self._pending.pop("classic", None)
        elif "classic" in self._pending:
            self._on_step(self._pending.pop("classic"))
