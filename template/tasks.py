"""What a person does with this project; `invoke --list` lists it, `invoke --help TASK` explains.

Install once: python3 -m venv .venv && .venv/bin/pip install --require-hashes -r tools/requirements.txt && .venv/bin/pip install --no-deps --no-build-isolation --force-reinstall -r tools/taskflow.txt
Under another name it serves a tasks.py of your own: `from taskflow_tasks import *  # noqa: F403` adds
taskflow-build and so on; where you have a namespace, `import taskflow_tasks` and
`namespace.add_collection(taskflow_tasks, "taskflow")` add taskflow.build and so on.
"""

import platform
import sys
from pathlib import Path

from invoke.collection import Collection

HERE = Path(__file__).resolve().parent
trouble, ours, prefixed = "", [], []
if sys.version_info < (3, 11):  # noqa: UP036
    trouble = (
        f"{Path(__file__).name} needs Python 3.11 or newer, this is {platform.python_version()}"
    )
else:
    try:
        from taskflow_containers.tasks import tasks

        ours, prefixed = tasks(HERE), tasks(HERE, "taskflow-")
    except ModuleNotFoundError as missing:
        install = (__doc__ or "").partition("Install once: ")[2].splitlines()[0]
        trouble = (
            f"{missing.name} is not installed here; install what invoke needs, then use .venv/bin/invoke:\n"
            f"  {install}"
        )
if trouble and __name__ == "tasks":
    sys.exit(trouble)
if trouble:  # tasks of your own, which import these, go on without them
    print(trouble, file=sys.stderr)

namespace = Collection(*ours)
# A task of your own is a function under `@task` of invoke.tasks: namespace.add_task(it)

# For a tasks.py of your own beside this file, which is then called taskflow_tasks.py.
globals().update({task.name.replace("-", "_"): task for task in prefixed})
__all__ = [task.name.replace("-", "_") for task in prefixed]
