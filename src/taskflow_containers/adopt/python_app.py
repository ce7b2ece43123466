"""The applications that Python files define: ASGI, WSGI and those of task queues."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace

from taskflow_containers.adopt.python_source import (
    Function,
    Module,
    Sources,
    assigned,
    keywords,
    statements,
)

# What makes an application, by its full name: the framework, and how it is served.
KNOWN = {
    "fastapi.FastAPI": ("fastapi", "asgi"),
    "fastapi.applications.FastAPI": ("fastapi", "asgi"),
    "starlette.applications.Starlette": ("starlette", "asgi"),
    "litestar.Litestar": ("litestar", "asgi"),
    "litestar.app.Litestar": ("litestar", "asgi"),
    "quart.Quart": ("quart", "asgi"),
    "quart.app.Quart": ("quart", "asgi"),
    "falcon.asgi.App": ("falcon", "asgi"),
    "django.core.asgi.get_asgi_application": ("django", "asgi"),
    "channels.routing.ProtocolTypeRouter": ("django", "asgi"),
    "a2wsgi.WSGIMiddleware": ("wsgi", "asgi"),
    "asgiref.wsgi.WsgiToAsgi": ("wsgi", "asgi"),
    "flask.Flask": ("flask", "wsgi"),
    "flask.app.Flask": ("flask", "wsgi"),
    "bottle.Bottle": ("bottle", "wsgi"),
    "django.core.wsgi.get_wsgi_application": ("django", "wsgi"),
    "celery.Celery": ("celery", "tasks"),
    "celery.app.Celery": ("celery", "tasks"),
    "procrastinate.App": ("procrastinate", "tasks"),
    "taskiq_redis.ListQueueBroker": ("taskiq", "tasks"),
    "taskiq_redis.RedisStreamBroker": ("taskiq", "tasks"),
    "taskiq_redis.PubSubBroker": ("taskiq", "tasks"),
    "taskiq_aio_pika.AioPikaBroker": ("taskiq", "tasks"),
    "taskiq_nats.PullBasedJetStreamBroker": ("taskiq", "tasks"),
    "dramatiq.brokers.redis.RedisBroker": ("dramatiq", "tasks"),
    "dramatiq.brokers.rabbitmq.RabbitmqBroker": ("dramatiq", "tasks"),
    "rq.Queue": ("rq", "tasks"),
}
_ARQ = "WorkerSettings"  # how arq's documentation calls the class that its worker is given
_ENDS = ("app", "api", "application", "asgi", "wsgi", "server", "celery")
_WORDS = (
    *(name.rsplit(".", 1)[-1] for name in KNOWN if not name.endswith(".App")),
    *(f"{end}{sign}" for end in _ENDS for sign in (" =", ": ", "=", "_app =")),
    "procrastinate",
    _ARQ,
)
_NAMES = "|".join(sorted({name.rsplit(".", 1)[-1] for name in KNOWN} - {"App"}))
# A call, an annotation of what a function returns, or a base class; or a call that a server's name is given.
_MAKERS = re.compile(
    rf"(?:\b|\.)(?:{_NAMES})\(|->\s*[\"']?(?:\w+\.)*(?:{_NAMES})\b|\((?:\w+\.)*(?:{_NAMES})\)|\b(?:asgi|procrastinate)\.App\("
    rf"|\b(?:{_NAMES}) as \w|class \w*{_ARQ}\b"
    r"|^[ \t]*(?:app|api|application|asgi|wsgi|server|celery\w*)\b[^=\n]*=\s*(?:await )?\w",
    re.MULTILINE,
)
# A class whose objects are served in place of the application that they are given.
_AROUND = re.compile(
    r"(?!\w*(?:Transport|Client)$)(?:[A-Z]\w*(?:Middleware|App|Application)|[A-Z]\w*(?i:asgi|wsgi)\w*|(?i:asgi)[A-Z]\w*|ProxyFix)"
)
# The files that `fastapi run` looks into by itself, in its order.
CONVENTIONAL = ("main", "app", "api", "app.main", "app.app", "app.api")

Made = tuple[str, str]


@dataclass(frozen=True, slots=True)
class App:
    """An application object, or a factory that a server can call."""

    path: str
    name: str
    framework: str
    served: str
    where: str
    factory: bool = False
    mounted: bool = False

    def entry(self, sources: Sources) -> str:
        """Its `module:name`."""
        return f"{sources.root_of(self.path)[1]}:{self.name}"


class _Finder:
    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.known: dict[tuple[str, str], Made | None] = {}

    def of_name(self, module: Module, name: str) -> Made | None:
        """What a module's own name is or makes: an object, a factory, or a class of applications."""
        key = (module.path, name)
        if key not in self.known:
            self.known[key] = None  # a cycle of imports ends here
            for node in statements(module.tree.body):
                names, value = assigned(node)
                if name in names and (found := self.of_value(module, value)):
                    self.known[key] = found
                elif isinstance(node, Function) and node.name == name:
                    self.known[key] = self.of_function(module, node)
                elif isinstance(node, ast.ClassDef) and node.name == name:
                    bases = (self.of_full(module, module.name(base)) for base in node.bases)
                    self.known[key] = next(filter(None, bases), None)
            if self.known[key] is None and (full := module.names.get(name)):
                self.known[key] = self.of_full(module, full)
        return self.known[key]

    def of_full(self, module: Module, full: str) -> Made | None:
        if found := KNOWN.get(full):
            return found
        if full and "." not in full:
            return self.of_name(module, full)
        other = self.sources.defined(module, full) if full else None
        return self.of_name(*other) if other else None

    def of_value(
        self, module: Module, node: ast.expr | None, local: dict[str, Made] | None = None
    ) -> Made | None:
        """What an expression makes."""
        if isinstance(node, ast.Name):
            return (local or {}).get(node.id) or self.of_name(module, node.id)
        if not isinstance(node, ast.Call):
            return None
        full = module.name(node.func)
        if found := self.of_full(module, full):
            return found
        # A middleware around an application: CORSMiddleware(app, …), socketio.ASGIApp(server, app).
        # Other classes that are given one do something with it: Mangum(app), Admin(app), TestClient(app).
        if _AROUND.fullmatch(full.rsplit(".", 1)[-1]):
            named = keywords(node)
            for one in (*node.args, *filter(None, [named.get("app"), named.get("other_asgi_app")])):
                if isinstance(one, ast.Name) and (found := self.of_value(module, one, local)):
                    return found
        return None

    def of_function(self, module: Module, function: Function) -> Made | None:
        """What a function returns, by its annotation or by its own variables."""
        if found := KNOWN.get(module.name(function.returns)):
            return found
        local: dict[str, Made] = {}
        returned: list[ast.expr] = []
        for node in ast.walk(function):
            names, value = assigned(node)
            if isinstance(node, ast.Return) and node.value:
                returned.append(node.value)
            elif (
                names
                and isinstance(value, ast.Call)
                and (made := self.of_value(module, value, local))
            ):
                local |= dict.fromkeys(names, made)
        for value in returned:
            own = isinstance(value, ast.Name) and value.id in local
            made = (
                self.of_value(module, value, local) if own or isinstance(value, ast.Call) else None
            )
            if made:
                return made
        return None


def _callable(function: Function) -> bool:
    """Whether a server can call it, without arguments."""
    arguments = function.args
    given = len(arguments.defaults)
    needed = len(arguments.posonlyargs) + len(arguments.args) - given
    return needed <= 0 and all(default is not None for default in arguments.kw_defaults)


def find(sources: Sources) -> list[App]:
    """The applications in a project's files, in their order."""
    finder = _Finder(sources)
    found: list[App] = []
    mounted: set[tuple[str, str]] = set()
    for module in sources.having(*_WORDS, pattern=_MAKERS):
        own: dict[str, App] = {}
        for node in statements(module.tree.body):
            names, value = assigned(node)
            for name in names if isinstance(value, ast.Call) else ():
                if made := finder.of_value(module, value):
                    own[name] = App(module.path, name, *made, module.place(node))
            if isinstance(value, ast.Name) and value.id in own and names:  # app = fastapi_app
                own[names[0]] = replace(own.pop(value.id), name=names[0])
            if isinstance(node, ast.ClassDef) and node.name.endswith(_ARQ):
                own[node.name] = App(module.path, node.name, "arq", "tasks", module.place(node))
            if not (isinstance(node, Function) and _callable(node)) or node.name[0] == "_":
                continue
            if made := finder.of_name(module, node.name):
                own[node.name] = App(module.path, node.name, *made, module.place(node), True)
        found.extend(own.values())
        mounted |= _mounted(sources, module)
    return [
        App(a.path, a.name, a.framework, a.served, a.where, a.factory, (a.path, a.name) in mounted)
        for a in found
    ]


def _mounted(sources: Sources, module: Module) -> set[tuple[str, str]]:
    """The objects that this file mounts below another application, or has it hand requests to."""
    found = set()
    for node in module.nodes:
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Attribute) and node.func.attr == "mount":
            inner = [*node.args, *keywords(node).values()]
        elif module.name(node.func).endswith("ProtocolTypeRouter"):
            inner = [v for a in node.args if isinstance(a, ast.Dict) for v in a.values]
        else:
            continue
        for value in inner:
            full = "" if isinstance(value, ast.Constant) else module.name(value)
            if full and "." not in full:
                found.add((module.path, full))
            elif full and (other := sources.defined(module, full)):
                found.add((other[0].path, other[1]))
    return found


def say_wsgi(sources: Sources, served: list[App], stated: set[str]) -> None:
    """Say what makes an ASGI application of the one that is served today; `stated` are the entries of commands."""
    # A migration's environment only uses what another file makes.
    app = min(
        served, key=lambda app: (app.entry(sources) not in stated, app.path.endswith("env.py"))
    )
    module, _, name = app.entry(sources).partition(":")
    sources.repository.say(
        "change",
        f"{app.framework} is served by WSGI, which the template's server does not speak: add the package a2wsgi, and a "
        f"file asgi.py with `from a2wsgi import WSGIMiddleware`, `from {module} import {name}` and "
        f"`asgi = WSGIMiddleware({name}{'()' * app.factory})`",
        app.where,
    )
