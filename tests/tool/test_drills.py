"""The command line lists the drills by name, as it must not import them."""

from __future__ import annotations

from taskflow_containers.cluster.drills import DRILLS
from taskflow_containers.commands import COMMANDS


def test_the_command_line_lists_every_drill_in_its_order() -> None:
    [option] = [option for option in COMMANDS["cluster"].options if option.name == "drill"]
    assert option.choices == tuple(DRILLS)
