"""Lints, builds, scans, smoke-tests, releases and deploys the containers that taskflow.toml describes."""

import sys

# Before an import that an older one fails at without saying why.
if sys.version_info < (3, 11):  # noqa: UP036
    import platform

    sys.exit(f"taskflow_containers needs Python 3.11 or newer, this is {platform.python_version()}")
