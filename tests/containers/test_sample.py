"""The project that `copier copy --defaults` gives passes its own lint, build, scan and smoke."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import dependency
from taskflow_containers import smoke
from taskflow_containers.checks import build
from taskflow_containers.engine import builder
from taskflow_containers.engine.client import Engine
from taskflow_containers.machine.errors import ExitCode
from taskflow_containers.project.load import load
from taskflow_containers.report.result import Result, Status
from taskflow_containers.smoke.stack import Stack
from taskflow_containers.workspace import Workspace
from tests.conftest import ROOT, Render
from tests.containers.conftest import NAME, failed, left_over, replace, smoked
from tests.containers.defects import DEFECTS_OF_SAMPLE

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("sample")]


def taskflow(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """One command of the project's own automation."""
    return subprocess.run(
        [sys.executable, "-m", "taskflow_containers", *words], cwd=folder, text=True, capture_output=True,
        env={**os.environ, "TASKFLOW_OFFLINE": ""}, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ["lint"],
        pytest.param(["build"], marks=pytest.mark.each_engine),
        ["scan", "--offline"],
        pytest.param(["smoke"], marks=pytest.mark.each_engine),
    ],
    ids=str,
)
def test_each_command_passes_and_reports(own: Path, engine: Engine, words: list[str]) -> None:
    done = taskflow(own, *words)
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    said = " ".join(done.stdout.split())  # a table's lines end where the terminal's do
    assert engine.description in said or words == ["lint"]
    report = json.loads((own / "reports" / f"{words[0]}.json").read_text(encoding="utf-8"))
    assert report["verdict"] == "passed"
    assert {result["container"] for result in report["results"]} >= {"backend", "frontend"}
    for ending in ("xml", "md"):
        assert (own / "reports" / f"{words[0]}.{ending}").stat().st_size > 200
    if words[0] in {"build", "smoke"}:
        assert len(report["images"]) == 2
    assert left_over(engine, load(own / "taskflow.toml")) == ""


@pytest.mark.parametrize("case", DEFECTS_OF_SAMPLE)
def test_a_broken_pool_or_probe_is_caught(
    own: Path, engine: Engine, case: str, tmp_path: Path
) -> None:
    project = load(own / "taskflow.toml")
    (good,) = build.build(Workspace(own, project, engine), ["backend"])
    tag = f"{project.image('backend')}:{case}"
    built = builder.build(
        engine, DEFECTS_OF_SAMPLE[case].write(tmp_path), tags=[tag], arguments={"BASE_IMAGE": good.tags[0]}, labels={},
        on_step=print,
    )  # fmt: skip
    image = build.Image("backend", built.image, (tag,))
    options = smoke.Options(smoke.select(["database", "neon"]))
    results = smoked(Workspace(own, project, engine), [image], options)
    assert failed(results) == {f"smoke.{case}"}, [r for r in results if r.failed]


@pytest.mark.thorough
def test_a_change_of_source_rebuilds_no_dependency(
    own: Path, engine: Engine, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(own, tmp_path / "changed", ignore=shutil.ignore_patterns(".git")))
    project = load(folder / "taskflow.toml")
    build.build(Workspace(folder, project, engine), project.containers)
    (folder / "backend/src/app/extra.py").write_text('"""More."""\n')
    page = folder / "frontend/src/app/extra/page.tsx"
    page.parent.mkdir()
    page.write_text("export default function Extra() {\n  return <p>More</p>;\n}\n")
    said: list[str] = []
    build.build(Workspace(folder, project, engine, said.append), project.containers)
    installs = ("container/install.sh", "container/install.mjs")
    assert not [line for line in said if any(words in line for words in installs)], said


@pytest.mark.thorough
def test_it_lies_below_a_path(own: Path, engine: Engine, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(own, tmp_path / "below", ignore=shutil.ignore_patterns(".git")))
    replace("frontend/next.config.ts", 'basePath = ""', 'basePath = "/shop"')(folder)
    entry = "[containers.frontend]\n"
    replace("taskflow.toml", entry, f'{entry}base-path = "/shop"\n')(folder)
    project = load(folder / "taskflow.toml")
    images = build.build(Workspace(folder, project, engine), project.containers)
    checks = ["page", "assets", "path", "server-side", "two-backends", "backend-away"]
    options = smoke.Options(smoke.select(checks))
    results = smoked(Workspace(folder, project, engine), images, options)
    assert failed(results) == set(), [r for r in results if r.failed]
    assert {r.id for r in results if r.status is Status.PASSED} == {
        f"smoke.{check}" for check in checks
    }
    # What runs in the browser knows the path, too.
    scripts = ["grep", "-r", "/shop/api/health", ".next/static"]
    engine.call("run", "--rm", "--no-healthcheck", images[1].tags[0], *scripts)


def test_a_lock_file_that_disagrees_ends_the_build_and_says_how(
    own: Path, engine: Engine, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(own, tmp_path / "more", ignore=shutil.ignore_patterns(".git")))
    project = load(folder / "taskflow.toml")
    before = dependency.add(folder / "frontend", mark="")
    dependency.restore({path: text for path, text in before.items() if "lock" in path.name})
    (image,) = build.build(Workspace(folder, project, engine), ["frontend"])
    assert "Missing: is-number@7.0.0 from lock file" in image.results[0].detail, image.results


def test_one_frontend_image_serves_two_backends(own: Path, engine: Engine) -> None:
    """API_URL is read when the container runs, for pages and for the browser's route alike."""
    project = load(own / "taskflow.toml")
    images = {
        i.container: i for i in build.build(Workspace(own, project, engine), project.containers)
    }
    answers = []
    for target in ("backend", "http://nobody.invalid:8000"):
        with Stack(Workspace(own, project, engine)) as stack:
            stack.start_service("database")
            targets = {name: stack.workspace.target(name, i.id) for name, i in images.items()}
            stack.start(targets["backend"])
            if target != "backend":
                stack.urls["backend"] = target
            frontend = stack.start(targets["frontend"])
            page, proxied = frontend.get("/", 10), frontend.get("/api/health", 10)
            answers.append((page.status, proxied.status, frontend.get("/health").status))
            assert b"nobody.invalid" not in page.body + proxied.body
    assert answers == [(200, 200, 200), (200, 502, 200)]


def test_the_frontend_answers_health_itself(own: Path, engine: Engine) -> None:
    """Whatever the method."""
    project = load(own / "taskflow.toml")
    (image,) = build.build(Workspace(own, project, engine), ["frontend"])
    with Stack(Workspace(own, project, engine)) as stack:
        frontend = stack.start(stack.workspace.target("frontend", image.id))
        answers = {}
        for method, path in (
            ("GET", "/health?x"),
            ("HEAD", "/health"),
            ("POST", "/health"),
            ("GET", "/healthy"),
        ):
            connection = frontend.connect(10)
            connection.request(method, path)
            answers[method, path] = connection.getresponse().status
            connection.close()
        assert [*answers.values()] == [200, 200, 405, 404], answers


@pytest.mark.parametrize(
    ("container", "variable", "value"),
    [
        ("backend", "DATABASE_URL", None),
        ("backend", "DATABASE_URL", ""),
        ("backend", "DATABASE_URL", "mysql://root:s3cret@db/x"),
        ("backend", "DATABASE_URL", "postgresql://root:s3cret@db/x?sslmode=s3cret"),
        ("frontend", "API_URL", None),
        ("frontend", "API_URL", "ftp://s3cret"),
    ],
)
def test_a_wrong_environment_ends_the_start_with_one_line(
    own: Path, engine: Engine, container: str, variable: str, value: str | None
) -> None:
    image = f"{load(own / 'taskflow.toml').image(container)}:dev"
    setting = [] if value is None else ["--env", f"{variable}={value}"]
    # Podman logs of its own that it finds no systemd to time a health check with.
    words = ["run", "--rm", "--no-healthcheck", *setting, image]
    done = engine.call(*words, check=False, timeout=20)
    assert done.returncode not in {0, 137}
    (line,) = (done.stdout + done.stderr).strip().splitlines()
    assert variable in line
    assert "s3cret" not in line


@pytest.mark.parametrize(
    ("container", "setting", "asks"),
    [
        ("backend", "DATABASE_URL=postgresql://u@nobody.invalid/x",
         "python -S /app/container/healthcheck.py http://localhost:8000/api/health/live"),
        ("frontend", "API_URL=http://nobody.invalid:8000",
         "node /app/container/healthcheck.cjs http://localhost:3000/health"),
    ],
)  # fmt: skip
def test_any_user_of_group_0_will_do(
    own: Path, engine: Engine, container: str, setting: str, asks: str
) -> None:
    """As OpenShift starts it: a user that no file knows; the folder for data is the group's, too."""
    image = f"{load(own / 'taskflow.toml').image(container)}:dev"
    words = [
        "run",
        "--detach",
        "--read-only",
        "--tmpfs=/tmp",
        "--user=1000680000:0",
        "--env",
        setting,
    ]
    started = engine.call(*words, image).stdout.strip()
    try:
        for _ in range(60):
            done = engine.call("exec", started, *asks.split(), check=False)
            if done.returncode == 0:
                break
            time.sleep(0.5)
        assert done.returncode == 0, engine.call("logs", started, check=False)
    finally:
        engine.call("rm", "--force", "--volumes", started)
    if container == "backend":
        writes = "open('/app/data/x', 'w')"
        engine.call("run", "--rm", "--user=1000680000:0", image, "python", "-c", writes)


def test_the_database_is_verified_by_the_systems_certificates(own: Path, engine: Engine) -> None:
    """`sslmode=verify-full&sslrootcert=system` finds what the base image trusts."""
    image = f"{load(own / 'taskflow.toml').image('backend')}:dev"
    script = (ROOT / "tests/containers/system_certificates.py").read_text(encoding="utf-8")
    words = ["run", "--rm", "--no-healthcheck", "--user=0:0", "--tmpfs=/etc/ssl/certs", image]
    done = engine.call(*words, "python", "-c", script, check=False, timeout=60)
    assert "trusted, by somebody" in done.stdout, done.stdout + done.stderr


@pytest.mark.thorough
def test_a_second_backend_is_an_entry_and_a_folder(
    render: Render, engine: Engine, tmp_path: Path
) -> None:
    folder = render(tmp_path / "two", containers="backend", slug=f"{NAME}-two")
    shutil.copytree(folder / "backend", folder / "reports-api")
    text = (folder / "taskflow.toml").read_text(encoding="utf-8")
    start, end = text.index("[containers.backend]"), text.index("[services.database]")
    second = text[start:end].replace("containers.backend", "containers.reports-api")
    (folder / "taskflow.toml").write_text(text[:end] + second + text[end:], encoding="utf-8")
    project = load(folder / "taskflow.toml")
    images = build.build(Workspace(folder, project, engine), project.containers)
    results: list[Result] = smoked(Workspace(folder, project, engine), images)
    assert failed(results) == set()
    assert {result.container for result in results} == {"backend", "reports-api"}


@pytest.fixture(scope="module", autouse=True)
def _remove_images(engine: Engine) -> Iterator[None]:
    yield
    for name in ("backend", "frontend", "two-backend", "two-reports-api"):
        listed = engine.call("images", "--quiet", f"{NAME}-{name}").stdout.split()
        if listed:
            engine.call("image", "rm", "--force", "--no-prune", *listed, check=False)


def test_the_contract_breaks_at_the_level_that_was_changed(own: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(own, tmp_path / "broken"))
    replace("backend/Dockerfile", "USER 1001:1001", "USER root")(folder)
    done = taskflow(folder, "lint")
    assert done.returncode == ExitCode.CHECK_FAILED
    assert "1001:1001" in done.stdout
    assert "root" in done.stdout
