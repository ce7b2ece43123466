"""A registry of our own, started for real, and repositories with remotes to release into."""

from __future__ import annotations

import base64
import copy
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import textwrap
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from provision.system import apt_install
from taskflow_containers.cluster import helm
from taskflow_containers.engine.client import Engine
from taskflow_containers.release.registry import ImageRepository
from tests.conftest import ROOT, SERVICE, git

# `htpasswd -nbB release correct-horse`
HTPASSWD = "release:$2b$05$qiKl0sbjyrCnCs64txGk.unPbdrv/3m7P1CS3/2Su6ZD..Iw2cS0."
USER, PASSWORD = "release", "correct-horse"


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Registry:
    """Debian's docker-registry on a port of its own, its storage a folder."""

    def __init__(
        self, folder: Path, *, auth: bool | dict[str, Any] = False, tls: bool = False
    ) -> None:
        self.folder = folder
        self.storage = folder / "storage"
        self.host = f"localhost:{free_port()}"
        self.certificate = folder / "cert.pem"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        http: dict[str, object] = {"addr": self.host, "relativeurls": True}
        if tls:
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                 "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                 "-keyout", "key.pem", "-out", "cert.pem"],
                cwd=folder, check=True, capture_output=True,
            )  # fmt: skip
            http["tls"] = {"certificate": "cert.pem", "key": "key.pem"}
        config: dict[str, object] = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.storage)},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": http,
        }
        if isinstance(auth, dict):
            config["auth"] = auth
        elif auth:
            (folder / "htpasswd").write_text(HTPASSWD + "\n", encoding="utf-8")
            config["auth"] = {"htpasswd": {"realm": "test", "path": "htpasswd"}}
        # JSON is YAML.
        (folder / "config.yml").write_text(json.dumps(config), encoding="utf-8")
        self._scheme = "https" if tls else "http"

    def start(self) -> None:
        """Listen."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", "config.yml"],
                cwd=self.folder, stdout=log, stderr=log,
            )  # fmt: skip
        context = ssl.create_default_context()
        if self._scheme == "https":
            context.load_verify_locations(self.certificate)
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{self._scheme}://{self.host}/", context=context).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text("utf-8"))

    def stop(self) -> None:
        """Die."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """Lose everything that was pushed."""
        self.stop()
        shutil.rmtree(self.storage, ignore_errors=True)
        self.start()

    @property
    def tags(self) -> dict[str, str]:
        """Every tag there is, as `repository:tag`, and its digest."""
        top = self.storage / "docker/registry/v2/repositories"
        return {
            f"{link.parents[4].relative_to(top)}:{link.parents[1].name}": link.read_text()
            for link in sorted(top.glob("**/_manifests/tags/*/current/link"))
        }

    @property
    def uploads(self) -> list[Path]:
        """Uploads that were begun and neither finished nor cancelled."""
        return list(self.storage.glob("**/_uploads/*/data"))


@pytest.fixture(scope="session")
def _programs() -> Iterator[None]:
    """The registry and helm, the latter unpacked once."""
    if not shutil.which("docker-registry") and os.environ.get("TASKFLOW_PROVISION"):
        apt_install(["docker-registry"], "the tests' registry")
    if not shutil.which("docker-registry"):
        pytest.skip("needs docker-registry (Debian has a package of that name)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(helm.find(ROOT).parent), prepend=os.pathsep)
        yield


@pytest.fixture
def make_registry(_programs: None, tmp_path: Path) -> Iterator[Callable[..., Registry]]:
    """Start registries: `make_registry(auth=True, tls=True)`."""
    started: list[Registry] = []

    def make(**options: Any) -> Registry:
        found = Registry(tmp_path / f"registry-{len(started)}", **options)
        started.append(found)
        found.start()
        return found

    yield make
    for registry in started:
        registry.stop()


@pytest.fixture
def registry(make_registry: Callable[..., Registry]) -> Registry:
    """A registry that asks for nothing."""
    return make_registry()


def identity(engine: Engine, there: ImageRepository, reference: str) -> str:
    """What the registry holds under a tag, as this engine's store calls that image."""
    store = engine.call("info", "--format", "{{json .}}").stdout
    if "io.containerd.snapshotter" in store:
        return there.digest(reference)
    return str(there.manifest(reference)["config"]["digest"])


def login(registry: Registry, folder: Path, *, password: str = PASSWORD) -> str:
    """A folder as DOCKER_CONFIG in which `docker login` was made."""
    pair = base64.b64encode(f"{USER}:{password}".encode()).decode()
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": pair}}}))
    return str(folder)


@pytest.fixture
def tiny(engine: Engine, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Make images of one small file each: `tiny()` is a new image's ID."""
    made: list[str] = []

    def make() -> str:
        (tmp_path / "content").write_text(uuid.uuid4().hex)
        with tarfile.open(tmp_path / "content.tar", "w") as archive:
            archive.add(tmp_path / "content", "content")
        made.append(engine.call("import", tmp_path / "content.tar").stdout.strip())
        return made[-1]

    yield make
    for image in made:
        engine.call("image", "rm", "--force", "--no-prune", image, check=False)


FILES = {
    ".gitignore": "reports/\n.nox/\n__pycache__/\n",
    "taskflow.toml": """\
# The containers of this project.
name = "NAME"
title = "A shop"
version = "1.2.3"  # set by `invoke release`
registry = "REGISTRY/acme"
source = "https://git.example/acme/shop"

[containers.orders]
kind = "backend"
base = "python:3.13-slim"
user = "1001:1001"
port = 8000
memory = "100MB"
health = { ready = "/api/health", live = "/api/health/live" }
environment = { fixed = { PYTHONPATH = "/app/src" } }
volumes = [{ path = "/app/data", access = "read-write" }]
budgets = { size-above-base = "1MB", start = "9s", stop = "9s" }
""",
    "orders/pyproject.toml": """\
[build-system]
version = "not this one"

[project]
name = "orders"
version = '1.2.3'  # comment
""",
    "stock/package.json": '{\n  "name": "stock",\n  "version": "0.0.0"\n}\n',
    "stock/package-lock.json": """\
{
  "name": "stock",
  "version": "0.0.0",
  "lockfileVersion": 3,
  "packages": {
    "": {
      "name": "stock",
      "version": "0.0.0"
    }
  }
}
""",
    "chart/Chart.yaml": """\
apiVersion: v2
name: NAME
type: application
kubeVersion: ">=1.30.0-0"
# Both follow taskflow.toml.
version: 1.2.3
appVersion: "1.2.3"  # the images'
""",
    "chart/values.yaml": """\
# Deploys by digest where there is one.
containers:
  orders:
    image:
      repository: acme/NAME-orders
      tag: ""
      digest: ""  # set by `invoke release`
SERVICE
  stock:
    image: {repository: acme/NAME-stock}
SERVICE
DEFAULTS
""",
    "chart/matrix.yaml": """\
image:
  version: {}
  tag: {defaults: {image: {tag: sha-0123456}}}
""",
    "chart/templates/images.yaml": """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: images
data:
  orders: {{ .Values.containers.orders.image.digest | quote }}
  stock: {{ .Values.containers.stock.image.digest | quote }}
""",
    "CHANGELOG.md": "# Changelog\r\n\r\n## 1.2.3 (2026-01-01)\r\n\r\nBy hand, with CRLF.\r\n",
}


# What the template's chart says of itself in taskflow.toml is said here too.
WAIVERS = "".join(
    f"""
[[waivers]]
check = "chart.findings"
covers = "{rule}"
reason = "as in the template"
expires = 2099-01-31
"""
    for rule in ("KSV-0011", "KSV-0020", "KSV-0021", "KSV-0125")
)


def chart_values(text: str) -> str:
    """The values of the shop's chart: the template's, for two services of its kind."""
    template = jinja2.Template((ROOT / "template/chart/values.yaml.jinja").read_text("utf-8"))
    made = yaml.safe_load(template.render(registry="REGISTRY/acme", slug="x", with_backend=True))
    service = made.pop("containers")["backend"]
    del service["image"]
    service["resources"]["limits"]["memory"] = "100M"
    service["test"]["command"] = ["python", "/app/healthcheck.py"]
    parts = {
        "SERVICE": textwrap.indent(yaml.safe_dump(service), "    "),
        "DEFAULTS": yaml.safe_dump(made),
    }
    for name, part in parts.items():
        text = text.replace(name, part)
    return text


class Shop:
    """A project of two small containers and a chart, with a remote and a registry."""

    def __init__(self, folder: Path, registry: Registry) -> None:
        self.folder = folder / "shop"
        self.remote = folder / "remote.git"
        self.registry = registry
        self.name = f"shop-{uuid.uuid4().hex[:8]}"
        toml = FILES["taskflow.toml"]
        files = {
            **FILES,
            "taskflow.toml": toml
            + toml[toml.index("\n[") :].replace("orders", "stock")
            + "\n[signature]\ntransparency-log = false\n"
            + WAIVERS,
            "chart/values.yaml": chart_values(FILES["chart/values.yaml"]),
        }
        source = ROOT / "template" / "chart" / "templates"
        for path in source.rglob("*.jinja"):
            target = self.folder / "chart" / "templates" / path.relative_to(source).with_suffix("")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(
                jinja2.Template(path.read_text("utf-8")).render(slug=self.name), "utf-8"
            )
        shutil.copy(ROOT / "template" / "chart" / "values.schema.json", self.folder / "chart")
        for name, text in files.items():
            text = text.replace("NAME", self.name).replace("REGISTRY", registry.host)
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(text.encode())
        for container in ("orders", "stock"):
            for name in (".dockerignore", "Dockerfile", "app.py", "healthcheck.py"):
                shutil.copy(SERVICE / "backend" / name, self.folder / container / name)
        shutil.copy(ROOT / "template" / "tasks.py", self.folder)
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.remote))
        self.git("init", "--quiet", "--initial-branch=main")
        for key, value in {"user.name": "Ann", "user.email": "ann@localhost"}.items():
            self.git("config", key, value)
        self.git("remote", "add", "origin", "../remote.git")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "feat: begin")
        self.git("tag", "--annotate", "--message", "v1.2.3", "v1.2.3")
        self.commit("fix(stock): count what is there", "src")
        self.commit("feat(orders): take orders\n\nIn batches.", "src")
        self.git("push", "--quiet", "--tags", "--set-upstream", "origin", "main")

    def git(self, *words: str) -> str:
        """Run git here."""
        return git(self.folder, *words).strip()

    def commit(self, message: str, file: str) -> str:
        """One more commit."""
        with (self.folder / file).open("a") as stream:
            stream.write(message)
        self.git("add", "--", file)
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def invoke(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `invoke release` as a person without a terminal does."""
        return self.python("-m", "invoke", "release", *words, **environment)

    def python(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run this Python here."""
        path = str(ROOT)
        return subprocess.run(
            [sys.executable, *words], cwd=self.folder, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, timeout=600,
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "300", "TASKFLOW_OFFLINE": "1",
                 "GIT_CONFIG_GLOBAL": os.devnull, **environment},
        )  # fmt: skip

    @property
    def journal(self) -> dict[str, Any]:
        """The one journal there is; empty without."""
        found = sorted(self.folder.glob("reports/release-*.json"))
        assert len(found) <= 1
        return dict(json.loads(found[0].read_text("utf-8"))) if found else {}

    @property
    def here(self) -> tuple[str, ...]:
        """The exact state of work tree, index and refs, and that no checkout is left."""
        return (
            self.git("status", "--porcelain", "--branch", "--untracked-files=all"),
            self.git("ls-files", "--stage"),
            self.git("for-each-ref", "refs/heads", "refs/tags"),
            self.git("stash", "list"),
            str(len(self.git("worktree", "list").splitlines())),
            *(f"{p.relative_to(self.folder)}: {p.read_bytes()!r}" for p in sorted(self.folder.rglob("*"))
              if p.is_file() and not {".git", ".nox", "reports", "__pycache__"} & {*p.parts}),
        )  # fmt: skip

    @property
    def there(self) -> str:
        """Every ref of the remote."""
        return git(self.remote, "for-each-ref")

    @property
    def state(self) -> tuple[object, ...]:
        """All that a release may change, but for the journal."""
        return self.here, self.there, self.registry.tags

    def copy(self, folder: Path) -> Shop:
        """The same project, remote and journal elsewhere; the registry is shared."""
        found = copy.copy(self)
        found.folder, found.remote = folder / "shop", folder / "remote.git"
        shutil.copytree(self.folder, found.folder, symlinks=True)
        shutil.copytree(self.remote, found.remote, symlinks=True)
        return found

    def killed(self, point: str, *words: str) -> None:
        """Run `invoke release`, which is killed at `do:STEP` (done, not noted) or `finish:STEP`."""
        done = self.python("-m", "tests.release.interrupted", point, *words)
        assert done.returncode == -signal.SIGKILL, done.stderr

    def hook(self, name: str, text: str, *, there: bool = True) -> None:
        """Put a hook into the remote, or here."""
        path = (self.remote if there else self.folder / ".git") / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)


@pytest.fixture(scope="session")
def signing(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a release's environment needs to sign: a key of cosign's; the public half is beside it."""
    if not shutil.which("cosign"):
        pytest.skip("needs cosign 3 (https://github.com/sigstore/cosign/releases)")
    folder = tmp_path_factory.mktemp("key")
    variables = {"COSIGN_PASSWORD": "", "COSIGN_KEY": str(folder / "cosign.key")}
    subprocess.run(["cosign", "generate-key-pair"], cwd=folder, env={**os.environ, **variables},
                   check=True, capture_output=True)  # fmt: skip
    return variables


def beside(repository: str, digest: str) -> list[str]:
    """The predicate types of the bundles beside an image, as this registry lists them, by a tag."""
    there = ImageRepository(repository)
    index = there.manifest(digest.replace(":", "-"))
    held = [there.manifest(one["digest"]) for one in index.get("manifests", ())]
    return sorted(one["annotations"]["dev.sigstore.bundle.predicateType"] for one in held)


def remove_images(engine: Engine, name: str) -> None:
    """Remove every image of a project; another one's may have the same ID."""
    words = ("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter")
    for pattern in (f"*/*/{name}*", f"{name}*"):
        # Podman's listing breaks off where an image goes away meanwhile.
        for _ in range(3):
            listed = engine.call(*words, f"reference={pattern}", check=False)
            if listed.returncode == 0:
                break
        images = [image for image in listed.stdout.split() if not image.endswith(":<none>")]
        engine.call("image", "rm", "--force", "--no-prune", *images, check=False)


@pytest.fixture
def shop(registry: Registry, engine: Engine, tmp_path: Path) -> Iterator[Shop]:
    """A project to release; its images are removed afterwards."""
    found = Shop(tmp_path, registry)
    yield found
    remove_images(engine, found.name)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Have one worker alone pass all tests that share the release whose gate takes minutes."""
    if "tested" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.xdist_group("release"))


@pytest.fixture(scope="session")
def tested(
    _programs: None, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """A release that was killed when its images were built and had passed every test."""
    folder = tmp_path_factory.mktemp("tested")
    registry = Registry(folder / "registry")
    registry.start()
    found = Shop(folder, registry)
    found.killed("finish:gate", "--yes")
    assert list(found.journal["steps"]) == ["prepare", "gate"]
    for name, image in found.journal["images"].items():
        # What one test takes back, the next one still needs.
        engine.call("tag", image["id"], f"{registry.host}/acme/{found.name}-{name}:kept")
    yield found
    registry.stop()
    remove_images(engine, found.name)


@pytest.fixture
def ready(tested: Shop, engine: Engine, tmp_path: Path) -> Shop:
    """A copy of that release, to go on with; the registry is empty, and nothing is promoted."""
    tested.registry.wipe()
    for image in tested.journal["images"].values():
        engine.call("image", "rm", "--no-prune", f"{image['repository']}:1.3.0", check=False)
    return tested.copy(tmp_path)
