"""What HEALTHCHECK asks: its own command, beside a stand-in for the service that is never healthy."""

from __future__ import annotations

import json
from collections.abc import Iterator

from taskflow_containers.report.result import Result
from taskflow_containers.smoke.lab import Lab, checks

_PATIENCE = 30  # seconds for the command: it may ask again before it gives up
# One program for each interpreter: answers 503 on the port, runs the command, tells what was asked.
_STAND_IN = {
    "python": """
import json, socket, subprocess, sys, threading
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
patience, port, *command = sys.argv[1:]
asked = []
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        asked.append(self.path)
        self.send_response(503)
        self.send_header('Content-Length', '0')
        self.end_headers()
    do_HEAD = do_GET
    def log_message(self, *words): pass
class Server(ThreadingTCPServer):
    address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    daemon_threads = True
    def handle_error(self, *words): pass
server = Server(('', int(port)), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
try: done = subprocess.run(command, timeout=int(patience), stdout=2)
except OSError as error: code = str(error)
except subprocess.TimeoutExpired: code = 'timeout'
else: code = done.returncode
print(json.dumps({'asked': asked, 'code': code}))
""",
    "node": """
const [patience, port, ...command] = process.argv.slice(1), asked = [];
const end = (code) => { console.log(JSON.stringify({asked, code})); process.exit(); };
require('http').createServer((request, response) => {
  asked.push(request.url); response.writeHead(503); response.end();
}).listen(Number(port), () => {
  require('child_process').spawn(command[0], command.slice(1), {stdio: ['ignore', 2, 2], timeout: patience * 1000})
    .on('error', (error) => end(String(error))).on('close', (code) => end(code === null ? 'timeout' : code));
});
""",
}


@checks("healthcheck.asks")
def asks(lab: Lab) -> Iterator[Result]:
    """It must ask a health path on the declared port, and fail where the answer is 503."""
    model = lab.container
    config = lab.engine.require_image_config(lab.target.image)
    kind, *command = (config.get("Healthcheck") or {}).get("Test") or ["NONE"]
    if kind != "CMD" or not command:
        yield lab.unmeasurable("healthcheck.asks", "it has no command in exec form")
        return
    program, option = model.kind.interpreter
    words = [program, option, _STAND_IN[program], str(_PATIENCE), str(model.port), *command]
    done = lab.stack.once(lab.target, words)
    answer = json.loads(done.stdout)
    asked = sorted({path.partition("?")[0] for path in answer["asked"]})
    yield lab.verdict(
        "healthcheck.asks",
        not {model.health.live, model.health.ready}.isdisjoint(asked) and answer["code"] != 0,
        limit=f"asks {model.health.live} or {model.health.ready} on {model.port}, fails on 503",
        measured=f"asks {', '.join(asked) or 'nothing'} there, "
        + ("says healthy" if answer["code"] == 0 else f"fails ({answer['code']})"),
        detail=done.stderr.strip()[-200:],
    )
