"""kubectl as a seam: contexts, argv in, objects out, and its failures as errors for people."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from taskflow_containers.machine.errors import EnvironmentTrouble, InputError
from taskflow_containers.machine.process import Completed, last_line, line_at, run

Object = dict[str, Any]

# What kubectl and helm say when the cluster or its credentials are at fault, and what to do.
_TROUBLE = (
    (
        r"connection refused|was refused|unable to connect to the server|no such host|i/o timeout"
        r"|TLS handshake timeout|no route to host|cluster unreachable|network is unreachable"
        r"|: (unexpected )?EOF$",
        "does not answer",
        "start it, or name another: --context NAME (`kubectl config get-contexts` lists them)",
    ),
    (
        r"unauthorized|must be logged in|x509: |executable .* not found|getting credentials",
        "does not accept these credentials",
        "log in again, then repeat the command",
    ),
    (
        r"\(Forbidden\)|is forbidden: user",
        "does not allow that to this user",
        "use a context whose user may create namespaces, and all that a chart needs in them",
    ),
)
# Anywhere in a name: a wrong guess costs one option, a missed one an outage.
_PRODUCTION = re.compile(r"prod|prd|live", re.IGNORECASE)
_LOCAL_NAMES = re.compile(r"localhost|.*\.(localhost|local|internal|lan|test)|[^.]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Context:
    """A context of the kubeconfig: its name, its cluster's name and server, its namespace."""

    name: str
    cluster: str
    server: str
    namespace: str

    def production(self) -> str:
        """Why it may be production; "" when it is evidently not."""
        for value in (self.name, self.cluster, self.server):
            if found := _PRODUCTION.search(value):
                return f'"{found[0]}" in {value}'
        host = urlsplit(self.server).hostname or ""
        try:
            address = ipaddress.ip_address(host)
            near = address.is_private or address.is_loopback or address.is_link_local
        except ValueError:
            near = bool(_LOCAL_NAMES.fullmatch(host))
        return "" if near else f"its server {host} is on a public network"


def choose(program: Path, name: str = "") -> Context | None:
    """The named context, or the current one; None where there is no context at all.

    Raises:
        InputError: no such context, or the current one looks like production and was not named.
    """
    view = run([program, "config", "view", "--output=json"], timeout=30)
    if view.returncode:
        raise InputError(
            f"the kubeconfig cannot be read: {last_line(view.stderr)}",
            "mend it, or point KUBECONFIG at another",
        )
    config = json.loads(view.stdout)
    servers = {c["name"]: c["cluster"].get("server", "") for c in config.get("clusters") or ()}
    contexts = {}
    for item in config.get("contexts") or ():
        cluster = item["context"].get("cluster", "")
        contexts[item["name"]] = Context(
            item["name"], cluster, servers.get(cluster, ""),
            item["context"].get("namespace") or "default",
        )  # fmt: skip
    if name and name not in contexts:
        raise InputError(
            f"the kubeconfig has no context {name!r}", f"it has: {', '.join(contexts) or 'none'}"
        )
    found = contexts.get(name or str(config.get("current-context") or ""))
    if found and not name and (why := found.production()):
        raise InputError(
            f"the current context {found.name} may be production: {why}",
            f"to use it all the same, name it: --context {found.name}",
        )
    return found


def condition(item: Object, kind: str) -> Object:
    """An object's condition of that type, as its controller keeps it; empty where it has none."""
    conditions = (item.get("status") or {}).get("conditions") or ()
    return next((dict(found) for found in conditions if found["type"] == kind), {})


def statuses(pod: Object) -> list[Object]:
    """What the kubelet says of each container of a pod; nothing yet of a pod that is new."""
    return list(pod["status"].get("containerStatuses") or ())


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl bound to a context and a namespace."""

    program: Path
    context: str
    namespace: str = ""
    kubeconfig: Path | None = None

    def within(self, namespace: str) -> Self:
        """The same, in another namespace."""
        return replace(self, namespace=namespace)

    @property
    def argv(self) -> list[str | Path]:
        """The words that every command starts with."""
        words: list[str | Path] = [self.program, f"--context={self.context}"]
        words += [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        return words + ([f"--namespace={self.namespace}"] if self.namespace else [])

    def call(
        self, *words: str | Path, check: bool = True, timeout: float = 60, stdin: str | None = None
    ) -> Completed:
        """Run one command.

        Raises:
            EnvironmentTrouble: the cluster or its credentials failed, or (with `check`) kubectl.
        """
        done = run([*self.argv, *words], timeout=timeout, stdin=stdin)
        if done.returncode:
            self.raise_trouble(done.stderr)
            if check:
                raise EnvironmentTrouble(
                    f"kubectl {' '.join(map(str, words[:3]))} failed: {last_line(done.stderr)}",
                    f"run it by hand to see more: kubectl --context {self.context} …",
                )
        return done

    def raise_trouble(self, output: str) -> None:
        """Raise EnvironmentTrouble where a tool's output says that the cluster is at fault."""
        for pattern, what, hint in _TROUBLE:
            if match := re.search(pattern, output, re.IGNORECASE | re.MULTILINE):
                raise EnvironmentTrouble(
                    f"the cluster of context {self.context} {what}: {line_at(match)}", hint
                )

    def get(self, *words: str) -> list[Object]:
        """The objects of `kubectl get …`; nothing where there are none."""
        done = self.call("get", *words, "--ignore-not-found", "--output=json")
        found = json.loads(done.stdout or "{}")
        return list(found["items"]) if "items" in found else [found] if found else []

    def create(self, objects: Iterable[Mapping[str, Any]], *options: str) -> list[str]:
        """Create objects; the warnings that the API server gave."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        done = self.call("create", "--filename=-", *options, stdin=json.dumps(items), timeout=120)
        return re.findall(r"^Warning: (.+)$", done.stderr, re.MULTILINE)
