"""Image registries: which digest a tag has, who may push, and pushing what was tested.

Layers go through the engine's client. What is asked, and tags that move, go over HTTP (the OCI
distribution API) with the credentials that `docker login` or `podman login` left.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.errors import EnvironmentTrouble, Refused, TaskflowError
from taskflow_containers.machine.process import last_line, masked
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.values import names_host
from taskflow_containers.release.logins import DOCKER_HUB, HUB_NAMES, Login, stored
from taskflow_containers.release.web import LOCAL, HttpAnswer, send

ACCEPTED = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        *(f"docker.distribution.manifest.{part}" for part in ("v2", "list.v2")),
        *(f"oci.image.{part}.v1" for part in ("manifest", "index")),
    )
)
_NO_LOGIN = "denied|unauthorized|authentication required|no basic auth"
_FIELD = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,"]+))')
_CHART = "application/vnd.cncf.helm.config.v1+json"


STAY = f"[release] moving-tags = false in {FILE_NAME}"


class TagRefused(Refused):
    """The registry takes what is pushed, but not under this tag."""


@dataclass(slots=True)
class ImageRepository:
    """One repository of a registry, such as ghcr.io/acme/taskflow-backend.

    `client` is the engine that pushes: its logins are the ones that count.
    """

    name: str
    client: str = "docker"
    _base: str = field(default="", repr=False)
    _authorization: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        """Host and port; Docker Hub where the name has none."""
        first = self.name.partition("/")[0]
        return first if names_host(self.name) and first not in HUB_NAMES else DOCKER_HUB

    @property
    def path(self) -> str:
        """The repository's path in its registry."""
        path = self.name.partition("/")[2] if names_host(self.name) else self.name
        return path if "/" in path or self.host != DOCKER_HUB else f"library/{path}"

    @property
    def login(self) -> Login | None:
        """The login that the engine which pushes has for it."""
        host = HUB_NAMES[0] if self.host == DOCKER_HUB else self.host
        return stored(f"{host}/{self.path}", self.client)

    @property
    def _how_to_log_in(self) -> str:
        # Without a host it is Docker Hub.
        host = f" {self.host}" * (self.host != DOCKER_HUB)
        return f"{self.client} login{host}, as who may push"

    @property
    def plain_http(self) -> bool:
        """Whether the registry speaks no TLS, which is for this machine's own registries only."""
        return self._root().startswith("http:")

    def digest(self, reference: str) -> str:
        """The digest of a tag's manifest; empty when there is no such tag."""
        answer = self._manifest(reference)
        return answer.digest if answer else ""

    def manifest(self, reference: str) -> dict[str, Any]:
        """The manifest of a tag or digest; empty when there is none."""
        answer = self._manifest(reference)
        return answer.json() if answer else {}

    def blob(self, digest: str) -> dict[str, Any]:
        """A blob of JSON, such as an image's config, by its digest; raises Refused without it."""
        answer = self._ask("GET", f"blobs/{digest}")
        self._expect(answer, {200}, f"does not give out {digest}")
        return answer.json()

    def require(self, image: str, reference: str) -> str:
        """The digest a tag has, once it is found to lead to that image and to no other.

        Engines know an image by the digest of its index or manifest (containerd's store) or of its
        config (overlay2, Podman).

        Raises:
            Refused: something else is there.
        """
        answer = self._manifest(reference)
        digest, held = (answer.digest, answer.json()) if answer else ("", {})
        parts = {part["digest"]: part.get("platform") or {} for part in held.get("manifests", ())}
        # BuildKit gives its attestations a platform that no machine has, so that none takes them.
        images = {part: of for part, of in parts.items() if of.get("os") != "unknown"}
        manifests = {part: self.manifest(part) for part in images} or {digest: held}
        names = [
            {digest, part, (manifest.get("config") or {}).get("digest")}
            for part, manifest in manifests.items()
        ]
        # An index of several images is the one tested only where it is that very index.
        if image == digest or (len(names) == 1 and image in names[0]):
            return digest
        there = digest or "nothing"
        if images:
            known = (f"{of.get('os')}/{of.get('architecture')}" for of in images.values())
            there += f", an index of images for {', '.join(known)},"
        raise Refused(
            f"{self.name}:{reference} is not the image tested: {image} was pushed, {there} is there",
            "someone else pushes this tag, or the registry changes what it is sent; see who, then "
            "push again",
        )

    def push(self, engine: Engine, image: str, tag: str) -> str:
        """Push an image ID under a tag, unless it is there; the digest the registry has for it.

        Raises:
            Refused: the registry said no, or holds something other than that image.
            EnvironmentTrouble: the way there failed.
        """
        name = f"{self.name}:{tag}"
        engine.call("tag", image, name)
        with suppress(Refused):  # where tags are immutable, the same push is refused another time
            return self.require(image, tag)
        # Set to zstd, Podman would convert an image in Docker's format, and so change its config.
        words = ["--compression-format=gzip"] if engine.name == "podman" else []
        words += ["--tls-verify=false"] if engine.name == "podman" and self.plain_http else []
        done = engine.call("push", *words, name, check=False, timeout=1800)
        if done.returncode:
            said = masked(last_line(done.stderr or done.stdout))
            if re.search(_NO_LOGIN, said, re.IGNORECASE):
                raise Refused(f"{name} was refused: {said}", self._how_to_log_in)
            raise EnvironmentTrouble(f"{name} was not pushed: {said}", "the registry must answer")
        return self.require(image, tag)

    def publish(self, digest: str, tag: str, *, fixed: bool) -> None:
        """Point a tag at a digest, by the same bytes: nothing is uploaded.

        Raises:
            TagRefused: the registry takes no such tag, as where it is there and immutable.
            Refused: the tag is `fixed`, and already there with another digest.
        """
        there = self.digest(tag)
        if there == digest:
            return
        if there and fixed:
            raise Refused(
                f"{self.name}:{tag} is there already, as {there} and not as {digest}",
                "a released tag does not move: release the next version",
            )
        answer = self._manifest(digest)
        if answer is None:
            raise Refused(f"{self.name}@{digest} is not there", "push the image again: --resume")
        kind = str(answer.json().get("mediaType") or answer.headers.get("content-type", ""))
        put = self._ask("PUT", f"manifests/{tag}", answer.body, {"Content-Type": kind})
        # ECR says 400 TAG_INVALID, Artifact Registry 400, Harbor 412, Quay 409, others 403.
        if 400 <= put.status < 500 and put.status not in {401, 429} and not put.page:
            raise TagRefused(
                f"{self.name}:{tag} is refused: {put.said}",
                f"where tags are immutable, {STAY} leaves out those that would move",
            )
        self._expect(put, {200, 201, 202}, f"cannot be tagged {tag}")

    def holds_images(self) -> bool:
        """Whether what is here are images and not charts."""
        answer = self._ask("GET", "tags/list")
        tags = (answer.json().get("tags") or ()) if answer.status == 200 else ()
        # Signatures and attestations lie beside both.
        some = [tag for tag in tags if not tag.startswith("sha256-")][:3]
        kinds = [self.manifest(tag).get("config", {}).get("mediaType") for tag in some]
        return bool(kinds) and _CHART not in kinds

    def unmoved(self, version: str, tags: Sequence[str]) -> list[str]:
        """Which of the tags are here, but not on the digest of that version, which is here too."""
        digest = self.digest(version)
        return [tag for tag in tags if digest and self.digest(tag) not in {"", digest}]

    def may_push(self) -> None:
        """Raises Refused where these credentials may not push here; leaves nothing behind."""
        answer = self._ask("POST", "blobs/uploads/", b"")
        self._expect(answer, {202}, "cannot be pushed to")
        where = urllib.parse.urljoin(self._root() + "/", answer.headers.get("location", ""))
        with suppress(
            TaskflowError
        ):  # who may not do that leaves it to the registry's own cleaning
            self._ask("DELETE", where)

    def _manifest(self, reference: str) -> HttpAnswer | None:
        answer = self._ask("GET", f"manifests/{reference}", headers={"Accept": ACCEPTED})
        # Some registries answer 403 or 401 for what does not exist yet; that is no "absent".
        if answer.status == 404 and not answer.page:
            return None
        self._expect(answer, {200}, f"cannot be asked for {reference}")
        if "schemaVersion" not in answer.json():
            raise answer.trouble(f"{self.name}:{reference} is no manifest")
        return answer

    def _expect(self, answer: HttpAnswer, wanted: set[int], what: str) -> None:
        what = f"{self.name} {what}"
        if answer.troubled or (answer.page and answer.status not in {401, 403}):
            raise answer.trouble(what)
        if answer.status in {401, 403}:
            raise Refused(f"{what}: {answer.said}", self._how_to_log_in)
        if answer.status not in wanted:
            raise Refused(f"{what}: {answer.said}", "the registry's log says more")

    def _root(self) -> str:
        """The registry's base URL; plain HTTP is tried on this machine alone."""
        if self._base:
            return self._base
        local = LOCAL.fullmatch(self.host)
        for scheme in ("https", "http") if local else ("https",):
            try:
                send("GET", f"{scheme}://{self.host}/v2/")
            except EnvironmentTrouble as error:
                if scheme == "http" or not local or "certificate" in error.message.lower():
                    raise
            else:
                self._base = f"{scheme}://{self.host}"
                break
        return self._base

    def _ask(
        self,
        method: str,
        what: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        url = urllib.parse.urljoin(f"{self._root()}/v2/{self.path}/", what)
        known = dict(headers or {})
        if self._authorization:
            known["Authorization"] = self._authorization
        answer = send(method, url, body, known)
        challenges = answer.headers.get_all("www-authenticate") or []
        if answer.status == 401 and challenges:
            bearer = [line for line in challenges if line.lower().startswith("bearer ")]
            self._authorization = self._answer_to((bearer or challenges)[0])
            if self._authorization:
                known["Authorization"] = self._authorization
                answer = send(method, url, body, known)
        return answer

    def _answer_to(self, challenge: str) -> str:
        """What to send as Authorization: the login itself, or a token that it buys."""
        login = self.login
        kind, _, rest = challenge.partition(" ")
        if kind.lower() != "bearer":
            return login.basic if login else ""
        fields = {key: quoted or bare for key, quoted, bare in _FIELD.findall(rest)}
        # Distribution counts giving up an upload as deleting; all else here is pull and push.
        more = ",delete" * fields.get("scope", "").endswith("delete")
        realm, query = fields.get("realm", ""), {"scope": f"repository:{self.path}:pull,push{more}"}
        query |= {"service": fields["service"]} if "service" in fields else {}
        if login and login.token:  # OAuth 2.0, as Docker's token servers and Azure's know it
            query |= {"grant_type": "refresh_token", "refresh_token": login.token,
                      "client_id": "taskflow-containers"}  # fmt: skip
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = send("POST", realm, urllib.parse.urlencode(query).encode(), form)
        else:
            url = f"{realm}{'&' if '?' in realm else '?'}{urllib.parse.urlencode(query)}"
            answer = send("GET", url, headers={"Authorization": login.basic} if login else {})
        self._expect(answer, {200}, f"gets no token from {answer.host}")
        data = answer.json()
        return f"Bearer {data.get('token') or data.get('access_token', '')}"
