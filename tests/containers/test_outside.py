"""Any image is judged outside a project: one in order, and three that are not, each in seconds."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from taskflow_containers.engine.client import Engine, substitutes
from taskflow_containers.machine.errors import ExitCode
from tests.containers.test_smoke import taskflow

pytestmark = pytest.mark.engine

SERVER = """
import os, socket, threading
def serve(link):
    while text := link.recv(4096):
        path = text.split()[1]
        body = b'{"status": "pass"}' if path == b'/healthz' else b'{}'
        head = b'200 OK' if path == b'/healthz' else b'404 Not Found'
        link.sendall(b'HTTP/1.1 %s\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n%s'
                     % (head, len(body), body))
if os.environ.get('SPEAKS') == 'redis':
    def serve(link):
        link.recv(4096)
        link.sendall(b'-ERR unknown command\\r\\n')
        link.close()
if 'KEY' in os.environ and not os.environ['KEY']:
    raise SystemExit('first\\nKEY is empty')
listener = socket.create_server(('', 8080))
while True: threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()
"""
GOOD = {"smoke.image.user", "smoke.start", "smoke.user", "smoke.readiness", "smoke.capabilities"}


@pytest.mark.parametrize(
    ("line", "options", "failed", "said"),
    [
        ("USER 1001:1001", ["--env", "KEY=given"], set(), "/healthz"),
        ("USER root", [], {"smoke.image.user", "smoke.user"}, "USER root"),
        ("ENV KEY=", [], {"smoke.start", "smoke.image.user"}, "KEY is empty"),
        ("ENV SPEAKS=redis", [], {"smoke.start", "smoke.image.user"}, "speaks no HTTP"),
    ],
    ids=["in order", "root", "ends at once", "no HTTP"],
)
def test_an_image_is_judged_without_a_project(
    engine: Engine, tmp_path: Path, line: str, options: list[str], failed: set[str], said: str
) -> None:
    base = "python:3.13-slim"
    (tmp_path / "app.py").write_text(SERVER)
    (tmp_path / "Dockerfile").write_text(
        f"FROM {substitutes().get(base, base)}\nCOPY app.py /app/app.py\nEXPOSE 8080\n{line}\n"
        'CMD ["python", "/app/app.py"]\n'
    )
    image = f"any-{uuid.uuid4().hex[:8]}"
    engine.call("build", "--tag", image, tmp_path)
    try:
        only = ",".join(id.removeprefix("smoke.") for id in GOOD)
        done = taskflow(
            tmp_path,
            "--image",
            image,
            "--only",
            only,
            "--reports",
            "told/here",
            "--verbose",
            *options,
        )
        assert done.returncode == (ExitCode.CHECK_FAILED if failed else ExitCode.OK), done.stderr
        report = json.loads((tmp_path / "told/here/smoke.json").read_text("utf-8"))
        assert {r["id"] for r in report["results"] if r["status"] == "failed"} == failed
        assert {"image", "port", "user", "memory"} <= {one["what"] for one in report["taken"]}
        assert done.stdout.index("taken from") < done.stdout.index("expected")
        assert said in json.dumps(report, ensure_ascii=False)
        assert engine.image_config(image), "the image is the caller's, and stays"
        assert not (tmp_path / "reports").exists()
    finally:
        engine.call("image", "rm", "--force", "--no-prune", image, check=False)
