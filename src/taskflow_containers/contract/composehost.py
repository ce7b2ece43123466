"""What a service of the compose file gets of the machine that it runs on, or of other containers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath
from typing import Any

from taskflow_containers.contract.composefile import ComposeFile

_HOST_KEYS = (
    "devices", "device_cgroup_rules", "volumes_from", "group_add", "sysctls", "use_api_socket",
    "oom_kill_disable", "gpus", "runtime", "cgroup_parent", "provider", "credential_spec",
)  # fmt: skip
_NAMESPACES = ("network_mode", "pid", "ipc", "uts", "userns_mode", "cgroup")
_ANOTHERS = {"host", "container", "service", "shareable"}
_HOOKS = ("post_start", "pre_stop")
_SOCKET = re.compile(r"(docker|podman|containerd)\.sock\b")
# The devices of these volumes are on another machine, or nowhere.
_REMOTE = {"nfs", "nfs4", "cifs", "tmpfs"}
_HARMLESS_OPTION = re.compile(
    r"no-new-privileges([:=]\w+)?|seccomp[:=]builtin|apparmor[:=]docker-default"
)


@dataclass(frozen=True, slots=True)
class Service:
    """A service in compose's normal form, and the files and folder that it is part of."""

    root: Path
    file: ComposeFile
    name: str

    @property
    def entry(self) -> dict[str, Any]:
        """What compose prints of it; empty where there is no such service."""
        return self.file.section("services").get(self.name, {})

    def items(self, key: str) -> list[Any]:
        """A list of it; empty where there is none."""
        return list(self.entry.get(key) or [])

    def resource(self, which: str, key: str) -> Any:
        """What `deploy.resources` says: `limits` or `reservations` of a key."""
        resources = (self.entry.get("deploy") or {}).get("resources") or {}
        return (resources.get(which) or {}).get(key)

    def hooks(self) -> list[tuple[str, dict[str, Any]]]:
        """What runs within the container beside its command, by the key that says so."""
        return [(key, hook) for key in _HOOKS for hook in self.items(key)]

    def driver_options(self, mount: Mapping[str, Any]) -> dict[str, Any]:
        """How the named volume of a mount is made."""
        named = self.file.section("volumes").get(str(mount.get("source")), {})
        return dict(named.get("driver_opts") or {}) if mount["type"] == "volume" else {}


def rights(service: Service) -> list[str]:
    """What lets a service do more than a container may by default."""
    found = ["privileged"] if service.entry.get("privileged") else []
    found += [f"cap_add {capability}" for capability in service.items("cap_add")]
    options = [o for o in service.items("security_opt") if not _HARMLESS_OPTION.fullmatch(o)]
    return [*found, *(f"security_opt {option}" for option in options), *of_the_host(service)]


def of_the_host(service: Service) -> Iterator[str]:
    """What gives a container something of the host's, or of another container's."""
    entry, networks = service.entry, service.file.section("networks")
    yield from (key for key in _HOST_KEYS if entry.get(key))
    for name in entry.get("networks") or []:
        if "host" in {networks.get(name, {}).get("name"), networks.get(name, {}).get("driver")}:
            yield f"networks {name} (host)"
    if service.resource("reservations", "devices"):
        yield "deploy.resources devices"
    for key in _NAMESPACES:
        mode = entry.get(key) or ""
        if mode and (service.file.is_open(mode) or mode.partition(":")[0] in _ANOTHERS):
            yield f"{key} {mode}"
    yield from (f"{key} privileged" for key, hook in service.hooks() if hook.get("privileged"))
    for mount in service.items("volumes"):
        yield from _of_mount(service, mount)
    # These are mounts too; a secret's own file may lie anywhere.
    for key in ("configs", "secrets"):
        for item in service.items(key):
            source = str(service.file.section(key).get(item["source"], {}).get("file") or "")
            harmful = key == "configs" or _SOCKET.search(source) or Path(source).is_dir()
            if source and harmful and _outside(service, source):
                yield f"its {source}"


def _of_mount(service: Service, mount: Mapping[str, Any]) -> Iterator[str]:
    """What an entry under `volumes` mounts from outside of the project's folder."""
    options = service.driver_options(mount)
    sources = [mount.get("source")] if mount["type"] in {"bind", "npipe"} else []
    if options.get("type") not in _REMOTE:
        sources += [options.get("device"), options.get("mountpoint")]
    stated = [str(source) for source in sources if source]
    if any(map(_SOCKET.search, stated)):
        yield "the engine's socket"
        return
    for source in stated:
        if _outside(service, source):
            yield "its root folder" if normpath(source).strip("/") == "" else f"its {source}"


def _outside(service: Service, source: str) -> bool:
    """Whether a mount's source is, or may be, outside of the project's folder; links are followed."""
    if re.match(r"[A-Za-z]:\\|\\", source) or service.file.is_open(source):
        return True
    path = Path(os.path.realpath(service.file.folder / source))
    return not path.is_relative_to(os.path.realpath(service.root))
