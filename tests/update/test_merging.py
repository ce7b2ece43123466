"""Three texts of a file made one: nothing that only one side changed clashes, whatever stands beside it."""

from __future__ import annotations

import json

import pytest

from taskflow_containers.update.merging import merge

OLD = '{\n  "dependencies": {\n    "next": "1",\n    "react": "1"\n  },\n  "files": ["a"]\n}\n'
PIN = "{0}=={1} \\\n    --hash=sha256:{2}\n"


def pins(**versions: str) -> str:
    return "# Locked\n" + "".join(PIN.format(k, v, v * 8) for k, v in versions.items())


def pin(line: str, commit: str) -> str:
    return "# What nox and invoke run\n" + line.replace("COMMIT", commit * 40) + "\n"


NAMED = "taskflow-containers @ git+https://github.com/acme/t.git@COMMIT"
LOCAL = "git+file:///srv/t@COMMIT#egg=taskflow-containers"
# The file's name; the owner's text, the old and the new one; what comes out; where it clashes.
CASES = {
    "a package beside one that the template raises": (
        "package.json", OLD.replace('"next": "1"', '"clsx": "2",\n    "next": "1"'), OLD,
        OLD.replace('"next": "1"', '"next": "2"'),
        {"dependencies": {"clsx": "2", "next": "2", "react": "1"}, "files": ["a"]}, [],
    ),
    "both add a last one": (
        "package.json", OLD.replace('"react": "1"', '"react": "1",\n    "zod": "4"'), OLD,
        OLD.replace('"react": "1"', '"react": "2",\n    "sharp": "1"'),
        {"dependencies": {"next": "1", "react": "2", "sharp": "1", "zod": "4"}, "files": ["a"]}, [],
    ),
    "a package that the owner removed": (
        "package.json", OLD.replace(',\n    "react": "1"', ""), OLD,
        OLD.replace('"react": "1"', '"react": "2"'), {"dependencies": {"next": "1"}, "files": ["a"]}, [],
    ),
    "one version, changed by both": (
        "package.json", OLD.replace('"next": "1"', '"next": "canary"'), OLD,
        OLD.replace('"next": "1"', '"next": "2"').replace('"react": "1"', '"react": "3"'),
        {"dependencies": {"next": "canary", "react": "3"}, "files": ["a"]},
        ["dependencies.next: yours is 'canary', the template's '2'"],
    ),
    "a list that both lengthen": (
        "tsconfig.json", OLD.replace('["a"]', '["a", "own"]'), OLD, OLD.replace('["a"]', '["b", "a"]'),
        {"dependencies": {"next": "1", "react": "1"}, "files": ["a", "b", "own"]}, [],
    ),
    "the tool of a template that has moved": (
        "tools/taskflow.txt", pin(LOCAL, "a"), pin(NAMED, "a"), pin(NAMED, "b"), pin(NAMED, "b"), [],
    ),
    "a tool of the owner's own choice": (
        "tools/taskflow.txt", pin("taskflow-containers==1", ""), pin(NAMED, "a"), pin(NAMED, "b"),
        "# What nox and invoke run\n<<<<<<< yours\ntaskflow-containers==1\n=======\n"
        + NAMED.replace("COMMIT", "b" * 40) + "\n>>>>>>> the template's\n", ["lines 2-6"],
    ),
    "requirements, one under the other": (
        "backend/requirements.in", "fastapi\nhttpx\nuvicorn>=2\n", "fastapi\nuvicorn\n",
        "fastapi\npydantic\nuvicorn\n", "fastapi\nhttpx\npydantic\nuvicorn>=2\n", [],
    ),
    "a package between the template's hashes": (
        "tools/requirements.txt", pins(a="1", b="1", own="7"), pins(a="1", b="1"), pins(a="2", b="2", c="1"),
        "# Locked\n" + "".join(PIN.format(k, v, v * 8) for k, v in
                               (("a", "2"), ("b", "2"), ("c", "1"), ("own", "7"))), [],
    ),
    "a pin that both moved": (
        "tools/requirements.txt", pins(a="3", b="1"), pins(a="1", b="1"), pins(a="2", b="2"),
        pins(a="3", b="2"), ["a"],
    ),
    "dependencies of a pyproject.toml": (
        "pyproject.toml", '[project]\ndependencies = ["fastapi>=1", "httpx"]\n',
        '[project]\ndependencies = ["fastapi>=1"]\n', '[project]\ndependencies = ["fastapi>=2"]\n',
        '[project]\ndependencies = ["fastapi>=2", "httpx"]\n', [],
    ),
    "an array that its owner comments": (
        "pyproject.toml", '[project]\ndependencies = [\n  "a>=1",  # as they want it\n  # ours:\n  "h",\n  "u",\n]\n',
        '[project]\ndependencies = [\n  "a>=1",\n  "u",\n  "w",\n]\n',
        '[project]\ndependencies = [\n  "a>=2",\n  "p",\n  "u",\n]\n',
        '[project]\ndependencies = [\n  "a>=2",  # as they want it\n  # ours:\n  "h",\n  "u",\n  "p",\n]\n', [],
    ),
    "two comments in JSON": (
        "package.json", '{\n  "//": "one",\n  "//": "two",\n  "next": "1"\n}\n', '{\n  "next": "1"\n}\n',
        '{\n  "next": "2"\n}\n',
        '{\n<<<<<<< yours\n  "//": "one",\n  "//": "two",\n  "next": "1"\n=======\n  "next": "2"\n'
        ">>>>>>> the template's\n}\n", ["lines 2-8"],
    ),
    "lines of a text": (
        "README.md", "a\nmine\nc\n", "a\nb\nc\n", "a\ntheirs\nc\n",
        "a\n<<<<<<< yours\nmine\n=======\ntheirs\n>>>>>>> the template's\nc\n", ["lines 2-6"],
    ),
    "apart in a text": ("README.md", "own\na\nb\nc\n", "a\nb\nc\n", "a\nb\nd\n", "own\na\nb\nd\n", []),
    "no JSON after all": (
        "tsconfig.json", "{ // a\n", "{ // b\n", "{ // c\n",
        "<<<<<<< yours\n{ // a\n=======\n{ // c\n>>>>>>> the template's\n", ["lines 1-5"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_merge(case: str) -> None:
    name, yours, old, new, expected, clashes = CASES[case]
    made = merge(name, yours, old, new)
    assert (json.loads(made.text) if isinstance(expected, dict) else made.text) == expected
    assert made.clashes == clashes
    assert made.marked == ("<<<<<<<" in made.text)
    assert merge(name, made.text, new, new).text == made.text
