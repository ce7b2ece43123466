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


class NotAllowed(EnvironmentTrouble):
    """The cluster does not allow that to this user."""


# What kubectl and helm say when the cluster or its credentials are at fault, what that means, and
# what to do. The first that fits counts: what stands between the API server and others comes first,
# as it has the same words for what is away.
_TROUBLE: tuple[tuple[str, str, str, type[EnvironmentTrouble]], ...] = (
    (
        r"(?P<cause>(failed calling|failed to call|conversion) webhook .*)",
        "has a webhook that does not work",
        "it checks or changes objects of this kind, and belongs to whoever runs the cluster; "
        "`kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations` lists them",
        EnvironmentTrouble,
    ),
    (
        r"https://\S+:10250/",
        "has a node whose kubelet does not answer",
        "`kubectl get nodes` says which are ready; it belongs to whoever runs the cluster",
        EnvironmentTrouble,
    ),
    (
        r"unable to retrieve the complete list of server APIs|currently unable to handle the request",
        "has an API that is away",
        "`kubectl get apiservices` says which; metrics-server, say, may only be starting",
        EnvironmentTrouble,
    ),
    (
        r"x509: ",
        "shows a certificate that does not fit the kubeconfig",
        "its authority or address is another's, or it has expired: get a new kubeconfig",
        EnvironmentTrouble,
    ),
    (
        r"unauthorized|must be logged in|executable .* not found|getting credentials"
        r"|tls: (?:expired|bad|unknown) certificate",
        "does not accept these credentials",
        "log in again, then repeat the command",
        EnvironmentTrouble,
    ),
    (
        r"connection refused|was refused|unable to connect to the server|no such host|i/o timeout"
        r"|TLS handshake timeout|no route to host|cluster unreachable|network is unreachable"
        r"|: (unexpected )?EOF$|the server was unable to return a response in the time allotted"
        r"|etcdserver: |connection reset by peer|Client\.Timeout exceeded",
        "does not answer",
        "start it, or name another: --context NAME (`kubectl config get-contexts` lists them)",
        EnvironmentTrouble,
    ),
    (
        r"forbidden: user \S+ cannot",
        "does not allow that to this user",
        "use a context whose user may create namespaces, and all that a chart needs in them",
        NotAllowed,
    ),
)
# What the libraries of kubectl and helm log on the way; an error comes after it.
_LOGGED = re.compile(r"^[EWI]\d{4} .*\n?|^level=.*\n?", re.MULTILINE)
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
        output = _LOGGED.sub("", output)
        for pattern, what, hint, error in _TROUBLE:
            if match := re.search(pattern, output, re.IGNORECASE | re.MULTILINE):
                said = match.groupdict().get("cause") or line_at(match)
                raise error(f"the cluster of context {self.context} {what}: {said[:400]}", hint)

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
