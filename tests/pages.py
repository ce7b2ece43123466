"""The blocks of commands in the pages, and a reader's machine to run them on, word for word."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.conftest import ROOT

README = "template/README.md.jinja"
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), ROOT / README]
)  # fmt: skip
LAST = "--- here a command of the page begins or ends"
# Stand for pipx and uvx: they run what is installed here. What asks at a terminal takes the defaults. And for kubectl:
# where it is installed it makes its objects without a cluster. With OFFLINE a new environment has what is installed
# here, so that pip finds all that it is asked for.
PROGRAMS = {
    "pipx": 'shift; [ "$1" = copier ] && set -- "$@" --defaults $ANSWERS; exec "$PYTHON" -W ignore -m "$@"',
    "uvx": 'shift 2; name=$(echo "$1" | tr - _); shift; [ "$*" = adopt ] && set -- adopt --yes;'
    ' exec "$PYTHON" -m "$name" "$@"',
    "kubectl": f'exec {shutil.which("kubectl") or ":"} "$@" --dry-run=client',
    "python3": '"$PYTHON" "$@" || exit; [ "$OFFLINE $1 $2" = "1 -m venv" ] || exit 0;'
    ' for site in "$3"/lib/python3*/site-packages; do echo "$SITE" > "$site/installed-here.pth"; done;'
    ' ln -s "${PYTHON%/*}"/* "$3/bin/" 2> /dev/null; true',
}


@cache
def blocks(page: str, kind: str = "console|bash|sh|shell") -> list[list[str]]:
    """The commands of each block of a page, without comments; a here-document belongs to its command."""
    text = re.sub(r"\{%.*?%\}", "", (ROOT / page).read_text("utf-8"))
    text = re.sub(r"\{\{ .*?(slug|backend).*? \}\}", r"\1", text)
    found = re.findall(rf"^ *```(?:{kind})\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [commands(block) for block in found]


def commands(block: str) -> list[str]:
    """The commands of a block's text."""
    found = re.findall(r"(?:.*<<'END'\n(?:.*\n)*?END|(?:.*\\\n)*.*)\n", block)
    return [line for text in found if (line := re.split(r"(?:^|\s)#", text)[0].strip())]


class Reader:
    """A folder, and an environment in which the template's address leads to a repository on this machine."""

    def __init__(self, home: Path, template: Path, **environment: str) -> None:
        programs = home / "programs"
        programs.mkdir(parents=True)
        for name, text in PROGRAMS.items():
            (programs / name).write_text(f"#!/bin/sh\n{text}\n")
            (programs / name).chmod(0o755)
        addresses = [
            f"\tinsteadOf = https://github.com/{name}.git\n\tinsteadOf = https://github.com/{name}\n"
            for name in ("taskflow/container-template", "acme/template")
        ]
        (home / "gitconfig").write_text(
            f'[url "{template.as_uri()}"]\n{"".join(addresses)}'
            "[user]\n\tname = reader\n\temail = reader@example.com\n[safe]\n\tdirectory = *\n"
        )
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith("TASKFLOW_") or name == "TASKFLOW_SUBSTITUTE_IMAGES"}  # fmt: skip
        own = Path(sys.executable).parent
        self.environment = kept | {
            "PATH": f"{programs}:{own}:{os.environ['PATH']}", "PYTHON": sys.executable, "SITE": sysconfig.get_path("purelib"),
            "GIT_CONFIG_GLOBAL": str(home / "gitconfig"), "COPIER_CACHE_DIR": str(home / "copier"),
            "COLUMNS": "200", **environment,
        }  # fmt: skip

    def types(self, steps: Sequence[tuple[str, str]], folder: Path, timeout: float) -> list[str]:
        """What each line prints, run in one shell; each must succeed.

        Args:
            steps: each line, behind what is done before it and not of interest.
            folder: where the shell starts.
            timeout: seconds for all of them.
        """
        script = [f"{before}\necho '{LAST}'\n{line}\necho '{LAST}'" for before, line in steps]
        done = subprocess.run(
            ["bash", "-e", "-c", "\n".join(script)], cwd=folder, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=timeout,
        )  # fmt: skip
        said = done.stdout.split(f"{LAST}\n")
        assert done.returncode == 0, f"{steps[(len(said) - 1) // 2][1]}\n{said[-1][-3000:]}"
        return said[1::2]
