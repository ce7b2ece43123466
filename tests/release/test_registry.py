"""A real registry: absent is not unreachable, a login is needed, what was tested is what is there."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.errors import (
    EnvironmentTrouble,
    Refused,
    TaskflowError,
)
from taskflow_containers.release.logins import DOCKER_HUB
from taskflow_containers.release.registry import ACCEPTED, ImageRepository
from taskflow_containers.release.web import retried, send
from tests.release.conftest import USER, Registry, identity, login

pytestmark = pytest.mark.engine
Tiny = Callable[[], str]
Make = Callable[..., Registry]


@pytest.mark.parametrize(
    ("name", "host", "path"),
    [
        ("ghcr.io/acme/app-backend", "ghcr.io", "acme/app-backend"),
        ("localhost:5000/app", "localhost:5000", "app"),
        ("localhost/app", "localhost", "app"),
        ("docker.io/acme/app", DOCKER_HUB, "acme/app"),
        ("acme/app", DOCKER_HUB, "acme/app"),
        ("app", DOCKER_HUB, "library/app"),
    ],
)
def test_where_a_repository_is(name: str, host: str, path: str) -> None:
    found = ImageRepository(name)
    assert (found.host, found.path) == (host, path)


def test_push_copy_and_look(registry: Registry, engine: Engine, tiny: Tiny) -> None:
    there = ImageRepository(f"{registry.host}/acme/app")
    assert there.digest("1.0.0") == ""
    there.may_push()
    assert registry.uploads == []
    image = tiny()
    digest = there.push(engine, image, "sha-1")
    assert identity(engine, there, digest) == image
    there.publish(digest, "1.0.0", fixed=True)
    there.publish(digest, "latest", fixed=False)
    assert registry.tags == dict.fromkeys(
        ("acme/app:1.0.0", "acme/app:latest", "acme/app:sha-1"), digest
    )
    # Who pulls that digest has the image that was pushed.
    engine.call("image", "rm", "--force", image)
    name = f"{there.name}@{digest}"
    engine.call("pull", *["--tls-verify=false"] * (engine.name == "podman"), name)
    assert (engine.image_config(name) or {})["Id"] == image


def test_a_tag_leads_to_the_image_pushed_and_to_no_other(
    registry: Registry, engine: Engine, tiny: Tiny
) -> None:
    there = ImageRepository(f"{registry.host}/acme/app")
    image, other = tiny(), tiny()
    digests = [there.push(engine, one, "sha-1") for one in (image, other)]
    assert there.require(other, "sha-1") == digests[1]
    with pytest.raises(Refused, match=f"{image} was pushed, {digests[1]} is there"):
        there.require(image, "sha-1")
    with pytest.raises(Refused, match="nothing is there"):
        there.require(image, "sha-2")

    def index(tag: str, *platforms: str) -> str:
        """An index of those two images, made as other tools make it."""
        parts = []
        for digest, platform in zip(digests, platforms, strict=True):
            answer = send("GET", f"http://{registry.host}/v2/acme/app/manifests/{digest}",
                                 headers={"Accept": ACCEPTED})  # fmt: skip
            os, architecture = platform.split("/")
            parts.append({
                "mediaType": answer.headers["content-type"], "digest": digest,
                "size": len(answer.body), "platform": {"os": os, "architecture": architecture},
            })  # fmt: skip
        kind = "application/vnd.oci.image.index.v1+json"
        body = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": parts}).encode()
        url = f"http://{registry.host}/v2/acme/app/manifests/{tag}"
        assert send("PUT", url, body, {"Content-Type": kind}).status == 201
        return there.digest(tag)

    # An engine knows the image by the index itself, by what is in it, or by its config.
    attested = index("attested", "linux/amd64", "unknown/unknown")
    for known in (attested, image, digests[0]):
        assert there.require(known, "attested") == attested
    several = index("several", "linux/amd64", "linux/arm64")
    # Containerd's store has such an index by its own digest, and pushes it as it is.
    assert there.require(several, "several") == several
    for known in (image, digests[0]):
        with pytest.raises(Refused, match="an index of images for linux/amd64, linux/arm64, is"):
            there.require(known, "several")
    with pytest.raises(Refused):
        there.require(digests[1], "attested")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"Content-Length: 100\r\n\r\n{", "cannot be reached: IncompleteRead"),
        (b"\r\n<html>Log in</html>", "answers 200 <html>Log in</html>"),
        (b"\r\n[]]", "with something else than JSON"),
    ],
)
def test_half_an_answer_and_a_proxys_page_are_trouble(
    answer: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskflow_containers.release.web.BACKOFF", (0.0,))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(b"HTTP/1.0 200 OK\r\n" + answer)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        there = ImageRepository(f"127.0.0.1:{server.server_port}/acme/app")
        there._base = f"http://{there.host}"
        with pytest.raises(EnvironmentTrouble) as caught:
            there.manifest("1.0.0")
        server.shutdown()
    assert said in caught.value.message


def test_a_token_that_is_not_to_be_had_now_is_trouble(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr("taskflow_containers.release.web.BACKOFF", (0.0,))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.path.startswith("/token")
            self.send_response(503 if token else 401)
            realm = f"http://{self.headers['Host']}/token"
            self.send_header("WWW-Authenticate", f'Bearer realm="{realm}",service="it"')
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        there = ImageRepository(f"127.0.0.1:{server.server_port}/acme/app")
        there._base = f"http://{there.host}"
        with pytest.raises(EnvironmentTrouble, match=r"gets no token from .* answers 503"):
            there.digest("1.0.0")
        server.shutdown()


def test_a_released_tag_does_not_move_and_latest_does(
    registry: Registry, engine: Engine, tiny: Tiny
) -> None:
    there = ImageRepository(f"{registry.host}/acme/app")
    one, two = (there.push(engine, tiny(), tag) for tag in ("sha-1", "sha-2"))
    for tag, fixed in (("1.0.0", True), ("latest", False)):
        there.publish(one, tag, fixed=fixed)
        there.publish(one, tag, fixed=fixed)
    with pytest.raises(Refused, match=f"{one} and not as {two}"):
        there.publish(two, "1.0.0", fixed=True)
    there.publish(two, "latest", fixed=False)
    assert registry.tags["acme/app:1.0.0"] == one
    assert registry.tags["acme/app:latest"] == two


def test_no_proxy_leads_to_this_machine(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr("urllib.request._opener", None)  # it keeps the proxies of its first request
    assert send("GET", f"http://{registry.host}/v2/").status == 200
    with pytest.raises(EnvironmentTrouble, match="refused"):
        send("GET", "http://registry.example/v2/")


def test_unreachable_is_not_absent(registry: Registry) -> None:
    there = ImageRepository(f"{registry.host}/acme/app")
    registry.stop()
    with pytest.raises(EnvironmentTrouble, match="cannot be reached"):
        there.digest("1.0.0")


def test_auth_over_tls(
    make_registry: Make, engine: Engine, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = make_registry(auth=True, tls=True)
    there = ImageRepository(f"{registry.host}/acme/app")
    with pytest.raises(TaskflowError, match="CERTIFICATE"):
        there.digest("1")
    monkeypatch.setenv("SSL_CERT_FILE", str(registry.certificate))
    (tmp_path / "config.json").write_text("{}")  # Podman wants the file to be there
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for action in (lambda: there.digest("1"), there.may_push,
                   lambda: there.push(engine, tiny(), "1")):  # fmt: skip
        with pytest.raises(Refused) as caught:
            action()
        assert "login" in caught.value.hint
    monkeypatch.setenv("DOCKER_CONFIG", login(registry, tmp_path / "wrong", password="guess"))
    with pytest.raises(Refused):
        ImageRepository(there.name).may_push()
    monkeypatch.setenv("DOCKER_CONFIG", login(registry, tmp_path / "right"))
    there = ImageRepository(there.name)
    there.may_push()
    assert registry.uploads == []
    assert registry.tags == {}
    digest = there.push(engine, tiny(), "1")
    assert registry.tags == {"acme/app:1": digest}


def test_patience_meets_trouble_and_not_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskflow_containers.release.web.BACKOFF", (0.0, 0.0))
    said: list[str] = []
    calls = 0

    def third() -> int:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise EnvironmentTrouble(f"https://{USER}:hunter2@host hung up")
        return calls

    assert retried(third, said.append) == 3
    assert "hunter2" not in str(said)

    def refused() -> int:
        nonlocal calls
        calls += 1
        raise Refused("no")

    with pytest.raises(Refused):
        retried(refused, said.append)
    assert calls == 4
