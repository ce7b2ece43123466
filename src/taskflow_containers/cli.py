"""The command line, and what becomes of a command: `python -m taskflow_containers COMMAND`.

The nox sessions call the commands of `commands`, and the invoke tasks are made from them (`tasks`).
Nothing but the standard library is imported before a command is known, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys

from taskflow_containers.commands import COMMANDS, Command
from taskflow_containers.project import FILE_NAME
from taskflow_containers.report import REPORTS

TYPE_CHECKING = False  # typing alone would take as long as all else here
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from typing import NoReturn


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line as all else is said, without the list of every option."""

    def error(self, message: str, hint: str = "") -> NoReturn:
        from taskflow_containers.machine.errors import UsageError

        session, command = os.environ.get("NOX_CURRENT_SESSION", ""), self.prog.rpartition(" ")[2]
        # An owner's session may run this, too, whose own options are others.
        ours = session.removeprefix("taskflow-") == command
        asked = f"nox -s {session} -- --help" if ours else f"{self.prog} --help"
        said = message.removeprefix("argument ")
        wrong = UsageError(said, hint or f"`{asked}` lists what it takes")
        print(f"{command}: {wrong}", file=sys.stderr)
        sys.exit(wrong.exit_code)

    def unknown(self, words: Sequence[str], known: Iterable[str]) -> NoReturn:
        """Refuse words that mean nothing here; says what may have been meant."""
        from difflib import get_close_matches

        first = next((word for word in words if word.startswith("-")), words[0])
        meant = get_close_matches(first.partition("=")[0], list(known), 1)
        self.error(f"unknown: {' '.join(words)}", f"write {meant[0]}" if meant else "")


def parser(words: Sequence[str] | None = None) -> _Parser:
    """What the words of a command line mean; without words, every command with all its options.

    With words only the options of the command that they name: a table of all takes its time.
    """
    only = next((word for word in words or () if word in COMMANDS), "")
    whole = _Parser(
        prog=f"python -m {__package__}", allow_abbrev=False,
        description="Check, build, test and ship the containers that taskflow.toml describes.",
    )  # fmt: skip
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS.values():
        one = commands.add_parser(
            command.name, help=command.help, description=command.help, allow_abbrev=False
        )
        if words is None or command.name == only:
            _add_options(one, command)
    return whole


def _add_options(one: _Parser, command: Command) -> None:
    one.set_defaults(parser=one)
    if command.containers:
        one.add_argument("containers", nargs="*", help=f"names from {FILE_NAME}; all if none")
    if command.argument:
        last = command.argument
        one.add_argument(
            last.name, help=last.help, nargs="?" if last.default else None, default=last.default
        )
    for option in command.options:
        flag, default = f"--{option.name}", option.default
        if default is False:
            one.add_argument(flag, action="store_true", help=option.help)
        elif default is True:
            one.add_argument(
                flag, action=argparse.BooleanOptionalAction, default=True, help=option.help
            )
        elif isinstance(default, tuple):
            one.add_argument(
                flag, action="append", default=[], help=option.help, metavar=option.metavar,
                choices=option.choices,
            )  # fmt: skip
        else:
            one.add_argument(
                flag, default=default, type=type(default), help=option.help, metavar=option.metavar
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command in the current folder, a project's top; its exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    whole = parser(words)
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        whole.unknown(words[:1], COMMANDS)
    options, unknown = whole.parse_known_args(words)
    if unknown:
        names = [option.name for option in COMMANDS[options.command].options]
        options.parser.unknown(unknown, [f"--{name}" for name in names])
    from pathlib import Path

    try:
        root = Path.cwd()
    except FileNotFoundError:
        options.parser.error(
            "this folder has been removed", "cd into the project and run this again"
        )
    return carry_out(COMMANDS[options.command], root, options)


def carry_out(command: Command, root: Path, options: argparse.Namespace) -> int:
    """Run one command; what breaks it off is said in words for a person, and its exit code returned."""
    from taskflow_containers.machine import signals
    from taskflow_containers.machine.errors import ExitCode

    name = command.task or command.name
    try:
        signals.listen()
        _end_with_nox()
        run = command.function()
        from taskflow_containers.report.failures import forget, in_plain_words
    except ModuleNotFoundError as missing:
        print(f"{name}: {missing.name} is not installed beside {sys.executable}\n"
              "  nox installs what its sessions need; for invoke the first lines of tasks.py (in an adopted project "
              "taskflow_tasks.py) say how",
              file=sys.stderr)  # fmt: skip
        return ExitCode.ENVIRONMENT
    except KeyboardInterrupt:
        print(f"{name}: interrupted before it began\n  run it again", file=sys.stderr)
        _forget_verdict(command, root)
        return ExitCode.INTERRUPTED
    reports = root / REPORTS
    try:
        code = run(root, options)
        _unread("")
    except KeyboardInterrupt:  # of a session it has become an error, which says what was removed
        print(f"{name}: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _unread("\n"):
            print(f"{name}: stopped, as nobody reads what it prints any more\n  run it without `| head` "
                  "or the like", file=sys.stderr)  # fmt: skip
            return ExitCode.ENVIRONMENT
        said = in_plain_words(error, name, reports)
        print(f"{name}: {said}", file=sys.stderr)
        return said.exit_code
    forget(name, reports)
    return code


def _unread(last: str) -> bool:
    """Whether what reads the output has ended, as behind `| head`; the rest of it then goes nowhere."""
    try:
        print(end=last, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _forget_verdict(command: Command, root: Path) -> None:
    """Remove a session's earlier reports, which must not be taken for those of a run that broke off."""
    if command.task or not (root / FILE_NAME).is_file():
        return
    names = [f"{command.name}.{ending}" for ending in ("json", "xml", "md", "sarif")]
    for name in (*names, "index.html"):  # which would tell of them still
        (root / REPORTS / name).unlink(missing_ok=True)


def _end_with_nox() -> None:
    """Stop when nox is gone: a SIGTERM that it gets alone does not reach the sessions it started."""
    if "NOX_CURRENT_SESSION" not in os.environ or os.name != "posix":
        return
    import signal
    import threading
    import time

    def watch(nox: int) -> None:
        while os.getppid() == nox:
            time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, args=(os.getppid(),), daemon=True).start()
