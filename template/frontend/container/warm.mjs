// Run while the image is built: serves a few requests as the user of this ID, so that V8's compile cache holds the code
// they need. The cache is keyed by Node.js's version and the ID; where it finds others, Node.js compiles.
// A server that does not start without its real environment ends no build: it starts without compiled code then.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdirSync } from "node:fs";
import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const LONGEST_MS = 30_000;
const ADDRESS = { HOSTNAME: "127.0.0.1", PORT: "3000" };

const id = Number(process.argv[2]);
const cache = new URL("../.compile-cache", import.meta.url).pathname;
mkdirSync(cache);
chownSync(cache, id, id);
// Nothing listens on port 9 here: the page's and the proxy's answers for a backend that is away are code, too.
const env = { ...process.env, ...ADDRESS, NODE_COMPILE_CACHE: cache, API_URL: "http://127.0.0.1:9" };
const main = new URL("main.mjs", import.meta.url).pathname;
const server = spawn(process.execPath, [main], { env, stdio: "inherit", uid: id, gid: id });
const ended = once(server, "exit");
const tooLong = setTimeout(() => server.kill("SIGKILL"), LONGEST_MS);

/**
 * Not by fetch: it would keep its connections, and the server would wait for them before it ends.
 *
 * @param {string} path
 */
async function ask(path) {
  const [response] = await once(get(`http://127.0.0.1:3000${path}`, { agent: false }), "response");
  await once(response.resume(), "end");
  return response.statusCode;
}

try {
  // It refuses connections until it listens.
  while (!(await ask("/health").catch(() => 0))) {
    if (server.exitCode !== null || server.signalCode !== null) throw new Error("it ended");
    await sleep(20);
  }
  for (const path of ["/api/health", "/robots.txt", "/no-such-page"]) await ask(path);
  const status = await ask("/");
  if (status >= 500) throw new Error(`the home page answered ${status}`);
} catch (error) {
  console.log(`warm: ${error} while the image was built, so some code will be compiled at each start. What the
server said is above; most often it lacks its environment here.`);
}

server.kill("SIGTERM");
await ended;
clearTimeout(tooLong);
// Node.js writes it for its owner alone; in the end it is root's.
execFileSync("chown", ["-R", "0:0", cache]);
execFileSync("chmod", ["-R", "a+rX", cache]);
