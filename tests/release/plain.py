"""Releases of git alone: a project without images, whose gate is a script, so no engine is needed."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import git
from tests.release.conftest import FILES, Shop

TASKS = """\
from functools import partial
from pathlib import Path

from invoke.collection import Collection

from taskflow_containers.cli import carry_out
from taskflow_containers.commands import COMMANDS, Command
from taskflow_containers.project.load import load
from taskflow_containers.release import command
from taskflow_containers.release.state import Product
from taskflow_containers.tasks import as_task

HERE = Path(__file__).parent


def product():
    whole = Product.of(HERE, load(HERE / "taskflow.toml"), [["check.py"]])
    return whole.model_copy(update={"images": {}, "registry": "", "chart": ""})


def release(root, options):
    return command.run(root, options, product)


known = COMMANDS["release"]
options = [one for one in known.options if one.name != "engine"]
RELEASE = Command("release", known.help, release, options, task="release")
namespace = Collection(as_task(RELEASE, partial(carry_out, RELEASE, HERE)))
"""
# The gate: it keeps what the checkout holds, to be looked at.
CHECK = """\
import json, os, subprocess, sys
from pathlib import Path

status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True).stdout
files = {path.as_posix(): path.read_bytes().decode("latin-1") for path in Path().rglob("*")
         if path.is_file() and ".git" not in path.parts}
if "SEEN" in os.environ:
    Path(os.environ["SEEN"]).write_text(json.dumps({"status": status, "files": files}))
sys.exit(1 if Path("broken").exists() else 0)
"""
PROJECT = {
    name: FILES[name].replace("NAME", "shop")
    for name in (".gitignore", "taskflow.toml", "orders/pyproject.toml", "CHANGELOG.md")
} | {"tasks.py": TASKS, "check.py": CHECK}


class Plain(Shop):
    """A project with version files and a bare remote; version 1.2.3, a fix and a feature since."""

    def __init__(self, folder: Path, *, project: str = "", tag: str = "v1.2.3") -> None:
        self.top, self.remote = folder / "shop", folder / "remote.git"
        self.folder = self.top / project
        self.seen = folder / "seen.json"
        for name, text in PROJECT.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(text.replace("REGISTRY", "registry.example").encode())
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        git(self.top, "init", "--quiet", "--initial-branch=main")
        for key, value in {"user.name": "Ann", "user.email": "ann@localhost"}.items():
            self.git("config", key, value)
        self.git("remote", "add", "origin", str(self.remote))
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "feat: begin")
        self.git("tag", "--annotate", "--message", tag, tag)
        self.commit("fix(stock): count what is there", "src")
        self.commit("feat(orders): take orders\n\nIn batches.", "src")
        self.git("push", "--quiet", "--tags", "--set-upstream", "origin", "main")
        self.git("remote", "set-head", "origin", "main")

    @property
    def state(self) -> tuple[object, ...]:
        """All that a release may change, but for the journal."""
        return self.here, self.there

    def copy(self, folder: Path) -> Plain:
        """The same project, remote and journal elsewhere."""
        found = super().copy(folder)
        assert isinstance(found, Plain)
        found.git("remote", "set-url", "origin", str(found.remote))
        return found

    @property
    def checkout(self) -> dict[str, str]:
        """The files that the gate saw, by name; git found nothing changed there."""
        seen = json.loads(self.seen.read_text("utf-8"))
        assert seen["status"] == ""
        return dict(seen["files"])
