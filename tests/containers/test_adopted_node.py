"""Applications of Node.js that are not to be touched: what their installation reads, and what their image does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskflow_containers.engine.client import Engine, substitutes
from taskflow_containers.machine import tools
from tests.adopted import NODE, place
from tests.conftest import ROOT
from tests.containers.test_frontends import MANAGERS, NPM, npm

BASE = substitutes().get("node:24-alpine", "node:24-alpine")
Files = dict[str, str]


def manifest(**stated: Any) -> str:
    """The text of a package.json."""
    return json.dumps({"private": True, **stated})


# A workspace of pnpm, two levels deep, below a base path, in the Pages Router: its configuration is a function, and one
# of its packages has to be built first, by a script that calls pnpm by name.
WORKSPACE: Files = {
    "package.json": manifest(name="top"),
    "pnpm-workspace.yaml": 'packages: ["apps/*", "packages/*"]\n',
    "apps/web/package.json": manifest(
        name="web", type="module", scripts={"build": "pnpm say && next build", "say": "echo said"},
        dependencies={"ui": "workspace:*", "next": "16.4.6", "react": "19.3.1", "react-dom": "19.3.1"},
    ),
    "apps/web/next.config.mjs": """
export default async (phase, { defaultConfig }) => ({
  ...defaultConfig, basePath: "/shop", distDir: "built",
  rewrites: async () => [{ source: "/api/old", destination: "/api/hello" }],
});
""",
    "apps/web/pages/index.js": """
import { word } from "ui";
export const getServerSideProps = () => ({ props: { text: word } });
export default function Page({ text }) { return <p>{text} {process.env.NEXT_PUBLIC_SITE}</p>; }
""",
    "apps/web/pages/api/hello.js": "export default (_, response) => response.json(process.env.API_URL ?? null);\n",
    "packages/ui/package.json": manifest(
        name="ui", version="1.0.0", main="made.js", scripts={"build": "cp source.js made.js"}
    ),
    "packages/ui/source.js": 'exports.word = "a package";\n',
}  # fmt: skip
# One alone in its folder, whose own /health stays its own.
ALONE: Files = {
    "package.json": manifest(
        name="alone", scripts={"build": "next build"},
        dependencies={"next": "16.4.6", "react": "19.3.1", "react-dom": "19.3.1"},
    ),
    "app/layout.js": "export default ({ children }) => <html><body>{children}</body></html>;\n",
    "app/page.js": "export default function Page() { return <p>alone</p>; }\n",
    "app/health/route.js": """
export const dynamic = "force-dynamic";
export const GET = () => new Response(process.env.API_URL);
""",
}  # fmt: skip
WORKER: Files = {
    "package.json": manifest(
        name="worker", scripts={"build": "cp work.js made.js"}, dependencies={"ms": "2.1.3"},
        devDependencies={"is-number": "7.0.0"},
    ),
    "work.js": 'console.log(require("ms")(60000), process.env.SAID); setInterval(() => {}, 1000);\n',
}  # fmt: skip


def written(folder: Path, files: Files, lock: list[str]) -> None:
    """An application and its lock file."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    npm(folder, *lock)


@pytest.fixture
def tag(engine: Engine) -> Iterator[str]:
    """A name for an image of a test's own."""
    name = f"adopted-{uuid.uuid4().hex[:8]}"
    yield name
    engine.call("image", "rm", "--force", "--no-prune", name, check=False)


def build(engine: Engine, tag: str, folder: Path, container: dict[str, Any], *words: str) -> None:
    """Build the image of a container."""
    options = ["--file", str(folder / container["dockerfile"]), "--tag", tag, *words]
    engine.call("build", *options, str(folder), timeout=600)


def run(engine: Engine, tag: str, *options: str) -> str:
    """Start it as a cluster does: nothing to write, no capability, its memory limited."""
    locked = ["--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--memory=200m"]
    return engine.call("run", "--detach", *locked, *options, tag).stdout.strip()


ASK = """
const ask = (url) => fetch(url).then(async (r) => [r.status, (await r.text()).replace(/<!-- -->/g, "")], () => 0);
(async () => {
  const [first, ...others] = process.argv.slice(1).map((path) => `http://127.0.0.1:3000${path}`);
  let found;
  for (let n = 0; n < 300 && !(found = await ask(first)); n++) await new Promise((r) => setTimeout(r, 100));
  console.log(JSON.stringify([found, ...(await Promise.all(others.map(ask)))]));
})();
"""


@pytest.mark.engine
@pytest.mark.parametrize(
    ("files", "lock", "stated", "options", "expected"),
    [
        pytest.param(
            WORKSPACE, MANAGERS["pnpm"],
            {"app": "apps/web", "lock": "pnpm-lock.yaml", "ours": "ours", "build_arguments": ["NEXT_PUBLIC_SITE"]},
            ["--env=API_URL=no URL/"],
            {"/health": '"status":"pass"', "/shop": "<p>a package shop</p>", "/shop/api/hello": '"no URL/"'},
            id="workspace", marks=pytest.mark.thorough,
        ),
        pytest.param(
            ALONE, NPM, {"connects": {"API_URL": "api"}}, ["--env=API_URL=http://127.0.0.1:9/"],
            {"/health": "http://127.0.0.1:9/", "/": "<p>alone</p>", "/api/items": "The backend does not answer."},
            id="alone",
        ),
    ],
)  # fmt: skip
def test_an_application_is_served_as_it_is(
    files: Files,
    lock: list[str],
    stated: dict[str, Any],
    options: list[str],
    expected: dict[str, str],
    engine: Engine,
    tag: str,
    tmp_path: Path,
) -> None:
    written(tmp_path, files, lock)
    container = place(tmp_path, base=BASE, **stated)
    build(engine, tag, tmp_path, container, "--build-arg=NEXT_PUBLIC_SITE=shop")
    running = run(engine, tag, *options)
    said = engine.call("exec", running, "node", "-e", ASK, *expected, timeout=60).stdout
    logs = engine.call("logs", running).stdout
    engine.call("rm", "--force", running)
    for (path, words), (_, text) in zip(expected.items(), json.loads(said), strict=True):
        assert words in text, (path, text, logs)


@pytest.mark.engine
def test_a_worker_runs_and_stops(engine: Engine, tag: str, tmp_path: Path) -> None:
    written(tmp_path, WORKER, NPM)
    fixed = {"required": [], "optional": [], "fixed": {"SAID": 'a "$b"'}}
    stated = {"kind": "worker", "command": ["node", "made.js"], "health": {}, "environment": fixed}
    build(engine, tag, tmp_path, place(tmp_path, base=BASE, **stated))
    running = run(engine, tag)
    code = 'const fs = require("fs"); console.log(fs.existsSync("node_modules/is-number"), process.getuid())'
    assert engine.call("exec", running, "node", "-e", code).stdout == "false 1001\n"
    engine.call("stop", running)
    code = engine.call("inspect", "--format={{.State.ExitCode}}", running).stdout.strip()
    logs = engine.call("logs", running).stdout
    engine.call("rm", "--force", running)
    assert (logs, code) == ('1m a "$b"\n', "143")


YARN3 = "__metadata:\n  version: 6\n"


@pytest.mark.parametrize(
    ("files", "lock", "expected"),
    [
        pytest.param(
            {"package-lock.json": "", "a/package.json": "{}", "a/b.js": "", "patches/c.patch": "", "yarn.lock": ""},
            "package-lock.json", {"a/package.json", "package-lock.json", "patches/c.patch"}, id="manifests",
        ),
        pytest.param(
            {"package-lock.json": "", "a/package.json": manifest(scripts={"prepare": "husky || true"}), "a/b.js": ""},
            "package-lock.json", {"a/package.json", "package-lock.json"}, id="harmless-script",
        ),
        pytest.param(
            {"package-lock.json": "", "a/package.json": manifest(scripts={"postinstall": "node b"}), "a/b.js": ""},
            "package-lock.json", {"a/package.json", "package-lock.json", "a/b.js"}, id="script",
        ),
        pytest.param(
            {"npm-shrinkwrap.json": "", "package-lock.json": ""}, "npm-shrinkwrap.json", {"npm-shrinkwrap.json"}, id="shrinkwrap",
        ),
        pytest.param({"pnpm-lock.yaml": "lockfileVersion: '6.0'\n"}, "pnpm-lock.yaml", "pnpm@8", id="pnpm-8"),
        pytest.param({"pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, "pnpm-lock.yaml", "pnpm@10", id="pnpm-10"),
        pytest.param(
            {"package.json": '{"packageManager": "bun@1.2.17"}', "bun.lock": "", "pnpm-lock.yaml": "lockfileVersion: '9.0'\n"},
            "pnpm-lock.yaml", "pnpm@10", id="beside-bun",
        ),
        pytest.param({"yarn.lock": YARN3}, "yarn.lock", "yarn@3", id="yarn-3"),
        pytest.param(
            {"yarn.lock": YARN3, ".yarnrc.yml": "yarnPath: .yarn/releases/yarn-3.6.4.cjs\n"},
            "yarn.lock", "yarn@3.6.4", id="yarn-carried",
        ),
        pytest.param({"yarn.lock": "# yarn lockfile v1\n"}, "yarn.lock", "yarn@1.x", id="yarn-1"),
        pytest.param({}, "package-lock.json", "there is no lock file", id="no-lock"),
        pytest.param({"bun.lock": '{\n  "lockfileVersion": 1,\n'}, "bun.lock", "bun@1.x", id="bun"),
        pytest.param({"bun.lockb": "#!/usr/bin/env bun\nbun-lockfile-format-v0\n"}, "bun.lockb", "bun@1.x", id="bun-binary"),
        pytest.param(
            {"package.json": '{"packageManager": "bun@1.2.17"}', "bun.lock": "", "package-lock.json": ""},
            "bun.lock", "bun@1.2.17", id="bun-named",
        ),
        pytest.param({"deno.lock": ""}, "deno.lock", "deno.lock is of another package manager", id="another"),
    ],
)  # fmt: skip
def test_what_an_installation_reads(
    files: Files, lock: str, expected: str | set[str], tmp_path: Path
) -> None:
    folder, target = tmp_path / "app", tmp_path / "manifests"
    for name, text in {"package.json": "{}", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "container").mkdir()
    (folder / "container/install.mjs").touch()
    script = Path(shutil.copy(NODE / "manifests.mjs", folder / "container"))
    words: list[str | Path] = [tools.node(), script, lock, target]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        assert isinstance(expected, str) and expected in done.stderr
    elif isinstance(expected, str):
        assert json.loads((target / "package.json").read_text())["packageManager"] == expected
        assert (target / "container/manager").read_text() == expected
    else:
        found = {file.relative_to(target).as_posix() for file in target.rglob("*.*")}
        made = {"package.json", "container/install.mjs", "container/manifests.mjs"}
        assert found - made == expected


@pytest.mark.parametrize(
    ("prepare", "left"),
    [
        ("lefthook install", None),
        ("is-ci || husky || true", None),
        ("npx simple-git-hooks && node -e 1", "node -e 1"),
        ("git config --local core.hooksPath .hooks", None),
        ("node -e 1 || lefthook install", "node -e 1 || lefthook install"),
    ],
)
def test_an_image_sets_up_no_hooks_of_git(prepare: str, left: str | None, tmp_path: Path) -> None:
    """By npm itself: none of these programs is there, and outside of an image package.json stays."""
    (tmp_path / "package.json").write_text(manifest(scripts={"prepare": prepare, "build": "x"}))
    lock = {"lockfileVersion": 3, "requires": True, "packages": {"": {}}}
    (tmp_path / "package-lock.json").write_text(json.dumps(lock))
    before = (tmp_path / "package.json").read_text()
    script = ROOT / "template" / "frontend" / "container" / "install.mjs"
    binary, client = tools.npm()
    environment = {**os.environ, **tools.node_path(), "npm_execpath": str(client)}
    for words in ([], ["--for-an-image"]):
        done = subprocess.run(
            [binary, script, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if not words:
            assert (tmp_path / "package.json").read_text() == before
    assert done.returncode == 0, done.stderr
    scripts = json.loads((tmp_path / "package.json").read_text())["scripts"]
    assert scripts == {"build": "x"} | ({"prepare": left} if left else {})


PNPM_LOCK = """\
lockfileVersion: '9.0'
settings: {autoInstallPeers: true, excludeLinksFromLockfile: false}
importers:
  .: {dependencies: {ms: {specifier: 2.1.3, version: 2.1.3}}}
packages:
  ms@2.1.3:
    resolution: {integrity: sha512-6FlzubTLZG3J2a/NVCAleEhjzq5oxgHyaCU9yYXvcLsvoVaHJq/s5xXI6/XXP6tz7R9xAOtHnSO/tXtF3WRTlA==}
snapshots:
  ms@2.1.3: {}
"""


def test_overrides_of_npms_that_contradict_a_dependency_are_no_matter_of_pnpms(
    tmp_path: Path,
) -> None:
    """Those are read by npm alone, which brings pnpm, and would end."""
    about = {"dependencies": {"ms": "2.1.3"}, "overrides": {"ms": "2.0.0"}}
    (tmp_path / "package.json").write_text(json.dumps(about))
    (tmp_path / "pnpm-lock.yaml").write_text(PNPM_LOCK)
    script = ROOT / "template" / "frontend" / "container" / "install.mjs"
    binary, client = tools.npm()
    environment = {**os.environ, **tools.node_path(), "npm_execpath": str(client)}
    done = subprocess.run(
        [binary, script, "--for-an-image"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "node_modules" / "ms" / "package.json").is_file()


@pytest.mark.parametrize(
    ("command", "built"),
    [("pnpm run build", "ui web"), ("npm run build", "ui web"), ("make all", "all")],
)
def test_packages_of_the_workspace_are_built_before_the_application(
    command: str, built: str, tmp_path: Path
) -> None:
    web, ui, ours = (tmp_path / name for name in ("web", "ui", "container"))
    for folder in (web / "node_modules", ui, ours, tmp_path / "bin"):
        folder.mkdir(parents=True)
    for folder in (web, ui):
        told = json.loads(manifest(scripts={"build": f"echo {folder.name} >>../built"}))
        about = {**told, "dependencies": {"ui": "*"} if folder is web else {}}
        (folder / "package.json").write_text(json.dumps(about))
    (web / "node_modules/ui").symlink_to(ui)
    cli = tools.node().parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
    own = f'exec {tools.node()} {cli} "$@"'
    for name, script in (("npm", own), ("pnpm", own), ("make", 'echo "$@" >>../built')):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    shutil.copy(NODE / "workspace.mjs", ours)
    (ours / "manager").write_text("npm")
    (ours / "run.mjs").write_text('import { build } from "./workspace.mjs";\nbuild({});\n')
    path = f"{tmp_path / 'bin'}:{Path(tools.node()).parent}:{os.environ['PATH']}"
    words: list[str | Path] = [tools.node(), ours / "run.mjs", "package-lock.json", command]
    subprocess.run(
        words, cwd=web, check=True, capture_output=True, env={**os.environ, "PATH": path}
    )
    assert (tmp_path / "built").read_text().split() == built.split()


def test_overrides_of_npms_do_not_end_a_build_by_pnpm(tmp_path: Path) -> None:
    ours = tmp_path / "container"
    ours.mkdir()
    about = {
        "dependencies": {"ms": "2.1.3"},
        "overrides": {"ms": "2.0.0"},
        "scripts": {"build": "echo built >built"},
    }
    (tmp_path / "package.json").write_text(json.dumps(about))
    shutil.copy(NODE / "workspace.mjs", ours)
    (ours / "manager").write_text("pnpm@10")
    (ours / "run.mjs").write_text('import { build } from "./workspace.mjs";\nbuild({});\n')
    cli = tools.node().parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "npm").write_text(f'#!/bin/sh\nexec {tools.node()} {cli} "$@"\n')
    (tmp_path / "bin" / "npm").chmod(0o755)
    path = f"{tmp_path / 'bin'}:{Path(tools.node()).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [tools.node(), ours / "run.mjs", "pnpm-lock.yaml", "pnpm run build"],
        cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "built").is_file()
