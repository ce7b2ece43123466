"""What the template needs to know of each adopted container, worked out from what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from taskflow_containers.adopt.examples import usual
from taskflow_containers.adopt.names import Part
from taskflow_containers.project.forms import PARTS, formed

_PORTS = {"backend": 8000, "frontend": 3000}
# The defaults of the data model.
_MEMORY = {"backend": 300, "frontend": 200, "worker": 300, "cron": 300}  # MB
_HEALTH = {
    "backend": {"ready": "/api/health", "live": "/api/health/live"},
    "frontend": {"ready": "/health", "live": "/health"},
}
_PROBE = {"backend": ["python", "-S"], "frontend": ["node"]}
_DRAIN = {
    "backend": {"variable": "SHUTDOWN_SECONDS", "seconds": 8},
    "frontend": {"variable": "STOP_SECONDS", "seconds": 7},
}


def complete(parts: Sequence[Part], services: Mapping[str, Part]) -> None:
    """Add to each container what follows from the rest: addresses, ports, what is public, what is secret."""
    frontends = any(part["kind"] == "frontend" for part in parts)
    ports = {part["name"]: part.get("port") or _PORTS.get(part["kind"], 0) for part in parts}
    published: set[int] = set()
    outward: set[str] = set()
    for part in parts:
        kind, name = part["kind"], part["name"]
        environment = part.setdefault("environment", {})
        for key in ("required", "optional"):
            environment.setdefault(key, [])
        environment.setdefault("fixed", {})
        connects = part.setdefault("connects", {})
        # What reaches another container or service is needed, whatever the code does without it.
        environment["required"] = sorted({*environment["required"], *connects})
        environment["optional"] = [k for k in environment["optional"] if k not in connects]
        if kind in _PORTS:
            part["port"] = ports[name]
            part.setdefault("health", dict(_HEALTH[kind]))
            part["probe"], part["drain"] = [*_PROBE[kind], _inside(part)], _DRAIN[kind]
            part["published"] = next(
                port for port in range(ports[name], 65536) if port not in published
            )
            published.add(part["published"])
        part.setdefault("memory", f"{_MEMORY[kind]}MB")
        megabytes = int(part["memory"].removesuffix("MB"))
        part["memory_bytes"], part["memory_kubernetes"] = megabytes * 10**6, f"{megabytes}M"
        forms = part.setdefault("connects_as", {})
        to_service = {k: v for k, v in connects.items() if v in services}
        given = environment.get("examples", {})
        environment["examples"] = {
            key: given.get(key) or usual(key)
            for key in environment["required"]
            if key not in connects  # a run makes those itself
        }
        part["neighbours"] = {k: v for k, v in connects.items() if k not in to_service}
        part["addresses"] = {
            k: _in_compose(k, v, ports, services, forms.get(k, "")) for k, v in connects.items()
        }
        part["secret_required"] = [
            key for key in environment["required"] if key not in part["neighbours"]
        ]
        part["database"] = next(iter(to_service), "")
        part["needs"] = " ".join(
            key + _need(key, connects, forms, services) for key in environment["required"]
        )
        part["peers"] = kind == "frontend"
        if kind == "frontend":
            folder = "/".join(filter(None, ("/app", part.get("app"), "public")))
            part["public_folder"] = folder if part.pop("public_files", False) else ""
            environment["fixed"] = {
                "NODE_ENV": "production",
                "HOSTNAME": "::",
                **environment["fixed"],
            }
        for key in ("required", "optional"):  # what is fixed is nobody's to set
            environment[key] = [k for k in environment[key] if k not in environment["fixed"]]
        part["build_arguments"] = part.pop("arguments", [])
        part["ignore"] = []
        _publish(part, frontends, outward)


def _inside(part: Part) -> str:
    """The program in the image that asks for a container's health."""
    if part["kind"] == "backend":
        return "/app/container/healthcheck.py"
    # Next.js's own server lies in the image as it lies in its workspace.
    return "/".join(filter(None, ("/app", part.get("app"), "container/healthcheck.cjs")))


def _publish(part: Part, frontends: bool, outward: set[str]) -> None:
    """A frontend is reached from outside, or a backend where there is none; one at each path."""
    path = part.get("base_path") or "/"
    wanted = part["kind"] == ("frontend" if frontends else "backend")
    part["public"] = wanted and path not in outward
    part["public_path"] = path if path != "/" else ""
    if part["public"]:
        outward.add(path)


def _need(
    key: str, connects: Mapping[str, str], forms: Mapping[str, str], services: Mapping[str, Part]
) -> str:
    """What a required variable must hold, as container/adopted of the template reads it."""
    target, form = connects.get(key, ""), forms.get(key, "")
    if form == "host" and target in services:
        own = (k for k, v in connects.items() if v == target and forms.get(k) == "port")
        return f"=host:{target}:{next(own, '')}".rstrip(":")
    if not target or form in PARTS:
        return ""
    return f"=postgresql:{target}" if target in services else "=http"


def _in_compose(
    variable: str, target: str, ports: Mapping[str, int], services: Mapping[str, Part], form: str
) -> str:
    """What a variable holds in the compose file, where nobody has set another value."""
    if target in ports:
        return f"http://{target}:{ports[target]}"
    if target in services:
        url = f"postgresql://taskflow:taskflow@{target}:5432/taskflow"
        return f"${{{variable}:-{formed(url, form)}}}"
    return f"${{{variable}:-{target}}}"
