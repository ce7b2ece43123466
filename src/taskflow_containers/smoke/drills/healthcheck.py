"""What HEALTHCHECK asks: its own command, beside a stand-in for the service that is never healthy."""

from __future__ import annotations

import json
from collections.abc import Iterator

from taskflow_containers.report.result import Result
from taskflow_containers.smoke.lab import Lab, checks

_PATIENCE = 30  # seconds for the command: it may ask again before it gives up
_ATTEMPTS = 3  # one with a time limit of its own asks nothing in time while the machine is busy
# One program for each interpreter: answers 503 on the port, runs the command until it has asked, tells what was asked.
STAND_IN = {
    "python": """
import json, socket, subprocess, sys, threading
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
patience, attempts, port, *command = sys.argv[1:]
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
for _ in range(int(attempts)):
    try: code = subprocess.run(command, timeout=int(patience), stdout=2).returncode
    except OSError as error: code = str(error)
    except subprocess.TimeoutExpired: code = 'timeout'
    if asked: break
print(json.dumps({'asked': asked, 'code': code}))
""",
    "node": """
const [patience, attempts, port, ...command] = process.argv.slice(1), asked = [];
const end = (code, left) => {
  if (left && !asked.length) return attempt(left - 1);
  console.log(JSON.stringify({asked, code}));
  process.exit();
};
const attempt = (left) => {
  let fault; // behind it comes `close`, too
  require('child_process')
    .spawn(command[0], command.slice(1), {stdio: ['ignore', 2, 2], timeout: patience * 1000})
    .on('error', (error) => { fault = String(error); })
    .on('close', (code) => end(fault ?? code ?? 'timeout', left));
};
require('http').createServer((request, response) => {
  asked.push(request.url); response.writeHead(503); response.end();
}).listen(Number(port), () => attempt(attempts - 1));
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
    if not model.kind.serves:
        done = lab.stack.once(lab.target, command)
        yield lab.verdict(
            "healthcheck.asks", done.returncode != 0, limit="fails where no worker runs",
            measured="fails there" if done.returncode else "says healthy there",
            detail=done.stderr.strip()[-200:],
        )  # fmt: skip
        return
    program, option = model.interpreter
    limits = (str(_PATIENCE), str(_ATTEMPTS), str(model.port))
    done = lab.stack.once(lab.target, [program, option, STAND_IN[program], *limits, *command])
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
