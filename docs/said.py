"""Read out of the source what it says to people: every check, and every message with its hint."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby
from pathlib import Path

import yaml

from taskflow_containers.checks.readme import table
from taskflow_containers.contract import chart
from taskflow_containers.machine import errors

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "taskflow_containers"
# What makes a verdict, and where its expectation and its remedy stand among the arguments.
VERDICTS = {"judge": (9, 9), "finds_nothing": (9, 3), "_nothing": (9, 3), "check": (2, 4)}
# A level of the contract names its own checks; a report puts this before them.
LEVELS = {
    "chart": "chart", "compose": "compose", "container": "*", "context": "dockerignore",
    "dockerfile": "dockerfile", "dockerignore": "dockerignore", "image": "image", "lifecycle": "chart",
}  # fmt: skip
TITLES = {
    "adopt": "Adopting an application",
    "checks": "Lint, build, scan, chart",
    "cluster": "The cluster",
    "contract": "Files held to taskflow.toml",
    "doctor": "The doctor",
    "engine": "Engine, builds and images",
    "machine": "The machine",
    "project": "taskflow.toml",
    "release": "Release and verification",
    "report": "Reports and waivers",
    "smoke": "Smoke tests",
    "update": "Updates",
    "": "Commands",
}
# Nobody meets it: whoever asks an image says by it, in the report, what cannot be measured.
CAUGHT = {"NoInterpreter"}

Known = dict[str, ast.expr]


def text(node: ast.expr | None, known: Known) -> str:
    """What an expression says: its literal words, and `…` where the rest is known only then."""
    match node:
        case ast.Constant(value=str(words)):
            return words
        case ast.Name(id=name) if name in known:
            return text(known[name], {key: known[key] for key in known if key != name})
        case ast.JoinedStr(values=parts):
            return "".join(text(part, known) if isinstance(part, ast.Constant) else "…" for part in parts)  # fmt: skip
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return text(left, known) + text(right, known)
        case ast.IfExp(body=body, orelse=orelse):
            return _either(body, orelse, known=known)
        case ast.BoolOp(values=values):
            return _either(*values, known=known)
        case ast.Subscript(value=ast.Name(id=name)) if isinstance(
            choices := known.get(name), ast.Dict
        ):
            return _either(*choices.values, known=known)
        case ast.Call(func=ast.Attribute(value=words, attr="format")):
            return re.sub(r"\{\w*\}", "…", text(words, known))
        case None:
            return ""
    return "…"


def _either(*nodes: ast.expr, known: Known) -> str:
    said = dict.fromkeys(text(node, known) for node in nodes)
    return " / ".join(words for words in said if words.strip("… ")) or "…"


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def _assigned(nodes: Iterable[ast.AST]) -> Known:
    known: Known = {}
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=False))
                known |= {one.id: value for one, value in pairs if isinstance(one, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            known[node.target.id] = node.value
    return known


@cache
def _calls(path: Path) -> list[tuple[str, ast.Call, Known]]:
    """Every call of a module by the name that it is called by, and what stands behind names there."""
    found = []
    constants = _assigned(_tree(path).body)
    for scope in [node for node in ast.walk(_tree(path)) if isinstance(node, ast.FunctionDef)]:
        known = constants | _assigned(ast.walk(scope))
        for node in ast.walk(scope):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
                name = node.func.id if isinstance(node.func, ast.Name) else name
                found.append((name, node, known))
    return found


def _argument(call: ast.Call, place: int, name: str, known: Known) -> str:
    named = next((word.value for word in call.keywords if word.arg == name), None)
    return text(named or (call.args[place] if len(call.args) > place else None), known)


def _row(*cells: str) -> tuple[str, ...]:
    return tuple(re.sub(r"\s+", " ", cell).replace("|", "\\|").strip() for cell in cells)


def _prose(words: str) -> str:
    """Words as Markdown shows them: outside of code, what looks like markup is none."""
    parts = words.split("`")
    parts[::2] = [re.sub(r"([<*_\[])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def _checks() -> Iterator[tuple[str, ...]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        within = path.relative_to(PACKAGE)
        for name, call, known in () if within.parts[0] == "smoke" else _calls(path):
            if name not in VERDICTS or len(call.args) < 2:
                continue
            first = 0
            expected, fix = VERDICTS[name]
            id = text(call.args[0], known)
            if within.parts[0] == "contract" and name == "check":
                id = f"contract.{LEVELS.get(path.stem, '*')}.{id}"
                # Compose's have the place in the file before the title.
                first = int(path.stem == "compose")
            if re.fullmatch(r"[a-z.*-]*\.[a-z-]+(\.…)?", id):
                words = [_argument(call, place + first, key, known)
                         for place, key in ((1, "title"), (expected, "expected"), (fix, "fix"))]  # fmt: skip
                if words[0].strip("… "):
                    yield _row(f"`{id}`", *map(_prose, words))
    for id, title, _, key, place in chart._RULES:
        where = place.format(here="containers.NAME")
        mend = f"make both agree: {key} in taskflow.toml, {where}" if key else f"set {where}"
        yield _row(f"`contract.chart.{id}`", title, key, mend)


def checks() -> str:
    """The page of every check but the smoke test's, which have one of their own."""
    parts = [
        "# Every check\n",
        "Written from the source by `nox -s docs`; a test holds it to the source. What stands as `…` is known when the check",
        "is made. The checks of `nox -s smoke` are a [table of their own](smoke.md#checks); in a report their ids begin with",
        "`smoke.`. Those of `invoke verify` are told [with it](release.md#verify-an-image).",
        "[Where a check's code is](explanation.md#where-a-checks-code-is).\n",
        "A check fails with what was expected and measured; what to do stands here as there. One that cannot be met now is",
        "[waived](how-to/waive.md).",
    ]
    found = sorted(set(_checks()))
    for head, rows in groupby(found, lambda row: row[0].strip("`").partition(".")[0]):
        parts += [f"\n## {head}\n", *table(("check", "what it proves", "expects", "when it fails"), *rows)]  # fmt: skip
    return "\n".join(parts).rstrip() + "\n"


def _classes() -> dict[str, str]:
    """Every kind of error of the tool, by its name, with the exit code that it has."""
    kinds = {
        name: str(int(kind.exit_code))
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.TaskflowError)
    }
    for _ in range(2):  # a kind of a kind
        for path in PACKAGE.rglob("*.py"):
            for node in ast.walk(_tree(path)):
                bases = {ast.unparse(base) for base in getattr(node, "bases", ())}
                if isinstance(node, ast.ClassDef) and (parents := bases & kinds.keys()):
                    own = re.search(r"exit_code = ExitCode\.(\w+)", ast.unparse(node))
                    code = str(int(errors.ExitCode[own[1]])) if own else kinds[min(parents)]
                    kinds.setdefault(node.name, code)
    return kinds


def _usual_hint(name: str) -> str:
    """What a kind of error says where its raiser adds nothing."""
    kind = getattr(errors, name, errors.TaskflowError)
    return str(inspect.signature(kind).parameters["hint"].default)


def messages_by_area() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each message that ends a command: what is wrong, what now, and the exit code, below its area."""
    kinds = _classes()
    for path in sorted(PACKAGE.rglob("*.py")):
        within = path.relative_to(PACKAGE)
        for name, call, known in _calls(path):
            said = text(call.args[0], known) if call.args else ""
            if name in kinds and name not in CAUGHT and re.search("[a-z]", said):
                hint = _argument(call, 1, "hint", known) or _usual_hint(name)
                area = within.parts[0] if len(within.parts) > 1 else ""
                yield area, _row(_prose(said), _prose(hint), kinds[name])


def _of_the_noxfile() -> Iterator[tuple[str, ...]]:
    """What a project's noxfile says before the tool is there."""
    path = ROOT / "template" / "noxfile.py"
    known = _assigned(ast.walk(_tree(path)))
    for name, call, _ in _calls(path):
        if name == "refuse":
            what, hint = (text(one, known) for one in call.args[2:4])
            yield _row(_prose(what), _prose(hint), ast.unparse(call.args[1]))


# In the words of other programs, which nothing of ours is asked about beforehand.
OTHERS = (
    ("copier", "its stack, then `ValueError: Invalid choice for 'ci': 'jenkins' is not in […]`",
     "the last line says what is allowed; nothing was written", "1"),
    ("nox", "`Sessions not found: smok`", "`nox -l` lists them", "3"),
    ("nox", "`nox: error: Unknown argument(s) 'smoke'.`", "a session stands behind `-s`: `nox -s smoke`", "2"),
    ("nox", "`nox: error: unrecognized arguments: --offline`",
     "what is no option of nox stands behind `--`: `nox -s scan -- --offline`", "2"),
    ("invoke", "`No idea what 'bulid' is!`",
     "`invoke --list` lists the tasks, `invoke --help TASK` the options of one", "1"),
    ("invoke", "`'verify' did not receive required positional arguments: 'image'`",
     "write it behind the task", "1"),
    ("invoke", "`Can't find any collection named 'tasks'!`", "cd into the project's top folder", "1"),
    ("pip", "`error: externally-managed-environment`",
     "Debian's pip installs into environments only: `python3 -m venv .venv`, then `.venv/bin/pip`", "1"),
    ("python3", "`ensurepip is not available`", "`apt install python3-venv`", "1"),
)  # fmt: skip


def _refusals() -> Iterator[tuple[str, ...]]:
    asked = yaml.safe_load((ROOT / "copier.yml").read_text("utf-8"))
    for name, question in asked.items():
        if not name.startswith("_") and (rule := question.get("validator")):
            for words in re.findall(r"-?%\}\s*([^{%\s][^{%]*?)\s*(?=\{%)", rule):
                yield _row(f"`{name}`", _prose(words))


def messages() -> str:
    """The page of every message that ends a command, or refuses an answer."""
    parts = [
        "# Messages\n",
        "Written from the source by `nox -s docs`; a test holds it to the source. What stands as `…` is filled in: a name, a place,",
        "what another program said. A message says what is wrong and where; what now stands below it, indented. The last column",
        "is the [exit code](reference.md#exit-codes). What a failed check says is in [every check](checks.md).",
    ]
    head = ("what is wrong", "what now", "code")
    found = sorted(set(messages_by_area()))
    for area, rows in groupby(found, lambda entry: entry[0]):
        parts += [f"\n## {TITLES[area]}\n", *table(head, *(row for _, row in rows))]
    parts += ["\n## A project's noxfile.py\n", *table(head, *_of_the_noxfile())]
    parts += [
        "\n## Other programs\n",
        "What these say about words that are theirs to read, with exit codes of their own:\n",
        *table(
            ("program", *head),
            *(_row(f"`{program}`", *said) for program, *said in OTHERS),
        ),
    ]
    parts += ["\n## Answers that `copier copy` refuses\n", *table(("question", "what it says"), *_refusals())]  # fmt: skip
    return "\n".join(parts).rstrip() + "\n"
