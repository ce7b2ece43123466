"""Variables of the environment that switch something on for every command."""

from __future__ import annotations

import os

from taskflow_containers.machine.errors import UsageError

OFFLINE = "TASKFLOW_OFFLINE"
IF_CHANGED = "TASKFLOW_IF_CHANGED"
_WORDS = {"": False, "0": False, "false": False, "no": False, "off": False,
          "1": True, "true": True, "yes": True, "on": True}  # fmt: skip


def switched_on(variable: str) -> bool:
    """What a variable of the environment says.

    Raises:
        UsageError: it is neither 1 nor 0, nor a word for one of them.
    """
    given = os.environ.get(variable, "")
    try:
        return _WORDS[given.strip().lower()]
    except KeyError:
        raise UsageError(f"{variable} is {given!r}", "set it to 1 or 0") from None
