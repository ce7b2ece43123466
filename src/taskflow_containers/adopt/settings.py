"""The environment variables that a Python project reads, from its syntax trees."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace

from taskflow_containers.adopt.examples import usual
from taskflow_containers.adopt.findings import Variable
from taskflow_containers.adopt.python_source import (
    Module,
    Sources,
    assigned,
    constant,
    keywords,
    statements,
)

_READS = ("BaseSettings", "environ", "getenv", "decouple", "starlette.config", "env(", "env.")
_SETTINGS = {
    "pydantic_settings.BaseSettings",
    "pydantic_settings.main.BaseSettings",
    "pydantic.BaseSettings",
    "pydantic.v1.BaseSettings",
}
# Callables that read one variable: the first argument is its name, `default` or the second its default.
_READERS = {"decouple.config", "starlette.config.Config", "environs.Env", "environs.env", "environ.Env", "environ.FileAwareEnv"}  # fmt: skip
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_OPTIONS = ("env_prefix", "env_nested_delimiter")
# A value of each type that takes no other text.
_SAMPLES = {
    "int": "1", "PositiveInt": "1", "NonNegativeInt": "1", "float": "1.0", "Decimal": "1.0",
    "bool": "true", "timedelta": "60", "Json": "{}", "DirectoryPath": "/tmp",
    **dict.fromkeys(("list", "List", "set", "Set", "tuple", "Tuple", "Sequence"), "[]"),
    **dict.fromkeys(("dict", "Dict", "Mapping"), "{}"),
    **dict.fromkeys(("AnyUrl", "AnyHttpUrl", "HttpUrl"), "https://example.com"),
    "UUID": "00000000-0000-4000-8000-000000000000", "EmailStr": "someone@example.com",
    "PostgresDsn": "postgresql://localhost/app", "MySQLDsn": "mysql://localhost/app",
    "MongoDsn": "mongodb://localhost/app", "RedisDsn": "redis://localhost:6379/0",
    "AmqpDsn": "amqp://localhost",
}  # fmt: skip


class _Settings:
    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.modules = [*sources.having(*_READS)]
        self.defaults: dict[str, str] = {}

    def base(self, module: Module, node: ast.ClassDef, depth: int = 0) -> bool:
        """Whether a class is one of pydantic's settings."""
        for base in node.bases:
            full = module.name(base)
            if full in _SETTINGS:
                return True
            if (
                depth < 5
                and (found := self.class_of(module, full))
                and self.base(*found, depth + 1)
            ):
                return True
        return False

    def class_of(self, module: Module, full: str) -> tuple[Module, ast.ClassDef] | None:
        """The class that a full name means, in this file or another of the project."""
        target = (module, full) if full and "." not in full else None
        if target is None and full:
            target = self.sources.defined(module, full)
        if target is None:
            return None
        for node in statements(target[0].tree.body):
            if isinstance(node, ast.ClassDef) and node.name == target[1]:
                return target[0], node
        return None

    def fields(
        self, module: Module, node: ast.ClassDef, depth: int = 0
    ) -> Iterator[tuple[Module, ast.stmt]]:
        """The class's fields, with those it inherits."""
        if depth < 5:
            for base in node.bases:
                if found := self.class_of(module, module.name(base)):
                    yield from self.fields(*found, depth + 1)
        yield from ((module, one) for one in node.body)

    def options(self, module: Module, node: ast.ClassDef) -> dict[str, str]:
        """env_prefix and env_nested_delimiter, by model_config or class Config."""
        given: dict[str, tuple[Module, ast.expr | None]] = {}
        for owner, one in self.fields(module, node):
            names, value = assigned(one)
            if "model_config" in names and isinstance(value, ast.Call):
                given |= {k: (owner, v) for k, v in keywords(value).items()}
            elif "model_config" in names and isinstance(value, ast.Dict):
                pairs = zip(value.keys, value.values, strict=True)
                given |= {constant(k): (owner, v) for k, v in pairs}
            elif isinstance(one, ast.ClassDef) and one.name == "Config":
                for inner in one.body:
                    given |= dict.fromkeys(assigned(inner)[0], (owner, assigned(inner)[1]))
        found = {k: self.sources.text(*given[k]) for k in _OPTIONS if k in given}
        if None in found.values():
            self.sources.repository.say(
                "change",
                f"no file says how the variables of {node.name} begin: its env_prefix is computed. "
                "Name them in taskflow.toml",
                module.place(node),
            )
        return {key: text for key, text in found.items() if text}

    def variables(
        self, module: Module, node: ast.ClassDef, prefix: str | None = None, depth: int = 0
    ) -> Iterator[Variable]:
        """A variable for each field; those of nested models by the delimiter."""
        options = self.options(module, node)
        start = options.get("env_prefix", "") if prefix is None else prefix
        for owner, one in self.fields(module, node):
            if not (isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)):
                continue
            name = one.target.id
            annotation = ast.unparse(one.annotation)
            if name == "model_config" or name.startswith("_") or annotation.startswith("ClassVar"):
                continue
            call = one.value if isinstance(one.value, ast.Call) else None
            is_field = call is not None and owner.name(call.func).rsplit(".", 1)[-1] in {
                "Field",
                "PrivateAttr",
            }
            given = keywords(call) if call and is_field else {}
            default = (
                (call.args[0] if call.args else given.get("default"))
                if call and is_field
                else one.value
            )
            if isinstance(default, ast.Constant) and default.value is ...:
                default = None
            required = default is None and "default_factory" not in given
            self.defaults.setdefault(name, constant(default))
            aliases = _aliases(
                given.get("validation_alias") or given.get("alias") or given.get("env")
            )
            delimiter = options.get("env_nested_delimiter", "")
            nested = self.class_of(owner, owner.name(one.annotation)) if depth < 3 else None
            if nested and self.base(*nested):
                continue  # it reads variables of its own
            if nested and delimiter:
                inner = f"{start}{name}{delimiter}".upper()
                for variable in self.variables(*nested, inner, depth + 1):
                    yield Variable(
                        variable.name,
                        variable.where,
                        variable.required and required,
                        variable.default,
                        sample=variable.sample,
                    )
                continue
            text = constant(default)
            if not text and isinstance(default, ast.Constant) and default.value is not None:
                text = str(default.value)
            called = aliases[0] if aliases else f"{start}{name}".upper()
            sample = self.sample(owner, one.annotation) or _long(one)
            if sample == _SAMPLES["AnyUrl"] and "AnyUrl" in annotation and "://" in usual(called):
                sample = usual(called)  # which kind of URL, its name says
            yield Variable(
                called, owner.place(one), required, text, sample=sample if required else ""
            )

    def sample(self, module: Module, node: ast.expr | None) -> str:
        """A value that a field of this type takes, "" for a text, which takes any."""
        if isinstance(node, ast.BinOp):  # X | None
            return self.sample(module, node.left) or self.sample(module, node.right)
        last = module.name(node).rsplit(".", 1)[-1]
        if isinstance(node, ast.Subscript):
            inner = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice
            if last == "Literal":
                return self.sources.text(module, inner) or ""
            if last in {"Annotated", "Optional", "Final", "Union"}:
                return self.sample(module, inner)
        if last in _SAMPLES:
            return _SAMPLES[last]
        found = self.class_of(module, module.name(node))
        if found and any("Enum" in ast.unparse(base) for base in found[1].bases):
            return next(filter(None, (constant(assigned(one)[1]) for one in found[1].body)), "")
        return ""


def _long(field: ast.AnnAssign) -> str:
    """A text as long as a field wants it."""
    calls = (node for node in ast.walk(field) if isinstance(node, ast.Call))
    for least in (keywords(call).get("min_length") for call in calls):
        if isinstance(least, ast.Constant) and isinstance(least.value, int):
            return ("example-" * 64)[: least.value]
    return ""


def _aliases(node: ast.expr | None) -> list[str]:
    if isinstance(node, ast.Call):  # AliasChoices("A", "B")
        return [text for one in node.args if (text := constant(one))]
    if isinstance(node, (ast.List, ast.Tuple)):
        return [text for one in node.elts if (text := constant(one))]
    return [constant(node)] if constant(node) else []


def variables(sources: Sources) -> tuple[dict[str, Variable], dict[str, str]]:
    """The variables by name, and the default of each settings' field by its own name."""
    settings = _Settings(sources)
    found: dict[str, Variable] = {}

    def add(variable: Variable) -> None:
        old = found.get(variable.name)
        if not _NAME.fullmatch(variable.name):
            return
        if old is None or (variable.required and not old.required and not old.default):
            found[variable.name] = variable

    for module in settings.modules:
        readers = _readers(sources, module)
        tried = _tried_out(module)
        for node in module.nodes:
            insists = id(node) not in tried
            if isinstance(node, ast.ClassDef) and settings.base(module, node):
                for variable in settings.variables(module, node):
                    add(variable)
            elif isinstance(node, ast.Subscript) and module.name(node.value) == "os.environ":
                if isinstance(node.ctx, ast.Load) and (name := constant(node.slice)):
                    add(Variable(name, module.place(node), required=insists))
            elif isinstance(node, ast.Call) and (one := _call(module, node, readers)):
                add(replace(one, required=one.required and insists))
            elif isinstance(node, ast.Call) and node.args and module.name(node.func) in _SAMPLES:
                read = node.args[0]  # int(os.environ["PORT"])
                if isinstance(read, ast.Subscript) and module.name(read.value) == "os.environ":
                    sample = _SAMPLES[module.name(node.func)]
                    add(Variable(constant(read.slice), module.place(read), insists, sample=sample))
    return found, settings.defaults


def _tried_out(module: Module) -> set[int]:
    """The IDs of the nodes that run only where the file is a program: mostly what its author tries it out with."""
    return {
        id(node)
        for one in module.tree.body
        if isinstance(one, ast.If) and "__name__" in ast.unparse(one.test)
        for statement in one.body
        for node in ast.walk(statement)
    }


def _readers(sources: Sources, module: Module, depth: int = 0) -> dict[str, set[str]]:
    """Names of this file that read a variable when they are called, each with those that it has a default for.

    config = Config(".env"), env = environ.Env(DEBUG=(bool, False)), or what another file calls so.
    """
    found: dict[str, set[str]] = {}
    for local, full in module.names.items():
        if full in {"decouple.config", "environs.env"}:
            found[local] = set()
        elif local in {"*", "env", "config"} and depth < 3:
            other = sources.defined(module, full)
            theirs = _readers(sources, other[0], depth + 1) if other else {}
            for name in theirs if local == "*" else {full.rsplit(".", 1)[-1]} & theirs.keys():
                found[name if local == "*" else local] = theirs[name]
    for node in statements(module.tree.body):
        names, value = assigned(node)
        if isinstance(value, ast.Call) and module.name(value.func) in _READERS:
            found |= {name: {*keywords(value)} for name in names}
    return found


def _call(module: Module, node: ast.Call, readers: dict[str, set[str]]) -> Variable | None:
    full = module.name(node.func)
    name = constant(node.args[0]) if node.args else ""
    if full.endswith(".db") and not node.args:  # env.db() of django-environ
        name = "DATABASE_URL"
    if not _NAME.fullmatch(name):
        return None
    default = keywords(node).get("default") or (node.args[1] if len(node.args) > 1 else None)
    if full in {"os.environ.get", "os.getenv", "os.environ.setdefault"}:
        return Variable(name, module.place(node), required=False, default=constant(default))
    called = node.func.value if isinstance(node.func, ast.Attribute) else node.func
    if isinstance(called, ast.Name) and called.id in readers:
        cast = module.name(keywords(node).get("cast"))
        kind = node.func.attr if isinstance(node.func, ast.Attribute) else cast.rsplit(".", 1)[-1]
        required = default is None and name not in readers[called.id]
        sample = _SAMPLES.get(kind, "") if required else ""
        return Variable(name, module.place(node), required, constant(default), sample=sample)
    return None
