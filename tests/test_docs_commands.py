"""What the pages tell people to type: its command and options exist, or it is another program's. test_docs_run.py runs it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from invoke.collection import Collection
from invoke.exceptions import ParseError
from invoke.parser import Parser

from docs.generate import SESSIONS
from taskflow_containers.cli import parser
from taskflow_containers.tasks import tasks
from tasks import namespace as ours
from tests.conftest import ROOT

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "template" / "README.md.jinja"]
# Programs that are not ours, and why no parser here judges their lines.
OTHERS = {
    "apt": "changes the machine", "pip": "installs; its lock files are held to the sources elsewhere",
    "docker": "needs containers of a project", "podman": "needs containers of a project",
    "kubectl": "needs a cluster", "helm": "needs a cluster", "cosign": "needs a signed image",
    "git": "its own options", "cd": "the shell's", "cp": "the shell's", "export": "the shell's", "source": "the shell's",
    "eval": "the shell's", "python3 -m venv": "makes .venv", "apiVersion:": "of a manifest",
    "copier": "its own options", "pytest": "its own options",
}  # fmt: skip
WORD = re.compile(r"…|NAME|REGISTRY|\{|\[")


def blocks(page: Path) -> Iterator[str]:
    """The lines of a page's console blocks, each without its comment."""
    text = re.sub(r"\{\{.*?\}\}|\$\(.*?\)", "x", re.sub(r"\{%.*?%\}", "", page.read_text("utf-8")))
    for block in re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in re.sub(
            r"<<'END'.*?^END$", "", block, flags=re.DOTALL | re.MULTILINE
        ).splitlines():
            if line := re.split(r"(?:^|\s)#", line)[0].strip():
                yield line


def spans(page: Path) -> Iterator[str]:
    """What is said within a sentence, where it is a command of ours; a name alone needs no argument."""
    for span in re.findall(r"(?<!`)`([^`\n]+)`", page.read_text("utf-8")):
        if re.match(
            r"(\.venv/bin/)?invoke [a-z]|nox -s [a-z]|python3? (-m taskflow\w+ [a-z]|bootstrap)",
            span,
        ):
            yield re.sub("invoke ([a-z-]+)$", r"invoke --help \1", span)


def lines(page: Path) -> list[str]:
    return [*blocks(page), *spans(page)]


def commands(line: str) -> Iterator[list[str]]:
    """The single commands of a line of the shell, without variables and redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, "&&"]:
        if word in {"&&", "|", ";"}:
            while words and re.match(r"[A-Z_]+=", words[0]):
                words.pop(0)
            if words:
                yield words[: words.index(">")] if ">" in words else words
            words = []
        else:
            words.append(word)


def fault(words: list[str], own: bool) -> str:
    """Why a command cannot be as it is written; empty where it can."""
    if words[:2] == ["pipx", "run"] or words[0] == "uvx":
        words = words[2 if words[0] == "pipx" else 1 :]
        while words and words[0].startswith("-"):
            words = words[2:]
    program, *rest = words
    program = Path(program).name
    if program in {"python", "python3"} and rest[:2] == ["-m", "taskflow_containers"]:
        return tool(rest[2:])
    if program == "taskflow-containers":
        return tool(rest)
    if program == "nox":
        return session(rest)
    if program == "invoke":
        return task(rest, own)
    if program in {"python", "python3"} and rest[:1] == ["bootstrap.py"]:
        names = [word for word in rest[1:] if not word.startswith("-")][:1]
        source = (ROOT / "noxfile.py").read_text("utf-8")
        return "" if all(f"def {name}(" in source for name in names) else f"no session {names}"
    if any(" ".join(words).startswith(other) for other in OTHERS) or program in OTHERS:
        return ""
    return f"{program} is neither ours nor named in OTHERS"


_parser = cache(parser)


def tool(words: list[str]) -> str:
    """Whether the tool's own command line takes these words."""
    try:
        _parser().parse_args([re.sub(WORD, "x", word) for word in words])
    except SystemExit as ended:
        return "" if not ended.code else f"the command line refuses {words}"
    return ""


def session(words: list[str]) -> str:
    """Whether these are sessions of a project, each of which takes what stands behind `--`."""
    if not words or words[0] in {"-l", "-t", "-f"}:
        return ""
    names = words[1 : words.index("--")] if "--" in words else words[1:]
    behind = words[words.index("--") + 1 :] if "--" in words else []
    for name in names:
        if name.removeprefix("taskflow-") not in SESSIONS:
            own = (ROOT / "noxfile.py").read_text("utf-8")
            return "" if f"def {name}(" in own else f"there is no session {name}"
        if reason := tool([name.removeprefix("taskflow-"), *behind]):
            return reason
    return ""


@cache
def _tasks(own: bool) -> Collection:
    return ours if own else Collection(*tasks(ROOT))


def task(words: list[str], own: bool) -> str:
    """Whether invoke's own parser takes these words, with a project's tasks or this repository's."""
    collection = _tasks(own)
    if words[:1] == ["--help"]:
        found = (
            words[1].removeprefix("taskflow.").removeprefix("taskflow-") in collection.task_names
        )
        return "" if found else f"there is no task {words[1]}"
    if not words or words[0].startswith("-"):
        return ""
    words = [words[0].removeprefix("taskflow.").removeprefix("taskflow-"), *words[1:]]
    try:
        Parser(contexts=collection.to_contexts()).parse_argv(
            [re.sub(WORD, "x", word) for word in words]
        )
    except ParseError as error:
        return f"invoke: {error}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_the_pages_exists(page: Path) -> None:
    own = page.parent == ROOT
    for line in lines(page):
        for words in commands(line.replace("'…'", "x")):
            # A page of the repository speaks of projects, too.
            wrong = fault(words, own=False)
            assert not (wrong and (not own or fault(words, own=True))), f"{line}: {wrong}"
