"""Logins at registries, from wherever `docker login` and `podman login` keep them.

Sources: docker/cli, cli/config/configfile and credentials; containers/image, containers-auth.json(5).
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from taskflow_containers.machine.errors import EnvironmentTrouble, InputError
from taskflow_containers.machine.process import last_line, run, say_aloud

DOCKER_HUB = "registry-1.docker.io"
HUB_NAMES = ("docker.io", "index.docker.io", DOCKER_HUB)
_HUB_KEY = "https://index.docker.io/v1/"
_TOKEN_USER = "<token>"  # of a credential helper that keeps an identity token


@dataclass(frozen=True, slots=True)
class Login:
    """A user with a secret, or an identity token, which buys access tokens by OAuth 2.0."""

    user: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The Authorization header of user and secret."""
        return f"Basic {self.encoded}"

    @property
    def encoded(self) -> str:
        """User and secret as `auth` keeps them."""
        return base64.b64encode(f"{self.user}:{self.secret}".encode()).decode()

    def config(self, host: str) -> str:
        """A file as `docker login` writes it, with this login for this registry."""
        entry = {"auth": self.encoded} | ({"identitytoken": self.token} if self.token else {})
        names = [_HUB_KEY, *HUB_NAMES] if host == DOCKER_HUB else [host]
        return json.dumps({"auths": dict.fromkeys(names, entry)})


def stored(place: str, client: str) -> Login | None:
    """The login that an engine's client uses for a registry or a repository of it, if it has one.

    Raises:
        InputError: what should hold it cannot be read.
    """
    for source, text in _sources(client):
        try:
            if found := _found(json.loads(text or "{}"), place, source, podman=client == "podman"):
                return found
        except (ValueError, TypeError, KeyError, AttributeError):
            raise InputError(
                f"{source} (or the credential helper that it names) holds no logins that can be "
                "read",
                f"{client} login writes it anew",
            ) from None
    return None


def _sources(client: str) -> Iterator[tuple[str, str]]:
    """What a client reads logins from, in its order: a name for people, and the text."""
    home, env = Path.home(), os.environ
    files = [Path(env.get("DOCKER_CONFIG") or home / ".docker", "config.json")]
    if client == "podman":
        runtime = Path("/run/containers", str(getattr(os, "getuid", int)()))
        if folder := env.get("XDG_RUNTIME_DIR"):
            runtime = Path(folder, "containers")
        own = Path(env.get("XDG_CONFIG_HOME") or home / ".config", "containers")
        files = [runtime / "auth.json", own / "auth.json", *files]
        files = [Path(chosen)] if (chosen := env.get("REGISTRY_AUTH_FILE")) else files
    elif text := env.get("DOCKER_AUTH_CONFIG"):
        yield "DOCKER_AUTH_CONFIG", text
    for file in files:
        if file.is_file():
            yield str(file), file.read_text("utf-8", errors="replace")


def _normal(key: str) -> str:
    """A key of such a file as a place: `https://index.docker.io/v1/` is docker.io."""
    key = re.sub(r"^https?://|(/v[12])?/*$", "", key)
    host, slash, path = key.partition("/")
    return f"{HUB_NAMES[0] if host in HUB_NAMES else host}{slash}{path}"


def _found(data: dict[str, Any], place: str, source: str, *, podman: bool) -> Login | None:
    host, *path = place.split("/")
    # The longest key counts for Podman; for Docker first the registry's own, then any below it.
    places = ["/".join([host, *path[:end]]) for end in range(len(path), -1, -1)]
    if not podman:
        places.insert(0, host)
    helpers = {_normal(key): name for key, name in (data.get("credHelpers") or {}).items()}
    auths = {_normal(key): entry for key, entry in (data.get("auths") or {}).items()}
    if not podman:
        places += [key for key in auths if key.partition("/")[0] == host]
    chosen = next((one for one in places if one in helpers), "")
    helper = helpers.get(chosen) or ("" if podman else data.get("credsStore"))
    if helper and (found := _helped(str(helper), chosen or host, source)):
        return found
    return next(filter(None, (_kept(auths[one]) for one in places if one in auths)), None)


def _kept(entry: dict[str, Any]) -> Login | None:
    user, secret = str(entry.get("username") or ""), str(entry.get("password") or "")
    if auth := entry.get("auth"):
        user, _, secret = base64.b64decode(auth).decode().partition(":")
    token = str(entry.get("identitytoken") or "")
    return Login(user, secret.strip("\0"), token) if user or token else None


def _helped(helper: str, place: str, source: str) -> Login | None:
    """What a credential helper knows; one that cannot be asked is told of, and passed over."""
    program = f"docker-credential-{helper}"
    try:
        key = _HUB_KEY if place == HUB_NAMES[0] else place
        done = run([program, "get"], stdin=key, timeout=60)
    except EnvironmentTrouble as error:
        _tell_once(f"{error.message}, and {source} names it for {place}: going on without it")
        return None
    if done.returncode:
        if "not found" not in (said := last_line(done.stdout + done.stderr)):
            _tell_once(f"{program} gives no login for {place}: {said}")
        return None
    answer = json.loads(done.stdout)
    user, secret = str(answer["Username"]), str(answer["Secret"])
    return Login("", "", secret) if user == _TOKEN_USER else Login(user, secret)


_tell_once = cache(say_aloud)
