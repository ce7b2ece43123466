"""The contract's compose part: the compose file and its overrides against taskflow.toml."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath
from typing import Any
from urllib.parse import urlsplit

from taskflow_containers.contract import composefile
from taskflow_containers.contract.composefile import ComposeFile
from taskflow_containers.contract.container import (
    asks_health,
    full_name,
    health_paths,
    listens_elsewhere,
    starts_shell,
)
from taskflow_containers.contract.level import Level, shown
from taskflow_containers.contract.secret import TOKEN, URL_PASSWORD, is_secret
from taskflow_containers.project.model import Access, Container, Project
from taskflow_containers.project.values import megabytes
from taskflow_containers.report.result import Result, skip


def check_compose(root: Path, project: Project, names: Iterable[str]) -> list[Result]:
    """compose.yaml against the model: the same restrictions on a laptop as in production."""
    file = composefile.read(root)
    if file is None:
        return [skip("contract.compose.present", "compose file", "there is no compose.yaml")]
    results = [r for name in names for r in _compose(_Service(root, project, file, name))]
    return results + list(_whole(root, project, file))


@dataclass(frozen=True, slots=True)
class _Service:
    """A service of the compose file, and what surrounds it."""

    root: Path
    project: Project
    file: ComposeFile
    name: str

    @property
    def entry(self) -> Any:
        return self.file.section("services").get(self.name)

    @property
    def container(self) -> Container:
        return self.project.containers[self.name]

    def level(self, *keys: str) -> Level:
        """The results' maker; a fault is where the service's key is stated."""
        container = self.name if self.name in self.project.containers else ""
        return Level("compose", container, self.file.place("services", self.name, *keys))

    def items(self, key: str) -> list[Any]:
        return _items(self.entry, key)


def _whole(root: Path, project: Project, file: ComposeFile) -> Iterator[Result]:
    """What concerns no container of the model: services, other services, and files read besides."""
    services = file.section("services")
    for name, model in project.services.items():
        entry = services.get(name)
        image = entry.get("image") if isinstance(entry, dict) else "missing"
        level = _Service(root, project, file, name).level("image")
        yield level.check(
            f"service.{name}",
            f"image of {name}",
            model.image,
            image,
            f"make both agree: services.{name}.image in taskflow.toml and {file.name}",
            passed=full_name(str(image)) == full_name(model.image),
        )
    # Others, such as a cache, are the project's own affair; more rights than ours they may not have.
    powerful = {}
    for name in sorted(services.keys() - project.containers.keys()):
        service = _Service(root, project, file, name)
        if isinstance(service.entry, dict) and (rights := _rights(service)):
            powerful[name] = f"{name} ({', '.join(rights)})"
    yield _level(file, *[("services", name) for name in powerful]).check(
        "services",
        "no other service has rights on the host",
        "none",
        shown(list(powerful.values()) or "none"),
        "take privileged, cap_add and what is of the host away",
    )
    unread: list[tuple[str, ...]] = [("include",)] if file.content.get("include") else []
    unread += [
        ("services", name, "extends")
        for name, entry in services.items()
        if isinstance(entry, dict) and entry.get("extends")
    ]
    yield _level(file, *unread).check(
        "complete",
        "no include, no extends",
        "nothing",
        shown([" ".join(path[-2:]) for path in unread]),
        "write it out, share it by a YAML anchor, or put it into compose.override.yaml: "
        "what other files give a container is not seen here",
    )
    secrets = [
        (".".join(path), place)
        for path, text, place in file.texts
        if TOKEN.search(text) or _written_out(project, file, path, text)
    ]
    yield Level("compose", "", secrets[0][1] if secrets else file.name).check(
        "secrets",
        "no secret written out",
        "nothing",
        shown([path for path, _ in secrets]),
        "replace it by ${NAME:?}, set it in .env, which git ignores, and revoke the one that was here",
    )


def _written_out(project: Project, file: ComposeFile, path: tuple[str, ...], text: str) -> bool:
    """Whether it is a secret of a container of ours; what the shell or a default gives is none."""
    if path[:1] != ("services",) or path[2:3] != ("environment",) or len(path) != 4:
        return False
    if path[1] not in project.containers or "$" in text:
        return False
    value = text.removeprefix(f"{path[3]}=")
    if "://" not in value:
        return is_secret(path[3], value)
    # The local database's password is one that the compose file makes up itself.
    return bool(URL_PASSWORD.search(value)) and not any(
        re.search(rf"@{re.escape(name)}(?![\w.-])", value) for name in file.section("services")
    )


def _level(file: ComposeFile, *paths: tuple[str, ...]) -> Level:
    place = file.places.get(paths[0], file.name) if paths else file.name
    return Level("compose", "", place)


def _rights(service: _Service) -> list[str]:
    entry = service.entry
    found = ["privileged"] if _flag(entry.get("privileged", False)) else []
    found += [f"cap_add {capability}" for capability in service.items("cap_add")]
    found += [
        f"security_opt {option}"
        for option in map(str, service.items("security_opt"))
        if not _HARMLESS_OPTION.fullmatch(option)
    ]
    return found + _of_the_host(service)


_HARMLESS_OPTION = re.compile(
    r"no-new-privileges([:=]\w+)?|seccomp[:=]builtin|apparmor[:=]docker-default"
)


def _flag(value: object) -> object:
    """A truth value, which compose also takes as text; anything else as it is."""
    known = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    return known.get(value.lower(), value) if isinstance(value, str) else value


def _compose(service: _Service) -> Iterator[Result]:
    name, entry = service.name, service.entry
    if not isinstance(entry, dict):
        yield service.level().check(
            "present",
            f"service in {service.file.name}",
            name,
            "missing",
            f"add a service called {name}",
        )
        return
    image = str(entry.get("image", "not set"))
    wanted = f"{service.project.image(name)}:dev"
    yield service.level("image").check(
        "image",
        "image name",
        wanted,
        image,
        f"write image: {wanted}, the name that `invoke build` gives it",
        passed=full_name(image) == full_name(wanted),
    )
    yield _build(service)
    yield _security(service)
    yield _memory(service)
    targets = {
        f"{port.get('target')}/{port.get('protocol', 'tcp')}"
        if isinstance(port, dict)
        else str(port).rsplit(":", 1)[-1]
        for port in service.items("ports")
    }
    port = service.container.port
    yield service.level("ports").check(
        "port",
        "published port",
        [str(port)],
        sorted({target.removesuffix("/tcp") for target in targets}) + _listens_elsewhere(service),
        f"publish {port} and nothing else, and have the command listen there",
    )
    yield from _environment(service)
    yield _volumes(service)
    shells = _shells(entry)
    yield service.level("entrypoint" if shells and "entrypoint" in entry else "command").check(
        "command",
        "command without a shell",
        "no shell in front",
        shown(shells or "no shell in front"),
        "leave the command to the image, or write it as a list without sh -c",
    )
    yield _healthcheck(service)
    yield _stop(service)


def _build(service: _Service) -> Result:
    container, build = service.container, service.entry.get("build")
    build = {"context": build} if isinstance(build, str) else build
    context = service.project.context(service.name)
    wrong = []
    if isinstance(build, dict):
        stated = str(build.get("context", "."))
        if not _within(service.file.folder / stated, service.root / context):
            wrong.append(f"context {stated}")
        if normpath(str(build.get("dockerfile") or "Dockerfile")) != "Dockerfile":
            wrong.append(f"dockerfile {build['dockerfile']}")
        wrong += [key for key in _OTHER_BUILDS if _flag(build.get(key))]
        images = {"BASE_IMAGE": container.base, "BUILDER_IMAGE": container.build_image}
        wrong += [
            f"args {key}={value}"
            for key, value in composefile.named(build.get("args")).items()
            if key in images
            and not _open(value)
            and full_name(str(value)) != full_name(images[key])
        ]
    elif build is not None:
        wrong.append(shown(build))
    return service.level("build").check(
        "build",
        "builds its own folder",
        f"./{context}",
        shown(wrong or f"./{context}"),
        f"write build: ./{context}, as `invoke build` does it; the rest belongs in its Dockerfile",
    )


_OTHER_BUILDS = ("dockerfile_inline", "target", "additional_contexts", "privileged", "entitlements")


def _within(path: Path, folder: Path) -> bool:
    """Whether a path is this folder."""
    try:
        return path.resolve() == folder.resolve()
    except (OSError, ValueError, RuntimeError):  # no path at all, or links in a circle
        return False


def _open(value: object) -> bool:
    """Whether the shell or .env says it: a name alone, or a variable without a default."""
    return value is None or bool(re.search(r"(?<!\$)\$(\w|\{)", str(value)))


def _security(service: _Service) -> Result:
    entry, container = service.entry, service.container
    options = {
        str(option).lower().replace("=", ":").removesuffix(":true")
        for option in service.items("security_opt")
    }
    dropped = [str(capability).upper() for capability in service.items("cap_drop")]
    given = _of_the_host(service) + _hooks_as_another(service)
    measured = {
        "user": str(entry.get("user", "not set")),
        "read_only": _flag(entry.get("read_only", False)),
        # ALL has the others in it.
        "cap_drop": ["ALL"] if "ALL" in dropped else dropped,
        "cap_add": service.items("cap_add"),
        # What holds without being asked for may be asked for.
        "security_opt": sorted(options - {"seccomp:builtin", "apparmor:docker-default"}),
        "privileged": _flag(entry.get("privileged", False)),
        "of the host": given,
    }
    expected = {
        "user": container.user,
        "read_only": True,
        "cap_drop": ["ALL"],
        "cap_add": [],
        "security_opt": ["no-new-privileges"],
        "privileged": False,
        "of the host": [],
    }
    first = next((key for key in expected if expected[key] != measured[key]), "")
    if first == "of the host":
        word = re.split(r"[ .]", given[0])[0]
        first = word if word in entry else "volumes"
    return service.level(first).check(
        "security",
        "restrictions",
        [f"{k} {v}" for k, v in expected.items()],
        [f"{k} {v}" for k, v in measured.items()],
        "set them as expected, and nothing that loosens them",
    )


def _memory(service: _Service) -> Result:
    entry, wanted = service.entry, service.container.memory
    # Compose takes either for the limit; swap must not come on top of it.
    given = [entry.get("mem_limit"), _deployed(entry, "limits", "memory")]
    limits = [value for value in given if value is not None]
    stated: object = None
    limit = 0
    try:
        for stated in [*limits, *([entry["memswap_limit"]] if entry.get("memswap_limit") else [])]:
            limit = _compose_bytes(stated)
            if limit != wanted:
                break
    except ValueError:
        limit = 0
    return service.level("mem_limit" if "mem_limit" in entry else "deploy").check(
        "memory",
        "memory limit",
        megabytes(wanted),
        (megabytes(limit) if limit else stated) if limits else "no mem_limit",
        f"set mem_limit: {wanted} (bytes: compose reads 300m as MiB)",
        passed=bool(limits) and limit == wanted,
    )


def _deployed(entry: Mapping[str, Any], *keys: str) -> Any:
    """What `deploy.resources` says of these keys."""
    found: Any = entry
    for key in ("deploy", "resources", *keys):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _compose_bytes(value: object) -> int:
    """Compose's byte value: a bare number, or b, k, m, g in powers of 1024."""
    match = re.fullmatch(r"(\d{1,18})([kmg]?)b?", str(value).lower())
    if not match:
        raise ValueError(value)
    return int(match[1]) << 10 * " kmg".find(match[2])


def _volumes(service: _Service) -> Result:
    kinds = {}
    for volume in service.items("volumes"):
        mount = _Mount.of(volume)
        if not mount.read_only:
            kinds[mount.target] = "tmpfs" if _in_memory(service, mount) else mount.kind
    kinds |= {normpath(str(path).partition(":")[0]): "tmpfs" for path in service.items("tmpfs")}
    # What is read-only and part of the image needs no mount; what is written does.
    kept = {v.path for v in service.container.volumes if v.access is not Access.READ_ONLY}
    writable = sorted(["/tmp", *kept])
    # `invoke down` keeps the data, and what is in /tmp ends with the container.
    measured = sorted(
        f"{path} ({kind})"
        if (path in kept and kind in {"tmpfs", "nameless"}) or (path == "/tmp" and kind != "tmpfs")
        else path
        for path, kind in kinds.items()
    )
    return service.level("volumes" if "volumes" in service.entry else "tmpfs").check(
        "volumes",
        "writable volumes",
        writable,
        measured,
        "mount the model's read-write volumes by name, /tmp under tmpfs, and no others",
    )


@dataclass(frozen=True, slots=True)
class _Mount:
    """An entry under `volumes`; its kind is bind, volume, nameless, tmpfs or what else it says."""

    kind: str
    source: str
    target: str
    read_only: bool

    @classmethod
    def of(cls, volume: Any) -> _Mount:
        if isinstance(volume, dict):
            kind, source = str(volume.get("type") or "volume"), str(volume.get("source") or "")
            read_only = _flag(volume.get("read_only", False)) is True
            options: list[str] = []
        else:
            parts = composefile.parts_of(str(volume))
            source = parts[0] if len(parts) > 1 else ""
            # A name starts with a letter or a digit; what a variable brings may be a path.
            kind = "bind" if re.match(r"[./~$\\]|[A-Za-z]:\\", source) else "volume"
            options = parts[2:]
            read_only = "ro" in options
        if kind == "volume" and not source:
            kind = "nameless"
        return cls(kind, source, normpath(composefile.target(volume)), read_only)


def _driver_options(service: _Service, mount: _Mount) -> dict[str, Any]:
    volume = service.file.section("volumes").get(mount.source) if mount.kind == "volume" else None
    return composefile.named(volume.get("driver_opts")) if isinstance(volume, dict) else {}


def _in_memory(service: _Service, mount: _Mount) -> bool:
    return mount.kind == "tmpfs" or _driver_options(service, mount).get("type") == "tmpfs"


def _of_the_host(service: _Service) -> list[str]:
    """What gives a container something of the host's, or of another container's."""
    entry = service.entry
    given = [
        key for key in _HOST_KEYS if [_flag(i) for i in _items(entry, key)] not in ([], [False])
    ]
    given += _host_networks(service)
    given += ["deploy.resources devices"] if _deployed(entry, "reservations", "devices") else []
    given += [
        f"{key} {entry[key]}"
        for key in _NAMESPACES
        if (_open(entry.get(key, "")) and entry.get(key) is not None)
        or str(entry.get(key)).partition(":")[0] in {"host", "container", "service", "shareable"}
    ]
    given += [
        f"{key} privileged"
        for key in _HOOKS
        for hook in service.items(key)
        if isinstance(hook, dict) and _flag(hook.get("privileged", False))
    ]
    given += [f for volume in service.items("volumes") for f in _host_mount(service, volume)]
    return given + [f for key in ("configs", "secrets") for f in _host_files(service, key)]


def _host_networks(service: _Service) -> list[str]:
    """The networks of a container that are the host's own, by whatever name."""
    found = []
    for name in list(service.entry.get("networks") or ["default"]):
        network = service.file.section("networks").get(name)
        if not isinstance(network, dict):
            continue
        external = network.get("external")
        named = external.get("name") if isinstance(external, dict) else network.get("name")
        if "host" in {str(named or (name if _flag(external) else "")), str(network.get("driver"))}:
            found.append(f"networks {name} (host)")
    return found


_HOST_KEYS = (
    "devices", "device_cgroup_rules", "volumes_from", "group_add", "sysctls", "use_api_socket",
    "oom_kill_disable", "gpus", "runtime", "cgroup_parent", "provider", "credential_spec",
)  # fmt: skip
_NAMESPACES = ("network_mode", "pid", "ipc", "uts", "userns_mode", "cgroup")
_HOOKS = ("post_start", "pre_stop")
_SOCKET = re.compile(r"(docker|podman|containerd)\.sock\b")


def _hooks_as_another(service: _Service) -> list[str]:
    """Hooks that run as another user than the container's."""
    return [
        f"{key} as {hook['user']}"
        for key in _HOOKS
        for hook in service.items(key)
        if isinstance(hook, dict)
        and str(hook.get("user", service.container.user)) != service.container.user
    ]


def _host_mount(service: _Service, volume: Any) -> list[str]:
    """What an entry under `volumes` mounts from outside of the project's folder."""
    mount = _Mount.of(volume)
    options = _driver_options(service, mount)
    if mount.kind in {"bind", "npipe"}:
        sources = [mount.source] if mount.source else []
    elif str(options.get("type")) in {
        "nfs",
        "nfs4",
        "cifs",
        "tmpfs",
    }:  # their devices are none of ours
        sources = []
    else:
        sources = [str(options[key]) for key in ("device", "mountpoint") if options.get(key)]
    if any(map(_SOCKET.search, [str(volume), *sources])):
        return ["the engine's socket"]
    return [
        "its root folder" if normpath(source).strip("/") == "" else f"its {source}"
        for source in sources
        if _outside(service, source)
    ]


def _host_files(service: _Service, key: str) -> list[str]:
    """What `configs` and `secrets`, which are mounts too, bring; a secret's own file may lie anywhere."""
    names = [item.get("source") if isinstance(item, dict) else item for item in service.items(key)]
    found = [service.file.section(key).get(str(name)) for name in names]
    sources = [str(each["file"]) for each in found if isinstance(each, dict) and each.get("file")]
    return [
        f"its {source}"
        for source in sources
        if _outside(service, source)
        and (key == "configs" or _SOCKET.search(source) or Path(source).is_dir())
    ]


def _outside(service: _Service, source: str) -> bool:
    """Whether a mount's source is, or may be, outside of the project's folder; links are followed."""
    top = os.path.relpath(service.root, service.file.folder)
    local = re.sub(r"^(\$PWD|\$\{PWD\})(?=/|$)", lambda _: top, source)
    if re.match(r"~|[A-Za-z]:\\|\\", local) or _open(local):
        return True
    try:
        path = (service.file.folder / local).resolve()
        return not path.is_relative_to(service.root.resolve())
    except (OSError, ValueError, RuntimeError):  # no path at all, or links in a circle
        return True


def _items(entry: Mapping[str, Any], key: str) -> list[Any]:
    """A list of compose; a bare value, which compose refuses, counts as a list of one."""
    value = entry.get(key)
    return value if isinstance(value, list) else [] if value is None else [value]


def _environment(service: _Service) -> Iterator[Result]:
    container, project = service.container, service.project
    given, elsewhere = composefile.environment(service.file.folder, service.entry)
    required = container.environment.required
    # A kind's server listens on PORT where that is set.
    listens = {"PORT": str(container.port)} if "PORT" in given else {}
    fixed = {**listens, **container.environment.fixed}

    def state(key: str) -> str:
        if key in given:
            return "empty" if given[key] == "" else "set"
        return "set" if elsewhere else "missing"

    def value(key: str, otherwise: str) -> str:
        if key in given and _open(given[key]):
            return f"{key} from the shell"
        return f"{key}={str(given.get(key, otherwise)).rstrip('/') or 'nothing'}"

    wrong = [key for key in required if state(key) != "set"]
    wrong += [key for key, fix in fixed.items() if key in given and str(given[key]) != fix]
    yield service.level("environment", *wrong[:1]).check(
        "environment",
        "required variables set, fixed ones kept",
        [f"{key} set" for key in required] + [f"{key}={value}" for key, value in fixed.items()],
        [f"{key} {state(key)}" for key in required]
        + [
            f"{key} from the shell"
            if key in given and _open(given[key])
            else f"{key}={given.get(key, kept)}"
            for key, kept in fixed.items()
        ],
        "set the missing under `environment`, and leave the fixed ones to the image",
    )
    expected, measured, keys = [], [], []
    for key, target in container.connects.items():
        if target in project.containers:
            url = f"{key}=http://{target}:{project.containers[target].port}"
            found = value(key, "missing")
            passed = found == url or found == f"{key} from the shell"
        # What is passed on from the shell, or has no default, is not known here.
        elif target in project.services and given.get(key) and not _open(given[key]):
            model = project.services[target]
            url = f"{key} at {target}:{model.port} ({model.kind})"
            found = f"{key} at {_address(str(given[key]))}"
            passed = found == url
        else:
            continue
        expected.append(url)
        measured.append(found)
        keys += [] if passed else [key]
    yield service.level("environment", *keys[:1]).check(
        "connects",
        "reaches the other containers",
        expected,
        measured,
        "name the service and its port as in taskflow.toml",
        passed=not keys,
    )


def _address(url: str) -> str:
    """Where a database's URL leads and by what protocol, which may be told; its password may not."""
    try:
        parts = urlsplit(url)
        scheme = "postgresql" if parts.scheme == "postgres" else parts.scheme
        return f"{parts.hostname or 'nowhere'}:{parts.port or 5432} ({scheme or 'no scheme'})"
    except ValueError:
        return "nowhere"


def _words(entry: Mapping[str, Any], key: str) -> list[str]:
    """A command's words; ValueError where no shell's rules take it apart."""
    value = entry.get(key)
    return shlex.split(value) if isinstance(value, str) else list(map(str, _items(entry, key)))


def _shells(entry: Mapping[str, Any]) -> list[str]:
    """The commands that start a shell, and those that no shell rules take apart."""
    found = []
    for key in ("entrypoint", "command"):
        try:
            if starts_shell(words := _words(entry, key)):
                found.append(" ".join(words))
        except ValueError as error:
            found.append(f"{key} {entry.get(key)} ({error})")
    return found


def _listens_elsewhere(service: _Service) -> list[str]:
    try:
        words = [word for key in ("entrypoint", "command") for word in _words(service.entry, key)]
    except ValueError:  # told by the check of the command
        return []
    return listens_elsewhere(service.container, words)


# Seconds that compose waits where nothing is said.
_GRACE = 10.0
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def _stop(service: _Service) -> Result:
    budget = service.container.budgets.stop
    stated, signal = service.entry.get("stop_grace_period"), service.entry.get("stop_signal")
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|us|ns|[hms])", str(stated))
    known = "".join(map("".join, parts)) == str(stated)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts) if known else 0.0
    seconds = _GRACE if stated is None else seconds
    kills = str(signal).upper().removeprefix("SIG") in {"KILL", "9"}
    return service.level("stop_signal" if kills else "stop_grace_period").check(
        "stop",
        "time to stop",
        f"at least {budget:g} s, not by SIGKILL",
        f"by {signal}" if kills else f"{seconds:g} s" if known or stated is None else str(stated),
        f"set stop_grace_period: {budget:g}s, and leave the signal to the image",
        passed=seconds >= budget and not kills,
    )


def _healthcheck(service: _Service) -> Result:
    container, check = service.container, service.entry.get("healthcheck")
    check = {} if check is None else check
    test = check.get("test") if isinstance(check, dict) else check
    words = [str(word) for word in test] if isinstance(test, list) else []
    passed = isinstance(check, dict) and test is None
    measured: object = "on"
    if isinstance(check, dict) and (_flag(check.get("disable")) or test in ("NONE", ["NONE"])):
        passed, measured = False, "off"
    elif test is not None:
        passed = words[:1] == ["CMD"] and asks_health(container, words[1:])
        measured = test
    return service.level("healthcheck").check(
        "healthcheck",
        "health check",
        f"on, and asks :{container.port} and {' or '.join(health_paths(container))}",
        measured,
        "remove it, the image has one; or let the interpreter ask as a list: "
        f'[CMD, {container.kind.interpreter[0]}, …, "http://127.0.0.1:{container.port}{container.health.live}"]',
        passed=passed,
    )
