"""Every smoke check: what it is called, what it expects and what to do when it fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from taskflow_containers.machine.errors import UsageError
from taskflow_containers.project.guest import Guest
from taskflow_containers.project.kinds import Kind
from taskflow_containers.project.model import Access, Container, Project
from taskflow_containers.report.result import Result, Status, judge

PREFIX = "smoke."
GROUPS = {
    "image": "Image",
    "identity": "Identity at run time",
    "health": "Health",
    "relations": "Relationships",
    "database": "Database drill",
    "neon": "Neon budget",
    "load": "Load",
    "stop": "Stop",
    "neighbours": "Noisy neighbours",
    "independence": "Independence",
}
ALL = tuple(Kind)
SERVING = tuple(kind for kind in Kind if kind.serves)
RUNNING = (*SERVING, Kind.WORKER)


@dataclass(frozen=True, slots=True)
class Check:
    """One check; `full` are those that only `--full` makes.

    `needs` is a word of `_HAS`: what a container must have for the check to have an object.
    """

    group: str
    id: str
    title: str
    expects: str
    fix: str
    kinds: tuple[Kind, ...] = ALL
    full: bool = False
    needs: str = ""

    def concerns(self, project: Project, container: Container) -> bool:
        """Whether it is a check of this container."""
        return container.kind in self.kinds and (
            not self.needs or _HAS[self.needs](project, container)
        )


_HAS: dict[str, Callable[[Project, Container], bool]] = {
    "health": lambda _, c: c.kind.serves or bool(c.health.command),
    "known health": lambda _, c: (
        c.health_known if isinstance(c, Guest) else c.kind.serves or bool(c.health.command)
    ),
    "connection": lambda _, c: bool(c.connects),
    "migration": lambda _, c: bool(c.migrate),
    "peer": lambda project, c: bool(set(c.connects.values()) - set(project.services)),
    "read-only volume": lambda _, c: any(v.access is Access.READ_ONLY for v in c.volumes),
    "read-write volume": lambda _, c: any(v.access is Access.READ_WRITE for v in c.volumes),
    "required variable": lambda _, c: bool(c.environment.required),
    "statement": lambda _, c: not isinstance(c, Guest),
    "service": lambda project, c: bool(set(c.connects.values()) & set(project.services)),
}
_F, _B, _W, _C = ((kind,) for kind in (Kind.FRONTEND, Kind.BACKEND, Kind.WORKER, Kind.CRON))
_DOCKERFILE = "mend the Dockerfile and build again"
CHECKS = (
    Check("image", "image.user", "image user", "numeric UID:GID of taskflow.toml", _DOCKERFILE),
    Check("image", "image.port", "image port", "the declared port alone; none without one", _DOCKERFILE),
    Check("image", "image.command", "command in exec form", "a program, not the shell form, and what `command` says", _DOCKERFILE),
    Check("image", "image.healthcheck", "image health check", "one, in exec form; without a port that of health.command, or none", _DOCKERFILE),
    Check("image", "image.environment", "fixed environment", "as in taskflow.toml", "set each with ENV in the final stage", needs="statement"),
    Check("image", "image.run-time-environment", "run-time variables left open", "nothing baked in", "remove the ENV: one image serves every environment"),
    Check("image", "image.labels", "image labels", "all set", "`nox -s build` sets them; the Dockerfile must declare them", needs="statement"),
    Check("image", "image.platform", "image platform", "as in taskflow.toml, or else the engine's own", "build it for that platform, or name the other one in taskflow.toml: [build] platforms"),
    Check("image", "image.volumes", "no anonymous volume", "none", "remove VOLUME: it makes a nameless writable volume on every start"),
    Check("image", "image.size", "size above the base image", "within budgets.size-above-base", "`docker history` shows which layer grew; leave out what the service does not read", needs="statement"),
    Check("image", "image.layers", "layers", "few enough to pull and mount fast", "join RUN and COPY steps that change together"),
    Check("image", "image.set-id", "no set-uid or set-gid file", "none but the base image's", "take the bits away in the build stage, before the final stage copies it: chmod a-s", needs="statement"),
    Check("image", "image.writable", "nothing writable but the volumes", "the runtime user owns and may write nothing else", "copy as root (no --chown, no chmod -R): the runtime user only reads"),
    Check("image", "image.caches", "no package manager cache", "none in any layer", "use a cache mount, or remove the cache in the very RUN that fills it"),
    Check("image", "image.private", "no private file in any layer", "no .git, .env, SSH key or stored login", "replace what it holds, then keep it out: .dockerignore, or RUN --mount=type=secret"),
    Check("image", "image.development", "no development dependency", "none in any layer", "install what the service imports alone (npm ci --omit=dev, requirements.txt)"),
    Check("identity", "user", "runs as the declared user", "UID and GID of taskflow.toml, all four", "write USER as numbers in the Dockerfile's final stage"),
    Check("identity", "capabilities", "no capability", "permitted, effective, bounding: none", "the engine ignored --cap-drop=ALL: check its configuration"),
    Check("identity", "privileges", "no new privileges, seccomp on", "NoNewPrivs 1, Seccomp 2 (filter)", "the engine runs without its default seccomp profile: check its configuration"),
    Check("identity", "file-system", "writes only where declared", "the read-write volumes and /tmp, nothing else", "prepare each declared volume in the image, owned by the runtime user, and no other"),
    Check("identity", "read-only", "read-only volumes are read-only", "mounted read-only, with the image's files", "declare access = read-only in taskflow.toml and fill the folder in the Dockerfile", needs="read-only volume"),
    Check("identity", "data", "data survives a restart", "a file in each read-write volume is still there", "keep data in the declared volume, and do not empty it at start", kinds=RUNNING, needs="read-write volume"),
    Check("identity", "diff", "writes no file of its own", "file-system diff after a run on a writable root: empty", "write into a declared volume or /tmp; under a read-only root this write fails"),
    Check("health", "start", "start to first healthy answer", "200 on the readiness path; a worker's health.command ends with 0, or without one it still runs after budgets.start", "start less before listening: lazy imports, compiled bytecode, no network at start; or raise budgets.start in taskflow.toml", kinds=RUNNING),
    Check("health", "run", "runs to its end", "exit code 0 within budgets.run", "end with 0 when the work is done; its last line is under detail, or raise budgets.run in taskflow.toml", kinds=_C),
    Check("health", "readiness", "readiness answers", "200 and a health document", "answer GET with application/health+json: a status, and checks as lists of objects", kinds=SERVING, needs="known health"),
    Check("health", "liveness", "liveness answers", "200 and a health document", "answer GET with application/health+json: a status, and checks as lists of objects", kinds=SERVING, needs="known health"),
    Check("health", "healthcheck", "HEALTHCHECK becomes healthy", "state healthy", "run that command in the container: its output is under detail", kinds=RUNNING, needs="health"),
    Check("health", "healthcheck.asks", "HEALTHCHECK asks the service", "asks a declared health path on the declared port, and fails where the answer is 503; a worker's fails where no worker runs", "have the interpreter ask http://127.0.0.1:<port><live path> and end with another code than 0 unless the answer is 2xx", kinds=RUNNING, needs="known health"),
    Check("health", "probes", "liveness and readiness differ as designed", "readiness reports each needed service, liveness none", "list each dependency under checks in the readiness answer; liveness asks nobody", kinds=_B, needs="service"),
    Check("health", "leaks", "health answers leak nothing", "no value of the environment, address, path or server version", "say what is wrong in words of your own; drop the Server and X-Powered-By headers", kinds=SERVING, needs="known health"),
    Check("relations", "page", "home page", "200 and HTML", "the page must render whatever the backend says; below a basePath of Next.js, name it: base-path in taskflow.toml", kinds=_F),
    Check("relations", "assets", "scripts and styles of the page", "200 each", "copy what the browser asks for beside the server (Next.js: .next/static and public)", kinds=_F),
    Check("relations", "path", "browser-side calls reach the backend", "its own answer under /api/", "forward /api/… to the backend's variable, read when the container runs", kinds=_F, needs="peer"),
    Check("relations", "server-side", "server-side calls reach the backend", "rendering the page asks the backend named at run time", "read the variable when the request comes, not when the image is built", kinds=_F, needs="peer"),
    Check("relations", "two-backends", "one image, two backends", "each container answers from its own backend", "read the variable when the container runs: no NEXT_PUBLIC_, no rewrites()", kinds=_F, needs="peer"),
    Check("relations", "backend-away", "backend away: page says so", "health 200, page 200 and in words that the backend is away", "catch the failed call and render a notice; health asks this server alone", kinds=_F, needs="peer"),
    Check("relations", "environment", "wrong or missing environment", "one line that names the variable and not its value, then the end; without a port any number of lines where it is missing", "check the environment first: print one line to stderr and exit with 78", needs="required variable"),
    Check("relations", "ipv6", "answers by IPv6", "an answer at [::1], for pods that have no IPv4 address", "listen on every address of both families: HOSTNAME=:: for Next.js, for uvicorn --host '' (with :: it would leave IPv4 out)", kinds=SERVING),
    Check("relations", "keep-alive", "idle connections stay open", "as long as keep-alive in taskflow.toml, or else 60 s; 6 s of it without --full", "a load balancer answers 502 for each that ends first: raise the server's keep-alive (Node.js: KEEP_ALIVE_TIMEOUT or keepAliveTimeout; uvicorn: --timeout-keep-alive)", kinds=SERVING),
    Check("database", "database.migrate", "the database's tables are made", "exit code 0 of `migrate` in taskflow.toml, on an empty database", "run that command in the image against an empty database: its last lines are under detail", needs="migration"),
    Check("database", "database.lost", "not ready without the database", "503 that names the failed check", "readiness must ask the database, with a timeout below the probe's", kinds=_B, needs="service"),
    Check("database", "database.liveness", "alive throughout", "200 on the liveness path", "liveness must not ask a dependency: the cluster would restart a healthy container", kinds=_B, needs="service"),
    Check("database", "database.requests", "no request hangs or crashes", "every request is answered, with 503 at worst", "set connect and query timeouts, and answer 503 when the database is away", kinds=_B, needs="service"),
    Check("database", "database.back", "ready again by itself", "200 on readiness and routes, or a worker that is well, same process", "drop dead connections and connect again; no restart may be needed", kinds=(*_B, *_W), needs="service"),
    Check("database", "database.cut", "connections cut while idle", "the next request is answered with 200", "test a pooled connection before lending it", kinds=_B, needs="service"),
    Check("database", "database.run", "a run without its database fails", "another exit code than 0 within budgets.run", "let the error end the program, and give connecting a timeout: a run that says 0 counts as done", kinds=_C, needs="service"),
    Check("neon", "neon", "a scale-to-zero database may sleep", "the chart's default probes cause no query and no session", "let readiness use a handshake or a cached reading, not a query", kinds=_B, needs="service"),
    Check("load", "load", "answers under load", "no 5xx, no broken connection", "run it again with --keep: the container that stays up has the errors in its log", kinds=SERVING),
    Check("load", "memory", "memory peak", "below the limit, nothing killed for memory", "look for a cache without a bound, or raise `memory` in taskflow.toml"),
    Check("load", "swap", "no swap", "the limit holds without swap", "the engine ignored --memory-swap: enable swap accounting or turn swap off", kinds=RUNNING),
    Check("load", "growth", "memory after load", "does not grow from round to round", "find what every request leaves behind: a list, a cache, a listener", kinds=RUNNING),
    Check("stop", "stop", "stops on SIGTERM", "exit code 0 or 143 within budgets.stop, idle connections open", "handle SIGTERM in PID 1: exec-form command, no shell in front, finish and exit"),
    Check("stop", "stop.in-flight", "stops with a slow request in flight", "the request is answered, exit code 0 or 143", "on SIGTERM finish what is in flight before closing", kinds=SERVING, needs="connection"),
    Check("stop", "stop.busy", "stops with busy connections", "no request is lost, exit code 0 or 143", "on SIGTERM answer with Connection: close before closing", kinds=SERVING),
    Check("stop", "stop.starting", "stops while starting", "exit code 0 or 143", "install the SIGTERM handler first thing: PID 1 ignores a signal without one", kinds=SERVING),
    Check("stop", "restart", "healthy again after SIGKILL", "as after the first start", "start from whatever state a kill left: no lock file, no half-written data", kinds=RUNNING),
    Check("neighbours", "cold-start", "start on half a CPU", "an answer", "do less at start: lazy imports, compiled bytecode; or raise budgets.start in taskflow.toml, of which this is four times", kinds=SERVING),
    Check("neighbours", "tmp-full", "/tmp full", "health 200, no 5xx; a worker runs on", "do not need /tmp to answer: log to stdout, keep no upload there", kinds=RUNNING),
    Check("neighbours", "dns", "names do not resolve", "alive; answers 503 or says so", "give name resolution a timeout below the probe's (RES_OPTIONS)", kinds=SERVING, needs="connection"),
    Check("neighbours", "clock", "clock jumps by a day", "health and routes answer as before", "measure intervals with the monotonic clock", kinds=SERVING, full=True),
    Check("neighbours", "slow-connections", "1,000 slow connections", "health still answers", "serve connections asynchronously, and time out slow headers", kinds=SERVING, full=True),
    Check("independence", "alone", "starts alone", "runs, and answers where it has a port, with every other service absent", "connect when it is needed, not at start", kinds=RUNNING),
)  # fmt: skip
BY_ID = {check.id: check for check in CHECKS}


def select(only: Sequence[str]) -> frozenset[str]:
    """The IDs of the named groups and checks, all if none.

    Raises:
        UsageError: a name is neither a group nor a check.
    """
    wanted: set[str] = set()
    for name in only:
        found = {c.id for c in CHECKS if name in (c.group, c.id, PREFIX + c.id)}
        if not found:
            raise UsageError(
                f"no smoke check or group is called {name!r}",
                f"groups: {', '.join(GROUPS)}; `--list` names the checks",
            )
        wanted |= found
    return frozenset(wanted or BY_ID)


def verdict(id: str, container: str, passed: bool, **values: Any) -> Result:
    """The Result of a check of the catalogue; `values` as `results.judge` takes them."""
    check = BY_ID[id]
    return judge(
        PREFIX + id,
        check.title,
        passed,
        container=container,
        group=check.group,
        **{"expected": check.expects, "fix": check.fix, **values},
    )


def unmeasurable(id: str, container: str, reason: str) -> Result:
    """A check that cannot be made on this engine or of this service, and why."""
    check = BY_ID[id]
    return Result(
        PREFIX + id,
        check.title,
        Status.UNMEASURABLE,
        container=container,
        expected=check.expects,
        detail=reason,
        group=check.group,
    )
