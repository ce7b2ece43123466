"""Logins as docker and podman keep them, and the tokens that they buy of a real registry."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.errors import InputError, Refused
from taskflow_containers.release import logins, web
from taskflow_containers.release.logins import DOCKER_HUB, Login, stored
from taskflow_containers.release.registry import ImageRepository
from tests.release.conftest import PASSWORD, USER, Registry
from tests.release.front import TokenServer, token_server

IDENTITY = "an identity token"


def auth(user: str) -> dict[str, str]:
    """An entry of `auths`, the secret of which is `s`."""
    return {"auth": base64.b64encode(f"{user}:s".encode()).decode()}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and two helpers on PATH: one knows the host it is asked for, one does not."""
    for name in ("DOCKER_CONFIG", "DOCKER_AUTH_CONFIG", "REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    logins._tell_once.cache_clear()
    for name, lines in {
        "box": 'echo "{\\"Username\\": \\"box\\", \\"Secret\\": \\"$host\\"}"',
        "token": 'echo "{\\"Username\\": \\"<token>\\", \\"Secret\\": \\"t\\"}"',
        "empty": "echo credentials not found in native keychain; exit 1",
        "locked": "echo the keychain is locked; exit 1",
        "garbled": "echo {",
    }.items():
        path = tmp_path / f"docker-credential-{name}"
        path.write_text(f"#!/bin/sh\nread host\n{lines}\n")
        path.chmod(0o755)
    return tmp_path


def write(path: Path, data: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))


@pytest.mark.parametrize(
    ("config", "place", "docker", "podman"),
    [
        ({"auths": {"quay.io": auth("u")}}, "quay.io/acme/app", "u", "u"),
        ({"auths": {"https://quay.io": auth("u")}}, "quay.io/acme/app", "u", "u"),
        ({"auths": {"https://quay.io/v1/": auth("u")}}, "quay.io/acme/app", "u", "u"),
        ({"auths": {"quay.io/acme": auth("u")}}, "quay.io/acme/app", "u", "u"),
        ({"auths": {"quay.io/acme": auth("a"), "quay.io": auth("u"), "quay.io/acme/app": auth("p")}},
         "quay.io/acme/app", "u", "p"),
        # Docker takes whatever key has the registry's host, Podman only one above the repository.
        ({"auths": {"quay.io/other": auth("o")}}, "quay.io/acme/app", "o", None),
        ({"auths": {"quay.io/ac": auth("u")}}, "ghcr.io/acme/app", None, None),
        ({"auths": {"localhost:5000": auth("u")}}, "localhost:5000/app", "u", "u"),
        ({"auths": {"https://index.docker.io/v1/": auth("u")}}, "docker.io/acme/app", "u", "u"),
        ({"auths": {"docker.io": auth("u")}}, "docker.io/acme/app", "u", "u"),
        ({"auths": {"quay.io": {"username": "u", "password": "s"}}}, "quay.io/app", "u", "u"),
        ({"auths": {"quay.io": {}}}, "quay.io/app", None, None),
        # Helpers come before what the file holds.
        ({"credHelpers": {"quay.io": "box"}, "auths": {"quay.io": auth("u")}}, "quay.io/a", "box", "box"),
        ({"credsStore": "box", "auths": {"quay.io": auth("u")}}, "quay.io/a", "box", "u"),
        ({"credsStore": "box", "credHelpers": {"quay.io": "token"}}, "quay.io/a", "", ""),
        # One that is missing, broken or without an answer is passed over.
        ({"credHelpers": {"quay.io": "gone"}, "auths": {"quay.io": auth("u")}}, "quay.io/a", "u", "u"),
        ({"credHelpers": {"quay.io": "empty"}, "auths": {"quay.io": auth("u")}}, "quay.io/a", "u", "u"),
        ({"credsStore": "locked"}, "quay.io/a", None, None),
        ({}, "quay.io/a", None, None),
        ("", "quay.io/a", None, None),
    ],
)  # fmt: skip
def test_which_login_counts(
    config: Any, place: str, docker: str | None, podman: str | None, home: Path
) -> None:
    write(home / ".docker/config.json", config)
    for client, user in (("docker", docker), ("podman", podman)):
        found = stored(place, client)
        assert (found.user if found else None) == user


def test_identity_tokens(home: Path) -> None:
    azure = auth("00000000-0000-0000-0000-000000000000") | {"identitytoken": "t"}
    write(home / ".docker/config.json", {"auths": {"a.azurecr.io": azure},
                                         "credHelpers": {"b.azurecr.io": "token"}})  # fmt: skip
    for host in ("a.azurecr.io", "b.azurecr.io"):
        found = stored(host, "docker")
        assert found
        assert found.token == "t"
        assert "s" not in repr(found).replace("user", "")


def test_a_missing_helper_is_named_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(home / ".docker/config.json", {"credsStore": "gone"})
    assert stored("quay.io", "docker") is stored("quay.io", "docker") is None
    said = capsys.readouterr().err
    assert said.count("docker-credential-gone is not installed") == 1
    assert str(home / ".docker/config.json") in said
    write(home / ".docker/config.json", {"credsStore": "locked"})
    stored("quay.io", "docker")
    assert "the keychain is locked" in capsys.readouterr().err


def test_a_helper_for_docker_hub_is_asked_as_docker_asks_it(home: Path) -> None:
    write(home / ".docker/config.json", {"credsStore": "box"})
    assert stored("docker.io/acme/app", "docker") == Login("box", "https://index.docker.io/v1/")


def test_the_file_is_that_of_the_engine_which_pushes(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def user(client: str) -> str:
        found = stored("quay.io/acme/app", client)
        return found.user if found else ""

    write(home / ".docker/config.json", {"auths": {"quay.io": auth("docker")}})
    assert (user("docker"), user("podman")) == ("docker", "docker")
    write(home / ".config/containers/auth.json", {"auths": {"quay.io": auth("config")}})
    assert (user("docker"), user("podman")) == ("docker", "config")
    write(home / "run/containers/auth.json", {"auths": {"quay.io": auth("run")}})
    assert (user("docker"), user("podman")) == ("docker", "run")
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(home / "chosen.json"))
    assert user("podman") == ""
    write(home / "chosen.json", {"auths": {"quay.io": auth("chosen")}})
    assert (user("docker"), user("podman")) == ("docker", "chosen")
    write(home / "other/config.json", {"auths": {"quay.io": auth("other")}})
    monkeypatch.setenv("DOCKER_CONFIG", str(home / "other"))
    assert (user("docker"), user("podman")) == ("other", "chosen")
    monkeypatch.setenv("DOCKER_AUTH_CONFIG", json.dumps({"auths": {"quay.io": auth("env")}}))
    assert (user("docker"), user("podman")) == ("env", "chosen")


@pytest.mark.parametrize(
    "text",
    ["{", '{"auths": {"ghcr.io": {"auth": "//"}}}', "[]", '{"auths": {"ghcr.io": 3}}', b"\xff",
     '{"credsStore": "garbled"}'],
)  # fmt: skip
def test_logins_that_cannot_be_read_are_named(text: str | bytes, home: Path) -> None:
    path = home / ".docker/config.json"
    path.parent.mkdir()
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=re.escape(str(path))):
        stored("ghcr.io", "docker")


def test_what_helm_is_given_is_found_as_docker_finds_it(home: Path) -> None:
    for host, place in (("quay.io", "quay.io/a"), (DOCKER_HUB, "docker.io/a/b")):
        write(home / ".docker/config.json", Login("u", "s:t", "i").config(host))
        assert stored(place, "docker") == Login("u", "s:t", "i")


# --- A registry with a token server ---------------------------------------------------------------


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[TokenServer]:
    with token_server(tmp_path / "tokens", USER, PASSWORD, IDENTITY) as found:
        yield found


def logged_in(registry: Registry, folder: Path, entry: dict[str, str]) -> str:
    write(folder / "config.json", {"auths": {registry.host: entry}})
    return str(folder)


@pytest.mark.engine
@pytest.mark.parametrize(
    ("user", "identity", "method"), [(USER, "", "GET"), ("0-0", IDENTITY, "POST")]
)
def test_a_token_is_bought(
    user: str, identity: str, method: str, tokens: TokenServer, engine: Engine,
    tiny: Callable[[], str], make_registry: Callable[..., Registry], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    registry = make_registry(auth=tokens.config)
    there = ImageRepository(f"{registry.host}/acme/app", engine.name)
    with pytest.raises(Refused) as caught:
        there.may_push()
    assert "login" in caught.value.hint
    secret = "" if identity else PASSWORD
    entry = {"auth": base64.b64encode(f"{user}:{secret}".encode()).decode()}
    entry |= {"identitytoken": identity} if identity else {}
    monkeypatch.setenv("DOCKER_CONFIG", logged_in(registry, tmp_path / "right", entry))
    tokens.asked.clear()
    there.may_push()
    assert set(tokens.asked) == {method}
    assert registry.uploads == []
    digest = there.push(engine, tiny(), "1")
    there.publish(digest, "latest", fixed=False)
    assert registry.tags == {"acme/app:1": digest, "acme/app:latest": digest}


@pytest.mark.engine
def test_a_token_server_that_is_busy_is_asked_again(
    tokens: TokenServer, make_registry: Callable[..., Registry], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    registry = make_registry(auth=tokens.config)
    entry = {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
    monkeypatch.setenv("DOCKER_CONFIG", logged_in(registry, tmp_path / "right", entry))
    pauses.clear()
    tokens.busy = [(429, {"Retry-After": "7"}, b"slowly"), (503, {}, b""), (500, {}, b"")]
    ImageRepository(f"{registry.host}/acme/app").may_push()
    assert pauses == [7, web.BACKOFF[1], web.BACKOFF[2]]
    assert capsys.readouterr().err.count("once more in") == 3
