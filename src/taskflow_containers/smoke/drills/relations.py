"""Whom a container calls, and what becomes of it without them or with a wrong address."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from taskflow_containers.machine.errors import MachineTrouble
from taskflow_containers.machine.waiting import Starved, Watch
from taskflow_containers.project.forms import PARTS
from taskflow_containers.report.result import Result, Status
from taskflow_containers.smoke.answer import Answer
from taskflow_containers.smoke.asking import ask, fairly, until, words
from taskflow_containers.smoke.drills.browser import asks_who
from taskflow_containers.smoke.lab import Lab, checks
from taskflow_containers.smoke.running import Running, moment
from taskflow_containers.smoke.visit import PAGE_TIMEOUT, Visit, visit

_SECRET = "s3cret-of-the-smoke-test"
_END_WITHIN = 5.0  # seconds
_ATTEMPTS = 2  # a busy disk can make it late once
_PATIENCE = 30.0  # seconds for the engine to start what answers at once
_NOTICED = 2.0  # seconds until a request that was made has been written down
_WRONG = {"service": f"mysql://root:{_SECRET}@nowhere.invalid/x", "peer": f"ftp://{_SECRET}"}
_SAYS_SO = re.compile(
    r"\b(is|are|was|be) away\b|unavailab|unreach|\boffline\b|out of (service|order)|\bnot (be )?(available|answer|respond|reach|load)"
    r"|\b(cannot|can.t|could not|couldn.t|failed to|unable to) (be )?(reach|load|connect|fetch)|\b(is|are) down\b|\btry again",
    re.IGNORECASE,
)
# A backend that notes who asks for what, run by the image's own interpreter.
_RECORDER = """
const [token, port] = process.argv.slice(1);
require('http').createServer((q, s) => { console.log('asked ' + q.method + ' ' + q.url);
  s.setHeader('content-type', 'application/health+json');
  s.end(JSON.stringify({status: 'pass', version: token, checks: {}})); }).listen(Number(port), () => console.log('listening'));
process.on('SIGTERM', () => process.exit());
"""


@checks("path")
def calls(lab: Lab) -> Iterator[Result]:
    """The browser's way through the frontend to the backend."""
    found = [_way(lab, variable, name) for variable, name in lab.peers.items()]
    # A frontend passes its browser on to one of several backends; the others it calls itself.
    reached = [result for result in found if result.status is Status.PASSED]
    yield from reached or found


def _way(lab: Lab, variable: str, name: str) -> Result:
    """Whether a path of a backend leads through the frontend to it."""
    running = lab.running
    if not lab.runs(name):
        return lab.unmeasurable("path", f"{name} is not part of this run")
    backend = lab.labs[name]
    path = lab.container.base_path + backend.container.health.ready
    answer, same = fairly(
        running, lambda: _forwarded(running, path, backend.running), lambda found: found[1]
    )
    if not same and asks_who(running, path, answer, [lab.stack.url(name)]):
        return lab.unmeasurable("path", f"it needs a login: {answer.status}")
    return lab.verdict(
        "path", same, limit=f"{variable} → {' → '.join([name, *backend.services.values()])}",
        measured=f"{answer.status}, {answer.content_type}",
        detail="" if same else answer.excerpt, seconds=answer.seconds,
    )  # fmt: skip


def _forwarded(running: Running, path: str, backend: Running) -> tuple[Answer, bool]:
    """What comes of asking for a backend's health here; whether it is what the backend itself says."""
    answer, own = running.get(path, PAGE_TIMEOUT), backend.get(backend.container.health.ready)
    same = answer.status == own.status and _status(answer.json()) == _status(own.json())
    return answer, same


def _status(body: object) -> object:
    return body.get("status") if isinstance(body, dict) else None


@contextmanager
def _recorder(lab: Lab, alias: str, token: str) -> Iterator[str]:
    """A stand-in for a backend under a name on the network; its handle."""
    handle = lab.stack.handle(alias)
    lab.engine.call(
        # The image's own health check would ask this stand-in, too.
        "run", "--detach", "--no-healthcheck", "--name", handle, "--network", lab.stack.id,
        "--network-alias", alias, "--label", lab.stack.run_label, "--entrypoint", "node",
        lab.target.image, "-e", _RECORDER, token, str(lab.container.port),
    )  # fmt: skip
    # Its port is not published; the node in it needs a moment.
    try:
        watch = Watch(None, anybody=True)
        if not until(lambda: "listening" in lab.engine.logs(handle), _PATIENCE, watch):
            said = "the stand-in for a backend did not start"
            raise MachineTrouble(said)
        yield handle
    finally:
        lab.engine.remove(handle)


@checks("server-side", "two-backends", "backend-away")
def recorded(lab: Lab) -> Iterator[Result]:
    """The same image before another backend, which then goes away."""
    token, alias = f"recorded-{secrets.token_hex(4)}", f"{lab.name}-recorder"
    address = f"http://{alias}:{lab.container.port}"
    with ExitStack() as started:
        recorder = started.enter_context(_recorder(lab, alias, token))
        hosts = lab.stack.host_entries({alias: recorder})
        environment = dict.fromkeys(lab.peers, address)
        running = started.enter_context(lab.ready("recorded", *hosts, environment=environment))

        def asked() -> str:
            found = re.findall(r"^asked (\w+ \S+)", lab.engine.logs(recorder), re.MULTILINE)
            return ", ".join(dict.fromkeys(found))

        def rendered() -> tuple[Visit, str]:
            page = visit(running)
            until(lambda: bool(asked()), _NOTICED, running.watch())
            return page, asked()

        before, seen = fairly(running, rendered, lambda f: f[0].status == 200 and bool(f[1]))
        # Before a login a page need not ask anybody, and then cannot tell who is away.
        guarded = not seen and (before.guarded or bool(before.way))
        login = f"it needs a login: {before.said}" if guarded else ""
        if login:
            yield lab.unmeasurable("server-side", login)
        else:
            said = f"asked for {seen}" if seen else "the page asked nothing"
            yield lab.verdict("server-side", before.status == 200 and bool(seen), measured=said)
        yield _two_backends(lab, running, token, address)
        lab.engine.call("rm", "--force", recorder)
        health, _ = ask(running, lab.container.health.ready)
        if login:
            yield lab.unmeasurable("backend-away", login)
            return
        page = fairly(running, lambda: visit(running), lambda visit: visit.status == 200).answer
        text = words(page.body)
        says = text != words(before.answer.body) and bool(_SAYS_SO.search(text))
        named = address.encode() in page.body
        said = (
            f"health {health or 'silent'}, page {page.status}, says {'so' if says else 'nothing'}"
        )
        yield lab.verdict(
            "backend-away", health == 200 and page.status == 200 and says and not named,
            measured=said + (", names the backend's address" if named else ""),
            detail="" if says else text[:200], seconds=page.seconds,
        )  # fmt: skip


def _two_backends(lab: Lab, running: Running, token: str, address: str) -> Result:
    """Whether an instance answers from the backend at `address`, and the one beside it does not."""
    known = [lab.project.containers.get(name) for name in lab.peers.values()]
    ready = next((model.health.ready for model in known if model), "/api/health")
    path, mark = lab.container.base_path + ready, token.encode()
    other = fairly(
        running, lambda: running.get(path, PAGE_TIMEOUT), lambda answer: mark in answer.body
    )
    own, foreign = mark in other.body, mark in lab.running.get(path, PAGE_TIMEOUT).body
    if not own and asks_who(running, path, other, [address]):
        return lab.unmeasurable("two-backends", f"it needs a login: {other.status}")
    return lab.verdict(
        "two-backends", own and not foreign, limit=path,
        measured=f"{other.status}, {'from' if own else 'not from'} the second backend",
        detail="" if own else other.excerpt,
    )  # fmt: skip


@checks("environment")
def environment(lab: Lab) -> Iterator[Result]:
    """Each required variable once missing and once wrong."""
    serves = lab.container.kind.serves
    connects, faults, longest, first = lab.container.connects, [], 0.0, ""
    parts = lab.container.connects_as
    for number, variable in enumerate(lab.container.environment.required):
        wrong = _WRONG["service" if variable in lab.services else "peer"]
        # What connects to nothing, or holds a part of an address, may be any text: only its absence is wrong.
        any_text = variable not in connects or parts.get(variable) in PARTS
        for value in (None, wrong) if serves and not any_text else (None,):
            kind = "wrong" if value else "missing"
            for attempt in range(_ATTEMPTS):
                purpose, given = f"{kind}-{number}-{attempt}", {variable: value}
                with lab.instance(purpose, environment=given) as running:
                    seconds, state = _lived(running), running.state()
                    said = lab.engine.logs(running.handle)
                ended = not state.get("Running")
                if ended and seconds <= _END_WITHIN:
                    break
            lines = [line for line in said.splitlines() if line.strip()]
            longest, fault = max(longest, seconds), ""
            if not ended or seconds > _END_WITHIN:
                fault = "runs on" if not ended else f"took {seconds:.1f} s"
            elif not state.get("ExitCode"):
                fault = "exit code 0"
            elif serves and len(lines) != 1:
                fault = f"{len(lines)} lines"
            elif not any(variable in line for line in lines):
                fault = "the line does not name it" if serves else "no line names it"
            shown = "the value is shown" if any(_SECRET in line for line in lines) else ""
            faults += [f"{variable} {kind}: {what}" for what in (fault, shown) if what]
            first = first or (lines[-1] if lines else "")
    yield lab.verdict(
        "environment", not faults, limit=f"within {_END_WITHIN:g} s",
        measured="; ".join(faults) or f"as promised, within {longest:.1f} s",
        detail="" if _SECRET in first else first[:200],
    )  # fmt: skip


def _lived(running: Running) -> float:
    """Seconds until it ended, without those that it waited for a CPU; waits no longer than need be.

    Raises:
        Starved: others had the CPU.
    """
    process, watch = running.process(), running.watch()
    age = waited = 0.0
    while running.alive() and not watch.over(_END_WITHIN * 2):
        if process:
            age, waited = process.age() or age, (process.scheduled() or (0.0, 0.0))[1] or waited
        time.sleep(0.05)
    # The engine may note the end late, but not before it was asked.
    seconds = age - waited or min(_lasted(running.state()), time.monotonic() - running.launched)
    if watch.doubts(seconds, _END_WITHIN):
        raise Starved(watch)
    return seconds


def _lasted(state: dict[str, object]) -> float:
    """Seconds between the engine's two timestamps of a container's life."""
    started, ended = (moment(str(state.get(key))) for key in ("StartedAt", "FinishedAt"))
    return max(0.0, (ended - started).total_seconds()) if started and ended else 0.0
