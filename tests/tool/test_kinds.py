"""A worker and a cron job before anything runs: their files and images are held to what applies to them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from taskflow_containers.contract.compose import check_compose
from taskflow_containers.contract.dockerfile import check_dockerfile
from taskflow_containers.contract.image import check_image
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load
from taskflow_containers.report.result import Result
from tests.conftest import ROOT

LAST = "USER 1001:1001\n"
HEALTH = 'HEALTHCHECK --interval=30s --timeout=3s CMD ["python", "/app/well.py"]\n'
CMD = 'CMD ["python", "-u", "/app/job.py"]'
FOLDERS = {"mail": "jobs", "tidy": "tidy"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "tests" / "containers" / "background", tmp_path / "project"))


def failed(results: list[Result]) -> set[str]:
    return {result.id.split(".", 2)[2] for result in results if result.failed}


@pytest.mark.parametrize(
    ("name", "old", "new", "check"),
    [
        ("mail", "", "", None),
        ("tidy", "", "", None),
        ("mail", HEALTH, "HEALTHCHECK NONE\n", "healthcheck"),
        ("mail", HEALTH, "", "healthcheck"),
        ("mail", "/app/well.py", "/app/other.py", "healthcheck"),
        ("mail", HEALTH, "HEALTHCHECK CMD python /app/well.py\n", "healthcheck"),
        ("tidy", LAST, LAST + HEALTH, "healthcheck"),
        ("tidy", LAST, LAST + "HEALTHCHECK NONE\n", None),
        ("mail", LAST, LAST + "EXPOSE 8000\n", "port"),
        ("mail", CMD, 'CMD ["python", "/app/other.py"]', "command"),
        ("mail", CMD, "CMD python -u /app/job.py", "command"),
        ("mail", CMD, 'ENTRYPOINT ["tini", "--"]\n' + CMD, None),
        ("tidy", CMD, 'CMD ["python", "/app/other.py"]', None),  # it states no command
    ],
)
def test_a_dockerfile(name: str, old: str, new: str, check: str | None, folder: Path) -> None:
    path = folder / FOLDERS[name] / "Dockerfile"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    results = check_dockerfile(folder, load(folder / FILE_NAME), name)
    assert failed(results) == ({check} if check else set())


WELL = ["CMD", "python", "/app/well.py"]
CONFIG = {
    "User": "1001:1001", "Cmd": ["python", "-u", "/app/job.py"], "Env": ["RUNS=for ever"],
    "Healthcheck": {"Test": WELL},
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change", "check"),
    [
        ("mail", {}, None),
        ("tidy", {"Healthcheck": None}, None),
        ("tidy", {"Healthcheck": {"Test": ["NONE"]}}, None),
        ("tidy", {}, "healthcheck"),
        ("mail", {"Healthcheck": None}, "healthcheck"),
        ("mail", {"Healthcheck": {"Test": ["CMD-SHELL", "python /app/well.py"]}}, "healthcheck"),
        ("mail", {"ExposedPorts": {"8000/tcp": {}}}, "port"),
        ("mail", {"Cmd": ["python"]}, "command"),
    ],
)
def test_an_image(name: str, change: dict[str, object], check: str | None, folder: Path) -> None:
    project = load(folder / FILE_NAME)
    wrong = failed(check_image(project, name, CONFIG | change, ""))
    assert wrong - {"labels"} == ({check} if check else set())


SERVICE: dict[str, object] = {
    "user": "1001:1001", "read_only": True, "tmpfs": ["/tmp"], "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"], "mem_limit": 100_000_000,
    "environment": {"DATABASE_URL": "postgresql://a:b@database:5432/c"},
    "volumes": ["data:/app/data"],
}  # fmt: skip


@pytest.mark.compose
@pytest.mark.parametrize(
    ("name", "change", "check"),
    [
        ("mail", {}, None),
        ("mail", {"ports": ["127.0.0.1:8000:8000"]}, "port"),
        ("mail", {"healthcheck": {"disable": True}}, "healthcheck"),
        ("mail", {"healthcheck": {"test": ["CMD", "true"]}}, "healthcheck"),
        ("mail", {"healthcheck": {"test": WELL}}, None),
        ("tidy", {}, "profile"),
        ("tidy", {"profiles": ["cron"]}, None),
        ("tidy", {"profiles": ["cron"], "healthcheck": {"disable": True}}, None),
        ("tidy", {"profiles": ["cron"], "healthcheck": {"test": WELL}}, "healthcheck"),
    ],
)
def test_a_service_of_compose(
    name: str, change: dict[str, object], check: str | None, folder: Path
) -> None:
    image, build = f"background-{name}:dev", f"./{FOLDERS[name]}"
    entry = {**SERVICE, "image": image, "build": build, **change}
    database = {"image": "postgres:17-alpine"}
    services = {"services": {name: entry, "database": database}, "volumes": {"data": {}}}
    (folder / "compose.yaml").write_text(yaml.safe_dump(services), "utf-8")
    results = check_compose(folder, load(folder / FILE_NAME), [name])
    assert failed(results) == ({check} if check else set()), [(r.id, r.measured) for r in results]
