"""`python -m taskflow_containers COMMAND`; `cli` has the commands."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    if not {"-h", "--help"} & set(sys.argv):
        from taskflow_containers.machine import signals

        signals.hold()  # the imports take a moment
    from taskflow_containers.cli import main

    sys.exit(main())
