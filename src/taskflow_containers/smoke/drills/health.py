"""Health: start, answers, HEALTHCHECK, and that the answers give nothing away."""

from __future__ import annotations

import ipaddress
import math
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from urllib.parse import urlsplit

from taskflow_containers.machine.errors import NoInterpreter
from taskflow_containers.machine.waiting import Watch
from taskflow_containers.project.model import Access
from taskflow_containers.report.result import Result
from taskflow_containers.smoke.answer import Answer
from taskflow_containers.smoke.asking import fairly, until
from taskflow_containers.smoke.catalogue import BY_ID, RUNNING
from taskflow_containers.smoke.drills import identity
from taskflow_containers.smoke.lab import Lab, checks
from taskflow_containers.smoke.running import KILLED, START_BEYOND, Running, moment

_LAST_LINES = 5  # of what does not start
_LONG = 8  # letters; a shorter value occurs by chance
_ATTEMPTS = 3  # a start is as fast as its fastest: a busy machine only makes it slower
_HEALTHY_TIMEOUT = 15.0  # seconds
_LONGEST_PROBE = 60  # seconds, in place of the image's own limit: its exit code shall decide
_PROBE_TIMEOUT = 30.0  # seconds; Docker's where an image sets no --timeout
_QUICK = 1.5  # seconds, in which no time limit within a probe can have run out
_NOTHING = {"python": "print(1)", "node": "console.log(1)"}
_SLACK = 4  # times what such a command takes
# Runs a command and tells the seconds: an engine's own times hold what it needs to start one, too. One that fails
# was in time for nothing.
_TIMED = {
    "python": "import subprocess, sys, time; began = time.monotonic(); "
    "failed = subprocess.run(sys.argv[1:], stdout=2).returncode; "
    "print(1e9 if failed else time.monotonic() - began)",
    "node": "const [command, ...words] = process.argv.slice(1), began = performance.now(); "
    "const {status} = require('child_process').spawnSync(command, words, {stdio: 'ignore'}); "
    "console.log(status === 0 ? (performance.now() - began) / 1000 : 1e9)",
}
_RESTART_BEYOND = 20.0  # seconds over the budget
_DOCUMENTS = {"application/health+json", "application/json"}
_HEALTHY = {"pass", "ok", "up", "warn"}
_UNHEALTHY = {"fail", "error", "down"}
# Python's and Node's words for a write where none is possible, and for what is not installed.
_READ_ONLY = re.compile(r"(?:Read-only file system:|EROFS: read-only file system, \w+) '([^']+)'")
_NO_MODULE = re.compile(
    r"ModuleNotFoundError: No module named '([\w.]+)'|Cannot find (?:module|package) '((?:@[\w.-]+/)?[\w-][\w.-]*)"
)
_INSIDE = re.compile(
    r"Traceback|File \"/|\bat [\w.]+ \(/|/app/(src|node_modules|\.venv)|/usr/(local/)?lib"
)
_ADDRESS = re.compile(
    r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])"
    r"|(?<![\w.:])[\da-fA-F]{0,4}(?::[\da-fA-F]{0,4}){2,7}(?![\w.:])"
)
_TEXTS = {"version", "releaseId", "serviceId", "description", "output"}


def start(lab: Lab) -> Result:
    """Judge the start that has just been waited for; once more where it took too long."""
    running, budget = lab.running, lab.container.budgets.start
    seconds = running.seconds_to_healthy
    asked = lab.container.kind.serves or lab.container.health.command
    if seconds is not None and not asked:
        return lab.verdict("start", True, limit=f"{budget:g} s", measured="still runs then")
    if seconds is None:
        ended, said = running.fate(), running.last_words(_LAST_LINES)
        waited = f"runs, but {_instead(running)} within {budget + START_BEYOND:g} s"
        return lab.verdict(
            "start", False, limit=f"{budget:g} s", measured=ended or waited, detail=said,
            fix=_mend(lab, ended, said),
        )  # fmt: skip
    fastest = running
    for attempt in range(1, _ATTEMPTS):
        if seconds <= budget:
            break
        with lab.instance(f"start-{attempt}") as again:
            again.wait()
        if again.seconds_to_healthy is not None and again.seconds_to_healthy < seconds:
            fastest, seconds = again, again.seconds_to_healthy
    return lab.in_time("start", fastest, budget)


def _mend(lab: Lab, ended: str, said: str) -> str:
    """What to do about a container that does not start."""
    running, model = lab.running, lab.container
    given = lab.stack.environment(model)
    unset = [variable for variable in model.environment.required if variable not in given]
    if ended.startswith(KILLED):
        return "raise memory in taskflow.toml, or have it load less before it listens"
    if running.no_http:
        return "name the port on which it speaks HTTP; what speaks none cannot be judged here"
    if running.cannot_start:
        return "correct CMD, ENTRYPOINT or USER in its Dockerfile"
    if ended and unset:
        return f"set {', '.join(unset)} where the smoke test is run: the container requires it, and is handed it"
    if ended and said:
        writable = [v.path for v in model.volumes if v.access is Access.READ_WRITE]
        known = advice(said, writable)
        return known or "mend what the container says in its last lines, under detail"
    if ended:
        return "have CMD run what serves, in the foreground: it ended and logged nothing"
    if not model.kind.serves:
        return "mend what health.command says, or raise budgets.start in taskflow.toml"
    return (
        f"have it listen on every address, port {model.port}, and answer {model.health.ready} with 200,"
        " or raise budgets.start in taskflow.toml; its last line is under detail"
    )


def advice(said: str, writable: Sequence[str]) -> str:
    """What to do about last words of a known kind, "" about others; `writable` are the paths of volumes."""
    if match := _READ_ONLY.search(said):
        places = " or ".join([*writable, "/tmp"])
        return (
            f"have it write below {places} instead of {match[1]}: all else of an image is read-only; or declare "
            "a volume there in taskflow.toml"
        )
    if match := _NO_MODULE.search(said):
        name = match[1] or match[2]
        return f"add what provides {name} to the packages that its image installs: it imports that"
    return ""


def _instead(running: Running) -> str:
    """What came in place of a healthy answer."""
    if not running.container.kind.serves:
        return "its health command did not end with 0"
    if running.last_status:
        return f"answered {running.last_status}, and no 200,"
    port, process = running.container.port, running.process()
    if running.no_http:
        return f"speaks no HTTP on port {port}, where it says {running.no_http!r},"
    if process and process.hears_itself_alone(port):
        return f"listens on port {port} of 127.0.0.1 alone, so nobody answered"
    if process and process.listens(port):
        return f"listens on port {port}, and answered no HTTP request"
    return f"nobody answered on port {port}"


def _secrets(lab: Lab, urls: Iterable[str]) -> list[str]:
    """What no answer may hold: the values that this container was given, and their parts."""
    model = lab.container
    given = lab.stack.environment(model)
    own = [given.get(v, "") for v in model.environment.required if v not in model.connects]
    found = [value for value in own if len(value) >= _LONG]
    for text in [*urls, *map(lab.stack.url, model.connects.values())]:
        url = urlsplit(text)
        found += [url.geturl(), url.password or "", url.netloc, f"{url.hostname}:{url.port}"]
        # A peer's path and user are its own affair.
        found += [url.username, url.path.lstrip("/")] if url.username else []
    return [text for text in found if text]


def leaks(lab: Lab, answer: Answer, urls: Iterable[str] = ()) -> list[str]:
    """What an answer gives away; `urls` are those that its container was given beside the stack's."""
    head = "\n".join(f"{key}: {value}" for key, value in answer.headers.items())
    text = f"{head}\n{answer.body.decode('utf-8', 'replace')}"
    found = ["a value of the environment" for secret in _secrets(lab, urls) if secret in text]
    for address in _ADDRESS.findall(text):
        try:
            if ipaddress.ip_address(address).is_private:
                found.append(f"the address {address}")
        except ValueError:
            continue  # a version with four parts, a time of day
    if _INSIDE.search(text):
        found.append("a path or traceback")
    server = answer.headers.get("server", "")
    if re.search(r"\d", server):
        found.append(f"server: {server}")
    if powered := answer.headers.get("x-powered-by"):
        found.append(f"x-powered-by: {powered}")
    return list(dict.fromkeys(found))


@checks("readiness", "liveness", "probes", "leaks")
def answers(lab: Lab) -> Iterator[Result]:
    """Both paths answer 200 with a health document."""
    running, health = lab.running, lab.container.health
    leaked: list[str] = []
    bodies: dict[str, object] = {}
    for title, path in (("readiness", health.ready), ("liveness", health.live)):
        answer = fairly(running, lambda p=path: running.get(p), lambda found: found.status == 200)  # type: ignore[misc]
        kind = answer.content_type.split(";")[0]
        body = bodies[title] = answer.json()
        fault = document_fault(body)
        good = answer.status == 200 and not fault and kind in _DOCUMENTS
        yield lab.verdict(
            title, good, limit=f'{path}: {{"status": "pass"}}',
            measured=f"{answer.status}, {kind}, {fault or 'status ' + str(body['status'])}",
            detail="" if good else answer.excerpt, seconds=answer.seconds,
        )  # fmt: skip
        leaked += leaks(lab, answer)
    yield lab.verdict("leaks", not leaked, measured=", ".join(leaked) or "nothing")
    services = lab.needed
    if not services:
        return
    ready, live = (_checked(bodies[title]) for title in ("readiness", "liveness"))
    missing = [s for s in services if not any(s in check for check in ready)]
    said = [
        f"{k}: {', '.join(c) or 'no check'}" for k, c in (("readiness", ready), ("liveness", live))
    ]
    yield lab.verdict(
        "probes", health.ready != health.live and not missing and not live,
        limit=", ".join(services), measured="; ".join(said),
    )  # fmt: skip


def document_fault(body: object) -> str:
    """What a healthy answer's document has that draft-inadarei-api-health-check-06 does not allow."""
    if not isinstance(body, dict):
        return "no JSON object"
    if str(body.get("status")).lower() not in _HEALTHY:
        return f"status {body.get('status', 'absent')}"
    for key in _TEXTS & body.keys():
        if not isinstance(body[key], str):
            return f"{key} is no text"
    checks = body.get("checks", {})
    if not isinstance(checks, dict):
        return "checks is no object"
    for key, entries in checks.items():
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            return f"checks[{key!r}] is no list of objects"
        for entry in entries:
            # An optional dependency may fail under a service that passes.
            if str(entry.get("status", "pass")).lower() not in _HEALTHY | _UNHEALTHY:
                return f"checks[{key!r}] has status {entry['status']}"
            if "time" in entry and not _is_time(entry["time"]):
                return f"checks[{key!r}] has a time that is not ISO 8601"
    return ""


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(datetime.fromisoformat(value))
    except ValueError:
        return False


def _checked(body: object) -> dict[str, object]:
    found = body.get("checks") if isinstance(body, dict) else None
    return found if isinstance(found, dict) else {}


def failed_checks(answer: Answer) -> list[str]:
    """The checks that an application/health+json body reports as failed."""
    return [
        key
        for key, entries in _checked(answer.json()).items()
        if isinstance(entries, list)
        and any(isinstance(entry, dict) and entry.get("status") == "fail" for entry in entries)
    ]


@checks("healthcheck", "restart", "data", of=RUNNING)
def life(lab: Lab) -> Iterator[Result]:
    """HEALTHCHECK becomes healthy; killed and started again it is as before, its data too."""
    # The image's own command; only its interval is too long to wait for.
    # Its time limit is held to what it took, as a probe that a busy machine ends says nothing.
    options = ("--health-interval=1s", f"--health-timeout={_LONGEST_PROBE}s")
    with lab.instance("life", *options, lasting_tmp=True) as running:
        running.wait()
        if BY_ID["healthcheck"].concerns(lab.project, lab.container):
            yield _healthcheck(lab, running)
        unkept = identity.keep(running)
        lab.engine.call("kill", "--signal", "KILL", running.handle)
        running.ended()
        lab.engine.call("start", running.handle)
        running.port, running.seconds_to_healthy, running.launched = 0, None, time.monotonic()
        running.wait(beyond=_RESTART_BEYOND)
        if (seconds := running.seconds_to_healthy) is None:
            said = running.last_words()
            yield lab.verdict("restart", False, measured="never healthy", detail=said)
            return
        yield lab.verdict("restart", True, measured=f"after {seconds:.2f} s")
        yield from identity.data(lab, running, unkept)


def _healthcheck(lab: Lab, running: Running) -> Result:
    own = lab.engine.require_image_config(lab.target.image).get("Healthcheck") or {}
    test = own.get("Test") or []
    if len(test) < 2 or test[0] == "NONE":
        if "image.healthcheck" in lab.options.only:
            return lab.unmeasurable("healthcheck", "the image has none: see image.healthcheck")
        fix = "write a HEALTHCHECK in exec form in the Dockerfile"
        return lab.verdict("healthcheck", False, measured="the image has none", fix=fix)

    def state() -> dict[str, object]:
        found = running.state()
        return dict(found.get("Health") or found.get("Healthcheck") or {})

    if not state():
        return lab.unmeasurable("healthcheck", f"{lab.engine.name} keeps no health state")
    watch, anybody = running.watch(), Watch(None, anybody=True)
    limit = int(own.get("Timeout") or 0) / 1e9 or _PROBE_TIMEOUT
    taken: list[float] = []  # by all probes: the engine keeps the last few

    def busy() -> bool:
        return anybody.waited > anybody.wall / 2

    def well() -> bool:
        if lab.engine.name == "podman":
            # Where systemd is not there to time it, Podman waits for somebody to run it.
            lab.engine.call("healthcheck", "run", running.handle, check=False, timeout=30)
        health = state()
        taken.extend(map(_took, _log(health)))
        return health.get("Status") == "healthy"

    until(well, _HEALTHY_TIMEOUT, watch, 1)
    health = state()
    last = (_log(health) or [{}])[-1]
    took = min(taken, default=0.0)
    healthy = health.get("Status") == "healthy"
    command = test[1:] if test[0] == "CMD" else ["/bin/sh", "-c", *test[1:]]
    for _ in range(_ATTEMPTS):
        if healthy and took > limit:
            with suppress(NoInterpreter):
                took = min(took, running.evaluate(_TIMED, *command))
    good = healthy and took <= limit
    if not good and healthy and busy():
        # How long a probe waited for a CPU nobody counts: hold it to the slowest that does nothing.
        nothing = [_nothing(running) for _ in range(3)]
        excused = took - _SLACK * max(nothing) <= limit
    else:
        excused = not good and busy() and took > _QUICK
    if excused:
        why = f"the machine was busy: {anybody}; the quickest probe took {took:.1f} s"
        return lab.unmeasurable("healthcheck", why)
    slow = f", after {took:.1f} s" if healthy and not good else ""
    said = f"exit code {last.get('ExitCode')}: {str(last.get('Output')).strip()[-200:]}"
    return lab.verdict(
        "healthcheck", good, limit=f"within {limit:g} s, the image's own --timeout",
        measured=f"{health.get('Status')}{slow}", detail="" if good else said,
    )  # fmt: skip


def _log(health: dict[str, object]) -> list[dict[str, object]]:
    found = health.get("Log")
    return [dict(probe) for probe in found] if isinstance(found, list) else []


def _nothing(running: Running) -> float:
    """Seconds that a command which does nothing takes in a container."""
    began = time.monotonic()
    try:
        running.evaluate(_NOTHING)
    except NoInterpreter:
        return math.inf  # unknown
    return time.monotonic() - began


def _took(probe: dict[str, object]) -> float:
    """Seconds that one probe took, by the engine's clock."""
    began, ended = (moment(str(probe.get(key))) for key in ("Start", "End"))
    return (ended - began).total_seconds() if began and ended else 0.0
