"""One value of a file changes, and every other byte stays: comments, order, quotes, line ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskflow_containers.cluster import helm
from taskflow_containers.machine.errors import InputError
from taskflow_containers.release import changelog, versionfiles
from taskflow_containers.release.versions import Commit, Version
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
    keys = [place.split(".")]
    if after is None:
        with pytest.raises(InputError, match=name):
            versionfiles.replaced(name, before, keys, "9.0.0")
    else:
        assert versionfiles.replaced(name, before, keys, "9.0.0") == after.replace("9", "9.0.0")


def test_yaml_that_would_read_as_a_number_is_quoted() -> None:
    assert versionfiles.replaced(YAML, "a: 1.2.3\n", [["a"]], "9") == 'a: "9"\n'


def test_a_version_that_another_line_refers_to() -> None:
    text = "version: &v 1.2.3  # both\nappVersion: *v\n"
    both = [["version"], ["appVersion"]]
    assert versionfiles.replaced(YAML, text, both, "2.0.0") == text.replace("1.2.3", "2.0.0")
    with pytest.raises(InputError, match="touching more"):
        versionfiles.replaced(YAML, f"{text}other: *v\n", both, "2.0.0")


def test_the_projects_own_files_can_be_set(project: Path) -> None:
    files = versionfiles.find(project, ["backend", "frontend", "chart"])
    assert files == [
        "taskflow.toml",
        "backend/pyproject.toml",
        "frontend/package.json",
        "frontend/package-lock.json",
        "chart/Chart.yaml",
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


def test_the_chart_deploys_the_digests_written_into_its_values(project: Path) -> None:
    values = project / "chart" / "values.yaml"
    for name in ("backend", "frontend"):
        digest = "sha256:" + name[0] * 64
        versionfiles.edit(values, [("containers", name, "image", "digest")], digest)
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
    assert versionfiles.states(name, text, Version.parse("1.2.3")) is fine


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
