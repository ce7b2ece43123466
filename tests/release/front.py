"""What stands between us and a registry: one that scripts its answers, and one that passes on."""

from __future__ import annotations

import base64
import http.client
import json
import re
import socket
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from taskflow_containers.release.registry import ACCEPTED, ImageRepository

Answer = tuple[int, dict[str, str], bytes]
Rule = Callable[[str, str, "Front"], Answer | None]


class _Quiet(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        # Docker tries TLS first, and takes this answer, which is Go's, for plain HTTP.
        if self.connection.recv(1, socket.MSG_PEEK) == b"\x16":
            self.wfile.write(b"HTTP/1.0 400 Bad Request\r\n\r\nThis is an HTTP server.\n")
            self.close_connection = True
        else:
            super().handle_one_request()

    def _any(self) -> None:
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        elif length := self.headers.get("Content-Length"):
            body = self.rfile.read(int(length))
        self.answered(body)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _any

    def answered(self, body: bytes) -> None:
        raise NotImplementedError

    def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in headers.items():
            if key.lower() not in {"date", "connection", "transfer-encoding"}:
                self.send_header(key, value)
        if "content-length" not in {key.lower() for key in headers}:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _served(server: ThreadingHTTPServer) -> Iterator[None]:
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class Front(ThreadingHTTPServer):
    """Passes on to a registry what no rule answers."""

    allow_reuse_address = True

    def __init__(self, port: int, inner: str, rule: Rule) -> None:
        super().__init__(("127.0.0.1", port), _Passing)
        self.inner, self.rule = inner, rule

    def passed(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """What the registry itself answers."""
        connection = http.client.HTTPConnection(self.inner, timeout=60)
        try:
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        except OSError:
            return 502, {}, b""
        finally:
            connection.close()


class _Passing(_Quiet):
    server: Front

    def answered(self, body: bytes) -> None:
        kept = {k: v for k, v in self.headers.items() if k.lower() != "transfer-encoding"}
        answer = self.server.rule(self.command, self.path, self.server)
        self.reply(*(answer or self.server.passed(self.command, self.path, kept, body)))


@contextmanager
def fronted(registry: Any, rule: Rule) -> Iterator[None]:
    """A registry with a proxy in its place, for as long as the block takes."""
    config, port = registry.folder / "config.yml", int(registry.host.rpartition(":")[2])
    text = config.read_text("utf-8")
    data = json.loads(text)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Quiet) as probe:
        inner = f"localhost:{probe.server_port}"
    data["http"]["addr"] = inner
    registry.stop()
    config.write_text(json.dumps(data), encoding="utf-8")
    try:
        with _served(Front(port, inner, rule)):
            registry.start()
            yield
            registry.stop()
    finally:
        registry.stop()
        config.write_text(text, encoding="utf-8")
        registry.start()


def two_levels(_: str, path: str, __: Front) -> Answer | None:
    """Names of three levels are answered as Docker Hub does."""
    if not re.match(r"/v2/[^/]+/[^/]+/[^/]+/(manifests|blobs|tags)/", path):
        return None
    body = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'
    return 401, {"Content-Type": "application/json"}, body


# What a registry says of a tag that is there and immutable.
IMMUTABLE = {
    "ECR": (400, "TAG_INVALID", "The image tag already exists in the repository and cannot be "
            "overwritten because the tag is immutable."),
    "Artifact Registry": (400, "MANIFEST_INVALID", "Cannot update tag. The repository has enabled "
                          "tag immutability"),
    "Harbor": (412, "PRECONDITION", "Failed to process request due to a tag configured as immutable."),
    "Quay": (409, "TAG_IMMUTABLE", "tag is immutable"),
    "a proxy's policy": (403, "DENIED", "this tag may not be overwritten"),
}  # fmt: skip


def immutable(kind: str) -> Rule:
    """A tag that is there does not move."""

    def rule(method: str, path: str, front: Front) -> Answer | None:
        found = re.fullmatch(r"/v2/.+/manifests/([^:]+)", path)
        if (
            method != "PUT"
            or not found
            or front.passed("HEAD", path, {"Accept": ACCEPTED}, b"")[0] != 200
        ):
            return None
        status, code, message = IMMUTABLE[kind]
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        return status, {"Content-Type": "application/json"}, body

    return rule


class Scripted(ThreadingHTTPServer):
    """Gives these answers, in order, the last one for ever; keeps what it was asked."""

    def __init__(self, *answers: bytes | Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Scripted)
        self.answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def repository(self) -> ImageRepository:
        """One that is asked over plain HTTP at once."""
        return ImageRepository(f"{self.host}/acme/app", _base=f"http://{self.host}")


class _Scripted(_Quiet):
    server: Scripted

    def answered(self, body: bytes) -> None:
        server = self.server
        server.asked.append((self.command, self.path, dict(self.headers), body))
        answer = server.answers.pop(0) if server.answers[1:] else server.answers[0]
        if isinstance(answer, bytes):  # as it goes over the wire
            self.wfile.write(answer)
            self.close_connection = True
        else:
            self.reply(*answer)


@contextmanager
def scripted(*answers: bytes | Answer) -> Iterator[Scripted]:
    """A server that gives these answers."""
    with _served(server := Scripted(*answers)):
        yield server


class TokenServer(ThreadingHTTPServer):
    """Sells tokens that Debian's docker-registry takes: for a password, or an identity token."""

    def __init__(self, folder: Path, user: str, password: str, identity: str) -> None:
        super().__init__(("127.0.0.1", 0), _Tokens)
        self.folder = folder
        self.basic = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.identity = identity
        self.busy: list[Answer] = []  # answers that come first
        self.asked: list[str] = []
        folder.mkdir()
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
             "/CN=tokens", "-keyout", "key.pem", "-out", "cert.pem"],
            cwd=folder, check=True, capture_output=True,
        )  # fmt: skip

    @property
    def config(self) -> dict[str, Any]:
        """What the registry's configuration says of it."""
        realm = f"http://localhost:{self.server_port}/token"
        return {"token": {"realm": realm, "service": "box", "issuer": "tokens",
                          "rootcertbundle": str(self.folder / "cert.pem")}}  # fmt: skip

    def token(self, scope: str) -> str:
        """A JSON Web Token for scopes such as repository:acme/app:pull,push."""
        access = [
            {"type": kind, "name": name, "actions": actions.split(",")}
            for kind, name, actions in (one.split(":") for one in scope.split())
        ]
        now = int(time.time())
        claims = {"iss": "tokens", "sub": "x", "aud": "box", "exp": now + 300, "nbf": now - 10,
                  "iat": now, "jti": "1",
                  "access": access}  # fmt: skip
        pem = (self.folder / "cert.pem").read_text().split("-----")[2]
        head = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(pem.split())]}

        def encoded(data: bytes) -> str:
            return base64.urlsafe_b64encode(data).decode().rstrip("=")

        text = ".".join(encoded(json.dumps(part).encode()) for part in (head, claims))
        signed = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", "key.pem"],
            input=text.encode(), cwd=self.folder, check=True, capture_output=True,
        )  # fmt: skip
        return f"{text}.{encoded(signed.stdout)}"


class _Tokens(_Quiet):
    server: TokenServer

    def answered(self, body: bytes) -> None:
        server = self.server
        server.asked.append(self.command)
        if server.busy:
            self.reply(*server.busy.pop(0))
            return
        asked = dict(
            urllib.parse.parse_qsl(body.decode() or urllib.parse.urlsplit(self.path).query)
        )
        if self.command == "POST":
            paid = (asked.get("grant_type"), asked.get("refresh_token")) == (
                "refresh_token", server.identity,
            )  # fmt: skip
        else:
            paid = self.headers.get("Authorization") == server.basic
        paid = paid and asked.get("service") == "box"
        key = "access_token" if self.command == "POST" else "token"
        data = {key: server.token(asked["scope"])} if paid else {"details": "incorrect password"}
        self.reply(
            200 if paid else 401, {"Content-Type": "application/json"}, json.dumps(data).encode()
        )


@contextmanager
def token_server(folder: Path, user: str, password: str, identity: str) -> Iterator[TokenServer]:
    """A token server, for as long as the block takes."""
    with _served(server := TokenServer(folder, user, password, identity)):
        yield server
