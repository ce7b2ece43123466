"""A real registry: absent is not unreachable, a login is needed, what was tested is what is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from automation import registry as client
from automation.engine import Engine
from automation.errors import EnvironmentTrouble, Refused, TaskflowError
from tests.release.conftest import USER, Registry, login

pytestmark = pytest.mark.engine
Tiny = Callable[[], str]
Make = Callable[..., Registry]


@pytest.mark.parametrize(
    ("name", "host", "path"),
    [
        ("ghcr.io/acme/app-backend", "ghcr.io", "acme/app-backend"),
        ("localhost:5000/app", "localhost:5000", "app"),
        ("localhost/app", "localhost", "app"),
        ("docker.io/acme/app", client.DOCKER_HUB, "acme/app"),
        ("acme/app", client.DOCKER_HUB, "acme/app"),
        ("app", client.DOCKER_HUB, "library/app"),
    ],
)
def test_where_a_repository_is(name: str, host: str, path: str) -> None:
    found = client.Repository(name)
    assert (found.host, found.path) == (host, path)


def test_push_copy_and_look(registry: Registry, engine: Engine, tiny: Tiny) -> None:
    there = client.Repository(f"{registry.host}/acme/app")
    assert there.digest("1.0.0") == ""
    there.may_push()
    assert registry.uploads == []
    image = tiny()
    digest = client.push(engine, image, there, "sha-1")
    assert there.manifest(digest)["config"]["digest"] == image
    client.publish(there, digest, "1.0.0", fixed=True)
    client.publish(there, digest, "latest", fixed=False)
    assert registry.tags == dict.fromkeys(
        ("acme/app:1.0.0", "acme/app:latest", "acme/app:sha-1"), digest
    )


def test_a_released_tag_does_not_move_and_latest_does(
    registry: Registry, engine: Engine, tiny: Tiny
) -> None:
    there = client.Repository(f"{registry.host}/acme/app")
    one, two = (client.push(engine, tiny(), there, tag) for tag in ("sha-1", "sha-2"))
    for tag, fixed in (("1.0.0", True), ("latest", False)):
        client.publish(there, one, tag, fixed=fixed)
        client.publish(there, one, tag, fixed=fixed)
    with pytest.raises(Refused, match=f"{one} and not as {two}"):
        client.publish(there, two, "1.0.0", fixed=True)
    client.publish(there, two, "latest", fixed=False)
    assert registry.tags["acme/app:1.0.0"] == one
    assert registry.tags["acme/app:latest"] == two


def test_unreachable_is_not_absent(registry: Registry) -> None:
    there = client.Repository(f"{registry.host}/acme/app")
    registry.stop()
    with pytest.raises(EnvironmentTrouble, match="cannot be reached"):
        there.digest("1.0.0")


def test_auth_over_tls(
    make_registry: Make, engine: Engine, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = make_registry(auth=True, tls=True)
    there = client.Repository(f"{registry.host}/acme/app")
    with pytest.raises(TaskflowError, match="CERTIFICATE"):
        there.digest("1")
    monkeypatch.setenv("SSL_CERT_FILE", str(registry.certificate))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "nothing"))
    for action in (lambda: there.digest("1"), there.may_push,
                   lambda: client.push(engine, tiny(), there, "1")):  # fmt: skip
        with pytest.raises(Refused) as caught:
            action()
        assert "login" in caught.value.hint
    monkeypatch.setenv("DOCKER_CONFIG", login(registry, tmp_path / "wrong", password="guess"))
    with pytest.raises(Refused):
        client.Repository(there.name).may_push()
    monkeypatch.setenv("DOCKER_CONFIG", login(registry, tmp_path / "right"))
    there = client.Repository(there.name)
    there.may_push()
    assert registry.uploads == []
    assert registry.tags == {}
    digest = client.push(engine, tiny(), there, "1")
    assert registry.tags == {"acme/app:1": digest}


def test_a_credential_helper_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-box"
    helper.write_text(
        '#!/bin/sh\nread host\necho "{\\"Username\\": \\"u\\", \\"Secret\\": \\"$host\\"}"\n'
    )
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text('{"credHelpers": {"ghcr.io": "box"}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert client.credentials("ghcr.io") == ("u", "ghcr.io")
    assert client.credentials("quay.io") is None


def test_patience_meets_trouble_and_not_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BACKOFF", (0.0, 0.0))
    said: list[str] = []
    calls = 0

    def third() -> int:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise EnvironmentTrouble(f"https://{USER}:hunter2@host hung up")
        return calls

    assert client.retried(third, said.append) == 3
    assert "hunter2" not in str(said)

    def refused() -> int:
        nonlocal calls
        calls += 1
        raise Refused("no")

    with pytest.raises(Refused):
        client.retried(refused, said.append)
    assert calls == 4
