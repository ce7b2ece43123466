"""Whatever is answered, and however: it is refused with what is allowed, or every file keeps the value."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from copier._main import Worker
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskflow_containers.checks.readme import check_readme
from taskflow_containers.contract.instructions import parse
from taskflow_containers.contract.text import check_text
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load
from tests.template.choices import ROOT, Ask, asked
from tests.template.test_validators import ALLOWED

# The same examples on every push; on a laptop each run tries others.
HOSTILE = settings(
    deadline=None, database=None, derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)  # fmt: skip
FRAGMENTS = [
    "{{", "}}", "{{ 7*7 }}", "{% raw %}", "{#", "${HOME}", "$(id)", "`id`", "'", '"', "\\", "\\n", "\n", "\r\n", "\t", "\0",
    "#", " #", ": ", "- ", "? ", "& ", "*a", "&a", "!!str", "|", ">", "%", "@", ",", "[", "]", "{", "}", "=", "<<", "---", "...",
    "~", "null", "true", "yes", "off", "n", "1e3", "0x1F", "010", "1_000", "1.10", "12:30:45", "2026-11-28", ".inf", "NaN", '"""',
    "# ", "## Values", "<!-- -->", "</script>", "../", "/", "con", "nul", "com1", "frontend", "latest", "localhost", "ghcr.io/acme",
    "é", "e\u0301", "ß", "İ", "日本語", "हि", "ا", "🚀", "👩‍🚀", "\u202e", "\u200b", "\u2028", "\x85", "\ufeff", "\ud800", "\xa0", " ", "  ", ".", "-",
    "{%", "%}", "#}", "{%- endif %}", "[[x]]", "\'\'\'", "\\u0041", "$$", "%s", "\r", "\x1b[31m", "\x7f", "1979-05-27", "=1+1",
    "\udfff", "\ufffe", "\U0001f1e9\U0001f1ea", "\U000e0041", "\U0010ffff", "\u0345", "ǅ", "ﬁ", "²",
    "CON", "aux", "prn.txt", "lpt9", "com¹", "class", "None", "async", "json", "typing", "__init__", "site-packages", "kube-system",
    "a" * 40, "a" * 41, "a" * 53, "a" * 60, "a" * 63, "a" * 64, "a-" * 20 + "a", "b" * 120, "c" * 128,
]  # fmt: skip
TEXT = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), max_size=5).map("".join),
    st.lists(st.from_regex(r"[A-Za-z0-9 .:/_+&-]{1,12}", fullmatch=True), max_size=4).map("".join),
    st.sampled_from(FRAGMENTS).map(lambda fragment: "a" + fragment * 300),
)
# What is mostly taken, so that the files are looked at as well.
PLAUSIBLE = {
    "project_name": st.from_regex(r"[^\W_][\w .&+-]{0,20}", fullmatch=True),
    "slug": st.from_regex(r"[a-z]([a-z0-9]|-[a-z0-9]){0,15}", fullmatch=True),
    "description": st.text(st.characters(codec="utf-8"), max_size=40),
    "registry": st.from_regex(
        r"(localhost|[a-z0-9]{1,9}\.[a-z0-9]{1,5})(:[1-9][0-9]{0,3})?(/[a-z0-9]+([._-][a-z0-9]+)?){0,3}", fullmatch=True
    ),
    "code_owners": st.from_regex(r"@[a-z]{1,9}(/[a-z-]{1,9})?( [a-z.]{1,9}@[a-z]{1,5}\.org)?", fullmatch=True),
}  # fmt: skip
OTHER = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.lists(TEXT, max_size=2))

# What Copier itself says, without the question's name: of a list or of nothing where a text is asked
# for, and of a text that is not YAML where true or false is.
BY_COPIER = (
    r'Could not convert .* to string|Invalid answer "None" of type|in "<unicode string>", line 1'
)

Files = dict[str, str]
Render_ = Callable[[Mapping[str, object]], tuple[dict[str, Any], Files]]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Render_:
    """Answers → those that Copier took, and each file that is rendered; raises what Copier raises.

    Copier's own worker asks and its own Jinja environment renders, without writing: only the files
    that depend on answers, each template compiled once.
    """
    folder = tmp_path_factory.mktemp("jinja")
    shutil.copy2(ROOT / "copier.yml", folder)
    sources = [path.relative_to(ROOT) for path in (ROOT / "template").rglob("*.jinja")]
    for path in sources:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, folder / path)
    shared = Worker(src_path=str(folder), dst_path=folder / "project", defaults=True, quiet=True)
    kept = {"template": shared.template, "jinja_env": shared.jinja_env}

    def run(answers: Mapping[str, object]) -> tuple[dict[str, Any], Files]:
        worker = Worker(
            src_path=str(folder), dst_path=folder / "project", data=dict(answers), defaults=True, quiet=True
        )  # fmt: skip
        vars(worker).update(kept)
        worker._ask()
        context, files, taken = worker._render_context(), {}, dict(worker.answers.combined)
        for path in sources:
            name = path.relative_to("template").as_posix().removesuffix(".jinja")
            name = ".copier-answers.yml" if "answers_file" in name else name
            if taken.get(f"with_{name.partition('/')[0]}", True):
                files[name] = worker.jinja_env.get_template(path.as_posix()).render(context)
        return taken, files

    return run


@cache  # most answers change few of the files
def parsed(name: str, text: str) -> Any:
    """What a file holds, by the parser of its kind; chart/templates are Helm's."""
    suffix = "" if name.startswith("chart/templates/") else Path(name).suffix
    match suffix:
        case ".toml":
            return tomllib.loads(text)
        case ".json":
            return json.loads(text)
        case ".yaml" | ".yml":
            (document,) = yaml.load_all(text, yaml.CSafeLoader)
            return document
        case ".py":
            return compile(text, name, "exec")
    if Path(name).name == "Dockerfile":
        assert parse(text)
    return text


def keeps(answers: Mapping[str, Any], files: Files, folder: Path) -> None:
    """Every file parses, and holds the answers as they are."""
    held = {name: parsed(name, text) for name, text in files.items()}
    assert all("\r" not in text and "\0" not in text for text in files.values())
    title, slug, registry = (answers[name] for name in ("project_name", "slug", "registry"))
    description, containers = answers["description"], answers["containers"]
    (folder / FILE_NAME).write_text(files[FILE_NAME], "utf-8")
    model = load(folder / FILE_NAME)
    assert (model.title, model.name, model.registry) == (title, slug, registry)
    chart = held["chart/Chart.yaml"]
    assert (chart["name"], chart["description"]) == (slug, description)
    for readme in ("README.md", "chart/README.md"):
        assert f"# {title}\n\n{description}\n" in files[readme]
    assert files["CODEOWNERS"].splitlines()[-1] == f"* {answers['code_owners']}"
    if answers["licence"] == "MIT":
        assert f"\nCopyright (c) the {title} authors\n" in files["LICENSE"]
    if "frontend/src/site.json" in held:
        assert held["frontend/src/site.json"] == {"title": title, "description": description}
    values = held["chart/values.yaml"]
    for name in model.containers:
        image = f"{registry}/{slug}-{name}" if registry else f"{slug}-{name}"
        assert held["compose.yaml"]["services"][name]["image"] == f"{image}:dev"
        own = values["containers"][name]["image"]["repository"]
        host = values["defaults"]["image"].get("registry") or ""
        assert "/".join(filter(None, (host, own))) == image
    told = held[".copier-answers.yml"]
    assert {name: told[name] for name in asked({"containers": containers})} == {
        name: answers[name] for name in asked({"containers": containers})
    }


def refused_or_kept(rendered: Render_, answers: dict[str, object], folder: Path) -> None:
    """One example: a refusal says what is allowed; else every file keeps what was answered."""
    try:
        taken, files = rendered(answers)
    except (ValueError, TypeError) as refusal:
        said = str(refusal)
        texts = [name for name in answers if isinstance(answers[name], str) and name != "database"]
        if not re.search(BY_COPIER, said) or len(texts) == len(answers):
            name = next(name for name in answers if f"'{name}'" in said)
            assert re.search(ALLOWED[name], said, re.DOTALL), said
        return
    for name, value in answers.items():
        if isinstance(value, str) and name in PLAUSIBLE:
            assert taken[name] == value
    keeps(taken, files, folder)


@pytest.mark.parametrize("name", PLAUSIBLE)
def test_350_texts_for_each_question_in_memory(
    name: str, rendered: Render_, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("model")

    @settings(HOSTILE, max_examples=350)
    @given(TEXT | PLAUSIBLE[name])
    def check(value: str) -> None:
        refused_or_kept(rendered, {name: value}, folder)

    check()


def test_300_sets_of_answers_in_memory(
    rendered: Render_, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of any type, for all questions at a time, as a data file may hold them."""
    folder = tmp_path_factory.mktemp("model")
    offered: dict[str, st.SearchStrategy[object]] = {
        "containers": st.sampled_from(["both", "backend", "frontend"]),
        "node_version": st.sampled_from(["22", "24", 26]),
        "database": st.booleans(),
        "ci": st.sampled_from(["github", "gitlab", "none"]),
        "licence": st.sampled_from(["none", "MIT", "Apache-2.0"]),
        **PLAUSIBLE,
    }
    answers = st.fixed_dictionaries({}, optional=offered)
    odd = st.dictionaries(st.sampled_from([*offered]), TEXT | OTHER, max_size=1)

    @settings(HOSTILE, max_examples=300)
    @given(answers, odd)
    def check(right: dict[str, object], wrong: dict[str, object]) -> None:
        refused_or_kept(rendered, right | wrong, folder)

    check()


def test_20_whole_projects_pass_the_lint(tmp_path: Path) -> None:
    """Written by `copier copy`, with what the lint and the chart's check say of the text."""
    template, written = tmp_path / "template", []
    shutil.copytree(ROOT / "template", template / "template")
    shutil.copy2(ROOT / "copier.yml", template)
    taken = {name: PLAUSIBLE[name] for name in ("project_name", "slug", "registry")}
    odd = st.text(st.sampled_from("".join(FRAGMENTS)), max_size=40)
    kept = st.sampled_from([text for text in FRAGMENTS if len(text) > 1]) | odd

    @settings(HOSTILE, max_examples=20, derandomize=True)  # so that enough of them are taken
    @given(st.fixed_dictionaries({**taken, "description": kept}))
    def check(answers: dict[str, object]) -> None:
        folder = tmp_path / "project"
        try:
            copier.run_copy(str(template), folder, data=answers, defaults=True, quiet=True)
        except ValueError:
            assert not folder.exists()
            return
        written.append(answers)
        model = load(folder / FILE_NAME)
        results = [
            *check_text(folder, model, list(model.containers)),
            check_readme(folder / "chart"),
        ]
        assert [result for result in results if result.failed] == []
        shutil.rmtree(folder)

    check()
    assert len(written) >= 5


# Each way to answer: the text on the command line, its YAML in a data file, and the keys at the prompt.
WAYS = {
    "slug": ["123", "null", "yes", "a1", "[]", "my-shop"],
    "project_name": ["123", "1.5", "null", "yes", "{}", "A & B", "#1"],
    "description": ["", "null", "123", "it's: # all [right]", "{x}"],
    "database": ["true", "false", "yes", "no", "1", "null", "maybe", "[]", "''"],
    "node_version": ["22", "20", "22.0"],
    "registry": ["localhost:5000/team", "5000", "null", "ghcr.io/acme"],
}  # fmt: skip


def outcome(ask: Ask, name: str, value: object) -> object:
    """The answer that is taken, or None for a refusal."""
    try:
        return ask(**{name: value})[name]
    except (ValueError, TypeError):
        return None


@pytest.mark.parametrize(("name", "text"), [(name, text) for name in WAYS for text in WAYS[name]])
def test_command_line_and_data_file_agree(name: str, text: str, ask: Ask) -> None:
    """Copier's command line gives each answer as text; a data file gives what YAML makes of it."""
    on_command_line = outcome(ask, name, text)
    in_file = yaml.safe_load(text)
    if name == "database" or (isinstance(in_file, (int, float)) and str(in_file) == text):
        assert outcome(ask, name, in_file) == on_command_line
    quoted = yaml.safe_load(json.dumps(text))  # as documentation says to write a text
    assert outcome(ask, name, quoted) == on_command_line
    if isinstance(in_file, (list, dict)) or in_file is None:
        assert outcome(ask, name, in_file) is None


def prompted(template: Path, target: Path, keys: Mapping[str, list[str]]) -> str:
    """Run `copier copy` on a terminal and press `keys` (question's help → lines); what it showed."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "copier", "copy", str(template), str(target)],
        stdin=its, stdout=its, stderr=its, close_fds=True, env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
    )  # fmt: skip
    os.close(its)
    shown, end = "", time.monotonic() + 60
    os.set_blocking(ours, False)

    def read_until(pattern: str) -> None:
        nonlocal shown
        seen = len(shown)
        while not re.search(pattern, shown[seen:], re.DOTALL):
            assert time.monotonic() < end, f"no {pattern!r} in {shown[seen:]}"
            try:
                shown += os.read(ours, 65536).decode(errors="replace")
            except BlockingIOError:
                time.sleep(0.02)
            except OSError:  # it has ended
                return

    try:
        for question, lines in keys.items():
            read_until(re.escape(question))
            for line in lines:
                time.sleep(0.1)
                os.write(ours, line.encode())
                if line is not lines[-1]:
                    read_until(r"Use 1 to 40 lower-case|Use up to 120|Use names with @")
        read_until(r"$^")
        assert process.wait(30) == 0, shown
    finally:
        process.kill()
        os.close(ours)
    return shown


CLEAR = "\x15"  # Ctrl-U
DOWN = "\x1b[B"


def test_the_prompts_agree_with_the_command_line(
    questions_alone: Path, ask: Ask, tmp_path: Path
) -> None:
    shown = prompted(
        questions_alone,
        tmp_path / "project",
        {
            "The project's name": [f"{CLEAR}A & B\r"],
            # Refused with the reason, it can be mended there.
            "Its short name": [f"{CLEAR}Bad_slug\r", f"{CLEAR}yes\r"],
            "One sentence": [f'{CLEAR}say "hi"\r', f"{CLEAR}it's: #1, null\r"],
            "Registry and": ["localhost:5000/team\r"],
            "Which containers": [f"{DOWN}\r"],  # backend only: Node.js is not asked for
            "PostgreSQL": [f"{DOWN}\r"],
            "Who runs": [f"{DOWN}\r"],
            "The project's licence": [f"{DOWN}\r"],
            "Who is asked to review": ["ada\r", f"{CLEAR}@ada\r"],
        },
    )
    assert "Node.js LTS line" not in shown
    text = (tmp_path / "project" / ".copier-answers.yml").read_text("utf-8")
    given = {
        "project_name": "A & B", "slug": "yes", "description": "it's: #1, null", "registry": "localhost:5000/team",
        "containers": "backend", "database": "false", "ci": "gitlab",
        "licence": "Apache-2.0", "code_owners": "@ada",
    }  # fmt: skip
    assert yaml.safe_load(text) == ask(**given)
