"""What others on the node may do to a container: take its CPU, its disk, its names, its clock."""

from __future__ import annotations

import time
from collections.abc import Iterator

from taskflow_containers.machine.errors import NoInterpreter
from taskflow_containers.project.kinds import Kind
from taskflow_containers.report.result import Result
from taskflow_containers.smoke.asking import (
    PROBE_TIMEOUT,
    Seen,
    all_fine,
    ask,
    ask_each,
    fairly,
    fine,
    probe,
)
from taskflow_containers.smoke.catalogue import RUNNING
from taskflow_containers.smoke.drills import stop
from taskflow_containers.smoke.lab import Lab, checks
from taskflow_containers.smoke.running import Running
from taskflow_containers.smoke.visit import visit

_HALF, _COLD_FACTOR = 0.5, 4  # of a CPU; the budget is so many times that of an ordinary start
_NO_RESOLVER = "192.0.2.1"  # TEST-NET-1 (RFC 5737): nobody answers there
_NO_NAME = "nowhere.invalid"
_DAY = 86_400  # seconds
_CLOCK_LOOKS = 8  # half a second apart
_FILL = {
    "python": """
import json, errno
n = 0
try:
    with open('/tmp/taskflow-full', 'wb', buffering=0) as file:
        while True: n += file.write(b'x' * 65536)
except OSError as error: print(json.dumps([n, error.errno == errno.ENOSPC]))
""",
    "node": """
const fs = require('fs'), block = Buffer.alloc(65536, 120); let n = 0;
try { const f = fs.openSync('/tmp/taskflow-full', 'w'); for (;;) n += fs.writeSync(f, block); }
catch (e) { console.log(JSON.stringify([n, e.code === 'ENOSPC'])); }
""",
}
_EMPTY = {
    "python": "import os;os.remove('/tmp/taskflow-full');print(1)",
    "node": "require('fs').unlinkSync('/tmp/taskflow-full');console.log(1)",
}
# Moves the clock that the program reads a day ahead, while a file is there.
_AHEAD = "/tmp/taskflow-ahead"
_CLOCK_PYTHON = f"""
import os as _o, time as _t
_real, _real_ns = _t.time, _t.time_ns
def _ahead(): return {_DAY} if _o.access('{_AHEAD}', 0) else 0
_t.time = lambda: _real() + _ahead()
_t.time_ns = lambda: _real_ns() + _ahead() * 10**9
"""
_JUMP = {
    "python": f"import sys;open('{_AHEAD}','w').close();print(1)",
    "node": f"require('fs').writeFileSync('{_AHEAD}','');console.log(1)",
}
_RETURN = {
    "python": f"import os;os.remove('{_AHEAD}');print(1)",
    "node": f"require('fs').unlinkSync('{_AHEAD}');console.log(1)",
}
_CLOCK_NODE = f"""
const {{ existsSync }} = require('fs'), real = Date.now, Real = Date;
const ahead = () => existsSync('{_AHEAD}') ? {_DAY * 1000} : 0;
globalThis.Date = class extends Real {{
  constructor(...a) {{ a.length ? super(...a) : super(real() + ahead()); }}
  static now() {{ return real() + ahead(); }} }};
"""
_WRITE = {
    "python": "import sys;open('/clock/'+sys.argv[1],'w').write(sys.argv[2])",
    "node": "require('fs').writeFileSync('/clock/'+process.argv[1],process.argv[2])",
}


def _answers(running: Running, routes: list[str]) -> Seen:
    health = running.container.health
    return ask_each(running, [health.ready, health.live, *routes], 2 * PROBE_TIMEOUT)


def _told(found: Seen) -> str:
    return ", ".join(f"{path} {status or 'silent'}" for path, (status, _) in found.items())


def _none_failed(found: Seen) -> bool:
    return all(0 < status < 500 for status, _ in found.values())


def _alone(running: Running) -> tuple[bool, str]:
    """Whether a container does what it can without its peers, and what it did."""
    live = running.container.health.live
    status, _ = ask(running, live, 10)
    said = f"{live} {status or 'silent'}"
    if running.container.kind is not Kind.FRONTEND:
        return bool(status), said
    # One that sends people elsewhere, or asks who they are, does what it can.
    page = visit(running)
    good = bool(status) and (page.shows or page.guarded)
    return good, f"{said}, {running.container.page} {page.said}"


@checks("cold-start", "alone", "dns")
def deserted(lab: Lab) -> Iterator[Result]:
    """Half a CPU, nobody else there, and a resolver that does not answer."""
    model = lab.container
    environment: dict[str, str | None] = {
        **{v: lab.stack.databases[name].url(host=_NO_NAME) for v, name in lab.services.items()},
        **dict.fromkeys(lab.peers, f"http://{_NO_NAME}:{model.port or 80}"),
    }
    options = (f"--cpus={_HALF}", f"--dns={_NO_RESOLVER}")
    budget = _COLD_FACTOR * model.budgets.start
    with lab.instance("alone", *options, environment=environment) as running:
        # What it answers is the affair of other checks: here it must only be there.
        running.wait(model.health.live, 2 * budget, healthy=False)
        if running.seconds_to_healthy is None:
            ended = running.fate() or "runs, but does not answer"
            yield lab.verdict("alone", False, measured=ended, detail=running.last_words())
            return
        if not model.kind.serves:
            yield lab.verdict("alone", True, measured=f"still runs after {model.budgets.start:g} s")
            return
        # A wait for the share of others is left out of the measure, one for the own share is not.
        process = running.process()
        share = process.cpu() / _HALF if process else 0.0
        running.seconds_to_healthy = max(running.seconds_to_healthy, share)
        yield lab.in_time("cold-start", running, budget, f" on {_HALF} CPU")
        good, said = fairly(running, lambda: _alone(running), lambda found: found[0])
        yield lab.verdict("alone", good, measured=said)
        if not environment:
            return
        wanted = {200} if model.kind is Kind.FRONTEND else {200, 503}
        (ready, taken), (live, _) = fairly(
            running,
            lambda: (probe(running, model.health.ready), probe(running, model.health.live)),
            lambda found: found[0][0] in wanted and found[1][0] == 200,
        )
        yield lab.verdict(
            "dns", live == 200 and ready in wanted, limit=f"within {PROBE_TIMEOUT:g} s",
            measured=f"ready {ready or 'silent'} in {taken:.2f} s, live {live or 'silent'}",
        )  # fmt: skip


@checks("tmp-full", "stop", of=RUNNING)
def crowded(lab: Lab) -> Iterator[Result]:
    """Not a byte is left in /tmp; then, SIGTERM."""
    with lab.ready("crowded") as running:
        try:
            yield _tmp_full(lab, running)
        except NoInterpreter as reason:
            yield lab.unmeasurable("tmp-full", str(reason))
        if not lab.container.kind.serves and running.fate():
            yield lab.unmeasurable("stop", "it had ended when /tmp was full")
            return
        yield stop.idle(lab, running)


def _tmp_full(lab: Lab, running: Running) -> Result:
    written, full = running.evaluate(_FILL)
    if not full:
        return lab.unmeasurable("tmp-full", f"/tmp took {written} bytes and no error")
    if not lab.container.kind.serves:
        running.wait(healthy=False)
        if ended := running.fate():
            return lab.verdict("tmp-full", False, measured=ended)
        running.evaluate(_EMPTY)
        return lab.verdict("tmp-full", True, measured="runs on")
    routes = lab.routes()
    found = fairly(running, lambda: _answers(running, routes), _none_failed)
    running.evaluate(_EMPTY)
    return lab.verdict("tmp-full", _none_failed(found), measured=_told(found))


@checks("clock")
def clock(lab: Lab) -> Iterator[Result]:
    """The wall clock that the interpreter shows goes a day ahead, and back."""
    # A kernel has one wall clock for all: what can be moved is what the interpreter makes of it.
    volume, label = lab.stack.handle(f"{lab.name}-clock"), ["--label", lab.stack.run_label]
    program, option = lab.container.interpreter
    python = program == "python"
    file, code = ("sitecustomize.py", _CLOCK_PYTHON) if python else ("clock.cjs", _CLOCK_NODE)
    lab.engine.call("volume", "create", *label, volume)
    lab.engine.call(
        "run", "--rm", "--user=0:0", *label, "--volume", f"{volume}:/clock",
        "--entrypoint", program, lab.target.image, option, _WRITE[program], file, code,
    )  # fmt: skip
    config = lab.engine.require_image_config(lab.target.image)
    baked = dict(str(item).partition("=")[::2] for item in config.get("Env") or [])
    key = "PYTHONPATH" if python else "NODE_OPTIONS"
    own = baked.get(key, "")
    value = f"/clock:{own}".rstrip(":") if python else f"{own} --require /clock/clock.cjs".strip()
    routes, faults = lab.routes(), []
    place = ("--volume", f"{volume}:/clock:ro")
    with lab.ready("clock", *place, environment={key: value}) as running:
        # What was read before the jump must be old enough to be read anew.
        for turn in (_JUMP, _RETURN):
            running.evaluate(turn)
            for _ in range(_CLOCK_LOOKS):
                found = fairly(running, lambda: _answers(running, routes), all_fine)
                bad = {path: seen for path, seen in found.items() if not fine(seen[0])}
                faults += [_told(bad)] if bad else []
                time.sleep(0.5)
        yield lab.verdict(
            "clock", not faults, limit=f"{_DAY} s ahead for {_CLOCK_LOOKS} looks, then back",
            measured="; ".join(faults[:3]) or "every answer as before",
        )  # fmt: skip
    lab.engine.call("volume", "rm", volume, check=False)
