"""Write the reference pages from the source: questions, model, sessions, tasks, the chart's values."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from itertools import combinations, groupby
from pathlib import Path
from typing import Any

import jinja2
import yaml

from docs import diagram, said, shutdown
from taskflow_containers.checks import readme
from taskflow_containers.checks.readme import table
from taskflow_containers.cli import parser
from taskflow_containers.commands import ACTIONS, ADOPT, Command
from taskflow_containers.machine.errors import ExitCode
from taskflow_containers.project.kinds import Kind
from taskflow_containers.project.load import schema
from taskflow_containers.smoke.catalogue import CHECKS, GROUPS

ROOT = Path(__file__).parent.parent


def _questions() -> Iterator[str]:
    asked = yaml.safe_load((ROOT / "copier.yml").read_text("utf-8"))
    rows = [("question", "asks", "default", "choices")]
    for name, question in asked.items():
        if name.startswith("_") or question.get("when") is False:
            continue
        choices = question.get("choices") or {}
        default = str(question["default"]).strip()
        derived = "{{" in default or "{%" in default
        rows.append(
            (
                f"`{name}`",
                str(question["help"]),
                "from the answers above" if derived else _answer(question["default"]),
                ", ".join(map(_answer, choices.values())),
            )
        )
    yield from table(*rows)


def _answer(value: object) -> str:
    """An answer as `--data` takes it."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"`{text}`" if text else "empty"


def _kind(node: dict[str, Any]) -> str:
    if "$ref" in node:
        return str(node["$ref"]).rsplit("/", 1)[1]
    if "enum" in node:
        return ", ".join(f"`{value}`" for value in node["enum"])
    if "anyOf" in node:
        kinds = [_kind(part) for part in node["anyOf"] if part.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if node.get("type") == "array":
        return f"list of {_kind(node.get('items', {}))}"
    if node.get("type") == "object":
        return f"table of {_kind(node.get('additionalProperties', {}))}"
    examples = ", ".join(f"`{example}`" for example in node.get("examples", []))
    return str(node.get("type", "")) + (f" such as {examples}" if examples else "")


def model_keys() -> Iterator[tuple[str, dict[str, Any], list[tuple[str, str, str, str]]]]:
    """Each table of taskflow.toml and its keys: name, type, default and meaning."""
    whole = schema()
    definitions = whole["$defs"]
    for name, entry in [("The file itself", whole), *definitions.items()]:
        if "enum" in entry:
            continue
        rows = []
        for key, node in entry.get("properties", {}).items():
            kind = _kind(node)
            if kind in definitions and "enum" in definitions[kind]:
                kind = _kind(definitions[kind])
            # A table says itself what it is for.
            table_of = definitions.get((kind.split() or [""])[-1], {})
            meaning = node.get("description") or table_of.get("description", "").partition("\n")[0]
            default = "needed" if key in entry.get("required", []) else _default(node)
            rows.append((f"`{key}`", kind, default, meaning))
        yield name, entry, rows


def _default(node: dict[str, Any]) -> str:
    """What a key is when it is left out; nothing where that is nothing, or the defaults of its table."""
    value = node.get("default")
    if value in (None, "", [], {}) or isinstance(value, dict):
        return ""
    # Durations are the only floats; the file has them with their unit.
    text = f"{value:g}s" if isinstance(value, float) else json.dumps(value)
    return f"`{text}`" if len(text) < 60 else ", ".join(map(str, value))


def _model() -> Iterator[str]:
    for name, entry, rows in model_keys():
        yield f"### {name}\n"
        yield f"{entry.get('description', '').strip()}\n"
        yield from table(("key", "type", "default", "meaning"), *rows)
        yield ""


# A project's sessions of nox, and what each does.
SESSIONS = {
    node.name: str(ast.get_docstring(node))
    for node in ast.parse((ROOT / "template" / "noxfile.py").read_text("utf-8")).body
    if isinstance(node, ast.FunctionDef) and "session" in map(ast.unparse, node.decorator_list)
}


def _sessions() -> Iterator[str]:
    described = {}
    commands = next(a for a in parser()._actions if a.choices and not a.option_strings)
    for name, command in dict(commands.choices or {}).items():
        options = [a for a in command._actions if a.dest != "help"]
        described[name] = ", ".join(
            f"`{a.option_strings[0] if a.option_strings else '[' + a.dest + ']'}` {a.help}"
            for a in options
        )
    rows = [("session", "what it does", "behind `--`")]
    for name, text in SESSIONS.items():
        rows.append((f"`nox -s {name}`", text, described.get(name, "")))
    yield from table(*rows)


def _tasks(*commands: Command, program: str = "invoke") -> Iterator[str]:
    rows = [("task" if program == "invoke" else "command", "what it does", "options")]
    for command in commands:
        options = ", ".join(f"`--{option.name}` {option.help}" for option in command.options)
        word = command.argument.name.upper() if command.argument else ""
        if command.argument and command.argument.default:
            word = f"[{word}]"
        line = f"{program} {command.task or command.name} {word}".strip()
        rows.append((f"`{line}`", command.help, options))
    yield from table(*rows)


def _exit_codes() -> Iterator[str]:
    yield from table(("code", "meaning"), *((str(int(c)), c.meaning) for c in ExitCode))


def reference() -> str:
    """The whole page."""
    parts = [
        "# Reference\n",
        "Written from the source by `nox -s docs`; a test holds it to the source.\n",
        "## Questions of `copier copy`\n",
        *_questions(),
        "\n## Sessions of nox (they verify)\n",
        *_sessions(),
        "\n## Tasks of invoke (they act)\n",
        *_tasks(*ACTIONS),
        "\n## Without a project\n",
        *_tasks(ADOPT, program="taskflow-containers"),
        "\n[Adopt an application](adopt.md) says how to have this program; it also does what the sessions do, "
        "`taskflow-containers smoke --image` [for any image](smoke.md#any-image).\n",
        "## Exit codes\n",
        *_exit_codes(),
        "\nThe nox sessions pass codes other than 0 and 1 on and stop there: "
        "no later session could do better. What "
        "the runners themselves do not know, an option or a session, invoke answers with 1 and nox with 2 or 3.\n",
        "## Environment variables\n",
        *table(
            ("variable", "meaning"),
            ("`TASKFLOW_ENGINE`", "the engine to use: `docker`, `podman` or a client's path"),
            (
                "`TASKFLOW_SUBSTITUTE_IMAGES`",
                "images to use in place of others, `wanted=instead` with spaces between; "
                "each use is stated in the report",
            ),
            (
                "`TASKFLOW_CACHE_FROM`, `TASKFLOW_CACHE_TO`",
                "where builds read and write their cache on this machine, in place of `[build]`; several "
                "with spaces between, empty for none",
            ),
            ("`TASKFLOW_OFFLINE`", "`1` updates no vulnerability database, as `--offline` does"),
            (
                "`TASKFLOW_IF_CHANGED`",
                "`1` tells an earlier verdict of scan and smoke, as `--if-changed` does",
            ),
            ("`TASKFLOW_VERBOSE`", "`1` prints every check, as `--verbose` does"),
            (
                "`TASKFLOW_CLUSTER_LOAD`",
                "a command that puts a tar of images, its last word, into the cluster, as `--load` does",
            ),
            (
                "`TASKFLOW_PACKAGE`",
                "the tool that nox takes in place of the one that the project pins: a folder, a wheel or a requirement",
            ),
        ),
        "\nOthers are told where they count: [the backend's](backend.md#what-you-decide) and "
        "[the frontend's](frontend.md#what-you-decide) in their containers, ports and addresses of compose in `.env.example`, "
        "[signing and registries](release.md#what-it-needs), [requests that open themselves](tool.md#requests-that-open-themselves).\n",
        "\n## taskflow.toml\n",
        *_model(),
    ]
    return "\n".join(parts).rstrip() + "\n"


CHART = ROOT / "template" / "chart"
# Whether a project has a backend, a frontend, a database: each combination that the questions allow.
PARTS = ("with_backend", "with_frontend", "with_database")
ANSWERS = [(1, 1, 1), (1, 1, 0), (1, 0, 1), (1, 0, 0), (0, 1, 0)]
# Characters of nobody's, in place of the answers that are text.
SLUG, HOST, REPOSITORIES = "\ue000", "\ue001", "\ue002"


def _rendered(
    path: Path, answers: tuple[int, ...] = ANSWERS[0], slug: str = "taskflow", registry: str = ""
) -> str:
    """A file of the template as a project with these answers gets it."""
    given = dict(zip(PARTS, map(bool, answers), strict=True))
    template = jinja2.Template(path.read_text(encoding="utf-8"))
    return str(template.render(**given, slug=slug, registry=registry))


def _values(answers: tuple[int, ...], heading: str, slug: str, registry: str) -> list[str]:
    """The tables of values of a project with these parts."""
    rules = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    text = _rendered(CHART / "values.yaml.jinja", answers, slug, registry)
    return "\n".join(readme.tables(text, rules, heading=heading)).splitlines()


def chart_values() -> str:
    """The page of the chart's values, as a project with the default answers has them."""
    parts = [
        "# The chart's values\n",
        "Written from `template/chart/values.yaml.jinja` by `nox -s docs`; a test holds it to the "
        "source. [How to use them](chart.md).",
        *_values(ANSWERS[0], "##", "taskflow", ""),
    ]
    return "\n".join(parts).rstrip() + "\n"


def shutdown_picture() -> str:
    """The picture of how a container stops."""
    files = (CHART / "values.yaml.jinja", ROOT / "template" / "compose.yaml.jinja")
    return shutdown.draw(*(yaml.safe_load(_rendered(path)) for path in files))


def chart_readme() -> str:
    """The README of a project's chart, whose table of values has the same conditions as the values."""
    merged: list[tuple[str, set[tuple[int, ...]]]] = []
    for answers in ANSWERS:
        lines = _values(answers, "###", SLUG, f"{HOST}/{REPOSITORIES}")
        known = [line for line, _ in merged]
        changes = SequenceMatcher(None, known, lines, autojunk=False).get_opcodes()
        for word, begin, end, first, last in reversed(changes):
            for _, those in merged[begin:end] if word == "equal" else ():
                those.add(answers)
            if word in ("insert", "replace"):
                merged[end:end] = [(line, {answers}) for line in lines[first:last]]
    text = "".join(
        (f"{{% if {condition} %}}" if condition else "") + _literal(chunk)
        + ("{% endif %}" if condition else "")
        for condition, chunk in (
            (condition, "".join(f"{line}\n" for line, _ in group))
            for condition, group in groupby(merged, lambda entry: _condition(entry[1]))
        )
    )  # fmt: skip
    path = CHART / "README.md.jinja"
    return readme.filled(path.read_text(encoding="utf-8"), "values", f"{readme.HEAD}\n{text}")


def _condition(wanted: set[tuple[int, ...]]) -> str:
    """What holds for these combinations of answers and no others; empty where all are wanted."""
    literals = [
        (f"{'' if value else 'not '}{name}", {row for row in ANSWERS if row[place] == value})
        for place, name in enumerate(PARTS) for value in (1, 0)
    ]  # fmt: skip
    for count in range(len(PARTS) + 1):
        for chosen in combinations(literals, count):
            if set(ANSWERS).intersection(*(rows for _, rows in chosen)) == wanted:
                return " and ".join(word for word, _ in chosen)
    raise ValueError(f"no condition of answers holds for {wanted} alone")


def _literal(text: str) -> str:
    """Text as Jinja prints it again, with the answers where they were left open."""
    text = re.sub(r"\{(?=[{%#])", "{{ '{' }}", text)
    text = text.replace(f"{REPOSITORIES}/", "{{ prefix }}")
    return text.replace(SLUG, "{{ slug }}").replace(HOST, "{{ host }}")


def smoke_checks() -> str:
    """The how-to of the smoke test, whose table of checks is made from the catalogue."""
    text = (ROOT / "docs" / "smoke.md").read_text(encoding="utf-8")
    parts = []
    for group, title in GROUPS.items():
        rows: list[tuple[str, ...]] = [("check", "expects", "when it fails", "of", "made")]
        for check in CHECKS:
            if check.group == group:
                kinds = "all" if len(check.kinds) == len(Kind) else ", ".join(check.kinds)
                run = "`--full`" if check.full else "always"
                rows.append(
                    (f"`{check.id}`", f"{check.title}: {check.expects}", check.fix, kinds, run)
                )
        parts += [f"### {title} (`{group}`)\n", *table(*rows), ""]
    return readme.filled(text, "checks", "\n".join(parts))


PAGES: dict[Path, Callable[[], str]] = {
    ROOT / "docs" / "reference.md": reference,
    ROOT / "docs" / "chart-values.md": chart_values,
    CHART / "README.md.jinja": chart_readme,
    ROOT / "docs" / "shutdown.svg": shutdown_picture,
    ROOT / "docs" / "smoke.md": smoke_checks,
    ROOT / "docs" / "checks.md": said.checks,
    ROOT / "docs" / "messages.md": said.messages,
    ROOT / "docs" / "architecture.svg": diagram.draw,
}


if __name__ == "__main__":
    for target, page in PAGES.items():
        target.write_text(page(), encoding="utf-8")
        print(f"wrote {target.relative_to(ROOT)}")
