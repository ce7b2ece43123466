"""`python -m taskflow_containers COMMAND`; `cli` has the commands."""

from __future__ import annotations

import sys


def run() -> int:
    """Run the command of this process's command line; its exit code."""
    if not {"-h", "--help"} & set(sys.argv):
        from taskflow_containers.machine import signals

        signals.hold()  # the imports take a moment
    from taskflow_containers.cli import main

    return main()


if __name__ == "__main__":
    sys.exit(run())
