"""What an image outside any project is held to: by the command line, its own configuration, and defaults."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.cli import main, parser
from taskflow_containers.machine.errors import ExitCode, NoInterpreter, UsageError
from taskflow_containers.project.guest import Guest
from taskflow_containers.smoke.catalogue import CHECKS
from taskflow_containers.smoke.outside import asked_by_healthcheck, derive, project, read

EXPOSED: dict[str, Any] = {"ExposedPorts": {"8080/tcp": {}}}


def given(*words: str) -> argparse.Namespace:
    """The options of such a command line."""
    line = ["smoke", "--image", "acme/api:1", *words]
    return parser(line).parse_args(line)


@pytest.mark.parametrize(
    ("words", "config", "what", "value", "source"),
    [
        ([], EXPOSED, "port", "8080", "EXPOSE"),
        ([], {"ExposedPorts": {"8080/tcp": {}, "53/udp": {}}}, "port", "8080", "EXPOSE"),
        ([], {"Env": ["PORT=3000"]}, "port", "3000", "ENV PORT"),
        (["--port", "9000"], EXPOSED, "port", "9000", "--port"),
        ([], EXPOSED, "user", "1001:1001", "USER root"),
        ([], {**EXPOSED, "User": "0:0"}, "user", "1001:1001", "USER 0:0"),
        ([], {**EXPOSED, "User": "node"}, "user", "1001:1001", "USER node"),
        ([], {**EXPOSED, "User": "65532:65532"}, "user", "65532:65532", "configuration"),
        ([], EXPOSED, "memory", "300MB", "default"),
        (["--memory", "128MiB"], EXPOSED, "memory", "128MiB", "--memory"),
        (["--start", "500ms"], EXPOSED, "start", "500ms", "--start"),
        (["--volume", "/data"], EXPOSED, "volume", "/data", "--volume"),
        ([], {**EXPOSED, "Volumes": {"/data": {}, "/tmp": {}}}, "volume", "/data", "VOLUME"),
        (["--env", "KEY=x"], EXPOSED, "variable", "KEY", "--env"),
        ([], EXPOSED, "image", "acme/api:1", "--image"),
    ],
)  # fmt: skip
def test_each_value_says_where_it_is_from(
    words: list[str], config: dict[str, Any], what: str, value: str, source: str
) -> None:
    _, taken = derive(read(given(*words)), config)
    [found] = [one for one in taken if one.what == what]
    assert (found.value, source in found.source) == (value, True), found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "abc"], "--port"),
        (["--port", "99999"], "65535"),
        (["--ready", "api"], "--ready"),
        (["--memory", "10"], "--memory"),
        (["--start", "5"], "--start"),
        (["--volume", "data"], "--volume"),
        (["--database", "9X"], "--database"),
        (["--env", "NOT_THERE_AT_ALL"], "NOT_THERE_AT_ALL=value"),
        (["--env", "HOME=/x"], "HOME"),
        (["--env-file", "nowhere.env"], "nowhere.env"),
        (["--image", "acme/other"], "one image"),
        (["--keep"], "--keep"),
        (["--only", "nonsense"], "nonsense"),
    ],
)
def test_a_wrong_option_is_refused_in_two_lines(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(given(*words))
    assert said in str(refused.value)
    assert str(refused.value).count("\n") <= 1


def test_a_secret_in_the_place_of_a_name_is_not_shown() -> None:
    with pytest.raises(UsageError) as refused:
        read(given("--env", "s3-cret=x"))
    assert "s3-cret" not in str(refused.value)


@pytest.mark.parametrize("ports", [{}, {"80/tcp": {}, "443/tcp": {}}])
def test_without_one_port_it_is_asked_for(ports: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="--port"):
        derive(read(given()), {"ExposedPorts": ports})


def test_variables_of_a_file_are_handed_over_and_not_required(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# ours\nLEVEL=debug\n\nKEY=of the file\n")
    said = read(given("--env", "KEY=own", "--env-file", str(tmp_path / "env")))
    assert said.handed == {"LEVEL": "debug", "KEY": "own"}
    guest, _ = derive(said, EXPOSED)
    assert (guest.environment.required, guest.environment.optional) == (("KEY",), ("LEVEL",))


@pytest.mark.parametrize(
    ("test", "path"),
    [
        (["CMD", "python", "-c", "urlopen('http://127.0.0.1:8000/healthz', timeout=2)"], "/healthz"),
        (["CMD-SHELL", "curl -f http://localhost:${PORT}/api/health?full=1 || exit 1"], "/api/health"),
        (["CMD-SHELL", "wget -q http://localhost"], "/"),
        (["CMD", "/healthcheck"], ""),
        (["NONE"], ""),
        ([], ""),
    ],
)  # fmt: skip
def test_the_path_that_a_health_check_asks(test: list[str], path: str) -> None:
    assert asked_by_healthcheck({"Healthcheck": {"Test": test}}) == path


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("ghcr.io/acme/api@sha256:" + "0" * 64, "api"),
        ("localhost:5000/acme/My_api:1.2", "my-api"),
        ("tools", "tools"),
        ("database:1", "image"),
    ],
)
def test_the_project_is_called_as_the_image(image: str, name: str) -> None:
    guest, _ = derive(read(given("--database", "URL")), EXPOSED)
    assert list(project(image, guest).containers) == [name]


def test_what_nobody_stated_is_left_out_and_an_absent_interpreter_is_no_crash() -> None:
    guest, _ = derive(read(given()), EXPOSED)
    whole = project("api", guest)
    left = {check.id for check in CHECKS if not check.concerns(whole, guest)}
    assert {"image.size", "image.set-id", "image.environment", "readiness", "database.lost"} <= left
    assert not {"user", "start", "stop", "memory", "image.user"} & left
    assert guest.well(404) and not guest.well(503)
    known = guest.model_copy(update={"health_known": True, "program": "node"})
    assert isinstance(known, Guest) and not known.well(404)
    assert known.interpreter == ("node", "-e")
    with pytest.raises(NoInterpreter):
        _ = guest.interpreter


def test_without_a_project_smoke_asks_for_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["smoke", "--port", "80"]) == ExitCode.WRONG_INPUT
    assert "--image" in capsys.readouterr().err
    (tmp_path / "taskflow.toml").write_text("")
    assert main(["smoke", "--image", "x", "--port", "80"]) == ExitCode.WRONG_INPUT
    assert "--port" in capsys.readouterr().err
