// Run while the image is built: serves a few requests as the user of this ID, so that V8's compile cache has
// their code. It is keyed by Node.js's version and that ID; where it finds others, Node.js compiles.
import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import manifest from "../.next/routes-manifest.json" with { type: "json" };

// Nothing listens on port 9: the answers for a backend that is away are code, too.
const settings = { HOSTNAME: "127.0.0.1", API_URL: "http://127.0.0.1:9", STOP_SECONDS: "1" };
const env = { ...process.env, ...settings, NODE_COMPILE_CACHE: "/app/.compile-cache" };
const limits = { uid: Number(process.argv[2]), timeout: 30_000, killSignal: "SIGKILL" };
const server = spawn("node", ["container/main.mjs"], { stdio: "inherit", env, ...limits });
const ask = (path) => fetch(`http://127.0.0.1:3000${path}`).catch(() => false);
while (server.kill(0) && !(await ask("/health"))) await sleep(20);
for (const path of ["/api/health", "/robots.txt", "/no-such-page", "/"]) await ask(manifest.basePath + path);
// One that does not start without its real environment ends no build.
if (!server.kill("SIGTERM")) console.log("warm: it ended, see above; each start will compile its code");
