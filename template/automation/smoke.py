"""Smoke-test the images: start them as the cluster will, ask, load, take the database, stop."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from automation.build import Image, Say
from automation.engine import Engine
from automation.errors import EnvironmentTrouble
from automation.model import Access, Kind, Project, megabytes
from automation.results import Result, judge, skip
from automation.stack import Answer, Running, Stack

LOAD_REQUESTS = 600
LOAD_CONCURRENCY = 8
PROBE_TIMEOUT = 3.0  # seconds; what the chart's and the image's probes allow
SIGKILLED = 137  # 128 + SIGKILL
_RETURN_TIMEOUT = 15.0  # seconds until a returned database must show as healthy

# One line for each interpreter: who PID 1 is, where it may write, what of /app it owns.
_PROBE = {
    "python": """
import json, os, sys
app, *paths = sys.argv[1:]
def write(path):
    try:
        with open(path + '/.taskflow-probe', 'w') as file: file.write('x')
        os.remove(path + '/.taskflow-probe')
        return ''
    except OSError as error: return error.strerror
me, groups = os.getuid(), {os.getgid(), *os.getgroups()}
def mine(path):
    try: info = os.lstat(path)
    except OSError: return False
    if info.st_mode & 0o170000 == 0o120000: return False
    return bool(info.st_uid == me or info.st_mode & 0o020 and info.st_gid in groups
                or info.st_mode & 0o002)
owned = []
for here, folders, files in os.walk(app):
    if here in paths: folders.clear(); continue
    owned += [p for p in (here, *(os.path.join(here, f) for f in files)) if mine(p)]
print(json.dumps({'status': open('/proc/1/status').read(), 'owned': owned[:20],
                  'write': {p: write(p) for p in ('/', '/etc', '/tmp', app, *paths)}}))
""",
    "node": """
const fs = require('fs'), [app, ...paths] = process.argv.slice(1);
const write = (p) => { try { fs.writeFileSync(p + '/.taskflow-probe', 'x');
  fs.unlinkSync(p + '/.taskflow-probe'); return ''; } catch (e) { return e.code; } };
const me = process.getuid(), groups = [process.getgid(), ...process.getgroups()], owned = [];
const mine = (p) => { let s; try { s = fs.lstatSync(p); } catch { return false; }
  return !s.isSymbolicLink() && (s.uid === me || (s.mode & 0o020 && groups.includes(s.gid))
    || (s.mode & 0o002) !== 0); };
const walk = (p) => { if (paths.includes(p)) return; if (mine(p)) owned.push(p);
  for (const e of fs.readdirSync(p, {withFileTypes: true})) { const c = p + '/' + e.name;
    if (e.isDirectory()) walk(c); else if (mine(c)) owned.push(c); } };
try { walk(app); } catch {}
console.log(JSON.stringify({status: fs.readFileSync('/proc/1/status', 'utf8'),
  owned: owned.slice(0, 20),
  write: Object.fromEntries(['/', '/etc', '/tmp', app, ...paths].map((p) => [p, write(p)]))}));
""",
}
_APP = "/app"


def smoke(project: Project, engine: Engine, images: Iterable[Image], say: Say) -> list[Result]:
    """Run the images together and check what the model promises; removes all it started."""
    by_name = {image.container: image for image in images}
    results: list[Result] = []
    with Stack(engine, project, say) as stack:
        for name in _services(project, by_name):
            say(f"starting {name}")
            stack.start_service(name)
        alive: dict[str, Running] = {}
        for name in _in_order(project, by_name):
            say(f"starting {name}")
            running = stack.start(name, by_name[name].id)
            verdict = _started(running)
            results.append(verdict)
            if not verdict.failed or running.seconds_to_healthy is not None:
                alive[name] = running
        with ThreadPoolExecutor(max_workers=4) as pool:
            # Probing first: the load must not disturb what identity and health measure.
            for title, check in (
                ("health answers", _health),
                ("identity can be read", _identity),
                ("HEALTHCHECK runs", _healthcheck),
            ):
                for found in pool.map(partial(_guarded, title, check), alive.values()):
                    results += found
        for running in alive.values():
            results += _guarded("relations", partial(_relations, alive), running)
        for running in alive.values():
            say(f"loading {running.name}")
            results += _guarded("answers under load", _load, running)
        for running in alive.values():
            for service in running.model.connects.values():
                if service in project.services and running.state().get("Running"):
                    say(f"taking {service} from {running.name}")
                    results += _guarded(
                        f"{service} away and back", partial(_loss, stack, service), running
                    )
        for running in reversed(alive.values()):
            say(f"stopping {running.name}")
            results += _guarded("stops on SIGTERM", partial(_stop, stack), running)
    return results


def _services(project: Project, images: Mapping[str, Image]) -> list[str]:
    wanted = {t for name in images for t in project.containers[name].connects.values()}
    return [name for name in project.services if name in wanted]


def _in_order(project: Project, images: Mapping[str, Image]) -> list[str]:
    """Whoever is called starts before its callers; a circle keeps the file's order."""
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in order or name in path or name not in images:
            return
        for target in project.containers[name].connects.values():
            visit(target, (*path, name))
        order.append(name)

    for name in images:
        visit(name, ())
    return order


Check = Callable[[Running], Iterable[Result]]


def _guarded(title: str, check: Check, running: Running) -> list[Result]:
    """A check whose container went away, or does not answer, failed; it does not end the run."""
    found: list[Result] = []
    try:
        for result in check(running):
            found.append(result)
    except (OSError, http.client.HTTPException, EnvironmentTrouble, ValueError) as error:
        state = running.state()
        if isinstance(error, EnvironmentTrouble) and not state:
            raise  # the engine is gone, not the container
        found.append(
            judge(
                "smoke.answer",
                title,
                False,
                container=running.name,
                expected="an answer",
                measured=_fate(running, state) or f"no answer: {error}",
                detail=running.last_words(),
                fix="the detail is the container's last line",
            )
        )
    return found


def _fate(running: Running, state: Mapping[str, object]) -> str:
    if state.get("Running"):
        return ""
    limit = f"more than {megabytes(running.model.memory)} of memory"
    if state.get("OOMKilled"):
        return f"killed: {limit}"
    if state.get("ExitCode") == SIGKILLED:  # Podman does not always hear of the reason
        return f"killed (exit code {SIGKILLED}), most likely for {limit}"
    return f"ended with exit code {state.get('ExitCode')}"


def _started(running: Running) -> Result:
    budget = running.model.budgets.start
    seconds = running.seconds_to_healthy
    if seconds is None:
        return judge(
            "smoke.start",
            "start to first healthy answer",
            False,
            container=running.name,
            expected=f"200 on {running.model.health.ready}",
            measured=_fate(running, running.state()) or "runs, but never answered 200",
            detail=running.last_words(),
            fix="the detail is the container's last line",
        )
    return judge(
        "smoke.start",
        "start to first healthy answer",
        seconds <= budget,
        container=running.name,
        expected=f"at most {budget:g} s",
        measured=f"{seconds:.2f} s",
        seconds=seconds,
        fix="start less before listening: lazy imports, compiled bytecode, no network at start",
    )


def _health(running: Running) -> Iterator[Result]:
    """Health: both paths answer 200."""
    for title, path in (
        ("readiness", running.model.health.ready),
        ("liveness", running.model.health.live),
    ):
        answer = running.get(path)
        kind = answer.headers.get("content-type", "no content type").split(";")[0]
        body = answer.json()
        healthy = isinstance(body, dict) and str(body.get("status")) in {"pass", "ok", "warn"}
        yield judge(
            f"smoke.{title}",
            f"{title} answers",
            answer.status == 200 and healthy,
            container=running.name,
            expected=f'200 and {{"status": "pass"}} on {path}',
            measured=f"{answer.status}, {kind}",
            detail="" if healthy else _excerpt(answer),
            fix=f"answer GET {path} with application/health+json",
            seconds=answer.seconds,
        )


def _excerpt(answer: Answer) -> str:
    return answer.body[:200].decode("utf-8", "replace")


def _identity(running: Running) -> Iterator[Result]:
    """Identity: who PID 1 is and where it may write."""
    model = running.model
    volumes = {volume.path: volume.access for volume in model.volumes}
    answer = running.evaluate(_PROBE, _APP, *volumes)
    status = dict(re.findall(r"^(\w+):\s*(.*)$", answer["status"], re.MULTILINE))
    yield judge(
        "smoke.user",
        "runs as the declared user",
        set(status["Uid"].split()) == {str(model.uid)}
        and set(status["Gid"].split()) == {str(model.gid)},
        container=running.name,
        expected=f"UID {model.uid}, GID {model.gid}, all four",
        measured=f"UID {status['Uid']}, GID {status['Gid']}".replace("\t", " "),
        fix=f"write USER {model.user} in the Dockerfile's final stage",
    )
    sets = {key: status.get(key, "?") for key in ("CapPrm", "CapEff", "CapBnd")}
    yield judge(
        "smoke.capabilities",
        "no capability",
        all(int(v, 16) == 0 for v in sets.values()),
        container=running.name,
        expected="permitted, effective, bounding: none",
        measured=", ".join(f"{key} {value}" for key, value in sets.items()),
        fix="the engine ignored --cap-drop=ALL: check its configuration",
    )
    yield judge(
        "smoke.privileges",
        "no new privileges, seccomp on",
        status.get("NoNewPrivs") == "1" and status.get("Seccomp") == "2",
        container=running.name,
        expected="NoNewPrivs 1, Seccomp 2 (filter)",
        measured=f"NoNewPrivs {status.get('NoNewPrivs')}, Seccomp {status.get('Seccomp')}",
        fix="the engine runs without its default seccomp profile: check its configuration",
    )
    writable = {"/tmp", *(p for p, access in volumes.items() if access is Access.READ_WRITE)}
    could = {path for path, refusal in answer["write"].items() if not refusal}
    yield judge(
        "smoke.file-system",
        "writes only where declared",
        could == writable,
        container=running.name,
        expected=", ".join(sorted(writable)),
        measured=", ".join(sorted(could)) or "nowhere",
        detail="; ".join(
            f"{p}: {why}" for p, why in answer["write"].items() if why and p in writable
        ),
        fix="prepare each declared volume in the image, owned by the runtime user, and no other",
    )
    yield judge(
        "smoke.ownership",
        "cannot change its own program",
        not answer["owned"],
        container=running.name,
        expected=f"nothing in {_APP} but its volumes",
        measured=", ".join(answer["owned"][:5]) or f"nothing in {_APP} but its volumes",
        fix="copy as root (no --chown, no chmod -R): the runtime user only reads",
    )


def _healthcheck(running: Running) -> Iterator[Result]:
    """HEALTHCHECK: the image's own check says healthy."""
    config = (running.engine.inspect("container", running.handle) or {}).get("Config") or {}
    test = (config.get("Healthcheck") or {}).get("Test") or []
    if len(test) < 2 or test[0] == "NONE":
        yield judge(
            "smoke.healthcheck",
            "HEALTHCHECK says healthy",
            False,
            container=running.name,
            expected="exit code 0",
            measured="the image has none",
            fix="write a HEALTHCHECK in exec form in the Dockerfile",
        )
        return
    command = test[1:] if test[0] == "CMD" else ["/bin/sh", "-c", test[1]]
    started = time.monotonic()
    done = running.engine.call("exec", running.handle, *command, check=False, timeout=30)
    seconds = time.monotonic() - started
    yield judge(
        "smoke.healthcheck",
        "HEALTHCHECK says healthy",
        done.returncode == 0,
        container=running.name,
        expected="exit code 0",
        measured=f"exit code {done.returncode}",
        detail=(done.stderr or done.stdout).strip()[-200:] if done.returncode else "",
        fix="run that command in the container: `docker exec … `",
        seconds=seconds,
    )


def _relations(alive: Mapping[str, Running], running: Running) -> Iterator[Result]:
    """Relations: what it is connected to answers through it."""
    if running.model.kind is not Kind.FRONTEND:
        return
    page = running.get("/", timeout=10)
    yield judge(
        "smoke.page",
        "home page",
        page.status == 200 and b"<html" in page.body,
        container=running.name,
        expected="200 and HTML",
        measured=f"{page.status}, {page.headers.get('content-type', 'no content type')}",
        fix="the page must render whatever the backend says",
        seconds=page.seconds,
    )
    for variable, target in running.model.connects.items():
        backend = alive.get(target)
        if not backend:
            yield skip(
                "smoke.path",
                f"reaches {target} through {variable}",
                f"{target} is not part of this run",
                container=running.name,
            )
            continue
        path = backend.model.health.ready
        answer = running.get(path, timeout=10)
        body = answer.json()
        same = isinstance(body, dict) and body.get("status") == (
            backend.get(path).json() or {}
        ).get("status")
        services = [*backend.model.connects.values()]
        yield judge(
            "smoke.path",
            " → ".join([running.name, target, *services]),
            answer.status == 200 and same,
            container=running.name,
            expected=f"{target}'s own answer on {path}",
            measured=f"{answer.status}, {answer.headers.get('content-type', 'no content type')}",
            detail="" if same else _excerpt(answer),
            fix=f"forward /api/… to {variable}, read when the container runs",
            seconds=answer.seconds,
        )


def _failed_checks(answer: Answer) -> list[str]:
    """The checks that an application/health+json body reports as failed."""
    body = answer.json()
    checks = body.get("checks") if isinstance(body, dict) else None
    if not isinstance(checks, dict):
        return []
    return [
        key
        for key, entries in checks.items()
        if isinstance(entries, list)
        and any(isinstance(entry, dict) and entry.get("status") == "fail" for entry in entries)
    ]


def _load(running: Running) -> Iterator[Result]:
    """Load: many requests on real routes."""
    paths = [running.model.health.ready]
    if running.model.kind is Kind.FRONTEND:
        paths.append("/")
    bad: list[str] = []

    def ask(share: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)
        for index in range(share):
            try:
                connection.request("GET", paths[index % len(paths)])
                response = connection.getresponse()
                response.read()
                if response.status >= 500:
                    bad.append(str(response.status))
            except (OSError, http.client.HTTPException) as error:
                bad.append(type(error).__name__)
                connection.close()
                if not running.state().get("Running"):
                    return
        connection.close()

    started = time.monotonic()
    with ThreadPoolExecutor(max_workers=LOAD_CONCURRENCY) as pool:
        list(pool.map(ask, [LOAD_REQUESTS // LOAD_CONCURRENCY] * LOAD_CONCURRENCY))
    seconds = time.monotonic() - started
    state = running.state()
    fate = _fate(running, state)
    kinds = ", ".join(f"{bad.count(kind)} × {kind}" for kind in sorted(set(bad)))
    yield judge(
        "smoke.load",
        "answers under load",
        not bad and not fate,
        container=running.name,
        expected=f"{LOAD_REQUESTS} requests, {LOAD_CONCURRENCY} at a time, none failed",
        measured=fate or kinds or f"none failed, {LOAD_REQUESTS / seconds:,.0f} requests/s",
        detail=running.last_words() if bad or fate else "",
        seconds=seconds,
        fix="the container's log has the errors",
    )
    limit = running.model.memory
    peak = None if fate else running.memory_peak()
    if peak is None and not fate:
        yield skip(
            "smoke.memory",
            "memory under the limit",
            "not measurable here: the control group keeps no peak",
            container=running.name,
        )
        return
    yield judge(
        "smoke.memory",
        "memory under the limit",
        not fate and peak is not None and peak < limit,
        container=running.name,
        expected=f"peak below {megabytes(limit)}",
        measured=fate or megabytes(peak or 0),
        fix="look for a cache without a bound, or raise `memory` in taskflow.toml",
    )


def _loss(stack: Stack, service: str, running: Running) -> Iterator[Result]:
    """Database: away and back."""
    ready, live = running.model.health.ready, running.model.health.live
    stack.engine.call("stop", "--time", "5", stack.handle(service))
    deadline = time.monotonic() + _RETURN_TIMEOUT
    while (answer := running.get(ready, PROBE_TIMEOUT)).status == 200:
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    failed = _failed_checks(answer)
    yield judge(
        "smoke.dependency-lost",
        f"{service} away: not ready",
        answer.status == 503 and bool(failed),
        container=running.name,
        expected=f"503 on {ready} within {PROBE_TIMEOUT:g} s, naming the failed check",
        measured=f"{answer.status} in {answer.seconds:.2f} s, failed: "
        + (", ".join(failed) or "none named"),
        detail=_excerpt(answer),
        seconds=answer.seconds,
        fix=f"readiness must ask {service}; a constant 200 sends users to errors",
    )
    alive = running.get(live, PROBE_TIMEOUT)
    yield judge(
        "smoke.dependency-liveness",
        f"{service} away: still alive",
        alive.status == 200,
        container=running.name,
        expected=f"200 on {live}",
        measured=alive.status,
        fix="liveness must not ask a dependency: the cluster would restart a healthy container",
    )
    stack.engine.call("start", stack.handle(service))
    stack.wait_for_service(service)
    started = time.monotonic()
    while (answer := running.get(ready, PROBE_TIMEOUT)).status != 200:
        if time.monotonic() - started > _RETURN_TIMEOUT:
            break
        time.sleep(0.1)
    seconds = time.monotonic() - started
    yield judge(
        "smoke.dependency-back",
        f"{service} back: ready by itself",
        answer.status == 200,
        container=running.name,
        expected=f"200 on {ready} within {_RETURN_TIMEOUT:g} s",
        measured=f"{answer.status} after {seconds:.1f} s",
        seconds=seconds,
        fix="drop dead connections and connect again; no restart may be needed",
    )


def _stop(stack: Stack, running: Running) -> Iterator[Result]:
    """Stop: SIGTERM ends it in time."""
    fate = _fate(running, running.state())
    if fate:
        yield skip("smoke.stop", "stops on SIGTERM", fate, container=running.name)
        return
    grace = running.model.budgets.stop
    # An idle kept-alive connection must not hold the container up.
    idle = http.client.HTTPConnection("127.0.0.1", running.port, timeout=5)
    idle.request("GET", running.model.health.live)
    idle.getresponse().read()
    try:
        seconds, code = stack.stop(running, grace)
    finally:
        idle.close()
    yield judge(
        "smoke.stop",
        "stops on SIGTERM",
        code in {0, 143},
        container=running.name,
        expected=f"exit code 0 or 143 within {grace:g} s",
        measured=f"exit code {code} after {seconds:.1f} s"
        + (", killed" if code == SIGKILLED else ""),
        fix="handle SIGTERM in PID 1: exec-form command, no shell in front, finish and exit",
        seconds=seconds,
    )
