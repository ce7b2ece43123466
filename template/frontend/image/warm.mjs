// Run while the image is built: serves a few requests, so that V8's compile cache holds the code they need.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

// Nothing listens on port 9 here: the page's and the proxy's answers for a backend that is away are code, too.
const env = { ...process.env, API_URL: "http://127.0.0.1:9", HOSTNAME: "127.0.0.1", WARMING: "1" };
const main = new URL("main.mjs", import.meta.url).pathname;
const server = spawn(process.execPath, [...process.execArgv, main], { env, stdio: "inherit" });
const ended = once(server, "exit");
const url = `http://127.0.0.1:${process.env.PORT}`;

/**
 * Not by fetch: it would keep its connections, and the server would wait for them before it ends.
 *
 * @param {string} path
 */
const ask = async (path) => {
  const [response] = await once(get(url + path, { agent: false }), "response");
  await once(response.resume(), "end");
  return response.statusCode;
};

for (let tries = 0; ; tries++) {
  try {
    if ((await ask("/health")) === 200) break;
  } catch {
    // Not listening yet.
  }
  if (tries > 500 || server.exitCode !== null) throw new Error("the server does not answer on /health");
  await sleep(20);
}
for (const path of ["/", "/api/health", "/robots.txt", "/no-such-page"]) await ask(path);

server.kill("SIGTERM");
await ended;
