"""The contract's compose part: what compose makes of the compose files, against taskflow.toml."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any
from urllib.parse import urlsplit

from taskflow_containers.contract import composefile
from taskflow_containers.contract.composefile import ComposeFile, NoComposeError
from taskflow_containers.contract.composehost import Service, of_the_host, rights
from taskflow_containers.contract.container import full_name, health_command
from taskflow_containers.contract.level import Level, shown
from taskflow_containers.machine.errors import InputError
from taskflow_containers.machine.process import masked
from taskflow_containers.project.forms import PARTS
from taskflow_containers.project.kinds import Kind
from taskflow_containers.project.model import Access, Container, Project
from taskflow_containers.project.values import megabytes
from taskflow_containers.report.result import Result, Status, judge, skip

_READ = ("contract.compose.read", "compose accepts its files")


def check_compose(root: Path, project: Project, names: Iterable[str]) -> list[Result]:
    """The compose file against the model: the same restrictions on a laptop as in production."""
    try:
        file = composefile.read(root, project.files.compose)
    except NoComposeError as error:
        detail = f"{error.message}: {error.hint}"
        return [Result(*_READ, Status.UNMEASURABLE, detail=detail)]
    except InputError as error:
        return [judge(*_READ, False, expected="accepted", measured=error.message, fix=error.hint,
                      location=composefile.names(root, project.files.compose))]  # fmt: skip
    if file is None:
        reason = f"there is no {project.files.compose}"
        return [skip("contract.compose.present", "compose file", reason)]
    # The files are named, since COMPOSE_FILE may name others than the person expects.
    results = [judge(*_READ, True, expected="accepted", measured=f"{file.name} accepted")]
    for name in names:
        results += _container(_Service(root, file, name, project))
    return results + list(_whole(root, project, file))


@dataclass(frozen=True, slots=True)
class _Service(Service):
    """A service that is held to the model."""

    project: Project

    @property
    def container(self) -> Container:
        return self.project.containers[self.name]

    @property
    def environment(self) -> dict[str, str | None]:
        return dict(self.entry.get("environment") or {})

    def check(
        self, id: str, key: str, title: str, expected: object, measured: object, fix: str,
        *, passed: bool | None = None,
    ) -> Result:  # fmt: skip
        """A result at a key of this service; passed when both values are equal, if not said."""
        container = self.name if self.name in self.project.containers else ""
        place = ".".join(filter(None, ("services", self.name, key)))
        passed = expected == measured if passed is None else passed
        told = masked(self.file.restored(shown(measured)))
        level = Level("compose", container, f"{self.file.name}: {place}")
        return level.check(id, title, expected, told, fix, passed=passed)


def _whole(root: Path, project: Project, file: ComposeFile) -> Iterator[Result]:
    """What concerns no container of the model: its services, and other services."""
    services = file.section("services")
    for name, model in project.services.items():
        image = str(services[name].get("image", "not set")) if name in services else "missing"
        yield _Service(root, file, name, project).check(
            f"service.{name}", "image", f"image of {name}", model.image, image,
            f"make both agree: services.{name}.image in taskflow.toml and {file.name}",
            passed=full_name(image) == full_name(model.image),
        )  # fmt: skip
    # Others, such as a cache, are the project's own affair; more rights than ours they may not have.
    others = sorted(services.keys() - project.containers)
    powerful = {name: found for name in others if (found := rights(Service(root, file, name)))}
    yield _Service(root, file, next(iter(powerful), ""), project).check(
        "services", "", "no other service has rights on the host", "none",
        [f"{name} ({', '.join(found)})" for name, found in powerful.items()] or "none",
        "take privileged, cap_add and what is of the host away",
    )  # fmt: skip


def _container(service: _Service) -> Iterator[Result]:
    name, entry, port = service.name, service.entry, service.container.port
    if not entry:
        yield service.check(
            "present", "", f"service in {service.file.name}", name, "missing",
            f"add a service called {name}",
        )  # fmt: skip
        return
    image, wanted = str(entry.get("image", "not set")), f"{service.project.image(name)}:dev"
    yield service.check(
        "image", "image", "image name", wanted, image,
        f"write image: {wanted}, the name that `invoke build` gives it",
        passed=full_name(image) == full_name(wanted),
    )  # fmt: skip
    yield _build(service)
    yield _security(service)
    yield _memory(service)
    targets = {f"{p['target']}/{p.get('protocol', 'tcp')}" for p in service.items("ports")}
    yield service.check(
        "port", "ports", "published port", [str(port)] if port else [],
        sorted(target.removesuffix("/tcp") for target in targets),
        f"publish {port} and nothing else" if port else "publish nothing: nobody connects to it",
    )  # fmt: skip
    yield _environment(service)
    yield _connects(service)
    yield _volumes(service)
    yield _healthcheck(service)
    yield _stop(service)
    if service.container.kind is Kind.CRON:
        yield service.check(
            "profile", "profiles", "runs only when asked", "a profile", "a profile"
            if service.items("profiles") else "none", "write profiles: [cron]: `invoke up` waits for what "
            "it starts to run on; `docker compose run --rm NAME` runs it once",
        )  # fmt: skip


_OTHER_BUILDS = ("dockerfile_inline", "target", "additional_contexts", "privileged", "entitlements")


def _build(service: _Service) -> Result:
    container, build = service.container, service.entry.get("build") or {}
    folder = service.project.context(service.name)
    dockerfile = relpath(service.project.dockerfile(service.name), folder)
    wanted = "." if folder == "." else f"./{folder}"
    if dockerfile != "Dockerfile":
        wanted = f"{{context: {wanted}, dockerfile: {dockerfile}}}"
    wrong = []
    if build:
        if os.path.realpath(build["context"]) != os.path.realpath(service.root / folder):
            wrong.append(f"context {build['context']}")
        if normpath(build.get("dockerfile", "Dockerfile")) != dockerfile:
            wrong.append(f"dockerfile {build['dockerfile']}")
        wrong += [key for key in _OTHER_BUILDS if build.get(key)]
        images = {"BASE_IMAGE": container.base, "BUILDER_IMAGE": container.build_image}
        wrong += [
            f"args {key}={value}"
            for key, value in (build.get("args") or {}).items()
            if key in images
            and not service.file.is_open(value)
            and full_name(value) != full_name(images[key])
        ]
    return service.check(
        "build", "build", "builds its own folder", wanted, wrong or wanted,
        f"write build: {wanted}, as `invoke build` does it; the rest belongs in its Dockerfile",
    )  # fmt: skip


def _security(service: _Service) -> Result:
    entry, container = service.entry, service.container
    options = {
        option.lower().replace("=", ":").removesuffix(":true")
        for option in service.items("security_opt")
    }
    dropped = [capability.upper() for capability in service.items("cap_drop")]
    given = list(of_the_host(service))
    given += [
        f"{key} as {hook['user']}"
        for key, hook in service.hooks()
        if hook.get("user", container.user) != container.user
    ]
    expected = {
        "user": container.user,
        "read_only": True,
        "cap_drop": ["ALL"],
        "cap_add": [],
        "security_opt": ["no-new-privileges"],
        "privileged": False,
        "of the host": [],
    }
    measured = {
        "user": entry.get("user", "not set"),
        "read_only": entry.get("read_only", False),
        # ALL has the others in it.
        "cap_drop": ["ALL"] if "ALL" in dropped else dropped,
        "cap_add": service.items("cap_add"),
        # What holds without being asked for may be asked for.
        "security_opt": sorted(options - {"seccomp:builtin", "apparmor:docker-default"}),
        "privileged": entry.get("privileged", False),
        "of the host": given,
    }
    first = next((key for key in expected if expected[key] != measured[key]), "")
    if first == "of the host":
        word = re.split(r"[ .]", given[0])[0]
        first = word if word in entry else "volumes"
    return service.check(
        "security", first, "restrictions",
        [f"{key} {value}" for key, value in expected.items()],
        [f"{key} {value}" for key, value in measured.items()],
        "set them as expected, and nothing that loosens them",
    )  # fmt: skip


def _memory(service: _Service) -> Result:
    entry, wanted = service.entry, service.container.memory
    # Compose takes either and refuses two that differ; swap must not come on top of it.
    limit = int(entry.get("mem_limit") or service.resource("limits", "memory") or 0)
    swap = int(entry.get("memswap_limit") or 0) or limit
    measured = megabytes(limit) + (f", {megabytes(swap)} with swap" if swap != limit else "")
    return service.check(
        "memory", "mem_limit", "memory limit", megabytes(wanted), measured if limit else "no mem_limit",
        f"set mem_limit: {wanted} (bytes: compose reads 300m as MiB)",
        passed=limit == swap == wanted,
    )  # fmt: skip


def _kind(service: _Service, mount: Mapping[str, Any]) -> str:
    """How a mount keeps what is written: bind, volume, nameless, tmpfs or what else it says."""
    if service.driver_options(mount).get("type") == "tmpfs":
        return "tmpfs"
    return "nameless" if mount["type"] == "volume" and not mount.get("source") else mount["type"]


def _volumes(service: _Service) -> Result:
    mounts = [mount for mount in service.items("volumes") if not mount.get("read_only")]
    kinds = {normpath(mount["target"]): _kind(service, mount) for mount in mounts}
    kinds |= {normpath(str(path).partition(":")[0]): "tmpfs" for path in service.items("tmpfs")}
    # What is read-only and part of the image needs no mount; what is written does.
    kept = {v.path for v in service.container.volumes if v.access is not Access.READ_ONLY}
    # `invoke down` keeps the data, and what is in /tmp ends with the container.
    measured = sorted(
        f"{path} ({kind})"
        if (path in kept and kind in {"tmpfs", "nameless"}) or (path == "/tmp" and kind != "tmpfs")
        else path
        for path, kind in kinds.items()
    )
    return service.check(
        "volumes", "volumes", "writable volumes", sorted(["/tmp", *kept]), measured,
        "mount the model's read-write volumes by name, /tmp under tmpfs, and no others",
    )  # fmt: skip


def _environment(service: _Service) -> Result:
    container, given = service.container, service.environment
    # A kind's server listens on PORT where that is set.
    listens = {"PORT": str(container.port)} if container.port and "PORT" in given else {}
    fixed = {**listens, **container.environment.fixed}
    otherwise = "set" if service.name in service.file.incomplete else "missing"
    states = {
        key: ("empty" if given[key] == "" else "set") if key in given else otherwise
        for key in container.environment.required
    }
    values = {key: given.get(key, value) for key, value in fixed.items()}
    wrong = [key for key, state in states.items() if state != "set"]
    wrong += [key for key, value in values.items() if value != fixed[key]]
    return service.check(
        "environment", ".".join(["environment", *wrong[:1]]),
        "required variables set, fixed ones kept",
        [f"{key} set" for key in states] + [f"{key}={value}" for key, value in fixed.items()],
        [f"{key} {state}" for key, state in states.items()]
        + [_stated(service, key, value) for key, value in values.items()],
        "set the missing under `environment`, and leave the fixed ones to the image",
    )  # fmt: skip


def _stated(service: _Service, key: str, value: str | None) -> str:
    return f"{key} from the shell" if service.file.is_open(value) else f"{key}={value or 'nothing'}"


def _connects(service: _Service) -> Result:
    project, given = service.project, service.environment
    expected, measured, wrong = [], [], []
    for key, target in service.container.connects.items():
        if target in project.containers:
            url = f"{key}=http://{target}:{project.containers[target].port}"
            found = _stated(service, key, given.get(key, "missing")).rstrip("/")
            passed = found in {url, f"{key} from the shell"}
        # What is passed on from the shell, or has no default, is not known here.
        elif (
            target in project.services
            and (value := given.get(key))
            and not service.file.is_open(value)
        ):
            model = project.services[target]
            form = service.container.connects_as.get(key, "")
            if form in PARTS:
                url = f"{key}={target}" if form == "host" else f"{key}={model.port}"
                if form not in {"host", "port"}:
                    continue
                found = f"{key}={value}"
            else:
                url = f"{key} at {target}:{model.port} ({model.kind})"
                found = f"{key} at {_address(value)}"
            passed = found == url
        else:
            continue
        expected.append(url)
        measured.append(found)
        wrong += [] if passed else [key]
    return service.check(
        "connects", ".".join(["environment", *wrong[:1]]), "reaches the other containers",
        expected, measured, "name the service and its port as in taskflow.toml", passed=not wrong,
    )  # fmt: skip


def _address(url: str) -> str:
    """Where a database's URL leads and by what protocol, which may be told; its password may not."""
    try:
        parts = urlsplit(url)
        scheme = parts.scheme.partition("+")[0]  # behind it SQLAlchemy names its driver
        scheme = "postgresql" if scheme == "postgres" else scheme
        return f"{parts.hostname or 'nowhere'}:{parts.port or 5432} ({scheme or 'no scheme'})"
    except ValueError:
        return "nowhere"


_SHELLS = {"sh", "bash", "ash", "dash", "busybox"}


def _healthcheck(service: _Service) -> Result:
    check = service.entry.get("healthcheck") or {}
    test = check.get("test") or []
    # What it asks is not guessed from its text: `invoke up` waits for the health route itself.
    off = check.get("disable") or test[:1] == ["NONE"]
    if not service.container.kind.serves:
        command = health_command(service.container)
        # The image has it already; another one would be a second truth.
        other = "another" if test and not off and test != command else "the image's"
        said = "off" if off and command else other
        return service.check(
            "healthcheck", "healthcheck", "health check", "the image's", said,
            "remove it: health.command in taskflow.toml says what it is, and the image has it",
        )  # fmt: skip
    shell = test[:1] == ["CMD-SHELL"] or PurePosixPath((test[1:2] or [""])[0]).name in _SHELLS
    return service.check(
        "healthcheck", "healthcheck", "health check", "on, without a shell",
        "off" if off else shown(test) if shell else "on, without a shell",
        "remove it, the image has one; or write a list that starts with CMD",
    )  # fmt: skip


# Seconds that compose waits where nothing is said, and those in each of its units.
_GRACE = 10.0
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def _stop(service: _Service) -> Result:
    budget, stated = service.container.budgets.stop, service.entry.get("stop_grace_period")
    signal = str(service.entry.get("stop_signal"))
    parts = re.findall(r"([\d.]+)([a-zµ]+)", str(stated or ""))
    seconds = sum(float(n) * _SECONDS[unit] for n, unit in parts) if stated else _GRACE
    kills = signal.upper().removeprefix("SIG") in {"KILL", "9"}
    return service.check(
        "stop", "stop_signal" if kills else "stop_grace_period", "time to stop",
        f"at least {budget:g} s, not by SIGKILL", f"by {signal}" if kills else f"{seconds:g} s",
        f"set stop_grace_period: {budget:g}s, and leave the signal to the image",
        passed=seconds >= budget and not kills,
    )  # fmt: skip
