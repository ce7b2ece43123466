"""The journal of a release: whole at every moment, and read by other versions as far as it can be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.machine.distribution import Tool
from taskflow_containers.machine.errors import EnvironmentTrouble, InputError
from taskflow_containers.release.journal import Journal
from taskflow_containers.release.state import (
    DONE,
    Product,
    ReleasedImage,
    ReleasePlan,
    State,
    salvaged,
)

PLAN = ReleasePlan(
    version="1.3.0", remote="origin", branch="main", base="b" * 40, platform="linux/amd64",
    product=Product(declared="1.2.3", gate=(("-m", "x", "lint"),), images={"orders": "acme/orders"}),
)  # fmt: skip


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """One that was begun: prepare is done, gate is not."""
    made = Journal.of(tmp_path / "release-1.3.0.json", PLAN)
    made.start("prepare")
    made.state.commit = "c" * 40
    made.state.images = {"orders": ReleasedImage(id="sha256:1", repository="a/b", platform="x")}
    made.finish("prepare")
    made.start("gate")
    return made


def read(journal: Journal) -> dict[str, Any]:
    return dict(json.loads(journal.path.read_text("utf-8")))


def changed(journal: Journal, **values: Any) -> Journal:
    """The same journal with these values by dotted paths (`__` for a dot); None removes one."""
    data = read(journal)
    for place, value in values.items():
        *above, last = place.split("__")
        found = data
        for key in above:
            found = found[key]
        found[last] = value
        if value is None:
            del found[last]
    journal.path.write_text(json.dumps(data))
    found_again = Journal.unfinished(journal.path.parent)
    assert found_again
    return found_again


def test_it_is_read_back_as_it_was_written(journal: Journal) -> None:
    found = Journal.unfinished(journal.path.parent)
    assert found
    assert found.state == journal.state
    found.require_known()
    assert (found.finished("prepare"), found.started("gate"), found.finished("gate")) == (
        True, True, False,
    )  # fmt: skip
    data = read(journal)
    assert (data["format"], data["tool"]["version"]) == (1, Tool.running().version)
    found.end(DONE)
    assert Journal.unfinished(journal.path.parent) is None


@pytest.mark.parametrize(("state", "over"), [("done", True), ("aborted", True), ("running", False)])
def test_one_without_a_format_is_over_if_it_says_so(
    state: str, over: bool, journal: Journal
) -> None:
    data = read(journal) | {"state": state}
    del data["format"], data["status"]
    journal.path.write_text(json.dumps(data))
    assert (Journal.unfinished(journal.path.parent) is None) is over


def test_a_journal_that_cannot_be_written_stays_as_it_was(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read(journal)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(EnvironmentTrouble, match="cannot be written"):
        journal.finish("gate")
    assert read(journal) == before
    assert [path.name for path in journal.path.parent.iterdir()] == [journal.path.name]


@pytest.mark.parametrize(
    ("values", "unread"),
    [
        ({"format": 2}, []),
        ({"format": "new"}, []),
        ({"format": None}, []),
        ({"plan__shine": 1}, ["plan.shine"]),
        ({"tool__hash": "x"}, ["tool.hash"]),
        ({"tool": None}, ["tool"]),
        ({"tool": "9.0"}, ["tool"]),
        ({"plan__product": None}, ["plan.product"]),
        ({"plan__product__gate": None}, ["plan.product.gate"]),
        ({"images__orders__id": None, "images__orders__key": "x"}, ["images.orders.id"]),
        ({"commit": ["c"]}, ["commit"]),
        ({"steps__gate": "begun"}, ["steps.gate"]),
        ({"steps__gate__on": "x"}, ["steps.gate.on"]),
        ({"plan__tags": [1], "status": "paused"}, ["plan.tags.0"]),
    ],
)
def test_what_another_version_wrote_is_taken_back_as_far_as_it_goes(
    values: dict[str, Any], unread: list[str], journal: Journal
) -> None:
    found = changed(journal, **values)
    assert found.unread == unread
    with pytest.raises(InputError, match="the release was begun by") as caught:
        found.require_known()
    assert "--abort" in caught.value.hint
    assert (found.state.plan.base, found.started("gate")) == (PLAN.base, True)
    before = read(journal)
    found.state.remains = ["x"]
    found.end("aborted")
    ended = {"status": "aborted", "ended": found.state.ended, "remains": ["x"]}
    assert read(journal) == before | ended


@pytest.mark.parametrize(
    "values", [{"plan": None}, {"plan__base": None}, {"plan__version": 1}, {"steps": []}]
)
def test_what_cannot_be_taken_back_is_said(values: dict[str, Any], journal: Journal) -> None:
    with pytest.raises(InputError, match="too little to take the release back"):
        changed(journal, **values)


@pytest.mark.parametrize("text", ["{", "\x00"])
def test_what_is_no_journal_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "release-1.0.0.json").write_text(text)
    with pytest.raises(InputError, match=r"release-1\.0\.0\.json cannot be read"):
        Journal.unfinished(tmp_path)


def test_salvaging_changes_nothing_of_what_it_reads(journal: Journal) -> None:
    data = read(journal)
    assert salvaged(journal.path, data) == (State.model_validate(data), [])
    data["steps"]["gate"] = None
    before = json.dumps(data)
    salvaged(journal.path, data)
    assert json.dumps(data) == before


@pytest.mark.parametrize(
    ("tool", "requirement"),
    [
        (Tool(version="1.0", commit="abc", source="https://git.example/t.git"),
         "taskflow-containers @ git+https://git.example/t.git@abc"),
        (Tool(version="1.0", source="file:///srv/a%20b"), "/srv/a b"),
        (Tool(version="1.0", source="https://x/taskflow_containers-1.0-py3-none-any.whl"),
         "https://x/taskflow_containers-1.0-py3-none-any.whl"),
        (Tool(version="1.0"), "taskflow-containers==1.0"),
        (Tool(version="unknown"), ""),
    ],
)  # fmt: skip
def test_what_a_tool_is_installed_from(tool: Tool, requirement: str) -> None:
    assert tool.requirement == requirement


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://x/t.git", "https://x/t.git"),
        ("https://ann:hunter2hunter2@x/t.git", "https://x/t.git"),
        ("ssh://git@x/t.git", "ssh://git@x/t.git"),
    ],
)
def test_the_running_tool_says_what_it_was_installed_from(
    url: str, source: str, tmp_path: Path
) -> None:
    info = tmp_path / "taskflow_containers-3.2.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: taskflow-containers\nVersion: 3.2.1\n"
    )
    origin = {"url": url, "vcs_info": {"vcs": "git", "commit_id": "abc"}}
    (info / "direct_url.json").write_text(json.dumps(origin))
    code = "from taskflow_containers.machine.distribution import Tool; print(Tool.running().model_dump_json())"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == {
        "version": "3.2.1",
        "commit": "abc",
        "source": source,
        "folder": False,
    }
