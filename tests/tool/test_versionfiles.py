"""One value of a file changes, and every other byte stays: comments, order, quotes, line ends."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from taskflow_containers.checks import locks
from taskflow_containers.cluster import helm
from taskflow_containers.machine.errors import InputError
from taskflow_containers.machine.process import run
from taskflow_containers.machine.tools import node_path, npm, tool
from taskflow_containers.release import changelog, versionfiles
from taskflow_containers.release.onevalue import replaced
from taskflow_containers.release.versions import Commit, Version
from taskflow_containers.report.result import Status
from tests.conftest import ROOT

TOML, YAML, JSON = "x.toml", "x.yaml", "x.json"


@pytest.mark.parametrize(
    ("name", "place", "before", "after"),
    [
        (TOML, "version", 'version = "1"  # c\n[x]\nversion = "1"\n',
         'version = "9"  # c\n[x]\nversion = "1"\n'),
        (TOML, "project.version", '# top\nproject.version="1" # c\r\nproject.name = \'x\'\n[b]\n a.c = [ 1,\n  2 ]\n',
         '# top\nproject.version="9" # c\r\nproject.name = \'x\'\n[b]\n a.c = [ 1,\n  2 ]\n'),
        (TOML, "version", "version = ", None),
        (TOML, "project.version", "[a]\nversion='1'\r\n[ project ]\r\nversion='1'\r\n",
         "[a]\nversion='1'\r\n[ project ]\r\nversion='9'\r\n"),
        (TOML, "version", '[[x]]\nversion = "1"\n', None),
        (TOML, "version", "version = 1\n", None),
        (TOML, "project.version", '[project]\ndynamic = ["version"]\n', None),
        (TOML, "version", 'a = """\nversion = "1"\n"""\n', None),
        ("uv.lock", "package...version",
         '[[package]]\nname = "a"\nversion = "1"\nsource = { registry = "x" }\n\n[[package]]\nname = "b"\nversion = "1"\nsource = { virtual = "." }\n',
         '[[package]]\nname = "a"\nversion = "1"\nsource = { registry = "x" }\n\n[[package]]\nname = "b"\nversion = "9"\nsource = { virtual = "." }\n'),
        (YAML, "version", "a: b\nversion: 1.2.3 # c\n", "a: b\nversion: 9 # c\n"),
        (YAML, "version", "version: '1'\nx:\n  version: 1\n", "version: '9'\nx:\n  version: 1\n"),
        (YAML, "c.a.image.digest", 'c:\n  b:\n    image:\n      digest: ""\n  a:\n    image:\n      digest: "" # x\n',
         'c:\n  b:\n    image:\n      digest: ""\n  a:\n    image:\n      digest: "9" # x\n'),
        (YAML, "c.digest", "c:\n  digest:\n  tag: x\n", 'c:\n  digest: "9"\n  tag: x\n'),
        (YAML, "c.digest", "c:\r\n  digest:\r\n", 'c:\r\n  digest: "9"\r\n'),
        (YAML, "c.digest", "c: {digest: x, e: 1}\n", "c: {digest: 9, e: 1}\n"),
        (YAML, "c.digest", "c: {e: 1}\n", 'c: {digest: "9", e: 1}\n'),
        (YAML, "c.digest", "c: {}\n", 'c: {digest: "9"}\n'),
        (YAML, "c.a.digest", "{c: {a: &a { # y\n  e: 1}}}", '{c: {a: &a {digest: "9", # y\n  e: 1}}}'),
        (YAML, "c.digest", "c: &c {e: 1}\nd: *c\n", None),
        (YAML, "c.digest", "c: &c !!map\n  x: 1 # x\nd: *c\n", None),
        (YAML, "c.digest", "b: &b\n  digest: 1\nc:\n  <<: *b\n  y: 2\n",
         'b: &b\n  digest: 1\nc:\n  digest: "9"\n  <<: *b\n  y: 2\n'),
        (YAML, "version", "version: !!str 1.2.3 # c\n", "version: !!str 9 # c\n"),
        (YAML, "version", "version: |\n  1.2.3\n", None),
        (YAML, "version", "name: x\n", None),
        (YAML, "version", "version: 1\n---\nversion: 1\n", None),
        (YAML, "version", "- version: 1\n", None),
        (YAML, "é.version", "é:\n- a\n", None),
        (YAML, "c.digest", "c:\n  # of x\n  x:\n    digest: 1\n", 'c:\n  digest: "9"\n  # of x\n  x:\n    digest: 1\n'),
        (YAML, "c.a.digest", "c:\r\n    a:\r\n        x: 1\r\n    b: 2\r\n",
         'c:\r\n    a:\r\n        digest: "9"\r\n        x: 1\r\n    b: 2\r\n'),
        (YAML, "c.a.digest", "c:\n  b:\n    x: 1\n", None),
        (JSON, "version", '{\n\t"version": "1",\n\t"ü": [\n\t\t1\n\t]\n}', '{\n\t"version": "9",\n\t"ü": [\n\t\t1\n\t]\n}'),
        (JSON, "version", '{"version":"1"}', '{"version":"9"}'),
        (JSON, "version", '{\r\n  "files": ["dist"],\r\n  "a": {"version": "1"}, "version" : "1" ,"b":[]}\r\n\r\n',
         '{\r\n  "files": ["dist"],\r\n  "a": {"version": "1"}, "version" : "9" ,"b":[]}\r\n\r\n'),
        (JSON, "packages..version", '{"packages": {"x": {"version": "1"}, "": { "version": "1", "\\u0041": 1e5 }}}',
         '{"packages": {"x": {"version": "1"}, "": { "version": "9", "\\u0041": 1e5 }}}'),
        (JSON, "version", '{"version": "1", "version": "2"}', '{"version": "1", "version": "9"}'),
        (JSON, "version", "{}", None),
        (JSON, "version", '["version"]', None),
        (JSON, "version", '{"version": "1",}', None),
    ],
)  # fmt: skip
def test_one_value_changes(name: str, place: str, before: str, after: str | None) -> None:
    keys = [place.replace("...", "/./").split("/" if "..." in place else ".")]
    if after is None:
        with pytest.raises(InputError, match=name):
            replaced(name, before, keys, "9.0.0")
    else:
        assert replaced(name, before, keys, "9.0.0") == after.replace("9", "9.0.0")


def test_yaml_that_would_read_as_a_number_is_quoted() -> None:
    assert replaced(YAML, "a: 1.2.3\n", [["a"]], "9") == 'a: "9"\n'


def test_a_version_that_another_line_refers_to() -> None:
    text = "version: &v 1.2.3  # both\nappVersion: *v\n"
    both = [["version"], ["appVersion"]]
    assert replaced(YAML, text, both, "2.0.0") == text.replace("1.2.3", "2.0.0")
    with pytest.raises(InputError, match="touching more"):
        replaced(YAML, f"{text}other: *v\n", both, "2.0.0")


def test_the_projects_own_files_can_be_set(project: Path) -> None:
    files = found(project, "0.1.0", ["backend", "frontend", "chart"]).files
    assert files == [
        "taskflow.toml",
        "backend/pyproject.toml",
        "frontend/package.json",
        "chart/Chart.yaml",
        "frontend/package-lock.json",
    ]
    old = {name: (project / name).read_bytes() for name in files}
    versionfiles.write(project, files, Version.parse("1.2.3"))
    changed = []
    for name, before in old.items():
        lines = before.splitlines(keepends=True)
        after = (project / name).read_bytes().splitlines(keepends=True)
        pairs = [(a, b) for a, b in zip(lines, after, strict=True) if a != b]
        assert all(b == a.replace(b"0.0.0", b"1.2.3").replace(b"0.1.0", b"1.2.3") for a, b in pairs)
        changed.append(len(pairs))
    assert changed == [1, 1, 1, 2, 2]


def found(root: Path, own: str, folders: Sequence[str] = ()) -> versionfiles.Found:
    tracked = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    return versionfiles.find(root, tracked, folders, {own})


@pytest.mark.parametrize(
    ("name", "text"),  # @ is where the version stands
    [
        ("pyproject.toml", "# é\r\n[tool.poetry]\r\nname = 'x'\r\nversion = '@' # c\r\n"),
        ("pyproject.toml", '[project]\nversion = "@"\n[tool.x]\nversion = "1.2"\n'),
        ("pyproject.toml", '[project]\ndynamic = ["version"]\n[tool.hatch.version]\nsource = "vcs"\n'),
        ("pyproject.toml", '[tool.poetry]\nversion = "1.2"\n[tool.poetry-dynamic-versioning]\nenable = true\n'),
        ("setup.cfg", "[metadata]\r\nname = x\r\nVersion: @  \r\nurl = y\r\n[x]\r\nversion = 1.2\r\n"),
        ("setup.cfg", "[x]\nversion = 1.2\n[metadata]\nversion_of = 1.2\nversion=@"),
        ("setup.cfg", "[metadata]\nversion = attr: x.__version__\n"),
        ("setup.cfg", "[metadata]\nname = x\n"),
        ("setup.py", "from setuptools import setup\r\nsetup(name='é', version='@',  # é 1.2\r\n)\r\n"),
        ("setup.py", 'import setuptools as s\ns.setup(\n\tdescription="""é\n1.2""", version="@")'),
        ("setup.py", "setup(version=open('VERSION').read())\n"),
        ("setup.py", "setup(**options)\n"),
        ("package.json", '{\r\n  "name": "x", "version":"@"\r\n}'),
        ("package.json", '{"private": true}'),
    ],
)  # fmt: skip
def test_a_manifest_is_set_where_it_states_the_projects_own_version(
    name: str, text: str, tmp_path: Path
) -> None:
    file, before = tmp_path / name, text.replace("@", "1.2").encode()
    file.write_bytes(before)
    assert versionfiles.highest(tmp_path, []) == ("1.2.0" if "@" in text else "")
    told = found(tmp_path, "4.0.0")
    stated = "1.2" if "@" in text else "computed" if "attr:" in text or "open" in text else ""
    assert (told.files, told.others) == ([], [f"{name} ({stated})"] * bool(stated))
    files = found(tmp_path, "1.2.0").files
    assert files == [name] * ("@" in text)
    versionfiles.write(tmp_path, files, Version.parse("9.8.7-rc.1"))
    assert file.read_bytes() == text.replace("@", "9.8.7-rc.1").encode()


def test_what_cannot_be_set_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "setup.cfg").write_text("[metadata]\nversion =\n  1.2.3\n")
    files = found(tmp_path, "1.2.3").files
    with pytest.raises(InputError, match=r"setup\.cfg: .*touching more"):
        versionfiles.require_settable(tmp_path, files, Version.parse("2.0.0"))
    (tmp_path / "setup.py").write_text("setup(version=\n")
    with pytest.raises(InputError, match=r"setup\.py cannot be read"):
        found(tmp_path, "1.2.3")


def test_members_of_a_workspace_and_their_locks_follow(tmp_path: Path) -> None:
    """What states another version is named and stays; lint takes what was set, uv's and npm's locks too."""
    texts = {
        "taskflow.toml": 'version = "1.2.3"\n',
        "pyproject.toml": '[project]\nname = "top"\nversion = "1.2.3"\nrequires-python = ">=3.11"\n'
        'dependencies = ["core", "own"]\n[tool.uv.sources]\ncore.workspace = true\nown.workspace = true\n'
        '[tool.uv.workspace]\nmembers = ["libs/*"]\nexclude = ["libs/out"]\n',
        "package.json": '{"name": "top", "version": "1.2.3", "workspaces": ["web/*", "!web/out"]}',
        "js/package.json": '{"name": "js", "version": "1.2.3"}',
        "js/pnpm-workspace.yaml": "packages: ['**', '!**/out']\n",
        "poetry/pyproject.toml": '[tool.poetry]\nname = "p"\nversion = "1.2.3"\n'
        '[tool.poetry.dependencies]\nshared = {path = "../shared", develop = true}\n',
        "shared/pyproject.toml": '[tool.poetry]\nname = "shared"\nversion = "1.2.3"\n',
    }
    for name, stated in {"core": "1.2.3", "own": "7.0.0", "out": "1.2.3"}.items():
        project = f'[project]\nname = "{name}"\nversion = "{stated}"\nrequires-python = ">=3.11"\n'
        texts[f"libs/{name}/pyproject.toml"] = project
        for folder in ("web", "js/a/b"):
            package = f'{{"name": "{name}-{folder[0]}", "version": "{stated}"}}'
            texts[f"{folder}/{name}/package.json"] = package
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    npm_lock = [*npm(), "install", "--package-lock-only", "--offline", "--no-audit"]
    for words in ([str(tool("uv")), "lock", "--offline", "--quiet"], map(str, npm_lock)):
        done = run([*words], cwd=tmp_path, env=node_path(), timeout=120)
        assert done.returncode == 0, done.stderr
    told = found(tmp_path, "1.2.3", ["js", "poetry"])
    assert sorted(told.others) == [
        "js/a/b/own/package.json (7.0.0)",
        "libs/own/pyproject.toml (7.0.0)",
        "web/own/package.json (7.0.0)",
    ]
    assert not [name for name in told.files if "/out/" in name]
    version = Version.parse("2.0.0-rc.1")
    versionfiles.write(tmp_path, told.files, version)
    for name in told.files:
        text = (tmp_path / name).read_text()
        assert "1.2.3" not in text or name == "uv.lock", name
        assert versionfiles.states(name, text, version, told.files), name
    locked = tomllib.loads((tmp_path / "uv.lock").read_text())["package"]
    assert {one["name"]: one["version"] for one in locked} == {
        "top": "2.0.0-rc.1",
        "core": "2.0.0-rc.1",
        "own": "7.0.0",
    }
    packages = json.loads((tmp_path / "package-lock.json").read_text())["packages"]
    assert {
        name: one.get("version") for name, one in packages.items() if "modules" not in name
    } == {
        "": "2.0.0-rc.1",
        "web/core": "2.0.0-rc.1",
        "web/own": "7.0.0",
    }
    judged = locks.check(tmp_path, "api", tmp_path)
    assert judged.status is Status.PASSED, judged.detail


def test_the_chart_deploys_the_digests_written_into_its_values(project: Path) -> None:
    values = project / "chart" / "values.yaml"
    for name in ("backend", "frontend"):
        digest = "sha256:" + name[0] * 64
        place = ("containers", name, "image", "digest")
        values.write_text(replaced("values.yaml", values.read_text(), [place], digest))
    objects = helm.render(helm.find(ROOT), project / "chart")
    images = [
        container["image"]
        for item in objects
        if item["kind"] == "Deployment"
        for container in item["spec"]["template"]["spec"]["containers"]
    ]
    assert sorted(image.partition("@")[2] for image in images) == [
        "sha256:" + letter * 64 for letter in "bf"
    ]


def test_an_error_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"name": "x"}')
    for act in (versionfiles.write, versionfiles.require_settable):
        with pytest.raises(InputError, match=r"package\.json: there is no version to set"):
            act(tmp_path, ["package.json"], Version.parse("1.2.3"))


@pytest.mark.parametrize(
    ("name", "text", "fine"),
    [
        ("package-lock.json", '{"version": "1.2.3", "packages": {"": {"version": "1.2.3"}}}', True),
        (
            "package-lock.json",
            '{"version": "1.2.3", "packages": {"": {"version": "1.2.2"}}}',
            False,
        ),
        ("Chart.yaml", "version: 1.2.3\nappVersion: '1.2.3'\n", True),
        ("Chart.yaml", "version: 1.2.3\n", False),
        ("taskflow.toml", "version = ", False),
    ],
)
def test_whether_a_file_states_a_version(name: str, text: str, fine: bool) -> None:
    files = {"package.json", name}
    assert versionfiles.states(name, text, Version.parse("1.2.3"), files) is fine


COMMITS = [
    Commit("a" * 40, "feat(api)!: rename it\n\nBREAKING CHANGE: `old` is `new`"),
    Commit("b" * 40, "fix: one"),
    Commit("c" * 40, "docs: not for users"),
    Commit("d" * 40, "perf: quick"),
    Commit("e" * 40, 'Revert "feat: x"'),
]


def test_notes_are_grouped_breaking_first() -> None:
    text = changelog.notes(COMMITS, "https://git.example/x/")
    titles = [line for line in text.splitlines() if line.startswith("#")]
    assert titles == ["### Breaking", "### Added", "### Fixed", "### Faster", "### Reverted"]
    assert "- **api:** `old` is `new` ([aaaaaaa](https://git.example/x/commit/aaaaaaa" in text
    assert "not for users" not in text
    assert changelog.notes([COMMITS[2]]) == "Nothing that users notice.\n"


MADE = "### Fixed\n\n- one (bbbbbbb)"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "# Changelog\n\nWhat changed for those who use this; newest first.\n\n## 1.2.3 (D)\n\nB\n"),
        ("# C\n\nintro\n", "# C\n\nintro\n\n## 1.2.3 (D)\n\nB\n"),
        ("# C\n\n## 1.0.0\n\nx", "# C\n\n## 1.2.3 (D)\n\nB\n\n## 1.0.0\n\nx"),
        # An Unreleased section that says nothing stays as it is.
        ("# C\n\n## [Unreleased]\n\n### Added\n\n<!-- here -->\n\n## [1.0.0]\n",
         "# C\n\n## [Unreleased]\n\n### Added\n\n<!-- here -->\n\n## 1.2.3 (D)\n\nB\n\n## [1.0.0]\n"),
        ("# C\r\n\r\n## 1\r\n", "# C\r\n\r\n## 1.2.3 (D)\r\n\r\nB\r\n\r\n## 1\r\n"),
        ("# C\n\n[0]: https://intro\n\n## 1.0.0\n", "# C\n\n[0]: https://intro\n\n## 1.2.3 (D)\n\nB\n\n## 1.0.0\n"),
        # What people wrote goes into the release.
        ("# C\n\n## [Unreleased]\n\ny\n\n## [1.0.0]\n",
         "# C\n\n## [Unreleased]\n\n## 1.2.3 (D)\n\ny\n\nB\n\n## [1.0.0]\n"),
        ("# C\n\n## Unreleased\n<!-- here -->\n### Changed\n- c\n\n### Fixed\n- by hand\n\n[1.0.0]: https://x\n",
         "# C\n\n## Unreleased\n\n<!-- here -->\n\n## 1.2.3 (D)\n\n### Changed\n\n- c\n\n### Fixed\n\n- by hand\n"
         "- one (bbbbbbb)\n\n[1.0.0]: https://x\n"),
        ("# C\r\n\r\n## [Unreleased]\r\n\r\n- y\r\n  z\r\n\r\n## 1\r\n",
         "# C\r\n\r\n## [Unreleased]\r\n\r\n## 1.2.3 (D)\r\n\r\n- y\r\n  z\r\n\r\nB\r\n\r\n## 1\r\n"),
        # A proposal that was never tagged becomes this release; what it tells is not told twice.
        ("# C\n\n## [Unreleased]\n\n- later\n\n## 1.2.2 (C)\n\n### Added\n\n- two\n\n## 1.0.0\n",
         "# C\n\n## [Unreleased]\n\n## 1.2.3 (D)\n\n- later\n\n### Added\n\n- two\n\nB\n\n## 1.0.0\n"),
        ("# C\n\n## 1.2.2 (C)\n\n### Fixed\n\n- reworded (bbbbbbb)\n",
         "# C\n\n## 1.2.3 (D)\n\n### Fixed\n\n- reworded (bbbbbbb)\n"),
    ],
)  # fmt: skip
def test_a_release_goes_on_top(before: str, after: str) -> None:
    version = Version.parse("1.2.3")
    made = MADE.replace("\n", "\r\n") if "\r" in before else MADE
    text, notes = changelog.with_release(before, version, "D", COMMITS[1:3], pending="1.2.2")
    assert text == after.replace("B", made)
    assert notes == changelog.body(text, "1.2.3")


def test_breaking_changes_come_first() -> None:
    before = "## Unreleased\n\nIn short.\n\n### Fixed\n\n- by hand\n"
    _, notes = changelog.with_release(before, Version.parse("2.0.0"), "D", COMMITS[:2])
    titles = [line for line in notes.splitlines() if line.startswith("#")]
    assert titles == ["### Breaking", "### Fixed", "### Added"]
    assert notes.startswith("In short.\n\n### Breaking\n\n- **api:**")
    _, notes = changelog.with_release(before, Version.parse("2.0.0"), "D", COMMITS[2:3])
    assert notes == "In short.\n\n### Fixed\n\n- by hand\n", "nothing is said of nothing"


@pytest.mark.parametrize(
    ("line", "found"),
    [("## 1.2.3", True), ("## [1.2.3] - 2026-01-01", True), ("## 1.2.3 (x)", True),
     ("## 1.2.30", False), ("## 1.2.3-rc.1", False), ("### 1.2.3", False), ("## 11.2.3", False)],
)  # fmt: skip
def test_a_section_is_its_versions_own(line: str, found: bool) -> None:
    assert changelog.body(f"# C\n\n{line}\n\nx\n", "1.2.3") == ("x\n" if found else "")
