"""What a person does with this project; `invoke --list` lists it, `invoke --help TASK` explains.

Install once: python3 -m venv .venv && .venv/bin/pip install --require-hashes -r tools/requirements.txt && .venv/bin/pip install --no-deps --no-build-isolation --force-reinstall -r tools/taskflow.txt
"""

from __future__ import annotations

import sys
from pathlib import Path

from invoke.collection import Collection

try:
    from taskflow_containers.tasks import tasks
except ModuleNotFoundError as missing:
    sys.exit(
        f"{missing.name} is not installed here; install what invoke needs, then use .venv/bin/invoke:\n"
        f"  {(__doc__ or '').partition('Install once: ')[2].strip()}"
    )

namespace = Collection(*tasks(Path(__file__).parent))
# A task of your own is a function under `@task` of invoke.tasks: namespace.add_task(it)
