"""Bad answers are refused with a message that says what is allowed, and nothing is written."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Render
from tests.template.choices import Ask, offered, questions

# What each question's refusal must say.
ALLOWED = {
    "project_name": r"Use 1 to 60 characters|Start with a letter or digit; then letters, digits|End with something else than a space",
    "database": r"is not in \[True, False\]",
    "slug": r"1 to 40 lower-case letters, digits and single inner hyphens|reserved; take a name",
    "description": r"Use up to 120 characters on one line, without|bytes that are no UTF-8: type it",
    "registry": r"Use host\[:port\]/path in lower case.*docker\.io/acme|port goes from 1 to 65535|between dots has at most 63 characters|Docker Hub needs your organisation",
    "containers": r"not in \['both', 'backend', 'frontend'\]",
    "node_version": r"not in \['24', '22', '26'\]",
    "ci": r"not in \['github', 'gitlab', 'none'\]",
    "licence": r"not in \['none', 'Apache-2.0', 'MIT'\]",
    "code_owners": r"Use names with @, or e-mail addresses, one space between them",
}

BAD: dict[str, list[object]] = {
    "database": ["nope", "maybe", "2", "", "truth"],
    "project_name": [
        "", " ", "TaskFlow ", "\u0301a", "-", "---", "-x", ".x", "_x", " x", "x" * 61, "a\nb", "a\n", "a\r", "a\tb",
        "a\0b", "a\x1bb", "a\u2028b", "a\u200bb", "\u202ea", 'a"b', "a'b", "a`b`", "a\\b", "a/b",
        "{{ 7*7 }}", "{% raw %}", "a {{ 7*7 }}", "$(x)", "a$(x)", "a;b", "a|b", "a<b>", "a: b",
        "a#b", "é" * 61, "a\udcff",
    ],
    "slug": [
        "", " ", "Bad", "taskFlow", "task_flow", "task flow", "task.flow", "task/flow", "../x",
        "..", "/etc", "-task", "task-", "task--flow", "1task", "42", "a" * 41, "task\n", "\ntask",
        "ta\nsk", "task\r", "task\0", '"task"', "'task'", "task`id`", "$(id)", "${HOME}",
        "{{ 7*7 }}", "{{7*7}}", "tâche", "t\u0430sk", "ｔａｓｋ", "task\u200b", "tas\u212a", "task²",
        "con", "nul", "prn", "aux", "com1", "lpt9", "frontend", "backend", "database", "localhost", "latest",
        "default", "template", "automation", "tools", "test",
    ],
    "description": [
        "x" * 121, "a\nb", "a\n", "a\rb", "a\tb", "a\0b", "a\x0bb", "a\x1b[31mb", "a\x85b",
        "a\u2028b", "a\u2029b", "a\u202eb", "a\u2066b", 'say "hi"', "a\\b", "`id`", "$(id)",
        "${HOME}", "{{ 7*7 }}", "{% raw %}", "{# x #}", "<b>", "a > b",
        "a\udcffb", "\ud800", "a\ufffeb", "a\uffff",
    ],
    "registry": [
        " ", "acme", "Acme", "https://ghcr.io/acme", "http://localhost:5000", "ghcr.io/acme/",
        "ghcr.io/", "/acme", "ghcr.io//acme", "ghcr.io/Acme", "GHCR.io/acme", "ghcr.io/ac me",
        "ghcr.io/acme:latest", "ghcr.io/acme@sha256", "ghcr.io/../acme", "ghcr.io/./acme",
        "../acme", "ghcr.io/_acme", "ghcr.io/acme-", "-ghcr.io/acme", "ghcr-.io/acme",
        "ghcr..io/acme", ".ghcr.io/acme", "ghcr.io./acme", "localhost:", "localhost:/team",
        "localhost:0/team", "localhost:0", "localhost:65536", "localhost:99999/team",
        "localhost:123456", "localhost:080", "localhost:5000:5000", "localhost:-1", "localhost:x",
        "localhosts", "user@ghcr.io/acme", "user:pass@ghcr.io/acme", "ghcr.io/acme?x", "ghcr.io\n",
        "ghcr.io/acme\n", "\nghcr.io/acme", "ghcr.io/a\ncme", 'ghcr.io/"acme"', "ghcr.io/`id`",
        "ghcr.io/$(id)", "{{ 7*7 }}", "ghcr.io/{{ 7*7 }}", "ghcr.io/t\u0430sk", "ｇhcr.io/acme",
        "ghcr.io/acme\\x", "[::1]:5000/team", "ghcr.io/" + "a" * 121, "a." * 5000 + "!",
        "a" * 64 + ".io", "ghcr." + "a" * 64, "a" * 64 + ":5000/team", f"r.{'a' * 64}.io/acme",
        "ghcr.io/a\udcff", "docker.io", "index.docker.io", "ghcr.io/a___b", "ghcr.io/a._b",
    ],
    "containers": ["", "none", "Backend", "both\n", "backend,frontend", "{{ 7*7 }}", 1, True],
    "node_version": ["", "20", "23", "24.1", "v24", "lts", "24\n", " 24", 22.0, True],
    "ci": ["", "jenkins", "GitHub", "github\n", "../x", True, False],
    "licence": ["", "mit", "GPL-3.0-only", "MIT\n", "../x", True],
    "code_owners": [
        " ", "@", "ada", "@ada ", " @ada", "@ada  @eve", "@ada,@eve", "@ada\n", "@ada\n* @eve", "@ada\t@eve", "@-a", "@a/", "@a//b",
        "@a #x", "{{ 7*7 }}", "@{{x}}", "@\u0430da", "ada@", "ada@example", "ada@example.com\x00", "@" + "a" * 200,
    ],
}  # fmt: skip

GOOD: dict[str, list[object]] = {
    "project_name": ["T", "TaskFlow", "7", "Cafe\u0301", "हिन्दी", "Tâche", "日本語", "A & B", "C++", "a_b.c-d", "x" * 60],
    "slug": ["a", "a1", "task-flow", "a-b-c-1", "x" * 40, "frontends", "my-backend", "contest"],
    "description": [
        "", "One sentence.", "It's “fine”: 100 % – a & b; c/d (e) #1 * ~ [x] | y", "日本語", "🚀 𠮷", "x" * 120,
    ],
    "registry": [
        "", "ghcr.io/acme", "docker.io/acme", "ghcr.io/a__b", "ghcr.io/a--b", "localhost", "localhost/team", "localhost:5000",
        "localhost:5000/team", "localhost:1/a", "localhost:65535/a", "registry.example.com",
        "registry.example.com:5000/a/b", "registry:5000/team", "192.168.1.10:5000/team",
        "a" * 63 + ".io/" + "b" * 60, "a-b.example.com/c_d/e.f/g-h", "xn--bcher-kva.example/shop",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team", "europe-docker.pkg.dev/p-1/r",
    ],
    "code_owners": ["", "@ada", "@acme/platform @ada", "@acme/a/b-c @e.v_e ada+x@mail.example.com", "@" + "a" * 199],
    **{name: list(values) for name, values in offered().items() if "choices" in questions()[name]},
    "database": [True, False],
}  # fmt: skip


def cases(table: dict[str, list[object]]) -> list[tuple[str, object]]:
    return [(name, value) for name, values in table.items() for value in values]


def shown(value: object) -> str:
    return ascii(value)[:40]


@pytest.mark.parametrize(("name", "value"), cases(BAD), ids=shown)
def test_refused(name: str, value: object, ask: Ask) -> None:
    with pytest.raises(ValueError, match=f"(?s)question '{name}'|for '{name}'") as refusal:
        ask(**{name: value})
    assert re.search(ALLOWED[name], str(refusal.value), re.DOTALL)


@pytest.mark.parametrize("value", [None, ["a"], {"a": "b"}], ids=shown)
@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_refused_type(name: str, value: object, ask: Ask) -> None:
    with pytest.raises((ValueError, TypeError), match=r"string|Invalid (answer|choice)"):
        ask(**{name: value})


@pytest.mark.parametrize(("name", "value"), cases(GOOD), ids=shown)
def test_taken(name: str, value: object, ask: Ask) -> None:
    assert ask(**{name: value})[name] == value


def test_every_question_is_tried() -> None:
    free = {name for name, question in questions().items() if question.get("when") is not False}
    assert GOOD.keys() == free
    assert BAD.keys() == free
    for name, question in questions().items():
        assert question.get("when") is False or question["help"].strip(), name


def test_numbers_are_taken_where_text_looks_like_one(ask: Ask) -> None:
    """The command line reads `--data node_version=24` as a number."""
    assert ask(node_version=24)["node_version"] == "24"


@pytest.mark.parametrize("name", [n for n, q in questions().items() if q.get("when") is False])
def test_computed_values_cannot_be_set(name: str, ask: Ask) -> None:
    with pytest.raises(ValueError, match=rf"question '{name}': Computed"):
        ask(**{name: []})


def test_nothing_is_written_over_an_existing_folder(render: Render, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine\n")
    with pytest.raises(ValueError, match="slug"):
        render(tmp_path, slug="Bad")
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("slug=Bad", "lower-case letters, digits and single inner hyphens"),
        ("registry=https://ghcr.io/acme", "without scheme or trailing slash"),
        (f"registry={'a' * 64}.io", "between dots has at most 63 characters"),
        ("description=a\udcffb", "It holds bytes that are no UTF-8"),
        ("ci=jenkins", "'jenkins' is not in ['github', 'gitlab', 'none']"),
    ],
)
def test_command_line(answer: str, message: str, template: Path, tmp_path: Path) -> None:
    target = tmp_path / "project"
    done = subprocess.run(
        [sys.executable, "-m", "copier", "copy", "--defaults", "--data", answer,
         str(template), str(target)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert not target.exists()
    # Above it copier prints its own stack; it has no other way to refuse an answer.
    assert message in done.stderr.splitlines()[-1]
