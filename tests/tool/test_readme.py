"""chart/README.md's table of values, from whatever a user's values.yaml and schema hold."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from taskflow_containers.checks import readme
from taskflow_containers.machine.errors import InputError
from taskflow_containers.report.result import Status

CHART = "apiVersion: v2\nname: shop\nversion: 0.1.0\n"
SCHEMA = {
    "properties": {
        "port": {"$ref": "#/definitions/port"},
        "size": {"type": ["string", "null", "number"]},
        "kind": {"enum": ["", "A", "b|c", None]},
        "either": {"anyOf": [{"type": "integer"}, {"type": "null"}, {"$ref": "#/definitions/a~1b"}]},
        "list": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
        "map": {"type": "object", "additionalProperties": {"$ref": "#/definitions/port"}},
        "open": {"type": "object", "properties": {"x": True}, "additionalProperties": {"type": "string"}},
        "gone": {"$ref": "#/definitions/gone"},
        "containers": {"patternProperties": {"^[a-z]+$": {"properties": {"on": {"type": "boolean"}}}}},
    },
    "definitions": {"port": {"type": "integer"}, "a/b": {"type": "string"}},
}  # fmt: skip
# A values.yaml, and the rows of its table: key, type, default, description.
ROWS = {
    "no comment at all": ("a: 1\nb: {c: x, d: {}}\n", ["`a` | integer | `1` | ", '`b.c` | string | `"x"` | ', "`b.d` | object | `{}` | "]),
    "a comment of several lines": ("# -- One,\n# and two.\na: 1\n", ["`a` | integer | `1` | One, and two."]),
    "a remark before it": ("# Of this.\n# -- First.\n# -- Last.\na: 1\n", ["`a` | integer | `1` | Last."]),
    "a comment that is not for the reference": ("# b: 2\na: 1\n", ["`a` | integer | `1` | "]),
    "a comment of nobody's": ("# -- Not it.\n\na: 1 # -- Nor it.\nb: 2\n", ["`a` | integer | `1` | ", "`b` | integer | `2` | "]),
    "a mapping as one row": ("# -- All.\na:\n  b: 1\n  # -- More.\n  c: 2\n", ['`a` | object | `{"b": 1, "c": 2}` | All.', "`a.c` | integer | `2` | More."]),
    "odd keys": ("a:\n    'example.com/on': 1\n    on: 2\n    8080: 3\n    \"x y\": 4\n", ['`a."example.com/on"` | integer | `1` | ', "`a.on` | integer | `2` | ", "`a.8080` | integer | `3` | ", '`a."x y"` | integer | `4` | ']),
    "lists of lists": ("# -- Pairs.\na:\n- - 1\n  # -- In it.\n  - {b: [2]}\n", ['`a` | list | `[[1, {"b": [2]}]]` | Pairs.']),
    "text with | and <tags>": ("# -- `a|b` or <c>, `<d>`, e\\|f.\na: 'x|y\\|`z`'\n", [r'`a` | string | `` "x\|y\\\|`z`" `` | `a\|b` or &lt;c>, `<d>`, e\|f.']),
    "a block of text": ("a: |\n  # -- Not it.\n  b: 1\n# -- It.\nc: >-\n  x\n  y\n", ['`a` | string | `"# -- Not it.\\nb: 1\\n"` | ', '`c` | string | `"x y"` | It.']),
    "a block of text before a key further out": ("a:\n  b: |\n    x\n    # -- Not it.\nc: 1\n", ['`a.b` | string | `"x\\n# -- Not it.\\n"` | ', "`c` | integer | `1` | "]),
    "anchors and merge keys": ("x: &x\n  # -- Shared.\n  y: 1\nz:\n  <<: *x\n  w: 2\n", ["`x.y` | integer | `1` | Shared.", "`z.y` | integer | `1` | Shared.", "`z.w` | integer | `2` | "]),
    "days and nothing": ("a: 2026-01-31\nb:\nc: ~\n", ['`a` | string | `"2026-01-31"` | ', "`b` |  | `null` | ", "`c` |  | `null` | "]),
    "letters of anywhere": ("# -- Größe 🚀\na: größe\n", ['`a` | string | `"größe"` | Größe 🚀']),
    "Windows lines": ("# -- One.\r\na: 1\r\n", ["`a` | integer | `1` | One."]),
    "a long default": (f"a: {'x' * 400}\n", [f'`a` | string | `"{"x" * 299}…` | ']),
    "the schema's types": (
        "port: 1\nsize: 1\nkind: A\neither: 1\nlist: []\nmap: {}\nopen: {}\ngone: x\ncontainers: {web: {on: true}}\n",
        ["`port` | integer", "`size` | string or number", r'`kind` | `""`, `A` or `b\|c`', "`either` | integer or string", "`list` | list of lists",
         "`map` | map of integers", "`open` | object", "`gone` | string", "`containers.web.on` | boolean"],
    ),
    "nothing": ("# Nothing yet.\n", []),
}  # fmt: skip


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A chart without a README."""
    (tmp_path / "chart").mkdir()
    (tmp_path / "chart" / "Chart.yaml").write_text(CHART, "utf-8")
    return tmp_path / "chart"


@pytest.mark.parametrize("case", ROWS)
def test_a_row_for_each_value(case: str, chart: Path) -> None:
    values, rows = ROWS[case]
    (chart / "values.yaml").write_text(values, "utf-8", newline="")
    (chart / "values.schema.json").write_text(json.dumps(SCHEMA), "utf-8")
    assert readme.update(chart)
    text = (chart / "README.md").read_text("utf-8")
    found = [line[2:-2] for line in text.splitlines() if line.startswith("| `")]
    assert [row[: len(wanted)] for row, wanted in zip(found, rows, strict=True)] == rows
    assert not readme.update(chart)


def test_sections_have_the_remark_above_them(chart: Path) -> None:
    values = """
        a: 1
        # How much.
        # Of it.
        limits:
          b: 1
        containers:
          # The <web>.
          web:
            c: 1
        """
    (chart / "values.yaml").write_text(dedent(values), "utf-8")
    readme.update(chart)
    text = (chart / "README.md").read_text("utf-8")
    assert "\n### limits\n\nHow much. Of it.\n\n| key |" in text
    assert "\n### containers.web\n\nThe &lt;web>.\n\n| key |" in text


def test_what_a_user_wrote_stays(chart: Path) -> None:
    (chart / "values.yaml").write_text("a: 1\n", "utf-8")
    (chart / "README.md").write_text("# Mine\n\nWords.\n", "utf-8")
    assert readme.check_readme(chart).status is Status.SKIPPED
    readme.update(chart)
    text = (chart / "README.md").read_text("utf-8")
    assert text.startswith("# Mine\n\nWords.\n\n## Values\n\n<!-- values: begin -->\n")
    (chart / "README.md").write_text(f"{text}\nMore words.\n", "utf-8")
    (chart / "values.yaml").write_text("a: 2\n", "utf-8")
    result = readme.check_readme(chart)
    assert (result.status, result.measured) == (Status.FAILED, "2 lines differ")
    assert "`2`" in result.detail and readme.COMMAND in result.fix
    readme.update(chart)
    assert readme.check_readme(chart).status is Status.PASSED
    text = (chart / "README.md").read_text("utf-8")
    assert text.startswith("# Mine\n\nWords.\n") and text.endswith("\n\nMore words.\n")
    # What an update of the template leaves in the table where both sides changed it.
    (chart / "README.md").write_text(text.replace("| key", "<<<<<<< before\n| key"), "utf-8")
    assert readme.check_readme(chart).failed
    assert readme.update(chart)
    assert (chart / "README.md").read_text("utf-8") == text


@pytest.mark.parametrize("end", ["begin", "end"])
def test_half_of_the_markers_is_refused(end: str, chart: Path) -> None:
    (chart / "values.yaml").write_text("a: 1\n", "utf-8")
    readme.update(chart)
    path = chart / "README.md"
    path.write_text(path.read_text("utf-8").replace(readme.marker("values", end), ""), "utf-8")
    result = readme.check_readme(chart)
    assert result.failed and readme.marker("values", end) in result.measured and result.fix
    with pytest.raises(InputError, match=f"values: {end}"):
        readme.update(chart)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("values.yaml", "a: [", r"^chart/values.yaml:\d: cannot be read: "),
        ("values.yaml", "[1]", "^chart/values.yaml: cannot be read: it is not a mapping"),
        ("values.schema.json", "{", "^chart/values.schema.json: no JSON: "),
        ("Chart.yaml", None, "^chart/Chart.yaml: cannot be read: No such file"),
        ("", None, "^there is no chart/ here"),
    ],
)
def test_what_cannot_be_read_is_one_message(
    file: str, text: str | None, message: str, chart: Path
) -> None:
    if not file:
        chart.rename(chart.parent / "charts")
    elif text is None:
        (chart / file).unlink()
    else:
        (chart / file).write_text(text, "utf-8")
    with pytest.raises(InputError, match=message):
        readme.update(chart)
    assert not (chart / "README.md").exists()
