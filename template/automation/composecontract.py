"""The contract's compose part: the compose file and its overrides against taskflow.toml."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from automation import composefile
from automation.contract import Level, _starts_shell, shown
from automation.model import Access, Container, Project, megabytes
from automation.results import Result, skip


def check_compose(root: Path, project: Project, names: Iterable[str]) -> list[Result]:
    """compose.yaml against the model: the same restrictions on a laptop as in production."""
    file = composefile.read(root)
    if file is None:
        return [skip("contract.compose.present", "compose file", "there is no compose.yaml")]
    services = file.section("services")
    level = Level("compose", "", file.name)
    results = [r for name in names for r in _compose(project, name, services.get(name))]
    for name, service in project.services.items():
        entry = services.get(name)
        results.append(
            level.check(
                f"service.{name}",
                f"image of {name}",
                service.image,
                entry.get("image") if isinstance(entry, dict) else "missing",
                f"make both agree: services.{name}.image in taskflow.toml and compose.yaml",
            )
        )
    # Others, such as a cache, are the project's own affair; more rights than ours they may not have.
    strangers = sorted(services.keys() - project.containers.keys())
    powerful = [
        f"{name} ({', '.join(rights)})"
        for name in strangers
        if isinstance(services[name], dict) and (rights := _rights(services[name]))
    ]
    results.append(
        level.check(
            "services",
            "no other service has rights on the host",
            "none",
            shown(powerful) if powerful else "none",
            "take privileged, cap_add and what is of the host away",
        )
    )
    return results


def _rights(entry: Mapping[str, Any]) -> list[str]:
    found = ["privileged"] if entry.get("privileged") else []
    return found + [f"cap_add {c}" for c in _items(entry, "cap_add")] + _of_the_host(entry)


def _compose(project: Project, name: str, entry: Any) -> Iterator[Result]:
    container = project.containers[name]
    level = Level("compose", name, "compose.yaml")
    if not isinstance(entry, dict):
        yield level.check(
            "present", "service in compose.yaml", name, "missing", f"add a service called {name}"
        )
        return
    image = str(entry.get("image", "not set"))
    yield level.check(
        "image",
        "image name",
        f"{project.image(name)}:dev",
        image,
        f"write image: {project.image(name)}:dev, the name that `invoke build` gives it",
    )
    options = {str(option).replace("=", ":") for option in _items(entry, "security_opt")}
    measured = {
        "user": str(entry.get("user", "not set")),
        "read_only": entry.get("read_only", False),
        "cap_drop": [str(capability).upper() for capability in _items(entry, "cap_drop")],
        "cap_add": _items(entry, "cap_add"),
        "security_opt": sorted(option.removesuffix(":true") for option in options),
        "privileged": entry.get("privileged", False),
        "of the host": _of_the_host(entry),
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
    yield level.check(
        "security",
        "restrictions",
        [f"{k} {v}" for k, v in expected.items()],
        [f"{k} {v}" for k, v in measured.items()],
        "set them as expected, and nothing that loosens them",
    )
    stated = entry.get("mem_limit")
    try:
        limit = _compose_bytes(stated)
        # Where they are given too, they win, or add swap.
        for other in (entry.get("memswap_limit"), _deployed_memory(entry)):
            stated, limit = (stated, limit) if other is None else (other, _compose_bytes(other))
            if limit != container.memory:
                break
    except ValueError:
        limit = 0
    yield level.check(
        "memory",
        "memory limit",
        megabytes(container.memory),
        megabytes(limit) if limit else stated or "no mem_limit",
        f"set mem_limit: {container.memory} (bytes: compose reads 300m as MiB)",
        passed=limit == container.memory,
    )
    targets = {
        f"{port.get('target')}/{port.get('protocol', 'tcp')}"
        if isinstance(port, dict)
        else str(port).rsplit(":", 1)[-1]
        for port in _items(entry, "ports")
    }
    yield level.check(
        "port",
        "published port",
        [str(container.port)],
        sorted({target.removesuffix("/tcp") for target in targets}),
        f"publish {container.port} and nothing else",
    )
    yield from _compose_environment(level, project, container, entry)
    wanted = {v.path: v.access is Access.READ_ONLY for v in container.volumes}
    mounts = {}
    for volume in _items(entry, "volumes"):
        if isinstance(volume, dict):
            mounts[str(volume.get("target"))] = bool(volume.get("read_only"))
        else:
            parts = re.split("[:,]", str(volume))
            mounts[parts[1] if len(parts) > 1 else parts[0]] = "ro" in parts[2:]
    for path in _items(entry, "tmpfs"):
        mounts[str(path).partition(":")[0]] = False
    # What is read-only and part of the image needs no mount; what is written does.
    writable = sorted(["/tmp", *(path for path, read_only in wanted.items() if not read_only)])
    yield level.check(
        "volumes",
        "writable volumes",
        writable,
        sorted(path for path, read_only in mounts.items() if not read_only),
        "mount the model's read-write volumes, /tmp under tmpfs, and no others",
    )
    yield level.check(
        "command",
        "command without a shell",
        "no shell in front",
        shown(_shells(entry) or "no shell in front"),
        "leave the command to the image, or write it as a list without sh -c",
    )
    check = entry.get("healthcheck") or {}
    off = isinstance(check, dict) and (check.get("disable") or check.get("test") in _NO_TEST)
    yield level.check(
        "healthcheck",
        "health check",
        "on",
        "off" if off else "on",
        "remove what turns it off: the image has one",
    )


def _shells(entry: Mapping[str, Any]) -> list[str]:
    """The commands that start a shell, and those that no shell rules take apart."""
    found = []
    for key in ("entrypoint", "command"):
        value = entry.get(key)
        try:
            words = shlex.split(value) if isinstance(value, str) else map(str, _items(entry, key))
            if _starts_shell(words := list(words)):
                found.append(" ".join(words))
        except ValueError as error:
            found.append(f"{key} {value} ({error})")
    return found


def _of_the_host(entry: Mapping[str, Any]) -> list[str]:
    """The keys that give a container something of the host's, or of another container's."""
    given = [key for key in _HOST_LISTS if _items(entry, key) not in ([], [False])]
    given += [
        f"{key} {entry[key]}"
        for key in _NAMESPACES
        if str(entry.get(key)).partition(":")[0] in {"host", "container", "service"}
    ]
    mounts = [str(volume) for volume in _items(entry, "volumes")]
    given += ["the engine's socket"] if any(map(_SOCKET.search, mounts)) else []
    return given + (["its root folder"] if any(mount.startswith("/:") for mount in mounts) else [])


_HOST_LISTS = (
    "devices", "device_cgroup_rules", "volumes_from", "group_add", "sysctls", "use_api_socket",
    "oom_kill_disable",
)  # fmt: skip
_NAMESPACES = ("network_mode", "pid", "ipc", "uts", "userns_mode", "cgroup")
_SOCKET = re.compile(r"(docker|podman|containerd)\.sock\b")
_NO_TEST = ("NONE", ["NONE"])


def _items(entry: Mapping[str, Any], key: str) -> list[Any]:
    """A list of compose; a bare value, which compose refuses, counts as a list of one."""
    value = entry.get(key)
    return value if isinstance(value, list) else [] if value is None else [value]


def _deployed_memory(entry: Mapping[str, Any]) -> object:
    """`deploy.resources.limits.memory`, which compose takes for a limit too."""
    found: Any = entry
    for key in ("deploy", "resources", "limits", "memory"):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _compose_bytes(value: object) -> int:
    """Compose's byte value: a bare number, or b, k, m, g in powers of 1024."""
    match = re.fullmatch(r"(\d+)([bkmg]?)b?", str(value).lower())
    if not match:
        raise ValueError(value)
    return (
        int(match[1]) * 1024 ** " kmg".find(match[2]) if match[2] in set("kmg") else int(match[1])
    )


def _compose_environment(
    level: Level, project: Project, container: Container, entry: Any
) -> Iterator[Result]:
    given = entry.get("environment") or {}
    if isinstance(given, list):
        given = dict(str(item).partition("=")[::2] for item in given)
    elif not isinstance(given, dict):
        given = {}
    required, fixed = container.environment.required, container.environment.fixed
    yield level.check(
        "environment",
        "required variables set, fixed ones kept",
        [f"{key} set" for key in required] + [f"{key}={value}" for key, value in fixed.items()],
        [f"{key} {'set' if key in given else 'missing'}" for key in required]
        + [f"{key}={given.get(key, value)}" for key, value in fixed.items()],
        "set the missing under `environment`, and leave the fixed ones to the image",
    )
    urls = {
        variable: f"http://{target}:{project.containers[target].port}"
        for variable, target in container.connects.items()
        if target in project.containers
    }
    # What is passed on from the shell, or has no default, is not known here.
    services = {
        variable: target
        for variable, target in container.connects.items()
        if target in project.services and given.get(variable) and "$" not in str(given[variable])
    }
    yield level.check(
        "connects",
        "reaches the other containers",
        [f"{key}={url}" for key, url in urls.items()]
        + [f"{key} at {target}" for key, target in services.items()],
        [f"{key}={str(given.get(key, 'missing')).rstrip('/')}" for key in urls]
        + [f"{key} at {_host(str(given[key]))}" for key in services],
        "name the service and its port as in taskflow.toml",
    )


def _host(url: str) -> str:
    """The host of a URL, which may be told; its password may not."""
    try:
        return urlsplit(url).hostname or "nowhere"
    except ValueError:
        return "nowhere"
