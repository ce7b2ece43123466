"""The table of values in the chart's README.md: made from values.yaml and its schema, and held to them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from taskflow_containers.cluster.helm import LOADER, read
from taskflow_containers.machine.errors import InputError
from taskflow_containers.report.result import Result, judge, skip

README = "README.md"
COMMAND = "invoke chart-readme"
HEAD = f'<!-- Written by "{COMMAND}" from values.yaml: your own text goes above or below. -->'
_LONGEST = 300  # characters of a default; a longer one is cut, for values.yaml is beside it
_Path = tuple[str, ...]
_Schema = Mapping[str, Any]


def update(folder: Path) -> bool:
    """Write the table into the README of the chart in `folder`, which is made where there is none; whether it changed.

    Raises:
        InputError: there is no chart, one of its files cannot be read, or a marker is missing.
    """
    if not folder.is_dir():
        raise InputError(f"there is no {folder.name}/ here", "run it in the project's top folder")
    name = read(folder / "Chart.yaml").get("name", folder.name)
    old = _text(folder / README)
    text = old or f"# {name}\n"
    if not _marked(text, "values"):
        text = f"{text.rstrip()}\n\n## Values\n\n{marker('values', 'begin')}\n{marker('values', 'end')}\n"
    new = _filled(folder, text)
    if new != old:
        (folder / README).write_text(new, encoding="utf-8", errors="surrogateescape")
    return new != old


def check_readme(folder: Path) -> Result:
    """Whether the README of the chart in `folder` lists the values as they are now.

    Raises:
        InputError: values.yaml or its schema cannot be read.
    """
    id, title, old = "chart.readme", "the README lists the values", _text(folder / README)
    if not _marked(old, "values"):
        return skip(
            id, title, f"{folder.name}/{README} has no table of values; `{COMMAND}` adds one"
        )
    try:
        new = _filled(folder, old)
    except InputError as error:
        return judge(
            id, title, False, expected="both markers", measured=error.message, fix=error.hint
        )
    before, after = (set(text.splitlines()) for text in (old, new))
    changed = [line for line in new.splitlines() if line not in before]
    changed += [line for line in old.splitlines() if line not in after]
    return judge(
        id, title, new == old,
        expected="the table that values.yaml and values.schema.json make",
        measured="it is" if new == old else f"{len(changed) or 'some'} lines differ",
        detail="" if new == old else "\n".join(changed[:3]),
        fix=f"run `{COMMAND}` and commit {folder.name}/{README}",
    )  # fmt: skip


def _text(path: Path) -> str:
    # A README may be of any encoding: what is not the table's is written again byte for byte.
    return path.read_text(encoding="utf-8", errors="surrogateescape") if path.is_file() else ""


def _filled(folder: Path, text: str) -> str:
    values, schema = folder / "values.yaml", folder / "values.schema.json"
    if values.is_file():
        read(values)  # it says where a file is no YAML
    try:
        rules = json.loads(_text(schema) or "{}")
    except ValueError as error:
        raise InputError(
            f"{folder.name}/{schema.name}: no JSON: {error}", "mend it and run again"
        ) from None
    lines = "\n".join([HEAD, *tables(_text(values), rules, heading="###")])
    return filled(text, "values", lines)


def marker(name: str, end: str) -> str:
    """The line where a generated part of a page has its begin or end."""
    return f"<!-- {name}: {end} -->"


def _marked(text: str, name: str) -> bool:
    return marker(name, "begin") in text or marker(name, "end") in text


def filled(text: str, name: str, lines: str) -> str:
    """A page with these lines in place of those between its two markers; an InputError without them."""
    head, begin, rest = text.partition(marker(name, "begin"))
    _, end, tail = rest.partition(marker(name, "end"))
    if not (begin and end):
        missing = marker(name, "end") if begin else marker(name, "begin")
        raise InputError(
            f"the chart's {README} has lost the line {missing}",
            "put it back where the table of values begins or ends",
        )
    return f"{head}{begin}\n\n{lines.strip()}\n\n{end}{tail}"


def table(*rows: Iterable[str]) -> Iterator[str]:
    """The lines of a Markdown table, the first row its head."""
    head, *body = map(list, rows)
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in body:
        cells = (re.sub(r"(?<!\\)((?:\\\\)*)\|", r"\1\\|", cell) for cell in row)
        yield f"| {' | '.join(cell.replace(chr(10), ' ') for cell in cells)} |"


def tables(text: str, schema: _Schema, *, heading: str) -> Iterator[str]:
    """A section for each top key and each container: a table of their values, from a values.yaml.

    A row stands for each key that has a comment beginning with `# --`, and for each other one that
    has no keys below it.
    """
    lines = text.splitlines()
    loader = LOADER(text)
    top = loader.get_single_node()
    remarks: dict[_Path, str] = {}
    sections: dict[_Path, list[tuple[str, ...]]] = {}

    def walk(node: yaml.MappingNode, above: _Path, documented: bool) -> None:
        for key, value in node.value:
            path = (*above, str(key.value))
            remark, description = _comment(lines, key.start_mark)
            section = path[: 2 if path[0] == "containers" else 1]
            if path == section:
                remarks[section] = remark
            deeper = isinstance(value, yaml.MappingNode) and value.value
            if description is not None or not (deeper or documented):
                default = loader.construct_object(value, deep=True)
                kind = _kind(schema, _below(schema, path)) or _kind_of(default)
                row = (_code(dotted(path)), kind, _default(default), _prose(description or ""))
                sections.setdefault(section if len(path) > 1 else (), []).append(row)
            if deeper:
                walk(value, path, documented or description is not None)

    if isinstance(top, yaml.MappingNode):
        loader.construct_document(top)  # takes the merge keys (<<) apart
        walk(top, (), False)
    for section, rows in sections.items():
        yield from [f"\n{heading} {dotted(section)}\n"] if section else [""]
        yield from [f"{_prose(remarks[section])}\n"] if remarks.get(section) else []
        yield from table(("key", "type", "default", "description"), *rows)


def _comment(lines: list[str], mark: yaml.Mark) -> tuple[str, str | None]:
    """What the comment right above a key says: before its last `# --`, and behind it (None: no such).

    It begins in the key's own column: what is further in may be the end of a text block.
    """

    def whole_line(line: str) -> bool:
        return line.startswith("#", mark.column) and not line[: mark.column].strip()

    if lines[mark.line][: mark.column].strip():
        return "", None
    above = reversed(lines[max(0, mark.line - 100) : mark.line])
    words = [line.strip().lstrip("#").strip() for line in takewhile(whole_line, above)][::-1]
    starts = [number for number, line in enumerate(words) if re.match(r"--(\s|$)", line)]
    if not starts:
        return " ".join(words), None
    return " ".join(words[: starts[0]]), " ".join(words[starts[-1] :])[2:].strip()


def dotted(path: _Path) -> str:
    """A key with those above it; quoted where it holds a dot or a space."""
    return ".".join(key if re.fullmatch(r"[\w/-]+", key) else json.dumps(key) for key in path)


def _default(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return _code(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def _code(text: str) -> str:
    """Text as Markdown shows code, whatever backticks it holds."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence, pad = "`" * (longest + 1), " " * bool(longest)
    return f"{fence}{pad}{text}{pad}{fence}"


def _prose(text: str) -> str:
    """A comment as Markdown: what looks like an HTML tag outside code is shown, not taken for one."""
    return re.sub(r"(`+).+?\1|<", lambda found: found[0] if found[1] else "&lt;", text)


def _kind_of(value: object) -> str:
    known = {bool: "boolean", int: "integer", float: "number", list: "list", dict: "object"}
    return "" if value is None else known.get(type(value), "string")


def _parts(whole: _Schema, schema: object) -> Iterator[_Schema]:
    """A schema, what it refers to in the same file, and what it is put together from."""
    if not isinstance(schema, Mapping):
        return
    yield schema
    if (reference := str(schema.get("$ref", ""))).startswith("#/"):
        keys = (key.replace("~1", "/").replace("~0", "~") for key in reference[2:].split("/"))
        yield from _parts(whole, reduce(lambda node, key: node.get(key, {}), keys, whole))
    for word in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(word, ()):
            yield from _parts(whole, part)


def _below(whole: _Schema, path: _Path) -> list[object]:
    """The schemas of what is at a path."""
    found: list[object] = [whole]
    for key in path:
        parts = [part for schema in found for part in _parts(whole, schema)]
        found = []
        for part in parts:
            patterns = part.get("patternProperties", {})
            own = [schema for pattern, schema in patterns.items() if re.search(pattern, key)]
            own += [part["properties"][key]] if key in part.get("properties", {}) else []
            found += own or [part.get("additionalProperties")]
    return found


def _kind(whole: _Schema, schemas: Iterable[object], *, plural: bool = False) -> str:
    """What schemas allow, in words; null, which Helm takes for "leave it out", is not named."""
    kinds: list[str] = []
    for part in (part for schema in schemas for part in _parts(whole, schema)):
        if "enum" in part:
            kinds += [_code(str(value) or '""') for value in part["enum"] if value is not None]
            continue
        types = part.get("type", [])
        for name in [types] if isinstance(types, str) else types:
            items = [part.get("items")]
            if name == "object" and not part.get("properties"):
                items = [
                    *part.get("patternProperties", {}).values(),
                    part.get("additionalProperties"),
                ]
            members = (
                _kind(whole, items, plural=True)
                if name in ("array", "object") and not plural
                else ""
            )
            word = {"array": "list", "object": "map" if members else "object"}.get(name, name)
            word = f"{word} of {members}" if members else f"{word}{'s' * plural}"
            kinds += [word] * (name != "null")
    *others, last = dict.fromkeys(kinds) or [""]
    return f"{', '.join(others)} or {last}" if others else last
