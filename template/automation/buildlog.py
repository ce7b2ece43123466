"""Whose words a builder's output holds: the builder's own, or those of a step that it ran."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import takewhile

from automation.errors import EnvironmentTrouble
from automation.process import trouble

# So many lines at the end of a failed step are taken for why it failed.
_LAST_WORDS = 12
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
# The instruction that failed, repeated in the builder's own words.
_QUOTED = re.compile(
    r"process \".*\" did not complete|executor failed running \[.*\]: exit"
    r"|The command '.*' returned a non-zero code|building at STEP \".*\": |for step \{.*\}"
)
_VERTEX = re.compile(r"#(\d+) (?:(\d+\.\d+ ?)|(ERROR: )|(\[))?(.*)")
_OWN_ERROR = re.compile(
    r"error|failed|cannot connect|permission denied|unable|unexpected|dockerfile", re.IGNORECASE
)
_CLASSIC_STEP = re.compile(r"(?:\[[\d/]+\] )?STEP \d+(?:/\d+)?: +(\w+)", re.IGNORECASE)
_LEGACY_STEP = re.compile(r"Step \d+/\d+ : (\w+)")
_DONE = re.compile(r" ?-{2,3}> (Using cache.*|[0-9a-f]{10,64})")
_ASIDE = re.compile(r" ---> Running in .*|Removing intermediate container [0-9a-f]+")
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
        return trouble(own) or trouble("\n".join(self.step[-_LAST_WORDS:]), of_step=True)


def read(output: str, *, buildkit: bool) -> Log:
    """The output of a build that failed, as BuildKit or a classic builder writes it."""
    lines = [line for line in _COLOUR.sub("", output).splitlines() if line.strip()]
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
