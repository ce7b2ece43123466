"""The JSON schema that editors use is the one the model has."""

import json
from pathlib import Path

from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import schema
from tests.conftest import ROOT

SCHEMA = ROOT / "template" / "tools" / "taskflow.schema.json"


def test_the_file_is_the_models_schema() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == schema()


def test_every_key_of_the_default_project_is_in_it(sample: Path) -> None:
    first, *_ = (sample / FILE_NAME).read_text(encoding="utf-8").splitlines()
    assert first == f"#:schema tools/{SCHEMA.name}"
    assert (sample / "tools" / SCHEMA.name).read_bytes() == SCHEMA.read_bytes()


def test_objects_are_closed() -> None:
    definitions = schema()["$defs"]
    entries = [name for name, entry in definitions.items() if entry["type"] == "object"]
    assert {"Container", "Service", "Environment", "Health", "Scan"} <= set(entries)
    assert all(definitions[name]["additionalProperties"] is False for name in entries)
