"""What `copier copy` writes: complete, valid and only what the answers ask for."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tomllib
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from unicodedata import normalize

import pytest
import yaml

from taskflow_containers.checks.readme import check_readme
from taskflow_containers.cluster import helm
from taskflow_containers.commands import ACTIONS
from taskflow_containers.contract.text import check_text
from taskflow_containers.project import FILE_NAME
from taskflow_containers.project.load import load
from taskflow_containers.release.state import Product
from taskflow_containers.report.result import Status
from tests.conftest import Render, git
from tests.template import choices

ALWAYS = {
    ".copier-answers.yml", ".devcontainer", ".editorconfig", ".env.example", ".gitattributes", ".gitignore",
    ".pre-commit-config.yaml", "README.md", "chart", "compose.yaml", "noxfile.py", ".renovaterc.json", "taskflow.toml", "tasks.py", "tools",
}  # fmt: skip
# No file may be called so there, with any ending.
WINDOWS = {
    "CON",
    "PRN",
    "AUX",
    "NUL",
    *(f"{name}{n}" for name in ("COM", "LPT") for n in range(10)),
}
CI = {"github": {".github"}, "gitlab": {".gitlab-ci.yml"}, "none": set[str]()}
# Locked files must not name the registry they were made from; put together so as not to match.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("deb", "debian", "org"),
    )
]
SETS = [{}, *choices.alone(), *choices.pairwise(choices.offered())]


@dataclass(frozen=True)
class Rendered:
    """A project and the answers it was rendered from."""

    answers: choices.Answers
    folder: Path

    def answer(self, name: str) -> object:
        """What was answered, or the default."""
        return self.answers.get(name, choices.questions()[name]["default"])

    @property
    def containers(self) -> set[str]:
        """The containers asked for."""
        wanted = str(self.answer("containers"))
        return {"backend", "frontend"} if wanted == "both" else {wanted}

    @property
    def database(self) -> bool:
        """Whether there is a database."""
        return "backend" in self.containers and bool(self.answer("database"))

    def files(self) -> list[Path]:
        """Every file, relative to the project."""
        found = self.folder.rglob("*")
        return sorted(p.relative_to(self.folder) for p in found if p.is_symlink() or p.is_file())

    def texts(self, *without: str) -> dict[str, str]:
        """The text files outside the named top folders."""
        found = {}
        for path in self.files():
            data = (self.folder / path).read_bytes()
            if path.parts[0] not in without and b"\0" not in data:
                found[path.as_posix()] = data.decode("utf-8")
        return found


# All tests of a set by one worker, so that it is rendered once.
GROUPED = [
    pytest.param(one, id=choices.label(one), marks=pytest.mark.xdist_group(choices.label(one)))
    for one in SETS
]


@pytest.fixture(scope="module", params=GROUPED)
def rendered(request: pytest.FixtureRequest, render: Render) -> Rendered:
    return Rendered(request.param, render(**request.param))


def test_top_of_the_project(rendered: Rendered) -> None:
    wanted = ALWAYS | rendered.containers | CI[str(rendered.answer("ci"))]
    wanted |= {"LICENSE"} if rendered.answer("licence") != "none" else set()
    wanted |= {"CODEOWNERS"} if rendered.answer("code_owners") else set()
    assert {path.name for path in rendered.folder.iterdir()} == wanted


def test_nothing_is_left_unrendered(rendered: Rendered, template: Path) -> None:
    for name, text in rendered.texts().items():
        source = template / "template" / name
        if source.is_file():
            assert text == source.read_text(encoding="utf-8"), name
        elif name.startswith("chart/templates/"):
            # Helm's to render; its helpers have names that no other project's have.
            chart = yaml.safe_load((rendered.folder / "chart/Chart.yaml").read_text("utf-8"))
            named = re.findall(r'(?:define|include|template) "(.+?)\.\w+"', text)
            assert "{%" not in text, name
            assert set(named) <= {chart["name"]}, name
        else:
            assert not re.search(r"(?<!\$)\{\{|\{%|\{#", text), name
    assert not [name for name in rendered.files() if name.suffix == ".jinja"]


def test_files_are_portable(rendered: Rendered) -> None:
    for path in rendered.files():
        full = rendered.folder / path
        assert not full.is_symlink(), path
        assert full.stat().st_mode & 0o777 in {0o644, 0o755}, path
        # Windows takes 260 characters with the folder that the project lies in.
        assert len(path.as_posix()) <= 200, path
        for part in path.parts:
            assert not re.search(r"[\"'<>:|?*\\{}\0-\x1f]|[ .]$", part), path
            assert part.split(".")[0].upper() not in WINDOWS, path
    # macOS and Windows do not tell names apart by case, and macOS not by how an accent is written.
    folded = [normalize("NFD", path.as_posix()).casefold() for path in rendered.files()]
    assert len(set(folded)) == len(folded)
    for name, text in rendered.texts().items():
        assert "\r" not in text, name
        assert not text or text.endswith("\n"), name
        assert not text.endswith("\n\n"), name


def test_a_checkout_on_windows_has_the_same_bytes(render: Render, tmp_path: Path) -> None:
    project, clone = render(tmp_path / "project"), tmp_path / "clone"
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "start")
    settings = ("-c", "core.autocrlf=true", "-c", "core.eol=crlf")
    git(tmp_path, *settings, "clone", "--quiet", str(project), str(clone), *settings)
    for name in git(project, "ls-files", "-z").rstrip("\0").split("\0"):
        assert (clone / name).read_bytes() == (project / name).read_bytes(), name
    model = load(clone / FILE_NAME)
    assert [
        result for result in check_text(clone, model, list(model.containers)) if result.failed
    ] == []
    assert git(clone, "status", "--porcelain") == ""


def test_files_parse(rendered: Rendered, template: Path) -> None:
    for name, text in rendered.texts().items():
        # The services' own Python is newer than what may run this; copied files are linted there.
        if name.startswith("backend/") and (template / "template" / name).is_file():
            continue
        if name.startswith("chart/templates/"):  # Helm's to render; tests/chart does
            continue
        match Path(name).suffix:
            case ".toml":
                tomllib.loads(text)
            case ".json":
                # TypeScript's own configuration may carry comments.
                lines = [line for line in text.splitlines() if not line.lstrip().startswith("//")]
                json.loads("\n".join(lines) if Path(name).name == "tsconfig.json" else text)
            case ".yaml" | ".yml":
                assert yaml.safe_load(text), name
            case ".py":
                compile(text, name, "exec")


def test_the_description_is_written_as_it_was_answered(rendered: Rendered) -> None:
    """As it is, not escaped: Helm refuses the two halves of an emoji."""
    description = str(rendered.answer("description"))
    chart = (rendered.folder / "chart/Chart.yaml").read_text(encoding="utf-8")
    assert f'description: "{description}"\n' in chart
    assert yaml.safe_load(chart)["description"] == description
    if "frontend" in rendered.containers:
        site = (rendered.folder / "frontend/src/site.json").read_text(encoding="utf-8")
        assert f'"{description}"' in site
        told = {"title": rendered.answer("project_name"), "description": description}
        assert json.loads(site) == told
    answers = (rendered.folder / ".copier-answers.yml").read_text(encoding="utf-8")
    assert yaml.safe_load(answers)["description"] == description


def test_model_and_contract(rendered: Rendered) -> None:
    project = load(rendered.folder / FILE_NAME)
    assert project.containers.keys() == rendered.containers
    assert project.title == rendered.answer("project_name")
    assert project.registry == rendered.answer("registry")
    results = check_text(rendered.folder, project, list(project.containers))
    assert results
    assert [result for result in results if result.failed] == []


def test_renovate_finds_the_images_of_the_model_and_leaves_its_own_alone(
    rendered: Rendered,
) -> None:
    settings = json.loads((rendered.folder / ".renovaterc.json").read_text(encoding="utf-8"))
    assert settings["copier"]["enabled"] is (rendered.answer("ci") == "none")
    (pattern,) = settings["customManagers"][0]["matchStrings"]
    text = (rendered.folder / FILE_NAME).read_text(encoding="utf-8")
    found = {
        f"{one['depName']}:{one['currentValue']}"
        for one in re.finditer(pattern.replace("(?<", "(?P<"), text)
    }
    project = load(rendered.folder / FILE_NAME)
    services = {service.image for service in project.services.values()}
    assert found == {container.base for container in project.containers.values()} | services
    own = settings["packageRules"][0]["matchPackageNames"][0].strip("/")
    for name in project.containers:
        assert re.search(own, project.image(name))
    assert not [image for image in found if re.search(own, image.partition(":")[0])]


def test_the_readme_of_the_chart_is_its_own(rendered: Rendered) -> None:
    """Its values, the versions that it asks for, and where a release puts it."""
    result = check_readme(rendered.folder / "chart")
    assert result.status is Status.PASSED, result
    text = (rendered.folder / "chart/README.md").read_text(encoding="utf-8")
    metadata = yaml.safe_load((rendered.folder / "chart/Chart.yaml").read_text(encoding="utf-8"))
    oldest = metadata["kubeVersion"].removeprefix(">=").removesuffix(".0-0")
    assert f"Kubernetes {oldest} or newer" in text
    assert f"Helm {helm.OLDEST[0]}.{helm.OLDEST[1]} or newer" in text
    project = load(rendered.folder / FILE_NAME)
    chart = Product.of(rendered.folder, project, ()).chart
    assert (f"oci://{chart} --version" if project.registry else f" {project.name} ./chart ") in text
    assert (f"{project.name}-backend --from-literal=DATABASE_URL=" in text) is rendered.database


def test_no_package_registry_is_named(rendered: Rendered) -> None:
    for name, text in rendered.texts().items():
        assert not [host for host in REGISTRIES if host in text], name


def test_only_what_was_chosen(rendered: Rendered) -> None:
    compose = yaml.safe_load((rendered.folder / "compose.yaml").read_text(encoding="utf-8"))
    services = rendered.containers | ({"database"} if rendered.database else set())
    assert compose["services"].keys() == services
    texts = rendered.texts("tools")
    if not rendered.database:
        found = {
            name
            for name, text in texts.items()
            if re.search(r"psycopg|DATABASE_URL|postgres", name + text, re.IGNORECASE)
        }
        assert not found
    for absent in {"backend", "frontend"} - rendered.containers:
        named = re.compile(rf"(?<![\w/.-]){absent}/")
        assert not [name for name in texts if named.search(texts[name])]


def test_answers_file(rendered: Rendered, template: Path) -> None:
    text = (rendered.folder / ".copier-answers.yml").read_text(encoding="utf-8")
    answers = yaml.safe_load(text)
    assert answers.pop("_commit") == "v0.1.0"
    assert answers.pop("_src_path") == str(template)
    expected = {name: rendered.answer(name) for name in choices.asked(rendered.answers)}
    assert answers | {"slug": ""} == expected | {"slug": ""}
    project = load(rendered.folder / FILE_NAME)
    assert answers["slug"] == project.name


def test_readme_names_what_is_there(rendered: Rendered) -> None:
    text = (rendered.folder / "README.md").read_text(encoding="utf-8")
    sessions = decorated(rendered.folder / "noxfile.py", "session")
    tasks = {command.task for command in ACTIONS}
    named = set(re.findall(r"\bnox (?:-s|--session) (\w+)", text))
    assert named
    assert named <= sessions
    named = set(re.findall(r"\binvoke (\w[\w-]*)", text))
    assert named
    assert named <= tasks
    assert set(re.findall(r"\bsmoke -- (\w+)", text)) <= rendered.containers
    table = re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
    for name in (name for cell in table for name in re.findall(r"`([^`]+)`", cell)):
        assert (rendered.folder / name).exists(), name


def decorated(path: Path, decorator: str) -> set[str]:
    """The functions of a file under `@decorator` or `@decorator(…)`."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names = {ast.unparse(mark).split("(")[0].split(".")[-1] for mark in node.decorator_list}
            found |= {node.name} & ({node.name} if decorator in names else set())
    return found


def test_defaults_are_taskflow(sample: Path) -> None:
    project = load(sample / FILE_NAME)
    assert (project.name, project.title, project.registry) == ("taskflow", "TaskFlow", "")
    assert set(project.containers) == {"backend", "frontend"}
    assert set(project.services) == {"database"}
    for container in ("backend", "frontend"):
        assert (sample / container / "Dockerfile").is_file()
        assert (sample / container / ".dockerignore").is_file()


def test_a_project_holds_only_what_is_its_own(render: Render, template: Path) -> None:
    sample = render()  # the shared one holds what Python cached beside its noxfile
    files = [path for path in sample.rglob("*") if path.is_file()]
    assert len(files) <= 100
    assert len([path for path in sample.iterdir() if path.name[0] != "."]) <= 9
    assert {path.name for path in (sample / "tools").iterdir()} == {
        "requirements.txt", "requirements-lint.txt", "requirements-scan.txt",
        "requirements-chart.txt", "requirements-nox.txt", "taskflow.txt",
        "taskflow.schema.json",
    }  # fmt: skip
    for name in ("noxfile.py", "tasks.py"):
        assert (sample / name).read_bytes() == (template / "template" / name).read_bytes()


def test_no_secret_is_committed(sample: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_bytes((sample / ".gitignore").read_bytes())
    names = [".env", ".env.local", ".venv/x", ".nox/x", "reports/x", "backend/__pycache__/x.pyc"]
    kept = [".env.example", "frontend/package-lock.json"]
    done = subprocess.run(
        ["git", "-C", str(tmp_path), "check-ignore", *names, *kept],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split() == names


def test_every_pair_of_choices_is_rendered() -> None:
    offered = choices.offered()
    rows = choices.pairwise(offered)
    for (a, of_a), (b, of_b) in combinations(offered.items(), 2):
        assert {(row[a], row[b]) for row in rows} == {(x, y) for x in of_a for y in of_b}
    largest, second = sorted(map(len, offered.values()))[-2:][::-1]
    assert len(rows) <= largest * second + 4


@pytest.mark.parametrize(
    ("project_name", "slug"),
    [
        ("TaskFlow", "taskflow"),
        ("123 App", "app"),
        ("9 Lives & Co", "lives-co"),
        ("Tâche", "t-che"),
        ("日本", "taskflow"),
        ("42", "taskflow"),
        ("x" * 60, "x" * 40),
        ("a" * 39 + " tail", "a" * 39),
        ("a & + . - _ z", "a-z"),
        ("Con", "con-app"),
        ("backend", "backend-app"),
        ("12 latest", "latest-app"),
    ],
)
def test_slug_from_an_odd_name(project_name: str, slug: str, ask: choices.Ask) -> None:
    assert ask(project_name=project_name)["slug"] == slug
