"""`adopt`: say what was found and what would be added, ask what cannot be known, and add it."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.prompt import Confirm, Prompt
from rich.table import Table

from taskflow_containers.adopt import plan, render
from taskflow_containers.adopt.detect import look
from taskflow_containers.adopt.findings import Certainty, Finding, Findings, Note, Question
from taskflow_containers.adopt.names import Part
from taskflow_containers.adopt.plan import Plan
from taskflow_containers.checks import readme
from taskflow_containers.machine.errors import ExitCode, InputError
from taskflow_containers.project import FILE_NAME

_ASKED: dict[str, tuple[str, list[str] | None]] = {
    "project_name": ("The project's name", None),
    "registry": ("Registry and organisation of the images (empty: local images only)", None),
    "ci": ("Who runs the checks on every push", ["github", "gitlab", "none"]),
}
# What of a container is shown, in this order.
_SHOWN = ("kind", "framework", "context", "base", "install", "options", "manager", "lock", "entry", "port",
          "fixed", "migrate", "command", "schedule")  # fmt: skip


def adopt(root: Path, options: argparse.Namespace) -> int:
    """Add containers to the application in a folder, none of whose files is changed; an exit code.

    Raises:
        TaskflowError: nothing was added; the message says why.
    """
    folder = (root / options.folder).resolve()
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder", "name the one that holds the application")
    console = Console(highlight=False, soft_wrap=True)
    if (folder / FILE_NAME).exists():
        console.print(f"{escape(str(folder))} has its {FILE_NAME} already: nothing to add")
        console.print("  `invoke update` brings what was added up to date")
        return ExitCode.OK
    asking = not (options.yes or options.dry_run)
    if asking and not sys.stdin.isatty():
        raise InputError(
            "there is no terminal to ask at", "--yes takes the guesses, --dry-run shows them"
        )
    given = _given(options.data)
    found = look(folder)
    _show_findings(console, found)
    wanted = [note for note in found.notes if note.level == "change"]
    if not found.services and wanted:
        raise InputError(
            f"nothing here can be put into a container yet: {_told(wanted[0])}",
            "mend that, and run it again",
        )
    answers, containers = plan.usual_answers(folder) | given, found.containers()
    if asking:
        _ask(found.questions, containers)
        containers = [entry for entry in containers if entry["kind"]]
    source, revision = options.template, None
    if not source:
        source, revision = render.template_of_this_tool()
    elif Path(source).is_dir():  # wherever an update is run from later
        source = str(Path(source).resolve())
    with render.scratch() as scratch:
        rendered = Path(scratch) / "rendered"
        while True:
            if asking:
                answers |= {
                    key: Prompt.ask(text, default=answers[key], choices=choices)
                    for key, (text, choices) in _ASKED.items()
                    if key not in given
                }
            entries = deepcopy(containers)
            made = plan.make(folder, entries, found.backing, answers, found.driver.value)
            try:
                render.render(source, revision, made.answers, rendered)
                break
            except InputError as error:
                if not asking or "question" not in error.message or given:
                    raise
                console.print(escape(error.message))
        readme.update(rendered / made.files["chart"])
        files = render.listed(rendered)
        _show_plan(console, made, files)
        if not options.dry_run:
            if asking and not Confirm.ask(f"Add these {len(files)} files?", default=True):
                console.print("nothing was added")
                return ExitCode.OK
            render.lay(rendered, folder, files)
    _show_next(console, folder, found, made, files, added=not options.dry_run, asked=asking)
    return ExitCode.OK


def _given(data: Sequence[str]) -> dict[str, str]:
    """The answers of the command line.

    Raises:
        InputError: there is no such question, or it has no such answer.
    """
    answers = {}
    for pair in data:
        key, equals, value = pair.partition("=")
        if key not in _ASKED or not equals:
            known = ", ".join(_ASKED)
            raise InputError(
                f"--data {pair}: no such question", f"write one of {known}, as {key or 'ci'}=ANSWER"
            )
        choices = _ASKED[key][1]
        if choices and value not in choices:
            raise InputError(
                f"--data {pair}: no such answer", f"{key} is one of {', '.join(choices)}"
            )
        answers[key] = value
    return answers


def _ask(questions: Sequence[Question], containers: Sequence[Part]) -> None:
    """Have a person answer what no file says; an empty answer leaves a container as it is."""
    entries = {entry["name"]: entry for entry in containers}
    for question in questions:
        entry = entries[question.container]
        guess = _line(entry.get(question.key)) or (question.candidates or ("",))[0]
        said = Prompt.ask(
            escape(question.text), default=guess, choices=list(question.candidates) or None
        )
        known = entry.get(question.key)
        if isinstance(known, int):
            entry[question.key] = int(said) if said.isdigit() else known
        else:
            entry[question.key] = shlex.split(said) if isinstance(known, list) else said


def _told(note: Note) -> str:
    return f"{note.where}: {note.text}" if note.where else note.text


def _shown(value: object) -> str:
    """A finding's value in a table."""
    if isinstance(value, Mapping):
        return " ".join(f"{key}={text}" for key, text in value.items())
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _line(value: object) -> str:
    """A value as a person types it."""
    return shlex.join(map(str, value)) if isinstance(value, list) else str(value or "")


def _show_findings(console: Console, found: Findings) -> None:
    table = Table(box=None, pad_edge=False)
    for head in ("container", "what", "value", "where"):
        table.add_column(head, overflow="fold")
    for service in found.services:
        rows: Mapping[str, Finding[object]] = service.found
        name = service.name
        for key in (key for key in _SHOWN if rows[key]):
            finding = rows[key]
            shown = _shown(finding.value)
            where = finding.where
            if finding.certainty is not Certainty.READ:
                where = f"{finding.certainty.value}{', ' if where else ''}{where}"
            table.add_row(name, key, escape(shown), escape(where))
            name = ""
    if found.services:
        console.print("[bold]Found[/bold]")
        console.print(table)
    for note in found.notes:
        console.print(f"  {note.level}: {escape(_told(note))}")


def _show_plan(console: Console, made: Plan, files: Sequence[str]) -> None:
    console.print(f"\n[bold]To be added[/bold]: {len(files)} files; none that is there is changed")
    folders: dict[str, int] = {}
    for name in files:
        top = made.shown_as(name)
        folders[top] = folders.get(top, 0) + 1
    for name, count in folders.items():
        console.print(escape(f"  {name}{f'  ({count} files)' if name.endswith('/') else ''}"))
    for taken in made.taken:
        console.print(escape(f"  {taken.usual} is yours and stays; ours is {taken.ours}"))


def _show_next(
    console: Console,
    folder: Path,
    found: Findings,
    made: Plan,
    files: Sequence[str],
    *,
    added: bool,
    asked: bool,
) -> None:
    if found.questions and not asked:
        console.print(
            "\n[bold]Guessed[/bold], as no file says it: where it is wrong, mend taskflow.toml"
        )
        entries = {part["name"]: part for part in made.parts}
        for question in found.questions:
            guess = _line(entries[question.container].get(question.key)) or "nothing"
            console.print(
                escape(f"  {question.container}: {question.text} {question.key} = {guess}")
            )
    changes = [_told(note) for note in found.notes if note.level == "change"]
    unseen = render.ignored(folder, files)
    if unseen:
        shown = ", ".join(unseen[:3]) + (" …" if len(unseen) > 3 else "")
        changes.append(f".gitignore keeps out {shown}: commit with `git add --force`")
    if changes or made.by_hand:
        console.print("\n[bold]For you to add[/bold], as no file of yours is changed")
        for line in (*made.by_hand, *changes):
            console.print(escape(f"  {line}"))
    if not added:
        console.print("\nnothing was added: this was a dry run")
        return
    nox = made.files["nox"]
    session = "nox" if nox == "noxfile.py" else f"nox -f {nox}"
    console.print("\n[bold]Next[/bold]")
    console.print(escape(f"  cd {folder} && git add . && git commit -m 'Run in containers'"))
    console.print(f"  pipx run {session}   # lint, build, scan and smoke-test the images")
