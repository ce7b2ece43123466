"""A frontend does in its image what it does in the plain image of Next.js's documentation."""

from __future__ import annotations

import json
import shutil
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskflow_containers.checks import build
from taskflow_containers.engine.client import Engine
from taskflow_containers.project.load import load
from taskflow_containers.smoke.running import Running
from taskflow_containers.smoke.stack import Stack
from taskflow_containers.workspace import Workspace
from tests.containers.conftest import private, replace

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("sample")]

# What an application of its own adds to the one that is rendered.
ADDED = {
    "content/first.md": "# Read while serving\n",
    "content/more/second.md": "Below.\n",
    "src/app/posts/route.ts": """
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";

export const dynamic = "force-dynamic";

export async function GET() {
  const folder = path.join(process.cwd(), "content");
  const names = (await readdir(folder, { recursive: true })).sort();
  return Response.json([names, await readFile(path.join(folder, "first.md"), "utf8")]);
}
""",
    "src/app/edge/route.ts": """
export const runtime = "edge";
export const GET = () => new Response(EdgeRuntime);
declare const EdgeRuntime: string;
""",
    "src/app/api/mine/[id]/route.ts": """
export const GET = async (_: Request, { params }: { params: Promise<{ id: string }> }) =>
  new Response((await params).id);
""",
    "src/app/timed/page.tsx": """
export const revalidate = 1;

export default function Timed() {
  return <time>{Date.now()}</time>;
}
""",
    "src/app/resized/route.ts": """
import sharp from "sharp";

export const dynamic = "force-dynamic";

export async function GET() {
  const png = await sharp({ create: { width: 9, height: 9, channels: 3, background: "red" } }).png().toBuffer();
  return Response.json((await sharp(png).resize(3).metadata()).format);
}
""",
    "src/app/loaded/word.text": "word",
    "src/app/loaded/route.ts": """
// @ts-expect-error: made by the loader
import word from "./word.text";

export const dynamic = "force-dynamic";
export const GET = () => new Response(word);
""",
    "loaders/text.js": "module.exports = (text) => `export default ${JSON.stringify(text)};`;\n",
    "postcss.config.mjs": 'export default { plugins: { "postcss-prefix-selector": { prefix: ".all" } } };\n',
    "src/instrumentation.ts": """
export function register() {
  if (!process.env.LICENCE) throw new Error("LICENCE is not set");
}
""",
}
PLUGIN = {
    "version": "2.2.1",
    "integrity": "sha512-oMvY0GLVjg6b/N09B4h/xWYczc+LsX1O+laIpXDBbP6tZll+Cj5kXxdI0IZ23NOQ+XIko8VDsCFj+bhgYsmP8g==",
    "dev": True,
    "license": "MIT",
    "peerDependencies": {"postcss": "^8.0.0"},
}


def png(side: int) -> bytes:
    """A black picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(side * (b"\0" + side * b"\0\0\0"))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def application(own: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the rendered project with more in its frontend, one package short."""
    folder = tmp_path_factory.mktemp("plain") / "project"
    shutil.copytree(own, folder, ignore=shutil.ignore_patterns(".git"))
    for name, text in ADDED.items():
        path = folder / "frontend" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (folder / "frontend/public/black.png").write_bytes(png(64))
    rules = '{ "*.text": { loaders: ["./loaders/text.js"], as: "*.js" } }'
    root = "turbopack: { root: import.meta.dirname"
    replace("frontend/next.config.ts", root, f"{root}, rules: {rules}")(folder)
    private(folder / "frontend")
    return folder


def install(frontend: Path) -> None:
    """As `npm install --save-dev postcss-prefix-selector` does."""
    for name in ("package.json", "package-lock.json"):
        document = json.loads((frontend / name).read_text("utf-8"))
        package = document.get("packages", {}).get("", document)
        package["devDependencies"]["postcss-prefix-selector"] = PLUGIN["version"]
        if "packages" in document:
            document["packages"]["node_modules/postcss-prefix-selector"] = PLUGIN
        (frontend / name).write_text(json.dumps(document, indent=2) + "\n", "utf-8")


@pytest.fixture(scope="module")
def stack(application: Path, engine: Engine) -> Iterator[Stack]:
    with Stack(Workspace(application, load(application / "taskflow.toml"), engine)) as made:
        yield made


def start(stack: Stack, application: Path, engine: Engine, instance: str) -> Running:
    """Its frontend, held to the model, with all that it needs."""
    (image,) = build.build(Workspace(application, stack.project, engine), ["frontend"])
    assert image.usable, image.results
    environment = {"API_URL": "http://127.0.0.1:9", "LICENCE": "given"}
    running = stack.launch(
        stack.workspace.target("frontend", image.id), instance=instance, environment=environment
    )
    running.wait()
    return running


def test_a_package_that_was_missing_is_found_once_installed(
    application: Path, engine: Engine
) -> None:
    """Though the bundler's cache remembers that it was not; among devDependencies, too."""
    project = load(application / "taskflow.toml")
    (image,) = build.build(Workspace(application, project, engine), ["frontend"])
    assert not image.usable
    assert "Cannot find module 'postcss-prefix-selector'" in image.results[0].detail, image.results
    install(application / "frontend")
    (image,) = build.build(Workspace(application, project, engine), ["frontend"])
    assert image.usable, image.results


def test_what_routes_read_import_and_declare_is_in_the_image(
    stack: Stack, application: Path, engine: Engine
) -> None:
    # What an earlier build has made of a source is not kept for another program that makes it.
    replace("frontend/loaders/text.js", "stringify(text)", "stringify(text + 's')")(application)
    frontend = start(stack, application, engine, "plain")
    assert frontend.get("/loaded", 10).body == b"words"
    answers = {path: frontend.get(path, 10) for path in ("/posts", "/edge", "/resized", "/")}
    assert {path: answer.status for path, answer in answers.items()} == dict.fromkeys(answers, 200)
    names, text = json.loads(answers["/posts"].body)
    assert names == ["first.md", "more", "more/second.md"]
    assert text == "# Read while serving\n"
    assert (answers["/edge"].body, answers["/resized"].body) == (b"edge-runtime", b'"png"')

    # Its own routes below /api/ are its own, the others are the backend's, which is away.
    assert frontend.get("/api/mine/7", 10).body == b"7"
    assert frontend.get("/api/others/7", 10).status == 502

    # What is revalidated is new the time after, though nothing can be written.
    seen = set()
    for _ in range(3):
        seen.add(frontend.get("/timed", 10).body)
        time.sleep(1.2)
    assert len(seen) > 1

    # Load balancers keep an idle connection for 60 s; Node.js alone would close it after 5.
    connection = frontend.connect(10)
    connection.request("GET", "/posts")
    connection.getresponse().read()
    opened = connection.sock
    time.sleep(6.5)
    connection.request("GET", "/posts")
    assert connection.getresponse().status == 200
    assert connection.sock is opened
    # And is no reason to stop late.
    seconds, code = frontend.stop(20)
    assert code in {0, 143}
    assert seconds < 5
    stack.discard(frontend)


@pytest.mark.thorough
def test_images_are_resized_by_one_switch(stack: Stack, application: Path, engine: Engine) -> None:
    replace("frontend/next.config.ts", "unoptimized: true", "unoptimized: false")(application)
    frontend = start(stack, application, engine, "resizing")
    for cached in ("MISS", "HIT"):
        answer = frontend.get("/_next/image?url=%2Fblack.png&w=32&q=75", 10)
        assert (answer.status, answer.headers["x-nextjs-cache"]) == (200, cached)
        assert struct.unpack(">II", answer.body[16:24]) == (32, 32)
    said = engine.call("logs", frontend.handle).stdout
    assert '"level":"error"' not in said, said
    stack.discard(frontend)
