"""The Dockerfile parser: what a build would see, whatever the file's style."""

import pytest

from taskflow_containers.contract.instructions import Stage, parse


def only(text: str) -> Stage:
    """The last stage of a Dockerfile that starts from `a`."""
    return parse("FROM a\n" + text)[-1]


def said(stage: Stage) -> list[tuple[str, str, int]]:
    return [(item.name, " ".join(item.text.split()), item.line) for item in stage.instructions]


def test_continued_lines_count_from_the_first() -> None:
    stage = only("LABEL x=1 \\\n      y=2 \\  \n\n      z=3\nUSER 1:1\n")
    assert said(stage) == [("LABEL", "x=1 y=2 z=3", 2), ("USER", "1:1", 6)]
    assert stage.instructions[0].pairs == {"x": "1", "y": "2", "z": "3"}


def test_comments_inside_a_continuation() -> None:
    stage = only("RUN one \\\n  # USER root\n  && two\n# USER root\n  # USER root\nUSER 1:1")
    assert said(stage) == [("RUN", "one && two", 2), ("USER", "1:1", 7)]


def test_a_word_goes_on_in_the_next_line() -> None:
    assert said(only("EXPOSE 80\\\n00\n")) == [("EXPOSE", "8000", 2)]


def test_an_escaped_backslash_does_not_continue() -> None:
    assert said(only("RUN echo \\\\\nUSER 1:1")) == [("RUN", "echo \\\\", 2), ("USER", "1:1", 3)]


def test_a_file_that_ends_in_a_continuation() -> None:
    assert said(only("RUN one \\")) == [("RUN", "one", 2)]


def test_the_escape_directive() -> None:
    stage = parse("# check=skip=all\n# escape=`\nFROM a\nRUN C:\\ `\n  two\nUSER 1:1")[0]
    assert said(stage) == [("RUN", "C:\\ two", 4), ("USER", "1:1", 6)]


def test_the_escape_directive_counts_only_at_the_top() -> None:
    stage = parse("# About:\n# escape=`\nFROM a\nRUN one `\nUSER 1:1")[0]
    assert said(stage) == [("RUN", "one `", 4), ("USER", "1:1", 5)]


def test_lower_case_tabs_and_windows_lines() -> None:
    first, last = parse("from a as Build\r\n\r\nfrom\tb\r\nuser\t1:1\r\nexpose 1 2\r\n")
    assert (first.base, first.name, last.base, last.name) == ("a", "build", "b", "1")
    assert said(last) == [("USER", "1:1", 4), ("EXPOSE", "1 2", 5)]


@pytest.mark.parametrize("text", ["", "# nothing\n", "ARG A=1\n", "RUN echo\n"])
def test_no_stage(text: str) -> None:
    assert parse(text) == []


def test_global_arguments_name_the_base() -> None:
    text = "ARG VERSION=3.13\nARG BASE=python:${VERSION}-slim\nFROM ${BASE}\n"
    assert parse(text)[0].base == "python:3.13-slim"


def test_global_arguments_reach_a_stage_only_when_declared() -> None:
    without = parse("ARG A=1\nFROM a\nUSER ${A:-none}")[0].last("USER")
    declared = parse("ARG A=1\nFROM a\nARG A\nUSER ${A:-none}")[0].last("USER")
    assert without and without.text == "none"
    assert declared and declared.text == "1"


def test_arguments_of_a_stage() -> None:
    text = 'ARG UID=1001 GID="1002"\nUSER ${UID}:$GID\n'
    user = only(text).last("USER")
    assert user and user.text == "1001:1002"


def test_environment_wins_over_an_argument() -> None:
    user = only("ARG X=1\nENV X=2\nUSER $X").last("USER")
    assert user and user.text == "2"


@pytest.mark.parametrize(
    ("reference", "unset", "empty", "filled"),
    [
        ("$X", "", "", "v"),
        ("${X}", "", "", "v"),
        ("${X:-y}", "y", "y", "v"),
        ("${X-y}", "y", "", "v"),
        ("${X:+y}", "", "", "y"),
        ("${X+y}", "", "y", "y"),
        ("${X:-${Y}z}", "yz", "yz", "v"),
        ("${X:?needed}", "", "", "v"),
        (r"\$X", "$X", "$X", "$X"),
        (r"\${X}", "${X}", "${X}", "${X}"),
        ("${X}tail$X.", "tail.", "tail.", "vtailv."),
    ],
)
def test_references(reference: str, unset: str, empty: str, filled: str) -> None:
    for setting, expected in (("", unset), ("ENV X=\n", empty), ("ENV X=v\n", filled)):
        item = only(f"ENV Y=y\n{setting}WORKDIR /{reference}").last("WORKDIR")
        assert item and item.text == "/" + expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A b", {"A": "b"}),
        ("A\tb c", {"A": "b c"}),
        ('A "b c"', {"A": "b c"}),
        ("A b=c", {"A": "b=c"}),
        ("A=1 B=2", {"A": "1", "B": "2"}),
        ('A=1 B="x y"', {"A": "1", "B": "x y"}),
        ("A='x $A' B=\\ y", {"A": "x $A", "B": " y"}),
        ('A=x" y"z B=""', {"A": "x yz", "B": ""}),
        (r'A="say \"hi\"" B=1', {"A": 'say "hi"', "B": "1"}),
        ("A=http://u:p@h/?q=1", {"A": "http://u:p@h/?q=1"}),
        ('"A"=1', {"A": "1"}),
        ("A=", {"A": ""}),
    ],
)
def test_forms_of_env(text: str, expected: dict[str, str]) -> None:
    assert only(f"ENV {text}").environment == expected


def test_a_value_with_blanks_stays_one_value() -> None:
    stage = only('ENV A="x y"\nENV B=$A C="<$A>"')
    assert stage.environment == {"A": "x y", "B": "x y", "C": "<x y>"}


def test_env_sees_what_stood_before_its_line() -> None:
    assert only("ENV A=1\nENV A=2 B=$A").environment == {"A": "2", "B": "1"}


def test_labels_with_slashes_and_old_form() -> None:
    stage = only('LABEL a.b/c="1" d=2\nLABEL e f g')
    assert [item.pairs for item in stage.all("LABEL")] == [{"a.b/c": "1", "d": "2"}, {"e": "f g"}]


@pytest.mark.parametrize(
    "run",
    [
        "RUN <<EOF\nUSER root\nFROM evil\nEOF",
        "RUN <<-'EOF' sh\n\tUSER root\n\tEOF",
        'COPY <<"EOF" /file\nFROM evil\nEOF',
        "COPY <<A <<B /folder/\nFROM evil\nA\nUSER root\nB",
        "run cat <<EOF > /x && \\\n echo\nUSER root\nEOF",
        "RUN <<EOF-1\nUSER root\nEOF\nEOF-1",
        "RUN <<'E.O:F'\nUSER root\nE.O:F",
        'RUN <<"THE END"\nUSER root\nTHE\nTHE END',
        "RUN sh <<-A 3<<B\n\tUSER root\n\t\tA\nFROM evil\n\tB\nB",
        "RUN <<EOF\n EOF\nUSER root\nEOF",
        "RUN <<EOF\r\nUSER root\r\nEOF\r",
        "ONBUILD RUN <<EOF\nUSER root\nEOF",
    ],
)
def test_the_body_of_a_heredoc_is_no_instruction(run: str) -> None:
    stages = parse(f"FROM a\nUSER 1:1\n{run}\nEXPOSE 1")
    assert [stage.base for stage in stages] == ["a"]
    user, last = stages[0].last("USER"), stages[0].instructions[-1]
    assert user and user.text == "1:1"
    assert (last.name, last.line) == ("EXPOSE", 3 + run.count("\n") + 1)


def test_a_heredoc_without_end_takes_the_rest() -> None:
    stage = only("RUN <<A <<B\nA\nUSER 1:1\nB2")
    assert [(item.name, item.line) for item in stage.instructions] == [("RUN", 2)]


@pytest.mark.parametrize(
    "run",
    [
        "RUN echo $((1 << 3))",
        "RUN echo $((1<<n))",
        "RUN cat <<<word",
        'RUN echo "a <<b c"',
        "ENV A=<<EOF",
        'RUN ["echo", "<<EOF"]',
        "RUN echo '<<EOF'x",
        "RUN cat<<EOF",
    ],
)
def test_what_only_looks_like_a_heredoc(run: str) -> None:
    user = only(f"{run}\nUSER 1:1").last("USER")
    assert user and user.line == 3


def test_a_stage_on_a_stage_inherits() -> None:
    text = "FROM a AS Base\nENV A=1\nUSER 1:1\nARG X=1\nFROM base AS mid\nENV B=2\nFROM MID\nENV C=${A}${B}${X}"
    base, mid, final = parse(text)
    assert [stage.base for stage in (base, mid, final)] == ["a", "a", "a"]
    assert final.name == "2"
    assert final.environment == {"A": "1", "B": "2", "C": "12"}
    assert final.arguments == {}
    user = final.last("USER")
    assert user and (user.text, user.line) == ("1:1", 3)
    assert base.environment == {"A": "1"}


def test_a_name_used_before_its_stage_is_an_image() -> None:
    assert [stage.base for stage in parse("FROM a AS b\nFROM b AS a\nFROM a")] == ["a"] * 3
    assert parse("FROM python AS python\n")[0].base == "python"
    assert [stage.base for stage in parse("FROM late\nFROM a AS late")] == ["late", "a"]


def test_options_of_from() -> None:
    stage = parse("FROM --platform=$BUILDPLATFORM a:1@sha256:0 AS build")[0]
    assert (stage.base, stage.name) == ("a:1@sha256:0", "build")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('["python", "-m", "app"]', ["python", "-m", "app"]),
        ('[ "a" ,\\\n "b" ]', ["a", "b"]),
        ("[]", []),
        ("python -m app", None),
        ("['python', '-m']", None),
        ('["a", 1]', None),
        ('["a",]', None),
        ('"a"', None),
        ('["a"] && b', None),
    ],
)
def test_exec_form(text: str, words: list[str] | None) -> None:
    item = only(f"CMD {text}").last("CMD")
    assert item and item.exec_form == words


def test_commands_are_left_as_they_are() -> None:
    stage = only('ENV A=1\nCMD ["$A"]\nENTRYPOINT $A\nHEALTHCHECK CMD $A\nRUN echo $A')
    assert [item.text for item in stage.instructions[1:]] == ['["$A"]', "$A", "CMD $A", "echo $A"]


def test_onbuild_is_for_other_builds() -> None:
    stage = only("USER 1:1\nONBUILD USER root\nONBUILD EXPOSE 1")
    user = stage.last("USER")
    assert user and user.text == "1:1"
    assert stage.all("EXPOSE") == []


def test_arguments_before_the_first_stage_are_the_first_stages() -> None:
    first, second = parse("ARG A=1\nFROM a\nFROM b")
    assert said(first) == [("ARG", "A=1", 1)]
    assert said(second) == []
