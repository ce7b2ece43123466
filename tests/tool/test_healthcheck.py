"""What HEALTHCHECK asks, by the stand-in that runs in an image, run here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from taskflow_containers.machine import tools
from taskflow_containers.smoke.drills.healthcheck import STAND_IN
from tests.release.conftest import free_port

INTERPRETERS = ("python", "node")
# Gives up the first time before it has asked, as one with a time limit of its own does on a busy machine.
COMMAND = """
import pathlib, sys, urllib.request
late = pathlib.Path(sys.argv[1])
if not late.exists():
    late.touch()
    sys.exit("no answer")
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[2])
"""


def asked(program: str, port: int, *command: str | Path) -> dict[str, object]:
    runs = [sys.executable, "-c"] if program == "python" else [str(tools.node()), "-e"]
    words = [*runs, STAND_IN[program], "30", "3", str(port), *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("program", INTERPRETERS)
def test_a_health_check_that_gave_up_before_it_asked_is_run_again(
    program: str, tmp_path: Path
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/health"
    answer = asked(program, port, sys.executable, "-c", COMMAND, tmp_path / "late", url)
    assert answer == {"asked": ["/health"], "code": 1}


@pytest.mark.parametrize("program", INTERPRETERS)
def test_a_health_check_that_asks_nothing_ends(program: str, tmp_path: Path) -> None:
    count = tmp_path / "count"
    words = f"open({str(count)!r}, 'a').write('x')"
    assert asked(program, free_port(), sys.executable, "-c", words) == {"asked": [], "code": 0}
    assert count.read_text() == "xxx"


@pytest.mark.parametrize("program", INTERPRETERS)
def test_a_health_check_that_is_not_there_says_so(program: str) -> None:
    answer = asked(program, free_port(), "/no/such/program")
    assert answer["asked"] == []
    assert "/no/such/program" in str(answer["code"])
