"""Whom a container calls, and what becomes of it without them or with a wrong address."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from taskflow_containers.machine.errors import MachineTrouble
from taskflow_containers.machine.waiting import Starved, Watch
from taskflow_containers.project.model import Kind
from taskflow_containers.report.result import Result
from taskflow_containers.smoke.catalogue import unmeasurable, verdict
from taskflow_containers.smoke.drills.browser import asks_who
from taskflow_containers.smoke.lab import Lab, ask, checks, excerpt, fairly, until, words
from taskflow_containers.smoke.stack import Answer, Running, moment
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
def calls(lab: Lab, name: str) -> Iterator[Result]:
    """The browser's way through the frontend to the backend."""
    running = lab.alive[name]
    for variable, target in lab.peers(name).items():
        backend = lab.alive.get(target)
        if not backend:
            yield unmeasurable("path", name, f"{target} is not part of this run")
            continue
        path = running.model.base_path + backend.model.health.ready
        look = partial(_forwarded, running, path, backend)
        answer, same = fairly(running, look, lambda found: found[1])
        if not same and asks_who(running, path, answer, [lab.stack.url(target)]):
            yield unmeasurable("path", name, f"it needs a login: {answer.status}")
            continue
        yield verdict(
            "path",
            name,
            same,
            limit=f"{variable} → {' → '.join([target, *lab.services(target).values()])}",
            measured=f"{answer.status}, {answer.headers.get('content-type', 'no content type')}",
            detail="" if same else excerpt(answer),
            seconds=answer.seconds,
        )


def _forwarded(running: Running, path: str, backend: Running) -> tuple[Answer, bool]:
    """What comes of asking for a backend's health here; whether it is what the backend itself says."""
    answer, own = running.get(path, PAGE_TIMEOUT), backend.get(backend.model.health.ready)
    same = answer.status == own.status and _status(answer.json()) == _status(own.json())
    return answer, same


def _status(body: object) -> object:
    return body.get("status") if isinstance(body, dict) else None


@contextmanager
def _recorder(lab: Lab, name: str, token: str) -> Iterator[str]:
    """A stand-in for a backend; its handle, which is also its name on the network."""
    handle = lab.stack.handle(f"{name}-recorder")
    port = str(lab.project.containers[name].port)
    lab.engine.call(
        # The image's own health check would ask this stand-in, too.
        "run", "--detach", "--no-healthcheck", "--name", handle, "--network", lab.stack.id,
        "--network-alias", f"{name}-recorder", "--label", lab.stack.run_label,
        "--entrypoint", "node", lab.images[name], "-e", _RECORDER, token, port,
    )  # fmt: skip
    # Its port is not published; the node in it needs a moment.
    try:
        watch = Watch(None, anybody=True)
        if not until(
            lambda: "listening" in lab.engine.call("logs", handle).stdout, _PATIENCE, watch
        ):
            raise MachineTrouble(
                "the stand-in for a backend did not start", "run the command again"
            )
        yield handle
    finally:
        lab.engine.call("rm", "--force", "--volumes", handle, check=False)


@checks("server-side", "two-backends", "backend-away")
def recorded(lab: Lab, name: str) -> Iterator[Result]:
    """The same image before another backend, which then goes away."""
    port = lab.project.containers[name].port
    token = f"recorded-{secrets.token_hex(4)}"
    address = f"http://{name}-recorder:{port}"
    environment = dict.fromkeys(lab.peers(name), address)
    with (
        _recorder(lab, name, token) as recorder,
        lab.ready(
            name,
            "recorded",
            *lab.stack.host_entries({f"{name}-recorder": recorder}),
            environment=environment,
        ) as running,
    ):

        def asked() -> str:
            done = lab.engine.call("logs", recorder)
            found = re.findall(r"^asked (\w+ \S+)", done.stdout + done.stderr, re.MULTILINE)
            return ", ".join(dict.fromkeys(found))

        def rendered() -> tuple[Visit, str]:
            page = visit(running)
            until(lambda: bool(asked()), _NOTICED, running.watch())
            return page, asked()

        with_backend, seen = fairly(running, rendered, lambda f: f[0].status == 200 and bool(f[1]))
        # Before a login a page need not ask anybody, and then cannot tell who is away.
        login = not seen and (with_backend.guarded or bool(with_backend.way))
        if login:
            yield unmeasurable("server-side", name, f"it needs a login: {with_backend.said}")
        else:
            yield verdict(
                "server-side",
                name,
                with_backend.status == 200 and bool(seen),
                measured=f"asked for {seen}" if seen else "the page asked nothing",
            )
        path = running.model.base_path + next(
            (c.health.ready for c in lab.project.containers.values() if c.kind is Kind.BACKEND),
            "/api/health",
        )
        other = fairly(
            running,
            lambda: running.get(path, PAGE_TIMEOUT),
            lambda answer: token.encode() in answer.body,
        )
        mine = lab.alive[name].get(path, PAGE_TIMEOUT)
        own, foreign = token.encode() in other.body, token.encode() in mine.body
        if not own and asks_who(running, path, other, [address]):
            yield unmeasurable("two-backends", name, f"it needs a login: {other.status}")
        else:
            yield verdict(
                "two-backends",
                name,
                own and not foreign,
                limit=path,
                measured=f"{other.status}, {'from' if own else 'not from'} the second backend",
                detail="" if own else excerpt(other),
            )
        lab.engine.call("rm", "--force", recorder)
        health, _ = ask(running, running.model.health.ready)
        if login:
            yield unmeasurable("backend-away", name, f"it needs a login: {with_backend.said}")
            return
        page = fairly(running, lambda: visit(running), lambda visit: visit.status == 200).answer
        text = words(page.body)
        says = text != words(with_backend.answer.body) and bool(_SAYS_SO.search(text))
        named = address.encode() in page.body
        yield verdict(
            "backend-away",
            name,
            health == 200 and page.status == 200 and says and not named,
            measured=f"health {health or 'silent'}, page {page.status}, "
            + ("says so" if says else "says nothing")
            + (", names the backend's address" if named else ""),
            detail="" if says else text[:200],
            seconds=page.seconds,
        )


@checks("environment")
def environment(lab: Lab, name: str) -> Iterator[Result]:
    """Each required variable once missing and once wrong."""
    model = lab.project.containers[name]
    services = lab.services(name)
    faults: list[str] = []
    longest = 0.0
    words_of_first = ""
    for number, variable in enumerate(model.environment.required):
        wrong = _WRONG["service" if variable in services else "peer"]
        # What connects to nothing may be any text: only its absence is wrong.
        for value in (None, wrong) if variable in model.connects else (None,):
            purpose = f"wrong-{number}" if value else f"missing-{number}"
            for attempt in range(_ATTEMPTS):
                with lab.instance(
                    name, f"{purpose}-{attempt}", environment={variable: value}
                ) as running:
                    seconds = _lived(running)
                    state = running.state()
                    done = lab.engine.call("logs", running.handle, check=False)
                ended = not state.get("Running")
                if ended and seconds <= _END_WITHIN:
                    break
            lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            longest = max(longest, seconds)
            case = f"{variable} {'wrong' if value else 'missing'}"
            if not ended or seconds > _END_WITHIN:
                faults.append(f"{case}: {'runs on' if not ended else f'took {seconds:.1f} s'}")
            elif not state.get("ExitCode"):
                faults.append(f"{case}: exit code 0")
            elif len(lines) != 1:
                faults.append(f"{case}: {len(lines)} lines")
            elif variable not in lines[0]:
                faults.append(f"{case}: the line does not name it")
            if any(_SECRET in line for line in lines):
                faults.append(f"{case}: the value is shown")
            words_of_first = words_of_first or (lines[-1] if lines else "")
    yield verdict(
        "environment",
        name,
        not faults,
        limit=f"within {_END_WITHIN:g} s",
        measured="; ".join(faults) or f"as promised, within {longest:.1f} s",
        detail="" if _SECRET in words_of_first else words_of_first[:200],
    )


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
