"""Environment variables that switch something on for every command."""

from __future__ import annotations

import os

from taskflow_containers.machine.errors import UsageError

OFFLINE = "TASKFLOW_OFFLINE"
IF_CHANGED = "TASKFLOW_IF_CHANGED"
VERBOSE = "TASKFLOW_VERBOSE"
_WORDS = {"": False, "0": False, "false": False, "no": False, "off": False,
          "1": True, "true": True, "yes": True, "on": True}  # fmt: skip


def switched_on(variable: str) -> bool:
    """Whether an environment variable is set to 1, true, yes or on.

    Raises:
        UsageError: it is set to something else, and not to 0, false, no or off either.
    """
    given = os.environ.get(variable, "")
    try:
        return _WORDS[given.strip().lower()]
    except KeyError:
        raise UsageError(f"{variable} is {given!r}", "set it to 1 or 0") from None
