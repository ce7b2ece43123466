"""Asks an image what an application declares, and notes of the answers what another image must answer, too."""

from __future__ import annotations

import base64
import hashlib
import html
import http.client
import json
import re
import socket
import struct
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.gallery.application import Request

Open = Callable[[], http.client.HTTPConnection]
_FORM = re.compile(r"<form\b.*?</form>", re.DOTALL)
_HIDDEN = re.compile(r'<input\b[^>]*type="hidden"[^>]*>')
_REVALIDATED = 15.0  # seconds in which a page that is revalidated changes
_SHORT = 2000  # characters of a body that are worth reading in a failed test

Seen = dict[str, Any]


def ask(request: Request, folder: Path, connect: Open, page: Open) -> Seen:
    """The answer, as far as it has to be the same elsewhere.

    `folder` has the files to send; `page` connects to where a form's page is asked for.

    Raises:
        OSError, HTTPException: nobody answers, or not in full.
    """
    if request.websocket:
        return {"said": talk(request, connect())}
    content, kind = payload(request, folder, page)
    seen, body = once(request, connect, content, kind)
    if request.linked:
        paths = [html.unescape(path) for path in re.findall(request.linked, body)]
        linked = [once(Request(path), connect, None, "") for path in paths]
        text = "".join(found for _, found in linked)
        seen["linked"] = [found["status"] for found, _ in linked]
        seen["found"] = _found(request, text)
    if request.changes:
        deadline = time.monotonic() + _REVALIDATED
        other = body
        while other == body and time.monotonic() < deadline:
            time.sleep(0.5)
            other = once(request, connect, content, kind)[1]
        seen["changes"] = other != body
    return seen


def once(request: Request, connect: Open, content: bytes | None, kind: str) -> tuple[Seen, str]:
    """One request; what is compared, and the body."""
    headers = {"Content-Type": kind, **request.send} if kind else dict(request.send)
    connection = connect()
    try:
        connection.request(request.method, request.path, content, headers)
        response = connection.getresponse()
        parts = []
        while part := response.read1():
            parts.append(part)
    finally:
        connection.close()
    body = b"".join(parts)
    seen: Seen = {"status": response.status}
    given = {name: response.headers.get_all(name) or [] for name in request.headers}
    seen["headers"] = json.loads(_masked(json.dumps(given), request))
    text = body.decode("utf-8", "replace")
    if request.find:
        seen["found"] = [re.findall(pattern, text, re.DOTALL) for pattern in request.find]
    elif not request.changes:
        printable = text.isprintable() or response.headers.get_content_maintype() == "text"
        whole = _masked(text, request)
        seen["body"] = whole if printable and len(whole) < _SHORT else _digest(body)
    if request.pieces:
        seen["pieces"] = len(parts) > 1
    return seen, text


def _found(request: Request, text: str) -> list[list[str]]:
    masked = _masked(text, request)
    return [re.findall(pattern, masked, re.DOTALL) for pattern in request.find]


def _digest(body: bytes) -> str:
    return f"{len(body)} bytes, {hashlib.sha256(body).hexdigest()}"


def _masked(text: str, request: Request) -> str:
    for pattern in request.mask:
        text = re.sub(pattern, "", text)
    return text


def payload(request: Request, folder: Path, page: Open) -> tuple[bytes | None, str]:
    """The request's body and its type."""
    if request.json is not None:
        return json.dumps(request.json).encode(), "application/json"
    fields = hidden(request.form_of, page) if request.form_of else {}
    files = {name: (folder / path).read_bytes() for name, path in request.files.items()}
    files |= {name: b"x" * size for name, size in request.size.items()}
    fields |= request.fields
    if not (fields or files):
        return None, ""
    mark = uuid.uuid4().hex
    parts = []
    for name, value in fields.items():
        parts.append(f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    for name, data in files.items():
        kind = "image/png" if name in request.files else "application/octet-stream"
        head = f'Content-Disposition: form-data; name="{name}"; filename="{name}"\r\nContent-Type: {kind}'
        parts.append(f"{head}\r\n\r\n".encode() + data + b"\r\n")
    start = f"--{mark}\r\n".encode()
    body = b"".join(start + part for part in parts) + f"--{mark}--\r\n".encode()
    return body, f"multipart/form-data; boundary={mark}"


def hidden(path: str, page: Open) -> dict[str, str]:
    """The hidden fields of a page's first form, as a browser without scripts would send them."""
    connection = page()
    try:
        connection.request("GET", path)
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    form = _FORM.search(text)
    assert form, f"no form on {path}: {text[:_SHORT]}"
    found = {}
    for field in _HIDDEN.findall(form[0]):
        attributes = dict(re.findall(r'(\w+)="([^"]*)"', field))
        found[attributes["name"]] = html.unescape(attributes.get("value", ""))
    return found


def talk(request: Request, connection: http.client.HTTPConnection) -> list[str]:
    """Say each message on a WebSocket (RFC 6455) and hear one; a refusal is its status."""
    connection.connect()
    opened: socket.socket = connection.sock
    key = base64.b64encode(uuid.uuid4().bytes).decode()
    words = [f"GET {request.path} HTTP/1.1", f"Host: {connection.host}", "Upgrade: websocket",
             "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]  # fmt: skip
    with opened, opened.makefile("rb") as answers:
        opened.sendall("\r\n".join([*words, "", ""]).encode())
        status = answers.readline().decode().split(" ")[1]
        while answers.readline().strip():
            pass
        said = [status]
        if status == "101":
            for message in request.websocket:
                data = message.encode()
                # A client masks what it says; nobody asks for a mask that is hard to guess.
                opened.sendall(struct.pack("!BBI", 0x81, 0x80 | len(data), 0) + data)
                _, length = answers.read(2)
                said.append(answers.read(length).decode())
    return said
