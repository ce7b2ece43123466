"""A frontend by each package manager, in a base with nothing but Node.js, by IPv4 and IPv6."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow_containers.checks import build, scan
from taskflow_containers.engine.client import Engine, substitutes
from taskflow_containers.machine import tools
from taskflow_containers.project.load import load
from taskflow_containers.smoke.running import Running
from taskflow_containers.smoke.stack import Stack
from taskflow_containers.workspace import Workspace
from tests.conftest import some_of
from tests.containers.conftest import NAME, failed, replace, smoked
from tests.containers.test_inventory import places
from tests.containers.test_scan import vulnerabilities  # noqa: F401

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("frontends")]

# As `create-next-app` starts one in JavaScript: no src, no public folder, nothing of the rendered one's.
PLAIN = {
    "package.json": json.dumps(
        {
            "name": "plain",
            "private": True,
            "scripts": {"build": "next build"},
            "dependencies": {
                "lodash": "4.17.20",
                "ms": "2.1.2",
                "next": "16.4.6",
                "react": "19.3.1",
                "react-dom": "19.3.1",
            },
            "devDependencies": {"is-number": "7.0.0"},
        }
    ),
    # One of its packages goes into chunks, where nothing tells of it, and one lies in the image as it is.
    "next.config.mjs": """
export default { output: "standalone", images: { unoptimized: true }, serverExternalPackages: ["ms"] };
""",
    "app/layout.js": "export default ({ children }) => <html><body>{children}</body></html>;\n",
    "app/page.js": """
import lodash from "lodash";
import ms from "ms";

export default function Page() {
  return <p>{lodash.lowerCase("PLAIN")} {ms(1000)}</p>;
}
""",
    "instrumentation.js": """
import { createServer } from "node:http";

export async function register() {
  if (process.env.NEXT_RUNTIME !== "nodejs") return;
  createServer((_, response) => response.end("metrics")).listen(9464);
  console.log("preparing");
  await new Promise((resolve) => setTimeout(resolve, 1000));
  console.log("prepared");
  if (process.env.BROKEN) throw new Error("LICENCE is not set");
}
""",
    "app/address/route.js": """
export const dynamic = "force-dynamic";
export const GET = (request) => Response.json([request.url, request.headers.get("x-forwarded-for")]);
""",
}
# What makes the lock file of each; npm's is made for all that follows.
NPM = ["install", "--package-lock-only"]
MANAGERS = {
    "pnpm": ["exec", "--yes", "pnpm@10", "--", "install", "--lockfile-only"],
    "yarn 1": ["exec", "--yes", "yarn@1", "--", "install", "--ignore-scripts"],
    "yarn 4": ["exec", "--yes", "--package=@yarnpkg/cli-dist@4", "--", "yarn", "install", "--mode=update-lockfile"],
}  # fmt: skip


def npm(folder: Path, *words: str) -> None:
    """Run the npm that comes with the tests' Node."""
    home = tools.node().parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
    env = {**os.environ, **tools.node_path()}
    if registry := env.get("NPM_CONFIG_REGISTRY"):
        env["YARN_NPM_REGISTRY_SERVER"] = registry
    command: list[str | Path] = [tools.node(), home, *words]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def copy(own: Path, folder: Path) -> Path:
    """The rendered project under a name of its own, as other tests ask what theirs leaves behind."""
    shutil.copytree(own, folder, ignore=shutil.ignore_patterns(".git"))
    replace("taskflow.toml", f'name = "{NAME}"', f'name = "{NAME}-frontends"')(folder)
    return folder


@pytest.fixture(scope="module")
def plain(own: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rendered project with another application in its frontend."""
    folder = copy(own, tmp_path_factory.mktemp("frontends") / "project")
    for path in (folder / "frontend").iterdir():
        if path.name not in {"container", "Dockerfile", ".dockerignore"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, text in PLAIN.items():
        (folder / "frontend" / name).parent.mkdir(exist_ok=True)
        (folder / "frontend" / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def stack(plain: Path, engine: Engine) -> Iterator[Stack]:
    with Stack(Workspace(plain, load(plain / "taskflow.toml"), engine)) as made:
        yield made


ENVIRONMENT = {"API_URL": "http://127.0.0.1:9"}


@pytest.mark.parametrize("manager", some_of(MANAGERS))
def test_each_lock_file_is_installed_by(
    manager: str, plain: Path, stack: Stack, engine: Engine
) -> None:
    frontend = plain / "frontend"
    for name in (*tools.NODE_LOCKS, ".yarnrc.yml"):
        (frontend / name).unlink(missing_ok=True)
    if manager == "yarn 4":
        (frontend / ".yarnrc.yml").write_text("nodeLinker: node-modules\n")
        (frontend / "yarn.lock").touch()
    npm(frontend, *MANAGERS[manager])
    shutil.rmtree(frontend / "node_modules", ignore_errors=True)
    (image,) = build.build(Workspace(plain, stack.project, engine), ["frontend"])
    assert image.usable, image.results
    instance = manager.replace(" ", "")
    running = stack.launch(
        stack.workspace.target("frontend", image.id), instance=instance, environment=ENVIRONMENT
    )
    running.wait()
    assert b"plain" in running.get("/", 10).body
    assert {"lodash@4.17.20", "ms@2.1.2", "next@16.4.6", "styled-jsx@5.1.6"} <= installed(running)
    stack.discard(running)


def installed(running: Running) -> set[str]:
    """What the image's SBOM says was installed for production; a file that nobody may write."""
    code = (
        'const { mode, uid } = fs.statSync("node_modules/sbom.cdx.json");'
        'const { components } = JSON.parse(fs.readFileSync("node_modules/sbom.cdx.json"));'
        "console.log(JSON.stringify([mode & 0o777, uid, components.map((c) => `${c.name}@${c.version}`)]))"
    )
    mode, uid, names = running.evaluate({"node": f'const fs = require("fs"); {code}'})
    assert (mode, uid) == (0o644, 0)
    assert "is-number@7.0.0" not in names
    assert len(names) == len(set(names))
    return set(names)


def test_two_lock_files_end_the_build(plain: Path, stack: Stack, engine: Engine) -> None:
    for name in tools.NODE_LOCKS[:2]:
        (plain / "frontend" / name).touch()
    (image,) = build.build(Workspace(plain, stack.project, engine), ["frontend"])
    assert not image.usable
    assert "package-lock.json and pnpm-lock.yaml may disagree" in image.results[0].detail


def asking(url: str) -> dict[str, str]:
    """Code that asks for this within the container: the status and the text of the answer."""
    answer = "async (r) => console.log(JSON.stringify([r.status, await r.text()]))"
    return {"node": f"fetch({url!r}).then({answer})"}


@pytest.fixture(scope="module")
def image(plain: Path, stack: Stack, engine: Engine) -> str:
    """The plain application's image."""
    for name in tools.NODE_LOCKS:
        (plain / "frontend" / name).unlink(missing_ok=True)
    npm(plain / "frontend", *NPM)
    (image,) = build.build(Workspace(plain, stack.project, engine), ["frontend"])
    assert image.usable, image.results
    return image.id


@pytest.mark.usefixtures("vulnerabilities")
def test_what_only_a_chunk_has_is_found(
    plain: Path, image: str, engine: Engine, tmp_path: Path
) -> None:
    workspace = Workspace(plain, load(plain / "taskflow.toml"), engine)
    built = build.Image("frontend", image, ("plain:dev",))
    results = scan.scan(workspace, [built], tmp_path / "reports", offline=False)
    assert failed(results) == {"scan.vulnerabilities"}
    found = {result.id: result for result in results}
    lock = "frontend/package-lock.json"
    assert places(found["scan.vulnerabilities"]) == {
        "lodash": {"image:SBOM", lock},
        "ms": {"image:/app/node_modules/ms/package.json", "image:SBOM", lock},
    }
    development = f"for development alone: CVE-2026-2002 is-number {lock}: "
    assert development in found["scan.vulnerabilities"].detail
    sbom = json.loads((tmp_path / "reports/sbom-frontend.cdx.json").read_text())
    purls = [component.get("purl") for component in sbom["components"]]
    for package in ("lodash@4.17.20", "ms@2.1.2", "next@16.4.6"):
        assert purls.count(f"pkg:npm/{package}") == 1, package


def test_health_waits_for_the_applications_own_preparations(
    stack: Stack, image: str, engine: Engine
) -> None:
    running = stack.launch(
        stack.workspace.target("frontend", image), instance="prepared", environment=ENVIRONMENT
    )
    running.wait()
    said = engine.call("logs", running.handle).stdout
    assert '"message":"prepared"' in said, said
    # What the application opens besides answers for itself.
    assert running.evaluate(asking("http://127.0.0.1:9464/health")) == [200, "metrics"]
    stack.discard(running)

    broken = stack.launch(
        stack.workspace.target("frontend", image),
        instance="broken",
        environment={**ENVIRONMENT, "BROKEN": "1"},
    )
    statuses = set()
    while broken.alive():
        try:
            statuses.add(broken.get("/health", 5).status)
        except OSError:
            time.sleep(0.05)
    assert statuses == set()
    assert broken.state()["ExitCode"] == 1
    said = engine.call("logs", broken.handle).stdout
    assert '"level":"fatal"' in said and "LICENCE is not set" in said
    stack.discard(broken)


# What a kernel without IPv6 answers to who wants to open a socket of it.
WITHOUT_IPV6 = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [
        {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97,
         "args": [{"index": 0, "value": 10, "op": "SCMP_CMP_EQ"}]}
    ],
}  # fmt: skip


def test_it_listens_by_both_families_and_no_application_sees_the_difference(
    stack: Stack, image: str, tmp_path: Path
) -> None:
    profile = tmp_path / "seccomp.json"
    profile.write_text(json.dumps(WITHOUT_IPV6))
    seen = {}
    cases: dict[str, tuple[list[str], dict[str, str]]] = {
        "both": ([], {}),
        "ipv4": ([], {"HOSTNAME": "0.0.0.0"}),
        "without": ([f"--security-opt=seccomp={profile}"], {}),
    }
    for name, (options, environment) in cases.items():
        running = stack.launch(
            stack.workspace.target("frontend", image),
            *options,
            instance=name,
            environment=ENVIRONMENT | environment,
        )
        running.wait()
        seen[name] = running.evaluate(asking("http://127.0.0.1:3000/address"))
        if name == "both":
            assert running.evaluate(asking("http://[::1]:3000/health"))[0] == 200
        stack.discard(running)
    assert seen["both"] == seen["ipv4"] == seen["without"]
    assert json.loads(seen["both"][1])[1] == "127.0.0.1"


# As distroless images are: Node.js where no PATH leads to, as the entry point; no shell, no npm.
BARE = """
FROM {base} AS source
RUN mkdir -p /out/nodejs/bin /out/tmp && chmod 1777 /out/tmp && cp "$(command -v node)" /out/nodejs/bin/ \\
    && ldd /out/nodejs/bin/node | grep -o '/[^ ]*' | while read -r file; do cp -L --parents "$file" /out; done
FROM scratch
COPY --from=source /out /
ENV PATH=/usr/local/bin:/usr/bin:/bin
ENTRYPOINT ["/nodejs/bin/node"]
"""


@pytest.mark.thorough
def test_a_base_with_nothing_but_node_passes_the_smoke_test(
    own: Path, engine: Engine, tmp_path: Path
) -> None:
    folder = copy(own, tmp_path / "project")
    stated = load(folder / "taskflow.toml").containers["frontend"].base
    bare = f"{folder.name}-bare:1"
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/Dockerfile").write_text(BARE.format(base=substitutes().get(stated, stated)))
    engine.call("build", "--tag", bare, str(tmp_path / "bare"))
    replace("taskflow.toml", f'base = "{stated}"', f'base = "{bare}"\nbuilder = "{stated}"')(folder)
    replace("frontend/Dockerfile", f"ARG BASE_IMAGE={stated}", f"ARG BASE_IMAGE={bare}")(folder)
    project = load(folder / "taskflow.toml")
    images = build.build(Workspace(folder, project, engine), ["frontend"])
    assert images[0].usable, images[0].results
    results = smoked(Workspace(folder, project, engine), images)
    engine.call("image", "rm", "--no-prune", bare)
    assert failed(results) == set(), [r for r in results if r.failed]
    assert {r.group for r in results} > {"image", "identity", "health", "relations", "stop"}
