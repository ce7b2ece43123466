"""The reader of .dockerignore files: the same files as Docker's."""

import re
import tarfile
from pathlib import Path

import pytest

from taskflow_containers.contract import dockerignore
from taskflow_containers.engine import builder
from taskflow_containers.engine.client import Engine


def excluded(folder: Path, text: str, path: str) -> bool:
    file = folder / ".dockerignore"
    file.write_text(text, encoding="utf-8")
    return dockerignore.excludes(dockerignore.read(file), path)


# A file's text, the paths it keeps out, the paths it lets in.
RULES = {
    "a name, at the top only": ("foo", "foo foo/a foo/b/c", "a/foo foobar barfoo"),
    "a star stays in its folder": ("*/temp*", "a/temp a/temporary.txt a/temp/x", "temp a/b/temp"),
    "a question mark is one character": ("temp?", "tempa tempb/x", "temp tempab"),
    "a class of characters": ("[a-c]x\n[^0-9]y", "ax bx zy", "dx 1y"),
    "all but": ("*\n!src", "a b/c .env", "src src/a src/b/c"),
    "all but a file deep inside": ("*\n!src/app/main.py", "src/a src/app/b", "src/app/main.py"),
    "out again": ("*\n!src\nsrc/secret", "src/secret src/secret/a x", "src/a"),
    "the last line wins": ("!README.md\n*.md", "README.md a.md", "a/b.md"),
    "in again": ("*.md\n!README*.md\nREADME-secret.md", "a.md README-secret.md", "README.md README-x.md"),
    "at any depth": ("**/x", "x a/x a/b/x a/x/y", "ax a/xb"),
    "an ending at any depth": ("**/*.py[co]", "a.pyc a/b.pyo", "a.py a/b.pyx"),
    "between": ("a/**/b", "a/b a/x/b a/x/y/b a/x/b/c", "b x/a/b ab"),
    "two stars at the end": ("a/**\nb**", "a/x a/x/y b bx bx/y", "a xb"),
    "two stars are whole folders": ("**.pyc", ".pyc a/.pyc", "a.pyc a/b.pyc"),
    "everything": ("**", "a a/b .env", ""),
    "a leading slash": ("/foo\n*.x\n!/keep.x", "foo foo/a a.x", "a/foo keep.x"),
    "a trailing slash": ("foo/\nbar//", "foo foo/a bar/a", "a/foo/b"),
    "dots in the path": ("./foo\na/../bar\nb/./c", "foo/a bar b/c", "a b"),
    "comments": ("# foo\n  \n#bar\nbaz", "baz", "foo bar"),
    "an indented hash is a name": (" #foo", "#foo", "foo"),
    "spaces around": ("  foo  \n!  foo/a  ", "foo foo/b", "foo/a"),
    "an escape": ("\\!foo\nb\\*r", "!foo b*r", "foo bar"),
    "no wildcard in regular expressions": ("a.b\nc+\n(d)\n$e\nf|g", "a.b c+ (d) $e f|g", "axb cc d e f g"),
    "capitals": ("Foo", "Foo", "foo FOO"),
    "nothing": ("", "", "a .env"),
}  # fmt: skip


@pytest.mark.parametrize("case", RULES)
def test_rules(case: str, tmp_path: Path) -> None:
    text, out, let_in = RULES[case]
    assert [path for path in out.split() if not excluded(tmp_path, text, path)] == []
    assert [path for path in let_in.split() if excluded(tmp_path, text, path)] == []


def test_a_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    file = tmp_path / ".dockerignore"
    file.write_bytes(b"\xef\xbb\xbffoo\r\n!foo/a\r\n")
    patterns = dockerignore.read(file)
    assert dockerignore.excludes(patterns, "foo/b")
    assert not dockerignore.excludes(patterns, "foo/a")


def plant(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name, encoding="utf-8")


def seen(folder: Path) -> list[str]:
    ignore = dockerignore.ignore_file(folder / "Dockerfile", folder)
    files = dockerignore.context_files(folder, ignore, ("reports",))
    return [path.relative_to(folder).as_posix() for path in files]


def test_context_files(tmp_path: Path) -> None:
    plant(tmp_path, "b", "a/y", "a/x", "src/m.py", "src/m.pyc", ".env", "node_modules/n/i.js")
    every = [".env", "b", "a/x", "a/y", "node_modules/n/i.js", "src/m.py", "src/m.pyc"]
    assert seen(tmp_path) == every
    plant(tmp_path, ".dockerignore")
    (tmp_path / ".dockerignore").write_text("*\n!src\n**/*.pyc\n", encoding="utf-8")
    assert seen(tmp_path) == ["src/m.py"]
    (tmp_path / ".dockerignore").write_text("a\n.*\nnode_modules\n", encoding="utf-8")
    assert seen(tmp_path) == ["b", "src/m.py", "src/m.pyc"]


def test_the_ignore_file_of_a_dockerfile_of_its_own(tmp_path: Path) -> None:
    """It is read in place of the context's, and lies beside the Dockerfile, wherever that is."""
    plant(tmp_path, "apps/api/a", "apps/api/b", "apps/reports/c", "reports/of/every/run", "z")
    (tmp_path / ".dockerignore").write_text("*\n!z\n", encoding="utf-8")
    dockerfile = tmp_path / "apps" / "api" / "own.Dockerfile"
    assert dockerignore.ignore_file(dockerfile, tmp_path) == tmp_path / ".dockerignore"
    ignore = dockerfile.with_name("own.Dockerfile.dockerignore")
    ignore.write_text(".*\napps/api/b\napps/api/*e\n", encoding="utf-8")
    assert dockerignore.ignore_file(dockerfile, tmp_path) == ignore
    found = dockerignore.context_files(tmp_path, ignore, ("reports",))
    names = [path.relative_to(tmp_path).as_posix() for path in found]
    assert names == ["z", "apps/api/a", "apps/reports/c"]
    assert seen(tmp_path) == ["z"]


def test_the_default_project_sends_its_sources_only(project: Path) -> None:
    backend = project / "backend"
    wanted = {"requirements.txt", "src/app/main.py"}
    plant(backend, ".env", ".git/config", ".venv/bin/python", "src/app/__pycache__/main.pyc")
    found = set(seen(backend))
    assert wanted <= found
    assert not any(part in name for name in found for part in (".env", ".git", ".venv", ".pyc"))


def under(folder: str, line: str) -> str:
    """A line of a .dockerignore as it reads for a folder further down."""
    body = line.strip()
    if not body or line.startswith("#"):
        return line
    exception = "!" * body.startswith("!")
    return f"{exception}{folder}/{body.removeprefix('!').strip().lstrip('/')}"


@pytest.mark.engine
def test_the_same_files_as_a_real_build(engine: Engine, tmp_path: Path) -> None:
    """One build, each rule in a folder of its own."""
    context, archive = tmp_path / "context", tmp_path / "out.tar"
    lines: list[str] = []
    # Podman, and Docker before 23, take + and ( for regular expressions; that Docker also takes
    # a/**/x for a/*x.
    old = engine.name == "docker" and int(engine.version.split(".")[0]) < 23
    left_out = ("c+", "**/x") if old else ("c+",) if engine.name == "podman" else ()
    rules = [rule for rule in RULES.values() if not any(word in rule[0] for word in left_out)]
    for index, (text, out, let_in) in enumerate(rules):
        for path in sorted(f"{out} {let_in}".split(), key=len, reverse=True):
            if not (context / f"r{index}" / path).exists():
                plant(context, f"r{index}/{path}")
        lines += [under(f"r{index}", line) for line in text.splitlines()]
    (context / "Dockerfile").write_text('FROM scratch\nCOPY . /\nCMD ["x"]\n', encoding="utf-8")
    (context / ".dockerignore").write_text("\n".join(lines), encoding="utf-8")
    built = builder.build(
        engine,
        context,
        tags=["taskflow-test/ignored:dev"],
        arguments={},
        labels={},
        on_step=lambda _: None,
    )
    try:
        handle = engine.call("create", built.image).stdout.strip()
        engine.call("export", "--output", archive, handle)
        engine.call("rm", handle)
    finally:
        engine.call("image", "rm", "--force", "--no-prune", built.image)
    with tarfile.open(archive) as tar:
        real = {member.name for member in tar.getmembers() if re.match(r"r\d+/", member.name)}
        folders = {member.name for member in tar.getmembers() if member.isdir()}
    ours = {name for name in seen(context) if re.match(r"r\d+/", name)}
    assert sorted(ours ^ (real - folders)) == []
