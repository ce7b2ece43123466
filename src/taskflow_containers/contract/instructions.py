"""A Dockerfile as stages of instructions, with ARG and ENV references resolved."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_NAME = r"[A-Za-z_]\w*"
_VARIABLE = re.compile(
    rf"\\\$|\$(?:\{{({_NAME})(?:(:?[-+?])((?:\$\{{[^}}]*\}}|[^}}])*))?\}}|({_NAME}))", re.ASCII
)
_PIECE = re.compile(r"(\s+)|'([^']*)'|\"((?:\\.|[^\"\\])*)\"|((?:\\.|[^\s'\"\\])+|.)", re.DOTALL)
# A word with its quotes, and one that starts a heredoc: `<<-` takes tabs from its lines.
_RAW_WORD = re.compile(r"(?:\"(?:\\.|[^\"\\])*\"|'[^']*'|\\.|[^\s\"'\\])+|\S", re.DOTALL)
_HEREDOC = re.compile(r"\d*<<(-?)([^<]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its name in capitals, its text (variables resolved) and its line.

    `pairs` are the assignments of an ENV, LABEL or ARG; an ARG without a default has "" there.
    """

    name: str
    text: str
    line: int
    pairs: Mapping[str, str] = field(default_factory=dict)

    @property
    def exec_form(self) -> list[str] | None:
        """The words of its JSON (exec) form, or None for the shell form."""
        return exec_form(self.text)


def exec_form(text: str) -> list[str] | None:
    """The words of a JSON (exec) form, or None for the shell form."""
    try:
        words = json.loads(text)
    except ValueError:
        return None
    return words if isinstance(words, list) and all(isinstance(w, str) for w in words) else None


@dataclass(slots=True)
class Stage:
    """From one FROM to the next; `environment` and `arguments` are those in force at its end.

    `image` is what FROM names, `base` the image from outside below it and the stages it is built on.
    """

    image: str
    name: str
    line: int
    base: str
    instructions: list[Instruction] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)

    def last(self, name: str) -> Instruction | None:
        """The instruction of that name that wins."""
        return next((item for item in reversed(self.instructions) if item.name == name), None)

    def all(self, name: str) -> list[Instruction]:
        """Every instruction of that name, in order."""
        return [item for item in self.instructions if item.name == name]


def _words(text: str, variables: Mapping[str, str]) -> list[str]:
    """Words as Docker splits them: quotes and escapes removed, variables resolved in their place."""
    words: list[str] = []
    open_word = False
    for space, single, double, bare in _PIECE.findall(text):
        if space:
            open_word = False
            continue
        piece = single or re.sub(r"\\(.)", r"\1", _expand(double or bare, variables))
        words[len(words) - open_word :] = [words[-1] + piece if open_word else piece]
        open_word = True
    return words


def _assignments(name: str, text: str, variables: Mapping[str, str]) -> dict[str, str | None]:
    """What an ENV, LABEL or ARG sets; None for an ARG without a default."""
    words = _words(text, variables)
    if name == "ARG" or (words and "=" in words[0]):
        parts = [word.partition("=") for word in words]
        return {key: value if equals else None for key, equals, value in parts}
    # The old form: everything behind the name is the value.
    return {words[0]: " ".join(words[1:])} if words else {}


def _expand(text: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match[0] == "\\$":
            return "$"
        name, operator, word = match[1] or match[4], match[2] or "", match[3] or ""
        known = variables.get(name, "")
        there = bool(known) if operator[:1] == ":" else name in variables
        if operator[-1:] == "-":
            return known if there else _expand(word, variables)
        if operator[-1:] == "+":
            return _expand(word, variables) if there else ""
        return known

    return _VARIABLE.sub(value, text)


class _Heredoc(NamedTuple):
    word: str  # as it is written: <<-"EOF"
    marker: str
    tabs: bool  # whether tabs may stand before the marker
    first: int  # line of its body
    last: int  # line of its marker


class _Logical(NamedTuple):
    line: int
    text: str
    heredocs: list[_Heredoc]


def _markers(instruction: str) -> Iterator[tuple[str, str, bool]]:
    """The heredocs of an instruction: word, marker, tabs."""
    if not re.match(r"(?i)(ONBUILD\s+)?(RUN|COPY|ADD)\s", instruction):
        return
    words = re.sub(r"^(?:\S+\s+)(?:--\S+\s+)*", "", instruction)
    if exec_form(words) is not None:
        return
    for word in _RAW_WORD.findall(instruction):
        if match := _HEREDOC.fullmatch(word):
            yield word, "".join(_words(match[2], {})), bool(match[1])


def _logical_lines(text: str) -> Iterator[_Logical]:
    """The instructions with continuations joined, comments left out and heredocs apart."""
    directive = re.match(r"(?:#\s*\w+\s*=[^\n]*\n)*#\s*escape\s*=\s*`", text, re.IGNORECASE)
    escape = re.escape("`" if directive else "\\")
    continued = re.compile(rf"(?:^|(?<!{escape})){escape}\s*$")
    lines = iter(enumerate(text.split("\n"), 1))
    for start, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        whole = line.strip()
        while continued.search(whole):
            more = next((m for _, m in lines if m.strip() and m.lstrip()[0] != "#"), "")
            # A word may go on in the next line, so nothing comes between them.
            whole = continued.sub("", whole) + more.rstrip()
        heredocs: list[_Heredoc] = []
        for word, marker, tabs in _markers(whole):
            first = 0
            for number, more in lines:
                first = first or number
                if more.rstrip("\r").lstrip("\t" if tabs else "") == marker:
                    heredocs.append(_Heredoc(word, marker, tabs, first, number))
                    break
        yield _Logical(start, whole.strip(), heredocs)


def with_plain_heredocs(text: str) -> tuple[str, list[int]]:
    """The same Dockerfile as hadolint 2.15 can read it, and for each of its lines the number it had.

    It knows neither `<<-` with tabs, nor two heredocs of a RUN, nor one of an ADD, and wants an empty line behind
    each (hadolint/hadolint#960).
    """
    lines = text.split("\n")
    numbers = [*range(1, len(lines) + 1)]
    for found in reversed([*_logical_lines(text)]):
        if not found.heredocs:
            continue
        start, end = found.line - 1, found.heredocs[0].first - 1
        head = re.sub(r"(?i)^(\s*(?:ONBUILD\s+)?)ADD\b", r"\1COPY", "\n".join(lines[start:end]))
        run = re.match(r"(?i)(ONBUILD\s+)?RUN\s", found.text)
        for index, heredoc in enumerate(found.heredocs):
            body = slice(heredoc.first - 1, heredoc.last)
            if run and index:
                head = head.replace(heredoc.word, "", 1)
                lines[body] = [""] * len(lines[body])
                continue
            marker = f"'{heredoc.marker}'" if set(heredoc.word) & {*"\"'\\"} else heredoc.marker
            descriptor = heredoc.word.partition("<")[0]
            head = head.replace(heredoc.word, f"{descriptor}<<{marker}", 1)
            if heredoc.tabs:
                lines[body] = [line.lstrip("\t") for line in lines[body]]
        lines[start:end] = head.split("\n")
        last = found.heredocs[-1].last
        lines.insert(last, "")
        numbers.insert(last, last)
    return "\n".join(lines), numbers


def parse(text: str) -> list[Stage]:
    """The stages of a Dockerfile, as a build without any --build-arg would see them."""
    stages: list[Stage] = []
    preamble: list[Instruction] = []
    global_arguments: dict[str, str] = {}
    for line, whole, _ in _logical_lines(text):
        name, _, rest = re.sub(r"\s", " ", whole, count=1).partition(" ")
        name, rest = name.upper(), rest.strip()
        if name == "FROM":
            words = [word for word in _words(rest, global_arguments) if word[:2] != "--"]
            alias = words[2] if len(words) == 3 and words[1].upper() == "AS" else str(len(stages))
            image = words[0] if words else ""
            parent = next((s for s in stages if s.name == image.lower()), None)
            stage = Stage(image, alias.lower(), line, parent.base if parent else image)
            if parent:
                # A stage built on a stage inherits its configuration.
                stage.instructions = list(parent.instructions)
                stage.environment = dict(parent.environment)
            elif not stages:
                # What stands before the first FROM is judged with the first stage.
                stage.instructions = preamble
            stages.append(stage)
            continue
        known = stages[-1].arguments | stages[-1].environment if stages else global_arguments
        found = _assignments(name, rest, known) if name in {"ENV", "LABEL", "ARG"} else {}
        # The engine leaves these as they are: a shell resolves them when they run.
        shell = name in {"RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK"}
        pairs = {key: value or "" for key, value in found.items()}
        quoted = name in {"USER", "EXPOSE"}  # of these the builder takes quotes away
        plain = " ".join(_words(rest, known)) if quoted else _expand(rest, known)
        item = Instruction(name, rest if shell else plain, line, pairs)
        if not stages:
            global_arguments |= pairs
            preamble.append(item)
            continue
        stage = stages[-1]
        stage.instructions.append(item)
        if name == "ENV":
            stage.environment |= pairs
        elif name == "ARG":
            for key, value in found.items():
                default = global_arguments.get(key) if value is None else value
                if default is not None:
                    stage.arguments[key] = default
    return stages
