"""The commands for people as invoke tasks: a project's tasks.py adds them to its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

from invoke.tasks import Task, task

from taskflow_containers.cli import carry_out
from taskflow_containers.commands import ACTIONS, Command

Body = Callable[[argparse.Namespace], int]


def tasks(root: Path, prefix: str = "") -> list[Task[Any]]:
    """A task for each action on the project in `root`, for `invoke.Collection(*tasks(root))`.

    `prefix` begins their names, so that they are none of somebody else's.
    """
    return [as_task(command, partial(carry_out, command, root), prefix) for command in ACTIONS]


def as_task(command: Command, body: Body, prefix: str = "") -> Task[Any]:
    """The task that gives a command's options to `body`, and ends invoke where that returns a fault."""
    given = {option.name.replace("-", "_"): option.default for option in command.options}
    argument = [command.argument] if command.argument else []

    def run(_: object, **values: Any) -> None:
        # As another task's `pre`, or called by one, it is given nothing.
        every = {k: list(v) if isinstance(v, tuple) else v for k, v in given.items()} | values
        if code := body(argparse.Namespace(command=command.name, **every)):
            sys.exit(code)

    run.__name__ = f"{prefix}{command.task}"
    run.__doc__ = f"{command.help[0].upper()}{command.help[1:]}."
    # By the signature invoke tells which options there are, and what they take.
    run.__signature__ = Signature(  # type: ignore[attr-defined]
        [Parameter("_", Parameter.POSITIONAL_OR_KEYWORD)]
        + [Parameter(one.name, Parameter.POSITIONAL_OR_KEYWORD) for one in argument]
        + [
            Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=_default(value))
            for name, value in given.items()
        ]
    )
    made: Task[Any] = task(  # type: ignore[assignment]
        run,
        positional=[one.name for one in argument],
        iterable=[name for name, value in given.items() if isinstance(value, tuple)],
        help={
            option.name.replace("-", "_"): option.help for option in [*argument, *command.options]
        },
    )
    return made


def _default(value: object) -> object:
    return None if isinstance(value, tuple) else value
